//! What a record says: three lines of JSON, each written before what it announces is done. A line that is torn or
//! missing was not reached. One that is whole and can't be read was damaged, or written by a newer release.
use crate::{Plan, error::Error};
use kernel::{Netns, NetnsId, process_of, start_of};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What ADD knows before it asks for addresses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Intent {
    /// The container's namespace, as the runtime named it.
    pub netns: PathBuf,
    /// The namespace behind that name. A release that knows no cookies reads this as well.
    pub netns_id: NetnsId,
    /// The IPAM plugin that is asked for addresses, if any.
    pub ipam: Option<String>,
    /// Of a chained plugin, a digest of the keys that were typed for it: by it a second use of it is told from the first one that is added
    /// again. Releases that knew of one use alone wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// Of a container that shares the host's namespace, when the process started by whose number `netns` goes, in ticks since boot: whoever gets the
    /// number later is in that namespace as well. None if `netns` names no process; releases that did not ask wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
}

impl Intent {
    /// Whether the record at this path, which begins so, was written for this namespace.
    pub(crate) fn is_of(&self, netns: &Netns, record: &Path) -> bool {
        let id = self.netns_id;
        netns.is(&NetnsId { cookie: id.cookie.or_else(|| cookie_beside(record, id)), ..id })
    }

    /// Whether the number of the container's process is another one's by now.
    pub(crate) fn is_outlived(&self) -> bool {
        let now = process_of(&self.netns).and_then(start_of);
        self.started.zip(now).is_some_and(|(then, now)| then != now)
    }
}

/// The cookie of a namespace by the records beside this one. Kernels before 6.18 tell it in the namespace alone, where some chained plugins
/// have no business; the plugin that makes the interface has.
fn cookie_beside(record: &Path, id: NetnsId) -> Option<u64> {
    let entries = fs::read_dir(record.parent()?).ok()?;
    let journals = entries.flatten().filter_map(|entry| Journal::at(&entry.path()).ok().flatten());
    let ids = journals.filter_map(|journal| Some(journal.intent?.netns_id));
    ids.filter(|beside| beside.may_be(&id)).find_map(|beside| beside.cookie)
}

/// One line of a record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// An ADD has begun.
    Intent(Intent),
    /// Addresses are leased; these steps come next.
    Plan(Plan),
    /// All steps are done.
    Attached,
}

/// How far an ADD came.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) intent: Option<Intent>,
    pub(crate) plan: Option<Plan>,
    pub(crate) attached: bool,
    /// Whether a whole line can't be read. Of what stands behind it, what can be counts, but not that all is done.
    pub(crate) is_unreadable: bool,
}

impl Journal {
    /// What the record at this path says, if there is one.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>, Error> {
        match fs::read(path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::State { doing: "read", path: path.to_owned(), cause }),
            Ok(text) => Ok(Some(Self::read(&text))),
        }
    }

    /// Whatever bytes there are.
    pub(crate) fn read(text: &[u8]) -> Self {
        let mut journal = Journal::default();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Intent(intent)) => journal.intent = Some(intent),
                Ok(Line::Plan(plan)) => journal.plan = Some(plan),
                Ok(Line::Attached) => journal.attached = !journal.is_unreadable,
                Err(_) => journal.is_unreadable |= line.ends_with(b"\n"),
            }
        }
        journal
    }
}
