//! The nfnetlink socket (`linux/netfilter/nfnetlink.h`): transactions, and looks at single objects.
use super::{
    encode::Attributes,
    object::{Set, Table},
    read::{self, Found, FoundRule},
    transaction::{DELSETELEM, List, NFTABLES, Request, Transaction, fill},
    value::{Element, Field},
};
use crate::{Error, Refusal, reply::Body, wire::Wire};
use netlink_packet_core::{DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::{
    errno::Errno,
    sys::socket::{
        getsockopt, setsockopt,
        sockopt::{SndBuf, SndBufForce},
    },
};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    ops::ControlFlow,
    os::fd::{AsFd as _, BorrowedFd},
};

/// A conversation with the packet filter of the network namespace that it was opened in.
#[derive(Debug)]
pub struct Nft {
    /// None where the kernel has no such protocol.
    wire: Option<Wire>,
    /// How long a datagram may be, in bytes.
    longest: usize,
}

/// What a transaction is for.
const CHANGE: &str = "change the packet filter";
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_BATCH_GENID`.
const BATCH_GENID: u16 = 1;
const GETTABLE: u16 = NFTABLES | 0x1;
const GETCHAIN: u16 = NFTABLES | 0x4;
const GETRULE: u16 = NFTABLES | 0x7;
const GETSET: u16 = NFTABLES | 0xa;
const GETSETELEM: u16 = NFTABLES | 0xd;
const GETGEN: u16 = NFTABLES | 0x10;
/// The kernel makes its parts of a list no larger.
const ROOM: usize = 64 * 1024;
/// What the kernel sends at once unless it is told otherwise, less what it keeps for itself (`wmem_default`).
const LONGEST: usize = 128 * 1024;
/// What the kernel keeps for itself of a socket's room (`netlink_sendmsg`).
const KEPT: usize = 32;

impl Nft {
    /// Opens a socket in the calling thread's network namespace. On a kernel without nftables nothing is there, and nothing can be made:
    /// [`Error::NoPacketFilter`].
    pub fn open() -> Result<Self, Error> {
        match Wire::open(NETLINK_NETFILTER, ROOM) {
            Ok(wire) => {
                // Words with errors, and errors without the request that they are about.
                let _ = (wire.socket.set_ext_ack(true), wire.socket.set_cap_ack(true));
                Ok(Self { wire: Some(wire), longest: LONGEST })
            }
            Err(cause) if cause.raw_os_error() == Some(Errno::EPROTONOSUPPORT as i32) => {
                Ok(Self { wire: None, longest: LONGEST })
            }
            Err(cause) => Err(Error::io("open an nfnetlink socket", &cause)),
        }
    }

    /// Carries out all changes, or none: then the first refusal is told.
    pub fn commit(&mut self, transaction: &Transaction) -> Result<(), Error> {
        let refused = self.attempt(&transaction.requests, None)?;
        tell_first(refused, transaction)
    }

    /// Carries out all changes, or none, if nobody has changed the packet filter of this namespace since it was of this generation: else it is
    /// refused with `ERESTART`.
    pub fn commit_at(&mut self, generation: u32, transaction: &Transaction) -> Result<(), Error> {
        let refused = self.attempt(&transaction.requests, Some(generation))?;
        tell_first(refused, transaction)
    }

    /// The number of the packet filter's present generation: every change of it makes a new one.
    pub fn generation(&mut self) -> Result<u32, Error> {
        let request = which_generation();
        let generation = self.one(&request, read::generation)?.flatten();
        generation.ok_or(Error::Unanswered { what: request.what })
    }

    /// Carries out all changes but those whose object, or what it is in, is not there (`ENOENT`).
    pub fn commit_what_is_there(&mut self, transaction: &Transaction) -> Result<(), Error> {
        let mut rest = Cow::Borrowed(transaction);
        loop {
            let refused = match self.attempt(&rest.requests, None) {
                Err(Error::NoPacketFilter) => return Ok(()),
                other => other?,
            };
            let absent = refused.iter().filter(|(_, refusal)| refusal.errno == Errno::ENOENT);
            let absent: BTreeSet<usize> = absent.map(|(at, _)| *at).collect();
            if absent.is_empty() {
                return tell_first(refused, &rest);
            }
            let mut there = Transaction::default();
            for (at, request) in rest.requests.iter().enumerate() {
                if absent.contains(&at) {
                    there.requests.extend(self.what_is_there_of(request)?);
                } else {
                    there.requests.push(request.clone());
                }
            }
            rest = Cow::Owned(there);
        }
    }

    /// What is left to try of a request that was refused because something is not there. Where it is about several elements of a set
    /// that is there, each is looked for; if that tells nothing, half of them may go through.
    fn what_is_there_of(&mut self, request: &Request) -> Result<Vec<Request>, Error> {
        let Some(List { set, elements, .. }) = &request.list else { return Ok(Vec::new()) };
        if elements.len() == 1 || !self.has_set(set)? {
            return Ok(Vec::new());
        }
        let mut there = Vec::with_capacity(elements.len());
        for element in elements {
            if request.kind != DELSETELEM || self.element(set, &element.key)?.is_some() {
                there.push(element.clone());
            }
        }
        let all = there.len() == elements.len();
        let rest = if all { there.split_off(there.len() / 2) } else { Vec::new() };
        let parts = [there, rest].into_iter().filter(|part| !part.is_empty());
        Ok(parts.map(|part| Request::about(request.kind, request.flags, set, part)).collect())
    }

    /// Whether there is such a table.
    pub fn has_table(&mut self, table: &Table) -> Result<bool, Error> {
        let request = look(table, "look up table", GETTABLE, |body| body.text(1, &table.name));
        Ok(self.one(&request, |_| Ok(()))?.is_some())
    }

    /// The chain of this name, if there is one.
    pub fn chain(&mut self, table: &Table, name: &str) -> Result<Option<Found>, Error> {
        let request = look(table, "look up chain", GETCHAIN, |body| {
            body.text(1, &table.name);
            body.text(3, name);
        });
        self.one(&request, read::chain)
    }

    /// Whether there is such a set or map.
    pub fn has_set(&mut self, set: &Set) -> Result<bool, Error> {
        let request = look(&set.table, "look up set", GETSET, |body| {
            body.text(1, &set.table.name);
            body.text(2, &set.name);
        });
        Ok(self.one(&request, |_| Ok(()))?.is_some())
    }

    /// The element of this key, if there is one.
    pub fn element(&mut self, set: &Set, key: &[Field]) -> Result<Option<Element>, Error> {
        let wanted = Element { key: key.to_vec(), value: None, comment: None };
        let request = look(&set.table, "look up an element", GETSETELEM, |body| {
            body.text(1, &set.table.name);
            body.text(2, &set.name);
            body.nest(3, |list| list.nest(1, |it| fill(it, &wanted)));
        });
        Ok(self.one(&request, |bytes| read::elements(set, bytes))?.and_then(|mut found| found.pop()))
    }

    /// All elements of a set.
    pub fn elements(&mut self, set: &Set) -> Result<Vec<Element>, Error> {
        let request = look(&set.table, "list the elements of a set", GETSETELEM, |body| {
            body.text(1, &set.table.name);
            body.text(2, &set.name);
        });
        self.list(&request, |bytes| read::elements(set, bytes))
    }

    /// The rules of a table, or of one chain of it, in order. None if there is no such table or chain.
    pub fn rules(&mut self, table: &Table, chain: Option<&str>) -> Result<Vec<FoundRule>, Error> {
        let request = look(table, "list rules", GETRULE, |body| {
            body.text(1, &table.name);
            if let Some(chain) = chain {
                body.text(2, chain);
            }
        });
        self.list(&request, read::rule)
    }

    /// Sends the requests as one transaction; which were refused, by their places. Empty: all are carried out.
    fn attempt(
        &mut self,
        requests: &[Request],
        generation: Option<u32>,
    ) -> Result<Vec<(usize, Refusal)>, Error> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let wire = self.wire.as_mut().ok_or(Error::NoPacketFilter)?;
        let begin = wire.count();
        let mut batch = Vec::with_capacity(256 * (requests.len() + 2));
        let mut condition = Attributes::default();
        if let Some(generation) = generation {
            condition.number(BATCH_GENID, generation);
        }
        append(&mut batch, begin, BATCH_BEGIN, NLM_F_REQUEST, (0, NFTABLES >> 8), condition.bytes());
        let last = requests.len() - 1;
        for (at, request) in requests.iter().enumerate() {
            let ack = if at == last { NLM_F_ACK } else { 0 };
            append_request(&mut batch, wire.count(), request, ack);
        }
        append(&mut batch, wire.count(), BATCH_END, NLM_F_REQUEST, (0, NFTABLES >> 8), &[]);
        make_room(wire, &mut self.longest, batch.len(), requests)?;
        wire.send(&batch, CHANGE)?;
        outcomes(wire, begin, requests.len())
    }

    /// One object; `None` if it, or what it is in, is not there.
    pub(crate) fn one<T>(
        &mut self,
        request: &Request,
        read: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, Error> {
        let Some(wire) = &mut self.wire else { return Ok(None) };
        let sequence = ask(wire, request, NLM_F_ACK)?;
        let found = wire.one(sequence, &request.what, read);
        is_there(wire, found).map(Option::flatten)
    }

    /// All objects of a list, as far as `read` has use for them; none if what they are in is not there.
    pub(crate) fn list<T, Part: IntoIterator<Item = T>>(
        &mut self,
        request: &Request,
        read: impl Fn(&[u8]) -> Result<Part, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        let Some(wire) = &mut self.wire else { return Ok(Vec::new()) };
        let found = wire.list(&request.what, |wire| ask(wire, request, NLM_F_DUMP), read);
        is_there(wire, found).map(Option::unwrap_or_default)
    }

    /// The socket, if there is one.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.wire.as_ref().map(|wire| wire.socket.as_fd())
    }
}

/// All answers lie in the socket's buffer by now. The last request is answered in any case: its answer is not the last
/// one, though, so all are read.
fn outcomes(wire: &mut Wire, begin: u32, count: usize) -> Result<Vec<(usize, Refusal)>, Error> {
    let (mut refused, mut answered) = (Vec::new(), false);
    let _end: Option<()> = wire.replies(CHANGE, |reply| {
        let at = reply.sequence.wrapping_sub(begin) as usize;
        // Not what an earlier, failed exchange left behind.
        if at <= count + 1 {
            answered = true;
            match reply.body {
                // Of the batch's beginning: there is nobody to take it (`nfnetlink_rcv_batch` in `net/netfilter/nfnetlink.c`).
                Body::Outcome(Err(Refusal { errno: Errno::EOPNOTSUPP, .. })) if at == 0 => {
                    return Err(Error::NoPacketFilter);
                }
                // The batch as a whole is refused by its first or its last message.
                Body::Outcome(Err(refusal)) => refused.push((at.saturating_sub(1), refusal)),
                Body::Outcome(Ok(())) | Body::Object(..) => {}
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if answered { Ok(refused) } else { Err(Error::Unanswered { what: CHANGE.to_owned() }) }
}

/// The kernel doubles what it is told, and takes no more than `net.core.wmem_max` from who is root in a user namespace only.
fn make_room(wire: &Wire, longest: &mut usize, size: usize, requests: &[Request]) -> Result<(), Error> {
    if size <= *longest {
        return Ok(());
    }
    let failed = |errno| Error::system(format!("make room for {size} bytes to {CHANGE}"), errno);
    if setsockopt(&wire.socket, SndBufForce, &size).is_err() {
        setsockopt(&wire.socket, SndBuf, &size).map_err(failed)?;
    }
    *longest = getsockopt(&wire.socket, SndBuf).map_err(failed)?.saturating_sub(KEPT);
    if size <= *longest {
        return Ok(());
    }
    let elements = requests.iter().map(Request::size).sum();
    Err(Error::TooMany { elements, size, limit: *longest })
}

fn tell_first(refused: Vec<(usize, Refusal)>, transaction: &Transaction) -> Result<(), Error> {
    let first = refused.into_iter().min_by_key(|(at, _)| *at);
    let Some((at, refusal)) = first else { return Ok(()) };
    let what = transaction.requests.get(at).map_or_else(|| CHANGE.to_owned(), Request::words);
    Err(Error::Request { what, refusal })
}

fn look(table: &Table, what: &str, kind: u16, fill: impl FnOnce(&mut Attributes)) -> Request {
    let mut body = Attributes::default();
    fill(&mut body);
    let what = format!("{what} in table {}", table.name);
    Request { what, kind, flags: 0, family: table.family.number(), body, list: None }
}

fn ask(wire: &mut Wire, request: &Request, flags: u16) -> Result<u32, Error> {
    let (sequence, mut bytes) = (wire.count(), Vec::new());
    append_request(&mut bytes, sequence, request, flags);
    wire.send(&bytes, &request.what)?;
    Ok(sequence)
}

/// `None` where the kernel says that it is not (`ENOENT`), or where nobody in the kernel knows of such objects.
fn is_there<T>(wire: &mut Wire, found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Err(Error::Request { refusal, .. }) if refusal.errno == Errno::ENOENT => Ok(None),
        Err(Error::Request { refusal, .. }) if refusal.errno == Errno::EINVAL && !knows_nftables(wire)? => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Whether the kernel has nftables. Without it, it answers each question with `EINVAL` (`nfnetlink_rcv_msg`), which else is no answer to
/// what is asked here.
fn knows_nftables(wire: &mut Wire) -> Result<bool, Error> {
    let request = which_generation();
    let sequence = ask(wire, &request, NLM_F_ACK)?;
    match wire.one(sequence, &request.what, |_| Ok(())) {
        Err(Error::Request { refusal, .. }) if refusal.errno == Errno::EINVAL => Ok(false),
        other => other.map(|_| true),
    }
}

fn which_generation() -> Request {
    let what = "tell the generation of the packet filter".to_owned();
    Request { what, kind: GETGEN, flags: 0, family: 0, body: Attributes::default(), list: None }
}

fn append_request(batch: &mut Vec<u8>, sequence: u32, request: &Request, flags: u16) {
    let flags = NLM_F_REQUEST | request.flags | flags;
    append(batch, sequence, request.kind, flags, (request.family, 0), &request.attributes());
}

/// Appends a message: `struct nlmsghdr`, `struct nfgenmsg`, attributes.
fn append(batch: &mut Vec<u8>, sequence: u32, kind: u16, flags: u16, (family, id): (u8, u16), body: &[u8]) {
    let length = u32::try_from(20 + body.len()).unwrap_or(u32::MAX);
    batch.extend(length.to_ne_bytes());
    batch.extend(kind.to_ne_bytes());
    batch.extend(flags.to_ne_bytes());
    batch.extend(sequence.to_ne_bytes());
    batch.extend(0u32.to_ne_bytes()); // the kernel's own address is 0, and it knows ours
    batch.extend([family, 0]);
    batch.extend(id.to_be_bytes());
    batch.extend(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::Family;
    use netlink_packet_core::NLMSG_ERROR;
    use netlink_sys::Socket;
    use std::os::{
        fd::{FromRawFd, IntoRawFd},
        unix::net::UnixDatagram,
    };

    const TABLE: Table = Table { family: Family::Inet, name: Cow::Borrowed("t") };

    /// A socket to a kernel that refuses its first requests for these reasons; and the kernel.
    #[expect(unsafe_code, reason = "an end of a pair as a netlink socket")]
    fn refused(reasons: &[Errno]) -> (Nft, UnixDatagram) {
        let (ours, kernel) = UnixDatagram::pair().unwrap();
        for (sequence, errno) in (1u32..).zip(reasons) {
            let mut refusal = Vec::new();
            refusal.extend(36u32.to_ne_bytes());
            refusal.extend([NLMSG_ERROR.to_ne_bytes(), [0; 2]].concat());
            refusal.extend([sequence.to_ne_bytes(), [0; 4], (-(*errno as i32)).to_ne_bytes()].concat());
            refusal.extend([16u32.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat());
            kernel.send(&refusal).unwrap();
        }
        // SAFETY: the descriptor is nobody else's any more.
        let socket = unsafe { Socket::from_raw_fd(ours.into_raw_fd()) };
        (Nft { wire: Some(Wire::around(socket, 1024)), longest: LONGEST }, kernel)
    }

    /// As `nfnetlink_rcv_msg` and `nfnetlink_rcv_batch` answer where `nf_tables` is neither built in nor loaded.
    #[test]
    fn where_nobody_takes_requests_nothing_is_there_and_nothing_can_be_made() {
        let mut change = Transaction::default();
        change.delete_table(&TABLE);
        assert!(!refused(&[Errno::EINVAL; 2]).0.has_table(&TABLE).unwrap());
        assert!(refused(&[Errno::EINVAL; 2]).0.rules(&TABLE, None).unwrap().is_empty());
        refused(&[Errno::EOPNOTSUPP]).0.commit_what_is_there(&change).unwrap();
        let error = refused(&[Errno::EOPNOTSUPP]).0.commit(&change).unwrap_err();
        assert!(matches!(error, Error::NoPacketFilter), "{error}");
        assert!(error.hint().unwrap().contains("modprobe nf_tables"));
    }

    #[test]
    fn where_somebody_does_what_is_invalid_or_unknown_stays_an_error() {
        let mut change = Transaction::default();
        change.delete_table(&TABLE);
        let known = refused(&[Errno::EINVAL, Errno::EPERM]).0.has_table(&TABLE).unwrap_err();
        assert_eq!(known.errno(), Some(Errno::EPERM));
        // The second message of a batch is the first request.
        let (mut nft, _kernel) = refused(&[Errno::EOPNOTSUPP]);
        nft.wire.as_mut().unwrap().sequence = u32::MAX;
        let error = nft.commit_what_is_there(&change).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EOPNOTSUPP));
    }

    #[test]
    fn without_the_protocol_nothing_is_there_either() {
        let mut nft = Nft { wire: None, longest: LONGEST };
        let mut change = Transaction::default();
        change.delete_table(&TABLE);
        assert!(!nft.has_table(&TABLE).unwrap());
        assert!(nft.rules(&TABLE, None).unwrap().is_empty());
        nft.commit_what_is_there(&change).unwrap();
        assert!(matches!(nft.commit(&change), Err(Error::NoPacketFilter)));
    }
}
