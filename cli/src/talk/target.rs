//! What is typed after `serve` and `fetch`.
use super::error::Error;
use crate::container::{InvalidPort, Protocol, ports_of, protocol_of};
use std::{fmt, ops::RangeInclusive};

/// Ports to serve: `80`, `8000-8010`, `53/udp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    /// One or more.
    pub(super) range: RangeInclusive<u16>,
    /// Of what.
    pub(super) protocol: Protocol,
}

/// Whom to ask: `catserver:80`, `192.0.2.1:53/udp`, `[2001:db8::1]:80`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// A name or an address.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
    /// Of what.
    pub(super) protocol: Protocol,
}

/// What is wrong with ports or a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// As anywhere.
    #[error(transparent)]
    Port(#[from] InvalidPort),
    /// A protocol that we do not talk.
    #[error("it is tcp or udp here")]
    Protocol,
    /// No colon.
    #[error("no port after a colon")]
    NoPort,
    /// Nothing before it.
    #[error("no host before the port (IPv6 in brackets)")]
    NoHost,
    /// Several, to be asked.
    #[error("{0} ports, and one can be asked")]
    Several(usize),
}

impl Served {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let read = || {
            let (range, protocol) = protocol(text)?;
            Ok(Self { range: ports_of(range)?, protocol })
        };
        read().map_err(|why| Error::Target { what: "port", value: text.to_owned(), why })
    }
}

impl Target {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let read = || {
            let (rest, protocol) = protocol(text)?;
            let (host, port) = rest.rsplit_once(':').ok_or(Invalid::NoPort)?;
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            if bare.is_none() && (host.is_empty() || host.contains(':')) {
                return Err(Invalid::NoHost);
            }
            let range = ports_of(port)?;
            if range.len() > 1 {
                return Err(Invalid::Several(range.len()));
            }
            Ok(Self { host: bare.unwrap_or(host).to_owned(), port: *range.start(), protocol })
        };
        read().map_err(|why| Error::Target { what: "target", value: text.to_owned(), why })
    }
}

/// The protocol at the end, if any, and what stands before it.
fn protocol(text: &str) -> Result<(&str, Protocol), Invalid> {
    let (rest, protocol) = protocol_of(text)?;
    match protocol {
        Protocol::Tcp | Protocol::Udp => Ok((rest, protocol)),
        Protocol::Sctp => Err(Invalid::Protocol),
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.range.start(), self.range.end()) {
            (first, last) if first == last => write!(f, "{first}/{}", self.protocol),
            (first, last) => write!(f, "{first}-{last}/{}", self.protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_a_port_and_perhaps_a_protocol() {
        let read = |text: &str| {
            Target::parse(text).map(|target| format!("{} {} {}", target.host, target.port, target.protocol))
        };
        for (text, expected) in [
            ("catserver:80", "catserver 80 tcp"),
            ("192.0.2.1:53/udp", "192.0.2.1 53 udp"),
            ("[2001:db8::1]:80/TCP", "2001:db8::1 80 tcp"),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for bad in [
            "",
            "80",
            ":80",
            "catserver",
            "catserver:",
            "catserver:0",
            "::1:80",
            "c:80-81",
            "c:80/sctp",
            "c:80/x",
        ] {
            let message = read(bad).unwrap_err().to_string();
            assert!(message.contains(&format!("{bad:?}")), "{message}");
        }
    }

    #[test]
    fn ports_to_serve_may_be_many() {
        let read = |text: &str| Served::parse(text).map(|served| served.to_string());
        assert_eq!(read("80").unwrap(), "80/tcp");
        assert_eq!(read("8000-8002/udp").unwrap(), "8000-8002/udp");
        for bad in ["", "0", "90-80", "80/sctp", "x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
