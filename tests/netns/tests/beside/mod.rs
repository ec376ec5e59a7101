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
        of_a_sysctl_under_both_of_its_names_the_last_value_counts,
        what_is_said_of_one_interface_counts_more_than_what_is_said_of_all,
        sysctls_that_are_possible_only_together_are_set_and_given_back_whichever_comes_first,
        a_sysctl_that_has_the_value_is_set_nevertheless,
        del_leaves_what_somebody_has_set_of_an_interface_where_that_of_all_is_as_it_was,
        a_secret_for_addresses_leaves_the_way_in_which_they_are_made,
        a_sysctl_in_another_unit_is_the_same,
        each_interface_has_its_own_again_of_whatever_is_said_of_all,
        what_goes_along_with_that_of_interfaces_to_come_is_as_it_was_in_whatever_order,
        a_sysctl_that_can_not_be_as_before_any_more_keeps_nobody_from_going,
    ]
}

/// Three networks of a container, each with an interface of its own.
struct Networks(Site);

pub(crate) const NAMES: [&str; 3] = ["first", "second", "third"];
pub(crate) const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

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

/// The reference takes them in any order, and its CHECK always fails then.
fn of_a_sysctl_under_both_of_its_names_the_last_value_counts() {
    let site = Site::new();
    let names = ["net.ipv4.ip_forward", "net/ipv4/conf/all/forwarding"];
    for (first, second) in [(0, 1), (1, 0)] {
        for values in [["1", "0"], ["0", "1"], ["1", "1"]] {
            let keys = json!({"sysctl": {names[first]: values[0], names[second]: values[1]}});
            let in_args = json!({"sysctl": {names[first]: values[0]}, "args": {"cni": {"sysctl": {names[second]: values[1]}}}});
            for keys in [keys, in_args] {
                site.add(&keys);
                assert_eq!(site.container.sysctl("ipv4/ip_forward").unwrap(), values[1], "{keys}");
                site.well("CHECK", &keys);
                site.well("DEL", &keys);
                assert_eq!(site.container.sysctl("ipv4/ip_forward").unwrap(), "0", "{keys}");
            }
        }
    }
}

/// In whatever order they are typed; the reference takes them in any.
fn what_is_said_of_one_interface_counts_more_than_what_is_said_of_all() {
    let site = Site::new();
    let read = |path: &str| site.container.sysctl(&format!("ipv4/conf/{path}")).unwrap();
    for paths in [
        [
            "net.ipv4.conf.all.forwarding",
            "net.ipv4.conf.IFNAME.forwarding",
            "net.ipv4.conf.all.accept_redirects",
        ],
        ["net.ipv4.conf.IFNAME.forwarding", "net.ipv4.conf.all.accept_redirects", "net.ipv4.ip_forward"],
    ] {
        let value = |path: &str| json!(if path.contains("IFNAME") { "0" } else { "1" });
        let sysctls: serde_json::Map<_, _> =
            paths.map(|path| (path.to_owned(), value(path))).into_iter().collect();
        let keys = json!({"sysctl": sysctls});
        let before = [read("all/forwarding"), read("eth0/forwarding"), read("all/accept_redirects")];
        site.add(&keys);
        let now = [read("all/forwarding"), read("eth0/forwarding"), read("all/accept_redirects")];
        assert_eq!(now, ["1", "0", "1"], "{keys}");
        site.well("CHECK", &keys);
        site.well("DEL", &keys);
        assert_eq!([read("all/forwarding"), read("eth0/forwarding"), read("all/accept_redirects")], before);
    }
}

/// Ports that take a privilege must not be among those that the kernel chooses from.
fn sysctls_that_are_possible_only_together_are_set_and_given_back_whichever_comes_first() {
    let site = Site::new();
    let read = || {
        ["ip_local_port_range", "ip_unprivileged_port_start"]
            .map(|name| site.container.sysctl(&format!("ipv4/{name}")).unwrap())
    };
    let (range, start) = ("net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start");
    let set = |values: [&str; 2]| {
        let write = |name, value| fs::write(format!("/proc/sys/net/ipv4/{name}"), value);
        let written = site.container.exec(|| {
            write("ip_unprivileged_port_start", "0")
                .and(write("ip_local_port_range", values[0]))
                .and(write("ip_unprivileged_port_start", values[1]))
        });
        written.unwrap().unwrap();
    };
    let [low, high] = [["500\t600", "400"], ["50000\t60000", "40000"]];
    for (former, wanted) in [(high, low), (low, high)] {
        set(former);
        for keys in [json!({range: wanted[0], start: wanted[1]}), json!({start: wanted[1], range: wanted[0]})]
        {
            let keys = json!({"sysctl": keys});
            site.add(&keys);
            assert_eq!(read(), wanted);
            site.well("CHECK", &keys);
            site.well("DEL", &keys);
            assert_eq!(read(), former);
        }
    }
    set(["32768\t60999", "1024"]);
    let before = read();
    let (_, said) = site.refused("ADD", &json!({"sysctl": {range: "500 600", start: "501"}}));
    assert!(said.contains("ip_local_port_range can't be \\\"500 600\\\""), "{said}");
    assert_eq!(read(), before);
}

/// That of all interfaces is then that of each, as with the reference, and that of one follows `conf.default` no more.
fn a_sysctl_that_has_the_value_is_set_nevertheless() {
    let site = Site::new();
    let read = |path| site.container.sysctl(path).unwrap();
    let set = |path, value: &str| {
        let written = site.container.exec(|| fs::write(format!("/proc/sys/net/{path}"), value));
        written.unwrap().unwrap();
    };
    let (one, notify) = ("ipv6/conf/eth0/forwarding", "ipv4/conf/eth0/arp_notify");
    assert_eq!(read("ipv6/conf/all/forwarding"), "0");
    set(one, "1");
    let value = read(notify);
    site.add(
        &json!({"sysctl": {"net.ipv6.conf.all.forwarding": "0", "net.ipv4.conf.eth0.arp_notify": value}}),
    );
    assert_eq!(read(one), "0");
    set("ipv4/conf/default/arp_notify", if value == "0" { "1" } else { "0" });
    assert_eq!(read(notify), value);
    site.well("DEL", &json!({}));
    assert_eq!(read(one), "1");
}

fn del_leaves_what_somebody_has_set_of_an_interface_where_that_of_all_is_as_it_was() {
    let site = Site::new();
    let path = "ipv6/conf/eth0/forwarding";
    site.add(&json!({"sysctl": {"net.ipv6.conf.all.forwarding": "0"}}));
    site.container.exec(move || fs::write(format!("/proc/sys/net/{path}"), "1")).unwrap().unwrap();
    site.well("DEL", &json!({}));
    assert_eq!(site.container.sysctl(path).unwrap(), "1");
}

/// The secret itself the kernel never takes back, and none can be read before there is one.
fn a_secret_for_addresses_leaves_the_way_in_which_they_are_made() {
    let networks = Networks::new();
    let read = || {
        ["lo", "eth0", "eth1"]
            .map(|name| networks.0.container.sysctl(&format!("ipv6/conf/{name}/addr_gen_mode")).unwrap())
    };
    networks
        .0
        .container
        .exec(|| fs::write("/proc/sys/net/ipv6/conf/eth1/addr_gen_mode", "1"))
        .unwrap()
        .unwrap();
    let before = read();
    for (interface, expected) in [("eth0", ["0", "2", "1"]), ("default", ["2"; 3])] {
        let keys = json!({"sysctl": {format!("net.ipv6.conf.{interface}.stable_secret"): "2001:db8::1"}});
        networks.call("ADD", 0, &keys);
        assert_eq!(read(), expected);
        networks.call("CHECK", 0, &keys);
        networks.call("DEL", 0, &keys);
        assert_eq!(read(), before);
    }
}

fn a_sysctl_in_another_unit_is_the_same() {
    let networks = Networks::new();
    let read = || {
        ["retrans_time", "retrans_time_ms"]
            .map(|name| networks.0.container.sysctl(&format!("ipv4/neigh/eth0/{name}")).unwrap())
    };
    networks
        .0
        .container
        .exec(|| fs::write("/proc/sys/net/ipv4/neigh/eth0/retrans_time_ms", "1004"))
        .unwrap()
        .unwrap();
    let before = read();
    let keys = [("retrans_time", "200"), ("retrans_time_ms", "500"), ("retrans_time", "300")];
    let keys = keys.map(|(name, value)| json!({"sysctl": {format!("net.ipv4.neigh.eth0.{name}"): value}}));
    for (adds, dels) in ORDERS.iter().flat_map(|adds| ORDERS.map(|dels| (*adds, dels))) {
        for at in adds {
            networks.call("ADD", at, &keys[at]);
        }
        let mut standing = adds.to_vec();
        for at in dels {
            networks.call("DEL", at, &json!({}));
            standing.retain(|other| *other != at);
            let expected = standing.last().map_or(before[1].as_str(), |last| ["2000", "500", "3000"][*last]);
            assert_eq!(read()[1], expected, "{adds:?} {dels:?} {at}");
        }
        assert_eq!(read(), before, "{adds:?} {dels:?}");
    }
}

/// The ports that take a privilege would be among those that somebody has given the kernel to choose from since.
fn a_sysctl_that_can_not_be_as_before_any_more_keeps_nobody_from_going() {
    let site = Site::new();
    site.add(&json!({"mtu": 1400, "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0", "net.core.somaxconn": "77"}}));
    let path = "/proc/sys/net/ipv4/ip_local_port_range";
    site.container.exec(|| fs::write(path, "500 600")).unwrap().unwrap();
    site.well("DEL", &json!({}));
    assert_eq!(site.container.sysctl("ipv4/ip_unprivileged_port_start").unwrap(), "0");
    assert_eq!((site.somaxconn().as_str(), &site.link()["mtu"]), ("4096", &json!(1500)));
    assert_eq!(site.records(), Vec::<String>::new());
}

/// An interface that nobody has set it of has what is said of those to come: `lo` here, for one that was given an address counts as set.
fn what_goes_along_with_that_of_interfaces_to_come_is_as_it_was_in_whatever_order() {
    let adds = [ORDERS[0], ORDERS[3]];
    for (adds, dels) in adds.iter().flat_map(|adds| ORDERS.map(|dels| (*adds, dels))) {
        let networks = Networks::new();
        let read = || {
            ["default", "lo"]
                .map(|name| networks.0.container.sysctl(&format!("ipv4/conf/{name}/rp_filter")).unwrap())
        };
        let before = read();
        let keys = [("default", "1"), ("lo", "2"), ("default", "2")];
        for at in adds {
            let (name, value) = keys[at];
            networks.call("ADD", at, &json!({"sysctl": {format!("net.ipv4.conf.{name}.rp_filter"): value}}));
        }
        for at in dels {
            networks.call("DEL", at, &json!({}));
        }
        assert_eq!(read(), before, "{adds:?} {dels:?}");
        networks.nothing_is_left();
    }
}

/// Some of it this kernel may lack.
fn each_interface_has_its_own_again_of_whatever_is_said_of_all() {
    let networks = Networks::new();
    let container = &networks.0.container;
    for (family, name, own, of_all, along) in [
        ("ipv4", "forwarding", "1", "0", "forwarding"),
        ("ipv6", "forwarding", "1", "0", "forwarding"),
        ("ipv6", "forwarding", "1", "1", "force_forwarding"),
        ("ipv6", "force_forwarding", "0", "1", "force_forwarding"),
        ("ipv6", "disable_ipv6", "0", "1", "disable_ipv6"),
        ("ipv6", "disable_policy", "0", "1", "disable_policy"),
        ("ipv6", "ignore_routes_with_linkdown", "0", "1", "ignore_routes_with_linkdown"),
        ("ipv6", "addr_gen_mode", "3", "1", "addr_gen_mode"),
    ] {
        let path = |interface: &str, name: &str| format!("{family}/conf/{interface}/{name}");
        let write = |path: String, value: &'static str| {
            container.exec(|| fs::write(format!("/proc/sys/net/{path}"), value)).unwrap().unwrap();
        };
        if container.sysctl(&path("all", name)).is_err() || container.sysctl(&path("all", along)).is_err() {
            continue;
        }
        // So that to write it changes something.
        write(path("all", name), if of_all == "0" { "1" } else { "0" });
        write(path("eth1", along), own);
        let read = || {
            ["all", "default", "lo", "eth0", "eth1"]
                .map(|it| [name, along].map(|name| container.sysctl(&path(it, name)).unwrap()))
        };
        let before = read();
        networks.call("ADD", 0, &json!({"sysctl": {format!("net/{}", path("all", name)): of_all}}));
        assert!(read() != before, "{family} {name}");
        networks.call("DEL", 0, &json!({}));
        assert_eq!(read(), before, "{family} {name}, {along}");
    }
}
