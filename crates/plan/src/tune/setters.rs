//! Who has set kernel parameters, or an interface, of a namespace, in which order: `STATE/sysctls/<namespace>` and `STATE/links/<namespace>`, a line of JSON
//! for each step of a use of the plugin.
//!
//! # Theory of operation
//! Networks of one container share its parameters, and may share an interface. What is to come back with the last of them is what the first one has found.
//! So one that goes while another stands that came later leaves what both have set as that one has set it, and hands the former value on to it. This can't
//! be in the records, which whoever is at an attachment keeps locked: the former values that count are those here.
//!
//! What a parameter takes along when it is written (`spread.rs`) counts as set by the same use, so all this holds of it, too.
//!
//! The file is its own lock. A use is in it before it writes its first parameter, and until the last is given back; whoever leaves puts a new file
//! in the old one's place, so that one who is killed has left or has not. The kernel shows some parameters otherwise than they were written (in
//! whole ticks of its clock, for one): by a second line, which says what it showed, DEL tells whether a parameter still is what the use has
//! made it. One without that line died amid its ADD, or is of a release that knew no such file. Settings of an interface have none: nothing is made of
//! them, and DEL gives them back whatever somebody has made of them since.
use super::{
    Tuned,
    interfaces::Interfaces,
    parameters::{Parameter, Parameters},
    setter::{Contested, Held, Setter, parse},
};
use crate::{
    error::Error,
    host_port::Holder,
    places::Places,
    state::{State, entries},
};
use kernel::NetnsId;
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Those of one namespace, locked.
pub(super) struct Setters<T: Contested> {
    file: Flock<File>,
    path: PathBuf,
    /// The first one first.
    all: Vec<Setter<T>>,
    /// Whether the last line has no end: who wrote it was killed.
    is_torn: bool,
}

impl<T: Contested> Setters<T> {
    /// Those of the container's namespace, which this one is to be among.
    pub(super) fn join(places: &mut Places) -> Result<Self, Error> {
        let path = file_of::<T>(&places.state()?, places.netns_id()?);
        loop {
            if let Some(setters) = Self::lock(&path, true)? {
                return Ok(setters);
            }
            let directory = path.parent().unwrap_or(&path);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|cause| failed("create", directory, cause))?;
        }
    }

    /// Those that this one is among, or was before a DEL of it was killed; `None` if there are none. Whoever an earlier release has attached is
    /// told of by its record alone.
    pub(super) fn with(setter: &Setter<T>, places: &mut Places) -> Result<Option<Self>, Error> {
        let Some(namespace) = places.namespace()? else { return Ok(None) };
        if setter.of.is_some() || !places.has_container() {
            return Self::lock(&file_of::<T>(&places.state()?, namespace), false);
        }
        let mut setters = Self::join(places)?;
        // Those of earlier releases come in together.
        if setters.all.iter().all(|setter| setter.of.is_some()) {
            let mut older = older(&places.state()?, namespace)?;
            if !older.iter().any(|other| other.is_of(setter)) {
                older.push(setter.clone());
            }
            setters.all.splice(..0, older);
        }
        Ok(Some(setters))
    }

    /// Has a step leave them, and gives back what it has set. Of a namespace that is gone nothing is left to do but to be among them no more.
    pub(super) fn leave(setter: &Setter<T>, places: &mut Places) -> Result<(), Error> {
        let Some(mut setters) = Self::with(setter, places)? else { return Ok(()) };
        let held = setters.take_out(setter);
        if places.has_container() {
            T::give_back(&held, &setters, places)?;
        }
        setters.store()
    }

    /// Has a use leave whose record does not say any more what it has set. That has its former values again if it is known in which namespace; else what
    /// others there have found goes on to be given back. All files are looked at: for what is rare.
    pub(super) fn leave_unrecorded(holder: &Holder, places: &mut Places) -> Result<(), Error> {
        let mut first = Ok(());
        for path in files::<T>(&places.state()?)? {
            let Some(mut setters) = Self::lock(&path, false)? else { continue };
            let is_here =
                places.has_container() && path == file_of::<T>(&places.state()?, places.netns_id()?);
            let is_its = |setter: &&Setter<T>| setter.of.as_ref().is_some_and(|of| of.is(holder));
            let its: Vec<Setter<T>> = setters.all.iter().rev().filter(is_its).cloned().collect();
            for setter in &its {
                let held = setters.take_out(setter);
                if is_here {
                    first = first.and(T::give_back(&held, &setters, places));
                }
            }
            if !its.is_empty() {
                setters.store()?;
            }
        }
        first
    }

    /// Counts this one among them, on top. One that is done again stays where it is, with what it has found.
    pub(super) fn enter(&mut self, setter: Setter<T>) -> Result<(), Error> {
        if !self.has(&setter) {
            self.append(&setter)?;
            self.all.push(setter);
        }
        Ok(())
    }

    fn has(&self, setter: &Setter<T>) -> bool {
        self.all.iter().any(|other| other.is_of(setter))
    }

    /// Takes this one out. What it held, each with who has set it since: to that one the former value is handed on.
    fn take_out(&mut self, setter: &Setter<T>) -> Vec<(Held<T>, Option<Held<T>>)> {
        let Some(at) = self.all.iter().position(|other| other.is_of(setter)) else { return Vec::new() };
        let gone = self.all.remove(at);
        let mut heir_to =
            |held: &Held<T>| self.all.iter_mut().skip(at).find_map(|setter| setter.heir_to(held));
        gone.held().map(|held| (held.clone(), heir_to(&held))).collect()
    }

    /// Puts down who is left. A DEL that is killed before that is as good as one that did not begin.
    fn store(self) -> Result<(), Error> {
        let draft = draft(&self.path);
        if self.all.is_empty() {
            removed(&draft, fs::remove_file(&draft))?;
            removed(&self.path, fs::remove_file(&self.path))?;
            // Not while there are those of another namespace.
            let _others = self.path.parent().map(fs::remove_dir);
            return Ok(());
        }
        let lines = self.all.iter().map(Setter::line).collect::<String>();
        let mut open = OpenOptions::new();
        let opened = open.write(true).create(true).truncate(true).mode(0o600).open(&draft);
        let written = opened.and_then(|mut file| file.write_all(lines.as_bytes()));
        let stored = written.and_then(|()| fs::rename(&draft, &self.path));
        stored.map_err(|cause| failed("write", &self.path, cause))
    }

    fn append(&mut self, setter: &Setter<T>) -> Result<(), Error> {
        let end = if std::mem::take(&mut self.is_torn) { "\n" } else { "" };
        let line = format!("{end}{}", setter.line());
        self.file.write_all(line.as_bytes()).map_err(|cause| failed("write", &self.path, cause))
    }

    /// `None` if there is no such file, or no folder that it could be made in.
    fn lock(path: &Path, create: bool) -> Result<Option<Self>, Error> {
        loop {
            let mut open = OpenOptions::new();
            let file = match open.read(true).append(true).create(create).mode(0o600).open(path) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                other => other.map_err(|cause| failed("open", path, cause))?,
            };
            let locked = Flock::lock(file, FlockArg::LockExclusive);
            let file = locked.map_err(|(_, errno)| failed("lock", path, errno.into()))?;
            if let Some(text) = read(&file).map_err(|cause| failed("read", path, cause))? {
                let is_torn = !text.is_empty() && !text.ends_with('\n');
                return Ok(Some(Self { file, path: path.to_owned(), all: parse(&text), is_torn }));
            }
        }
    }
}

impl Setters<Parameter> {
    /// Counts this one among them, with what it finds, and with what its parameters take along.
    pub(super) fn enter_with(
        &mut self,
        step: &Parameters,
        found: &[Option<String>],
        along: Vec<Parameter>,
    ) -> Result<(), Error> {
        let mut setter = step.setter();
        if self.has(&setter) {
            return Ok(());
        }
        for (parameter, found) in setter.set.iter_mut().zip(found) {
            parameter.former.clone_from(found);
        }
        let along = along.into_iter().map(|it| Parameter { former: it.now(), ..it });
        setter.set.extend(along.filter(|it| it.former.is_some()));
        Interfaces::default().note(&mut setter.set)?;
        self.enter(setter)
    }

    /// Says what the kernel shows now that all is written: of the parameters, and then of what they have taken along.
    pub(super) fn show(&mut self, step: &Parameters, mut shown: Vec<Option<String>>) -> Result<(), Error> {
        let of_step = step.setter();
        let Some(setter) = self.all.iter_mut().find(|setter| setter.is_of(&of_step)) else { return Ok(()) };
        let own = shown.len();
        shown.extend(setter.set.iter().skip(own).map(Parameter::now));
        let all = std::mem::take(&mut setter.set).into_iter().zip(shown).enumerate();
        // What may have been taken along and was not is nobody's affair.
        let is_set = |at: usize, it: &Parameter, shown: &Option<String>| {
            at < own || it.former != *shown || it.is_given_by(&step.parameters)
        };
        (setter.set, setter.shown) =
            all.filter(|(at, (it, shown))| is_set(*at, it, shown)).map(|(_, both)| both).unzip();
        let setter = setter.clone();
        self.append(&setter)
    }

    /// What was set last of each parameter, as far as it is known what the kernel showed.
    pub(super) fn topmost(&self, interfaces: &mut Interfaces) -> Result<Vec<Held<Parameter>>, kernel::Error> {
        let mut topmost: Vec<Held<Parameter>> = Vec::new();
        for held in self.all.iter().rev().flat_map(Setter::held) {
            if !topmost.iter().any(|other| other.it.is(&held.it)) {
                topmost.push(held);
            }
        }
        topmost.retain(|held| held.shown.is_some());
        let found = |Held { it, shown }: Held<Parameter>| {
            let found = interfaces.find(&it).transpose()?;
            Some(found.map(|it| Held { it, shown }))
        };
        topmost.into_iter().filter_map(found).collect()
    }
}

impl State {
    /// Everybody who has set kernel parameters or an interface, of whichever namespace.
    pub(crate) fn setters(&self) -> Result<Vec<Holder>, Error> {
        Ok([holders::<Parameter>(self)?, holders::<Tuned>(self)?].concat())
    }
}

fn holders<T: Contested>(state: &State) -> Result<Vec<Holder>, Error> {
    let mut holders = Vec::new();
    for path in files::<T>(state)? {
        let text = fs::read_to_string(&path).unwrap_or_default();
        holders.extend(parse::<T>(&text).into_iter().filter_map(|setter| setter.of));
    }
    Ok(holders)
}

/// The files of all namespaces.
fn files<T: Contested>(state: &State) -> Result<Vec<PathBuf>, Error> {
    let folder = folder::<T>(state);
    let names = entries(&folder)?.into_iter().filter(|name| !name.starts_with('.'));
    Ok(names.map(|name| folder.join(name)).collect())
}

/// What is in force of what this one has set: its own, or that of whoever came last after it. Read without waiting for who is at them.
pub(super) fn in_force<T: Contested>(setter: &Setter<T>, places: &mut Places) -> Result<Vec<Held<T>>, Error> {
    let path = file_of::<T>(&places.state()?, places.netns_id()?);
    let text = match fs::read_to_string(&path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => String::new(),
        other => other.map_err(|cause| failed("read", &path, cause))?,
    };
    let all = parse::<T>(&text);
    // Who is not among them came before: with an earlier release, or another suite.
    let own = all.iter().position(|other| other.is_of(setter)).unwrap_or_default();
    let last = |held: Held<T>| {
        all.iter().skip(own).rev().find_map(|setter| setter.held_of(&held.it)).unwrap_or(held)
    };
    Ok(setter.held().map(last).collect())
}

/// `None` of a file that is in its place no more: somebody has left meanwhile.
fn read(mut file: &File) -> io::Result<Option<String>> {
    let metadata = file.metadata()?;
    let mut text = String::new();
    if metadata.len() > 0 {
        file.read_to_string(&mut text)?;
    }
    Ok((metadata.nlink() > 0).then_some(text))
}

/// Whom an earlier release has attached to this namespace, in the order of their records.
fn older<T: Contested>(state: &State, namespace: NetnsId) -> Result<Vec<Setter<T>>, Error> {
    let mut found = Vec::new();
    for (path, journal) in state.journals()? {
        if !journal.intent.is_some_and(|intent| intent.netns_id.may_be(&namespace)) {
            continue;
        }
        let steps = journal.plan.iter().flat_map(crate::Plan::steps);
        let set = steps.filter_map(|(_, step)| T::set_by(step)).filter(|setter| setter.of.is_none());
        let at = || fs::metadata(&path).map(|it| (it.mtime(), it.mtime_nsec())).unwrap_or_default();
        found.extend(set.map(|setter| (at(), path.clone(), setter)));
    }
    found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    Ok(found.into_iter().map(|(_, _, setter)| setter).collect())
}

/// With the cookie, where the kernel tells it: the inode is given again.
fn file_of<T: Contested>(state: &State, namespace: NetnsId) -> PathBuf {
    let cookie = namespace.cookie.map(|cookie| format!("-{cookie}")).unwrap_or_default();
    folder::<T>(state).join(format!("{}{cookie}", namespace.ino))
}

fn folder<T: Contested>(state: &State) -> PathBuf {
    state.directory().join(T::FOLDER)
}

fn draft(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}"))
}

fn removed(path: &Path, outcome: io::Result<()>) -> Result<(), Error> {
    match outcome {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed("remove", path, cause)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn failed(doing: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::State { doing, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, process};

    fn step(plugin: &str, value: &str) -> Parameters {
        let of = Holder {
            network: "n".parse().unwrap(),
            container: "c".parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
            plugin: plugin.to_owned(),
            name: None,
        };
        let path = vec!["core".to_owned(), "somaxconn".to_owned()];
        let parameters = vec![Parameter { path, value: value.to_owned(), former: None, link: None }];
        Parameters { parameters, of: Some(of) }
    }

    /// A file that goes with the test, and in it who has set values one after the other over `first`.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, first: &str, all: &[(&str, &str)]) -> Self {
            let directory = env::temp_dir().join(format!("sealane-setters-{name}-{}", process::id()));
            fs::create_dir(&directory).unwrap();
            let scratch = Self(directory.join("1-2"));
            let mut found = vec![Some(first.to_owned())];
            for (plugin, value) in all {
                let mut setters = scratch.open();
                setters.enter_with(&step(plugin, value), &found, Vec::new()).unwrap();
                found = vec![Some((*value).to_owned())];
                setters.show(&step(plugin, value), found.clone()).unwrap();
            }
            scratch
        }

        fn open(&self) -> Setters<Parameter> {
            Setters::lock(&self.0, true).unwrap().unwrap()
        }

        /// What this one would give back, and whether another stands that has set it since.
        fn take_out(&self, plugin: &str) -> Option<(Option<String>, bool)> {
            let mut setters = Setters::<Parameter>::lock(&self.0, false).unwrap()?;
            let gone = setters.take_out(&step(plugin, "").setter()).pop();
            setters.store().unwrap();
            gone.map(|(held, heir)| (held.it.former, heir.is_some()))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = self.0.parent().map(fs::remove_dir_all);
        }
    }

    #[test]
    fn in_whatever_order_they_leave_the_last_one_has_what_the_first_has_found() {
        let gives_back = |former: &str, is_above: bool| Some((Some(former.to_owned()), is_above));
        for values in [["1", "2", "3"], ["1", "0", "3"], ["1", "1", "1"], ["0", "0", "2"]] {
            let all = [("a", values[0]), ("b", values[1]), ("c", values[2])];
            for (order, formers) in [(["b", "a", "c"], [values[0], "0", "0"]), (["a", "b", "c"], ["0"; 3])] {
                let scratch = Scratch::new("order", "0", &all);
                for (plugin, former) in order.into_iter().zip(formers) {
                    assert_eq!(
                        scratch.take_out(plugin),
                        gives_back(former, plugin != "c"),
                        "{values:?} {order:?}"
                    );
                    assert_eq!(scratch.take_out(plugin), None, "{values:?} {order:?}");
                }
                assert!(!scratch.0.exists());
            }
        }
    }

    #[test]
    fn a_line_that_is_torn_says_nothing_and_spares_the_next() {
        let scratch = Scratch::new("torn", "0", &[("a", "1")]);
        let whole = fs::read_to_string(&scratch.0).unwrap();
        let second = step("b", "2").setter().line();
        for length in 1..second.len() {
            fs::write(&scratch.0, format!("{whole}{}", &second[..length])).unwrap();
            let mut setters = scratch.open();
            let last_is_whole = length + 1 == second.len();
            assert_eq!(setters.all.len(), if last_is_whole { 2 } else { 1 }, "{length}");
            setters.enter_with(&step("c", "3"), &[Some("1".to_owned())], Vec::new()).unwrap();
            drop(setters);
            assert!(
                scratch.open().all.iter().any(|setter| setter.is_of(&step("c", "3").setter())),
                "{length}"
            );
        }
    }

    #[test]
    fn one_that_is_done_again_stays_where_it_is_with_what_it_has_found() {
        for is_killed_then in [false, true] {
            let scratch = Scratch::new("again", "0", &[("a", "1"), ("b", "2")]);
            let mut setters = scratch.open();
            setters.enter_with(&step("a", "1"), &[Some("2".to_owned())], Vec::new()).unwrap();
            if !is_killed_then {
                setters.show(&step("a", "1"), vec![Some("1".to_owned())]).unwrap();
            }
            drop(setters);
            assert_eq!(scratch.take_out("a"), Some((Some("0".to_owned()), true)));
            assert_eq!(scratch.take_out("b"), Some((Some("0".to_owned()), false)));
        }
    }
}
