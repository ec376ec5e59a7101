//! One more published port beside thousands, and connections through the first and through the last of them.
//!
//! Two hosts with as many containers on their bridges; those of one publish all the ports, those of the other none. The
//! containers are few, so that the bridge's own growth with its ports stays out of it. Then a container with one port is added to and
//! deleted from both by turns. A neighbour of the full host connects through the first and the last port by turns.
use super::{
    Options,
    cells::quantile,
    connections::{self, Door},
    hosts::{Container, Host, Namespace},
    isolation::Isolation,
    quiet,
    subjects::{OURS, REFERENCE_NFTABLES, Subject, Subjects},
    table,
};
use crate::{console, error::Error};
use std::{net::Ipv4Addr, path::Path};

/// Containers that share the ports.
const CONTAINERS: u16 = 10;
const FIRST_PORT: u16 = 10_000;
/// How often connections are counted at each port.
const TURNS: usize = 50;

/// A figure with no other port published, and beside all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) alone: f64,
    pub(super) beside: f64,
}

/// What one suite makes of it: medians; milliseconds, and connections per second.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) name: &'static str,
    pub(super) published: u16,
    pub(super) add: Pair,
    pub(super) del: Pair,
    pub(super) first: f64,
    pub(super) last: f64,
    /// DELs that failed.
    failures: u64,
}

/// Ours, and the reference's backend that can take so many ports within minutes.
pub(super) fn measure(
    subjects: &Subjects,
    options: &Options,
    isolation: &Isolation,
) -> Result<Vec<Beside>, Error> {
    let suites = [(OURS, None), (REFERENCE_NFTABLES, Some("nftables"))];
    let of = |name: &'static str| {
        let mut all = subjects.chain.iter().map(|chained| &chained.subject);
        all.find(|subject| subject.name == name).ok_or(Error::NoSamples { subject: name, prefill: 0 })
    };
    let run = isolation.volatile("run")?;
    let one = |(name, backend): (&'static str, Option<&str>)| {
        if !options.no_wait {
            quiet::wait();
        }
        suite(of(name)?, backend, options, &run.join(backend.unwrap_or("ours")))
    };
    suites.into_iter().map(one).collect()
}

/// The figures, and what those of ours were to be.
pub(super) fn print(all: &[Beside]) {
    for Beside { name, published, add, del, first, last, failures } in all {
        console::say(&format!(
            "\n{name}, one more port beside {published} and beside none: ADD {:.3} and {:.3} ms, DEL {:.3} and {:.3} ms; \
             {last:.0} connections a second through the last port, {first:.0} through the first; {failures} DELs failed",
            add.beside, add.alone, del.beside, del.alone
        ));
    }
    for Beside { published, add, first, last, .. } in all.iter().filter(|one| one.name == OURS) {
        table::at_most(
            &format!("ADD beside {published} ports, by ADD beside none"),
            add.beside / add.alone,
            1.1,
        );
        table::at_least("connections through the last port, by those through the first", last / first, 0.95);
    }
}

fn suite(
    subject: &Subject,
    backend: Option<&str>,
    options: &Options,
    folder: &Path,
) -> Result<Beside, Error> {
    let each = options.published / CONTAINERS;
    let mut alone = Host::new(folder.join("alone"), subject, backend)?;
    let mut beside = Host::new(folder.join("beside"), subject, backend)?;
    fill(&alone, 0)?;
    let containers = fill(&beside, each)?;
    console::note(&format!("{}: {} ports are published", subject.name, each * CONTAINERS));
    let next = vec![FIRST_PORT + each * CONTAINERS];
    let mut one_more = [alone.container("next", next.clone())?, beside.container("next", next)?];
    let mut took = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for at in 0..options.rounds * options.samples {
        let mut hosts = [(&mut alone, 0), (&mut beside, 1)];
        hosts.rotate_left(at % 2);
        for (host, which) in hosts {
            let (Some(container), Some([add, del])) = (one_more.get_mut(which), took.get_mut(which)) else {
                continue;
            };
            add.push(host.add(container)?.as_secs_f64() * 1e3);
            del.push(host.del(container)?.as_secs_f64() * 1e3);
        }
    }
    let median =
        |values: Vec<f64>| quantile(values, 50).ok_or(Error::NoSamples { subject: subject.name, prefill: 0 });
    let [[add_alone, del_alone], [add_beside, del_beside]] = took;
    let [first, last] = connect(&beside, &containers, each, folder)?;
    Ok(Beside {
        name: subject.name,
        published: each * CONTAINERS,
        add: Pair { alone: median(add_alone)?, beside: median(add_beside)? },
        del: Pair { alone: median(del_alone)?, beside: median(del_beside)? },
        first: median(first)?,
        last: median(last)?,
        failures: alone.failures + beside.failures,
    })
}

/// Attaches the containers, with so many ports each.
fn fill(host: &Host, each: u16) -> Result<Vec<Container>, Error> {
    let one = |at: u16| {
        let from = FIRST_PORT + at * each;
        let mut container = host.container(&format!("c{at}"), (from..from + each).collect())?;
        host.add(&mut container)?;
        Ok(container)
    };
    (0..CONTAINERS).map(one).collect()
}

/// What every turn has counted, through the first and through the last port.
fn connect(host: &Host, containers: &[Container], each: u16, folder: &Path) -> Result<[Vec<f64>; 2], Error> {
    const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    let client = Namespace::new(folder.join("client"))?;
    let link = format!("ip link add out0 type veth peer name eth0 netns {}", client.path().display());
    for line in [&link, &format!("ip addr add {HOST}/24 dev out0"), "ip link set out0 up"] {
        host.namespace.run(line)?;
    }
    for line in ["ip link set lo up", "ip addr add 192.0.2.2/24 dev eth0", "ip link set eth0 up"] {
        client.run(line)?;
    }
    let doors =
        [Door { port: FIRST_PORT, byte: 1 }, Door { port: FIRST_PORT + each * CONTAINERS - 1, byte: 2 }];
    for (container, door) in [containers.first(), containers.last()].into_iter().zip(doors) {
        container.map_or(Ok(()), |container| connections::answer(container, door.byte))?;
    }
    connections::through(&client, HOST, doors, TURNS)
}
