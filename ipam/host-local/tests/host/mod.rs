//! A host of its own for each test: directories that nobody else uses, and the plugin called as a runtime calls it. Every IPAM plugin that keeps
//! reservations is tested with this file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
#![allow(dead_code, clippy::unused_self, reason = "each test file uses some of it")]
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
};
use tempfile::TempDir;

/// The plugin of the package whose test this is, and the folder of its reservations.
const SUBJECT: (&str, &str) =
    match (option_env!("CARGO_BIN_EXE_host-local"), option_env!("CARGO_BIN_EXE_cluster")) {
        (Some(program), _) => (program, "networks"),
        (None, Some(program)) => (program, "data/cluster"),
        (None, None) => panic!("not a test of a plugin that is known here"),
    };

pub(crate) struct Host {
    dir: TempDir,
    program: PathBuf,
}

/// What came back from one call.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) ok: bool,
    pub(crate) json: Value,
}

/// One call, to be changed before it is made.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    pub(crate) verb: &'a str,
    pub(crate) config: Value,
    pub(crate) container: &'a str,
    pub(crate) ifname: &'a str,
    pub(crate) netns: PathBuf,
    pub(crate) args: &'a str,
}

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap(), program: PathBuf::from(SUBJECT.0) };
        fs::create_dir_all(host.path("cache/results")).unwrap();
        host
    }

    /// The reference's plugin; `None` where `SEALANE_REFERENCE_BIN` does not say where it is.
    pub(crate) fn reference() -> Option<PathBuf> {
        let Some(dir) = std::env::var_os("SEALANE_REFERENCE_BIN") else {
            eprintln!("skipped: SEALANE_REFERENCE_BIN names no directory of the reference plugins");
            return None;
        };
        Some(PathBuf::from(dir).join("host-local"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A configuration of network `net` with these keys in `ipam`.
    pub(crate) fn config(&self, keys: Value) -> Value {
        let mut ipam = json!({"type": "host-local", "dataDir": self.path("networks")});
        for (key, value) in keys.as_object().unwrap() {
            ipam[key] = value.clone();
        }
        json!({"cniVersion": "1.1.0", "name": "net", "type": "bridge", "ipam": ipam})
    }

    /// A file that stands for a network namespace: it has an inode, and it can go.
    pub(crate) fn netns(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "").unwrap();
        path
    }

    pub(crate) fn call<'a>(&self, verb: &'a str, config: &Value, container: &'a str) -> Call<'a> {
        Call {
            verb,
            config: config.clone(),
            container,
            ifname: "eth0",
            netns: "/some/where".into(),
            args: "",
        }
    }

    /// The command, and what goes to its stdin.
    pub(crate) fn command(&self, program: &Path, call: &Call<'_>) -> (Command, Vec<u8>) {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("CNI_COMMAND", call.verb)
            .env("CNI_CONTAINERID", call.container)
            .env("CNI_IFNAME", call.ifname)
            .env("CNI_NETNS", &call.netns)
            .env("CNI_PATH", "/nowhere")
            .env("CNI_ARGS", call.args)
            .env("SEALANE_DATA_DIR", self.path("data"))
            .env("SEALANE_CNI_CACHE_DIR", self.path("cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        (command, serde_json::to_vec(&call.config).unwrap())
    }

    pub(crate) fn run_program(&self, program: &Path, call: &Call<'_>) -> Reply {
        let (mut command, input) = self.command(program, call);
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(&input); // a plugin need not read what it does not want
        Reply::of(&child.wait_with_output().unwrap())
    }

    pub(crate) fn run(&self, call: &Call<'_>) -> Reply {
        self.run_program(&self.program, call)
    }

    /// Starts one process for each container; all wait for their stdin, and are let go together.
    pub(crate) fn all_at_once(&self, verb: &str, config: &Value, containers: &[String]) -> Vec<Reply> {
        let start = |container: &String| -> (Child, ChildStdin, Vec<u8>) {
            let (mut command, input) = self.command(self.program(), &self.call(verb, config, container));
            let mut child = command.spawn().unwrap();
            let stdin = child.stdin.take().unwrap();
            (child, stdin, input)
        };
        let started: Vec<_> = containers.iter().map(start).collect();
        let mut running = Vec::new();
        for (child, mut stdin, input) in started {
            stdin.write_all(&input).unwrap();
            running.push(child);
        }
        running.into_iter().map(|child| Reply::of(&child.wait_with_output().unwrap())).collect()
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// ADD; the first address without its length, or the message of the error.
    pub(crate) fn add(&self, config: &Value, container: &str) -> Result<String, String> {
        self.run(&self.call("ADD", config, container)).address()
    }

    pub(crate) fn del(&self, config: &Value, container: &str) {
        let reply = self.run(&self.call("DEL", config, container));
        assert!(reply.ok, "{reply:?}");
    }

    /// What libcni's cache says of an attachment.
    pub(crate) fn cache(&self, container: &str, netns: &Path) {
        let path = self.path(&format!("cache/results/net-{container}-eth0"));
        let entry = json!({"kind": "cniCacheV1", "containerId": container, "config": "e30=", "ifName": "eth0",
            "networkName": "net", "netns": netns, "result": {"cniVersion": "1.1.0"}});
        fs::write(path, entry.to_string()).unwrap();
    }

    /// Every reservation of network `net` and what it holds.
    pub(crate) fn reservations(&self) -> BTreeMap<String, String> {
        let mut all = self.files(&self.kept());
        all.retain(|name, _| name.parse::<std::net::IpAddr>().is_ok());
        all
    }

    /// The folder of the reservations of network `net`.
    pub(crate) fn kept(&self) -> String {
        format!("{}/net", SUBJECT.1)
    }

    /// The names of the networks that have reservations, and whatever else lies there.
    pub(crate) fn networks(&self) -> Vec<String> {
        self.files(SUBJECT.1).into_keys().collect()
    }

    /// The names of the lease records of network `net`.
    pub(crate) fn records(&self) -> Vec<String> {
        self.files("data/leases/net").into_keys().collect()
    }

    /// Changes one key of the record of an attachment.
    pub(crate) fn edit_record(&self, container: &str, key: &str, value: Value) {
        let path = self.path(&format!("data/leases/net/{container}:eth0"));
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(record.get(key).is_some());
        record[key] = value;
        fs::write(path, record.to_string()).unwrap();
    }

    /// Writes a reservation as the other suite does.
    pub(crate) fn reserve(&self, address: &str, content: &str) {
        fs::create_dir_all(self.path(&self.kept())).unwrap();
        fs::write(self.path(&self.kept()).join(address), content).unwrap();
    }

    pub(crate) fn files(&self, dir: &str) -> BTreeMap<String, String> {
        let Ok(entries) = fs::read_dir(self.path(dir)) else { return BTreeMap::new() };
        let file = |entry: fs::DirEntry| {
            let content = fs::read_to_string(entry.path()).unwrap_or_default();
            (entry.file_name().into_string().unwrap(), content)
        };
        entries.map(|entry| file(entry.unwrap())).collect()
    }
}

impl Reply {
    pub(crate) fn of(output: &Output) -> Self {
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let json = if output.stdout.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&output.stdout).unwrap()
        };
        Self { ok: output.status.success(), json }
    }

    pub(crate) fn message(&self) -> String {
        self.json["msg"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn details(&self) -> String {
        self.json["details"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn address(&self) -> Result<String, String> {
        let prefix = self.json["ips"][0]["address"].as_str().ok_or_else(|| self.message())?;
        Ok(prefix.split('/').next().unwrap().to_owned())
    }
}
