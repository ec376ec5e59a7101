//! Kernel parameters that several networks may set, and how one that goes gives its own back.
use super::{
    interfaces::Interfaces,
    parameters::Parameter,
    setter::{Contested, Held, Setter},
    setters::Setters,
    values,
};
use crate::{
    Step,
    error::Error,
    places::{Place, Places},
};
use kernel::{Errno, sysctl};

impl Contested for Parameter {
    const FOLDER: &'static str = "sysctls";
    type Value = String;

    /// The kernel has one of them under two names, and those of an interface under the name that it has.
    fn is(&self, other: &Self) -> bool {
        match self.link.zip(other.link) {
            Some((one, other_link)) => {
                one.is(&other_link) && besides_interface(&self.path).eq(besides_interface(&other.path))
            }
            None => self.named() == other.named(),
        }
    }

    fn is_alike(&self, other: &Self) -> bool {
        (&self.path, &self.value) == (&other.path, &other.value)
    }

    fn is_in_step_with(&self, _other: &Self) -> bool {
        true
    }

    fn former(&mut self) -> &mut Option<String> {
        &mut self.former
    }

    fn set_by(step: &Step) -> Option<Setter<Self>> {
        if let Step::Parameters(step) = step { Some(step.setter()) } else { None }
    }

    fn give_back(
        held: &[(Held<Self>, Option<Held<Self>>)],
        others: &Setters<Self>,
        places: &mut Places,
    ) -> Result<(), Error> {
        places.within(Place::Container, || give_back(held, others))?
    }
}

fn besides_interface(path: &[String]) -> impl Iterator<Item = &String> {
    path.iter().take(2).chain(path.iter().skip(3))
}

/// Gives these their former values, in the namespace that the thread is in: but for those that somebody has set otherwise since, and those that are
/// gone with their interface. What others have set stays.
fn give_back(
    held: &[(Held<Parameter>, Option<Held<Parameter>>)],
    others: &Setters<Parameter>,
) -> Result<(), Error> {
    let (mut open, mut first, mut interfaces) = (Vec::new(), Ok(()), Interfaces::default());
    for (held, heir) in held.iter().rev() {
        let Some(it) = interfaces.find(&held.it)? else { continue };
        let held = Held { it, shown: held.shown.clone() };
        match held.is_to_go(heir.as_ref()) {
            Ok(file) => open.extend(file.map(|file| (held.it, file))),
            Err(cause) if cause.errno() == Some(Errno::ENOENT) => {}
            Err(cause) => first = first.and(Err(cause)),
        }
    }
    // With one that is for all interfaces most of theirs are as they were.
    open.sort_by_key(|(parameter, _)| parameter.rank());
    let mut standing = if open.is_empty() { Vec::new() } else { others.topmost(&mut interfaces)? };
    standing.retain(|held| held.it.now() == held.shown);
    // To write one may change another that is done, or make it possible: the second time is for those.
    for (parameter, file) in &open {
        let _again = parameter.restore(file);
    }
    for (parameter, file) in &open {
        first = first
            .and(parameter.restore(file).or_else(|cause| if is_lost(&cause) { Ok(()) } else { Err(cause) }));
    }
    for held in &standing {
        if held.it.now() != held.shown {
            first = first.and(held.it.open().and_then(|file| file.write(&held.it.value)));
        }
    }
    Ok(first?)
}

/// Whether the kernel says that a parameter can't have this any more: by what somebody has set of others, or because what it names is gone. Whoever comes
/// after this has to get to its end.
fn is_lost(cause: &kernel::Error) -> bool {
    matches!(cause.errno(), Some(Errno::EINVAL | Errno::ERANGE | Errno::ENOENT | Errno::EBUSY))
}

impl Held<Parameter> {
    /// The file of one that is to have its former value again, or has it and is to keep it; `None` of one that somebody has set otherwise since:
    /// its heir, for one, unless that one's DEL was killed when it had given it back.
    fn is_to_go(&self, heir: Option<&Held<Parameter>>) -> Result<Option<sysctl::Parameter>, kernel::Error> {
        let Some(former) = &self.it.former else { return Ok(None) };
        let file = self.it.open()?;
        let Some(now) = file.read()? else { return Ok(None) };
        if heir.is_some_and(|heir| heir.is_shown_by(&now)) {
            return Ok(None);
        }
        let is_ours = now == *former
            || self.is_shown_by(&now)
            || (self.shown.is_none() && self.becomes(&file, &now)?);
        Ok(is_ours.then_some(file))
    }

    pub(super) fn is_shown_by(&self, now: &String) -> bool {
        self.shown.as_ref().map_or_else(|| values::are_same(now, &self.it.value), |shown| shown == now)
    }

    /// Whether the kernel makes this value of ours. It is written for that, so only where nobody knows.
    fn becomes(&self, file: &sysctl::Parameter, now: &String) -> Result<bool, kernel::Error> {
        if file.write(&self.it.value).is_err() {
            return Ok(false);
        }
        let is_ours = file.read()?.as_ref() == Some(now);
        if is_ours { Ok(true) } else { file.write(now).map(|()| false) }
    }
}

impl Parameter {
    /// Its value, if it is there and can be read.
    pub(super) fn now(&self) -> Option<String> {
        sysctl::read(&self.path()).ok()
    }

    /// Gives it its former value. One that has it is not written: what somebody has set since of one interface would go with one of all.
    fn restore(&self, file: &sysctl::Parameter) -> Result<(), kernel::Error> {
        match &self.former {
            Some(former) if file.read()?.as_ref() != Some(former) => file.write(former),
            Some(_) | None => Ok(()),
        }
    }
}
