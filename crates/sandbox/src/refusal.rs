//! Why a lab could not be made: most often, a machine's owner has forbidden user namespaces, and the kernel's error number
//! does not say how.
use kernel::Errno;
use std::{fs, path::Path};

/// The kernel's refusal, and what stands behind it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A kernel parameter forbids it.
    #[error("{name} is {value}")]
    Parameter {
        /// Its name, as sysctl(8) takes it.
        name: &'static str,
        /// Its value, which forbids.
        value: &'static str,
        /// A value that allows.
        better: &'static str,
        /// The kernel's reason.
        #[source]
        cause: kernel::Error,
    },
    /// Something else does.
    #[error(transparent)]
    Otherwise(kernel::Error),
}

/// A kernel parameter that forbids labs, if it has this value.
struct Parameter {
    name: &'static str,
    value: &'static str,
    better: &'static str,
    /// Whether the kernel then says that there is no room, and not that there is no permission.
    no_room: bool,
}

const PARAMETERS: [Parameter; 8] = [
    at_most("user.max_user_namespaces"),
    at_most("user.max_net_namespaces"),
    at_most("user.max_mnt_namespaces"),
    at_most("user.max_pid_namespaces"),
    at_most("user.max_uts_namespaces"),
    at_most("user.max_ipc_namespaces"),
    // Debian's and Arch's.
    Parameter { name: "kernel.unprivileged_userns_clone", value: "0", better: "1", no_room: false },
    // Ubuntu's since 23.10. The namespace can be made, and nothing be done in it.
    Parameter {
        name: "kernel.apparmor_restrict_unprivileged_userns",
        value: "1",
        better: "0",
        no_room: false,
    },
];

const fn at_most(name: &'static str) -> Parameter {
    Parameter { name, value: "0", better: "15000", no_room: true }
}

impl Refused {
    /// Looks for what stands behind a refusal.
    pub(crate) fn because(cause: kernel::Error) -> Self {
        let read = |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name.replace('.', "/"))).ok();
        match at_fault(cause.errno(), read) {
            Some(Parameter { name, value, better, .. }) => Self::Parameter { name, value, better, cause },
            None => Self::Otherwise(cause),
        }
    }

    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Parameter { name, better, .. } => {
                format!("`sudo sysctl -w {name}={better}` allows it until the next boot; root can do without")
            }
            Self::Otherwise(cause) => match cause.errno() {
                Some(Errno::EPERM | Errno::EACCES) => {
                    "a container runtime (its seccomp profile), a security module or a chroot forbids user namespaces here: \
                     run it outside of that, or as root"
                }
                Some(Errno::ENOSPC | Errno::EUSERS) => {
                    "too many namespaces, or user namespaces more than 32 deep: see `sysctl -a --pattern user.max`"
                }
                Some(Errno::EINVAL | Errno::ENOSYS) => {
                    "the kernel was built without namespaces (CONFIG_USER_NS and others)"
                }
                _ => "`unshare --user --net --mount --pid --fork true` has to work first",
            }
            .into(),
        }
    }
}

fn at_fault(errno: Option<Errno>, read: impl Fn(&str) -> Option<String>) -> Option<&'static Parameter> {
    let no_room = match errno? {
        Errno::ENOSPC | Errno::EUSERS => true,
        Errno::EPERM | Errno::EACCES => false,
        _ => return None,
    };
    let forbids = |parameter: &&Parameter| {
        parameter.no_room == no_room
            && read(parameter.name).is_some_and(|value| value.trim() == parameter.value)
    };
    PARAMETERS.iter().find(forbids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(errno: Errno, values: &[(&str, &str)]) -> Option<&'static str> {
        let read =
            |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        at_fault(Some(errno), read).map(|parameter| parameter.name)
    }

    #[test]
    fn the_parameter_that_forbids_is_found() {
        let (none, debian, ubuntu) = (
            ("user.max_user_namespaces", "0\n"),
            ("kernel.unprivileged_userns_clone", "0\n"),
            ("kernel.apparmor_restrict_unprivileged_userns", "1\n"),
        );
        assert_eq!(name(Errno::ENOSPC, &[none]), Some(none.0));
        assert_eq!(name(Errno::EPERM, &[("user.max_user_namespaces", "63000"), debian]), Some(debian.0));
        assert_eq!(
            name(Errno::EACCES, &[("kernel.unprivileged_userns_clone", "1\n"), ubuntu]),
            Some(ubuntu.0)
        );
        assert_eq!(name(Errno::ENOSPC, &[("user.max_net_namespaces", "0")]), Some("user.max_net_namespaces"));
    }

    #[test]
    fn a_parameter_that_allows_or_is_not_there_is_not_accused() {
        assert_eq!(name(Errno::EPERM, &[("kernel.unprivileged_userns_clone", "1\n")]), None);
        assert_eq!(name(Errno::EPERM, &[("user.max_user_namespaces", "0")]), None, "that would be ENOSPC");
        assert_eq!(name(Errno::EPERM, &[]), None);
        assert_eq!(name(Errno::EIO, &[("kernel.unprivileged_userns_clone", "0")]), None);
    }
}
