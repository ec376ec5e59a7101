//! What is remembered of connections, where ports lead elsewhere by now.
use super::{Stale, forget};
use crate::{
    act::{Act, Own, Work},
    error::Error,
    host_port::Published,
    places::{Place, Places},
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::SocketAddr};

/// Connections to ports that lead elsewhere by now are forgotten: behind steps by iptables, which do not look at them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The ports, and where they lead.
    pub ports: Vec<(Published, SocketAddr)>,
}

impl Own for Redirect {
    fn make(&self, places: &mut Places) -> Result<(), Error> {
        forget(Stale::Others(self.ports.clone()), places)
    }
}

impl Act for Redirect {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Own(self))
    }

    fn differs(&self, _places: &mut Places) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections led from {}", words(&self.ports))
    }
}

/// Ports, and where they lead.
pub(super) fn words(ports: &[(Published, SocketAddr)]) -> String {
    let ports: Vec<String> = ports.iter().map(|(port, to)| format!("{port} to {to}")).collect();
    ports.join(", ")
}
