//! `sealane lab`, and what one does in it.
use clap::Args;
use std::ffi::OsString;

/// `lab`.
#[derive(Debug, Args)]
pub(crate) struct Lab {
    /// How many hosts, worker-1 and on, all on one network. The command runs on worker-1.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    pub(crate) hosts: u8,
    /// The command and its arguments; your shell if not given.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `on`.
#[derive(Debug, Args)]
pub(crate) struct On {
    /// The machine: worker-1 and on, or `outside`.
    pub(crate) machine: String,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `ping`.
#[derive(Debug, Args)]
pub(crate) struct Ping {
    /// How many requests; until interrupted if not given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Seconds between requests.
    #[arg(short, long, default_value_t = 1.0, value_name = "SECONDS")]
    pub(crate) interval: f64,
    /// Seconds to wait for an answer.
    #[arg(short = 'W', long, default_value_t = 2.0, value_name = "SECONDS")]
    pub(crate) timeout: f64,
    /// IPv4 only.
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6')]
    pub(crate) ipv6: bool,
    /// A name in /etc/hosts, or an address.
    pub(crate) host: String,
}
