//! A link's MTU, without the kernel's network lock.
use crate::Error;
use nix::{
    errno::Errno,
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use std::os::fd::AsRawFd;
use types::IfName;

/// The largest packet of the link of this name in the calling thread's namespace, in bytes; none if there is no such link. Never waits
/// for the kernel's network lock (`SIOCGIFMTU`, netdevice(7)).
#[allow(unsafe_code, reason = "nix has no call for the ioctls of network devices")]
pub fn mtu_of(name: &IfName) -> Result<Option<u32>, Error> {
    let failed = |errno| Error::system(format!("ask for the MTU of {name}"), errno);
    let scratch =
        socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    // SAFETY: `ifreq` is plain data, of which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // A name has at most 15 bytes, so that the last one stays 0.
    for (to, byte) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
        *to = libc::c_char::from_ne_bytes([byte]);
    }
    // SAFETY: the descriptor is open, and the kernel reads and writes one `ifreq`, which lives longer than the call.
    let outcome = unsafe { libc::ioctl(scratch.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request) };
    match Errno::result(outcome) {
        // SAFETY: the kernel has written this field of the union.
        Ok(_) => Ok(u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).ok()),
        Err(Errno::ENODEV) => Ok(None),
        Err(errno) => Err(failed(errno)),
    }
}
