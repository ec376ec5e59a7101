//! What can be typed after `sealane`. Nothing but clap in here: `cargo xtask man` reads this file too.
mod agent;
mod capture;
mod container;
mod lab;
mod network;
mod node;
mod words;

pub(crate) use agent::Agent;
pub(crate) use capture::Capture;
pub(crate) use container::{Exec, Format, Inspect, Logs, Port, Ps, Remove, Run, Stop};
pub(crate) use lab::{Fetch, Lab, On, Ping, Serve};
pub(crate) use network::{
    Connect, Create, Disconnect, InspectNetwork, List, NetworkVerb, Prune, RemoveNetwork,
};

pub(crate) use node::{ListNodes, NodeVerb, RemoveNode};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Container networking as small CNI plugins.
///
/// Makes networks, starts processes on them, and shows what is there, in the words of docker. The verbs of CNI do by hand what
/// a container runtime does. Without root, all of it works in `sealane lab`.
#[derive(Debug, Parser)]
#[command(name = "sealane", version, max_term_width = 120, after_help = words::SEALANE)]
#[command(after_long_help = words::join(&[words::SEALANE, words::STATUS, words::FILES, words::ENVIRONMENT, words::PLUGINS]))]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make networks, look at them, and put containers on them.
    #[command(subcommand, after_help = words::NETWORK)]
    #[command(after_long_help = words::join(&[words::NETWORK, words::NETWORK_MORE]))]
    Network(NetworkVerb),
    /// Look at the nodes that networks over many nodes have, and remove those that are gone.
    #[command(subcommand, after_help = words::NODE)]
    Node(NodeVerb),
    /// Keep this node in its networks whose store is an etcd, and lease blocks before they are needed.
    Agent(Agent),
    #[command(flatten)]
    OfContainers(ContainerVerb),
    /// The commands from `run` to `rm`, as docker groups them: `container ls` is `ps`.
    #[command(subcommand, after_help = words::SEALANE)]
    Container(ContainerVerb),
    /// Run a command on a machine of its own that is gone when the command ends; needs no root.
    Lab(Lab),
    /// Run a command on another machine of this lab.
    On(On),
    /// Send echo requests to a host (a name in /etc/hosts, or an address) and say what came back.
    Ping(Ping),
    /// Answer every HTTP request, or every datagram, with one text: something to put behind a published port.
    Serve(Serve),
    /// Print what a port answers: to one HTTP request, or to one datagram.
    Fetch(Fetch),
    /// Print packets as they come and go on an interface, a line a header, and what is inside those of a tunnel.
    Capture(Capture),
    /// Put back what has gone from the host's packet filter and bridges, of all attachments, from their records.
    #[command(after_help = words::REPAIR, after_long_help = words::join(&[words::REPAIR, words::REPAIR_MORE]))]
    Repair,
    /// List the plugins inside this executable, one name a line.
    #[command(after_help = words::PLUGIN_LIST, after_long_help = words::join(&[words::PLUGIN_LIST, words::STATUS]))]
    Plugins,
    #[command(flatten)]
    Cni(Cni),
}

/// What to do with containers.
#[derive(Debug, Subcommand)]
pub(crate) enum ContainerVerb {
    /// Start a process in a network namespace of its own, on the networks you name.
    Run(Run),
    /// Run a command inside a container.
    Exec(Exec),
    /// List containers, with the addresses that the kernel says they have.
    #[command(visible_alias = "ls", alias = "list")]
    Ps(Ps),
    /// List a container's ports and where they are on the host, or look one up.
    Port(Port),
    /// Show all about containers, as JSON.
    Inspect(Inspect),
    /// Print what a container that runs in the background has written.
    Logs(Logs),
    /// Stop containers: SIGTERM, and SIGKILL to what is left after a while.
    Stop(Stop),
    /// Remove containers that have ended, and what they left.
    #[command(alias = "remove")]
    Rm(Remove),
}

/// CNI's own verbs, by hand: attach a network namespace to the network of a CNI configuration, check it, detach it. Results
/// and errors are CNI's JSON on standard output.
#[derive(Debug, Subcommand)]
pub(crate) enum Cni {
    /// Attach a namespace to a network; prints the CNI result.
    Add(Target),
    /// Detach it again; succeeds when there is nothing left to do.
    Del(Target),
    /// Compare an attachment with what its configuration asks for.
    Check {
        /// Which attachment of which network.
        #[command(flatten)]
        target: Target,
        /// First put back what is missing, here and in the container, and print it.
        #[arg(long)]
        repair: bool,
    },
    /// Remove what no valid attachment claims.
    #[command(after_help = words::CNI, after_long_help = words::join(&[words::CNI, words::CNI_MORE]))]
    Gc {
        /// The network's configuration: a .conflist, .conf or .json file.
        conflist: PathBuf,
        /// An attachment that stays; may be given many times. With none, nothing on the network is valid.
        #[arg(long, value_name = "CONTAINER:IFNAME")]
        valid: Vec<String>,
    },
    /// Say whether the network could take another attachment now.
    #[command(after_help = words::CNI, after_long_help = words::join(&[words::CNI, words::CNI_MORE]))]
    Status {
        /// The network's configuration: a .conflist, .conf or .json file.
        conflist: PathBuf,
    },
    /// Print what `add` would do, step by step, and touch nothing.
    Explain(Target),
}

/// Which attachment of which network.
#[derive(Debug, Args)]
#[command(after_help = words::CNI, after_long_help = words::join(&[words::CNI, words::CNI_MORE]))]
pub(crate) struct Target {
    /// The network's configuration: a .conflist, .conf or .json file.
    pub(crate) conflist: PathBuf,
    /// The container's ID: letters, digits, `_`, `.` and `-`.
    pub(crate) container: String,
    /// The network namespace's file, such as /run/netns/blue or /proc/4711/ns/net.
    pub(crate) netns: String,
    /// The interface's name inside the namespace, at most 15 bytes; `$CNI_IFNAME`, else `eth0`.
    pub(crate) ifname: Option<String>,
}
