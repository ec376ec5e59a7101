//! The sources of firewalld's zones, at run time: what firewalld(1) calls binding a source to a zone, and what is gone after a reload.
//!
//! # Theory of operation
//! firewalld is asked over the system bus (`firewalld.dbus(5)`, interface `org.fedoraproject.FirewallD1.zone`), by the name that it has
//! there. Whether somebody has that name is asked first: to be asked is enough to have firewalld started where the bus may do that, and
//! who takes something away is not to start it.
//!
//! Without the feature `dbus` the same calls are there, and the first of them fails: a plugin that was built without must still know
//! what it can't undo. With it, the bus is spoken with on tokio's current-thread runtime, so the process has one thread as before.
#[cfg(feature = "dbus")]
mod bus;
#[cfg(not(feature = "dbus"))]
mod bus {
    //! In place of the real one: there is none of these, so its methods are never called.
    use crate::Error;

    /// A connection that can't be.
    #[derive(Debug)]
    pub enum Firewalld {}

    impl Firewalld {
        /// Always [`Error::NotBuiltIn`].
        pub fn connect() -> Result<Self, Error> {
            Err(Error::NotBuiltIn)
        }

        /// Never called.
        pub fn add_source(&self, _zone: &str, _source: &str) -> Result<(), Error> {
            match *self {}
        }

        /// Never called.
        pub fn remove_source(&self, _zone: &str, _source: &str) -> Result<(), Error> {
            match *self {}
        }

        /// Never called.
        pub fn has_source(&self, _zone: &str, _source: &str) -> Result<bool, Error> {
            match *self {}
        }
    }
}
mod error;

pub use bus::Firewalld;
pub use error::{Cause, Error, Refusal};
