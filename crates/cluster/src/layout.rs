//! How a network's subnets are cut into blocks.
use crate::{Owned, error::Error};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use types::Prefix;

/// How many addresses a block has, as the length of an IPv4 block's prefix: 16 to 30. An IPv6 block has as many host bits, so
/// with 26 it is a /122.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u8")]
pub struct BlockSize(u8);

impl BlockSize {
    /// 64 addresses.
    const USUAL: Self = Self(26);

    /// 16 addresses: in a small subnet, so that more than a few nodes have a block.
    const IN_SMALL_SUBNETS: Self = Self(28);

    /// How many bits of an address tell the addresses of a block apart: log2 of how many there are.
    pub fn host_bits(self) -> u8 {
        32 - self.0
    }

    /// The length of an IPv4 block's prefix.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<i64> for BlockSize {
    type Error = Error;

    fn try_from(value: i64) -> Result<Self, Error> {
        let size = u8::try_from(value).ok().filter(|size| (16..=30).contains(size));
        size.map(Self).ok_or(Error::BlockSize { value })
    }
}

impl From<BlockSize> for u8 {
    fn from(size: BlockSize) -> u8 {
        size.0
    }
}

/// A block's place in the network, from 0. Block n is the n-th of each subnet. With the store `static` it is a node's slot, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockNumber(pub u32);

impl fmt::Display for BlockNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The subnets of a network, at most one of each family, and how they are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    subnets: Vec<Prefix>,
    size: BlockSize,
}

/// Addresses that can be handed out, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: IpAddr,
    /// The last; not before the first.
    pub last: IpAddr,
}

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In none of the subnets.
    Outside,
    /// In this subnet, and never handed out: a subnet's first address, or an IPv4 subnet's last.
    Kept(Prefix),
    /// In this block.
    Block(BlockNumber),
    /// In a subnet, behind its last block: the other subnet has fewer blocks.
    Behind(Prefix),
}

impl Layout {
    /// Cuts these subnets into blocks. Without a size, blocks have 64 addresses, and 16 where a subnet has 1024 or less.
    pub fn new(subnets: Vec<Prefix>, size: Option<BlockSize>) -> Result<Self, Error> {
        if subnets.is_empty() {
            return Err(Error::NoSubnets);
        }
        for (at, subnet) in subnets.iter().enumerate() {
            check(*subnet)?;
            let before = subnets.iter().take(at).find(|other| other.is_ipv4() == subnet.is_ipv4());
            if let Some(first) = before {
                return Err(Error::TwoOfAFamily { first: *first, second: *subnet });
            }
        }
        let smallest = subnets.iter().map(|subnet| host_bits(*subnet)).min().unwrap_or(32);
        let size = size.unwrap_or_else(|| default_size(smallest));
        match subnets.iter().find(|subnet| host_bits(**subnet) < size.host_bits()) {
            Some(subnet) => Err(Error::BlockTooBig { size, subnet: *subnet }),
            None => Ok(Self { subnets, size }),
        }
    }

    /// The subnets, in the order in which they were given.
    pub fn subnets(&self) -> &[Prefix] {
        &self.subnets
    }

    /// How many addresses a block has.
    pub fn block_size(&self) -> BlockSize {
        self.size
    }

    /// How many blocks the network has: those of its smallest subnet, and no more than have a number.
    pub fn blocks(&self) -> u32 {
        let bits = self.subnets.iter().map(|subnet| host_bits(*subnet) - self.size.host_bits()).min();
        1u32.checked_shl(bits.unwrap_or(0).into()).unwrap_or(u32::MAX)
    }

    /// A block's prefix in each subnet, in the order of the subnets; `None` behind the last block.
    pub fn block(&self, number: BlockNumber) -> Option<Vec<Prefix>> {
        if number.0 >= self.blocks() {
            return None;
        }
        let bits = self.size.host_bits();
        let block = |subnet: &Prefix| {
            let first = of_number(number_of(subnet.address()) + (u128::from(number.0) << bits), *subnet);
            Prefix::new(first, subnet.bits() - bits).ok()
        };
        self.subnets.iter().map(block).collect()
    }

    /// The number of the block with this prefix, in whichever subnet; `None` of what is no block.
    pub fn number(&self, block: Prefix) -> Option<BlockNumber> {
        let subnet = self.subnets.iter().find(|subnet| subnet.contains(block.address()))?;
        let number = (number_of(block.address()) - number_of(subnet.address())) >> self.size.host_bits();
        let number = BlockNumber(u32::try_from(number).ok()?);
        self.block(number)?.contains(&block).then_some(number)
    }

    /// Where the address is.
    pub fn place(&self, address: IpAddr) -> Place {
        let Some(subnet) = self.subnets.iter().find(|subnet| subnet.contains(address)) else {
            return Place::Outside;
        };
        let usable = span(*subnet, *subnet);
        if number_of(address) < number_of(usable.first) || number_of(address) > number_of(usable.last) {
            return Place::Kept(*subnet);
        }
        let number = (number_of(address) - number_of(subnet.address())) >> self.size.host_bits();
        let number = u32::try_from(number).ok().filter(|number| *number < self.blocks());
        number.map_or(Place::Behind(*subnet), |number| Place::Block(BlockNumber(number)))
    }

    /// What can be handed out by a node that owns this: for each subnet its spans, in the order of what is owned. A block that does not
    /// exist has none.
    pub fn spans(&self, owned: &Owned) -> Vec<Vec<Span>> {
        let of = |(at, subnet): (usize, &Prefix)| {
            if *owned == Owned::Everything {
                return vec![span(*subnet, *subnet)];
            }
            let blocks = owned.blocks().filter_map(|number| self.block(number)?.get(at).copied());
            blocks.map(|block| span(*subnet, block)).collect()
        };
        self.subnets.iter().enumerate().map(of).collect()
    }

    /// How many containers can have an address of each family at once on a node that owns this.
    pub fn capacity(&self, owned: &Owned) -> u128 {
        let of = |spans: Vec<Span>| spans.iter().map(Span::count).fold(0, u128::saturating_add);
        self.spans(owned).into_iter().map(of).min().unwrap_or(0)
    }
}

impl Span {
    /// How many addresses it has.
    pub fn count(&self) -> u128 {
        (number_of(self.last) - number_of(self.first)).saturating_add(1)
    }

    /// Whether the address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let numbers = number_of(self.first)..=number_of(self.last);
        address.is_ipv4() == self.first.is_ipv4() && numbers.contains(&number_of(address))
    }
}

/// What of a part of a subnet, or of all of it, can be handed out: not an IPv4 subnet's own and broadcast addresses (RFC 1122, section 3.2.1.3), nor
/// an IPv6 subnet's first, which is all its routers' (RFC 4291, section 2.6.1).
fn span(subnet: Prefix, part: Prefix) -> Span {
    let (first, last) = (number_of(part.address()), number_of(part.last()));
    let first = if part.address() == subnet.address() { first + 1 } else { first };
    let last = if part.is_ipv4() && part.last() == subnet.last() { last - 1 } else { last };
    Span { first: of_number(first, subnet), last: of_number(last, subnet) }
}

/// Refuses what cannot be a subnet of containers.
fn check(subnet: Prefix) -> Result<(), Error> {
    if !subnet.is_network() {
        return Err(Error::HostBits { subnet });
    }
    if host_bits(subnet) < SMALLEST {
        return Err(Error::SubnetTooSmall { subnet });
    }
    let reserved = RESERVED.iter().find(|(taken, _)| {
        let taken: Option<Prefix> = taken.parse().ok();
        taken.is_some_and(|taken| taken.overlaps(subnet))
    });
    reserved.map_or(Ok(()), |(taken, what)| Err(Error::Reserved { subnet, taken, what }))
}

fn default_size(smallest: u8) -> BlockSize {
    let size = if smallest <= SMALL { BlockSize::IN_SMALL_SUBNETS } else { BlockSize::USUAL };
    if smallest < size.host_bits() { BlockSize(32 - smallest) } else { size }
}

fn host_bits(subnet: Prefix) -> u8 {
    subnet.bits() - subnet.length()
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address with this number, of the subnet's family.
fn of_number(number: u128, subnet: Prefix) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if subnet.is_ipv4() => Ipv4Addr::from_bits(number).into(),
        _ => Ipv6Addr::from_bits(number).into(),
    }
}

/// The fewest host bits: of four addresses, two are never handed out.
const SMALLEST: u8 = 2;

/// The most host bits of a subnet that is small: a /22.
const SMALL: u8 = 10;

/// Where no container can be.
const RESERVED: &[(&str, &str)] = &[
    ("0.0.0.0/8", "\"this network\" (RFC 1122)"),
    ("127.0.0.0/8", "loopback (RFC 1122)"),
    ("169.254.0.0/16", "link-local, and has the gateway of every container"),
    ("224.0.0.0/3", "multicast and reserved (RFC 1112)"),
    ("::/96", "loopback and unspecified (RFC 4291)"),
    ("::ffff:0:0/96", "IPv4 addresses (RFC 4291)"),
    ("fe80::/10", "link-local, and has the gateway of every container"),
    ("ff00::/8", "multicast (RFC 4291)"),
];
