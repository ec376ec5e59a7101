//! What is left of a lab, seen from the machine around it.
use crate::lab::MARK;
use std::{collections::BTreeSet, fs, os::unix::ffi::OsStrExt, path::Path};

/// Namespaces by what `/proc/PID/ns/*` reads, such as `net:[4026531840]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces(BTreeSet<String>);

/// The kinds that a lab has of its own. Others (time, cgroup) may be the machine's.
const KINDS: [&str; 6] = ["user", "mnt", "net", "pid", "uts", "ipc"];

impl Namespaces {
    /// Those in this text, and of the kinds that a lab has of its own.
    pub fn parse(text: &str) -> Self {
        let own = |word: &&str| KINDS.iter().any(|kind| word.starts_with(&format!("{kind}:[")));
        Self(text.split_whitespace().filter(own).map(str::to_owned).collect())
    }

    /// Those that this process is in.
    pub fn of_this_process() -> Self {
        let links = KINDS.map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")));
        Self(links.into_iter().flatten().map(|link| link.to_string_lossy().into_owned()).collect())
    }

    /// Leaves out those that are in the other, too.
    pub(crate) fn remove(&mut self, other: &Self) {
        self.0.retain(|name| !other.0.contains(name));
    }

    /// Those that are in both.
    pub fn shared_with(&self, other: &Self) -> Vec<String> {
        self.0.intersection(&other.0).cloned().collect()
    }
}

/// Every process that was started by [`sealane`](crate::sealane) with this folder, or by such a process: a line each.
pub fn traces(dir: &Path) -> Vec<String> {
    of(&Namespaces::default(), dir)
}

/// Every process that is in one of these namespaces, or bears the mark of this folder, or holds such a namespace open; and every
/// mount of one. A line each, for a person.
pub(crate) fn of(namespaces: &Namespaces, dir: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = process.path();
        if process.file_name().as_bytes().iter().all(u8::is_ascii_digit)
            && let Some(why) = belongs(&path, namespaces, dir)
        {
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            left.push(format!("process {} ({command}): {why}", path.display()));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let names = |line: &&str| namespaces.0.iter().any(|name| line.contains(name.as_str()));
    left.extend(mounts.lines().filter(names).map(|line| format!("mount {line}")));
    left
}

fn belongs(process: &Path, namespaces: &Namespaces, dir: &Path) -> Option<String> {
    let links = |folder: &str| {
        let entries = fs::read_dir(process.join(folder)).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
    };
    // One that has ended and is only not waited for is nothing but an entry in a table.
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    if status.lines().any(|line| line.starts_with("State:\tZ")) {
        return None;
    }
    if let Some(name) = links("ns").chain(links("fd")).find(|link| namespaces.0.contains(link)) {
        return Some(name);
    }
    let mark = [MARK.as_bytes(), b"=", dir.as_os_str().as_bytes()].concat();
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    let marked = environment.split(|byte| *byte == 0).any(|variable| variable == mark);
    marked.then(|| "it was started there".to_owned())
}
