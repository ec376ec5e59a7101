//! Routing by source address in a container: rules, tables of their own, and routes that are moved to them.
//!
//! # Theory of operation
//! The routes as they were are facts, so they are in the record before one is taken away, and come back as they were. Which tables are free is a
//! fact, too: who asks for it has the container's namespace locked until he is done, so that no other chooses the same.
use crate::{
    act::{Act, Work},
    belongings::MAIN,
    error::Error,
    places::{Place, Places},
    within::{gone, index_if_there},
};
use kernel::{Errno, addr, route, rule};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, net::IpAddr};
use types::{IfName, Prefix};

/// The routes and tables of a container before one is added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// The main table's routes through the interface, each with a single next hop.
    pub routes: Vec<Entry>,
    /// The tables that a rule leads to.
    pub tables: BTreeSet<u32>,
}

/// A route as the kernel says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The interface in the container.
    pub link: IfName,
    /// The destination.
    pub dst: Prefix,
    /// The next hop; without one the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The source address of packets that have none yet.
    pub source: Option<IpAddr>,
    /// The table.
    pub table: u32,
    /// Of two routes to one place the lower is taken.
    pub priority: Option<u32>,
    /// The scope, 0 (universe) to 255 (nowhere), `rtnetlink(7)`.
    pub scope: u8,
    /// Who made it: `RTPROT_*`, 2 for the kernel itself, 3 for who says nothing.
    pub protocol: u8,
    /// The type of service that packets must have; 0 for any.
    pub tos: u8,
    /// The path's MTU in bytes.
    pub mtu: Option<u32>,
    /// The maximum segment size to advertise in bytes.
    pub advmss: Option<u32>,
    /// Whether the next hop is on the link, whatever the addresses say.
    pub onlink: bool,
}

/// What comes from an address of the container is looked up in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The source address.
    pub from: IpAddr,
    /// The table.
    pub table: u32,
}

/// A route of the container, made exactly so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactRoute {
    /// The route.
    pub route: Entry,
}

/// A route of the container that is taken away, and is back when the attachment goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The route.
    pub route: Entry,
}

/// The rules that another suite has made for an interface, by the addresses that it has, and by these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftRules {
    /// The interface in the container.
    pub link: IfName,
    /// Addresses that it is known to have had.
    pub addresses: Vec<IpAddr>,
}

impl Routing {
    pub(crate) fn look(places: &mut Places, link: &IfName) -> Result<Self, Error> {
        places.lock_tables()?;
        let place = Place::Container;
        let index = places.index(place, link)?;
        let rtnl = places.rtnl(place)?;
        let entries = route::entries(rtnl, index)?;
        let tables = rule::rules(rtnl)?.into_iter().map(|rule| rule.table).collect();
        let main = |entry: &route::Entry| entry.route.table == Some(MAIN) && !entry.multipath;
        let routes = entries.into_iter().filter(main).map(|entry| Entry::of(link, entry)).collect();
        Ok(Self { routes, tables })
    }
}

impl Entry {
    fn of(link: &IfName, entry: route::Entry) -> Self {
        let route = entry.route;
        Self {
            link: link.clone(),
            dst: route.dst,
            gateway: route.gateway,
            source: route.source,
            table: route.table.unwrap_or(MAIN),
            priority: route.priority,
            scope: route.scope.unwrap_or_default(),
            protocol: entry.protocol,
            tos: entry.tos,
            mtu: route.mtu,
            advmss: route.advmss,
            onlink: entry.onlink,
        }
    }

    fn on(&self, link: u32) -> route::Entry {
        let route = route::Route {
            dst: self.dst,
            gateway: self.gateway,
            link,
            source: self.source,
            mtu: self.mtu,
            advmss: self.advmss,
            priority: self.priority,
            table: Some(self.table),
            scope: Some(self.scope),
        };
        route::Entry { route, protocol: self.protocol, tos: self.tos, onlink: self.onlink, multipath: false }
    }

    /// Whether it is there; a metric that it leaves open may be any.
    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        let Some(index) = index_if_there(places, Place::Container, &self.link)? else { return Ok(false) };
        let found = route::entries(places.rtnl(Place::Container)?, index)?;
        Ok(found.into_iter().filter(|entry| !entry.multipath).any(|entry| {
            let found = Entry::of(&self.link, entry);
            let priority = self.priority.or(found.priority);
            found == Entry { priority, ..self.clone() }
        }))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route to {}", self.dst)?;
        self.gateway.map_or(Ok(()), |gateway| write!(f, " via {gateway}"))?;
        write!(f, " dev {}", self.link)?;
        self.source.map_or(Ok(()), |source| write!(f, " src {source}"))?;
        let onlink = if self.onlink { " onlink" } else { "" };
        let numbers = [
            ("tos", Some(u32::from(self.tos)).filter(|tos| *tos > 0)),
            ("metric", self.priority),
            ("mtu", self.mtu),
            ("advmss", self.advmss),
        ];
        for (word, number) in numbers {
            number.map_or(Ok(()), |number| write!(f, " {word} {number}"))?;
        }
        let table = if self.table == MAIN { "main".into() } else { self.table.to_string() };
        write!(f, "{onlink} table {table} {}", Place::Container)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule from {} to table {} {}", self.from, self.table, Place::Container)
    }
}

impl fmt::Display for ExactRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.route.fmt(f)
    }
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {}, until this goes", self.route)
    }
}

impl fmt::Display for LeftRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rules from the addresses of {}", self.link)?;
        self.addresses.iter().try_for_each(|address| write!(f, " {address}"))?;
        write!(f, " {}", Place::Container)
    }
}

/// What its way led through is gone: the link, its address, or its neighbours.
const GONE: [Errno; 6] =
    [Errno::ESRCH, Errno::ENODEV, Errno::ENETDOWN, Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EINVAL];

impl Act for Rule {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Netlink(rule::add(self.from, self.table)))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        if !places.has_container() {
            return Ok(());
        }
        gone(places, Place::Container, rule::delete(self.from, self.table), &[Errno::ENOENT])
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let rules = rule::rules(places.rtnl(Place::Container)?)?;
        let from = Some(Prefix::host(self.from));
        let there = rules.iter().any(|rule| rule.from == from && rule.table == self.table);
        Ok((!there).then(|| "there is no such rule".into()))
    }
}

impl Act for ExactRoute {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let index = places.index(Place::Container, &self.route.link)?;
        Ok(Work::Netlink(route::put(&self.route.on(index))))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(index) = index_if_there(places, Place::Container, &self.route.link)? else { return Ok(()) };
        gone(places, Place::Container, route::remove(&self.route.on(index)), &GONE)
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((Place::Container, &self.route.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        Ok((!self.route.stands(places)?).then(|| "there is no such route".into()))
    }
}

impl Act for Withdrawn {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let index = places.index(Place::Container, &self.route.link)?;
        Ok(Work::Netlink(route::remove(&self.route.on(index))))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(index) = index_if_there(places, Place::Container, &self.route.link)? else { return Ok(()) };
        let good = [&GONE[..], &[Errno::EEXIST]].concat();
        gone(places, Place::Container, route::put(&self.route.on(index)), &good)
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((Place::Container, &self.route.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        Ok(self.route.stands(places)?.then(|| "it is there".into()))
    }
}

impl LeftRules {
    /// The rules for its addresses, of the interface as it is now and as it is known to have been.
    fn find(&self, places: &mut Places) -> Result<Vec<(IpAddr, u32)>, Error> {
        let mut addresses = self.addresses.clone();
        if let Some(index) = index_if_there(places, Place::Container, &self.link)? {
            let found = addr::of(places.rtnl(Place::Container)?, index)?;
            addresses.extend(found.into_iter().map(|address| address.prefix.address()));
        }
        let rules = rule::rules(places.rtnl(Place::Container)?)?.into_iter();
        let own = |rule: rule::Rule| {
            let from = rule.from.filter(|from| *from == Prefix::host(from.address()))?.address();
            addresses.contains(&from).then_some((from, rule.table))
        };
        Ok(rules.filter_map(own).collect())
    }
}

impl Act for LeftRules {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Nothing)
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        if !places.has_container() {
            return Ok(());
        }
        for (from, table) in self.find(places)? {
            gone(places, Place::Container, rule::delete(from, table), &[Errno::ENOENT])?;
        }
        Ok(())
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let found = self.find(places)?;
        let missing = self.addresses.iter().find(|address| !found.iter().any(|(from, _)| from == *address));
        Ok(missing.map(|address| format!("there is none from {address}")))
    }
}
