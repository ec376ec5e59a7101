//! `tuning` with kernel parameters that others go along with, at random: each is as it was when the last network has gone.
use super::Site;
use libtest_mimic::Trial;
use netlab::with;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, env, fs, iter};

pub(crate) fn trials() -> Vec<Trial> {
    netlab::trials![whatever_networks_set_in_whatever_order_all_is_as_before_when_they_are_gone]
}

/// So many as cost little; a number in this variable, more.
const ROUNDS: u64 = 12;
const MORE: &str = "SEALANE_ROUNDS";

const NETWORKS: [&str; 3] = ["first", "second", "third"];

/// What each interface has, and all of them, and those to come: its family, its name, and values that it can have.
const OF_INTERFACES: [(&str, &str, &[&str]); 22] = [
    ("ipv4", "forwarding", &["0", "1"]),
    ("ipv4", "forwarding", &["0", "1"]),
    ("ipv4", "rp_filter", &["0", "1", "2"]),
    ("ipv4", "accept_redirects", &["0", "1"]),
    ("ipv4", "send_redirects", &["0", "1"]),
    ("ipv4", "arp_filter", &["0", "1"]),
    ("ipv4", "promote_secondaries", &["0", "1"]),
    ("ipv4", "route_localnet", &["0", "1"]),
    ("ipv6", "forwarding", &["0", "1"]),
    ("ipv6", "forwarding", &["0", "1"]),
    ("ipv6", "disable_ipv6", &["0", "1"]),
    ("ipv6", "disable_policy", &["0", "1"]),
    ("ipv6", "ignore_routes_with_linkdown", &["0", "1"]),
    ("ipv6", "addr_gen_mode", &["0", "1", "3"]),
    ("ipv6", "force_forwarding", &["0", "1"]),
    ("ipv6", "accept_ra", &["0", "1", "2"]),
    ("ipv6", "accept_redirects", &["0", "1"]),
    ("ipv6", "hop_limit", &["64", "65"]),
    ("ipv4", "retrans_time", &["50", "200"]),
    ("ipv4", "retrans_time_ms", &["500", "1003"]),
    ("ipv6", "base_reachable_time", &["20", "40"]),
    ("ipv6", "base_reachable_time_ms", &["20000", "30003"]),
];
const INTERFACES: [&str; 7] = ["all", "all", "default", "lo", "eth0", "eth1", "eth2"];

/// The same numbers for the same round.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // Knuth's; of its lower bits each comes round soon.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.roll(all.len())]
    }

    /// A parameter and a value of it. Its path is below `/proc/sys/net`, if this kernel has it.
    fn parameter(&mut self) -> (String, &'static str) {
        let (family, name, values): (_, _, &'static [&'static str]) = *self.one_of(&OF_INTERFACES);
        let interface = *self.one_of(&INTERFACES);
        let path = match (family, interface, name) {
            ("ipv4", "all", "forwarding") if self.roll(2) == 0 => "ipv4/ip_forward".to_owned(),
            _ if name.contains("_time") => format!("{family}/neigh/{interface}/{name}"),
            _ => format!("{family}/conf/{interface}/{name}"),
        };
        (path, *self.one_of::<&'static str>(values))
    }

    /// The keys of a use of the plugin.
    fn keys(&mut self, site: &Site) -> Value {
        let some = iter::repeat_with(|| self.parameter()).take(4).collect::<Vec<_>>();
        let count = 1 + self.roll(some.len());
        let there = some.into_iter().take(count).filter(|(path, _)| site.container.sysctl(path).is_ok());
        let sysctls: Map<_, _> = there.map(|(path, value)| (format!("net/{path}"), json!(value))).collect();
        json!({"sysctl": sysctls})
    }

    /// An ADD (`true`) and a DEL of each network, each ADD before its DEL, in any order else.
    fn order(&mut self) -> Vec<(usize, bool)> {
        let (mut order, mut done) = (Vec::new(), [0_u8; NETWORKS.len()]);
        while order.len() < 2 * NETWORKS.len() {
            let at = self.roll(NETWORKS.len());
            if done[at] < 2 {
                order.push((at, done[at] == 0));
                done[at] += 1;
            }
        }
        order
    }
}

fn whatever_networks_set_in_whatever_order_all_is_as_before_when_they_are_gone() {
    let rounds = env::var(MORE).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    for round in 0..rounds {
        let (mut dice, site) = (Dice(round), Site::new());
        site.connect("eth1");
        site.connect("eth2");
        let call = |verb: &str, at: usize, keys: &Value| {
            let config = with(&site.config(keys), "name", &json!(NETWORKS[at]));
            let call = site.host.attach(verb, &config, &site.container, &format!("eth{at}")).unwrap();
            let reply = call.run().unwrap();
            assert!(reply.success(), "round {round}: {verb} {at} {keys}: {reply:?}");
        };
        for _ in 0..dice.roll(6) {
            let (path, value) = dice.parameter();
            // This kernel may lack it.
            let _set = site.container.exec(|| fs::write(format!("/proc/sys/net/{path}"), value)).unwrap();
        }
        let before = parameters(&site);
        let keys = NETWORKS.map(|_| dice.keys(&site));
        let order = dice.order();
        for (at, is_add) in &order {
            call(if *is_add { "ADD" } else { "DEL" }, *at, &keys[*at]);
            if *is_add {
                call("CHECK", *at, &keys[*at]);
            }
        }
        let after = parameters(&site);
        let changed: Vec<_> = before
            .iter()
            .filter(|(path, was)| after.get(*path) != Some(*was))
            .map(|(path, was)| (path, was, after.get(path)))
            .collect();
        assert!(changed.is_empty(), "round {round}: {changed:?} of {keys:?} in the order {order:?}");
        site.container.kill().unwrap();
    }
}

/// All that interfaces have, and `ip_forward`. Those of `default` of `neigh` are the first namespace's alone.
fn parameters(site: &Site) -> BTreeMap<String, String> {
    let look = || {
        let mut found = BTreeMap::new();
        let folders = ["ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh"]
            .map(|name| format!("/proc/sys/net/{name}"));
        let interfaces = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
        let files = interfaces.flat_map(|interface| fs::read_dir(interface.unwrap().path()).unwrap());
        for path in files.map(|file| file.unwrap().path()).chain(["/proc/sys/net/ipv4/ip_forward".into()]) {
            // Some have no value yet.
            found.extend(fs::read_to_string(&path).ok().map(|value| (path.display().to_string(), value)));
        }
        found
    };
    site.container.exec(look).unwrap()
}
