//! What a step has in the packet filter where that is elements alone: keys without values, in sets of one section.
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    filter::Section,
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
    step::Step,
};
use kernel::nft::{Element, Family, Field, Set, Transaction};
use std::fmt::Display;

/// A step of the host's that is elements alone, the same for many attachments: the first one puts them in, the last one takes them out, and all
/// others find them by their mark (`users.rs`) and ask the packet filter nothing.
pub(crate) trait SharedElements: Display + Clone + Into<Step> {
    /// What its users are counted under ([`Act::counted`]).
    fn thing(&self) -> String;

    /// The elements.
    fn elements(&self) -> Elements;

    /// What they need of another section.
    fn besides(&self) -> Transaction {
        Transaction::default()
    }
}

impl<T: SharedElements> Act for T {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn counted(&self) -> Option<String> {
        Some(self.thing())
    }

    fn sections(&self) -> Vec<Section> {
        vec![self.elements().section]
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        self.elements().clear(places)
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        self.elements().differs(places)
    }
}

impl<T: SharedElements> Shared for T {
    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        places.is_made(&self.thing())
    }

    /// It goes with its last user, so nothing of it is reversed by itself.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let thing = self.thing();
        if places.is_made(&thing)? {
            return Ok(());
        }
        let (elements, mut change) = (self.elements(), self.besides());
        change.append(elements.adding());
        let put = places.filter.put(&[&elements.section], &change);
        put.map_err(|cause| Error::Step { step: self.to_string(), cause })?;
        places.mark_made(&thing, &self.clone().into())
    }
}

/// Elements of one step.
pub(crate) struct Elements {
    /// The section that their sets are in.
    pub(crate) section: Section,
    /// Each in its set.
    pub(crate) keys: Vec<(Set, Vec<Field>)>,
}

impl Elements {
    /// The change that puts them in, once their section is there.
    pub(crate) fn adding(&self) -> Transaction {
        let mut change = Transaction::default();
        for (set, key) in &self.keys {
            change.add_element(set, &Element { key: key.clone(), value: None, comment: None });
        }
        change
    }

    /// Takes out those that are there.
    pub(crate) fn clear(&self, places: &mut Places) -> Result<(), Error> {
        let mut change = Transaction::default();
        self.keys.iter().for_each(|(set, key)| change.delete_element(set, key));
        Ok(places.filter.clear(&change)?)
    }

    /// What of them, or of their section, is missing or changed, in words; `None` if nothing is.
    pub(crate) fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let nft = places.filter.nft()?;
        for (set, key) in &self.keys {
            if nft.element(set, key)?.is_none() {
                let bridge = if set.table.family == Family::Bridge { "bridge " } else { "" };
                let missing =
                    format!("set {} of {bridge}table {} does not have it", set.name, set.table.name);
                return Ok(Some(missing));
            }
        }
        Ok(self.section.differs(nft)?)
    }
}
