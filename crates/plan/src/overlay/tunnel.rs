//! The tunnel between a network's namespaces on several hosts. How large its packets are is decided once (`decided.rs`).
use super::{NoOverlay, decided::Decided};
use crate::{
    act::{Act, Shared, Work},
    error::Error,
    lock::Scope,
    places::{Place, Places},
    shared::Reversal,
};
use kernel::{
    Errno, Link,
    link::{self, NewVxlan, SEGMENT, Vxlan},
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};
use types::{IfName, Mac, Vni, stable_hash};

/// A VXLAN in the network's namespace, whose packets are the host's. It goes with the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Its name.
    pub name: IfName,
    /// The network's number.
    pub vni: Vni,
    /// The host's address on the underlay.
    pub vtep: IpAddr,
    /// The UDP port.
    pub port: u16,
    /// The MAC address by which the other hosts know this one ([`super::Peer::router`] of theirs).
    pub mac: Mac,
    /// Its largest packet in bytes, unless it was decided already.
    pub mtu: u32,
    /// Who says so.
    #[serde(skip)]
    pub by: By,
}

/// Who says how large a tunnel's packets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// A record, or what ADD was answered: whatever was decided counts more.
    #[default]
    Record,
    /// The ways, as they were looked at now: what they left when the tunnel was made counts more, not what the configuration said then.
    Ways,
    /// The configuration.
    Configuration,
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tunnel {} of VNI {} from {} port {}", self.name, self.vni, self.vtep, self.port)?;
        write!(f, ", mtu {}, {}", self.mtu, Place::Network)
    }
}

impl Act for Tunnel {
    fn place(&self) -> Place {
        Place::Network
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Shared(self))
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let there = places.has(Place::Network);
        let found = if there { places.link(Place::Network, &self.name)? } else { None };
        let Some(found) = found else {
            return Ok(Some(format!("there is no {} {}", self.name, Place::Network)));
        };
        let mtu = self.expected(places)?;
        Ok(if !self.is(&found) {
            Some(format!("{} is another one", self.name))
        } else if !found.up {
            Some(format!("{} is down", self.name))
        } else if found.segment > SEGMENT {
            Some(format!("{} takes segments of {} bytes", self.name, found.segment))
        } else {
            (found.mtu != mtu).then(|| format!("{} has mtu {}", self.name, found.mtu))
        })
    }
}

impl Shared for Tunnel {
    fn scope(&self) -> Scope {
        Scope::Network
    }

    fn stands(&self, places: &mut Places) -> Result<bool, Error> {
        let mtu = self.expected(places)?;
        let found = places.seen(Place::Network, &self.name)?;
        Ok(found
            .is_some_and(|found| self.is(&found) && found.up && found.mtu == mtu && found.segment <= SEGMENT))
    }

    /// What was made goes with the namespace.
    fn ensure(&self, places: &mut Places, _done: &mut Vec<Reversal>) -> Result<(), Error> {
        let mtu = self.expected(places)?;
        let decided = Decided { mtu, asked: self.by == By::Configuration };
        if self.by != By::Record && self.decided(places)? != Some(decided) {
            decided.keep(places.network_name()?, &self.name, &places.state()?)?;
        }
        match places.link(Place::Network, &self.name)? {
            Some(found) if self.is(&found) => self.correct(&found, mtu, places)?,
            Some(_) => {
                places.unlink(Place::Network, &self.name)?;
                self.make(mtu, places)?;
            }
            None => self.make(mtu, places)?,
        }
        places.forget_network();
        Ok(())
    }
}

impl Tunnel {
    fn vxlan(&self) -> Vxlan {
        Vxlan { vni: self.vni.number(), local: Some(self.vtep), port: self.port }
    }

    fn is(&self, found: &Link) -> bool {
        found.vxlan == Some(self.vxlan()) && found.mac == Some(self.mac)
    }

    /// Its MTU, in bytes.
    fn expected(&self, places: &Places) -> Result<u32, Error> {
        Ok(match (self.by, self.decided(places)?) {
            (By::Configuration, _) | (_, None) | (By::Ways, Some(Decided { asked: true, .. })) => self.mtu,
            (By::Ways | By::Record, Some(decided)) => decided.mtu,
        })
    }

    fn decided(&self, places: &Places) -> Result<Option<Decided>, Error> {
        Decided::read(places.network_name()?, &self.name, &places.state()?)
    }

    /// Asked for on the host, where its packets are, and born where its frames are.
    fn make(&self, mtu: u32, places: &mut Places) -> Result<(), Error> {
        // Before Linux 6.13 the host must not have a link of its name, unless a number is asked for.
        let far =
            1 << 30 | u32::try_from(stable_hash(&["index", self.name.as_str()]) >> 34).unwrap_or_default();
        let request = link::vxlan(&NewVxlan {
            name: &self.name,
            vxlan: self.vxlan(),
            mac: self.mac,
            mtu,
            index: link::exists(&self.name)?.then_some(far),
            netns: &places.network()?,
        });
        let outcome = places.rtnl(Place::Host)?.transact(&[request])?.into_iter().find_map(Result::err);
        match outcome {
            Some(cause) if cause.errno() == Some(Errno::EEXIST) => {
                Err(NoOverlay::VniTaken { vni: self.vni, port: self.port }.into())
            }
            Some(cause) => Err(self.failed(cause)),
            None => Ok(()),
        }
    }

    fn correct(&self, found: &Link, mtu: u32, places: &mut Places) -> Result<(), Error> {
        let mut requests = Vec::new();
        if !found.up || found.mtu != mtu {
            // What led through it is gone, whatever list of peers is written on it; or has, or lacks, an MTU that now it should not.
            requests.push(link::set_alias(found.index, None));
        }
        requests.extend([
            link::set_mtu(found.index, mtu),
            link::set_segment(found.index, SEGMENT),
            link::set_up(found.index),
        ]);
        let outcomes = places.rtnl(Place::Network)?.transact(&requests)?;
        outcomes.into_iter().find_map(Result::err).map_or(Ok(()), |cause| Err(self.failed(cause)))
    }

    fn failed(&self, cause: kernel::Error) -> Error {
        Error::Step { step: self.to_string(), cause }
    }
}
