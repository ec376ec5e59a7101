//! Who is measured, and the configurations that they are measured with.
use crate::{error::Error, shell};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Names of subjects, as the tables find them again.
pub(super) const OURS: &str = "sealane";
pub(super) const REFERENCE: &str = "reference 1.9.1";
pub(super) const REFERENCE_IPTABLES: &str = "reference, iptables";
pub(super) const REFERENCE_NFTABLES: &str = "reference, nftables";
pub(super) const NETAVARK: &str = "netavark 1.4";
pub(super) const FLOOR: &str = "floor, unlist";
pub(super) const SYNCHRONOUS_FLOOR: &str = "floor, q1";
pub(super) const FLOOR_SET: &str = "floor, set";

/// What is measured.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// A directory of plugins; of netavark the executable.
    pub(super) bin: PathBuf,
    /// A conflist; of netavark its own JSON with places to fill in.
    pub(super) config: PathBuf,
    pub(super) kind: Kind,
    /// Options of the driver that its configuration needs.
    pub(super) options: &'static [&'static str],
}

/// How the driver is to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Cni,
    /// The floor wants its sets to be there.
    Prepared(PathBuf),
    Netavark,
}

/// A subject of the parts with ports.
#[derive(Debug)]
pub(super) struct Chained {
    pub(super) subject: Subject,
    /// Whether hundreds of containers take it minutes.
    pub(super) slow: bool,
}

/// One configuration, and who is measured with it.
#[derive(Debug)]
pub(super) struct Alone {
    pub(super) plugin: &'static str,
    pub(super) subjects: Vec<Subject>,
}

/// Everybody.
#[derive(Debug)]
pub(super) struct Subjects {
    pub(super) bridge: Vec<Subject>,
    pub(super) chain: Vec<Chained>,
    pub(super) alone: Vec<Alone>,
    pub(super) full: Vec<Subject>,
}

/// What `setup.sh` has made.
pub(super) struct Tools {
    pub(super) driver: PathBuf,
    pub(super) reference: PathBuf,
    pub(super) floor: PathBuf,
    netavark: PathBuf,
}

/// Runs `setup.sh`, which makes what is not there yet: in its own folder, for here its cargo would take our configuration, whose target
/// moves what it builds.
pub(super) fn setup(shared: &Path) -> Result<Tools, Error> {
    let script = shared.join("bench/setup.sh");
    if !script.exists() {
        return Err(Error::Missing {
            path: script,
            what: "the benchmark's driver belongs beside this repository",
        });
    }
    let printed = shell::read(Command::new("bash").arg(&script).current_dir(shared))?;
    let printed = String::from_utf8_lossy(&printed);
    let path = |key: &str| {
        let value = |line: &str| line.strip_prefix(key).map(|path| PathBuf::from(path.trim()));
        printed.lines().find_map(value).unwrap_or_default()
    };
    Ok(Tools {
        driver: path("driver "),
        floor: path("floor "),
        reference: path("ref "),
        netavark: path("netavark "),
    })
}

impl Subjects {
    /// `conf` has the driver's own configurations, `folder` takes those of the chain.
    pub(super) fn new(conf: &Path, ours: &Path, tools: &Tools, folder: &Path) -> Result<Self, Error> {
        let floor = |name, conflist: &str| cni(name, &tools.floor, conf.join(conflist));
        let prepared = |subject| Subject { kind: Kind::Prepared(conf.join("phys.nft")), ..subject };
        let netavark = Subject {
            kind: Kind::Netavark,
            ..cni(NETAVARK, &tools.netavark.join("netavark"), conf.join("netavark.json"))
        };
        let chain = |subject, slow| Chained { subject, slow };
        let theirs = |name, backend| {
            Ok::<_, Error>(cni(name, &tools.reference, write(folder, backend, &conflist(Some(backend)))?))
        };
        let default = write(folder, "default", &conflist(None))?;
        Ok(Self {
            alone: alone(conf, ours, tools),
            full: full(conf, ours, tools),
            bridge: vec![
                cni(OURS, ours, conf.join("b.conflist")),
                cni(REFERENCE, &tools.reference, conf.join("b.conflist")),
                floor(FLOOR, "p-b-unlist.conflist"),
                floor(SYNCHRONOUS_FLOOR, "p-b-q1.conflist"),
            ],
            chain: vec![
                chain(cni(OURS, ours, default), false),
                chain(theirs(REFERENCE_IPTABLES, "iptables")?, true),
                chain(theirs(REFERENCE_NFTABLES, "nftables")?, true),
                chain(netavark, true),
                chain(prepared(floor(FLOOR_SET, "p-c-set.conflist")), false),
                chain(prepared(floor(FLOOR, "p-c-unlist.conflist")), false),
            ],
        })
    }
}

fn cni(name: &'static str, bin: &Path, conflist: PathBuf) -> Subject {
    Subject { name, bin: bin.into(), config: conflist, kind: Kind::Cni, options: &[] }
}

/// The plugins that are measured by themselves.
fn alone(conf: &Path, ours: &Path, tools: &Tools) -> Vec<Alone> {
    let alone = |(plugin, conflist, options)| {
        let both = [(OURS, ours), (REFERENCE, &tools.reference)];
        let subjects = both.map(|(name, bin)| Subject { options, ..cni(name, bin, conf.join(conflist)) });
        Alone { plugin, subjects: subjects.into() }
    };
    let uplink: &[_] = &["--uplink"];
    let all = [
        ("macvlan", "f-macvlan.conflist", uplink),
        ("ptp", "f-ptp.conflist", &[]),
        ("ptp (ipMasq)", "f-ptp-masq.conflist", &[]),
    ];
    all.map(alone).into()
}

/// The chain with bandwidth and tuning.
fn full(conf: &Path, ours: &Path, tools: &Tools) -> Vec<Subject> {
    let full =
        |(name, bin, conflist)| Subject { options: &["--bandwidth"], ..cni(name, bin, conf.join(conflist)) };
    let all = [
        (OURS, ours, "e-own.conflist"),
        (REFERENCE_IPTABLES, &*tools.reference, "e-ipt.conflist"),
        (REFERENCE_NFTABLES, &*tools.reference, "e-nft.conflist"),
    ];
    all.map(full).into()
}

/// The chain: with the plugins' own choice of backend, or with one. The reference's `firewall` has none for nftables.
pub(super) fn plugins(backend: Option<&str>, data_dir: &Path) -> [Value; 3] {
    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": data_dir});
    let bridge = json!({"type": "bridge", "bridge": "bn0", "isGateway": true, "ipMasq": true, "ipam": ipam});
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    let firewall = json!({"type": "firewall"});
    match backend {
        None => [bridge, portmap, firewall],
        Some(backend) => [
            with(bridge, "ipMasqBackend", json!(backend)),
            with(portmap, "backend", json!(backend)),
            with(firewall, "backend", json!("iptables")),
        ],
    }
}

/// A JSON object with one key more, or another value for it.
pub(super) fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(keys) = object.as_object_mut() {
        keys.insert(key.to_owned(), value);
    }
    object
}

fn conflist(backend: Option<&str>) -> Value {
    let plugins = plugins(backend, Path::new("/var/lib/cni/networks"));
    json!({"cniVersion": "1.0.0", "name": "bench", "plugins": plugins})
}

fn write(folder: &Path, name: &str, conflist: &Value) -> Result<PathBuf, Error> {
    let path = folder.join(format!("{name}.conflist"));
    fs::write(&path, conflist.to_string()).map_err(|cause| Error::File {
        what: "write",
        path: path.clone(),
        cause,
    })?;
    Ok(path)
}
