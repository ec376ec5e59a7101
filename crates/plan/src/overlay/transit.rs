//! The addresses between the host and an overlay network's gate: a pair of each family, unique on the host.
//!
//! # Theory of operation
//! There are 8192 pairs. A network begins to look at the one that its name's hash says, and has the first that nobody else has. Whose one is, says
//! `STATE/transit/NUMBER`, which holds the network's name and is written under the host's lock; which one a network has, says
//! `STATE/overlay/NETWORK/transit`. Both are there whole or not at all.
use super::{NoOverlay, folder_of};
use crate::{error::Error, state::State};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use types::{NetworkName, Prefix, stable_hash};

/// One pair, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transit(u16);

/// How many pairs there are: 169.254.64.0/18, two addresses a pair.
const PAIRS: u16 = 1 << 13;
/// Link-local, and out of the way of what clouds have there (169.254.169.254).
const IPV4: Ipv4Addr = Ipv4Addr::new(169, 254, 64, 0);
/// Unique local addresses (RFC 4193), of an identifier that was drawn at random (section 3.2.2).
const IPV6: Ipv6Addr = Ipv6Addr::new(0xfd7e, 0x51c0, 0x9e2a, 0x7a15, 0, 0, 0, 0);

impl Transit {
    /// The pair of this number, less than 8192.
    pub fn numbered(number: u16) -> Option<Self> {
        (number < PAIRS).then_some(Self(number))
    }

    /// The host's address, with the length of the pair's subnet.
    pub fn host(self, is_ipv4: bool) -> Prefix {
        self.prefix(is_ipv4, 0)
    }

    /// The address of the network's gate, likewise.
    pub fn network(self, is_ipv4: bool) -> Prefix {
        self.prefix(is_ipv4, 1)
    }

    fn prefix(self, is_ipv4: bool, end: u16) -> Prefix {
        let at = u32::from(self.0) * 2 + u32::from(end);
        let (address, length): (IpAddr, u8) = if is_ipv4 {
            (Ipv4Addr::from_bits(IPV4.to_bits() | at).into(), 31)
        } else {
            (Ipv6Addr::from_bits(IPV6.to_bits() | u128::from(at)).into(), 127)
        };
        Prefix::new(address, length).unwrap_or(Prefix::host(address))
    }

    /// The pair that a network has, or would have. Nothing is claimed.
    pub(crate) fn find(network: &NetworkName, state: &State) -> Result<Self, Error> {
        if let Some(own) = read(&own(state, network))?.and_then(|text| text.parse().ok())
            && read(&claim(state, own))?.is_none_or(|holder| holder == network.as_str())
        {
            return Ok(Self(own));
        }
        let first = u16::try_from(stable_hash(&["transit", network.as_str()]) % u64::from(PAIRS));
        let first = first.unwrap_or_default();
        for number in (first..PAIRS).chain(0..first) {
            if read(&claim(state, number))?.is_none_or(|holder| holder == network.as_str()) {
                return Ok(Self(number));
            }
        }
        Err(NoOverlay::NoTransit { network: network.clone(), pairs: PAIRS }.into())
    }

    /// Takes it, under the host's lock. The network's folder is there.
    pub(super) fn claim(self, network: &NetworkName, state: &State) -> Result<(), Error> {
        let claim = claim(state, self.0);
        if let Some(folder) = claim.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|cause| failed("create", folder, cause))?;
        }
        match read(&claim)? {
            Some(by) if by != network.as_str() => {
                return Err(NoOverlay::TransitTaken { network: network.clone(), by }.into());
            }
            Some(_) => {}
            None => write(&claim, network.as_str())?,
        }
        write(&own(state, network), &self.0.to_string())
    }

    /// Gives it back, under the host's lock, if it is this network's.
    pub(super) fn release(self, network: &NetworkName, state: &State) -> Result<(), Error> {
        remove(&own(state, network))?;
        let claim = claim(state, self.0);
        // Of one that was killed while it wrote.
        remove(&claim.with_extension("new"))?;
        if read(&claim)?.is_some_and(|holder| holder == network.as_str()) {
            remove(&claim)?;
        }
        // Others may have one.
        let _ = claim.parent().map(fs::remove_dir);
        Ok(())
    }
}

/// The network's end of the IPv4 pair, by which it is known.
impl fmt::Display for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network(true).fmt(f)
    }
}

fn claim(state: &State, number: u16) -> PathBuf {
    state.directory().join("transit").join(number.to_string())
}

fn own(state: &State, network: &NetworkName) -> PathBuf {
    folder_of(state, network).join("transit")
}

/// What a file holds, if there is one.
fn read(file: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(file) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        other => Ok(Some(other.map_err(|cause| failed("read", file, cause))?)),
    }
}

/// Under a lock: nobody else writes beside it.
fn write(file: &Path, text: &str) -> Result<(), Error> {
    let new = file.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, file));
    written.map_err(|cause| failed("write", file, cause))
}

fn remove(file: &Path) -> Result<(), Error> {
    match fs::remove_file(file) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed("remove", file, cause)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn failed(doing: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::State { doing, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NetworkName {
        text.parse().unwrap()
    }

    #[test]
    fn a_pair_is_two_addresses_of_each_family_that_no_other_has() {
        let text = |transit: Transit| {
            [true, false].map(|v4| format!("{} {}", transit.host(v4), transit.network(v4)))
        };
        let of = |number| text(Transit::numbered(number).unwrap());
        assert_eq!(
            of(0),
            ["169.254.64.0/31 169.254.64.1/31", "fd7e:51c0:9e2a:7a15::/127 fd7e:51c0:9e2a:7a15::1/127"]
        );
        assert_eq!(of(PAIRS - 1)[0], "169.254.127.254/31 169.254.127.255/31");
        assert_eq!(Transit::numbered(PAIRS), None);
    }

    #[test]
    fn a_network_keeps_its_pair_and_nobody_else_gets_it() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::at(directory.path());
        let (one, two) = (name("one"), name("two"));
        let claimed = |transit: Transit, network: &NetworkName| {
            fs::create_dir_all(folder_of(&state, network)).unwrap();
            transit.claim(network, &state)
        };
        let pair = Transit::find(&one, &state).unwrap();
        claimed(pair, &one).unwrap();
        claimed(pair, &one).unwrap();
        let refused = claimed(pair, &two).unwrap_err();
        assert!(matches!(refused, Error::Overlay(NoOverlay::TransitTaken { ref by, .. }) if by == "one"));
        assert_eq!(Transit::find(&one, &state).unwrap(), pair);

        // Where a network begins to look, another one is: it takes the next, and keeps that when the other has gone.
        let begin = Transit::find(&two, &state).unwrap();
        write(&claim(&state, begin.0), "one").unwrap();
        let next = Transit::find(&two, &state).unwrap();
        assert_eq!(next.0, (begin.0 + 1) % PAIRS);
        claimed(next, &two).unwrap();
        begin.release(&one, &state).unwrap();
        assert_eq!(Transit::find(&two, &state).unwrap(), next);
        next.release(&one, &state).unwrap();
        assert!(read(&claim(&state, next.0)).unwrap().is_some(), "it is not that network's to give back");
        next.release(&two, &state).unwrap();
        pair.release(&one, &state).unwrap();
        assert!(!directory.path().join("transit").exists());
    }
}
