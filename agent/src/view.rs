//! What a store says of the nodes of its networks, as far as it is believed.
//!
//! # Theory of operation
//! A peer is who has a block. That a node is not heard withdraws nothing of it: it is suspect, no more. A block that another node has is that one's at once. One that
//! nobody has any more is forgotten a moment later ([`WAIT`]), for a way that leads to nobody is in nobody's way. If it turns out until then that very many
//! nodes have gone, so many as never go at once, it is the store that is sick (`store::Expiries`), or another one: brought back from an old copy, or from nothing. Then
//! what was known before stays for as long as dead nodes keep their blocks, unless somebody else has it.
//!
//! What was known when the agent last ran is among it: it is written down.
use crate::probe::{Limits, Target, Targets};
use cluster::{BlockNumber, Config, Key, NodeName, Router};
use plan::step::Peer;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};
use store::{Absences, Entry, Event, Expiries};
use types::{NetworkName, stable_hash};

/// One store, seen by one of its nodes.
#[derive(Debug)]
pub(crate) struct View {
    /// This node.
    node: NodeName,
    /// For how long dead nodes keep their blocks.
    dead_after: Duration,
    /// Where nodes are, or were when they were last heard of.
    vteps: BTreeMap<NodeName, IpAddr>,
    /// Those of which the store has a record.
    nodes: BTreeSet<NodeName>,
    /// What those have said.
    said: BTreeMap<NodeName, Said>,
    /// Those that live.
    lives: BTreeSet<NodeName>,
    networks: BTreeMap<NetworkName, Network>,
    expiries: Expiries,
    absences: Absences,
    /// When it was last found that the store is sick.
    fault: Option<Instant>,
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    incarnation: u64,
    /// What its link to the underlay carries, in bytes.
    mtu: Option<u32>,
}

#[derive(Debug, Default)]
struct Network {
    blocks: BTreeMap<BlockNumber, Known>,
    ids: Ids,
    /// Who has lost a block since conclusions were last drawn.
    bereft: BTreeSet<NodeName>,
}

/// The numbers by which the kernel knows a network's nodes: they stay with them.
#[derive(Debug, Default)]
struct Ids {
    of: BTreeMap<NodeName, u32>,
    taken: BTreeSet<u32>,
}

/// Whose a block is.
#[derive(Debug)]
struct Known {
    owner: NodeName,
    /// The store has it no more: until when it is believed all the same.
    until: Option<Instant>,
}

impl View {
    pub(crate) fn new(node: &NodeName, dead_after: Duration) -> Self {
        Self {
            node: node.clone(),
            dead_after,
            vteps: BTreeMap::new(),
            nodes: BTreeSet::new(),
            said: BTreeMap::new(),
            lives: BTreeSet::new(),
            networks: BTreeMap::new(),
            expiries: Expiries::default(),
            absences: Absences::default(),
            fault: None,
        }
    }

    /// What was written down of a network.
    pub(crate) fn recall(&mut self, network: &NetworkName, config: &Config, peers: Vec<Peer>) {
        let known = self.networks.entry(network.clone()).or_default();
        for Peer { node, vtep, id, blocks, .. } in peers {
            for number in blocks.iter().filter_map(|block| config.layout.number(*block)) {
                known.blocks.insert(number, Known { owner: node.clone(), until: None });
            }
            known.ids.keep(&node, id);
            self.vteps.insert(node, vtep);
        }
    }

    /// All that the store has now. `reset`: it is not the one that it was.
    pub(crate) fn begin(&mut self, entries: Vec<Entry>, reset: bool, now: Instant) {
        let silent: Vec<NodeName> = std::mem::take(&mut self.lives).into_iter().collect();
        self.nodes.clear();
        let mut there: BTreeSet<(NetworkName, BlockNumber)> = BTreeSet::new();
        for entry in entries {
            if let Entry::Block(network, number, _) = &entry {
                there.insert((network.clone(), *number));
            }
            self.written(entry);
        }
        for node in silent.into_iter().filter(|node| !self.lives.contains(node)) {
            self.expiries.ended(node, now);
        }
        if reset {
            self.find_fault(now);
        }
        let gone = self.networks.iter().flat_map(|(network, known)| {
            let missing = |number: &&BlockNumber| !there.contains(&(network.clone(), **number));
            known.blocks.keys().filter(missing).map(|number| (network.clone(), *number)).collect::<Vec<_>>()
        });
        for (network, number) in gone.collect::<Vec<_>>() {
            self.lost(&network, number, now);
        }
    }

    /// One change.
    pub(crate) fn learn(&mut self, event: Event, now: Instant) {
        match event {
            Event::Written(entry, _) => self.written(entry),
            Event::Gone(Key::Block(network, number), _) => self.lost(&network, number, now),
            Event::Gone(Key::Live(node), _) => {
                self.lives.remove(&node);
                self.expiries.ended(node, now);
            }
            Event::Gone(Key::Node(node), _) => {
                self.nodes.remove(&node);
            }
            Event::Gone(Key::Network(_) | Key::Vni(_) | Key::Subnet(_), _) => {}
        }
    }

    /// Draws its conclusions from all that it has learnt so far.
    pub(crate) fn conclude(&mut self, now: Instant) {
        for known in self.networks.values_mut() {
            let bereft = std::mem::take(&mut known.bereft);
            let left: BTreeSet<&NodeName> = known.standing().collect();
            // One that gives a block back has not gone.
            for node in bereft.iter().filter(|node| !left.contains(node)) {
                self.expiries.ended(node.clone(), now);
            }
        }
        if self.expiries.is_store_fault(self.vteps.len(), now) {
            self.find_fault(now);
        }
        if self.is_sick(now) {
            self.absences.forget();
        } else {
            self.absences.look(&self.nodes, &self.lives, now);
        }
        for known in self.networks.values_mut() {
            known.blocks.retain(|_, block| block.until.is_none_or(|until| until > now));
            let Network { blocks, ids, .. } = known;
            ids.retain(&blocks.values().map(|block| &block.owner).collect());
        }
        let owners: BTreeSet<&NodeName> = self
            .networks
            .values()
            .flat_map(|known| known.blocks.values())
            .map(|block| &block.owner)
            .collect();
        self.vteps.retain(|node, _| self.nodes.contains(node) || owners.contains(node));
        self.said.retain(|node, _| self.vteps.contains_key(node));
    }

    /// When it is time to conclude again, though nothing has changed.
    pub(crate) fn due(&self) -> Option<Instant> {
        let blocks = self.networks.values().flat_map(|known| known.blocks.values());
        blocks.filter_map(|block| block.until).min()
    }

    /// Who has blocks of a network, but for this node; in an order that is always the same.
    pub(crate) fn peers(&mut self, network: &NetworkName, config: &Config, own: IpAddr) -> Vec<Peer> {
        let Some(Network { blocks, ids, .. }) = self.networks.get_mut(network) else { return Vec::new() };
        let mut owned: BTreeMap<&NodeName, Vec<BlockNumber>> = BTreeMap::new();
        for (number, block) in blocks.iter().filter(|(_, block)| block.owner != self.node) {
            owned.entry(&block.owner).or_default().push(*number);
        }
        let mut peers = Vec::with_capacity(owned.len());
        for (node, numbers) in owned {
            // A tunnel is of one family; and whoever has this node's own address is what it was called before.
            let vtep = self.vteps.get(node).filter(|vtep| vtep.is_ipv4() == own.is_ipv4() && **vtep != own);
            let Some(vtep) = vtep.copied() else { continue };
            let blocks = numbers.iter().filter_map(|number| config.layout.block(*number)).flatten();
            peers.push(Peer {
                node: node.clone(),
                vtep,
                router: Router::of(config.vni, vtep).mac,
                id: ids.of(node),
                blocks: blocks.collect(),
                mtu: None,
            });
        }
        peers
    }

    /// The ways to other nodes, as wide as the near end of each that is known, in bytes, and as what the node says of the far one.
    pub(crate) fn ways(&self, near_end: impl Fn(IpAddr) -> Option<u32>) -> Targets {
        let mut ways = Targets::new();
        for (node, vtep) in self.vteps.iter().filter(|(node, _)| **node != self.node) {
            let Some(near) = near_end(*vtep) else { continue };
            let (said, suspect) = (self.said.get(node), !self.lives.contains(node));
            let carries = said.and_then(|said| said.mtu).map_or(near, |far| near.min(far));
            let incarnation = said.map(|said| said.incarnation);
            let way = Target { node: node.clone(), incarnation, carries, suspect };
            // One that was renamed is at its address under both names.
            if !suspect || !ways.contains_key(vtep) {
                ways.insert(*vtep, way);
            }
        }
        ways
    }

    /// What other nodes say that their links carry, in bytes, by where they are. Of one that was renamed, what it said last.
    pub(crate) fn far_ends(&self) -> Limits {
        let others = self.vteps.iter().filter(|(node, _)| **node != self.node);
        let mut all: Vec<_> =
            others.filter_map(|(node, vtep)| Some((node, *vtep, self.said.get(node)?.mtu?))).collect();
        all.sort_by_key(|(node, ..)| self.lives.contains(*node));
        all.into_iter().map(|(_, vtep, mtu)| (vtep, mtu)).collect()
    }

    /// Nodes with blocks of a network that are not heard.
    pub(crate) fn suspects(&self, network: &NetworkName) -> Vec<NodeName> {
        let owners = self.networks.get(network).into_iter().flat_map(|known| known.blocks.values());
        let silent = owners.map(|block| &block.owner).filter(|owner| !self.lives.contains(*owner));
        silent.filter(|owner| **owner != self.node).collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    /// How many other nodes have blocks of a network.
    pub(crate) fn count(&self, network: &NetworkName) -> usize {
        let blocks = self.networks.get(network).into_iter().flat_map(|known| known.blocks.values());
        blocks.map(|block| &block.owner).filter(|owner| **owner != self.node).collect::<BTreeSet<_>>().len()
    }

    /// Whether nothing is concluded from what is missing.
    pub(crate) fn is_sick(&self, now: Instant) -> bool {
        self.fault.is_some_and(|since| now.saturating_duration_since(since) <= CONVALESCENCE)
    }

    /// The store can't be heard: who lives, nobody knows.
    pub(crate) fn deafen(&mut self) {
        self.absences.forget();
    }

    /// Who has not been heard for so long that its blocks are to be taken, if this is the node to do it: the first of those that live.
    pub(crate) fn dead(&self, now: Instant) -> Vec<NodeName> {
        if self.is_sick(now) || self.lives.first() != Some(&self.node) {
            return Vec::new();
        }
        self.absences.dead(self.dead_after, now).cloned().collect()
    }

    fn written(&mut self, entry: Entry) {
        match entry {
            Entry::Node(node, record) => {
                self.vteps.insert(node.clone(), record.vtep);
                self.said.insert(node.clone(), Said { incarnation: record.incarnation, mtu: record.mtu });
                self.nodes.insert(node);
            }
            Entry::Live(node, _) => {
                // Its end may come before the next conclusion.
                self.absences.heard(&node);
                self.lives.insert(node);
            }
            Entry::Block(network, number, owner) => {
                let known = self.networks.entry(network).or_default();
                known.blocks.insert(number, Known { owner: owner.node, until: None });
            }
            Entry::Network(..) | Entry::Other { .. } => {}
        }
    }

    /// A block is nobody's any more, the store says.
    fn lost(&mut self, network: &NetworkName, number: BlockNumber, now: Instant) {
        let wait = if self.is_sick(now) { self.dead_after } else { WAIT };
        let Some(known) = self.networks.get_mut(network) else { return };
        let Some(block) = known.blocks.get_mut(&number).filter(|block| block.until.is_none()) else { return };
        if block.owner == self.node {
            known.blocks.remove(&number);
        } else {
            block.until = Some(now + wait);
            known.bereft.insert(block.owner.clone());
        }
    }

    fn find_fault(&mut self, now: Instant) {
        if !self.is_sick(now) {
            tracing::error!(node = %self.node, "the store has lost very many nodes at once: it is at fault, and nothing is withdrawn");
        }
        self.fault = Some(now);
        for block in self.networks.values_mut().flat_map(|known| known.blocks.values_mut()) {
            block.until = block.until.map(|_| now + self.dead_after);
        }
    }
}

impl Network {
    /// Who has a block that the store has, too.
    fn standing(&self) -> impl Iterator<Item = &NodeName> {
        self.blocks.values().filter(|block| block.until.is_none()).map(|block| &block.owner)
    }
}

impl Ids {
    /// A node's: by its name's hash, and the next where another has that. None is 0.
    fn of(&mut self, node: &NodeName) -> u32 {
        if let Some(id) = self.of.get(node) {
            return *id;
        }
        let first = u32::try_from(stable_hash(&["next hop", node.as_str()]) >> 32).unwrap_or_default();
        let is_free = |id: &u32| *id != 0 && !self.taken.contains(id);
        let id = (first..u32::MAX).chain(1..u32::MAX).find(is_free).unwrap_or(1);
        self.keep(node, id);
        id
    }

    fn keep(&mut self, node: &NodeName, id: u32) {
        self.of.insert(node.clone(), id);
        self.taken.insert(id);
    }

    fn retain(&mut self, nodes: &BTreeSet<&NodeName>) {
        self.of.retain(|node, _| nodes.contains(node));
        self.taken = self.of.values().copied().collect();
    }
}

/// How long what has gone from the store is believed: whatever else goes within this time, goes together with it.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// For how long after it was found sick nothing is concluded: nodes that live are heard again by then.
const CONVALESCENCE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{DEAD_AFTER, LiveRecord, NodeRecord};
    use serde_json::json;
    use store::{Owner, Revision};

    fn config() -> Config {
        let store = json!({"type": "etcd", "endpoints": ["http://127.0.0.1"]});
        Config::of(&json!({"vni": 7, "subnets": ["10.42.0.0/16", "fd42::/48"], "store": store})).unwrap()
    }

    fn net() -> NetworkName {
        "net".parse().unwrap()
    }

    fn name(number: u32) -> NodeName {
        format!("n{number}").parse().unwrap()
    }

    fn own() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    /// What a node has in the store: itself, its life, and the block of its number.
    fn entries(number: u32) -> Vec<Entry> {
        let record = NodeRecord {
            vtep: format!("192.0.2.{number}").parse().unwrap(),
            incarnation: 1,
            boot: "b".into(),
            mtu: None,
        };
        vec![
            Entry::Node(name(number), record),
            Entry::Live(name(number), LiveRecord { incarnation: 1 }),
            block(number, number),
        ]
    }

    fn block(number: u32, owner: u32) -> Entry {
        Entry::Block(net(), BlockNumber(number), Owner { node: name(owner), epoch: 5 })
    }

    fn all(nodes: impl IntoIterator<Item = u32>) -> Vec<Entry> {
        nodes.into_iter().flat_map(entries).collect()
    }

    /// The view of the first of so many nodes.
    fn view(nodes: u32, now: Instant) -> View {
        let mut view = View::new(&name(1), DEAD_AFTER);
        view.begin(all(1..=nodes), false, now);
        view.conclude(now);
        view
    }

    fn known(view: &mut View) -> Vec<String> {
        view.peers(&net(), &config(), own()).iter().map(|peer| peer.node.to_string()).collect()
    }

    fn gone(view: &mut View, key: Key, now: Instant) {
        view.learn(Event::Gone(key, Revision::default()), now);
        view.conclude(now);
    }

    fn second(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_peer_is_who_has_a_block_whether_it_is_heard_or_not() {
        let start = Instant::now();
        let mut view = view(3, start);
        assert_eq!(known(&mut view), ["n2", "n3"]);
        let two = &view.peers(&net(), &config(), own())[0];
        assert_eq!((two.vtep.to_string(), two.blocks.len()), ("192.0.2.2".into(), 2));
        assert_eq!(two.blocks[0].to_string(), "10.42.0.128/26");
        gone(&mut view, Key::Live(name(2)), start);
        view.conclude(second(start, 100_000));
        assert_eq!((known(&mut view).len(), view.suspects(&net())), (2, vec![name(2)]));
    }

    #[test]
    fn a_block_goes_a_while_after_the_store_has_lost_it_and_at_once_to_another() {
        let start = Instant::now();
        let mut view = view(9, start);
        gone(&mut view, Key::Block(net(), BlockNumber(2)), start);
        assert_eq!((known(&mut view).len(), view.due()), (8, Some(start + WAIT)));
        view.conclude(second(start, 11));
        assert_eq!(known(&mut view).len(), 7);
        view.learn(Event::Written(block(3, 4), Revision::default()), start);
        let peers = view.peers(&net(), &config(), own());
        let four = peers.iter().find(|peer| peer.node == name(4)).unwrap();
        assert_eq!((four.blocks.len(), peers.len()), (4, 6), "the third has nothing left");
    }

    #[test]
    fn a_store_that_loses_very_many_at_once_is_not_believed() {
        let start = Instant::now();
        let mut view = view(9, start);
        for number in 2..=5 {
            gone(&mut view, Key::Block(net(), BlockNumber(number)), second(start, number.into()));
        }
        assert!(view.is_sick(second(start, 5)) && !view.is_sick(second(start, 66)));
        view.conclude(second(start, 3600));
        assert_eq!(known(&mut view).len(), 8);
        // What comes back is as it was, and what does not is nobody's after a day.
        view.begin(all([1, 2, 3, 4, 6, 7, 8, 9]), false, second(start, 3600));
        view.conclude(second(start, 3600 * 25));
        assert_eq!(known(&mut view), ["n2", "n3", "n4", "n6", "n7", "n8", "n9"]);
    }

    #[test]
    fn a_store_that_begins_anew_is_not_believed_though_it_has_lost_a_single_node() {
        let start = Instant::now();
        let mut view = view(2, start);
        view.begin(Vec::new(), true, start);
        view.conclude(second(start, 100));
        assert_eq!(known(&mut view), ["n2"]);
        // Somebody else has its block now, and it another one.
        view.begin([all([1, 3]), vec![block(2, 3)]].concat(), false, second(start, 200));
        view.conclude(second(start, 200));
        assert_eq!(known(&mut view), ["n3"]);
    }

    #[test]
    fn what_was_written_down_is_believed_until_the_store_has_said_otherwise_for_a_while() {
        let start = Instant::now();
        let peers = view(9, start).peers(&net(), &config(), own());
        let mut later = View::new(&name(1), DEAD_AFTER);
        later.recall(&net(), &config(), peers.clone());
        assert_eq!(later.peers(&net(), &config(), own()), peers);
        later.begin(all(1..=8), false, start);
        later.conclude(start);
        assert_eq!(known(&mut later).len(), 8);
        later.conclude(second(start, 11));
        assert_eq!(known(&mut later).len(), 7);
        let mut empty = View::new(&name(1), DEAD_AFTER);
        empty.recall(&net(), &config(), peers);
        empty.begin(Vec::new(), false, start);
        empty.conclude(start);
        empty.conclude(second(start, 100));
        assert_eq!(known(&mut empty).len(), 8, "all of them at once");
    }

    #[test]
    fn a_node_keeps_its_number_and_no_other_has_it() {
        let start = Instant::now();
        let mut view = view(200, start);
        let ids = |view: &mut View| -> BTreeMap<NodeName, u32> {
            view.peers(&net(), &config(), own()).into_iter().map(|peer| (peer.node, peer.id)).collect()
        };
        let before = ids(&mut view);
        let different: BTreeSet<u32> = before.values().copied().collect();
        assert!(different.len() == 199 && !different.contains(&0));
        let taken = before[&name(2)];
        let mut ids = Ids::default();
        ids.keep(&name(1), taken);
        assert_eq!((ids.of(&name(2)), ids.of(&name(1))), (taken + 1, taken));
        ids.retain(&BTreeSet::new());
        assert_eq!(ids.of(&name(2)), taken);
    }

    #[test]
    fn the_dead_are_taken_from_by_the_first_that_lives_and_never_after_a_fault() {
        let start = Instant::now();
        let mut view = view(20, start);
        gone(&mut view, Key::Live(name(3)), start);
        let day = DEAD_AFTER.as_secs();
        let dead = |view: &mut View, seconds| {
            view.conclude(second(start, seconds));
            view.dead(second(start, seconds))
        };
        assert_eq!(dead(&mut view, day - 1), []);
        assert_eq!(dead(&mut view, day), [name(3)]);
        // Back for so short a time that it is gone again before anything is concluded.
        view.written(entries(3).remove(1));
        view.learn(Event::Gone(Key::Live(name(3)), Revision::default()), second(start, day));
        assert_eq!(dead(&mut view, day), []);
        assert_eq!(dead(&mut view, 2 * day), [name(3)]);
        let mut second_view = View::new(&name(2), DEAD_AFTER);
        second_view.begin(all((1..=20).filter(|number| *number != 3)), false, start);
        second_view.written(entries(3).remove(0));
        second_view.conclude(start);
        assert_eq!(dead(&mut second_view, day), [], "the first does it");
        view.deafen();
        assert_eq!(dead(&mut view, day + 1), [], "it may have been heard meanwhile");
        assert_eq!(dead(&mut view, 2 * day + 1), [name(3)]);
        for number in 4..=9 {
            gone(&mut view, Key::Live(name(number)), second(start, 2 * day + 2));
        }
        assert_eq!(dead(&mut view, 2 * day + 3), []);
    }

    #[test]
    fn who_is_on_an_underlay_of_another_family_or_at_this_nodes_own_address_is_no_peer() {
        let start = Instant::now();
        let mut view = view(3, start);
        for (number, vtep) in [(2, "2001:db8::2"), (3, "192.0.2.1")] {
            let record =
                NodeRecord { vtep: vtep.parse().unwrap(), incarnation: 1, boot: "b".into(), mtu: None };
            view.written(Entry::Node(name(number), record));
        }
        assert_eq!(known(&mut view).len(), 0);
    }
    #[test]
    fn a_way_is_as_wide_as_its_narrower_end_and_one_of_two_names_is_that_which_lives() {
        let start = Instant::now();
        let mut view = view(4, start);
        let said = |number: u32, vtep: u32, mtu: u32| {
            let vtep = format!("192.0.2.{vtep}").parse().unwrap();
            Entry::Node(name(number), NodeRecord { vtep, incarnation: 3, boot: "b".into(), mtu: Some(mtu) })
        };
        view.written(said(2, 2, 1400));
        view.written(said(3, 3, 9000));
        // It has the address of the third, which is what it was called before.
        view.written(said(4, 3, 4000));
        gone(&mut view, Key::Live(name(3)), start);
        let at = |last: u32| format!("192.0.2.{last}").parse::<IpAddr>().unwrap();
        let ways = view.ways(|to| (to != at(1)).then_some(1500));
        let way = |node, carries| Target { node: name(node), incarnation: Some(3), carries, suspect: false };
        assert_eq!(ways, Targets::from([(at(2), way(2, 1400)), (at(3), way(4, 1500))]));
        assert_eq!(view.far_ends(), Limits::from([(at(2), 1400), (at(3), 4000)]));
        gone(&mut view, Key::Live(name(2)), start);
        assert!(view.ways(|_| Some(1500))[&at(2)].suspect);
        assert_eq!(view.ways(|_| None), Targets::new());
    }
}
