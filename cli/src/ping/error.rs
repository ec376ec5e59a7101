//! Why `sealane ping` could not ask, and whom `sealane fetch` does not know.
use cni::{Code, Failure};
use kernel::Errno;
use std::net::IpAddr;

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The host is neither an address nor a name that is known here.
    #[error("no host is called {host:?} here")]
    UnknownHost { host: String },
    /// `-4` with an IPv6 address, or the other way round.
    #[error("{address} is an {is} address, and {flag} asks for {wanted}",
        is = family(address.is_ipv4()), flag = if address.is_ipv4() { "-6" } else { "-4" },
        wanted = family(!address.is_ipv4()))]
    Family { address: IpAddr },
    /// The kernel will not: no route, or no permission to have a socket.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
}

fn family(is_v4: bool) -> &'static str {
    if is_v4 { "IPv4" } else { "IPv6" }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::UnknownHost { .. } | Self::Family { .. } => Code::InvalidEnvironment,
            Self::Kernel(_) => Code::Kernel,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownHost { host } => Some(format!(
                "names are in each container's /etc/hosts: `sealane exec CONTAINER sealane ping {host}`"
            )),
            Self::Family { .. } => Some("leave the option out".into()),
            Self::Kernel(cause) => hint(cause),
        }
    }
}

/// What the kernel's error numbers mean to who pings.
fn hint(cause: &kernel::Error) -> Option<String> {
    match cause.errno() {
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EADDRNOTAVAIL) => Some(
            "no way there from here; `sealane network connect NETWORK CONTAINER` puts a container on a network"
                .into(),
        ),
        Some(Errno::EACCES) => Some("that is the broadcast address of a network; ping one host".into()),
        Some(Errno::EPERM) => Some(
            "it needs CAP_NET_RAW, or your group in the sysctl net.ipv4.ping_group_range; or ping from a container: \
             `sealane exec CONTAINER sealane ping HOST`"
                .into(),
        ),
        _ => cause.hint(),
    }
}
