//! The tables, their ratios, and what they were to be.
use super::{
    Options,
    ask::{FEW, MANY},
    cells::{Cell, Row, Sheet},
    driver::Rates,
    subjects::{FLOOR, FLOOR_SET, NETAVARK, OURS, REFERENCE},
};
use crate::{console, error::Error};

/// bridge + host-local.
pub(super) fn bridge(sheet: &Sheet<'_>, options: &Options) -> Result<(), Error> {
    head("bridge + host-local", options);
    for prefill in &options.prefill {
        rows(sheet, 0, *prefill)?;
        let at = |subject| sheet.row(subject, 0, *prefill);
        let (ours, reference, floor) = (at(OURS)?, at(REFERENCE)?, at(FLOOR)?);
        ratio("reference / ours", reference, ours);
        ratio("ours / floor", ours, floor);
        console::say("");
    }
    growth(sheet, 0, options)?;
    let (Some(first), Some(last)) = (options.prefill.first(), options.prefill.last()) else { return Ok(()) };
    let at = |subject, prefill| sheet.row(subject, 0, prefill);
    let (ours, reference, floor) = (at(OURS, *first)?, at(REFERENCE, *first)?, at(FLOOR, *first)?);
    at_least("ADD, times faster than the reference", reference.add.p50 / ours.add.p50, 8.0);
    at_least("DEL, times faster than the reference", reference.del.p50 / ours.del.p50, 15.0);
    at_least("CPU of ADD, times less than the reference", reference.add.cpu / ours.add.cpu, 8.0);
    at_least("CPU of DEL, times less than the reference", reference.del.cpu / ours.del.cpu, 8.0);
    at_most("ADD, times the floor's", ours.add.p50 / floor.add.p50, 1.5);
    if first != last {
        grown(sheet, 0, FLOOR, (*first, *last))?;
    }
    failures(sheet);
    Ok(())
}

/// The chain with its ports.
pub(super) fn chain(sheet: &Sheet<'_>, options: &Options) -> Result<(), Error> {
    for ports in [FEW, MANY] {
        head(&format!("bridge (ipMasq) + host-local + portmap ({ports} ports each) + firewall"), options);
        for prefill in &options.prefill {
            rows(sheet, ports, *prefill)?;
            let (ours, floor) = (sheet.row(OURS, ports, *prefill)?, sheet.row(FLOOR_SET, ports, *prefill)?);
            if let Ok(reference) = sheet.better_reference(ports, *prefill) {
                ratio("better ref. / ours", reference, ours);
                ratio("netavark / ours", sheet.row(NETAVARK, ports, *prefill)?, ours);
            }
            ratio("ours / floor, set", ours, floor);
            console::say("");
        }
        growth(sheet, ports, options)?;
    }
    let (Some(first), Some(last)) = (options.prefill.first(), options.prefill.last()) else { return Ok(()) };
    for ports in [FEW, MANY] {
        let (ours, reference) = (sheet.row(OURS, ports, *first)?, sheet.better_reference(ports, *first)?);
        let netavark = sheet.row(NETAVARK, ports, *first)?;
        let what = |what: &str| format!("{what}, {ports} ports");
        let times = "times faster than the reference's better backend";
        at_least(&what(&format!("ADD, {times}")), reference.add.p50 / ours.add.p50, 20.0);
        at_least(&what(&format!("DEL, {times}")), reference.del.p50 / ours.del.p50, 50.0);
        at_least(&what("ADD, times faster than netavark"), netavark.add.p50 / ours.add.p50, 10.0);
        if first != last {
            grown(sheet, ports, FLOOR_SET, (*first, *last))?;
        }
    }
    let (few, many) = (sheet.row(OURS, FEW, *first)?, sheet.row(OURS, MANY, *first)?);
    at_most("ADD, 10 ports by 1 port", many.add.p50 / few.add.p50, 1.1);
    at_most("DEL, 10 ports by 1 port", many.del.p50 / few.del.p50, 1.1);
    failures(sheet);
    Ok(())
}

/// One plugin with host-local.
pub(super) fn alone(sheet: &Sheet<'_>, plugin: &str, options: &Options) -> Result<(), Error> {
    head(&format!("{plugin} + host-local"), options);
    if let Some(prefill) = options.prefill.first() {
        rows(sheet, 0, *prefill)?;
        let (ours, reference) = (sheet.row(OURS, 0, *prefill)?, sheet.row(REFERENCE, 0, *prefill)?);
        ratio("reference / ours", reference, ours);
        let times = |verb| format!("{verb} of {plugin}, times faster than the reference");
        at_least(&times("ADD"), reference.add.p50 / ours.add.p50, 7.0);
        at_least(&times("DEL"), reference.del.p50 / ours.del.p50, 15.0);
    }
    failures(sheet);
    Ok(())
}

/// The chain with bandwidth and tuning.
pub(super) fn full(sheet: &Sheet<'_>, options: &Options) -> Result<(), Error> {
    head("bridge (ipMasq) + host-local + portmap (1 port) + firewall + bandwidth + tuning", options);
    if let Some(prefill) = options.prefill.first() {
        rows(sheet, FEW, *prefill)?;
        let (ours, reference) = (sheet.row(OURS, FEW, *prefill)?, sheet.better_reference(FEW, *prefill)?);
        ratio("better ref. / ours", reference, ours);
        let times =
            |verb| format!("{verb} of the full chain, times faster than the reference's better backend");
        at_least(&times("ADD"), reference.add.p50 / ours.add.p50, 20.0);
        at_least(&times("DEL"), reference.del.p50 / ours.del.p50, 40.0);
    }
    failures(sheet);
    Ok(())
}

/// Many callers at once.
pub(super) fn parallel(sheet: &Sheet<'_>, options: &Options) -> Result<(), Error> {
    console::say(&format!(
        "\nThe chain with 1 port, {} callers at once, {} containers, {} rounds: containers per second, of the median round. \
         Settled: DEL up to the end of the last process that it leaves behind.\n",
        options.callers, options.containers, options.rounds
    ));
    console::say(&format!(
        "{:22} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "", "ADD/s", "DEL/s", "settled", "failed", "duplicates"
    ));
    for subject in sheet.subjects() {
        let (Rates { add, del, settled }, (failed, twice)) = (sheet.rates(subject)?, sheet.failures(subject));
        console::say(&format!("{subject:22} {add:8.1} {del:8.1} {settled:8.1} {failed:8} {twice:10}"));
    }
    console::say("");
    let (ours, reference, netavark) = (sheet.rates(OURS)?, sheet.better_rates()?, sheet.rates(NETAVARK)?);
    let times = "containers per second, times the reference's better backend";
    at_least(&format!("ADD, {times}"), ours.add / reference.add, 12.0);
    at_least(&format!("DEL, {times}"), ours.del / reference.del, 30.0);
    console::say(&format!(
        "         beside netavark: ADD {:.1}x, DEL {:.1}x",
        ours.add / netavark.add,
        ours.del / netavark.del
    ));
    let (failed, twice) = sheet.failures(OURS);
    at_most("our calls that failed, and addresses given twice", count(failed + twice), 0.0);
    failures(sheet);
    Ok(())
}

fn head(chain: &str, options: &Options) {
    console::say(&format!(
        "\n{chain}, {} rounds x {} samples, interleaved. Milliseconds; peak memory in KiB, never below the driver's own; CPU \
         of DEL at 0 with the children that both verbs leave behind.\n",
        options.rounds, options.samples
    ));
    let columns = format!("{:>8} {:>8} {:>7} {:>6} {:>6}", "p50", "p95", "cpu", "mem", "calls");
    console::say(&format!("{:>10}  {:20} {columns} | {columns}", "containers", ""));
}

/// All subjects that were measured at one number of containers.
fn rows(sheet: &Sheet<'_>, ports: usize, prefill: usize) -> Result<(), Error> {
    for subject in sheet.subjects().into_iter().filter(|subject| sheet.has(subject, ports, prefill)) {
        let Row { add, del } = sheet.row(subject, ports, prefill)?;
        console::say(&format!("{prefill:>10}  {subject:20} {} | {}", figures(add), figures(del)));
    }
    Ok(())
}

fn figures(cell: Cell) -> String {
    let Cell { p50, p95, cpu, rss, calls } = cell;
    format!("{p50:8.3} {p95:8.3} {cpu:7.3} {rss:6.0} {calls:6.0}")
}

fn ratio(name: &str, over: Row, under: Row) {
    console::say(&format!(
        "{:>10}  {name:20} {} | {}",
        "",
        ratios(over.add, under.add),
        ratios(over.del, under.del)
    ));
}

fn ratios(over: Cell, under: Cell) -> String {
    let ratio = |over: f64, under: f64| {
        if over > 0.0 && under > 0.0 { format!("{:.2}x", over / under) } else { "-".into() }
    };
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
fn growth(sheet: &Sheet<'_>, ports: usize, options: &Options) -> Result<(), Error> {
    let (Some(first), Some(last)) = (options.prefill.first(), options.prefill.last()) else { return Ok(()) };
    if first == last {
        return Ok(());
    }
    console::say(&format!("growth of the median from {first} to {last} containers, ms"));
    for subject in sheet.subjects().into_iter().filter(|subject| sheet.has(subject, ports, *last)) {
        let (from, to) = (sheet.row(subject, ports, *first)?, sheet.row(subject, ports, *last)?);
        let (add, del) = (to.add.p50 - from.add.p50, to.del.p50 - from.del.p50);
        console::say(&format!("{:>10}  {subject:20} ADD {add:8.3}  DEL {del:8.3}", ""));
    }
    console::say("");
    Ok(())
}

fn grown(sheet: &Sheet<'_>, ports: usize, floor: &'static str, ends: (usize, usize)) -> Result<(), Error> {
    let growth = |subject| {
        let (from, to) = (sheet.row(subject, ports, ends.0)?, sheet.row(subject, ports, ends.1)?);
        Ok::<_, Error>(to.add.p50 - from.add.p50)
    };
    let what = format!("growth of ADD, {ports} ports, ms, beside the floor's and 20 %");
    at_most(&what, growth(OURS)?, growth(floor)? * 1.2);
    Ok(())
}

/// Who failed how often, if anybody did.
fn failures(sheet: &Sheet<'_>) {
    for subject in sheet.subjects() {
        let (failed, twice) = sheet.failures(subject);
        if failed + twice > 0 {
            console::say(&format!("{subject}: {failed} calls FAILED, {twice} addresses were given twice"));
        }
    }
    if !sheet.sound() {
        console::say("no figure above means anything");
    }
}

pub(super) fn at_least(what: &str, value: f64, limit: f64) {
    target(what, value, "at least", limit, value >= limit);
}

pub(super) fn at_most(what: &str, value: f64, limit: f64) {
    target(what, value, "at most", limit, value <= limit);
}

fn target(what: &str, value: f64, relation: &str, limit: f64, reached: bool) {
    let verdict = if reached { "reached" } else { "MISSED" };
    console::say(&format!("{verdict:8} {what}: {value:.2}, {relation} {limit:.2}"));
}

fn count(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
