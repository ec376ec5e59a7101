//! The `CNI_*` variables, checked in the reference's order: a value that cannot be is reported at once, what is missing all
//! together at the end.
use crate::{args::Args, error::Error, request::Attachment};
use std::{
    ffi::{OsStr, OsString},
    path::{PathBuf, absolute},
};
use types::{ContainerId, IfName, InvalidName};

/// Where variables come from; one that is empty is as good as not set.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What the variables say. The command is not yet known to be a verb.
pub(crate) struct Environment {
    pub(crate) command: String,
    pub(crate) args: Args,
    pub(crate) cni_path: Vec<PathBuf>,
    /// Whether `CNI_NETNS` may be the plugin's own.
    pub(crate) may_share_netns: bool,
    /// There for ADD, CHECK and DEL; but not for a DEL of an interface that ADD would have refused, as its name can be nobody's.
    pub(crate) attachment: Option<Attachment>,
}

impl Environment {
    pub(crate) fn read(lookup: Lookup<'_>) -> Result<Self, Error> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str| get(name).map(|value| value.to_string_lossy().into_owned());
        let command = text("CNI_COMMAND").unwrap_or_default();
        let attaches = matches!(command.as_str(), "ADD" | "CHECK" | "DEL");
        let mut missing = Vec::new();
        let mut need = |name: &'static str, needed: bool| {
            let value = get(name);
            if value.is_none() && needed {
                missing.push(name);
            }
            value.filter(|_| needed)
        };

        need("CNI_COMMAND", true);
        let container = need("CNI_CONTAINERID", attaches).map(|value| container_id(&value)).transpose()?;
        need("CNI_NETNS", attaches && command != "DEL");
        let ifname = match need("CNI_IFNAME", attaches).map(|value| interface_name(&value)).transpose() {
            // The reference's DEL succeeds with it, and a runtime sends it once ADD was refused.
            Err(Error::IfNameOfNobody(_)) if command == "DEL" => None,
            ifname => ifname?,
        };
        let path = need("CNI_PATH", attaches || matches!(command.as_str(), "GC" | "STATUS"));
        if !missing.is_empty() {
            return Err(Error::MissingEnv(missing));
        }
        let netns = get("CNI_NETNS").map(|path| from_anywhere(path.into()));
        let attachment = container.zip(ifname);
        Ok(Self {
            command,
            args: Args::new(text("CNI_ARGS").unwrap_or_default()),
            cni_path: path.as_deref().map(folders).unwrap_or_default(),
            may_share_netns: text("CNI_NETNS_OVERRIDE")
                .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")),
            attachment: attachment.map(|(container, ifname)| Attachment { container, ifname, netns }),
        })
    }
}

/// A path that leads to the same from wherever the next verb is called.
fn from_anywhere(path: PathBuf) -> PathBuf {
    if path.is_absolute() { path } else { absolute(&path).unwrap_or(path) }
}

/// The folders of a `CNI_PATH`. An empty one would be whatever folder the runtime happens to be in.
fn folders(path: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty()).collect()
}

fn container_id(value: &OsStr) -> Result<ContainerId, Error> {
    let value = value.to_string_lossy();
    value.parse().map_err(|_| Error::ContainerId(value.into_owned()))
}

fn interface_name(value: &OsStr) -> Result<IfName, Error> {
    let text = value.to_string_lossy();
    if text.len() > 15 {
        return Err(Error::IfNameTooLong(text.into_owned()));
    }
    if text == "." || text == ".." {
        return Err(Error::IfNameDots(text.into_owned()));
    }
    if text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
        return Err(Error::IfNameCharacters(text.into_owned()));
    }
    if value.to_str().is_none() {
        let (what, value) = ("interface name", text.into_owned());
        return Err(Error::IfNameOfNobody(InvalidName::Characters { what, value }));
    }
    text.parse().map_err(Error::IfNameOfNobody)
}
