//! Links whatever they are called. A name need not be text, nor one that we would give; and whoever is root in a container chooses those of its links:
//! nobody would find such a link again by its name.
use super::{Link, state::without_statistics};
use crate::{Error, Message, Rtnl};
use netlink_packet_core::{DecodeError, DefaultNla};
use netlink_packet_route::{RouteNetlinkMessage, link::LinkAttribute};
use nix::{
    errno::Errno,
    libc,
    net::if_::{if_indextoname, if_nametoindex},
};
use std::ffi::CString;

/// All links of the namespace. One whose name is none to us has `dev` and its number in that name's place.
pub fn whatever_called(rtnl: &mut Rtnl) -> Result<Vec<Link>, Error> {
    let body = RouteNetlinkMessage::GetLink(without_statistics());
    rtnl.list(&Message::new("list links".to_owned(), body, 0), read)
}

/// The same of the namespace that the socket's knows by this number (`crate::nsid`).
pub(crate) fn links_in(rtnl: &mut Rtnl, namespace: u32) -> Result<Vec<Link>, Error> {
    let mut link = without_statistics();
    let number = DefaultNla::new(libc::IFLA_TARGET_NETNSID, namespace.to_ne_bytes().to_vec());
    link.attributes.push(LinkAttribute::Other(number));
    let what = format!("list the links of network namespace {namespace}");
    rtnl.list(&Message::new(what, RouteNetlinkMessage::GetLink(link), 0), read)
}

/// The same of the link with this index, if there is one.
pub fn numbered_whatever_called(rtnl: &mut Rtnl, index: u32) -> Result<Option<Link>, Error> {
    let mut link = without_statistics();
    link.header.index = index;
    let request = Message::new(format!("look up link {index}"), RouteNetlinkMessage::GetLink(link), 0);
    match rtnl.ask(&request, read) {
        Ok(found) => Ok(found.flatten()),
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the calling thread's namespace has a link with this index. Never waits for the kernel's network lock.
pub fn is_numbered(index: u32) -> Result<bool, Error> {
    Ok(raw_name_of(index)?.is_some())
}

/// The index of the link of this name in the calling thread's namespace, if there is one. Never waits for the kernel's network lock.
pub fn index_of(name: &str) -> Result<Option<u32>, Error> {
    match if_nametoindex(name) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::ENXIO | Errno::ENODEV) => Ok(None),
        Err(errno) => Err(Error::system(format!("look up link {name}"), errno)),
    }
}

/// The name of the link with this index in the calling thread's namespace, if there is one.
pub(crate) fn raw_name_of(index: u32) -> Result<Option<CString>, Error> {
    match if_indextoname(index) {
        // nix takes no answer for an empty name.
        Ok(name) => Ok(Some(name).filter(|name| !name.is_empty())),
        Err(Errno::ENXIO | Errno::ENODEV) => Ok(None),
        Err(errno) => Err(Error::system(format!("look up link {index}"), errno)),
    }
}

fn read(bytes: &[u8]) -> Result<Option<Link>, DecodeError> {
    Link::read_called(bytes, |index| format!("dev{index}").parse().ok())
}
