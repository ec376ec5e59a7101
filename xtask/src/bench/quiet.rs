//! Waiting for a quiet machine.
//!
//! A run ends with hundreds of network namespaces. The kernel takes them apart for many seconds, under the lock that every
//! ADD needs: whoever is measured next would pay for it.
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How long the processors have to be idle, at this share of their time.
const WINDOW: Duration = Duration::from_secs(1);
const SHARE: f64 = 0.93;
const WINDOWS: usize = 2;
/// A machine that never comes to rest is measured as it is; its load is printed.
const LIMIT: Duration = Duration::from_mins(1);

/// Returns when the processors have been idle for some seconds, or after a minute.
pub(super) fn wait() {
    let start = Instant::now();
    let mut quiet = 0;
    while quiet < WINDOWS && start.elapsed() < LIMIT {
        let before = times();
        thread::sleep(WINDOW);
        let after = times();
        let (idle, all) = (after.0 - before.0, after.1 - before.1);
        quiet = if idle >= SHARE * all { quiet + 1 } else { 0 };
    }
}

/// Idle time and all time of all processors, in ticks (`/proc/stat`, proc(5)); zeros if it can't be read.
fn times() -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    (ticks.iter().skip(3).take(2).sum(), ticks.iter().take(8).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_processor_is_idle_for_longer_than_there_is_time() {
        let (idle, all) = times();
        assert!(idle > 0.0 && idle < all, "{idle} of {all}");
    }
}
