//! The table, its ratios, and what they were to be.
use super::{
    FLOOR, OURS, Options, REFERENCE, SYNCHRONOUS_FLOOR,
    driver::{Measured, Verb},
};
use crate::{console, error::Error};

/// One verb of one subject at one number of containers, all rounds together.
#[derive(Debug, Clone, Copy)]
struct Cell {
    p50: f64,
    p95: f64,
    cpu: f64,
    rss: f64,
    calls: f64,
}

/// A subject at one number of containers.
#[derive(Debug, Clone, Copy)]
struct Row {
    add: Cell,
    del: Cell,
}

/// Prints everything; false when any call failed, for then no figure means anything.
pub(super) fn print(measured: &[Measured], options: &Options) -> Result<bool, Error> {
    console::say(&format!(
        "bridge + host-local, {} rounds x {} samples, interleaved. Milliseconds; peak memory in KiB, never below the \
         driver's own; CPU of DEL with the child it leaves behind.\n",
        options.rounds, options.samples
    ));
    console::say(&format!("{:>10}  {:18} {HEAD} | {HEAD}", "containers", "", HEAD = head()));
    for prefill in &options.prefill {
        rows(measured, *prefill)?;
    }
    growth(measured, options)?;
    targets(measured, options)?;
    let errors: u64 = measured.iter().map(|point| point.add.errors + point.del.errors).sum();
    if errors > 0 {
        console::say(&format!("\n{errors} calls FAILED: no figure above means anything"));
    }
    Ok(errors == 0)
}

fn head() -> String {
    format!("{:>8} {:>8} {:>7} {:>6} {:>6}", "p50", "p95", "cpu", "mem", "calls")
}

/// All subjects at one number of containers, and the two ratios.
fn rows(measured: &[Measured], prefill: usize) -> Result<(), Error> {
    for subject in [OURS, REFERENCE, FLOOR, SYNCHRONOUS_FLOOR] {
        let row = row(measured, subject, prefill)?;
        console::say(&format!("{prefill:>10}  {subject:18} {} | {}", figures(row.add), figures(row.del)));
    }
    let (ours, reference, floor) =
        (row(measured, OURS, prefill)?, row(measured, REFERENCE, prefill)?, row(measured, FLOOR, prefill)?);
    for (name, over, under) in [("reference / ours", reference, ours), ("ours / floor", ours, floor)] {
        let (add, del) = (ratios(over.add, under.add), ratios(over.del, under.del));
        console::say(&format!("{:>10}  {name:18} {add} | {del}", ""));
    }
    console::say("");
    Ok(())
}

fn figures(cell: Cell) -> String {
    let Cell { p50, p95, cpu, rss, calls } = cell;
    format!("{p50:8.3} {p95:8.3} {cpu:7.3} {rss:6.0} {calls:6.0}")
}

fn ratios(over: Cell, under: Cell) -> String {
    let ratio =
        |over: f64, under: f64| if under > 0.0 { format!("{:.2}x", over / under) } else { "-".into() };
    format!(
        "{:>8} {:>8} {:>7} {:>6} {:>6}",
        ratio(over.p50, under.p50),
        ratio(over.p95, under.p95),
        ratio(over.cpu, under.cpu),
        ratio(over.rss, under.rss),
        ratio(over.calls, under.calls)
    )
}

/// What more containers cost: the last number's medians less the first's.
fn growth(measured: &[Measured], options: &Options) -> Result<(), Error> {
    let (Some(first), Some(last)) = (options.prefill.first(), options.prefill.last()) else { return Ok(()) };
    if first == last {
        return Ok(());
    }
    console::say(&format!("growth of the median from {first} to {last} containers, ms"));
    for subject in [OURS, REFERENCE, FLOOR, SYNCHRONOUS_FLOOR] {
        let (from, to) = (row(measured, subject, *first)?, row(measured, subject, *last)?);
        let (add, del) = (to.add.p50 - from.add.p50, to.del.p50 - from.del.p50);
        console::say(&format!("{:>10}  {subject:18} ADD {add:8.3}  DEL {del:8.3}", ""));
    }
    console::say("");
    Ok(())
}

/// What was to be reached, and whether it was.
fn targets(measured: &[Measured], options: &Options) -> Result<(), Error> {
    let (Some(first), Some(last)) = (options.prefill.first(), options.prefill.last()) else { return Ok(()) };
    let at = |subject, prefill| row(measured, subject, prefill);
    let (ours, reference, floor) = (at(OURS, *first)?, at(REFERENCE, *first)?, at(FLOOR, *first)?);
    let at_least = |what, value: f64, limit: f64| target(what, value, "at least", limit, value >= limit);
    let at_most = |what, value: f64, limit: f64| target(what, value, "at most", limit, value <= limit);
    at_least("ADD, times faster than the reference", reference.add.p50 / ours.add.p50, 8.0);
    at_least("DEL, times faster than the reference", reference.del.p50 / ours.del.p50, 15.0);
    at_least("CPU of ADD, times less than the reference", reference.add.cpu / ours.add.cpu, 8.0);
    at_least("CPU of DEL, times less than the reference", reference.del.cpu / ours.del.cpu, 8.0);
    at_most("ADD, times the floor's", ours.add.p50 / floor.add.p50, 1.5);
    if first != last {
        let grown = at(OURS, *last)?.add.p50 - ours.add.p50;
        let floor_grown = at(FLOOR, *last)?.add.p50 - floor.add.p50;
        at_most("growth of ADD, ms, beside the floor's and 20 %", grown, floor_grown * 1.2);
    }
    Ok(())
}

fn target(what: &str, value: f64, relation: &str, limit: f64, reached: bool) {
    let verdict = if reached { "reached" } else { "MISSED" };
    console::say(&format!("{verdict:8} {what}: {value:.2}, {relation} {limit:.2}"));
}

fn row(measured: &[Measured], subject: &'static str, prefill: usize) -> Result<Row, Error> {
    let here = || measured.iter().filter(move |point| point.subject == subject && point.prefill == prefill);
    let verb = |verb: fn(&Measured) -> &Verb| {
        let timed: Vec<&Verb> = here().filter(|point| !point.traced).map(verb).collect();
        let calls = here().filter(|point| point.traced).map(|point| verb(point).calls).next();
        cell(&timed, calls.unwrap_or(0.0)).ok_or(Error::NoSamples { subject, prefill })
    };
    Ok(Row { add: verb(|point| &point.add)?, del: verb(|point| &point.del)? })
}

/// Pools the rounds: all samples for latency, the median round for CPU, the largest for memory.
fn cell(rounds: &[&Verb], calls: f64) -> Option<Cell> {
    let samples: Vec<f64> = rounds.iter().flat_map(|round| round.raw.iter().map(|sample| sample.0)).collect();
    let cpu = rounds.iter().map(|round| round.cpu).collect();
    let rss = rounds.iter().map(|round| round.rss).fold(0.0, f64::max);
    Some(Cell {
        p50: quantile(samples.clone(), 50)?,
        p95: quantile(samples, 95)?,
        cpu: quantile(cpu, 50)?,
        rss,
        calls,
    })
}

/// The smallest value that `percent` of all values do not exceed; nothing of nothing.
fn quantile(mut values: Vec<f64>, percent: usize) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values = || (1..=20).map(f64::from).rev().collect::<Vec<_>>();
        assert_eq!(quantile(values(), 50), Some(10.0));
        assert_eq!(quantile(values(), 95), Some(19.0));
        assert_eq!(quantile(vec![7.0], 95), Some(7.0));
        assert_eq!(quantile(Vec::new(), 50), None);
    }

    #[test]
    fn rounds_are_pooled_sample_by_sample() {
        let round = |cpu: f64, samples: &[f64]| Verb {
            p50: 0.0,
            raw: samples.iter().map(|sample| (*sample, 0.0)).collect(),
            cpu,
            rss: cpu * 10.0,
            calls: 0.0,
            errors: 0,
        };
        let (one, two) = (round(1.0, &[5.0, 1.0]), round(3.0, &[2.0, 9.0]));
        let cell = cell(&[&one, &two], 42.0).unwrap();
        assert!((cell.p50 - 2.0).abs() < 1e-9 && (cell.p95 - 9.0).abs() < 1e-9);
        assert!(
            (cell.cpu - 1.0).abs() < 1e-9
                && (cell.rss - 30.0).abs() < 1e-9
                && (cell.calls - 42.0).abs() < 1e-9
        );
    }
}
