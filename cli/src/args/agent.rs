//! `sealane agent`.
use super::words;
use clap::Args;

/// `agent`.
#[derive(Debug, Args)]
#[command(after_help = words::AGENT)]
#[command(after_long_help = words::join(&[words::AGENT, words::AGENT_MORE, words::STATUS, words::ENVIRONMENT]))]
pub(crate) struct Agent {
    /// Do what is due, once, and come back.
    #[arg(long)]
    pub(crate) once: bool,
}
