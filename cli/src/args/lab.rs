//! `sealane lab`, and what one does in it: ask others, and answer.
use super::words;
use clap::Args;
use std::{ffi::OsString, time::Duration};

/// `lab`.
#[derive(Debug, Args)]
#[command(after_help = words::LAB, after_long_help = words::join(&[words::LAB, words::LAB_MORE]))]
pub(crate) struct Lab {
    /// How many hosts, worker-1 and on, all on one network. The command runs on worker-1.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    pub(crate) hosts: u8,
    /// The command and its arguments; your shell if not given.
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `on`.
#[derive(Debug, Args)]
#[command(after_help = words::ON, after_long_help = words::join(&[words::ON, words::ON_MORE]))]
pub(crate) struct On {
    /// The machine: worker-1 and on, or `outside`.
    pub(crate) machine: String,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `ping`.
#[derive(Debug, Args)]
#[command(after_help = words::PING, after_long_help = words::join(&[words::PING, words::PING_MORE]))]
pub(crate) struct Ping {
    /// How many requests; until interrupted if not given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Seconds between requests, such as 0.2.
    #[arg(short, long, default_value = "1", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) interval: Duration,
    /// Seconds to wait for answers after the last request.
    #[arg(short = 'W', long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// IPv4 only.
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6')]
    pub(crate) ipv6: bool,
    /// A name in /etc/hosts, or an address.
    pub(crate) host: String,
}

/// `serve`.
#[derive(Debug, Args)]
#[command(after_help = words::SERVE, after_long_help = words::join(&[words::SERVE, words::STATUS]))]
pub(crate) struct Serve {
    /// The port to listen on, or several: 80, 8000-8010 or 53/udp.
    pub(crate) port: String,
    /// What to say to everybody; the host name if not given.
    pub(crate) text: Option<String>,
}

/// `fetch`.
#[derive(Debug, Args)]
#[command(after_help = words::FETCH, after_long_help = words::join(&[words::FETCH, words::FETCH_MORE]))]
pub(crate) struct Fetch {
    /// Seconds until nothing is expected any more; until then a port that refuses is asked again, as its server may just start.
    #[arg(short = 'W', long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// IPv4 only.
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6')]
    pub(crate) ipv6: bool,
    /// A name in /etc/hosts or an address (IPv6 in brackets), and a port: catserver:80, 192.0.2.1:53/udp.
    #[arg(value_name = "HOST:PORT[/udp]")]
    pub(crate) target: String,
}

/// Why a time is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidTime {
    #[error("not a number of seconds")]
    NoNumber,
    #[error("that is shorter than {} seconds", SHORTEST.as_secs_f64())]
    Short,
}

/// A number of seconds, perhaps with a fraction. None may be so short that a host is flooded.
pub(super) fn seconds(text: &str) -> Result<Duration, InvalidTime> {
    let duration = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match duration {
        Some(duration) if duration >= SHORTEST => Ok(duration),
        Some(_) => Err(InvalidTime::Short),
        None => Err(InvalidTime::NoNumber),
    }
}

const SHORTEST: Duration = Duration::from_millis(2);
