//! Links as they are: looked up, listed, watched.
use super::{
    altname::{self, Altname},
    called::raw_name_of,
    driver,
    tun::Tun,
    vxlan::Vxlan,
};
use crate::{Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, Emitable, parse_mac, parse_string, parse_u8, parse_u16, parse_u32};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkHeader, LinkMessage},
};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, setsockopt, socket, sockopt::BindToDevice},
};
use std::{ffi::OsString, os::fd::BorrowedFd};
use types::{IfName, LinkKind, Mac, VlanId};

/// A link as it was when the kernel was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of the kernel's")]
pub struct Link {
    /// The number, unique in its namespace. 1 is `lo`.
    pub index: u32,
    /// The name.
    pub name: IfName,
    /// What it is called besides.
    pub altnames: Vec<Altname>,
    /// The Ethernet address, if it is of that kind.
    pub mac: Option<Mac>,
    /// The largest packet in bytes.
    pub mtu: u32,
    /// Whether it is administratively up (`IFF_UP`).
    pub up: bool,
    /// Whether there is somebody at its other end (`IFF_LOWER_UP`): for a bridge, a port that is up.
    pub carrier: bool,
    /// Whether it was told to take every frame (`IFF_PROMISC`); a bridge's ports do so without being told.
    pub promisc: bool,
    /// Whether it was told to take all multicast frames (`IFF_ALLMULTI`).
    pub all_multicast: bool,
    /// How many packets wait to be sent (`IFLA_TXQLEN`).
    pub tx_queue: u32,
    /// Whether it is a loopback (`IFF_LOOPBACK`).
    pub loopback: bool,
    /// The driver: `bridge`, `veth`, ...; none for `lo` and most hardware.
    pub kind: Option<String>,
    /// The driver with its settings, if it is one of these.
    pub driver: Option<LinkKind>,
    /// The index of what it is a port of.
    pub master: Option<u32>,
    /// The index of a veth's other end, or of a VLAN's or macvlan's lower link, in the namespace that one is in.
    pub peer: Option<u32>,
    /// What it is besides, if it is a TUN or TAP device.
    pub tun: Option<Tun>,
    /// What tells its packets from others, if it is a tunnel.
    pub vxlan: Option<Vxlan>,
    /// The most that one of its packets has before it is cut into segments, in bytes: of either family, out or in, the largest number.
    pub segment: u32,
    /// Its settings as the port of a bridge, if it is one.
    pub port: Option<BridgePort>,
    /// What it does with VLANs, if it is a bridge and the kernel's bridges know of them (`CONFIG_BRIDGE_VLAN_FILTERING`).
    pub vlan_filter: Option<VlanFilter>,
    /// What somebody has written on it (`ifalias`).
    pub alias: Option<String>,
    /// The address that the hardware has, whatever it is told to use; none where there is none.
    pub burnt_in: Option<Mac>,
    /// What it is on its bus, such as `0000:04:00.5` on PCI; none of virtual links, and before Linux 5.14.
    pub device: Option<String>,
    /// Whether the kernel keeps it in its namespace, as it does bridges (`IFLA_NETNS_IMMUTABLE`); before Linux 6.15 it does not say.
    pub immovable: bool,
    /// Whether it takes IPv6 router advertisements (`ip-sysctl`: `accept_ra`, 0 to 2); none without IPv6.
    pub accept_ra: Option<u32>,
}

/// What a bridge says of one of its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgePort {
    /// Frames may go back to the port they came from.
    pub hairpin: bool,
    /// No frames between this port and other isolated ones.
    pub isolated: bool,
    /// The port's number: the least from 1 that was free, so that all numbers below were others'.
    pub number: u16,
}

/// What a bridge does with VLANs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanFilter {
    /// Whether its ports keep to their VLANs; else every frame goes everywhere, whatever its tag.
    pub on: bool,
    /// The VLAN that a new port is in, untagged; none if a new port is in no VLAN.
    pub default: Option<VlanId>,
}

/// Asks for a link by name; its answer has the link. `ENODEV` if there is none.
pub fn query(name: &IfName) -> Message {
    let mut link = without_statistics();
    link.attributes.push(LinkAttribute::IfName(name.to_string()));
    Message::new(format!("look up link {name}"), RouteNetlinkMessage::GetLink(link), 0)
}

/// The link of this name, if there is one. Waits for the kernel's network lock; [`exists`] does not.
pub fn lookup(rtnl: &mut Rtnl, name: &IfName) -> Result<Option<Link>, Error> {
    match rtnl.request(query(name)) {
        Ok(answer) => Ok(answer.link),
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name of the link with this index in the calling thread's namespace, if there is one. Never waits for the kernel's
/// network lock.
pub fn name_of(index: u32) -> Result<Option<IfName>, Error> {
    Ok(raw_name_of(index)?.and_then(|name| name.to_str().ok()?.parse().ok()))
}

/// The link with this index, if there is one.
pub fn lookup_number(rtnl: &mut Rtnl, index: u32) -> Result<Option<Link>, Error> {
    let mut link = without_statistics();
    link.header.index = index;
    match rtnl.request(Message::new(format!("look up link {index}"), RouteNetlinkMessage::GetLink(link), 0)) {
        Ok(answer) => Ok(answer.link),
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All links of the namespace, but those whose names are not UTF-8: none of those is ours.
pub fn links(rtnl: &mut Rtnl) -> Result<Vec<Link>, Error> {
    let body = RouteNetlinkMessage::GetLink(without_statistics());
    rtnl.list(&Message::new("list links".to_owned(), body, 0), Link::read)
}

/// The links that are in no bridge, bond, VRF or the like, as [`links`] lists them: those that are cost the kernel a look, and us nothing. Before
/// Linux 5.16 all links.
pub fn masterless(rtnl: &mut Rtnl) -> Result<Vec<Link>, Error> {
    // An index that no link has stands for "none" (`link_master_filtered` in `net/core/rtnetlink.c`).
    const NONE: u32 = u32::MAX;
    let mut link = without_statistics();
    link.attributes.push(LinkAttribute::Controller(NONE));
    let what = "list links that are no ports".to_owned();
    let found = rtnl.list(&Message::new(what, RouteNetlinkMessage::GetLink(link), 0), Link::read)?;
    // Before Linux 5.16 none is in it. Later `lo` always is.
    if found.is_empty() { links(rtnl) } else { Ok(found) }
}

/// The links that are ports of the one with this index.
pub fn ports_of(rtnl: &mut Rtnl, master: u32) -> Result<Vec<Link>, Error> {
    let mut link = without_statistics();
    link.attributes.push(LinkAttribute::Controller(master));
    let request = Message::new(format!("list ports of link {master}"), RouteNetlinkMessage::GetLink(link), 0);
    let mut found = rtnl.list(&request, Link::read)?;
    // Before Linux 4.4 all are told.
    found.retain(|link| link.master == Some(master));
    Ok(found)
}

/// A third of the answer, which nobody here reads.
pub(super) fn without_statistics() -> LinkMessage {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    link
}

/// Whether the calling thread's namespace has a link of this name. Never waits for the kernel's network lock.
pub fn exists(name: &IfName) -> Result<bool, Error> {
    let scratch = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|errno| Error::system("open a socket", errno))?;
    bind(std::os::fd::AsFd::as_fd(&scratch), name)
}

/// Ties a socket to the link of this name, by its index; false if there is no such link.
///
/// `SO_BINDTODEVICE` (socket(7)) rather than the ioctl `SIOCGIFINDEX`: both look the name up without the network lock,
/// but for a name that is not there the ioctl has root's kernel run modprobe, twice (`dev_load` in
/// `net/core/dev_ioctl.c`).
pub(crate) fn bind(socket: BorrowedFd<'_>, name: &IfName) -> Result<bool, Error> {
    match setsockopt(&socket, BindToDevice, &OsString::from(name.as_str())) {
        Ok(()) => Ok(true),
        Err(Errno::ENODEV) => Ok(false),
        Err(errno) => Err(Error::system(format!("look up link {name}"), errno)),
    }
}

/// The index of the link that a socket is tied to; none before Linux 5.1, which does not tell.
pub(crate) fn bound_index(socket: BorrowedFd<'_>) -> Result<Option<u32>, Error> {
    match crate::socket::option(socket, libc::SO_BINDTOIFINDEX) {
        Ok(index) => Ok(Some(u32::from_ne_bytes(index))),
        Err(Errno::ENOPROTOOPT) => Ok(None),
        Err(errno) => Err(Error::system("look at a link's number", errno)),
    }
}

/// Whether the link that a socket is tied to is still there.
pub(crate) fn is_bound(socket: BorrowedFd<'_>) -> Result<bool, Error> {
    match getsockopt(&socket, BindToDevice) {
        Ok(name) => Ok(!name.is_empty()),
        Err(Errno::ENODEV) => Ok(false),
        Err(errno) => Err(Error::system("look whether a link is gone", errno)),
    }
}

impl Link {
    /// Reads what follows the header of an `RTM_NEWLINK`; none if the name is not UTF-8.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        Self::read_called(bytes, |_| None)
    }

    /// The same, under the name that its number gives if its own is none to us.
    pub(super) fn read_called(
        bytes: &[u8],
        stand_in: impl FnOnce(u32) -> Option<IfName>,
    ) -> Result<Option<Self>, DecodeError> {
        let header = LinkHeader::parse(bytes)?;
        let (mut name, mut mac, mut mtu, mut master, mut peer) = (None, None, 0, None, None);
        let (mut info, mut marks, mut accept_ra) = (Info::default(), Marks::default(), None);
        let (mut tx_queue, mut segment) = (0, 0);
        for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
            let (kind, value) = attribute?;
            match kind {
                libc::IFLA_IFNAME => name = parse_string(value).ok().and_then(|name| name.parse().ok()),
                libc::IFLA_ADDRESS => mac = parse_mac(value).ok().map(Mac::new),
                libc::IFLA_MTU => mtu = parse_u32(value)?,
                libc::IFLA_TXQLEN => tx_queue = parse_u32(value)?,
                libc::IFLA_MASTER => master = Some(parse_u32(value)?),
                libc::IFLA_LINK => peer = Some(parse_u32(value)?).filter(|peer| *peer != 0),
                kind if SEGMENTS.contains(&kind) => segment = parse_u32(value)?.max(segment),
                libc::IFLA_LINKINFO => info = Info::read(value)?,
                libc::IFLA_AF_SPEC => accept_ra = read_accept_ra(value)?,
                _ => marks.read(kind, value)?,
            }
        }
        Ok(name.or_else(|| stand_in(header.index)).map(|name| Self {
            index: header.index,
            name,
            altnames: marks.altnames,
            mac,
            mtu,
            up: header.flags.contains(LinkFlags::Up),
            carrier: header.flags.contains(LinkFlags::LowerUp),
            promisc: header.flags.contains(LinkFlags::Promisc),
            all_multicast: header.flags.contains(LinkFlags::Allmulti),
            tx_queue,
            loopback: header.flags.contains(LinkFlags::Loopback),
            driver: info.kind.as_deref().and_then(|kind| driver::read(kind, info.data)),
            kind: info.kind,
            master,
            peer,
            tun: info.tun,
            vxlan: info.vxlan,
            segment,
            port: info.port,
            vlan_filter: info.vlan_filter,
            alias: marks.alias,
            burnt_in: marks.burnt_in,
            device: marks.device,
            immovable: marks.immovable,
            accept_ra,
        }))
    }
}

/// What a link is known by besides its name and its address, and whether it can be moved.
#[derive(Default)]
struct Marks {
    altnames: Vec<Altname>,
    alias: Option<String>,
    burnt_in: Option<Mac>,
    device: Option<String>,
    immovable: bool,
}

impl Marks {
    fn read(&mut self, kind: u16, value: &[u8]) -> Result<(), DecodeError> {
        match kind {
            libc::IFLA_PROP_LIST => self.altnames = altname::read(value)?,
            libc::IFLA_IFALIAS => self.alias = parse_string(value).ok(),
            libc::IFLA_PERM_ADDRESS => self.burnt_in = parse_mac(value).ok().map(Mac::new),
            libc::IFLA_PARENT_DEV_NAME => self.device = parse_string(value).ok(),
            IFLA_NETNS_IMMUTABLE => self.immovable = parse_u8(value)? != 0,
            _ => {}
        }
        Ok(())
    }
}

/// The driver's part of a link (`IFLA_LINKINFO`).
#[derive(Default)]
struct Info<'a> {
    kind: Option<String>,
    data: &'a [u8],
    tun: Option<Tun>,
    vxlan: Option<Vxlan>,
    port: Option<BridgePort>,
    vlan_filter: Option<VlanFilter>,
}

impl<'a> Info<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut info, mut master, mut port) = (Self::default(), String::new(), &[][..]);
        for attribute in attributes(bytes) {
            let (kind, value) = attribute?;
            match kind {
                libc::IFLA_INFO_KIND => info.kind = Some(parse_string(value)?),
                libc::IFLA_INFO_DATA => info.data = value,
                libc::IFLA_INFO_SLAVE_KIND => master = parse_string(value)?,
                libc::IFLA_INFO_SLAVE_DATA => port = value,
                _ => {}
            }
        }
        if master == "bridge" {
            info.port = Some(BridgePort::read(port)?);
        }
        if info.kind.as_deref() == Some("tun") {
            info.tun = Some(Tun::read(info.data)?);
        }
        if info.kind.as_deref() == Some("vxlan") {
            info.vxlan = Some(Vxlan::read(info.data)?);
        }
        if info.kind.as_deref() == Some("bridge") {
            info.vlan_filter = VlanFilter::read(info.data)?;
        }
        Ok(info)
    }
}

impl BridgePort {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut port = Self::default();
        for attribute in attributes(bytes) {
            let (kind, value) = attribute?;
            match kind {
                IFLA_BRPORT_MODE => port.hairpin = parse_u8(value)? != 0,
                IFLA_BRPORT_NO => port.number = parse_u16(value)?,
                IFLA_BRPORT_ISOLATED => port.isolated = parse_u8(value)? != 0,
                _ => {}
            }
        }
        Ok(port)
    }
}

impl VlanFilter {
    /// A kernel without VLANs on bridges has the first attribute, too, which is then always 0.
    fn read(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let (mut on, mut default) = (false, None);
        for attribute in attributes(bytes) {
            let (kind, value) = attribute?;
            match kind {
                IFLA_BR_VLAN_FILTERING => on = parse_u8(value)? != 0,
                IFLA_BR_VLAN_DEFAULT_PVID => default = Some(VlanId::try_from(parse_u16(value)?).ok()),
                _ => {}
            }
        }
        Ok(default.map(|default| Self { on, default }))
    }
}

/// `IFLA_GSO_MAX_SIZE`, `IFLA_GRO_MAX_SIZE`, and those of IPv4.
const SEGMENTS: [u16; 4] = [41, 58, 63, 64];
// linux/if_link.h, which libc lacks.
const IFLA_NETNS_IMMUTABLE: u16 = 67;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_BR_VLAN_DEFAULT_PVID: u16 = 39;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_NO: u16 = 18;
const IFLA_BRPORT_ISOLATED: u16 = 33;

/// `accept_ra` out of `IFLA_AF_SPEC`: the fourth of the numbers in the IPv6 part (`DEVCONF_ACCEPT_RA`, `linux/ipv6.h`).
fn read_accept_ra(value: &[u8]) -> Result<Option<u32>, DecodeError> {
    const IFLA_INET6_CONF: u16 = 2;
    const DEVCONF_ACCEPT_RA: usize = 3;
    let mut found = None;
    for family in attributes(value) {
        let (family, value) = family?;
        if i32::from(family) != libc::AF_INET6 {
            continue;
        }
        for attribute in attributes(value) {
            let (kind, numbers) = attribute?;
            if kind == IFLA_INET6_CONF {
                found = numbers.chunks_exact(4).nth(DEVCONF_ACCEPT_RA).map(parse_u32).transpose()?;
            }
        }
    }
    Ok(found)
}
