//! What a container in the background writes: kept in two files that take turns, so that nobody's chatter fills the state
//! directory, which lies in memory.
use super::{error::Error, home::Home};
use crate::say;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, PipeReader, Read as _, Write as _},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

/// The newer file.
pub(crate) const LOG: &str = "log";
/// The older one.
const OLDER: &str = "log.1";
/// How many bytes a file takes.
const LIMIT: u64 = 10 << 20;
/// How many bytes are read at once.
const CHUNK: usize = 64 << 10;
/// How long a reader who follows waits before it looks again, in milliseconds.
const PAUSE: u8 = 50;

/// Starts the thread that writes down what comes out of a pipe, until nobody can write into it any more.
pub(crate) fn record(home: &Home, from: PipeReader) -> Result<JoinHandle<()>, Error> {
    let writer = Writer::open(home.file(LOG), home.file(OLDER), LIMIT)?;
    let keep = move || writer.copy(from);
    let started = thread::Builder::new().name("sealane-log".into()).spawn(keep);
    started.map_err(|cause| Error::Stream { doing: "start the thread that keeps the log", cause })
}

struct Writer {
    log: PathBuf,
    older: PathBuf,
    limit: u64,
    file: File,
    written: u64,
}

impl Writer {
    fn open(log: PathBuf, older: PathBuf, limit: u64) -> Result<Self, Error> {
        let file = create(&log).map_err(|cause| Error::File { doing: "write", path: log.clone(), cause })?;
        Ok(Self { log, older, limit, file, written: 0 })
    }

    /// What cannot be written down is lost; the container must not wait for us.
    fn copy(mut self, mut from: impl io::Read) {
        let mut chunk = vec![0; CHUNK];
        loop {
            match from.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => {
                    let _lost = self.write(chunk.get(..length).unwrap_or_default());
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.written > 0 && self.written + bytes.len() as u64 > self.limit {
            fs::rename(&self.log, &self.older)?;
            self.file = create(&self.log)?;
            self.written = 0;
        }
        self.written += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Prints what a container has written, or its last lines.
pub(crate) fn print(home: &Home, tail: Option<usize>, mut out: impl io::Write) -> Result<Reader, Error> {
    let mut reader = Reader::open(home)?;
    let mut text = fs::read(home.file(OLDER)).unwrap_or_default();
    reader.read(&mut text)?;
    let shown = tail.map_or(&*text, |lines| last(&text, lines));
    say::wrote(out.write_all(shown).and_then(|()| out.flush()));
    Ok(reader)
}

/// The end of a text that has so many lines.
fn last(text: &[u8], lines: usize) -> &[u8] {
    let whole = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = whole.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let begin = match lines.checked_sub(1) {
        None => text.len(),
        Some(before) => ends.into_iter().nth(before).unwrap_or(0),
    };
    text.get(begin..).unwrap_or_default()
}

/// Reads on in a log that is still written to.
pub(crate) struct Reader {
    path: PathBuf,
    file: Option<File>,
}

impl Reader {
    fn open(home: &Home) -> Result<Self, Error> {
        let path = home.file(LOG);
        match File::open(&path) {
            Ok(file) => Ok(Self { path, file: Some(file) }),
            // Between two files, or before the first.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Self { path, file: None }),
            Err(cause) => Err(Error::File { doing: "read", path, cause }),
        }
    }

    /// Prints what is written until the container has no keeper any more, or nobody reads what is printed.
    pub(crate) fn follow(mut self, home: &Home, mut out: impl io::Write + AsFd) -> Result<(), Error> {
        loop {
            // Before the last look: what is written until then is in it.
            let kept = home.is_kept()?;
            let mut text = Vec::new();
            self.read(&mut text)?;
            let written = out.write_all(&text).and_then(|()| out.flush());
            let in_vain = written.is_err();
            say::wrote(written);
            if in_vain || !kept || is_closed_within(&out, PAUSE) {
                return Ok(());
            }
        }
    }

    /// What has been written since, in this file and the next.
    fn read(&mut self, text: &mut Vec<u8>) -> Result<(), Error> {
        let failed = |path: &Path, cause| Error::File { doing: "read", path: path.to_owned(), cause };
        loop {
            let newest = File::open(&self.path).ok();
            if let Some(file) = &mut self.file {
                file.read_to_end(text).map_err(|cause| failed(&self.path, cause))?;
            }
            let inode = |file: &Option<File>| {
                file.as_ref().and_then(|file| file.metadata().ok()).map(|file| file.ino())
            };
            if newest.is_none() || inode(&newest) == inode(&self.file) {
                return Ok(());
            }
            self.file = newest;
        }
    }
}

/// Waits for so long, unless a pipe's reader goes before.
fn is_closed_within(pipe: &impl AsFd, pause: u8) -> bool {
    poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::empty())], PollTimeout::from(pause))
        .is_ok_and(|closed| closed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        let text = b"one\ntwo\nthree\n";
        assert_eq!(last(text, 0), b"");
        assert_eq!(last(text, 1), b"three\n");
        assert_eq!(last(text, 2), b"two\nthree\n");
        assert_eq!(last(text, 9), text);
        assert_eq!(last(b"one\ntwo", 1), b"two");
        assert_eq!(last(b"", 1), b"");
    }

    #[test]
    fn a_log_never_takes_more_than_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let (log, older) = (folder.path().join(LOG), folder.path().join(OLDER));
        let mut writer = Writer::open(log.clone(), older.clone(), 10).unwrap();
        for line in ["first\n", "second\n", "third\n", "4\n"] {
            writer.write(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(older).unwrap(), "second\n");
        assert_eq!(fs::read_to_string(log).unwrap(), "third\n4\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
