//! Real traffic: an echo over TCP or UDP between two namespaces.
use std::{
    io::{Read, Write},
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
const PATIENCE: Duration = Duration::from_secs(3);

/// Answers echoes on this address of this thread's network namespace, on a thread that ends with the process. The port
/// is open when this returns. An IPv6 address that the kernel still tests (DAD) is waited for.
pub fn serve(protocol: Protocol, address: IpAddr, port: u16) -> std::io::Result<()> {
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

/// Sends a word from this thread's network namespace and waits up to three seconds for it to come back: from which
/// address it was sent.
pub fn reaches(protocol: Protocol, address: IpAddr, port: u16) -> std::io::Result<IpAddr> {
    let to = SocketAddr::new(address, port);
    let mut word = [0; WORD.len()];
    let from = match protocol {
        Protocol::Tcp => {
            let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(WORD)?;
            stream.read_exact(&mut word)?;
            stream.local_addr()?
        }
        Protocol::Udp => {
            let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            patiently(|| socket.connect(to))?;
            socket.send(WORD)?;
            socket.recv(&mut word)?;
            socket.local_addr()?
        }
    };
    if word == *WORD { Ok(from.ip()) } else { Err(std::io::Error::other("another word came back")) }
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut word = [0; WORD.len()];
    stream.read_exact(&mut word)?;
    stream.write_all(&word)
}

fn patiently<T>(mut attempt: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    let limit = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(_) if Instant::now() < limit => thread::sleep(Duration::from_millis(10)),
            outcome => return outcome,
        }
    }
}
