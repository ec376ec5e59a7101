//! One run of the driver, and the CPU time of what DEL leaves behind.
//!
//! A DEL that does not wait for the kernel leaves a detached child, which outlives the plugin and whose CPU time the driver
//! therefore never sees. This process makes itself the subreaper of everything below it (`prctl(2)`,
//! `PR_SET_CHILD_SUBREAPER`), so these children become its own when their parent exits. It alone waits for them, one at a
//! time, and what `getrusage(RUSAGE_CHILDREN)` grows by across one `wait` is the CPU time of the one child it reaped.
//! The driver prints a line when it is done with a number of containers; children reaped until then are that number's, and
//! their mean is added to the CPU time of its DELs (the only verb that leaves one).
use super::{Subject, isolation::Isolation};
use crate::{error::Error, shell};
use nix::{
    errno::Errno,
    sys::{
        prctl,
        resource::{UsageWho, getrusage},
        time::TimeValLike as _,
        wait::{WaitStatus, wait},
    },
};
use serde::Deserialize;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Unmeasured ADDs and DELs before each number of containers.
const WARM_UP: usize = 3;

/// What to run.
pub(super) struct Run<'a> {
    pub(super) subject: &'a Subject,
    pub(super) samples: usize,
    pub(super) prefill: &'a [usize],
    pub(super) traced: bool,
}

/// What one run saw at one number of containers.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) subject: &'static str,
    pub(super) prefill: usize,
    pub(super) traced: bool,
    pub(super) add: Verb,
    pub(super) del: Verb,
}

/// What the driver says of one verb; its names for it.
#[derive(Debug, Deserialize)]
pub(super) struct Verb {
    /// Milliseconds.
    pub(super) p50: f64,
    /// Every sample: milliseconds, and a figure of the driver's that is not ours.
    pub(super) raw: Vec<(f64, f64)>,
    /// Median CPU time, milliseconds.
    pub(super) cpu: f64,
    /// Peak resident memory, KiB; never below the driver's own, whose pages a spawned child begins with.
    pub(super) rss: f64,
    /// System calls, mean; only when traced.
    #[serde(rename = "sysc")]
    pub(super) calls: f64,
    /// Calls that failed.
    #[serde(rename = "errs")]
    pub(super) errors: u64,
}

/// One line of the driver's `--out`.
#[derive(Deserialize)]
struct Line {
    prefill: usize,
    ops: Verbs,
    errors: Vec<(String, u64)>,
}

#[derive(Deserialize)]
struct Verbs {
    #[serde(rename = "ADD")]
    add: Option<Verb>,
    #[serde(rename = "DEL")]
    del: Option<Verb>,
}

impl Run<'_> {
    /// Runs the driver once through all numbers of containers.
    pub(super) fn measure(&self, driver: &Path, isolation: &Isolation) -> Result<Vec<Measured>, Error> {
        isolation.clean()?;
        super::quiet::wait();
        let out = driver.with_file_name(format!("xtask.{}.jsonl", std::process::id()));
        let orphans = self.supervise(&mut self.command(driver, &out));
        let lines = fs::read_to_string(&out);
        let _stays_in_tmp = fs::remove_file(&out);
        let orphans = orphans?;
        let lines = lines.map_err(|cause| Error::File { what: "read", path: out, cause })?;
        let line = |text: &str| {
            serde_json::from_str(text)
                .map_err(|cause| Error::Json { what: "what the driver wrote".into(), cause })
        };
        let lines = lines.lines().map(line).collect::<Result<Vec<Line>, Error>>()?;
        let dels = f64::from(u32::try_from(self.samples + WARM_UP).unwrap_or(u32::MAX));
        let orphans = orphans.into_iter().chain(std::iter::repeat(0.0)).map(|cpu| cpu / dels);
        lines.into_iter().zip(orphans).map(|(line, orphan)| self.measured(line, orphan)).collect()
    }

    fn command(&self, driver: &Path, out: &Path) -> Command {
        let prefill = self.prefill.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new(driver);
        command.arg("--bin").arg(&self.subject.bin).arg("--conf").arg(&self.subject.conflist);
        command.args(["--label", self.subject.name, "--prefill", &prefill]).arg("--out").arg(out);
        command.args(["--n", &self.samples.to_string(), "--warmup", &WARM_UP.to_string()]);
        command.arg(if self.traced { "--strace" } else { "--rt" });
        command
    }

    /// Runs the driver to its end and every orphan of its plugins to theirs; milliseconds of CPU time that the orphans of each
    /// number of containers took.
    fn supervise(&self, command: &mut Command) -> Result<Vec<f64>, Error> {
        let failed = |what| move |cause| Error::Kernel { what, cause };
        prctl::set_child_subreaper(true).map_err(failed("become a subreaper"))?;
        let mut child =
            command.stdout(Stdio::piped()).spawn().map_err(|cause| shell::not_started(command, cause))?;
        let (driver, stdout) = (child.id(), child.stdout.take());
        let mut orphans = vec![0.0; self.prefill.len() + 1];
        let done = AtomicUsize::new(0);
        let mut ended = ExitStatus::from_raw(0);
        thread::scope(|scope| {
            scope.spawn(|| stdout.map(|lines| count_points(lines, &done)));
            loop {
                let before = children().map_err(failed("read the CPU time of children"))?;
                let status = match wait() {
                    Err(Errno::ECHILD) => return Ok(()),
                    Err(cause) => return Err(failed("wait for a child")(cause)),
                    Ok(status) => status,
                };
                let cpu = children().map_err(failed("read the CPU time of children"))? - before;
                if status.pid().is_some_and(|pid| pid.as_raw().unsigned_abs() == driver) {
                    ended = exit_status(status);
                } else if let Some(total) = orphans.get_mut(done.load(Ordering::Relaxed)) {
                    *total += cpu;
                }
            }
        })?;
        if ended.success() {
            Ok(orphans)
        } else {
            Err(Error::Ended { command: shell::text(command), status: ended })
        }
    }

    fn measured(&self, line: Line, orphan: f64) -> Result<Measured, Error> {
        for (error, times) in &line.errors {
            crate::console::note(&format!("{}: {times} x {error}", self.subject.name));
        }
        let (subject, prefill) = (self.subject.name, line.prefill);
        let (Some(add), Some(mut del)) = (line.ops.add, line.ops.del) else {
            return Err(Error::NoSamples { subject, prefill });
        };
        del.cpu += orphan;
        Ok(Measured { subject, prefill, traced: self.traced, add, del })
    }
}

/// Counts the numbers of containers that the driver is done with: it prints `## ` after each.
fn count_points(stdout: impl Read, done: &AtomicUsize) {
    let points = BufReader::new(stdout).lines().map_while(Result::ok).filter(|line| line.starts_with("## "));
    points.for_each(|_line| {
        done.fetch_add(1, Ordering::Relaxed);
    });
}

/// CPU time of all children waited for so far, milliseconds.
fn children() -> Result<f64, Errno> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Ok(f64::from(u32::try_from(micros % 1_000_000_000).unwrap_or(0)) / 1e3
        + f64::from(u32::try_from(micros / 1_000_000_000).unwrap_or(0)) * 1e6)
}

/// What `wait(2)` said of a process that has ended, as std says it.
fn exit_status(status: WaitStatus) -> ExitStatus {
    match status {
        WaitStatus::Exited(_, code) => ExitStatus::from_raw(code << 8),
        WaitStatus::Signaled(_, signal, _) => ExitStatus::from_raw(signal as i32),
        _ => ExitStatus::from_raw(0),
    }
}
