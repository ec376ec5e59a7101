//! Facts about what is not there yet: the container's interface, of a network whose plugins have not run. What is asked about it is read from the
//! plans that come before, as far as it follows from them. Only `sealane explain` needs that.
use crate::{
    Facts, Plan, Query, Step,
    belongings::MAIN,
    error::Error,
    host_end::HostEnd,
    places::{Place, Places},
    policy::{Entry, Routing},
    step,
    tune::Settings,
};
use kernel::{link::Setting, rule};
use std::{collections::BTreeSet, net::IpAddr};
use types::{IfName, Mac, Prefix};

/// Of a parameter, below `/proc/sys/net`, part by part.
type Path = Vec<String>;

/// What plans that come before make of an interface in the container.
struct Made<'a> {
    /// As the kernel calls such links.
    kind: &'a str,
    /// Its address; none if that is not for us to say.
    mac: Option<Mac>,
    /// Its largest packet in bytes.
    mtu: u32,
    /// Its other end, if it is one of a pair.
    host_end: Option<&'a IfName>,
}

impl Facts {
    /// The same as [`Facts::answer`], after plans that have not been applied; and the paths of those parameters, below `/proc/sys/net`, whose
    /// values nobody knows before they are.
    pub fn foresee(
        queries: &[Query],
        before: &Plan,
        places: &mut Places,
    ) -> Result<(Facts, Vec<Path>), Error> {
        let (mut now, mut later, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for query in queries {
            if let Query::Parameters(paths) = query {
                let (there, missing) = before.parameters(paths, places)?;
                now.push(Query::Parameters(there));
                unknown.extend(missing);
            } else if let Some(made) = before.to_make(query.inside(), places)? {
                later.push((query, made));
            } else {
                now.push(query.clone());
            }
        }
        let mut facts = Facts::answer(&now, places)?;
        for (query, made) in later {
            facts.imagine(query, &made, before, places)?;
        }
        let ways = queries.iter().filter_map(|query| before.way_to(query));
        facts.routes.extend(ways);
        Ok((facts, unknown))
    }

    fn imagine(
        &mut self,
        query: &Query,
        made: &Made<'_>,
        before: &Plan,
        places: &mut Places,
    ) -> Result<(), Error> {
        match query {
            Query::HostEnd(wanted) => {
                wanted.accept(Some(made.kind))?;
                let end = made.host_end.map(|name| HostEnd { name: name.clone(), mtu: made.mtu });
                self.host_end = end.map(|end| wanted.of_burst(end)).transpose()?;
            }
            Query::Vrf(wanted) => self.vrf = Some(wanted.foresee(places)?),
            Query::Settings(name) => self.settings = Some(before.settings(name, made)),
            Query::Routing(name) => self.routing = Some(before.routing(name, places)?),
            Query::Ipv6(name) => {
                self.ipv6
                    .extend(before.addresses(name).any(|prefix| !prefix.is_ipv4()).then(|| name.clone()));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Query {
    /// The interface of the container that it is about.
    fn inside(&self) -> Option<&IfName> {
        match self {
            Query::HostEnd(wanted) => Some(&wanted.interface),
            Query::Vrf(wanted) => Some(&wanted.link),
            Query::Settings(name) | Query::Routing(name) | Query::Ipv6(name) => Some(name),
            _ => None,
        }
    }
}

impl Plan {
    /// What it makes of this interface of the container; none if that is there, or for somebody else to make.
    fn to_make(&self, name: Option<&IfName>, places: &mut Places) -> Result<Option<Made<'_>>, Error> {
        let Some(name) = name else { return Ok(None) };
        if places.has_container() && places.link(Place::Container, name)?.is_some() {
            return Ok(None);
        }
        let of =
            |kind, mac, mtu: Option<u32>| Made { kind, mac, mtu: mtu.unwrap_or(ETHERNET), host_end: None };
        let made = self.steps().find_map(|(_, step)| match step {
            Step::Veth(it) if it.peer == *name => {
                Some(Made { host_end: Some(&it.host), ..of("veth", Some(it.peer_mac), it.mtu) })
            }
            Step::Link(it) if it.place == Place::Container && it.name == *name => {
                Some(of(it.kind.driver(), it.mac, it.mtu))
            }
            Step::Tap(it) if it.name == *name => Some(of("tun", Some(it.mac), it.mtu)),
            Step::Device(it) if it.ifname == *name => Some(of("device", it.taken.mac, Some(it.taken.mtu))),
            _ => None,
        });
        Ok(made)
    }

    /// Which of these parameters can be asked for, and which can't because it makes their interface, or because there is no container.
    fn parameters(&self, paths: &[Path], places: &mut Places) -> Result<(Vec<Path>, Vec<Path>), Error> {
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for path in paths {
            let name = path.get(2).and_then(|name| name.parse().ok());
            let known = places.has_container() && self.to_make(name.as_ref(), places)?.is_none();
            if known { &mut there } else { &mut missing }.push(path.clone());
        }
        Ok((there, missing))
    }

    /// What an interface is like that is new, and what it is tuned to by now.
    fn settings(&self, name: &IfName, made: &Made<'_>) -> Settings {
        let mut settings =
            Settings { mac: made.mac, mtu: made.mtu, tx_queue: QUEUE, promisc: false, all_multicast: false };
        for (_, step) in self.steps() {
            match step {
                Step::Tuned(it) if it.link == *name => match it.setting {
                    Setting::Mac(mac) => settings.mac = Some(mac),
                    Setting::Mtu(mtu) => settings.mtu = mtu,
                    Setting::TxQueue(length) => settings.tx_queue = length,
                    Setting::Promisc(on) => settings.promisc = on,
                    Setting::AllMulticast(on) => settings.all_multicast = on,
                },
                _ => {}
            }
        }
        settings
    }

    /// The addresses that it gives the interface, which the kernel has routes for.
    fn addresses(&self, name: &IfName) -> impl Iterator<Item = Prefix> {
        self.steps().filter_map(move |(_, step)| match step {
            Step::Address(it) if it.place == Place::Container && it.link == *name && !it.alone => {
                Some(it.prefix)
            }
            _ => None,
        })
    }

    /// The routes that lead through the interface then: the kernel's, and those that it lays.
    fn routing(&self, name: &IfName, places: &mut Places) -> Result<Routing, Error> {
        let laid = self.steps().filter_map(|(_, step)| match step {
            Step::Route(it) if it.place == Place::Container && it.link == *name => Some(it),
            _ => None,
        });
        let laid = laid.filter(|route| route.table.is_none_or(|table| table == MAIN));
        let addresses: BTreeSet<Prefix> = self.addresses(name).collect();
        let kernels = addresses.iter().filter(|it| !it.is_ipv4() || it.length() < it.bits());
        let mut routes: Vec<Entry> = kernels.map(|prefix| of_kernel(name, *prefix)).collect();
        let ipv6 = addresses.iter().any(|prefix| !prefix.is_ipv4());
        routes.extend(LINK_LOCAL.parse().ok().filter(|_| ipv6).map(|prefix| of_kernel(name, prefix)));
        routes.extend(laid.map(|route| of_user(name, route)));
        let tables =
            if places.has_container() { rule::rules(places.rtnl(Place::Container)?)? } else { Vec::new() };
        Ok(Routing { routes, tables: tables.into_iter().map(|rule| rule.table).collect() })
    }

    /// Which link of the host leads there, if it will be that of a gateway or a cable of its.
    fn way_to(&self, query: &Query) -> Option<(IpAddr, IfName)> {
        let Query::RouteTo(address) = query else { return None };
        let mut links = self.steps().filter_map(|(_, step)| match step {
            Step::BridgeAddress(it) if it.prefix.contains(*address) => Some(&it.bridge),
            Step::Route(it) if it.place == Place::Host && it.dst.contains(*address) => Some(&it.link),
            _ => None,
        });
        links.next().map(|link| (*address, link.clone()))
    }
}

/// The route to an address's subnet, which comes with the address.
fn of_kernel(link: &IfName, prefix: Prefix) -> Entry {
    let ipv4 = prefix.is_ipv4();
    Entry {
        link: link.clone(),
        dst: prefix.network(),
        gateway: None,
        source: ipv4.then(|| prefix.address()),
        table: MAIN,
        priority: (!ipv4).then_some(METRIC_OF_KERNEL),
        scope: if ipv4 { LINK } else { 0 },
        protocol: KERNEL,
        tos: 0,
        mtu: None,
        advmss: None,
        onlink: false,
    }
}

/// A route that somebody lays.
fn of_user(link: &IfName, route: &step::Route) -> Entry {
    let (ipv4, direct) = (route.dst.is_ipv4(), route.gateway.is_none());
    Entry {
        link: link.clone(),
        dst: route.dst,
        gateway: route.gateway,
        source: route.source,
        table: MAIN,
        priority: route.priority.or((!ipv4).then_some(METRIC_OF_USER)),
        scope: route.scope.unwrap_or(if ipv4 && direct { LINK } else { 0 }),
        protocol: BOOT,
        tos: 0,
        mtu: route.mtu,
        advmss: route.advmss,
        onlink: false,
    }
}

/// What the kernel gives an interface of Ethernet of which nobody says it: `ether_setup`, `net/ethernet/eth.c`.
const ETHERNET: u32 = 1500;
/// Likewise, in packets: `DEFAULT_TX_QUEUE_LEN`.
const QUEUE: u32 = 1000;
/// The subnet that every interface with IPv6 is on (RFC 4291, section 2.5.6).
const LINK_LOCAL: &str = "fe80::/64";
/// `RT_SCOPE_LINK`, `RTPROT_KERNEL` and `RTPROT_BOOT` (`linux/rtnetlink.h`).
const LINK: u8 = 253;
const KERNEL: u8 = 2;
const BOOT: u8 = 3;
/// `IP6_RT_PRIO_ADDRCONF` and `IP6_RT_PRIO_USER` (`net/ip6_route.h`).
const METRIC_OF_KERNEL: u32 = 256;
const METRIC_OF_USER: u32 = 1024;
