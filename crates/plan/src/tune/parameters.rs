//! Kernel parameters of a container.
//!
//! # Theory of operation
//! The files of the parameters stay open from the look at their former values on: to find one is what costs, in a namespace that is new. Who else has
//! set the same ones, `setters.rs` knows; what it says counts more than the record.
use super::{
    interfaces::Interfaces,
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
    fn path(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// Whether both are one parameter. The kernel has one of them under two names, and those of an interface under the name that it has.
    pub(super) fn is(&self, other: &Self) -> bool {
        match self.link.zip(other.link) {
            Some((one, other_link)) => {
                one.is(&other_link) && self.besides_interface().eq(other.besides_interface())
            }
            None => self.named() == other.named(),
        }
    }

    fn besides_interface(&self) -> impl Iterator<Item = &String> {
        self.path.iter().take(2).chain(self.path.iter().skip(3))
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
    /// These, of this use. Of one that is there under both of its names what is said last counts, as of one that is written twice.
    pub fn new(parameters: Vec<Parameter>, of: Option<Holder>) -> Self {
        let mut kept: Vec<Parameter> = Vec::new();
        for parameter in parameters {
            kept.retain(|other| !other.is(&parameter));
            kept.push(parameter);
        }
        Self { parameters: kept, of }
    }

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

/// Gives these their former values, in the namespace that the thread is in: but for those that somebody has set otherwise since, and those that are
/// gone with their interface. What others have set stays.
fn give_back(held: &[(Held, Option<Held>)], others: &Setters) -> Result<(), Error> {
    let (mut open, mut first, mut interfaces) = (Vec::new(), Ok(()), Interfaces::default());
    for (held, heir) in held.iter().rev() {
        let Some(parameter) = interfaces.find(&held.parameter)? else { continue };
        let held = Held { parameter, shown: held.shown.clone() };
        match held.is_to_go(heir.as_ref()) {
            Ok(file) => open.extend(file.map(|file| (held.parameter, file))),
            Err(cause) if cause.errno() == Some(Errno::ENOENT) => {}
            Err(cause) => first = first.and(Err(cause)),
        }
    }
    // With one that is for all interfaces most of theirs are as they were.
    open.sort_by_key(|(parameter, _)| parameter.rank());
    let mut standing = if open.is_empty() { Vec::new() } else { others.topmost(&mut interfaces)? };
    standing.retain(|it| it.parameter.now() == it.shown);
    // To write one may change another that is done, or make it possible: the second time is for those.
    for (parameter, file) in &open {
        let _again = parameter.restore(file);
    }
    for (parameter, file) in &open {
        first = first
            .and(parameter.restore(file).or_else(|cause| if is_lost(&cause) { Ok(()) } else { Err(cause) }));
    }
    for held in &standing {
        if held.parameter.now() != held.shown {
            first = first.and(held.parameter.open().and_then(|file| file.write(&held.parameter.value)));
        }
    }
    Ok(first?)
}

/// Whether the kernel says that a parameter can't have this any more: by what somebody has set of others, or because what it names is gone. Whoever comes
/// after this has to get to its end.
fn is_lost(cause: &kernel::Error) -> bool {
    matches!(cause.errno(), Some(Errno::EINVAL | Errno::ERANGE | Errno::ENOENT | Errno::EBUSY))
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

    /// Gives it its former value. One that has it is not written: what somebody has set since of one interface would go with one of all.
    fn restore(&self, file: &sysctl::Parameter) -> Result<(), kernel::Error> {
        match &self.former {
            Some(former) if file.read()?.as_ref() != Some(former) => file.write(former),
            Some(_) | None => Ok(()),
        }
    }
}

/// Takes out a use of whose record nobody knows any more what it has set. That has its former values again if it is known in which namespace; else what
/// others there have found goes on to be given back. All files are looked at: for what is rare.
pub(crate) fn leave_unrecorded(holder: &Holder, places: &mut Places) -> Result<(), Error> {
    let mut first = Ok(());
    for path in setters::files(&places.state()?)? {
        let Some(mut setters) = Setters::at(&path)? else { continue };
        let Some(step) = setters.step_of(holder) else { continue };
        let held = setters.take_out(&step);
        if setters.are_of(places)? {
            first = first.and(places.within(Place::Container, || give_back(&held, &setters))?);
        }
        setters.store()?;
    }
    first
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
