//! `sealane node`: the words of `docker node`, as far as there is something to look at.
use super::{container::Format, words};
use clap::{Args, Subcommand};

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    /// List the nodes that networks list or that are in their etcd, and what each has: a `*` is beside this one.
    #[command(visible_alias = "list")]
    Ls(ListNodes),
    /// Remove nodes that are gone from the etcd of this host's networks: their blocks are nobody's then.
    #[command(visible_alias = "remove")]
    Rm(RemoveNode),
}

/// `node ls`.
#[derive(Debug, Args)]
#[command(after_help = words::NODE, after_long_help = words::join(&[words::NODE, words::NETWORK_MORE, words::STATUS]))]
pub(crate) struct ListNodes {
    /// Only the names.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// A table for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// `node rm`.
#[derive(Debug, Args)]
#[command(after_help = words::REMOVE_NODE, after_long_help = words::join(&[words::REMOVE_NODE, words::REMOVE_NODE_MORE, words::STATUS]))]
pub(crate) struct RemoveNode {
    /// Names, as `node ls` shows them.
    #[arg(required = true, value_name = "NODE")]
    pub(crate) nodes: Vec<String>,
    /// Also if it lives, and its containers with it.
    #[arg(short, long)]
    pub(crate) force: bool,
}
