//! What may be handed out, and in which order. Nothing here touches a file.
//!
//! An attachment gets one address out of each range set. Within a set the addresses go round: the one after the last that was
//! reserved comes first, then those behind it, range after range, until that last one itself. A crash-looping container
//! so sees a new address each time, until all have been through.
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};
use types::Prefix;

/// Addresses of one subnet, from the first to the last, and the gateway, which is never handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Of the prefix that an address is handed out with.
    length: u8,
    first: IpAddr,
    last: IpAddr,
    gateway: IpAddr,
}

/// What a configuration may say of a range; what it does not say has a default.
#[derive(Debug, Clone, Copy)]
pub struct RangeSpec {
    /// The subnet, without host bits.
    pub subnet: Prefix,
    /// The first address; by default the one after the subnet's own.
    pub first: Option<IpAddr>,
    /// The last address; by default the subnet's last, for IPv4 the one before the broadcast address.
    pub last: Option<IpAddr>,
    /// The gateway; by default the address after the subnet's own.
    pub gateway: Option<IpAddr>,
}

impl TryFrom<RangeSpec> for Range {
    type Error = InvalidRange;

    fn try_from(spec: RangeSpec) -> Result<Self, InvalidRange> {
        let subnet = spec.subnet;
        if subnet.length() > subnet.bits() - 2 {
            return Err(InvalidRange::TooSmall { subnet });
        }
        if !subnet.is_network() {
            return Err(InvalidRange::HostBits { subnet });
        }
        let second = after(subnet.address());
        let first = spec.first.unwrap_or(second);
        if !subnet.contains(first) {
            return Err(InvalidRange::StartOutside { first, subnet });
        }
        let last = spec.last.unwrap_or_else(|| last_usable(subnet));
        if !subnet.contains(last) {
            return Err(InvalidRange::EndOutside { last, subnet });
        }
        if number(first) > number(last) {
            return Err(InvalidRange::StartOutside { first, subnet });
        }
        Ok(Self { length: subnet.length(), first, last, gateway: spec.gateway.unwrap_or(second) })
    }
}

impl Range {
    /// Addresses that are each handed out alone, as /32 or /128, from the first to the last; the gateway is of no subnet.
    pub fn of_hosts(first: IpAddr, last: IpAddr, gateway: IpAddr) -> Self {
        Self { length: Prefix::host(first).length(), first, last, gateway }
    }

    /// Whether the address lies between the first and the last one.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.numbers().contains(&number(address))
    }

    /// The gateway of the subnet, which is never handed out.
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// The length of the prefix that an address is handed out with: the subnet's.
    pub fn prefix_length(&self) -> u8 {
        self.length
    }

    fn numbers(&self) -> RangeInclusive<u128> {
        number(self.first)..=number(self.last)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// How many addresses can be handed out of it.
    fn capacity(&self) -> u128 {
        let all = (number(self.last) - number(self.first)).saturating_add(1);
        all - u128::from(self.contains(self.gateway))
    }
}

/// As the reference prints it: the first and the last address.
impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.first, self.last)
    }
}

/// One or more ranges of one address family that do not overlap; an attachment gets one address out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<Range>,
    ipv4: bool,
}

impl TryFrom<Vec<Range>> for RangeSet {
    type Error = InvalidRange;

    fn try_from(ranges: Vec<Range>) -> Result<Self, InvalidRange> {
        let Some(head) = ranges.first() else { return Err(InvalidRange::Empty) };
        let ipv4 = head.first.is_ipv4();
        if ranges.iter().any(|range| range.first.is_ipv4() != ipv4) {
            return Err(InvalidRange::MixedFamilies);
        }
        if let Some((one, other)) = pairs(&ranges).find(|(one, other)| one.overlaps(other)) {
            return Err(InvalidRange::Overlap { one: one.to_string(), other: other.to_string() });
        }
        Ok(Self { ranges, ipv4 })
    }
}

impl RangeSet {
    /// Whether its addresses are IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.ipv4
    }

    /// The range that the address lies in.
    pub fn range_of(&self, address: IpAddr) -> Option<&Range> {
        self.ranges.iter().find(|range| range.contains(address))
    }

    /// Whether any address lies in both sets.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.ranges.iter().any(|one| other.ranges.iter().any(|another| one.overlaps(another)))
    }

    /// How many addresses can be handed out of it.
    pub fn capacity(&self) -> u128 {
        self.ranges.iter().map(Range::capacity).fold(0, u128::saturating_add)
    }

    /// Every address that can be handed out, in the order in which they are tried: those after `last` first, and from the
    /// first range's first one if `last` is not of this set.
    pub fn candidates(&self, last: Option<IpAddr>) -> impl Iterator<Item = (IpAddr, &Range)> {
        let from = last.and_then(|last| {
            let index = self.ranges.iter().position(|range| range.contains(last))?;
            Some((index, number(last)))
        });
        let (index, split) = from.unwrap_or((0, 0));
        let (head, tail) = self.ranges.split_at(index);
        let round = tail.iter().chain(head).chain(tail.first());
        let (turned, count, family) = (from.is_some(), self.ranges.len(), self.ipv4);
        round.enumerate().flat_map(move |(at, range)| {
            let (first, last) = (number(range.first), number(range.last));
            let (numbers, skipped) = match (turned, at) {
                (true, 0) => (split..=last, 1),
                (true, at) if at == count => (first..=split, 0),
                (false, at) if at == count => (first..=first, 1),
                _ => (first..=last, 0),
            };
            let addresses = numbers.skip(skipped).map(move |number| address(number, family));
            addresses.filter(|address| *address != range.gateway).map(move |address| (address, range))
        })
    }
}

/// As the reference prints it: its ranges, with commas.
impl fmt::Display for RangeSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.ranges.iter().enumerate() {
            write!(out, "{}{range}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The first two sets that overlap, by their places in the list.
pub fn overlap(sets: &[RangeSet]) -> Option<(usize, usize)> {
    let overlapping = |(at, set): (usize, &RangeSet)| {
        let behind = sets.iter().enumerate().skip(at + 1);
        behind.into_iter().find(|(_, other)| set.overlaps(other)).map(|(other, _)| (at, other))
    };
    sets.iter().enumerate().find_map(overlapping)
}

/// What is wrong with a range or a set of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    /// A range without a subnet.
    #[error("IP <nil> not v4 nor v6")]
    NoSubnet,
    /// An IPv4 address written as IPv6 with an IPv6 prefix length, such as `::ffff:10.1.0.0/112`.
    #[error("IPNet IP and Mask version mismatch")]
    MixedNotation,
    /// A /31, /32, /127 or /128.
    #[error("Network {subnet} too small to allocate from")]
    TooSmall {
        /// The subnet.
        subnet: Prefix,
    },
    /// The subnet is written with the address of one of its hosts.
    #[error("Network has host bits set. For a subnet mask of length {} the network address is {}", .subnet.length(), .subnet.network().address())]
    HostBits {
        /// The subnet as written.
        subnet: Prefix,
    },
    /// `rangeStart` is not in the subnet, or behind the range's end.
    #[error("RangeStart {first} not in network {subnet}")]
    StartOutside {
        /// The start.
        first: IpAddr,
        /// The subnet.
        subnet: Prefix,
    },
    /// `rangeEnd` is not in the subnet.
    #[error("RangeEnd {last} not in network {subnet}")]
    EndOutside {
        /// The end.
        last: IpAddr,
        /// The subnet.
        subnet: Prefix,
    },
    /// A set without a range.
    #[error("empty range set")]
    Empty,
    /// A set with IPv4 and IPv6.
    #[error("mixed address families")]
    MixedFamilies,
    /// Two ranges of a set share addresses.
    #[error("subnets {one} and {other} overlap")]
    Overlap {
        /// The first range.
        one: String,
        /// The second.
        other: String,
    },
}

impl InvalidRange {
    /// What to write instead.
    pub(crate) fn hint(&self) -> String {
        let hint = match self {
            Self::NoSubnet => "each range needs a `subnet`",
            Self::MixedNotation => "write an IPv4 subnet as IPv4",
            Self::TooSmall { .. } => "the longest prefix is /30 for IPv4 and /126 for IPv6",
            Self::HostBits { subnet } => return format!("write {} in place of {subnet}", subnet.network()),
            Self::StartOutside { .. } => "`rangeStart` lies in `subnet`, and not behind the range's end",
            Self::EndOutside { .. } => "`rangeEnd` lies in `subnet`, and not before `rangeStart`",
            Self::Empty => "leave the set out, or give it a range",
            Self::MixedFamilies => "use one range set for IPv4 and another for IPv6",
            Self::Overlap { .. } => "each address may be in one range only",
        };
        hint.to_owned()
    }
}

fn pairs(ranges: &[Range]) -> impl Iterator<Item = (&Range, &Range)> {
    ranges.iter().enumerate().flat_map(|(at, one)| ranges.iter().skip(at + 1).map(move |other| (one, other)))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(number: u128, ipv4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if ipv4 => Ipv4Addr::from_bits(number).into(),
        _ => Ipv6Addr::from_bits(number).into(),
    }
}

fn after(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits().wrapping_add(1)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().wrapping_add(1)).into(),
    }
}

fn last_usable(subnet: Prefix) -> IpAddr {
    match subnet.last() {
        IpAddr::V4(broadcast) => Ipv4Addr::from_bits(broadcast.to_bits().wrapping_sub(1)).into(),
        last @ IpAddr::V6(_) => last,
    }
}
