//! The keys of `portmap`, in two stages: what the user and the runtime said, and what it means.
use crate::{backend::Backend, error::Error, mapping::Mapping};
use cni::{Call, Fail};
use plan::step::Masquerading;
use plugin::RawPortMapping;
use serde::Deserialize;

/// What the user typed: the keys of the reference's `portmap` 1.9, and `checkListeners`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawConfig {
    pub(crate) backend: Option<String>,
    snat: Option<bool>,
    masq_all: Option<bool>,
    pub(crate) mark_masq_bit: Option<i64>,
    pub(crate) external_set_mark_chain: Option<String>,
    #[serde(rename = "conditionsV4")]
    pub(crate) conditions_v4: Option<Vec<String>>,
    #[serde(rename = "conditionsV6")]
    pub(crate) conditions_v6: Option<Vec<String>>,
    check_listeners: Option<bool>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What the container publishes, each port of the host once.
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) masquerade: Masquerading,
    pub(crate) backend: Backend,
    pub(crate) check_listeners: bool,
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be, in the reference's order.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let raw: RawConfig = call.decode()?;
        let mappings: Vec<RawPortMapping> = call.runtime_config("portMappings")?.unwrap_or_default();
        raw.refuse_marks()?;
        Ok(Self {
            backend: Backend::of(&raw)?,
            mappings: Mapping::read(&mappings)?,
            masquerade: raw.masquerade(),
            check_listeners: raw.check_listeners.unwrap_or(false),
        })
    }
}

impl RawConfig {
    fn refuse_marks(&self) -> Result<(), Error> {
        match (self.mark_masq_bit, &self.external_set_mark_chain) {
            (Some(_), Some(chain)) => Err(Error::MarkedTwice { chain: chain.clone() }),
            (Some(bit), None) if !(0..=31).contains(&bit) => Err(Error::MarkBit { bit }),
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Without `snat` nothing is, whatever `masqAll` says.
    fn masquerade(&self) -> Masquerading {
        match (self.snat.unwrap_or(true), self.masq_all.unwrap_or(false)) {
            (false, _) => Masquerading::Nothing,
            (true, false) => Masquerading::Hairpin,
            (true, true) => Masquerading::All,
        }
    }
}
