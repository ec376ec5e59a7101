//! A link's MTU, without the kernel's network lock.
use crate::{
    Error,
    ifreq::{ask, named},
};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use std::os::fd::AsFd;
use types::IfName;

/// The largest packet of the link of this name in the calling thread's namespace, in bytes; none if there is no such link. Never waits
/// for the kernel's network lock (`SIOCGIFMTU`, netdevice(7)).
#[allow(unsafe_code, reason = "a field of a union")]
pub fn mtu_of(name: &IfName) -> Result<Option<u32>, Error> {
    let failed = |errno| Error::system(format!("ask for the MTU of {name}"), errno);
    let scratch =
        socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    let mut request = named(name);
    match ask(scratch.as_fd(), libc::SIOCGIFMTU, &mut request) {
        // SAFETY: the kernel has written this field of the union.
        Ok(()) => Ok(u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).ok()),
        Err(Errno::ENODEV) => Ok(None),
        Err(errno) => Err(failed(errno)),
    }
}
