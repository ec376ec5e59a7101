//! Masquerade of the container's addresses: the keys `ipMasq` and `ipMasqBackend`.
use crate::{Endpoint, Lease};
use cni::{Code, Failure};
use plan::{Plan, step};
use std::collections::BTreeSet;
use types::Prefix;

/// What masquerades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masquerade {
    /// Elements in sets.
    Nftables,
    /// Rules in a chain of the container's, as the reference makes them.
    Iptables,
}

/// `ipMasqBackend` is nothing that masquerades.
#[derive(Debug, thiserror::Error)]
#[error("unknown ipmasq backend \"{value}\"")]
pub struct UnknownBackend {
    /// The value at fault.
    value: String,
}

impl Failure for UnknownBackend {
    fn code(&self) -> Code {
        Code::InvalidConfig
    }

    fn hint(&self) -> Option<String> {
        Some("set \"ipMasqBackend\" to \"nftables\", which it is without the key, or to \"iptables\"".into())
    }
}

impl Masquerade {
    /// What masquerades, if anything is to.
    pub fn read(ip_masq: Option<bool>, backend: Option<&str>) -> Result<Option<Self>, UnknownBackend> {
        if !ip_masq.unwrap_or(false) {
            return Ok(None);
        }
        match backend {
            None | Some("nftables") => Ok(Some(Self::Nftables)),
            Some("iptables") => Ok(Some(Self::Iptables)),
            Some(value) => Err(UnknownBackend { value: value.to_owned() }),
        }
    }

    /// By nftables of the subnet of each address, of several in one subnet once; by iptables of each address.
    pub fn of(self, lease: &Lease, endpoint: &Endpoint, plan: &mut Plan) {
        let addresses: Vec<Prefix> = lease.ips.iter().map(|ip| ip.address).collect();
        match self {
            Self::Nftables => {
                let subnets: BTreeSet<Prefix> = addresses.iter().map(|address| address.network()).collect();
                for subnet in subnets {
                    plan.ensure(step::Masquerade { subnet });
                }
            }
            Self::Iptables => {
                for step in step::IptMasquerade::each(&endpoint.network, &endpoint.container, &addresses) {
                    plan.own(step);
                }
            }
        }
    }
}
