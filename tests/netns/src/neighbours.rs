//! What machines on one link know of each other's addresses.
use crate::{Container, Error, soon};
use serde_json::{Value, json};
use std::{fs, net::IpAddr};

impl Container {
    /// Has it believe what it hears unasked on this link. For IPv6 that is a router's part (RFC 9131).
    pub fn believe(&self, link: &str) -> Result<(), Error> {
        for path in [
            format!("ipv4/conf/{link}/arp_accept"),
            format!("ipv6/conf/{link}/forwarding"),
            format!("ipv6/conf/{link}/accept_untracked_na"),
        ] {
            let set = || fs::write(format!("/proc/sys/net/{path}"), "1");
            self.exec(set)?.map_err(Error::io(format!("set {path}")))?;
        }
        Ok(())
    }
}

/// One that believes what it hears soon knows where these addresses are.
///
/// # Panics
/// If it does not.
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it is to be")]
pub fn learns(who: &Container, addresses: &[IpAddr], mac: &Value) {
    for address in addresses {
        let known = || who.ip(&format!("neigh show {address}")).unwrap()[0]["lladdr"].clone();
        assert!(soon(|| known() == *mac), "{address} is at {}, not {mac}", known());
    }
}

/// A container soon finds that another machine has this address, and uses it on its `eth0` no more.
///
/// # Panics
/// If it does not.
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it is to be")]
pub fn gives_up(who: &Container, address: IpAddr) {
    let shown = || who.ip(&format!("addr show dev eth0 to {address}")).unwrap();
    assert!(soon(|| shown()[0]["addr_info"][0]["dadfailed"] == json!(true)), "{}", shown());
}
