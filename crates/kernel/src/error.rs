//! What can go wrong between us and the kernel, and what the person in front of it does next.
use netlink_packet_core::DecodeError;
use nix::errno::Errno;
use std::{fmt, path::PathBuf, time::Duration};

/// A failure of something the kernel was asked for. The kernel's own words are the source of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a netlink request.
    #[error("the kernel refused to {what}")]
    Request {
        /// What was asked for, such as `create bridge cni0`.
        what: String,
        /// The kernel's reason.
        #[source]
        refusal: Refusal,
    },
    /// A system call other than a netlink request failed.
    #[error("could not {what}")]
    System {
        /// What was being done, with the value at fault.
        what: String,
        /// The kernel's reason.
        #[source]
        errno: Errno,
    },
    /// A network namespace's file could not be opened.
    #[error("could not open network namespace {}", .path.display())]
    OpenNetns {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        errno: Errno,
    },
    /// A file that was to be a network namespace is something else.
    #[error("{} is not a network namespace", .path.display())]
    NotNetns {
        /// The file.
        path: PathBuf,
    },
    /// The kernel took a request and dropped the answer, because the socket's receive buffer was full.
    #[error("the kernel's answer was lost when asked to {what}")]
    Unanswered {
        /// What was asked for.
        what: String,
    },
    /// An answer was longer than the buffer for it.
    #[error(
        "the kernel's answer has {size} bytes, more than the {room} there was room for, when asked to {what}"
    )]
    Truncated {
        /// What was asked for.
        what: String,
        /// The answer's length in bytes.
        size: usize,
        /// The buffer's length in bytes.
        room: usize,
    },
    /// An answer did not have the form that `linux/rtnetlink.h` gives it.
    #[error("could not read the kernel's answer when asked to {what}")]
    Malformed {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        #[source]
        cause: DecodeError,
    },
    /// The kernel has no nftables, so nothing can be put into its packet filter.
    #[error("this kernel has no nftables")]
    NoPacketFilter,
    /// A change of the packet filter does not fit into one datagram, and so can't be carried out whole. Nothing is changed.
    #[error(
        "{elements} elements of the packet filter are {size} bytes, and the kernel takes {limit} at once from this user"
    )]
    TooMany {
        /// How many elements were to be changed.
        elements: usize,
        /// The datagram's length in bytes.
        size: usize,
        /// The longest that the kernel takes, in bytes.
        limit: usize,
    },
    /// A list changed each time it was being read (`NLM_F_DUMP_INTR`).
    #[error("the list changed {tries} times while it was read, when asked to {what}")]
    Unsteady {
        /// What was asked for.
        what: String,
        /// How often it was tried.
        tries: u32,
    },
    /// A part of a sysctl's name could lead out of its folder.
    #[error("{part:?} cannot be part of the name of a sysctl")]
    SysctlName {
        /// The part at fault.
        part: String,
    },
    /// A detached child ended before it had done its work and without saying why.
    #[error("the detached process that was to {what} was killed")]
    Killed {
        /// What it was to do.
        what: String,
    },
    /// The kernel did not finish in time.
    #[error("the kernel did not {what} within {} s", .limit.as_secs())]
    TimedOut {
        /// What it was to do.
        what: String,
        /// How long it was given.
        limit: Duration,
    },
    /// The file that identifies this boot or this machine holds no identifier.
    #[error("{} holds no identifier", .path.display())]
    NoIdentifier {
        /// The file.
        path: PathBuf,
    },
}

/// The kernel's answer to a netlink request that it did not carry out (`NLMSG_ERROR`, netlink(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason as a number.
    pub errno: Errno,
    /// The reason in words, where the kernel has some (`NLMSGERR_ATTR_MSG`).
    pub extack: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.extack {
            Some(text) => write!(out, "{} ({})", text.trim_end_matches('.'), self.errno),
            None => write!(out, "{}", self.errno),
        }
    }
}

impl std::error::Error for Refusal {}

impl Error {
    pub(crate) fn system(what: impl Into<String>, errno: Errno) -> Self {
        Self::System { what: what.into(), errno }
    }

    /// As [`Error::system`]; an error that the standard library itself found counts as `EIO`.
    pub(crate) fn io(what: impl Into<String>, cause: &std::io::Error) -> Self {
        Self::system(what, cause.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }

    /// The kernel's error number, where the failure came with one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Request { refusal, .. } => Some(refusal.errno),
            Self::System { errno, .. } | Self::OpenNetns { errno, .. } => Some(*errno),
            Self::NotNetns { .. }
            | Self::Unanswered { .. }
            | Self::Truncated { .. }
            | Self::Malformed { .. }
            | Self::NoPacketFilter
            | Self::TooMany { .. }
            | Self::Unsteady { .. }
            | Self::SysctlName { .. }
            | Self::Killed { .. }
            | Self::TimedOut { .. }
            | Self::NoIdentifier { .. } => None,
        }
    }

    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Request { refusal, .. } => return request_hint(refusal.errno).map(str::to_owned),
            Self::OpenNetns { errno: Errno::ENOENT, .. } => {
                "the namespace is gone, or the path is of another mount namespace; `ip netns list` shows the named ones"
            }
            Self::System { errno, .. } | Self::OpenNetns { errno, .. } => {
                return system_hint(*errno).map(str::to_owned);
            }
            Self::NotNetns { .. } => {
                "give a file such as /run/netns/NAME or /proc/PID/ns/net; a plain file is what is left of one that was unmounted"
            }
            Self::NoPacketFilter => {
                "`modprobe nf_tables` where it is a module; it is CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET of the kernel"
            }
            Self::TooMany { .. } => "raise `sysctl net.core.wmem_max`; root of the host has no limit",
            Self::Unanswered { .. } | Self::Unsteady { .. } => {
                "try again; the host's network is being changed fast"
            }
            Self::Killed { .. } => "`dmesg` says whether memory ran out; a second DEL finishes the work",
            Self::TimedOut { .. } => {
                "another process keeps the kernel's network lock: `dmesg` and `cat /proc/PID/stack` of hung processes say which"
            }
            Self::NoIdentifier { .. } => {
                "`systemd-machine-id-setup` writes /etc/machine-id; /proc must be mounted"
            }
            Self::Truncated { .. } | Self::Malformed { .. } | Self::SysctlName { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// What rtnetlink's error numbers mean to an operator.
fn request_hint(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::EPERM => {
            "needs CAP_NET_ADMIN in the user namespace that owns the network namespace: run as root, or in `sealane lab`"
        }
        Errno::EEXIST => "it is there already: see `ip -d link`, `ip addr` and `ip route`",
        Errno::ENODEV => "the link is gone: something else deleted or renamed it",
        Errno::ENXIO => "the link was deleted meanwhile",
        Errno::EOPNOTSUPP => {
            "the kernel was built without it, or its module could not be loaded: try `modprobe` with the kind that is named, `8021q` for a VLAN"
        }
        Errno::EACCES => "IPv6 is off for this link: see `sysctl net.ipv6.conf.all.disable_ipv6`",
        Errno::EADDRNOTAVAIL => "the address is not on this link: see `ip addr`",
        Errno::ENETUNREACH | Errno::EHOSTUNREACH => "the gateway is in no subnet of the link's addresses",
        Errno::ENETDOWN => {
            "the link must be up before it can have routes, and what it is on before it can be up"
        }
        Errno::ESRCH => "there is no such route: see `ip route show table all`",
        Errno::EXFULL => "a Linux bridge takes at most 1023 ports; use a second bridge",
        Errno::ELOOP => "a bridge cannot be a port of a bridge",
        Errno::EBUSY => "the link is a port of something else already: see `ip -d link`",
        Errno::ENOMEM | Errno::ENOBUFS => {
            "the kernel is out of memory, or the memory cgroup's limit is reached"
        }
        _ => return None,
    })
}

/// What other system calls' error numbers mean to an operator.
fn system_hint(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::EPERM | Errno::EACCES => {
            "needs CAP_SYS_ADMIN and CAP_NET_ADMIN: run as root, or in `sealane lab`; a seccomp or LSM policy may forbid it too"
        }
        Errno::EROFS => {
            "/proc/sys is mounted read-only here: run it on the host, or in a privileged container"
        }
        Errno::ENOENT => "the kernel has no such file: the link is gone, or the feature is not built in",
        Errno::EMFILE | Errno::ENFILE => "too many open files: raise `ulimit -n` or `sysctl fs.file-max`",
        Errno::EAGAIN => "too many processes: see `ulimit -u` and the pids cgroup",
        Errno::ENOMEM => "the kernel is out of memory, or the memory cgroup's limit is reached",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_refusal_says_what_was_asked_and_why_not() {
        let refusal = Refusal { errno: Errno::EEXIST, extack: Some("Device is there.".into()) };
        let error = Error::Request { what: "create bridge cni0".into(), refusal };
        assert_eq!(error.to_string(), "the kernel refused to create bridge cni0");
        assert_eq!(error.source().unwrap().to_string(), "Device is there (EEXIST: File exists)");
        assert_eq!(error.errno(), Some(Errno::EEXIST));
    }

    #[test]
    fn lack_of_rights_names_the_capability() {
        let refusal = Refusal { errno: Errno::EPERM, extack: None };
        let error = Error::Request { what: "x".into(), refusal };
        assert!(error.hint().unwrap().contains("CAP_NET_ADMIN"));
        assert!(Error::system("x", Errno::EPERM).hint().unwrap().contains("CAP_NET_ADMIN"));
        assert!(Error::system("x", Errno::EROFS).hint().unwrap().contains("read-only"));
    }
}
