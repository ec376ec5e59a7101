//! What the tests of plugins' plans begin with, written down: the call of an ADD, its endpoint, and what IPAM and the kernel have said. No
//! kernel is asked.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "what a test has written down is right, or the test is wrong"
)]
use cni::{Args, Attachment, Call, Ip, Route, Verb, Version};
use plan::{Facts, ParentLink};
use plugin::{Endpoint, Lease};
use serde_json::{Value, json};
use types::Mac;

/// An ADD on the network `n` with this configuration, of which `keys` replace what is there, and with these `CNI_ARGS`.
pub fn call(config: &Value, keys: &Value, args: &str) -> Call {
    let mut whole = json!({"cniVersion": "1.1.0", "name": "n"});
    for (key, value) in [config, keys].into_iter().flat_map(|one| one.as_object().unwrap()) {
        whole.as_object_mut().unwrap().insert(key.clone(), value.clone());
    }
    Call::new(Verb::Add, whole.to_string().into_bytes(), Args::new(args), Vec::new(), &Version::ALL).unwrap()
}

/// The end of that call in container `c`, whose namespace is `/run/netns/c`, under this name; with this MAC address, or with one by hash.
pub fn endpoint(call: &Call, ifname: &str, mac: Option<Mac>) -> Endpoint {
    let netns = Some("/run/netns/c".into());
    let at = Attachment { container: "c".parse().unwrap(), ifname: ifname.parse().unwrap(), netns };
    Endpoint::new(call, &at, "machine".into(), mac).unwrap()
}

/// What IPAM said: addresses, each with its gateway or without, and where routes lead.
pub fn lease(addresses: &[(&str, Option<&str>)], routes: &[&str]) -> Lease {
    let ip = |(address, gateway): &(&str, Option<&str>)| Ip {
        address: address.parse().unwrap(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        interface: None,
    };
    Lease {
        ips: addresses.iter().map(ip).collect(),
        routes: routes.iter().map(|dst| Route::to(dst.parse().unwrap())).collect(),
        ..Lease::default()
    }
}

/// An address of each family, the first with a gateway, and a route by way of that.
pub fn both_families() -> Lease {
    lease(&[("10.1.0.2/24", Some("10.1.0.1")), ("fd01::2/64", None)], &["10.9.0.0/16"])
}

/// A parent `eth0`, of 02:00:00:00:00:70.
pub fn parent() -> Facts {
    let mac = Some("02:00:00:00:00:70".parse().unwrap());
    let parent = Some(ParentLink { name: "eth0".parse().unwrap(), mac, mtu: 1500 });
    Facts { parent, ..Facts::default() }
}
