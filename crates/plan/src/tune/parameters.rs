//! Kernel parameters of a container.
//!
//! # Theory of operation
//! The files of the parameters stay open from the look at their former values on: to find one is what costs, in a namespace that is new. Who else has
//! set the same ones, `setters.rs` knows; what it says counts more than the record.
use super::{
    setters::{self, Held, Setters},
    spread::taken_along,
    values,
};
use crate::{
    act::{Act, Own, Work},
    error::Error,
    host_port::Holder,
    places::{Place, Places},
};
use kernel::{Errno, sysctl};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, iter};

/// Kernel parameters of the container, which have their former values again when the attachment goes. They are read, written and given back
/// in one visit each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Each of them, in order.
    pub parameters: Vec<Parameter>,
    /// Whose use of the plugin it is that sets them. Records of earlier releases don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Holder>,
}

/// A kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// The path below `/proc/sys/net`, part by part (an interface's name may contain a dot).
    pub path: Vec<String>,
    /// What it is to be.
    pub value: String,
    /// What it was; `None` of one that can't be read.
    pub former: Option<String>,
}

/// Why a kernel parameter can't be set.
#[derive(Debug, thiserror::Error)]
pub enum NoParameter {
    /// It is not there.
    #[error("there is no sysctl net/{} in the container", .path.join("/"))]
    Missing {
        /// Its path below `/proc/sys/net`.
        path: Vec<String>,
        /// The kernel's words.
        #[source]
        cause: kernel::Error,
    },
    /// The kernel does not take this value.
    #[error("sysctl net/{} can't be {:?} in the container", .wanted.path.join("/"), .wanted.value)]
    Value {
        /// What it was to be.
        wanted: Box<Parameter>,
        /// The kernel's words.
        #[source]
        cause: kernel::Error,
    },
    /// It is there, and can't be set.
    #[error("sysctl net/{} can't be set in the container", .path.join("/"))]
    Refused {
        /// Its path below `/proc/sys/net`.
        path: Vec<String>,
        /// The kernel's words.
        #[source]
        cause: kernel::Error,
    },
}

impl NoParameter {
    /// What the person does next.
    pub fn hint(&self) -> String {
        match self {
            NoParameter::Missing { .. } => {
                "`sysctl -a` in a container shows what there is; some are the host's alone".into()
            }
            NoParameter::Value { wanted, .. } => {
                let former = wanted
                    .former
                    .as_ref()
                    .map(|former| format!("it is {former:?} now; "))
                    .unwrap_or_default();
                format!("{former}ip-sysctl.rst of the kernel's documentation says what it can be")
            }
            NoParameter::Refused { path, cause } if cause.errno() == Some(Errno::EISDIR) => {
                format!("it is a folder: `ls /proc/sys/net/{}` shows what can be set", path.join("/"))
            }
            NoParameter::Refused { .. } => "some can only be read, or only by the host".into(),
        }
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sysctl")?;
        for (at, parameter) in self.parameters.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma} net/{} = {}", parameter.path.join("/"), parameter.value)?;
            if let Some(former) = &parameter.former {
                write!(f, " (was {former})")?;
            }
        }
        write!(f, " {}", Place::Container)
    }
}

impl Parameter {
    fn path(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// Whether both are one parameter. The kernel has one of them under two names.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.named() == other.named()
    }

    pub(super) fn named(&self) -> Vec<&str> {
        match self.path().as_slice() {
            ["ipv4", "ip_forward"] => vec!["ipv4", "conf", "all", "forwarding"],
            path => path.to_vec(),
        }
    }

    fn open(&self) -> Result<sysctl::Parameter, kernel::Error> {
        sysctl::Parameter::open(&self.path())
    }

    fn refused(&self, cause: kernel::Error) -> NoParameter {
        NoParameter::Value { wanted: Box::new(self.clone()), cause }
    }

    /// What it is instead, in words; `shown` is what the kernel showed when it was set, if that is known.
    fn differs(&self, shown: Option<&String>) -> Option<String> {
        let name = self.path.join("/");
        match sysctl::read(&self.path()) {
            Ok(now) if shown == Some(&now) => None,
            Ok(now) => (!values::are_same(&now, &self.value)).then(|| format!("net/{name} is {now}")),
            // One that can only be written.
            Err(cause) if cause.errno() == Some(Errno::EACCES) => None,
            Err(cause) => Some(format!("net/{name} can't be read: {cause}")),
        }
    }
}

impl Act for Parameters {
    fn place(&self) -> Place {
        Place::Container
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    /// All are tried. Of a namespace that is gone nothing is left to do but to be among those no more that have set its parameters.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        let Some(mut setters) = Setters::with(self, places)? else { return Ok(()) };
        let held = setters.take_out(self);
        if places.has_container() {
            places.within(Place::Container, || give_back(&held, &setters))??;
        }
        setters.store()
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let look = |shown: &[Option<String>]| -> Vec<String> {
            let shown = shown.iter().map(Option::as_ref).chain(iter::repeat(None));
            self.parameters.iter().zip(shown).filter_map(|(it, shown)| it.differs(shown)).collect()
        };
        let mut found = places.within(Place::Container, || look(&[]))?;
        if !found.is_empty() {
            // What looks like another value may be what the kernel has made of ours.
            let shown = setters::shown(self, places)?;
            found = places.within(Place::Container, || look(&shown))?;
        }
        Ok((!found.is_empty()).then(|| found.join(", ")))
    }
}

impl Own for Parameters {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let open = places.take_parameters();
        let mut setters = self.of.as_ref().map(|_| Setters::join(places)).transpose()?;
        places.within(Place::Container, || self.write(open, setters.as_mut()))?
    }
}

impl Parameters {
    fn write(
        &self,
        mut open: BTreeMap<Vec<String>, sysctl::Parameter>,
        mut setters: Option<&mut Setters>,
    ) -> Result<(), Error> {
        let file_of = |it: &Parameter| {
            let opened = open.remove(&it.path).map_or_else(|| it.open(), Ok);
            opened.map_err(|cause| it.refused(cause))
        };
        let files = self.parameters.iter().map(file_of).collect::<Result<Vec<_>, _>>()?;
        let read = || files.iter().map(sysctl::Parameter::read).collect::<Result<Vec<_>, _>>();
        // Since the facts were asked for, who has set one may have gone.
        let found = read()?;
        if let Some(setters) = &mut setters {
            setters.enter(self, &found, taken_along(&self.parameters)?)?;
        }
        // One that has the value is not written: for some the kernel tries for its network lock then.
        let to_write = self.parameters.iter().zip(&files).zip(&found);
        let to_write = to_write.filter(|((it, _), found)| found.as_ref() != Some(&it.value));
        for ((parameter, file), _) in to_write {
            file.write(&parameter.value).map_err(|cause| parameter.refused(cause))?;
        }
        // One may have changed another.
        setters.map_or(Ok(()), |setters| setters.show(self, read()?))
    }
}

/// Gives these their former values, in the namespace that the thread is in: but for those that somebody has set otherwise since, and those that are
/// gone with their interface. What others have set stays.
fn give_back(held: &[(Held, Option<Held>)], others: &Setters) -> Result<(), Error> {
    let (mut open, mut first) = (Vec::new(), Ok(()));
    for (held, heir) in held.iter().rev() {
        match held.is_to_go(heir.as_ref()) {
            Ok(file) => open.extend(file.map(|file| (&held.parameter, file))),
            Err(cause) if cause.errno() == Some(Errno::ENOENT) => {}
            Err(cause) => first = first.and(Err(cause)),
        }
    }
    // With one that is for all interfaces most of theirs are as they were.
    open.sort_by_key(|(parameter, _)| parameter.for_all().is_none());
    let standing = if open.is_empty() { Vec::new() } else { others.topmost() };
    let standing: Vec<_> = standing.into_iter().filter(|it| it.parameter.now() == it.shown).collect();
    // To write one may change another that is done: the second time is for those.
    for (parameter, file) in open.iter().chain(&open) {
        first = first.and(parameter.restore(file));
    }
    for held in &standing {
        if held.parameter.now() != held.shown {
            first = first.and(held.parameter.open().and_then(|file| file.write(&held.parameter.value)));
        }
    }
    Ok(first?)
}

impl Held {
    /// The file of one that is to have its former value again, or has it and is to keep it; `None` of one that somebody has set otherwise since:
    /// its heir, for one, unless that one's DEL was killed when it had given it back.
    fn is_to_go(&self, heir: Option<&Held>) -> Result<Option<sysctl::Parameter>, kernel::Error> {
        let Some(former) = &self.parameter.former else { return Ok(None) };
        let file = self.parameter.open()?;
        let Some(now) = file.read()? else { return Ok(None) };
        if heir.is_some_and(|heir| heir.is_shown_by(&now)) {
            return Ok(None);
        }
        let is_ours = now == *former
            || self.is_shown_by(&now)
            || (self.shown.is_none() && self.becomes(&file, &now)?);
        Ok(is_ours.then_some(file))
    }

    fn is_shown_by(&self, now: &String) -> bool {
        self.shown.as_ref().map_or_else(|| values::are_same(now, &self.parameter.value), |shown| shown == now)
    }

    /// Whether the kernel makes this value of ours. It is written for that, so only where nobody knows.
    fn becomes(&self, file: &sysctl::Parameter, now: &String) -> Result<bool, kernel::Error> {
        if file.write(&self.parameter.value).is_err() {
            return Ok(false);
        }
        let is_ours = file.read()?.as_ref() == Some(now);
        if is_ours { Ok(true) } else { file.write(now).map(|()| false) }
    }
}

impl Parameter {
    /// Its value, if it is there and can be read.
    pub(super) fn now(&self) -> Option<String> {
        sysctl::read(&self.path()).ok()
    }

    fn restore(&self, file: &sysctl::Parameter) -> Result<(), kernel::Error> {
        let Some(former) = &self.former else { return Ok(()) };
        if file.read()?.as_ref() == Some(former) { Ok(()) } else { file.write(former) }
    }
}

/// Opens these parameters of the container, and reads what they are.
pub(crate) fn look(
    places: &mut Places,
    paths: &[Vec<String>],
) -> Result<BTreeMap<Vec<String>, Option<String>>, Error> {
    let opened: Result<Vec<_>, NoParameter> =
        places.within(Place::Container, || paths.iter().map(|path| open(path)).collect())?;
    let mut values = BTreeMap::new();
    for (path, (parameter, value)) in paths.iter().zip(opened?) {
        places.keep_parameter(path.clone(), parameter);
        values.insert(path.clone(), value);
    }
    Ok(values)
}

fn open(path: &[String]) -> Result<(sysctl::Parameter, Option<String>), NoParameter> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let refused = |cause: kernel::Error| {
        let path = path.to_vec();
        if matches!(cause.errno(), Some(Errno::ENOENT | Errno::ENOTDIR)) {
            NoParameter::Missing { path, cause }
        } else {
            NoParameter::Refused { path, cause }
        }
    };
    let parameter = sysctl::Parameter::open(&parts).map_err(refused)?;
    let value = parameter.read().map_err(refused)?;
    Ok((parameter, value))
}
