//! Facts about what is not there yet: the container's interface, of a network whose plugins have not run. What is asked about it is read from the
//! plans that come before, as far as it follows from them. Only `sealane explain` needs that.
use crate::{
    Facts, Plan, Query, Step,
    belongings::MAIN,
    error::Error,
    host_end::HostEnd,
    parent::NoParent,
    places::{Place, Places},
    policy::{Entry, Routing},
    step,
    tune::Settings,
};
use kernel::{link::Setting, rule};
use std::{collections::BTreeSet, net::IpAddr};
use types::{IfName, LinkKind, Mac, Prefix};

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
    host_end: Option<(Place, &'a IfName)>,
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
                let end =
                    made.host_end.map(|(place, name)| HostEnd { place, name: name.clone(), mtu: made.mtu });
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
    /// Refuses what an ADD will refuse when plans that come before have been applied: a second one of what only one can be, larger packets than
    /// the link carries that the container's is to be on, and a MAC address that its bridge does not let through.
    pub fn refuse_after(&self, before: &Plan, places: &mut Places) -> Result<(), Error> {
        self.refuse_second(before)?;
        for (_, step) in self.steps() {
            if let Step::Tuned(step::Tuned { setting: Setting::Mac(wanted), .. }) = step {
                before.refuse_unheard(*wanted)?;
            }
            if let Step::Tuned(tuned) = step
                && let Setting::Mtu(wanted) = tuned.setting
                && let Some((parent, carries)) = before.bound_by(&tuned.link, places)?
                && wanted > carries
            {
                return Err(NoParent::MtuTooLarge { wanted, parent, carries }.into());
            }
        }
        Ok(())
    }

    /// The link of the host that this one of the container will be on, and how large packets that carries, if the kernel lets it have no larger ones:
    /// `macvlan_change_mtu` and `vlan_dev_change_mtu`. That of an ipvlan it does not look at.
    fn bound_by(&self, name: &IfName, places: &mut Places) -> Result<Option<(IfName, u32)>, Error> {
        let bound = self.steps().find_map(|(_, step)| match step {
            Step::Link(it) if it.place == Place::Container && it.name == *name => {
                let is_bound = matches!(it.kind, LinkKind::Macvlan { .. } | LinkKind::Vlan(_));
                it.parent.as_ref().filter(|parent| is_bound && parent.place == Place::Host)
            }
            _ => None,
        });
        let Some(parent) = bound else { return Ok(None) };
        // A VLAN that is still to be made has the MTU of what it is on.
        let below = self.steps().find_map(|(_, step)| match step {
            Step::VlanParent(it) if it.name == parent.name => Some(&it.on),
            _ => None,
        });
        let there = places.link(Place::Host, &parent.name)?;
        let found = match below.filter(|_| there.is_none()) {
            Some(below) => places.link(Place::Host, below)?,
            None => there,
        };
        Ok(found.map(|link| (parent.name.clone(), link.mtu)))
    }

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
                Some(Made { host_end: Some((it.place, &it.host)), ..of("veth", Some(it.peer_mac), it.mtu) })
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
        let mut settings = Settings {
            id: None,
            mac: made.mac,
            mtu: made.mtu,
            tx_queue: QUEUE,
            promisc: false,
            all_multicast: false,
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Belongings, Departure, Taken};
    use types::{Dad, MacvlanMode};

    /// What drivers call themselves does not matter here, their defaults do.
    #[test]
    fn an_interface_is_like_what_makes_it() {
        let made = |step: Step| {
            let mut plan = Plan::default();
            // None of these is what is asked about.
            plan.own(veth("eth1", Some(1111)));
            plan.own(link(Place::Container, "eth2", Some(1112)));
            plan.own(link(Place::Host, "eth0", Some(1113)));
            plan.own(step);
            let settings = foresee(&plan, Query::Settings(name("eth0"))).settings.unwrap();
            (settings.mac, settings.mtu, settings.tx_queue, settings.promisc, settings.all_multicast)
        };
        for (mtu, expected) in [(None, 1500), (Some(1300), 1300)] {
            for step in [
                veth("eth0", mtu).into(),
                link(Place::Container, "eth0", mtu).into(),
                tap(mtu).into(),
                Step::from(device(expected)),
            ] {
                let told = step.to_string();
                assert_eq!(made(step), (Some(mac(1)), expected, 1000, false, false), "{told}");
            }
        }
    }

    #[test]
    fn what_was_tuned_before_is_what_there_is() {
        let mut plan = Plan::default();
        plan.own(veth("eth0", None));
        for setting in [
            Setting::Mac(mac(7)),
            Setting::Mtu(1400),
            Setting::TxQueue(77),
            Setting::Promisc(true),
            Setting::AllMulticast(true),
        ] {
            plan.own(step::Tuned { link: name("eth0"), setting, former: None, id: None, of: None });
        }
        for setting in
            [Setting::Mac(mac(8)), Setting::Mtu(1200), Setting::TxQueue(8), Setting::Promisc(false)]
        {
            plan.own(step::Tuned { link: name("eth1"), setting, former: None, id: None, of: None });
        }
        let expected = Settings {
            id: None,
            mac: Some(mac(7)),
            mtu: 1400,
            tx_queue: 77,
            promisc: true,
            all_multicast: true,
        };
        assert_eq!(foresee(&plan, Query::Settings(name("eth0"))).settings, Some(expected));
    }

    #[test]
    fn an_interface_speaks_ipv6_once_it_is_given_such_an_address() {
        let mut plan = Plan::default();
        plan.own(veth("eth0", None));
        plan.own(address(Place::Container, "eth0", "10.1.0.2/24"));
        plan.own(address(Place::Container, "eth1", "fd01::2/64"));
        plan.own(address(Place::Host, "eth0", "fd02::2/64"));
        let speaks = |plan: &Plan| foresee(plan, Query::Ipv6(name("eth0"))).ipv6.contains(&name("eth0"));
        assert!(!speaks(&plan));
        plan.own(address(Place::Container, "eth0", "fd03::2/64"));
        assert!(speaks(&plan));
    }

    #[test]
    fn the_kernels_routes_come_with_addresses_and_others_are_as_they_are_laid() {
        let mut plan = Plan::default();
        plan.own(veth("eth0", None));
        for (place, link, prefix) in [
            (Place::Container, "eth0", "10.1.0.2/24"),
            (Place::Container, "eth0", "10.2.0.2/32"),
            (Place::Container, "eth1", "10.3.0.2/24"),
            (Place::Host, "eth0", "10.4.0.2/24"),
        ] {
            plan.own(address(place, link, prefix));
        }
        plan.own(step::Address { alone: true, ..address(Place::Container, "eth0", "10.5.0.2/24") });
        let direct = step::Route {
            source: Some(ip("10.1.0.2")),
            mtu: Some(1300),
            advmss: Some(1200),
            ..route("10.9.0.0/16")
        };
        plan.own(direct);
        plan.own(step::Route { gateway: Some(ip("10.1.0.1")), priority: Some(7), ..route("10.8.0.0/16") });
        plan.own(step::Route {
            gateway: Some(ip("10.1.0.1")),
            scope: Some(200),
            table: Some(MAIN),
            ..route("10.7.0.0/16")
        });
        plan.own(step::Route { table: Some(100), ..route("10.6.0.0/16") });
        plan.own(step::Route { place: Place::Host, ..route("10.6.1.0/24") });
        plan.own(step::Route { link: name("eth1"), ..route("10.6.2.0/24") });
        let mut expected = vec![
            "10.1.0.0/24 from Some(10.1.0.2) metric None scope 253 by 2",
            "10.9.0.0/16 from Some(10.1.0.2) metric None scope 253 by 3 mtu 1300 advmss 1200",
            "10.8.0.0/16 via 10.1.0.1 from None metric Some(7) scope 0 by 3",
            "10.7.0.0/16 via 10.1.0.1 from None metric None scope 200 by 3",
        ];
        assert_eq!(routes(&plan), expected);

        plan.own(address(Place::Container, "eth0", "fd01::2/128"));
        plan.own(step::Route { priority: Some(9), ..route("fd09::/16") });
        plan.own(route("fd08::/16"));
        expected.insert(1, "fd01::2/128 from None metric Some(256) scope 0 by 2");
        expected.insert(2, "fe80::/64 from None metric Some(256) scope 0 by 2");
        expected.push("fd09::/16 from None metric Some(9) scope 0 by 3");
        expected.push("fd08::/16 from None metric Some(1024) scope 0 by 3");
        assert_eq!(routes(&plan), expected);
    }

    #[test]
    fn a_gateway_on_a_bridge_and_a_cable_of_its_own_lead_to_a_container() {
        let mut plan = Plan::default();
        let bridge = |name: &str, prefix: &str| step::BridgeAddress {
            bridge: self::name(name),
            prefix: prefix.parse().unwrap(),
            force: false,
        };
        plan.ensure(bridge("b0", "10.1.0.1/24"));
        plan.ensure(bridge("b1", "10.2.0.1/24"));
        plan.own(step::Route { link: name("inside"), ..route("10.3.0.2/32") });
        plan.own(step::Route { place: Place::Host, link: name("veth0"), ..route("10.3.0.2/32") });
        plan.own(step::Route { place: Place::Host, link: name("veth1"), ..route("10.4.0.2/32") });
        let way = |address: &str| {
            let way = plan.way_to(&Query::RouteTo(address.parse().unwrap()));
            way.map(|(address, link)| format!("{address} {link}")).unwrap_or_default()
        };
        let ways = ["10.1.0.2", "10.2.0.2", "10.3.0.2", "10.4.0.2", "10.5.0.2"].map(way);
        assert_eq!(ways, ["10.1.0.2 b0", "10.2.0.2 b1", "10.3.0.2 veth0", "10.4.0.2 veth1", ""]);
    }

    /// The answer where there is no container yet: the kernel is asked nothing.
    fn foresee(before: &Plan, query: Query) -> Facts {
        let mut places = Places::new(None, Departure::Waiting);
        Facts::foresee(&[query], before, &mut places).unwrap().0
    }

    fn routes(before: &Plan) -> Vec<String> {
        let routing = foresee(before, Query::Routing(name("eth0"))).routing.unwrap();
        let said = |entry: &Entry| {
            let via = entry.gateway.map_or(String::new(), |gateway| format!(" via {gateway}"));
            let mtu = entry.mtu.map_or(String::new(), |mtu| format!(" mtu {mtu}"));
            let advmss = entry.advmss.map_or(String::new(), |advmss| format!(" advmss {advmss}"));
            let Entry { dst, source, priority, scope, protocol, .. } = entry;
            let from = source.map(|source| source.to_string());
            format!("{dst}{via} from {from:?} metric {priority:?} scope {scope} by {protocol}{mtu}{advmss}")
                .replace('"', "")
        };
        routing.routes.iter().map(said).collect()
    }

    fn veth(peer: &str, mtu: Option<u32>) -> step::Veth {
        step::Veth {
            place: Place::Host,
            host: name("veth0"),
            host_mac: mac(9),
            peer: name(peer),
            peer_mac: mac(1),
            master: None,
            mtu,
            tx_queues: 1,
            rx_queues: 1,
        }
    }

    fn link(place: Place, name: &str, mtu: Option<u32>) -> step::Link {
        let kind = LinkKind::Macvlan { mode: MacvlanMode::Bridge, broadcast_queue: None };
        step::Link { place, name: self::name(name), kind, parent: None, mac: Some(mac(1)), mtu }
    }

    fn tap(mtu: Option<u32>) -> step::Tap {
        let (owner, group, bridge, label) = (None, None, None, None);
        step::Tap { name: name("eth0"), mac: mac(1), mtu, multi_queue: false, owner, group, bridge, label }
    }

    fn device(mtu: u32) -> step::Device {
        let taken = Taken {
            name: name("d0"),
            index: 9,
            index_inside: None,
            id: None,
            kind: None,
            device: None,
            burnt_in: None,
            mac: Some(mac(1)),
            mtu,
            settings: Vec::new(),
            up: false,
            alias: None,
            altnames: None,
            master: None,
            belongings: Belongings::default(),
            inherited: false,
        };
        step::Device { ifname: name("eth0"), taken }
    }

    fn address(place: Place, link: &str, prefix: &str) -> step::Address {
        let prefix = prefix.parse().unwrap();
        step::Address { place, link: name(link), prefix, dad: Dad::Off, alone: false }
    }

    fn route(dst: &str) -> step::Route {
        step::Route::to(Place::Container, &name("eth0"), dst.parse().unwrap())
    }

    fn name(name: &str) -> IfName {
        name.parse().unwrap()
    }

    fn mac(last: u8) -> Mac {
        format!("02:00:00:00:00:{last:02x}").parse().unwrap()
    }

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }
}
