//! Requests about a network device by its name: ioctls of an `ifreq` (netdevice(7)).
#![allow(unsafe_code, reason = "nix has no call for the ioctls of network devices")]
use nix::{errno::Errno, libc};
use std::os::fd::{AsRawFd, BorrowedFd};
use types::IfName;

/// A request about the device of this name, whose last byte stays 0: a name has at most 15.
pub(crate) fn named(name: &IfName) -> libc::ifreq {
    // SAFETY: `ifreq` is plain data, of which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, byte) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
        *to = libc::c_char::from_ne_bytes([byte]);
    }
    request
}

/// Makes one of the requests that take an `ifreq`.
pub(crate) fn ask(to: BorrowedFd<'_>, code: libc::Ioctl, request: &mut libc::ifreq) -> Result<(), Errno> {
    // SAFETY: the descriptor is open, and the kernel reads and writes one `ifreq`, which lives longer than the call.
    Errno::result(unsafe { libc::ioctl(to.as_raw_fd(), code, std::ptr::from_mut(request)) }).map(drop)
}
