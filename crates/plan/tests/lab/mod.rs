//! A host with a packet filter of its own, to which attachments come and go.
use netlab::Host;
use plan::{Departure, Key, Places, Plan, State, apply, undo};
use std::process::Command;

pub(crate) struct Lab {
    pub(crate) host: Host,
    pub(crate) state: State,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let host = Host::new().unwrap();
        let state = State::at(&host.state_dir());
        Self { host, state }
    }

    pub(crate) fn places(&self) -> Places {
        Places::new(None, Departure::Waiting).keeping(&self.state)
    }

    pub(crate) fn attach(&self, at: usize, plan: &Plan) {
        let record = self.state.claim(&key(at)).unwrap();
        apply(plan, &mut self.places(), &self.state, &key(at)).unwrap();
        record.remove().unwrap();
    }

    pub(crate) fn detach(&self, at: usize, plan: &Plan) {
        undo(plan, &mut self.places(), &key(at)).unwrap();
    }
}

/// The attachments with odd numbers are of one network, those with even ones of another.
pub(crate) fn key(at: usize) -> Key {
    Key {
        network: format!("n{}", at % 2).parse().unwrap(),
        container: format!("c{at}").parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
        plugin: "test",
        nth: 0,
    }
}

pub(crate) fn nft(command: &str) -> String {
    let output = Command::new("nft").args(command.split(' ')).output().unwrap();
    assert!(output.status.success(), "nft {command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
