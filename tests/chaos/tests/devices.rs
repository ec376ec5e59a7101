//! `host-device`, killed where a device is nobody's: as it is being taken, and on its way home.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use chaos::{Run, run, well};
use netlab::{Call, Container, Host, Snapshot, ip};
use nix::{
    libc::SYS_symlink,
    unistd::{getpid, gettid},
};
use serde_json::{Value, json};
use std::{fs, process::ExitCode};

fn main() -> ExitCode {
    chaos::main(|| {
        netlab::trials![
            an_add_that_is_killed_as_it_takes_a_device_leaves_no_word_of_it,
            an_add_that_is_killed_as_it_takes_what_another_had_leaves_no_word_of_it,
            a_device_that_is_on_its_way_home_comes_back_as_it_was_and_bears_no_name_of_the_containers,
        ]
    })
}

/// A host with a device that has all sorts of things to give back.
struct Site {
    host: Host,
    before: Snapshot,
}

impl Site {
    fn new() -> Self {
        let host = chaos::host().unwrap();
        for command in [
            "link add d0 type veth peer name p0",
            "link set p0 up",
            "link set d0 mtu 1400 txqueuelen 9 alias uplink up",
            "link property add dev d0 altname the-cable-to-the-outside",
            "addr add 10.5.0.1/24 dev d0",
            "route add 10.66.0.0/16 via 10.5.0.9 metric 7",
        ] {
            ip(command).unwrap();
        }
        let before = host.snapshot().unwrap();
        Self { host, before }
    }

    fn config(&self, device: &str) -> Value {
        let ipam = json!({"type": "host-local", "subnet": "10.7.0.0/24"});
        self.host.config(&json!({"type": "host-device", "device": device, "ipam": ipam}))
    }

    fn call(&self, verb: &str, device: &str, of: &Container) -> Call {
        self.host.attach(verb, &self.config(device), of, "net1").unwrap()
    }

    fn add(&self) -> Container {
        let container = self.host.container().unwrap();
        assert!(run(&self.call("ADD", "d0", &container), None).unwrap().stdout.contains("net1"));
        container
    }

    /// What every runtime sends, or none that has forgotten the container.
    fn end(&self, verb: &str, of: &Container, told: &str) {
        if verb == "DEL" {
            well(&self.call("DEL", "d0", of), told);
        } else {
            let reply = self.host.gc(&self.config("d0"), &[]).unwrap();
            assert!(reply.success(), "{told}: {reply:?}");
        }
    }

    fn is_as_before(&self, told: &str) {
        assert_eq!(self.host.changes_left_since(&self.before).unwrap(), "", "{told}");
        assert!(!self.host.state_dir().join("devices").exists(), "{told}");
    }

    /// Whether a killed ADD has left what it was about to say.
    fn has_draft(&self) -> bool {
        let entries = fs::read_dir(self.host.state_dir().join("devices")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name()).any(|name| name.to_string_lossy().starts_with('.'))
    }
}

/// The stops about where an ADD makes its last symbolic link. Another may have some system calls more or less before it.
fn about_the_link(run: &Run) -> std::ops::RangeInclusive<usize> {
    let at = run.calls.iter().rposition(|call| call.cast_signed() == SYS_symlink).unwrap();
    2 * at - 10..=2 * at + 14
}

fn an_add_that_is_killed_as_it_takes_a_device_leaves_no_word_of_it() {
    let site = Site::new();
    site.end("DEL", &site.add(), "a first time");
    let first = site.host.container().unwrap();
    let stops = about_the_link(&run(&site.call("ADD", "d0", &first), None).unwrap());
    site.end("DEL", &first, "a first time");
    for verb in ["DEL", "GC"] {
        let mut drafts = 0;
        for stop in stops.clone() {
            let container = site.host.container().unwrap();
            let told = format!("{:?}", run(&site.call("ADD", "d0", &container), Some(stop)).unwrap());
            drafts += usize::from(site.has_draft());
            site.end(verb, &container, &told);
            site.is_as_before(&told);
        }
        assert!(drafts > 0, "of {stops:?}");
    }
}

/// Its root has put it back on the host, and its DEL is still to come.
fn an_add_that_is_killed_as_it_takes_what_another_had_leaves_no_word_of_it() {
    let site = Site::new();
    let had = || {
        let container = site.add();
        container.ip("link set net1 down name other").unwrap();
        let home = format!("/proc/{}/task/{}/ns/net", getpid(), gettid());
        container.ip(&format!("link set other netns {home}")).unwrap();
        container
    };
    let ended = |first: &Container, second: &Container, told: &str| {
        for container in [second, first] {
            site.end("DEL", container, told);
        }
        site.is_as_before(told);
    };
    let (first, second) = (had(), site.host.container().unwrap());
    let stops = about_the_link(&run(&site.call("ADD", "other", &second), None).unwrap());
    ended(&first, &second, "a first time");
    let mut drafts = 0;
    for stop in stops.clone() {
        let (first, second) = (had(), site.host.container().unwrap());
        let told = format!("{:?}", run(&site.call("ADD", "other", &second), Some(stop)).unwrap());
        drafts += usize::from(site.has_draft());
        ended(&first, &second, &told);
    }
    assert!(drafts > 0, "of {stops:?}");
}

/// The container's root has wiped the mark off, and what it calls the device is no name of the host's, not for a moment.
fn a_device_that_is_on_its_way_home_comes_back_as_it_was_and_bears_no_name_of_the_containers() {
    let site = Site::new();
    let spoilt = || {
        let container = site.add();
        for command in [
            "link set net1 down name other alias mine mtu 1280 txqueuelen 7 address 02:00:00:00:00:99",
            "link property add dev other altname later0",
        ] {
            container.ip(command).unwrap();
        }
        container
    };
    let first = spoilt();
    let moments = run(&site.call("DEL", "d0", &first), None).unwrap().moments();
    site.is_as_before("a first time");
    let mut on_the_way = 0;
    for (at, moment) in moments.iter().enumerate() {
        let container = spoilt();
        let told = format!("{:?}", run(&site.call("DEL", "d0", &container), Some(*moment)).unwrap());
        let links = ip("link show").unwrap().to_string();
        assert!(!links.contains("later0"), "{links} after {told}");
        on_the_way += usize::from(links.contains("02:00:00:00:00:99"));
        site.end(if at % 2 == 0 { "DEL" } else { "GC" }, &container, &told);
        site.is_as_before(&told);
    }
    assert!(on_the_way > 0, "of {moments:?}");
}
