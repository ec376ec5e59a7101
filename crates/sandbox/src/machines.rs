//! The machines of a lab.
//!
//! # Theory of operation
//! A machine is network, mount and UTS namespaces, and a thread of the lab's init that is in them and bears the machine's
//! name; the first worker is init's main thread, whose child the command is. So what there is can be seen in
//! `/proc/1/task`, a process enters a machine through its thread's `ns` folder, and all machines end with init. They share
//! the lab's processes.
use crate::{Error, underlay, view};
use kernel::{Namespace, Netns, Rtnl, link};
use std::{env, fmt::Write as _, sync::mpsc, thread};
use types::stable_hash;

/// The process that a lab's machines are threads of: the first one of its PID namespace.
pub(crate) const INIT: u32 = 1;
/// The index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;
/// What a parked thread needs of a stack.
const STACK: usize = 256 * 1024;

/// A machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// `worker-K`, K from 1 on.
    Worker(u8),
    /// All that is not ours: the router of the underlay, and a server on the internet.
    Outside,
}

impl Machine {
    /// Its name, which fits into a thread's and a link's.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Worker(number) => format!("worker-{number}"),
            Self::Outside => "outside".into(),
        }
    }

    /// What this name stands for in a lab of any size.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let worker = || name.strip_prefix("worker-")?.parse().ok().map(Self::Worker);
        let machine = if name == "outside" { Some(Self::Outside) } else { worker() };
        machine.filter(|machine| machine.name() == name)
    }
}

/// Makes the machines of a lab of so many workers, and turns the calling process, its init, into the first.
pub(crate) fn build(workers: u8) -> Result<(), Error> {
    view::own_processes()?;
    let hosts = names(workers);
    let others = (2..=workers).map(Machine::Worker).chain([Machine::Outside]);
    let born: Vec<_> =
        others.map(|machine| Ok((machine, beside(machine, &hosts)?))).collect::<Result<_, Error>>()?;
    let mut machines = Vec::new();
    for (machine, birth) in born {
        machines.push((machine, birth.recv().map_err(|_| Error::Vanished)??));
    }
    // Last: the others begin with what there is before.
    let first = Machine::Worker(1);
    kernel::call_thread(&first.name());
    machines.insert(0, (first, furnish(first, &hosts)?));
    underlay::connect(&machines)
}

/// Makes a machine in a thread of its own.
fn beside(machine: Machine, hosts: &str) -> Result<mpsc::Receiver<Result<Netns, Error>>, Error> {
    let (tell, told) = mpsc::channel();
    let hosts = hosts.to_owned();
    let own = [Namespace::Net, Namespace::Uts, Namespace::Mount];
    let live = move || {
        let made = kernel::isolate(&own).map_err(Error::from).and_then(|()| furnish(machine, &hosts));
        let _nobody_left = tell.send(made);
        loop {
            thread::park(); // until the lab ends
        }
    };
    let thread = thread::Builder::new().name(machine.name()).stack_size(STACK);
    thread.spawn(live).map_err(Error::Start)?;
    Ok(told)
}

/// Makes the namespaces that the calling thread is in those of a machine of its own.
fn furnish(machine: Machine, hosts: &str) -> Result<Netns, Error> {
    let here = env::current_dir();
    view::machine(&machine.name(), hosts)?;
    // Not the folder that is now hidden beneath.
    let _not_there = here.and_then(env::set_current_dir);
    kernel::set_hostname(&machine.name())?;
    bring_up_loopback()?;
    Ok(Netns::current()?)
}

/// The machines' names and addresses, as /etc/hosts of each.
fn names(workers: u8) -> String {
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
    let workers = (1..=workers).map(Machine::Worker);
    for machine in workers.chain([Machine::Outside]) {
        for prefix in underlay::addresses(machine) {
            let _cannot_fail = writeln!(text, "{} {}", prefix.address(), machine.name());
        }
    }
    for prefix in underlay::server() {
        let _cannot_fail = writeln!(text, "{} www.example", prefix.address());
    }
    text
}

/// `machine-id(5)`: from it come the MAC addresses of a machine's containers, which must differ from another one's.
pub(crate) fn machine_id(name: &str) -> String {
    format!("{:016x}{:016x}", stable_hash(&["lab", name]), stable_hash(&["machine", name]))
}

/// Brings up `lo` in the network namespace of the calling thread.
pub(crate) fn bring_up_loopback() -> Result<(), Error> {
    underlay::transact(&mut Rtnl::open()?, &[link::set_up(LOOPBACK)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_by_its_name_alone() {
        for machine in [Machine::Worker(1), Machine::Worker(64), Machine::Outside] {
            assert_eq!(Machine::named(&machine.name()), Some(machine));
            assert!(machine.name().len() <= 15, "the length of a link's name and of a thread's");
        }
        for other in ["", "worker-", "worker-01", "worker-+1", "worker-256", "Outside", "sealane-init"] {
            assert_eq!(Machine::named(other), None, "{other:?}");
        }
    }

    #[test]
    fn every_machine_has_an_identifier_of_its_own() {
        let (one, two) = (machine_id("worker-1"), machine_id("worker-2"));
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.bytes().all(|digit| digit.is_ascii_hexdigit()));
    }

    #[test]
    fn every_machine_knows_all_the_others() {
        assert_eq!(
            names(2),
            "127.0.0.1 localhost\n::1 localhost\n192.0.2.1 worker-1\n2001:db8::1 worker-1\n192.0.2.2 worker-2\n\
             2001:db8::2 worker-2\n192.0.2.254 outside\n2001:db8::fe outside\n198.51.100.1 www.example\n\
             2001:db8:1::1 www.example\n"
        );
    }
}
