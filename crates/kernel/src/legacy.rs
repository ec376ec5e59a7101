//! The iptables before nftables, as far as others still use it.
use crate::Error;
use std::{
    fs,
    io::{self, BufRead, BufReader, ErrorKind},
};

/// The tables of each family that are loaded in the network namespace of the thread, one a line. There is none of these files in a kernel
/// that knows none of these tables, and none to read for who is not root there.
const NAMES: [&str; 2] = ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];

/// Whether this table of either family is loaded in the calling thread's network namespace.
pub fn has_legacy_table(name: &str) -> Result<bool, Error> {
    for list in NAMES {
        if is_listed(name, list).map_err(|cause| Error::io(format!("read {list}"), &cause))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_listed(name: &str, list: &str) -> io::Result<bool> {
    let file = match fs::File::open(list) {
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Ok(false);
        }
        other => other?,
    };
    for line in BufReader::new(file).lines() {
        if line? == name {
            return Ok(true);
        }
    }
    Ok(false)
}
