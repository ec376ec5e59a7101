//! `tuning` in several networks of one container, which set the same kernel parameters; and what the kernel shows otherwise than it was written.
use super::Site;
use libtest_mimic::Trial;
use netlab::with;
use serde_json::{Value, json};
use std::{fs, path::Path};

pub(crate) fn trials() -> Vec<Trial> {
    netlab::trials![
        of_networks_that_set_one_sysctl_the_last_to_go_gives_back_what_the_first_has_found,
        gc_of_one_network_leaves_what_another_has_set_and_the_last_gives_it_back,
        of_uses_of_two_networks_all_is_given_back_in_whatever_order,
        forwarding_stays_while_a_network_wants_it_by_whichever_name,
        forwarding_that_another_network_wants_too_is_not_written,
        a_sysctl_that_goes_with_another_is_as_it_was_too,
        what_a_sysctl_of_all_interfaces_takes_along_is_as_it_was_in_whatever_order,
        a_sysctl_that_somebody_has_set_between_two_networks_is_what_comes_back,
        networks_that_go_at_once_leave_the_sysctl_as_the_first_has_found_it,
        a_network_that_comes_while_another_goes_leaves_nothing_of_that_one,
        networks_whose_namespace_is_gone_leave_no_file,
        a_sysctl_that_the_kernel_shows_otherwise_is_well_and_given_back,
        a_sysctl_that_the_kernel_shows_otherwise_stays_as_somebody_has_set_it_since,
        networks_of_an_earlier_release_give_everything_back,
    ]
}

/// Three networks of a container, each with an interface of its own.
struct Networks(Site);

const NAMES: [&str; 3] = ["first", "second", "third"];
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

impl Networks {
    fn new() -> Self {
        let site = Site::new();
        site.connect("eth1");
        site.connect("eth2");
        Self(site)
    }

    fn config(&self, at: usize, keys: &Value) -> Value {
        with(&self.0.config(keys), "name", &json!(NAMES[at]))
    }

    fn call(&self, verb: &str, at: usize, keys: &Value) {
        let (site, ifname) = (&self.0, format!("eth{at}"));
        let call = site.host.attach(verb, &self.config(at, keys), &site.container, &ifname).unwrap();
        let reply = call.run().unwrap();
        assert!(reply.success(), "{verb} {at}: {reply:?}");
    }

    /// That neither records nor who has set what are left.
    fn nothing_is_left(&self) {
        let left = fs::read_dir(self.0.host.state_dir()).into_iter().flatten().map(|entry| entry.unwrap());
        let left: Vec<_> = left.filter(|entry| entry.file_name() != "attachments").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn somaxconn(value: &str) -> Value {
    json!({"sysctl": {"net.core.somaxconn": value}})
}

fn of_networks_that_set_one_sysctl_the_last_to_go_gives_back_what_the_first_has_found() {
    let networks = Networks::new();
    for values in
        [["500", "600", "700"], ["500"; 3], ["500", "4096", "700"], ["500", "600", "500"], ["4096"; 3]]
    {
        for order in ORDERS {
            for (at, value) in values.iter().enumerate() {
                networks.call("ADD", at, &somaxconn(value));
                assert_eq!(networks.0.somaxconn(), *value);
            }
            let mut standing = vec![0, 1, 2];
            for at in order {
                // With other keys than the network has, and again.
                networks.call("DEL", at, &json!({}));
                networks.call("DEL", at, &somaxconn("1"));
                standing.retain(|other| *other != at);
                let expected = standing.last().map_or("4096", |last| values[*last]);
                assert_eq!(networks.0.somaxconn(), expected, "{values:?} {order:?} {at}");
                if let Some(last) = standing.last() {
                    networks.call("CHECK", *last, &somaxconn(values[*last]));
                }
            }
            networks.nothing_is_left();
        }
    }
}

fn gc_of_one_network_leaves_what_another_has_set_and_the_last_gives_it_back() {
    let networks = Networks::new();
    for order in ORDERS {
        for (at, value) in ["500", "600", "700"].into_iter().enumerate() {
            networks.call("ADD", at, &somaxconn(value));
        }
        for at in order {
            networks.0.host.gc(&networks.config(at, &json!({})), &[]).unwrap().result().unwrap();
        }
        assert_eq!(networks.0.somaxconn(), "4096", "{order:?}");
        networks.nothing_is_left();
    }
}

/// The first has two, the second one by `args`, and one that the other has not.
fn of_uses_of_two_networks_all_is_given_back_in_whatever_order() {
    let networks = Networks::new();
    let read = || {
        let read = |path| networks.0.container.sysctl(path).unwrap();
        [read("core/somaxconn"), read("ipv4/conf/all/rp_filter"), read("ipv4/tcp_syncookies")]
    };
    let before = read();
    let all = |value: &str, filter: &str| json!({"net.core.somaxconn": value, "net.ipv4.conf.all.rp_filter": filter});
    let uses = [
        (0, json!({"sysctl": all("500", "1")})),
        (0, json!({"sysctl": all("501", "2")})),
        (
            1,
            json!({"sysctl": {"net/ipv4/tcp_syncookies": "0"}, "args": {"cni": {"sysctl": all("502", "1")}}}),
        ),
    ];
    for adds in [[0, 1, 2], [0, 2, 1], [2, 0, 1]] {
        for dels in [[0, 1], [1, 0]] {
            for at in adds {
                networks.call("ADD", uses[at].0, &uses[at].1);
            }
            for network in dels {
                networks.call("DEL", network, &json!({}));
            }
            assert_eq!(read(), before, "{adds:?} {dels:?}");
            networks.nothing_is_left();
        }
    }
    // One that is added again is above the other then.
    for at in [0, 2, 0] {
        networks.call("ADD", uses[at].0, &uses[at].1);
    }
    assert_eq!(networks.0.somaxconn(), "500");
    networks.call("DEL", 1, &json!({}));
    assert_eq!(networks.0.somaxconn(), "500");
    networks.call("DEL", 0, &json!({}));
    assert_eq!(read(), before);
}

/// The kernel has the forwarding of all interfaces under two names, and sets that of each with it.
fn forwarding_stays_while_a_network_wants_it_by_whichever_name() {
    let networks = Networks::new();
    let read = || {
        let read = |name: &str| networks.0.container.sysctl(&format!("ipv4/conf/{name}/forwarding")).unwrap();
        ["all", "default", "eth1", "eth2"].map(read)
    };
    let names = ["net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv4.conf.eth1.forwarding"];
    for adds in ORDERS {
        for dels in ORDERS {
            for at in adds {
                networks.call("ADD", at, &json!({"sysctl": {names[at]: "1"}}));
            }
            let mut standing = vec![0, 1, 2];
            for at in dels {
                networks.call("DEL", at, &json!({}));
                standing.retain(|other| *other != at);
                let ([all, _, eth1, _], wanted) = (read(), |some: bool| if some { "1" } else { "0" });
                assert_eq!(all, wanted(standing.iter().any(|at| *at < 2)), "{adds:?} {dels:?} {at}");
                assert!(eth1 == "1" || !standing.contains(&2), "{adds:?} {dels:?} {at}");
            }
            assert_eq!(read(), ["0"; 4], "{adds:?} {dels:?}");
            networks.nothing_is_left();
        }
    }
}

/// To write one would be to write those of all interfaces.
fn forwarding_that_another_network_wants_too_is_not_written() {
    let networks = Networks::new();
    for names in [["net.ipv4.ip_forward"; 2], ["net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"]] {
        for (at, name) in names.into_iter().enumerate() {
            networks.call("ADD", at, &json!({"sysctl": {name: "1"}}));
        }
        let path = "ipv4/conf/eth2/forwarding";
        networks.0.container.exec(move || fs::write(format!("/proc/sys/net/{path}"), "0")).unwrap().unwrap();
        networks.call("DEL", 0, &json!({}));
        assert_eq!(networks.0.container.sysctl(path).unwrap(), "0", "{names:?}");
        networks.call("DEL", 1, &json!({}));
        assert_eq!(networks.0.container.sysctl("ipv4/ip_forward").unwrap(), "0", "{names:?}");
    }
}

fn a_sysctl_that_goes_with_another_is_as_it_was_too() {
    let site = Site::new();
    let path = "ipv4/conf/eth0/forwarding";
    site.container.exec(move || fs::write(format!("/proc/sys/net/{path}"), "1")).unwrap().unwrap();
    site.add(&json!({"sysctl": {"net.ipv4.conf.all.forwarding": "1", "net.ipv4.conf.eth0.forwarding": "1"}}));
    site.well("DEL", &json!({}));
    let read = |path| site.container.sysctl(path).unwrap();
    assert_eq!((read("ipv4/ip_forward").as_str(), read(path).as_str()), ("0", "1"));
}

fn what_a_sysctl_of_all_interfaces_takes_along_is_as_it_was_in_whatever_order() {
    let networks = Networks::new();
    let all = ["all", "default", "lo", "eth0", "eth1", "eth2"];
    let paths = ["ipv4/conf/IF/forwarding", "ipv6/conf/IF/forwarding", "ipv6/conf/IF/disable_ipv6"]
        .iter()
        .flat_map(|path| all.map(|interface| path.replace("IF", interface)))
        .chain(["ipv4/conf/all/accept_redirects".to_owned()])
        .collect::<Vec<_>>();
    let read = || paths.iter().map(|path| networks.0.container.sysctl(path).unwrap()).collect::<Vec<_>>();
    for (path, value) in [
        ("ipv4/conf/lo/forwarding", "1"),
        ("ipv6/conf/eth1/forwarding", "1"),
        ("ipv6/conf/lo/disable_ipv6", "1"),
        ("ipv4/conf/all/accept_redirects", "0"),
    ] {
        networks
            .0
            .container
            .exec(move || fs::write(format!("/proc/sys/net/{path}"), value))
            .unwrap()
            .unwrap();
    }
    let before = read();
    let both_families = [
        json!({"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.all.disable_ipv6": "1"}),
        json!({"net.ipv4.conf.lo.forwarding": "0", "net.ipv6.conf.lo.disable_ipv6": "0", "net.ipv6.conf.eth1.forwarding": "0"}),
        json!({"net.ipv4.conf.all.forwarding": "1", "net.ipv4.conf.eth2.forwarding": "0", "net.ipv6.conf.eth2.disable_ipv6": "1"}),
    ];
    let at_odds = [("ip_forward", "1"), ("conf.all.forwarding", "0"), ("conf.default.forwarding", "0")];
    let at_odds = at_odds.map(|(name, value)| json!({format!("net.ipv4.{name}"): value}));
    for keys in [both_families, at_odds] {
        for (adds, dels) in ORDERS.iter().flat_map(|adds| ORDERS.map(|dels| (*adds, dels))) {
            for at in adds {
                networks.call("ADD", at, &json!({"sysctl": keys[at]}));
            }
            for at in dels {
                networks.call("DEL", at, &json!({}));
            }
            let after = read();
            let changed = paths.iter().zip(before.iter().zip(&after)).filter(|(_, (was, is))| was != is);
            assert_eq!(changed.collect::<Vec<_>>(), [], "{keys:?} {adds:?} {dels:?}");
            networks.nothing_is_left();
        }
    }
}

fn a_sysctl_that_somebody_has_set_between_two_networks_is_what_comes_back() {
    let networks = Networks::new();
    networks.call("ADD", 0, &somaxconn("500"));
    networks.0.container.exec(|| fs::write("/proc/sys/net/core/somaxconn", "550")).unwrap().unwrap();
    networks.call("ADD", 1, &somaxconn("600"));
    networks.call("DEL", 0, &json!({}));
    assert_eq!(networks.0.somaxconn(), "600");
    networks.call("DEL", 1, &json!({}));
    assert_eq!(networks.0.somaxconn(), "550");
}

fn networks_that_go_at_once_leave_the_sysctl_as_the_first_has_found_it() {
    let networks = Networks::new();
    for _ in 0..40 {
        for (at, value) in ["500", "600", "700"].into_iter().enumerate() {
            networks.call("ADD", at, &somaxconn(value));
        }
        at_once(&networks, [("DEL", 0, json!({})), ("DEL", 1, json!({})), ("DEL", 2, json!({}))]);
        assert_eq!(networks.0.somaxconn(), "4096");
        networks.nothing_is_left();
    }
}

fn a_network_that_comes_while_another_goes_leaves_nothing_of_that_one() {
    let networks = Networks::new();
    for _ in 0..60 {
        networks.call("ADD", 0, &somaxconn("500"));
        at_once(&networks, [("DEL", 0, json!({})), ("ADD", 1, somaxconn("600"))]);
        assert_eq!(networks.0.somaxconn(), "600");
        networks.call("DEL", 1, &json!({}));
        assert_eq!(networks.0.somaxconn(), "4096");
    }
}

fn at_once<const N: usize>(networks: &Networks, calls: [(&str, usize, Value); N]) {
    let running = calls.map(|(verb, at, keys)| {
        let (site, ifname) = (&networks.0, format!("eth{at}"));
        let call = site.host.attach(verb, &networks.config(at, &keys), &site.container, &ifname).unwrap();
        call.start().unwrap()
    });
    for call in running {
        let reply = call.wait().unwrap();
        assert!(reply.success(), "{reply:?}");
    }
}

fn networks_whose_namespace_is_gone_leave_no_file() {
    for order in ORDERS {
        let networks = Networks::new();
        for (at, value) in ["500", "600", "700"].into_iter().enumerate() {
            networks.call("ADD", at, &somaxconn(value));
        }
        networks.call("DEL", order[0], &json!({}));
        networks.0.container.kill().unwrap();
        for at in order {
            networks.call("DEL", at, &json!({}));
        }
        networks.nothing_is_left();
    }
}

/// In whole ticks of the kernel's clock, and a key with all its digits.
fn shown_otherwise() -> Value {
    json!({"sysctl": {"net.ipv4.neigh.IFNAME.retrans_time_ms": "1003", "net.ipv4.tcp_fastopen_key": "1-2-3-A"}})
}

impl Site {
    fn shown_otherwise(&self) -> [String; 2] {
        ["ipv4/neigh/eth0/retrans_time_ms", "ipv4/tcp_fastopen_key"]
            .map(|path| self.container.sysctl(path).unwrap())
    }
}

fn a_sysctl_that_the_kernel_shows_otherwise_is_well_and_given_back() {
    let site = Site::new();
    let before = site.shown_otherwise();
    site.add(&shown_otherwise());
    assert_eq!(site.shown_otherwise()[1], "00000001-00000002-00000003-0000000a");
    site.well("CHECK", &shown_otherwise());
    site.well("DEL", &shown_otherwise());
    assert_eq!(site.shown_otherwise(), before);
    // One whose ADD had died, or was an earlier release's, of which it is not known what the kernel has shown.
    site.add(&shown_otherwise());
    site.as_of_an_earlier_release(&site.record_folder().join("tuning.0"));
    site.well("DEL", &json!({}));
    assert_eq!(site.shown_otherwise(), before);
}

fn a_sysctl_that_the_kernel_shows_otherwise_stays_as_somebody_has_set_it_since() {
    let site = Site::new();
    for is_of_an_earlier_release in [false, true] {
        site.add(&shown_otherwise());
        let write = |path: &str, value: &str| fs::write(format!("/proc/sys/net/ipv4/{path}"), value);
        let written = site.container.exec(move || {
            write("neigh/eth0/retrans_time_ms", "2000").and_then(|()| write("tcp_fastopen_key", "5-6-7-8"))
        });
        written.unwrap().unwrap();
        let since = site.shown_otherwise();
        if is_of_an_earlier_release {
            site.as_of_an_earlier_release(&site.record_folder().join("tuning.0"));
        }
        site.well("DEL", &json!({}));
        assert_eq!(site.shown_otherwise(), since);
    }
}

impl Site {
    /// Takes out of a record, and of what else is kept, what earlier releases did not say.
    fn as_of_an_earlier_release(&self, record: &Path) {
        let lines = fs::read_to_string(record).unwrap();
        let lines = lines.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let steps = line.pointer_mut("/plan/steps").and_then(Value::as_array_mut);
            for step in steps.into_iter().flatten() {
                step.pointer_mut("/1/parameters").unwrap().as_object_mut().unwrap().remove("of").unwrap();
            }
            format!("{line}\n")
        });
        fs::write(record, lines.collect::<String>()).unwrap();
        let _gone = fs::remove_dir_all(self.host.state_dir().join("sysctls"));
    }
}

/// Some of them of one, or all.
fn networks_of_an_earlier_release_give_everything_back() {
    let networks = Networks::new();
    let attachments = networks.0.host.state_dir().join("attachments");
    for values in [["500", "600", "700"], ["500"; 3]] {
        for order in ORDERS {
            for older in 1..=3 {
                for at in 0..3 {
                    networks.call("ADD", at, &somaxconn(values[at]));
                    if at < older {
                        let attachment = format!("{}:eth{at}", networks.0.container.id());
                        let record = attachments.join(NAMES[at]).join(attachment).join("tuning.0");
                        networks.0.as_of_an_earlier_release(&record);
                    }
                }
                for at in order {
                    networks.call("DEL", at, &json!({}));
                }
                assert_eq!(networks.0.somaxconn(), "4096", "{values:?} {order:?} {older}");
                networks.nothing_is_left();
            }
        }
    }
}
