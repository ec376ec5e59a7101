//! What can go wrong in `sealane network`, beyond what can go wrong with the networks themselves.
use cni::{Code, Failure};
use types::{IfName, InvalidPrefix, NetworkName};

/// One variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What follows an option has no `=`.
    #[error("{what} {value:?} is not KEY=VALUE")]
    NotKeyValue {
        /// The option.
        what: &'static str,
        /// What follows it.
        value: String,
    },
    /// What follows an option is no subnet.
    #[error("invalid {what}")]
    Prefix {
        /// The option.
        what: &'static str,
        /// Why.
        #[source]
        cause: InvalidPrefix,
    },
    /// Networks cannot be told apart by this.
    #[error("invalid filter {key:?}")]
    Filter {
        /// What stands before the `=`.
        key: String,
        /// What may stand there.
        known: &'static [&'static str],
    },
    /// What follows the `=` of a filter cannot be.
    #[error("invalid filter {key}={value}")]
    FilterValue {
        /// What stands before the `=`.
        key: &'static str,
        /// What stands after it.
        value: String,
        /// What may stand there.
        known: &'static str,
    },
    /// A network cannot be given back to its store.
    #[error("could not ask the store of network {network}")]
    StoreLost {
        /// The network.
        network: NetworkName,
        /// Why.
        #[source]
        cause: store::Error,
    },
    /// Containers are on the network.
    #[error("network {network} has active endpoints ({})", few(.containers.iter().map(|name| format!("name:{name:?}"))))]
    InUse {
        /// The network.
        network: String,
        /// The containers' names.
        containers: Vec<String>,
    },
    /// The kernel kept something that was to go.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The records of attachments could not be read.
    #[error(transparent)]
    State(#[from] plan::Error),
    /// Something else than containers of ours is on the network's bridge.
    #[error("network {network} has active endpoints ({})", few(.ports.iter().map(|port| format!("port {port} of {bridge}"))))]
    OthersPorts {
        /// The network.
        network: String,
        /// Its bridge.
        bridge: IfName,
        /// What is on it.
        ports: Vec<IfName>,
        /// Containers that the plugins have attached, as `CONTAINER:IFNAME`.
        attached: Vec<String>,
    },
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotKeyValue { .. }
            | Self::Prefix { .. }
            | Self::Filter { .. }
            | Self::FilterValue { .. } => Code::InvalidEnvironment,
            Self::InUse { .. } | Self::OthersPorts { .. } => Code::Taken,
            Self::StoreLost { cause, .. } => cause.code(),
            Self::Kernel(_) => Code::Kernel,
            Self::State(_) => Code::State,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotKeyValue { what, .. } => {
                format!("for example {what} com.docker.network.driver.mtu=1400")
            }
            Self::Prefix { what, .. } => format!("for example {what} 10.64.7.0/24"),
            Self::Filter { known, .. } => format!("known are {}", known.join(", ")),
            Self::FilterValue { known, .. } => (*known).into(),
            Self::StoreLost { cause, .. } => {
                let next = cause.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
                format!("{next}`--force` removes it here, and leaves its blocks this node's in the store")
            }
            Self::Kernel(cause) => return cause.hint(),
            Self::State(cause) => return cause.hint(),
            Self::InUse { network, containers } => {
                let container = containers.first().map_or("CONTAINER", String::as_str);
                format!(
                    "`sealane network disconnect {network} {container}` takes it off, `sealane rm -f {container}` removes it"
                )
            }
            Self::OthersPorts { bridge, attached, .. } if attached.is_empty() => {
                format!("`ip link show master {bridge}` shows them; detach them with what has attached them")
            }
            Self::OthersPorts { attached, .. } => format!(
                "another runtime or `sealane add` has attached {}; have it detach them first, as with `sealane del`",
                few(attached.iter().cloned())
            ),
        })
    }
}

/// How many names a person wants to read.
const FEW: usize = 4;

/// The first few of a list, and how many more there are.
fn few(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(FEW);
    let shown = all.take(FEW).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowded_network_is_told_in_a_line() {
        let in_use = |count: usize| {
            let containers = (0..count).map(|number| format!("c{number}")).collect();
            Error::InUse { network: "test".into(), containers }.to_string()
        };
        assert_eq!(in_use(1), "network test has active endpoints (name:\"c0\")");
        assert!(in_use(4).ends_with("name:\"c3\")"));
        assert!(in_use(500).ends_with("name:\"c3\" and 496 more)"), "{}", in_use(500));
    }
}
