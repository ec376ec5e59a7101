//! What the agent does on this host about the other nodes of a network: writes down who they are, and tells the kernel where the network has containers.
//!
//! # Theory of operation
//! It is written down first and done afterwards, by the very steps of an ADD (`overlay::tunnel`), under the same locks (`plan::uphold`). So it does not matter who is
//! first, this or an ADD, nor whether one of them is killed: whoever comes next finds what is written. The kernel is compared both ways and only the difference is
//! changed, so nothing is felt of it.
//!
//! All of it waits, for locks and for the kernel: it is for a thread that has nothing else to do.
//!
//! A change of one node is so many changes at once as there are others, so it is to cost little: a list is put into words once, and what this process has written or told
//! it does not read again.
use crate::{Error, membership::is_there};
use cluster::Config;
use cni::Fail;
use plan::{Data, Departure, Listing, Lists, Look, Places, Reach, State, Way, WayFact, step::Peer};
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
}

/// How it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    /// Whether the network has containers here.
    pub(crate) stands: bool,
    /// The tunnel's MTU, in bytes.
    pub(crate) mtu: u32,
    /// If others are known than before: how long it took.
    pub(crate) news: Option<Duration>,
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
    pub(crate) fn know(&mut self, peers: Vec<Peer>) -> Result<Done, Fail> {
        // One whose networks are others now may not be through.
        let begun = Instant::now();
        let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (data, mut places) = (Data::from_env().map_err(|cause| self.failed(cause))?, places());
        let narrowest = self.narrowest(&peers, &mut places)?;
        let listing = Listing::new(peers);
        let way = Way::new(self.vtep, narrowest, &listing);
        let new = self.written.as_ref().is_none_or(|(written, _)| *written != way);
        if new {
            way.write(&listing, &self.network, &data).map_err(|cause| self.failed(cause))?;
            if !is_there(&self.network) {
                // This process was stopped, and the network has been removed meanwhile.
                ipam::forget(&self.network)?;
                return Ok(Done { stands: false, mtu: 0, news: None });
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
        self.tell(Look::Brief, places())
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
    fn tell(&mut self, closely: Look, places: Places) -> Result<Done, Fail> {
        let Some((way, written)) = self.written.clone() else {
            return Ok(Done { stands: false, mtu: 0, news: None });
        };
        let ipv6 = self.config.layout.subnets().iter().any(|subnet| !subnet.is_ipv4());
        let (wanted, fits) = (way.narrowest.leaves(self.config.mtu, ipv6), way.narrowest.leaves(None, ipv6));
        // Where too much was asked for, containers that are there are served as well as can be.
        let mtu = wanted.as_ref().copied().or(fits).map_err(|refusal| self.failed(refusal.into()))?;
        let steps = overlay::tunnel(&self.config, &self.network, &WayFact { way, mtu });
        let state = State::from_env().map_err(|cause| self.failed(cause))?;
        let whole = self.looked.is_none_or(|at| at.elapsed() > WHOLE);
        let look = if whole { Look::Whole } else { closely };
        let mut places = places.knowing(Lists { written: Arc::clone(&written), told: self.told.take() });
        let stands = plan::uphold(&steps, &self.network, look, &mut places, &state);
        let stands = stands.map_err(|cause| self.failed(cause))?;
        self.told = stands.then_some(written);
        if whole {
            self.looked = Some(Instant::now());
        }
        wanted.map_err(|refusal| self.failed(refusal.into()))?;
        Ok(Done { stands, mtu, news: None })
    }

    fn failed(&self, cause: plan::Error) -> Error {
        Error::Peers { network: self.network.clone(), cause: Box::new(cause) }
    }

    /// Has the ways looked at again, to all of them, and all that the kernel has: they may have changed.
    pub(crate) fn look_again(&mut self) {
        self.carried.clear();
        self.looked = None;
    }

    /// The narrowest of the ways to these, but for those to which there is none.
    fn narrowest(&mut self, peers: &[Peer], places: &mut Places) -> Result<Reach, Fail> {
        self.look(peers, places).map_err(|cause| self.failed(cause))?;
        let reach = |peer: &Peer| Some(Reach { carries: self.carries(peer.vtep)?, to: peer.vtep });
        let narrowest = peers.iter().filter_map(reach).min().map(Ok);
        let narrowest = narrowest.unwrap_or_else(|| Reach::out(self.vtep, places));
        Ok(narrowest.map_err(|cause| self.failed(cause))?)
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

    /// What the way to this address of another node carries, in bytes; none if there is none. All that is said of a way is said of this.
    fn carries(&self, to: IpAddr) -> Option<u32> {
        let own = self.near_end(to)?;
        Some(self.limits.get(&to).map_or(own, |limit| own.min(*limit)))
    }

    /// What this host's own end of that way carries, in bytes, if it was looked at.
    pub(crate) fn near_end(&self, to: IpAddr) -> Option<u32> {
        self.carried.get(&to).copied().flatten()
    }
}

/// Between two looks at all that the kernel has: of ten thousand nodes that takes a twentieth of a second.
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
