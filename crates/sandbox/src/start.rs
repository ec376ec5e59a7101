//! The starter's side: the one that makes a sandbox, waits for it, and takes it along when it goes.
use crate::{
    Error, Exit, INIT, Output, PASSED_ON, Spec,
    command::not_run,
    dialogue::{Dialogue, Order, Report},
    job::{Job, attend},
};
use kernel::{Namespace, Pidfd, Signal, Signals};
use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

/// Where every process finds the executable that it runs.
pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";

/// A started init that has made its mounts, brought up `lo`, and waits; later, one that runs the command. Dropped, it is
/// killed, and all in it.
#[derive(Debug)]
pub struct Sandbox {
    init: Child,
    held: Pidfd,
    dialogue: Dialogue,
    signals: Signals,
    job: Job,
    parent: Option<Parent>,
    command: String,
    /// The status, once init has been waited for.
    ended: Option<Exit>,
    /// The signal that came before there was a command to pass it on to.
    interrupted: Option<Signal>,
}

/// The thread that has started init and must outlive it.
#[derive(Debug)]
pub(crate) struct Parent {
    until: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Sandbox {
    /// Makes the namespaces, and init in them. From here on the signals that would end this process wait until
    /// [`Sandbox::go`] or [`Sandbox::wait`]: call it before any other thread is started. No other program should be
    /// started meanwhile, it would inherit a descriptor.
    pub fn start(spec: &Spec, output: Output) -> Result<Self, Error> {
        let kinds = kinds(spec);
        let job = match output {
            Output::Inherit => Job::of_this_process(),
            Output::Append(_) | Output::AppendAndWait(_) => Job::detached(),
        };
        Self::born(spec, None, job, |theirs| {
            let (born, birth) = mpsc::channel();
            let (until, end) = mpsc::channel();
            let thread = thread::Builder::new().name("sealane-parent".into()).spawn(move || {
                let init = kernel::isolate(&kinds).map_err(Error::from);
                let _nobody_left = born.send(init.and_then(|()| spawn(theirs, output, &[])));
                let _dropped = end.recv(); // until init has ended, or its starter
            });
            let thread = thread.map_err(Error::Start)?;
            let init = birth.recv().map_err(|_| Error::Vanished)??;
            Ok((init, Some(Parent { until, thread })))
        })
    }

    /// As [`Sandbox::start`], by whatever brings init into the world.
    pub(crate) fn born(
        spec: &Spec,
        workers: Option<u8>,
        job: Job,
        birth: impl FnOnce(OwnedFd) -> Result<(Child, Option<Parent>), Error>,
    ) -> Result<Self, Error> {
        let signals = Signals::catch(&PASSED_ON)?;
        let (dialogue, theirs) = Dialogue::pair()?;
        let (init, parent) = birth(theirs)?;
        let held = Pidfd::open(init.id())?;
        let command =
            spec.command.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let mut sandbox =
            Self { init, held, dialogue, signals, job, parent, command, ended: None, interrupted: None };
        let own_group = sandbox.job.own_group();
        sandbox.dialogue.say(&Order { spec: spec.clone(), workers, own_group })?;
        match sandbox.dialogue.hear()? {
            Some(Report::Ready) => Ok(sandbox),
            Some(Report::Failed(reply)) => Err(Error::Inside(reply)),
            Some(Report::Started | Report::Stopped | Report::NotRun(_)) | None => Err(Error::Vanished),
        }
    }

    /// Init's number, as seen from here.
    pub fn pid(&self) -> u32 {
        self.held.pid()
    }

    /// The sandbox's network namespace, for as long as init lives.
    pub fn netns(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid()))
    }

    /// The signal that this process was told to end by since [`Sandbox::start`], if it was.
    pub fn interrupted(&self) -> Result<Option<Signal>, Error> {
        match self.interrupted {
            None => Ok(self.signals.pending()?.map(|caught| caught.signal)),
            known => Ok(known),
        }
    }

    /// Starts the command. If this process was told to end since [`Sandbox::start`], the sandbox ends instead, and
    /// [`Sandbox::wait`] says of what.
    pub fn go(&mut self) -> Result<(), Error> {
        self.interrupted = self.interrupted()?;
        if self.interrupted.is_some() {
            self.kill();
            return Ok(());
        }
        self.job.lend(self.held.pid());
        self.dialogue.say(&())?;
        match self.dialogue.hear()? {
            Some(Report::NotRun(errno)) => Err(not_run(&self.command, io::Error::from_raw_os_error(errno))),
            Some(Report::Failed(reply)) => Err(Error::Inside(reply)),
            // None: it was killed, which is for `wait` to say.
            Some(Report::Started | Report::Stopped | Report::Ready) | None => Ok(()),
        }
    }

    /// Waits for the command's end, and passes signals on to it.
    pub fn wait(&mut self) -> Result<Exit, Error> {
        if let Some(exit) = self.ended {
            return Ok(exit);
        }
        let Self { job, signals, held, dialogue, .. } = self;
        let line = dialogue.as_fd().try_clone_to_owned().map_err(Error::Dialogue)?;
        let mut has_stopped = || Ok(matches!(dialogue.hear()?, Some(Report::Stopped)));
        attend(job, signals, held, Some(line.as_fd()), &mut has_stopped)?;
        Ok(self.bury(self.interrupted))
    }

    /// Ends it, and every process in it.
    pub fn kill(&mut self) {
        let _ended_already = self.init.kill();
    }

    /// Takes a dead init off the process table, and lets go of its namespaces.
    fn bury(&mut self, of: Option<Signal>) -> Exit {
        let status = self.init.wait().map_or(Exit(u8::MAX), Exit::from);
        let exit = of.map_or(status, Exit::by);
        self.ended = Some(exit);
        if let Some(Parent { until, thread }) = self.parent.take() {
            drop(until);
            let _panicked = thread.join();
        }
        self.job.over();
        exit
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
            self.bury(None);
        }
    }
}

/// Starts init as a child of the calling thread, in the namespaces that it has made.
pub(crate) fn spawn(dialogue: OwnedFd, output: Output, unset: &[String]) -> Result<Child, Error> {
    let number = kernel::hand_down(dialogue.as_fd())?;
    let mut init = Command::new(THIS_PROGRAM);
    init.arg0(INIT).arg(number.to_string());
    for name in unset {
        init.env_remove(name);
    }
    let detached = match output {
        Output::Inherit => None,
        Output::Append(file) => Some((Stdio::null(), file)),
        Output::AppendAndWait(file) => Some((silence().map_err(Error::Start)?, file)),
    };
    if let Some((input, file)) = detached {
        let copy = file.try_clone().map_err(Error::Start)?;
        init.stdin(input).stdout(copy).stderr(file);
    }
    let started = init.spawn().map_err(Error::Start);
    drop(dialogue); // else init's end would never be heard of
    started
}

/// A pipe whose reader is its only writer, so that it has no end.
fn silence() -> io::Result<Stdio> {
    let (reader, _writer) = io::pipe()?;
    let both =
        OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", reader.as_raw_fd()))?;
    Ok(both.into())
}

fn kinds(spec: &Spec) -> Vec<Namespace> {
    let always = [Namespace::Pid, Namespace::Mount, Namespace::Ipc];
    let net = spec.private_network.then_some(Namespace::Net);
    let uts = spec.hostname.as_ref().map(|_| Namespace::Uts);
    always.into_iter().chain(net).chain(uts).collect()
}
