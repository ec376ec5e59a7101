//! Why `sealane capture` could not look, or did not see enough.
use cni::{Code, Failure};
use kernel::Errno;
use types::{IfName, InvalidName};

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing that an interface can be called.
    #[error(transparent)]
    Name(InvalidName),
    /// There is no such interface here.
    #[error("there is no interface {interface} here")]
    NoInterface { interface: IfName },
    /// The kernel will not.
    #[error(transparent)]
    Kernel(kernel::Error),
    /// Fewer than were asked for have come.
    #[error("{shown} packets have come or gone on {interface} until now, and no more")]
    TooFew { interface: IfName, shown: u64 },
}

impl Error {
    pub(super) fn on(interface: &IfName, cause: kernel::Error) -> Self {
        match cause.errno() {
            Some(Errno::ENODEV) => Self::NoInterface { interface: interface.clone() },
            _ => Self::Kernel(cause),
        }
    }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::Name(_) | Self::NoInterface { .. } => Code::InvalidEnvironment,
            Self::Kernel(_) => Code::Kernel,
            Self::TooFew { .. } => Code::TryAgain,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) | Self::NoInterface { .. } => {
                Some("`ls /sys/class/net` lists the interfaces that there are".into())
            }
            Self::Kernel(cause) => match cause.errno() {
                Some(Errno::EPERM) => {
                    Some("it needs CAP_NET_RAW, as root and whoever is in `sealane lab` has".into())
                }
                Some(Errno::ENETDOWN) => Some("the interface is down".into()),
                _ => cause.hint(),
            },
            Self::TooFew { .. } => Some("wait longer (--timeout), or ask for fewer (--count)".into()),
        }
    }
}
