//! Links that are moved from one namespace to another, and what is found of them there.
use super::{numbered, set};
use crate::{Error, Message, Netns, Rtnl};
use netlink_packet_core::DefaultNla;
use netlink_packet_route::link::LinkAttribute;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use std::{
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};
use types::IfName;

/// Moves a link to another namespace, where it has this name, and is down. The kernel does that in two steps if the name that it has is
/// free there: the second, the new name, may then be refused (`EEXIST`) when the link is there already.
///
/// There it has this number (`EBUSY` if another link has it), or, without one and before Linux 5.13, the number that it has if that is free
/// there, and else the kernel's choice.
pub fn move_to(index: u32, netns: &Netns, name: &IfName, number: Option<u32>) -> Message {
    let mut link = numbered(index);
    link.attributes.push(LinkAttribute::IfName(name.to_string()));
    link.attributes.extend(number.map(|number| {
        let bytes = number.to_ne_bytes().to_vec();
        LinkAttribute::Other(DefaultNla::new(libc::IFLA_NEW_IFINDEX, bytes))
    }));
    link.attributes.push(LinkAttribute::NetNsFd(netns.as_fd().as_raw_fd()));
    set(format!("move link {index} to another namespace as {name}"), link).holding(netns)
}

/// Whether [`move_to`] can give a link a number: from Linux 5.13 on the kernel reads the number (`IFLA_NEW_IFINDEX`), and refuses 0. Nothing is
/// moved to find that out.
pub fn can_be_numbered(rtnl: &mut Rtnl) -> Result<bool, Error> {
    let mut lo = numbered(1);
    lo.attributes.push(LinkAttribute::Other(DefaultNla::new(libc::IFLA_NEW_IFINDEX, vec![0; 4])));
    match rtnl.request(set("see whether a link can be given a number".to_owned(), lo)) {
        Ok(_) => Ok(false),
        Err(error) if error.errno() == Some(Errno::ERANGE) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Gives a link another name. Before Linux 6.2 it has to be down.
pub fn rename(index: u32, name: &IfName) -> Message {
    let mut link = numbered(index);
    link.attributes.push(LinkAttribute::IfName(name.to_string()));
    set(format!("call link {index} {name}"), link)
}

/// Writes this on a link (`IFLA_IFALIAS`, at most 255 bytes); what was there goes.
pub fn set_alias(index: u32, alias: Option<&str>) -> Message {
    let mut link = numbered(index);
    let bytes = alias.unwrap_or_default().as_bytes().to_vec();
    link.attributes.push(LinkAttribute::Other(DefaultNla::new(libc::IFLA_IFALIAS, bytes)));
    let what = alias.filter(|alias| !alias.is_empty()).map_or_else(
        || format!("wipe off what is written on link {index}"),
        |alias| format!("write \"{alias}\" on link {index}"),
    );
    set(what, link)
}

/// Has a link carry packets of up to so many bytes.
pub fn set_mtu(index: u32, mtu: u32) -> Message {
    let mut link = numbered(index);
    link.attributes.push(LinkAttribute::Mtu(mtu));
    set(format!("set the MTU of link {index} to {mtu}"), link)
}

/// Makes a link a port of another one, or of none.
pub fn set_master(index: u32, master: Option<u32>) -> Message {
    let mut link = numbered(index);
    link.attributes.push(LinkAttribute::Controller(master.unwrap_or(0)));
    let what = master.map_or_else(
        || format!("make link {index} a port of none"),
        |master| format!("make link {index} a port of link {master}"),
    );
    set(what, link)
}

/// Ears for links that come into the namespace of the thread that opened them.
#[derive(Debug)]
pub struct Arrivals(Socket);

impl Arrivals {
    /// From now on.
    pub fn open() -> Result<Self, Error> {
        let failed = |cause| Error::io("listen for links", &cause);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
        socket.bind_auto().map_err(failed)?;
        socket.add_membership(libc::RTNLGRP_LINK).map_err(failed)?;
        Ok(Self(socket))
    }

    /// Whether something has become of some link, within this time.
    pub fn within(&self, limit: Duration) -> Result<bool, Error> {
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, limit) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::system("listen for links", errno)),
        }
        // What exactly has been heard does not matter: whoever listens looks again. More than fits is heard once (ENOBUFS).
        let mut buffer = vec![0; 32 * 1024];
        while self.0.recv(&mut &mut buffer[..], libc::MSG_DONTWAIT).is_ok_and(|length| length > 0) {}
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_said_in_words() {
        for (message, said) in [
            (set_alias(35, Some("hv0")), "write \"hv0\" on link 35"),
            (set_alias(35, None), "wipe off what is written on link 35"),
            (set_master(35, Some(7)), "make link 35 a port of link 7"),
            (set_master(35, None), "make link 35 a port of none"),
        ] {
            assert_eq!(message.what, said);
        }
    }
}
