//! What every kind of step can do.
use crate::{
    claims::Claim,
    error::Error,
    filter::Section,
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
    step::Sysctl,
    ways::Way,
};
use kernel::{Answer, Message, nft::Transaction};
use std::fmt::Display;
use types::IfName;

/// A step, seen by the one who applies, undoes and compares plans.
pub(crate) trait Act: Display {
    /// The namespace it works in.
    fn place(&self) -> Place;

    /// What there is to do. The links it names are there by now.
    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error>;

    /// The link that its request names by number: the request that makes it must have been answered.
    fn by_number(&self) -> Option<(Place, &IfName)> {
        None
    }

    /// Learns what the kernel answered to the request of [`Act::work`].
    fn learn(&self, _answer: &Answer, _places: &mut Places) {}

    /// What to ask the kernel for when it has refused the request of [`Act::work`], if that will do as well.
    fn instead(&self, _cause: &kernel::Error, _places: &mut Places) -> Option<Message> {
        None
    }

    /// Says what a refusal means.
    fn refused(&self, cause: kernel::Error, _places: &mut Places) -> Error {
        Error::Step { step: self.to_string(), cause }
    }

    /// Takes it back. That it is gone already is no error. A shared step stays, unless its users are counted.
    fn undo(&self, _places: &mut Places) -> Result<(), Error> {
        Ok(())
    }

    /// What the users of a shared step are counted under, if the last one takes it away: a name that a file can have, the
    /// same for all who share it.
    fn counted(&self) -> Option<String> {
        None
    }

    /// The ports of the host that it takes.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// The sections of the packet filter that its elements are in.
    fn sections(&self) -> Vec<Section> {
        Vec::new()
    }

    /// Whether it can't be done twice, though it makes no link and takes no port.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// Why no second one of it can be, in the words of who finds the first.
    fn alone(&self) -> Option<Error> {
        None
    }

    /// The link that it dies with, so that it need not be undone when that link is.
    fn dies_with(&self) -> Option<(Place, &IfName)> {
        None
    }

    /// The host's way to an address that it is of, which others may have come to have since.
    fn way(&self) -> Option<Way<'_>> {
        None
    }

    /// The links that go when it is undone.
    fn takes_along(&self) -> Vec<(Place, &IfName)> {
        Vec::new()
    }

    /// How the kernel differs from it, in words; `None` when it does not.
    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error>;

    /// How the kernel differs from what the reference makes in its stead, which has nothing in our tables and takes no ports.
    fn differs_from_the_references(&self, places: &mut Places) -> Result<Option<String>, Error> {
        if self.sections().is_empty() && self.claims().is_empty() { self.differs(places) } else { Ok(None) }
    }
}

/// The ways in which a step is done.
pub(crate) enum Work<'a> {
    /// One netlink request; neighbours in one namespace travel together.
    Netlink(Message),
    /// A kernel parameter; neighbours in one namespace are written in one visit.
    Sysctl(&'a Sysctl),
    /// Something shared, looked at and changed under a lock.
    Shared(&'a dyn Shared),
    /// Ports of the host, looked for and taken under the host's lock.
    Claim(&'a dyn Claims),
    /// Elements of the packet filter, and the section that they belong to.
    Filter(Section, Transaction),
    /// What goes neither by netlink nor by a file: it is done by itself, which takes the locks that it needs.
    Own(&'a dyn Own),
    /// There is nothing to do, only to compare.
    Nothing,
}

/// A step that takes ports of the host.
pub(crate) trait Claims {
    /// Takes them all, or says who has one. What it has done when it fails is undone like any other step.
    fn take(&self, places: &mut Places) -> Result<(), Error>;
}

/// A step that is done by itself: of one attachment, or one that each of its users makes, which is as good again.
pub(crate) trait Own {
    /// Does it, whole or not at all. No lock is held.
    fn make(&self, places: &mut Places) -> Result<(), Error>;

    /// Whether nothing of it is there when it fails. What has its name is then another's, and not to be undone.
    fn is_whole(&self) -> bool {
        false
    }
}

/// A step that is shared with other attachments.
pub(crate) trait Shared: Display {
    /// The lock that guards it.
    fn scope(&self) -> Scope;

    /// Whether it is there already. Asked without the lock: this attachment's record is written by now, so nobody
    /// takes away what is found.
    fn stands(&self, places: &mut Places) -> Result<bool, Error>;

    /// Makes it if it is missing; says how to reverse exactly what was changed, last change last.
    fn ensure(&self, places: &mut Places, done: &mut Vec<Reversal>) -> Result<(), Error>;
}
