//! Ethernet addresses.
use serde::{Deserialize, Serialize};
use std::{fmt, net::Ipv6Addr, str::FromStr};

/// A 48-bit Ethernet address (EUI-48), printed as six lower-case hexadecimal octets with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

/// The text is not six hexadecimal octets joined by `:` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a MAC address such as 02:42:ac:11:00:02")]
pub struct InvalidMac(pub String);

impl Mac {
    /// The address with these octets, in transmission order.
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// A unicast, locally administered address (IEEE 802 U/L bit set, I/G bit clear) from the low 46 bits of a hash.
    pub fn local(hash: u64) -> Self {
        let mut octets = [0; 6];
        octets.copy_from_slice(hash.to_le_bytes().split_at(6).0);
        octets[0] = (octets[0] & 0xfc) | 0x02;
        Self(octets)
    }

    /// Whether one interface can have it: it is no group's (I/G bit clear), and not all zeros.
    pub fn is_unicast(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 0 && self.0 != [0; 6]
    }

    /// The six octets, in transmission order.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// The IPv6 address that a link gives itself from this one (RFC 4291, section 2.5.6 and appendix A).
    pub fn link_local(self) -> Ipv6Addr {
        let mut octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0];
        octets[8..11].copy_from_slice(&self.0[..3]);
        octets[13..].copy_from_slice(&self.0[3..]);
        octets[8] ^= 2;
        Ipv6Addr::from_octets(octets)
    }
}

impl FromStr for Mac {
    type Err = InvalidMac;
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let invalid = || InvalidMac(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut octets = [0; 6];
        let mut parts = text.split(separator);
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(invalid)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        if parts.next().is_some() || text.contains('+') { Err(invalid()) } else { Ok(Self(octets)) }
    }
}

impl TryFrom<String> for Mac {
    type Error = InvalidMac;
    fn try_from(text: String) -> Result<Self, InvalidMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            write!(f, "{}{octet:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_interface_can_have_is_no_unicast_address() {
        for (text, is_unicast) in
            [("02:42:ac:11:00:02", true), ("01:00:5e:00:00:01", false), ("00:00:00:00:00:00", false)]
        {
            assert_eq!(text.parse::<Mac>().unwrap().is_unicast(), is_unicast, "{text}");
        }
    }

    #[test]
    fn a_mac_survives_its_text() {
        let mac: Mac = "02:42:AC:11:00:02".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        for bad in [
            "",
            "02:42:ac:11:00",
            "02:42:ac:11:00:02:03",
            "2:42:ac:11:0:2",
            "+2:42:ac:11:00:02",
            "0g:00:00:00:00:00",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_links_own_ipv6_address_is_made_of_its_mac() {
        let mac: Mac = "5e:aa:df:a5:7f:3c".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::5caa:dfff:fea5:7f3c");
    }

    #[test]
    fn a_hashed_mac_is_unicast_and_locally_administered() {
        for hash in [0, u64::MAX, 0x0101_0101_0101_0101] {
            assert_eq!(Mac::local(hash).octets()[0] & 3, 2);
        }
    }
}
