//! Why a configuration of `portmap` is refused. Where the reference refuses it too, in the reference's words and with its code.
use cni::{Code, Failure};
use plan::step::InvalidWord;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a packet filter that is known.
    #[error("failed to parse config: unrecognized backend {value:?}")]
    Backend {
        /// The value at fault.
        value: String,
    },
    /// Keys that mean something to another backend alone.
    #[error(
        "failed to parse config: {backend} backend was requested but configuration contains {}-specific options [{}]",
        other(backend), keys.join(" ")
    )]
    OtherBackend {
        /// The backend.
        backend: &'static str,
        /// The keys at fault.
        keys: Vec<&'static str>,
    },
    /// Both say by which mark packets are masqueraded.
    #[error("failed to parse config: Cannot specify externalSetMarkChain and markMasqBit")]
    MarkedTwice {
        /// The chain.
        chain: String,
    },
    /// A mark has 32 bits.
    #[error("failed to parse config: MasqMarkBit must be between 0 and 31")]
    MarkBit {
        /// The value at fault.
        bit: i64,
    },
    /// Not a port of the container.
    #[error("failed to parse config: Invalid container port number: {value}")]
    ContainerPort {
        /// The value at fault.
        value: i64,
    },
    /// Not a port of the host.
    #[error("failed to parse config: Invalid host port number: {value}")]
    HostPort {
        /// The value at fault.
        value: i64,
    },
    /// Not the end of a range of ports of the host; a key that the reference does not have.
    #[error("failed to parse config: Invalid end of a range of host ports: {end}")]
    HostPortEnd {
        /// The value at fault.
        end: i64,
        /// What the range begins with: a port, or 0 for none.
        first: u16,
    },
    /// A protocol without ports, or none at all.
    #[error("failed to parse config: unknown protocol {value:?} in portMappings")]
    Protocol {
        /// The value at fault.
        value: String,
    },
    /// Not an address.
    #[error("failed to parse config: invalid hostIP {value:?} in portMappings")]
    Address {
        /// The value at fault.
        value: String,
    },
    /// The kernel does not let packets for `::1` leave the host, nor has anything to translate them.
    #[error("hostIP ::1 can't be published: the kernel does not translate what is sent to it")]
    Loopback6,
    /// A condition that nft(8) may know, and we don't.
    #[error("can't use the condition {text:?} of {key}")]
    Condition {
        /// The key.
        key: &'static str,
        /// All of it, as one line.
        text: String,
    },
    /// iptables can't be told so.
    #[error("failed to parse config: invalid value of \"{key}\"")]
    Word {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        #[source]
        cause: InvalidWord,
    },
}

fn other(backend: &str) -> &'static str {
    if backend == "nftables" { "iptables" } else { "nftables" }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            // The reference's.
            Error::Backend { .. }
            | Error::OtherBackend { .. }
            | Error::MarkedTwice { .. }
            | Error::MarkBit { .. }
            | Error::ContainerPort { .. }
            | Error::HostPort { .. } => Code::Internal,
            Error::HostPortEnd { .. }
            | Error::Protocol { .. }
            | Error::Address { .. }
            | Error::Word { .. } => Code::InvalidConfig,
            Error::Loopback6 | Error::Condition { .. } => Code::UnsupportedField,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Backend { .. } => "set \"backend\" to nftables or iptables, or leave it out".into(),
            Error::OtherBackend { backend, keys } => {
                format!("remove {}, or set \"backend\" to {}", keys.join(" and "), other(backend))
            }
            Error::MarkedTwice { chain } => {
                format!("set only one of them; the rules of {chain} choose a bit by themselves")
            }
            Error::MarkBit { bit } => format!("it is {bit}; leave \"markMasqBit\" out for bit 13"),
            Error::ContainerPort { .. } => "set containerPort to the port that the container listens on".into(),
            Error::HostPort { .. } => "set hostPort to a port from 1 to 65535, or to 0 for any that is free".into(),
            Error::HostPortEnd { first: 0, .. } => "set hostPort to the first port of the range, or leave hostPortEnd out".into(),
            Error::HostPortEnd { first, .. } => format!("set hostPortEnd to a port from {first} to 65535, or leave it out"),
            Error::Protocol { .. } => "set protocol to tcp, udp or sctp".into(),
            Error::Address { .. } => {
                "give an address of the host such as 127.0.0.1, 0.0.0.0 for IPv4 or :: for IPv6; or leave hostIP out for all"
                    .into()
            }
            Error::Loopback6 => "publish on 127.0.0.1, or leave hostIP out: ::1 alone has no way into a container".into(),
            Error::Condition { key, .. } => format!(
                "{key} may have ip saddr, ip daddr, ip6 saddr, ip6 daddr, iifname and meta mark, each with a value or \
                 != and a value, or with {{ several, values }}; for others write it in iptables' words and set \
                 \"backend\" to iptables"
            ),
            Error::Word { key, .. } => format!("leave \"{key}\" out, or give it as iptables(8) has it"),
        })
    }
}
