//! The keys of `bandwidth`, in two stages: what was typed or sent, and what it means.
use cni::{Call, Code, Fail, Failure};
use serde::Deserialize;

/// What the user typed, or what the runtime sends for the capability `bandwidth`: bits a second, and bits.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawRates {
    ingress_rate: Option<u64>,
    ingress_burst: Option<u64>,
    egress_rate: Option<u64>,
    egress_burst: Option<u64>,
}

/// What it means: nothing is left to refuse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Config {
    /// How fast packets come to the container.
    pub(crate) ingress: Option<Rate>,
    /// How fast they leave it.
    pub(crate) egress: Option<Rate>,
}

/// How fast something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a second, from 1 on.
    pub(crate) rate: u64,
    /// Bytes at once, from 1 on.
    pub(crate) burst: u32,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Half of a rate.
    #[error("if {given} is set, {missing} must also be set")]
    Half {
        /// The word that is there: `rate` or `burst`.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
        /// Which way.
        way: Way,
    },
    /// The kernel counts bytes at once in 32 bits.
    #[error("burst cannot be more than 4GB: {}Burst is {bits} bits", .way.key())]
    BurstTooLarge {
        /// Which way.
        way: Way,
        /// The value at fault.
        bits: u64,
    },
    /// The kernel counts bytes.
    #[error("{}{word} of {bits} bits is less than a byte", .way.key())]
    LessThanAByte {
        /// Which way.
        way: Way,
        /// The key's other half.
        word: &'static str,
        /// The value at fault.
        bits: u64,
    },
}

/// Which packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Those to the container.
    Ingress,
    /// Those from it.
    Egress,
}

impl Way {
    fn key(self) -> &'static str {
        match self {
            Way::Ingress => "ingress",
            Way::Egress => "egress",
        }
    }
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Error::Half { .. } | Error::BurstTooLarge { .. } | Error::LessThanAByte { .. } => {
                Code::InvalidConfig
            }
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Half { missing: "burst", way, .. } => {
                let key = way.key();
                format!(
                    "{key}Burst is how many bits may pass at once, such as a tenth of a second's; leave both out for no limit"
                )
            }
            Error::Half { way, .. } => {
                format!("{}Rate is in bits a second; leave both out for no limit", way.key())
            }
            Error::BurstTooLarge { .. } => "give at most 34359738367 bits".into(),
            Error::LessThanAByte { word, .. } => {
                let unit = if *word == "Rate" { "bits a second" } else { "bits" };
                format!("it is in {unit}: give at least 8, or leave rate and burst out for no limit")
            }
        })
    }
}

impl Config {
    /// Reads the configuration of a call and refuses what can't be. What the configuration itself says, be it 0, counts more than what
    /// the runtime sends, as a whole.
    pub(crate) fn read(call: &Call) -> Result<Self, Fail> {
        let typed: RawRates = call.decode()?;
        let rates =
            if typed.says_nothing() { call.runtime_config("bandwidth")?.unwrap_or(typed) } else { typed };
        Ok(Self {
            ingress: rate(Way::Ingress, rates.ingress_rate, rates.ingress_burst)?,
            egress: rate(Way::Egress, rates.egress_rate, rates.egress_burst)?,
        })
    }

    /// The least that is to pass at once, in bytes.
    pub(crate) fn least_burst(&self) -> Option<u32> {
        self.ingress.iter().chain(&self.egress).map(|rate| rate.burst).min()
    }
}

impl RawRates {
    fn says_nothing(&self) -> bool {
        let all = [self.ingress_rate, self.ingress_burst, self.egress_rate, self.egress_burst];
        all.iter().all(Option::is_none)
    }
}

impl Rate {
    /// How many bytes may wait: what may leave at once, and what leaves in 25 milliseconds. What does not fit into the kernel's 32 bits
    /// waits nowhere.
    pub(crate) fn limit(self) -> u32 {
        const PARTS_OF_A_SECOND: u64 = 1000 / 25;
        let limit = (self.rate / PARTS_OF_A_SECOND).saturating_add(self.burst.into());
        u32::try_from(limit).unwrap_or(u32::MAX)
    }
}

/// 0 is no limit.
fn rate(way: Way, rate: Option<u64>, burst: Option<u64>) -> Result<Option<Rate>, Error> {
    let (rate, burst) = match (rate.unwrap_or(0), burst.unwrap_or(0)) {
        (0, 0) => return Ok(None),
        (_, 0) => return Err(Error::Half { given: "rate", missing: "burst", way }),
        (0, _) => return Err(Error::Half { given: "burst", missing: "rate", way }),
        both => both,
    };
    if rate < 8 {
        return Err(Error::LessThanAByte { way, word: "Rate", bits: rate });
    }
    if burst < 8 {
        return Err(Error::LessThanAByte { way, word: "Burst", bits: burst });
    }
    let bytes = u32::try_from(burst / 8).map_err(|_| Error::BurstTooLarge { way, bits: burst })?;
    Ok(Some(Rate { rate: rate / 8, burst: bytes }))
}
