//! Networks that several hosts share by an etcd. Each host makes the network for itself, so what is chosen on one must be what the others have: it is settled
//! with what the store knows, registered there, and only then made.
use crate::{
    Error, Folder, HostView, Request,
    create::{is_new, is_no_builtin, name, pools_from_env, taken},
    driver::Driver,
    host::Obstacle,
    overlay::{self, Said},
    subnets,
};
use cluster::{Etcd, NetworkRecord};
use std::collections::BTreeMap;
use types::NetworkName;

/// A network that is to be made, with all that its hosts must have alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Its name.
    pub name: NetworkName,
    /// What is to be made on this host: nothing is left to be chosen.
    pub request: Request,
    /// What is to be registered.
    pub record: NetworkRecord,
}

/// The etcd by which the network that is asked for is to be shared; none if it is of this host alone, or its nodes are listed.
pub fn etcd_of(request: &Request) -> Result<Option<Etcd>, Error> {
    match Driver::read(request)? {
        Driver::Overlay(overlay) => overlay.etcd(),
        Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Ipvlan(_) => Ok(None),
    }
}

impl Folder {
    /// Settles an overlay network with those that its store has: one of this name is joined; otherwise what nobody says is chosen
    /// such that it is free there and here. Refuses what [`Folder::create`] would.
    pub fn settle(
        &self,
        request: &Request,
        host: &HostView,
        stored: &BTreeMap<NetworkName, NetworkRecord>,
    ) -> Result<Shared, Error> {
        is_no_builtin(request)?;
        let (name, mut request) = (name(&request.name)?, request.clone());
        if let Some(record) = stored.get(&name) {
            join(&mut request, record);
        }
        let Driver::Overlay(driver) = Driver::read(&request)? else {
            return Err(Error::Driver(request.driver));
        };
        let networks = self.networks()?;
        is_new(&name, &networks)?;
        let others = || stored.iter().filter(|(other, _)| **other != name);
        let mut numbers = overlay::taken(&networks);
        numbers.extend(others().map(|(other, record)| (record.vni, other.clone())));
        let vni = driver.vni(&numbers)?;
        let is_here = |other: &NetworkName| networks.iter().any(|network| network.name == *other);
        let elsewhere = others().filter(|(other, _)| !is_here(other)).flat_map(|(other, record)| {
            record.subnets.iter().map(|one| Obstacle::Stored { name: other.clone(), subnet: *one })
        });
        let here = Obstacle::all(taken(&networks), host, None);
        let obstacles: Vec<Obstacle> = here.into_iter().chain(elsewhere).collect();
        let pools = pools_from_env()?.unwrap_or_else(|| Driver::Overlay(driver.clone()).pools());
        let subnets = subnets::settle(&request, &obstacles, &pools)?;
        let config = driver.config(vni, &subnets, request.internal)?;
        if !overlay::says(&request, Said::Vni) {
            overlay::say(&mut request, Said::Vni, vni.number());
        }
        request.subnets = subnets.iter().map(|subnet| subnet.subnet).collect();
        Ok(Shared { record: NetworkRecord::new(vni, &config.layout), name, request })
    }
}

/// What a network of the store is, for who does not say otherwise.
fn join(request: &mut Request, record: &NetworkRecord) {
    if request.subnets.is_empty() {
        request.subnets.clone_from(&record.subnets);
    }
    if !overlay::says(request, Said::Vni) {
        overlay::say(request, Said::Vni, record.vni.number());
    }
    if !overlay::says(request, Said::BlockSize) {
        overlay::say(request, Said::BlockSize, record.block_size.number().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::Layout;
    use cni::Failure as _;

    fn request(name: &str, options: &[(&str, &str)], subnets: &[&str]) -> Request {
        let etcd = ("etcd", "http://192.0.2.9:2379");
        let options = options.iter().chain([&etcd]);
        Request {
            name: name.into(),
            driver: "overlay".into(),
            options: options.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            subnets: subnets.iter().map(|subnet| subnet.parse().unwrap()).collect(),
            ..Request::default()
        }
    }

    fn record(vni: u32, subnets: &[&str], block_size: Option<i64>) -> NetworkRecord {
        let subnets = subnets.iter().map(|subnet| subnet.parse().unwrap()).collect();
        let size = block_size.map(|size| size.try_into().unwrap());
        NetworkRecord::new(vni.try_into().unwrap(), &Layout::new(subnets, size).unwrap())
    }

    #[test]
    fn what_is_free_in_the_store_and_here_is_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, host) = (Folder::at(dir.path()), HostView::default());
        let here = Request { name: "here".into(), driver: "overlay".into(), ..Request::default() };
        folder.create(&here, &host).unwrap();
        let stored = BTreeMap::from([("there".parse().unwrap(), record(4098, &["10.0.1.0/24"], None))]);
        let shared = folder.settle(&request("new", &[], &[]), &host, &stored).unwrap();
        assert_eq!(shared.record, record(4099, &["10.0.2.0/24"], None));
        let made = folder.create(&shared.request, &host).unwrap().cluster.unwrap();
        assert_eq!(NetworkRecord::new(made.vni, &made.layout), shared.record);
    }

    #[test]
    fn a_network_that_is_there_is_joined_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, host) = (Folder::at(dir.path()), HostView::default());
        let there = record(7000, &["10.42.0.0/16", "fd42::/48"], Some(24));
        let stored = BTreeMap::from([("stage".parse().unwrap(), there.clone())]);
        let shared = folder.settle(&request("stage", &[], &[]), &host, &stored).unwrap();
        assert_eq!(shared.record, there);
        // Who says something else is told by the store.
        for other in [
            request("stage", &[("vni", "7001")], &[]),
            request("stage", &[("block_size", "26")], &[]),
            request("stage", &[], &["10.43.0.0/16"]),
            Request { subnets: vec!["10.42.0.0/16".parse().unwrap()], ..request("stage", &[], &[]) },
        ] {
            assert_ne!(folder.settle(&other, &host, &stored).unwrap().record, there, "{other:?}");
        }
    }

    #[test]
    fn what_another_network_has_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, host) = (Folder::at(dir.path()), HostView::default());
        let stored = BTreeMap::from([("there".parse().unwrap(), record(4098, &["10.0.1.0/24"], None))]);
        let refused = |request: &Request| folder.settle(request, &host, &stored).unwrap_err().to_string();
        assert_eq!(refused(&request("new", &[("vni", "4098")], &[])), "VNI 4098 is that of network there");
        let said = refused(&request("new", &[], &["10.0.0.0/16"]));
        assert!(said.starts_with("subnet 10.0.0.0/16 overlaps with "), "{said}");
        let named = folder.settle(&request("new", &[], &["10.0.0.0/16"]), &host, &stored).unwrap_err();
        let hint = named.hint().unwrap();
        assert!(hint.ends_with("`sealane network rm there` on each host that has it frees it"), "{hint}");
        let shared = folder.settle(&request("new", &[], &[]), &host, &stored).unwrap();
        folder.create(&shared.request, &host).unwrap();
        let mut stored = stored.clone();
        stored.insert("new".parse().unwrap(), shared.record);
        let subnet = shared.request.subnets[0].to_string();
        let named = folder.settle(&request("other", &[], &[&subnet]), &host, &stored).unwrap_err();
        let hint = named.hint().unwrap();
        assert!(hint.ends_with("`sealane network rm new` frees it"), "{hint}");
        assert_eq!(refused(&request("new", &[], &[])), "network with name new already exists");
    }

    #[test]
    fn the_options_are_the_stores_keys() {
        let full = [
            ("etcd", "https://a:2379,https://b:2379"),
            ("etcd_prefix", "/mine"),
            ("etcd_ca", "/ca.pem"),
            ("etcd_cert", "/cert.pem"),
            ("etcd_key", "/key.pem"),
            ("etcd_dead_after", "3600"),
        ];
        let mut asked = request("new", &[], &[]);
        asked.options = full.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let etcd = etcd_of(&asked).unwrap().unwrap();
        assert_eq!((etcd.endpoints.len(), etcd.prefix.to_string().as_str()), (2, "/mine"));
        assert_eq!(etcd.dead_after.as_secs(), 3600);
        let tls = etcd.tls.unwrap();
        assert_eq!(tls.ca.to_str(), Some("/ca.pem"));
        assert_eq!(tls.identity, Some(("/cert.pem".into(), "/key.pem".into())));
        let bare = Request { options: Vec::new(), ..asked.clone() };
        assert_eq!(etcd_of(&bare).unwrap(), None);
        for (options, message) in [
            (vec![("etcd", "x")], "invalid endpoint \"x\""),
            (vec![("etcd_prefix", "/mine")], "the store \"etcd\" has no \"endpoints\""),
            (vec![("etcd", "http://a"), ("etcd_dead_after", "1d")], "invalid option \"etcd_dead_after\""),
            (vec![("etcd", "http://a"), ("etcd_dead_after", "19")], "invalid \"deadAfter\" 19"),
            (vec![("etcd", "https://a")], "endpoint https://a:2379 needs \"tls\""),
            (
                vec![("etcd", "http://a"), ("peers", "a=192.0.2.1")],
                "an overlay network has -o peers or -o etcd, not both",
            ),
        ] {
            let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let asked = Request { options: options.collect(), ..asked.clone() };
            assert_eq!(etcd_of(&asked).unwrap_err().to_string(), message);
        }
    }
}
