//! Who has which MAC address on a network: `STATE/ethers/<network>/<mac>`, a symbolic link to the record of the attachment that has it. So what
//! others have costs nothing, and its own costs an attachment one system call.
//!
//! # Theory of operation
//! A link is made after the record that it leads to says so, and removed before that record goes. One that leads to no record, or to that of a
//! namespace which is gone, holds nothing: who wants the address removes it. To make one takes no lock, as of two who want one address the
//! kernel lets one through. To remove one takes the lock of the network: so who takes the place of a dead holder removes that one's link, and not
//! that of somebody who was faster.
//!
//! A network's directory comes into being with a link in it for everybody who has a record there by then. So it tells of everybody, of those
//! as well whom a release attached that made no links; and it is looked at once, by the first who needs it.
use crate::{
    Plan, Step,
    crowded::Crowded,
    error::Error,
    host_port::Holder,
    journal::Journal,
    lock::{Lock, Scope},
    only_mac::OnlyMac,
    places::Place,
    record::{Key, file_of},
    state::{State, entries},
    step::{Setting, Tuned},
};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
};
use types::{Mac, NetworkName};

/// How an address is taken.
enum Taken {
    /// By nobody.
    Free,
    /// By this attachment, of whichever plugin's record.
    Own,
    /// By one that is no more.
    Dead,
    /// By another.
    By(Box<Holder>),
}

impl State {
    /// Refuses an address that another attachment of the network has. That may be another a moment later: [`State::take_mac`] says for certain.
    pub fn refuse_taken(&self, wanted: &OnlyMac) -> Result<(), Error> {
        let network = &wanted.holder.network;
        let taken = if self.ethers(network).exists() {
            self.look_up(wanted)?
        } else {
            let there = self.recorded_macs(network)?;
            let other =
                there.into_iter().find(|(mac, holder)| *mac == wanted.mac && !holder.is_attachment(wanted));
            other.map_or(Ok(Taken::Free), |(_, holder)| self.taken_by(holder, wanted))?
        };
        match taken {
            Taken::By(by) => Err(Crowded::MacOnNetwork { mac: wanted.mac, by }.into()),
            Taken::Free | Taken::Own | Taken::Dead => Ok(()),
        }
    }

    /// Takes an address; or says who has it. The record that announces it is written.
    pub(crate) fn take_mac(&self, wanted: &OnlyMac) -> Result<(), Error> {
        let link = self.ether(wanted);
        loop {
            match symlink(target(&wanted.holder), &link).map_err(|cause| (cause.kind(), cause)) {
                Ok(()) => return Ok(()),
                Err((io::ErrorKind::AlreadyExists, _)) => {}
                Err((io::ErrorKind::NotFound, _)) => {
                    self.tell_of_everybody(wanted)?;
                    continue;
                }
                Err((_, cause)) => return Err(failed("create", &link, cause)),
            }
            match self.look_up(wanted)? {
                Taken::By(by) => return Err(Crowded::MacOnNetwork { mac: wanted.mac, by }.into()),
                Taken::Own | Taken::Dead if self.is_settled(wanted)? => return Ok(()),
                Taken::Own | Taken::Dead | Taken::Free => {}
            }
        }
    }

    /// Gives an address back. What another has by now is let be.
    pub(crate) fn release_mac(&self, held: &OnlyMac) -> Result<(), Error> {
        let (link, all) = (self.ether(held), self.ethers(&held.holder.network));
        let _lock = self.lock_network(&held.holder.network)?;
        if fs::read_link(&link).is_ok_and(|found| found == target(&held.holder)) {
            removed(&link, fs::remove_file(&link))?;
        } else {
            clear_draft(&all)?;
        }
        if !matches!(fs::remove_dir(&all), Err(cause) if cause.kind() == io::ErrorKind::DirectoryNotEmpty) {
            let _others = fs::remove_dir(self.directory().join(ETHERS));
        }
        Ok(())
    }

    /// Gives back whatever addresses lead to a record that does not say which. All of the network are looked at.
    pub fn release_macs(&self, key: &Key) -> Result<(), Error> {
        let names = entries(&self.ethers(&key.network))?;
        self.release_told(key, names.iter().filter_map(|name| name.parse().ok()))
    }

    /// Who has an address on a network, as the symbolic links say.
    pub(crate) fn told_of_macs(&self, network: &NetworkName) -> Result<Vec<Holder>, Error> {
        let all = self.ethers(network);
        let links = entries(&all)?.into_iter().filter_map(|name| fs::read_link(all.join(name)).ok());
        Ok(links.filter_map(|target| holder(&target)).collect())
    }

    /// Gives back the addresses that an earlier release's record does not announce as its own, but of which others have told since.
    pub(crate) fn release_unclaimed(&self, plan: &Plan, key: &Key) -> Result<(), Error> {
        let is_claimed = |mac: &Mac| {
            plan.steps().any(|(_, step)| matches!(step, Step::OnlyMac(claim) if claim.mac == *mac))
        };
        self.release_told(
            key,
            plan.mac().into_iter().chain(plan.claimed_macs()).filter(|mac| !is_claimed(mac)),
        )
    }

    /// Gives back those of these addresses that lead to this record.
    fn release_told(&self, key: &Key, macs: impl Iterator<Item = Mac>) -> Result<(), Error> {
        for mac in macs {
            let held = OnlyMac { mac, holder: Holder::from(key) };
            if fs::read_link(self.ether(&held)).is_ok_and(|found| found == target(&held.holder)) {
                self.release_mac(&held)?;
            }
        }
        Ok(())
    }

    /// Another attachment that lives and has the address.
    pub(crate) fn other_of_mac(&self, held: &OnlyMac) -> Result<Option<Holder>, Error> {
        Ok(match self.look_up(held)? {
            Taken::By(other) => Some(*other),
            Taken::Free | Taken::Own | Taken::Dead => None,
        })
    }

    fn look_up(&self, wanted: &OnlyMac) -> Result<Taken, Error> {
        let link = self.ether(wanted);
        match fs::read_link(&link) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Taken::Free),
            Err(cause) => Err(failed("read", &link, cause)),
            Ok(found) if found == target(&wanted.holder) => Ok(Taken::Own),
            Ok(found) => match holder(&found) {
                Some(holder) => self.taken_by(holder, wanted),
                None => Ok(Taken::Dead),
            },
        }
    }

    fn taken_by(&self, holder: Holder, wanted: &OnlyMac) -> Result<Taken, Error> {
        if !self.is_alive(&holder)? {
            return Ok(Taken::Dead);
        }
        if holder.is_attachment(wanted) {
            return Ok(Taken::Own);
        }
        let plan = self.plan_of(&holder)?.unwrap_or_default();
        let name = plan.steps().find_map(|(_, step)| match step {
            Step::OnlyMac(it) => it.holder.name.clone(),
            _ => None,
        });
        Ok(Taken::By(Box::new(Holder { name, ..holder })))
    }

    /// Whether the link is the attachment's own, which is for certain only while nobody takes it for that of one who is no more. Such a one's goes.
    fn is_settled(&self, wanted: &OnlyMac) -> Result<bool, Error> {
        let _lock = self.lock_network(&wanted.holder.network)?;
        let link = self.ether(wanted);
        match self.look_up(wanted)? {
            Taken::Own => Ok(true),
            Taken::Dead => removed(&link, fs::remove_file(&link)).map(|()| false),
            Taken::Free | Taken::By(_) => Ok(false),
        }
    }

    /// Makes the directory of a network, with a link for each of the others that have a record there.
    fn tell_of_everybody(&self, wanted: &OnlyMac) -> Result<(), Error> {
        let network = &wanted.holder.network;
        let _lock = self.lock_network(network)?;
        let all = self.ethers(network);
        if all.exists() {
            return Ok(());
        }
        clear_draft(&all)?;
        let draft = self.draft(&all)?;
        for (mac, holder) in self.recorded_macs(network)? {
            let link = draft.join(mac.to_string());
            match symlink(target(&holder), &link) {
                Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("create", &link, cause));
                }
                Err(_) | Ok(()) => {}
            }
        }
        fs::rename(&draft, &all).map_err(|cause| failed("create", &all, cause))
    }

    /// Makes the directory that is to be that of a network.
    fn draft(&self, all: &Path) -> Result<PathBuf, Error> {
        let (of_all, draft) = (self.directory().join(ETHERS), draft(all));
        let create = |directory: &Path| {
            let made = DirBuilder::new().mode(0o700).create(directory);
            made.map_err(|cause| (cause.kind(), failed("create", directory, cause)))
        };
        loop {
            match create(&of_all) {
                Ok(()) | Err((io::ErrorKind::AlreadyExists, _)) => {}
                Err((_, failure)) => return Err(failure),
            }
            match create(&draft) {
                // The last DEL of another network has just removed the folder of all.
                Err((io::ErrorKind::NotFound, _)) => {}
                other => return other.map(|()| draft).map_err(|(_, failure)| failure),
            }
        }
    }

    /// The addresses of everybody who has a record on a network, first those of who made an interface: it has them for longer than one who tuned
    /// it. All records are read.
    fn recorded_macs(&self, network: &NetworkName) -> Result<Vec<(Mac, Holder)>, Error> {
        let (mut made, mut claimed) = (Vec::new(), Vec::new());
        for holder in self.holders_on(network)? {
            let plan = self.plan_of(&holder)?.unwrap_or_default();
            made.extend(plan.mac().map(|mac| (mac, holder.clone())));
            claimed.extend(plan.claimed_macs().map(|mac| (mac, holder.clone())));
        }
        made.append(&mut claimed);
        Ok(made)
    }

    fn plan_of(&self, holder: &Holder) -> Result<Option<Plan>, Error> {
        Ok(Journal::at(&self.record_of(holder))?.and_then(|journal| journal.plan))
    }

    fn lock_network(&self, network: &NetworkName) -> Result<Lock, Error> {
        Lock::on(&self.network(network), Scope::Network)
    }

    fn ethers(&self, network: &NetworkName) -> PathBuf {
        self.directory().join(ETHERS).join(network.as_str())
    }

    fn ether(&self, of: &OnlyMac) -> PathBuf {
        self.ethers(&of.holder.network).join(of.mac.to_string())
    }
}

impl Holder {
    /// Whether it is the attachment that wants the address, of whichever plugin's record.
    fn is_attachment(&self, wanted: &OnlyMac) -> bool {
        let other = &wanted.holder;
        (&self.network, &self.container, &self.ifname) == (&other.network, &other.container, &other.ifname)
    }
}

impl Plan {
    /// The address that it gives the container's interface, if it makes that.
    pub fn mac(&self) -> Option<Mac> {
        self.steps().find_map(|(_, step)| match step {
            Step::Link(link) if link.place == Place::Container => link.mac,
            Step::Veth(pair) => Some(pair.peer_mac),
            Step::Tap(tap) => Some(tap.mac),
            _ => None,
        })
    }

    /// The addresses that were asked for, and of a release that asked for none of these by itself, that an interface was tuned to.
    fn claimed_macs(&self) -> impl Iterator<Item = Mac> {
        self.steps().filter_map(|(_, step)| match step {
            Step::OnlyMac(it) => Some(it.mac),
            Step::Tuned(Tuned { setting: Setting::Mac(mac), .. }) => Some(*mac),
            _ => None,
        })
    }
}

/// The folder of all networks' addresses, as ethers(5) is one of names.
const ETHERS: &str = "ethers";

/// Where the links of a network are made that has none yet. No network is called so.
fn draft(all: &Path) -> PathBuf {
    let name = all.file_name().unwrap_or_default().to_string_lossy();
    all.with_file_name(format!(".{name}"))
}

/// What a holder's link says: where its record is, seen from there.
pub(crate) fn target(holder: &Holder) -> PathBuf {
    let Holder { network, container, ifname, plugin, .. } = holder;
    format!("../../attachments/{network}/{container}:{ifname}/{}", file_of(plugin)).into()
}

/// Who it says; none if it is no link of ours.
pub(crate) fn holder(target: &Path) -> Option<Holder> {
    let mut names = target.iter().rev().map(|name| name.to_str());
    let plugin = names.next()??.trim_end_matches(".0").to_owned();
    let (container, ifname) = names.next()??.rsplit_once(':')?;
    let (container, ifname) = (container.parse().ok()?, ifname.parse().ok()?);
    Some(Holder { network: names.next()??.parse().ok()?, container, ifname, plugin, name: None })
}

/// Removes what one has left who died over it.
fn clear_draft(all: &Path) -> Result<(), Error> {
    let draft = draft(all);
    removed(&draft, fs::remove_dir_all(&draft))
}

fn removed(path: &Path, outcome: io::Result<()>) -> Result<(), Error> {
    match outcome {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, cause)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn failed(doing: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::State { doing, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{journal::Intent, record::Record};
    use kernel::Netns;
    use std::{
        env, process,
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    /// A state directory that goes with the test.
    struct Scratch(State);

    impl Scratch {
        fn new(name: &str) -> Self {
            let directory = env::temp_dir().join(format!("sealane-ethers-{name}-{}", process::id()));
            Self(State::at(&directory))
        }

        /// What an attachment wants that is of this namespace, and has a record.
        fn recorded(&self, (network, container): (&str, &str), netns: &Path) -> (OnlyMac, Record) {
            let key = Key {
                network: network.parse().unwrap(),
                container: container.parse().unwrap(),
                ifname: "eth0".parse().unwrap(),
                plugin: "test",
                nth: 0,
            };
            let mut record = self.0.claim(&key).unwrap();
            let netns_id = Netns::open(Path::new(OWN)).unwrap().id();
            record
                .begin(Intent { netns: netns.to_owned(), netns_id, ipam: None, keys: None, started: None })
                .unwrap();
            (OnlyMac { mac: "02:00:00:00:00:07".parse().unwrap(), holder: Holder::from(&key) }, record)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(self.0.directory());
        }
    }

    const OWN: &str = "/proc/self/ns/net";
    const GONE: &str = "/proc/self/ns/none";

    #[test]
    fn of_many_that_want_a_dead_ones_address_at_once_one_has_it() {
        let scratch = Scratch::new("race");
        let state = &scratch.0;
        let (dead, _record) = scratch.recorded(("n", "dead"), Path::new(GONE));
        let names: Vec<String> = (0..8).map(|at| format!("c{at}")).collect();
        let all: Vec<_> = names.iter().map(|name| scratch.recorded(("n", name), Path::new(OWN))).collect();
        for round in 0..400 {
            state.take_mac(&dead).unwrap();
            let at_once = Barrier::new(all.len());
            let take = |wanted| {
                at_once.wait();
                state.take_mac(wanted)
            };
            let outcomes: Vec<_> = thread::scope(|scope| {
                let running: Vec<_> =
                    all.iter().map(|(wanted, _)| scope.spawn(move || take(wanted))).collect();
                running.into_iter().map(|it| it.join().unwrap()).collect()
            });
            let winners: Vec<_> = all.iter().zip(&outcomes).filter(|(_, it)| it.is_ok()).collect();
            assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
            let won = &winners[0].0.0;
            assert_eq!(fs::read_link(state.ether(won)).unwrap(), target(&won.holder), "round {round}");
            let refused = |cause: &Error| cause.to_string().contains(won.holder.container.as_str());
            assert!(outcomes.iter().filter_map(|it| it.as_ref().err()).all(refused), "{outcomes:?}");
            state.release_mac(won).unwrap();
        }
    }

    #[test]
    fn the_last_of_one_network_does_not_keep_the_first_of_another() {
        let scratch = Scratch::new("networks");
        let all = ["n1", "n2", "n3", "n4"].map(|network| scratch.recorded((network, "c"), Path::new(OWN)));
        let rounds = AtomicUsize::new(0);
        thread::scope(|scope| {
            for (wanted, _) in &all {
                let (state, rounds) = (&scratch.0, &rounds);
                scope.spawn(move || {
                    while rounds.fetch_add(1, Ordering::Relaxed) < 4000 {
                        state.take_mac(wanted).unwrap();
                        state.release_mac(wanted).unwrap();
                    }
                });
            }
        });
    }
}
