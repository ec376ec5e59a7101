//! The host's side of networks, read of the kernel once for a whole command.
use crate::look;
use kernel::{AddressOf, Link, RouteTo, Watch};
use networks::{HostAddress, HostLink, HostRoute, HostView};
use types::{IfName, Prefix};

/// All links, addresses and routes of the network namespace that we are in.
#[derive(Debug)]
pub(crate) struct View {
    links: Vec<Link>,
    addresses: Vec<AddressOf>,
    routes: Vec<RouteTo>,
}

impl View {
    /// What there is now.
    pub(crate) fn now() -> Result<Self, look::Error> {
        look::look(async {
            let watch = Watch::open()?;
            let (links, addresses) = (watch.links().await?, watch.addresses().await?);
            Ok(Self { links, addresses, routes: watch.routes().await? })
        })
    }

    /// The link of this name.
    pub(crate) fn link(&self, name: &IfName) -> Option<&Link> {
        self.links.iter().find(|link| link.name == *name)
    }

    /// The links that are ports of this one.
    pub(crate) fn ports(&self, of: &Link) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.master == Some(of.index))
    }

    /// The addresses of a link.
    pub(crate) fn addresses(&self, of: &Link) -> impl Iterator<Item = Prefix> {
        self.addresses.iter().filter(|address| address.link == of.index).map(|address| address.prefix)
    }

    /// What a new network has to keep out of the way of.
    pub(crate) fn host(&self) -> HostView {
        let link = |link: &Link| HostLink {
            name: link.name.clone(),
            is_bridge: link.kind.as_deref() == Some("bridge"),
        };
        let address =
            |address: &AddressOf| HostAddress { prefix: address.prefix, dev: self.dev(Some(address.link)) };
        HostView {
            routes: self.routes.iter().map(|route| self.route(route)).collect(),
            addresses: self.addresses.iter().map(address).collect(),
            links: self.links.iter().map(link).collect(),
        }
    }

    fn route(&self, route: &RouteTo) -> HostRoute {
        let link = self.links.iter().find(|link| Some(link.index) == route.link);
        // The subnet of one of the link's own addresses, and not a tunnel, which has no Ethernet address.
        let is_its_subnet = |link: &Link| self.addresses(link).any(|own| own.network() == route.dst);
        let neighbours = link.is_some_and(|link| link.mac.is_some() && is_its_subnet(link));
        HostRoute {
            dst: route.dst,
            dev: self.dev(route.link),
            gateway: route.gateway,
            on_link: route.gateway.is_none() && neighbours,
        }
    }

    fn dev(&self, index: Option<u32>) -> String {
        let Some(index) = index else { return "blackhole".to_owned() };
        let link = self.links.iter().find(|link| link.index == index);
        link.map_or_else(|| format!("if{index}"), |link| link.name.to_string())
    }
}
