//! `-p`: docker's words for a published port, `[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]`, each port alone or a range, and one of the
//! container for a range of the host.
use super::refusal::Refusal;
use plan::step;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, ops::RangeInclusive};

/// What a port is a port of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// One port that is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Port {
    /// The address of the host that it is published on; all of them if there is none.
    pub(crate) address: Option<IpAddr>,
    /// The port on the host.
    pub(crate) host: Host,
    /// The port in the container.
    pub(crate) container: u16,
    /// Of what.
    pub(crate) protocol: Protocol,
}

/// Which port of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Host {
    /// Any that is free.
    Any,
    /// This one.
    Number(u16),
    /// The first of these that is free.
    OneOf {
        /// The first of them.
        first: u16,
        /// The last.
        last: u16,
    },
}

/// What is wrong with a port, or with several, as they were typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPort {
    /// Not a number, or one that no port has.
    #[error("{0:?} is no port from 1 to 65535")]
    Number(String),
    /// A range whose last port is before its first.
    #[error("{0:?} ends before it begins")]
    Backwards(String),
    /// A protocol without ports, or none at all.
    #[error("{0:?} is none of tcp, udp and sctp")]
    Protocol(String),
    /// Not an address.
    #[error("{0:?} is no address (IPv6 in brackets)")]
    Address(String),
    /// An address, and the container's port right behind it.
    #[error("a host's port is missing after ]")]
    NoneAfterAddress,
    /// A colon and nothing before it.
    #[error("no port before :")]
    NoneBeforeColon,
    /// Ranges that cannot lead to each other.
    #[error("{host} ports of the host for {container} of the container")]
    Lengths {
        /// How many of the host.
        host: usize,
        /// How many of the container.
        container: usize,
    },
    /// Several where one can be.
    #[error("{0} ports, and one can be asked for")]
    Several(usize),
}

impl Port {
    /// What one `-p` says: as many ports as its range has.
    pub(crate) fn parse(text: &str) -> Result<Vec<Self>, Refusal> {
        parse(text).map_err(|why| Refusal::Port { value: text.to_owned(), why })
    }

    /// What all `-p` say, each port once; refused if one port of the host is to lead to two.
    pub(crate) fn all(given: &[String]) -> Result<Vec<Self>, Refusal> {
        let mut all: Vec<Self> = Vec::new();
        for text in given {
            for port in Self::parse(text)? {
                if let Some(other) =
                    all.iter().find(|other| other.collides(&port) && other.container != port.container)
                {
                    return Err(Refusal::PublishedTwice {
                        host: port.host,
                        one: other.key(),
                        other: port.key(),
                    });
                }
                if !all.contains(&port) {
                    all.push(port);
                }
            }
        }
        Ok(all)
    }

    /// What a plugin has published, and the container's port that it leads to.
    pub(crate) fn of(port: step::Published, to: u16) -> Self {
        let protocol = match port.protocol {
            step::Protocol::Tcp => Protocol::Tcp,
            step::Protocol::Udp => Protocol::Udp,
            step::Protocol::Sctp => Protocol::Sctp,
        };
        Self { address: port.address, host: Host::Number(port.number), container: to, protocol }
    }

    /// Whether both would be one port of the host.
    fn collides(&self, other: &Self) -> bool {
        let is_fixed = matches!(self.host, Host::Number(_));
        is_fixed
            && (self.host, self.protocol) == (other.host, other.protocol)
            && self.addresses_overlap(other)
    }

    fn addresses_overlap(&self, other: &Self) -> bool {
        let (Some(one), Some(another)) = (self.address, other.address) else { return true };
        one.is_ipv4() == another.is_ipv4()
            && (one == another || one.is_unspecified() || another.is_unspecified())
    }

    /// As docker has it in JSON: `80/tcp`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.container, self.protocol)
    }
}

impl Host {
    /// Whether it can be the port of this number.
    pub(crate) fn can_be(self, number: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Number(one) => one == number,
            Self::OneOf { first, last } => (first..=last).contains(&number),
        }
    }
}

/// `8080`, `8000-8010`, and nothing where any will do: as docker has it in JSON.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Number(number) => write!(f, "{number}"),
            Self::OneOf { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

fn parse(text: &str) -> Result<Vec<Port>, InvalidPort> {
    let (rest, protocol) = protocol_of(text)?;
    let (address, host, container) = parts(rest)?;
    let address = address.map(self::address).transpose()?;
    let container = ports_of(container)?;
    let host = host.map(ports_of).transpose()?;
    let host = hosts(host, &container)?;
    Ok(container.zip(host).map(|(container, host)| Port { address, host, container, protocol }).collect())
}

/// What stands before the protocol, and the protocol: TCP if there is none.
pub(crate) fn protocol_of(text: &str) -> Result<(&str, Protocol), InvalidPort> {
    let Some((rest, name)) = text.rsplit_once('/') else { return Ok((text, Protocol::Tcp)) };
    Ok((rest, protocol(name)?))
}

/// A port or a range of them.
pub(crate) fn ports_of(text: &str) -> Result<RangeInclusive<u16>, InvalidPort> {
    let port = |text: &str| match text.parse() {
        Ok(0) | Err(_) => Err(InvalidPort::Number(text.to_owned())),
        Ok(port) => Ok(port),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = port(first)?..=port(last)?;
    if range.is_empty() { Err(InvalidPort::Backwards(text.to_owned())) } else { Ok(range) }
}

fn protocol(name: &str) -> Result<Protocol, InvalidPort> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(InvalidPort::Protocol(name.to_owned())),
    }
}

/// Address, host's port and container's port. An IPv6 address is in brackets, as its colons are its own.
fn parts(text: &str) -> Result<(Option<&str>, Option<&str>, &str), InvalidPort> {
    let Some((rest, container)) = text.rsplit_once(':') else { return Ok((None, None, text)) };
    let (address, host) = match rest.rsplit_once(':') {
        Some((_, host)) if host.ends_with(']') => return Err(InvalidPort::NoneAfterAddress),
        Some((address, host)) => (Some(address), host),
        None => (None, rest),
    };
    let host = Some(host).filter(|host| !host.is_empty());
    if address.is_none() && host.is_none() {
        Err(InvalidPort::NoneBeforeColon)
    } else {
        Ok((address, host, container))
    }
}

fn address(text: &str) -> Result<IpAddr, InvalidPort> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let bracketed = bare.map(|text| text.parse().map(IpAddr::V6));
    let address = bracketed.unwrap_or_else(|| text.parse().map(IpAddr::V4));
    address.map_err(|_| InvalidPort::Address(text.to_owned()))
}

/// The host's port for each of the container's.
fn hosts(
    host: Option<RangeInclusive<u16>>,
    container: &RangeInclusive<u16>,
) -> Result<Vec<Host>, InvalidPort> {
    match host {
        None => Ok(vec![Host::Any; container.len()]),
        Some(host) if host.len() == container.len() => Ok(host.map(Host::Number).collect()),
        Some(host) if container.len() == 1 => {
            Ok(vec![Host::OneOf { first: *host.start(), last: *host.end() }])
        }
        Some(host) => Err(InvalidPort::Lengths { host: host.len(), container: container.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let one = |port: &Port| {
            let address = port.address.map_or_else(|| "*".to_owned(), |address| address.to_string());
            let host = if port.host == Host::Any { "*".to_owned() } else { port.host.to_string() };
            format!("{address} {host} {}", port.key())
        };
        Port::parse(text).unwrap().iter().map(one).collect::<Vec<_>>().join(" + ")
    }

    #[test]
    fn every_form_that_docker_knows_is_understood() {
        let cases = [
            ("80", "* * 80/tcp"),
            ("80/UDP", "* * 80/udp"),
            ("8080:80", "* 8080 80/tcp"),
            ("127.0.0.1:8080:80/sctp", "127.0.0.1 8080 80/sctp"),
            ("127.0.0.1::80", "127.0.0.1 * 80/tcp"),
            ("0.0.0.0:80:80", "0.0.0.0 80 80/tcp"),
            ("[::1]:8080:80", "::1 8080 80/tcp"),
            ("[::]::80", ":: * 80/tcp"),
            ("127.0.0.1:81-82:91-92", "127.0.0.1 81 91/tcp + 127.0.0.1 82 92/tcp"),
            ("8000-8001:80-81/udp", "* 8000 80/udp + * 8001 81/udp"),
            ("90-91", "* * 90/tcp + * * 91/tcp"),
            ("8000-8010:80", "* 8000-8010 80/tcp"),
            ("8000-8000:80", "* 8000 80/tcp"),
            ("127.0.0.1:8000-8010:80/udp", "127.0.0.1 8000-8010 80/udp"),
        ];
        for (text, expected) in cases {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn one_port_of_the_host_leads_to_one_of_the_container() {
        let all = |given: &[&str]| {
            let given: Vec<_> = given.iter().map(|text| (*text).to_owned()).collect();
            Port::all(&given).map(|ports| ports.len()).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(all(&["8080:80", "8080:80"]), Ok(1));
        assert_eq!(all(&["8080:80", "8080:81/udp", "80", "80"]), Ok(3));
        assert_eq!(all(&["127.0.0.1:8080:80", "127.0.0.2:8080:81", "[::]:8080:82"]), Ok(3));
        // Each gets another one of the range.
        assert_eq!(all(&["8000-8010:80", "8000-8010:80", "8000-8010:81", "8000:82"]), Ok(3));
        for two in
            [["8080:80", "8080:81"], ["0.0.0.0:8080:80", "127.0.0.1:8080:81"], ["8000-8080:1-81", "8080:80"]]
        {
            let said = all(&two).unwrap_err();
            assert!(said.contains("8080"), "{said}");
        }
    }

    /// So other builds have written them.
    #[test]
    fn ports_of_the_host_are_kept_as_they_always_were() {
        let cases = [
            ("null", Host::Any),
            ("8080", Host::Number(8080)),
            (r#"{"first":8000,"last":8010}"#, Host::OneOf { first: 8000, last: 8010 }),
        ];
        for (text, host) in cases {
            assert_eq!(serde_json::to_string(&host).unwrap(), text);
            assert_eq!(serde_json::from_str::<Host>(text).unwrap(), host);
        }
    }

    #[test]
    fn what_is_wrong_with_a_port_is_named() {
        let cases = [
            ("", "\"\" is no port"),
            ("0", "\"0\" is no port"),
            ("65536", "\"65536\" is no port"),
            (":80", "no port before"),
            ("80:", "\"\" is no port"),
            ("80/icmp", "\"icmp\" is none of"),
            ("localhost:80:80", "\"localhost\" is no address"),
            ("::1:80:80", "is no address (IPv6 in brackets)"),
            ("[::1]:80", "missing after ]"),
            ("82-81", "ends before it begins"),
            ("81-83:91-92", "3 ports of the host for 2 of the container"),
            ("81:91-92", "1 ports of the host for 2 of the container"),
            ("82-81:91", "ends before it begins"),
            ("0-81:91", "\"0\" is no port"),
        ];
        for (text, expected) in cases {
            let message = Port::parse(text).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains(&format!("{text:?}")), "{message}");
        }
    }
}
