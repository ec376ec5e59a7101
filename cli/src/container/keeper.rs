//! The keeper of a container: who starts it, waits for its end, and takes down what it had. In the foreground that is
//! `sealane run` itself, in the background `sealane-shim`.
//!
//! # Theory of operation
//! Everything that can be refused is refused first ([`choice::places`]). Then the container's name is claimed, with its
//! places on networks written down before they are made; the sandbox is started; the plugins put it on its networks; its
//! names are written; and only then the command starts. If any of that fails, what was written down is taken back, last
//! first, and the container is gone again. The keeper holds the network namespace until all is taken down, so that the
//! plugins find it even when nobody is left in it.
use super::{
    attach::Attacher,
    choice::{self, HOST, Place},
    claim,
    error::Error,
    etc::{self, HOSTNAME, HOSTS, RESOLV_CONF},
    known, log,
    moment::Moment,
    order::Order,
    record::{Phase, Record},
    registry::{Kept, Registry},
};
use crate::say;
use cni::{ErrorReply, Fail, Version};
use kernel::{Netns, start_of};
use networks::Definition;
use sandbox::{Exit, Output, Sandbox, Spec};
use std::{
    fs::File,
    io::{self, PipeReader},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    process,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// The exit status when it is not the command's fault that it did not run.
const OURS: u8 = 125;
/// How long the log may take to be complete once the container has ended, on a machine that has much else to do.
const DRAIN: Duration = Duration::from_secs(10);

/// Who keeps a container.
#[derive(Debug)]
struct Keeper {
    registry: Registry,
    attacher: Attacher,
    kept: Kept,
    record: Record,
    /// Those of the record's endpoints, in their order.
    networks: Vec<Definition>,
    /// Held, so that it is there until all is taken down.
    netns: Option<Netns>,
    /// How many of the networks the plugins have been called for.
    begun: usize,
}

/// Why a container did not run, and the exit status that docker has for that.
#[derive(Debug)]
pub(crate) struct NotRun {
    /// 125, 126 or 127.
    pub(crate) status: u8,
    /// Why.
    pub(crate) why: Fail,
}

/// Runs a container from beginning to end. `running` is called when its command has started; the exit status is the
/// command's.
pub(crate) fn keep(order: &Order, running: impl FnOnce(&Record)) -> Result<Exit, NotRun> {
    let mut keeper = Keeper::claim(order)?;
    let (mut sandbox, writer) = match keeper.begin(order) {
        Ok(begun) => begun,
        Err(not_run) => {
            keeper.take_back();
            return Err(not_run);
        }
    };
    running(&keeper.record);
    let exit = sandbox.wait();
    drop(sandbox); // what was left of it is gone, so the log has an end, if nobody outside has its pipe
    let exit = exit.unwrap_or_else(|error| {
        say::failure(&error);
        Exit(OURS)
    });
    keeper.end(exit, writer);
    Ok(exit)
}

impl Keeper {
    /// Judges the order, and takes the name.
    fn claim(order: &Order) -> Result<Self, Fail> {
        let attacher = Attacher::of_a_keeper();
        let places = choice::places(&attacher, order)?;
        let registry = Registry::from_env()?;
        let (endpoints, networks) =
            places.into_iter().map(|Place { endpoint, network }| (endpoint, network)).unzip();
        let mut record = claim::record(order, endpoints);
        let kept = claim::claim(&registry, &attacher, order, &mut record)?;
        Ok(Self { registry, attacher, kept, record, networks, netns: None, begun: 0 })
    }

    /// All that comes before the command, and its start.
    fn begin(&mut self, order: &Order) -> Result<(Sandbox, Option<JoinHandle<()>>), NotRun> {
        self.registry.names().prepare()?;
        let (output, pipe) =
            if order.detached { through_a_pipe(order.waits)? } else { (Output::Inherit, None) };
        let mut sandbox = Sandbox::start(&self.spec(order), output)?;
        let writer = pipe.map(|pipe| log::record(&self.kept.home, pipe)).transpose()?;
        self.netns = Some(Netns::open(&sandbox.netns()).map_err(Error::from)?);
        self.attach(&sandbox).or_else(|why| match sandbox.interrupted()? {
            None => Err(NotRun::from(why)),
            // The plugins have heard of it too.
            Some(signal) => {
                let Exit(status) = Exit::by(signal);
                Err(NotRun { status, why: why.into() })
            }
        })?;
        etc::write(&self.kept.home, &self.record)?;
        if !self.record.is_on(HOST) {
            let hosts = self.kept.home.file(HOSTS);
            self.registry.publish(&known::entry(&self.record), &[], Some(&hosts))?;
        }
        let pid = sandbox.pid();
        self.record.phase = Phase::Running { pid, started: start_of(pid), since: Moment::now() };
        self.kept.home.write(&self.record)?;
        sandbox.go()?;
        Ok((sandbox, writer))
    }

    fn attach(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        let netns = sandbox.netns().to_string_lossy().into_owned();
        for (at, network) in self.networks.iter().enumerate() {
            let Some(endpoint) = self.record.endpoints.get(at) else { continue };
            self.begun = at + 1;
            let given = self.attacher.attach(network, &self.record, endpoint, &netns)?;
            // The next networks publish the same ports, and not others that are free too.
            let next =
                self.record.endpoints.iter_mut().skip(at + 1).map(|endpoint| &mut endpoint.wanted.ports);
            next.filter(|ports| !ports.is_empty() && !given.ports.is_empty())
                .for_each(|ports| ports.clone_from(&given.ports));
            if let Some(endpoint) = self.record.endpoints.get_mut(at) {
                endpoint.given = Some(given);
            }
        }
        Ok(())
    }

    fn spec(&self, order: &Order) -> Spec {
        let on_host = self.record.is_on(HOST);
        // On the host's network the host's own files are right, as far as nothing else was asked for.
        let own = [
            (HOSTS, !on_host || !self.record.own_names.is_empty()),
            (HOSTNAME, self.record.hostname.is_some()),
            (RESOLV_CONF, !on_host),
        ];
        let own = own.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name);
        Spec {
            hostname: self.record.hostname.clone(),
            private_network: !on_host,
            etc: own.map(|name| (name.to_owned(), self.kept.home.file(name))).collect(),
            // Its hosts file is that of others too.
            read_only: if on_host { Vec::new() } else { vec![self.registry.names().folder().to_owned()] },
            command: order.command.clone(),
            env: order.env.clone(),
            workdir: order.workdir.clone(),
        }
    }

    /// After a failure: everything that was written down goes, and the container with it.
    fn take_back(mut self) {
        // Until it is gone: whoever connects it has to be done first, and finds no container afterwards.
        let _turn = self.kept.home.turn();
        if self.begun < self.record.endpoints.len() {
            self.record.endpoints.truncate(self.begun);
            // Of what was never begun, `rm` must not hear if this fails.
            let _stays = self.kept.home.write(&self.record);
        }
        let left = self.take_down();
        let gone = left.map_or_else(|| self.kept.home.remove(), Err);
        if let Err(error) = gone {
            // The record stays, and `rm` has another try.
            say::failure(&error);
        }
    }

    /// After the command: what the container had goes; its record stays until `rm`, unless it was not to.
    fn end(mut self, Exit(status): Exit, writer: Option<JoinHandle<()>>) {
        // Until its end is written down: whoever connects it has to be done first, and hears of the end afterwards.
        let _turn = self.kept.home.turn();
        let left = self.take_down();
        // Before others hear of the end, as they read the log then.
        if let Some(writer) = writer {
            drain(writer);
        }
        if let Some(error) = &left {
            say::failure(error);
        }
        let written = match (left, self.record.remove) {
            (None, true) => self.kept.home.remove(),
            (left, _) => {
                let since = match self.record.phase {
                    Phase::Running { since, .. } => since,
                    Phase::Created | Phase::Exited { .. } => self.record.created,
                };
                let left = left.map(|error| ErrorReply::new(Version::LATEST.as_str(), &error).msg);
                self.record.phase = Phase::Exited { since, at: Moment::now(), status, left };
                self.kept.home.write(&self.record)
            }
        };
        if let Err(error) = written {
            say::failure(&error);
        }
    }

    /// Takes the container off its networks, also those it was connected to since. Gives the first thing that went wrong.
    /// Nobody else may change the container meanwhile.
    fn take_down(&mut self) -> Option<Error> {
        if let Ok(record) = self.kept.home.record() {
            self.record.endpoints = record.endpoints;
        }
        let netns = self.netns.as_ref().map(path_of).unwrap_or_default();
        let mut failed = None;
        for endpoint in self.record.endpoints.iter().rev() {
            let detach = || self.attacher.detach(&self.record, endpoint, &netns);
            // Once more: a terminal's Ctrl-C ends plugins too.
            failed = failed.or(detach().or_else(|_| detach()).err());
        }
        let gone = self.registry.forget(&self.record);
        failed.or(gone.err())
    }
}

/// Waits until the log is complete, but not for a process outside of the container that was handed its output.
fn drain(writer: JoinHandle<()>) {
    let (done, complete) = mpsc::channel();
    let wait = move || {
        let _panicked = writer.join();
        let _too_late = done.send(());
    };
    // Without this thread nobody waits, and the end of the log may be lost.
    let _started = thread::Builder::new().name("sealane-drain".into()).spawn(wait);
    let _complete = complete.recv_timeout(DRAIN);
}

/// Where a plugin, which is our child, finds a namespace that we hold.
fn path_of(netns: &Netns) -> String {
    format!("/proc/{}/fd/{}", process::id(), netns.as_fd().as_raw_fd())
}

/// With `waits`, the command's standard input does not end.
fn through_a_pipe(waits: bool) -> Result<(Output, Option<PipeReader>), Error> {
    let (reader, writer) = io::pipe()
        .map_err(|cause| Error::Stream { doing: "make a pipe for the container's output", cause })?;
    let writer = File::from(OwnedFd::from(writer));
    let output = if waits { Output::AppendAndWait(writer) } else { Output::Append(writer) };
    Ok((output, Some(reader)))
}

impl From<sandbox::Error> for NotRun {
    fn from(error: sandbox::Error) -> Self {
        Self { status: error.exit_status(), why: error.into() }
    }
}

impl From<Fail> for NotRun {
    fn from(why: Fail) -> Self {
        Self { status: OURS, why }
    }
}

impl From<Error> for NotRun {
    fn from(error: Error) -> Self {
        Self { status: OURS, why: error.into() }
    }
}
