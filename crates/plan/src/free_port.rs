//! A port of the host that nobody has: for a container that does not care which.
//!
//! # Theory of operation
//! The kernel's own range for such ports is gone through from a random place on, so that many who look at once rarely meet. A port
//! is free if nobody has claimed it and nobody listens on it. Whether it still is when it is taken, only taking it can tell:
//! then the plan is made anew.
use crate::{
    error::Error,
    state::State,
    step::{Protocol, Published},
};
use kernel::sysctl;
use std::{collections::hash_map::RandomState, hash::BuildHasher, net::IpAddr, ops::RangeInclusive};

/// What kind of port is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The protocols in all of which it must be free.
    pub protocols: Vec<Protocol>,
    /// Where on the host: see [`Published::address`].
    pub address: Option<IpAddr>,
    /// Ports that it must not be, because they are spoken for.
    pub besides: Vec<u16>,
}

/// The port itself; [`Error::NoFreePort`] if there is none.
pub(crate) fn look(wanted: &Wanted, given: &[u16], state: &State) -> Result<u16, Error> {
    let range = range()?;
    let reserved = reserved();
    let start = RandomState::new().hash_one(std::process::id());
    for number in from(&range, start) {
        let spoken_for = given.contains(&number) || wanted.besides.contains(&number);
        if spoken_for || reserved.iter().any(|range| range.contains(&number)) {
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
    for protocol in &wanted.protocols {
        let port = Published { protocol: *protocol, number, address: wanted.address };
        if state.is_claimed(port) || port.is_listened_on()? {
            return Ok(false);
        }
    }
    Ok(true)
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
    fn reserved_ports_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_reserved(""), []);
        assert_eq!(parse_reserved("8080,9148-9200"), [8080..=8080, 9148..=9200]);
    }
}
