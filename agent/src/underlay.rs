//! What this node's link to the underlay carries: for the others, who know what their own links do.
use crate::membership::Membership;
use crate::status::{Status, note};
use kernel::{Error, Rtnl, addr, link, route};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// What is known of the link.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    /// What it carries, in bytes; none where that can't be said.
    pub(crate) carries: Option<u32>,
    looked: Option<Instant>,
    said: String,
}

impl Uplink {
    /// Looks at it if that is due; whether it carries something else than before.
    pub(crate) fn look(&mut self, membership: &Membership, status: &Status) -> bool {
        if self.looked.is_some_and(|at| at.elapsed() < EVERY) {
            return false;
        }
        self.looked = Some(Instant::now());
        match carries(membership.vtep) {
            Ok(carries) => {
                status.carries(membership, carries);
                self.said.clear();
                std::mem::replace(&mut self.carries, carries) != carries
            }
            Err(error) => {
                note(&mut self.said, membership.node.as_str(), &crate::Error::from(error));
                false
            }
        }
    }

    /// Has the next look be due.
    pub(crate) fn hurry(&mut self) {
        self.looked = None;
    }
}

/// The largest packet that the link with this address of the host sends, in bytes; less if the default route through it says so. An address of loopback's or of a dummy's, as hosts have that are
/// reached by several links, is on none that anything leaves by: of those nothing is said.
fn carries(vtep: IpAddr) -> Result<Option<u32>, Error> {
    let mut rtnl = Rtnl::open()?;
    let all = addr::all(&mut rtnl)?;
    let own = all.iter().find(|(_, addresses)| addresses.iter().any(|own| own.address() == vtep));
    let Some((index, _)) = own else { return Ok(None) };
    let link = link::lookup_number(&mut rtnl, *index)?;
    let Some(link) = link.filter(|link| !link.loopback && link.kind.as_deref() != Some("dummy")) else {
        return Ok(None);
    };
    let out = route::default_route()?.filter(|route| route.link == *index);
    Ok(out.and_then(|route| route.mtu).into_iter().chain([link.mtu]).min())
}

/// Between two looks: somebody may have set it by hand.
const EVERY: Duration = Duration::from_secs(30);
