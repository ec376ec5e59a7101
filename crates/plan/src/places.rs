//! Where a plan works: the network namespaces of the host and the container, and the state directory.
mod identified;
mod network;

use crate::{
    error::Error,
    filter::Filter,
    journal::Intent,
    lock::{LIMIT, lock_within},
    overlay::Lists,
    record::Key,
    state::{Data, State},
};
use firewalld::Firewalld;
use kernel::{Link, Netns, NetnsId, Rtnl, link, netns_cookie, route, sysctl};
use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    time::Duration,
};
use types::{IfName, NetworkName};

/// A network namespace, as a plan names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The namespace that the plugin was started in.
    #[default]
    Host,
    /// The container's.
    Container,
    /// The one that the containers of an overlay network on this host share, between theirs and the host's.
    Network,
    /// The one between that and the host's.
    Gate,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Host => "on the host",
            Place::Container => "in the container",
            Place::Network => "in the network's namespace",
            Place::Gate => "in the network's gate",
        })
    }
}

/// Who sits out the kernel's grace period (about 25 ms) after a link is deleted, and tells many others of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// A child that outlives the plugin; the plugin leaves as soon as the link is out of sight.
    Detached,
    /// The plugin itself. For a PID 1 that reaps nothing.
    Waiting,
}

/// A netlink socket in each namespace, opened when it is first needed, and the indices of the links met so far.
pub struct Places {
    netns: Option<Netns>,
    /// Which namespace that has to be, until somebody has been there.
    expected: Option<NetnsId>,
    /// Which namespace a record was written for, though it may be gone.
    recorded: Option<NetnsId>,
    sockets: [Option<Rtnl>; 4],
    /// The network whose namespaces [`Place::Network`] and [`Place::Gate`] are.
    network: Option<NetworkName>,
    indices: Vec<(Place, IfName, u32)>,
    /// What the facts said of links, for a second look at the same.
    seen: Vec<(Place, IfName, Option<Link>)>,
    /// The number of the container's port on its bridge, once that is known: none below it is free.
    pub(crate) port: Option<u16>,
    /// Links of the container that were looked for whatever they are called, and the numbers that they have by now.
    identified: identified::Identified,
    /// The container's parameters that the facts have read, still open.
    parameters: BTreeMap<Vec<String>, sysctl::Parameter>,
    /// The container's namespace, while nobody else may choose tables in it.
    tables: Option<Flock<OwnedFd>>,
    state: Option<State>,
    data: Option<Data>,
    /// Who the network's peers are, if that need not be read.
    pub(crate) lists: Option<Lists>,
    /// The attachment that something is done or undone for.
    whose: Option<Key>,
    firewalld: Option<Firewalld>,
    /// The packet filter of the host.
    pub(crate) filter: Filter,
    /// Whether what is marked as made is made again.
    pub(crate) anew: bool,
    /// The lock under which something shared is being taken away.
    lock: Option<Rc<Flock<File>>>,
    pub(crate) departure: Departure,
    /// How long to wait for a device that the kernel is about to give back.
    pub(crate) patience: Duration,
}

/// The kernel gives a device of hardware back within a moment. Where that was not the last that held its namespace, it is later.
const PATIENCE: Duration = Duration::from_secs(10);

impl Places {
    /// The host's namespace, and the container's if there is one.
    pub fn new(netns: Option<Netns>, departure: Departure) -> Self {
        Self {
            netns,
            expected: None,
            recorded: None,
            sockets: [None, None, None, None],
            network: None,
            indices: Vec::new(),
            seen: Vec::new(),
            port: None,
            identified: identified::Identified::default(),
            parameters: BTreeMap::new(),
            tables: None,
            state: None,
            data: None,
            lists: None,
            whose: None,
            firewalld: None,
            filter: Filter::new(departure),
            anew: false,
            lock: None,
            departure,
            patience: PATIENCE,
        }
    }

    /// The host's namespace, and the container's of a record, if that is there. Whether it is another one with the same inode
    /// is found out when somebody has to go in: most that undo a record do not.
    pub fn recorded(intent: &Intent, departure: Departure) -> Self {
        let netns = Netns::open(&intent.netns).ok().filter(|netns| netns.id().may_be(&intent.netns_id));
        let id = Some(intent.netns_id);
        Self { expected: id, recorded: id, ..Self::new(netns, departure) }
    }

    /// The same, with this state directory instead of the environment's.
    #[must_use]
    pub fn keeping(self, state: &State) -> Self {
        Self { state: Some(state.clone()), ..self }
    }

    /// The same, with this data directory instead of the environment's.
    #[must_use]
    pub fn keeping_data(self, data: &Data) -> Self {
        Self { data: Some(data.clone()), ..self }
    }

    /// The same, of an attachment to this network, which may have a namespace of its own.
    #[must_use]
    pub fn on(self, network: &NetworkName) -> Self {
        Self { network: Some(network.clone()), ..self }
    }

    /// For who has many to look after, and comes again: nothing is waited for that the kernel is about to do.
    #[must_use]
    pub fn without_patience(self) -> Self {
        Self { patience: Duration::ZERO, ..self }
    }

    /// Has everything made again that is marked as made.
    pub(crate) fn make_anew(&mut self) {
        self.anew = true;
    }

    /// Goes on with another container, or without one.
    pub fn turn_to(&mut self, netns: Option<Netns>) {
        self.netns = netns;
        (self.expected, self.recorded) = (None, None);
        *self.slot(Place::Container) = None;
        self.indices.clear();
        self.seen.clear();
        self.port = None;
        self.identified = identified::Identified::default();
        self.parameters.clear();
        self.tables = None;
    }

    /// The state directory, for steps that are nowhere in the kernel.
    pub(crate) fn state(&self) -> Result<State, Error> {
        self.state.clone().map_or_else(State::from_env, Ok)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> Result<Data, Error> {
        self.data.clone().map_or_else(Data::from_env, Ok)
    }

    /// Says for which attachment something is done or undone from now on.
    pub(crate) fn work_for(&mut self, key: &Key) {
        self.whose = Some(key.clone());
    }

    /// The attachment that something is done or undone for.
    pub(crate) fn whose(&self) -> Option<&Key> {
        self.whose.as_ref()
    }

    /// firewalld, asked when it is first needed whether it is there.
    pub(crate) fn firewalld(&mut self) -> Result<&Firewalld, firewalld::Error> {
        let firewalld = match self.firewalld.take() {
            Some(firewalld) => firewalld,
            None => Firewalld::connect()?,
        };
        Ok(self.firewalld.insert(firewalld))
    }

    /// Takes something away under a lock, which then outlives this process if it dies before that is done.
    pub(crate) fn under<T>(&mut self, lock: &Rc<Flock<File>>, work: impl FnOnce(&mut Self) -> T) -> T {
        self.lock = Some(Rc::clone(lock));
        let done = work(self);
        self.lock = None;
        done
    }

    /// Deletes a link. False if there was none.
    pub(crate) fn unlink(&mut self, place: Place, name: &IfName) -> Result<bool, Error> {
        let (socket, wait) = (self.take(place)?, self.departure == Departure::Waiting);
        let lock = self.lock.as_ref().map(|lock| lock.as_fd());
        let was_there = self.within(place, || kernel::unlink_link_under(lock, socket, name, wait))??;
        self.forget(place, name);
        Ok(was_there)
    }

    /// The socket in this namespace.
    pub(crate) fn rtnl(&mut self, place: Place) -> Result<&mut Rtnl, Error> {
        let socket = self.take(place)?;
        Ok(self.slot(place).insert(socket))
    }

    /// The socket itself, for one who will hold it beyond this process.
    pub(crate) fn take(&mut self, place: Place) -> Result<Rtnl, Error> {
        match self.slot(place).take() {
            Some(socket) => Ok(socket),
            None => Ok(self.within(place, Rtnl::open)??),
        }
    }

    /// Does something in this namespace.
    pub(crate) fn within<T>(&self, place: Place, work: impl FnOnce() -> T) -> Result<T, Error> {
        match place {
            Place::Host => Ok(work()),
            Place::Container => Ok(self.container()?.run(work)?),
            Place::Network => Ok(self.network()?.run(work)?),
            Place::Gate => Ok(self.gate()?.run(work)?),
        }
    }

    /// Whether there is a namespace to work in.
    pub(crate) fn has(&mut self, place: Place) -> bool {
        match place {
            Place::Host => true,
            Place::Container => self.has_container(),
            Place::Network => self.network().is_ok(),
            Place::Gate => self.gate().is_ok(),
        }
    }

    /// The container's namespace.
    pub(crate) fn container(&self) -> Result<&Netns, Error> {
        self.netns.as_ref().ok_or(Error::NoContainer)
    }

    /// Whether there is a container namespace to work in.
    pub fn has_container(&mut self) -> bool {
        if let Some(expected) = self.expected.take()
            && self.netns_id().is_ok_and(|here| !here.may_be(&expected))
        {
            let recorded = self.recorded;
            self.turn_to(None);
            self.recorded = recorded;
        }
        self.netns.is_some()
    }

    /// What tells the container's namespace from others, though it may be gone; `None` if nobody knows.
    pub(crate) fn namespace(&mut self) -> Result<Option<NetnsId>, Error> {
        if self.has_container() { self.netns_id().map(Some) } else { Ok(self.recorded) }
    }

    /// What tells the container's namespace from others, its cookie too. Where that is known inside only, the socket which that
    /// takes is kept for the plan.
    pub fn netns_id(&mut self) -> Result<NetnsId, Error> {
        let outside = self.container()?.id();
        if outside.cookie.is_some() {
            return Ok(outside);
        }
        Ok(NetnsId { cookie: netns_cookie(self.rtnl(Place::Container)?)?, ..outside })
    }

    /// Remembers the index of a link, so that it need not be asked for.
    pub(crate) fn met(&mut self, place: Place, name: &IfName, index: u32) {
        self.forget(place, name);
        self.indices.push((place, name.clone(), index));
    }

    /// Whether the index of a link is known.
    pub(crate) fn has_met(&self, place: Place, name: &IfName) -> bool {
        self.indices.iter().any(|(there, known, _)| (*there, known) == (place, name))
    }

    /// Forgets a link that is gone.
    pub(crate) fn forget(&mut self, place: Place, name: &IfName) {
        self.indices.retain(|(there, known, _)| (*there, known) != (place, name));
    }

    /// The index of a link that must be there.
    pub(crate) fn index(&mut self, place: Place, name: &IfName) -> Result<u32, Error> {
        let known = self.indices.iter().find(|(there, known, _)| (*there, known) == (place, name));
        if let Some((_, _, index)) = known {
            return Ok(*index);
        }
        let link = self.link(place, name)?.ok_or_else(|| Error::NoLink { name: name.clone(), place })?;
        self.met(place, name, link.index);
        Ok(link.index)
    }

    /// What the kernel said of a link when this run looked first.
    pub(crate) fn seen(&mut self, place: Place, name: &IfName) -> Result<Option<Link>, Error> {
        let known = self.seen.iter().find(|(there, known, _)| (*there, known) == (place, name));
        if let Some((_, _, link)) = known {
            return Ok(link.clone());
        }
        let link = self.link(place, name)?;
        self.seen.push((place, name.clone(), link.clone()));
        Ok(link)
    }

    /// Keeps a parameter of the container open until it is written.
    pub(crate) fn keep_parameter(&mut self, path: Vec<String>, parameter: sysctl::Parameter) {
        self.parameters.insert(path, parameter);
    }

    /// The parameters that are open.
    pub(crate) fn take_parameters(&mut self) -> BTreeMap<Vec<String>, sysctl::Parameter> {
        std::mem::take(&mut self.parameters)
    }

    /// Lets nobody else choose a routing table in the container for as long as this run takes. The reference locks the same file.
    pub(crate) fn lock_tables(&mut self) -> Result<(), Error> {
        if self.tables.is_none() {
            let failed = |cause| Error::Lock { cause };
            let file = self.container()?.as_fd().try_clone_to_owned().map_err(failed)?;
            self.tables = Some(lock_within(LIMIT, file).map_err(|errno| failed(errno.into()))?);
        }
        Ok(())
    }

    /// The link of the default route, if there is one.
    pub(crate) fn default_link(&mut self, place: Place) -> Result<Option<IfName>, Error> {
        match self.within(place, route::default_link)?? {
            Some(index) => Ok(self.within(place, || link::name_of(index))??),
            None => Ok(None),
        }
    }

    /// What the kernel says of a link now, if it is there.
    pub(crate) fn link(&mut self, place: Place, name: &IfName) -> Result<Option<Link>, Error> {
        Ok(link::lookup(self.rtnl(place)?, name)?)
    }

    fn slot(&mut self, place: Place) -> &mut Option<Rtnl> {
        let [host, container, network, gate] = &mut self.sockets;
        match place {
            Place::Host => host,
            Place::Container => container,
            Place::Network => network,
            Place::Gate => gate,
        }
    }
}
