//! TAP devices: a program in the place of a cable (kernel `Documentation/networking/tuntap.rst`, `linux/if_tun.h`).
//!
//! # Theory of operation
//! A device lives as long as somebody has it open, unless it is told to stay. That is the last thing that it is told here: whatever fails or
//! is killed before, leaves nothing. Everything is asked by ioctl, as netlink can't make such a device.
//!
//! `SELinux` labels a device as the process is that makes it, and lets only those open it whose policy says so; `attr/sockcreate` has no say in that
//! (`selinux_tun_dev_create` in `security/selinux/hooks.c`). There may be no way back from another label, so a child takes it, makes the
//! device and ends.
use crate::{
    Errno, Error,
    ifreq::{ask, named},
    process::{LIMIT, attended},
};
use nix::{
    fcntl::{OFlag, open},
    libc,
    net::if_::if_nametoindex,
    sys::{
        socket::{AddressFamily, SockFlag, SockType, socket},
        stat::Mode,
    },
};
use std::{
    fs,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};
use types::{IfName, Mac};

/// A device to be made.
#[derive(Debug, Clone, Copy)]
pub struct Tap<'a> {
    /// Its name.
    pub name: &'a IfName,
    /// Its address.
    pub mac: Mac,
    /// Its largest packet in bytes, at most [`LARGEST`]; none leaves it to the kernel, 1500.
    pub mtu: Option<u32>,
    /// Whether several descriptors may be its queues at once (`IFF_MULTI_QUEUE`).
    pub multi_queue: bool,
    /// The user who may open it without `CAP_NET_ADMIN`; none for nobody in particular.
    pub owner: Option<u32>,
    /// The group that may.
    pub group: Option<u32>,
    /// The bridge, in the same namespace, that it is to be a port of.
    pub bridge: Option<&'a IfName>,
}

/// The largest MTU that a TAP device can have, in bytes (`MAX_MTU` of `drivers/net/tun.c`, less an Ethernet header).
pub const LARGEST: u32 = 65_521;

/// Makes the device in the calling thread's network namespace, down, and there to stay; its index. One that has its name already is
/// `EBUSY`.
pub fn make(spec: &Tap<'_>) -> Result<u32, Error> {
    let failed = |errno| Error::system(format!("make tap {}", spec.name), errno);
    let tap = driver()?;
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;
    let flags = if spec.multi_queue { flags | libc::IFF_MULTI_QUEUE } else { flags };
    let mut request = named(spec.name);
    // The kernel's field has 16 bits, of which the highest is one of these.
    request.ifr_ifru.ifru_flags = libc::c_short::from_ne_bytes(low(flags));
    ask(tap.as_fd(), libc::TUNSETIFF, &mut request).map_err(failed)?;
    // A name with `%d` in it is a pattern to the kernel.
    let index = if_nametoindex(spec.name.as_str()).map_err(failed)?;
    give_address(tap.as_fd(), spec)?;
    for (what, code, id) in
        [("user", libc::TUNSETOWNER, spec.owner), ("group", libc::TUNSETGROUP, spec.group)]
    {
        if let Some(id) = id {
            let failed = |errno| Error::system(format!("give tap {} to {what} {id}", spec.name), errno);
            tell(tap.as_fd(), code, id).map_err(failed)?;
        }
    }
    let any =
        socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    if let Some(mtu) = spec.mtu {
        let mut request = named(spec.name);
        request.ifr_ifru.ifru_mtu = libc::c_int::try_from(mtu).unwrap_or(libc::c_int::MAX);
        let failed = |errno| Error::system(format!("set the MTU of tap {} to {mtu}", spec.name), errno);
        ask(any.as_fd(), libc::SIOCSIFMTU, &mut request).map_err(failed)?;
    }
    if let Some(bridge) = spec.bridge {
        let mut request = named(bridge);
        request.ifr_ifru.ifru_ifindex = libc::c_int::try_from(index).unwrap_or_default();
        let failed = |errno| Error::system(format!("make tap {} a port of {bridge}", spec.name), errno);
        ask(any.as_fd(), SIOCBRADDIF, &mut request).map_err(failed)?;
    }
    tell(tap.as_fd(), libc::TUNSETPERSIST, 1).map_err(failed)?;
    Ok(index)
}

/// The same under another label of `SELinux`, such as `system_u:system_r:container_t:s0`.
pub fn make_labelled(spec: &Tap<'_>, label: &str) -> Result<u32, Error> {
    let failed = |errno| Error::system(format!("make tap {} as {label}", spec.name), errno);
    let made = || {
        let labelled = fs::write("/proc/thread-self/attr/current", label);
        labelled.map_err(|cause| Error::io(format!("become {label}"), &cause))?;
        make(spec).map(drop)
    };
    match attended("make a tap under another label", &[], LIMIT, made)? {
        None => if_nametoindex(spec.name.as_str()).map_err(failed),
        Some(errno) => Err(failed(errno)),
    }
}

/// Whether there is a driver to ask, and this process may; its refusal if not.
pub fn is_available() -> Result<(), Error> {
    driver().map(drop)
}

/// Whether `SELinux` is on, so that processes have labels (`is_selinux_enabled(3)`).
pub fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

fn driver() -> Result<OwnedFd, Error> {
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
    open(DRIVER, flags, Mode::empty()).map_err(|errno| Error::system(format!("open {DRIVER}"), errno))
}

const DRIVER: &str = "/dev/net/tun";
/// `linux/sockios.h`, which libc lacks.
const SIOCBRADDIF: libc::Ioctl = 0x89a2;
/// `ARPHRD_ETHER` of `linux/if_arp.h`.
const ETHERNET: u16 = 1;

fn give_address(tap: BorrowedFd<'_>, spec: &Tap<'_>) -> Result<(), Error> {
    let mut request = named(spec.name);
    let mut address = libc::sockaddr { sa_family: ETHERNET, sa_data: [0; 14] };
    for (to, octet) in address.sa_data.iter_mut().zip(spec.mac.octets()) {
        *to = libc::c_char::from_ne_bytes([octet]);
    }
    request.ifr_ifru.ifru_hwaddr = address;
    let failed =
        |errno| Error::system(format!("set the address of tap {} to {}", spec.name, spec.mac), errno);
    ask(tap, libc::SIOCSIFHWADDR, &mut request).map_err(failed)
}

fn low(flags: libc::c_int) -> [u8; 2] {
    let [.., a, b] = flags.to_be_bytes();
    u16::from_be_bytes([a, b]).to_ne_bytes()
}

/// One of the requests above that take a number.
#[allow(unsafe_code, reason = "nix has no call for the ioctls of network devices")]
fn tell(tap: BorrowedFd<'_>, code: libc::Ioctl, number: u32) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and the kernel takes the number as it is.
    Errno::result(unsafe { libc::ioctl(tap.as_raw_fd(), code, libc::c_ulong::from(number)) }).map(drop)
}
