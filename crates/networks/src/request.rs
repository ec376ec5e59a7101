//! What `network create` is asked for.
use std::{collections::BTreeMap, net::IpAddr};
use types::Prefix;

/// A network that is to be made. What is left empty is decided by [`crate::Folder::create`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// What it is made of: `bridge`, `ipvlan`, `macvlan` or `overlay`.
    pub driver: String,
    /// At most one subnet a family. IPv4 is always there; without a subnet, a free one is found.
    pub subnets: Vec<Prefix>,
    /// The host's address in each of the subnets; by default the first one.
    pub gateways: Vec<IpAddr>,
    /// The part of each of the subnets that containers get addresses from; by default all of it.
    pub ip_ranges: Vec<Prefix>,
    /// IPv6 too: without a subnet, an unused unique local one (RFC 4193).
    pub ipv6: bool,
    /// No way out.
    pub internal: bool,
    /// The driver's options; see [`crate::KNOWN_OPTIONS`] for those of `bridge`.
    pub options: Vec<(String, String)>,
    /// Notes.
    pub labels: BTreeMap<String, String>,
}
