//! The network namespaces of this machine, as far as something can be seen that holds them (`namespaces(7)`, `proc(5)`).
//!
//! # Theory of operation
//! The kernel had no list of them before Linux 6.19. One is held by a thread that is in it, by a descriptor or a mount of its file, and by a socket that
//! was opened in it. The first three are to be seen in /proc, of all processes that the caller may look at; of a socket that is nowhere to be seen.
use crate::Netns;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

/// Looks at each once, that of the caller among them, until something is found. What can't be looked at is left out. No more than one is held open
/// at a time: there may be thousands, and one that is about to end should.
pub fn find_held<T>(look: impl FnMut(&Netns) -> Option<T>) -> Option<T> {
    let mut search = Search { seen: BTreeSet::new(), mounts: BTreeSet::new(), look };
    let mut processes = folder(Path::new("/proc")).filter(|path| is_number(path));
    processes.find_map(|process| search.of_process(&process))
}

struct Search<F> {
    /// The inodes of those that were looked at.
    seen: BTreeSet<u64>,
    /// The mount namespaces that were gone through.
    mounts: BTreeSet<PathBuf>,
    look: F,
}

impl<T, F: FnMut(&Netns) -> Option<T>> Search<F> {
    fn of_process(&mut self, process: &Path) -> Option<T> {
        let threads = folder(&process.join("task")).map(|thread| thread.join("ns/net"));
        let mut links = threads.chain(folder(&process.join("fd")));
        if let Some(found) = links.find_map(|link| self.behind(&link)) {
            return Some(found);
        }
        if !fs::read_link(process.join("ns/mnt")).is_ok_and(|mounts| self.mounts.insert(mounts)) {
            return None;
        }
        let mounted = fs::read(process.join("mountinfo")).unwrap_or_default();
        mounted.split(|byte| *byte == b'\n').find_map(|line| self.mounted(process, line))
    }

    /// If a link of /proc leads to one: it says `net:[4026531840]`, or `/` where the file was opened at a mount that is gone.
    fn behind(&mut self, link: &Path) -> Option<T> {
        let name = fs::read_link(link).ok()?.into_os_string().into_vec();
        let inode = inode_in(&name);
        if inode.is_some() || name == b"/" { self.look_at(inode, link) } else { None }
    }

    /// If a line of a mountinfo is of one: `36 35 0:4 net:[4026532281] /run/netns/c1 rw - nsfs nsfs rw`.
    fn mounted(&mut self, process: &Path, line: &[u8]) -> Option<T> {
        let mut words = line.split(|byte| *byte == b' ').skip(3);
        let (inode, at) = (inode_in(words.next()?)?, plain(words.next()?));
        let below = OsStr::from_bytes(at.strip_prefix(b"/").unwrap_or(&at));
        self.look_at(Some(inode), &process.join("root").join(below))
    }

    /// What is expected to be this one. Something else may be mounted over it.
    fn look_at(&mut self, expected: Option<u64>, path: &Path) -> Option<T> {
        if expected.is_some_and(|inode| self.seen.contains(&inode)) {
            return None;
        }
        let netns = Netns::open(path).ok()?;
        let inode = netns.id().ino;
        let is_it = expected.is_none_or(|expected| expected == inode);
        if is_it && self.seen.insert(inode) { (self.look)(&netns) } else { None }
    }
}

/// Out of `net:[4026531840]`.
fn inode_in(name: &[u8]) -> Option<u64> {
    let digits = name.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn folder(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_number(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit))
}

/// Blanks, tabs, line ends and backslashes are written as octal numbers in a mountinfo.
fn plain(path: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::with_capacity(path.len()), path);
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = octal.filter(|_| *first == b'\\').and_then(|text| u8::from_str_radix(text, 8).ok());
        plain.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_it_is_whatever_is_in_it() {
        for (written, path) in
            [("/run/netns/c1", "/run/netns/c1"), ("/a\\040b\\134c", "/a b\\c"), ("/x\\", "/x\\")]
        {
            assert_eq!(plain(written.as_bytes()), path.as_bytes());
        }
    }
}
