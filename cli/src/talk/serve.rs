//! `sealane serve`: says one thing to everybody who asks. Who has asked goes to standard output.
//!
//! # Theory of operation
//! All sockets are bound before the first line is printed, so who reads that line can ask. There is a thread for each port and
//! for each connection; the process ends with the first port that cannot be served any more.
use super::{error::Error, target::Served};
use crate::{args, container::Protocol, say};
use cni::Fail;
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many bytes of a request are read.
const LONGEST: u64 = 64 << 10;
/// What a person's own programs ask for UDP ports with is short.
const DATAGRAM: usize = 2048;

/// A port that is listened on.
enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// Serves until it is ended.
pub(crate) fn serve(serve: &args::Serve) -> Result<(), Fail> {
    let served = Served::parse(&serve.port)?;
    let protocol = served.protocol;
    let bind = |port: u16| Ok((port, bind(port, protocol)?));
    let sockets = served.range.clone().map(bind).collect::<Result<Vec<_>, Error>>()?;
    say::text(&format!("listening on port {served}\n"));
    let text: Arc<str> = serve.text.clone().unwrap_or_else(host_name).into();
    let (failed, failure) = mpsc::channel();
    for (port, socket) in sockets {
        let (text, failed) = (Arc::clone(&text), failed.clone());
        let listen = move || {
            let cause = match socket {
                Socket::Tcp(listener) => connections(&listener, port, &text),
                Socket::Udp(socket) => datagrams(&socket, port, &text),
            };
            let _nobody_waits = failed.send(Error::Listen { port, protocol, cause });
        };
        let started = thread::Builder::new().spawn(listen);
        started.map_err(|cause| Error::Thread { port, protocol, cause })?;
    }
    drop(failed);
    // Without a port nobody ever sends; a range has one at least.
    failure.recv().map_or(Ok(()), |error| Err(error.into()))
}

/// On all addresses of both families, or of IPv4 where there is no IPv6.
fn bind(port: u16, protocol: Protocol) -> Result<Socket, Error> {
    let on = |address: IpAddr| {
        let at = SocketAddr::new(address, port);
        match protocol {
            Protocol::Udp => UdpSocket::bind(at).map(Socket::Udp),
            Protocol::Tcp | Protocol::Sctp => TcpListener::bind(at).map(Socket::Tcp),
        }
    };
    let both = on(Ipv6Addr::UNSPECIFIED.into());
    let bound = both.or_else(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(cause),
        _ => on(Ipv4Addr::UNSPECIFIED.into()),
    });
    bound.map_err(|cause| Error::Bind { port, protocol, cause })
}

fn connections(listener: &TcpListener, port: u16, text: &Arc<str>) -> io::Error {
    loop {
        let (stream, from) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(cause) if is_passing(&cause) => continue,
            Err(cause) => return cause,
        };
        asked(from, port, Protocol::Tcp);
        let text = Arc::clone(text);
        // Without a thread, or when who asked has gone: who asks again is answered.
        let _gone = thread::Builder::new().spawn(move || answer(stream, &text));
    }
}

fn datagrams(socket: &UdpSocket, port: u16, text: &str) -> io::Error {
    let mut request = [0; DATAGRAM];
    loop {
        match socket.recv_from(&mut request) {
            Ok((_, from)) => {
                asked(from, port, Protocol::Udp);
                let _gone = socket.send_to(format!("{text}\n").as_bytes(), from);
            }
            Err(cause) if is_passing(&cause) => {}
            Err(cause) => return cause,
        }
    }
}

/// What one who asked has caused, and not the port.
fn is_passing(cause: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
    };
    matches!(
        cause.kind(),
        Interrupted | ConnectionAborted | ConnectionReset | ConnectionRefused | HostUnreachable
    )
}

/// Reads a request to its empty line, which all HTTP requests without a body end with: what is not read when the connection
/// is closed would make the kernel throw the answer away. Who asks nothing in time is answered too.
fn answer(mut stream: TcpStream, text: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = BufReader::new((&stream).take(LONGEST)).lines();
    while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let length = text.len() + 1;
    let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{text}\n")
}

/// Says who has asked. The address of one who came by IPv4 is shown as that.
fn asked(from: SocketAddr, port: u16, protocol: Protocol) {
    say::text(&format!("{} asked on port {port}/{protocol}\n", from.ip().to_canonical()));
}

fn host_name() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
