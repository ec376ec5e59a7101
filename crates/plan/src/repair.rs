//! Putting back what CHECK misses, from the record alone: neither the configuration nor the result of ADD is needed.
//!
//! # Theory of operation
//! The record holds every step that lasts, and a step is put back by doing it again where CHECK finds it different. Before that its
//! section of the packet filter is laid anew, once, even if it seems to be there: a rule can be changed in a way that no
//! comparison sees. A link is not made again: what was on it, and the container's own view of it, went with it.
//!
//! Whoever repairs holds the record, so no DEL is at it; and the attachment is a user of what it shares, so nobody takes that away.
use crate::{
    Hold, Plan, Step,
    act::{Act, Work},
    check::Difference,
    error::Error,
    places::{Place, Places},
    record::Key,
    state::State,
};
use kernel::{Errno, Message};
use std::error::Error as _;

/// How far a repair goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What is on the host.
    Host,
    /// What is in the container as well.
    Everything,
}

/// What became of a repair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repair {
    /// What was missing, or different, and is there now.
    pub put_back: Vec<Difference>,
    /// What still is not, and why.
    pub left: Vec<Difference>,
}

/// Puts back what is missing of an attachment whose record is held. What can't be put back does not keep the rest.
pub fn repair(plan: &Plan, places: &mut Places, state: &State, key: &Key, extent: Extent) -> Repair {
    places.make_anew();
    places.turn_to_network(&key.network);
    let mut repair = Repair::default();
    let lasting = plan.steps().filter(|(hold, _)| *hold != Hold::Once).map(|(_, step)| step);
    let is_meant = |step: &&Step| extent == Extent::Everything || step.act().place() != Place::Container;
    for step in lasting.filter(is_meant) {
        let mut run = Run { whole: step, step: step.act(), places: &mut *places, state, key };
        match run.repair() {
            Ok(None) => {}
            Ok(Some(found)) => repair.put_back.push(Difference { step: step.to_string(), found }),
            Err(Left::Still(found)) => repair.left.push(Difference { step: step.to_string(), found }),
            Err(Left::Because(cause)) => {
                repair.left.push(Difference { step: step.to_string(), found: words(&cause) });
            }
        }
    }
    repair
}

struct Run<'a> {
    whole: &'a Step,
    step: &'a dyn Act,
    places: &'a mut Places,
    state: &'a State,
    key: &'a Key,
}

/// Why a step is not put back.
enum Left {
    /// It is still different.
    Still(String),
    /// It could not be done.
    Because(Error),
}

impl From<Error> for Left {
    fn from(cause: Error) -> Self {
        Left::Because(cause)
    }
}

impl Run<'_> {
    /// What was different, if anything was.
    fn repair(&mut self) -> Result<Option<String>, Left> {
        let Some(found) = self.look()? else { return Ok(None) };
        if let Some(thing) = self.step.counted() {
            self.state.join(&thing, self.whole, self.key)?;
        }
        let work = self.step.work(self.places)?;
        self.redo(work)?;
        self.step.differs(self.places)?.map_or(Ok(Some(found)), |still| Err(Left::Still(still)))
    }

    /// Lays its sections between looking and saying what was seen.
    fn look(&mut self) -> Result<Option<String>, Error> {
        let found = self.step.differs(self.places)?;
        for section in self.step.sections() {
            self.places.filter.lay_anew(&section)?;
        }
        Ok(found)
    }

    fn redo(&mut self, work: Work<'_>) -> Result<(), Error> {
        match work {
            Work::Nothing => Ok(()),
            Work::Netlink(_) | Work::Own(_) if !self.step.takes_along().is_empty() => Ok(()),
            Work::Shared(shared) => {
                let _lock = self.state.lock(self.key, shared.scope())?;
                self.places.look_again();
                shared.ensure(self.places, &mut Vec::new())
            }
            Work::Own(own) => own.make(self.places),
            Work::Claim(ports) => ports.take(self.places),
            Work::Filter(section, change) => {
                let put = self.places.filter.put(&[&section], &change);
                put.map_err(|cause| self.step.refused(cause, self.places))
            }
            Work::Sysctl(sysctl) => self.places.within(sysctl.place, || sysctl.write())?,
            Work::Netlink(message) => self.request(message),
        }
    }

    fn request(&mut self, message: Message) -> Result<(), Error> {
        let answers = self.places.rtnl(self.step.place())?.transact(&[message])?;
        match answers.into_iter().find_map(Result::err) {
            Some(cause) if cause.errno() != Some(Errno::EEXIST) => Err(self.step.refused(cause, self.places)),
            Some(_) | None => Ok(()),
        }
    }
}

/// An error with its causes, as one line.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        text = format!("{text}: {it}");
        cause = it.source();
    }
    text
}
