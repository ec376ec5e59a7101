//! What a link is called besides its name (`ip link property add ... altname`, `IFLA_ALT_IFNAME`, Linux 5.5). No other link of the namespace can
//! have such a name, be it as its own or as one of these.
use super::{numbered, state::without_statistics};
use crate::{Error, Link, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, DefaultNla};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, Prop},
};
use nix::{errno::Errno, libc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An alternative name, of at most 127 bytes. The kernel takes whatever is no NUL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Altname {
    /// As it should be.
    Text(String),
    /// Not UTF-8.
    Bytes(Vec<u8>),
}

impl From<&[u8]> for Altname {
    fn from(bytes: &[u8]) -> Self {
        String::from_utf8(bytes.to_vec())
            .map_or_else(|error| Altname::Bytes(error.into_bytes()), Altname::Text)
    }
}

impl fmt::Display for Altname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(self.bytes()).escape_debug())
    }
}

impl Altname {
    /// The name as the kernel has it.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Altname::Text(text) => text.as_bytes(),
            Altname::Bytes(bytes) => bytes,
        }
    }

    fn attribute(&self) -> DefaultNla {
        DefaultNla::new(libc::IFLA_ALT_IFNAME, [self.bytes(), &[0]].concat())
    }
}

/// The link of this name, or of this other name, if there is one.
pub fn by_any_name(rtnl: &mut Rtnl, name: &str) -> Result<Option<Link>, Error> {
    if name.len() > 15 {
        return called(rtnl, &Altname::from(name.as_bytes()));
    }
    // This the kernels know, too, that know no other names.
    look_up(rtnl, name, LinkAttribute::IfName(name.to_owned()))
}

/// The link that is called so, by its own name or another one.
pub fn called(rtnl: &mut Rtnl, name: &Altname) -> Result<Option<Link>, Error> {
    look_up(rtnl, name, LinkAttribute::Other(name.attribute()))
}

fn look_up(
    rtnl: &mut Rtnl,
    name: impl fmt::Display,
    attribute: LinkAttribute,
) -> Result<Option<Link>, Error> {
    let mut link = without_statistics();
    link.attributes.push(attribute);
    let request = Message::new(format!("look up link {name}"), RouteNetlinkMessage::GetLink(link), 0);
    match rtnl.request(request) {
        Ok(answer) => Ok(answer.link),
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Has a link be called so, too. `EEXIST` if any link of the namespace is.
pub fn add_altname(index: u32, name: &Altname) -> Message {
    let body = RouteNetlinkMessage::NewLinkProp(with(index, name));
    Message::new(format!("call link {index} {name}, too"), body, 0)
}

/// Ends that. `ENOENT` if no link of the namespace is called so, `EINVAL` if it is another one.
pub fn remove_altname(index: u32, name: &Altname) -> Message {
    let body = RouteNetlinkMessage::DelLinkProp(with(index, name));
    Message::new(format!("no longer call link {index} {name}"), body, 0)
}

fn with(index: u32, name: &Altname) -> LinkMessage {
    let mut link = numbered(index);
    link.attributes.push(LinkAttribute::PropList(vec![Prop::Other(name.attribute())]));
    link
}

/// Out of `IFLA_PROP_LIST`.
pub(super) fn read(list: &[u8]) -> Result<Vec<Altname>, DecodeError> {
    let mut names = Vec::new();
    for property in attributes(list) {
        let (kind, value) = property?;
        if kind == libc::IFLA_ALT_IFNAME {
            names.push(Altname::from(value.strip_suffix(&[0]).unwrap_or(value)));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_bytes_whatever_they_are() {
        for (bytes, said) in [(&b"enp0s3"[..], "enp0s3"), (b"a\xffb\n", "a\u{fffd}b\\n")] {
            let name = Altname::from(bytes);
            assert_eq!((name.bytes(), name.to_string().as_str()), (bytes, said));
        }
        assert_eq!(remove_altname(7, &Altname::from(&b"x0"[..])).what, "no longer call link 7 x0");
        assert_eq!(add_altname(7, &Altname::from(&b"x0"[..])).what, "call link 7 x0, too");
    }
}
