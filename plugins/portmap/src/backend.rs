//! Which packet filter the ports are published by.
use crate::{condition, config::RawConfig, error::Error};
use plan::step::{Condition, IptMark, Word};

/// A packet filter, and what of the configuration is for it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backend {
    /// nftables, by netlink.
    Nftables {
        /// What packets must be like.
        conditions: Vec<Condition>,
    },
    /// The iptables program.
    Iptables {
        /// How packets that are to be masqueraded are marked.
        mark: IptMark,
        /// What packets of IPv4 must be like, in its words.
        ipv4: Vec<Word>,
        /// What those of IPv6 must be like.
        ipv6: Vec<Word>,
    },
}

/// The names that the reference knows.
const NFTABLES: &str = "nftables";
const IPTABLES: &str = "iptables";

impl Backend {
    /// The one that is asked for, else nftables unless something is said that means iptables.
    pub(crate) fn of(raw: &RawConfig) -> Result<Self, Error> {
        let chain = raw.external_set_mark_chain.is_some().then_some("externalSetMarkChain");
        let written_for = |syntax| {
            let all = [("conditionsV4", &raw.conditions_v4), ("conditionsV6", &raw.conditions_v6)];
            let is = |(_, conditions): &(_, &Option<Vec<String>>)| syntax_of(conditions.as_deref()) == syntax;
            all.into_iter().filter(is).map(|(key, _)| key).collect::<Vec<_>>()
        };
        let for_iptables: Vec<_> = chain.into_iter().chain(written_for(Some(Syntax::Iptables))).collect();
        let for_nftables = written_for(Some(Syntax::Nftables));
        let contradicts = |backend, keys| Err(Error::OtherBackend { backend, keys });
        match (raw.backend.as_deref(), for_iptables.is_empty()) {
            (Some(IPTABLES), _) | (None, false) if !for_nftables.is_empty() => {
                contradicts(IPTABLES, for_nftables)
            }
            (Some(IPTABLES), _) | (None, false) => Ok(Backend::Iptables {
                mark: mark(raw)?,
                ipv4: words("conditionsV4", raw.conditions_v4.as_deref())?,
                ipv6: words("conditionsV6", raw.conditions_v6.as_deref())?,
            }),
            (Some(NFTABLES), false) => contradicts(NFTABLES, for_iptables),
            (Some(NFTABLES) | None, true) => {
                let both = [(true, &raw.conditions_v4), (false, &raw.conditions_v6)];
                let both = both.map(|(v4, text)| condition::read(v4, text.as_deref().unwrap_or_default()));
                let [v4, v6] = both;
                Ok(Backend::Nftables { conditions: [v4?, v6?].concat() })
            }
            (Some(other), _) => Err(Error::Backend { value: other.to_owned() }),
        }
    }
}

/// The reference's bit, which kube-proxy and others leave alone.
const BIT: u8 = 13;

fn mark(raw: &RawConfig) -> Result<IptMark, Error> {
    let bit = raw.mark_masq_bit.and_then(|bit| u8::try_from(bit).ok()).unwrap_or(BIT);
    let chain = raw.external_set_mark_chain.as_ref().map(|name| name.parse().map(IptMark::Chain));
    chain.unwrap_or(Ok(IptMark::Bit(bit))).map_err(|cause| Error::Word { key: "externalSetMarkChain", cause })
}

fn words(key: &'static str, texts: Option<&[String]>) -> Result<Vec<Word>, Error> {
    let words = texts.unwrap_or_default().iter().map(|text| text.parse());
    words.collect::<Result<_, _>>().map_err(|cause| Error::Word { key, cause })
}

/// Which program's words conditions are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Iptables,
    Nftables,
}

/// As the reference tells: an option of iptables begins with `-`, or with `!` when it is negated.
fn syntax_of(conditions: Option<&[String]>) -> Option<Syntax> {
    let first = conditions?.first()?;
    Some(if first.starts_with(['-', '!']) { Syntax::Iptables } else { Syntax::Nftables })
}
