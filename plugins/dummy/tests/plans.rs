//! The plans of `dummy`, as text. Leases are written down; no kernel is asked.
#![allow(clippy::unwrap_used, reason = "a test")]
use cni::{Call, ErrorReply};
use dummy::Dummy;
use plan::Facts;
use planned::both_families;
use plugin::{Endpoint, Recipe};
use serde_json::{Value, json};

fn call(keys: &Value) -> Call {
    planned::call(&json!({"type": "dummy"}), keys, "")
}

fn endpoint(call: &Call) -> Endpoint {
    planned::endpoint(call, "eth0", None)
}

#[test]
fn an_interface_that_leads_nowhere_has_the_leases_addresses_and_routes() {
    let call = call(&json!({"ipam": {"type": "host-local"}}));
    let (config, endpoint) = (Dummy::configure(&call).unwrap(), endpoint(&call));
    let plan = Dummy::plan(&config, &endpoint, &both_families(), &Facts::default()).to_string();
    let expected = "\
own    dummy eth0 (mac MAC), in the container
once   sysctl net/ipv6/conf/eth0/disable_ipv6 = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/accept_dad = 0 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/keep_addr_on_down = 1 in the container, if the kernel has it
once   sysctl net/ipv6/conf/eth0/ndisc_notify = 1 in the container, if the kernel has it
own    eth0 up in the container, announcing its addresses
own    address 10.1.0.2/24 on eth0 in the container
own    address fd01::2/64 on eth0 in the container
own    route to 10.9.0.0/16 via 10.1.0.1 dev eth0 in the container
";
    assert_eq!(plan.replace(&endpoint.mac.to_string(), "MAC"), expected);
}

#[test]
fn a_result_has_the_interface_and_what_ipam_said() {
    let call = call(&json!({"ipam": {"type": "host-local"}, "dns": {"search": ["example"]}}));
    let (config, endpoint) = (Dummy::configure(&call).unwrap(), endpoint(&call));
    let result = Dummy::result(&call, &config, &endpoint, &both_families(), &Facts::default());
    let names: Vec<_> = result.interfaces.iter().map(|one| (&*one.name, &*one.mac)).collect();
    assert_eq!(names, [("eth0", &*endpoint.mac.to_string())]);
    assert!(result.ips.iter().all(|ip| ip.interface == Some(0)) && result.ips.len() == 2);
    assert_eq!((result.routes, result.dns.search), (both_families().routes, vec!["example".to_owned()]));
}

#[test]
fn without_ipam_it_is_refused_with_what_to_do() {
    let refused = ErrorReply::new("1.1.0", &*Dummy::configure(&call(&json!({}))).unwrap_err());
    assert_eq!((refused.code, &*refused.msg), (7, "dummy interface requires an IPAM configuration"));
    assert!(refused.details.contains("host-local"), "{}", refused.details);
}

#[test]
fn what_is_left_without_a_record_is_the_interface_by_its_name() {
    let plan = Dummy::remains(&endpoint(&call(&json!({})))).to_string();
    assert_eq!(plan, "own    dummy eth0, in the container\n");
}
