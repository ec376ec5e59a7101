//! Who has which port of the host: `STATE/ports/<protocol>/<port>`, one line of JSON for each claim, in the order in
//! which they were made. What others have claimed beside it costs nothing: a port is one file.
//!
//! # Theory of operation
//! A claim is made after the record that announces it is written, and released before that record goes, both under the
//! lock of the host; the file is replaced whole. So whatever is killed, the record leads to what is left, and a claim
//! without a record holds nothing: who wants the port removes it. The same is done with one whose container's namespace is
//! gone. A container never stands in its own way: its claims on other networks queue up, and the first of them counts.
use crate::{
    error::Error,
    host_port::{Holder, HostPort, Published},
    journal::Journal,
    state::State,
};
use kernel::{Errno, Netns};
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

impl State {
    /// Takes a port, or says who has it.
    pub(crate) fn take(&self, wanted: &HostPort) -> Result<(), Error> {
        let _host = self.lock_host()?;
        let mut claims = self.claims(wanted.port)?;
        let mut gone = Vec::new();
        for claim in &claims {
            if !claim.port.overlaps(wanted.port) || claim.holder.container == wanted.holder.container {
                continue;
            }
            if self.is_alive(&claim.holder)? {
                return Err(Error::PortTaken { wanted: wanted.port, by: Box::new(claim.clone()) });
            }
            gone.push(claim.clone());
        }
        claims.retain(|claim| !gone.contains(claim));
        match claims.iter_mut().find(|claim| claim.is(wanted)) {
            Some(claim) => claim.clone_from(wanted),
            None => claims.push(wanted.clone()),
        }
        self.write(wanted.port, &claims)
    }

    /// Gives a port back, and leaves nothing behind of an attempt to take it. That it is given back already is no error.
    pub(crate) fn release(&self, port: &HostPort) -> Result<(), Error> {
        let _host = self.lock_host()?;
        let mut claims = self.claims(port.port)?;
        let before = claims.len();
        claims.retain(|claim| !claim.is(port));
        if claims.len() < before {
            self.write(port.port, &claims)?;
        }
        let draft = self.draft(port.port);
        remove(&draft)?;
        for directory in draft.ancestors().skip(1).take(2) {
            // Not empty, most often.
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The claims to this number of this protocol, on whatever address. A line that can't be read holds nothing.
    pub(crate) fn claims(&self, port: Published) -> Result<Vec<HostPort>, Error> {
        let path = self.port(port);
        match fs::read_to_string(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(cause) => Err(failed("read", &path, cause)),
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        }
    }

    fn write(&self, port: Published, claims: &[HostPort]) -> Result<(), Error> {
        let (path, draft) = (self.port(port), self.draft(port));
        if claims.is_empty() {
            return remove(&path);
        }
        let mut text = Vec::new();
        for claim in claims {
            serde_json::to_writer(&mut text, claim).map_err(|cause| failed("write", &draft, cause.into()))?;
            text.push(b'\n');
        }
        create(&draft, &text).map_err(|cause| failed("write", &draft, cause))?;
        fs::rename(&draft, &path).map_err(|cause| failed("write", &path, cause))
    }

    /// Whether the holder has a record, and the namespace that it was written for. What can't be told counts as alive.
    fn is_alive(&self, holder: &Holder) -> Result<bool, Error> {
        let attachment = format!("{}:{}", holder.container, holder.ifname);
        let path = self.network(&holder.network).join(attachment).join(format!("{}.0", holder.plugin));
        let text = match fs::read_to_string(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(|cause| failed("read", &path, cause))?,
        };
        let Some(intent) = Journal::read(&text).intent else { return Ok(true) };
        Ok(match Netns::open(&intent.netns) {
            Ok(netns) => netns.id() == intent.netns_id,
            Err(kernel::Error::NotNetns { .. }) => false,
            Err(other) => other.errno() != Some(Errno::ENOENT),
        })
    }

    fn port(&self, port: Published) -> PathBuf {
        self.directory().join("ports").join(port.protocol.as_str()).join(port.number.to_string())
    }

    fn draft(&self, port: Published) -> PathBuf {
        self.port(port).with_file_name(format!(".{}", port.number))
    }
}

fn create(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, cause)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn failed(doing: &'static str, path: &Path, cause: io::Error) -> Error {
    Error::State { doing, path: path.to_owned(), cause }
}
