//! How large a packet arrives: a datagram of one size that nobody on its way may cut, and what is said of it.
//!
//! # Theory of operation
//! The socket is connected, so the kernel passes on what is about its own datagrams alone. What it has learned of the way before does not count, be it right or not
//! (`IP_PMTUDISC_PROBE`, ip(7)): the datagram goes out as it is, with DF set in IPv4. To a port on which nobody listens the host there answers that it is so (RFC 1122, section 4.1.3.1):
//! then it has arrived. A router that can't pass it on says what it could (RFC 1191, RFC 8201), or says nothing. `IP_RECVERR` brings both, with who says so.
use crate::Error;
use nix::{
    cmsg_space,
    errno::Errno,
    libc::{self, sock_extended_err, sockaddr_in, sockaddr_in6},
    sys::socket::{
        AddressFamily, ControlMessageOwned, MsgFlags, RecvMsg, SockFlag, SockType, SockaddrStorage, bind,
        connect, getsockopt, recvmsg, send, setsockopt, socket, sockopt,
    },
};
use std::{
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

/// A socket for datagrams of one size to one address.
#[derive(Debug)]
pub struct Sounding {
    socket: OwnedFd,
    to: SocketAddr,
    payload: Vec<u8>,
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sounded {
    /// It has arrived.
    Arrived,
    /// It was too large for a link on its way, or for this host's.
    TooLarge {
        /// What the link carries, in bytes, if that was said.
        carries: Option<u32>,
    },
}

impl Sounding {
    /// For packets of this many bytes, IP's header and all, from an address of this host. Sends nothing yet.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` when the host does not have that address, `ENETUNREACH` or `EHOSTUNREACH` when there is no route, `EACCES` when all hosts of a network listen
    /// to that address.
    pub fn new(from: IpAddr, to: SocketAddr, size: u32) -> Result<Self, Error> {
        let failed = |errno| Error::system(format!("sound the way to {to}"), errno);
        let (family, header) =
            if to.is_ipv4() { (AddressFamily::Inet, OVER_IPV4) } else { (AddressFamily::Inet6, OVER_IPV6) };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Datagram, flags, None).map_err(failed)?;
        let fd = socket.as_raw_fd();
        forbid_cutting(fd, to.is_ipv4())
            .and_then(|()| match to {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
            })
            .and_then(|()| bind(fd, &SockaddrStorage::from(SocketAddr::new(from, 0))))
            .and_then(|()| connect(fd, &SockaddrStorage::from(to)))
            .map_err(failed)?;
        let length = usize::try_from(size.min(LARGEST).saturating_sub(header)).unwrap_or_default();
        let mut payload = WORDS.to_vec();
        payload.resize(length, 0);
        Ok(Self { socket, to, payload })
    }

    /// Sends one; what is known of it at once.
    ///
    /// # Errors
    /// `EPERM` when the host's own packet filter drops it, `ENOBUFS` when the link is full, `ENETUNREACH` when the route has gone.
    pub fn send(&self) -> Result<Option<Sounded>, Error> {
        // What became of the one before would else be this call's answer.
        let _pending = getsockopt(&self.socket, sockopt::SocketError);
        match send(self.socket.as_raw_fd(), &self.payload, MsgFlags::empty()) {
            Ok(_) => Ok(None),
            Err(Errno::EMSGSIZE) => Ok(Some(self.heard().unwrap_or(Sounded::TooLarge { carries: None }))),
            Err(errno) => Err(Error::system(format!("sound the way to {}", self.to), errno)),
        }
    }

    /// What has been said by now; none if nothing was that says anything. Never waits.
    pub fn heard(&self) -> Option<Sounded> {
        loop {
            // Somebody does listen on that port, and answers.
            if self.receive(MsgFlags::empty(), |_| ()).is_ok() {
                return Some(Sounded::Arrived);
            }
            match self.receive(MsgFlags::MSG_ERRQUEUE, |control| self.said(control)) {
                Ok(None) => {}
                Ok(said) => return said,
                // There is no more.
                Err(_) => return None,
            }
        }
    }

    /// The same socket once more, for who waits until there is something to hear: it is readable then, or has an error.
    ///
    /// # Errors
    /// `EMFILE` when the process has too many files open.
    pub fn bell(&self) -> Result<UdpSocket, Error> {
        let again = self.socket.try_clone().map(UdpSocket::from);
        again.map_err(|cause| {
            let errno = Errno::from_raw(cause.raw_os_error().unwrap_or_default());
            Error::system(format!("sound the way to {}", self.to), errno)
        })
    }

    fn receive<T>(
        &self,
        queue: MsgFlags,
        read: impl FnOnce(&[ControlMessageOwned]) -> T,
    ) -> Result<T, Errno> {
        let mut buffer = [0; 64];
        let mut control = cmsg_space!(sock_extended_err, sockaddr_in, sockaddr_in6);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = queue | MsgFlags::MSG_DONTWAIT;
        let message: RecvMsg<'_, '_, SockaddrStorage> =
            recvmsg(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        Ok(read(&message.cmsgs()?.collect::<Vec<_>>()))
    }

    /// That nobody listens there counts as the host's own word alone: a packet filter on the way may say the same.
    fn said(&self, control: &[ControlMessageOwned]) -> Option<Sounded> {
        control.iter().find_map(|message| {
            let (error, by): (_, Option<IpAddr>) = match message {
                ControlMessageOwned::Ipv4RecvErr(error, by) => {
                    (error, by.map(|by| Ipv4Addr::from_bits(u32::from_be(by.sin_addr.s_addr)).into()))
                }
                ControlMessageOwned::Ipv6RecvErr(error, by) => {
                    (error, by.map(|by| Ipv6Addr::from(by.sin6_addr.s6_addr).into()))
                }
                _ => return None,
            };
            match Errno::from_raw(i32::try_from(error.ee_errno).unwrap_or_default()) {
                Errno::ECONNREFUSED if by == Some(self.to.ip()) => Some(Sounded::Arrived),
                Errno::EMSGSIZE => {
                    Some(Sounded::TooLarge { carries: Some(error.ee_info).filter(|info| *info > 0) })
                }
                _ => None,
            }
        })
    }
}

/// Has the kernel send what it is given whole or not at all, whatever it believes of the way (`IP_MTU_DISCOVER`, ip(7); `IPV6_MTU_DISCOVER`, ipv6(7)).
#[allow(unsafe_code, reason = "nix has no name for this option")]
fn forbid_cutting(socket: RawFd, is_ipv4: bool) -> nix::Result<()> {
    let (level, option, value) = if is_ipv4 {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
    };
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
    // SAFETY: the kernel reads one `int`, which lives longer than the call.
    let done = unsafe { libc::setsockopt(socket, level, option, std::ptr::from_ref(&value).cast(), length) };
    Errno::result(done).map(drop)
}

/// For who finds such a packet and wonders.
const WORDS: &[u8] = b"sealane: does a packet of this size arrive?";
/// Headers of IPv4 and UDP, in bytes.
const OVER_IPV4: u32 = 28;
/// The same with 40 bytes of IPv6.
const OVER_IPV6: u32 = 48;
/// A packet has no more (RFC 791, section 3.1), in bytes.
const LARGEST: u32 = 65_535;
