//! The options of the `bridge` driver, by docker's names.
use crate::error::{Error, InvalidOption};
use types::IfName;

const NAME: &str = "com.docker.network.bridge.name";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub(crate) const MTU: &str = "com.docker.network.driver.mtu";
/// podman's word for it, and nerdctl's.
pub(crate) const SHORT_MTU: &str = "mtu";

/// Every option of the driver `bridge`.
pub const KNOWN_OPTIONS: &[&str] = &[ICC, MASQUERADE, NAME, MTU, SHORT_MTU];

/// What they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The bridge's name; by default one made of the network's ID.
    pub(crate) bridge: Option<IfName>,
    /// The MTU of the bridge and of what is on it; by default the kernel's, 1500.
    pub(crate) mtu: Option<u32>,
    /// Whether the network's containers can reach each other.
    pub(crate) containers_talk: bool,
    /// Whether what containers send beyond the host bears an address of the host's.
    pub(crate) masquerade: bool,
}

impl Options {
    /// Reads them; of two of one name the last one counts.
    pub(crate) fn read(given: &[(String, String)]) -> Result<Self, Error> {
        let mut options = Self { bridge: None, mtu: None, containers_talk: true, masquerade: true };
        for (key, value) in given {
            options.take(key, value).map_err(|cause| Error::Option { key: key.clone(), cause })?;
        }
        Ok(options)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), InvalidOption> {
        match key {
            NAME => {
                let name = value.parse();
                self.bridge =
                    Some(name.map_err(|cause| InvalidOption::Name { value: value.to_owned(), cause })?);
            }
            MTU | SHORT_MTU => self.mtu = mtu(value)?,
            ICC => self.containers_talk = switch(value)?,
            MASQUERADE => self.masquerade = switch(value)?,
            _ => return Err(InvalidOption::unknown("bridge", KNOWN_OPTIONS, key)),
        }
        Ok(())
    }
}

/// 0 is none.
pub(crate) fn mtu(value: &str) -> Result<Option<u32>, InvalidOption> {
    match value.parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(mtu @ 68..=65_535) => Ok(Some(mtu)),
        Ok(_) | Err(_) => Err(InvalidOption::Mtu(value.to_owned())),
    }
}

/// The words that docker takes (Go's `strconv.ParseBool`).
pub(crate) fn switch(value: &str) -> Result<bool, InvalidOption> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(InvalidOption::Switch(value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, value: &str) -> Result<Options, InvalidOption> {
        Options::read(&[(key.to_owned(), value.to_owned())]).map_err(|error| match error {
            Error::Option { cause, .. } => cause,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn dockers_options_are_understood() {
        assert_eq!(read(NAME, "br0").unwrap().bridge.unwrap().as_str(), "br0");
        assert_eq!(read(MTU, "9000").unwrap().mtu, Some(9000));
        assert_eq!(read(SHORT_MTU, "0").unwrap().mtu, None);
        assert!(!read(ICC, "false").unwrap().containers_talk);
        assert!(!read(MASQUERADE, "0").unwrap().masquerade && read(MASQUERADE, "true").unwrap().masquerade);
        assert!(read(MTU, "9000").unwrap().masquerade);
    }

    #[test]
    fn what_an_option_cannot_be_is_refused() {
        assert!(matches!(read(NAME, "far-too-long-a-name"), Err(InvalidOption::Name { .. })));
        assert!(matches!(read(MTU, "12"), Err(InvalidOption::Mtu(_))));
        assert!(matches!(read(MTU, "big"), Err(InvalidOption::Mtu(_))));
        assert!(matches!(read(ICC, "no"), Err(InvalidOption::Switch(_))));
        assert!(matches!(read(MASQUERADE, "yes"), Err(InvalidOption::Switch(_))));
    }

    #[test]
    fn an_unknown_option_is_told_which_one_it_may_have_been() {
        let similar = |key| match read(key, "1") {
            Err(InvalidOption::Unknown { similar, .. }) => similar,
            other => panic!("{other:?}"),
        };
        assert_eq!(similar("com.docker.network.mtu"), Some(MTU));
        assert_eq!(similar("com.docker.network.bridge.enable_ic"), Some(ICC));
        assert_eq!(similar("parent"), None);
    }
}
