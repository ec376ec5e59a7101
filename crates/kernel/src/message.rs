//! One rtnetlink request before it is sent (rtnetlink(7)).
use crate::Netns;
use netlink_packet_core::{Emitable, NetlinkHeader};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use types::IfName;

/// A request to the kernel: to make, change or delete one object. It is plain data; nothing happens before
/// [`crate::Rtnl::transact`].
#[derive(Debug, Clone)]
pub struct Message {
    /// What it asks for, as it goes on after "the kernel refused to".
    pub(crate) what: String,
    body: Body,
    flags: u16,
    /// The link it makes, whose number the answer is to tell.
    pub(crate) echo: Option<IfName>,
    /// The refusal that says that there is nothing to be done.
    pub(crate) needless: Option<Errno>,
    /// The body names this namespace by the number of its descriptor, so that must stay open.
    _netns: Option<Netns>,
}

impl Message {
    pub(crate) fn new(what: String, body: RouteNetlinkMessage, flags: u16) -> Self {
        Self { what, body: Body::Known(body), flags, echo: None, needless: None, _netns: None }
    }

    /// One of a kind (`RTM_*`) that the crate for these messages does not know: what follows the header.
    pub(crate) fn raw(what: String, kind: u16, bytes: Vec<u8>, flags: u16) -> Self {
        Self { what, body: Body::Raw(kind, bytes), flags, echo: None, needless: None, _netns: None }
    }

    pub(crate) fn echoing(self, link: &IfName) -> Self {
        Self { echo: Some(link.clone()), ..self }
    }

    pub(crate) fn needless_if(self, refusal: Errno) -> Self {
        Self { needless: Some(refusal), ..self }
    }

    pub(crate) fn holding(self, netns: &Netns) -> Self {
        Self { _netns: Some(netns.clone()), ..self }
    }

    /// Appends the request to `batch`, with `flags` (`NLM_F_*`) besides its own.
    pub(crate) fn append_to(&self, batch: &mut Vec<u8>, sequence: u32, flags: u16) {
        let mut header = NetlinkHeader::default();
        let length = header.buffer_len() + self.body.length();
        header.length = u32::try_from(length).unwrap_or(u32::MAX);
        header.message_type = self.body.kind();
        header.flags = self.flags | flags;
        header.sequence_number = sequence;
        let start = batch.len();
        batch.resize(start + length, 0);
        if let Some((head, body)) =
            batch.get_mut(start..).and_then(|m| m.split_at_mut_checked(header.buffer_len()))
        {
            header.emit(head);
            self.body.emit(body);
        }
    }
}

/// What follows the header.
#[derive(Debug, Clone)]
enum Body {
    Known(RouteNetlinkMessage),
    Raw(u16, Vec<u8>),
}

impl Body {
    fn kind(&self) -> u16 {
        match self {
            Body::Known(message) => message.message_type(),
            Body::Raw(kind, _) => *kind,
        }
    }

    fn length(&self) -> usize {
        match self {
            Body::Known(message) => message.buffer_len(),
            Body::Raw(_, bytes) => bytes.len(),
        }
    }

    /// Into as many bytes as it is long.
    fn emit(&self, into: &mut [u8]) {
        match self {
            Body::Known(message) => message.emit(into),
            Body::Raw(_, bytes) => into.copy_from_slice(bytes),
        }
    }
}
