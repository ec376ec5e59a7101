//! Networks over many hosts: the driver `overlay`, and its options. The network's keys are made here, and read by who reads them everywhere (`cluster`):
//! what that refuses is refused before there is a network.
use crate::{
    Definition, Request, Subnet,
    error::{Error, InvalidOption},
    options::{self, MTU, SHORT_MTU},
};
use cluster::{Config, Etcd, Vni};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, iter};
use types::NetworkName;

const VNI: &str = "vni";
/// docker's word for it.
const VXLAN_IDS: &str = "com.docker.network.driver.overlay.vxlanid_list";
const PEERS: &str = "peers";
const NODE: &str = "node";
const VTEP: &str = "vtep";
const PORT: &str = "port";
const BLOCK_SIZE: &str = "block_size";
/// The options of a store that is an etcd, and its keys.
const ETCD: &str = "etcd";
const OF_ETCD: &[(&str, &str)] =
    &[("etcd_prefix", "prefix"), ("etcd_ca", "ca"), ("etcd_cert", "cert"), ("etcd_key", "key")];
/// One that is a number of seconds.
const DEAD_AFTER: &str = "etcd_dead_after";

/// Every option there is.
const KNOWN: &[&str] = &[
    BLOCK_SIZE,
    MTU,
    VXLAN_IDS,
    ETCD,
    "etcd_ca",
    "etcd_cert",
    DEAD_AFTER,
    "etcd_key",
    "etcd_prefix",
    NODE,
    PEERS,
    PORT,
    SHORT_MTU,
    VNI,
    VTEP,
];

/// The first VNI that is chosen, as swarm's: 0 to 4095 are VLANs to some hosts, and 4096 is swarm's own.
const FIRST_VNI: i64 = 4097;

/// What they mean.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Overlay {
    vni: Option<Vni>,
    /// The nodes, if there are any besides this one: each with its name, its VTEP, and its slot if it was given one.
    peers: Vec<Value>,
    /// The keys of the etcd that all nodes share, if there is one.
    etcd: Map<String, Value>,
    /// Keys that are written as they were given.
    keys: Map<String, Value>,
    /// The MTU of its containers' interfaces; by default what the tunnels carry.
    pub(crate) mtu: Option<u32>,
}

impl Overlay {
    /// Reads them; of two of one name the last one counts. Refuses what such a network has not, and what must be said where it is over several hosts.
    pub(crate) fn read(request: &Request) -> Result<Self, Error> {
        let mut overlay = Self::default();
        for (key, value) in &request.options {
            overlay.take(key, value).map_err(|cause| Error::Option { key: key.clone(), cause })?;
        }
        let has_none =
            [("--gateway", request.gateways.is_empty()), ("--ip-range", request.ip_ranges.is_empty())];
        if let Some((what, _)) = has_none.into_iter().find(|(_, absent)| !absent) {
            return Err(Error::NotOfOverlay(what));
        }
        if !overlay.peers.is_empty() && !overlay.etcd.is_empty() {
            return Err(Error::TwoStores);
        }
        // Each host makes the network for itself: what is chosen here could be something else there.
        let chosen_ipv6 = request.ipv6 && request.subnets.iter().all(|subnet| subnet.is_ipv4());
        let chosen = [
            ("--subnet", request.subnets.is_empty()),
            ("-o vni", overlay.vni.is_none()),
            ("--subnet for IPv6", chosen_ipv6),
        ];
        match chosen.into_iter().find(|(_, is_chosen)| *is_chosen && !overlay.peers.is_empty()) {
            Some((what, _)) => Err(Error::SameOnEachHost(what)),
            None => Ok(overlay),
        }
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), InvalidOption> {
        let number = || value.parse::<i64>().map_err(|_| InvalidOption::Number(value.to_owned()));
        match key {
            VNI | VXLAN_IDS => self.vni = Some(number()?.try_into().map_err(InvalidOption::Vni)?),
            MTU | SHORT_MTU => self.mtu = options::mtu(value)?,
            NODE | VTEP => drop(self.keys.insert(key.to_owned(), json!(value))),
            PORT => drop(self.keys.insert(key.to_owned(), json!(number()?))),
            BLOCK_SIZE => drop(self.keys.insert("blockSize".to_owned(), json!(number()?))),
            DEAD_AFTER => drop(self.etcd.insert("deadAfter".to_owned(), json!(number()?))),
            ETCD => drop(self.etcd.insert("endpoints".to_owned(), value.split(',').collect())),
            _ if OF_ETCD.iter().any(|(option, _)| *option == key) => self.take_of_etcd(key, value),
            PEERS => self.peers = value.split(',').map(peer).collect::<Result<_, _>>()?,
            _ => return Err(InvalidOption::unknown("overlay", KNOWN, key)),
        }
        Ok(())
    }

    fn take_of_etcd(&mut self, option: &str, value: &str) {
        for (_, key) in OF_ETCD.iter().filter(|(known, _)| *known == option) {
            // What is not of TLS is the store's own.
            let keys = match *key {
                "prefix" => Some(&mut self.etcd),
                _ => self.etcd.entry("tls").or_insert_with(|| json!({})).as_object_mut(),
            };
            if let Some(keys) = keys {
                keys.insert((*key).to_owned(), json!(value));
            }
        }
    }

    /// Its number: the one that was asked for, if no other network has it; else the first that is free. `taken` says who has one.
    pub(crate) fn vni(&self, taken: &BTreeMap<Vni, NetworkName>) -> Result<Vni, Error> {
        let Some(vni) = self.vni else {
            let mut free = (FIRST_VNI..).map_while(|vni| Vni::try_from(vni).ok());
            return free.find(|vni| !taken.contains_key(vni)).ok_or(Error::NoFreeVni);
        };
        match taken.get(&vni) {
            Some(network) => Err(Error::VniTaken { vni, network: network.to_string() }),
            None => Ok(vni),
        }
    }

    /// The etcd that all nodes share, if that is their store.
    pub(crate) fn etcd(&self) -> Result<Option<Etcd>, Error> {
        let etcd = self.store().filter(|_| !self.etcd.is_empty()).map(|store| Etcd::of(&store));
        etcd.transpose().map_err(|cause| Error::Overlay(Box::new(cause)))
    }

    /// The key `store`; absent where the network is on one host.
    fn store(&self) -> Option<Value> {
        if self.etcd.is_empty() {
            return (!self.peers.is_empty()).then(|| json!({"type": "static", "peers": self.peers}));
        }
        let kind = iter::once(("type".to_owned(), json!("etcd")));
        Some(kind.chain(self.etcd.clone()).collect())
    }

    /// What the plugin makes of it.
    pub(crate) fn config(&self, vni: Vni, subnets: &[Subnet], internal: bool) -> Result<Config, Error> {
        let plugin = self.plugin(vni, subnets, internal)?;
        Config::of(&plugin).map_err(|cause| Error::Overlay(Box::new(cause)))
    }

    /// The plugin's part of the network; refuses what the plugin would.
    pub(crate) fn plugin(&self, vni: Vni, subnets: &[Subnet], internal: bool) -> Result<Value, Error> {
        let subnets: Vec<_> = subnets.iter().map(|subnet| subnet.subnet).collect();
        let mut plugin = json!({"type": "overlay", "vni": vni, "subnets": subnets, "egress": !internal});
        if let Some(keys) = plugin.as_object_mut() {
            keys.extend(self.keys.clone());
            if let Some(mtu) = self.mtu {
                keys.insert("mtu".to_owned(), json!(mtu));
            }
            if let Some(store) = self.store() {
                keys.insert("store".to_owned(), store);
            }
            keys.insert("capabilities".to_owned(), json!({"ips": true, "mac": true}));
            keys.insert("ipam".to_owned(), json!({"type": "cluster"}));
        }
        Config::of(&plugin).map(|_| plugin).map_err(|cause| Error::Overlay(Box::new(cause)))
    }
}

/// The numbers of networks, and whose they are.
pub(crate) fn taken(networks: &[Definition]) -> BTreeMap<Vni, NetworkName> {
    let number = |network: &Definition| Some((network.cluster.as_ref()?.vni, network.name.clone()));
    networks.iter().filter_map(number).collect()
}

/// Whether an option says this.
pub(crate) fn says(request: &Request, what: Said) -> bool {
    let words: &[&str] = match what {
        Said::Vni => &[VNI, VXLAN_IDS],
        Said::BlockSize => &[BLOCK_SIZE],
    };
    request.options.iter().any(|(key, _)| words.contains(&key.as_str()))
}

/// Adds an option.
pub(crate) fn say(request: &mut Request, what: Said, number: u32) {
    let word = match what {
        Said::Vni => VNI,
        Said::BlockSize => BLOCK_SIZE,
    };
    request.options.push((word.to_owned(), number.to_string()));
}

/// What must be the same on all hosts, besides the subnets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Vni,
    BlockSize,
}

/// `NODE=VTEP`, or `NODE=VTEP@SLOT`. What they can be, `cluster` says.
fn peer(text: &str) -> Result<Value, InvalidOption> {
    let refused = || InvalidOption::Peer(text.to_owned());
    let (node, vtep) = text.split_once('=').ok_or_else(refused)?;
    match vtep.split_once('@') {
        None => Ok(json!({"node": node, "vtep": vtep})),
        Some((vtep, slot)) => {
            let slot: u32 = slot.parse().map_err(|_| refused())?;
            Ok(json!({"node": node, "vtep": vtep, "slot": slot}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Folder, HostView};
    use cni::Failure as _;

    fn request(options: &[(&str, &str)], subnets: &[&str]) -> Request {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let subnets = subnets.iter().map(|subnet| subnet.parse().unwrap()).collect();
        Request { name: "stage".into(), driver: "overlay".into(), options, subnets, ..Request::default() }
    }

    fn written(folder: &Folder, request: &Request) -> Result<Value, Error> {
        let made = folder.create(request, &HostView::default())?;
        Ok(Value::Object(made.network.plugins[0].config.clone()))
    }

    #[test]
    fn the_hint_for_an_mtu_names_none_that_an_overlay_network_would_not_have() {
        let dir = tempfile::tempdir().unwrap();
        let refused = written(&Folder::at(dir.path()), &request(&[("mtu", "67")], &[])).unwrap_err();
        assert_eq!(refused.to_string(), "invalid option \"mtu\"");
        assert_eq!(refused.hint().unwrap(), "for example -o mtu=1400; left out, it is what fits");
    }

    /// Like swarm's: the first /24 of 10.0.0.0/8 and the first VNI behind its own.
    #[test]
    fn subnets_and_vnis_are_those_that_swarm_would_choose() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        for at in 0..3 {
            let request = Request { name: format!("net{at}"), ..request(&[], &[]) };
            let expected = json!({"type": "overlay", "vni": 4097 + at, "subnets": [format!("10.0.{at}.0/24")], "egress": true,
                "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "cluster"}});
            assert_eq!(written(&folder, &request).unwrap(), expected);
        }
        let given =
            Request { name: "given".into(), internal: true, ipv6: true, ..request(&[("vni", "4101")], &[]) };
        let given = written(&folder, &given).unwrap();
        assert_eq!(
            (&given["vni"], &given["egress"], given["subnets"].as_array().unwrap().len()),
            (&json!(4101), &json!(false), 2)
        );
        for (at, vni) in [(4, 4100), (5, 4102)] {
            let request = Request { name: format!("net{at}"), ..request(&[], &[]) };
            assert_eq!(written(&folder, &request).unwrap()["vni"], vni, "what is taken is passed over");
        }
        let taken =
            written(&folder, &request(&[("com.docker.network.driver.overlay.vxlanid_list", "4099")], &[]))
                .unwrap_err();
        assert_eq!(taken.to_string(), "VNI 4099 is that of network net2");
    }

    #[test]
    fn ports_are_published_but_of_an_internal_network() {
        let dir = tempfile::tempdir().unwrap();
        let kinds = |name: &str, internal| {
            let request = Request { name: name.into(), internal, ..request(&[], &[]) };
            let made = Folder::at(dir.path()).create(&request, &HostView::default()).unwrap();
            made.network.plugins.iter().map(|plugin| plugin.kind.clone()).collect::<Vec<_>>()
        };
        assert_eq!(kinds("open", false), ["overlay", "portmap", "firewall"]);
        assert_eq!(kinds("closed", true), ["overlay"]);
    }

    #[test]
    fn the_options_are_the_plugins_keys() {
        let dir = tempfile::tempdir().unwrap();
        let options = [
            ("vni", "4242"),
            ("peers", "worker-1=192.0.2.1,worker-2=192.0.2.2@7"),
            ("node", "worker-1"),
            ("vtep", "192.0.2.1"),
            ("port", "8472"),
            ("block_size", "28"),
            ("mtu", "1400"),
        ];
        let request = request(&options, &["10.42.0.0/16", "fd42::/48"]);
        let expected = json!({"type": "overlay", "vni": 4242, "subnets": ["10.42.0.0/16", "fd42::/48"], "egress": true,
            "node": "worker-1", "vtep": "192.0.2.1", "port": 8472, "blockSize": 28, "mtu": 1400,
            "store": {"type": "static", "peers": [
                {"node": "worker-1", "vtep": "192.0.2.1"}, {"node": "worker-2", "vtep": "192.0.2.2", "slot": 7}]},
            "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "cluster"}});
        let folder = Folder::at(dir.path());
        assert_eq!(written(&folder, &request).unwrap(), expected);
        let made = folder.find("stage").unwrap();
        assert_eq!((made.driver.as_str(), made.is_ours(), made.bridge), ("overlay", true, None));
        assert_eq!(made.cluster.unwrap().layout.blocks(), 4096);
    }

    #[test]
    fn what_such_a_network_cannot_be_is_refused_before_it_is_there() {
        let two = ("peers", "worker-1=192.0.2.1,worker-2=192.0.2.2");
        let subnet = ["10.42.0.0/16"];
        for (request, message) in [
            (request(&[("parent", "eth0")], &[]), "invalid option \"parent\""),
            (request(&[("vni", "x")], &[]), "invalid option \"vni\""),
            (request(&[("vni", "0")], &[]), "invalid option \"vni\""),
            (request(&[("peers", "worker-1")], &subnet), "invalid option \"peers\""),
            (request(&[("peers", "worker-1=192.0.2.1@x")], &subnet), "invalid option \"peers\""),
            (request(&[two], &subnet), "a network over several hosts needs -o vni"),
            (request(&[two, ("vni", "5000")], &[]), "a network over several hosts needs --subnet"),
            (
                Request { ipv6: true, ..request(&[two, ("vni", "5000")], &subnet) },
                "a network over several hosts needs --subnet for IPv6",
            ),
            (
                request(&[("peers", "a=192.0.2.1,a=192.0.2.2"), ("vni", "5000")], &subnet),
                "node a is listed twice",
            ),
            (request(&[("block_size", "12")], &[]), "invalid \"blockSize\" 12, must be between 16 and 30"),
            (request(&[("vtep", "127.0.0.1")], &[]), "invalid \"vtep\" \"127.0.0.1\""),
            (request(&[("port", "70000")], &[]), "invalid \"port\" 70000, must be between 1 and 65535"),
            (
                Request { gateways: vec!["10.42.0.1".parse().unwrap()], ..request(&[], &subnet) },
                "an overlay network has no --gateway",
            ),
            (
                Request { ip_ranges: vec!["10.42.1.0/24".parse().unwrap()], ..request(&[], &subnet) },
                "an overlay network has no --ip-range",
            ),
            (
                Request { ipv6: true, ..request(&[("mtu", "1000")], &[]) },
                "an MTU of 1000 is too small for IPv6",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let refused = written(&Folder::at(dir.path()), &request).unwrap_err();
            assert!(refused.to_string().starts_with(message), "{refused}");
            assert!(refused.hint().is_some_and(|hint| !hint.is_empty()), "{refused}");
            assert!(Folder::at(dir.path()).find("stage").is_err());
        }
    }

    /// The second of a container's networks is not its way out.
    #[test]
    fn a_default_route_by_an_overlay_network_gives_way_too() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        let routes = |request: &Request, rank| {
            let made = folder.create(request, &HostView::default()).unwrap();
            made.network_for(&[], rank).plugins[0].config["ipam"].get("routes").cloned()
        };
        let both = Request { name: "both".into(), ..request(&[], &["10.42.0.0/16", "fd42::/48"]) };
        let second = json!([{"dst": "0.0.0.0/0", "priority": 1}, {"dst": "::/0", "priority": 1025}]);
        assert_eq!(routes(&both, 1), Some(second));
        assert_eq!(routes(&Request { name: "first".into(), ..request(&[], &[]) }, 0), None);
        let inside = Request { name: "inside".into(), internal: true, ..request(&[], &[]) };
        assert_eq!(routes(&inside, 1), None, "it has none");
    }
}
