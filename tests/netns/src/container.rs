//! A container, as far as networks go: a network namespace bound to a file.
use crate::{Error, Host, Snapshot, host};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// A network namespace with an ID; its loopback is down, as a runtime leaves it. It lives until [`Container::kill`], or
/// until the test process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    id: String,
    netns: PathBuf,
}

impl Container {
    /// Makes one whose namespace is bound to `dir/id`.
    pub(crate) fn new(dir: &Path, id: &str) -> Result<Self, Error> {
        let container = Self { id: id.to_owned(), netns: dir.join(id) };
        container.restart()?;
        Ok(container)
    }

    /// What `CNI_CONTAINERID` says.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What `CNI_NETNS` says.
    pub fn netns(&self) -> &Path {
        &self.netns
    }

    /// Binds a fresh namespace to the container's path, which must be free: a first start, or one after [`kill`].
    ///
    /// [`kill`]: Container::kill
    pub fn restart(&self) -> Result<(), Error> {
        fs::write(&self.netns, "").map_err(Error::io(format!("make {}", self.netns.display())))?;
        let bind = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            mount(Some("/proc/thread-self/ns/net"), &self.netns, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        };
        on_a_thread(bind)
            .map_err(Error::kernel(format!("bind a network namespace to {}", self.netns.display())))
    }

    /// Kills it, and restarts it until its namespace's file has the inode that it had before: whether it came to that. The kernel gives
    /// the lowest number that is free, and to other things than namespaces too.
    fn restart_with_its_inode(&self) -> Result<bool, Error> {
        let inode =
            || fs::metadata(&self.netns).map(|file| file.ino()).map_err(Error::io("look at a namespace"));
        let before = inode()?;
        for _ in 0..RESTARTS {
            self.kill()?;
            self.restart()?;
            if inode()? == before {
                return Ok(true);
            }
            // The kernel takes down a namespace a little later than it ends.
            thread::sleep(Duration::from_millis(5));
        }
        Ok(false)
    }

    /// Ends the namespace: its file is unmounted and removed, and the kernel takes down what was in it a little later.
    pub fn kill(&self) -> Result<(), Error> {
        let path = self.netns.display();
        umount2(&self.netns, MntFlags::MNT_DETACH).map_err(Error::kernel(format!("unmount {path}")))?;
        fs::remove_file(&self.netns).map_err(Error::io(format!("remove {path}")))
    }

    /// Runs something inside, on a thread of its own. A panic in there is a panic here.
    pub fn exec<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let netns =
            fs::File::open(&self.netns).map_err(Error::io(format!("open {}", self.netns.display())))?;
        let inside = || setns(netns, CloneFlags::CLONE_NEWNET).map(|()| work());
        on_a_thread(inside).map_err(Error::kernel(format!("enter {}", self.netns.display())))
    }

    /// Runs `ip` inside: see [`ip`](crate::ip).
    pub fn ip(&self, arguments: &str) -> Result<Value, Error> {
        self.exec(|| host::ip(arguments))?
    }

    /// Reads `/proc/sys/net/PATH` inside.
    pub fn sysctl(&self, path: &str) -> Result<String, Error> {
        self.exec(|| host::sysctl(path))?
    }

    /// The configuration inside.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        self.exec(|| Snapshot::take(&[]))?
    }
}

impl Host {
    /// A container of which something was made in a former life, such as an attachment. It has a fresh namespace since, with the inode of
    /// the one that is gone. Of those that did not get theirs again something else is made.
    pub fn reborn<T>(
        &self,
        mut made: impl FnMut(&Container) -> T,
        mut unmade: impl FnMut(&Container, T),
    ) -> Result<(Container, T), Error> {
        for _ in 0..LIVES {
            let container = self.container()?;
            let of_it = made(&container);
            if container.restart_with_its_inode()? {
                return Ok((container, of_it));
            }
            unmade(&container, of_it);
        }
        Err(Error::NeverReborn { containers: LIVES, restarts: RESTARTS })
    }
}

/// How many containers are tried, and how often each. Of ten, six or more get their number back; fewer where others make many
/// namespaces meanwhile.
const LIVES: usize = 60;
const RESTARTS: usize = 500;

pub(crate) fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}
