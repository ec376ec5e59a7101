//! What the host has already, as far as a new network could get in its way.
use std::{fmt, net::IpAddr};
use types::{IfName, NetworkName, Prefix};

/// What the caller has read of the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostView {
    /// Its routes, of all tables.
    pub routes: Vec<HostRoute>,
    /// The addresses of its links.
    pub addresses: Vec<HostAddress>,
    /// Its links.
    pub links: Vec<HostLink>,
}

/// A route of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoute {
    /// Where it leads.
    pub dst: Prefix,
    /// The link's name, or `blackhole`.
    pub dev: String,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// Whether who is in `dst` sits on the link itself: it is the subnet of one of the link's addresses, and the link is no tunnel.
    pub on_link: bool,
}

/// An address of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    /// The address, with the length of its subnet's prefix.
    pub prefix: Prefix,
    /// The link's name.
    pub dev: String,
}

/// A link of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLink {
    /// Its name.
    pub name: IfName,
    /// Whether it is a bridge.
    pub is_bridge: bool,
}

/// Why a subnet is not free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is another network's.
    Network {
        /// That network.
        name: NetworkName,
        /// Its subnet.
        subnet: Prefix,
    },
    /// It is that of a network in the store that hosts share, which this one has not.
    Stored {
        /// That network.
        name: NetworkName,
        /// Its subnet.
        subnet: Prefix,
    },
    /// The host has a route there.
    Route(HostRoute),
    /// The host has an address in it.
    Address(HostAddress),
}

/// How much is in a subnet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// All that overlaps, but default routes.
    Full,
    /// Not a wider route that leads elsewhere (through a gateway, into a tunnel): the subnet's own route is the longer one, and
    /// is taken. A VPN's 0.0.0.0/1 or 10.0.0.0/8 covers everything.
    LongestPrefix,
}

impl Obstacle {
    /// All that subnets can run into. What `bridge`, which is to have the subnet, has itself is not in its way.
    pub(crate) fn all(
        networks: impl Iterator<Item = (NetworkName, Prefix)>,
        host: &HostView,
        bridge: Option<&IfName>,
    ) -> Vec<Self> {
        let other = |dev: &String| bridge.is_none_or(|bridge| bridge.as_str() != dev);
        let routes = host.routes.iter().filter(|route| other(&route.dev) && route.dst.length() > 0);
        let addresses = host.addresses.iter().filter(|address| other(&address.dev));
        networks
            .map(|(name, subnet)| Self::Network { name, subnet })
            .chain(routes.cloned().map(Self::Route))
            .chain(addresses.cloned().map(Self::Address))
            .collect()
    }

    /// The part of the address space that a subnet of this length must keep out of; none if it need not care.
    pub(crate) fn blocks(&self, length: u8, care: Care) -> Option<Prefix> {
        match (self, care) {
            (Self::Network { subnet, .. } | Self::Stored { subnet, .. }, _) => Some(*subnet),
            (Self::Route(route), Care::LongestPrefix) if !route.on_link && route.dst.length() < length => {
                None
            }
            (Self::Route(route), _) => Some(route.dst),
            (Self::Address(address), Care::Full) => Some(address.prefix.network()),
            // Its link may well be up without a route to all of the prefix; where it has one, that counts.
            (Self::Address(address), Care::LongestPrefix) => Some(Prefix::host(address.prefix.address())),
        }
    }

    /// Whether a subnet runs into it.
    pub(crate) fn is_in_the_way(&self, subnet: Prefix, care: Care) -> bool {
        self.blocks(subnet.length(), care).is_some_and(|blocked| blocked.overlaps(subnet))
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { name, subnet } => write!(out, "{subnet} of network {:?}", name.as_str()),
            Self::Stored { name, subnet } => {
                write!(out, "{subnet} of network {:?} of other hosts", name.as_str())
            }
            Self::Route(route) => write!(out, "the route {route}"),
            Self::Address(address) => write!(out, "the address {} of {}", address.prefix, address.dev),
        }
    }
}

/// As ip-route(8) shows it.
impl fmt::Display for HostRoute {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.dst)?;
        if let Some(gateway) = self.gateway {
            write!(out, " via {gateway}")?;
        }
        write!(out, " dev {}", self.dev)
    }
}
