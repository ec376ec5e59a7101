//! The machine that was measured, in as many words as a figure needs beside it.
use crate::{error::Error, shell};
use std::{fs, process::Command, thread};

/// Today, as in `2026-01-31`.
pub(super) fn today() -> Result<String, Error> {
    let printed = shell::read(Command::new("date").arg("+%F"))?;
    Ok(String::from_utf8_lossy(&printed).trim().to_owned())
}

/// Kernel, processors and memory; no name.
pub(super) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let cpus = thread::available_parallelism().map_or(0, usize::from);
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim_start_matches([' ', '\t', ':']).trim().to_owned()
    };
    let model = value(&read("/proc/cpuinfo"), "model name");
    let kib: u64 =
        value(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").trim().parse().unwrap_or(0);
    format!("Linux {}, {cpus} CPUs ({model}), {} GiB of memory", kernel.trim(), (kib + (1 << 19)) >> 20)
}

/// How many processes wanted to run, over the last minute: a busy machine shows in every figure.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_by_kernel_processors_and_memory() {
        let told = describe();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert!(told.starts_with(&format!("Linux {}, ", kernel.trim())), "{told}");
        assert!(!told.contains(", 0 ") && !told.contains(" 0 GiB"), "{told}");
    }
}
