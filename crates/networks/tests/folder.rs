//! The folder of networks: what is made is there in full and once, whoever else is at it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
use networks::{Definition, Error, Folder, HostLink, HostView, InvalidOption, Request};
use std::{
    fs::{self, FileTimes},
    path::Path,
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

const NAME: &str = "com.docker.network.bridge.name";

fn folder() -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::at(&dir.path().join("net.d"));
    (dir, folder)
}

fn request(name: &str) -> Request {
    Request { name: name.into(), driver: "bridge".into(), ..Request::default() }
}

fn create(folder: &Folder, name: &str) -> Result<Definition, Error> {
    folder.create(&request(name), &HostView::default())
}

fn with_option(name: &str, key: &str, value: &str) -> Request {
    Request { options: vec![(key.into(), value.into())], ..request(name) }
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_made_is_found_by_name_and_by_the_beginning_of_its_id() {
    let (dir, folder) = folder();
    let mut asked = request("test");
    asked.labels.insert("colour".into(), "red".into());
    asked.internal = true;
    let made = folder.create(&asked, &HostView::default()).unwrap();
    for word in ["test", &made.id, &made.id[..12], &made.id[..5]] {
        let found = folder.find(word).unwrap();
        assert_eq!((&found.id, &found.labels, found.internal), (&made.id, &asked.labels, true), "{word}");
        assert_eq!(found.created, made.created);
    }
    assert_eq!(made.bridge.unwrap().as_str(), format!("br-{}", &made.id[..12]));
    assert_eq!(files(&dir.path().join("net.d")), ["sealane-test.conflist"]);
}

#[test]
fn host_and_none_are_there_without_a_folder() {
    let (_dir, folder) = folder();
    let networks = folder.networks().unwrap();
    let shown: Vec<_> =
        networks.iter().map(|one| (one.name.as_str(), one.driver.as_str(), one.is_builtin())).collect();
    assert_eq!(shown, [("host", "host", true), ("none", "null", true)]);
    assert!(matches!(folder.remove(&networks[0]), Err(Error::CannotRemove { .. })));
}

#[test]
fn a_name_is_given_once() {
    let (_dir, folder) = folder();
    let made = create(&folder, "test").unwrap();
    match create(&folder, "test") {
        Err(Error::Taken { name, path }) => assert_eq!((name.as_str(), Some(path)), ("test", made.path)),
        other => panic!("{other:?}"),
    }
    for name in ["host", "none", "bridge", "default"] {
        assert!(matches!(create(&folder, name), Err(Error::Predefined { .. })), "{name}");
    }
    for name in ["", ".", "a b", "a/b", "../x"] {
        assert!(matches!(create(&folder, name), Err(Error::Name { .. })), "{name:?}");
    }
    assert!(matches!(create(&folder, &"x".repeat(129)), Err(Error::LongName { .. })));
}

#[test]
fn networks_made_at_once_have_names_and_subnets_of_their_own() {
    let (dir, folder) = folder();
    let made: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..24)
            .map(|number| {
                let folder = &folder;
                scope.spawn(move || create(folder, &format!("n{}", number % 12)))
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
    });
    assert_eq!(made.len(), 12);
    let mut subnets: Vec<_> = made.iter().map(|network| network.subnets[0].subnet).collect();
    subnets.sort();
    subnets.dedup();
    assert_eq!(subnets.len(), 12);
    assert_eq!(files(&dir.path().join("net.d")).len(), 12, "no draft is left");
}

#[test]
fn conflists_of_others_are_listed_and_neither_overlapped_nor_removed() {
    let (dir, folder) = folder();
    let place = dir.path().join("net.d");
    fs::create_dir(&place).unwrap();
    let theirs = r#"{"cniVersion": "1.0.0", "name": "theirs", "plugins": [{"type": "macvlan", "master": "eth0",
        "ipam": {"type": "host-local", "subnet": "10.201.0.0/16"}}]}"#;
    fs::write(place.join("10-theirs.conflist"), theirs).unwrap();
    fs::write(place.join("20-single.conf"), r#"{"cniVersion": "0.4.0", "name": "single", "type": "ptp"}"#)
        .unwrap();
    fs::write(place.join("30-broken.conflist"), "{").unwrap();
    let listing = folder.listing().unwrap();
    let shown: Vec<_> = listing.networks.iter().map(|one| (one.name.as_str(), one.driver.as_str())).collect();
    assert_eq!(shown, [("host", "host"), ("none", "null"), ("single", "ptp"), ("theirs", "macvlan")]);
    assert!(listing.broken[0].to_string().contains("30-broken.conflist"));

    assert_eq!(create(&folder, "test").unwrap().subnets[0].subnet.to_string(), "172.16.0.0/24");
    assert!(matches!(create(&folder, "theirs"), Err(Error::Taken { .. })));
    let network = folder.find("theirs").unwrap();
    assert!(matches!(folder.remove(&network), Err(Error::NotOurs { .. })));
}

#[test]
fn a_network_whose_file_is_broken_says_so_instead_of_not_being_there() {
    let (_dir, folder) = folder();
    let path = create(&folder, "test").unwrap().path.unwrap();
    fs::write(&path, "{").unwrap();
    let error = folder.find("test").unwrap_err();
    assert!(error.to_string().contains("sealane-test.conflist"), "{error}");
    assert!(matches!(create(&folder, "test"), Err(Error::Taken { .. })), "the file is not written over");
}

#[test]
fn who_looks_for_a_network_does_not_read_the_files_of_others() {
    let (_dir, folder) = folder();
    let (test, other) = (create(&folder, "test").unwrap(), create(&folder, "other").unwrap());
    let other = other.path.unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
    // Read since it was last written: the next reader is noted in any case (mount(8), `relatime`).
    let forget =
        || fs::File::open(&other).unwrap().set_times(FileTimes::new().set_accessed(long_ago)).unwrap();
    let was_read = || fs::metadata(&other).unwrap().accessed().unwrap() != long_ago;
    forget();
    folder.networks().unwrap();
    if !was_read() {
        eprintln!("skipped: no access times are kept here");
        return;
    }
    forget();
    assert_eq!(folder.find("test").unwrap().id, test.id);
    assert!(folder.find("host").unwrap().is_builtin());
    drop(folder.hold([(&test.name, test.id.as_str())]).unwrap());
    assert!(!was_read());
}

#[test]
fn a_file_of_ours_under_another_name_is_found_by_what_is_in_it() {
    let (dir, folder) = folder();
    let made = create(&folder, "test").unwrap();
    fs::rename(made.path.unwrap(), dir.path().join("net.d/sealane-other.conflist")).unwrap();
    assert_eq!(folder.find("test").unwrap().id, made.id);
    assert!(matches!(folder.find("other"), Err(Error::NotFound { .. })));
}

#[test]
fn of_two_networks_of_one_name_the_first_file_counts() {
    let (dir, folder) = folder();
    let made = create(&folder, "test").unwrap();
    let single = r#"{"cniVersion": "1.0.0", "name": "test", "type": "ptp"}"#;
    let list = r#"{"cniVersion": "1.0.0", "name": "test", "plugins": [{"type": "ptp"}]}"#;
    for (file, theirs, counts) in
        [("zz.conflist", list, false), ("aa.conf", single, false), ("10-test.conflist", list, true)]
    {
        let path = dir.path().join("net.d").join(file);
        fs::write(&path, theirs).unwrap();
        let listed =
            folder.networks().unwrap().into_iter().find(|network| network.name == made.name).unwrap();
        let found = folder.find("test").unwrap();
        assert_eq!((found.id == made.id, listed.id == made.id), (!counts, !counts), "{file}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn nobody_waits_for_a_pipe_among_the_files() {
    let (dir, folder) = folder();
    create(&folder, "test").unwrap();
    for name in ["00-pipe.conflist", "sealane-pipe.conflist"] {
        let made = Command::new("mkfifo").arg(dir.path().join("net.d").join(name)).status().unwrap();
        assert!(made.success());
    }
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || {
        let broken: Vec<_> = folder.listing().unwrap().broken.iter().map(ToString::to_string).collect();
        let found = folder.find("test").map(|network| network.name.to_string());
        let pipe = folder.find("pipe").unwrap_err().to_string();
        done.send((broken, found.unwrap(), pipe, create(&folder, "other").is_ok()))
    });
    let (broken, found, pipe, created) = outcome.recv_timeout(Duration::from_mins(2)).unwrap();
    assert!(broken.len() == 2 && broken[0].contains("00-pipe.conflist"), "{broken:?}");
    assert_eq!(found, "test");
    assert!(pipe.contains("sealane-pipe.conflist"), "{pipe}");
    assert!(created);
}

#[test]
fn a_name_that_is_nearly_one_is_told_which() {
    let (_dir, folder) = folder();
    create(&folder, "test").unwrap();
    let similar = |word: &str| match folder.find(word).unwrap_err() {
        Error::NotFound { similar, .. } => similar,
        other => panic!("{other}"),
    };
    for near in ["tset", "tests", "Test", "tes"] {
        assert_eq!(similar(near).as_deref(), Some("test"), "{near}");
    }
    assert_eq!(similar("something-else"), None);
    assert_eq!(similar("z"), None);
}

#[test]
fn the_default_network_is_made_once_and_can_be_removed() {
    let (_dir, folder) = folder();
    let host = HostView::default();
    let made = folder.default_network(&host).unwrap();
    assert_eq!((made.name.as_str(), made.bridge.as_ref().unwrap().as_str()), ("bridge", "sealane0"));
    assert_eq!(folder.default_network(&host).unwrap().id, made.id);
    folder.remove(&made).unwrap();
    folder.remove(&made).unwrap();
    assert!(matches!(folder.find("bridge"), Err(Error::NotFound { .. })));
}

#[test]
fn a_bridge_is_one_networks_and_a_bridge() {
    let (_dir, folder) = folder();
    folder.create(&with_option("one", NAME, "br0"), &HostView::default()).unwrap();
    let other = folder.create(&with_option("other", NAME, "br0"), &HostView::default());
    assert!(matches!(other, Err(Error::BridgeTaken { .. })), "{other:?}");
    let link = |name: &str, is_bridge| HostLink { name: name.parse().unwrap(), is_bridge };
    let host = HostView { links: vec![link("eth0", false), link("lan0", true)], ..HostView::default() };
    let on_eth0 = folder.create(&with_option("other", NAME, "eth0"), &host);
    assert!(matches!(on_eth0, Err(Error::NotABridge(_))), "{on_eth0:?}");
    folder.create(&with_option("other", NAME, "lan0"), &host).unwrap();
}

#[test]
fn what_cannot_be_made_is_refused_and_nothing_is_written() {
    let (dir, folder) = folder();
    let host = HostView::default();
    let driver = |driver: &str| folder.create(&Request { driver: driver.into(), ..request("test") }, &host);
    assert!(matches!(driver("birdge"), Err(Error::Driver(_))));
    assert!(matches!(driver("host"), Err(Error::OneInstance(_))));
    assert!(matches!(driver("null"), Err(Error::OneInstance(_))));
    let unknown = folder.create(&with_option("test", "parent", "eth0"), &host);
    assert!(
        matches!(unknown, Err(Error::Option { cause: InvalidOption::Unknown { .. }, .. })),
        "{unknown:?}"
    );
    let small = folder.create(&Request { ipv6: true, ..with_option("test", "mtu", "1000") }, &host);
    assert!(matches!(small, Err(Error::MtuForIpv6(1000))), "{small:?}");
    assert!(!dir.path().join("net.d").join("sealane-test.conflist").exists());
}

#[test]
fn who_is_about_to_come_onto_a_network_keeps_it_from_being_removed() {
    let (_dir, folder) = folder();
    let made = create(&folder, "test").unwrap();
    let held = folder.hold([(&made.name, made.id.as_str())]).unwrap();
    thread::scope(|scope| {
        let removed = scope.spawn(|| {
            let _lock = folder.lock().unwrap();
            folder.remove(&made).unwrap();
        });
        thread::sleep(std::time::Duration::from_millis(50));
        assert!(!removed.is_finished() && folder.find("test").is_ok());
        drop(held);
        removed.join().unwrap();
    });
    let gone = folder.hold([(&made.name, made.id.as_str())]);
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let _hold = folder.hold([]).unwrap();
}
