//! Where a member of an etcd listens.
use std::{fmt, net::IpAddr};

/// Where a member of an etcd listens, and whether it speaks TLS there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) https: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    Name(String),
}

impl Endpoint {
    /// A host is an address, or else a name that `/etc/hosts` has; with TLS its certificate must be for just that.
    pub fn new(https: bool, host: &str, port: u16) -> Self {
        let host = host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Address);
        Self { https, host, port }
    }

    /// Host and port, as a URL has them (RFC 3986, 3.2).
    pub(crate) fn authority(&self) -> String {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            host => format!("{host}:{}", self.port),
        }
    }
}

/// As a URL.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_printed_as_a_url() {
        for (host, printed) in [
            ("192.0.2.1", "https://192.0.2.1:2379"),
            ("2001:db8::1", "https://[2001:db8::1]:2379"),
            ("etcd-1.example", "https://etcd-1.example:2379"),
        ] {
            assert_eq!(Endpoint::new(true, host, 2379).to_string(), printed);
        }
    }
}
