//! Published ports, and what networks keep from each other: `sealane run -p`, over real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Binaries, Lab, Said};
use serde_json::{Value, json};

fn main() -> std::process::ExitCode {
    let mut trials = netlab::trials![
        a_published_port_leads_to_the_container,
        a_port_of_ipv6_is_ready_at_once,
        the_container_sees_who_asks,
        udp_and_ranges_are_published_too,
        a_port_of_one_address_is_there_alone,
        a_port_that_nobody_has_is_found_and_told,
        of_a_range_the_first_free_port_is_taken_and_told,
        eleven_at_once_share_a_range_of_eleven_and_a_twelfth_is_told_who_has_it,
        on_the_hosts_network_a_range_is_the_containers_own_port,
        a_port_is_listed_where_it_is,
        a_port_that_a_container_has_is_refused_and_its_holder_named,
        a_port_that_somebody_listens_on_is_refused,
        the_loopback_address_of_ipv6_is_refused_with_the_reason,
        an_address_that_the_host_does_not_have_is_refused,
        a_container_reaches_itself_and_its_neighbours_by_their_ports,
        a_published_port_is_for_other_networks_too,
        of_two_networks_the_first_publishes_and_then_the_second,
        a_network_that_is_connected_publishes_too,
        a_port_goes_with_its_container,
        a_killed_keepers_port_can_be_had_again,
        containers_reach_the_outside_by_the_hosts_address,
        without_masquerade_they_keep_their_own,
        the_way_out_of_many_networks_is_the_first,
        networks_are_apart_by_the_packet_filter,
        an_internal_network_is_shut_both_ways,
        without_icc_nobody_talks_but_by_published_ports,
        networks_of_earlier_versions_go_on,
    ];
    let beside = netlab::trials![the_reference_plugins_take_our_networks];
    trials.extend(netlab::beside_the_reference(beside));
    netlab::main(trials)
}

/// What a port says to who is there; waits until something answers.
#[track_caller]
fn fetch(lab: &Lab, from: &str, target: &str) -> String {
    lab.ok(&format!("{from} sealane fetch -W 60 '{target}'")).trim_end().to_owned()
}

/// Nothing answers: neither is the port open, nor does it let through what comes.
#[track_caller]
fn is_closed(lab: &Lab, from: &str, target: &str) {
    let said = lab.run(&format!("{from} sealane fetch -W 0.5 '{target}'"));
    assert_ne!(said.status, 0, "{from} reaches {target}: {said:#?}");
}

/// A server that has begun: its own address answers.
fn serve(lab: &Lab, name: &str, options: &str, port: &str) {
    lab.ok(&format!("sealane run -d --name {name} {options} -- sealane serve {port} i-am-{name}"));
    lab.soon(&format!("sealane logs {name} | grep -q listening"));
}

fn inspect(lab: &Lab, container: &str) -> Value {
    lab.run(&format!("sealane inspect {container}")).json()[0].clone()
}

/// The number of a port on the host, as docker's scripts cut it out.
fn number(lab: &Lab, container: &str, port: &str) -> String {
    let told = lab.ok(&format!("sealane port {container} {port}"));
    told.lines().next().unwrap().rsplit_once(':').unwrap().1.to_owned()
}

fn refused(said: &Said, words: &[&str]) {
    assert_eq!(said.status, 125, "{said:#?}");
    for word in words {
        assert!(said.stderr.contains(word), "{word} is not in {said:#?}");
    }
}

const OUTSIDE: &str = "sealane on outside";
const HERE: &str = "";

fn a_published_port_leads_to_the_container() {
    let lab = Lab::new();
    lab.ok("sealane network create --ipv6 test");
    serve(&lab, "web", "--network test -p 8080:80", "80");
    for target in ["192.0.2.1:8080", "[2001:db8::1]:8080"] {
        assert_eq!(fetch(&lab, OUTSIDE, target), "i-am-web");
        assert_eq!(fetch(&lab, HERE, target), "i-am-web");
    }
    assert_eq!(fetch(&lab, HERE, "127.0.0.1:8080"), "i-am-web");
    is_closed(&lab, OUTSIDE, "192.0.2.1:80");
    // The host's alone, not that of everything that it routes to.
    is_closed(&lab, HERE, "192.0.2.254:8080");
}

/// The kernel asks for a container's neighbour with the bridge's own address, and with none that may be somebody else's.
fn a_port_of_ipv6_is_ready_at_once() {
    let lab = Lab::new();
    lab.ok("sealane network create --ipv6 test -o com.docker.network.bridge.name=br0");
    serve(&lab, "web", "--network test -p 8080:80", "80");
    assert!(lab.ok("ip -6 address show dev br0").contains("fe80::"));
    assert_eq!(lab.ok("cat /proc/sys/net/ipv6/conf/br0/accept_dad"), "0\n", "nobody tests it");
    // A worker of the kernel's has to run to say so.
    lab.soon("test -z \"$(ip -6 address show dev br0 tentative)\"");
    assert_eq!(fetch(&lab, OUTSIDE, "[2001:db8::1]:8080"), "i-am-web");
}

fn the_container_sees_who_asks() {
    let lab = Lab::new();
    serve(&lab, "web", "-p 8080:80", "80");
    fetch(&lab, OUTSIDE, "192.0.2.1:8080");
    lab.soon("sealane logs web | grep -q '192.0.2.254 asked on port 80/tcp'");
}

fn udp_and_ranges_are_published_too() {
    let lab = Lab::new();
    lab.ok("sealane network create --ipv6 test");
    serve(&lab, "dns", "--network test -p 5353:53/udp -p 8000-8002:80-82", "53/udp");
    lab.ok("sealane exec -d dns sealane serve 80-82 range");
    for target in ["192.0.2.1:5353/udp", "[2001:db8::1]:5353/udp"] {
        assert_eq!(fetch(&lab, OUTSIDE, target), "i-am-dns");
    }
    assert_eq!(fetch(&lab, HERE, "127.0.0.1:5353/udp"), "i-am-dns");
    for port in 8000..=8002 {
        assert_eq!(fetch(&lab, OUTSIDE, &format!("192.0.2.1:{port}")), "range");
    }
    is_closed(&lab, OUTSIDE, "192.0.2.1:8003");
    is_closed(&lab, OUTSIDE, "192.0.2.1:5353");
}

fn a_port_of_one_address_is_there_alone() {
    let lab = Lab::new();
    lab.ok("ip address add 192.0.2.100/24 dev eth0");
    serve(&lab, "web", "-p 127.0.0.1:8080:80 -p 192.0.2.100:8081:80", "80");
    assert_eq!(fetch(&lab, HERE, "127.0.0.1:8080"), "i-am-web");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.100:8081"), "i-am-web");
    for closed in ["192.0.2.1:8080", "192.0.2.100:8080", "192.0.2.1:8081"] {
        is_closed(&lab, OUTSIDE, closed);
    }
    is_closed(&lab, HERE, "127.0.0.1:8081");
    // Somebody else on the link does not reach loopback addresses by us.
    lab.ok("sealane on outside ip route add 127.0.0.1/32 via 192.0.2.1 table 100 && \
            sealane on outside ip rule add dport 8080 lookup 100 priority 0");
    lab.ok("sealane on outside sysctl -qw net.ipv4.conf.lan0.route_localnet=1");
    is_closed(&lab, OUTSIDE, "127.0.0.1:8080");
}

fn a_port_that_nobody_has_is_found_and_told() {
    let lab = Lab::new();
    serve(&lab, "one", "-p 80", "80");
    serve(&lab, "two", "-p 127.0.0.1::80 -p 90-91/udp", "80");
    let (one, two) = (number(&lab, "one", "80"), number(&lab, "two", "80"));
    assert_ne!(one, two);
    assert_eq!(fetch(&lab, OUTSIDE, &format!("192.0.2.1:{one}")), "i-am-one");
    assert_eq!(fetch(&lab, HERE, &format!("127.0.0.1:{two}")), "i-am-two");
    is_closed(&lab, OUTSIDE, &format!("192.0.2.1:{two}"));
    assert_eq!(lab.ok("sealane port two 80"), format!("127.0.0.1:{two}\n"));
    assert_ne!(number(&lab, "two", "90/udp"), number(&lab, "two", "91/udp"));
    let ports = inspect(&lab, "one")["NetworkSettings"]["Ports"]["80/tcp"].clone();
    assert_eq!(ports, json!([{"HostIp": "0.0.0.0", "HostPort": one}]));
    let asked = inspect(&lab, "one")["HostConfig"]["PortBindings"]["80/tcp"].clone();
    assert_eq!(asked, json!([{"HostIp": "", "HostPort": ""}]));
}

fn of_a_range_the_first_free_port_is_taken_and_told() {
    let lab = Lab::new();
    lab.ok("sealane network create n1 && sealane network create n2");
    lab.ok(
        "sealane serve 8001 host > $TMPDIR/log & until grep -q listening $TMPDIR/log; do sleep 0.01; done",
    );
    serve(&lab, "one", "-p 8000-8010:80", "80");
    serve(&lab, "two", "--network n1 --network n2 -p 8000-8010:80 -p 127.0.0.1:8000-8010:53/udp", "80");
    assert_eq!(lab.ok("sealane port one"), "80/tcp -> 0.0.0.0:8000\n");
    assert_eq!(lab.ok("sealane port two"), "53/udp -> 127.0.0.1:8000\n80/tcp -> 0.0.0.0:8002\n");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8000"), "i-am-one");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8002"), "i-am-two");
    assert_eq!(fetch(&lab, HERE, "127.0.0.1:8001"), "host");
    is_closed(&lab, OUTSIDE, "192.0.2.1:8003");
    let bound = |key: &str, name: &str| inspect(&lab, "two")[key][name]["80/tcp"].clone();
    assert_eq!(bound("HostConfig", "PortBindings"), json!([{"HostIp": "", "HostPort": "8000-8010"}]));
    assert_eq!(bound("NetworkSettings", "Ports"), json!([{"HostIp": "0.0.0.0", "HostPort": "8002"}]));
    // On the next network it stays the same, and is taken anew where it was free in between.
    lab.ok("sealane network disconnect n1 two");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8002"), "i-am-two");
    lab.ok("sealane rm -f one && sealane network disconnect n2 two && sealane network connect n1 two");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8000"), "i-am-two");
    assert_eq!(number(&lab, "two", "80"), "8000");
}

fn eleven_at_once_share_a_range_of_eleven_and_a_twelfth_is_told_who_has_it() {
    let lab = Lab::new();
    let run =
        |name: &str| format!("sealane run -d --name {name} -p 8000-8010:80 -- sealane serve 80 i-am-{name}");
    let all: Vec<String> = (0..11).map(|at| format!("web-{at}")).collect();
    let started: Vec<_> = all.iter().map(|name| format!("{} & p=\"$p $!\"", run(name))).collect();
    lab.ok(&format!("{}; for p in $p; do wait $p || exit 1; done", started.join("; ").replace("&;", "&")));
    let mut numbers = Vec::new();
    for name in &all {
        let number = number(&lab, name, "80");
        assert_eq!(fetch(&lab, OUTSIDE, &format!("192.0.2.1:{number}")), format!("i-am-{name}"));
        numbers.push(number.parse::<u16>().unwrap());
    }
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(8000..=8010), "{numbers:?}");
    let said = lab.run(&run("late"));
    refused(&said, &["Address already in use: all ports of 8000-8010/tcp are taken", "wider range"]);
    for name in &all {
        let words = format!("{} by {name}", number(&lab, name, "80"));
        assert!(said.stderr.contains(&words), "{words} is not in {said:#?}");
    }
    assert_eq!(lab.ok("sealane ps -aq").lines().count(), 11);
    lab.ok(&format!("sealane rm -f web-7 && {}", run("late")));
    assert_eq!(fetch(&lab, OUTSIDE, &format!("192.0.2.1:{}", number(&lab, "late", "80"))), "i-am-late");
}

fn on_the_hosts_network_a_range_is_the_containers_own_port() {
    let lab = Lab::new();
    let said = lab.run("sealane run -d --network host -p 8000-8010:80");
    refused(&said, &["cannot publish port 80", "on network \"host\" as one of the ports 8000-8010", "-p 80"]);
    lab.ok("sealane run -d --name web --network host -p 8000-8010:8005");
    assert!(lab.ok("sealane port web").starts_with("8005/tcp -> 0.0.0.0:8005\n"));
    refused(
        &lab.run("sealane run -d --network host -p 8000-8010:8005"),
        &["Address already in use", "8005/tcp", "web"],
    );
}

fn a_port_is_listed_where_it_is() {
    let lab = Lab::new();
    lab.ok("sealane network create --ipv6 test");
    lab.ok("sealane run -d --name web --network test -p 8080:80 -p 127.0.0.1:5353:53/udp");
    let expected = "53/udp -> 127.0.0.1:5353\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n";
    assert_eq!(lab.ok("sealane port web"), expected);
    let listed = "127.0.0.1:5353->53/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp";
    assert!(lab.ok("sealane ps").contains(listed));
    // A container without IPv6 is not behind a port of IPv6.
    lab.ok("sealane run -d --name four -p 8081:80");
    assert_eq!(lab.ok("sealane port four"), "80/tcp -> 0.0.0.0:8081\n");
}

fn a_port_that_a_container_has_is_refused_and_its_holder_named() {
    let lab = Lab::new();
    serve(&lab, "web-1", "-p 8080:80", "80");
    let said = lab.run("sealane run -d --name web-2 -p 8080:80");
    refused(&said, &["Address already in use", "8080/tcp", "web-1"]);
    assert!(said.stdout.is_empty(), "{said:#?}");
    refused(&lab.run("sealane run -d --name web-2 -p 127.0.0.1:8080:80"), &["8080/tcp", "web-1"]);
    refused(&lab.run("sealane run -d --name web-2 --network host -p 8080"), &["8080/tcp", "web-1"]);
    // Nothing of them stays, and the first is as it was.
    assert_eq!(lab.ok("sealane ps -aq").lines().count(), 1);
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "i-am-web-1");
    lab.ok("sealane run -d --name web-2 -p 8080:80/udp -p 8081:80");
}

fn a_port_that_somebody_listens_on_is_refused() {
    let lab = Lab::new();
    lab.ok(
        "sealane serve 8080 host > $TMPDIR/log & until grep -q listening $TMPDIR/log; do sleep 0.01; done",
    );
    refused(&lab.run("sealane run -d --name web -p 8080:80"), &["Address already in use", "8080/tcp"]);
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "host");
    lab.ok("sealane run -d --name web -p 8080:80/udp");
}

fn the_loopback_address_of_ipv6_is_refused_with_the_reason() {
    let lab = Lab::new();
    lab.ok("sealane network create --ipv6 test");
    refused(&lab.run("sealane run -d --network test -p [::1]:8080:80"), &["::1"]);
    assert_eq!(lab.ok("sealane ps -aq"), "");
}

fn an_address_that_the_host_does_not_have_is_refused() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 --subnet fd01::/64");
    for (address, family) in [("192.0.2.77", "ipv4"), ("[2001:db8::77]", "ipv6")] {
        let run = format!("sealane run -d --network test -p {address}:8080:80 -- sealane serve 80 here");
        let address = address.trim_matches(['[', ']']);
        refused(&lab.run(&run), &[address, "80/tcp", "assign requested address", family]);
        assert_eq!(lab.ok("sealane ps -aq"), "");
        lab.ok(&format!("echo 1 > /proc/sys/net/{family}/ip_nonlocal_bind"));
        lab.ok(&run);
        lab.ok("sealane rm -f $(sealane ps -q)");
        lab.ok(&format!("echo 0 > /proc/sys/net/{family}/ip_nonlocal_bind"));
    }
    // The bridge goes with its last container, and comes with its first.
    lab.ok("ip link delete $(ip -brief address | sed -n '/10.1.0.1/s/ .*//p')");
    serve(&lab, "web", "--network test -p 10.1.0.1:8080:80", "80");
    assert_eq!(fetch(&lab, HERE, "10.1.0.1:8080"), "i-am-web");
}

fn a_container_reaches_itself_and_its_neighbours_by_their_ports() {
    let lab = Lab::new();
    lab.ok("sealane network create --ipv6 test");
    serve(&lab, "web", "--network test -p 8080:80", "80");
    lab.ok("sealane run -d --name cat --network test");
    for target in ["192.0.2.1:8080", "[2001:db8::1]:8080"] {
        for from in ["web", "cat"] {
            assert_eq!(fetch(&lab, &format!("sealane exec {from}"), target), "i-am-web", "{from}");
        }
    }
}

fn a_published_port_is_for_other_networks_too() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 && sealane network create stage");
    serve(&lab, "web", "--network test -p 8080:80", "80-81");
    lab.ok("sealane run -d --name cat --network stage");
    assert_eq!(fetch(&lab, "sealane exec cat", "192.0.2.1:8080"), "i-am-web");
    is_closed(&lab, "sealane exec cat", "10.1.0.2:80");
    is_closed(&lab, "sealane exec cat", "10.1.0.2:81");
}

fn of_two_networks_the_first_publishes_and_then_the_second() {
    let lab = Lab::new();
    lab.ok(
        "sealane network create n1 --subnet 10.1.0.0/24 && sealane network create n2 --subnet 10.2.0.0/24",
    );
    serve(&lab, "web", "--network n1 --network n2 -p 8080:80 -p 81", "80-81");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "i-am-web");
    let random = number(&lab, "web", "81");
    assert_eq!(lab.ok("sealane port web 81").lines().count(), 1, "one number for both networks");
    lab.ok("sealane network disconnect n1 web");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "i-am-web");
    assert_eq!(number(&lab, "web", "81"), random);
    assert_eq!(fetch(&lab, OUTSIDE, &format!("192.0.2.1:{random}")), "i-am-web");
    // Now it is on one network again, and a third container cannot have the port, until that is over.
    refused(&lab.run("sealane run -d --name other -p 8080:80"), &["web"]);
    lab.ok("sealane network disconnect n2 web");
    assert_eq!(lab.ok("sealane port web"), "");
    lab.ok("sealane run -d --name other -p 8080:80");
}

fn a_network_that_is_connected_publishes_too() {
    let lab = Lab::new();
    lab.ok("sealane network create n1 && sealane network create n2");
    serve(&lab, "web", "--network n1 -p 8080:80 -p 81", "80-81");
    let random = number(&lab, "web", "81");
    lab.ok("sealane network connect n2 web && sealane network disconnect n1 web");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "i-am-web");
    assert_eq!(number(&lab, "web", "81"), random);
    assert_eq!(fetch(&lab, OUTSIDE, &format!("192.0.2.1:{random}")), "i-am-web");
    // What it is not told to publish it does not.
    lab.ok("sealane network disconnect n2 web && sealane network connect n1 web");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "i-am-web");
}

fn a_port_goes_with_its_container() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name first -p 9999:80 && sealane rm -f first");
    let before = lab.ok("nft list ruleset; find /run/sealane/ports /run/sealane/attachments | sort");
    serve(&lab, "web", "-p 8080:80 -p 53:53/udp -p 8000-8010", "80");
    fetch(&lab, OUTSIDE, "192.0.2.1:8080");
    lab.ok("sealane rm -f web");
    is_closed(&lab, OUTSIDE, "192.0.2.1:8080");
    let after = lab.ok("nft list ruleset; find /run/sealane/ports /run/sealane/attachments | sort");
    assert_eq!(before, after);
    serve(&lab, "next", "-p 8080:80", "80");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "i-am-next");
}

fn a_killed_keepers_port_can_be_had_again() {
    let lab = Lab::new();
    lab.ok("sealane run --name dead -p 8080:80 -- sh -c 'touch $TMPDIR/up; sleep 1000' & echo $! > $TMPDIR/keeper");
    lab.soon("test -e $TMPDIR/up");
    lab.ok("kill -9 $(cat $TMPDIR/keeper)");
    lab.soon("sealane ps -a | grep Dead");
    assert_eq!(lab.ok("sealane port dead"), "");
    serve(&lab, "web", "-p 8080:80", "80");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "i-am-web");
    lab.ok("sealane rm dead");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "i-am-web", "the port is not the dead one's any more");
}

fn containers_reach_the_outside_by_the_hosts_address() {
    let lab = Lab::new();
    lab.ok("sealane network create --ipv6 test && sealane run -d --name cat --network test");
    lab.ok("sealane on outside sealane serve 7 outside > $TMPDIR/log & true");
    for (target, source) in [("198.51.100.1:7", "192.0.2.1"), ("[2001:db8:1::1]:7", "2001:db8::1")] {
        assert_eq!(fetch(&lab, "sealane exec cat", target), "outside");
        let log = lab.ok("cat $TMPDIR/log");
        assert!(log.contains(&format!("\n{source} asked")), "{log}");
    }
}

fn without_masquerade_they_keep_their_own() {
    let lab = Lab::new();
    lab.ok("sealane network create --subnet 10.1.0.0/24 -o com.docker.network.bridge.enable_ip_masquerade=false test");
    lab.ok("sealane run -d --name cat --network test");
    lab.ok("sealane on outside ip route add 10.1.0.0/24 via 192.0.2.1");
    lab.ok("sealane on outside sealane serve 7 outside > $TMPDIR/log & true");
    assert_eq!(fetch(&lab, "sealane exec cat", "198.51.100.1:7"), "outside");
    let log = lab.ok("cat $TMPDIR/log");
    assert!(log.contains("\n10.1.0.2 asked"), "{log}");
}

fn the_way_out_of_many_networks_is_the_first() {
    let lab = Lab::new();
    lab.ok("for n in 1 2 3; do sealane network create n$n --subnet 10.$n.0.0/24 --subnet fd0$n::/64; done");
    lab.ok("sealane run -d --name cat --network n2 --network n3 --network n1");
    let way = |target: &str| lab.ok(&format!("sealane exec cat ip route get {target}"));
    let goes_by = |gateway: &str, six: &str| {
        assert!(way("198.51.100.1").contains(&format!("via {gateway} ")), "{}", way("198.51.100.1"));
        assert!(way("2001:db8:1::1").contains(&format!("via {six} ")), "{}", way("2001:db8:1::1"));
        lab.ok("sealane exec cat ping -n -c 1 -w 10 198.51.100.1");
        lab.ok("sealane exec cat ping -n -c 1 -w 10 2001:db8:1::1");
    };
    goes_by("10.2.0.1", "fd02::1");
    lab.ok("sealane network disconnect n2 cat");
    goes_by("10.3.0.1", "fd03::1");
    lab.ok("sealane network disconnect n3 cat");
    goes_by("10.1.0.1", "fd01::1");
}

fn networks_are_apart_by_the_packet_filter() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 --subnet fd01::/64");
    lab.ok("sealane network create stage --subnet 10.2.0.0/24 --subnet fd02::/64");
    serve(&lab, "cat", "--network test", "80");
    serve(&lab, "bobcat", "--network stage", "80");
    // There is a way, and it is barred: root in the container cannot change that.
    lab.ok("sealane exec bobcat ip route add 10.1.0.0/24 via 10.2.0.1");
    lab.ok("sealane exec bobcat ip route add fd01::/64 via fd02::1");
    for (from, address) in
        [("bobcat", "10.1.0.2"), ("bobcat", "fd01::2"), ("cat", "10.2.0.2"), ("cat", "fd02::2")]
    {
        let said = lab.run(&format!("sealane exec {from} ping -n -c 1 -W 1 {address}"));
        assert_ne!(said.status, 0, "{said:#?}");
    }
    is_closed(&lab, "sealane exec bobcat", "10.1.0.2:80");
    is_closed(&lab, "sealane exec bobcat", "[fd01::2]:80");
    // It is the filter, and nothing else.
    lab.ok("nft flush ruleset");
    assert_eq!(fetch(&lab, "sealane exec bobcat", "10.1.0.2:80"), "i-am-cat");
    assert_eq!(fetch(&lab, "sealane exec bobcat", "[fd01::2]:80"), "i-am-cat");
}

fn an_internal_network_is_shut_both_ways() {
    let lab = Lab::new();
    lab.ok("sealane network create --internal inside --subnet 10.1.0.0/24 && sealane network create test");
    serve(&lab, "cat", "--network inside", "80");
    serve(&lab, "dog", "--network inside", "80");
    serve(&lab, "bird", "--network test", "80");
    assert_eq!(fetch(&lab, "sealane exec dog", "cat:80"), "i-am-cat");
    assert_eq!(fetch(&lab, HERE, "10.1.0.2:80"), "i-am-cat", "the host is no way out, but may come in");
    assert_eq!(lab.ok("sealane exec cat ip route show default"), "");
    lab.ok("sealane exec cat ip route add default via 10.1.0.1");
    lab.ok("sealane on outside ip route add 10.1.0.0/24 via 192.0.2.1");
    for target in ["192.0.2.254", "198.51.100.1"] {
        let said = lab.run(&format!("sealane exec cat ping -n -c 1 -W 1 {target}"));
        assert_ne!(said.status, 0, "{said:#?}");
    }
    is_closed(&lab, OUTSIDE, "10.1.0.2:80");
    is_closed(&lab, "sealane exec bird", "10.1.0.2:80");
}

/// Whether `br_netfilter` shows what bridges forward to the host's filters or not.
fn without_icc_nobody_talks_but_by_published_ports() {
    for bridged in ["0", "1"] {
        let lab = Lab::new();
        let set = "for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $f ] || echo";
        lab.ok(&format!("{set} {bridged} > $f; done"));
        let apart = "-o com.docker.network.bridge.enable_icc=false";
        lab.ok(&format!(
            "sealane network create --subnet 10.1.0.0/24 --ipv6 --subnet fd01::/64 {apart} test"
        ));
        serve(&lab, "cat", "--network test -p 8080:80", "80");
        serve(&lab, "owl", "--network test -p 8053:53/udp", "53/udp");
        lab.ok("sealane run -d --name dog --network test");
        let closed = || {
            for target in ["10.1.0.2:80", "[fd01::2]:80", "10.1.0.3:53/udp", "[fd01::3]:53/udp"] {
                is_closed(&lab, "sealane exec dog", target);
            }
        };
        let detours = ["10.1.0.2/31 via 10.1.0.1", "fd01::2/127 via fd01::1"];
        let route = |verb| detours.map(|it| lab.ok(&format!("sealane exec dog ip route {verb} {it}")));
        closed();
        route("add");
        closed();
        // Nor is there a way for what needs no answer.
        assert!(!lab.ok("sealane logs cat; sealane logs owl").contains("asked"));
        route("del");
        for address in ["192.0.2.1", "10.1.0.1", "[fd01::1]"] {
            assert_eq!(fetch(&lab, "sealane exec dog", &format!("{address}:8080")), "i-am-cat");
            assert_eq!(fetch(&lab, "sealane exec dog", &format!("{address}:8053/udp")), "i-am-owl");
        }
        assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8053/udp"), "i-am-owl");
        lab.ok("sealane exec dog ping -n -c 1 -w 10 198.51.100.1");
    }
}

/// As a version before published ports has written it.
fn networks_of_earlier_versions_go_on() {
    let lab = Lab::new();
    let list = json!({"cniVersion": "1.1.0", "name": "old", "sealane": {"id": "0".repeat(64), "driver": "bridge"},
        "plugins": [{"type": "bridge", "bridge": "br-000000000000", "isGateway": true, "hairpinMode": true,
            "capabilities": {"ips": true, "mac": true},
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24", "gateway": "10.9.0.1"}]]}}]});
    lab.ok(&format!("mkdir -p /etc/cni/net.d; echo '{list}' > /etc/cni/net.d/sealane-old.conflist"));
    lab.ok("sealane network create test");
    serve(&lab, "cat", "--network old --ip 10.9.0.9", "80");
    assert_eq!(fetch(&lab, "sealane run --rm --network old --", "cat:80"), "i-am-cat");
    refused(
        &lab.run("sealane run --network old -p 8080:80 -- true"),
        &["old", "`sealane network create old`"],
    );
    // Beside a new one it publishes there.
    serve(&lab, "dog", "--network old --network test -p 8080:80", "80");
    assert_eq!(fetch(&lab, OUTSIDE, "192.0.2.1:8080"), "i-am-dog");
    lab.ok("sealane network disconnect old cat && sealane network connect test cat");
    lab.ok("sealane rm -f cat dog && sealane network rm old test");
}

fn the_reference_plugins_take_our_networks() {
    let Some(theirs) = Binaries::reference() else { return };
    let lab = Lab::new();
    let theirs = theirs.dir().display().to_string();
    for (name, options) in [
        ("test", "--ipv6"),
        ("inside", "--internal"),
        ("apart", "-o com.docker.network.bridge.enable_icc=false"),
    ] {
        lab.ok(&format!("sealane network create {options} {name}"));
        lab.ok(&format!("ip netns add {name}"));
        let on = format!("/etc/cni/net.d/sealane-{name}.conflist {name} /run/netns/{name}");
        let ports = r#"{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}"#;
        let with = |verb: &str| format!("CNI_PATH={theirs} CAP_ARGS='{ports}' sealane {verb} {on}");
        let result = lab.run(&with("add")).json();
        assert_eq!(result["ips"].as_array().unwrap().len(), if name == "test" { 2 } else { 1 }, "{result:#}");
        lab.ok(&with("check"));
        lab.ok(&with("del"));
    }
}
