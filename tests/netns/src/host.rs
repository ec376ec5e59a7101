//! A host: this thread, in a network namespace of its own, with state directories of its own.
use crate::{Binaries, Call, Container, Error, Reply, Snapshot, patience::soon};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    fs,
    marker::PhantomData,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// The network namespace that this thread is in, from [`Host::new`] until the next one (so it cannot leave the thread),
/// and the directories that make it a machine of its own. All of them are in the private `/run`.
#[derive(Debug)]
pub struct Host {
    dir: PathBuf,
    binaries: Binaries,
    containers: Cell<u32>,
    this_thread: PhantomData<*const ()>,
}

impl Host {
    /// A fresh host with the plugins under test, loopback up and nothing else.
    pub fn new() -> Result<Self, Error> {
        Self::with(&Binaries::under_test()?)
    }

    /// A fresh host with these plugins.
    pub fn with(binaries: &Binaries) -> Result<Self, Error> {
        static HOSTS: AtomicU32 = AtomicU32::new(0);
        let dir = PathBuf::from(format!("/run/netlab/{}", HOSTS.fetch_add(1, Ordering::Relaxed)));
        for part in ["state", "data", "networks", "results", "netns"] {
            let path = dir.join(part);
            fs::create_dir_all(&path).map_err(Error::io(format!("make {}", path.display())))?;
        }
        unshare(CloneFlags::CLONE_NEWNET).map_err(Error::kernel("make a network namespace"))?;
        ip("link set lo up")?;
        Ok(Self { dir, binaries: binaries.clone(), containers: Cell::new(0), this_thread: PhantomData })
    }

    /// The same host after its plugins were replaced by these.
    pub fn use_binaries(&mut self, binaries: &Binaries) {
        self.binaries = binaries.clone();
    }

    /// The plugins of this host.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// A directory for whatever a test likes; `state`, `data`, `networks`, `results` and `netns` in it are taken.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `SEALANE_STATE_DIR`: dies with a reboot.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// `SEALANE_DATA_DIR`: outlives a reboot.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// `dataDir` of host-local.
    pub fn networks_dir(&self) -> PathBuf {
        self.dir.join("networks")
    }

    /// A runtime's result cache.
    pub fn results_dir(&self) -> PathBuf {
        self.dir.join("results")
    }

    /// A new container, called `c1`, `c2`, ... on each host.
    pub fn container(&self) -> Result<Container, Error> {
        self.containers.set(self.containers.get() + 1);
        self.container_called(&format!("c{}", self.containers.get()))
    }

    /// A new container of this ID.
    pub fn container_called(&self, id: &str) -> Result<Container, Error> {
        Container::new(&self.dir.join("netns"), id)
    }

    /// A plugin's configuration made whole: `cniVersion` 1.1.0, `name` `net`, and for host-local this host's `dataDir`,
    /// where the keys given do not say otherwise.
    pub fn config(&self, keys: &Value) -> Value {
        let mut config = json!({"cniVersion": "1.1.0", "name": "net"});
        for (key, value) in keys.as_object().into_iter().flatten() {
            config = with(&config, key, value);
        }
        let ipam =
            config.get("ipam").filter(|ipam| ipam["type"] == "host-local" && ipam["dataDir"].is_null());
        if let Some(ipam) = ipam.map(|ipam| with(ipam, "dataDir", &json!(self.networks_dir()))) {
            config = with(&config, "ipam", &ipam);
        }
        config
    }

    /// A call of the plugin that the configuration's `type` names, with what every verb needs and no container.
    pub fn call(&self, verb: &str, config: &Value) -> Result<Call, Error> {
        let plugin = self.binaries.plugin(config["type"].as_str().unwrap_or_default())?;
        Ok(Call::new(plugin)
            .env("CNI_COMMAND", verb)
            .env("CNI_PATH", self.binaries.dir().to_string_lossy())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SEALANE_STATE_DIR", self.state_dir().to_string_lossy())
            .env("SEALANE_DATA_DIR", self.data_dir().to_string_lossy())
            .stdin(config.to_string()))
    }

    /// A call about one attachment.
    pub fn attach(&self, verb: &str, config: &Value, to: &Container, ifname: &str) -> Result<Call, Error> {
        let call = self.call(verb, config)?.env("CNI_CONTAINERID", to.id()).env("CNI_IFNAME", ifname);
        Ok(call.env("CNI_NETNS", to.netns().to_string_lossy()))
    }

    /// ADD.
    pub fn add(&self, config: &Value, to: &Container, ifname: &str) -> Result<Reply, Error> {
        self.attach("ADD", config, to, ifname)?.run()
    }

    /// DEL, with the netns' path whether it is still there or not.
    pub fn del(&self, config: &Value, to: &Container, ifname: &str) -> Result<Reply, Error> {
        self.attach("DEL", config, to, ifname)?.run()
    }

    /// DEL as of a runtime that has lost the netns: `CNI_NETNS` is empty.
    pub fn del_without_netns(&self, config: &Value, to: &Container, ifname: &str) -> Result<Reply, Error> {
        self.attach("DEL", config, to, ifname)?.env("CNI_NETNS", "").run()
    }

    /// CHECK against the result that ADD gave.
    pub fn check(&self, config: &Value, to: &Container, ifname: &str, added: &Value) -> Result<Reply, Error> {
        self.attach("CHECK", &with(config, "prevResult", added), to, ifname)?.run()
    }

    /// GC with these attachments valid: container IDs and interface names.
    pub fn gc(&self, config: &Value, valid: &[(&str, &str)]) -> Result<Reply, Error> {
        let valid: Vec<_> =
            valid.iter().map(|(id, ifname)| json!({"containerID": id, "ifname": ifname})).collect();
        self.call("GC", &with(config, "cni.dev/valid-attachments", &json!(valid)))?.run()
    }

    /// STATUS.
    pub fn status(&self, config: &Value) -> Result<Reply, Error> {
        self.call("STATUS", config)?.run()
    }

    /// The configuration of the host: its links, addresses, routes and rules, and what plugins have written.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        Snapshot::take(&[&self.state_dir(), &self.data_dir(), &self.networks_dir()])
    }

    /// What differs from a former snapshot, line by line; nothing when nothing does.
    pub fn changes_since(&self, before: &Snapshot) -> Result<String, Error> {
        Ok(before.difference(&self.snapshot()?))
    }

    /// The same, after giving the kernel the time to take down what died with a namespace.
    pub fn changes_left_since(&self, before: &Snapshot) -> Result<String, Error> {
        let mut changes = self.changes_since(before);
        soon(|| {
            if changes.as_ref().is_ok_and(|changes| !changes.is_empty()) {
                changes = self.changes_since(before);
            }
            changes.as_ref().map_or(true, String::is_empty)
        });
        changes
    }
}

/// Runs `ip` in the network namespace of this thread, and reads its JSON; `null` when it printed nothing.
pub fn ip(arguments: &str) -> Result<Value, Error> {
    let mut command = Command::new("ip");
    command.args(["-j", "-d"]).args(arguments.split_whitespace());
    let output = command.output().map_err(Error::io("run ip, of the package iproute2"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Tool { command: format!("ip {arguments}"), said });
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).map_err(|cause| Error::NotJson { text, cause })
}

/// Reads `/proc/sys/net/PATH` in the network namespace of this thread, without the line's end.
pub fn sysctl(path: &str) -> Result<String, Error> {
    let path = format!("/proc/sys/net/{path}");
    let text = fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))?;
    Ok(text.trim_end().to_owned())
}

/// An ADD that succeeds, of a new container and its `eth0`; the result.
///
/// # Panics
/// If it does not succeed.
#[expect(clippy::unwrap_used, reason = "a test says what it is to be")]
pub fn add(host: &Host, config: &Value) -> (Container, Value) {
    let container = host.container().unwrap();
    let result = host.add(config, &container, "eth0").unwrap().result().unwrap();
    (container, result)
}

/// A JSON object with these keys set to other values.
pub fn with_all(object: &Value, keys: &Value) -> Value {
    let keys = keys.as_object().into_iter().flatten();
    keys.fold(object.clone(), |object, (key, value)| with(&object, key, value))
}

/// A JSON object with one key set to another value.
pub fn with(object: &Value, key: &str, value: &Value) -> Value {
    let mut object = object.clone();
    if let Some(keys) = object.as_object_mut() {
        keys.insert(key.to_owned(), value.clone());
    }
    object
}
