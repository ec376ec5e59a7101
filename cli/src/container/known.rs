//! By which names a container is known on its networks, and which ones it knows for itself.
use super::{
    choice::{HOST, is_fixed},
    names::{Entry, Membership},
    order::host_name,
    record::{Endpoint, Record},
    refusal::Refusal,
};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// docker's word for the host's address on the container's network.
const HOST_GATEWAY: &str = "host-gateway";

/// What follows `--add-host`: a name for the container alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnName {
    /// The name.
    name: String,
    /// What it means; none for the host, wherever that is.
    address: Option<IpAddr>,
}

impl OwnName {
    /// `NAME:ADDRESS` or `NAME=ADDRESS`; the brackets around an IPv6 address may be left out.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = || Refusal::AddHost(text.to_owned());
        let (name, address) = text.split_once([':', '=']).ok_or_else(wrong)?;
        let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
        let address = match address {
            HOST_GATEWAY => None,
            _ => Some(bare.parse().map_err(|_| wrong())?),
        };
        let name = host_name("host name", name, usize::MAX).map_err(|_| wrong())?;
        Ok(Self { name, address })
    }
}

/// What a container is called on its networks, as far as it is on them, and what it calls others.
pub(crate) fn entry(record: &Record) -> Entry {
    // On `host` and `none` it has no address that would be its own.
    let placed = record.endpoints.iter().filter(|endpoint| !is_fixed(&endpoint.network));
    Entry {
        container: record.name.clone(),
        memberships: placed.map(|endpoint| membership(record, endpoint)).collect(),
        own: own(record),
    }
}

/// Names for the container alone.
pub(crate) fn own(record: &Record) -> Vec<(IpAddr, String)> {
    let given = record.endpoints.iter().filter_map(|endpoint| endpoint.given.as_ref());
    let gateway = given.flat_map(|given| &given.gateways).copied().next();
    let gateway = if record.is_on(HOST) { Some(Ipv4Addr::LOCALHOST.into()) } else { gateway };
    let address = |name: &OwnName| Some((name.address.or(gateway)?, name.name.clone()));
    record.own_names.iter().filter_map(address).collect()
}

fn membership(record: &Record, endpoint: &Endpoint) -> Membership {
    let own =
        [record.name.clone(), format!("{}.{}", record.name, endpoint.network), record.id.short().to_owned()];
    let hostname = record.hostname.iter().filter(|name| !own.contains(name)).cloned();
    let aliases = endpoint.wanted.aliases.iter().cloned();
    Membership {
        network: endpoint.network.clone(),
        addresses: endpoint.addresses().iter().map(|prefix| prefix.address()).collect(),
        names: own.iter().cloned().chain(hostname).chain(aliases).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_ones_own_is_written_as_docker_has_it() {
        let parsed = |text: &str| {
            OwnName::parse(text).map(|own| (own.name, own.address.map(|address| address.to_string())))
        };
        for (text, address) in [
            ("db:10.0.0.9", Some("10.0.0.9")),
            ("db=10.0.0.9", Some("10.0.0.9")),
            ("db:fd00::9", Some("fd00::9")),
            ("db:[fd00::9]", Some("fd00::9")),
            ("db:host-gateway", None),
        ] {
            assert_eq!(parsed(text).unwrap(), ("db".to_owned(), address.map(str::to_owned)), "{text}");
        }
        for bad in ["db", "db:", ":10.0.0.9", "a b:10.0.0.9", "db:10.0.0", "db:[10.0.0.9"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
