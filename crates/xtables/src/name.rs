//! The words that rules are made of.
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use std::{fmt, str::FromStr};

/// A family of addresses. Each has tables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of the two families")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// The program of this family, as people know it.
    pub fn program(self) -> &'static str {
        match self {
            Family::Ipv4 => "iptables",
            Family::Ipv6 => "ip6tables",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        })
    }
}

/// Which of the kernel's two interfaces iptables goes by. Each has tables of its own, all of which packets meet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interface {
    /// The one that the host's `iptables` goes by.
    #[default]
    Any,
    /// nftables: `iptables-nft`.
    Nft,
    /// The older one: `iptables-legacy`.
    Legacy,
}

impl Interface {
    /// The programs of this family, the best first; each has others beside it, such as `-restore`. One that has the other interface's name
    /// or goes by the other one stands in for none.
    pub(crate) fn programs(self, family: Family) -> &'static [&'static str] {
        match (self, family) {
            (Interface::Any, Family::Ipv4) => &["iptables", "iptables-nft", "iptables-legacy"],
            (Interface::Any, Family::Ipv6) => &["ip6tables", "ip6tables-nft", "ip6tables-legacy"],
            (Interface::Nft, Family::Ipv4) => &["iptables", "iptables-nft"],
            (Interface::Nft, Family::Ipv6) => &["ip6tables", "ip6tables-nft"],
            (Interface::Legacy, Family::Ipv4) => &["iptables", "iptables-legacy"],
            (Interface::Legacy, Family::Ipv6) => &["ip6tables", "ip6tables-legacy"],
        }
    }

    /// What is to be installed where there is none of them.
    pub(crate) fn wanted(self, family: Family) -> &'static str {
        let programs = self.programs(family);
        let wanted = if self == Interface::Any { programs.first() } else { programs.last() };
        wanted.copied().unwrap_or_default()
    }
}

/// As people call its programs.
impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Interface::Any => "iptables",
            Interface::Nft => "iptables of nftables",
            Interface::Legacy => "the older iptables",
        })
    }
}

/// A table (iptables(8), "TABLES").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of iptables(8)")]
pub enum Table {
    Filter,
    Nat,
}

impl Table {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Filter => "filter",
            Table::Nat => "nat",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something is no word of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWord {
    /// No name of a chain: 1 to 28 visible ASCII characters, the first neither `-` nor `!` (`XT_EXTENSION_MAXNAMELEN`, iptables(8)).
    #[error("iptables takes no chain name {value:?}")]
    Chain {
        /// The value at fault.
        value: String,
    },
    /// Empty, or with a control character in it.
    #[error("iptables takes no argument {value:?}")]
    Word {
        /// The value at fault.
        value: String,
    },
}

/// The name of a chain that a user may choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainName(String);

/// One argument of a rule: neither empty nor with a control character, so that it can end no line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Word(String);

/// The longest name of a chain (`XT_EXTENSION_MAXNAMELEN` without its final NUL).
const LONGEST: usize = 28;

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// It as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidWord;
            fn from_str(text: &str) -> Result<Self, InvalidWord> {
                text.to_owned().try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text!(ChainName);
text!(Word);

impl TryFrom<String> for ChainName {
    type Error = InvalidWord;
    fn try_from(value: String) -> Result<Self, InvalidWord> {
        let good = (1..=LONGEST).contains(&value.len())
            && !value.starts_with(['-', '!'])
            && value.bytes().all(|byte| byte.is_ascii_graphic());
        if good { Ok(Self(value)) } else { Err(InvalidWord::Chain { value }) }
    }
}

impl TryFrom<String> for Word {
    type Error = InvalidWord;
    fn try_from(value: String) -> Result<Self, InvalidWord> {
        let bad = value.is_empty() || value.chars().any(char::is_control);
        if bad { Err(InvalidWord::Word { value }) } else { Ok(Self(value)) }
    }
}

/// The name of a chain that is an attachment's own, as the reference plugins derive it: the prefix, and as much of the SHA-512 of
/// network and container, in hexadecimal, as makes it this long.
pub fn chain_of(prefix: &str, length: usize, network: &str, container: &str) -> String {
    let mut name = prefix.to_owned() + &hash(&[network, container]);
    name.truncate(length);
    name
}

/// The SHA-512 of these parts, one behind the other, in hexadecimal.
pub fn hash(parts: &[&str]) -> String {
    let digest = parts.iter().fold(Sha512::new(), Digest::chain_update).finalize();
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_called_as_the_reference_calls_them() {
        assert_eq!(chain_of("CNI-", 28, "net", "c1"), "CNI-623e1c388032b20529218ecc");
        assert_eq!(chain_of("CNI-DN-", 28, "net", "c1"), "CNI-DN-623e1c388032b20529218");
    }

    #[test]
    fn what_iptables_would_take_for_something_else_is_no_chain() {
        for bad in ["", "-x", "!x", "a b", "a\n-F", "é", &"a".repeat(29)] {
            assert!(bad.parse::<ChainName>().is_err(), "{bad:?}");
        }
        assert!("A".repeat(28).parse::<ChainName>().is_ok() && "KUBE-MARK-MASQ".parse::<ChainName>().is_ok());
    }

    #[test]
    fn no_word_ends_a_line() {
        for bad in ["", "a\n-F", "\0", "a\rb", "\u{85}"] {
            assert!(bad.parse::<Word>().is_err(), "{bad:?}");
        }
        assert!("a \"b\" \\c é".parse::<Word>().is_ok());
    }
}
