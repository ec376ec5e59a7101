//! `sealane capture`: what comes and goes on an interface, a line a header, and what is in tunnels as well. A host may have nothing else to look with.
mod error;
mod packet;

use crate::{args, say};
use cni::Fail;
use error::Error;
use kernel::{Capture, Captured};
use packet::Packet;
use std::{
    io::{self, Write as _},
    time::Instant,
};
use types::IfName;

/// Shows packets until there were enough, nothing more is to be expected, or nobody reads it.
pub(crate) fn capture(asked: &args::Capture) -> Result<(), Fail> {
    let interface: IfName = asked.interface.parse().map_err(Error::Name)?;
    let failed = |cause| Error::on(&interface, cause);
    let mut capture = Capture::on(&interface).map_err(failed)?;
    let until = asked.timeout.map(|timeout| Instant::now() + timeout);
    let mut shown = 0;
    while asked.count.is_none_or(|count| shown < count) {
        match capture.listen(until).map_err(failed)? {
            Captured::Frame(frame) => {
                let packet = Packet::read(frame, asked.vxlan_port);
                if asked.port.is_some_and(|port| !packet.is_of(port)) {
                    continue;
                }
                if !show(&packet, shown == 0) {
                    return Ok(());
                }
                shown += 1;
            }
            Captured::Nothing if asked.count.is_some() => {
                return Err(Error::TooFew { interface, shown }.into());
            }
            Captured::Nothing | Captured::Interrupted => return Ok(()),
        }
    }
    Ok(())
}

/// Whether anybody still reads what we write (`sealane capture eth0 | head -3`).
fn show(packet: &Packet, is_first: bool) -> bool {
    let mut stdout = io::stdout().lock();
    let between = if is_first { "" } else { "\n" };
    let written = write!(stdout, "{between}{packet}").and_then(|()| stdout.flush());
    let is_read = written.is_ok();
    say::wrote(written);
    is_read
}
