//! Steps on an interface that is there already: its state, its addresses, its routes, its parameters. All die with it.
use crate::{
    act::{Act, Work},
    belongings::{MAIN, settle},
    crowded,
    error::Error,
    overlay,
    places::{Place, Places},
    step::{Address, Alone, Carrier, Route, Sysctl, Unnumbered, Up},
    vrf::table_of_master,
    ways::Way,
};
use kernel::{Answer, Link, Message, addr, link, route, rule, sysctl};
use nix::errno::Errno;
use types::{IfName, Prefix};

impl Act for Up {
    fn place(&self) -> Place {
        self.place
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let index = places.index(self.place, &self.link)?;
        Ok(Work::Netlink(if self.announce { link::set_announcing(index, true) } else { link::set_up(index) }))
    }

    fn refused(&self, cause: kernel::Error, places: &mut Places) -> Error {
        match crowded::refusal_up((self.place, &self.link), &cause, places) {
            Some(crowded) => crowded.into(),
            None => Error::Step { step: self.to_string(), cause },
        }
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(index) = index_if_there(places, self.place, &self.link)? else { return Ok(()) };
        let down = if self.announce { link::set_announcing(index, false) } else { link::set_down(index) };
        gone(places, self.place, down, &[Errno::ENODEV])
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        Ok(match places.link(self.place, &self.link)? {
            None => Some(format!("there is no {} {}", self.link, self.place)),
            Some(link) if !link.up => Some(format!("{} is down", self.link)),
            Some(_) => None,
        })
    }
}

impl Act for Unnumbered {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Netlink(link::set_unnumbered(&self.link)))
    }

    /// An address does no harm, and another suite's attachment has one.
    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl Act for Carrier {
    fn place(&self) -> Place {
        self.place
    }

    /// Who asks for a link is told no state that its worker has not acted on yet: the kernel does that first (6.8,
    /// `rtnl_getlink` in `net/core/rtnetlink.c`). Older ones leave it to the worker all the same.
    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Netlink(link::query(&self.link)))
    }

    fn learn(&self, answer: &Answer, places: &mut Places) {
        places.port = answer.link.as_ref().and_then(|link| link.port).map(|port| port.number);
    }

    /// Whether a container's end is up is for its own step to say.
    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl Act for Address {
    fn place(&self) -> Place {
        self.place
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        // Told so by a parameter of the link alone (`accept_dad`), the kernel has it tentative until a worker of its own has run.
        let index = places.index(self.place, &self.link)?;
        let add = if self.alone { addr::add_alone } else { addr::add };
        Ok(Work::Netlink(add(index, self.prefix, self.dad)))
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(index) = index_if_there(places, self.place, &self.link)? else { return Ok(()) };
        gone(places, self.place, addr::delete(index, self.prefix), &[Errno::EADDRNOTAVAIL, Errno::ENODEV])
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(index) = index_if_there(places, self.place, &self.link)? else {
            return Ok(Some(format!("there is no {} {}", self.link, self.place)));
        };
        let found = addr::of(places.rtnl(self.place)?, index)?;
        let there = found.iter().any(|address| address.prefix == self.prefix);
        Ok((!there).then(|| format!("{} does not have it", self.link)))
    }
}

impl Route {
    fn on(&self, link: u32) -> route::Route {
        route::Route {
            dst: self.dst,
            gateway: self.gateway,
            link,
            source: self.source,
            mtu: self.mtu,
            advmss: self.advmss,
            priority: self.priority,
            table: self.table,
            scope: self.scope,
        }
    }

    /// Whether the kernel's route is this one; what this one leaves open the kernel has filled in.
    fn is(&self, found: &route::Route, main: u32) -> bool {
        found.dst == self.dst
            && found.gateway == self.gateway
            && found.table.unwrap_or(MAIN) == self.table.unwrap_or(main)
            && (self.source.is_none() || found.source == self.source)
            && (self.priority.is_none() || found.priority == self.priority)
            && (self.mtu.is_none() || found.mtu == self.mtu)
            && (self.advmss.is_none() || found.advmss == self.advmss)
    }
}

impl Route {
    /// Whether it is in a table of its own that a rule leads to, where a chained plugin such as `sbr` has moved it.
    fn was_moved(&self, found: &[route::Route], places: &mut Places) -> Result<bool, Error> {
        let tables = found.iter().filter_map(|route| route.table);
        let tables: Vec<u32> =
            tables.filter(|table| found.iter().any(|it| self.in_table(*table).is(it, MAIN))).collect();
        if self.table.is_some() || tables.is_empty() {
            return Ok(false);
        }
        let rules = rule::rules(places.rtnl(self.place)?)?;
        Ok(rules.iter().any(|rule| tables.contains(&rule.table)))
    }

    fn in_table(&self, table: u32) -> Self {
        Self { table: Some(table), ..self.clone() }
    }
}

impl Act for Route {
    fn place(&self) -> Place {
        self.place
    }

    fn by_number(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let index = places.index(self.place, &self.link)?;
        let add = if self.alone { route::add_alone } else { route::add };
        Ok(Work::Netlink(add(&self.on(index))))
    }

    /// Beside a route that is in nobody's way.
    fn instead(&self, cause: &kernel::Error, places: &mut Places) -> Option<Message> {
        let add = crowded::beside_route(self, cause, places)?;
        let index = places.index(self.place, &self.link).ok()?;
        Some(add(&self.on(index)))
    }

    fn refused(&self, cause: kernel::Error, places: &mut Places) -> Error {
        if let Some(taken) = overlay::refusal_of_route(self, &cause, places) {
            return taken.into();
        }
        match crowded::refusal_of_route(self, &cause, places) {
            Some(crowded) => crowded.into(),
            None => Error::Step { step: self.to_string(), cause },
        }
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(index) = index_if_there(places, self.place, &self.link)? else { return Ok(()) };
        gone(places, self.place, route::delete(&self.on(index)), &[Errno::ESRCH, Errno::ENODEV])
    }

    fn dies_with(&self) -> Option<(Place, &IfName)> {
        Some((self.place, &self.link))
    }

    fn way(&self) -> Option<Way<'_>> {
        (self.alone && self.place == Place::Host).then(|| (&self.link, self.dst.address()))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let Some(link) = (if places.has(self.place) { places.link(self.place, &self.link)? } else { None })
        else {
            return Ok(Some(format!("there is no {} {}", self.link, self.place)));
        };
        // A chained `vrf` has taken them along.
        let main = table_of_master(places, self.place, &link)?.unwrap_or(MAIN);
        let found = route::of(places.rtnl(self.place)?, link.index)?;
        if found.iter().any(|route| self.is(route, main)) || self.was_moved(&found, places)? {
            return Ok(None);
        }
        Ok(Some("there is no such route".into()))
    }
}

impl Act for Sysctl {
    fn place(&self) -> Place {
        self.place
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Sysctl(self))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        if self.place == Place::Network && !places.has(self.place) {
            return Ok(Some("the network has no namespace".into()));
        }
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match places.within(self.place, || sysctl::read(&path))? {
            Err(cause) if self.optional && cause.errno() == Some(Errno::ENOENT) => Ok(None),
            Err(cause) => Err(Error::Step { step: self.to_string(), cause }),
            Ok(found) => Ok((found != self.value).then(|| format!("it is {found}"))),
        }
    }
}

impl Act for Alone {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Nothing)
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let links = link::links(places.rtnl(Place::Container)?)?;
        let others: Vec<&str> = links
            .iter()
            .filter(|link| link.name != self.link && !is_born_with_netns(link))
            .map(|link| link.name.as_str())
            .collect();
        if !others.is_empty() {
            return Ok(Some(format!("there is {}", others.join(", "))));
        }
        let Some(index) = index_if_there(places, Place::Container, &self.link)? else { return Ok(None) };
        let addresses = addr::of(places.rtnl(Place::Container)?, index)?;
        let routes = route::of(places.rtnl(Place::Container)?, index)?;
        let is_ours = |prefix: Prefix| prefix.address().is_loopback();
        let foreign = addresses.iter().map(|address| ("address", address.prefix));
        let foreign = foreign.chain(routes.iter().map(|route| ("route to", route.dst)));
        let foreign =
            foreign.filter(|(_, prefix)| !is_ours(*prefix)).map(|(what, prefix)| format!("{what} {prefix}"));
        let foreign: Vec<String> = foreign.collect();
        Ok((!foreign.is_empty()).then(|| format!("there is {} on {}", foreign.join(", "), self.link)))
    }
}

/// Tunnel drivers put a device of their own into every new namespace, which is down until somebody uses it.
fn is_born_with_netns(link: &Link) -> bool {
    let fallbacks =
        ["tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"];
    !link.up && fallbacks.contains(&link.name.as_str())
}

/// Asks the kernel to take something away; that it is gone already, as these errors say, is as good.
pub(crate) fn gone(places: &mut Places, place: Place, message: Message, good: &[Errno]) -> Result<(), Error> {
    settle(places, place, &[message], good)
}

/// The index of a link; `None` when it, or its namespace, is gone.
pub(crate) fn index_if_there(places: &mut Places, place: Place, name: &IfName) -> Result<Option<u32>, Error> {
    if !places.has(place) {
        return Ok(None);
    }
    Ok(places.link(place, name)?.map(|link| link.index))
}
