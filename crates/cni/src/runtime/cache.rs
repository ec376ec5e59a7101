//! What ADD gave, kept for CHECK, DEL and GC: one file an attachment, in the place and format of libcni
//! (`/var/lib/cni/results/<network>-<container>-<ifname>`), which every runtime on the host shares. Unlike libcni's, a file is
//! never seen half-written.
use super::attachment::RuntimeAttachment;
use super::conflist::Network;
use super::encode::{canonical, encode};
use super::error::{CacheError, Error};
use crate::json;
use crate::result::AddResult;
use crate::version::Version;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use types::{base32, stable_hash};

/// The folder that libcni keeps its `results` in.
pub const DEFAULT_CACHE_DIR: &str = "/var/lib/cni";

/// The results of one host's runtimes.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// An attachment that the cache remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct CachedAttachment {
    /// The network's name.
    pub network: String,
    /// Who, where, and with which arguments.
    pub attachment: RuntimeAttachment,
    /// The list's text at the time of the ADD.
    pub config: Vec<u8>,
}

impl Cache {
    /// The cache under a folder, such as [`DEFAULT_CACHE_DIR`]; the folder need not be there.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Every attachment remembered, in the order of the file names. What cannot be read, or is no cache file of libcni's
    /// present format, is passed over.
    pub fn attachments(&self) -> Result<Vec<CachedAttachment>, Error> {
        let path = self.results();
        let listed = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        let mut files: Vec<_> = match listed {
            Ok(entries) => entries.iter().map(fs::DirEntry::path).collect(),
            Err(source) => return Err(Error::Attachments { path, source }),
        };
        files.sort();
        Ok(files.iter().filter_map(|file| Entry::read(file)).filter_map(Entry::attachment).collect())
    }

    /// The remembered attachment of these names.
    pub fn attachment(&self, network: &str, container: &str, ifname: &str) -> Option<CachedAttachment> {
        let found = Entry::read(&self.file(network, container, ifname))?;
        if found.is_of(network, container, ifname) { found.attachment() } else { None }
    }

    /// The remembered result, in the network's version; `None` if there is none. A file of libcni before 0.8 is the bare
    /// result. (Two attachments whose names differ only in where the `-` falls share one file: that of another is none.)
    pub(super) fn result(
        &self,
        network: &Network,
        at: &RuntimeAttachment,
    ) -> Result<Option<Value>, CacheError> {
        let name = network.name.as_str();
        let Ok(bytes) = fs::read(self.file(name, &at.container, &at.ifname)) else { return Ok(None) };
        let value = json::parse(&bytes)?;
        let result = match json::decode::<Entry>(&value) {
            Ok(entry) if entry.kind == KIND => {
                if !entry.is_of(name, &at.container, &at.ifname) {
                    return Ok(None);
                }
                Value::Object(entry.result)
            }
            _ => value,
        };
        Ok(Some(AddResult::from_json(result, Version::V0_1_0)?.to_json(network.version)?))
    }

    /// Remembers the result of an ADD. The file is readable by its owner alone, as are the folders made for it.
    pub(super) fn store(
        &self,
        network: &Network,
        at: &RuntimeAttachment,
        result: &Value,
    ) -> Result<(), CacheError> {
        let text = encode(&Entry::new(network, at, result))?;
        let path = self.file(network.name.as_str(), &at.container, &at.ifname);
        self.replace(&path, &text).map_err(|source| CacheError::Write { path, source })
    }

    /// Forgets an attachment; that there is nothing to forget is well.
    pub(super) fn remove(&self, network: &Network, at: &RuntimeAttachment) {
        let name = network.name.as_str();
        let path = self.file(name, &at.container, &at.ifname);
        let of_another = |entry: Entry| entry.kind == KIND && !entry.is_of(name, &at.container, &at.ifname);
        if !Entry::read(&path).is_some_and(of_another) {
            // As libcni: DEL has done its work, and a file that stays is found by the next GC.
            let _ = fs::remove_file(&path);
        }
        let _ = fs::remove_file(self.draft(&path));
    }

    fn results(&self) -> PathBuf {
        self.dir.join("results")
    }

    fn file(&self, network: &str, container: &str, ifname: &str) -> PathBuf {
        self.results().join(format!("{network}-{container}-{ifname}"))
    }

    /// Where a file's next content is written. Beside `results` and not in it, where libcni would take one that a crash left
    /// for an attachment; always the same for one attachment, so that DEL finds it.
    fn draft(&self, path: &Path) -> PathBuf {
        self.dir.join(format!(".result-{}", base32(stable_hash(&[&path.to_string_lossy()]), 12)))
    }

    /// Puts a text in a file's place at once.
    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.results())?;
        let draft = self.draft(path);
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?.write_all(text)?;
        fs::rename(&draft, path)
    }
}

/// A file's content, its members in the order of libcni's `cachedInfo`.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Entry {
    kind: String,
    #[serde(rename = "containerId")]
    container: String,
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    config: Vec<u8>,
    #[serde(rename = "ifName")]
    ifname: String,
    #[serde(rename = "networkName")]
    network: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    netns: String,
    #[serde(rename = "cniArgs", skip_serializing_if = "Vec::is_empty")]
    args: Vec<(String, String)>,
    #[serde(rename = "capabilityArgs", skip_serializing_if = "Map::is_empty")]
    capability_args: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    result: Map<String, Value>,
}

impl Entry {
    fn new(network: &Network, at: &RuntimeAttachment, result: &Value) -> Self {
        let sorted = |map: Value| match canonical(map) {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        Self {
            kind: KIND.to_owned(),
            container: at.container.clone(),
            config: network.raw.clone(),
            ifname: at.ifname.clone(),
            network: network.name.as_str().to_owned(),
            netns: at.netns.clone(),
            args: at.args.clone(),
            capability_args: sorted(Value::Object(at.capability_args.clone())),
            result: sorted(result.clone()),
        }
    }

    fn read(file: &Path) -> Option<Self> {
        json::parse(&fs::read(file).ok()?).and_then(json::decode).ok()
    }

    fn is_of(&self, network: &str, container: &str, ifname: &str) -> bool {
        (self.network.as_str(), self.container.as_str(), self.ifname.as_str()) == (network, container, ifname)
    }

    fn attachment(self) -> Option<CachedAttachment> {
        if self.kind != KIND || self.ifname.is_empty() || self.network.is_empty() {
            return None;
        }
        let Self { container, netns, ifname, args, capability_args, network, config, .. } = self;
        let attachment = RuntimeAttachment { container, netns, ifname, args, capability_args };
        Some(CachedAttachment { network, attachment, config })
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
}

const KIND: &str = "cniCacheV1";
