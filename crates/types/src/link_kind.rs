//! The kernel's drivers of virtual links, with what each is told when a link is made (`linux/if_link.h`, ip-link(8)).
use crate::VlanId;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A driver and its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// A link with a MAC address of its own on another link.
    Macvlan {
        /// Which frames pass between it and its neighbours.
        mode: MacvlanMode,
        /// How many broadcast frames may wait for it (`IFLA_MACVLAN_BC_QUEUE_LEN`); none leaves it to the kernel, 1000.
        broadcast_queue: Option<u32>,
    },
    /// A link with the MAC address of the link that it is on, told apart by IP addresses.
    Ipvlan {
        /// Who routes.
        mode: IpvlanMode,
        /// Which frames pass between it and its neighbours.
        flag: IpvlanFlag,
    },
    /// Those frames of a link that have this VLAN's tag (IEEE 802.1Q).
    Vlan(VlanId),
    /// Those whose tag has a priority and names no VLAN: its number is 0 (IEEE 802.1Q, table 9-2).
    PriorityTagged,
    /// A link that drops all that it sends.
    Dummy,
    /// A link through which packets of others are led to be queued (intermediate functional block).
    Ifb,
    /// A routing table with the links that use it, and no other (`Documentation/networking/vrf.rst`).
    Vrf {
        /// The table.
        table: u32,
    },
}

impl LinkKind {
    /// The driver's name (`IFLA_INFO_KIND`).
    pub const fn driver(&self) -> &'static str {
        match self {
            LinkKind::Macvlan { .. } => "macvlan",
            LinkKind::Ipvlan { .. } => "ipvlan",
            LinkKind::Vlan(_) | LinkKind::PriorityTagged => "vlan",
            LinkKind::Dummy => "dummy",
            LinkKind::Ifb => "ifb",
            LinkKind::Vrf { .. } => "vrf",
        }
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.driver())?;
        match self {
            LinkKind::Macvlan { mode, broadcast_queue } => {
                write!(f, " in mode {mode}")?;
                broadcast_queue.map_or(Ok(()), |length| write!(f, " with a queue of {length} broadcasts"))
            }
            LinkKind::Ipvlan { mode, flag } => write!(f, " in mode {mode} {flag}"),
            LinkKind::Vlan(id) => write!(f, " {id}"),
            LinkKind::PriorityTagged => f.write_str(" 0"),
            LinkKind::Vrf { table } => write!(f, " of table {table}"),
            LinkKind::Dummy | LinkKind::Ifb => Ok(()),
        }
    }
}

/// Words with their numbers in the kernel's headers.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $number:ty { $($(#[$what:meta])* $variant:ident = $word:literal, $value:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$what])* $variant,)*
        }

        impl $name {
            /// All of them, in the words of ip-link(8).
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The kernel's number.
            pub const fn number(self) -> $number {
                match self {
                    $(Self::$variant => $value,)*
                }
            }

            /// The one with this number, if it is one of ours.
            pub const fn numbered(number: $number) -> Option<Self> {
                match number {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $word,)*
                })
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { word: text.to_owned(), known: Self::WORDS }),
                }
            }
        }
    };
}

/// None of the words that there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is none of {}", known.join(", "))]
pub struct UnknownWord {
    /// What was given.
    pub word: String,
    /// What could have been.
    pub known: &'static [&'static str],
}

words! {
    /// Which frames pass between macvlan links on one parent (`enum macvlan_mode`).
    MacvlanMode: u32 {
        /// Directly between them.
        #[default]
        Bridge = "bridge", 4;
        /// None.
        Private = "private", 1;
        /// Those that the switch behind the parent sends back (IEEE 802.1Qbg).
        Vepa = "vepa", 2;
        /// There is one link, which is its parent to the network.
        Passthru = "passthru", 8;
    }
}

words! {
    /// Who routes for ipvlan links (`enum ipvlan_mode`).
    IpvlanMode: u16 {
        /// The link itself: it has broadcasts and a neighbour table.
        #[default]
        L2 = "l2", 0;
        /// The parent's namespace, past its packet filter.
        L3 = "l3", 1;
        /// The parent's namespace, through its packet filter.
        L3s = "l3s", 2;
    }
}

words! {
    /// Which frames pass between ipvlan links on one parent (`IPVLAN_F_*`). It is one for all of them.
    IpvlanFlag: u16 {
        /// Directly between them.
        #[default]
        Bridge = "bridge", 0;
        /// None.
        Private = "private", 1;
        /// Those that the switch behind the parent sends back (IEEE 802.1Qbg).
        Vepa = "vepa", 2;
    }
}

words! {
    /// Whether the others on a link are asked first if one of them has an IPv6 address (RFC 4862, section 5.4). The numbers are
    /// those of `accept_dad` (`ip-sysctl`).
    Dad: u8 {
        /// Nobody is asked: it can be used at once.
        #[default]
        Off = "off", 0;
        /// They are, and meanwhile it can be used with care (RFC 4429).
        Optimistic = "optimistic", 2;
        /// They are, and until it is known nothing can be sent from it.
        On = "on", 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_and_its_number_name_the_same() {
        for word in MacvlanMode::WORDS {
            let mode: MacvlanMode = word.parse().unwrap();
            assert_eq!(
                (mode.to_string().as_str(), MacvlanMode::numbered(mode.number())),
                (*word, Some(mode))
            );
        }
        assert_eq!(MacvlanMode::numbered(16), None, "source is not ours");
        let unknown = "L3".parse::<IpvlanMode>().unwrap_err();
        assert_eq!(unknown.to_string(), "\"L3\" is none of l2, l3, l3s");
    }

    #[test]
    fn a_kind_says_what_it_is_told() {
        let kind = LinkKind::Macvlan { mode: MacvlanMode::Vepa, broadcast_queue: Some(7) };
        assert_eq!(kind.to_string(), "macvlan in mode vepa with a queue of 7 broadcasts");
        let kind = LinkKind::Ipvlan { mode: IpvlanMode::L3s, flag: IpvlanFlag::Private };
        assert_eq!(kind.to_string(), "ipvlan in mode l3s private");
    }
}
