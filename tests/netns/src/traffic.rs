//! Real traffic: an echo over TCP or UDP between two namespaces.
//!
//! Theory of operation. An answer that has to come is waited for as long as it takes; one that must not come is given a moment
//! ([`SILENCE`]), which a machine that is too slow can only make too short: then a test passes that should fail, and not
//! the other way round. A datagram that gets no answer is sent again, as nobody has promised that it arrives. So is whatever the
//! kernel calls unreachable: it asks three times in three seconds for a neighbour, and a bridge on a loaded machine may take
//! longer to let frames of a new port through. Each time it is a new socket: one that was bound while the kernel still tested the
//! namespace's own IPv6 address (DAD) has `::1` for its source, and hears nothing ever.
use crate::{Container, PATIENCE};
use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// What carries the echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// One connection.
    Tcp,
    /// One datagram each way.
    Udp,
}

/// A word that nothing else would send.
const WORD: &[u8] = b"sealane";
/// How long nobody answers where nobody is to.
const SILENCE: Duration = Duration::from_secs(3);
/// How long until a datagram is sent again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long until it is tried with another socket.
const TURN: Duration = Duration::from_secs(5);

/// Answers echoes on this address of this thread's network namespace, on a thread that ends with the process. The port
/// is open when this returns. An IPv6 address that the kernel still tests (DAD) is waited for.
pub fn serve(protocol: Protocol, address: IpAddr, port: u16) -> io::Result<()> {
    let at = SocketAddr::new(address, port);
    match protocol {
        Protocol::Tcp => {
            let listener = patiently(|| TcpListener::bind(at))?;
            thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(echo(stream))));
        }
        Protocol::Udp => {
            let socket = patiently(|| UdpSocket::bind(at))?;
            thread::spawn(move || {
                let mut word = [0; 64];
                while let Ok((length, from)) = socket.recv_from(&mut word) {
                    let _lost = socket.send_to(word.get(..length).unwrap_or_default(), from);
                }
            });
        }
    }
    Ok(())
}

/// Sends a word from this thread's network namespace and waits for it to come back: from which address it was sent.
pub fn reaches(protocol: Protocol, address: IpAddr, port: u16) -> io::Result<IpAddr> {
    echoed(protocol, SocketAddr::new(address, port), PATIENCE)
}

/// Whether a word that is sent from this thread's network namespace does not come back.
pub fn is_cut_off(protocol: Protocol, address: IpAddr, port: u16) -> bool {
    echoed(protocol, SocketAddr::new(address, port), SILENCE).is_err()
}

/// A word from the container comes back from there, over TCP.
///
/// # Panics
/// If it does not.
pub fn get_through(from: &Container, at: IpAddr, port: u16) {
    let reached = from.exec(|| reaches(Protocol::Tcp, at, port));
    assert!(matches!(reached, Ok(Ok(_))), "{} to {at} port {port}: {reached:?}", from.id());
}

/// A word from the container comes back from nobody there, over TCP.
///
/// # Panics
/// If it does.
pub fn do_not_get_through(from: &Container, at: &[IpAddr], port: u16) {
    let answered = from.exec(|| answer(Protocol::Tcp, at, port));
    assert!(matches!(&answered, Ok(who) if who.is_empty()), "{} to port {port}: {answered:?}", from.id());
}

/// One reaches the other on its addresses, and is known to it by its own.
///
/// # Panics
/// If it is not so.
#[expect(clippy::unwrap_used, reason = "a test says what it is to be")]
pub fn talks(from: &Container, own: &[IpAddr], to: &Container, at: &[IpAddr], port: u16) {
    for (own, at) in own.iter().zip(at) {
        to.exec(|| serve(Protocol::Tcp, *at, port)).unwrap().unwrap();
        let from = from.exec(|| reaches(Protocol::Tcp, *at, port)).unwrap().unwrap();
        assert_eq!(from, *own, "to {at}");
    }
}

/// Whether nothing that is sent by one comes back from the other, who answers at these addresses.
///
/// # Panics
/// If it can't be tried.
#[expect(clippy::unwrap_used, reason = "a test says what it is to be")]
pub fn is_mute(from: &Container, to: &Container, at: &[IpAddr], port: u16) -> bool {
    for at in at {
        to.exec(|| serve(Protocol::Udp, *at, port)).unwrap().unwrap();
    }
    from.exec(|| answer(Protocol::Udp, at, port)).unwrap().is_empty()
}

/// How many frames of whatever namespace this machine has thrown away since it has booted, because too many waited for a processor
/// (`net.core.netdev_max_backlog`; the second column of `/proc/net/softnet_stat`). A broadcast to a thousand ports is enough, and nobody can tell whose
/// they were.
///
/// # Panics
/// If the kernel does not say it.
#[expect(clippy::unwrap_used, reason = "a machine that can't be read is how a test fails")]
pub fn thrown_away() -> u64 {
    let processors = fs::read_to_string("/proc/net/softnet_stat").unwrap();
    let count = |line: &str| u64::from_str_radix(line.split(' ').nth(1).unwrap(), 16).unwrap();
    processors.lines().map(count).sum()
}

/// From which of these a word comes back that is sent from this thread's network namespace. They are asked at once, for the silence of
/// each takes its moment.
fn answer(protocol: Protocol, addresses: &[IpAddr], port: u16) -> Vec<IpAddr> {
    thread::scope(|scope| {
        let ask = |at: &IpAddr| {
            let at = *at;
            scope.spawn(move || (!is_cut_off(protocol, at, port)).then_some(at))
        };
        let asked: Vec<_> = addresses.iter().map(ask).collect();
        let heard = |one: thread::ScopedJoinHandle<'_, _>| {
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        asked.into_iter().filter_map(heard).collect()
    })
}

fn echoed(protocol: Protocol, to: SocketAddr, patience: Duration) -> io::Result<IpAddr> {
    let limit = Instant::now() + patience;
    loop {
        match attempt(protocol, to, patience.min(TURN)) {
            Err(error) if is_passing(error.kind()) && Instant::now() < limit => {
                thread::sleep(Duration::from_millis(10));
            }
            outcome => return outcome,
        }
    }
}

/// What may be another the next time.
fn is_passing(kind: ErrorKind) -> bool {
    use ErrorKind::{AddrNotAvailable, HostUnreachable, TimedOut, WouldBlock};
    matches!(kind, HostUnreachable | AddrNotAvailable | TimedOut | WouldBlock)
}

fn attempt(protocol: Protocol, to: SocketAddr, patience: Duration) -> io::Result<IpAddr> {
    let mut word = [0; WORD.len()];
    let from = match protocol {
        Protocol::Tcp => {
            let mut stream = TcpStream::connect_timeout(&to, patience)?;
            stream.set_read_timeout(Some(patience))?;
            stream.write_all(WORD)?;
            stream.read_exact(&mut word)?;
            stream.local_addr()?
        }
        Protocol::Udp => {
            let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.set_read_timeout(Some(AGAIN))?;
            socket.connect(to)?;
            ask(&socket, &mut word, patience)?;
            socket.local_addr()?
        }
    };
    if word == *WORD { Ok(from.ip()) } else { Err(io::Error::other("another word came back")) }
}

fn ask(socket: &UdpSocket, word: &mut [u8], patience: Duration) -> io::Result<()> {
    let limit = Instant::now() + patience;
    loop {
        socket.send(WORD)?;
        match socket.recv(word) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < limit => {}
            outcome => return outcome.map(drop),
        }
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut word = [0; WORD.len()];
    stream.read_exact(&mut word)?;
    stream.write_all(&word)
}

fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let limit = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(_) if Instant::now() < limit => thread::sleep(Duration::from_millis(10)),
            outcome => return outcome,
        }
    }
}
