//! `tuning` in several networks of one container, which tune one interface: it is as the last one wants it, and as the first one has found it when all are gone.
use super::{
    Site,
    beside::{NAMES, ORDERS},
    random::Dice,
};
use libtest_mimic::Trial;
use netlab::{with, with_all};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

pub(crate) fn trials() -> Vec<Trial> {
    netlab::trials![
        the_interface_is_as_the_last_that_stands_wants_it_in_whatever_order_they_come_and_go,
        networks_that_want_the_same_leave_nothing_in_whatever_order,
        networks_that_come_and_go_at_random_leave_the_interface_as_it_was,
        the_network_that_made_the_interface_leaves_what_another_has_set,
        gc_of_one_leaves_what_another_has_set_and_the_last_gives_it_back,
        a_network_whose_record_says_nothing_leaves_what_another_has_set,
        a_network_whose_namespace_is_gone_leaves_no_file_about_it,
        networks_of_an_earlier_release_give_the_interface_back,
        networks_that_go_at_once_leave_the_interface_as_the_first_has_found_it,
        a_network_that_comes_while_another_goes_has_its_own_settings,
        a_network_that_is_refused_leaves_what_others_have_set,
        what_somebody_has_set_since_keeps_nobody_from_giving_back,
    ]
}

/// Networks of a container, all of its one interface.
struct Networks {
    site: Site,
    before: Value,
}

const KEYS: [&str; 5] = ["mtu", "txQLen", "mac", "promisc", "allmulti"];
/// What each wants: all of it the last alone.
fn wanted(at: usize) -> Value {
    [
        json!({"mtu": 1400, "txQLen": 7, "mac": "c2:00:00:00:00:01", "promisc": true}),
        json!({"mtu": 1300, "mac": "c2:00:00:00:00:02", "allmulti": true}),
        json!({"mtu": 1350, "txQLen": 8, "mac": "c2:00:00:00:00:03", "promisc": true, "allmulti": false}),
    ][at]
        .clone()
}

impl Networks {
    fn new() -> Self {
        let site = Site::new();
        let before = settings(&site);
        Self { site, before }
    }

    fn config(&self, at: usize, keys: &Value) -> Value {
        with(&self.site.config(keys), "name", &json!(NAMES[at]))
    }

    fn call(&self, verb: &str, at: usize, keys: &Value) {
        let config = self.config(at, keys);
        let reply =
            self.site.host.attach(verb, &config, &self.site.container, "eth0").unwrap().run().unwrap();
        assert!(reply.success(), "{verb} {at} {keys}: {reply:?}");
    }

    fn add(&self, at: usize) {
        self.call("ADD", at, &wanted(at));
    }

    fn gc(&self, at: usize) {
        self.site.host.gc(&self.config(at, &json!({})), &[]).unwrap().result().unwrap();
    }

    fn record(&self, at: usize) -> PathBuf {
        let attachment = format!("{}:eth0", self.site.container.id());
        self.site.host.state_dir().join("attachments").join(NAMES[at]).join(attachment).join("tuning.0")
    }

    /// As it was before, with what these want one over the other.
    fn is_as_wanted_by(&self, standing: &[Value], told: &str) {
        let expected = standing.iter().fold(self.before.clone(), |below, keys| with_all(&below, keys));
        assert_eq!(settings(&self.site), expected, "{told}");
    }

    fn is_as_before(&self, told: &str) {
        self.is_as_wanted_by(&[], told);
        let left = fs::read_dir(self.site.host.state_dir()).into_iter().flatten().map(|entry| entry.unwrap());
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| name == "attachments" || name == "unreadable"), "{left:?} {told}");
    }
}

/// What the interface is like, as the keys have it.
fn settings(site: &Site) -> Value {
    let link = site.link();
    let has = |flag: &str| link["flags"].as_array().unwrap().contains(&json!(flag));
    let values = [
        link["mtu"].clone(),
        link["txqlen"].clone(),
        link["address"].clone(),
        json!(has("PROMISC")),
        json!(has("ALLMULTI")),
    ];
    let named = KEYS.into_iter().map(str::to_owned).zip(values);
    json!(named.collect::<serde_json::Map<_, _>>())
}

/// CHECK of one whose settings another has set since is well.
fn the_interface_is_as_the_last_that_stands_wants_it_in_whatever_order_they_come_and_go() {
    let networks = Networks::new();
    for (adds, dels) in ORDERS.iter().flat_map(|adds| ORDERS.map(|dels| (*adds, dels))) {
        let mut standing: Vec<usize> = Vec::new();
        for (at, is_add) in adds.map(|at| (at, true)).into_iter().chain(dels.map(|at| (at, false))) {
            if is_add {
                networks.add(at);
                standing.push(at);
            } else {
                // With other keys than the network has, and again.
                networks.call("DEL", at, &json!({}));
                networks.call("DEL", at, &wanted(at));
                standing.retain(|other| *other != at);
            }
            let told = format!("{adds:?} {dels:?}: {standing:?} stand");
            networks.is_as_wanted_by(&standing.iter().map(|at| wanted(*at)).collect::<Vec<_>>(), &told);
            for at in &standing {
                networks.call("CHECK", *at, &wanted(*at));
            }
        }
        networks.is_as_before(&format!("{adds:?} {dels:?}"));
    }
}

/// And where one wants what is there already.
fn networks_that_want_the_same_leave_nothing_in_whatever_order() {
    let networks = Networks::new();
    let there = with(&networks.before, "promisc", &json!(false));
    for keys in [
        [wanted(0), wanted(0), wanted(0)],
        [there.clone(), wanted(1), there.clone()],
        [wanted(0), there.clone(), wanted(0)],
    ] {
        for dels in ORDERS {
            (0..3).for_each(|at| networks.call("ADD", at, &keys[at]));
            let mut standing = vec![0, 1, 2];
            for at in dels {
                networks.call("DEL", at, &json!({}));
                standing.retain(|other| *other != at);
                // A `promisc` that is false asks for nothing.
                let asks = |at: &usize| {
                    let mut keys = keys[*at].clone();
                    keys.as_object_mut().unwrap().retain(|key, value| key != "promisc" || *value == true);
                    keys
                };
                let standing: Vec<_> = standing.iter().map(asks).collect();
                networks.is_as_wanted_by(&standing, &format!("{keys:?} {dels:?}"));
            }
            networks.is_as_before(&format!("{keys:?} {dels:?}"));
        }
    }
}

/// So many as cost little.
const ROUNDS: u64 = 10;

fn networks_that_come_and_go_at_random_leave_the_interface_as_it_was() {
    for round in 0..ROUNDS {
        let (mut dice, networks) = (Dice(round), Networks::new());
        let mut standing: Vec<(usize, Value)> = Vec::new();
        let mut told = format!("round {round}:");
        for _ in 0..14 {
            let at = dice.roll(NAMES.len());
            let there = standing.iter().position(|(other, _)| *other == at);
            // Who is there goes, or comes again, and is the last then.
            match there {
                Some(there) if dice.roll(3) > 0 => {
                    networks.call("DEL", at, &json!({}));
                    standing.remove(there);
                }
                again => {
                    let keys =
                        again.map_or_else(|| random_keys(&mut dice), |there| standing[there].1.clone());
                    networks.call("ADD", at, &keys);
                    again.map(|there| standing.remove(there));
                    standing.push((at, keys));
                }
            }
            told = format!("{told}\n{standing:?}");
            let wanted: Vec<_> = standing.iter().map(|(_, keys)| keys.clone()).collect();
            networks.is_as_wanted_by(&wanted, &told);
            for (at, keys) in &standing {
                networks.call("CHECK", *at, keys);
            }
        }
        for (at, _) in &standing {
            networks.call("DEL", *at, &json!({}));
        }
        networks.is_as_before(&told);
        networks.site.container.kill().unwrap();
    }
}

/// One key or more.
fn random_keys(dice: &mut Dice) -> Value {
    let mut keys = json!({});
    while keys.as_object().unwrap().is_empty() {
        for key in KEYS {
            let value = match key {
                "mtu" => json!(dice.one_of(&[1300, 1400, 1500])),
                "txQLen" => json!(dice.one_of(&[7, 8, 1000])),
                "mac" => json!(dice.one_of(&["c2:00:00:00:00:01", "c2:00:00:00:00:02"])),
                "promisc" => json!(true),
                _ => json!(dice.roll(2) == 0),
            };
            if dice.roll(2) == 0 {
                keys = with(&keys, key, &value);
            }
        }
    }
    keys
}

/// Its DEL takes the interface along; that of the other then has nothing left to give back.
fn the_network_that_made_the_interface_leaves_what_another_has_set() {
    for dels in [[0, 1], [1, 0]] {
        let host = netlab::Host::new().unwrap();
        let container = host.container().unwrap();
        let inside = container.snapshot().unwrap();
        let backups = host.dir().join("tuning");
        let tuning = |keys: &Value| with_all(&json!({"type": "tuning", "dataDir": backups}), keys);
        let bridge = host.config(&json!({"type": "bridge", "bridge": "b0", "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}));
        let result = host.add(&bridge, &container, "eth0").unwrap().result().unwrap();
        let configs = [0, 1].map(|at| {
            let config = with(&host.config(&tuning(&wanted(at))), "prevResult", &result);
            if at == 0 { config } else { with(&config, "name", &json!("another")) }
        });
        let mtu = || container.ip("link show eth0").unwrap()[0]["mtu"].clone();
        for config in &configs {
            host.add(config, &container, "eth0").unwrap().result().unwrap();
        }
        for (at, left) in dels.into_iter().zip([[1300, 1500], [1400, 1500]][dels[0]]) {
            host.del(&configs[at], &container, "eth0").unwrap().result().unwrap();
            if at == 0 {
                assert_eq!(mtu(), left, "{dels:?}");
                host.del(&bridge, &container, "eth0").unwrap().result().unwrap();
            } else if dels == [1, 0] {
                assert_eq!(mtu(), left, "{dels:?}");
            }
        }
        assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
        assert!(!host.state_dir().join("links").exists());
    }
}

fn gc_of_one_leaves_what_another_has_set_and_the_last_gives_it_back() {
    let networks = Networks::new();
    for order in ORDERS {
        (0..3).for_each(|at| networks.add(at));
        let mut standing = vec![0, 1, 2];
        for at in order {
            networks.gc(at);
            standing.retain(|other| *other != at);
            networks.is_as_wanted_by(
                &standing.iter().map(|at| wanted(*at)).collect::<Vec<_>>(),
                &format!("{order:?}"),
            );
        }
        networks.is_as_before(&format!("{order:?}"));
    }
}

/// It was cut off, or is empty.
fn a_network_whose_record_says_nothing_leaves_what_another_has_set() {
    let networks = Networks::new();
    for order in ORDERS {
        for cut in [0, 1, 300] {
            (0..3).for_each(|at| networks.add(at));
            let record = networks.record(order[0]);
            let text = fs::read(&record).unwrap();
            fs::write(&record, &text[..cut]).unwrap();
            let mut standing = vec![0, 1, 2];
            for at in order {
                networks.call("DEL", at, &json!({}));
                standing.retain(|other| *other != at);
                let standing: Vec<_> = standing.iter().map(|at| wanted(*at)).collect();
                networks.is_as_wanted_by(&standing, &format!("{order:?}, {cut} bytes"));
            }
            networks.is_as_before(&format!("{order:?}, {cut} bytes"));
        }
    }
}

fn a_network_whose_namespace_is_gone_leaves_no_file_about_it() {
    for order in ORDERS {
        let networks = Networks::new();
        (0..3).for_each(|at| networks.add(at));
        networks.call("DEL", order[0], &json!({}));
        networks.site.container.kill().unwrap();
        networks.call("DEL", order[1], &json!({}));
        networks.gc(order[2]);
        assert!(!networks.site.host.state_dir().join("links").exists(), "{order:?}");
    }
}

/// Some of them of one, or all: they have the former values in their records alone.
fn networks_of_an_earlier_release_give_the_interface_back() {
    let networks = Networks::new();
    for (order, older) in ORDERS.iter().flat_map(|order| [1, 2, 3].map(|older| (*order, older))) {
        for at in 0..3 {
            networks.add(at);
            if at < older {
                as_of_an_earlier_release(&networks, at);
            }
        }
        // Of those that are all of an earlier release nobody knows who came last.
        (0..3).filter(|at| older < 3 || *at == 2).for_each(|at| networks.call("CHECK", at, &wanted(at)));
        let mut standing = vec![0, 1, 2];
        for at in order {
            networks.call("DEL", at, &json!({}));
            standing.retain(|other| *other != at);
            let told = format!("{order:?}, {older} of an earlier release");
            networks.is_as_wanted_by(&standing.iter().map(|at| wanted(*at)).collect::<Vec<_>>(), &told);
        }
        networks.is_as_before(&format!("{order:?}, {older} of an earlier release"));
    }
}

fn as_of_an_earlier_release(networks: &Networks, at: usize) {
    let record = networks.record(at);
    let text = fs::read_to_string(&record).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for step in line.pointer_mut("/plan/steps").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(tuned) = step.pointer_mut("/1/tuned") {
                tuned.as_object_mut().unwrap().remove("of").unwrap();
            }
        }
        format!("{line}\n")
    });
    let older = lines.collect::<String>();
    assert_ne!(older, text);
    fs::write(record, older).unwrap();
    fs::remove_dir_all(networks.site.host.state_dir().join("links")).unwrap();
}

fn networks_that_go_at_once_leave_the_interface_as_the_first_has_found_it() {
    let networks = Networks::new();
    for round in 0..20 {
        (0..3).for_each(|at| networks.add(at));
        at_once(&networks, [("DEL", 0), ("DEL", 1), ("DEL", 2)]);
        networks.is_as_before(&format!("round {round}"));
    }
}

fn a_network_that_comes_while_another_goes_has_its_own_settings() {
    let networks = Networks::new();
    for round in 0..30 {
        networks.add(0);
        at_once(&networks, [("DEL", 0), ("ADD", 1)]);
        networks.is_as_wanted_by(&[wanted(1)], &format!("round {round}"));
        networks.call("DEL", 1, &json!({}));
        networks.is_as_before(&format!("round {round}"));
    }
}

fn at_once<const N: usize>(networks: &Networks, calls: [(&str, usize); N]) {
    let running = calls.map(|(verb, at)| {
        let config = networks.config(at, &if verb == "ADD" { wanted(at) } else { json!({}) });
        networks.site.host.attach(verb, &config, &networks.site.container, "eth0").unwrap().start().unwrap()
    });
    for call in running {
        let reply = call.wait().unwrap();
        assert!(reply.success(), "{reply:?}");
    }
}

/// By a parameter that the kernel refuses, and by a setting: a runtime sends DEL then, too.
fn a_network_that_is_refused_leaves_what_others_have_set() {
    let networks = Networks::new();
    networks.add(0);
    for keys in [
        with(&wanted(1), "sysctl", &json!({"net.ipv4.tcp_syncookies": "x"})),
        with(&wanted(1), "mac", &json!("01:00:00:00:00:01")),
    ] {
        let config = networks.config(1, &keys);
        let site = &networks.site;
        assert!(!site.host.add(&config, &site.container, "eth0").unwrap().success());
        networks.is_as_wanted_by(&[wanted(0)], "refused");
        networks.call("DEL", 1, &keys);
        networks.is_as_wanted_by(&[wanted(0)], "refused, and deleted");
    }
    networks.call("DEL", 0, &json!({}));
    networks.is_as_before("at last");
}

fn what_somebody_has_set_since_keeps_nobody_from_giving_back() {
    let networks = Networks::new();
    for dels in [[0, 1], [1, 0]] {
        networks.add(0);
        networks.site.container.ip("link set eth0 mtu 1450").unwrap();
        networks.add(1);
        networks.site.container.ip("link set eth0 mtu 1250 promisc off").unwrap();
        for at in [0, 1] {
            let (config, site) = (networks.config(at, &wanted(at)), &networks.site);
            let reply = site.host.attach("CHECK", &config, &site.container, "eth0").unwrap().run().unwrap();
            assert!(reply.stdout.contains("but eth0 is mtu 1250"), "{reply:?}");
        }
        for at in dels {
            networks.call("DEL", at, &json!({}));
        }
        networks.is_as_before(&format!("{dels:?}"));
    }
}
