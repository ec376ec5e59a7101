//! Addresses with a prefix length, read strictly: no octal, no netmask form, no missing length.
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// An address and a prefix length (RFC 4632, RFC 4291 section 2.3), such as `10.1.2.3/24`. The host bits are kept;
/// [`Prefix::network`] clears them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(IpNetwork);

/// The text is not an address, a slash and a prefix length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address with a prefix length such as 10.1.2.0/24")]
pub struct InvalidPrefix(pub String);

impl Prefix {
    /// The prefix of this address and length; the length is at most 32 for IPv4, 128 for IPv6.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, InvalidPrefix> {
        IpNetwork::new(address, length).map(Self).map_err(|_| InvalidPrefix(format!("{address}/{length}")))
    }

    /// The prefix of one address alone: /32 or /128.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNetwork::from(address))
    }

    /// The prefix of all addresses of a family: `0.0.0.0/0` or `::/0`.
    pub fn everywhere(is_ipv4: bool) -> Self {
        let (v4, v6) = (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED));
        let all = IpNetwork::new(if is_ipv4 { v4 } else { v6 }, 0);
        Self(all.unwrap_or(if is_ipv4 { v4.into() } else { v6.into() }))
    }

    /// The address as written, host bits and all.
    pub fn address(self) -> IpAddr {
        self.0.ip()
    }

    /// The prefix length in bits.
    pub fn length(self) -> u8 {
        self.0.prefix()
    }

    /// The same prefix with its host bits cleared.
    #[must_use]
    pub fn network(self) -> Self {
        Self(IpNetwork::new(self.0.network(), self.0.prefix()).unwrap_or(self.0))
    }

    /// Whether no host bit is set.
    pub fn is_network(self) -> bool {
        self.0.ip() == self.0.network()
    }

    /// Whether the address lies in this prefix.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(address)
    }

    /// Whether any address lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.0.network()) || other.contains(self.0.network())
    }

    /// Whether this is an IPv4 prefix.
    pub fn is_ipv4(self) -> bool {
        self.0.is_ipv4()
    }

    /// The last address: for IPv4 the subnet's broadcast address.
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    /// The number of bits of an address of this family: 32 or 128.
    pub fn bits(self) -> u8 {
        if self.is_ipv4() { 32 } else { 128 }
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;
    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let invalid = || InvalidPrefix(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let plain = length.len() == 1 || !length.starts_with('0');
        if !plain || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let length = length.parse().map_err(|_| invalid())?;
        IpNetwork::new(address, length).map(Self).map_err(|_| invalid())
    }
}

impl TryFrom<String> for Prefix {
    type Error = InvalidPrefix;
    fn try_from(text: String) -> Result<Self, InvalidPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_a_family_is_everywhere() {
        assert_eq!([true, false].map(|v4| Prefix::everywhere(v4).to_string()), ["0.0.0.0/0", "::/0"]);
    }

    #[test]
    fn only_an_address_and_a_plain_length_are_a_prefix() {
        for bad in [
            "10.1.2.3",
            "10.1.2.3/",
            "10.1.2.3/33",
            "10.1.2.3/024",
            "10.01.2.3/24",
            "10.1.2.3/255.0.0.0",
            "::/129",
            "::/+1",
            "/8",
        ] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad:?}");
        }
        let prefix: Prefix = "10.1.2.3/24".parse().unwrap();
        assert_eq!(prefix.to_string(), "10.1.2.3/24");
        assert_eq!(prefix.network().to_string(), "10.1.2.0/24");
        assert!(!prefix.is_network() && prefix.network().is_network());
    }

    #[test]
    fn overlap_is_seen_from_both_sides() {
        let (wide, narrow): (Prefix, Prefix) =
            ("10.0.0.0/8".parse().unwrap(), "10.1.2.0/24".parse().unwrap());
        assert!(wide.overlaps(narrow) && narrow.overlaps(wide));
        assert!(!narrow.overlaps("10.1.3.0/24".parse().unwrap()));
        assert!(!wide.overlaps("::/0".parse().unwrap()));
    }
}
