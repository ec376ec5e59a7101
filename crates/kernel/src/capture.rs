//! Frames as they come and go on an interface (packet(7)), for who looks on.
use crate::{
    Error,
    echo::{interrupts, wait},
};
use nix::{
    errno::Errno,
    libc,
    net::if_::if_nametoindex,
    poll::{PollFd, PollFlags, poll},
    sys::{
        signalfd::SignalFd,
        socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socket},
    },
};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Instant,
};
use types::IfName;

/// A socket that hears what comes and goes on one interface.
#[derive(Debug)]
pub struct Capture {
    socket: OwnedFd,
    interface: IfName,
    interrupts: SignalFd,
    buffer: Vec<u8>,
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Captured<'a> {
    /// A frame, from its first header on.
    Frame(&'a [u8]),
    /// Nothing until then.
    Nothing,
    /// The person has pressed Ctrl-C.
    Interrupted,
}

/// A frame has no more: what is cut into pieces later, is seen whole.
const LARGEST: usize = 1 << 18;

impl Capture {
    /// Begins to listen on an interface of the calling thread's namespace. From now on SIGINT does not end the process: [`Capture::listen`] tells of it.
    ///
    /// # Errors
    /// `ENODEV` when there is no such interface, `EPERM` without `CAP_NET_RAW`.
    pub fn on(interface: &IfName) -> Result<Self, Error> {
        let failed = |errno| Error::system(format!("listen on {interface}"), errno);
        // First: who sees the socket (/proc/net/packet) may send the signal.
        let interrupts = interrupts().map_err(failed)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        // It hears nothing before it is bound: what comes on another interface is not this one's.
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None).map_err(failed)?;
        let index = if_nametoindex(interface.as_str()).map_err(failed)?;
        bind(&socket, index).map_err(failed)?;
        Ok(Self { socket, interface: interface.clone(), interrupts, buffer: vec![0; LARGEST] })
    }

    /// Waits for the next frame, until then if there is such a moment.
    ///
    /// # Errors
    /// `ENETDOWN` when the interface has gone down since.
    pub fn listen(&mut self, until: Option<Instant>) -> Result<Captured<'_>, Error> {
        let interface = &self.interface;
        let failed = |errno| Error::system(format!("listen on {interface}"), errno);
        loop {
            let mut ready = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.interrupts.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, until.map_or(nix::poll::PollTimeout::NONE, wait)) {
                Ok(0) if until.is_some_and(|until| Instant::now() >= until) => return Ok(Captured::Nothing),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
            if self.interrupts.read_signal().map_err(failed)?.is_some() {
                return Ok(Captured::Interrupted);
            }
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(length) => return Ok(Captured::Frame(self.buffer.get(..length).unwrap_or_default())),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
}

/// Every frame of this interface, in both directions.
#[allow(unsafe_code, reason = "nix makes no packet addresses")]
fn bind(socket: &OwnedFd, index: u32) -> Result<(), Errno> {
    // SAFETY: `sockaddr_ll` is plain data, of which all zeros is a value.
    let mut at: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    at.sll_family = u16::try_from(libc::AF_PACKET).map_err(|_| Errno::EOVERFLOW)?;
    at.sll_protocol = u16::try_from(libc::ETH_P_ALL).map_err(|_| Errno::EOVERFLOW)?.to_be();
    at.sll_ifindex = i32::try_from(index).map_err(|_| Errno::ENODEV)?;
    let length = u32::try_from(size_of_val(&at)).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the kernel reads the address, whose size is said and which lives longer than the call.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const at).cast(), length) };
    Errno::result(bound).map(drop)
}
