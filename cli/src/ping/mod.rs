//! `sealane ping`: says what iputils' `ping` says, and ends as it does: 0 when something answered, 1 when nothing did, 2 when
//! it could not even ask. A container without a file system of its own may have no other.
mod error;
mod hosts;
mod tally;

pub(crate) use hosts::address;

use crate::{args, say};
use cni::Fail;
use error::Error;
use kernel::{Echo, Heard};
use std::{
    io::{self, Write as _},
    net::IpAddr,
    time::{Duration, Instant},
};
use tally::Tally;

/// Exit status when nothing answered.
const NO_ANSWER: u8 = 1;

/// Asks, tells what comes back, and sums it up.
pub(crate) fn ping(ping: &args::Ping) -> Result<u8, Fail> {
    let address = address(&ping.host, family(ping.ipv4, ping.ipv6))?;
    let echo = Echo::to(address).map_err(Error::Kernel)?;
    let mut talk = Talk { echo, ping, address, tally: Tally::default(), heard_out: true };
    talk.say(&opening(&ping.host, address));
    talk.all()?;
    let summary = talk.tally.summary(&ping.host);
    talk.say(&summary);
    Ok(if talk.tally.answers() { 0 } else { NO_ANSWER })
}

/// Whether an address is of the family that was asked for.
pub(crate) fn family(ipv4: bool, ipv6: bool) -> fn(&IpAddr) -> bool {
    match (ipv4, ipv6) {
        (true, _) => IpAddr::is_ipv4,
        (_, true) => IpAddr::is_ipv6,
        _ => |_| true,
    }
}

/// The first line, before anything is sent.
fn opening(host: &str, address: IpAddr) -> String {
    match address {
        IpAddr::V4(_) => format!("PING {host} ({address}) 56(84) bytes of data."),
        IpAddr::V6(_) => format!("PING {host} ({address}) 56 data bytes"),
    }
}

/// The requests and answers of one run.
struct Talk<'a> {
    echo: Echo,
    ping: &'a args::Ping,
    address: IpAddr,
    tally: Tally,
    /// Whether anybody still reads what we write.
    heard_out: bool,
}

impl Talk<'_> {
    /// Sends all requests; ends when the last is answered or given up, or nobody is interested any more.
    fn all(&mut self) -> Result<(), Error> {
        loop {
            let now = Instant::now();
            let sequence = self.tally.ask(now);
            if let Err(cause) = self.echo.send(sequence) {
                crate::say::failure(&Error::Kernel(cause));
                self.tally.refuse(sequence);
            }
            let last = self.ping.count.is_some_and(|count| self.tally.sent() >= count);
            let until = now + if last { self.ping.timeout } else { self.ping.interval };
            if !self.listen(until, last)? || last {
                return Ok(());
            }
        }
    }

    /// Tells what comes until then, or until nothing can come any more if this is the `last`. False if we are to end.
    fn listen(&mut self, until: Instant, last: bool) -> Result<bool, Error> {
        while !(last && self.tally.is_settled()) && self.heard_out {
            let heard = self.echo.listen(until)?;
            match heard {
                Heard::Reply { sequence, ttl, bytes, after } => self.reply(sequence, ttl, bytes, after),
                Heard::Refused { by, sequence, why } => {
                    self.tally.refuse(sequence);
                    self.say(&format!("From {by} icmp_seq={sequence} {why}"));
                }
                Heard::Nothing => return Ok(true),
                Heard::Interrupted => return Ok(false),
            }
        }
        Ok(self.heard_out)
    }

    fn reply(&mut self, sequence: u16, ttl: Option<u8>, bytes: usize, after: Duration) {
        let again = if self.tally.answer(sequence, after) { "" } else { " (DUP!)" };
        let from = match self.ping.host.parse::<IpAddr>() {
            Ok(_) => self.address.to_string(),
            Err(_name) => format!("{} ({})", self.ping.host, self.address),
        };
        let ttl = ttl.map(|ttl| format!(" ttl={ttl}")).unwrap_or_default();
        let time = tally::time(after);
        self.say(&format!("{bytes} bytes from {from}: icmp_seq={sequence}{ttl} time={time} ms{again}"));
    }

    /// A line. Without a reader (`sealane ping cat | head -3`) there is nothing left to do.
    fn say(&mut self, line: &str) {
        let mut stdout = io::stdout().lock();
        let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        self.heard_out &= written.is_ok();
        say::wrote(written);
    }
}
