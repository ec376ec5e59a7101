//! `sealane run` and its kin: the words of `docker`, without images.
use super::words;
use clap::{Args, ValueEnum};
use std::{ffi::OsString, path::PathBuf};

/// How lists are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For scripts: one object a line.
    Json,
}

/// What every command that lists has.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// Only the IDs.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// In full: IDs, and whatever else is cut short.
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// A table for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// What every command has that shows all about something.
#[derive(Debug, Args)]
pub(crate) struct InFull {
    /// As scripts that were written for docker ask for it; it is JSON either way.
    #[arg(short, long, value_parser = ["json"], default_value = "json")]
    pub(crate) format: String,
}

/// docker's `-it`, for what is typed from habit.
#[derive(Debug, Args)]
pub(crate) struct Terminal {
    /// Keep standard input open in the background too, so that a shell stays; in the foreground it is the caller's.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Likewise. No terminal is made: in the foreground a command has the one that the caller has.
    #[arg(short, long)]
    pub(crate) tty: bool,
}

/// `run`.
#[derive(Debug, Args)]
#[command(after_help = words::RUN, after_long_help = words::join(&[words::RUN, words::RUN_MORE]))]
pub(crate) struct Run {
    /// Forget the container when it has ended.
    #[arg(long)]
    pub(crate) rm: bool,
    /// Go on in the background; prints the container's ID.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Standard input.
    #[command(flatten)]
    pub(crate) terminal: Terminal,
    /// The container's name; one is made up if there is none.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A network, `host` or `none`; may be given many times. `bridge` if not given, which is made when it is missing.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Vec<String>,
    /// One more name that it has on its networks.
    #[arg(long, value_name = "NAME")]
    pub(crate) network_alias: Vec<String>,
    /// The address it is to have on the first network.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<std::net::Ipv4Addr>,
    /// The IPv6 address it is to have on the first network.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip6: Option<std::net::Ipv6Addr>,
    /// The MAC address it is to have on the first network.
    #[arg(long, value_name = "MAC")]
    pub(crate) mac_address: Option<String>,
    /// Its host name; its ID if not given.
    #[arg(long)]
    pub(crate) hostname: Option<String>,
    /// A name for the container alone; `host-gateway` as the address is the host's.
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub(crate) add_host: Vec<String>,
    /// An environment variable; without a value, the one it has here.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// A port to publish: [[ADDRESS:][HOST]:]CONTAINER[/udp], each port alone or a range; may be given many times.
    #[arg(short, long, value_name = "PORT")]
    pub(crate) publish: Vec<String>,
    /// A note on the container.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// The folder the command begins in; this one if not given.
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) workdir: Option<PathBuf>,
    /// The command and its arguments. With none, the container just stays until it is stopped.
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `exec`.
#[derive(Debug, Args)]
#[command(after_help = words::EXEC, after_long_help = words::join(&[words::EXEC, words::EXEC_MORE]))]
pub(crate) struct Exec {
    /// Do not wait for the command.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// As docker has it; the command has the caller's standard input in any case, but with --detach.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// As docker has it; the command has the terminal that the caller has.
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// An environment variable; without a value, the one it has here.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// The folder the command begins in; the container's own if not given.
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) workdir: Option<PathBuf>,
    /// The container.
    pub(crate) container: String,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `ps`.
#[derive(Debug, Args)]
#[command(after_help = words::PS, after_long_help = words::join(&[words::PS, words::STATUS]))]
pub(crate) struct Ps {
    /// Those that have ended too.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only containers that are so: id=, label=, name=, network= or status=.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// How to list them.
    #[command(flatten)]
    pub(crate) listing: Listing,
}

/// `port`.
#[derive(Debug, Args)]
#[command(after_help = words::PORT, after_long_help = words::join(&[words::PORT, words::STATUS]))]
pub(crate) struct Port {
    /// Lines for people, or one JSON object for scripts.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// The container.
    pub(crate) container: String,
    /// Only this port of the container's, such as 80 or 53/udp: tells where it is on the host.
    #[arg(value_name = "PORT[/PROTOCOL]")]
    pub(crate) wanted: Option<String>,
}

/// `inspect`.
#[derive(Debug, Args)]
#[command(after_help = words::INSPECT, after_long_help = words::join(&[words::INSPECT, words::STATUS]))]
pub(crate) struct Inspect {
    /// Names, or the beginnings of IDs.
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
    /// How to show them.
    #[command(flatten)]
    pub(crate) in_full: InFull,
}

/// `logs`.
#[derive(Debug, Args)]
#[command(after_help = words::LOGS, after_long_help = words::join(&[words::LOGS, words::STATUS]))]
pub(crate) struct Logs {
    /// Go on as more is written, until the container ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only so many of the last lines.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// The container.
    pub(crate) container: String,
}

/// `stop`.
#[derive(Debug, Args)]
#[command(after_help = words::STOP, after_long_help = words::join(&[words::STOP, words::STATUS]))]
pub(crate) struct Stop {
    /// Seconds between SIGTERM and SIGKILL.
    #[arg(short, long, default_value_t = 10, value_name = "SECONDS", visible_alias = "time")]
    pub(crate) timeout: u64,
    /// Names, or the beginnings of IDs.
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}

/// `rm`.
#[derive(Debug, Args)]
#[command(after_help = words::REMOVE, after_long_help = words::join(&[words::REMOVE, words::STATUS]))]
pub(crate) struct Remove {
    /// Those that run too: they are killed.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Names, or the beginnings of IDs.
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}
