//! Kernel parameters of a container.
//!
//! # Theory of operation
//! The files of the parameters stay open from the look at their former values on: to find one is what costs, in a namespace that is new.
use super::values;
use crate::{
    act::{Act, Own, Work},
    error::Error,
    places::{Place, Places},
};
use kernel::{Errno, sysctl};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Kernel parameters of the container, which have their former values again when the attachment goes. They are read, written and given back
/// in one visit each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Each of them, in order.
    pub parameters: Vec<Parameter>,
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

    fn refused(&self, cause: kernel::Error) -> NoParameter {
        NoParameter::Value { wanted: Box::new(self.clone()), cause }
    }

    /// What it is instead, in words.
    fn differs(&self) -> Option<String> {
        let name = self.path.join("/");
        match sysctl::read(&self.path()) {
            Ok(now) => (!values::are_same(&now, &self.value)).then(|| format!("net/{name} is {now}")),
            // One that can only be written.
            Err(cause) if cause.errno() == Some(Errno::EACCES) => None,
            Err(cause) => Some(format!("net/{name} can't be read: {cause}")),
        }
    }

    /// Gives it its former value, unless somebody has given it another one since: that stays. One that is gone, with its interface, needs none.
    fn restore(&self) -> Result<(), Error> {
        let Some(former) = &self.former else { return Ok(()) };
        let open = sysctl::Parameter::open(&self.path());
        match open.and_then(|it| if self.is_to_go(&it)? { it.write(former) } else { Ok(()) }) {
            Err(cause) if cause.errno() != Some(Errno::ENOENT) => Err(cause.into()),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// Whether it still is what it was set to, and was something else before.
    fn is_to_go(&self, open: &sysctl::Parameter) -> Result<bool, kernel::Error> {
        let now = open.read()?;
        let is_ours = now.as_ref().is_some_and(|now| values::are_same(now, &self.value));
        Ok(is_ours && now != self.former)
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
        if !places.has_container() {
            return Ok(());
        }
        places.within(Place::Container, || {
            let mut first = Ok(());
            for parameter in self.parameters.iter().rev() {
                first = first.and(parameter.restore());
            }
            first
        })?
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        let found: Vec<String> = places
            .within(Place::Container, || self.parameters.iter().filter_map(Parameter::differs).collect())?;
        Ok((!found.is_empty()).then(|| found.join(", ")))
    }
}

impl Own for Parameters {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        let open = places.take_parameters();
        let written = places.within(Place::Container, || {
            // One that has the value is not written: for some the kernel tries for its network lock then.
            let others = self.parameters.iter().filter(|it| it.former.as_ref() != Some(&it.value));
            others.into_iter().try_for_each(|parameter| {
                let written = match open.get(&parameter.path) {
                    Some(it) => it.write(&parameter.value),
                    None => {
                        sysctl::Parameter::open(&parameter.path()).and_then(|it| it.write(&parameter.value))
                    }
                };
                written.map_err(|cause| parameter.refused(cause))
            })
        })?;
        Ok(written?)
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
