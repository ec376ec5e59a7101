//! `sealane fetch`: asks a port, and prints what it says; the other end of `sealane serve`, and of any HTTP server.
use super::{error::Error, target::Target};
use crate::{args, container::Protocol, ping, say};
use cni::Fail;
use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// How long until a port that has refused is asked again, and a datagram that was perhaps lost is sent again.
const PAUSE: Duration = Duration::from_millis(100);
/// How many bytes of an answer are read: what does not end is no reason to run out of memory.
const LONGEST: u64 = 64 << 20;
/// The longest datagram there is.
const DATAGRAM: usize = 64 << 10;
/// What comes between an answer's head and its body (RFC 9112, section 2.1).
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Prints what a port says.
pub(crate) fn fetch(fetch: &args::Fetch) -> Result<(), Fail> {
    let Target { host, port, protocol } = Target::parse(&fetch.target)?;
    let address = ping::address(&host, ping::family(fetch.ipv4, fetch.ipv6))?;
    let at = SocketAddr::new(address, port);
    let limit = Instant::now() + fetch.timeout;
    let answer = patiently(limit, || match protocol {
        Protocol::Udp => ask_udp(at, limit),
        Protocol::Tcp | Protocol::Sctp => ask_http(&host, at, limit),
    });
    let answer = answer.map_err(|cause| Error::Silent { at, protocol, patience: fetch.timeout, cause })?;
    say::bytes(&answer);
    Ok(())
}

/// Asks until something answers: a server may be just starting.
fn patiently<T>(limit: Instant, mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match ask() {
            Err(_) if Instant::now() + PAUSE < limit => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

fn ask_http(host: &str, to: SocketAddr, limit: Instant) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&to, left(limit))?;
    stream.set_write_timeout(Some(left(limit)))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    stream.set_read_timeout(Some(left(limit)))?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection without a word"));
    }
    Ok(body(answer))
}

fn ask_udp(to: SocketAddr, limit: Instant) -> io::Result<Vec<u8>> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // A refusal comes back as an error only to who is connected.
    socket.connect(to)?;
    socket.send(b"\n")?;
    // Less than all there is: a datagram may be lost.
    socket.set_read_timeout(Some(left(limit).min(Duration::from_secs(1))))?;
    let mut answer = vec![0; DATAGRAM];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// What is left of the time; no socket takes none at all.
fn left(limit: Instant) -> Duration {
    limit.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// What follows an HTTP head; all of it, if there is none.
fn body(answer: Vec<u8>) -> Vec<u8> {
    let head = answer.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD);
    match head {
        Some(end) if answer.starts_with(b"HTTP/") => {
            answer.get(end + END_OF_HEAD.len()..).unwrap_or_default().to_vec()
        }
        _ => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_http_answer_the_body_is_shown_and_of_any_other_all() {
        let shown = |answer: &str| String::from_utf8(body(answer.as_bytes().to_vec())).unwrap();
        assert_eq!(shown("HTTP/1.0 200 OK\r\nA: b\r\n\r\nhello\r\n\r\nyou\n"), "hello\r\n\r\nyou\n");
        assert_eq!(shown("HTTP/1.0 204 No Content\r\n\r\n"), "");
        assert_eq!(shown("220 ready\r\n\r\nhello"), "220 ready\r\n\r\nhello");
    }

    #[test]
    fn a_port_that_refuses_is_asked_again_until_the_time_is_over() {
        let mut asked = 0;
        let refuse = || {
            asked += 1;
            if asked < 3 { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(asked) }
        };
        assert_eq!(patiently(Instant::now() + Duration::from_mins(1), refuse).unwrap(), 3);
        let mut asked = 0;
        let over: io::Result<()> = patiently(Instant::now(), || {
            asked += 1;
            Err(io::ErrorKind::ConnectionRefused.into())
        });
        assert!(over.is_err() && asked == 1);
    }
}
