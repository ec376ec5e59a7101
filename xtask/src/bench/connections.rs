//! New TCP connections per second through a published port: real ones, from a neighbour of the host's, one after the other.
//!
//! A connection is complete when the container's own byte has come through it, so it has gone where the port leads. The client
//! ends it with a reset (`SO_LINGER` 0, socket(7)): one that was closed in turn would keep its port for a minute, and there are
//! more connections than ports.
use super::hosts::{Container, INSIDE, Namespace};
use crate::error::Error;
use nix::{libc::linger, sys::socket::setsockopt, sys::socket::sockopt::Linger};
use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// How long connections are counted at a time.
const WINDOW: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(5);

/// A port, and the byte that comes from the container that it leads to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door {
    pub(super) port: u16,
    pub(super) byte: u8,
}

/// Has a container answer every connection with this byte, until the process ends.
pub(super) fn answer(container: &Container, byte: u8) -> Result<(), Error> {
    let failed = |cause| Error::Traffic { what: "listen", port: INSIDE, cause };
    let listener = container.namespace.within(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, INSIDE)))?;
    let listener = listener.map_err(failed)?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _gone = stream.write_all(&[byte]);
        }
    });
    Ok(())
}

/// Connections per second through each door, by turns so many times: what every turn has counted.
pub(super) fn through(
    client: &Namespace,
    host: Ipv4Addr,
    doors: [Door; 2],
    turns: usize,
) -> Result<[Vec<f64>; 2], Error> {
    let turn = |door: Door| {
        let counted = client.within(|| count(host, door))?;
        counted.map_err(|cause| Error::Traffic { what: "connect", port: door.port, cause })
    };
    let mut rates = [Vec::new(), Vec::new()];
    for door in doors {
        turn(door)?; // caches warm up, and neighbours find each other
    }
    for at in 0..turns {
        // Who comes second finds the table of connections fuller, so that changes, too.
        for which in if at % 2 == 0 { [0, 1] } else { [1, 0] } {
            if let (Some(door), Some(rates)) = (doors.get(which), rates.get_mut(which)) {
                rates.push(turn(*door)?);
            }
        }
    }
    Ok(rates)
}

/// Connections per second during a window.
fn count(host: Ipv4Addr, door: Door) -> io::Result<f64> {
    let to = SocketAddr::from((host, door.port));
    let (start, mut connections) = (Instant::now(), 0.0);
    while start.elapsed() < WINDOW {
        connect(to, door.byte)?;
        connections += 1.0;
    }
    Ok(connections / start.elapsed().as_secs_f64())
}

fn connect(to: SocketAddr, expected: u8) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    setsockopt(&stream, Linger, &linger { l_onoff: 1, l_linger: 0 })?;
    let [byte] = byte;
    if byte == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("it leads to container {byte}, not {expected}")))
}
