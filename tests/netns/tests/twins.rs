//! One configuration given to two suites, in twin namespaces: what each leaves in the kernel, answers and says to CHECK.
//!
//! A row is a chain of plugins with what is there before. What differs must be among the row's differences, each of which is still
//! one, and has its reason in `docs/differences.md` under the words that are named here. The reference plugins (1.9) are in the directory that
//! `SEALANE_REFERENCE_BIN` names.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test without libtest's attribute"
)]
mod twin;

use libtest_mimic::Trial;
use netlab::with;
use serde_json::{Value, json};
use twin::{Difference, Row};

fn main() -> std::process::ExitCode {
    let groups = [
        bridges(),
        ipam(),
        chained(),
        tuned(),
        bandwidths(),
        macvlans(),
        ptps(),
        devices(),
        taps(),
        links_of_drivers(),
    ];
    let trials = groups.into_iter().flatten().collect();
    netlab::main(netlab::beside_the_reference(trials).collect())
}

/// Of drivers that a kernel may lack.
fn links_of_drivers() -> Vec<Trial> {
    let dummies = netlab::trials![a_link_of_dummy, a_link_of_dummy_with_static_addresses];
    let vlans =
        netlab::trials![a_link_of_vlan, a_link_of_vlan_with_every_key, a_link_of_vlan_with_static_addresses];
    let ipvlans = netlab::trials![
        a_link_of_ipvlan,
        a_link_of_ipvlan_in_each_mode,
        a_link_of_ipvlan_in_a_container,
        a_link_of_ipvlan_by_the_default_route,
        a_link_of_ipvlan_with_static_addresses,
    ];
    let vrfs = netlab::trials![a_link_of_vrf_behind_a_bridge, a_link_of_vrf_of_a_table];
    let of_drivers = [("dummy", dummies), ("vlan", vlans), ("ipvlan", ipvlans), ("vrf", vrfs)].into_iter();
    let of_drivers = of_drivers.flat_map(|(driver, trials)| netlab::with_links_of(driver, trials));
    of_drivers.chain(bridges_with_vlans()).collect()
}

fn bridges_with_vlans() -> Vec<Trial> {
    let trials = netlab::trials![
        a_link_of_bridge_in_a_vlan,
        a_link_of_bridge_in_a_trunk,
        a_link_of_bridge_in_a_vlan_and_a_trunk,
        a_link_of_bridge_in_a_vlan_with_a_gateway,
    ];
    let able = netlab::bridges_know_vlans();
    if !able {
        eprintln!("skipped: kernel lacks VLANs of bridges");
    }
    trials.into_iter().map(|trial| trial.with_ignored_flag(!able)).collect()
}

fn bridges() -> Vec<Trial> {
    netlab::trials![
        a_bridge_with_a_gateway,
        a_bridge_of_two_families,
        a_bridge_without_addresses,
        a_loopback,
        a_bridge_with_addresses_of_its_own,
        a_bridge_that_masquerades,
        a_bridge_that_masquerades_by_nftables,
        a_bridge_that_is_promiscuous,
        a_bridge_whose_port_is_isolated,
        a_bridge_that_lets_the_kernel_test,
        a_bridge_whose_interface_stays_down,
        a_bridge_that_checks_macs,
        a_bridge_with_a_mac_by_arguments,
        a_bridge_with_a_mac_by_args,
        a_bridge_with_dns,
    ]
}

fn ipam() -> Vec<Trial> {
    netlab::trials![
        routes_of_every_kind,
        addresses_of_two_pools,
        addresses_asked_for_by_arguments,
        addresses_asked_for_by_args,
        addresses_asked_for_by_the_runtime,
        ranges_of_the_runtimes,
        static_addresses,
        static_addresses_by_arguments,
        static_addresses_by_args,
        static_addresses_by_the_runtime,
    ]
}

fn chained() -> Vec<Trial> {
    netlab::trials![
        ports,
        ports_by_iptables,
        ports_without_snat,
        ports_of_one_family,
        ports_under_conditions,
        ports_that_are_all_masqueraded,
        no_ports,
        a_firewall_that_is_open,
        a_firewall_around_a_bridge,
        a_firewall_around_a_container,
        a_firewall_by_iptables,
        a_firewall_twice,
        ports_twice,
        ports_under_two_conditions,
    ]
}

fn tuned() -> Vec<Trial> {
    netlab::trials![
        a_tuned_bridge,
        a_bridge_tuned_by_args,
        a_bridge_with_routes_by_source,
        a_bridge_with_rules_for_a_table,
        a_bridge_with_a_mac_of_the_runtimes,
        a_bridge_that_is_left_as_it_is,
        a_bridge_tuned_twice,
        a_bridge_with_a_parameter_set_twice,
        a_bridge_with_rules_for_two_tables,
        a_bridge_with_routes_by_source_and_rules_for_a_table,
        a_bridge_with_rules_for_one_table_twice,
        a_ptp_with_routes_by_source,
    ]
}

fn bandwidths() -> Vec<Trial> {
    netlab::trials![
        rates_both_ways,
        rates_of_the_runtimes,
        a_rate_to_the_container,
        a_rate_from_the_container,
        no_rates,
        rates_behind_a_ptp,
        a_use_for_each_way,
        a_use_for_each_way_the_other_way_round,
    ]
}

fn macvlans() -> Vec<Trial> {
    netlab::trials![
        a_macvlan_of_two_families,
        a_macvlan_with_every_key,
        a_macvlan_that_is_its_parent,
        a_macvlan_in_the_container,
        a_macvlan_of_each_mode,
        a_macvlan_by_the_default_route,
        a_macvlan_by_the_containers_default_route,
        a_macvlan_with_static_addresses,
        a_macvlan_with_a_mac_of_the_runtimes,
        a_macvlan_with_a_mac_by_arguments,
    ]
}

fn ptps() -> Vec<Trial> {
    netlab::trials![
        a_ptp_of_one_family,
        a_ptp_of_two_families,
        a_ptp_that_masquerades,
        a_ptp_that_masquerades_by_iptables,
        a_ptp_with_static_addresses,
        a_ptp_with_ports,
    ]
}

fn devices() -> Vec<Trial> {
    netlab::trials![
        a_device_of_the_host,
        a_device_of_the_host_without_addresses,
        a_device_by_its_hardware_address,
    ]
}

fn taps() -> Vec<Trial> {
    netlab::with_tap_devices(netlab::trials![
        a_tap_without_addresses,
        a_tap_with_an_address_on_a_bridge,
        a_tap_of_two_families,
        a_tap_with_static_addresses,
        a_tap_of_an_owner_and_a_group,
    ])
}

/// What is different with a bridge, if it is there.
const BRIDGE: &[Difference] = &[
    ("sysctl ipv6/conf/b0/accept_dad ", "usable at once"),
    ("address b0 fd01::1/64 nodad ", "usable at once"),
    ("64 nodad ", "ADD never waits"),
    ("sysctl ipv6/conf/eth0/accept_dad ", "only where it has an IPv6 address"),
    ("after DEL host link b0 address ", "keeps its MAC address"),
    METRICS,
];
/// The same with `macvlan`.
const MACVLAN: &[Difference] =
    &[("sysctl ipv6/conf/eth0/optimistic_dad ", "are tested while they are used already"), METRICS];
/// The same with `ptp`.
const PTP: &[Difference] = &[
    (" noprefixroute ", "`noprefixroute`"),
    ("64 nodad ", "ADD never waits"),
    ("128 nodad ", "usable at once (`nodad`)"),
    ("sysctl ipv6/conf/eth0/accept_dad ", "follows `dad`"),
    METRICS,
];
const METRICS: Difference = (" metrics of route ", "what the result says should be true");

fn a_bridge_with_a_gateway() {
    let keys = json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "hairpinMode": true, "mtu": 1400,
        "ipam": v4()});
    let untouched = ("sysctl ipv6/conf/eth0/accept_dad ", "only where it has an IPv6 address");
    Row::new(json!([keys])).may(BRIDGE).but(&[untouched]).compare();
}

fn a_bridge_of_two_families() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": both()}]))
        .may(BRIDGE)
        .but(&[("address b0 fd01::1/64 ", "usable at once"), ("address eth0 fd01::2/64 ", "ADD never waits")])
        .compare();
}

fn a_bridge_without_addresses() {
    Row::new(json!([{"type": "bridge", "bridge": "b0"}]))
        .may(BRIDGE)
        .but(&[
            ("after DEL host link b0 address ", "keeps its MAC address"),
            (" CHECK ", "no plugin name provided"),
        ])
        .compare();
}

fn a_loopback() {
    Row::new(json!([{"type": "loopback"}])).compare();
}

/// What is different with `tuning`, and with `sbr`.
const TUNED: &[Difference] = &[("after DEL container sysctl core/somaxconn ", "have their former values")];
const SBR: &[Difference] = &[("after ADD CHECK ", "finds its routes in the table")];

fn bridge_and(plugin: &Value) -> Row {
    bridge_and_all(std::slice::from_ref(plugin))
}

fn bridge_and_all(plugins: &[Value]) -> Row {
    let bridge = json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": v4()});
    Row::new(json!([&[bridge], plugins].concat())).may(BRIDGE)
}

fn tuning() -> Value {
    json!({"mac": "02:00:00:00:00:07", "mtu": 1400, "txQLen": 9, "promisc": true, "allmulti": true,
        "sysctl": {"net.core.somaxconn": "77", "net.ipv4.conf.IFNAME.rp_filter": "2"}})
}

fn a_tuned_bridge() {
    bridge_and(&with(&tuning(), "type", &json!("tuning"))).but(TUNED).compare();
}

fn a_bridge_tuned_by_args() {
    bridge_and(&json!({"type": "tuning", "sysctl": {}, "mtu": 1300, "args": {"cni": tuning()}}))
        .but(TUNED)
        .compare();
}

fn a_bridge_with_routes_by_source() {
    bridge_and(&json!({"type": "sbr"})).but(SBR).compare();
}

fn a_bridge_with_rules_for_a_table() {
    bridge_and(&json!({"type": "sbr", "table": 777})).compare();
}

fn a_bridge_with_a_mac_of_the_runtimes() {
    bridge_and(&json!({"type": "tuning", "runtimeConfig": {"mac": "02:00:00:00:00:07"}})).compare();
}

fn a_bridge_tuned_twice() {
    let two = [
        json!({"type": "tuning", "mtu": 1400, "sysctl": {"net.core.somaxconn": "77"}}),
        json!({"type": "tuning", "mac": "c2:00:00:00:00:01", "sysctl": {"net.ipv4.conf.IFNAME.rp_filter": "2"}}),
    ];
    bridge_and_all(&two).but(TUNED).compare();
}

/// The CHECK of the first misses its value.
fn a_bridge_with_a_parameter_set_twice() {
    let one = |value: &str| json!({"type": "tuning", "sysctl": {"net.core.somaxconn": value}});
    let checks = ("after ADD CHECK ", "names each difference");
    bridge_and_all(&[one("77"), one("78")]).but(TUNED).but(&[checks]).compare();
}

fn a_bridge_with_rules_for_two_tables() {
    bridge_and_all(&[json!({"type": "sbr", "table": 777}), json!({"type": "sbr", "table": 778})]).compare();
}

fn a_bridge_with_routes_by_source_and_rules_for_a_table() {
    bridge_and_all(&[json!({"type": "sbr"}), json!({"type": "sbr", "table": 778})]).but(SBR).compare();
}

fn a_bridge_with_rules_for_one_table_twice() {
    let one = json!({"type": "sbr", "table": 777});
    let rule = ("after ADD container rule ", "is made once");
    bridge_and_all(&[one.clone(), with(&one, "because", &json!("somebody likes it"))]).but(&[rule]).compare();
}

fn a_bridge_that_is_left_as_it_is() {
    bridge_and(&json!({"type": "tuning"})).compare();
}

fn a_ptp_with_routes_by_source() {
    Row::new(json!([{"type": "ptp", "ipam": both()}, {"type": "sbr"}])).may(PTP).but(SBR).compare();
}

fn a_bridge_with_addresses_of_its_own() {
    let keys = json!({"type": "bridge", "bridge": "b0", "isGateway": true, "forceAddress": true, "mtu": 1400, "ipam": both()});
    Row::new(json!([keys]))
        .on_host(&[
            "link add b0 mtu 1450 type bridge",
            "addr add 10.1.0.254/24 dev b0",
            "addr add 192.0.2.1/24 dev b0",
            "addr add fd01::fe/64 dev b0 nodad",
        ])
        .may(BRIDGE)
        .compare();
}

fn a_bridge_that_masquerades() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "isGateway": true, "ipMasq": true, "ipam": both()}]))
        .may(BRIDGE)
        .compare();
}

fn a_bridge_that_masquerades_by_nftables() {
    let keys = json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
        "ipam": v4()});
    Row::new(json!([keys])).may(BRIDGE).but(&[(" DEL ", "no such chain")]).compare();
}

fn a_bridge_that_is_promiscuous() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "promiscMode": true, "ipam": v4()}]))
        .may(BRIDGE)
        .compare();
}

fn a_bridge_whose_port_is_isolated() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "portIsolation": true, "ipam": v4()}]))
        .may(BRIDGE)
        .compare();
}

fn a_bridge_that_lets_the_kernel_test() {
    Row::new(
        json!([{"type": "bridge", "bridge": "b0", "isGateway": true, "enabledad": true, "ipam": both()}]),
    )
    .may(BRIDGE)
    .compare();
}

fn a_bridge_whose_interface_stays_down() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "disableContainerInterface": true}]))
        .may(BRIDGE)
        .but(&[(" CHECK ", "no plugin name provided")])
        .compare();
}

fn a_bridge_that_checks_macs() {
    let keys = json!({"type": "bridge", "bridge": "b0", "macspoofchk": true, "ipam": v4(),
        "runtimeConfig": {"mac": "02:00:00:00:00:07"}});
    Row::new(json!([keys])).may(BRIDGE).compare();
}

fn a_bridge_with_a_mac_by_arguments() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "ipam": v4()}]))
        .arguments("IgnoreUnknown=1;MAC=02:00:00:00:00:07")
        .may(BRIDGE)
        .compare();
}

fn a_bridge_with_a_mac_by_args() {
    let keys = json!({"type": "bridge", "bridge": "b0", "ipam": v4(), "args": {"cni": {"mac": "02:00:00:00:00:07"}}});
    Row::new(json!([keys])).may(BRIDGE).compare();
}

fn a_bridge_with_dns() {
    let dns = json!({"nameservers": ["10.1.0.53"], "domain": "local", "search": ["a.local"], "options": ["ndots:2"]});
    Row::new(json!([{"type": "bridge", "bridge": "b0", "dns": dns, "ipam": v4()}])).may(BRIDGE).compare();
}

fn routes_of_every_kind() {
    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24", "gateway": "10.1.0.254"}], [{"subnet": "fd01::/64"}]],
        "routes": [{"dst": "10.2.0.0/16"}, {"dst": "10.3.0.0/16", "gw": "10.1.0.77"}, {"dst": "10.4.0.0/16", "priority": 77},
            {"dst": "10.5.0.0/16", "table": 123},
            {"dst": "fd02::/64"}, {"dst": "fd03::/64", "gw": "fd01::77", "priority": 78, "table": 124}]});
    Row::new(json!([{"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipam": ipam}]))
        .may(BRIDGE)
        .but(&[(" CHECK ", "in another table")])
        .compare();
}

fn addresses_of_two_pools() {
    let ranges = json!([[{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/24", "rangeStart": "10.2.0.20", "rangeEnd": "10.2.0.30"}],
        [{"subnet": "10.3.0.0/24", "rangeStart": "10.3.0.9", "gateway": "10.3.0.254"}]]);
    Row::new(json!([{"type": "bridge", "bridge": "b0", "ipam": {"type": "host-local", "ranges": ranges}}]))
        .may(BRIDGE)
        .compare();
}

fn addresses_asked_for_by_arguments() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "ipam": v4()}]))
        .arguments("IgnoreUnknown=1;IP=10.1.0.77")
        .may(BRIDGE)
        .compare();
}

fn addresses_asked_for_by_args() {
    let args = json!({"cni": {"ips": ["10.1.0.77", "fd01::77"]}});
    Row::new(json!([{"type": "bridge", "bridge": "b0", "ipam": both(), "args": args}])).may(BRIDGE).compare();
}

fn addresses_asked_for_by_the_runtime() {
    let runtime = json!({"ips": ["10.1.0.77/24", "fd01::77"]});
    Row::new(json!([{"type": "bridge", "bridge": "b0", "ipam": both(), "runtimeConfig": runtime}]))
        .may(BRIDGE)
        .compare();
}

fn ranges_of_the_runtimes() {
    let runtime = json!({"ipRanges": [[{"subnet": "10.7.0.0/24", "rangeStart": "10.7.0.7"}], [{"subnet": "fd07::/64"}]]});
    Row::new(json!([{"type": "bridge", "bridge": "b0", "ipam": v4(), "runtimeConfig": runtime}]))
        .may(BRIDGE)
        .compare();
}

fn static_addresses() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": fixed()}]))
        .may(BRIDGE)
        .compare();
}

fn static_addresses_by_arguments() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "ipam": {"type": "static"}}]))
        .arguments("IgnoreUnknown=1;IP=10.1.0.8/24,fd01::8/64;GATEWAY=10.1.0.254")
        .may(BRIDGE)
        .compare();
}

fn static_addresses_by_args() {
    let args = json!({"cni": {"ips": ["10.1.0.9/24", "fd01::10/64"]}});
    Row::new(json!([{"type": "bridge", "bridge": "b0", "ipam": fixed(), "args": args}]))
        .may(BRIDGE)
        .compare();
}

fn static_addresses_by_the_runtime() {
    let runtime = json!({"ips": ["10.1.0.10/24", "fd01::a/64"]});
    Row::new(json!([{"type": "bridge", "bridge": "b0", "ipam": fixed(), "runtimeConfig": runtime}]))
        .may(BRIDGE)
        .compare();
}

/// Behind a bridge with a gateway of both families.
fn published(keys: &Value) -> Row {
    let bridge = json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": both()});
    Row::new(json!([bridge, keys])).may(BRIDGE)
        .ports(json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}, {"hostPort": 8053, "containerPort": 53, "protocol": "udp"},
            {"hostPort": 8081, "containerPort": 81, "protocol": "tcp", "hostIP": "127.0.0.1"}]))
}

fn ports() {
    published(&json!({"type": "portmap", "backend": "nftables"})).compare();
}

fn ports_by_iptables() {
    published(&json!({"type": "portmap", "backend": "iptables", "markMasqBit": 9})).compare();
}

fn ports_without_snat() {
    published(&json!({"type": "portmap", "snat": false})).compare();
}

fn ports_of_one_family() {
    published(&json!({"type": "portmap", "backend": "nftables"}))
        .ports(json!([{"hostPort": 8080, "containerPort": 80, "protocol": "sctp", "hostIP": "::"}]))
        .compare();
}

fn ports_under_conditions() {
    published(
        &json!({"type": "portmap", "backend": "nftables", "conditionsV4": ["ip saddr != 192.0.2.0/24"]}),
    )
    .compare();
}

fn ports_that_are_all_masqueraded() {
    published(&json!({"type": "portmap", "backend": "iptables", "masqAll": true})).compare();
}

fn no_ports() {
    published(&json!({"type": "portmap"})).ports(Value::Null).compare();
}

fn a_firewall_that_is_open() {
    published(&json!({"type": "firewall"})).compare();
}

fn a_firewall_around_a_bridge() {
    published(&json!({"type": "firewall", "ingressPolicy": "same-bridge"})).compare();
}

fn a_firewall_around_a_container() {
    published(&json!({"type": "firewall", "ingressPolicy": "isolated"})).compare();
}

fn a_firewall_by_iptables() {
    published(&json!({"type": "firewall", "backend": "iptables", "iptablesAdminChainName": "MINE"}))
        .compare();
}

fn a_firewall_twice() {
    let one = json!({"type": "firewall", "backend": "iptables", "ingressPolicy": "same-bridge"});
    let two =
        with(&with(&one, "ingressPolicy", &json!("isolated")), "iptablesAdminChainName", &json!("MINE"));
    bridge_and_all(&[one, two]).compare();
}

fn ports_twice() {
    let ports = json!({"type": "portmap", "backend": "iptables"});
    bridge_and_all(&[ports.clone(), with(&ports, "masqAll", &json!(true))]).ports(web()).compare();
}

fn ports_under_two_conditions() {
    let under = |from: &str| json!({"type": "portmap", "backend": "iptables", "conditionsV4": ["-s", from]});
    bridge_and_all(&[under("192.0.2.0/24"), under("198.51.100.0/24")]).ports(web()).compare();
}

fn web() -> Value {
    json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}])
}

/// What is different with an `ifb`.
const IFB: &[Difference] = &[
    ("link IFB0 txqlen ", "`txqlen`"),
    ("action order 2: mirred ", "of which the second is never reached"),
    ("index 2 ref 1 bind 1", "of which the second is never reached"),
];

/// Behind a bridge.
fn limited(keys: &Value) -> Row {
    let bridge = json!({"type": "bridge", "bridge": "b0", "ipam": v4()});
    Row::new(json!([bridge, with(keys, "type", &json!("bandwidth"))])).may(BRIDGE)
}

fn rates_both_ways() {
    limited(&json!({"ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 16_000_000, "egressBurst": 1_600_000}))
        .but(IFB)
        .compare();
}

fn a_use_for_each_way() {
    bridge_and_all(&[rate("ingress"), rate("egress")]).but(IFB).compare();
}

fn a_use_for_each_way_the_other_way_round() {
    bridge_and_all(&[rate("egress"), rate("ingress")]).but(IFB).compare();
}

fn rate(way: &str) -> Value {
    json!({"type": "bandwidth", format!("{way}Rate"): 8_000_000, format!("{way}Burst"): 800_000})
}

fn rates_of_the_runtimes() {
    let rates = json!({"ingressRate": 1_000_000, "ingressBurst": 4_294_967_295_u32, "egressRate": 1_000_000, "egressBurst": 4_294_967_295_u32});
    limited(&json!({"runtimeConfig": {"bandwidth": rates}})).but(IFB).compare();
}

fn a_rate_to_the_container() {
    limited(&json!({"ingressRate": 1_000_000_000, "ingressBurst": 80_000_000})).compare();
}

fn a_rate_from_the_container() {
    limited(&json!({"egressRate": 40_000_000_000_u64, "egressBurst": 80_000_000}))
        .but(IFB)
        .but(&[("queue qdisc tbf 1: dev IFB0 ", "a thousandth less")])
        .compare();
}

fn no_rates() {
    limited(&json!({"ingressRate": 0})).compare();
}

fn rates_behind_a_ptp() {
    let rates = json!({"type": "bandwidth", "ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 16_000_000, "egressBurst": 1_600_000});
    Row::new(json!([{"type": "ptp", "mtu": 1400, "ipam": v4()}, rates])).may(PTP).but(IFB).compare();
}

fn a_macvlan_of_two_families() {
    Row::new(json!([{"type": "macvlan", "master": "p0", "ipam": both()}]))
        .on_host(CABLE)
        .but(&[("sysctl ipv6/conf/eth0/optimistic_dad ", "ADD never waits")])
        .compare();
}

fn a_macvlan_with_every_key() {
    let keys = json!({"type": "macvlan", "master": "p0", "mode": "private", "mtu": 1400, "bcqueuelen": 7,
        "mac": "02:00:00:00:00:07", "dns": {"nameservers": ["10.1.0.53"]}});
    Row::new(json!([keys])).on_host(CABLE).compare();
}

fn a_macvlan_that_is_its_parent() {
    Row::new(json!([{"type": "macvlan", "master": "p0", "mode": "passthru", "ipam": v4()}]))
        .on_host(CABLE)
        .compare();
}

fn a_macvlan_in_the_container() {
    Row::new(json!([{"type": "macvlan", "master": "p0", "linkInContainer": true, "ipam": v4()}]))
        .inside(CABLE)
        .compare();
}

fn a_macvlan_of_each_mode() {
    for mode in ["bridge", "private", "vepa", "passthru"] {
        Row::new(json!([{"type": "macvlan", "master": "p0", "mode": mode, "ipam": v4()}]))
            .on_host(CABLE)
            .may(MACVLAN)
            .compare();
    }
}

fn a_macvlan_by_the_default_route() {
    Row::new(json!([{"type": "macvlan", "mtu": 1280, "ipam": v4()}])).on_host(ROUTED).may(MACVLAN).compare();
}

fn a_macvlan_by_the_containers_default_route() {
    Row::new(json!([{"type": "macvlan", "linkInContainer": true, "ipam": v4()}]))
        .inside(ROUTED)
        .may(MACVLAN)
        .compare();
}

fn a_macvlan_with_static_addresses() {
    Row::new(json!([{"type": "macvlan", "master": "p0", "ipam": fixed()}]))
        .on_host(CABLE)
        .may(MACVLAN)
        .but(&[(" result ", "lost unless the network has its own")])
        .compare();
}

fn a_macvlan_with_a_mac_of_the_runtimes() {
    let keys = json!({"type": "macvlan", "master": "p0", "mac": "02:00:00:00:00:06", "ipam": v4(),
        "runtimeConfig": {"mac": "02:00:00:00:00:07"}});
    Row::new(json!([keys]))
        .on_host(CABLE)
        .arguments("IgnoreUnknown=1;MAC=02:00:00:00:00:08")
        .may(MACVLAN)
        .compare();
}

fn a_macvlan_with_a_mac_by_arguments() {
    let keys = json!({"type": "macvlan", "master": "p0", "mac": "02:00:00:00:00:06", "ipam": v4()});
    Row::new(json!([keys]))
        .on_host(CABLE)
        .arguments("IgnoreUnknown=1;MAC=02:00:00:00:00:08")
        .may(MACVLAN)
        .compare();
}

fn a_ptp_of_one_family() {
    Row::new(json!([{"type": "ptp", "mtu": 1400, "ipam": v4()}])).may(PTP).compare();
}

fn a_ptp_of_two_families() {
    let addressed = [
        ("address eth0 fd01::2/64 noprefixroute ", "`noprefixroute`"),
        ("address END0 fd01::1/128 nodad ", "usable at once (`nodad`)"),
        ("sysctl ipv6/conf/eth0/accept_dad ", "follows `dad`"),
    ];
    Row::new(json!([{"type": "ptp", "ipam": both()}])).may(PTP).but(&addressed).compare();
}

fn a_ptp_that_masquerades() {
    Row::new(json!([{"type": "ptp", "ipMasq": true, "ipMasqBackend": "nftables", "ipam": v4()}]))
        .may(PTP)
        .but(&[(" DEL ", "no such chain")])
        .compare();
}

fn a_ptp_that_masquerades_by_iptables() {
    Row::new(json!([{"type": "ptp", "ipMasq": true, "ipMasqBackend": "iptables", "ipam": both()}]))
        .may(PTP)
        .compare();
}

fn a_ptp_with_static_addresses() {
    let ipam = with(
        &fixed(),
        "routes",
        &json!([{"dst": "0.0.0.0/0"}, {"dst": "fd02::/64", "gw": "fd01::1", "mtu": 1300}]),
    );
    let dns = json!({"nameservers": ["10.1.0.54"]});
    Row::new(json!([{"type": "ptp", "dns": dns, "ipam": ipam}])).may(PTP).compare();
}

fn a_ptp_with_ports() {
    Row::new(json!([{"type": "ptp", "ipam": v4()}, {"type": "portmap", "backend": "nftables"}]))
        .ports(json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]))
        .may(PTP)
        .compare();
}

/// A device that is up, and has addresses.
const DEVICE: &[&str] = &[
    "link add d0 address 02:00:00:00:00:0d type veth peer name p0 address 02:00:00:00:00:0e",
    "link set d0 mtu 1400 up",
    "link set p0 up",
    "addr add 10.5.0.1/24 dev d0",
];
/// How it is when it is back.
const BACK: &[Difference] = &[
    ("after DEL host link d0 flags ", "what was taken is given back"),
    ("after DEL host address d0 10.5.0.1/24 ", "what was taken is given back"),
    (r#""dev":"d0","table":"#, "what was taken is given back"),
];

/// Of its addresses in the container.
const ADDRESSED: &[Difference] = &[
    ("sysctl ipv4/conf/eth0/arp_notify ", "announces its IPv4 addresses whenever it comes up"),
    ("sysctl ipv6/conf/eth0/optimistic_dad ", "given up if another machine has one"),
];

fn a_device_of_the_host() {
    Row::new(json!([{"type": "host-device", "device": "d0", "ipam": both()}]))
        .on_host(DEVICE)
        .but(BACK)
        .but(ADDRESSED)
        .compare();
}

fn a_device_of_the_host_without_addresses() {
    Row::new(json!([{"type": "host-device", "device": "d0"}])).on_host(DEVICE).but(BACK).compare();
}

fn a_device_by_its_hardware_address() {
    let dns = json!({"nameservers": ["10.1.0.54"]});
    Row::new(json!([{"type": "host-device", "hwaddr": "02:00:00:00:00:0d", "dns": dns, "ipam": fixed()}]))
        .on_host(DEVICE)
        .but(BACK)
        .but(ADDRESSED)
        .may(&[METRICS])
        .compare();
}

fn a_link_of_bridge_in_a_vlan() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "vlan": 7, "ipam": v4()}])).may(BRIDGE).compare();
}

fn a_link_of_bridge_in_a_trunk() {
    let trunk = json!([{"minID": 100, "maxID": 102}, {"id": 200}]);
    Row::new(json!([{"type": "bridge", "bridge": "b0", "vlanTrunk": trunk, "ipam": v4()}]))
        .may(BRIDGE)
        .compare();
}

fn a_link_of_bridge_in_a_vlan_and_a_trunk() {
    let keys = json!({"type": "bridge", "bridge": "b0", "vlan": 7, "vlanTrunk": [{"id": 200}], "preserveDefaultVlan": true,
        "ipam": v4()});
    Row::new(json!([keys])).may(BRIDGE).compare();
}

fn a_link_of_bridge_in_a_vlan_with_a_gateway() {
    Row::new(json!([{"type": "bridge", "bridge": "b0", "vlan": 7, "isGateway": true, "ipam": both()}]))
        .may(BRIDGE)
        .but(&[
            ("after DEL host *b0.7", "goes with the last attachment"),
            ("after DEL host *END0", "goes with the last attachment"),
            ("ipv6/conf/b0.7/accept_ra ", "while IPv6 is not forwarded"),
            ("ipv6/conf/END1/accept_ra ", "while IPv6 is not forwarded"),
            ("link END1 txqlen ", "`txqlen`"),
        ])
        .compare();
}

fn a_link_of_dummy() {
    Row::new(json!([{"type": "dummy", "ipam": both()}]))
        .but(&[
            ("sysctl ipv4/conf/eth0/arp_notify ", "with what brings the interface up"),
            ("sysctl ipv6/conf/eth0/accept_dad ", "tests nothing on such a link"),
            ("address eth0 fd01::2/64 ", "ADD never waits"),
        ])
        .compare();
}

/// What `bridge` finds of its routes.
const VRF: &[Difference] = &[("after ADD CHECK ", "are in the VRF's table")];

fn a_link_of_vrf_behind_a_bridge() {
    let bridge = json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": both()});
    Row::new(json!([bridge, {"type": "vrf", "vrfname": "blue"}])).may(BRIDGE).but(VRF).compare();
}

fn a_link_of_vrf_of_a_table() {
    let bridge = json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipam": v4()});
    Row::new(json!([bridge, {"type": "vrf", "vrfname": "blue", "table": 1000}]))
        .may(BRIDGE)
        .but(VRF)
        .compare();
}

/// A cable of the host's, `p0`, to nowhere.
const CABLE: &[&str] = &["link add p0 type veth peer name q0", "link set p0 up", "link set q0 up"];

fn fixed() -> Value {
    json!({"type": "static", "addresses": [{"address": "10.1.0.7/24", "gateway": "10.1.0.1"}, {"address": "fd01::7/64", "gateway": "fd01::1"}],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "fd02::/64", "gw": "fd01::9", "mtu": 1300}],
        "dns": {"nameservers": ["10.1.0.53"], "search": ["b.local"]}})
}

/// The same, and the way out.
const ROUTED: &[&str] = &[
    "link add p0 type veth peer name q0",
    "link set p0 up",
    "link set q0 up",
    "addr add 192.0.2.2/24 dev p0",
    "route add default via 192.0.2.1",
];

fn a_link_of_dummy_with_static_addresses() {
    let addresses = json!([{"address": "10.1.0.7/32"}, {"address": "fd01::7/128"}]);
    Row::new(json!([{"type": "dummy", "dns": {"nameservers": ["10.1.0.53"]}, "ipam": {"type": "static", "addresses": addresses}}]))

        .but(&[
            ("sysctl ipv4/conf/eth0/arp_notify ", "with what brings the interface up"),
            ("sysctl ipv6/conf/eth0/accept_dad ", "tests nothing on such a link"),
            ("address eth0 fd01::7/128 nodad ", "ADD never waits"),
            (" result ", "is lost, the configuration's, too"),
            (" CHECK ", "Failed to find Gateway"),
        ])
        .compare();
}

fn a_link_of_vlan_with_static_addresses() {
    Row::new(json!([{"type": "vlan", "master": "p0", "vlanId": 7, "ipam": fixed()}]))
        .on_host(CABLE)
        .but(UNDER_PARENTS_MAC)
        .but(&[
            ("sysctl ipv4/conf/eth0/arp_notify ", "machines hear of the addresses when"),
            (" result ", "lost unless the network has its own"),
            METRICS,
        ])
        .compare();
}

fn a_tap_without_addresses() {
    Row::new(json!([{"type": "tap", "mac": "02:00:00:00:00:07", "mtu": 1400, "multiQueue": true}])).compare();
}

fn a_tap_with_an_address_on_a_bridge() {
    Row::new(json!([{"type": "tap", "bridge": "b0", "group": 0, "ipam": v4()}]))
        .inside(&["link add b0 type bridge"])
        .compare();
}

fn a_tap_of_two_families() {
    Row::new(json!([{"type": "tap", "owner": 0, "ipam": both()}])).but(TAP).compare();
}

/// What is different with a `tap` that has an IPv6 address.
const TAP: &[Difference] =
    &[("64 nodad ", "ADD never waits"), ("sysctl ipv6/conf/eth0/accept_dad ", "follows `dad`")];

fn a_tap_with_static_addresses() {
    let keys = json!({"type": "tap", "dns": {"nameservers": ["10.1.0.54"]}, "ipam": fixed(), "runtimeConfig": {"mac": "02:00:00:00:00:07"}});
    Row::new(json!([keys])).but(TAP).but(&[METRICS]).compare();
}

fn a_tap_of_an_owner_and_a_group() {
    Row::new(json!([{"type": "tap", "owner": 0, "group": 0, "mtu": 1400, "mac": "02:00:00:00:00:07"}]))
        .but(&[
            ("link eth0 address ", "`mac` and `mtu` are passed over"),
            ("mtu ", "`mac` and `mtu` are passed over"),
            (" result ", "`mac` and `mtu` are passed over"),
            ("info_data vnet_hdr ", "the device says `vnet_hdr on`"),
            ("info_data pi ", "the device says `vnet_hdr on`"),
        ])
        .compare();
}

/// What is different with a link that has its master's MAC address.
const UNDER_PARENTS_MAC: &[(&str, &str)] =
    &[("sysctl ipv6/conf/eth0/optimistic_dad ", "are tested while they are used already")];

fn a_link_of_vlan() {
    Row::new(json!([{"type": "vlan", "master": "p0", "vlanId": 7, "ipam": both()}]))
        .on_host(CABLE)
        .but(UNDER_PARENTS_MAC)
        .but(&[("sysctl ipv4/conf/eth0/arp_notify ", "machines hear of the addresses when")])
        .compare();
}

fn a_link_of_ipvlan() {
    Row::new(json!([{"type": "ipvlan", "master": "p0", "ipam": both()}]))
        .on_host(CABLE)
        .but(UNDER_PARENTS_MAC)
        .compare();
}

fn a_link_of_ipvlan_in_each_mode() {
    for mode in ["l2", "l3", "l3s"] {
        Row::new(json!([{"type": "ipvlan", "master": "p0", "mode": mode, "mtu": 1400, "ipam": v4()}]))
            .on_host(CABLE)
            .compare();
    }
}

fn a_link_of_ipvlan_by_the_default_route() {
    let keys = json!({"type": "ipvlan", "dns": {"nameservers": ["10.1.0.54"]}, "ipam": v4()});
    Row::new(json!([keys]))
        .on_host(ROUTED)
        .but(&[(" CHECK ", "CHECK in a chain, or without `master`")])
        .compare();
}

fn a_link_of_ipvlan_with_static_addresses() {
    Row::new(json!([{"type": "ipvlan", "master": "p0", "ipam": fixed()}]))
        .on_host(CABLE)
        .but(UNDER_PARENTS_MAC)
        .but(&[METRICS, (" result ", "lost unless the network has its own")])
        .compare();
}

fn a_link_of_ipvlan_in_a_container() {
    let keys =
        json!({"type": "ipvlan", "master": "p0", "linkInContainer": true, "dad": "on", "ipam": both()});
    Row::new(json!([keys])).inside(CABLE).compare();
}

fn a_link_of_vlan_with_every_key() {
    let keys = json!({"type": "vlan", "master": "p0", "vlanId": 4094, "mtu": 1400, "linkInContainer": true, "dad": "on", "ipam": both()});
    Row::new(json!([keys]))
        .inside(CABLE)
        .but(&[("sysctl ipv4/conf/eth0/arp_notify ", "machines hear of the addresses when")])
        .compare();
}

fn v4() -> Value {
    json!({"type": "host-local", "subnet": "10.1.0.0/24", "routes": [{"dst": "10.9.0.0/16"}]})
}

fn both() -> Value {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]})
}
