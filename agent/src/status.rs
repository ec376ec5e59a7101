//! How things are, for who asks; and that there is one agent only.
use crate::{Error, hand::Done, membership::Membership};
use cluster::LeasedBlock;
use cni::{ErrorReply, Fail, Failure, Version};
use nix::fcntl::{Flock, FlockArg};
use plan::{AGENT_SOCKET, State};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::net::UnixListener;
use types::{NetworkName, NodeName};

/// What is known, one for all tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status(Arc<Mutex<BTreeMap<String, Known>>>);

/// What is known of one membership, as it is answered.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    pub(crate) node: String,
    pub(crate) endpoints: Vec<String>,
    pub(crate) prefix: String,
    pub(crate) incarnation: Option<u64>,
    /// What this node's link to the underlay carries outwards, in bytes, if that can be said.
    pub(crate) mtu: Option<u32>,
    /// Whether the store was heard when it was last asked.
    pub(crate) heard: bool,
    /// Whether it has lost so much at once that nothing is concluded from it.
    pub(crate) fault: bool,
    pub(crate) trouble: Option<String>,
    pub(crate) networks: BTreeMap<NetworkName, Network>,
    /// What arrives at other nodes.
    pub(crate) tried: Tried,
}

/// What is known of the ways to other nodes, from trying.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Tried {
    /// How many carry what they were believed to.
    pub(crate) passed: usize,
    /// How many were not tried yet, or could not be.
    pub(crate) untried: usize,
    /// Nodes that answer nothing.
    pub(crate) silent: Vec<NodeName>,
    /// Nodes at which less arrives, and what, in bytes.
    pub(crate) narrow: BTreeMap<NodeName, u32>,
}

/// What is known of a network.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Network {
    pub(crate) blocks: Vec<LeasedBlock>,
    pub(crate) trouble: Option<String>,
    pub(crate) peers: Option<Peers>,
}

/// The other nodes of a network.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Peers {
    /// How many have blocks.
    pub(crate) known: usize,
    /// Those of them that are not heard.
    pub(crate) suspect: Vec<NodeName>,
    /// Whether the network has containers here, and so a tunnel if there is anybody.
    pub(crate) stands: bool,
    /// The tunnel's MTU, in bytes.
    pub(crate) mtu: Option<u32>,
    /// How often they were others.
    pub(crate) changes: u64,
    /// How long it took in all to have this host know it, in seconds.
    pub(crate) seconds: f64,
    pub(crate) trouble: Option<String>,
}

impl Status {
    /// The store has answered.
    pub(crate) fn heard(&self, membership: &Membership, incarnation: u64) {
        self.change(membership, |known| {
            (known.incarnation, known.heard, known.trouble) = (Some(incarnation), true, None);
        });
    }

    /// What the link to the underlay carries.
    pub(crate) fn carries(&self, membership: &Membership, mtu: Option<u32>) {
        self.change(membership, |known| known.mtu = mtu);
    }

    /// What arrives at other nodes.
    pub(crate) fn tried(&self, membership: &Membership, tried: Tried) {
        self.change(membership, |known| known.tried = tried);
    }

    /// The store can't be asked, or has refused.
    pub(crate) fn lost(&self, membership: &Membership, failure: &dyn Failure) {
        self.change(membership, |known| (known.heard, known.trouble) = (false, Some(words(failure))));
    }

    /// How a network is; a trouble leaves the blocks as they were.
    pub(crate) fn network(
        &self,
        membership: &Membership,
        network: &NetworkName,
        how: Result<Vec<LeasedBlock>, Fail>,
    ) {
        self.change(membership, |known| {
            let known = known.networks.entry(network.clone()).or_default();
            match how {
                Ok(blocks) => (known.blocks, known.trouble) = (blocks, None),
                Err(failure) => known.trouble = Some(words(failure.as_ref())),
            }
        });
    }

    /// What this host knows of the other nodes of a network; a trouble leaves the rest as it was.
    pub(crate) fn peers(
        &self,
        membership: &Membership,
        network: &NetworkName,
        (count, suspect): (usize, Vec<NodeName>),
        done: Result<Done, Fail>,
    ) {
        self.change(membership, |known| {
            let peers = known.networks.entry(network.clone()).or_default().peers.get_or_insert_default();
            (peers.known, peers.suspect) = (count, suspect);
            match done {
                Ok(Done { stands, mtu, news, unreached }) => {
                    (peers.stands, peers.mtu) = (stands, Some(mtu));
                    peers.trouble = unreached.map(|cause| words(&cause));
                    if let Some(took) = news {
                        peers.changes += 1;
                        peers.seconds += took.as_secs_f64();
                    }
                }
                Err(failure) => peers.trouble = Some(words(failure.as_ref())),
            }
        });
    }

    /// Whether anything is concluded from what the store lacks.
    pub(crate) fn fault(&self, membership: &Membership, fault: bool) {
        self.change(membership, |known| known.fault = fault);
    }

    /// The node is no longer in this store.
    pub(crate) fn forget(&self, membership: &Membership) {
        self.lock().remove(&key(membership));
    }

    fn change(&self, membership: &Membership, change: impl FnOnce(&mut Known)) {
        let mut all = self.lock();
        let known = all.entry(key(membership)).or_insert_with(|| Known {
            node: membership.node.to_string(),
            endpoints: membership.etcd.endpoints.iter().map(ToString::to_string).collect(),
            prefix: membership.etcd.prefix.to_string(),
            ..Known::default()
        });
        change(known);
    }

    /// All that is known.
    pub(crate) fn all(&self) -> Vec<Known> {
        self.lock().values().cloned().collect()
    }

    /// The same, in a line.
    pub(crate) fn answer(&self) -> Vec<u8> {
        let answer = serde_json::json!({"version": env!("CARGO_PKG_VERSION"), "stores": self.all()});
        format!("{answer}\n").into_bytes()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(membership: &Membership) -> String {
    let Membership { etcd, node, vtep, .. } = membership;
    format!("{node} {vtep} {etcd:?}")
}

/// Logs a failure, if it is not what was said last.
pub(crate) fn note(said: &mut String, about: &str, failure: &dyn Failure) {
    let words = words(failure);
    if *said != words {
        tracing::error!(about, "{words}");
        *said = words;
    }
}

/// What was said last of each network that is refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<NetworkName, String>);

impl Refusals {
    /// Logs those of now that were not there, or were others, when it was said last.
    pub(crate) fn say(&mut self, refused: &BTreeMap<NetworkName, Fail>) {
        self.0.retain(|name, _| refused.contains_key(name));
        for (name, failure) in refused {
            note(self.0.entry(name.clone()).or_default(), name.as_str(), failure.as_ref());
        }
    }
}

fn words(failure: &dyn Failure) -> String {
    ErrorReply::new(Version::LATEST.as_str(), failure).to_string()
}

/// Says that this is the host's agent, until the value goes.
pub(crate) fn claim() -> Result<Flock<File>, Error> {
    let path = place("agent.lock")?;
    let failed = |cause| Error::Socket { path: path.clone(), cause };
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| Error::AnotherRuns { path })
}

/// The socket. One that a killed agent has left is taken away: this one holds the lock.
pub(crate) fn listen() -> Result<UnixListener, Error> {
    let path = place(AGENT_SOCKET)?;
    let failed = |cause| Error::Socket { path: path.clone(), cause };
    let _stale = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(failed)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// The path of the agent's file of this name, whose folder is there.
fn place(name: &str) -> Result<PathBuf, Error> {
    let path = State::from_env()?.directory().join(name);
    let directory = path.parent().unwrap_or(&path);
    fs::create_dir_all(directory).map_err(|cause| Error::Socket { path: directory.into(), cause })?;
    Ok(path)
}
