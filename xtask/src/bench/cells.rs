//! What all rounds together saw: medians, and which row of a table they are.
use super::{
    driver::{Measured, Rates, Verb},
    subjects::{REFERENCE_IPTABLES, REFERENCE_NFTABLES},
};
use crate::error::Error;

/// One verb of one subject at one number of containers, all rounds together. Milliseconds, KiB, system calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) cpu: f64,
    pub(super) rss: f64,
    pub(super) calls: f64,
}

/// A subject at one number of containers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) add: Cell,
    pub(super) del: Cell,
}

/// All that a part has measured.
pub(super) struct Sheet<'a>(&'a [Measured]);

impl<'a> Sheet<'a> {
    pub(super) fn new(measured: &'a [Measured]) -> Self {
        Self(measured)
    }

    /// Who was measured, in the order of the first round.
    pub(super) fn subjects(&self) -> Vec<&'static str> {
        let mut subjects = Vec::new();
        for point in self.0 {
            if !subjects.contains(&point.subject) {
                subjects.push(point.subject);
            }
        }
        subjects
    }

    /// Whether a subject was measured so.
    pub(super) fn has(&self, subject: &str, ports: usize, prefill: usize) -> bool {
        self.points(subject, ports, prefill).next().is_some()
    }

    /// One row of a table.
    pub(super) fn row(&self, subject: &'static str, ports: usize, prefill: usize) -> Result<Row, Error> {
        let verb = |verb: fn(&Measured) -> &Verb| {
            let here = || self.points(subject, ports, prefill);
            let timed: Vec<&Verb> = here().filter(|point| !point.traced).map(verb).collect();
            let calls = here().filter(|point| point.traced).map(|point| verb(point).calls).next();
            cell(&timed, calls.unwrap_or(0.0)).ok_or(Error::NoSamples { subject, prefill })
        };
        Ok(Row { add: verb(|point| &point.add)?, del: verb(|point| &point.del)? })
    }

    /// Of each verb the backend of the reference that is quicker.
    pub(super) fn better_reference(&self, ports: usize, prefill: usize) -> Result<Row, Error> {
        let [one, other] =
            [REFERENCE_IPTABLES, REFERENCE_NFTABLES].map(|name| self.row(name, ports, prefill));
        let quicker = |one: Cell, other: Cell| if one.p50 <= other.p50 { one } else { other };
        let (one, other) = (one?, other?);
        Ok(Row { add: quicker(one.add, other.add), del: quicker(one.del, other.del) })
    }

    /// The median round's containers per second, of many callers at once.
    pub(super) fn rates(&self, subject: &'static str) -> Result<Rates, Error> {
        let rates: Vec<Rates> =
            self.0.iter().filter(|point| point.subject == subject).filter_map(|point| point.rates).collect();
        let median = |rate: fn(&Rates) -> f64| {
            quantile(rates.iter().map(rate).collect(), 50).ok_or(Error::NoSamples { subject, prefill: 0 })
        };
        Ok(Rates {
            add: median(|rates| rates.add)?,
            del: median(|rates| rates.del)?,
            settled: median(|rates| rates.settled)?,
        })
    }

    /// The quicker backend of the reference, for each verb.
    pub(super) fn better_rates(&self) -> Result<Rates, Error> {
        let (one, other) = (self.rates(REFERENCE_IPTABLES)?, self.rates(REFERENCE_NFTABLES)?);
        Ok(Rates {
            add: one.add.max(other.add),
            del: one.del.max(other.del),
            settled: one.settled.max(other.settled),
        })
    }

    /// Calls of a subject that failed, and addresses that it gave twice.
    pub(super) fn failures(&self, subject: &str) -> (u64, u64) {
        let of = |count: fn(&Measured) -> u64| {
            self.0.iter().filter(|point| point.subject == subject).map(count).sum::<u64>()
        };
        (of(|point| point.failures), of(|point| point.duplicates))
    }

    /// Whether the figures mean anything: nothing of ours or of the floor has failed.
    pub(super) fn sound(&self) -> bool {
        let broken = |point: &Measured| point.must_not_fail() && point.failures + point.duplicates > 0;
        !self.0.iter().any(broken)
    }

    fn points(&self, subject: &str, ports: usize, prefill: usize) -> impl Iterator<Item = &'a Measured> {
        let here = move |point: &&Measured| {
            point.subject == subject && point.ports == ports && point.prefill == prefill
        };
        self.0.iter().filter(here)
    }
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
pub(super) fn quantile(mut values: Vec<f64>, percent: usize) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::{super::subjects::OURS, *};

    fn verb(cpu: f64, samples: &[f64]) -> Verb {
        let raw = samples.iter().map(|sample| (*sample, 0.0)).collect();
        Verb { p50: 0.0, raw, cpu, rss: cpu * 10.0, calls: 0.0, errors: 0 }
    }

    fn point(subject: &'static str, add: f64, del: f64, failures: u64) -> Measured {
        let (add, del) = (verb(0.0, &[add]), verb(0.0, &[del]));
        let rates = Some(Rates { add: 1.0 / add.raw[0].0, del: 1.0 / del.raw[0].0, settled: 0.0 });
        let (ports, prefill) = (1, 0);
        Measured { subject, ports, prefill, traced: false, add, del, rates, failures, duplicates: 0 }
    }

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
        let (one, two) = (verb(1.0, &[5.0, 1.0]), verb(3.0, &[2.0, 9.0]));
        let cell = cell(&[&one, &two], 42.0).unwrap();
        assert!((cell.p50 - 2.0).abs() < 1e-9 && (cell.p95 - 9.0).abs() < 1e-9);
        assert!(
            (cell.cpu - 1.0).abs() < 1e-9
                && (cell.rss - 30.0).abs() < 1e-9
                && (cell.calls - 42.0).abs() < 1e-9
        );
    }

    #[test]
    fn the_better_backend_is_chosen_verb_by_verb() {
        let measured = [point(REFERENCE_IPTABLES, 5.0, 90.0, 0), point(REFERENCE_NFTABLES, 7.0, 80.0, 0)];
        let sheet = Sheet::new(&measured);
        let better = sheet.better_reference(1, 0).unwrap();
        assert!((better.add.p50 - 5.0).abs() < 1e-9 && (better.del.p50 - 80.0).abs() < 1e-9);
        let rates = sheet.better_rates().unwrap();
        assert!((rates.add - 1.0 / 5.0).abs() < 1e-9 && (rates.del - 1.0 / 80.0).abs() < 1e-9);
    }

    #[test]
    fn what_a_peer_fails_at_leaves_the_figures_sound() {
        let measured = [point(REFERENCE_NFTABLES, 7.0, 80.0, 9), point(OURS, 1.0, 1.0, 0)];
        assert!(Sheet::new(&measured).sound());
        assert_eq!(Sheet::new(&measured).failures(REFERENCE_NFTABLES), (9, 0));
        assert!(!Sheet::new(&[point(OURS, 1.0, 1.0, 1)]).sound());
    }
}
