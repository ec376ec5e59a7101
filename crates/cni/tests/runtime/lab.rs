//! A folder with plugins that record how they are called, and a runtime that uses them.
use cni::runtime::{Runtime, RuntimeAttachment};
use serde_json::{Map, Value};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

pub(crate) struct Lab(tempfile::TempDir);

/// What a plugin of version 1.1.0 may answer.
pub(crate) const RESULT: &str = r#"{"cniVersion": "1.1.0",
    "interfaces": [{"name": "eth0", "mac": "0a:00:00:00:00:01", "mtu": 1450, "sandbox": "/run/netns/c1"}],
    "ips": [{"interface": 0, "address": "10.1.0.2/24", "gateway": "10.1.0.1"}], "routes": [{"dst": "0.0.0.0/0"}]}"#;

impl Lab {
    pub(crate) fn new(plugins: &[&str]) -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        fs::create_dir(lab.path("bin")).unwrap();
        for plugin in plugins {
            symlink(data("recorder.sh"), lab.path("bin").join(plugin)).unwrap();
        }
        lab
    }

    pub(crate) fn runtime(&self) -> Runtime {
        Runtime { path: vec![self.path("bin")], cache_dir: self.path(""), run: Command::status }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn cache_file(&self, name: &str) -> PathBuf {
        self.path("results").join(name)
    }

    /// Writes a file: `VERB.PLUGIN.answer`, `.failure` or `.stderr` is what the plugin does.
    pub(crate) fn lay(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// What a plugin recorded: `VERB.PLUGIN.stdin` or `.env`.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// `VERB.PLUGIN CONTAINER` of every call, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        match fs::read_to_string(self.path("calls")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            calls => calls.unwrap().lines().map(str::to_owned).collect(),
        }
    }

    /// The names of the cache files.
    pub(crate) fn results(&self) -> Vec<String> {
        names(&self.path("results"))
    }
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

/// A file of `tests/runtime`.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runtime").join(name)
}

pub(crate) fn at(container: &str) -> RuntimeAttachment {
    RuntimeAttachment {
        container: container.to_owned(),
        netns: format!("/run/netns/{container}"),
        ifname: "eth0".to_owned(),
        ..RuntimeAttachment::default()
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}
