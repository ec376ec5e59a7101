//! Ethernet addresses.
use serde::{Deserialize, Serialize};
use std::{fmt, net::Ipv6Addr, str::FromStr};

/// A 48-bit Ethernet address (EUI-48), printed as six lower-case hexadecimal octets with colons. It is read from what Go's `net.ParseMAC` takes of
/// six octets: `02:42:ac:11:00:02`, `02-42-ac-11-00-02`, `0242.ac11.0002` and `0242ac110002`, in upper case, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

/// The text is not six hexadecimal octets in one of the forms that [`Mac`] is read from.
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
        let digits = digits(text).filter(|digits| digits.len() == 12).ok_or_else(invalid)?;
        // A sign is no digit.
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let number = u64::from_str_radix(&digits, 16).map_err(|_| invalid())?;
        let mut octets = [0; 6];
        octets.copy_from_slice(number.to_be_bytes().split_at(2).1);
        Ok(Self(octets))
    }
}

/// Without what stands between groups of them, which are all as long; none if they are not.
fn digits(text: &str) -> Option<String> {
    let (separator, length) = match text.as_bytes().get(2)? {
        b':' => (':', 2),
        b'-' => ('-', 2),
        _ if text.contains('.') => ('.', 4),
        _ => return Some(text.to_owned()),
    };
    let mut groups = text.split(separator);
    groups.clone().all(|group| group.len() == length).then(|| groups.by_ref().collect())
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
        // In one piece: where there are ten thousand peers, each has one, and number by number it is a third of what their list costs to write.
        let mut text = [b':'; 17];
        for (digits, octet) in text.chunks_mut(3).zip(self.0) {
            for (digit, half) in digits.iter_mut().zip([octet >> 4, octet & 15]) {
                *digit = if half < 10 { b'0' + half } else { b'a' + half - 10 };
            }
        }
        f.write_str(str::from_utf8(&text).unwrap_or_default())
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
    fn a_mac_survives_its_text_in_every_form() {
        for text in ["02:42:AC:11:00:02", "02-42-ac-11-00-02", "0242.ac11.0002", "0242AC110002"] {
            let mac: Mac = text.parse().unwrap();
            assert_eq!(mac.to_string(), "02:42:ac:11:00:02", "{text}");
        }
        for bad in [
            "",
            "0",
            "02:42:ac:11:00",
            "02:42:ac:11:00:02:03",
            "02:42:ac:11:00:02:00:03",
            "0242.ac11.0002.0003",
            "2:42:ac:11:0:2",
            "+2:42:ac:11:00:02",
            "+242ac110002",
            "0g:00:00:00:00:00",
            "02:42-ac:11-00:02",
            "02.42.ac.11.00.02",
            "0242:ac11:0002",
            "0242.ac11.00:2",
            "0242ac1100",
            "0242ac11000203",
            "02:42:ac:11:00:\u{e9}",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_octet_is_printed_with_two_digits() {
        for octet in 0..=u8::MAX {
            let printed = Mac::new([octet, 0, octet, 0xff, 0, octet]).to_string();
            assert_eq!(printed, format!("{octet:02x}:00:{octet:02x}:ff:00:{octet:02x}"));
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
