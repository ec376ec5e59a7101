//! What users of the reference plugins run into, a story each, named for what they would see: none of it happens here.
//!
//! Nothing is asked of a plugin but what any suite answers, so it can be another's: `SEALANE_CNI_BIN=DIR cargo test -p netlab --test defects`.
//! What the reference shows is in the list of `docs/differences.md`, "Defects".
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test without libtest's attribute"
)]
use libtest_mimic::Trial;
use netlab::{
    Container, Host, OUTSIDE, Protocol, Reply, add, address, cable, ip, reaches, serve, soon, with,
};
use serde_json::{Value, json};
use std::{net::UdpSocket, process::Command, time::Duration};

fn main() -> std::process::ExitCode {
    let trials = [bridges(), links(), taps(), links_of_drivers(), publishing(), forgotten()];
    netlab::main(trials.into_iter().flatten().collect())
}

fn bridges() -> Vec<Trial> {
    netlab::trials![
        a_container_that_died_is_no_longer_masqueraded,
        a_container_that_died_leaves_no_check_of_its_mac_address,
        a_full_pool_leaves_no_port_on_the_bridge,
        an_address_is_free_again_though_its_network_was_edited,
    ]
}

fn links() -> Vec<Trial> {
    netlab::trials![
        a_ptp_container_that_died_is_no_longer_masqueraded,
        a_ptp_container_whose_link_is_gone_is_no_longer_masqueraded,
        a_full_pool_leaves_no_macvlan,
        a_device_s_container_that_died_gives_its_address_back,
    ]
}

fn taps() -> Vec<Trial> {
    netlab::with_tap_devices(netlab::trials![a_full_pool_leaves_no_tap, gc_takes_a_forgotten_tap_away])
}

/// Of drivers that a kernel may lack.
fn links_of_drivers() -> Vec<Trial> {
    let vlans = netlab::trials![
        a_full_pool_leaves_no_link_of_vlan,
        an_address_is_free_again_though_the_master_of_a_link_of_vlan_is_gone,
        gc_takes_a_forgotten_link_of_vlan_away,
    ];
    let ipvlans = netlab::trials![
        a_full_pool_leaves_no_link_of_ipvlan,
        an_address_is_free_again_though_a_link_of_ipvlan_could_not_be_made,
        an_address_is_free_again_though_a_link_of_ipvlan_has_no_way_out,
        gc_takes_a_forgotten_link_of_ipvlan_away,
    ];
    let dummies = netlab::trials![gc_takes_a_forgotten_link_of_dummy_away];
    let vrfs = netlab::trials![gc_takes_a_forgotten_link_of_vrf_away];
    [("vlan", vlans), ("ipvlan", ipvlans), ("dummy", dummies), ("vrf", vrfs)]
        .into_iter()
        .flat_map(|(driver, trials)| netlab::with_links_of(driver, trials))
        .collect()
}

fn publishing() -> Vec<Trial> {
    netlab::trials![
        who_leaves_one_network_keeps_the_ports_of_the_other,
        a_port_of_ipv6_alone_changes_nothing_of_ipv4,
        what_was_added_by_hand_stays_when_another_container_comes,
        a_conversation_by_udp_goes_on_with_the_host_when_the_container_is_gone,
        two_interfaces_on_one_network_have_a_limit_each,
        limits_go_though_their_configuration_has_become_bad,
        nobody_is_isolated_from_a_network_that_is_gone,
        parameters_are_as_before_when_the_network_is_gone,
        parameters_that_the_runtime_asks_for_are_set,
    ]
}

fn forgotten() -> Vec<Trial> {
    netlab::trials![
        gc_takes_a_forgotten_container_off_its_bridge,
        gc_takes_a_forgotten_macvlan_away,
        gc_takes_a_forgotten_ptp_away,
        gc_gives_a_forgotten_device_back,
        gc_withdraws_forgotten_ports,
        gc_takes_a_forgotten_policy_away,
        gc_takes_a_forgotten_limit_away,
        gc_gives_forgotten_parameters_back,
        gc_takes_forgotten_rules_of_routing_away,
    ]
}

/// What there is one address of, 10.1.0.2.
fn one() -> Value {
    json!({"type": "host-local", "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.2", "rangeEnd": "10.1.0.2"})
}

fn is_held(host: &Host) -> bool {
    host.networks_dir().join("net/10.1.0.2").exists()
}

fn succeeds(reply: Result<Reply, netlab::Error>) {
    reply.unwrap().result().unwrap();
}

/// The packet filter, nftables' and, on hosts whose iptables is the one of nftables, iptables', too.
fn rules() -> String {
    nft("list ruleset")
}

fn links_of(container: &Container) -> Vec<String> {
    let links = container.ip("link show").unwrap();
    links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
}

type Del = fn(&Host, &Value, &Container) -> Result<Reply, netlab::Error>;

/// The runtime says where the namespace was, or nothing; in either case it is gone.
const WAYS: [Del; 2] = [
    |host, config, of| host.del_without_netns(config, of, "eth0"),
    |host, config, of| host.del(config, of, "eth0"),
];

fn is_no_longer_masqueraded(kind: &str, end: fn(&Container)) {
    for (backend, del) in ["nftables", "iptables"].iter().flat_map(|backend| WAYS.map(|del| (backend, del))) {
        let host = Host::new().unwrap();
        let keys = json!({"type": kind, "ipMasq": true, "ipMasqBackend": backend, "ipam": one()});
        let config = host.config(&with(&keys, "isGateway", &json!(true)));
        let (container, _) = add(&host, &config);
        assert!(rules().contains("10.1.0."), "{backend}: {}", rules());
        end(&container);
        succeeds(del(&host, &config, &container));
        assert!(!rules().contains("10.1.0."), "{backend}: {}", rules());
    }
}

/// bridge: without the namespace DEL is IPAM's alone.
fn a_container_that_died_is_no_longer_masqueraded() {
    is_no_longer_masqueraded("bridge", |container| container.kill().unwrap());
}

/// bridge: the same.
fn a_container_that_died_leaves_no_check_of_its_mac_address() {
    for del in WAYS {
        let host = Host::new().unwrap();
        let config = host.config(&json!({"type": "bridge", "macspoofchk": true, "ipam": one(),
            "runtimeConfig": {"mac": "02:00:00:00:00:07"}}));
        let (container, _) = add(&host, &config);
        assert!(rules().contains("02:00:00:00:00:07"), "{}", rules());
        container.kill().unwrap();
        succeeds(del(&host, &config, &container));
        assert!(!rules().contains("02:00:00:00:00:07"), "{}", rules());
    }
}

/// bridge: a lease that can't be had leaves the pair, in the container and on the bridge.
fn a_full_pool_leaves_no_port_on_the_bridge() {
    let host = Host::new().unwrap();
    leaves_no_link(&host, &host.config(&json!({"type": "bridge", "bridge": "b0", "ipam": one()})));
    assert_eq!(ip("link show master b0").unwrap().as_array().unwrap().len(), 1);
}

/// The second container of a network of one address.
fn leaves_no_link(host: &Host, config: &Value) {
    let (_first, second) = (add(host, config), host.container().unwrap());
    assert!(!host.add(config, &second, "eth0").unwrap().success());
    assert_eq!(links_of(&second), ["lo"]);
}

/// host-local: it reads all of its configuration before it gives back what it has.
fn an_address_is_free_again_though_its_network_was_edited() {
    let host = Host::new().unwrap();
    let config = host.config(&json!({"type": "bridge", "ipam": one()}));
    for edited in [with(&one(), "subnet", &json!("10.1.0.0/33")), json!({"type": "host-local"})] {
        let (container, _) = add(&host, &config);
        assert!(is_held(&host));
        succeeds(host.del(&host.config(&with(&config, "ipam", &edited)), &container, "eth0"));
        assert!(!is_held(&host), "{edited}");
    }
}

/// ptp: as with bridge.
fn a_ptp_container_that_died_is_no_longer_masqueraded() {
    is_no_longer_masqueraded("ptp", |container| container.kill().unwrap());
}

/// ptp: it asks the link for the addresses to be masqueraded no more.
fn a_ptp_container_whose_link_is_gone_is_no_longer_masqueraded() {
    is_no_longer_masqueraded("ptp", |container| drop(container.ip("link del eth0").unwrap()));
}

/// macvlan: what takes the link back looks at another error than the one that there is.
fn a_full_pool_leaves_no_macvlan() {
    let host = Host::new().unwrap();
    cable().unwrap();
    leaves_no_link(&host, &host.config(&json!({"type": "macvlan", "master": "p0", "ipam": one()})));
}

/// tap: the same.
fn a_full_pool_leaves_no_tap() {
    let host = Host::new().unwrap();
    leaves_no_link(&host, &host.config(&json!({"type": "tap", "ipam": one()})));
}

/// vlan: nobody takes the link back.
fn a_full_pool_leaves_no_link_of_vlan() {
    let host = Host::new().unwrap();
    cable().unwrap();
    let config = host.config(&json!({"type": "vlan", "master": "p0", "vlanId": 7, "ipam": one()}));
    add(&host, &config);
    let second = host.container().unwrap();
    let other = with(&config, "vlanId", &json!(8));
    assert!(!host.add(&other, &second, "eth0").unwrap().success());
    assert_eq!(links_of(&second), ["lo"]);
}

/// vlan: DEL looks for the master first.
fn an_address_is_free_again_though_the_master_of_a_link_of_vlan_is_gone() {
    let host = Host::new().unwrap();
    cable().unwrap();
    let config = host.config(&json!({"type": "vlan", "master": "p0", "vlanId": 7, "ipam": one()}));
    let (container, _) = add(&host, &config);
    ip("link del p0").unwrap();
    succeeds(host.del(&config, &container, "eth0"));
    assert!(!is_held(&host));
}

/// ipvlan: as with vlan.
fn a_full_pool_leaves_no_link_of_ipvlan() {
    let host = Host::new().unwrap();
    cable().unwrap();
    leaves_no_link(&host, &host.config(&json!({"type": "ipvlan", "master": "p0", "ipam": one()})));
}

/// ipvlan: what gives the lease back looks at another error than the one that there is.
fn an_address_is_free_again_though_a_link_of_ipvlan_could_not_be_made() {
    let host = Host::new().unwrap();
    cable().unwrap();
    let ipam = with(&one(), "routes", &json!([{"dst": "10.9.0.0/16", "gw": "10.250.0.1"}]));
    let config = host.config(&json!({"type": "ipvlan", "master": "p0", "ipam": ipam}));
    assert!(!host.add(&config, &host.container().unwrap(), "eth0").unwrap().success());
    assert!(!is_held(&host));
}

/// ipvlan: DEL looks for the default route first, where no master is named.
fn an_address_is_free_again_though_a_link_of_ipvlan_has_no_way_out() {
    let host = Host::new().unwrap();
    cable().unwrap();
    ip("addr add 192.0.2.2/24 dev p0").unwrap();
    ip("route add default via 192.0.2.1").unwrap();
    let config = host.config(&json!({"type": "ipvlan", "ipam": one()}));
    let (container, _) = add(&host, &config);
    ip("route del default").unwrap();
    succeeds(host.del(&config, &container, "eth0"));
    assert!(!is_held(&host));
}

/// A link of the host's, `p0`, and where it leads to.
/// host-device: the namespace is opened before anything else.
fn a_device_s_container_that_died_gives_its_address_back() {
    for del in WAYS {
        let host = Host::new().unwrap();
        cable().unwrap();
        let config = host.config(&json!({"type": "host-device", "device": "p0", "ipam": one()}));
        let (container, _) = add(&host, &config);
        container.kill().unwrap();
        succeeds(del(&host, &config, &container));
        assert!(!is_held(&host));
    }
}

/// portmap, by nftables: rules are found by the name of the container alone.
fn who_leaves_one_network_keeps_the_ports_of_the_other() {
    let host = Host::new().unwrap();
    let (outside, container) = (host.outside(80).unwrap(), host.container().unwrap());
    let network = |name: &str, bridge: &str, subnet: &str, ifname: &str| {
        let ipam = json!({"type": "host-local", "subnet": subnet});
        let keys = json!({"type": "bridge", "name": name, "bridge": bridge, "isDefaultGateway": name == "a", "isGateway": true, "ipam": ipam});
        let portmap = json!({"type": "portmap", "name": name, "backend": "nftables"});
        host.chain(&[keys, portmap]).unwrap().map(|call| call.env("CNI_IFNAME", ifname))
    };
    let port = |port| json!([{"hostPort": port, "containerPort": 80, "protocol": "tcp"}]);
    let (a, b) = (network("a", "b0", "10.1.0.0/24", "eth0"), network("b", "b1", "10.2.0.0/24", "eth1"));
    a.add(&container, &port(8080)).unwrap();
    let second = b.add(&container, &port(8081)).unwrap();
    container.exec(|| serve(Protocol::Tcp, address("10.1.0.2"), 80)).unwrap().unwrap();
    let answers = || outside.exec(|| reaches(Protocol::Tcp, address("192.0.2.1"), 8080)).unwrap();
    answers().unwrap();
    b.del(&container, &port(8081), &second).unwrap();
    answers().unwrap();
}

/// Behind a bridge that is the way out.
fn chained(host: &Host, keys: &Value) -> netlab::Chain {
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges});
    let bridge = json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipam": ipam});
    host.chain(&[bridge, keys.clone()]).unwrap()
}

/// portmap: each ADD empties the chains that all share.
fn what_was_added_by_hand_stays_when_another_container_comes() {
    let (host, portmap) = (Host::new().unwrap(), json!({"type": "portmap", "backend": "nftables"}));
    let chain = chained(&host, &portmap);
    let port = |port| json!([{"hostPort": port, "containerPort": 80, "protocol": "tcp"}]);
    let [first, second] = [8080, 8081].map(|number| (host.container().unwrap(), port(number)));
    chain.add(&first.0, &first.1).unwrap();
    let chains = hooked();
    for chain in &chains {
        nft(&format!("add rule {chain} counter comment byhand"));
    }
    chain.add(&second.0, &second.1).unwrap();
    assert_eq!((rules().matches("byhand").count(), chains.is_empty()), (chains.len(), false), "{}", rules());
}

/// The chains that the kernel begins at, as nft calls them.
fn hooked() -> Vec<String> {
    let told: Value = serde_json::from_str(&nft("-j list chains")).unwrap();
    let chains = told["nftables"].as_array().unwrap().iter().map(|row| &row["chain"]);
    let hooked = chains.filter(|chain| !chain["hook"].is_null());
    let word = |chain: &Value, key: &str| chain[key].as_str().unwrap().to_owned();
    hooked.map(|chain| ["family", "table", "name"].map(|key| word(chain, key)).join(" ")).collect()
}

fn nft(arguments: &str) -> String {
    let told = Command::new("nft").args(arguments.split(' ')).output().unwrap();
    assert!(told.status.success(), "{arguments}: {}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).unwrap()
}

/// portmap, by nftables: what a container sends to itself is masqueraded in families in which it has no ports.
fn a_port_of_ipv6_alone_changes_nothing_of_ipv4() {
    let (host, portmap) = (Host::new().unwrap(), json!({"type": "portmap", "backend": "nftables"}));
    let ports = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "::"}]);
    chained(&host, &portmap).add(&host.container().unwrap(), &ports).unwrap();
    assert!(rules().contains("fd01::2"), "{}", rules());
    assert!(!rules().contains("10.1.0.2"), "{}", rules());
}

/// portmap: DEL leaves what the kernel remembers of a conversation.
fn a_conversation_by_udp_goes_on_with_the_host_when_the_container_is_gone() {
    let host = Host::new().unwrap();
    let (outside, container) = (host.outside(80).unwrap(), host.container().unwrap());
    let chain = chained(&host, &json!({"type": "portmap", "backend": "nftables"}));
    let ports = json!([{"hostPort": 8053, "containerPort": 53, "protocol": "udp"}]);
    let added = chain.add(&container, &ports).unwrap();
    // With the ports of the last container the host ceases to translate addresses at all.
    let others = json!([{"hostPort": 8054, "containerPort": 53, "protocol": "udp"}]);
    chain.add(&host.container().unwrap(), &others).unwrap();
    container.exec(|| serve(Protocol::Udp, address("10.1.0.2"), 53)).unwrap().unwrap();
    let socket = outside.exec(|| UdpSocket::bind((OUTSIDE[0], 0)).unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let answered = || {
        let _unreachable = socket.send_to(b"?", ("192.0.2.1", 8053));
        socket.recv_from(&mut [0; 8]).is_ok()
    };
    assert!(soon(answered));
    chain.del(&container, &ports, &added).unwrap();
    // Whatever was still under way.
    while socket.recv_from(&mut [0; 8]).is_ok() {}
    serve(Protocol::Udp, address("192.0.2.1"), 8053).unwrap();
    assert!(soon(answered), "what is sent still goes to the container");
}

fn limit() -> Value {
    json!({"type": "bandwidth", "egressRate": 8_000_000, "egressBurst": 800_000})
}

fn limits() -> usize {
    ip("link show type ifb").unwrap().as_array().map_or(0, Vec::len)
}

/// bandwidth: what the limit is made of has the name of the container and its network, not of its interface.
fn two_interfaces_on_one_network_have_a_limit_each() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let [first, second] =
        ["eth0", "eth1"].map(|name| chained(&host, &limit()).map(|call| call.env("CNI_IFNAME", name)));
    first.add(&container, &Value::Null).unwrap();
    let added = second.add(&container, &Value::Null).unwrap();
    assert_eq!(limits(), 2);
    second.del(&container, &Value::Null, &added).unwrap();
    assert_eq!(limits(), 1);
}

/// bandwidth: the configuration is judged before anything is taken away.
fn limits_go_though_their_configuration_has_become_bad() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let added = chained(&host, &limit()).add(&container, &Value::Null).unwrap();
    let config = host.config(&with(&limit(), "ingressRate", &json!(1)));
    succeeds(host.del(&with(&config, "prevResult", &added), &container, "eth0"));
    assert_eq!(limits(), 0);
}

/// firewall: a bridge that nobody is on any more is still in the rules.
fn nobody_is_isolated_from_a_network_that_is_gone() {
    for policy in ["same-bridge", "isolated"] {
        let host = Host::new().unwrap();
        let container = host.container().unwrap();
        let chain = chained(&host, &json!({"type": "firewall", "ingressPolicy": policy}));
        let added = chain.add(&container, &Value::Null).unwrap();
        assert!(rules().contains("\"b0\""), "{policy}: {}", rules());
        chain.del(&container, &Value::Null, &added).unwrap();
        assert!(!rules().contains("\"b0\""), "{policy}: {}", rules());
    }
}

/// tuning: what was changed of the namespace, which others may share, stays changed.
fn parameters_are_as_before_when_the_network_is_gone() {
    let (host, keys) =
        (Host::new().unwrap(), json!({"type": "tuning", "sysctl": {"net.core.somaxconn": "77"}}));
    let (container, chain) = (host.container().unwrap(), chained(&host, &keys));
    let before = container.sysctl("core/somaxconn").unwrap();
    let added = chain.add(&container, &Value::Null).unwrap();
    assert_eq!(container.sysctl("core/somaxconn").unwrap(), "77");
    chain.del(&container, &Value::Null, &added).unwrap();
    assert_eq!(container.sysctl("core/somaxconn").unwrap(), before);
}

/// tuning: without parameters in the configuration it panics over those of the runtime.
fn parameters_that_the_runtime_asks_for_are_set() {
    let host = Host::new().unwrap();
    let keys = json!({"type": "tuning", "args": {"cni": {"sysctl": {"net.core.somaxconn": "77"}}}});
    let container = host.container().unwrap();
    chained(&host, &keys).add(&container, &Value::Null).unwrap();
    assert_eq!(container.sysctl("core/somaxconn").unwrap(), "77");
}

/// GC with nobody left, after an ADD of a plugin that takes an address.
fn is_swept_up(host: &Host, keys: &Value) {
    let config = host.config(&with(keys, "ipam", &one()));
    let (container, _) = add(host, &config);
    container.kill().unwrap();
    succeeds(host.gc(&config, &[]));
    assert!(!is_held(host));
}

fn gc_takes_a_forgotten_container_off_its_bridge() {
    let host = Host::new().unwrap();
    is_swept_up(&host, &json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipMasq": true}));
    assert!(soon(|| ip("link show master b0").unwrap().as_array().is_none_or(Vec::is_empty)));
    assert!(!rules().contains("10.1.0."), "{}", rules());
}

fn gc_takes_a_forgotten_macvlan_away() {
    let host = Host::new().unwrap();
    cable().unwrap();
    is_swept_up(&host, &json!({"type": "macvlan", "master": "p0"}));
}

fn gc_takes_a_forgotten_ptp_away() {
    is_swept_up(&Host::new().unwrap(), &json!({"type": "ptp", "ipMasq": true}));
    assert!(!rules().contains("10.1.0."), "{}", rules());
}

fn gc_takes_a_forgotten_tap_away() {
    is_swept_up(&Host::new().unwrap(), &json!({"type": "tap"}));
}

fn gc_takes_a_forgotten_link_of_vlan_away() {
    let host = Host::new().unwrap();
    cable().unwrap();
    is_swept_up(&host, &json!({"type": "vlan", "master": "p0", "vlanId": 7}));
}

fn gc_takes_a_forgotten_link_of_ipvlan_away() {
    let host = Host::new().unwrap();
    cable().unwrap();
    is_swept_up(&host, &json!({"type": "ipvlan", "master": "p0"}));
}

fn gc_takes_a_forgotten_link_of_dummy_away() {
    is_swept_up(&Host::new().unwrap(), &json!({"type": "dummy"}));
}

fn gc_gives_a_forgotten_device_back() {
    let host = Host::new().unwrap();
    cable().unwrap();
    let config = host.config(&json!({"type": "host-device", "device": "p0"}));
    add(&host, &config);
    succeeds(host.gc(&config, &[]));
    ip("link show dev p0").unwrap();
}

/// A chained plugin's GC, after an ADD of all of them.
fn chained_is_swept_up(keys: &Value, ports: &Value, is_there: fn() -> bool) {
    let host = Host::new().unwrap();
    chained(&host, keys).add(&host.container().unwrap(), ports).unwrap();
    assert!(is_there(), "{}", rules());
    succeeds(host.gc(&host.config(keys), &[]));
    assert!(!is_there(), "{}", rules());
}

fn gc_withdraws_forgotten_ports() {
    let ports = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let is_there = || rules().contains("8080");
    chained_is_swept_up(&json!({"type": "portmap", "backend": "nftables"}), &ports, is_there);
}

fn gc_takes_a_forgotten_policy_away() {
    let is_there = || rules().contains("\"b0\"");
    chained_is_swept_up(&json!({"type": "firewall", "ingressPolicy": "same-bridge"}), &Value::Null, is_there);
}

fn gc_takes_a_forgotten_limit_away() {
    chained_is_swept_up(&limit(), &Value::Null, || limits() > 0);
}

/// The same of a plugin whose work is in the container, which lives.
fn is_swept_out_of_a_container(keys: &Value, is_there: fn(&Container) -> bool) {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    chained(&host, keys).add(&container, &Value::Null).unwrap();
    assert!(is_there(&container), "{keys}");
    succeeds(host.gc(&host.config(keys), &[]));
    assert!(!is_there(&container), "{keys}");
}

fn gc_gives_forgotten_parameters_back() {
    let keys = json!({"type": "tuning", "sysctl": {"net.core.somaxconn": "77"}});
    is_swept_out_of_a_container(&keys, |container| container.sysctl("core/somaxconn").unwrap() == "77");
}

fn gc_takes_forgotten_rules_of_routing_away() {
    let has_rules =
        |container: &Container| container.ip("rule show").unwrap().to_string().contains("10.1.0.");
    is_swept_out_of_a_container(&json!({"type": "sbr"}), has_rules);
}

fn gc_takes_a_forgotten_link_of_vrf_away() {
    let has_vrf = |container: &Container| container.ip("link show dev blue").is_ok();
    is_swept_out_of_a_container(&json!({"type": "vrf", "vrfname": "blue"}), has_vrf);
}
