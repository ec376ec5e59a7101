//! The transactions beside a real etcd, by many nodes at once, and killed while they are at it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use cluster::{BlockNumber, Folder, Key, LeasedBlock, NetworkRecord, NodeName, NodeRecord};
use etcd::{Client, Endpoint, Keys, Options, Revision};
use futures_util::future::join_all;
use netlab::{Etcd, Host, PATIENCE, soon};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    future::Future,
    process::ExitCode,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};
use store::{Difference, Entry, Error, Event, Left, Life, Registered, Rest, Store, difference};
use types::NetworkName;

fn main() -> ExitCode {
    netlab::main(netlab::with_etcd(netlab::trials![
        networks_share_neither_name_nor_vni_nor_address,
        of_many_whose_subnets_overlap_one_is_registered,
        a_network_goes_when_no_node_owns_a_block_of_it,
        who_leaves_a_network_gives_back_what_is_its_own,
        a_node_goes_with_its_blocks_whether_it_has_a_record_or_not,
        a_block_has_one_owner_though_64_race_and_etcd_is_killed,
        a_block_whose_answer_was_lost_is_found_again,
        a_block_that_the_store_has_forgotten_is_leased_again_unless_somebody_has_it,
        a_block_is_leased_of_the_very_network_only,
        a_full_network_says_so,
        a_life_goes_on_after_the_store_has_let_it_go,
        a_later_life_is_not_overwritten,
        two_machines_of_one_name_are_told_apart,
        what_was_taken_from_a_node_is_lost_to_it_for_ever,
        nothing_is_taken_from_a_node_that_comes_back,
        a_watch_goes_on_where_the_snapshot_ends,
    ]))
}

fn networks_share_neither_name_nor_vni_nor_address() {
    with_etcd(async |etcd, store| {
        let net = record(1, &["10.42.0.0/16", "fd42::/48"], 26);
        assert_eq!(store.register(&name("a"), &net).await.unwrap(), Registered::Now);
        assert_eq!(store.register(&name("a"), &net).await.unwrap(), Registered::Before);
        let before = etcd.ctl(&["get", "--prefix", "/"]).unwrap();
        for (network, record, words) in [
            (
                "a",
                record(2, &["10.43.0.0/16"], 26),
                "there is a network a in the store, with VNI 1 and 10.42.0.0/16 and fd42::/48",
            ),
            ("b", record(1, &["10.43.0.0/16"], 26), "VNI 1 is network a's"),
            (
                "b",
                record(2, &["10.42.0.0/16"], 26),
                "subnet 10.42.0.0/16 shares addresses with 10.42.0.0/16, which is network a's",
            ),
            (
                "b",
                record(2, &["10.42.3.0/24"], 28),
                "subnet 10.42.3.0/24 shares addresses with 10.42.0.0/16, which is network a's",
            ),
            (
                "b",
                record(2, &["10.43.0.0/16", "fd42::/32"], 26),
                "subnet fd42::/32 shares addresses with fd42::/48, which is network a's",
            ),
        ] {
            assert_eq!(store.register(&name(network), &record).await.unwrap_err().to_string(), words);
        }
        assert_eq!(etcd.ctl(&["get", "--prefix", "/"]).unwrap(), before);
        assert_eq!(store.network(&name("a")).await.unwrap(), net);
        store.register(&name("b"), &record(2, &["10.43.0.0/16"], 26)).await.unwrap();
    });
}

fn of_many_whose_subnets_overlap_one_is_registered() {
    with_etcd(async |etcd, _| {
        for round in 0..5u8 {
            let tasks = (0..32u32).map(|number| {
                let store = open(etcd);
                let length = 16 + number % 8;
                let record =
                    record(1 + u32::from(round) * 100 + number, &[&format!("10.{round}.0.0/{length}")], 26);
                tokio::spawn(
                    async move { store.register(&name(&format!("net-{round}-{number}")), &record).await },
                )
            });
            let mut registered = 0;
            for task in tasks.collect::<Vec<_>>() {
                match task.await.unwrap() {
                    Ok(_) => registered += 1,
                    Err(error) => assert!(matches!(error, Error::SubnetTaken { .. }), "{error}"),
                }
            }
            assert_eq!(registered, 1);
        }
    });
}

fn a_network_goes_when_no_node_owns_a_block_of_it() {
    with_etcd(async |etcd, store| {
        let (net, a) = (name("net"), name("a"));
        let record = registered(&store, &["10.42.0.0/24"], 28).await;
        let block = store.lease_block(&net, &record, &a, &[]).await.unwrap();
        let said = store.unregister(&net).await.unwrap_err();
        assert_eq!(said.to_string(), "nodes own 1 of the blocks of network net");
        store.release_block(&net, &a, block).await.unwrap();
        store.release_block(&net, &a, block).await.unwrap();
        store.unregister(&net).await.unwrap();
        assert_eq!(etcd.ctl(&["get", "--prefix", "/"]).unwrap(), "");
        assert!(matches!(store.unregister(&net).await, Err(Error::NoNetwork { .. })));
        let said = store.lease_block(&net, &record, &a, &[]).await.unwrap_err();
        assert!(matches!(said, Error::NoNetwork { .. }), "{said}");
    });
}

fn who_leaves_a_network_gives_back_what_is_its_own() {
    with_etcd(async |etcd, store| {
        let (net, a, b) = (name("net"), name::<NodeName>("a"), name::<NodeName>("b"));
        let net_record = registered(&store, &["10.42.0.0/24"], 28).await;
        let mut holds = Vec::new();
        for _ in 0..3 {
            holds.push(store.lease_block(&net, &net_record, &a, &holds).await.unwrap());
        }
        store.lease_block(&net, &net_record, &b, &[]).await.unwrap();
        let leaves = async |node: &NodeName, record: &NetworkRecord| {
            let Left { given_back, network } = store.leave(&net, record, node).await.unwrap();
            (given_back, network)
        };
        let before = etcd.ctl(&["get", "--prefix", "/"]).unwrap();
        assert_eq!(leaves(&a, &record(7, &["10.42.0.0/24"], 27)).await, (0, Rest::Another));
        assert_eq!(etcd.ctl(&["get", "--prefix", "/"]).unwrap(), before);
        assert_eq!(leaves(&a, &net_record).await, (3, Rest::InUse { blocks: 1, node: b.clone() }));
        assert_eq!(leaves(&a, &net_record).await, (0, Rest::InUse { blocks: 1, node: b.clone() }));
        assert_eq!(leaves(&b, &net_record).await, (1, Rest::Gone));
        assert_eq!(leaves(&b, &net_record).await, (0, Rest::Gone));
        assert_eq!(etcd.ctl(&["get", "--prefix", "/"]).unwrap(), "");
    });
}

fn a_node_goes_with_its_blocks_whether_it_has_a_record_or_not() {
    with_etcd(async |etcd, store| {
        let (net, a, b) = (name("net"), name::<NodeName>("a"), name::<NodeName>("b"));
        let record = registered(&store, &["10.42.0.0/24"], 28).await;
        let block = store.lease_block(&net, &record, &a, &[]).await.unwrap();
        let reaped = store.remove_node(&a, false).await.unwrap().blocks;
        assert_eq!(reaped, [(net.clone(), block.number)]);
        assert!(matches!(store.remove_node(&a, false).await, Err(Error::NoNode { .. })));

        let mut life = lives(&store, "b").await;
        store.lease_block(&net, &record, &b, &[]).await.unwrap();
        let before = etcd.ctl(&["get", "--prefix", "/"]).unwrap();
        assert!(matches!(store.remove_node(&b, false).await, Err(Error::Alive { .. })));
        assert_eq!(etcd.ctl(&["get", "--prefix", "/"]).unwrap(), before);
        assert_eq!(store.remove_node(&b, true).await.unwrap().blocks.len(), 1);
        assert_eq!(etcd.ctl(&["get", "--prefix", "/sealane/v1/node/"]).unwrap(), "");
        assert!(life.keep().await.unwrap(), "it notices");
    });
}

fn a_block_has_one_owner_though_64_race_and_etcd_is_killed() {
    let host = Host::new().unwrap();
    let mut etcd = Etcd::new(&host, 1);
    let record = block_on(async { registered(&open(&etcd), &["10.42.0.0/19"], 26).await });
    let kills = AtomicU32::new(0);
    let nodes: Vec<_> = (0..64).map(|number| (name(&format!("worker-{number}")), hasty(&etcd))).collect();
    let held = thread::scope(|scope| {
        // A thread begins in the namespace of the one that it comes from.
        let killer = scope.spawn(|| kill_now_and_then(&mut etcd, &kills));
        let held = block_on(async {
            let races = nodes.iter().map(|(node, store)| race(store, &record, node, &kills));
            join_all(races).await
        });
        killer.join().unwrap();
        held
    });
    let held: BTreeMap<_, _> = nodes.into_iter().map(|(node, _)| node).zip(held).collect();
    block_on(async {
        let store = open(&etcd);
        let mut owners = BTreeMap::new();
        let mut epochs = BTreeMap::new();
        let history = history(&client(&etcd), &store, &Folder::Blocks(name("net"))).await;
        assert!(history.len() > 300, "{}", history.len());
        for (event, at) in history {
            match event {
                Event::Written(Entry::Block(_, number, block), _) => {
                    let earlier = owners.insert(number, block.node.clone());
                    assert_eq!(earlier, None, "block {number} had two owners at {at}");
                    let earlier = epochs.insert(number, block.epoch);
                    assert!(earlier.is_none_or(|earlier| earlier < block.epoch), "block {number} at {at}");
                }
                Event::Gone(Key::Block(_, number), _) => assert!(owners.remove(&number).is_some()),
                other => panic!("{other:?}"),
            }
        }
        let mut owned: BTreeMap<NodeName, BTreeSet<BlockNumber>> = BTreeMap::new();
        for (number, node) in owners {
            owned.entry(node).or_default().insert(number);
        }
        let numbers = |holds: Vec<LeasedBlock>| holds.into_iter().map(|block| block.number).collect();
        assert_eq!(owned, held.into_iter().map(|(node, holds)| (node, numbers(holds))).collect());
    });
}

fn kill_now_and_then(etcd: &mut Etcd, kills: &AtomicU32) {
    let revision = |etcd: &Etcd| {
        let said = etcd.ctl(&["-w", "json", "get", "/"]).unwrap();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        said["header"]["revision"].as_i64().unwrap()
    };
    for _ in 0..KILLS {
        let before = revision(etcd);
        assert!(soon(|| revision(etcd) > before + 100), "nobody races");
        etcd.kill(0);
        etcd.restart(0);
        kills.fetch_add(1, Ordering::Relaxed);
    }
}

/// A node that leases and gives back until etcd was killed often enough, and then keeps two. What it gives back it holds no more, whatever becomes of that, and
/// gives back until it knows.
async fn race(store: &Store, record: &NetworkRecord, node: &NodeName, kills: &AtomicU32) -> Vec<LeasedBlock> {
    let (net, mut holds, mut leaves, mut was_answered) = (name("net"), Vec::new(), None, true);
    loop {
        if leaves.is_none() && holds.len() == 2 {
            if kills.load(Ordering::Relaxed) >= KILLS {
                return holds;
            }
            leaves = holds.pop();
        }
        let done = match leaves {
            Some(block) => store.release_block(&net, node, block).await.map(|()| leaves = None),
            None => store.lease_block(&net, record, node, &holds).await.map(|block| holds.push(block)),
        };
        match done {
            Ok(()) => was_answered = true,
            // It was given back, and somebody has leased it since.
            Err(Error::NotTheOwner { .. }) if !was_answered => leaves = None,
            Err(error) => {
                assert!(error.is_absence() || matches!(error, Error::Contended { .. }), "{error}");
                was_answered = false;
            }
        }
    }
}

fn a_block_whose_answer_was_lost_is_found_again() {
    with_etcd(async |_, store| {
        let (net, a) = (name("net"), name("a"));
        let record = registered(&store, &["10.42.0.0/24"], 28).await;
        let lost = store.lease_block(&net, &record, &a, &[]).await.unwrap();
        assert_eq!(store.lease_block(&net, &record, &a, &[]).await.unwrap(), lost);
        let other = store.lease_block(&net, &record, &a, &[lost]).await.unwrap();
        assert_ne!(other.number, lost.number);
        let entries = store.snapshot(&[Folder::Blocks(net.clone())]).await.unwrap().entries;
        let unknown = difference(&net, &a, &[other], &entries);
        assert_eq!(unknown, Difference { lost: vec![], unknown: vec![lost] });
    });
}

fn a_block_that_the_store_has_forgotten_is_leased_again_unless_somebody_has_it() {
    with_etcd(async |etcd, store| {
        let record = registered(&store, &["10.42.0.0/24"], 28).await;
        let (net, a, b) = (name("net"), name("a"), name("b"));
        let before = store.lease_block(&net, &record, &a, &[]).await.unwrap();
        let again = store.lease_again(&net, &a, before.number).await.unwrap();
        assert_eq!(again, Some(before), "it has it");
        assert_eq!(store.lease_again(&net, &b, before.number).await.unwrap(), None);
        etcd.ctl(&["del", "--prefix", "/sealane/v1/blk/"]).unwrap();
        let again = store.lease_again(&net, &a, before.number).await.unwrap().unwrap();
        assert!(again.number == before.number && again.epoch > before.epoch, "{again:?}");
        assert_eq!(store.lease_again(&net, &b, before.number).await.unwrap(), None);
        etcd.ctl(&["del", "--prefix", "/sealane/v1/"]).unwrap();
        let said = store.lease_again(&net, &a, before.number).await.unwrap_err();
        assert!(matches!(said, Error::NoNetwork { .. }), "{said}");
    });
}

fn a_block_is_leased_of_the_very_network_only() {
    with_etcd(async |_, store| {
        registered(&store, &["10.42.0.0/24"], 28).await;
        let other = record(7, &["10.42.0.0/24"], 27);
        let said = store.lease_block(&name("net"), &other, &name("a"), &[]).await.unwrap_err();
        assert_eq!(
            said.to_string(),
            "network net is another one in the store: VNI 7, 10.42.0.0/24 in blocks of /28"
        );
    });
}

fn a_full_network_says_so() {
    with_etcd(async |_, store| {
        let record = registered(&store, &["10.42.0.0/24"], 28).await;
        let (net, mut numbers) = (name("net"), BTreeSet::new());
        for node in 0..16 {
            let node = name(&format!("worker-{node}"));
            numbers.insert(store.lease_block(&net, &record, &node, &[]).await.unwrap().number);
        }
        assert_eq!(numbers, (0..16).map(BlockNumber).collect());
        let said = store.lease_block(&net, &record, &name("late"), &[]).await.unwrap_err();
        assert_eq!(said.to_string(), "all 16 blocks of network net are owned");
    });
}

fn a_life_goes_on_after_the_store_has_let_it_go() {
    with_etcd(async |etcd, store| {
        let mut life = lives(&store, "a").await;
        let lives = || etcd.ctl(&["get", "--print-value-only", "/sealane/v1/live/a"]).unwrap();
        assert_eq!(lives(), r#"{"incarnation":1}"#);
        assert!(!life.keep().await.unwrap());
        let lease = etcd.ctl(&["lease", "list"]).unwrap().lines().last().unwrap().to_owned();
        etcd.ctl(&["lease", "revoke", &lease]).unwrap();
        assert_eq!(lives(), "");
        assert!(life.keep().await.unwrap());
        assert_eq!(lives(), r#"{"incarnation":1}"#);

        // It is not heard again before it has been announced.
        let lease = etcd.ctl(&["lease", "list"]).unwrap().lines().last().unwrap().to_owned();
        etcd.ctl(&["lease", "revoke", &lease]).unwrap();
        let record = etcd.ctl(&["get", "--print-value-only", "/sealane/v1/node/a"]).unwrap();
        etcd.ctl(&["put", "/sealane/v1/node/a", "no record"]).unwrap();
        assert!(life.keep().await.is_err());
        etcd.ctl(&["put", "/sealane/v1/node/a", record.trim()]).unwrap();
        assert!(life.keep().await.unwrap());
        assert_eq!(lives(), r#"{"incarnation":1}"#);

        // A process that was killed leaves its key; the next one takes it over, and ends it.
        drop(life);
        let next = store.live(&name("a"), 1).await.unwrap();
        next.end().await.unwrap();
        assert_eq!(lives(), "");
    });
}

fn a_later_life_is_not_overwritten() {
    with_etcd(async |etcd, store| {
        let mut former = lives(&store, "a").await;
        let lease = etcd.ctl(&["lease", "list"]).unwrap().lines().last().unwrap().to_owned();
        let next =
            store.begin(&name("a"), "192.0.2.1".parse().unwrap(), None, "the next boot").await.unwrap();
        let later = store.live(&name("a"), next.incarnation).await.unwrap();
        assert_eq!(later.incarnation(), 2);
        etcd.ctl(&["lease", "revoke", &lease]).unwrap();
        let said = former.keep().await.unwrap_err();
        assert_eq!(said.to_string(), "node a lives a life 2, and this is its life 1");
        let there = etcd.ctl(&["get", "--print-value-only", "/sealane/v1/live/a"]).unwrap();
        assert_eq!(there, r#"{"incarnation":2}"#);
        let moved =
            store.begin(&name("a"), "192.0.2.9".parse().unwrap(), None, "the next boot").await.unwrap();
        assert_eq!((moved.incarnation, store.node(&name("a")).await.unwrap()), (2, Some(moved.clone())));
        // It carries more now: the same life.
        let wider = store.begin(&name("a"), moved.vtep, Some(9000), "the next boot").await.unwrap();
        assert_eq!(store.node(&name("a")).await.unwrap(), Some(wider.clone()));
        assert_eq!(wider, NodeRecord { mtu: Some(9000), ..moved });
    });
}

fn two_machines_of_one_name_are_told_apart() {
    with_etcd(async |etcd, store| {
        let (a, here, there) = (name("a"), "192.0.2.1".parse().unwrap(), "192.0.2.9".parse().unwrap());
        let begun =
            async |vtep, boot| store.begin(&a, vtep, None, boot).await.map(|record| record.incarnation);
        let refused = |error: Error| {
            assert_eq!(error.to_string(), "node a lives on another machine, at 192.0.2.1");
        };
        begun(here, "this boot").await.unwrap();
        store.refuse_namesake(&a, "its boot").await.unwrap();
        let life = store.live(&a, 1).await.unwrap();
        refused(begun(there, "its boot").await.unwrap_err());
        refused(store.refuse_namesake(&a, "its boot").await.unwrap_err());
        assert_eq!(store.node(&a).await.unwrap().unwrap().vtep, here);
        // The same machine: with another address, or booted anew.
        store.refuse_namesake(&a, "this boot").await.unwrap();
        assert_eq!(begun(there, "this boot").await.unwrap(), 1);
        assert_eq!(begun(there, "the next boot").await.unwrap(), 2);

        // Where nobody lives, it is one that takes another's place. Who had it does not live beside it.
        life.end().await.unwrap();
        assert_eq!(begun(here, "its boot").await.unwrap(), 3);
        let said = store.live(&a, 2).await.unwrap_err();
        assert_eq!(said.to_string(), "node a lives a life 3, and this is its life 2");
        assert_eq!(etcd.ctl(&["get", "--print-value-only", "/sealane/v1/live/a"]).unwrap(), "");
    });
}

fn what_was_taken_from_a_node_is_lost_to_it_for_ever() {
    with_etcd(async |_, store| {
        let (net, a, b) = (name("net"), name("a"), name("b"));
        let record = registered(&store, &["10.42.0.0/24"], 28).await;
        let life = lives(&store, "a").await;
        let mut holds = Vec::new();
        for _ in 0..16 {
            holds.push(store.lease_block(&net, &record, &a, &holds).await.unwrap());
        }
        assert!(matches!(store.reap(&a).await, Err(Error::Alive { .. })));
        assert!(matches!(store.reap(&b).await, Err(Error::NoNode { .. })));
        life.end().await.unwrap();
        let reaped = store.reap(&a).await.unwrap().blocks;
        assert_eq!(reaped, (0..16).map(|number| (net.clone(), BlockNumber(number))).collect::<Vec<_>>());

        // The same block, nobody's, another node's, or its own anew: the old one is lost in any case.
        let old = holds[0];
        let entries = async || store.snapshot(&[Folder::Blocks(net.clone())]).await.unwrap().entries;
        let lost = |entries: &[Entry]| difference(&net, &a, &[old], entries).lost;
        assert_eq!(lost(&entries().await), [old]);
        let mut others = Vec::new();
        for _ in 0..16 {
            others.push(store.lease_block(&net, &record, &b, &others).await.unwrap());
        }
        let theirs = others.iter().find(|block| block.number == old.number).unwrap();
        assert!(theirs.epoch > old.epoch);
        assert_eq!(lost(&entries().await), [old]);
        let said = store.release_block(&net, &a, old).await.unwrap_err();
        assert_eq!(said.to_string(), format!("block {} of network net is node b's", old.number));
        store.release_block(&net, &b, *theirs).await.unwrap();
        let again = store.lease_block(&net, &record, &a, &[]).await.unwrap();
        assert_eq!(again.number, old.number);
        assert_eq!(lost(&entries().await), [old]);
    });
}

fn nothing_is_taken_from_a_node_that_comes_back() {
    with_etcd(async |etcd, store| {
        let (net, a) = (name("net"), name::<NodeName>("a"));
        let record = registered(&store, &["10.42.0.0/24"], 28).await;
        store.begin(&a, "192.0.2.1".parse().unwrap(), None, "this boot").await.unwrap();
        let reaper = open(etcd);
        let reaping = tokio::spawn(async move {
            loop {
                match reaper.reap(&name("a")).await {
                    Ok(_) | Err(Error::Alive { .. } | Error::Contended { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        // Until it was often enough in time, and too late.
        let (mut taken, mut kept) = (0, 0);
        while taken < 20 || kept < 20 {
            let block = store.lease_block(&net, &record, &a, &[]).await.unwrap();
            let life = store.live(&a, 1).await.unwrap();
            let entries = store.snapshot(&[Folder::Blocks(net.clone())]).await.unwrap().entries;
            if difference(&net, &a, &[block], &entries).lost.is_empty() {
                kept += 1;
            } else {
                taken += 1;
            }
            life.end().await.unwrap();
        }
        reaping.abort();
        let client = client(etcd);
        for (event, revision) in history(&client, &store, &Folder::Blocks(net)).await {
            if matches!(event, Event::Gone(..)) {
                let live = client.range_at(&Keys::one("/sealane/v1/live/a"), revision).await.unwrap();
                assert!(live.pairs.is_empty(), "taken at {revision}, while the node lived");
            }
        }
    });
}

fn a_watch_goes_on_where_the_snapshot_ends() {
    with_etcd(async |_, store| {
        let net: NetworkName = name("net");
        let record = registered(&store, &["10.42.0.0/24"], 28).await;
        let life = lives(&store, "a").await;
        let block = store.lease_block(&net, &record, &name("a"), &[]).await.unwrap();
        let folders = [Folder::Networks, Folder::Nodes, Folder::Lives, Folder::Blocks(net.clone())];
        let snapshot = store.snapshot(&folders).await.unwrap();
        let [Entry::Network(..), Entry::Node(..), Entry::Live(..), Entry::Block(_, number, _)] =
            &snapshot.entries[..]
        else {
            panic!("{snapshot:?}");
        };
        assert_eq!(*number, block.number);
        life.end().await.unwrap();
        store.release_block(&net, &name("a"), block).await.unwrap();
        for folder in &folders[2..] {
            let changes = store.watch(folder, snapshot.revision.next()).next().await.unwrap();
            assert!(matches!(changes.events[..], [Event::Gone(..)]), "{changes:?}");
        }
    });
}

/// How often etcd is killed while nodes race.
const KILLS: u32 = 3;

fn with_etcd(test: impl AsyncFnOnce(&mut Etcd, Store)) {
    let host = Host::new().unwrap();
    let mut etcd = Etcd::new(&host, 1);
    block_on(async {
        let store = open(&etcd);
        test(&mut etcd, store).await;
    });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn open(etcd: &Etcd) -> Store {
    let endpoints = etcd.endpoints().iter().map(|url| url.parse().unwrap()).collect();
    Store::new(
        &cluster::Etcd { endpoints, prefix: name(""), tls: None, dead_after: cluster::DEAD_AFTER },
        PATIENCE,
    )
    .unwrap()
}

/// One that gives up soon: what it has asked is then done, or not.
fn hasty(etcd: &Etcd) -> Store {
    open(etcd).within(Duration::from_secs(1))
}

fn client(etcd: &Etcd) -> Client {
    let endpoint = |url: &String| {
        let url: cluster::Endpoint = url.parse().unwrap();
        Endpoint::new(false, url.host(), url.port())
    };
    let endpoints = etcd.endpoints().iter().map(endpoint).collect();
    Client::new(&Options { endpoints, tls: None, deadline: PATIENCE }).unwrap()
}

fn record(vni: u32, subnets: &[&str], block_size: i64) -> NetworkRecord {
    let subnets = subnets.iter().map(|subnet| name(subnet)).collect();
    NetworkRecord { vni: vni.try_into().unwrap(), subnets, block_size: block_size.try_into().unwrap() }
}

/// Network `net`, of VNI 7.
async fn registered(store: &Store, subnets: &[&str], block_size: i64) -> NetworkRecord {
    let record = record(7, subnets, block_size);
    store.register(&name("net"), &record).await.unwrap();
    record
}

/// A node that has begun a life.
async fn lives(store: &Store, node: &str) -> Life {
    let node = name(node);
    let record = store.begin(&node, "192.0.2.1".parse().unwrap(), None, "this boot").await.unwrap();
    store.live(&node, record.incarnation).await.unwrap()
}

/// All that has ever become of a folder, and when.
async fn history(client: &Client, store: &Store, folder: &Folder) -> Vec<(Event, Revision)> {
    let now = client.value("/").await.unwrap().1;
    let last = client.put("/sealane/v1/blk/net/9999999999", "the end").await.unwrap();
    assert!(last > now);
    let (mut watch, mut events) = (store.watch(folder, Revision(1)), Vec::new());
    loop {
        for event in watch.next().await.unwrap().events {
            match event {
                Event::Written(Entry::Other { .. }, _) => return events,
                Event::Written(_, at) | Event::Gone(_, at) => events.push((event, at)),
            }
        }
    }
}

fn name<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}
