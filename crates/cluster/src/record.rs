//! The records of the store: JSON, so that a person reads them with `etcdctl get`. A field that is not known is passed over, for a later version
//! may have written it.
use crate::{
    error::Error,
    layout::{BlockSize, Layout},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::net::IpAddr;
use types::{NodeName, Prefix, Vni};

/// What can be the value of a key.
pub trait Record: Serialize + DeserializeOwned {
    /// As it is written to the store.
    fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|cause| Error::Record { value: String::new(), cause })
    }

    /// As it was read from the store.
    fn decode(value: &[u8]) -> Result<Self, Error> {
        let refused = |cause| Error::Record { value: String::from_utf8_lossy(value).into_owned(), cause };
        serde_json::from_slice(value).map_err(refused)
    }
}

/// A network: what must be the same on every node of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkRecord {
    /// Its number in the tunnels.
    pub vni: Vni,
    /// Its subnets.
    pub subnets: Vec<Prefix>,
    /// How they are cut.
    pub block_size: BlockSize,
}

/// A node: stays when the node is gone, until somebody takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// Its end of the tunnels.
    pub vtep: IpAddr,
    /// How often the node has begun anew. It only grows.
    pub incarnation: u64,
    /// The boot of the host in which it last has (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// What the link of that address carries outwards, in bytes; none of a node that has not said it, as those before did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// That a node lives, as long as the lease of this key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveRecord {
    /// Which one of its lives.
    pub incarnation: u64,
}

/// Whose a block is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockRecord {
    /// The owner.
    pub node: NodeName,
}

impl Record for NetworkRecord {}
impl Record for NodeRecord {}
impl Record for LiveRecord {}
impl Record for BlockRecord {}

impl NetworkRecord {
    /// The network with this number, cut like this.
    pub fn new(vni: Vni, layout: &Layout) -> Self {
        Self { vni, subnets: layout.subnets().to_vec(), block_size: layout.block_size() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round<T: Record + std::fmt::Debug + PartialEq>(record: &T, text: &str) {
        assert_eq!(str::from_utf8(&record.encode().unwrap()).unwrap(), text);
        assert_eq!(T::decode(text.as_bytes()).unwrap(), *record);
    }

    #[test]
    fn records_are_those_that_were_shipped() {
        let subnets = vec!["10.42.0.0/16".parse().unwrap(), "fd42::/48".parse().unwrap()];
        let layout = Layout::new(subnets, None).unwrap();
        round(
            &NetworkRecord::new(4097i64.try_into().unwrap(), &layout),
            r#"{"vni":4097,"subnets":["10.42.0.0/16","fd42::/48"],"blockSize":26}"#,
        );
        let vtep = "192.0.2.1".parse().unwrap();
        let boot = String::from("39ae");
        round(
            &NodeRecord { vtep, incarnation: 2, boot: String::clone(&boot), mtu: None },
            r#"{"vtep":"192.0.2.1","incarnation":2,"boot":"39ae"}"#,
        );
        round(
            &NodeRecord { vtep, incarnation: 2, boot, mtu: Some(9000) },
            r#"{"vtep":"192.0.2.1","incarnation":2,"boot":"39ae","mtu":9000}"#,
        );
        round(&LiveRecord { incarnation: 2 }, r#"{"incarnation":2}"#);
        let node = "worker-1".parse().unwrap();
        round(&BlockRecord { node }, r#"{"node":"worker-1"}"#);
    }

    #[test]
    fn a_field_of_a_later_version_is_passed_over_and_nonsense_is_refused() {
        assert_eq!(LiveRecord::decode(br#"{"incarnation":2,"x":1}"#).unwrap(), LiveRecord { incarnation: 2 });
        let refused = NetworkRecord::decode(br#"{"vni":0,"subnets":[],"blockSize":26}"#).unwrap_err();
        assert!(refused.to_string().starts_with("invalid record \"{\\\"vni\\\":0,"), "{refused}");
        assert!(NetworkRecord::decode(br#"{"vni":1,"subnets":[],"blockSize":31}"#).is_err());
    }
}
