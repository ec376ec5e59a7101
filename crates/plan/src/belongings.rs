//! What an interface has besides itself, and loses when it is moved or made a port: remembered before, given back after.
use crate::{
    error::Error,
    places::{Place, Places},
};
use kernel::{
    Errno, Message,
    kept::{self, KeptAddress, KeptRoute},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The main routing table (`RT_TABLE_MAIN`, `linux/rtnetlink.h`).
pub(crate) const MAIN: u32 = 254;

/// The addresses that an interface was given for good, and the routes that were laid through it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belongings {
    /// Its addresses.
    pub addresses: Vec<KeptAddress>,
    /// The routes through it, those that others go by first.
    pub routes: Vec<KeptRoute>,
}

/// `1 address and 2 routes`.
impl fmt::Display for Belongings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {more}"),
        };
        let addresses = plural(self.addresses.len(), "address", "addresses");
        write!(f, "{addresses} and {}", plural(self.routes.len(), "route", "routes"))
    }
}

impl Belongings {
    /// What the interface of this number has now.
    pub(crate) fn of(places: &mut Places, place: Place, index: u32) -> Result<Self, Error> {
        let rtnl = places.rtnl(place)?;
        Ok(Self { addresses: kept::addresses(rtnl, index)?, routes: kept::routes(rtnl, index)? })
    }

    /// These, and those of the others that are not among them.
    #[must_use]
    pub(crate) fn and(mut self, others: Self) -> Self {
        let Self { mut addresses, mut routes } = others;
        addresses.retain(|it| !self.addresses.contains(it));
        routes.retain(|it| !self.routes.contains(it));
        self.addresses.append(&mut addresses);
        self.routes.append(&mut routes);
        self
    }

    /// Gives them back to the link of this number. Not all need be possible any more: a router may have been known by an address that
    /// had a lifetime.
    pub(crate) fn give_back(&self, places: &mut Places, place: Place, index: u32) -> Result<(), Error> {
        let lost = [Errno::EEXIST, Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EINVAL, Errno::ENETDOWN];
        settle(places, place, &self.again(index, MAIN)?, &lost)
    }

    /// The requests that give them back to the link of this number. A route of the main table goes into `main`.
    pub(crate) fn again(&self, index: u32, main: u32) -> Result<Vec<Message>, Error> {
        let addresses = self.addresses.iter().map(|address| address.again(index));
        let routes = self
            .routes
            .iter()
            .map(|route| route.again(index, if route.table == MAIN { main } else { route.table }));
        Ok(addresses.chain(routes).collect::<Result<_, _>>()?)
    }
}

/// Sends requests, and tells the first refusal but for these, which are as good as none.
pub(crate) fn settle(
    places: &mut Places,
    place: Place,
    messages: &[Message],
    good: &[Errno],
) -> Result<(), Error> {
    let refusals = places.rtnl(place)?.transact(messages)?.into_iter().filter_map(Result::err);
    let mut bad = refusals.filter(|cause| !cause.errno().is_some_and(|errno| good.contains(&errno)));
    bad.next().map_or(Ok(()), |cause| Err(cause.into()))
}
