//! What a TUN or TAP device says of itself (`IFLA_TUN_*` of `linux/if_link.h`, Linux 4.17).
use crate::reply::attributes;
use netlink_packet_core::{DecodeError, parse_u8, parse_u32};

/// A TUN or TAP device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tun {
    /// Whether it carries Ethernet frames, and not packets.
    pub is_tap: bool,
    /// Whether several descriptors may be its queues at once.
    pub multi_queue: bool,
    /// The user who may open it.
    pub owner: Option<u32>,
    /// The group that may.
    pub group: Option<u32>,
}

impl Tun {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut tun = Self::default();
        for attribute in attributes(bytes) {
            let (kind, value) = attribute?;
            match kind {
                IFLA_TUN_OWNER => tun.owner = Some(parse_u32(value)?),
                IFLA_TUN_GROUP => tun.group = Some(parse_u32(value)?),
                IFLA_TUN_TYPE => tun.is_tap = parse_u8(value)? == IFF_TAP,
                IFLA_TUN_MULTI_QUEUE => tun.multi_queue = parse_u8(value)? != 0,
                _ => {}
            }
        }
        Ok(tun)
    }
}

const IFLA_TUN_OWNER: u16 = 1;
const IFLA_TUN_GROUP: u16 = 2;
const IFLA_TUN_TYPE: u16 = 3;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
/// `linux/if_tun.h`.
const IFF_TAP: u8 = 2;
