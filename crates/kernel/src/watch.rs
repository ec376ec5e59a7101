//! The host as the kernel has it now: all links, addresses and routes, read by `rtnetlink` on an async runtime.
//!
//! For who looks at a whole host and has time: the command line. Plugins ask for the one link they need (`socket.rs`) and
//! are built without this (feature `watch`).
//!
//! # Theory of operation
//! [`Watch::open`] opens its socket in the network namespace that the calling thread is in, and spawns the task that
//! reads it on the current runtime, of which it must be called. The socket stays with its namespace, so one runtime on one
//! thread can hold watches of many: open each inside [`crate::Netns::run`], and await outside.
use crate::{Error, Link, Refusal};
use futures_util::{Stream, TryStreamExt as _, pin_mut};
use netlink_packet_core::{DecodeError, Emitable as _};
use netlink_packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressMessage},
    link::LinkExtentMask,
    route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteType, RouteVia},
};
use nix::errno::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::task::JoinHandle;
use types::Prefix;

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
    /// A view of the network namespace that the calling thread is in. Must be called on a tokio runtime with I/O.
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _events) =
            rtnetlink::new_connection().map_err(|cause| Error::io("open an rtnetlink socket", &cause))?;
        Ok(Self { handle, reader: tokio::spawn(connection) })
    }

    /// All links, but those whose names are not UTF-8.
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        let what = "list links";
        let family = AddressFamily::Unspec;
        let request = self.handle.link().get().set_filter_mask(family, vec![LinkExtentMask::SkipStats]);
        let messages = all(what, request.execute()).await?;
        // One reader of links, however they came: back to bytes and through that of `link/state.rs`.
        let read = |message: netlink_packet_route::link::LinkMessage| {
            let mut bytes = vec![0; message.buffer_len()];
            message.emit(&mut bytes);
            Link::read(&bytes).transpose()
        };
        let links: Result<Vec<_>, DecodeError> = messages.into_iter().filter_map(read).collect();
        links.map_err(|cause| Error::Malformed { what: what.to_owned(), cause })
    }

    /// All addresses of all links.
    pub async fn addresses(&self) -> Result<Vec<AddressOf>, Error> {
        let messages = all("list addresses", self.handle.address().get().execute()).await?;
        Ok(messages.iter().filter_map(AddressOf::read).collect())
    }

    /// All unicast routes of all tables, and those that keep packets from going anywhere; IPv4 first.
    pub async fn routes(&self) -> Result<Vec<RouteTo>, Error> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut asked = RouteMessage::default();
            asked.header.address_family = family;
            let messages = all("list routes", self.handle.route().get(asked).execute()).await?;
            routes.extend(messages.iter().flat_map(RouteTo::read));
        }
        Ok(routes)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn all<T>(
    what: &str,
    stream: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, Error> {
    pin_mut!(stream);
    let mut list = Vec::new();
    while let Some(one) = stream.try_next().await.map_err(|cause| failed(what, &cause))? {
        list.push(one);
    }
    Ok(list)
}

fn failed(what: &str, cause: &rtnetlink::Error) -> Error {
    let what = what.to_owned();
    match cause {
        rtnetlink::Error::NetlinkError(answer) => {
            let errno = Errno::from_raw(answer.raw_code().saturating_neg());
            Error::Request { what, refusal: Refusal { errno, extack: None } }
        }
        rtnetlink::Error::RequestFailed => Error::Unanswered { what },
        other => Error::Malformed { what, cause: DecodeError::from(other.to_string()) },
    }
}

impl AddressOf {
    fn read(message: &AddressMessage) -> Option<Self> {
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
    fn read(message: &RouteMessage) -> Vec<Self> {
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
