//! Traffic between two containers, made and counted by this process.
//!
//! # Theory of operation
//! A TCP stream is two threads, one that writes and one that reads; what arrives in a window of time is counted. What the processors do for it is this
//! process's own CPU time: the kernel does the work of both hosts inside its calls.
//!
//! Small packets are one thread's, on one processor, which has both sockets: it sends a few, takes them out at the other end, and so on. They have gone
//! all the way when the send call returns, so the thread's CPU time is that of the whole way, and nobody else on the machine is in it.
use super::ways::Way;
use crate::error::Error;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::time::TimeValLike as _,
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What a turn of TCP has seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streamed {
    /// Gigabits per second.
    pub(super) rate: f64,
    /// CPU time for each megabyte, microseconds.
    pub(super) cpu: f64,
}

/// From the first byte to the window.
const RAMP: Duration = Duration::from_millis(200);
/// How long what arrives is counted.
const WINDOW: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// What is written and read at once, in bytes.
const PIECE: usize = 128 << 10;

/// So many TCP streams at once.
pub(super) fn streams(way: &Way, streams: usize) -> Result<Streamed, Error> {
    let failed = |cause| Error::Traffic { what: "stream", port: 0, cause };
    let pairs = (0..streams).map(|_| connect(way)).collect::<Result<Vec<_>, _>>()?;
    let (bytes, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let counted = thread::scope(|scope| {
        for (writer, reader) in pairs {
            scope.spawn(|| write(writer, &done));
            scope.spawn(|| read(reader, &bytes));
        }
        thread::sleep(RAMP);
        let counted = count(&bytes);
        done.store(true, Ordering::Relaxed);
        counted
    });
    counted.map_err(failed)
}

/// CPU time of one small packet from container to container, microseconds, on this processor.
pub(super) fn packets(way: &Way, processor: usize) -> Result<f64, Error> {
    const WARM: u32 = 100;
    const TURNS: u32 = 500;
    let failed = |cause| Error::Traffic { what: "send packets", port: 0, cause };
    let to = way.to.within(|| UdpSocket::bind((way.at, 0)))?.map_err(failed)?;
    let from = way.from.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?.map_err(failed)?;
    let counting = || {
        let mut here = CpuSet::new();
        here.set(processor)?;
        sched_setaffinity(Pid::from_raw(0), &here)?;
        from.connect(to.local_addr()?)?;
        to.set_read_timeout(Some(PATIENCE))?;
        exchange(&from, &to, WARM)?;
        let before = spent(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        exchange(&from, &to, TURNS)?;
        Ok((spent(ClockId::CLOCK_THREAD_CPUTIME_ID)? - before) / f64::from(TURNS * AT_ONCE))
    };
    let counted = thread::scope(|scope| {
        scope.spawn(counting).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    counted.map_err(failed)
}

/// How many packets are on their way at once: all fit into the receiver's buffer.
const AT_ONCE: u32 = 32;

fn exchange(from: &UdpSocket, to: &UdpSocket, turns: u32) -> io::Result<()> {
    let mut packet = [0; 64];
    for _ in 0..turns {
        for _ in 0..AT_ONCE {
            from.send(&packet)?;
        }
        for _ in 0..AT_ONCE {
            to.recv(&mut packet)?;
        }
    }
    Ok(())
}

/// A connection's two ends. A tunnel that has just been made may not be up yet.
fn connect(way: &Way) -> Result<(TcpStream, TcpStream), Error> {
    let failed = |cause| Error::Traffic { what: "connect", port: 0, cause };
    let listener = way.to.within(|| TcpListener::bind((way.at, 0)))?.map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    let start = Instant::now();
    loop {
        match way.from.within(|| TcpStream::connect_timeout(&at, PATIENCE))? {
            Ok(writer) => return Ok((writer, listener.accept().map_err(failed)?.0)),
            Err(_) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(50)),
            Err(cause) => return Err(failed(cause)),
        }
    }
}

fn write(mut to: TcpStream, done: &AtomicBool) {
    let piece = vec![0; PIECE];
    while !done.load(Ordering::Relaxed) && to.write_all(&piece).is_ok() {}
}

/// Until the writer closes its end.
fn read(mut from: TcpStream, bytes: &AtomicU64) {
    let mut piece = vec![0; PIECE];
    while let Ok(size @ 1..) = from.read(&mut piece) {
        bytes.fetch_add(size as u64, Ordering::Relaxed);
    }
}

/// What arrives in a window.
fn count(bytes: &AtomicU64) -> io::Result<Streamed> {
    let look =
        || Ok::<_, io::Error>((bytes.load(Ordering::Relaxed), spent(ClockId::CLOCK_PROCESS_CPUTIME_ID)?));
    let (start, (first, before)) = (Instant::now(), look()?);
    thread::sleep(WINDOW);
    let (took, (last, after)) = (start.elapsed(), look()?);
    let kilobytes = u32::try_from((last - first) / 1000).unwrap_or(u32::MAX);
    if kilobytes == 0 {
        return Err(ErrorKind::TimedOut.into());
    }
    let megabytes = f64::from(kilobytes) / 1e3;
    Ok(Streamed { rate: megabytes * 8.0 / 1e3 / took.as_secs_f64(), cpu: (after - before) / megabytes })
}

/// CPU time so far, microseconds. `getrusage(2)` counts in the kernel's ticks of 4 ms, of which a turn of small packets has 35.
fn spent(by: ClockId) -> io::Result<f64> {
    // A float holds 2^53 of them.
    #[expect(clippy::cast_precision_loss, reason = "104 days")]
    Ok(clock_gettime(by)?.num_nanoseconds() as f64 / 1e3)
}
