//! What can go wrong between a plan and the kernel.
use crate::{
    allowlist::NotAllowed,
    check::Difference,
    crowded::Crowded,
    device::NoDevice,
    free_port::TakenRange,
    host_end::NoHostEnd,
    host_port::HostPort,
    mac_check::Unheard,
    mtu::TooSmall,
    overlay::NoOverlay,
    parent::NoParent,
    places::Place,
    step::Published,
    tap::NoTap,
    tune::{NoBackup, NoParameter},
    vrf::NoVrf,
};
use std::{fmt, io, path::PathBuf};
use types::{IfName, Prefix, RelativeDirectory};

/// Why a plan could not be applied, undone or compared, or a record not be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused outside any step, such as opening a socket.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The kernel refused a step.
    #[error("could not make {step}")]
    Step {
        /// The step's line of text.
        step: String,
        /// The kernel's words.
        #[source]
        cause: kernel::Error,
    },
    /// iptables refused a step.
    #[error("could not make {step}")]
    Rules {
        /// The step's line of text.
        step: String,
        /// Why.
        #[source]
        cause: xtables::Error,
    },
    /// iptables refused outside of any step.
    #[error(transparent)]
    Iptables(#[from] xtables::Error),
    /// firewalld refused a step.
    #[error("could not make {step}")]
    Source {
        /// The step's line of text.
        step: String,
        /// Why.
        #[source]
        cause: firewalld::Error,
    },
    /// firewalld refused outside of any step, or is not there.
    #[error(transparent)]
    Firewalld(#[from] firewalld::Error),
    /// A name that is to be this attachment's own is in use already.
    #[error("container veth name (\"{name}\") already exists {place}")]
    NameTaken {
        /// The interface's name.
        name: IfName,
        /// Where it was found.
        place: Place,
    },
    /// The name that a link of this attachment is to have is in use already.
    #[error("failed to create \"{name}\" {place}: file exists")]
    LinkExists {
        /// The interface's name.
        name: IfName,
        /// Where it was found.
        place: Place,
    },
    /// There is no link for the attachment's to be on, or none that will do.
    #[error(transparent)]
    Parent(#[from] NoParent),
    /// An interface carries too little for IPv6.
    #[error(transparent)]
    Mtu(#[from] TooSmall),
    /// Others that are on the same link are in the way.
    #[error(transparent)]
    Crowded(#[from] Crowded),
    /// The bridge would drop what comes from the MAC address.
    #[error(transparent)]
    Unheard(#[from] Unheard),
    /// The container's interface has no end on the host that something could be done to.
    #[error(transparent)]
    HostEnd(#[from] NoHostEnd),
    /// A TAP device that can't be made.
    #[error(transparent)]
    Tap(#[from] NoTap),
    /// Somebody has put a queue before the link already.
    #[error("\"{link}\" has a queue of kind {kind} already")]
    Queued {
        /// The link.
        link: IfName,
        /// The queue's kind, tc(8).
        kind: String,
    },
    /// There is no device of the host to be had, or it can't be given back.
    #[error(transparent)]
    Device(#[from] NoDevice),
    /// A kernel parameter that is to be set is not there, or can't be.
    #[error(transparent)]
    Parameter(#[from] NoParameter),
    /// The reference's backup of an interface's settings.
    #[error(transparent)]
    Backup(#[from] NoBackup),
    /// The host's list does not allow a kernel parameter to be set.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The container's namespace can't be locked.
    #[error("could not lock the container's network namespace")]
    Lock {
        /// The system's words.
        #[source]
        cause: io::Error,
    },
    /// An interface can't be in the VRF that it was to be in.
    #[error(transparent)]
    Vrf(#[from] NoVrf),
    /// An overlay network that can't be had as it was asked for.
    #[error(transparent)]
    Overlay(#[from] NoOverlay),
    /// An interface that a step works on is missing.
    #[error("no interface \"{name}\" {place}")]
    NoLink {
        /// The interface's name.
        name: IfName,
        /// Where it was looked for.
        place: Place,
    },
    /// The name of the bridge belongs to something else.
    #[error("failed to create bridge \"{name}\": \"{name}\" already exists but is not a bridge")]
    NotABridge {
        /// The interface's name.
        name: IfName,
        /// What it is: the kernel's link kind, or `device` for hardware.
        kind: String,
    },
    /// VLANs were asked for, and the kernel's bridges know of none.
    #[error("this kernel's bridges know no VLANs, so \"{bridge}\" cannot keep any apart")]
    NoVlans {
        /// The bridge.
        bridge: IfName,
    },
    /// The bridge has another gateway address of this subnet or family.
    #[error("failed to set bridge addr: \"{bridge}\" already has an IP address different from {wanted}")]
    OtherAddress {
        /// The bridge.
        bridge: IfName,
        /// The address that was to be set.
        wanted: Prefix,
        /// The one that is there.
        found: Prefix,
    },
    /// Another container publishes this port.
    #[error("Address already in use: port {wanted} is published by {}{}", by.holder, on(by.port, *wanted))]
    PortTaken {
        /// The port that was to be taken.
        wanted: Published,
        /// Who has it, and where.
        by: Box<HostPort>,
    },
    /// A process of the host listens on this port.
    #[error("Address already in use: a process of the host listens on port {wanted}")]
    PortListenedOn {
        /// The port that was to be taken.
        wanted: Published,
    },
    /// Any port would have done, and there is none.
    #[error("no free port on the host from {first} to {last}")]
    NoFreePort {
        /// The first of the range that was searched.
        first: u16,
        /// The last of it.
        last: u16,
    },
    /// More ports than the kernel takes in one transaction.
    #[error("could not publish {asked} ports at once, of which some {fit} fit")]
    TooManyPorts {
        /// How many were asked for.
        asked: usize,
        /// How many could be, about: elements are not all as long.
        fit: usize,
        /// What the kernel takes.
        #[source]
        cause: kernel::Error,
    },
    /// Any port of a range would have done, and there is none.
    #[error("Address already in use: all ports of {0}")]
    RangeTaken(Box<TakenRange>),
    /// A step in the container's namespace, and no namespace was given.
    #[error("no container network namespace was given")]
    NoContainer,
    /// CHECK found the kernel different from the plan.
    #[error("{}", Difference::lines(.0))]
    Differs(Vec<Difference>),
    /// A file of the state directory could not be read or written.
    #[error("could not {doing} {}", path.display())]
    State {
        /// What was being done, as a verb: `create`, `read`, `write`, `lock`, `remove`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        #[source]
        cause: io::Error,
    },
    /// No place for the state directory is known.
    #[error("no directory for state: neither SEALANE_STATE_DIR nor XDG_RUNTIME_DIR is set")]
    NoStateDir,
    /// The state directory is named by a path that depends on where one is.
    #[error("the state directory {} is not an absolute path", directory.display())]
    RelativeStateDir {
        /// The path as given.
        directory: PathBuf,
    },
    /// A file of the data directory could not be read or written.
    #[error("could not {doing} {}", path.display())]
    Data {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        #[source]
        cause: io::Error,
    },
    /// The data directory is named by a path that depends on where one is.
    #[error(transparent)]
    RelativeDataDir(#[from] RelativeDirectory),
    /// Another process is at this very attachment.
    #[error("another ADD or DEL of {attachment} is running")]
    Busy {
        /// The attachment: network, container and interface.
        attachment: String,
    },
}

impl Error {
    /// Of a step that publishes so many ports. Which they are is not said where they are too many: it would fill pages.
    pub(crate) fn of_ports(step: &impl fmt::Display, asked: usize, cause: kernel::Error) -> Self {
        match cause {
            kernel::Error::TooMany { size, limit, .. } => {
                Error::TooManyPorts { asked, fit: asked.saturating_mul(limit) / size.max(1), cause }
            }
            _ => Error::Step { step: step.to_string(), cause },
        }
    }

    /// What the person does next, if anything general can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Kernel(cause) | Error::Step { cause, .. } => cause.hint(),
            Error::Rules { cause, .. } | Error::Iptables(cause) => cause.hint(),
            Error::Source { cause, .. } | Error::Firewalld(cause) => cause.hint(),
            Error::NameTaken { name, place } | Error::LinkExists { name, place } => Some(format!(
                "`ip link` {place} shows {name}; DEL the attachment that has it, or ask for another name with CNI_IFNAME"
            )),
            Error::Parent(cause) => Some(cause.hint()),
            Error::Mtu(cause) => Some(cause.hint()),
            Error::Crowded(cause) => Some(cause.hint()),
            Error::Unheard(cause) => Some(cause.hint()),
            Error::HostEnd(cause) => Some(cause.hint()),
            Error::Tap(cause) => Some(cause.hint()),
            Error::Queued { link, .. } => Some(format!("`tc qdisc show dev {link}` shows it: DEL what has put it there, or give one `bandwidth` the keys of both")),
            Error::Device(cause) => Some(cause.hint()),
            Error::Parameter(cause) => Some(cause.hint()),
            Error::NotAllowed(cause) => Some(cause.hint()),
            Error::Backup(cause) => Some(cause.hint()),
            Error::Lock { .. } => Some("another plugin, or a process of the container's, has its file locked: `lsns -t net`, and try again".into()),
            Error::Vrf(cause) => Some(cause.hint()),
            Error::Overlay(cause) => Some(cause.hint()),
            Error::NoLink { name, .. } => {
                Some(format!("something else removed {name}; DEL the attachment and ADD it again"))
            }
            Error::NotABridge { name, kind } => {
                Some(format!("{name} is a {kind}; set \"bridge\" to another name"))
            }
            Error::NoVlans { .. } => Some(WITHOUT_VLANS.into()),
            Error::OtherAddress { bridge, found, .. } => Some(format!(
                "{bridge} has {found}; give the network a bridge of its own, or set \"forceAddress\": true to replace it"
            )),
            Error::PortTaken { by, .. } => {
                Some(format!("stop {}, or publish another port", by.holder.brief()))
            }
            Error::PortListenedOn { wanted } => {
                Some(format!("`ss -lnp` shows which: stop it, or publish another port than {}", wanted.number))
            }
            Error::NoFreePort { .. } => Some(WHERE_PORTS_ARE.into()),
            Error::TooManyPorts { fit, .. } => Some(format!(
                "publish {fit} or fewer for each container, or raise `sysctl net.core.wmem_max`; root of the host has no limit"
            )),
            Error::RangeTaken(_) => Some(WHO_HAS_PORTS.into()),
            Error::NoContainer => Some("set CNI_NETNS to the namespace, such as /run/netns/NAME".into()),
            Error::Differs(_) => Some("`sealane repair` puts back what is on the host, `sealane check --repair` what is in the container; of a link that is gone, or where repair has nothing to do, DEL the attachment and ADD it again".into()),
            Error::State { .. } | Error::NoStateDir | Error::RelativeStateDir { .. } => Some(STATE_DIR.into()),
            Error::Data { .. } | Error::RelativeDataDir(_) => Some(DATA_DIR.into()),
            Error::Busy { .. } => Some("try again when it has ended".into()),
        }
    }
}

/// Where state can be.
const STATE_DIR: &str = "set SEALANE_STATE_DIR to a directory on tmpfs that this user can write";

/// Where data can be.
const DATA_DIR: &str = "set SEALANE_DATA_DIR to a directory, from the root, that this user can write";

const WITHOUT_VLANS: &str =
    "it needs CONFIG_BRIDGE_VLAN_FILTERING; without it leave \"vlan\" and \"vlanTrunk\" out";
const WHERE_PORTS_ARE: &str =
    "sysctl net.ipv4.ip_local_port_range is where it is looked for, but for net.ipv4.ip_local_reserved_ports";
const WHO_HAS_PORTS: &str =
    "`sealane ps` shows containers and their ports, `ss -lnp` processes: stop one, or publish a wider range";

/// Where the port is published, unless that is where it was wanted.
fn on(published: Published, wanted: Published) -> String {
    if published == wanted { String::new() } else { format!(", as {published}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_are_too_many_are_counted_as_they_were_asked_for() {
        // Three elements a port, in both families.
        let cause = kernel::Error::TooMany { elements: 180_000, size: 18_000_000, limit: 6_000_000 };
        let error = Error::of_ports(&"published ports, page after page", 60_000, cause);
        assert_eq!(error.to_string(), "could not publish 60000 ports at once, of which some 20000 fit");
        let hint = error.hint().unwrap();
        assert!(hint.starts_with("publish 20000 or fewer") && hint.contains("net.core.wmem_max"), "{hint}");
        let error = Error::of_ports(&"a published port", 1, kernel::Error::NoPacketFilter);
        assert_eq!(error.to_string(), "could not make a published port");
    }
}
