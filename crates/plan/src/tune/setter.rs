//! What a step of a use of the plugin has set, and how that is handed on to another that has set the same since.
use super::setters::Setters;
use crate::{Step, error::Error, host_port::Holder, places::Places};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::iter;

/// What uses of the plugin may set over one another.
pub(super) trait Contested: Clone + Serialize + DeserializeOwned {
    /// The folder of the state directory with the files of all namespaces.
    const FOLDER: &'static str;
    /// What it can be.
    type Value: Clone + PartialEq + Serialize + DeserializeOwned;

    /// Whether both are one and the same, whatever they are to be.
    fn is(&self, other: &Self) -> bool;

    /// Whether both are to be the same, by the same name: of earlier releases' uses, which don't say whose they are, those are as good as each other.
    fn is_alike(&self, other: &Self) -> bool;

    /// Whether a use that sets both does so in one step.
    fn is_in_step_with(&self, other: &Self) -> bool;

    /// What it was.
    fn former(&mut self) -> &mut Option<Self::Value>;

    /// What a step sets.
    fn set_by(step: &Step) -> Option<Setter<Self>>;

    /// Gives these their former values, in the container: but for those that another has set since. What the others have set stays.
    fn give_back(
        held: &[(Held<Self>, Option<Held<Self>>)],
        others: &Setters<Self>,
        places: &mut Places,
    ) -> Result<(), Error>;
}

/// A step of a use of the plugin, and what it has set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Setter<T: Contested> {
    /// Whose it is; none of an earlier release's record.
    pub(super) of: Option<Holder>,
    /// Under the name that releases knew which kept parameters alone.
    #[serde(rename = "parameters")]
    pub(super) set: Vec<T>,
    /// What the kernel showed of each when all were written. Empty until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) shown: Vec<Option<T::Value>>,
}

/// What was set, and what the kernel showed of it then.
#[derive(Debug, Clone)]
pub(super) struct Held<T: Contested> {
    pub(super) it: T,
    /// Not known of one whose ADD died, nor of an earlier release.
    pub(super) shown: Option<T::Value>,
}

impl<T: Contested> Setter<T> {
    pub(super) fn new(set: Vec<T>, of: Option<Holder>) -> Self {
        Self { of, set, shown: Vec::new() }
    }

    pub(super) fn is_of(&self, other: &Self) -> bool {
        let both = || self.set.iter().zip(&other.set);
        let is_alike = || self.set.len() == other.set.len() && both().all(|(one, other)| one.is_alike(other));
        let is_same_step = || both().next().is_none_or(|(one, other)| one.is_in_step_with(other));
        self.of == other.of && if self.of.is_some() { is_same_step() } else { is_alike() }
    }

    pub(super) fn held(&self) -> impl Iterator<Item = Held<T>> {
        let shown = self.shown.iter().cloned().chain(iter::repeat(None));
        self.set.iter().cloned().zip(shown).map(|(it, shown)| Held { it, shown })
    }

    pub(super) fn held_of(&self, it: &T) -> Option<Held<T>> {
        self.held().find(|own| own.it.is(it))
    }

    /// Takes over the former value, unless it has found one that somebody else had set in between.
    pub(super) fn heir_to(&mut self, held: &Held<T>) -> Option<Held<T>> {
        let own = self.set.iter_mut().find(|own| own.is(&held.it))?;
        if held.shown.is_none() || *own.former() == held.shown {
            own.former().clone_from(held.it.clone().former());
        }
        self.held_of(&held.it)
    }

    pub(super) fn line(&self) -> String {
        format!("{}\n", serde_json::to_string(self).unwrap_or_default())
    }
}

/// A line that is torn says nothing; a later one of a step is instead of the first.
pub(super) fn parse<T: Contested>(text: &str) -> Vec<Setter<T>> {
    let mut setters: Vec<Setter<T>> = Vec::new();
    for setter in text.lines().filter_map(|line| serde_json::from_str::<Setter<T>>(line).ok()) {
        match setters.iter_mut().find(|other| other.of.is_some() && other.is_of(&setter)) {
            Some(earlier) => *earlier = setter,
            None => setters.push(setter),
        }
    }
    setters
}
