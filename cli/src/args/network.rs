//! `sealane network`: the words of `docker network`.
use super::{
    container::{InFull, Listing},
    words,
};
use clap::{Args, Subcommand};
use std::net::IpAddr;

/// What to do with networks.
#[derive(Debug, Subcommand)]
pub(crate) enum NetworkVerb {
    /// Make a network: an ordinary CNI conflist that any runtime can use.
    Create(Create),
    /// List networks.
    #[command(visible_alias = "list")]
    Ls(List),
    /// Show all about networks, as JSON.
    Inspect(InspectNetwork),
    /// Remove networks that nobody is on.
    #[command(visible_alias = "remove")]
    Rm(RemoveNetwork),
    /// Remove every network that nobody is on.
    Prune(Prune),
    /// Put a running container on one more network.
    Connect(Connect),
    /// Take a running container off a network.
    Disconnect(Disconnect),
}

/// `network create`.
#[derive(Debug, Args)]
#[command(after_help = words::CREATE, after_long_help = words::join(&[words::CREATE, words::CREATE_MORE, words::STATUS]))]
pub(crate) struct Create {
    /// The network's name: letters, digits, `_`, `.` and `-`.
    pub(crate) network: String,
    /// What the network is made of: bridge, ipvlan, macvlan or overlay.
    #[arg(short, long, default_value = "bridge")]
    pub(crate) driver: String,
    /// A subnet such as 10.201.7.0/24; may be given once per family. A free one is found when there is none.
    #[arg(long, value_name = "SUBNET")]
    pub(crate) subnet: Vec<String>,
    /// The host's address in the subnet; its first one, if not given.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Vec<IpAddr>,
    /// The part of the subnet that containers get addresses from.
    #[arg(long, value_name = "RANGE")]
    pub(crate) ip_range: Vec<String>,
    /// Give containers IPv6 addresses too.
    #[arg(long)]
    pub(crate) ipv6: bool,
    /// No way out of the network, and none in but for the host.
    #[arg(long)]
    pub(crate) internal: bool,
    /// As docker has it for overlay networks: containers may join that nobody schedules. Here they always may.
    #[arg(long)]
    pub(crate) attachable: bool,
    /// An option of the driver, such as com.docker.network.bridge.name=br0.
    #[arg(short, long = "opt", value_name = "KEY=VALUE")]
    pub(crate) opt: Vec<String>,
    /// A note on the network.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
}

/// `network ls`.
#[derive(Debug, Args)]
#[command(after_help = words::LIST, after_long_help = words::join(&[words::LIST, words::STATUS]))]
pub(crate) struct List {
    /// Only networks that are so: dangling=, driver=, id=, label=, name=, scope=, or type=builtin or custom.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// How to list them.
    #[command(flatten)]
    pub(crate) listing: Listing,
}

/// `network inspect`.
#[derive(Debug, Args)]
#[command(after_help = words::INSPECT_NETWORK, after_long_help = words::join(&[words::INSPECT_NETWORK, words::STATUS]))]
pub(crate) struct InspectNetwork {
    /// Names, or the beginnings of IDs.
    #[arg(required = true, value_name = "NETWORK")]
    pub(crate) networks: Vec<String>,
    /// How to show them.
    #[command(flatten)]
    pub(crate) in_full: InFull,
}

/// `network rm`.
#[derive(Debug, Args)]
#[command(after_help = words::REMOVE_NETWORK, after_long_help = words::join(&[words::REMOVE_NETWORK, words::REMOVE_NETWORK_MORE, words::STATUS]))]
pub(crate) struct RemoveNetwork {
    /// Names, or the beginnings of IDs.
    #[arg(required = true, value_name = "NETWORK")]
    pub(crate) networks: Vec<String>,
    /// That there is no such network is no error, nor that its etcd does not answer.
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// `network prune`.
#[derive(Debug, Args)]
#[command(after_help = words::PRUNE, after_long_help = words::join(&[words::PRUNE, words::STATUS]))]
pub(crate) struct Prune {
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Only networks that are so: label=, label!= or until=, such as until=24h.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
}

/// `network connect`.
#[derive(Debug, Args)]
#[command(after_help = words::CONNECT, after_long_help = words::join(&[words::CONNECT, words::STATUS]))]
pub(crate) struct Connect {
    /// The network.
    pub(crate) network: String,
    /// The container.
    pub(crate) container: String,
    /// The address it is to have.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<std::net::Ipv4Addr>,
    /// The IPv6 address it is to have.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip6: Option<std::net::Ipv6Addr>,
    /// One more name that it has on this network.
    #[arg(long, value_name = "NAME")]
    pub(crate) alias: Vec<String>,
}

/// `network disconnect`.
#[derive(Debug, Args)]
#[command(after_help = words::DISCONNECT, after_long_help = words::join(&[words::DISCONNECT, words::STATUS]))]
pub(crate) struct Disconnect {
    /// The network.
    pub(crate) network: String,
    /// The container.
    pub(crate) container: String,
    /// That it is not on the network is no error.
    #[arg(short, long)]
    pub(crate) force: bool,
}
