//! One run of the driver, and the CPU time of what DEL leaves behind.
//!
//! A DEL that does not wait for the kernel leaves a detached child, which outlives the plugin and whose CPU time the driver
//! therefore never sees. This process makes itself the subreaper of everything below it (`prctl(2)`,
//! `PR_SET_CHILD_SUBREAPER`), so these children become its own when their parent exits. It alone waits for them, one at a
//! time, and what `getrusage(RUSAGE_CHILDREN)` grows by across one `wait` is the CPU time of the one child it reaped.
//! The driver prints a line when it is done with a number of containers; children reaped until then are that number's, and
//! their mean is added to the CPU time of its DELs, if no containers were put there before; an ADD leaves some, too.
use super::{
    ask::Ask,
    subjects::{Kind, OURS},
};
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
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Unmeasured ADDs and DELs before each number of containers.
const WARM_UP: usize = 3;

/// How long one call waits for the machine to be at rest, seconds.
const AT_REST: u32 = 5;
/// How long the calls at one number of containers may take in all, seconds.
const PATIENCE: u32 = 600;

/// What to run.
pub(super) struct Run<'a> {
    pub(super) ask: &'a Ask<'a>,
    pub(super) samples: usize,
    pub(super) traced: bool,
    /// Whether each call of one caller waits for the machine to be at rest.
    pub(super) at_rest: bool,
}

/// What one run saw at one number of containers.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) subject: &'static str,
    pub(super) ports: usize,
    pub(super) prefill: usize,
    pub(super) traced: bool,
    pub(super) add: Verb,
    pub(super) del: Verb,
    /// Of many callers at once.
    pub(super) rates: Option<Rates>,
    /// Calls that failed, those before the measured ones among them.
    pub(super) failures: u64,
    /// Addresses that two containers held at once.
    pub(super) duplicates: u64,
}

/// Containers per second, of many callers at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub(super) add: f64,
    pub(super) del: f64,
    /// The same, up to the end of the last process that a DEL has left behind.
    pub(super) settled: f64,
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
    /// Measured calls that failed.
    #[serde(rename = "errs")]
    pub(super) errors: u64,
}

/// One line of the driver's `--out`.
#[derive(Deserialize)]
struct Line {
    prefill: usize,
    ops: Verbs,
    thr: Option<Throughput>,
    dup: u64,
    /// The most frequent, of all numbers of containers so far, unmeasured calls among them.
    errors: Vec<(String, u64)>,
}

#[derive(Clone, Copy, Deserialize)]
struct Throughput {
    add_per_s: f64,
    del_per_s: f64,
    n: f64,
}

#[derive(Deserialize)]
struct Verbs {
    #[serde(rename = "ADD")]
    add: Option<Verb>,
    #[serde(rename = "DEL")]
    del: Option<Verb>,
}

/// What was left behind at one number of containers.
#[derive(Debug, Default, Clone, Copy)]
struct Orphans {
    /// CPU time, milliseconds.
    cpu: f64,
    /// From the driver's being done to the last one's end.
    late: Duration,
}

impl Run<'_> {
    /// Runs the driver once through all numbers of containers.
    pub(super) fn measure(&self, driver: &Path) -> Result<Vec<Measured>, Error> {
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
        let mut failed = 0;
        let orphans = orphans.into_iter().chain(std::iter::repeat(Orphans::default()));
        lines.into_iter().zip(orphans).map(|(line, left)| self.measured(line, left, &mut failed)).collect()
    }

    fn command(&self, driver: &Path, out: &Path) -> Command {
        let Ask { subject, ports, callers, prefill } = self.ask;
        let prefill = prefill.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new(driver);
        command.arg("--bin").arg(&subject.bin).arg("--conf").arg(&subject.config);
        command.args(["--label", subject.name, "--prefill", &prefill]).arg("--out").arg(out);
        command.args(["--n", &self.samples.to_string(), "--warmup", &WARM_UP.to_string()]);
        command.args(["--ports", &ports.to_string(), "--conc", &callers.to_string()]);
        command.args(subject.options);
        match &subject.kind {
            Kind::Cni => {}
            Kind::Prepared(ruleset) => {
                command.arg("--pre").arg(format!("nft -f '{}'", ruleset.display()));
            }
            Kind::Netavark => {
                command.args(["--netavark", "--fw", "iptables"]);
            }
        }
        if self.traced {
            command.arg("--strace");
        } else {
            command.arg("--rt");
            if self.at_rest && *callers == 1 {
                // Else each call is measured in what the calls before it have left for the kernel to do: the multicast of hundreds of
                // new links, and the grace periods of those that do not wait for them.
                command.args(["--quiet", &AT_REST.to_string(), "--maxs", &PATIENCE.to_string()]);
            }
        }
        command
    }

    /// Runs the driver to its end and every orphan of its plugins to theirs.
    fn supervise(&self, command: &mut Command) -> Result<Vec<Orphans>, Error> {
        let failed = |what| move |cause| Error::Kernel { what, cause };
        prctl::set_child_subreaper(true).map_err(failed("become a subreaper"))?;
        let mut child =
            command.stdout(Stdio::piped()).spawn().map_err(|cause| shell::not_started(command, cause))?;
        let (driver, stdout) = (child.id(), child.stdout.take());
        let mut orphans = vec![Orphans::default(); self.ask.prefill.len() + 1];
        let done = Done::default();
        let mut ended = ExitStatus::from_raw(0);
        thread::scope(|scope| {
            scope.spawn(|| stdout.map(|lines| done.count(lines)));
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
                } else {
                    done.reaped(&mut orphans, cpu);
                }
            }
        })?;
        if ended.success() {
            Ok(orphans)
        } else {
            Err(Error::Ended { command: shell::text(command), status: ended })
        }
    }

    fn measured(&self, line: Line, left: Orphans, failed: &mut u64) -> Result<Measured, Error> {
        let Ask { subject, ports, .. } = self.ask;
        let (subject, ports, prefill) = (subject.name, *ports, line.prefill);
        let so_far = line.errors.iter().map(|(_, times)| times).sum();
        let listed = so_far - std::mem::replace(failed, so_far);
        let (Some(add), Some(mut del)) = (line.ops.add, line.ops.del) else {
            return Err(Error::NoSamples { subject, prefill });
        };
        let failures = listed.max(add.errors + del.errors);
        if let Some((error, _)) = line.errors.first().filter(|_| failures > 0) {
            let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
            crate::console::note(&format!(
                "{subject}, {ports} ports: {failures} calls failed, such as {error}"
            ));
        }
        if prefill == 0 {
            // Else most are those of the ADDs that came before the measured ones.
            let dels = f64::from(u32::try_from(self.samples + WARM_UP).unwrap_or(u32::MAX));
            del.cpu += left.cpu / dels;
        }
        let rates = line.thr.map(|rates| Rates {
            add: rates.add_per_s,
            del: rates.del_per_s,
            settled: rates.n / (rates.n / rates.del_per_s + left.late.as_secs_f64()),
        });
        let duplicates = line.dup;
        Ok(Measured { subject, ports, prefill, traced: self.traced, add, del, rates, failures, duplicates })
    }
}

impl Measured {
    /// Whether its failures say that no figure means anything: a peer's are its own.
    pub(super) fn must_not_fail(&self) -> bool {
        self.subject == OURS || self.subject.starts_with("floor")
    }
}

/// How many numbers of containers the driver is done with: it prints `## ` after each. And since when.
#[derive(Default)]
struct Done(Mutex<(usize, Option<Instant>)>);

impl Done {
    fn count(&self, stdout: impl Read) {
        let points =
            BufReader::new(stdout).lines().map_while(Result::ok).filter(|line| line.starts_with("## "));
        points.for_each(|_line| {
            let mut done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *done = (done.0 + 1, Some(Instant::now()));
        });
    }

    /// An orphan has ended: what it took counts for the number of containers that the driver is at, and how late it is for the one
    /// that the driver was at before.
    fn reaped(&self, orphans: &mut [Orphans], cpu: f64) {
        let (at, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orphans) = orphans.get_mut(at) {
            orphans.cpu += cpu;
        }
        if let (Some(since), Some(before)) = (since, at.checked_sub(1).and_then(|at| orphans.get_mut(at))) {
            before.late = since.elapsed();
        }
    }
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

#[cfg(test)]
mod tests {
    use super::{
        super::subjects::{REFERENCE_NFTABLES, Subject},
        *,
    };

    fn subject(name: &'static str) -> Subject {
        Subject { name, bin: "bin".into(), config: "a.conflist".into(), kind: Kind::Cni, options: &[] }
    }

    fn line(errors: &str, failed: u64) -> Line {
        let verb = r#""p50": 1.0, "raw": [[1.0, 0.0]], "cpu": 1.0, "rss": 1.0, "sysc": 0.0"#;
        let ops = format!(r#"{{"ADD": {{{verb}, "errs": 0}}, "DEL": {{{verb}, "errs": {failed}}}}}"#);
        let rates = r#"{"add_per_s": 10.0, "del_per_s": 5.0, "n": 10}"#;
        let text = format!(r#"{{"prefill": 0, "ops": {ops}, "thr": {rates}, "dup": 2, "errors": {errors}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn measured(lines: Vec<Line>, left: Orphans) -> Vec<Measured> {
        let subject = subject(REFERENCE_NFTABLES);
        let ask = Ask { subject: &subject, ports: 1, callers: 64, prefill: &[0] };
        let run = Run { ask: &ask, samples: 7, traced: false, at_rest: false };
        let mut failed = 0;
        lines.into_iter().map(|line| run.measured(line, left, &mut failed).unwrap()).collect()
    }

    #[test]
    fn failures_are_those_that_are_listed_or_counted_whichever_are_more() {
        let listed = r#"[["ADD: no", 3], ["DEL: no", 2]]"#;
        let points = measured(vec![line(listed, 0), line(listed, 0), line(listed, 9)], Orphans::default());
        let failures: Vec<_> = points.iter().map(|point| (point.failures, point.duplicates)).collect();
        assert_eq!(failures, [(5, 2), (0, 2), (9, 2)], "the list is of all points so far");
    }

    #[test]
    fn what_is_left_behind_counts_for_del() {
        let left = Orphans { cpu: 20.0, late: Duration::from_secs(3) };
        let points = measured(vec![line("[]", 0)], left);
        let rates = points[0].rates.unwrap();
        assert!((points[0].del.cpu - 3.0).abs() < 1e-9, "20 ms of 7 samples and 3 that warm up");
        assert!((rates.del - 5.0).abs() < 1e-9 && (rates.settled - 2.0).abs() < 1e-9, "10 in 2 s and 3 s");
    }
}
