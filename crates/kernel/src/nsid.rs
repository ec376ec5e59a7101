//! The numbers by which a network namespace knows others (`RTM_GETNSID`, `linux/net_namespace.h`).
//!
//! # Theory of operation
//! A namespace gets a number for another when it has something to say of it: where a link has gone to that was in it, for one (since Linux 4.15), and where
//! the other end of a veth is. It keeps that as long as both live. So what a namespace has no number for, no link has gone to from there.
use crate::{Error, Link, Message, Netns, Rtnl, link, reply::attributes};
use netlink_packet_core::DecodeError;
use nix::{errno::Errno, libc};
use std::os::fd::{AsFd, AsRawFd};

/// The number that the socket's namespace has for this one, if it has one.
pub fn number_of(rtnl: &mut Rtnl, netns: &Netns) -> Result<Option<u32>, Error> {
    const NETNSA_FD: u16 = 3;
    let mut body = NO_FAMILY.to_vec();
    for part in [8, NETNSA_FD] {
        body.extend(part.to_ne_bytes());
    }
    body.extend(netns.as_fd().as_raw_fd().to_ne_bytes());
    let request =
        Message::raw("tell the number of a network namespace".to_owned(), libc::RTM_GETNSID, body, 0);
    Ok(rtnl.ask(&request.holding(netns), read)?.flatten())
}

/// All numbers that the socket's namespace has for others.
pub fn numbers(rtnl: &mut Rtnl) -> Result<Vec<u32>, Error> {
    let what = "list the numbers of network namespaces".to_owned();
    rtnl.list(&Message::raw(what, libc::RTM_GETNSID, NO_FAMILY.to_vec(), 0), read)
}

/// The links of the namespace that the socket's knows by this number; none if there is none, or before Linux 4.15. The kernel says by such a number where the
/// other end of a veth is: that namespace has one then, be it the socket's own.
pub fn links_of(rtnl: &mut Rtnl, number: u32) -> Result<Vec<Link>, Error> {
    match link::links_in(rtnl, number) {
        Err(error) if matches!(error.errno(), Some(Errno::EINVAL | Errno::ENODEV | Errno::EOPNOTSUPP)) => {
            Ok(Vec::new())
        }
        other => other,
    }
}

/// `struct rtgenmsg`, filled up to four bytes.
const NO_FAMILY: [u8; 4] = [0; 4];

/// What follows that; none if no number is given (-1).
fn read(bytes: &[u8]) -> Result<Option<u32>, DecodeError> {
    const NETNSA_NSID: u16 = 1;
    let mut number = None;
    for attribute in attributes(bytes.get(NO_FAMILY.len()..).unwrap_or_default()) {
        let (kind, value) = attribute?;
        if kind == NETNSA_NSID {
            let value = netlink_packet_core::parse_i32(value)?;
            number = u32::try_from(value).ok();
        }
    }
    Ok(number)
}
