//! What is asked for and cannot be. All of it is said before anything is changed.
use super::{
    choice::HOST,
    ports::{Host, InvalidPort},
};
use cni::{Code, Failure};
use types::NetworkName;

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A name that no container can have.
    #[error("invalid container name {0:?}, only [a-zA-Z0-9][a-zA-Z0-9_.-]+ is allowed")]
    Name(String),
    /// What follows `-p` is no port.
    #[error("invalid port {value:?}: {why}")]
    Port { value: String, why: InvalidPort },
    /// Two ports of the container would be one of the host.
    #[error("port {host} of the host cannot lead to {one} and to {other}")]
    PublishedTwice { host: Host, one: String, other: String },
    /// A port on an address of the host's, and no network has an address of that family for the container.
    #[error("cannot publish port {port} at {address}: no network of the container has {} addresses", if address.is_ipv4() { "IPv4" } else { "IPv6" })]
    NoFamily { port: String, address: std::net::IpAddr },
    /// A port on an address that no interface of the host has.
    #[error("cannot publish port {port} at {address}")]
    NotHere {
        port: String,
        address: std::net::IpAddr,
        #[source]
        cause: std::io::Error,
    },
    /// What follows the container in `sealane port` is no port.
    #[error("invalid port {value:?}: {why}")]
    PrivatePort { value: String, why: InvalidPort },
    /// What follows `-l` has no key.
    #[error("invalid label {0:?}")]
    Label(String),
    /// What follows `-e` has no key.
    #[error("invalid environment variable {0:?}")]
    Variable(String),
    /// What follows `--mac-address` is none.
    #[error(transparent)]
    Mac(#[from] types::InvalidMac),
    /// A MAC address that is a group's.
    #[error("{0} is the address of a group, not of an interface")]
    GroupMac(types::Mac),
    /// What follows `--add-host` is no name and address.
    #[error("invalid --add-host {0:?}")]
    AddHost(String),
    /// A name that cannot stand in a hosts file.
    #[error("invalid {what} {value:?}")]
    Host { what: &'static str, value: String },
    /// `host` or `none` with another network.
    #[error("conflicting options: a container on network \"{alone}\" cannot be on network \"{other}\" too")]
    Alone { alone: NetworkName, other: NetworkName },
    /// One network, twice.
    #[error("network \"{0}\" is given twice")]
    Twice(NetworkName),
    /// Something that a network without addresses of its own cannot give.
    #[error("network \"{network}\" takes no {option}")]
    NotThere { network: NetworkName, option: &'static str },
    /// None of a network's plugins takes this argument.
    #[error("network \"{network}\" takes no {option}: none of its plugins has the capability {capability:?}")]
    Capability { network: NetworkName, option: &'static str, capability: &'static str },
    /// An address outside of the network.
    #[error("no subnet of network \"{network}\" has the address {address}")]
    Address { network: NetworkName, address: std::net::IpAddr, subnets: Vec<String> },
    /// No network of the container can publish ports.
    #[error("cannot publish port {port} on network {}{}", networks.join(", "), no_ports(*internal))]
    NoPorts { networks: Vec<String>, driver: String, port: String, internal: bool },
    /// On the host's network there is nothing that could give a port another number.
    #[error("cannot publish port {container} of a container on network \"host\" as {} {host}", ports(*host))]
    Renumbered { host: Host, container: u16 },
    /// A program that the network's configuration names, in none of the folders.
    #[error("failed to find plugin {plugin:?} of network \"{network}\" in path [{}]", path.join(" "))]
    NoPlugin { network: NetworkName, plugin: String, path: Vec<String> },
    /// It is on that network.
    #[error("endpoint with name {container} already exists in network {network}")]
    Connected { container: String, network: NetworkName },
    /// It is not on that network.
    #[error("container {container} is not connected to network {network}")]
    NotConnected { container: String, network: String },
    /// A container on `host` or `none` cannot be moved.
    #[error(
        "container {container:?} is on network \"{network}\", and cannot be connected to or disconnected from any"
    )]
    Fixed { container: String, network: NetworkName },
    /// `host` and `none` are for whole containers.
    #[error("a container that runs cannot be connected to network \"{network}\" or disconnected from it")]
    Unconnectable { network: NetworkName },
    /// A word that no list of containers can be cut down by.
    #[error("invalid filter {0:?}")]
    Filter(String),
}

impl Failure for Refusal {
    fn code(&self) -> Code {
        match self {
            Self::Connected { .. } => Code::Taken,
            Self::Name(_)
            | Self::Port { .. }
            | Self::PublishedTwice { .. }
            | Self::NoFamily { .. }
            | Self::NotHere { .. }
            | Self::PrivatePort { .. }
            | Self::Label(_)
            | Self::Variable(_)
            | Self::Mac(_)
            | Self::GroupMac(_)
            | Self::AddHost(_)
            | Self::Host { .. }
            | Self::Alone { .. }
            | Self::Twice(_)
            | Self::NotThere { .. }
            | Self::Capability { .. }
            | Self::Address { .. }
            | Self::NoPorts { .. }
            | Self::Renumbered { .. }
            | Self::NoPlugin { .. }
            | Self::NotConnected { .. }
            | Self::Fixed { .. }
            | Self::Unconnectable { .. }
            | Self::Filter(_) => Code::InvalidConfig,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Name(_) => "a letter or a digit first, then letters, digits, `_`, `.` and `-`: two characters or more".into(),
            Self::Port { .. } => "for example 8080:80, 127.0.0.1:8080:80/udp or [::1]:8080:80".into(),
            Self::PublishedTwice { .. } => "give each its own port of the host, or leave that out for any".into(),
            Self::NoFamily { address, .. } if address.is_ipv4() => "add a --network that has some".into(),
            Self::NoFamily { .. } => "add a --network that was made with --ipv6, or publish at an IPv4 address".into(),
            Self::NotHere { address, .. } => {
                let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
                format!(
                    "`ip -brief address` shows the host's; leave it out for all of them; for one that comes later, \
                     `sysctl net.{family}.ip_nonlocal_bind=1` first"
                )
            }
            Self::PrivatePort { .. } => "the port in the container, for example 80 or 53/udp".into(),
            Self::Label(_) => "for example -l colour=red".into(),
            Self::Variable(_) => "for example -e KEY=VALUE; -e KEY takes the value it has here".into(),
            Self::Mac(_) => "for example 02:42:ac:11:00:02".into(),
            Self::GroupMac(_) => "the first byte is to be even: 02:42:ac:11:00:02".into(),
            Self::AddHost(_) => "for example db:10.0.0.9, db:[fd00::9] or host.internal:host-gateway".into(),
            Self::Host { .. } => "letters, digits, `_`, `.` and `-`, and at most 64 of them for a host name".into(),
            Self::Alone { alone, .. } => format!("leave out --network {alone}, or all others"),
            Self::Twice(_) => "a container is on a network once".into(),
            Self::NotThere { network, .. } if network.as_str() == HOST => {
                "a container on it has the host's interfaces and names; leave that out, or name another network".into()
            }
            Self::NotThere { .. } => "a container on it has no interface; leave that out, or name another network".into(),
            Self::Capability { network, capability, .. } => {
                format!("a plugin in the conflist of {network} needs \"capabilities\": {{\"{capability}\": true}}")
            }
            Self::Address { subnets, .. } => format!("its subnets: {}", subnets.join(", ")),
            Self::NoPorts { internal: true, .. } => "add a --network that is not internal, or leave -p out".into(),
            Self::NoPorts { networks, driver, .. } => no_ports_hint(networks, driver),
            Self::Renumbered { container, .. } => {
                format!("the host's network translates nothing: -p {container}, or have the command listen elsewhere")
            }
            Self::NoPlugin { .. } => {
                "CNI_PATH names the folders that have the plugins; `sealane plugins` lists those of this program".into()
            }
            Self::Connected { container, network } => {
                format!("`sealane network disconnect {network} {container}` takes it off first")
            }
            Self::NotConnected { container, .. } => format!("`sealane inspect {container}` shows its networks"),
            Self::Fixed { container, .. } => {
                format!("`sealane rm -f {container}`, then `sealane run` with other networks")
            }
            Self::Unconnectable { network } => format!("`sealane run --network {network}` starts one there"),
            Self::Filter(_) => "known are id=, label=, name=, network= and status=".into(),
        })
    }
}

fn ports(host: Host) -> &'static str {
    if matches!(host, Host::OneOf { .. }) { "one of the ports" } else { "port" }
}

fn no_ports(internal: bool) -> &'static str {
    if internal {
        ": nothing from outside reaches an internal network"
    } else {
        ": no plugin of it has the capability \"portMappings\""
    }
}

/// Networks of builds before this one had no `portmap`.
fn no_ports_hint(networks: &[String], driver: &str) -> String {
    if driver != "bridge" {
        return format!(
            "networks of the driver {driver} publish none: add a --network of the driver bridge, or leave -p out"
        );
    }
    let name = networks.first().map_or("NETWORK", String::as_str);
    format!(
        "its conflist needs the plugin portmap: `sealane network rm {name}` and `sealane network create {name}` make it \
         anew, with that; or run it on another --network"
    )
}
