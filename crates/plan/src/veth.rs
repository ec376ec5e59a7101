//! The veth pair as a step.
use crate::{
    act::{Act, Work},
    error::Error,
    places::{Place, Places},
    step::Veth,
};
use kernel::{Answer, link};
use nix::errno::Errno;
use types::IfName;

impl Act for Veth {
    fn place(&self) -> Place {
        self.place
    }

    fn work(&self, places: &mut Places) -> Result<Work<'_>, Error> {
        let master = self.master.as_ref().map(|bridge| places.index(self.place, bridge)).transpose()?;
        Ok(Work::Netlink(link::veth(&link::Veth {
            host: &self.host,
            host_mac: self.host_mac,
            peer: &self.peer,
            peer_mac: self.peer_mac,
            netns: places.container()?,
            master,
            mtu: self.mtu,
            tx_queues: self.tx_queues,
            rx_queues: self.rx_queues,
        })))
    }

    /// A kernel that gives no answer is asked when the index is needed.
    fn learn(&self, answer: &Answer, places: &mut Places) {
        let Some(link) = &answer.link else { return };
        places.met(self.place, &self.host, link.index);
        if let Some(peer) = link.peer {
            places.met(Place::Container, &self.peer, peer);
        }
    }

    fn refused(&self, cause: kernel::Error, places: &mut Places) -> Error {
        if cause.errno() != Some(Errno::EEXIST) {
            return Error::Step { step: self.to_string(), cause };
        }
        let taken = [(Place::Container, &self.peer), (self.place, &self.host)];
        let found = taken.into_iter().find(|(place, name)| matches!(places.link(*place, name), Ok(Some(_))));
        match found {
            Some((place, name)) => Error::NameTaken { name: name.clone(), place },
            None => Error::Step { step: self.to_string(), cause },
        }
    }

    /// By its end on the host, without a look at it that would wait for the kernel's network lock: its name is by hash.
    /// An end in the container alone is one that another suite made under another name.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let was_there = places.has(self.place) && places.unlink(self.place, &self.host)?;
        if was_there || !places.has_container() {
            return Ok(());
        }
        let found = places.link(Place::Container, &self.peer)?;
        if found.is_some_and(|link| link.kind.as_deref() == Some("veth")) {
            places.unlink(Place::Container, &self.peer)?;
        }
        Ok(())
    }

    fn takes_along(&self) -> Vec<(Place, &IfName)> {
        vec![(self.place, &self.host), (Place::Container, &self.peer)]
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let there = places.has(self.place);
        let Some(host) = (if there { places.link(self.place, &self.host)? } else { None }) else {
            return Ok(Some(format!("there is no {} {}", self.host, self.place)));
        };
        let Some(peer) = places.link(Place::Container, &self.peer)? else {
            return Ok(Some(format!("there is no {} in the container", self.peer)));
        };
        let master = match &self.master {
            Some(bridge) => places.link(self.place, bridge)?.map(|bridge| bridge.index),
            None => None,
        };
        Ok(if peer.kind.as_deref() != Some("veth") {
            Some(format!("{} in the container is no veth", self.peer))
        } else if peer.mac != Some(self.peer_mac) {
            Some(format!("{} has mac {}", self.peer, peer.mac.map_or("none".into(), |mac| mac.to_string())))
        } else if host.master != master || host.master.is_none() && self.master.is_some() {
            Some(format!("{} is not on that bridge", self.host))
        } else if !host.up {
            Some(format!("{} is down", self.host))
        } else {
            // The container's end is not looked at: a chained plugin such as `tuning` may have set its MTU since.
            self.mtu.filter(|mtu| *mtu != host.mtu).map(|_| format!("{} has mtu {}", self.host, host.mtu))
        })
    }
}
