//! The names a CNI call carries: of the network, the container and the interface.
use crate::{base32, stable_hash};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Empty, or with a character outside `[a-zA-Z0-9_.-]`, or not starting with a letter or digit (CNI spec 1.1, section 2).
    #[error("invalid characters in {what} {value:?}")]
    Characters {
        /// Which name it was to be: `network name`, `container ID`, `node name` or `interface name`.
        what: &'static str,
        /// The value at fault.
        value: String,
    },
    /// Longer than the kernel's `IFNAMSIZ - 1` (15 bytes, `linux/if.h`).
    #[error("interface name {value:?} is too long, the kernel takes at most 15 bytes")]
    TooLong {
        /// The value at fault.
        value: String,
    },
    /// With a `%`, which the kernel takes for a template such as `eth%d` (`__dev_alloc_name`): the link would be called something else.
    #[error("interface name {value:?} has a %, which the kernel takes for a place to put a number")]
    Template {
        /// The value at fault.
        value: String,
    },
    /// `all` or `default` (kernel `sysctl_dev_name_is_allowed`).
    #[error("interface name {value:?} is the kernel's own, for the parameters of interfaces in general")]
    Reserved {
        /// The value at fault.
        value: String,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A network interface's name: 1 to 15 bytes, no `/`, `:`, `%` or white space, none of `.`, `..`, `all` and `default` (kernel `dev_valid_name`,
    /// `dev_get_valid_name`).
    IfName,
    check_ifname
);
name!(
    /// A network's name as in the `name` key of a configuration: `^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`.
    NetworkName,
    check_network
);
name!(
    /// A container's ID as in `CNI_CONTAINERID`: `^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`.
    ContainerId,
    check_container
);
name!(
    /// A node's name in a network over many nodes, such as its host name (hostname(7)): `^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`.
    NodeName,
    check_node
);

impl IfName {
    /// `lo`, which every network namespace has (`loopback_net_init` in the kernel).
    pub fn loopback() -> Self {
        Self("lo".to_owned())
    }

    /// `start` and 11 base32 digits, 55 bits of the hash of both: a name that is found again by what it is for. Of a `start` the first four
    /// letters count.
    pub fn derived(start: &'static str, parts: &[&str]) -> Self {
        let all: Vec<&str> = [start].into_iter().chain(parts.iter().copied()).collect();
        let start: String = start.chars().filter(char::is_ascii_alphanumeric).take(4).collect();
        Self(format!("{start}{}", base32(stable_hash(&all), 11)))
    }
}

fn check_ifname(text: &str) -> Result<(), InvalidName> {
    let value = text.to_owned();
    let bad = |c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace();
    if text.is_empty() || text == "." || text == ".." || text.contains(bad) || text.bytes().any(is_blank) {
        return Err(InvalidName::Characters { what: "interface name", value });
    }
    match text {
        _ if text.len() > 15 => Err(InvalidName::TooLong { value }),
        _ if text.contains('%') => Err(InvalidName::Template { value }),
        "all" | "default" => Err(InvalidName::Reserved { value }),
        _ => Ok(()),
    }
}

/// What the kernel's `isspace` has besides: a byte of Latin-1, which is the second one of `à`.
fn is_blank(byte: u8) -> bool {
    byte == 0xa0
}

fn check_network(text: &str) -> Result<(), InvalidName> {
    check_identifier("network name", text)
}

fn check_container(text: &str) -> Result<(), InvalidName> {
    check_identifier("container ID", text)
}

fn check_node(text: &str) -> Result<(), InvalidName> {
    check_identifier("node name", text)
}

fn check_identifier(what: &'static str, text: &str) -> Result<(), InvalidName> {
    let head = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let tail = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if head && tail { Ok(()) } else { Err(InvalidName::Characters { what, value: text.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "../x", "-a", "_a", ".a", "a b", "a\nb", "é"] {
            assert!(bad.parse::<NetworkName>().is_err(), "{bad:?}");
            assert!(bad.parse::<ContainerId>().is_err(), "{bad:?}");
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
        assert!("a.b-c_D9".parse::<ContainerId>().is_ok());
    }

    #[test]
    fn an_interface_name_has_at_most_fifteen_bytes() {
        assert!("a".repeat(15).parse::<IfName>().is_ok());
        assert_eq!("a".repeat(16).parse::<IfName>(), Err(InvalidName::TooLong { value: "a".repeat(16) }));
        for bad in ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\0", "a\u{a0}", "à"] {
            assert!(bad.parse::<IfName>().is_err(), "{bad:?}");
        }
        for good in ["é", "-x", "a\"b", "a$b", "all0", "Default", "lo"] {
            assert!(good.parse::<IfName>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_name_that_the_kernel_takes_for_something_else_is_refused() {
        for value in ["a%d", "%", "eth%"].map(str::to_owned) {
            assert_eq!(value.parse::<IfName>(), Err(InvalidName::Template { value }));
        }
        for value in ["all", "default"].map(str::to_owned) {
            assert_eq!(value.parse::<IfName>(), Err(InvalidName::Reserved { value }));
        }
    }
}
