//! The iptables before nftables, as far as others still use it.
use crate::Error;
use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind},
};

/// The tables of IPv4 that are loaded in the network namespace of the thread, one a line. There is none of these files in a kernel that knows
/// none of these tables, and none to read for who is not root there.
const NAMES: &str = "/proc/thread-self/net/ip_tables_names";

/// Whether this table of IPv4 is loaded in the calling thread's network namespace.
pub fn has_legacy_table(name: &str) -> Result<bool, Error> {
    let file = match fs::File::open(NAMES) {
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Ok(false);
        }
        other => other.map_err(|cause| Error::io(format!("read {NAMES}"), &cause))?,
    };
    for line in BufReader::new(file).lines() {
        if line.map_err(|cause| Error::io(format!("read {NAMES}"), &cause))? == name {
            return Ok(true);
        }
    }
    Ok(false)
}
