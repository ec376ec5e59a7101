//! Echo requests: what `ping` sends, and what comes back (RFC 792, RFC 4443 section 4).
//!
//! # Theory of operation
//! The socket is connected, so the kernel passes on what comes from that address alone, and refuses at once what has no
//! route. `IP_RECVERR` brings what routers and the kernel itself have to say about a request (icmp(7), ip(7)). A raw
//! socket is taken where we may have one, else a ping socket (`net.ipv4.ping_group_range`). Both give the same; the ping
//! socket chooses the identifier by itself.
use crate::Error;
use nix::{
    cmsg_space,
    errno::Errno,
    libc::{sock_extended_err, sockaddr_in, sockaddr_in6},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, RecvMsg, SockFlag, SockProtocol, SockType,
            SockaddrIn, SockaddrIn6, SockaddrStorage, connect, getsockname, getsockopt, recvmsg, send,
            setsockopt, socket, sockopt,
        },
    },
};
use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

/// Bytes after the header, as `ping` has sent them since 1983. The first eight say when.
const DATA: usize = 56;
/// Bytes of the header: type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

/// A socket that sends echo requests to one address.
#[derive(Debug)]
pub struct Echo {
    socket: OwnedFd,
    to: IpAddr,
    raw: bool,
    identifier: u16,
    interrupts: SignalFd,
    start: Instant,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer.
    Reply {
        /// The request's number.
        sequence: u16,
        /// How many routers it could still have passed.
        ttl: Option<u8>,
        /// Its length in bytes, header included.
        bytes: usize,
        /// How long it has been on its way, there and back.
        after: Duration,
    },
    /// A router, or the kernel here, says why the request can't arrive.
    Refused {
        /// Who says so.
        by: IpAddr,
        /// The request's number.
        sequence: u16,
        /// The reason, in `ping`'s words.
        why: String,
    },
    /// Nothing until then.
    Nothing,
    /// The person has pressed Ctrl-C.
    Interrupted,
}

impl Echo {
    /// Opens a socket. From now on SIGINT does not end the process: [`Echo::listen`] tells of it.
    ///
    /// # Errors
    /// `ENETUNREACH` or `EHOSTUNREACH` when there is no route to the address, `EACCES` when all hosts of a network listen
    /// to it, `EPERM` when neither kind of socket is allowed.
    pub fn to(address: IpAddr) -> Result<Self, Error> {
        let (socket, raw) = open(address)?;
        let fd = socket.as_raw_fd();
        let failed = |errno| Error::system(format!("reach {address}"), errno);
        connect(fd, &SockaddrStorage::from(SocketAddr::new(address, 0))).map_err(failed)?;
        let own = getsockname::<SockaddrStorage>(fd).map_err(failed)?;
        let port = own.as_sockaddr_in().map(SockaddrIn::port);
        let port = port.or_else(|| own.as_sockaddr_in6().map(SockaddrIn6::port)).unwrap_or_default();
        let [high, low, ..] = RandomState::new().hash_one(fd).to_be_bytes();
        Ok(Self {
            socket,
            to: address,
            raw,
            identifier: if raw { u16::from_be_bytes([high, low]) } else { port },
            interrupts: interrupts().map_err(failed)?,
            start: Instant::now(),
        })
    }

    /// Sends a request with this number.
    ///
    /// # Errors
    /// `ENETUNREACH` when the route has gone since, `ENOBUFS` when more is sent than the link takes.
    pub fn send(&self, sequence: u16) -> Result<(), Error> {
        // What was refused before would else be this call's answer too.
        let _pending = getsockopt(&self.socket, sockopt::SocketError);
        let request = self.request(sequence);
        let failed = |errno| Error::system(format!("send to {}", self.to), errno);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty()).map(drop).map_err(failed)
    }

    /// Waits for what comes back, until then.
    pub fn listen(&self, until: Instant) -> Result<Heard, Error> {
        let failed = |errno| Error::system(format!("listen to {}", self.to), errno);
        loop {
            let mut ready = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.interrupts.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, wait(until)) {
                Ok(0) if Instant::now() >= until => return Ok(Heard::Nothing),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
            if self.interrupts.read_signal().map_err(failed)?.is_some() {
                return Ok(Heard::Interrupted);
            }
            if let Some(heard) =
                self.receive(MsgFlags::empty()).or_else(|| self.receive(MsgFlags::MSG_ERRQUEUE))
            {
                return Ok(heard);
            }
        }
    }

    fn request(&self, sequence: u16) -> Vec<u8> {
        let kind = if self.to.is_ipv4() { 8 } else { 128 };
        let mut request = vec![kind, 0, 0, 0];
        request.extend(self.identifier.to_be_bytes());
        request.extend(sequence.to_be_bytes());
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or_default();
        request.extend(now.to_be_bytes());
        request.extend((0x10..).take(DATA - size_of_val(&now)));
        // The kernel does it for IPv6 and in ping sockets.
        let [high, low] = checksum(&request).to_be_bytes();
        request.splice(2..4, [high, low]);
        request
    }

    /// One message, if there is one and it is about a request of ours.
    fn receive(&self, queue: MsgFlags) -> Option<Heard> {
        let mut buffer = [0; 2048];
        let mut control = cmsg_space!(i32, sock_extended_err, sockaddr_in, sockaddr_in6);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = queue | MsgFlags::MSG_DONTWAIT;
        let message: RecvMsg<'_, '_, SockaddrStorage> =
            recvmsg(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags).ok()?;
        let extra: Vec<_> = message.cmsgs().ok()?.collect();
        let length = message.bytes;
        let packet = buffer.get(..length)?;
        if queue.contains(MsgFlags::MSG_ERRQUEUE) {
            return self.refusal(packet, &extra);
        }
        // A raw socket of IPv4 gets the IP header too; its length is in units of four bytes.
        let header = if self.raw && self.to.is_ipv4() { usize::from(packet.first()? & 0xf) * 4 } else { 0 };
        self.reply(packet.get(header..)?, &extra)
    }

    fn reply(&self, packet: &[u8], extra: &[ControlMessageOwned]) -> Option<Heard> {
        let (kind, sequence) = self.own(packet)?;
        if kind != if self.to.is_ipv4() { 0 } else { 129 } {
            return None;
        }
        let sent = packet
            .get(HEADER..)?
            .first_chunk()
            .map(|sent| Duration::from_nanos(u64::from_be_bytes(*sent)))?;
        let ttl = extra.iter().find_map(|message| match message {
            ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => {
                u8::try_from(*ttl).ok()
            }
            _ => None,
        });
        Some(Heard::Reply {
            sequence,
            ttl,
            bytes: packet.len(),
            after: self.start.elapsed().saturating_sub(sent),
        })
    }

    /// The packet is the request that was refused.
    fn refusal(&self, packet: &[u8], extra: &[ControlMessageOwned]) -> Option<Heard> {
        let (_, sequence) = self.own(packet)?;
        extra.iter().find_map(|message| {
            let (error, by) = match message {
                ControlMessageOwned::Ipv4RecvErr(error, by) => {
                    (error, by.map(|by| Ipv4Addr::from_bits(u32::from_be(by.sin_addr.s_addr)).into()))
                }
                ControlMessageOwned::Ipv6RecvErr(error, by) => {
                    (error, by.map(|by| Ipv6Addr::from(by.sin6_addr.s6_addr).into()))
                }
                _ => return None,
            };
            Some(Heard::Refused { by: by.unwrap_or(self.to), sequence, why: reason(error) })
        })
    }

    /// Type and sequence number, if the identifier is ours.
    fn own(&self, packet: &[u8]) -> Option<(u8, u16)> {
        let [kind, _code, _, _, high, low, sequence @ ..] = packet.first_chunk::<HEADER>()?;
        (u16::from_be_bytes([*high, *low]) == self.identifier).then(|| (*kind, u16::from_be_bytes(*sequence)))
    }
}

/// The socket, and whether it is a raw one.
fn open(address: IpAddr) -> Result<(OwnedFd, bool), Error> {
    let (family, protocol) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let failed = |errno| Error::system("open a socket for echo requests", errno);
    let (socket, raw) = match socket(family, SockType::Raw, flags, protocol) {
        Ok(raw) => (raw, true),
        // Why not a raw one is what can be helped.
        Err(errno) => {
            (socket(family, SockType::Datagram, flags, protocol).map_err(|_| failed(errno))?, false)
        }
    };
    match address {
        IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
            .and_then(|()| setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)),
        IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)
            .and_then(|()| setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)),
    }
    .map_err(failed)?;
    Ok((socket, raw))
}

/// Readable when SIGINT has come.
pub(crate) fn interrupts() -> nix::Result<SignalFd> {
    let signals = SigSet::from(Signal::SIGINT);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Milliseconds from now, none of them lost in rounding.
pub(crate) fn wait(until: Instant) -> PollTimeout {
    let left = until.saturating_duration_since(Instant::now());
    let rounded_up = left.as_nanos().div_ceil(1_000_000);
    i32::try_from(rounded_up)
        .ok()
        .and_then(|left| PollTimeout::try_from(left).ok())
        .unwrap_or(PollTimeout::MAX)
}

/// What a router or the kernel says, as `ping` has it.
fn reason(error: &sock_extended_err) -> String {
    const ICMP: u8 = 2; // SO_EE_ORIGIN_ICMP, linux/errqueue.h
    const ICMPV6: u8 = 3;
    let known = match (error.ee_origin, error.ee_type, error.ee_code) {
        (ICMP, 3, 0) => "Destination Net Unreachable",
        (ICMP, 3, 1) => "Destination Host Unreachable",
        (ICMP, 3, 2) => "Destination Protocol Unreachable",
        (ICMP, 3, 9) => "Destination Net Prohibited",
        (ICMP, 3, 10) => "Destination Host Prohibited",
        (ICMP, 3, 13) => "Packet filtered",
        (ICMP, 11, 0) => "Time to live exceeded",
        (ICMPV6, 1, 0) => "Destination unreachable: No route",
        (ICMPV6, 1, 1) => "Destination unreachable: Administratively prohibited",
        (ICMPV6, 1, 3) => "Destination unreachable: Address unreachable",
        (ICMPV6, 3, 0) => "Time exceeded: Hop limit",
        _ => return Errno::from_raw(i32::try_from(error.ee_errno).unwrap_or_default()).desc().into(),
    };
    known.into()
}

/// The ones' complement of the sum of all 16-bit words (RFC 1071); the checksum's own place holds zeros.
fn checksum(packet: &[u8]) -> u16 {
    let words = packet.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_with_its_checksum_in_it_sums_up_to_nothing() {
        // The example of RFC 1071, section 3.
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&words), !0xddf2);
        let mut odd = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1, 0xff];
        let [high, low] = checksum(&odd).to_be_bytes();
        odd.splice(2..4, [high, low]);
        assert_eq!(checksum(&odd), 0);
    }
}
