//! By which port of an overlay network's gate a port of the host leads on: by that of its own number, unless another port of that number, at another address of the host,
//! leads elsewhere already. Then it is any that leads nowhere.
//!
//! Whether it still does when it is taken, only taking it can tell ([`super::Relay`]): then the plan is made anew.
use super::{entry, relay::led, sets::published};
use crate::{
    error::Error,
    filter::Filter,
    host_port::{Protocol, Published},
    overlay::NoOverlay,
    places::{Place, Places},
};
use kernel::nft::Field;
use std::net::SocketAddr;

/// A port of the host that is to lead on, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRelay {
    /// The port, but for its number if `free` says which it is.
    pub port: Published,
    /// Its place among the free ports that were asked for before ([`crate::Query::FreePort`]), if it is one of those.
    pub free: Option<usize>,
    /// The container's addresses and its port, one of each family.
    pub to: Vec<SocketAddr>,
}

/// A port of the gate, and where it leads.
type Taken = (Protocol, u16, SocketAddr);

/// For each port of the host the number by which it leads on.
pub(crate) fn find(
    wanted: &[WantedRelay],
    free: &[u16],
    places: &mut Places,
) -> Result<Vec<(Published, u16)>, Error> {
    if !places.has(Place::Gate) {
        return choose(wanted, free, |_| Ok(true));
    }
    let mut filter = Filter::new(places.departure);
    places.within(Place::Gate, || {
        choose(wanted, free, |(protocol, number, to)| {
            let key = [Field::Proto(entry::number(protocol)), Field::Service(number)];
            let found = filter.nft()?.element(&published(to.is_ipv4(), false), &key)?;
            Ok(found.is_none_or(|found| led(&found) == Some(to)))
        })
    })?
}

/// The first of each port's numbers that is not spoken for, nor had by somebody else.
fn choose(
    wanted: &[WantedRelay],
    free: &[u16],
    mut may_have: impl FnMut(Taken) -> Result<bool, Error>,
) -> Result<Vec<(Published, u16)>, Error> {
    let (mut spoken_for, mut chosen): (Vec<Taken>, _) = (Vec::new(), Vec::new());
    for wanted in wanted {
        let Some(port) = wanted.on_host(free) else { continue };
        let mut number = None;
        for candidate in candidates(port.number) {
            let leads = || wanted.to.iter().map(|to| (port.protocol, candidate, *to));
            let clash = |lead: &Taken, other: &Taken| {
                (lead.0, lead.1, lead.2.is_ipv4()) == (other.0, other.1, other.2.is_ipv4())
                    && lead.2 != other.2
            };
            let mut good = !leads().any(|lead| spoken_for.iter().any(|other| clash(&lead, other)));
            for lead in leads() {
                good = good && may_have(lead)?;
            }
            if good {
                spoken_for.extend(leads());
                number = Some(candidate);
                break;
            }
        }
        chosen.push((port, number.ok_or(NoOverlay::PortTaken { port })?));
    }
    Ok(chosen)
}

/// Its own number, and then those that nobody is likely to publish, from one on that follows from it.
fn candidates(own: u16) -> impl Iterator<Item = u16> {
    let others = (0..=u16::MAX - DYNAMIC).map(move |at| DYNAMIC | (own.wrapping_add(at) & !DYNAMIC));
    std::iter::once(own).chain(others)
}

/// The first of the dynamic ports (RFC 6335, section 6), 16384 in all.
const DYNAMIC: u16 = 0xc000;

impl WantedRelay {
    fn on_host(&self, free: &[u16]) -> Option<Published> {
        let number = self.free.map_or(Some(self.port.number), |place| free.get(place).copied())?;
        Some(Published { number, ..self.port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(address: Option<&str>, number: u16, to: &[&str]) -> WantedRelay {
        let address = address.map(|address| address.parse().unwrap());
        let to = to.iter().map(|to| to.parse().unwrap()).collect();
        WantedRelay { port: Published { protocol: Protocol::Tcp, number, address }, free: None, to }
    }

    fn numbers(all: &[WantedRelay], had: &[(u16, &str)]) -> Vec<u16> {
        let may_have = |(_, number, to): Taken| {
            Ok(had.iter().all(|(other, at)| *other != number || at.parse() == Ok(to)))
        };
        choose(all, &[], may_have).unwrap().into_iter().map(|(_, number)| number).collect()
    }

    #[test]
    fn a_number_is_its_own_unless_that_leads_elsewhere() {
        let (one, seven) = (Some("192.0.2.1"), Some("192.0.2.7"));
        let same = [wanted(one, 80, &["10.0.0.2:80"]), wanted(seven, 80, &["10.0.0.2:80"])];
        assert_eq!(numbers(&same, &[]), [80, 80]);
        let other = [wanted(one, 80, &["10.0.0.2:80"]), wanted(seven, 80, &["10.0.0.2:8080"])];
        assert_eq!(numbers(&other, &[]), [80, DYNAMIC + 80]);
        let families = [wanted(one, 80, &["10.0.0.2:80"]), wanted(Some("::"), 80, &["[fd00::2]:81"])];
        assert_eq!(numbers(&families, &[]), [80, 80]);
    }

    #[test]
    fn what_another_container_has_is_passed_over() {
        let one = [wanted(Some("192.0.2.1"), 80, &["10.0.0.2:80"])];
        assert_eq!(numbers(&one, &[(80, "10.0.0.2:80")]), [80]);
        assert_eq!(numbers(&one, &[(80, "10.0.0.3:80")]), [DYNAMIC + 80]);
        assert_eq!(numbers(&one, &[(80, "10.0.0.3:80"), (DYNAMIC + 80, "10.0.0.4:80")]), [DYNAMIC + 81]);
        let all = |port: u16| candidates(port).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!((all(80), all(65535), candidates(65535).nth(1)), (16385, 16384, Some(65535)));
    }
}
