//! What is changed in the packet filter, by whomever, as it happens (`nft monitor`).
use super::{
    read::{Map, body},
    transaction::NFTABLES,
};
use crate::{
    Error,
    reply::{self, Body},
};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use nix::{errno::Errno, libc};
use std::os::fd::{AsFd, BorrowedFd};

/// A listener in the network namespace that it was opened in.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An object was made.
    Made(Changed),
    /// An object was deleted. Of a set that went with all its elements only the set is told of.
    Gone(Changed),
    /// A transaction is over: those before it are all of its changes.
    Generation(u32),
    /// Events were lost, for more came than there was room for: what is there has to be looked at anew.
    Lost,
}

/// An object of the packet filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What it is.
    pub object: Object,
    /// The table's family, `NFPROTO_*` of `linux/netfilter.h`.
    pub family: u8,
    /// The table it is in, or the table itself.
    pub table: String,
    /// The chain's or set's name, or that of what a rule or element is in; `None` for a table.
    pub name: Option<String>,
}

/// Kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of nft(8)")]
pub enum Object {
    Table,
    Chain,
    Rule,
    Set,
    Element,
}

/// `NFNLGRP_NFTABLES`.
const GROUP: u32 = 7;
const ROOM: usize = 64 * 1024;
/// `NFT_MSG_NEWGEN`.
const NEWGEN: u16 = NFTABLES | 0xf;

impl Monitor {
    /// Begins to listen in the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        let failed = |cause| Error::io("listen to the packet filter", &cause);
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(failed)?;
        socket.bind_auto().map_err(failed)?;
        socket.add_membership(GROUP).map_err(failed)?;
        Ok(Self { socket, buffer: Vec::new() })
    }

    /// What has happened since the last call; nothing, if nothing has: `poll(2)` tells when it is worth a call.
    pub fn news(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        loop {
            self.buffer.clear();
            self.buffer.reserve(ROOM);
            match self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT) {
                Ok(_) => self.read(&mut events)?,
                Err(cause) => match Errno::from_raw(cause.raw_os_error().unwrap_or_default()) {
                    Errno::EAGAIN => return Ok(events),
                    Errno::ENOBUFS => events.push(Event::Lost),
                    Errno::EINTR => {}
                    _ => return Err(Error::io("listen to the packet filter", &cause)),
                },
            }
        }
    }

    fn read(&self, events: &mut Vec<Event>) -> Result<(), Error> {
        let what = || "tell of changes of the packet filter".to_owned();
        let mut rest = self.buffer.as_slice();
        while let Some(reply) = reply::next(&mut rest) {
            let reply = reply.map_err(|cause| Error::Malformed { what: what(), cause })?;
            let Body::Object(kind, bytes) = reply.body else { continue };
            let map = body(bytes).map_err(|cause| Error::Malformed { what: what(), cause })?;
            events.extend(event(kind, bytes.first().copied().unwrap_or_default(), &map));
        }
        Ok(())
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `None` for kinds that are not ours to know. Three numbers of a kind each: `NFT_MSG_NEW*`, `GET*`, `DEL*`.
fn event(kind: u16, family: u8, map: &Map<'_>) -> Option<Event> {
    if kind == NEWGEN {
        return Some(Event::Generation(map.number(1)?));
    }
    let number = kind.checked_sub(NFTABLES)?;
    let (object, name) = match number / 3 {
        0 => (Object::Table, None),
        1 => (Object::Chain, map.text(3)),
        2 => (Object::Rule, map.text(2)),
        3 => (Object::Set, map.text(2)),
        4 => (Object::Element, map.text(2)),
        _ => return None,
    };
    let changed = Changed { object, family, table: map.text(1)?, name };
    match number % 3 {
        0 => Some(Event::Made(changed)),
        2 => Some(Event::Gone(changed)),
        _ => None,
    }
}
