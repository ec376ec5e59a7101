//! Networks that a link of the host leads to, and that are there without us: the driver `macvlan`, and its options by docker's names.
use crate::{
    error::{Error, InvalidOption},
    host::HostView,
    options::{self, MTU, SHORT_MTU},
};
use types::{IfName, MacvlanMode};

pub(crate) const PARENT: &str = "parent";
const MODE: &str = "macvlan_mode";
const HOST_ACCESS: &str = "host_access";

/// Every option there is.
const KNOWN: &[&str] = &[HOST_ACCESS, MODE, MTU, PARENT, SHORT_MTU];

/// What they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Macvlan {
    /// The link that leads to the network.
    pub(crate) parent: IfName,
    /// Which frames pass between its containers.
    pub(crate) mode: MacvlanMode,
    /// The MTU of its containers' interfaces; by default the parent's.
    pub(crate) mtu: Option<u32>,
    /// Whether the host and its containers reach each other.
    pub(crate) host_access: bool,
}

impl Macvlan {
    /// Reads them; of two of one name the last one counts.
    pub(crate) fn read(given: &[(String, String)]) -> Result<Self, Error> {
        let (mut parent, mut mode, mut mtu, mut host_access) = (None, MacvlanMode::Bridge, None, false);
        for (key, value) in given {
            let mut take = || {
                match key.as_str() {
                    PARENT => parent = Some(named(value)?),
                    MODE => mode = value.parse().map_err(InvalidOption::Word)?,
                    MTU | SHORT_MTU => mtu = options::mtu(value)?,
                    HOST_ACCESS => host_access = options::switch(value)?,
                    _ => return Err(InvalidOption::unknown("macvlan", KNOWN, key)),
                }
                Ok(())
            };
            take().map_err(|cause| Error::Option { key: key.clone(), cause })?;
        }
        if host_access && mode != MacvlanMode::Bridge {
            let cause = InvalidOption::HostAccess(mode);
            return Err(Error::Option { key: HOST_ACCESS.to_owned(), cause });
        }
        let parent = parent.ok_or(Error::NoParent { driver: "macvlan" })?;
        Ok(Self { parent, mode, mtu, host_access })
    }

    /// Refuses a parent that the host has not.
    pub(crate) fn is_on(&self, host: &HostView) -> Result<(), Error> {
        // `eth0.10` is made with the first container.
        let below = self.parent.as_str().rsplit_once('.').and_then(|(below, _)| below.parse().ok());
        match below {
            Some(below) if is_there(&below, host).is_ok() => Ok(()),
            Some(_) | None => is_there(&self.parent, host),
        }
    }
}

/// Refuses a parent that the host has not.
pub(crate) fn is_there(parent: &IfName, host: &HostView) -> Result<(), Error> {
    let links: Vec<&IfName> = host.links.iter().map(|link| &link.name).collect();
    if links.contains(&parent) {
        return Ok(());
    }
    let others = links.into_iter().filter(|name| **name != IfName::loopback()).cloned();
    Err(Error::UnknownParent { parent: parent.clone(), others: others.collect() })
}

pub(crate) fn named(value: &str) -> Result<IfName, InvalidOption> {
    value.parse().map_err(|cause| InvalidOption::Parent { value: value.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Macvlan, Error> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Macvlan::read(&given.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn dockers_options_are_understood() {
        let plain = read(&[("parent", "eth0")]).unwrap();
        assert_eq!((plain.parent.as_str(), plain.mode, plain.mtu), ("eth0", MacvlanMode::Bridge, None));
        let all = [("parent", "eth0"), ("macvlan_mode", "vepa"), ("mtu", "1400"), ("parent", "eth1")];
        let all = read(&all).unwrap();
        assert_eq!((all.parent.as_str(), all.mode, all.mtu), ("eth1", MacvlanMode::Vepa, Some(1400)));
        assert!(read(&[("parent", "eth0"), ("host_access", "true")]).unwrap().host_access);
    }

    #[test]
    fn what_an_option_cannot_be_is_refused_and_a_parent_there_must_be() {
        let refused = |given: &[(&str, &str)]| read(given).unwrap_err();
        assert!(matches!(refused(&[]), Error::NoParent { .. }));
        for (key, value, said) in [
            ("parent", "a b", "cannot be the name of a link"),
            ("macvlan_mode", "source", "none of bridge, private, vepa, passthru"),
            ("mtu", "big", "is not an MTU"),
            ("paren", "eth0", "the macvlan driver has no such option"),
        ] {
            let Error::Option { key: named, cause } = refused(&[(key, value)]) else { panic!("{key}") };
            assert_eq!(named, key);
            assert!(cause.to_string().contains(said), "{cause}");
        }
        let with_host = refused(&[("parent", "eth0"), ("macvlan_mode", "private"), ("host_access", "1")]);
        assert!(matches!(with_host, Error::Option { cause: InvalidOption::HostAccess(_), .. }));
    }
}
