//! What can go wrong with networks, and what the person who asked does next. Where docker has words for it, they are docker's.
mod option;
mod subnet;

pub use option::InvalidOption;
pub use subnet::InvalidSubnet;

use crate::{DEFAULT_NETWORK, host::Obstacle, pools::InvalidPools};
use cluster::Vni;
use cni::{Code, Failure};
use std::{io, path::PathBuf};
use types::{IfName, InvalidName, NetworkName, Prefix};

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No network has this name, and no ID begins so.
    #[error("no network is called {name:?}")]
    NotFound {
        /// What was looked for.
        name: String,
        /// The network that was probably meant.
        similar: Option<String>,
    },
    /// More than one ID begins so.
    #[error("{prefix:?} is the beginning of the IDs of {}", .names.join(", "))]
    Ambiguous {
        /// What was looked for.
        prefix: String,
        /// The networks.
        names: Vec<String>,
    },
    /// No network can have this name.
    #[error("{name:?} cannot be the name of a network")]
    Name {
        /// The name.
        name: String,
        /// Why.
        #[source]
        cause: InvalidName,
    },
    /// The name is longer than files that are named after it can be.
    #[error("the name of a network has at most {most} characters, {name:?} has {}", .name.len())]
    LongName {
        /// The name.
        name: String,
        /// How long it may be.
        most: usize,
    },
    /// A name that is kept for the networks that are there from the beginning.
    #[error("operation is not permitted on predefined {name} network")]
    Predefined {
        /// The name.
        name: String,
    },
    /// One of these networks was to be removed.
    #[error("{name} is a pre-defined network and cannot be removed")]
    CannotRemove {
        /// The name.
        name: String,
    },
    /// There is a network of this name.
    #[error("network with name {name} already exists")]
    Taken {
        /// The name.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// A network was to be removed that somebody else has made.
    #[error("network {name} was not made by sealane")]
    NotOurs {
        /// The name.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// No driver has this name.
    #[error("no driver is called {0:?}")]
    Driver(String),
    /// `host` or `null`: a second one would be the same.
    #[error("only one instance of {0:?} network is allowed")]
    OneInstance(String),
    /// An option of the driver.
    #[error("invalid option {key:?}")]
    Option {
        /// Its name.
        key: String,
        /// Why.
        #[source]
        cause: InvalidOption,
    },
    /// Addresses of a network over many hosts are of no host's.
    #[error("an overlay network has no {0}")]
    NotOfOverlay(&'static str),
    /// What is chosen on one host need not be what another one chooses.
    #[error("a network over several hosts needs {0}")]
    SameOnEachHost(&'static str),
    /// Who has which addresses is said by a list or by an etcd.
    #[error("an overlay network has -o peers or -o etcd, not both")]
    TwoStores,
    /// A network has this number.
    #[error("VNI {vni} is that of network {network}")]
    VniTaken {
        /// The number.
        vni: Vni,
        /// The network.
        network: String,
    },
    /// Every number is some network's.
    #[error("no VNI is free")]
    NoFreeVni,
    /// What the plugin `overlay` would refuse.
    #[error(transparent)]
    Overlay(Box<cluster::Error>),
    /// The bridge that was named is another network's.
    #[error("bridge {bridge} is that of network {network}")]
    BridgeTaken {
        /// The bridge.
        bridge: IfName,
        /// The other network.
        network: String,
    },
    /// The bridge that was named is something else.
    #[error("{0} is there already, and is not a bridge")]
    NotABridge(IfName),
    /// The driver's containers are on a link of the host, and none was named.
    #[error("a {driver} network is on a link of the host, and none is named")]
    NoParent {
        /// The driver.
        driver: &'static str,
    },
    /// The host has no such link.
    #[error("the host has no link \"{parent}\" for the network to be on")]
    UnknownParent {
        /// The name that was given.
        parent: IfName,
        /// Those that there are.
        others: Vec<IfName>,
    },
    /// IPv6 does not work over links with so small an MTU (RFC 8200, section 5).
    #[error("an MTU of {0} is too small for IPv6")]
    MtuForIpv6(u32),
    /// A subnet, or what was said about it, cannot be.
    #[error(transparent)]
    Subnet(InvalidSubnet),
    /// A subnet that was named is taken.
    #[error("subnet {subnet} overlaps with {obstacle}")]
    Overlap {
        /// The subnet.
        subnet: Prefix,
        /// What has it.
        obstacle: Obstacle,
    },
    /// Nothing is free.
    #[error(
        "could not find an available, non-overlapping {} subnet in {}{}", if *.ipv4 { "IPv4" } else { "IPv6" }, .pools.join(", "),
        widest.as_ref().map(|obstacle| format!(": they overlap with {obstacle}, for one")).unwrap_or_default()
    )]
    NoFreeSubnet {
        /// Of which family.
        ipv4: bool,
        /// Where it was looked for.
        pools: Vec<String>,
        /// What takes most of the room.
        widest: Option<Obstacle>,
    },
    /// The environment's list of pools makes no sense.
    #[error("SEALANE_POOLS is {value:?}")]
    Pools {
        /// The list.
        value: String,
        /// Why.
        #[source]
        cause: InvalidPools,
    },
    /// The kernel gave no random numbers.
    #[error("could not get random numbers: {0}")]
    Random(String),
    /// The folder or a file in it could not be read or written.
    #[error("could not {doing} {}", .path.display())]
    Folder {
        /// `read`, `write`, ...
        doing: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        cause: io::Error,
    },
    /// A network's file is no conflist.
    #[error(transparent)]
    Broken(cni::runtime::Error),
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::Name { .. }
            | Self::LongName { .. }
            | Self::Predefined { .. }
            | Self::CannotRemove { .. }
            | Self::NotOurs { .. }
            | Self::Driver(_)
            | Self::OneInstance(_)
            | Self::Option { .. }
            | Self::NotOfOverlay(_)
            | Self::SameOnEachHost(_)
            | Self::TwoStores
            | Self::NotABridge(_)
            | Self::NoParent { .. }
            | Self::UnknownParent { .. }
            | Self::MtuForIpv6(_)
            | Self::Subnet(_)
            | Self::Pools { .. } => Code::InvalidConfig,
            Self::Taken { .. } | Self::BridgeTaken { .. } | Self::VniTaken { .. } | Self::Overlap { .. } => {
                Code::Taken
            }
            Self::NoFreeSubnet { .. } | Self::NoFreeVni => Code::TryAgain,
            Self::Overlay(cause) => cause.code(),
            Self::Random(_) => Code::Kernel,
            Self::Folder { .. } => Code::Io,
            Self::Broken(cause) => cause.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { name, similar } => not_found_hint(name, similar.as_deref()),
            Self::Ambiguous { .. } => "give more of the ID, or the name".into(),
            Self::Name { .. } => {
                "a name has letters, digits, `_`, `.` and `-`, and begins with a letter or digit".into()
            }
            Self::LongName { .. } => "choose a shorter name".into(),
            Self::Predefined { name } => format!("{name} is there without being made; choose another name"),
            Self::CannotRemove { .. } => {
                "it has no file and holds nothing: there is nothing to remove".into()
            }
            Self::Taken { name, path } => {
                format!("it is in {}; `sealane network rm {name}` removes it", path.display())
            }
            Self::NotOurs { path, .. } => format!("remove {} with what has made it", path.display()),
            Self::Driver(_) => DRIVERS.into(),
            Self::OneInstance(driver) if driver == "null" => "use the one there is: --network none".into(),
            Self::OneInstance(driver) => format!("use the one there is: --network {driver}"),
            Self::Option { key, cause } => cause.hint(key),
            Self::BridgeTaken { .. } => "two networks on one bridge are one network: name another one".into(),
            Self::NotOfOverlay(what) => overlay_hint(what),
            Self::SameOnEachHost(_) => {
                "give it on every host alike: each makes the network for itself".into()
            }
            Self::TwoStores => "with an etcd each host finds the others there: leave -o peers out".into(),
            Self::VniTaken { .. } => "leave -o vni out, or name another one".into(),
            Self::NoFreeVni => "remove networks that nobody needs: `sealane network prune`".into(),
            Self::Overlay(cause) => return cause.hint(),
            Self::NotABridge(link) => format!("`ip -d link show {link}` says what it is; name another one"),
            Self::NoParent { .. } => "name it: -o parent=eth0; `ip link` shows those there are".into(),
            Self::UnknownParent { others, .. } => parent_hint(others),
            Self::MtuForIpv6(_) => "raise it to 1280 bytes at least, or leave --ipv6 out".into(),
            Self::Subnet(cause) => cause.hint(),
            Self::Overlap { obstacle, .. } => overlap_hint(obstacle),
            Self::NoFreeSubnet { ipv4, .. } => full_hint(*ipv4),
            Self::Pools { .. } => "write BASE:LENGTH,..., such as 10.64.0.0/16:24,172.20.0.0/14:20".into(),
            Self::Folder { cause, .. } => folder_hint(cause.kind()),
            Self::Broken(cause) => return cause.hint(),
            Self::Random(_) => return None,
        })
    }
}

fn not_found_hint(name: &str, similar: Option<&str>) -> String {
    match similar {
        _ if name == DEFAULT_NETWORK => {
            "it is made with the first container that names no network, as by `sealane run`".into()
        }
        Some(similar) => format!("did you mean {similar:?}? `sealane network ls` lists them"),
        None if name.parse::<NetworkName>().is_ok() => {
            format!("`sealane network ls` lists those there are; `sealane network create {name}` makes it")
        }
        None => "`sealane network ls` lists those there are".into(),
    }
}

fn overlay_hint(what: &str) -> String {
    match what {
        "--ip-range" => {
            "each node gives the addresses of its own blocks; -o block_size says how large they are".into()
        }
        _ => "the way out is each container's own host: leave it out".into(),
    }
}

fn parent_hint(others: &[IfName]) -> String {
    let others: Vec<&str> = others.iter().map(IfName::as_str).collect();
    format!("-o parent= is one of {}", others.join(", "))
}

const DRIVERS: &str = "the drivers there are: bridge, ipvlan, macvlan, overlay; the networks host and none are there without being made";

fn overlap_hint(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Network { name, .. } => {
            format!(
                "name another one, or leave --subnet out for a free one; `sealane network rm {name}` frees it"
            )
        }
        Obstacle::Stored { name, .. } => {
            format!(
                "name another one, or leave --subnet out for a free one; `sealane network rm {name}` on each host that has it frees it"
            )
        }
        Obstacle::Route(route) => format!(
            "name another one, or leave --subnet out for a free one; `ip route show {}` shows what has it",
            route.dst
        ),
        Obstacle::Address(address) => format!(
            "name another one, or leave --subnet out for a free one; `ip addr show {}` shows it",
            address.dev
        ),
    }
}

fn full_hint(ipv4: bool) -> String {
    let example = if ipv4 { "10.64.0.0/16:24" } else { "fd00:64::/48:64" };
    format!(
        "name a subnet that you know is free with --subnet, or set SEALANE_POOLS, for example to {example}; \
         `sealane network prune` removes networks that nobody is on"
    )
}

fn folder_hint(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::PermissionDenied => {
            "networks of the machine are root's: run it as root, or without root in `sealane lab`".into()
        }
        _ => "networks lie in $NETCONFPATH, by default /etc/cni/net.d: a folder, with room, on a file system that can be written".into(),
    }
}
