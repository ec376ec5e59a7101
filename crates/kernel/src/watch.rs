//! The host as the kernel has it now: all links, addresses and routes, read by `rtnetlink` on an async runtime.
//!
//! For who looks at a whole host and has time: the command line. Plugins ask for the one link they need (`socket.rs`) and
//! are built without this (feature `watch`).
//!
//! # Theory of operation
//! [`Watch::open`] opens its socket in the network namespace that the calling thread is in, and spawns the task that
//! reads it on the current runtime, of which it must be called. The socket stays with its namespace, so one runtime on one
//! thread can hold watches of many: open each inside [`crate::Netns::run`], and await outside.
mod coming;

pub use coming::ComingRoutes;

use crate::{Error, Link, Refusal};
use futures_util::{StreamExt as _, pin_mut};
use netlink_packet_core::{
    DecodeError, Emitable as _, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkExtentMask, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteType, RouteVia},
};
use nix::errno::Errno;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};
use tokio::{task::JoinHandle, time::timeout};
use types::Prefix;

/// How often a list that changes under the reader is read again.
const TRIES: u32 = 20;
/// How long the kernel may take for a list: it may have to wait for its network lock, behind namespaces that are torn down.
const LIMIT: Duration = Duration::from_secs(30);

/// A view of one network namespace.
#[derive(Debug)]
pub struct Watch {
    handle: rtnetlink::Handle,
    reader: JoinHandle<()>,
}

/// An address and the link that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressOf {
    /// The link's index.
    pub link: u32,
    /// The address, with the length of its subnet's prefix.
    pub prefix: Prefix,
}

/// A place that packets have a way to, or are kept from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTo {
    /// The place, without host bits; `0.0.0.0/0` and `::/0` are the defaults.
    pub dst: Prefix,
    /// The next hop; none if everybody in `dst` is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The index of the link; none if packets to there are dropped or refused (`blackhole`, `unreachable`, `prohibit`).
    pub link: Option<u32>,
    /// The routing table's number; 254 is the main one.
    pub table: u32,
}

impl Watch {
    /// A view of the network namespace that the calling thread is in. Must be called on a tokio runtime with I/O and time.
    pub fn open() -> Result<Self, Error> {
        let (mut connection, handle, _events) =
            rtnetlink::new_connection().map_err(|cause| Error::io("open an rtnetlink socket", &cause))?;
        // Otherwise the end of a list looks as the end of the connection does.
        connection.set_forward_done(true);
        Ok(Self { handle, reader: tokio::spawn(connection) })
    }

    /// All links, but those whose names are not UTF-8.
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        let what = "list links";
        let mut asked = LinkMessage::default();
        asked.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let messages = self.list(what, RouteNetlinkMessage::GetLink(asked)).await?;
        let links: Result<Vec<_>, DecodeError> = messages.into_iter().filter_map(read_link).collect();
        links.map_err(|cause| Error::Malformed { what: what.to_owned(), cause })
    }

    /// All addresses of all links.
    pub async fn addresses(&self) -> Result<Vec<AddressOf>, Error> {
        let asked = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let messages = self.list("list addresses", asked).await?;
        Ok(messages.iter().filter_map(AddressOf::read).collect())
    }

    /// All unicast routes of all tables, and those that keep packets from going anywhere; IPv4 first.
    pub async fn routes(&self) -> Result<Vec<RouteTo>, Error> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut asked = RouteMessage::default();
            asked.header.address_family = family;
            let messages = self.list("list routes", RouteNetlinkMessage::GetRoute(asked)).await?;
            routes.extend(messages.iter().flat_map(RouteTo::read));
        }
        Ok(routes)
    }

    /// A list that did not change while it was read.
    async fn list(&self, what: &str, asked: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, Error> {
        for _ in 0..TRIES {
            let list = timeout(LIMIT, self.list_once(what, asked.clone())).await;
            if let Some(list) =
                list.map_err(|_| Error::TimedOut { what: what.to_owned(), limit: LIMIT })??
            {
                return Ok(list);
            }
        }
        Err(Error::Unsteady { what: what.to_owned(), tries: TRIES })
    }

    /// `None`: it changed meanwhile.
    async fn list_once(
        &self,
        what: &str,
        asked: RouteNetlinkMessage,
    ) -> Result<Option<Vec<RouteNetlinkMessage>>, Error> {
        let unanswered = || Error::Unanswered { what: what.to_owned() };
        let mut request = NetlinkMessage::from(asked);
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let answers = self.handle.clone().request(request).map_err(|_| unanswered())?;
        pin_mut!(answers);
        let (mut list, mut steady) = (Vec::new(), true);
        while let Some(answer) = answers.next().await {
            steady &= answer.header.flags & NLM_F_DUMP_INTR == 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(object) => list.push(object),
                NetlinkPayload::Done(end) if end.code == 0 => return Ok(steady.then_some(list)),
                NetlinkPayload::Done(end) => return Err(refused(what, end.code)),
                NetlinkPayload::Error(error) => return Err(refused(what, error.raw_code())),
                _ => break,
            }
        }
        Err(unanswered())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// An error number that came as the end of a list.
fn refused(what: &str, code: i32) -> Error {
    let errno = Errno::from_raw(code.saturating_neg());
    Error::Request { what: what.to_owned(), refusal: Refusal { errno, extack: None } }
}

/// One reader of links, however they came: back to bytes, and through that of `link/state.rs`.
fn read_link(message: RouteNetlinkMessage) -> Option<Result<Link, DecodeError>> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    Link::read(&bytes).transpose()
}

impl AddressOf {
    fn read(message: &RouteNetlinkMessage) -> Option<Self> {
        let RouteNetlinkMessage::NewAddress(message) = message else { return None };
        let (mut local, mut address) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(own) => local = Some(*own),
                AddressAttribute::Address(own) => address = Some(*own),
                _ => {}
            }
        }
        // IFA_ADDRESS is the other side's on a point-to-point link, and the only one there is with IPv6.
        let prefix = Prefix::new(local.or(address)?, message.header.prefix_len).ok()?;
        Some(Self { link: message.header.index, prefix })
    }
}

impl RouteTo {
    /// One for each next hop of a route.
    fn read(message: &RouteNetlinkMessage) -> Vec<Self> {
        let RouteNetlinkMessage::NewRoute(message) = message else { return Vec::new() };
        // A cloned route is a cache's: an exception the kernel learned, not something that was configured.
        let configured = !message.header.flags.contains(RouteFlags::Cloned);
        let drops = match message.header.kind {
            RouteType::Unicast => false,
            RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit => true,
            _ => return Vec::new(),
        };
        let any = match message.header.address_family {
            AddressFamily::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            _ => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let (mut dst, mut table, mut hops) = (any, u32::from(message.header.table), Vec::new());
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(to) => dst = plain(to).unwrap_or(dst),
                RouteAttribute::Table(number) => table = *number,
                RouteAttribute::MultiPath(many) => hops.extend(many.iter().map(next_hop)),
                _ => {}
            }
        }
        if hops.is_empty() {
            hops.push(hop(&message.attributes));
        }
        let Ok(dst) = Prefix::new(dst, message.header.destination_prefix_length) else { return Vec::new() };
        let to = |(link, gateway): (Option<u32>, Option<IpAddr>)| {
            let link = link.filter(|_| !drops); // the kernel says `lo` for some of them
            Self { dst, gateway, link, table }
        };
        hops.into_iter().map(to).filter(|_| configured).collect()
    }
}

fn next_hop(hop_of: &RouteNextHop) -> (Option<u32>, Option<IpAddr>) {
    (Some(hop_of.interface_index), hop(&hop_of.attributes).1)
}

/// The link and the gateway.
fn hop(attributes: &[RouteAttribute]) -> (Option<u32>, Option<IpAddr>) {
    let (mut link, mut gateway) = (None, None);
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Gateway(address) => gateway = plain(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            _ => {}
        }
    }
    (link, gateway)
}

fn plain(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}
