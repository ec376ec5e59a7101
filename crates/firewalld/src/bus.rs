//! Speaking with firewalld.
use crate::{Cause, Error, Refusal};
use serde::Serialize;
use std::{io::ErrorKind, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use zbus::{Connection, DynamicType, connection, fdo, wire::DynamicDeserialize};

/// A connection to the system bus that firewalld is on. It has a name there from the first to the last of its life, so whoever is not
/// going to ask anything makes none.
#[derive(Debug)]
pub struct Firewalld {
    // Before the runtime: what is dropped first may still want to run there.
    connection: Connection,
    runtime: Runtime,
}

/// The other end of a call: who, where, and by which interface.
struct Door {
    name: &'static str,
    path: &'static str,
    interface: &'static str,
}

const ZONE: Door = Door {
    name: "org.fedoraproject.FirewallD1",
    path: "/org/fedoraproject/FirewallD1",
    interface: "org.fedoraproject.FirewallD1.zone",
};
const BUS: Door =
    Door { name: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

/// How long is waited for one answer: firewalld does one thing after the other, and everybody's at once after a reload.
const PATIENCE: Duration = Duration::from_secs(30);

impl Firewalld {
    /// Goes to the bus that `DBUS_SYSTEM_BUS_ADDRESS` names, or else the system's, and asks whether firewalld is there.
    pub fn connect() -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| Error::Bus(Cause::new(&cause)))?;
        let connecting = async { timeout(PATIENCE, connection::Builder::system().build()).await };
        let connection = match runtime.block_on(connecting) {
            Ok(connected) => connected.map_err(|cause| not_connected(&cause))?,
            Err(_) => return Err(Error::Silent { seconds: PATIENCE.as_secs() }),
        };
        let firewalld = Self { connection, runtime };
        if firewalld.ask(&BUS, "NameHasOwner", &(ZONE.name,))? { Ok(firewalld) } else { Err(Error::NotThere) }
    }

    /// Adds a source to a zone; that it is there already is no error.
    pub fn add_source(&self, zone: &str, source: &str) -> Result<(), Error> {
        match self.ask::<String>(&ZONE, "addSource", &(zone, source)) {
            Err(Error::Refused { why: Refusal::Already, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Removes a source from a zone; that it is not there, or the zone is not, is no error.
    pub fn remove_source(&self, zone: &str, source: &str) -> Result<(), Error> {
        match self.ask::<String>(&ZONE, "removeSource", &(zone, source)) {
            Err(Error::Refused { why: Refusal::NoZone | Refusal::OtherZone | Refusal::NoSource, .. }) => {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Whether a zone has a source.
    pub fn has_source(&self, zone: &str, source: &str) -> Result<bool, Error> {
        self.ask(&ZONE, "querySource", &(zone, source))
    }

    fn ask<T>(&self, door: &Door, method: &str, words: &(impl Serialize + DynamicType)) -> Result<T, Error>
    where
        T: for<'a> DynamicDeserialize<'a>,
    {
        let Door { name, path, interface } = *door;
        let call = self.connection.call_method(Some(name), path, Some(interface), method, words);
        let answer = self.runtime.block_on(async { timeout(PATIENCE, call).await });
        let answer = answer.map_err(|_| Error::Silent { seconds: PATIENCE.as_secs() })?.map_err(refused)?;
        answer.body().deserialize().map_err(|cause| Error::Bus(Cause::new(&cause)))
    }
}

/// A socket that is not there, or that nobody has open any more.
fn not_connected(cause: &zbus::Error) -> Error {
    let kind = match cause {
        zbus::Error::InputOutput(cause) | zbus::Error::Connection(cause, _) => Some(cause.kind()),
        _ => None,
    };
    match kind {
        Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Error::NoBus(Cause::new(cause)),
        _ => Error::Bus(Cause::new(cause)),
    }
}

fn refused(cause: zbus::Error) -> Error {
    match cause {
        zbus::Error::MethodError(_, words, _) => {
            let words = words.unwrap_or_default();
            Error::Refused { why: Refusal::of(&words), words }
        }
        zbus::Error::FDO(cause) => match *cause {
            fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) => Error::NotThere,
            fdo::Error::AccessDenied(words) => Error::Refused { why: Refusal::Other, words },
            other => Error::Bus(Cause::new(&other)),
        },
        other => Error::Bus(Cause::new(&other)),
    }
}
