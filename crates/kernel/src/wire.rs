//! What all netlink sockets of ours have in common: bytes go out, and the kernel's answers are gone through.
//!
//! # Theory of operation
//! The kernel answers while it carries out a request, inside the send call, and tells a list's next part when the part before it
//! has been received. So no receive ever waits: an empty buffer before the end means a lost answer.
use crate::{
    Error,
    reply::{self, Body, Reply},
};
use netlink_packet_core::DecodeError;
use netlink_sys::Socket;
use nix::{errno::Errno, libc};
use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    ops::ControlFlow,
    thread,
    time::Duration,
};

/// A netlink socket, how far it has counted, and what it received last.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    /// The number of the request that was sent last.
    pub(crate) sequence: u32,
    /// Where answers are received: memory is touched only as far as they reach.
    buffer: Vec<u8>,
    /// The longest datagram that the kernel makes, in bytes.
    room: usize,
}

/// How often a list that changes under the reader is read again.
const TRIES: u32 = 20;
/// The longest pause before that.
const PAUSE: Duration = Duration::from_millis(100);

impl Wire {
    /// A socket in the calling thread's network namespace.
    pub(crate) fn open(protocol: isize, room: usize) -> io::Result<Self> {
        Ok(Self::around(Socket::new(protocol)?, room))
    }

    /// The same, with a socket that is open.
    pub(crate) fn around(socket: Socket, room: usize) -> Self {
        Self { socket, sequence: 0, buffer: Vec::new(), room }
    }

    /// The next request's number.
    pub(crate) fn count(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends a datagram; the kernel has carried out what is in it when this returns.
    pub(crate) fn send(&self, bytes: &[u8], what: &str) -> Result<(), Error> {
        let sent = self.socket.send(bytes, 0);
        sent.map(|_| ()).map_err(|cause| Error::io(format!("ask the kernel to {what}"), &cause))
    }

    /// Hands over one reply after the other until `take` has what it wants; `None` if there are no more.
    pub(crate) fn replies<T>(
        &mut self,
        what: &str,
        mut take: impl FnMut(Reply<'_>) -> Result<ControlFlow<T>, Error>,
    ) -> Result<Option<T>, Error> {
        while self.receive(what)? {
            let mut rest = self.buffer.as_slice();
            while let Some(reply) = reply::next(&mut rest) {
                let reply = reply.map_err(|cause| malformed(what, cause))?;
                if let ControlFlow::Break(found) = take(reply)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The object that the request of this number asked for; none if the kernel confirms without telling any.
    pub(crate) fn one<T>(
        &mut self,
        sequence: u32,
        what: &str,
        read: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, Error> {
        let mut found = None;
        let told = self.replies(what, |reply| {
            match reply.body {
                _ if reply.sequence != sequence => {}
                Body::Object(_, bytes) => {
                    found = Some(read(bytes).map_err(|cause| malformed(what, cause))?);
                }
                Body::Outcome(Ok(())) => return Ok(ControlFlow::Break(found.take())),
                Body::Outcome(Err(refusal)) => {
                    return Err(Error::Request { what: what.to_owned(), refusal });
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        told.ok_or_else(|| Error::Unanswered { what: what.to_owned() })
    }

    /// All objects of a list, as far as `read` has use for them. `ask` sends the request, again if the list changed meanwhile, and gives
    /// its number.
    pub(crate) fn list<T, Part: IntoIterator<Item = T>>(
        &mut self,
        what: &str,
        mut ask: impl FnMut(&mut Self) -> Result<u32, Error>,
        read: impl Fn(&[u8]) -> Result<Part, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        for before in 0..TRIES {
            thread::sleep(pause(before, RandomState::new().hash_one(before)));
            let sequence = ask(self)?;
            if let Some(list) = self.list_once(sequence, what, &read)? {
                return Ok(list);
            }
        }
        Err(Error::Unsteady { what: what.to_owned(), tries: TRIES })
    }

    /// `None`: it changed while it was read. It is read to its end even then, for the socket takes no other request
    /// for a list before that.
    fn list_once<T, Part: IntoIterator<Item = T>>(
        &mut self,
        sequence: u32,
        what: &str,
        read: impl Fn(&[u8]) -> Result<Part, DecodeError>,
    ) -> Result<Option<Vec<T>>, Error> {
        let (mut list, mut steady) = (Vec::new(), true);
        let told = self.replies(what, |reply| {
            if reply.sequence != sequence {
                return Ok(ControlFlow::Continue(()));
            }
            steady &= !reply.interrupted;
            Ok(match reply.body {
                Body::Object(_, bytes) => {
                    list.extend(read(bytes).map_err(|cause| malformed(what, cause))?);
                    ControlFlow::Continue(())
                }
                Body::Outcome(Ok(())) => ControlFlow::Break(steady.then(|| std::mem::take(&mut list))),
                Body::Outcome(Err(refusal)) if refusal.errno == Errno::EINTR => ControlFlow::Break(None),
                Body::Outcome(Err(refusal)) => {
                    return Err(Error::Request { what: what.to_owned(), refusal });
                }
            })
        })?;
        told.ok_or_else(|| Error::Unanswered { what: what.to_owned() })
    }

    /// Receives the next datagram into the buffer; false if there is none.
    fn receive(&mut self, what: &str) -> Result<bool, Error> {
        self.buffer.clear();
        self.buffer.reserve(self.room);
        let room = self.buffer.capacity();
        loop {
            let received = self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT | libc::MSG_TRUNC);
            match received {
                Ok(size) if size > room => {
                    return Err(Error::Truncated { what: what.to_owned(), size, room });
                }
                Ok(_) => return Ok(true),
                Err(cause) => match Errno::from_raw(cause.raw_os_error().unwrap_or_default()) {
                    Errno::EAGAIN => return Ok(false),
                    // ENOBUFS: an answer was lost. If it was one that matters, there will be an end without it.
                    Errno::EINTR | Errno::ENOBUFS => {}
                    _ => return Err(Error::io(format!("receive the answer when asked to {what}"), &cause)),
                },
            }
        }
    }
}

/// How long to wait after so many tries: what changes a list is often others who do the same as we, so no two should come back at once.
fn pause(tries: u32, random: u64) -> Duration {
    let Some(doublings) = tries.checked_sub(1) else { return Duration::ZERO };
    let most = Duration::from_millis(1 << doublings.min(16)).min(PAUSE);
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(micros / 2 + random % (micros / 2))
}

/// An answer that can't be read.
pub(crate) fn malformed(what: &str, cause: DecodeError) -> Error {
    Error::Malformed { what: what.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::{NLM_F_DUMP_INTR, NLMSG_DONE};
    use std::os::{
        fd::{FromRawFd, IntoRawFd},
        unix::net::UnixDatagram,
    };

    const OBJECT: u16 = 16;

    /// A wire, and who answers in the kernel's place.
    #[expect(unsafe_code, reason = "an end of a pair as a netlink socket")]
    fn wire() -> (Wire, UnixDatagram) {
        let (ours, kernel) = UnixDatagram::pair().unwrap();
        // SAFETY: the descriptor is nobody else's any more.
        let socket = unsafe { Socket::from_raw_fd(ours.into_raw_fd()) };
        (Wire::around(socket, 64), kernel)
    }

    /// A message of four bytes.
    fn message(kind: u16, flags: u16, sequence: u32, body: i32) -> Vec<u8> {
        let mut bytes = 20u32.to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
        bytes.extend([sequence.to_ne_bytes(), [0; 4], body.to_ne_bytes()].concat());
        bytes
    }

    /// What is read of a list, when these are the answers to the first, the second and every later request for it.
    fn listed(answers: &[&[Vec<u8>]]) -> Result<Vec<u8>, Error> {
        let (mut wire, kernel) = wire();
        let ask = |wire: &mut Wire| {
            let sequence = wire.count();
            let turn = answers.len().min(sequence as usize) - 1;
            for datagram in answers[turn] {
                let mut datagram = datagram.clone();
                datagram[8..12].copy_from_slice(&sequence.to_ne_bytes());
                kernel.send(&datagram).unwrap();
            }
            Ok(sequence)
        };
        wire.list("list them", ask, |bytes| Ok(bytes.first().copied()))
    }

    #[test]
    fn a_list_that_changed_or_was_broken_off_is_read_again() {
        let one = |flags, value| message(OBJECT, flags, 0, value);
        let (end, broken_off) = (message(NLMSG_DONE, 0, 0, 0), message(NLMSG_DONE, 0, 0, -libc::EINTR));
        let steady = [one(0, 1), one(0, 2), end.clone()];
        let changed = [one(0, 1), one(NLM_F_DUMP_INTR, 3), end];
        assert_eq!(listed(&[&changed, &[one(0, 4), broken_off], &steady]).unwrap(), [1, 2]);
        assert!(matches!(listed(&[&changed]), Err(Error::Unsteady { tries: TRIES, .. })));
    }

    #[test]
    fn between_tries_there_are_pauses_that_grow_and_differ() {
        let pauses = |random| (0..TRIES).map(|tries| pause(tries, random)).collect::<Vec<_>>();
        let (least, most) = (pauses(0), pauses(49_999));
        assert_eq!(least.first(), Some(&Duration::ZERO));
        assert!(least.is_sorted() && least[1..].iter().all(|pause| !pause.is_zero()), "{least:?}");
        assert!(
            least[7..].iter().zip(&most[7..]).all(|(least, most)| least < most && *most <= PAUSE),
            "{most:?}"
        );
        assert!(least.iter().sum::<Duration>() >= Duration::from_millis(500), "{least:?}");
    }

    #[test]
    fn an_answer_that_is_lost_or_too_long_is_an_error_and_not_a_wait() {
        assert!(matches!(listed(&[&[message(OBJECT, 0, 0, 1)]]), Err(Error::Unanswered { .. })));
        let long = [message(OBJECT, 0, 0, 1), vec![0; 100]].concat();
        assert!(matches!(listed(&[&[long]]), Err(Error::Truncated { size: 120, .. })));
    }
}
