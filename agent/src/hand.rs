//! What the agent does on this host about the other nodes of a network: writes down who they are, and tells the kernel where the network has containers.
//!
//! # Theory of operation
//! It is written down first and done afterwards, by the very steps of an ADD (`overlay::tunnel`), under the same locks (`plan::uphold`). So it does not matter who is
//! first, this or an ADD, nor whether one of them is killed: whoever comes next finds what is written. The kernel is compared both ways and only the difference is
//! changed, so nothing is felt of it.
//!
//! What each way leaves is found out here, and is the node's own: its routes have it (`plan`, `overlay/peers.rs`), nobody else's. Ways are looked at when they are new, and all of
//! them now and then.
//!
//! All of it waits, for locks and for the kernel: it is for a thread that has nothing else to do.
//!
//! A change of one node is so many changes at once as there are others, so it is to cost little: a list is put into words once, and what this process has written or told
//! it does not read again.
use crate::{Error, membership::Seen};
use cluster::Config;
use cni::Fail;
use plan::{
    Data, Departure, Listing, Lists, Look, Places, Reach, Span, State, WantedWay, Way, WayFact, step::Peer,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use types::NetworkName;

/// One network on this host.
#[derive(Debug)]
pub(crate) struct Hand {
    network: NetworkName,
    config: Config,
    vtep: IpAddr,
    /// What is written down, as far as this process has written it.
    written: Option<(Way, Arc<Listing>)>,
    /// Who the kernel was last told of by this process. Others may have told it of others since: the tunnel says so.
    told: Option<Arc<Listing>>,
    /// What the ways to the others carry, in bytes, by where they lead; of one that there is not, none.
    carried: BTreeMap<IpAddr, Option<u32>>,
    /// What the others say that their ends carry, and what was found to arrive there, in bytes.
    limits: BTreeMap<IpAddr, u32>,
    /// When the kernel was last asked for all that it has.
    looked: Option<Instant>,
    /// Whether what is written down would not outlive a power failure yet.
    unsettled: bool,
    /// Where the network's file was last seen.
    file: Seen,
}

/// How it is done.
#[derive(Debug)]
pub(crate) struct Done {
    /// Whether the network has containers here.
    pub(crate) stands: bool,
    /// The tunnel's MTU, in bytes.
    pub(crate) mtu: u32,
    /// If others are known than before: how long it took.
    pub(crate) news: Option<Duration>,
    /// To whom there are no routes, as its way leaves too little for any.
    pub(crate) unreached: Option<Error>,
}

impl Hand {
    pub(crate) fn new(network: &NetworkName, config: &Config, vtep: IpAddr) -> Self {
        let (network, config) = (network.clone(), config.clone());
        Self {
            network,
            config,
            vtep,
            written: None,
            told: None,
            carried: BTreeMap::new(),
            limits: BTreeMap::new(),
            looked: None,
            unsettled: false,
            file: Seen::default(),
        }
    }

    /// Who is written down.
    pub(crate) fn recall(&self) -> Result<Vec<Peer>, Fail> {
        let data = Data::from_env().map_err(|cause| self.failed(cause))?;
        Ok(plan::written_peers(&self.network, &data).map_err(|cause| self.failed(cause))?.unwrap_or_default())
    }

    /// Has the ways to these be taken for no wider than that, in bytes, from when they are next known. But for less than a network with IPv6 needs: small packets get there all the same.
    pub(crate) fn limit(&mut self, limits: &BTreeMap<IpAddr, u32>) {
        let least = |to: &IpAddr| if to.is_ipv4() { LEAST_IPV4 } else { LEAST_IPV6 };
        self.limits = limits.iter().map(|(to, limit)| (*to, (*limit).max(least(to)))).collect();
    }

    /// Has this host know these as the other nodes, and no others.
    pub(crate) fn know(&mut self, mut peers: Vec<Peer>) -> Result<Done, Fail> {
        // One whose networks are others now may not be through.
        let begun = Instant::now();
        let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (data, mut places) = (Data::from_env().map_err(|cause| self.failed(cause))?, places());
        let span = self.span(&mut peers, &mut places).map_err(|cause| self.failed(cause))?;
        let listing = Listing::new(peers);
        let way = Way::new(self.vtep, span, &listing);
        let new = self.written.as_ref().is_none_or(|(written, _)| *written != way);
        if new {
            way.write(&listing, &self.network, &data).map_err(|cause| self.failed(cause))?;
            if !self.file.is_there(&self.network) {
                // This process was stopped, and the network has been removed meanwhile.
                ipam::forget(&self.network)?;
                return Ok(Done { stands: false, mtu: 0, news: None, unreached: None });
            }
            self.written = Some((way, Arc::new(listing)));
            self.unsettled = true;
        }
        self.tell(if new { Look::Knowing } else { Look::Brief }, places)
            .map(|done| Done { news: new.then(|| begun.elapsed()), ..done })
    }

    /// Sees to it that the kernel knows what is written down: somebody may have changed it, or an ADD have begun before it was written.
    pub(crate) fn uphold(&mut self) -> Result<Done, Fail> {
        self.settle()?;
        match &self.written {
            // Ways become others with nobody coming or going: a link, or a route, has another MTU.
            Some((_, listing)) if self.is_due() => {
                let peers = listing.peers().to_vec();
                self.carried.clear();
                let known = self.know(peers);
                known.or_else(|failure| self.tell(Look::Brief, places()).and(Err(failure)))
            }
            _ => self.tell(Look::Brief, places()),
        }
    }

    /// Has what is written down outlive a power failure. Disks take longer for it than the kernel for a change, so it is for when nothing is new.
    pub(crate) fn settle(&mut self) -> Result<(), Fail> {
        if self.unsettled {
            let data = Data::from_env().map_err(|cause| self.failed(cause))?;
            plan::settle_peers(&self.network, &data).map_err(|cause| self.failed(cause))?;
            self.unsettled = false;
        }
        Ok(())
    }

    /// As closely as that, or more so where that is due.
    fn tell(&mut self, closely: Look, mut places: Places) -> Result<Done, Fail> {
        let Some((way, written)) = self.written.clone() else {
            return Ok(Done { stands: false, mtu: 0, news: None, unreached: None });
        };
        let (fact, refusal) = self.weigh(way, &mut places).map_err(|cause| self.failed(cause))?;
        let (mtu, steps) = (fact.mtu, overlay::tunnel(&self.config, &self.network, &fact));
        let state = State::from_env().map_err(|cause| self.failed(cause))?;
        let whole = self.is_due();
        let look = if whole { Look::Whole } else { closely };
        let mut places = places.knowing(Lists { written: Arc::clone(&written), told: self.told.take() });
        let stands = plan::uphold(&steps, &self.network, look, &mut places, &state);
        let stands = stands.map_err(|cause| self.failed(cause))?;
        self.told = stands.then_some(Arc::clone(&written));
        if whole {
            self.looked = Some(Instant::now());
        }
        refusal.map_or(Ok(()), |cause| Err(self.failed(cause)))?;
        Ok(Done { stands, mtu, news: None, unreached: self.unreached(written.peers()) })
    }

    /// The network's MTU here. Where too much is asked for, containers that are there are served as well as can be, and it is said why.
    fn weigh(&self, way: Way, places: &mut Places) -> Result<(WayFact, Option<plan::Error>), plan::Error> {
        let wanted = overlay::way(&self.config, &self.network);
        match wanted.weigh(way.clone(), places) {
            Ok(fact) => Ok((fact, None)),
            Err(refusal) => Ok((WantedWay { mtu: None, ..wanted }.weigh(way, places)?, Some(refusal))),
        }
    }

    /// Whether it is time to look at everything.
    fn is_due(&self) -> bool {
        self.looked.is_none_or(|at| at.elapsed() > WHOLE)
    }

    fn ipv6(&self) -> bool {
        self.config.layout.subnets().iter().any(|subnet| !subnet.is_ipv4())
    }

    fn failed(&self, cause: plan::Error) -> Error {
        Error::Peers { network: self.network.clone(), cause: Box::new(cause) }
    }

    /// Has the ways looked at again, to all of them, and all that the kernel has: they may have changed.
    pub(crate) fn look_again(&mut self) {
        self.carried.clear();
        self.looked = None;
    }

    /// How much the ways to these carry, but for those to which there is none. Each is told what its way leaves.
    fn span(&mut self, peers: &mut [Peer], places: &mut Places) -> Result<Span, plan::Error> {
        self.look(peers, places)?;
        for peer in &mut *peers {
            peer.mtu = self.reach(peer.vtep).map(Reach::leaves);
        }
        match Span::of(peers.iter().filter_map(|peer| self.reach(peer.vtep)), self.ipv6()) {
            Some(span) => Ok(span),
            None => Ok(Span { narrowest: Reach::out(self.vtep, places)?, widest: None }),
        }
    }

    /// The first of these whose way leaves too little.
    fn unreached(&self, peers: &[Peer]) -> Option<Error> {
        let narrow = |peer: &Peer| self.reach(peer.vtep)?.enough(self.ipv6()).err();
        peers.iter().filter(|peer| !peer.is_reached()).find_map(narrow).map(|cause| self.failed(cause.into()))
    }

    /// Looks at the ways to those of these that are new.
    fn look(&mut self, peers: &[Peer], places: &mut Places) -> Result<(), plan::Error> {
        let all: BTreeSet<IpAddr> = peers.iter().map(|peer| peer.vtep).collect();
        self.carried.retain(|to, _| all.contains(to));
        let new: Vec<IpAddr> = all.into_iter().filter(|to| !self.carried.contains_key(to)).collect();
        if !new.is_empty() || peers.is_empty() {
            self.carried.extend(Reach::look(self.vtep, new, places)?);
        }
        Ok(())
    }

    /// The way to this address of another node; none if there is none. All that is said of a way is said of this.
    fn reach(&self, to: IpAddr) -> Option<Reach> {
        let own = self.near_end(to)?;
        Some(Reach { carries: self.limits.get(&to).map_or(own, |limit| own.min(*limit)), to })
    }

    /// What this host's own end of that way carries, in bytes, if it was looked at.
    pub(crate) fn near_end(&self, to: IpAddr) -> Option<u32> {
        self.carried.get(&to).copied().flatten()
    }
}

/// Between two looks at all that the kernel has, and at all ways: of ten thousand nodes that takes a tenth of a second.
const WHOLE: Duration = Duration::from_mins(1);

/// What a tunnel over IPv4 needs for packets of 1280 bytes (RFC 8200, section 5), in bytes.
const LEAST_IPV4: u32 = 1330;
/// The same over IPv6.
const LEAST_IPV6: u32 = 1350;

/// Held while something is written down.
static ONE: Mutex<()> = Mutex::new(());

/// Nothing outlives the agent that waits for the kernel.
fn places() -> Places {
    Places::new(None, Departure::Waiting)
}
