//! MAC checks: a bridge port from which only frames of one hardware address are let through (`macspoofchk`).
use crate::{
    Plan, Step,
    act::{Act, Work},
    elements::Elements,
    error::Error,
    filter::{BRIDGE, Section},
    places::{Place, Places},
    state::State,
    step::OnlyMac,
};
use kernel::nft::{
    Chain, ChainType, Expression, Field, Hook, Kind, Meta, Payload, Point, Policy, Register, Rule, Set,
    Transaction, Verdict,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};
use types::{IfName, Mac};

/// A bridge port that drops frames under any source address but this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacCheck {
    /// The port's interface. It need not be there yet.
    pub link: IfName,
    /// The address.
    pub mac: Mac,
}

/// A MAC address under which nobody would hear a container: its port on the bridge is checked for another.
#[derive(Debug, thiserror::Error)]
#[error(
    "frames from MAC address {wanted} would be dropped: the bridge lets only {passes} pass at \"{port}\""
)]
pub struct Unheard {
    /// What was asked for.
    pub wanted: Mac,
    /// What is let through.
    pub passes: Mac,
    /// The port of the bridge.
    pub port: IfName,
}

impl Unheard {
    /// What the person does next.
    pub fn hint(&self) -> String {
        let wanted = self.wanted;
        format!(
            "give the bridge the address, too (\"args\": {{\"cni\": {{\"mac\": \"{wanted}\"}}}}, or CNI_ARGS MAC={wanted}), or leave \"macspoofchk\" out"
        )
    }
}

impl Plan {
    /// Refuses another MAC address for the container than that which its port is checked for by this plan, of a plugin before.
    pub(crate) fn refuse_unheard(&self, wanted: Mac) -> Result<(), Unheard> {
        for (_, step) in self.steps() {
            if let Step::MacCheck(check) = step
                && check.mac != wanted
            {
                return Err(Unheard { wanted, passes: check.mac, port: check.link.clone() });
            }
        }
        Ok(())
    }
}

impl State {
    /// The same, of what the attachment's plugins have done in this network.
    pub fn refuse_unheard(&self, wanted: &OnlyMac) -> Result<(), Error> {
        let plans = self.plans_at(&wanted.holder)?;
        Ok(plans.iter().try_for_each(|plan| plan.refuse_unheard(wanted.mac))?)
    }
}

impl fmt::Display for MacCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}: only frames from {} pass", self.link, self.mac)
    }
}

impl Act for MacCheck {
    fn place(&self) -> Place {
        Place::Host
    }

    fn work(&self, _places: &mut Places) -> Result<Work<'_>, Error> {
        Ok(Work::Filter(section(), self.elements().adding()))
    }

    fn sections(&self) -> Vec<Section> {
        vec![section()]
    }

    fn undo(&self, places: &mut Places) -> Result<(), Error> {
        self.elements().clear(places)
    }

    fn differs(&self, places: &mut Places) -> Result<Option<String>, Error> {
        self.elements().differs(places)
    }
}

impl MacCheck {
    fn elements(&self) -> Elements {
        let port = || Field::Ifname(self.link.clone());
        let pair = vec![port(), Field::Ether(self.mac)];
        Elements { section: section(), keys: vec![(CHECKED, vec![port()]), (ALLOWED, pair)] }
    }
}

/// Takes out what a port has, whatever address it may send from. Addresses are listed only where it is checked.
pub(crate) fn forget_port(link: &IfName, places: &mut Places) -> Result<(), Error> {
    let (port, nft) = (vec![Field::Ifname(link.clone())], places.filter.nft()?);
    if nft.element(&CHECKED, &port)?.is_none() {
        return Ok(());
    }
    let mut change = Transaction::default();
    change.delete_element(&CHECKED, &port);
    for pair in nft.elements(&ALLOWED)?.iter().filter(|pair| pair.key.starts_with(&port)) {
        change.delete_element(&ALLOWED, &pair.key);
    }
    Ok(places.filter.clear(&change)?)
}

/// The ports that are checked.
const CHECKED: Set = Set { table: BRIDGE, name: Cow::Borrowed("checked"), key: &[Kind::Ifname], value: None };
/// What may come in by them.
const ALLOWED: Set =
    Set { table: BRIDGE, name: Cow::Borrowed("allowed"), key: &[Kind::Ifname, Kind::EtherAddr], value: None };
/// Where the reference's check is: before everything else in a bridge (nft(8), "Standard priority names": dstnat).
const FIRST: i32 = -300;

fn section() -> Section {
    let name: Cow<'static, str> = "prerouting".into();
    let hook =
        Hook { kind: ChainType::Filter, at: Point::Prerouting, priority: FIRST, policy: Policy::Accept };
    // The name takes 16 bytes.
    let (port, source) = (Register(0), Register(4));
    let expressions = vec![
        Expression::Meta(Meta::Iifname, port),
        Expression::is_in(&CHECKED, port),
        Expression::Meta(Meta::Iifname, port),
        Expression::Payload(Payload::EtherSource, source),
        Expression::is_not_in(&ALLOWED, port),
        Expression::Verdict(Verdict::Drop),
    ];
    Section {
        table: BRIDGE,
        sets: vec![CHECKED, ALLOWED],
        chains: vec![Chain { name: name.clone(), hook: Some(hook) }],
        rules: vec![Rule { chain: name, expressions, comment: "under a foreign MAC address".into() }],
    }
}
