//! An interface's addresses, told to everybody on its link in nobody's way.
//!
//! # Theory of operation
//! The kernel announces addresses when an interface comes up or is told its MAC address (`arp_notify`, `ndisc_notify`), and whoever asked for
//! that waits, with the network lock held, while a bridge hands a copy to each of its ports and each container behind one takes it in. So beside
//! many a child tells them, by frames of its own (packet(7)), which take no lock.
//!
//! By the time it comes to that, somebody may have given the interface another MAC address, which the kernel has announced: what the child says
//! is what it finds, and if it finds something else afterwards, it says so again. It does not ask the kernel to announce: that has to be told
//! the MAC address, and forgets the container's neighbours for it, with the packets that wait for their answer.
//!
//! What the kernel says of an optimistic address does not override what neighbours know (RFC 4429, section 3.3), and once nobody else was found to
//! have the address it says nothing (`addrconf_dad_work` in `net/ipv6/addrconf.c`). Who has just spoken with another machine of that address
//! would go on with that one's MAC address until it finds out by itself, some nine seconds later. So a child looks now and then whether the test
//! is over, and announces the address then. Between two looks it holds nothing of the container's namespace, which may go meanwhile.
use crate::{
    Error, Netns, Rtnl, addr,
    ifreq::{ask, named},
    process::{Detached, LIMIT, attended, detached},
    sysctl,
};
use nix::{
    errno::Errno,
    libc,
    sys::{
        prctl,
        socket::{AddressFamily, SockFlag, SockType, socket},
    },
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{self, Path},
    thread,
    time::Duration,
};
use types::{IfName, Mac};

/// Has a child of its own, called `sealane-arp`, announce these addresses of an interface: by ARP (RFC 5227, section 3), and by unsolicited neighbour
/// advertisements (RFC 4861, section 7.2.6). An interface that is gone by then has nothing to say. An error if there can't be a child, or if it could say
/// nothing: without `CAP_NET_RAW`, for one.
pub fn announce_later(
    netns: &Netns,
    (name, index): (&IfName, u32),
    addresses: &[IpAddr],
) -> Result<Detached, Error> {
    let socket = netns.run(|| open(name))??;
    detached("announce addresses", &[netns.as_fd().as_raw_fd(), socket.as_raw_fd()], || {
        let _unnamed = prctl::set_name(c"sealane-arp");
        netns.run(|| announce(&socket, (name, index), addresses))?
    })
}

/// Has a child of its own, called `sealane-nd`, announce those of these IPv6 addresses that pass their test for duplicates (RFC 4862, section 5.4), when
/// they have: by unsolicited neighbour advertisements that replace what is known. What is gone has nothing to say. The namespace is held only if
/// `netns` leads a child elsewhere, as what names a descriptor of the caller's does. The test takes a second or two; one that is not over after ten, as on a cable that is not plugged in, is not waited for.
///
/// With `wait` it is done when this returns, or could not be: `ETIMEDOUT` if the test was not over.
pub fn announce_tested(
    netns: &Path,
    interface: (&IfName, u32),
    addresses: &[IpAddr],
    wait: bool,
) -> Result<(), Error> {
    const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
    let what = "announce addresses that are tested";
    let Ok(there) = Netns::open(netns) else { return Ok(()) };
    let path = path::absolute(netns).unwrap_or_else(|_| netns.to_owned());
    let keep = [there.as_fd().as_raw_fd()];
    let work = move || {
        let _unnamed = prctl::set_name(c"sealane-nd");
        let is_found = Netns::open(&path).is_ok_and(|found| found.id().may_be(&there.id()));
        let held = Some(there).filter(|_| !is_found);
        let find = || held.clone().or_else(|| Netns::open(&path).ok());
        announce_when_tested(find, interface, addresses, || thread::sleep(BETWEEN_LOOKS))
    };
    if !wait {
        return detached(what, &keep, work).map(drop);
    }
    attended(what, &keep, LIMIT, work)?.map_or(Ok(()), |errno| Err(failed(interface.0, errno)))
}

fn announce_when_tested(
    find: impl Fn() -> Option<Netns>,
    interface: (&IfName, u32),
    addresses: &[IpAddr],
    pause: impl Fn(),
) -> Result<(), Error> {
    const LOOKS: u32 = 40;
    for _ in 0..LOOKS {
        pause();
        let Some(netns) = find() else { return Ok(()) };
        let over = netns.run(|| match sound(interface.1, addresses)? {
            Some(sound) => announce(&open(interface.0)?, interface, &sound).map(|()| true),
            None => Ok(false),
        })??;
        if over {
            return Ok(());
        }
    }
    Err(failed(interface.0, Errno::ETIMEDOUT))
}

/// Those of the addresses that the interface has and nobody else was found to have. `None` while one is being tested.
fn sound(index: u32, addresses: &[IpAddr]) -> Result<Option<Vec<IpAddr>>, Error> {
    let mut there = addr::of(&mut Rtnl::open()?, index)?;
    there.retain(|it| addresses.contains(&it.prefix.address()) && !it.dadfailed);
    let over = there.iter().all(|it| !it.tentative);
    Ok(over.then(|| there.iter().map(|it| it.prefix.address()).collect()))
}

/// A socket of the calling thread's namespace for frames. Without a protocol it hears nothing. Its last close takes a grace period of the kernel's, and
/// is for a child.
fn open(name: &IfName) -> Result<OwnedFd, Error> {
    let opened = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None);
    opened.map_err(|errno| failed(name, errno))
}

/// Announces addresses of an interface of the calling thread's namespace, through a socket of that. What is gone or down has nothing to say.
fn announce(socket: &OwnedFd, (name, index): (&IfName, u32), addresses: &[IpAddr]) -> Result<(), Error> {
    let forwards = sysctl::read(&["ipv6", "conf", name.as_str(), "forwarding"]);
    let router = forwards.is_ok_and(|value| value.trim() == "1");
    let say =
        |mac| addresses.iter().try_for_each(|address| send(socket, index, &frame(mac, *address, router)));
    match say_until_it_is_so(|| mac_of(socket, name), say) {
        Err(Errno::ENXIO | Errno::ENODEV | Errno::ENETDOWN) => Ok(()),
        other => other.map_err(|errno| failed(name, errno)),
    }
}

/// Says which MAC address an interface has, and again if it has another one when that is said.
fn say_until_it_is_so(
    mut find: impl FnMut() -> Result<Mac, Errno>,
    mut say: impl FnMut(Mac) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut mac = find()?;
    loop {
        say(mac)?;
        let now = find()?;
        if now == mac {
            return Ok(());
        }
        mac = now;
    }
}

fn failed(name: &IfName, errno: Errno) -> Error {
    Error::system(format!("announce the addresses of {name}"), errno)
}

/// The frame that tells everybody on the link that this address is at this MAC address.
fn frame(mac: Mac, address: IpAddr, router: bool) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp(mac, address),
        IpAddr::V6(address) => advertisement(mac, address, router),
    }
}

/// RFC 826, as a request: some take in no reply that they have not asked for (RFC 5227, section 3).
fn arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
    const REQUEST: [u8; 2] = [0, 1];
    let (mac, address) = (mac.octets(), address.octets());
    let nobody = [0; 6];
    [&[0xff; 6][..], &mac, &[8, 6], &ETHERNET_IPV4, &REQUEST, &mac, &address, &nobody, &address].concat()
}

/// RFC 4861, section 4.4, to all nodes of the link: unsolicited, with the MAC address in place of the one that is known.
fn advertisement(mac: Mac, address: Ipv6Addr, router: bool) -> Vec<u8> {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
    const ICMPV6: u8 = 58;
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const ROUTER: u8 = 0x80;
    const OVERRIDE: u8 = 0x20;
    const TARGET_LINK_LAYER_ADDRESS: [u8; 2] = [2, 1];
    let (mac, source, everybody) = (mac.octets(), address.octets(), ALL_NODES.octets());
    let flags = OVERRIDE | if router { ROUTER } else { 0 };
    let message = |checksum: [u8; 2]| {
        let [high, low] = checksum;
        let header = [NEIGHBOUR_ADVERTISEMENT, 0, high, low, flags, 0, 0, 0];
        [&header[..], &source, &TARGET_LINK_LAYER_ADDRESS, &mac].concat()
    };
    let length = u8::try_from(message([0; 2]).len()).unwrap_or_default();
    // RFC 8200, section 8.1.
    let pseudo_header = [&source[..], &everybody, &[0, 0, 0, length], &[0, 0, 0, ICMPV6]].concat();
    let checksum = checksum(&[pseudo_header, message([0; 2])].concat());
    let ethernet = [&ALL_NODES_MAC[..], &mac, &[0x86, 0xdd]].concat();
    let header = [&[0x60, 0, 0, 0, 0, length, ICMPV6, 255][..], &source, &everybody].concat();
    [ethernet, header, message(checksum.to_be_bytes())].concat()
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).filter_map(|word| word.try_into().ok()).map(u16::from_be_bytes);
    !words.fold(0, |sum: u16, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

/// The Ethernet address that the interface has at this moment (`SIOCGIFHWADDR`, netdevice(7)). Never waits for the kernel's network lock.
#[allow(unsafe_code, reason = "a field of a union")]
fn mac_of(socket: &OwnedFd, name: &IfName) -> Result<Mac, Errno> {
    let mut request = named(name);
    ask(socket.as_fd(), libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: the kernel has written this field of the union.
    let data = unsafe { request.ifr_ifru.ifru_hwaddr.sa_data };
    let octets = data.map(|octet| u8::from_ne_bytes(octet.to_ne_bytes()));
    octets.first_chunk().copied().map(Mac::new).ok_or(Errno::EINVAL)
}

/// Puts a frame on the interface with this number.
#[allow(unsafe_code, reason = "nix makes no packet addresses")]
fn send(socket: &OwnedFd, index: u32, frame: &[u8]) -> Result<(), Errno> {
    // SAFETY: `sockaddr_ll` is plain data, of which all zeros is a value.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = u16::try_from(libc::AF_PACKET).map_err(|_| Errno::EOVERFLOW)?;
    to.sll_ifindex = i32::try_from(index).map_err(|_| Errno::ENODEV)?;
    let length = u32::try_from(size_of_val(&to)).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the kernel reads the frame and the address, whose sizes are said and which live longer than the call.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const to).cast(),
            length,
        )
    };
    Errno::result(sent).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const MAC: Mac = Mac::new([2, 0, 0, 0, 0xab, 7]);

    #[test]
    fn an_ipv4_address_is_asked_for_by_who_has_it() {
        let frame = frame(MAC, "10.1.0.2".parse().unwrap(), false);
        let expected =
            "ffffffffffff 02000000ab07 0806 0001080006040001 02000000ab07 0a010002 000000000000 0a010002";
        assert_eq!(hex(&frame), expected.replace(' ', ""));
    }

    #[test]
    fn an_ipv6_address_is_advertised_to_all_nodes_and_replaces_what_they_know() {
        let frame = frame(MAC, "fd01::2".parse().unwrap(), false);
        let (ethernet, header) = ("333300000001 02000000ab07 86dd", "60000000 0020 3a ff");
        let addresses = "fd010000000000000000000000000002 ff020000000000000000000000000001";
        let target = "20000000 fd010000000000000000000000000002 0201 02000000ab07";
        let expected = format!("{ethernet} {header} {addresses} 8800 ffff {target}").replace(' ', "");
        let shown = hex(&frame);
        let (before, rest) = shown.split_at(expected.find("8800ffff").unwrap() + 4);
        assert_eq!(format!("{before}ffff{}", rest.split_at(4).1), expected);
    }

    /// The sum of what is summed up, with its checksum, is all ones.
    #[test]
    fn an_advertisement_passes_its_receivers_check_whoever_sends_it() {
        for address in ["fd01::2", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1"] {
            for router in [false, true] {
                let frame = frame(MAC, address.parse().unwrap(), router);
                assert_eq!(frame[58] & 0x80 != 0, router);
                let summed = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58], &frame[54..]].concat();
                assert_eq!(checksum(&summed), 0, "{address}");
            }
        }
    }

    /// Somebody may give the interface another one while it is said.
    #[test]
    fn what_is_said_last_is_what_the_interface_has_then() {
        for (found, expected) in [(&[1, 1][..], &[1][..]), (&[1, 2, 2], &[1, 2]), (&[1, 2, 1, 1], &[1, 2, 1])]
        {
            let (mut found, mut said) = (found.iter(), Vec::new());
            let find = || Ok(Mac::new([*found.next().unwrap(); 6]));
            let say = |mac: Mac| {
                said.push(mac.octets()[0]);
                Ok(())
            };
            say_until_it_is_so(find, say).unwrap();
            assert_eq!(said, expected);
            assert_eq!(found.next(), None);
        }
    }

    #[test]
    fn a_namespace_that_is_gone_is_looked_for_once() {
        let (name, looks) = ("eth0".parse().unwrap(), Cell::new(0));
        let look = || looks.set(looks.get() + 1);
        announce_when_tested(|| None, (&name, 2), &[], look).unwrap();
        assert_eq!(looks.get(), 1);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }
}
