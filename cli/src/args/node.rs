//! `sealane node`: the words of `docker node`, as far as there is something to look at.
use super::{container::Format, words};
use clap::{Args, Subcommand};

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    /// List the nodes that networks list, with their slots: a `*` is beside this one.
    #[command(visible_alias = "list")]
    Ls(ListNodes),
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
