//! The other nodes of this node's networks: heard of from one store, written down, and made known to the kernel.
//!
//! # Theory of operation
//! A snapshot, and from the next revision on a watch of each folder that matters: who the nodes are, who lives, who has which blocks. After every trouble it is a snapshot again,
//! and the difference to what was believed counts, whichever way it came about. A change is made at once, and after it none for four times as long as it took
//! ([`TOGETHER`] at most): what arrives meanwhile is one change. So few nodes know of each other in milliseconds, and thousands cost no more than a fifth of a processor.
//!
//! The store can be away for as long as it likes: what is written down is upheld meanwhile.
use crate::{
    Error,
    hand::{Done, Hand},
    membership::Membership,
    poke::Pokes,
    probe::{self, Prober},
    reaper::Reaper,
    status::{Status, note},
    view::View,
};
use cluster::Folder;
use cni::Fail;
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};
use store::{Changes, Revision, Store};
use tokio::{
    runtime::Builder,
    sync::mpsc::{self, Receiver, Sender},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use types::NetworkName;

/// Keeps what this host knows of other nodes as one store has it, until it is aborted. On a thread of its own: it waits for locks and for the kernel, and to hand that over to
/// another thread would take as long as the kernel does.
pub(crate) fn begin(membership: Membership, status: Status, pokes: Pokes) -> Result<AbortHandle, Error> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let task = runtime.spawn(stay(membership, status, pokes));
    let abort = task.abort_handle();
    let thread = thread::Builder::new().name("peers".into());
    thread.spawn(move || drop(runtime.block_on(task))).map_err(Error::Runtime)?;
    Ok(abort)
}

async fn stay(membership: Membership, status: Status, mut pokes: Pokes) {
    let prober = probe::begin(membership.clone(), status.clone());
    let mut peers = Peers::new(&membership, status, prober);
    let mut said = String::new();
    loop {
        let failure = match Store::new(&membership.etcd, DEADLINE) {
            Ok(store) => peers.follow(&store, &mut said).await,
            Err(failure) => failure.into(),
        };
        note(&mut said, membership.node.as_str(), failure.as_ref());
        peers.view.deafen();
        peers.uphold();
        pokes.wait(RETRY).await;
    }
}

/// The same, once. What the store has no more is withdrawn at once, unless it is too much.
pub(crate) async fn pass(membership: &Membership, status: Status) -> Result<(), Fail> {
    let store = Store::new(&membership.etcd, DEADLINE)?;
    let mut peers = Peers::new(membership, status, Prober::default());
    let snapshot = store.snapshot(&peers.folders()).await?;
    let now = Instant::now();
    peers.view.begin(snapshot.entries, false, now);
    peers.view.conclude(now);
    peers.view.conclude(now + crate::view::WAIT);
    let mut first = Ok(());
    for (_, done) in peers.know() {
        first = first.and(done.and_then(|done| done.unreached.map_or(Ok(()), |cause| Err(cause.into()))));
    }
    peers.hands.iter_mut().fold(first, |first, hand| first.and(hand.settle()))
}

struct Peers<'a> {
    membership: &'a Membership,
    status: Status,
    view: View,
    /// One for each network, in their order.
    hands: Vec<Hand>,
    /// What was last complained of, of each network.
    said: BTreeMap<NetworkName, String>,
    /// How far the store had come when it was last heard.
    revision: Revision,
    /// How long the last change took.
    took: Duration,
    reaper: Reaper,
    prober: Prober,
}

impl<'a> Peers<'a> {
    fn new(membership: &'a Membership, status: Status, prober: Prober) -> Self {
        let (mut view, mut hands) = (View::new(&membership.node, membership.etcd.dead_after), Vec::new());
        for (network, config) in &membership.networks {
            let hand = Hand::new(network, config, membership.vtep);
            match hand.recall() {
                Ok(peers) => view.recall(network, config, peers),
                Err(failure) => note(&mut String::new(), network.as_str(), failure.as_ref()),
            }
            hands.push(hand);
        }
        Self {
            membership,
            status,
            view,
            hands,
            said: BTreeMap::new(),
            revision: Revision::default(),
            took: Duration::ZERO,
            reaper: Reaper::default(),
            prober,
        }
    }

    fn folders(&self) -> Vec<Folder> {
        let blocks = self.membership.networks.keys().cloned().map(Folder::Blocks);
        [Folder::Nodes, Folder::Lives].into_iter().chain(blocks).collect()
    }

    /// Until the store is not heard, or has forgotten too much: why.
    async fn follow(&mut self, store: &Store, said: &mut String) -> Fail {
        let folders = self.folders();
        let snapshot = match store.snapshot(&folders).await {
            Ok(snapshot) => snapshot,
            Err(error) => return error.into(),
        };
        said.clear();
        let now = Instant::now();
        // A store only ever gets further.
        self.view.begin(snapshot.entries, snapshot.revision < self.revision, now);
        self.revision = snapshot.revision;
        self.hands.iter_mut().for_each(Hand::look_again);
        let (tell, mut heard) = mpsc::channel(QUEUE);
        let mut watches = JoinSet::new();
        for folder in folders {
            watches.spawn(listen(store.watch(&folder, snapshot.revision.next()), tell.clone()));
        }
        let mut news = true;
        loop {
            if news || self.prober.has_news() {
                let begun = Instant::now();
                self.view.conclude(begun);
                news = false;
                for (network, done) in self.know() {
                    // What could not be done is tried again.
                    news |= done.is_err();
                    self.say(&network, done);
                }
                self.took = begun.elapsed();
            } else {
                self.uphold();
            }
            self.reap(store).await;
            news = match self.wait(&mut heard).await {
                Ok(more) => more || news,
                Err(failure) => return failure,
            };
        }
    }

    /// Waits for what the store says next, and takes all of it that comes together; or until it is time for another look. Whether there is
    /// anything new.
    async fn wait(&mut self, heard: &mut Receiver<Heard>) -> Result<bool, Fail> {
        let known = Instant::now();
        let due = self.view.due().map(|due| due.saturating_duration_since(known)).filter(|due| *due <= LOOK);
        let Ok(first) = timeout(due.unwrap_or(LOOK), heard.recv()).await else {
            return Ok(due.is_some());
        };
        self.take(first)?;
        let rest = TOGETHER.min(self.took * 4);
        while let Some(next) = until(heard, rest.saturating_sub(known.elapsed())).await {
            self.take(Some(next))?;
        }
        Ok(true)
    }

    fn take(&mut self, heard: Option<Heard>) -> Result<(), Fail> {
        let Some(heard) = heard else { return Ok(()) };
        let Changes { revision, events } = heard?;
        self.revision = self.revision.max(revision);
        let now = Instant::now();
        for event in events {
            self.view.learn(event, now);
        }
        Ok(())
    }

    /// Has the host know what the view says, and what was found to arrive there.
    fn know(&mut self) -> Vec<(NetworkName, Result<Done, Fail>)> {
        let Self { membership, view, hands, prober, .. } = self;
        let mut limits = view.far_ends();
        for (to, arrives) in prober.limits() {
            let limit = limits.entry(to).or_insert(arrives);
            *limit = arrives.min(*limit);
        }
        let known = membership.networks.iter().zip(hands.iter_mut()).map(|((network, config), hand)| {
            hand.limit(&limits);
            (network.clone(), hand.know(view.peers(network, config, membership.vtep)))
        });
        known.collect()
    }

    /// Has the kernel know what is written down; and has the ways tried that there are now, for which there is time.
    fn uphold(&mut self) {
        let upheld: Vec<_> = self.hands.iter_mut().map(Hand::uphold).collect();
        self.prober.aim(self.view.ways(|to| self.hands.iter().find_map(|hand| hand.near_end(to))));
        for (network, done) in self.membership.networks.keys().zip(upheld) {
            self.say(network, done);
        }
    }

    /// Takes the blocks of nodes that have not been heard for too long.
    async fn reap(&mut self, store: &Store) {
        let now = Instant::now();
        for node in self.reaper.due(self.view.dead(now), now) {
            let taken = store.reap(&node).await;
            let lost = taken.as_ref().is_err_and(store::Error::is_absence);
            self.reaper.learn(node, taken, self.membership.etcd.dead_after, Instant::now());
            if lost {
                return;
            }
        }
    }

    fn say(&mut self, network: &NetworkName, done: Result<Done, Fail>) {
        let said = self.said.entry(network.clone()).or_default();
        match &done {
            Ok(Done { unreached: None, .. }) => said.clear(),
            Ok(Done { unreached: Some(cause), .. }) => note(said, network.as_str(), cause),
            Err(failure) => note(said, network.as_str(), failure.as_ref()),
        }
        let known = (self.view.count(network), self.view.suspects(network));
        self.status.peers(self.membership, network, known, done);
        self.status.fault(self.membership, self.view.is_sick(Instant::now()));
    }
}

/// What a watch has to tell.
type Heard = Result<Changes, store::Error>;

/// Tells what a watch hears, until it hears nothing any more.
async fn listen(mut watch: store::Watch, tell: Sender<Heard>) {
    loop {
        let heard = watch.next().await;
        let over = heard.is_err();
        if tell.send(heard).await.is_err() || over {
            return;
        }
    }
}

/// What comes within this time. In none, what is there already: a clock would take its millisecond.
async fn until(heard: &mut Receiver<Heard>, left: Duration) -> Option<Heard> {
    if left.is_zero() {
        return heard.try_recv().ok();
    }
    timeout(left, heard.recv()).await.ok().flatten()
}

/// How long a call of the store may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Before the store is asked again that was not heard.
const RETRY: Duration = Duration::from_secs(2);

/// Between two looks at what the kernel knows, and what is due.
const LOOK: Duration = Duration::from_secs(2);

/// The longest rest after a change.
const TOGETHER: Duration = Duration::from_millis(50);

/// How many answers of the watches may wait.
const QUEUE: usize = 64;
