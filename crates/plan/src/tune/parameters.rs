//! Kernel parameters of a container.
//!
//! # Theory of operation
//! The files of the parameters stay open from the look at their former values on: to find one is what costs, in a namespace that is new. Who else has
//! set the same ones, `setters.rs` knows; what it says counts more than the record.
use super::{
    setter::{Contested, Held, Setter},
    setters::{Setters, in_force},
    spread::taken_along,
    values,
};
use crate::{
    act::{Act, Own, Work},
    error::Error,
    host_port::Holder,
    places::{Place, Places},
};
use kernel::{Errno, link::LinkId, sysctl};
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
    /// Whose it is, if it is an interface's. Noted when it is set, and not by earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
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
    pub(super) fn path(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    pub(super) fn named(&self) -> Vec<&str> {
        match self.path().as_slice() {
            ["ipv4", "ip_forward"] => vec!["ipv4", "conf", "all", "forwarding"],
            path => path.to_vec(),
        }
    }

    pub(super) fn open(&self) -> Result<sysctl::Parameter, kernel::Error> {
        sysctl::Parameter::open(&self.path())
    }

    fn refused(&self, cause: kernel::Error) -> NoParameter {
        NoParameter::Value { wanted: Box::new(self.clone()), cause }
    }

    /// What it is instead, in words. Besides its own value it may have that in force, if that is known.
    fn differs(&self, in_force: Option<&Held<Parameter>>) -> Option<String> {
        let name = self.path.join("/");
        match sysctl::read(&self.path()) {
            Ok(now) if in_force.is_some_and(|held| held.is_shown_by(&now)) => None,
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

    /// All are tried.
    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        Setters::leave(&self.setter(), places)
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let look = |in_force: &[Held<Parameter>]| -> Vec<String> {
            let in_force = in_force.iter().map(Some).chain(iter::repeat(None));
            self.parameters.iter().zip(in_force).filter_map(|(it, held)| it.differs(held)).collect()
        };
        let mut found = places.within(Place::Container, || look(&[]))?;
        if !found.is_empty() {
            // What looks like another value may be what the kernel has made of ours, or what another network has set since.
            let in_force = in_force(&self.setter(), places)?;
            found = places.within(Place::Container, || look(&in_force))?;
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
    /// These, of this use. Of one that is there under both of its names what is said last counts, as of one that is written twice.
    pub fn new(parameters: Vec<Parameter>, of: Option<Holder>) -> Self {
        let mut kept: Vec<Parameter> = Vec::new();
        for parameter in parameters {
            kept.retain(|other| !other.is(&parameter));
            kept.push(parameter);
        }
        Self { parameters: kept, of }
    }

    pub(super) fn setter(&self) -> Setter<Parameter> {
        Setter::new(self.parameters.clone(), self.of.clone())
    }

    fn write(
        &self,
        mut open: BTreeMap<Vec<String>, sysctl::Parameter>,
        mut setters: Option<&mut Setters<Parameter>>,
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
            setters.enter_with(self, &found, taken_along(&self.parameters)?)?;
        }
        write_all(self.parameters.iter().zip(&files).collect())?;
        // One may have changed another.
        setters.map_or(Ok(()), |setters| setters.show(self, read()?))
    }
}

/// What is said of all interfaces comes first, and what is said of one counts more. One that has the value is written like others: it is another
/// thing to the kernel, which then gives it to all interfaces, or no longer lets the interface follow `conf.default`.
fn write_all(mut left: Vec<(&Parameter, &sysctl::Parameter)>) -> Result<(), Error> {
    left.sort_by_key(|(parameter, _)| parameter.rank());
    // One may be possible only when another is written: the ports that take a privilege, and those of whom nobody has told which.
    loop {
        let (count, mut refused) = (left.len(), None);
        left.retain(|(parameter, file)| match file.write(&parameter.value) {
            Ok(()) => false,
            Err(cause) => {
                refused.get_or_insert_with(|| parameter.refused(cause));
                true
            }
        });
        match refused {
            None => return Ok(()),
            Some(refusal) if left.len() == count => return Err(refusal.into()),
            Some(_) => {}
        }
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
