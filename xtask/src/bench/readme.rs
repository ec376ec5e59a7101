//! The table that goes into the README: copied from here, never typed.
use super::{
    Options,
    ask::{FEW, MANY},
    cells::Sheet,
    machine,
    ports::Beside,
    subjects::{FLOOR, FLOOR_SET, NETAVARK, OURS, REFERENCE, REFERENCE_IPTABLES, REFERENCE_NFTABLES},
};
use crate::{console, error::Error};

/// Rows of bridge + host-local.
pub(super) fn bridge(sheet: &Sheet<'_>, options: &Options) -> Result<Vec<String>, Error> {
    rows(sheet, "bridge + host-local", &[OURS, REFERENCE, FLOOR], (0, options))
}

/// Rows of the chain.
pub(super) fn chain(sheet: &Sheet<'_>, options: &Options) -> Result<Vec<String>, Error> {
    let subjects = [OURS, REFERENCE_IPTABLES, REFERENCE_NFTABLES, NETAVARK, FLOOR_SET, FLOOR];
    let mut all = rows(sheet, "the chain, 1 port", &subjects, (FEW, options))?;
    all.extend(rows(sheet, "the chain, 10 ports", &subjects, (MANY, options))?);
    Ok(all)
}

/// Rows of one plugin with host-local.
pub(super) fn alone(sheet: &Sheet<'_>, plugin: &str, options: &Options) -> Result<Vec<String>, Error> {
    rows(sheet, plugin, &[OURS, REFERENCE], (0, options))
}

/// Rows of the chain with bandwidth and tuning.
pub(super) fn full(sheet: &Sheet<'_>, options: &Options) -> Result<Vec<String>, Error> {
    let subjects = [OURS, REFERENCE_IPTABLES, REFERENCE_NFTABLES];
    rows(sheet, "the chain, 1 port, with bandwidth and tuning", &subjects, (FEW, options))
}

/// Rows of many at once.
pub(super) fn parallel(sheet: &Sheet<'_>) -> Result<Vec<String>, Error> {
    let row = |subject| {
        let (rates, (failed, _)) = (sheet.rates(subject)?, sheet.failures(subject));
        let failed = if failed > 0 { format!(" ({failed} calls failed)") } else { String::new() };
        let rates = format!("{:.0}/s | {:.0}/s", rates.add, rates.del);
        Ok(format!("| the chain, 1 port, many at once | {subject}{failed} | {rates} | |"))
    };
    sheet.subjects().into_iter().map(row).collect()
}

/// A sentence on one suite with thousands of ports, below the table.
pub(super) fn ports(beside: &Beside) -> String {
    let Beside { name, published, add, del, first, last, .. } = beside;
    format!(
        "\nWith {published} ports published on the host, {name}: ADD of the next {:.2} ms, DEL {:.2} ms ({:.2} and {:.2} with none); new TCP \
         connections through the last one {last:.0}/s, through the first {first:.0}/s.",
        add.beside, del.beside, add.alone, del.alone
    )
}

/// Prints everything: the table of these rows, and what stands below it.
pub(super) fn print(rows: &[String], below: &[String], options: &Options) -> Result<(), Error> {
    console::say(&format!(
        "\nFor the README:\n\n`cargo xtask bench`, {}: {}; medians of {} rounds x {} calls, interleaved; many at once: {} callers, \
         {} containers.\n",
        machine::today()?,
        machine::describe(),
        options.rounds,
        options.samples,
        options.callers,
        options.containers
    ));
    if !rows.is_empty() {
        console::say("| | | ADD | DEL | CPU of both |\n|---|---|--:|--:|--:|");
    }
    for line in rows.iter().chain(below) {
        console::say(line);
    }
    Ok(())
}

fn rows(
    sheet: &Sheet<'_>,
    what: &str,
    subjects: &[&'static str],
    (ports, options): (usize, &Options),
) -> Result<Vec<String>, Error> {
    let mut rows = Vec::new();
    let ends = options
        .prefill
        .first()
        .into_iter()
        .chain(options.prefill.last().filter(|_| options.prefill.len() > 1));
    for prefill in ends {
        for subject in subjects.iter().filter(|subject| sheet.has(subject, ports, *prefill)) {
            let row = sheet.row(subject, ports, *prefill)?;
            let beside = if *prefill > 0 { format!(", beside {prefill}") } else { String::new() };
            rows.push(format!(
                "| {what}{beside} | {subject} | {:.2} ms | {:.2} ms | {:.2} ms |",
                row.add.p50,
                row.del.p50,
                row.add.cpu + row.del.cpu
            ));
        }
    }
    Ok(rows)
}
