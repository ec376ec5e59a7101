//! What became of the requests, and the lines that sum it up.
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Round trips in milliseconds: what it takes to tell the shortest, the mean, the longest and how much they differ.
#[derive(Debug, Default)]
struct Times {
    count: f64,
    shortest: f64,
    longest: f64,
    sum: f64,
    squares: f64,
}

/// Counts requests and answers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// When the first request and the latest one went out.
    begin: Option<(Instant, Instant)>,
    sent: u64,
    refused: u64,
    received: u64,
    again: u64,
    times: Times,
    /// The numbers of the requests of which nothing has been heard yet.
    open: BTreeSet<u16>,
}

impl Tally {
    /// Counts one more request, and gives its number.
    pub(super) fn ask(&mut self, now: Instant) -> u16 {
        self.begin = Some((self.begin.map_or(now, |(first, _)| first), now));
        self.sent += 1;
        // Numbers begin again after 65,535 requests, as everybody's do.
        let sequence = u16::try_from(self.sent & u64::from(u16::MAX)).unwrap_or_default();
        self.open.insert(sequence);
        sequence
    }

    /// Counts an answer; false if there has been one to this request.
    pub(super) fn answer(&mut self, sequence: u16, after: Duration) -> bool {
        let first = self.open.remove(&sequence);
        if first {
            self.received += 1;
            self.times.add(after.as_secs_f64() * 1e3);
        } else {
            self.again += 1;
        }
        first
    }

    /// Counts a request that will not be answered.
    pub(super) fn refuse(&mut self, sequence: u16) {
        self.open.remove(&sequence);
        self.refused += 1;
    }

    /// How many requests have been sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether anything has answered.
    pub(super) fn answers(&self) -> bool {
        self.received > 0
    }

    /// Whether something has been heard of every request.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// The last lines.
    pub(super) fn summary(&self, host: &str) -> String {
        let some = |count: u64, what| if count > 0 { format!(", +{count} {what}") } else { String::new() };
        let (again, refused) = (some(self.again, "duplicates"), some(self.refused, "errors"));
        let lost = (self.sent - self.received) * 100 / self.sent.max(1);
        let time = self.begin.map_or(0, |(first, last)| (last - first).as_millis());
        format!(
            "\n--- {host} ping statistics ---\n\
             {sent} packets transmitted, {received} received{again}{refused}, {lost}% packet loss, time {time}ms\n{times}",
            sent = self.sent,
            received = self.received,
            times = self.times.summary(),
        )
    }
}

impl Times {
    fn add(&mut self, time: f64) {
        self.shortest = if self.count > 0.0 { self.shortest.min(time) } else { time };
        self.longest = self.longest.max(time);
        self.count += 1.0;
        self.sum += time;
        self.squares += time * time;
    }

    /// The last line; empty when there is nothing to tell.
    fn summary(&self) -> String {
        if self.count == 0.0 {
            return String::new();
        }
        let Self { count, shortest, longest, sum, squares } = self;
        let mean = sum / count;
        // Rounding can bring it below zero when all are the same.
        let deviation = (squares / count - mean * mean).max(0.0).sqrt();
        format!("rtt min/avg/max/mdev = {shortest:.3}/{mean:.3}/{longest:.3}/{deviation:.3} ms")
    }
}

/// Milliseconds, with three digits that mean something.
pub(super) fn time(after: Duration) -> String {
    let time = after.as_secs_f64() * 1e3;
    match time {
        100.0.. => format!("{time:.0}"),
        10.0.. => format!("{time:.1}"),
        1.0.. => format!("{time:.2}"),
        _ => format!("{time:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_reads_as_pings() {
        let mut tally = Tally::default();
        let now = Instant::now();
        for second in 0..4 {
            tally.ask(now + Duration::from_secs(second));
        }
        assert!(tally.answer(1, Duration::from_micros(50)));
        assert!(tally.answer(2, Duration::from_micros(150)));
        assert!(!tally.answer(2, Duration::from_micros(151)));
        tally.refuse(3);
        assert!(!tally.is_settled());
        assert_eq!(
            tally.summary("catserver"),
            "\n--- catserver ping statistics ---\n\
             4 packets transmitted, 2 received, +1 duplicates, +1 errors, 50% packet loss, time 3000ms\n\
             rtt min/avg/max/mdev = 0.050/0.100/0.150/0.050 ms"
        );
    }

    #[test]
    fn without_an_answer_there_are_no_times() {
        let mut tally = Tally::default();
        tally.ask(Instant::now());
        let expected =
            "\n--- x ping statistics ---\n1 packets transmitted, 0 received, 100% packet loss, time 0ms\n";
        assert_eq!(tally.summary("x"), expected);
        assert!(!tally.answers());
    }

    #[test]
    fn times_have_three_digits() {
        let printed = [37, 1_234, 56_789, 123_456].map(|us| time(Duration::from_micros(us)));
        assert_eq!(printed, ["0.037", "1.23", "56.8", "123"]);
    }

    #[test]
    fn a_request_has_the_number_of_one_long_ago() {
        let mut tally = Tally::default();
        let first = tally.ask(Instant::now());
        for _ in 0..65_535 {
            tally.ask(Instant::now());
        }
        assert_eq!(first, tally.ask(Instant::now()));
    }
}
