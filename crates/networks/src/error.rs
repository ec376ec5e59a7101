//! What can go wrong with networks, and what the person who asked does next. Where docker has words for it, they are docker's.
use crate::{host::Obstacle, options::KNOWN_OPTIONS, pools::InvalidPools};
use cni::{Code, Failure};
use std::{io, net::IpAddr, path::PathBuf};
use types::{IfName, InvalidName, Prefix};

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

/// What is wrong with an option of the driver.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOption {
    /// The driver has no such option.
    #[error("the bridge driver has no such option")]
    Unknown {
        /// The option that was probably meant.
        similar: Option<&'static str>,
    },
    /// No link can have this name.
    #[error("{value:?} cannot be the name of a bridge")]
    Name {
        /// The name.
        value: String,
        /// Why.
        #[source]
        cause: InvalidName,
    },
    /// Not an MTU.
    #[error("{0:?} is not an MTU between 68 and 65535")]
    Mtu(String),
    /// Neither true nor false.
    #[error("{0:?} is neither true nor false")]
    Switch(String),
    /// There is no masquerade yet.
    #[error("masquerade is not supported")]
    Masquerade,
}

/// What is wrong with what was said about subnets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubnet {
    /// The address of a host where that of a network belongs.
    #[error("{what} {given} has host bits set")]
    HostBits {
        /// `subnet` or `ip-range`.
        what: &'static str,
        /// As given.
        given: Prefix,
    },
    /// Addresses that mean something else.
    #[error("subnet {subnet} overlaps with {what}")]
    Reserved {
        /// The subnet.
        subnet: Prefix,
        /// What they mean.
        what: &'static str,
    },
    /// No room for a gateway and a container.
    #[error("subnet {subnet} is too small for a gateway and a container")]
    TooSmall {
        /// The subnet.
        subnet: Prefix,
    },
    /// Two subnets of one address family.
    #[error("multiple {} subnets, {one} and {other}, are not supported", if .one.is_ipv4() { "IPv4" } else { "IPv6" })]
    TwoOfOneFamily {
        /// The first.
        one: Prefix,
        /// The second.
        other: Prefix,
    },
    /// A gateway or a range without any subnet.
    #[error("every ip-range or gateway must have a corresponding subnet")]
    NoSubnet,
    /// A gateway in none of the subnets.
    #[error("no matching subnet for gateway {gateway}")]
    StrayGateway {
        /// The gateway.
        gateway: IpAddr,
        /// The subnets.
        subnets: Vec<Prefix>,
    },
    /// A range that is not in one of the subnets.
    #[error("no matching subnet for range {range}")]
    StrayRange {
        /// The range.
        range: Prefix,
        /// The subnets.
        subnets: Vec<Prefix>,
    },
    /// Two gateways in one subnet.
    #[error("cannot configure multiple gateways ({one}, {other}) on the same subnet ({subnet})")]
    TwoGateways {
        /// The first.
        one: IpAddr,
        /// The second.
        other: IpAddr,
        /// The subnet.
        subnet: Prefix,
    },
    /// Two ranges in one subnet.
    #[error("cannot configure multiple ranges ({one}, {other}) on the same subnet ({subnet})")]
    TwoRanges {
        /// The first.
        one: Prefix,
        /// The second.
        other: Prefix,
        /// The subnet.
        subnet: Prefix,
    },
    /// The subnet's own address, or its broadcast address.
    #[error("gateway {gateway} is no host's address in {subnet}")]
    NoHost {
        /// The gateway.
        gateway: IpAddr,
        /// The subnet.
        subnet: Prefix,
    },
    /// A range with no address for a container.
    #[error("ip-range {range} has no address for a container")]
    EmptyRange {
        /// The range.
        range: Prefix,
        /// The gateway, which no container gets.
        gateway: IpAddr,
    },
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
            | Self::NotABridge(_)
            | Self::MtuForIpv6(_)
            | Self::Subnet(_)
            | Self::Pools { .. } => Code::InvalidConfig,
            Self::Taken { .. } | Self::BridgeTaken { .. } | Self::Overlap { .. } => Code::Taken,
            Self::NoFreeSubnet { .. } => Code::TryAgain,
            Self::Random(_) => Code::Kernel,
            Self::Folder { .. } => Code::Io,
            Self::Broken(cause) => cause.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { similar: Some(similar), .. } => {
                format!("did you mean {similar:?}? `sealane network ls` lists them")
            }
            Self::NotFound { name, similar: None } => {
                format!(
                    "`sealane network ls` lists those there are; `sealane network create {name}` makes it"
                )
            }
            Self::Ambiguous { .. } => "give more of the ID, or the name".into(),
            Self::Name { .. } => {
                "a name has letters, digits, `_`, `.` and `-`, and begins with a letter or digit".into()
            }
            Self::LongName { .. } => "choose a shorter name".into(),
            Self::Predefined { name } => format!("{name} is there without being made; choose another name"),
            Self::CannotRemove { .. } => {
                "it has no file and holds nothing, so there is nothing to remove".into()
            }
            Self::Taken { name, path } => {
                format!("it is in {}; `sealane network rm {name}` removes it", path.display())
            }
            Self::NotOurs { path, .. } => {
                format!(
                    "whoever wrote {} may still need it; remove it with the program that made it",
                    path.display()
                )
            }
            Self::Driver(name) => driver_hint(name),
            Self::OneInstance(driver) => {
                let network = if driver == "null" { "none" } else { driver };
                format!("use the one that is there: --network {network}")
            }
            Self::Option { key, cause } => return cause.hint(key),
            Self::BridgeTaken { .. } => {
                "two networks on one bridge are one network: choose another name for it".into()
            }
            Self::NotABridge(name) => {
                format!("`ip -d link show {name}` says what it is; choose another name")
            }
            Self::MtuForIpv6(_) => {
                "IPv6 needs 1280 bytes at least; raise the MTU, or leave --ipv6 out".into()
            }
            Self::Subnet(cause) => return cause.hint(),
            Self::Overlap { obstacle, .. } => overlap_hint(obstacle),
            Self::NoFreeSubnet { ipv4, .. } => {
                let example = if *ipv4 { "10.64.0.0/16:24" } else { "fd00:64::/48:64" };
                format!(
                    "name a subnet that you know is free with --subnet, or set SEALANE_POOLS, for example to {example}; \
                     `sealane network prune` removes networks that nobody is on"
                )
            }
            Self::Pools { .. } => {
                "write it as BASE:LENGTH,..., for example 10.64.0.0/16:24,172.20.0.0/14:20".into()
            }
            Self::Random(_) => return None,
            Self::Folder { cause, .. } => return folder_hint(cause.kind()),
            Self::Broken(cause) => return cause.hint(),
        })
    }
}

/// Docker's other drivers are not misspelt ones.
fn driver_hint(name: &str) -> String {
    match name {
        "overlay" | "macvlan" | "ipvlan" => {
            format!("{name} networks can't be made yet; bridge is the one driver there is")
        }
        _ => "bridge is the one driver there is; the networks host and none are there without being made"
            .into(),
    }
}

fn overlap_hint(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Network { name, .. } => {
            format!(
                "name another one, or leave --subnet out for a free one; `sealane network rm {name}` frees it"
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

fn folder_hint(kind: io::ErrorKind) -> Option<String> {
    match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Some(
            "networks of the machine are root's: run it as root, or without root in `sealane lab`".into(),
        ),
        _ => None,
    }
}

impl InvalidOption {
    fn hint(&self, key: &str) -> Option<String> {
        Some(match self {
            Self::Unknown { similar } => {
                let known = format!("known are {}", KNOWN_OPTIONS.join(", "));
                similar.map(|similar| format!("did you mean {similar}? {known}")).unwrap_or(known)
            }
            Self::Name { .. } => format!("for example -o {key}=br0; at most 15 bytes"),
            Self::Mtu(_) => format!("for example -o {key}=1400; left out, it is the kernel's, 1500"),
            Self::Switch(_) => format!("write -o {key}=true or -o {key}=false"),
            Self::Masquerade => {
                "leave it out, or set it to false: containers reach their own network and the host, nothing behind it".into()
            }
        })
    }
}

impl InvalidSubnet {
    fn hint(&self) -> Option<String> {
        let listed =
            |subnets: &[Prefix]| subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Some(match self {
            Self::HostBits { given, .. } => format!("write {}", given.network()),
            Self::Reserved { .. } => {
                "take one of the private blocks, such as 10.64.0.0/24 or fd00:64::/64".into()
            }
            Self::TooSmall { subnet } => format!("the longest prefix is a /{}", subnet.bits() - 2),
            Self::TwoOfOneFamily { .. } => "give one subnet for IPv4 and one for IPv6 at most".into(),
            Self::NoSubnet => "add --subnet".into(),
            Self::StrayGateway { subnets, .. } => format!("the gateway is an address in {}", listed(subnets)),
            Self::StrayRange { subnets, .. } => format!("the range is a part of {}", listed(subnets)),
            Self::TwoGateways { .. } => "give one --gateway for each --subnet".into(),
            Self::TwoRanges { .. } => "give one --ip-range for each --subnet".into(),
            Self::NoHost { subnet, .. } => {
                format!("leave --gateway out for {}", crate::conflist::beside(subnet.address(), 1))
            }
            Self::EmptyRange { gateway, .. } => {
                format!(
                    "the gateway {gateway} and the first and last address of an IPv4 subnet are no container's"
                )
            }
        })
    }
}
