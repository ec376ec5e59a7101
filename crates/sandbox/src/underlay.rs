//! The network that a lab's machines are on, of addresses that are for documentation (RFC 5737, RFC 3849).
//!
//! `outside` is the switch and the router: a bridge [`SWITCH`] with a port for each worker, named after it, and behind it,
//! on `lo`, a server on the internet. Each worker has `eth0`, and its default routes go through `outside`.
use crate::{Error, machines::Machine};
use kernel::{
    Message, Netns, Rtnl, addr,
    link::{self, Veth},
    route::{self, Route},
    sysctl,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::{Dad, IfName, Mac, Prefix};

const SWITCH: &str = "lan0";
const UPLINK: &str = "eth0";
/// The host part of `outside`'s addresses.
const ROUTER: u8 = 254;
/// The index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;

/// A machine's addresses on the underlay.
pub(crate) fn addresses(machine: Machine) -> Vec<Prefix> {
    let last = host(machine);
    // Written as people write them: the third worker is 192.0.2.3 and 2001:db8::3.
    let six = if last == ROUTER { 0xfe } else { decimal_as_hex(last) };
    let addresses = [
        (IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), 24),
        (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, six)), 64),
    ];
    addresses.into_iter().filter_map(|(address, length)| Prefix::new(address, length).ok()).collect()
}

/// The addresses of the server on the internet.
pub(crate) fn server() -> [Prefix; 2] {
    [
        Prefix::host(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))),
        Prefix::host(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1))),
    ]
}

fn host(machine: Machine) -> u8 {
    match machine {
        Machine::Worker(number) => number,
        Machine::Outside => ROUTER,
    }
}

/// The number whose hexadecimal digits are those of a decimal one: `2001:db8::12` is worker-12.
fn decimal_as_hex(number: u8) -> u16 {
    let number = u16::from(number);
    number / 100 * 256 + number / 10 % 10 * 16 + number % 10
}

/// Puts the machines on one network.
pub(crate) fn connect(machines: &[(Machine, Netns)]) -> Result<(), Error> {
    let workers = machines.iter().filter(|(machine, _)| *machine != Machine::Outside);
    let Some((_, outside)) = machines.iter().find(|(machine, _)| *machine == Machine::Outside) else {
        return Ok(());
    };
    let workers: Vec<_> = workers.collect();
    let plugged = outside.run(|| switch(&workers))??;
    for ((machine, netns), uplink) in workers.into_iter().zip(plugged) {
        netns.run(|| configure(*machine, uplink))??;
    }
    Ok(())
}

/// Makes `outside` what it is; the index of each worker's uplink, in that worker.
fn switch(workers: &[&(Machine, Netns)]) -> Result<Vec<u32>, Error> {
    let mut rtnl = Rtnl::open()?;
    let (name, uplink) = (ifname(SWITCH)?, ifname(UPLINK)?);
    let bridge = index(&mut rtnl, link::bridge(&name, mac(ROUTER, 0), None))?;
    let mut requests = vec![link::set_up(bridge)];
    requests
        .extend(addresses(Machine::Outside).into_iter().map(|prefix| addr::add(bridge, prefix, Dad::Off)));
    requests.extend(server().into_iter().map(|prefix| addr::add(LOOPBACK, prefix, Dad::Off)));
    transact(&mut rtnl, &requests)?;
    sysctl::set(&["ipv4", "ip_forward"], "1")?;
    sysctl::set(&["ipv6", "conf", "all", "forwarding"], "1")?;
    workers.iter().map(|(machine, netns)| plug_in(&mut rtnl, *machine, netns, bridge, &uplink)).collect()
}

fn plug_in(
    rtnl: &mut Rtnl,
    machine: Machine,
    netns: &Netns,
    bridge: u32,
    uplink: &IfName,
) -> Result<u32, Error> {
    let port = ifname(&machine.name())?;
    let cable = link::veth(&Veth {
        host: &port,
        host_mac: mac(host(machine), 1),
        peer: uplink,
        peer_mac: mac(host(machine), 0),
        netns,
        master: Some(bridge),
        mtu: None,
        tx_queues: 1,
        rx_queues: 1,
    });
    let mut outcomes = rtnl.transact(&[cable])?;
    let made = outcomes.pop().transpose()?.and_then(|answer| answer.link);
    made.and_then(|link| link.peer).ok_or(Error::NoLink { name: port })
}

/// Gives a worker its addresses and routes.
fn configure(machine: Machine, uplink: u32) -> Result<(), Error> {
    let mut requests = vec![link::set_up(uplink)];
    requests.extend(addresses(machine).into_iter().map(|prefix| addr::add(uplink, prefix, Dad::Off)));
    let gateways = addresses(Machine::Outside).into_iter().map(Prefix::address);
    requests.extend(gateways.map(|gateway| route::add(&default_route(gateway, uplink))));
    transact(&mut Rtnl::open()?, &requests)
}

fn default_route(gateway: IpAddr, link: u32) -> Route {
    Route { gateway: Some(gateway), ..Route::to(Prefix::everywhere(gateway.is_ipv4()), link) }
}

/// Has the kernel do all of this.
pub(crate) fn transact(rtnl: &mut Rtnl, requests: &[Message]) -> Result<(), Error> {
    rtnl.transact(requests)?.into_iter().try_for_each(|outcome| outcome.map(drop))?;
    Ok(())
}

fn index(rtnl: &mut Rtnl, request: Message) -> Result<u32, Error> {
    let answer = rtnl.transact(&[request])?.pop().transpose()?;
    let name = ifname(SWITCH)?;
    answer.and_then(|answer| answer.link).map(|link| link.index).ok_or(Error::NoLink { name })
}

/// The same in every lab, so that what one sees in it is, too.
fn mac(host: u8, end: u8) -> Mac {
    Mac::new([2, 0, 192, 0, 2 + end, host])
}

fn ifname(name: &str) -> Result<IfName, Error> {
    Ok(name.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_worker_is_in_its_addresses() {
        let of =
            |number| addresses(Machine::Worker(number)).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of(1), ["192.0.2.1/24", "2001:db8::1/64"]);
        assert_eq!(of(12), ["192.0.2.12/24", "2001:db8::12/64"]);
        assert_eq!(of(64), ["192.0.2.64/24", "2001:db8::64/64"]);
    }
}
