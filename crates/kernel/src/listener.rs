//! Whether a port of this namespace is free, asked in the only way that is never wrong: by taking it for a moment (bind(2)).
use crate::Error;
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    },
};
use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

/// A protocol whose ports can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of protocols")]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

/// Whether somebody listens on this port of the calling thread's namespace. An unspecified address is all of its family,
/// and of no other. Nobody listens where the kernel lacks the family or the protocol, nor on an address that is not the
/// host's; and what this process may not ask (a port below 1024, ip(7)) counts as free.
///
/// # Errors
/// Those of socket(2) and bind(2) that say nothing about the port, such as `EMFILE`.
pub fn is_listened_on(transport: Transport, address: SocketAddr) -> Result<bool, Error> {
    let failed = |errno| Error::system(format!("look who listens on {address}"), errno);
    let socket = match open(transport, address) {
        Err(Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT) => return Ok(false),
        other => other.map_err(failed)?,
    };
    match bind(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EADDRNOTAVAIL | Errno::EACCES | Errno::EPERM) => Ok(false),
        Err(Errno::EADDRINUSE) => Ok(true),
        Err(errno) => Err(failed(errno)),
    }
}

fn open(transport: Transport, address: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let (kind, protocol) = match transport {
        Transport::Tcp => (SockType::Stream, SockProtocol::Tcp),
        Transport::Udp => (SockType::Datagram, SockProtocol::Udp),
        Transport::Sctp => (SockType::Stream, SockProtocol::Sctp),
    };
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol)?;
    if transport != Transport::Udp {
        // Connections that are over (TIME_WAIT) do not count.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    fn at(address: &str, port: u16) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), port)
    }

    #[test]
    fn whoever_listens_on_one_address_is_in_the_way_of_all_of_its_family() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = |address| is_listened_on(Transport::Tcp, at(address, port)).unwrap();
        assert!(taken("127.0.0.1") && taken("0.0.0.0"));
        assert!(!taken("127.0.0.2") && !taken("192.0.2.1"));
        drop(listener);
        assert!(!taken("127.0.0.1") && !taken("0.0.0.0"));
    }

    #[test]
    fn a_protocol_has_ports_of_its_own() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = socket.local_addr().unwrap();
        assert!(is_listened_on(Transport::Udp, here).unwrap());
        assert!(!is_listened_on(Transport::Sctp, here).unwrap());
    }
}
