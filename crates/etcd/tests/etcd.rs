//! The client beside a real etcd: one member or three, killed, frozen, restarted, with certificates and without.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use etcd::{
    Change, Client, Compare, Endpoint, Error, Identity, Keys, Operation, Options, Revision, TlsFiles,
    Trouble, Txn, Watch,
};
use netlab::{Etcd, Host, PATIENCE, Tls, soon};
use std::{
    collections::BTreeSet,
    future::Future,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

const SECURE: &[&str] = &["https://127.0.0.1:2379"];

fn main() -> ExitCode {
    netlab::main(netlab::with_etcd(netlab::trials![
        what_is_written_is_read,
        a_range_comes_in_pages_and_is_of_one_revision,
        a_range_of_heavy_values_comes_in_small_pages,
        of_64_who_create_a_key_one_does,
        a_condition_on_many_keys_sees_each_that_is_written,
        what_hangs_on_a_lease_goes_with_it,
        a_lease_that_is_kept_begins_anew,
        a_watch_tells_everything_once_though_etcd_is_killed,
        a_watch_that_lags_behind_misses_nothing_when_it_is_cut_off,
        a_watch_of_heavy_values_comes_in_pieces,
        a_watch_of_what_is_forgotten_says_so,
        a_frozen_etcd_is_given_up_at_the_deadline,
        no_call_goes_on_beyond_the_end_of_all,
        who_is_killed_is_not_asked_again,
        who_is_frozen_is_not_asked_again,
        a_watch_moves_to_another_member,
        without_a_majority_nothing_is_written,
        a_member_is_found_by_its_name_in_hosts_and_no_other_way,
        certificates_are_shown_and_wanted,
        a_server_that_another_ca_has_signed_is_refused,
        files_that_are_no_identity_are_refused_before_anybody_is_asked,
    ]))
}

fn what_is_written_is_read() {
    with_members(1, async |etcd, client| {
        let (before, at) = client.value("/a").await.unwrap();
        assert_eq!((before, at), (None, Revision(1)));
        let written = client.put("/a", [0, 255]).await.unwrap();
        let (pair, at) = client.value("/a").await.unwrap();
        let pair = pair.unwrap();
        assert_eq!((pair.value, pair.created, pair.modified, at), (vec![0, 255], written, written, written));

        etcd.ctl(&["put", "/a", "by another hand"]).unwrap();
        let taken = Txn::new()
            .when(Compare::unchanged("/a", written))
            .then(Operation::put("/a", "mine"))
            .otherwise(Operation::read(Keys::one("/a")));
        let answer = client.txn(taken).await.unwrap();
        assert!(!answer.succeeded);
        assert_eq!(answer.found[0][0].value, b"by another hand");

        let deleted =
            client.txn(Txn::new().then(Operation::delete(Keys::beginning_with("/")))).await.unwrap();
        assert!(deleted.succeeded && deleted.revision == Revision(4));
        assert_eq!(etcd.ctl(&["get", "--prefix", "/"]).unwrap(), "");
    });
}

fn a_range_comes_in_pages_and_is_of_one_revision() {
    with_members(1, async |_, client| {
        for hundred in 0..50 {
            let keys = (0..100).map(|one| format!("/r/{hundred:02}{one:02}"));
            client.txn(keys.fold(Txn::new(), |txn, key| txn.then(Operation::put(key, "0")))).await.unwrap();
        }
        // The first and the last key always hold the same: in two pages of two revisions they would not.
        let writer = client.clone();
        let writing = tokio::spawn(async move {
            for count in 1.. {
                let both = ["/r/0000", "/r/4999"].map(|key| Operation::put(key, count.to_string()));
                writer.txn(both.into_iter().fold(Txn::new(), Txn::then)).await.unwrap();
            }
        });
        let mut seen = BTreeSet::new();
        while seen.len() < 20 {
            let snapshot = client.range(&Keys::beginning_with("/r/")).await.unwrap();
            assert_eq!(snapshot.pairs.len(), 5000);
            assert_eq!(snapshot.pairs[0].value, snapshot.pairs[4999].value);
            assert!(snapshot.pairs.is_sorted_by(|one, next| one.key < next.key));
            assert!(snapshot.pairs.iter().all(|pair| pair.modified <= snapshot.revision));
            seen.insert(snapshot.revision);
        }
        writing.abort();
    });
}

fn a_range_of_heavy_values_comes_in_small_pages() {
    with_members(1, async |_, client| {
        for number in 0..20 {
            client.put(format!("/heavy/{number:02}"), vec![number; 1 << 20]).await.unwrap();
        }
        let found = client.range(&Keys::beginning_with("/heavy/")).await.unwrap();
        let values: Vec<_> = found.pairs.iter().map(|pair| (pair.value.len(), pair.value[0])).collect();
        assert_eq!(values, (0..20).map(|number| (1 << 20, number)).collect::<Vec<_>>());
    });
}

fn of_64_who_create_a_key_one_does() {
    with_members(1, async |etcd, _| {
        let attempts = (0..64).map(|number| {
            let client = client(etcd);
            tokio::spawn(async move {
                let mine = Txn::new()
                    .when(Compare::absent("/block"))
                    .then(Operation::put("/block", number.to_string()))
                    .otherwise(Operation::read(Keys::one("/block")));
                (number, client.txn(mine).await.unwrap())
            })
        });
        let attempts: Vec<_> = attempts.collect();
        let (mut owners, mut named) = (Vec::new(), BTreeSet::new());
        for attempt in attempts {
            let (number, answer) = attempt.await.unwrap();
            if answer.succeeded {
                owners.push(number.to_string().into_bytes());
            } else {
                named.insert(answer.found[0][0].value.clone());
            }
        }
        assert_eq!(owners.len(), 1);
        assert_eq!(named.into_iter().collect::<Vec<_>>(), owners);
    });
}

fn a_condition_on_many_keys_sees_each_that_is_written() {
    with_members(1, async |_, client| {
        let all = || Keys::beginning_with("/sub/");
        client.put("/sub/1", "").await.unwrap();
        let seen = client.range(&all()).await.unwrap().revision;
        let add = |key: &str, since| {
            Txn::new().when(Compare::not_written_after(all(), since)).then(Operation::put(key, ""))
        };
        let added = client.txn(add("/sub/2", seen)).await.unwrap();
        assert!(added.succeeded);
        assert!(!client.txn(add("/sub/3", seen)).await.unwrap().succeeded);
        client.put("/elsewhere", "").await.unwrap();
        assert!(client.txn(add("/sub/3", added.revision)).await.unwrap().succeeded);
    });
}

fn what_hangs_on_a_lease_goes_with_it() {
    with_members(1, async |_, client| {
        let mut watch = client.watch(Keys::beginning_with("/live/"), Revision(1));
        // No longer than it takes to wait for, and than a busy machine takes to use it.
        for (lease, lasts) in [("left alone", Duration::from_secs(5)), ("revoked", PATIENCE)] {
            let id = client.grant(lasts).await.unwrap();
            let put = Operation::put_leased("/live/a", lease, id);
            client.txn(Txn::new().then(put)).await.unwrap();
            if lease == "revoked" {
                client.revoke(id).await.unwrap();
            }
            let (put, deleted) = (one(&mut watch).await, one(&mut watch).await);
            assert!(matches!(put, Change::Put(pair) if pair.value == lease.as_bytes()), "{lease}");
            assert!(matches!(deleted, Change::Deleted { key, .. } if key == b"/live/a"), "{lease}");

            let late = Txn::new().then(Operation::put_leased("/live/a", "", id));
            for refused in [
                client.keep_alive(id).await.map(drop),
                client.revoke(id).await,
                client.txn(late).await.map(drop),
            ] {
                assert!(matches!(refused, Err(Error::NoLease { lease }) if lease == id), "{refused:?}");
            }
        }
    });
}

fn a_lease_that_is_kept_begins_anew() {
    with_members(1, async |etcd, client| {
        let id = client.grant(Duration::from_mins(1)).await.unwrap();
        let left = || {
            let said = etcd.ctl(&["-w", "json", "lease", "timetolive", &id.to_string()]).unwrap();
            serde_json::from_str::<serde_json::Value>(&said).unwrap()["ttl"].as_u64().unwrap()
        };
        assert!(soon(|| left() < 58));
        let mut seconds = 0;
        for _ in 0..100 {
            assert_eq!(client.keep_alive(id).await.unwrap(), Duration::from_mins(1));
            seconds = left();
            if seconds >= 58 {
                break;
            }
        }
        assert!(seconds >= 58, "{seconds}");
    });
}

fn a_watch_tells_everything_once_though_etcd_is_killed() {
    with_members(1, async |etcd, client| {
        let mut watch = client.watch(Keys::beginning_with("/w/"), Revision(1));
        let mut told = Vec::new();
        for round in 0..3 {
            for number in 0..10 {
                client.put(format!("/w/{round}{number}"), "").await.unwrap();
            }
            // Some of it is told now, the rest by the etcd that comes back.
            while told.len() < 10 * round + 3 {
                told.extend(watched(&mut watch).await);
            }
            etcd.kill(0);
            etcd.restart(0);
            // A read finds the new one; a write on the connection that has broken would be lost, or not.
            client.value("/w/").await.unwrap();
        }
        while told.len() < 30 {
            told.extend(watched(&mut watch).await);
        }
        let keys: Vec<_> =
            told.iter().map(|change| String::from_utf8_lossy(change.key()).into_owned()).collect();
        let written: Vec<_> = (0..30).map(|number| format!("/w/{number:02}")).collect();
        assert_eq!(keys, written);
    });
}

fn a_watch_that_lags_behind_misses_nothing_when_it_is_cut_off() {
    with_members(1, async |etcd, client| {
        // etcd tells of the past by the thousand revisions (watchBatchMaxRevs).
        for number in 0..2500 {
            client.put(format!("/w/{number:04}"), "").await.unwrap();
        }
        let mut watch = client.watch(Keys::beginning_with("/w/"), Revision(1));
        let mut told = watched(&mut watch).await;
        assert!(told.len() < 2500, "all at once tells us nothing");
        etcd.kill(0);
        etcd.restart(0);
        client.value("/w/").await.unwrap();
        client.put("/w/last", "").await.unwrap();
        while told.last().unwrap().key() != b"/w/last" {
            told.extend(watched(&mut watch).await);
        }
        let keys: BTreeSet<_> = told.iter().map(Change::key).collect();
        assert_eq!((told.len(), keys.len()), (2501, 2501));
    });
}

fn a_watch_of_heavy_values_comes_in_pieces() {
    with_members(1, async |_, client| {
        for number in 0..12 {
            client.put(format!("/heavy/{number:02}"), vec![number; 1 << 20]).await.unwrap();
        }
        let mut watch = client.watch(Keys::beginning_with("/heavy/"), Revision(1));
        let mut told = Vec::new();
        while told.len() < 12 {
            told.extend(watch.next().await.unwrap().changes);
        }
        let first = |change: &Change| if let Change::Put(pair) = change { pair.value[0] } else { 99 };
        assert_eq!(told.iter().map(first).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
    });
}

fn a_watch_of_what_is_forgotten_says_so() {
    with_members(1, async |etcd, client| {
        for number in 0..10 {
            client.put("/a", number.to_string()).await.unwrap();
        }
        let then = client.range_at(&Keys::one("/a"), Revision(5)).await.unwrap();
        assert_eq!((then.revision, &then.pairs[0].value[..]), (Revision(5), &b"3"[..]));
        etcd.ctl(&["compact", "8"]).unwrap();
        let said = client.range_at(&Keys::one("/a"), Revision(5)).await.unwrap_err();
        assert!(matches!(said, Error::Compacted { asked: Revision(5), oldest: None }), "{said:?}");
        let mut watch = client.watch(Keys::one("/a"), Revision(3));
        let said = watch.next().await.unwrap_err();
        let Error::Compacted { asked: Revision(3), oldest: Some(oldest) } = said else {
            panic!("{said:?}");
        };
        assert_eq!(oldest, Revision(8));
        let mut watch = client.watch(Keys::one("/a"), oldest);
        assert_eq!(watched(&mut watch).await[0].revision(), Revision(8));
    });
}

fn a_frozen_etcd_is_given_up_at_the_deadline() {
    with_members(1, async |etcd, client| {
        client.put("/a", "1").await.unwrap();
        etcd.freeze(0);
        // Within that it has been asked, however busy the machine is.
        let hasty = client.within(Duration::from_secs(2));
        let written = hasty.put("/a", "2").await.unwrap_err();
        assert!(
            matches!(&written, Error::Lost { tried } if matches!(tried.trouble, Trouble::Silent(_))),
            "{written}"
        );
        assert!(written.may_be_done() && written.is_absence());
        let read = hasty.value("/a").await.unwrap_err();
        assert!(matches!(read, Error::Unreachable { .. }) && !read.may_be_done(), "{read}");
        assert!(read.to_string().contains("http://127.0.0.1:2379: no connection in "), "{read}");
        let said = hasty.watch(Keys::one("/a"), Revision(1)).next().await.unwrap_err();
        assert!(said.is_absence(), "{said}");

        etcd.thaw(0);
        let (pair, _) = client.value("/a").await.unwrap();
        assert!([b"1".to_vec(), b"2".to_vec()].contains(&pair.unwrap().value));
    });
}

fn no_call_goes_on_beyond_the_end_of_all() {
    with_members(1, async |_, client| {
        client.put("/a", "1").await.unwrap();
        // On a connection that stands an answer could come before anybody looks at the clock.
        for _ in 0..200 {
            let said = client.until(Instant::now()).value("/a").await.unwrap_err();
            assert!(matches!(said, Error::Unreachable { .. }), "{said}");
            assert!(said.to_string().contains("http://127.0.0.1:2379: no "), "{said}");
            client.value("/a").await.unwrap();
        }
        let in_time = client.until(Instant::now() + PATIENCE);
        assert_eq!(in_time.value("/a").await.unwrap().0.unwrap().value, b"1");
    });
}

fn who_is_killed_is_not_asked_again() {
    with_members(3, async |etcd, client| {
        client.put("/a", "1").await.unwrap();
        etcd.kill(0);
        // Another one leads, if this one did: until then nobody can tell what becomes of a write.
        assert!(soon(|| etcd.ctl(&["put", "/a", "2"]).is_ok()));
        // Nobody listens there, so nothing can have been lost.
        crate::client(etcd).put("/a", "3").await.unwrap();
        // This one has a connection that is of no use: a read goes elsewhere, and takes the writes along.
        assert_eq!(client.value("/a").await.unwrap().0.unwrap().value, b"3");
        client.put("/a", "4").await.unwrap();
    });
}

fn who_is_frozen_is_not_asked_again() {
    with_members(3, async |etcd, client| {
        client.put("/a", "1").await.unwrap();
        etcd.freeze(0);
        assert!(soon(|| etcd.ctl_of(1, &["put", "/a", "2"]).is_ok()));
        // It takes connections all the same, but says nothing on them.
        let fresh = crate::client(etcd).within(Duration::from_secs(6));
        fresh.put("/a", "3").await.unwrap();
        let hasty = client.within(Duration::from_secs(6));
        assert_eq!(hasty.value("/a").await.unwrap().0.unwrap().value, b"3");
        hasty.put("/a", "4").await.unwrap();
    });
}

fn a_watch_moves_to_another_member() {
    with_members(3, async |etcd, client| {
        let mut watch = client.watch(Keys::one("/a"), Revision(1));
        client.put("/a", "1").await.unwrap();
        assert_eq!(watched(&mut watch).await.len(), 1);
        etcd.kill(0);
        etcd.ctl(&["put", "/a", "2"]).unwrap_or_default();
        assert!(soon(|| etcd.ctl(&["put", "/a", "3"]).is_ok()));
        let last = loop {
            if let Some(Change::Put(pair)) = watched(&mut watch).await.pop() {
                break pair.value;
            }
        };
        assert!(last == b"2" || last == b"3");
    });
}

fn without_a_majority_nothing_is_written() {
    with_members(3, async |etcd, client| {
        client.put("/a", "1").await.unwrap();
        etcd.kill(0);
        etcd.kill(1);
        let hasty = client.within(Duration::from_secs(3));
        let said = hasty.put("/a", "2").await.unwrap_err();
        assert!(said.is_absence(), "{said}");
        etcd.restart(0);
        etcd.restart(1);
        client
            .put("/a", "3")
            .await
            .or_else(|error| if error.may_be_done() { Ok(Revision(0)) } else { Err(error) })
            .unwrap();
    });
}

fn a_member_is_found_by_its_name_in_hosts_and_no_other_way() {
    with_members(1, async |_, _| {
        connect(&["http://localhost:2379"], None).unwrap().put("/a", "").await.unwrap();
        let said = connect(&["http://etcd.invalid:2379"], None).unwrap().put("/a", "").await.unwrap_err();
        assert_eq!(
            said.to_string(),
            "no etcd answers (http://etcd.invalid:2379: /etc/hosts has no such name)"
        );
        assert!(said.hint().unwrap().contains("put its name into /etc/hosts: DNS is not asked"));
    });
}

fn certificates_are_shown_and_wanted() {
    with_tls(async |ours, dir| {
        let client = connect(SECURE, files(ours, Some(ours))).unwrap();
        client.put("/a", "1").await.unwrap();
        let by_name = connect(&["https://localhost:2379"], files(ours, Some(ours))).unwrap();
        assert_eq!(by_name.value("/a").await.unwrap().0.unwrap().value, b"1");

        let other = Tls::new(&dir.join("other"));
        for shown in [None, Some(&other)] {
            let hasty = connect(SECURE, files(ours, shown)).unwrap().within(Duration::from_secs(2));
            let said = hasty.put("/a", "2").await.unwrap_err();
            // The alert of TLS 1.3 can come too late to be read.
            let alert = said.to_string().contains("received fatal alert");
            assert!(alert || said.to_string().contains("it hung up after the TLS handshake"), "{said}");
            assert!(said.hint().unwrap().contains("\"cert\""), "{said}");
        }
        assert_eq!(client.value("/a").await.unwrap().0.unwrap().value, b"1");
    });
}

fn a_server_that_another_ca_has_signed_is_refused() {
    with_tls(async |ours, dir| {
        let other = Tls::new(&dir.join("other"));
        let said = connect(SECURE, files(&other, Some(ours))).unwrap().put("/a", "2").await.unwrap_err();
        assert_eq!(
            said.to_string(),
            "no etcd answers (https://127.0.0.1:2379: invalid peer certificate: BadSignature)"
        );
        assert!(said.hint().unwrap().contains("\"ca\" must have signed it"), "{said}");
    });
}

fn files_that_are_no_identity_are_refused_before_anybody_is_asked() {
    let host = Host::new().unwrap();
    let (ours, other) = (Tls::new(&host.dir().join("ours")), Tls::new(&host.dir().join("other")));
    let said = |scheme: &str, tls: Option<TlsFiles>| {
        connect(&[format!("{scheme}://127.0.0.1:2379")], tls).unwrap_err().to_string()
    };
    let pair = |cert: &Path, key: &Path| Identity { cert: cert.into(), key: key.into() };
    let with = |identity| Some(TlsFiles { ca: ours.ca.clone(), identity: Some(identity) });
    let missing = host.dir().join("missing.pem");

    let half = "://127.0.0.1:2379 does not go with what is said of TLS";
    assert_eq!(said("https", None), format!("https{half}"));
    assert_eq!(said("http", Some(files(&ours, None))), format!("http{half}"));
    assert_eq!(
        said("https", with(pair(&missing, &ours.key))),
        format!("could not read {}", missing.display())
    );
    let swapped = said("https", with(pair(&ours.key, &ours.cert)));
    assert_eq!(swapped, format!("{} has no certificate in PEM form", ours.key.display()));
    let no_key = said("https", with(pair(&ours.cert, &ours.cert)));
    assert_eq!(no_key, format!("{} has no private key in PEM form", ours.cert.display()));
    let mixed = said("https", with(pair(&ours.cert, &other.key)));
    assert!(mixed.starts_with("the certificate and the key can't be used: "), "{mixed}");
}

/// An etcd of this many members and a client of it, in a namespace of this test's own.
fn with_members(members: u16, test: impl AsyncFnOnce(&mut Etcd, Client)) {
    let host = Host::new().unwrap();
    let mut etcd = Etcd::new(&host, members);
    block_on(async {
        let client = client(&etcd);
        test(&mut etcd, client).await;
    });
}

/// An etcd that wants certificates, those that it knows, and a folder for more.
fn with_tls(test: impl AsyncFnOnce(&Tls, &Path)) {
    let host = Host::new().unwrap();
    let ours = Tls::new(&host.dir().join("ours"));
    let _etcd = Etcd::with(&host, 1, Some(ours.clone()));
    block_on(test(&ours, host.dir()));
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn client(etcd: &Etcd) -> Client {
    connect(&etcd.endpoints(), None).unwrap()
}

fn connect(endpoints: &[impl AsRef<str>], tls: impl Into<Option<TlsFiles>>) -> Result<Client, Error> {
    let endpoint = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, port) = rest.rsplit_once(':').unwrap();
        Endpoint::new(scheme == "https", host, port.parse().unwrap())
    };
    let endpoints = endpoints.iter().map(|url| endpoint(url.as_ref())).collect();
    Client::new(&Options { endpoints, tls: tls.into(), deadline: PATIENCE })
}

fn files(trusted: &Tls, shown: Option<&Tls>) -> TlsFiles {
    let identity = shown.map(|tls| Identity { cert: tls.cert.clone(), key: tls.key.clone() });
    TlsFiles { ca: trusted.ca.clone(), identity }
}

/// The next changes, whatever happens to etcd meanwhile.
async fn watched(watch: &mut Watch) -> Vec<Change> {
    for _ in 0..1000 {
        match watch.next().await {
            Ok(changes) => return changes.changes,
            Err(error) => assert!(error.is_absence(), "{error}"),
        }
    }
    panic!("the watch does not come back");
}

async fn one(watch: &mut Watch) -> Change {
    let mut changes = watch.next().await.unwrap().changes;
    assert_eq!(changes.len(), 1, "{changes:?}");
    changes.remove(0)
}
