//! Errors of a plugin's run, each with the CNI code that the runtime sees and the hint that the person reads.
use cni::{Code, Failure};
use plan::{FirewalldError, Refusal};
use std::path::PathBuf;
use types::InvalidName;

/// Why an attachment could not be made, taken away or checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A plan, a step or a record.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// What a failed ADD had done could not all be taken back.
    #[error("{cause}; and what it had done could not be taken back: {residue}")]
    Residue {
        /// Why ADD failed.
        #[source]
        cause: Box<plan::Error>,
        /// Why the rest stays.
        residue: Box<plan::Error>,
    },
    /// The container's namespace can't be entered.
    #[error("failed to open netns \"{}\"", path.display())]
    Netns {
        /// As the runtime named it.
        path: PathBuf,
        /// The kernel's words.
        #[source]
        cause: kernel::Error,
    },
    /// The plugin's containers have the host's namespace, and this is another one.
    #[error("network namespace \"{}\" is not the host's", path.display())]
    NotTheHosts {
        /// As the runtime named it.
        path: PathBuf,
    },
    /// The container has this interface on this network already.
    #[error("duplicate allocation is not allowed: {attachment} is attached")]
    Attached {
        /// Interface, container and network.
        attachment: String,
    },
    /// ADD of a chained plugin that no other has come before.
    #[error("must be called as chained plugin")]
    NotChained,
    /// CHECK of a chained plugin without the result of ADD.
    #[error("Required prevResult missing")]
    NotChainedToCheck,
    /// CHECK without the result of ADD.
    #[error("required prevResult missing")]
    NoPrevResult,
    /// IPAM answered without an address.
    #[error("IPAM plugin returned missing IP config")]
    NoAddress {
        /// The IPAM plugin.
        ipam: String,
    },
    /// A name that was to be derived can't be one. It would be a defect of ours.
    #[error(transparent)]
    Name(InvalidName),
    /// Our own lease records.
    #[error(transparent)]
    Ipam(#[from] ipam::Error),
    /// The host can't be told from others.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Plan(cause) => code(cause),
            Error::Residue { cause, .. } => code(cause),
            Error::Netns { .. } | Error::NotTheHosts { .. } => Code::InvalidNetns,
            Error::Attached { .. } => Code::Taken,
            Error::NoPrevResult => Code::InvalidConfig,
            Error::NoAddress { .. } => Code::Delegate,
            // The reference's.
            Error::NotChained | Error::NotChainedToCheck | Error::Name(_) => Code::Internal,
            Error::Ipam(cause) => cause.code(),
            Error::Kernel(_) => Code::Kernel,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Plan(cause) => cause.hint(),
            Error::Residue { .. } => Some("its record is kept: DEL takes the rest away".into()),
            Error::Netns { .. } => {
                Some("CNI_NETNS must name a network namespace, such as /run/netns/NAME".into())
            }
            Error::NotTheHosts { .. } => Some(
                "ask the runtime for the host's network: `--network host` of docker, podman, nerdctl and `sealane run`; \
                 `hostNetwork: true` in Kubernetes; `network { mode = \"host\" }` in Nomad"
                    .into(),
            ),
            Error::Attached { .. } => Some("DEL it before it is added again".into()),
            Error::NotChained => Some(
                "it works on what another plugin has made: put it behind one, such as bridge, in the network's \"plugins\""
                    .into(),
            ),
            Error::NoPrevResult | Error::NotChainedToCheck => {
                Some("CHECK compares with what ADD answered: give it as \"prevResult\"".into())
            }
            Error::NoAddress { ipam } => {
                Some(format!("look at the \"ipam\" section: {ipam} was asked and gave no address"))
            }
            Error::Name(_) => None,
            Error::Ipam(cause) => cause.hint(),
            Error::Kernel(cause) => cause.hint(),
        }
    }
}

fn code(error: &plan::Error) -> Code {
    match error {
        plan::Error::Source { cause, .. } | plan::Error::Firewalld(cause) => code_of_firewalld(cause),
        plan::Error::Rules { cause, .. } | plan::Error::Iptables(cause) if cause.is_busy() => Code::TryAgain,
        plan::Error::Rules { .. }
        | plan::Error::Iptables(_)
        | plan::Error::Kernel(_)
        | plan::Error::Step { .. }
        | plan::Error::TooManyPorts { .. }
        | plan::Error::NoLink { .. }
        | plan::Error::Tap(plan::NoTap::NoDriver(_))
        | plan::Error::NoVlans { .. } => Code::Kernel,
        plan::Error::Crowded(cause) if cause.may_pass() => Code::TryAgain,
        plan::Error::Device(cause) if cause.may_pass() => Code::TryAgain,
        plan::Error::Overlay(cause) if cause.is_of_the_configuration() => Code::InvalidConfig,
        plan::Error::Overlay(cause) if cause.may_pass() => Code::TryAgain,
        plan::Error::Overlay(_)
        | plan::Error::Device(plan::NoDevice::NameTaken { .. } | plan::NoDevice::AltnameTaken { .. })
        | plan::Error::Vrf(_)
        | plan::Error::NameTaken { .. }
        | plan::Error::Crowded(_)
        | plan::Error::LinkExists { .. }
        | plan::Error::Queued { .. }
        | plan::Error::NotABridge { .. }
        | plan::Error::OtherAddress { .. } => Code::Taken,
        plan::Error::Backup(cause) if !cause.is_nowhere() => Code::Io,
        plan::Error::Parent(_)
        | plan::Error::Mtu(_)
        | plan::Error::HostEnd(_)
        | plan::Error::Unheard(_)
        | plan::Error::Device(_)
        | plan::Error::Tap(_)
        | plan::Error::Parameter(_)
        | plan::Error::Backup(_)
        | plan::Error::NotAllowed(_) => Code::InvalidConfig,
        plan::Error::NoContainer | plan::Error::RelativeStateDir { .. } | plan::Error::RelativeDataDir(_) => {
            Code::InvalidEnvironment
        }
        plan::Error::Differs(_) => Code::Check,
        plan::Error::State { .. } | plan::Error::Data { .. } | plan::Error::NoStateDir => Code::State,
        plan::Error::Busy { .. }
        | plan::Error::Lock { .. }
        | plan::Error::PortTaken { .. }
        | plan::Error::PortListenedOn { .. }
        | plan::Error::NoFreePort { .. }
        | plan::Error::RangeTaken(_) => Code::TryAgain,
    }
}

fn code_of_firewalld(error: &FirewalldError) -> Code {
    match error {
        FirewalldError::NotBuiltIn => Code::UnsupportedField,
        FirewalldError::NoBus(_) | FirewalldError::NotThere | FirewalldError::Silent { .. } => Code::TryAgain,
        FirewalldError::Bus(_) => Code::Io,
        FirewalldError::Refused { why, .. } => match why {
            Refusal::NoZone => Code::InvalidConfig,
            Refusal::OtherZone => Code::Taken,
            Refusal::NoSource | Refusal::Already | Refusal::Other => Code::Io,
        },
    }
}
