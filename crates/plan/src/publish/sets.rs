//! The maps and sets of published ports.
use crate::filter::INET;
use kernel::nft::{Datum, Kind, Set};
use std::borrow::Cow;

/// Where ports lead: of all addresses of the host, or of one.
pub(super) fn published(v4: bool, at_address: bool) -> Set {
    let value = Some(Datum::Fields(if v4 { TARGET4 } else { TARGET6 }));
    let name = match (v4, at_address) {
        (true, false) => "published4",
        (true, true) => "published_at4",
        (false, false) => "published6",
        (false, true) => "published_at6",
    };
    Set { table: INET, name: name.into(), key: key(v4, at_address), value }
}

/// The same for ports with conditions: to which chain.
pub(super) fn conditional(v4: bool, at_address: bool) -> Set {
    let name = match (v4, at_address) {
        (true, false) => "conditional4",
        (true, true) => "conditional_at4",
        (false, false) => "conditional6",
        (false, true) => "conditional_at6",
    };
    Set { table: INET, name: name.into(), key: key(v4, at_address), value: Some(Datum::Verdict) }
}

fn key(v4: bool, at_address: bool) -> &'static [Kind] {
    match (v4, at_address) {
        (_, false) => &[Kind::InetProto, Kind::InetService],
        (true, true) => &[Kind::Ipv4Addr, Kind::InetProto, Kind::InetService],
        (false, true) => &[Kind::Ipv6Addr, Kind::InetProto, Kind::InetService],
    }
}

/// The containers' addresses behind the interfaces that lead to them.
pub(super) fn hairpin(v4: bool) -> Set {
    let (name, key): (_, &[Kind]) = if v4 {
        ("hairpin4", &[Kind::Ifname, Kind::Ipv4Addr])
    } else {
        ("hairpin6", &[Kind::Ifname, Kind::Ipv6Addr])
    };
    Set { table: INET, name: name.into(), key, value: None }
}

/// The containers' addresses that see nobody's but the host's.
pub(super) fn masquerade_all(v4: bool) -> Set {
    let (name, key): (_, &[Kind]) =
        if v4 { ("masquerade_all4", &[Kind::Ipv4Addr]) } else { ("masquerade_all6", &[Kind::Ipv6Addr]) };
    Set { table: INET, name: name.into(), key, value: None }
}

/// The containers' addresses that the host may talk to from its loopback addresses.
pub(super) const LOCALHOST4: Set =
    Set { table: INET, name: Cow::Borrowed("localhost4"), key: &[Kind::Ipv4Addr], value: None };

const TARGET4: &[Kind] = &[Kind::Ipv4Addr, Kind::InetService];
const TARGET6: &[Kind] = &[Kind::Ipv6Addr, Kind::InetService];
