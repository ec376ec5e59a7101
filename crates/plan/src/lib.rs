//! An attachment as one value: a list of typed steps. ADD applies it, CHECK compares it with the kernel, DEL undoes
//! what it owns, `sealane explain` and the golden tests print it.
//!
//! # Theory of operation
//! Steps run in the order in which they stand. Neighbours that are netlink requests in one network namespace go to the
//! kernel in one message ([`apply()`]); a step that is shared with other attachments is looked at and changed under a
//! lock of its network or of the host ([`State`]), and so is what only one of them can have, a port of the host. Every index is known from the answer that made the link, so nothing
//! is read back and nothing is waited for.
mod act;
mod allowlist;
mod apply;
mod belongings;
mod beside;
mod bridge_mac;
mod check;
mod claims;
mod crowded;
mod device;
mod elements;
mod error;
mod ethers;
mod facts;
mod filter;
mod foresight;
mod forward;
mod free_port;
mod host_end;
mod host_port;
mod ipvlan_port;
mod isolation;
mod journal;
mod link;
mod lock;
mod mac_check;
mod masquerade;
mod mtu;
mod neighbour;
mod only_mac;
mod overlay;
mod parent;
mod places;
mod poke;
mod policy;
mod port;
mod publish;
mod record;
mod repair;
mod shape;
mod shared;
mod shim;
mod state;
pub mod step;
mod strays;
mod tap;
mod tune;
mod undo;
mod unreadable;
mod uphold;
mod users;
mod veth;
mod vlan;
mod vlan_parent;
mod vrf;
mod ways;
mod within;
mod xtables;
mod zone_source;

pub use allowlist::NotAllowed;
pub use apply::{Failed, apply};
pub use belongings::Belongings;
pub use bridge_mac::WantedMac;
pub use check::{Difference, check, check_the_references};
pub use claims::Claim;
pub use crowded::Crowded;
pub use device::{DeviceFact, NoDevice, Taken, WantedDevice};
pub use error::Error;
pub use facts::{Bridge as BridgeFact, Facts, Interface, Query};
pub use firewalld::{Error as FirewalldError, Refusal};
pub use forward::Forward;
pub use free_port::{TakenRange, Wanted};
pub use host_end::{HostEnd, NoHostEnd, WantedEnd};
pub use journal::Intent;
pub use mac_check::Unheard;
pub use mtu::{TooSmall, WantedMtu};
pub use overlay::{
    Listing, Lists, NoOverlay, OverlayFact, Reach, Span, Transit, WantedUnderlay, WantedWay, Way, WayFact,
    leads as overlay_leads, peers as written_peers, settle as settle_peers, stands as overlay_stands,
    sweep as sweep_overlay,
};
pub use parent::{NoParent, ParentLink, WantedParent};
pub use places::{Departure, Place, Places};
pub use poke::{AGENT_SOCKET, POKE, poke};
pub use policy::Routing;
pub use publish::WantedRelay;
pub use record::{Key, Record};
pub use repair::{Extent, Repair, repair};
pub use state::{Data, State};
pub use step::Step;
pub use tap::{LARGEST_OF_TAP, NoTap, WantedTap};
pub use tune::{NoBackup, NoParameter, Settings};
pub use undo::{stands, undo, undo_unrecorded};
pub use uphold::{Look, uphold};
pub use vrf::{NoVrf, VrfFact, WantedVrf};

use serde::{Deserialize, Serialize};
use std::fmt;

/// What an attachment consists of, in the order in which it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    steps: Vec<(Hold, Step)>,
}

/// How a step belongs to the attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// Shared with other attachments: made when it is missing. Most stay; some are counted, and go with their last user.
    Ensure,
    /// This attachment's alone: DEL undoes it.
    Own,
    /// Needed only while ADD runs: CHECK passes over it (a chained plugin may have changed it since), DEL too.
    Once,
}

impl Plan {
    /// Adds a step that is shared with other attachments.
    pub fn ensure(&mut self, step: impl Into<Step>) {
        self.steps.push((Hold::Ensure, step.into()));
    }

    /// Adds a step that is this attachment's alone.
    pub fn own(&mut self, step: impl Into<Step>) {
        self.steps.push((Hold::Own, step.into()));
    }

    /// Adds a step that matters only while ADD runs.
    pub fn once(&mut self, step: impl Into<Step>) {
        self.steps.push((Hold::Once, step.into()));
    }

    /// Adds another plan's steps.
    pub fn append(&mut self, other: Plan) {
        self.steps.extend(other.steps);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps in order.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = (Hold, &Step)> {
        self.steps.iter().map(|(hold, step)| (*hold, step))
    }
}

/// One step a line: `ensure bridge cni0 ...`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|(hold, step)| writeln!(f, "{hold:<7}{step}"))
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Hold::Ensure => "ensure",
            Hold::Own => "own",
            Hold::Once => "once",
        })
    }
}
