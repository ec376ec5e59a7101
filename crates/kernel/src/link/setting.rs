//! What can be changed of a link that is there, one thing at a time.
use super::{Link, flags, numbered, set, set_mac, set_mtu, set_promisc};
use crate::Message;
use netlink_packet_route::link::{LinkAttribute, LinkFlags};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::Mac;

/// One setting of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// Its Ethernet address.
    Mac(Mac),
    /// Its largest packet in bytes.
    Mtu(u32),
    /// How many packets wait to be sent (`IFLA_TXQLEN`).
    TxQueue(u32),
    /// Whether it takes every frame (`IFF_PROMISC`).
    Promisc(bool),
    /// Whether it takes all multicast frames (`IFF_ALLMULTI`).
    AllMulticast(bool),
}

impl Setting {
    /// The same of a link as it is; none if it has no address.
    #[must_use]
    pub fn of(self, link: &Link) -> Option<Setting> {
        Some(match self {
            Setting::Mac(_) => Setting::Mac(link.mac?),
            Setting::Mtu(_) => Setting::Mtu(link.mtu),
            Setting::TxQueue(_) => Setting::TxQueue(link.tx_queue),
            Setting::Promisc(_) => Setting::Promisc(link.promisc),
            Setting::AllMulticast(_) => Setting::AllMulticast(link.all_multicast),
        })
    }
}

/// Gives a link a setting.
pub fn change(index: u32, setting: Setting) -> Message {
    let mut link = numbered(index);
    match setting {
        Setting::Mac(mac) => return set_mac(index, mac),
        Setting::Mtu(mtu) => return set_mtu(index, mtu),
        Setting::Promisc(on) => return set_promisc(index, on),
        Setting::TxQueue(length) => link.attributes.push(LinkAttribute::TxQueueLen(length)),
        Setting::AllMulticast(on) => flags(&mut link, LinkFlags::Allmulti, on),
    }
    set(format!("set {setting} of link {index}"), link)
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on| if on { "on" } else { "off" };
        match self {
            Setting::Mac(mac) => write!(f, "mac {mac}"),
            Setting::Mtu(mtu) => write!(f, "mtu {mtu}"),
            Setting::TxQueue(length) => write!(f, "transmit queue {length}"),
            Setting::Promisc(promisc) => write!(f, "promiscuous mode {}", on(*promisc)),
            Setting::AllMulticast(all) => write!(f, "all multicast {}", on(*all)),
        }
    }
}
