//! `sealane capture`.
use super::{lab::seconds, words};
use clap::Args;
use std::time::Duration;

/// `capture`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = words::join(&[EXAMPLES, MORE]))]
pub(crate) struct Capture {
    /// How many packets; until interrupted if not given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Only packets from or to this port, TCP or UDP; those of a tunnel by the tunnel's own.
    #[arg(short, long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Seconds until no more packets are expected; any number of them if not given.
    #[arg(short = 'W', long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// The UDP port of tunnels, whose packets are looked into.
    #[arg(long, default_value_t = 4789, value_name = "PORT")]
    pub(crate) vxlan_port: u16,
    /// The interface.
    pub(crate) interface: String,
}

const EXAMPLES: &str = "\
Examples:
  sealane capture eth0
  sealane capture --count 2 --port 4789 eth0            # the tunnels of overlay networks
  sealane on worker-2 sealane capture --timeout 5 eth0";

const MORE: &str = "\
Exit status:
  0    all that were asked for are shown, or it was interrupted
  1    fewer have come, or nobody may look; the reason is on standard error
  2    the command line cannot be understood";
