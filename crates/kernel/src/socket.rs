//! The rtnetlink socket: many requests in one send, and each one's outcome.
//!
//! # Theory of operation
//! The kernel carries out all requests of a datagram in order inside the send call, and goes on after one that
//! fails. A failure is always answered, a success only where `NLM_F_ACK` asks for it; it is asked of the last request
//! (and of those that are echoed), whose answer is therefore the end of all answers. A request without an answer
//! before that has succeeded.
use crate::{
    Error, Link, Message, link,
    reply::Body,
    wire::{Wire, malformed},
};
use netlink_packet_core::{DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_ECHO, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::{errno::Errno, libc};
use std::{
    ops::ControlFlow,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};
use types::IfName;

/// A conversation with the network namespace that it was opened in, wherever the thread goes later.
#[derive(Debug)]
pub struct Rtnl {
    wire: Wire,
}

/// What a request that succeeded told beyond that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The link that was made or asked for. A new link may be told of before it got its master.
    pub link: Option<Link>,
}

/// The kernel makes its parts of a list no larger than 32 KiB (`netlink_recvmsg` in `net/netlink/af_netlink.c`), but for one link whose alternative
/// names do not fit: whoever is root in a container can give it 64 KiB of them.
const ROOM: usize = 96 * 1024;

impl Rtnl {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        Self::open_for_parts(ROOM)
    }

    /// The same, for lists of which each part has so many bytes.
    pub(crate) fn open_for_parts(room: usize) -> Result<Self, Error> {
        let failed = |cause| Error::io("open an rtnetlink socket", &cause);
        let wire = Wire::open(NETLINK_ROUTE, room).map_err(failed)?;
        // Words with errors (Linux 4.12), and lists of no more than was asked for (4.20). Older kernels do without.
        let _ = (wire.socket.set_ext_ack(true), wire.socket.set_netlink_get_strict_chk(true));
        Ok(Self { wire })
    }

    /// Sends all messages at once and tells of each whether it succeeded, in their order. One that fails does not
    /// keep the kernel from the ones after it. An error of the whole means that outcomes are unknown: the answers of
    /// more than some 40 new links, or of more than some 150 failures, do not fit into the socket's buffer.
    pub fn transact(&mut self, messages: &[Message]) -> Result<Vec<Result<Answer, Error>>, Error> {
        let Some(last) = messages.last() else { return Ok(Vec::new()) };
        let first = send(&mut self.wire, messages, 0)?;
        let mut outcomes: Vec<Result<Answer, Error>> =
            messages.iter().map(|_| Ok(Answer::default())).collect();
        let end = self.wire.replies(&last.what, |reply| {
            let at = reply.sequence.wrapping_sub(first) as usize;
            let (Some(message), Some(outcome)) = (messages.get(at), outcomes.get_mut(at)) else {
                return Ok(ControlFlow::Continue(())); // what an earlier, failed exchange left behind
            };
            let end = at + 1 == messages.len() && matches!(reply.body, Body::Outcome(_));
            if let Some(told) = tell(message, reply.body)? {
                *outcome = told;
            }
            Ok(if end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        end.ok_or_else(|| Error::Unanswered { what: last.what.clone() })?;
        self.look_up_unechoed(messages, &mut outcomes)?;
        Ok(outcomes)
    }

    /// The outcome of one message alone.
    pub(crate) fn request(&mut self, message: Message) -> Result<Answer, Error> {
        let what = message.what.clone();
        self.transact(&[message])?.pop().unwrap_or(Err(Error::Unanswered { what }))
    }

    /// The one object that is asked for; none if the kernel confirms without telling any.
    pub(crate) fn ask<T>(
        &mut self,
        request: &Message,
        read: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, Error> {
        let sequence = send(&mut self.wire, std::slice::from_ref(request), 0)?;
        self.wire.one(sequence, &request.what, read)
    }

    /// All objects of a list, each read by `read`, which leaves out those it has no use for.
    pub(crate) fn list<T>(
        &mut self,
        request: &Message,
        read: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        let ask = |wire: &mut Wire| send(wire, std::slice::from_ref(request), NLM_F_DUMP);
        self.wire.list(&request.what, ask, read)
    }

    /// A list as far as `take` has use for it. What is not received the kernel does not make; but the socket takes no other request for a list before the
    /// end of this one, and so ends here.
    pub(crate) fn begin(
        mut self,
        request: &Message,
        mut take: impl FnMut(&[u8]) -> Result<ControlFlow<()>, DecodeError>,
    ) -> Result<(), Error> {
        let what = &request.what;
        send(&mut self.wire, std::slice::from_ref(request), NLM_F_DUMP)?;
        let end = self.wire.replies(what, |reply| match reply.body {
            Body::Object(_, bytes) => take(bytes).map_err(|cause| malformed(what, cause)),
            Body::Outcome(_) => Ok(ControlFlow::Break(())),
        })?;
        end.ok_or_else(|| Error::Unanswered { what: what.clone() })
    }

    /// Kernels before 6.2 echo no new link: it is looked up by its name.
    fn look_up_unechoed(
        &mut self,
        messages: &[Message],
        outcomes: &mut [Result<Answer, Error>],
    ) -> Result<(), Error> {
        for (message, outcome) in messages.iter().zip(outcomes) {
            if let (Some(name), Ok(Answer { link: link @ None })) = (&message.echo, outcome) {
                *link = link::lookup(self, name)?;
            }
        }
        Ok(())
    }

    /// Ties the socket to a link by its name, so that [`Rtnl::sees_watched`] can tell when it is gone; false if there is no
    /// such link. Netlink ignores the tie.
    pub(crate) fn watch(&self, name: &IfName) -> Result<bool, Error> {
        link::bind(self.wire.socket.as_fd(), name)
    }

    /// The number of the link given to [`Rtnl::watch`]; none before Linux 5.1.
    pub(crate) fn watched_index(&self) -> Result<Option<u32>, Error> {
        link::bound_index(self.wire.socket.as_fd())
    }

    /// Whether the link given to [`Rtnl::watch`] is still there. Never waits for the kernel's network lock.
    pub(crate) fn sees_watched(&self) -> Result<bool, Error> {
        link::is_bound(self.wire.socket.as_fd())
    }
}

impl AsFd for Rtnl {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.socket.as_fd()
    }
}

/// Sends the messages in one datagram; the number of the first. The others follow it one by one.
fn send(wire: &mut Wire, messages: &[Message], flags: u16) -> Result<u32, Error> {
    let first = wire.sequence.wrapping_add(1);
    let mut batch = Vec::with_capacity(512 * messages.len());
    for (at, message) in messages.iter().enumerate() {
        let echo = if message.echo.is_some() { NLM_F_ECHO | NLM_F_ACK } else { 0 };
        let end = if at + 1 == messages.len() && flags & NLM_F_DUMP == 0 { NLM_F_ACK } else { 0 };
        message.append_to(&mut batch, wire.count(), NLM_F_REQUEST | flags | echo | end);
    }
    wire.send(&batch, messages.last().map_or("", |last| &last.what))?;
    Ok(first)
}

/// What a reply tells of the message's outcome; none for a success that is the only one there can be.
fn tell(message: &Message, body: Body<'_>) -> Result<Option<Result<Answer, Error>>, Error> {
    Ok(match body {
        Body::Outcome(Err(refusal)) if message.needless == Some(refusal.errno) => None,
        Body::Outcome(Err(refusal)) => Some(Err(Error::Request { what: message.what.clone(), refusal })),
        Body::Object(libc::RTM_NEWLINK, bytes) => {
            let link = Link::read(bytes).map_err(|cause| malformed(&message.what, cause))?;
            Some(Ok(Answer { link }))
        }
        Body::Outcome(Ok(())) | Body::Object(..) => None,
    })
}

/// An option of a socket (socket(7), `SOL_SOCKET`) that has as many bytes.
#[allow(unsafe_code, reason = "nix does not know these options")]
pub(crate) fn option<const LENGTH: usize>(
    socket: BorrowedFd<'_>,
    option: libc::c_int,
) -> Result<[u8; LENGTH], Errno> {
    let mut value = [0; LENGTH];
    let mut length = libc::socklen_t::try_from(LENGTH).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the kernel writes at most `length` bytes, the size of what it writes to, and both live longer than the call.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(outcome).map(|_| value)
}
