//! Hosts to call plugins on without the driver, whose containers all have as many ports as each other, and whose configurations are too long.
//!
//! A host is a network namespace, and so is a container; each is bound to a file in a folder of the bench's own mount namespace. Threads
//! enter them, and what a thread starts begins in its namespace.
use super::subjects::{Subject, plugins, with};
use crate::error::Error;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The port that every container listens on.
pub(super) const INSIDE: u16 = 80;

/// A network namespace bound to a file.
#[derive(Debug)]
pub(super) struct Namespace(PathBuf);

impl Namespace {
    /// Makes one.
    pub(super) fn new(path: PathBuf) -> Result<Self, Error> {
        fs::write(&path, "").map_err(|cause| Error::File { what: "make", path: path.clone(), cause })?;
        let bind = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        };
        on_a_thread(bind).map_err(|cause| Error::Kernel { what: "make a network namespace", cause })?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Runs something inside, on a thread of its own.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let file = fs::File::open(&self.0).map_err(|cause| Error::File {
            what: "open",
            path: self.0.clone(),
            cause,
        })?;
        let inside = || setns(file, CloneFlags::CLONE_NEWNET).map(|()| work());
        on_a_thread(inside).map_err(|cause| Error::Kernel { what: "enter a network namespace", cause })
    }

    /// Runs a command line, words apart by single spaces, inside.
    pub(super) fn run(&self, line: &str) -> Result<(), Error> {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        let status = self.within(|| command.status())?;
        let status = status.map_err(|cause| crate::shell::not_started(&command, cause))?;
        if status.success() { Ok(()) } else { Err(Error::Ended { command: line.into(), status }) }
    }

    /// Sets a parameter (`/proc/sys/net`) of it.
    pub(super) fn set(&self, parameter: &str, value: &str) -> Result<(), Error> {
        let failed = |cause| Error::File { what: "write", path: parameter.into(), cause };
        self.within(|| fs::write(parameter, value))?.map_err(failed)
    }
}

impl Container {
    /// Its first address, once it has been added.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let address = self.result.as_ref()?.pointer("/ips/0/address")?.as_str()?;
        address.split('/').next()?.parse().ok()
    }
}

/// A host with one suite's plugins, and what the calls so far have answered.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) namespace: Namespace,
    folder: PathBuf,
    bin: PathBuf,
    plugins: Vec<Value>,
    /// DELs that failed; ADDs must not.
    pub(super) failures: u64,
}

/// A container of a host, and its last result.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) namespace: Namespace,
    result: Option<Value>,
    ports: Vec<u16>,
}

impl Host {
    /// A fresh one with the chain, with its files in this folder.
    pub(super) fn new(folder: PathBuf, subject: &Subject, backend: Option<&str>) -> Result<Self, Error> {
        let plugins = plugins(backend, &folder.join("networks"));
        Self::with(folder, &subject.bin, plugins.into())
    }

    /// A fresh one with these plugins, which are in `bin`.
    pub(super) fn with(folder: PathBuf, bin: &Path, plugins: Vec<Value>) -> Result<Self, Error> {
        fs::create_dir_all(folder.join("netns")).map_err(|cause| Error::File {
            what: "make",
            path: folder.clone(),
            cause,
        })?;
        let namespace = Namespace::new(folder.join("host"))?;
        let host = Self { namespace, folder, bin: bin.into(), plugins, failures: 0 };
        host.namespace.run("ip link set lo up")?;
        Ok(host)
    }

    /// Goes on with these plugins.
    pub(super) fn turn_to(&mut self, plugins: Vec<Value>) {
        self.plugins = plugins;
    }

    /// A container that is not attached yet, with these ports to publish.
    pub(super) fn container(&self, id: &str, ports: Vec<u16>) -> Result<Container, Error> {
        let namespace = Namespace::new(self.folder.join("netns").join(id))?;
        Ok(Container { id: id.into(), namespace, result: None, ports })
    }

    /// ADD; how long all plugins together took, from before the start to after the end of each.
    pub(super) fn add(&self, container: &mut Container) -> Result<Duration, Error> {
        let mut took = Duration::ZERO;
        container.result = None;
        for plugin in &self.plugins {
            let (time, answer) = self.call("ADD", plugin, container)?;
            let said =
                || Error::Plugin { verb: "ADD", container: container.id.clone(), said: answer.clone() };
            container.result = Some(serde_json::from_str(&answer).map_err(|_| said())?);
            if container.result.as_ref().is_some_and(|result| result.get("code").is_some()) {
                return Err(said());
            }
            took += time;
        }
        Ok(took)
    }

    /// DEL, which has to make do with a plugin that fails.
    pub(super) fn del(&mut self, container: &Container) -> Result<Duration, Error> {
        let mut took = Duration::ZERO;
        for plugin in self.plugins.iter().rev() {
            let (time, answer) = self.call("DEL", plugin, container)?;
            self.failures += u64::from(!answer.trim().is_empty());
            took += time;
        }
        Ok(took)
    }

    fn call(&self, verb: &str, plugin: &Value, container: &Container) -> Result<(Duration, String), Error> {
        let name = plugin.get("type").and_then(Value::as_str).unwrap_or_default();
        let mut command = Command::new(self.bin.join(name));
        command.env_clear().envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", &container.id),
            ("CNI_IFNAME", "eth0"),
        ]);
        command.env("CNI_NETNS", container.namespace.path()).env("CNI_PATH", &self.bin);
        command.env("SEALANE_STATE_DIR", self.folder.join("state"));
        command.env("SEALANE_DATA_DIR", self.folder.join("data"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let config = Self::config(plugin, container).to_string();
        let run = || {
            let start = Instant::now();
            let mut child = command.spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(config.as_bytes())?;
            }
            let mut answer = String::new();
            if let Some(mut stdout) = child.stdout.take() {
                stdout.read_to_string(&mut answer)?;
            }
            child.wait()?;
            Ok((start.elapsed(), answer))
        };
        let failed = |cause| Error::Start { program: name.to_owned(), cause };
        self.namespace.within(run)?.map_err(failed)
    }

    /// A plugin's configuration as a runtime completes it.
    fn config(plugin: &Value, container: &Container) -> Value {
        let mut config = with(with(plugin.clone(), "cniVersion", json!("1.0.0")), "name", json!("bench"));
        if plugin.get("capabilities").is_some() && !container.ports.is_empty() {
            let mapping = |port| json!({"hostPort": port, "containerPort": INSIDE, "protocol": "tcp"});
            let mappings: Vec<_> = container.ports.iter().map(mapping).collect();
            config = with(config, "runtimeConfig", json!({"portMappings": mappings}));
        }
        match &container.result {
            Some(result) => with(config, "prevResult", result.clone()),
            None => config,
        }
    }
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}
