//! Puts back what has gone from under attachments, such as by `nft flush ruleset`: from their records, without a configuration.
use crate::{plugins, registry, say};
use cni::{
    Fail,
    runtime::{Network, Runtime, RuntimeAttachment},
};
use kernel::Netns;
use plan::{Departure, Extent, Facts, Key, Places, Plan, Query, Record, State, Step, step::IsolatedFrom};
use std::{path::Path, time::Duration};

/// How long an ADD or DEL of an attachment is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// The plugin that lets packets through.
const FIREWALL: &str = "firewall";

/// Of all attachments, on the host; a line for each step that is put back, on standard output.
pub(crate) fn all() -> Result<u8, Fail> {
    let (state, mut places) = (state()?, Places::new(None, Departure::Detached));
    let mut left = false;
    for key in keys(&state)? {
        match one(&state, &mut places, &key, Extent::Host) {
            Ok(done) => {
                say::text(&done.put_back);
                left |= done.tell();
            }
            Err(cause) => {
                say::note(&format!("{key}: {cause}"));
                left = true;
            }
        }
    }
    left |= renew_all(&state, &mut places)?;
    Ok(u8::from(left))
}

/// Of what the runtime's cache knows; names what it does not know and may be cut off. Whether anything is left.
fn renew_all(state: &State, places: &mut Places) -> Result<bool, Fail> {
    let (runtime, mut known, mut left) = (plugins::runtime(), Vec::new(), false);
    for cached in runtime.cache().attachments()? {
        let Ok(network) = Network::parse(&cached.config) else { continue };
        let Some(key) = alive(state, &network, &cached.attachment) else { continue };
        match renew(&runtime, &network, &cached.attachment) {
            Ok(text) => say::text(&text),
            Err(fail) => {
                say::note(&fail.to_string());
                left = true;
            }
        }
        known.push(key);
    }
    let results = runtime.cache_dir.join("results");
    for key in cut_off(state, places, &known).map_err(plugin::Error::Plan)? {
        say::note(&format!(
            "{key}: where iptables decides what is forwarded, nothing lets its packets through, and no result in {} says \
             whether `firewall` is to; if so, DEL and ADD it again",
            results.display()
        ));
        left = true;
    }
    Ok(left)
}

/// Those but the known ones for which the host forwards, where iptables drops that or may, and no record has to do with it.
fn cut_off(state: &State, places: &mut Places, known: &[Key]) -> Result<Vec<Key>, plan::Error> {
    let keys = state.records(&registry::names().collect::<Vec<_>>())?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let forward = Facts::answer(&[Query::Forward], places)?.forward.unwrap_or_default();
    if !forward.drops && !forward.legacy {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for key in keys {
        let firewall = Key { plugin: FIREWALL, nth: 0, ..key.clone() };
        if known.contains(&firewall)
            || state.recorded_by_all(&firewall)?.iter().any(|plan| has(plan, decides))
        {
            continue;
        }
        let Some(record) = state.find(&key, PATIENCE)? else { continue };
        if whole(&record).is_some_and(|(plan, _)| has(plan, |step| matches!(step, Step::Forwarding(_)))) {
            all.push(key);
        }
    }
    Ok(all)
}

fn has(plan: &Plan, is_it: impl Fn(&Step) -> bool) -> bool {
    plan.steps().any(|(_, step)| is_it(step))
}

/// Whether a step lets packets through, or is there so that none get through.
fn decides(step: &Step) -> bool {
    match step {
        Step::IptForward(_) | Step::ZoneSource(_) => true,
        Step::Isolation(it) => it.from == IsolatedFrom::Everything,
        _ => false,
    }
}

/// Of one attachment, in its container as well: the lines.
pub(crate) fn attachment(network: &Network, at: &RuntimeAttachment) -> Result<String, Fail> {
    let (state, mut places) = (state()?, Places::new(None, Departure::Detached));
    let mut text = String::new();
    let is_of = |key: &Key| {
        key.network == network.name
            && (key.container.as_str(), key.ifname.as_str()) == (at.container.as_str(), at.ifname.as_str())
    };
    for key in keys(&state)?.into_iter().filter(is_of) {
        let done = one(&state, &mut places, &key, Extent::Everything).map_err(plugin::Error::Plan)?;
        text += &done.put_back;
        done.tell();
    }
    Ok(text + &renew(&plugins::runtime(), network, at)?)
}

/// The firewall's plan follows who decides on the host what is forwarded, and that may be another one since ADD: Docker and ufw have iptables
/// drop. Of what it needs now no record speaks, so its ADD is done again, with the result that the runtime keeps.
fn renew(runtime: &Runtime, network: &Network, at: &RuntimeAttachment) -> Result<String, Fail> {
    let missed = runtime.renew(network, at, FIREWALL)?;
    let line = |missed: String| {
        let RuntimeAttachment { container, ifname, .. } = at;
        format!("{ifname} of container {container} on network {}: made again ({missed})\n", network.name)
    };
    Ok(missed.into_iter().map(line).collect())
}

/// An attachment of ours, if its namespace is there, and not another one in its place.
fn alive(state: &State, network: &Network, at: &RuntimeAttachment) -> Option<Key> {
    let (container, ifname) = (at.container.parse().ok()?, at.ifname.parse().ok()?);
    let key = Key { network: network.name.clone(), container, ifname, plugin: FIREWALL, nth: 0 };
    let netns = Netns::open(Path::new(&at.netns)).ok()?;
    state.knows_in(&key, &netns).is_ok_and(|known| known).then_some(key)
}

fn state() -> Result<State, Fail> {
    Ok(State::from_env().map_err(plugin::Error::Plan)?)
}

fn keys(state: &State) -> Result<Vec<Key>, Fail> {
    let plugins: Vec<_> = registry::names().collect();
    Ok(state.records(&plugins).map_err(plugin::Error::Plan)?)
}

/// What became of one record.
#[derive(Default)]
struct Done {
    /// A line for each step that is put back.
    put_back: String,
    /// A note for each that is not.
    left: Vec<String>,
}

impl Done {
    /// Of a record that does not say what there is to put back: an ADD that died leaves such a one, or one that somebody has damaged.
    fn without(record: &Record, key: &Key) -> Self {
        let note = format!(
            "{key}: could not put back anything: {} has a line that can't be read; DEL the attachment and ADD it again",
            record.path().display()
        );
        Self { left: record.is_unreadable().then_some(note).into_iter().collect(), ..Self::default() }
    }

    /// Says what is not put back; whether there is any.
    fn tell(&self) -> bool {
        for note in &self.left {
            say::note(note);
        }
        !self.left.is_empty()
    }
}

/// Whoever is at the record is waited for. What an ADD has left half done, or has lost its namespace, is for DEL.
fn one(state: &State, places: &mut Places, key: &Key, extent: Extent) -> Result<Done, plan::Error> {
    let Some(record) = state.find(key, PATIENCE)? else { return Ok(Done::default()) };
    let Some((plan, netns)) = whole(&record) else { return Ok(Done::without(&record, key)) };
    places.turn_to(Some(netns));
    let repair = plan::repair(plan, places, state, key, extent);
    let put_back = |it: &plan::Difference| format!("{key}: put back {} ({})\n", it.step, it.found);
    let left = |it: &plan::Difference| format!("{key}: could not put back {}: {}", it.step, it.found);
    Ok(Done {
        put_back: repair.put_back.iter().map(put_back).collect(),
        left: repair.left.iter().map(left).collect(),
    })
}

/// What is recorded of an attachment that is whole, and its namespace.
fn whole(record: &Record) -> Option<(&Plan, Netns)> {
    let (plan, netns) = (record.plan()?, record.netns()?);
    record.is_attached().then_some((plan, netns))
}
