//! What really arrives at the other nodes: each way is tried once, and then daily.
//!
//! # Theory of operation
//! What a way carries is known from its two ends: this host's route and link, and what the other node has published. What is between, nobody says: a router or a switch that carries less and is silent
//! about it swallows every large packet, and small ones pass. So a datagram as large as the way is believed to carry goes to a port of the other node on which nobody listens (traceroute's,
//! which packet filters know), and may not be cut. If the other host says that nobody listens there, it has arrived. If not, and a small one does, the largest that arrives is found by halving what is
//! between; then the full size is tried again, for packets get lost for other reasons. What was found limits the way ([`Limits`]), until the full size passes.
//!
//! If not even the small one is answered nothing is concluded: a packet filter is in the way of the answer, or of the question. An answer that came too late to be waited for says that something here is too slow to
//! conclude anything, and the way is tried again.
//!
//! A host answers in this way once a second to each other, after the first few (`icmp_ratelimit`, `icmp(7)`), so no way is tried more often than that. Ways are tried one after the other, in an order that is another on each node, new ones not before so
//! much time has passed as all nodes need that hear of a new one together. A node that is not heard is not tried.
use crate::{
    membership::Membership,
    status::{Status, Tried},
};
use cluster::NodeName;
use kernel::{Sounded, Sounding};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::Interest,
    net::UdpSocket,
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tracing::{info, warn};
use types::stable_hash;

/// The ways that there are, by where they lead.
pub(crate) type Targets = BTreeMap<IpAddr, Target>;

/// What ways were found to carry, in bytes, that carry less than was believed.
pub(crate) type Limits = BTreeMap<IpAddr, u32>;

/// A way to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The node.
    pub(crate) node: NodeName,
    /// Which of its lives, if it is known.
    pub(crate) incarnation: Option<u64>,
    /// What the way is believed to carry, in bytes.
    pub(crate) carries: u32,
    /// Whether the node is not heard.
    pub(crate) suspect: bool,
}

/// Who tries, in the hands of who knows which ways there are.
#[derive(Debug)]
pub(crate) struct Prober {
    targets: watch::Sender<Targets>,
    limits: watch::Receiver<Limits>,
}

impl Default for Prober {
    /// Nobody.
    fn default() -> Self {
        Self { targets: watch::channel(Targets::new()).0, limits: watch::channel(Limits::new()).1 }
    }
}

impl Prober {
    /// Says which ways there are.
    pub(crate) fn aim(&self, targets: Targets) {
        self.targets.send_if_modified(|known| {
            let news = *known != targets;
            *known = targets;
            news
        });
    }

    /// Whether something else was found than when it was last asked what.
    pub(crate) fn has_news(&self) -> bool {
        self.limits.has_changed().unwrap_or(false)
    }

    /// What was found.
    pub(crate) fn limits(&mut self) -> Limits {
        self.limits.borrow_and_update().clone()
    }
}

/// Begins, for as long as the value is there and the runtime that this is called in.
pub(crate) fn begin(membership: Membership, status: Status) -> Prober {
    let ((targets, orders), (tell, limits)) = (watch::channel(Targets::new()), watch::channel(Limits::new()));
    let _until_it_is_dropped = tokio::spawn(stay(membership, status, orders, tell));
    Prober { targets, limits }
}

/// What is known of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has not been tried yet, or could not be.
    Untried,
    /// Nothing is answered, whatever its size.
    Silent,
    /// What is believed is so.
    Passed,
    /// No more than this arrives, in bytes.
    Narrow(u32),
}

struct Way {
    target: Target,
    outcome: Outcome,
    due: Instant,
}

/// Tries ways for as long as somebody says which there are.
async fn stay(
    membership: Membership,
    status: Status,
    mut targets: watch::Receiver<Targets>,
    limits: watch::Sender<Limits>,
) {
    let mut ways: BTreeMap<IpAddr, Way> = BTreeMap::new();
    let mut wanted = targets.borrow_and_update().clone();
    loop {
        take(&mut ways, wanted, &membership);
        publish(&ways, &membership, &status, &limits);
        let next = ways.iter().filter(|(_, way)| !way.target.suspect).min_by_key(|(_, way)| way.due);
        let next = next.map(|(to, way)| (*to, way.due, way.target.clone()));
        if let Some((to, due, target)) = next {
            let sooner = timeout_at(due, targets.changed()).await;
            if sooner.is_err() {
                let still = || targets.borrow().get(&to) == Some(&target);
                let outcome = measure(membership.vtep, to, target.carries, still).await;
                conclude(&mut ways, to, outcome, &membership);
                sleep(PAUSE).await;
            }
        } else if targets.changed().await.is_err() {
            return;
        }
        if targets.has_changed().is_err() {
            return;
        }
        wanted = targets.borrow_and_update().clone();
    }
}

/// The ways that there are now. One that is new, or no longer believed to be what it was, is due.
fn take(ways: &mut BTreeMap<IpAddr, Way>, wanted: Targets, membership: &Membership) {
    ways.retain(|to, _| wanted.contains_key(to));
    let (now, most) = (Instant::now(), u32::try_from(wanted.len()).unwrap_or(u32::MAX));
    for (to, target) in wanted {
        let due = now + share(PAUSE.saturating_mul(most), &membership.node, &target.node);
        match ways.get_mut(&to) {
            Some(way) => {
                let same = Target { suspect: target.suspect, ..way.target.clone() } == target;
                way.due = if same { way.due } else { due };
                way.target = target;
            }
            None => drop(ways.insert(to, Way { target, outcome: Outcome::Untried, due })),
        }
    }
}

/// What is known of a way from now on; none if nothing was found out.
fn conclude(ways: &mut BTreeMap<IpAddr, Way>, to: IpAddr, outcome: Option<Outcome>, membership: &Membership) {
    let Some(way) = ways.get_mut(&to) else { return };
    let Target { node, carries, .. } = &way.target;
    let Some(outcome) = outcome else {
        way.due = Instant::now() + AGAIN;
        return;
    };
    match (way.outcome, outcome) {
        (before, Outcome::Narrow(arrives)) if before != outcome => warn!(
            %node, %to, believed = carries, arrives,
            "larger packets do not arrive at this node, and smaller ones do: raise the MTU of what is between, or lower that of the link here or there"
        ),
        (Outcome::Narrow(before), Outcome::Passed) => {
            info!(%node, %to, before, arrives = carries, "larger packets arrive at this node again");
        }
        _ => {}
    }
    // Who once was found to be narrow is so until it is found to be wide.
    if !(outcome == Outcome::Silent && matches!(way.outcome, Outcome::Narrow(_))) {
        way.outcome = outcome;
    }
    way.due = Instant::now() + DAILY - share(DAILY / 8, node, &membership.node);
}

/// Tells who asks, and who makes the ways.
fn publish(
    ways: &BTreeMap<IpAddr, Way>,
    membership: &Membership,
    status: &Status,
    limits: &watch::Sender<Limits>,
) {
    let (mut found, mut tried) = (Limits::new(), Tried::default());
    for (to, Way { target, outcome, .. }) in ways {
        match outcome {
            Outcome::Untried => tried.untried += 1,
            Outcome::Passed => tried.passed += 1,
            Outcome::Silent => tried.silent.push(target.node.clone()),
            Outcome::Narrow(arrives) => {
                found.insert(*to, *arrives);
                tried.narrow.insert(target.node.clone(), *arrives);
            }
        }
    }
    status.tried(membership, tried);
    limits.send_if_modified(|known| std::mem::replace(known, found.clone()) != found);
}

/// A part of this time that is another for each two nodes.
fn share(of: Duration, one: &NodeName, other: &NodeName) -> Duration {
    let hash = stable_hash(&["probe", one.as_str(), other.as_str()]) >> 32;
    let part = u32::try_from(hash).unwrap_or_default();
    of.mul_f64(f64::from(part) / f64::from(u32::MAX))
}

/// One way that is being tried.
struct Trial<'a, F> {
    from: IpAddr,
    to: IpAddr,
    /// Whether it is still worth it.
    goes_on: &'a F,
    /// When the next packet may go.
    next: Instant,
    /// The port for the next size.
    port: u16,
    /// What was not answered: whoever answers now is late.
    silent: Vec<Sounding>,
}

/// What arrives of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    Silence,
    /// It does not, and this does, it was said.
    Fits(u32),
}

/// What arrives there, if it is believed to be that much, in bytes; none if nothing was found out.
async fn measure(from: IpAddr, to: IpAddr, believed: u32, goes_on: impl Fn() -> bool) -> Option<Outcome> {
    let small = if to.is_ipv4() { SMALL_IPV4 } else { SMALL_IPV6 };
    let believed = believed.min(LARGEST);
    if believed <= small || to.is_multicast() || to.is_unspecified() {
        return Some(Outcome::Untried);
    }
    let mut trial =
        Trial { from, to, goes_on: &goes_on, next: Instant::now(), port: PORT, silent: Vec::new() };
    let first = trial.fate(believed).await?;
    if first == Fate::Arrives {
        return Some(Outcome::Passed);
    }
    if trial.fate(small).await? != Fate::Arrives {
        return Some(Outcome::Silent);
    }
    let (mut arrives, mut too_large, mut fate) = (small, believed, first);
    while too_large - arrives > 1 {
        let said = match fate {
            Fate::Fits(size) if (arrives + 1..too_large).contains(&size) => {
                too_large = size + 1;
                size
            }
            _ => arrives + (too_large - arrives) / 2,
        };
        fate = trial.fate(said).await?;
        if fate == Fate::Arrives { arrives = said } else { too_large = said }
    }
    if trial.fate(believed).await? == Fate::Arrives {
        return Some(Outcome::Passed);
    }
    (!trial.is_late()).then_some(Outcome::Narrow(arrives))
}

impl<F: Fn() -> bool> Trial<'_, F> {
    /// What becomes of packets of this size; none if that is of no interest any more, or can't be found out.
    async fn fate(&mut self, size: u32) -> Option<Fate> {
        let to = SocketAddr::new(self.to, self.port);
        self.port += 1;
        let sounding = Sounding::new(self.from, to, size).ok()?;
        let bell = UdpSocket::from_std(sounding.bell().ok()?).ok()?;
        for _ in 0..TRIES {
            sleep_until(self.next).await;
            if !(self.goes_on)() {
                return None;
            }
            self.next = Instant::now() + EVERY;
            // What the host itself does not send is not answered either.
            let heard = match sounding.send() {
                Ok(Some(at_once)) => Some(at_once),
                Ok(None) => timeout(EVERY, answer(&bell, &sounding)).await.ok().flatten(),
                Err(_) => None,
            };
            match heard {
                Some(Sounded::Arrived) => return Some(Fate::Arrives),
                Some(Sounded::TooLarge { carries }) => {
                    return Some(carries.map_or(Fate::Silence, Fate::Fits));
                }
                None => {}
            }
        }
        self.silent.push(sounding);
        Some(Fate::Silence)
    }

    /// Whether something was answered after all.
    fn is_late(&self) -> bool {
        self.silent.iter().any(|sounding| sounding.heard() == Some(Sounded::Arrived))
    }
}

async fn answer(bell: &UdpSocket, sounding: &Sounding) -> Option<Sounded> {
    let heard = || sounding.heard().ok_or_else(|| ErrorKind::WouldBlock.into());
    bell.async_io(Interest::READABLE | Interest::ERROR, heard).await.ok()
}

/// Between two times that a way is tried which is what it was. An eighth of it less at most, so that not all nodes do it at once.
const DAILY: Duration = Duration::from_hours(24);

/// Before a way is tried again of which nothing was found out.
const AGAIN: Duration = Duration::from_mins(1);

/// After each way; and so long, for each way that there is, new ones are spread over.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two packets to one node, and how long an answer is waited for.
const EVERY: Duration = Duration::from_secs(1);

/// How often a size is tried that is not answered.
const TRIES: u32 = 3;

/// The first port, of traceroute's; the next for the next size.
const PORT: u16 = 33434;

/// What every host takes, in bytes (RFC 791, section 3.1).
const SMALL_IPV4: u32 = 576;

/// What every link carries, in bytes (RFC 8200, section 5).
const SMALL_IPV6: u32 = 1280;

/// The largest packet, in bytes.
const LARGEST: u32 = 65_535;

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{DEAD_AFTER, Etcd};

    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn membership() -> Membership {
        let etcd = Etcd {
            endpoints: Vec::new(),
            prefix: "/sealane/v1".parse().unwrap(),
            tls: None,
            dead_after: DEAD_AFTER,
        };
        let (node, vtep) = ("w1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        Membership { etcd, node, vtep, networks: BTreeMap::new() }
    }

    fn target(carries: u32) -> Target {
        Target { node: "w2".parse().unwrap(), incarnation: Some(1), carries, suspect: false }
    }

    fn one(target: Target) -> Targets {
        BTreeMap::from([(THERE, target)])
    }

    #[test]
    fn a_way_is_due_when_it_is_new_or_another_and_else_after_a_day() {
        let (membership, mut ways) = (membership(), BTreeMap::new());
        take(&mut ways, one(target(1500)), &membership);
        let due = |ways: &BTreeMap<IpAddr, Way>| ways[&THERE].due.saturating_duration_since(Instant::now());
        assert!(due(&ways) <= PAUSE);
        conclude(&mut ways, THERE, Some(Outcome::Passed), &membership);
        assert!(due(&ways) > DAILY / 2 && due(&ways) <= DAILY, "{:?}", due(&ways));
        let suspect = Target { suspect: true, ..target(1500) };
        take(&mut ways, one(suspect.clone()), &membership);
        assert!(ways[&THERE].target == suspect && due(&ways) > DAILY / 2);
        for other in [target(9000), Target { incarnation: Some(2), ..target(9000) }] {
            take(&mut ways, one(other), &membership);
            assert!(due(&ways) <= PAUSE && ways[&THERE].outcome == Outcome::Passed);
            conclude(&mut ways, THERE, Some(Outcome::Passed), &membership);
        }
        conclude(&mut ways, THERE, None, &membership);
        assert!(due(&ways) <= AGAIN && ways[&THERE].outcome == Outcome::Passed);
        take(&mut ways, Targets::new(), &membership);
        assert!(ways.is_empty());
    }

    #[test]
    fn a_way_that_was_narrow_is_so_until_more_arrives() {
        let (membership, status, mut ways) = (membership(), Status::default(), BTreeMap::new());
        let (tell, limits) = watch::channel(Limits::new());
        take(&mut ways, one(target(1500)), &membership);
        for (outcome, narrow) in [
            (Some(Outcome::Silent), None),
            (Some(Outcome::Narrow(1400)), Some(1400)),
            (Some(Outcome::Silent), Some(1400)),
            (None, Some(1400)),
            (Some(Outcome::Narrow(1300)), Some(1300)),
            (Some(Outcome::Passed), None),
        ] {
            conclude(&mut ways, THERE, outcome, &membership);
            publish(&ways, &membership, &status, &tell);
            assert_eq!(limits.borrow().get(&THERE).copied(), narrow, "{outcome:?}");
        }
        assert_eq!(status.all()[0].tried.passed, 1);
    }
}
