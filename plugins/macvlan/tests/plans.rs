//! The plans of `macvlan`, as text. Facts and leases are written down; no kernel is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
use cni::{AddResult, Attachment, Call, ErrorReply, Version};
use macvlan::Macvlan;
use plan::{Facts, ParentLink};
use plugin::{Endpoint, Lease, Recipe};
use serde_json::{Value, json};

const MAC: &str = "02:00:00:00:00:01";

fn call(keys: &Value, args: &str) -> Call {
    planned::call(&json!({"type": "macvlan", "mac": MAC}), keys, args)
}

fn facts() -> Facts {
    let parent =
        ParentLink { name: "eno1".parse().unwrap(), mac: "02:00:00:00:00:99".parse().ok(), mtu: 1500 };
    let own = [("10.1.0.2", "10.1.0.200"), ("fd01::2", "fd01::c8")];
    let own = own.map(|(of, own)| (of.parse().unwrap(), own.parse().unwrap()));
    Facts { parent: Some(parent), own_addresses: own.into(), ..Facts::default() }
}

/// Plan and result of an ADD with these keys.
fn add(keys: &Value, lease: &Lease) -> (String, AddResult) {
    let call = call(keys, "");
    let config = Macvlan::configure(&call).unwrap();
    let endpoint = planned::endpoint(&call, "eth0", Macvlan::mac(&config));
    let plan = Macvlan::plan(&config, &endpoint, lease, &facts()).to_string();
    (plan, Macvlan::result(&call, &config, &endpoint, lease, &facts()))
}

fn both_families() -> Lease {
    let addresses = [("10.1.0.2/24", Some("10.1.0.1")), ("fd01::2/64", Some("fd01::1"))];
    planned::lease(&addresses, &["0.0.0.0/0", "::/0"])
}

fn refusal(keys: &Value, args: &str) -> ErrorReply {
    ErrorReply::new("1.1.0", &*Macvlan::configure(&call(keys, args)).unwrap_err())
}

#[test]
fn layer_2_is_a_link_that_is_up() {
    let (plan, result) = add(&json!({}), &Lease::default());
    let expected = "\
own    macvlan in mode bridge eth0 (mac 02:00:00:00:00:01) on eno1 on the host, in the container
own    eth0 up in the container
";
    assert_eq!(plan, expected);
    let expected = json!({"cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "mac": MAC, "sandbox": "/run/netns/c"}]});
    assert_eq!(result.to_json(Version::V1_1_0).unwrap(), expected);
}

#[test]
fn addresses_are_tested_while_they_are_used_and_the_network_hears_of_them() {
    let keys = json!({"mode": "vepa", "mtu": 1400, "bcqueuelen": 7, "ipam": {"type": "host-local"}});
    let (plan, result) = add(&keys, &both_families());
    let expected = "\
own    macvlan in mode vepa with a queue of 7 broadcasts eth0 (mac 02:00:00:00:00:01) on eno1 on the host, mtu 1400, in the container
once   sysctl net/ipv6/conf/eth0/disable_ipv6 = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/accept_dad = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/keep_addr_on_down = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/ndisc_notify = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/enhanced_dad = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/optimistic_dad = 1 in the container, if the kernel has it
own    eth0 up in the container, announcing its addresses
own    address 10.1.0.2/24 on eth0 in the container
own    address fd01::2/64 on eth0 in the container, until somebody else has it
own    route to 0.0.0.0/0 via 10.1.0.1 dev eth0 in the container
own    route to ::/0 via fd01::1 dev eth0 in the container
once   eth0 announced with fd01::2 when tested
once   eth0 announced at 02:00:00:00:00:01
";
    assert_eq!(plan, expected);
    let addresses: Vec<_> = result.ips.iter().map(|ip| (ip.interface, ip.address.to_string())).collect();
    assert_eq!(addresses, [(Some(0), "10.1.0.2/24".into()), (Some(0), "fd01::2/64".into())]);
    assert_eq!(result.routes, both_families().routes);
}

#[test]
fn in_the_mode_passthru_it_has_its_parents_address() {
    let keys = json!({"mode": "passthru", "ipam": {"type": "host-local"}});
    let (plan, result) = add(&keys, &both_families());
    assert!(plan.starts_with("own    macvlan in mode passthru eth0 on eno1 on the host, in the container\n"));
    assert!(plan.ends_with("once   eth0 announced at 02:00:00:00:00:99\n"));
    assert_eq!(result.interfaces.first().unwrap().mac, "02:00:00:00:00:99");
}

#[test]
fn the_host_and_the_container_reach_each_other_by_a_link_beside_it() {
    let keys = json!({"hostAccess": true, "ipam": {"type": "host-local"}});
    let (plan, result) = add(&keys, &both_families());
    let before = "\
ensure macvlan SHIM (mac SHIM-MAC) on eno1 for the host, until its last user goes
own    route to 10.1.0.2/32 dev SHIM src 10.1.0.200 on the host, alone
own    route to fd01::2/128 dev SHIM src fd01::c8 on the host, alone
";
    let expected = "\
once   eth0 announced at 02:00:00:00:00:01
own    neighbour 10.1.0.2 of SHIM at 02:00:00:00:00:01 on the host
own    neighbour fd01::2 of SHIM at 02:00:00:00:00:01 on the host
own    neighbour fd01::c8 of eth0 at SHIM-MAC in the container
";
    let shim = plan::step::Shim::name_on(&"eno1".parse().unwrap());
    let mac = plugin::shared_mac("machine", &shim).to_string();
    let plan = plan.replace(shim.as_str(), "SHIM").replace(&mac, "SHIM-MAC");
    assert!(plan.ends_with(expected), "{plan}");
    let (first, rest) = plan.split_once(before).unwrap_or_default();
    assert!(first.lines().count() == 1 && rest.contains("address 10.1.0.2/24 on eth0"), "{plan}");
    assert_eq!(result.interfaces.len(), 1, "the reference's result");
}

#[test]
fn a_vlan_that_is_missing_is_made_first() {
    let call = call(&json!({"master": "eno1.10"}), "");
    let config = Macvlan::configure(&call).unwrap();
    let at = Attachment {
        container: "c".parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
        netns: Some("/run/netns/c".into()),
    };
    let endpoint = Endpoint::new(&call, &at, "machine".into(), Macvlan::mac(&config)).unwrap();
    let vlan = plan::step::VlanParent::named(&"eno1.10".parse().unwrap()).unwrap();
    let parent = ParentLink { name: vlan.name.clone(), ..facts().parent.unwrap() };
    let facts = Facts { parent: Some(parent), vlan_parent: Some(vlan), ..Facts::default() };
    let expected = "\
ensure vlan 10 eno1.10 up on eno1, until its last user goes
own    macvlan in mode bridge eth0 (mac 02:00:00:00:00:01) on eno1.10 on the host, in the container
own    eth0 up in the container
";
    assert_eq!(Macvlan::plan(&config, &endpoint, &Lease::default(), &facts).to_string(), expected);
}

#[test]
fn a_parent_in_the_container_is_named_there() {
    let (plan, _) = add(&json!({"linkInContainer": true}), &Lease::default());
    let expected = "own    macvlan in mode bridge eth0 (mac 02:00:00:00:00:01) on eno1, in the container\n";
    assert!(plan.starts_with(expected), "{plan}");
}

#[test]
fn the_configurations_name_servers_count_more_than_ipams() {
    let keys = json!({"ipam": {"type": "host-local"}, "dns": {"nameservers": ["10.1.0.53"]}});
    assert_eq!(add(&keys, &both_families()).1.dns.nameservers, ["10.1.0.53"]);
}

#[test]
fn what_cannot_be_is_refused_with_the_value_and_what_could_be() {
    for (keys, args, msg, hint) in [
        (
            json!({"mode": "source"}),
            "",
            "unknown macvlan mode: \"source\"",
            "bridge, private, vepa, passthru",
        ),
        (json!({"mtu": 10}), "", "invalid MTU 10, must be 0 or between 68 and 65535", "leave \"mtu\" out"),
        (json!({"mac": "zz"}), "", "invalid MAC address \"zz\" from \"mac\"", "02:42:ac:11:00:02"),
        (json!({}), "MAC=01:00:5e:00:00:01", "\"01:00:5e:00:00:01\" from CNI_ARGS MAC", "or leave it out"),
        (json!({"master": "a b"}), "", "invalid value of \"master\"", "the name of an interface"),
        (
            json!({"hostAccess": true}),
            "",
            "\"hostAccess\" is not possible with no \"ipam\"",
            "the mode bridge",
        ),
        (
            json!({"hostAccess": true, "mode": "private", "ipam": {"type": "x"}}),
            "",
            "\"hostAccess\" is not possible with the mode private",
            "leave it out",
        ),
        (
            json!({"hostAccess": true, "linkInContainer": true, "ipam": {"type": "x"}}),
            "",
            "\"hostAccess\" is not possible with \"linkInContainer\"",
            "a parent on the host",
        ),
        (json!({"dad": "maybe"}), "", "invalid \"dad\": \"maybe\" is none of off, optimistic, on", "IPv6"),
    ] {
        let reply = refusal(&keys, args);
        assert_eq!(reply.code, 7, "{reply:?}");
        assert!(reply.msg.contains(msg) && reply.details.contains(hint), "{reply:?}");
    }
}
