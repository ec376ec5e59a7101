//! Where a member of an etcd listens.
use crate::error::InvalidStore;
use std::{fmt, str::FromStr};

/// A URL (RFC 3986) of a scheme, a host and a port: `http://192.0.2.9:2379`, `https://[2001:db8::9]:2379`, `https://etcd-1.example:2379`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    https: bool,
    host: String,
    port: u16,
}

impl Endpoint {
    /// Whether it speaks TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Its name or address; an IPv6 address is without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port; 2379 if the URL names none, which is etcd's.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = InvalidStore;

    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        parse(text).ok_or_else(|| InvalidStore::Endpoint(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Endpoint> {
    let (scheme, rest) = text.split_once("://")?;
    let https = match scheme {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    let plain = !host.is_empty() && host.bytes().all(of_host);
    let digits = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = port.map_or(Some(PORT), |port| port.parse().ok()).filter(|port| *port > 0)?;
    (plain && digits).then(|| Endpoint { https, host: host.to_owned(), port })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Where etcd listens for clients (IANA, `etcd-client`).
const PORT: u16 = 2379;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_scheme_a_host_and_a_port_are_an_endpoint() {
        for (text, printed) in [
            ("http://192.0.2.9", "http://192.0.2.9:2379"),
            ("https://etcd-1.example:443/", "https://etcd-1.example:443"),
            ("https://[2001:db8::9]:2380", "https://[2001:db8::9]:2380"),
            ("http://[::1]", "http://[::1]:2379"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), printed);
        }
        for bad in [
            "",
            "192.0.2.9:2379",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:+1",
            "http://a:65536",
            "http://a/b",
            "http://user@a",
            "http://2001:db8::9",
            "http://[a]",
            "http://[::1]2379",
            "http://a b",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?}");
        }
    }
}
