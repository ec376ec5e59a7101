//! How things are, for who asks; and that there is one agent only.
use crate::{Error, membership::Membership};
use cluster::LeasedBlock;
use cni::{ErrorReply, Fail, Failure, Version};
use nix::fcntl::{Flock, FlockArg};
use plan::State;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};
use types::NetworkName;

/// What is known, one for all tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status(Arc<Mutex<BTreeMap<String, Known>>>);

/// What is known of one membership, as it is answered.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    node: String,
    endpoints: Vec<String>,
    prefix: String,
    incarnation: Option<u64>,
    /// Whether the store was heard when it was last asked.
    heard: bool,
    trouble: Option<String>,
    networks: BTreeMap<NetworkName, Network>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Network {
    blocks: Vec<LeasedBlock>,
    trouble: Option<String>,
}

impl Status {
    /// The store has answered.
    pub(crate) fn heard(&self, membership: &Membership, incarnation: u64) {
        self.change(membership, |known| {
            (known.incarnation, known.heard, known.trouble) = (Some(incarnation), true, None);
        });
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
                Ok(blocks) => *known = Network { blocks, trouble: None },
                Err(failure) => known.trouble = Some(words(failure.as_ref())),
            }
        });
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

    fn answer(&self) -> Vec<u8> {
        let stores: Vec<Known> = self.lock().values().cloned().collect();
        let answer = serde_json::json!({"version": env!("CARGO_PKG_VERSION"), "stores": stores});
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
    let path = place("agent.sock")?;
    let failed = |cause| Error::Socket { path: path.clone(), cause };
    let _stale = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(failed)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Tells everyone who connects how things are, and hangs up.
pub(crate) async fn serve(listener: UnixListener, status: Status) {
    loop {
        match listener.accept().await {
            Ok((caller, _)) => drop(tokio::spawn(tell(caller, status.answer()))),
            // No file descriptor is left, most likely.
            Err(_) => sleep(PATIENCE).await,
        }
    }
}

async fn tell(mut caller: UnixStream, answer: Vec<u8>) {
    // Who does not listen is let go.
    let _told = timeout(PATIENCE, caller.write_all(&answer)).await;
}

fn place(name: &str) -> Result<PathBuf, Error> {
    let state = State::from_env()?;
    let directory = state.directory();
    let failed = |cause| Error::Socket { path: directory.into(), cause };
    fs::create_dir_all(directory).map_err(failed)?;
    Ok(directory.join(name))
}

/// How long a caller may take to listen.
const PATIENCE: Duration = Duration::from_secs(1);
