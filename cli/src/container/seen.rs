//! Containers' interfaces as the kernel has them now.
use super::registry::{Container, State};
use crate::look::{self, look};
use kernel::{AddressOf, Link, Netns, Watch};
use std::{net::IpAddr, path::Path};
use types::{IfName, Prefix};

/// What there is in a container's network namespace. Nothing, if the container does not run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    links: Vec<Link>,
    addresses: Vec<AddressOf>,
}

/// Looks at containers, one after the other.
pub(crate) fn containers(all: &[Container]) -> Result<Vec<Seen>, look::Error> {
    let running = |one: &Container| {
        let init = (one.state == State::Running).then(|| one.record.init().ok().flatten()).flatten();
        init.map(|init| init.pid())
    };
    sandboxes(&all.iter().map(running).collect::<Vec<_>>())
}

/// Looks at what these processes see, one after the other.
pub(crate) fn sandboxes(pids: &[Option<u32>]) -> Result<Vec<Seen>, look::Error> {
    look(async {
        let mut seen = Vec::new();
        for pid in pids {
            seen.push(match pid {
                // One that ends at this moment has nothing any more.
                Some(pid) => inside(*pid).await.unwrap_or_default(),
                None => Seen::default(),
            });
        }
        Ok(seen)
    })
}

async fn inside(pid: u32) -> Result<Seen, kernel::Error> {
    let netns = Netns::open(Path::new(&format!("/proc/{pid}/ns/net")))?;
    let watch = netns.run(Watch::open)??;
    Ok(Seen { links: watch.links().await?, addresses: watch.addresses().await? })
}

impl Seen {
    /// The interface of this name.
    pub(crate) fn link(&self, name: &IfName) -> Option<&Link> {
        self.links.iter().find(|link| link.name == *name)
    }

    /// The addresses of an interface, IPv4 first, without those that every interface makes for itself.
    pub(crate) fn addresses(&self, name: &IfName) -> Vec<Prefix> {
        let Some(link) = self.link(name) else { return Vec::new() };
        let of_link =
            self.addresses.iter().filter(|address| address.link == link.index).map(|address| address.prefix);
        let mut addresses: Vec<_> = of_link.filter(|prefix| !is_link_local(prefix.address())).collect();
        addresses.sort_by_key(|prefix| !prefix.is_ipv4());
        addresses
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
