//! Puts back what has gone from under attachments, such as by `nft flush ruleset`: from their records, without a configuration.
use crate::{plugins, registry, say};
use cni::{
    Fail,
    runtime::{Network, Runtime, RuntimeAttachment},
};
use kernel::Netns;
use plan::{Departure, Extent, Key, Places, State};
use std::{path::Path, time::Duration};

/// How long an ADD or DEL of an attachment is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

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
    let runtime = plugins::runtime();
    for cached in runtime.cache().attachments()? {
        let Ok(network) = Network::parse(&cached.config) else { continue };
        if is_alive(&state, &network, &cached.attachment) {
            match renew(&runtime, &network, &cached.attachment) {
                Ok(text) => say::text(&text),
                Err(fail) => {
                    say::note(&fail.to_string());
                    left = true;
                }
            }
        }
    }
    Ok(u8::from(left))
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
    let missed = runtime.renew(network, at, "firewall")?;
    let line = |missed: String| {
        let RuntimeAttachment { container, ifname, .. } = at;
        format!("{ifname} of container {container} on network {}: made again ({missed})\n", network.name)
    };
    Ok(missed.into_iter().map(line).collect())
}

/// Whether it is an attachment of ours, whose namespace is there.
fn is_alive(state: &State, network: &Network, at: &RuntimeAttachment) -> bool {
    let (Ok(container), Ok(ifname)) = (at.container.parse(), at.ifname.parse()) else { return false };
    let key = Key { network: network.name.clone(), container, ifname, plugin: "firewall" };
    state.knows(&key) && Netns::open(Path::new(&at.netns)).is_ok()
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
    let (Some(intent), Some(plan), true) = (record.intent(), record.plan(), record.is_attached()) else {
        return Ok(Done::default());
    };
    let netns = Netns::open(&intent.netns).ok().filter(|netns| netns.id() == intent.netns_id);
    if netns.is_none() {
        return Ok(Done::default());
    }
    places.turn_to(netns);
    let repair = plan::repair(plan, places, state, key, extent);
    let put_back = |it: &plan::Difference| format!("{key}: put back {} ({})\n", it.step, it.found);
    let left = |it: &plan::Difference| format!("{key}: could not put back {}: {}", it.step, it.found);
    Ok(Done {
        put_back: repair.put_back.iter().map(put_back).collect(),
        left: repair.left.iter().map(left).collect(),
    })
}
