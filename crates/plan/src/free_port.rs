//! A port of the host that nobody has: for a container that does not care which, or which of a few.
//!
//! # Theory of operation
//! Where any will do, the kernel's own range for such ports is gone through from a random place on, so that many who look at once rarely
//! meet. A port is free if nobody has claimed it and nobody listens on it. Of a range that somebody has named, the first is taken that is
//! free, whether it was claimed by one that is dead or not. Whether it still is when it is taken, only taking it can tell: then the plan
//! is made anew. Of a range that is so often worth it as it has ports ([`Wanted::choices`]): each time somebody else has got one.
use crate::{
    error::Error,
    state::State,
    step::{Holder, Protocol, Published},
};
use kernel::sysctl;
use std::{collections::hash_map::RandomState, fmt, hash::BuildHasher, net::IpAddr, ops::RangeInclusive};

/// What kind of port is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The protocols in all of which it must be free.
    pub protocols: Vec<Protocol>,
    /// Where on the host: see [`Published::address`].
    pub address: Option<IpAddr>,
    /// The ports one of which it must be; any of the kernel's if there is none.
    pub range: Option<RangeInclusive<u16>>,
    /// Ports that it must not be, because they are spoken for.
    pub besides: Vec<Published>,
}

/// A range of ports none of which is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenRange {
    /// Its first port.
    first: Published,
    /// The number of its last one.
    last: u16,
    /// Who has them, those of one holder in a row as one.
    held: Vec<(RangeInclusive<u16>, Occupant)>,
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Occupant {
    /// A container that publishes it.
    Container(Box<Holder>),
    /// The container that asks, for another of its own.
    Itself,
    /// A process that listens on it.
    Process,
}

/// A port of the kind, which none of `given` is; [`Error::NoFreePort`] or [`Error::RangeTaken`] if there is none.
pub(crate) fn look(wanted: &Wanted, given: &[Published], state: &State) -> Result<u16, Error> {
    match &wanted.range {
        None => any(wanted, given, state),
        Some(range) => first_of(range, wanted, given, state),
    }
}

fn any(wanted: &Wanted, given: &[Published], state: &State) -> Result<u16, Error> {
    let range = range()?;
    let reserved = reserved();
    let start = RandomState::new().hash_one(std::process::id());
    for number in from(&range, start) {
        if wanted.is_spoken_for(number, given) || reserved.iter().any(|range| range.contains(&number)) {
            continue;
        }
        if is_free(wanted, number, state)? {
            return Ok(number);
        }
    }
    Err(Error::NoFreePort { first: *range.start(), last: *range.end() })
}

/// Whether nobody has it in any of the protocols.
fn is_free(wanted: &Wanted, number: u16, state: &State) -> Result<bool, Error> {
    for port in wanted.as_ports(number) {
        if state.is_claimed(port) || port.is_listened_on()? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn first_of(
    range: &RangeInclusive<u16>,
    wanted: &Wanted,
    given: &[Published],
    state: &State,
) -> Result<u16, Error> {
    let mut held: Vec<(RangeInclusive<u16>, Occupant)> = Vec::new();
    for number in range.clone() {
        let Some(by) = occupant(wanted, number, given, state)? else { return Ok(number) };
        match held.last_mut().filter(|(_, last)| *last == by) {
            Some((row, _)) => *row = *row.start()..=number,
            None => held.push((number..=number, by)),
        }
    }
    let protocol = wanted.protocols.first().copied().unwrap_or(Protocol::Tcp);
    let first = Published { protocol, number: *range.start(), address: wanted.address };
    Err(Error::RangeTaken(Box::new(TakenRange { first, last: *range.end(), held })))
}

/// Who has it in one of the protocols, if anybody does.
fn occupant(
    wanted: &Wanted,
    number: u16,
    given: &[Published],
    state: &State,
) -> Result<Option<Occupant>, Error> {
    if wanted.is_spoken_for(number, given) {
        return Ok(Some(Occupant::Itself));
    }
    for port in wanted.as_ports(number) {
        for claim in state.claims(port)?.into_iter().filter(|claim| claim.port.overlaps(port)) {
            if state.is_alive(&claim.holder)? {
                return Ok(Some(Occupant::Container(Box::new(claim.holder))));
            }
        }
        if port.is_listened_on()? {
            return Ok(Some(Occupant::Process));
        }
    }
    Ok(None)
}

impl Wanted {
    /// A port of this number, by each of the protocols.
    pub(crate) fn as_ports(&self, number: u16) -> impl Iterator<Item = Published> {
        let port =
            move |protocol: &Protocol| Published { protocol: *protocol, number, address: self.address };
        self.protocols.iter().map(port)
    }

    fn is_spoken_for(&self, number: u16, given: &[Published]) -> bool {
        let others = || given.iter().chain(&self.besides);
        self.as_ports(number).any(|port| others().any(|other| other.overlaps(port)))
    }

    /// How many ports there are to choose from, where somebody has named them.
    pub(crate) fn choices(&self) -> usize {
        self.range.as_ref().map_or(0, ExactSizeIterator::len)
    }

    /// Whether this is an answer to it.
    pub(crate) fn is_met_by(&self, port: Published) -> bool {
        self.address == port.address && self.range.as_ref().is_none_or(|range| range.contains(&port.number))
    }
}

/// How many holders of a range are named.
const NAMED: usize = 16;

/// `8000-8010/tcp are taken: 8000 by web-1, 8001-8010 by a process of the host`.
impl fmt::Display for TakenRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} are taken: ", self.first.up_to(self.last))?;
        for (at, (row, by)) in self.held.iter().take(NAMED).enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            match (row.start(), row.end()) {
                (one, last) if one == last => write!(f, "{one} by {by}")?,
                (first, last) => write!(f, "{first}-{last} by {by}")?,
            }
        }
        match self.held.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, ", and so on by {more} more"),
        }
    }
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(holder) => f.write_str(&holder.brief()),
            Self::Itself => f.write_str("this container itself"),
            Self::Process => f.write_str("a process of the host"),
        }
    }
}

/// All of the range, beginning somewhere in it.
fn from(range: &RangeInclusive<u16>, start: u64) -> impl Iterator<Item = u16> {
    let skip = usize::try_from(start % range.len() as u64).unwrap_or_default();
    range.clone().skip(skip).chain(range.clone().take(skip))
}

/// `ip_local_port_range` (`ip-sysctl`): two numbers.
fn range() -> Result<RangeInclusive<u16>, Error> {
    let text = sysctl::read(&["ipv4", "ip_local_port_range"])?;
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    // What the kernel starts with, should it ever write another format.
    let (first, last) = numbers.next().zip(numbers.next()).unwrap_or((32_768, 60_999));
    Ok(first..=last)
}

/// `ip_local_reserved_ports`: numbers and ranges with commas between them. Old kernels have none.
fn reserved() -> Vec<RangeInclusive<u16>> {
    let text = sysctl::read(&["ipv4", "ip_local_reserved_ports"]).unwrap_or_default();
    parse_reserved(&text)
}

fn parse_reserved(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_port_of_the_range_comes_once_wherever_one_begins() {
        for start in [0, 1, 4, 5, u64::MAX] {
            let ports: Vec<u16> = from(&(10..=14), start).collect();
            assert_eq!(ports.len(), 5);
            assert_eq!(ports.into_iter().collect::<BTreeSet<_>>(), (10..=14).collect());
        }
    }

    #[test]
    fn each_port_of_a_range_may_be_lost_to_somebody_else() {
        let wanted =
            |range| Wanted { protocols: vec![Protocol::Tcp], address: None, range, besides: Vec::new() };
        assert_eq!(wanted(Some(8000..=8010)).choices(), 11);
        assert_eq!(wanted(None).choices(), 0);
    }

    #[test]
    fn reserved_ports_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_reserved(""), []);
        assert_eq!(parse_reserved("8080,9148-9200"), [8080..=8080, 9148..=9200]);
    }
}
