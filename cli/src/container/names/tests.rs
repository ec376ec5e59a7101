//! Hosts files of containers that come, move and go.
use super::*;
use std::{fs, net::IpAddr};

struct Stage {
    folder: tempfile::TempDir,
    names: Names,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::at(&folder.path().join("names"));
        Self { folder, names }
    }

    fn link(&self, container: &str) -> PathBuf {
        self.folder.path().join(container)
    }

    fn put(&self, container: &str, was: &[&str], now: &[(&str, &str)]) {
        let was: Vec<_> = was.iter().map(|network| network.parse().unwrap()).collect();
        let now: Vec<_> = now.iter().map(|(network, address)| member(container, network, address)).collect();
        let link = self.link(container);
        self.names.put(&entry(container, now, &[]), &was, Some(&link), |_| false).unwrap();
    }

    fn gone(&self, container: &str, was: &[&str]) {
        let was: Vec<_> = was.iter().map(|network| network.parse().unwrap()).collect();
        self.names.put(&entry(container, Vec::new(), &[]), &was, None, |_| false).unwrap();
    }

    fn resolve(&self, container: &str, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.link(container)).unwrap();
        let line = text.lines().find(|line| line.split(' ').skip(1).any(|word| word == name))?;
        line.split(' ').next().map(str::to_owned)
    }

    fn files(&self) -> Vec<String> {
        files::names(&self.folder.path().join("names")).unwrap()
    }
}

fn entry(container: &str, memberships: Vec<Membership>, own: &[(&str, &str)]) -> Entry {
    let own = own.iter().map(|(address, name)| (address.parse().unwrap(), (*name).to_owned())).collect();
    Entry { container: container.to_owned(), memberships, own }
}

fn member(container: &str, network: &str, address: &str) -> Membership {
    let addresses: Vec<IpAddr> = address.parse().into_iter().collect();
    let names = vec![container.to_owned(), format!("{container}.{network}"), format!("id-{container}")];
    Membership { network: network.parse().unwrap(), addresses, names }
}

#[test]
fn members_of_one_network_know_each_other_and_nobody_else() {
    let stage = Stage::new();
    stage.put("cat", &[], &[("test", "10.0.0.2")]);
    stage.put("dog", &[], &[("test", "10.0.0.3")]);
    stage.put("bobcat", &[], &[("stage", "10.1.0.2")]);
    assert_eq!(stage.resolve("cat", "dog").as_deref(), Some("10.0.0.3"));
    assert_eq!(stage.resolve("dog", "cat").as_deref(), Some("10.0.0.2"));
    assert_eq!(stage.resolve("dog", "dog").as_deref(), Some("10.0.0.3"));
    assert_eq!(stage.resolve("cat", "bobcat"), None);
    assert_eq!(stage.resolve("bobcat", "cat"), None);
    assert_eq!(stage.resolve("cat", "localhost").as_deref(), Some("127.0.0.1"));
}

#[test]
fn who_connects_is_known_on_both_networks_and_knows_both() {
    let stage = Stage::new();
    stage.put("cat", &[], &[("test", "10.0.0.2")]);
    stage.put("bobcat", &[], &[("stage", "10.1.0.2")]);
    stage.put("bobcat", &["stage"], &[("stage", "10.1.0.2"), ("test", "10.0.0.3")]);
    assert_eq!(stage.resolve("cat", "bobcat").as_deref(), Some("10.0.0.3"));
    assert_eq!(stage.resolve("bobcat", "cat").as_deref(), Some("10.0.0.2"));
    stage.put("late", &[], &[("test", "10.0.0.4")]);
    assert_eq!(stage.resolve("bobcat", "late").as_deref(), Some("10.0.0.4"));
    stage.put("bobcat", &["stage", "test"], &[("stage", "10.1.0.2")]);
    assert_eq!(stage.resolve("cat", "bobcat"), None);
    assert_eq!(stage.resolve("bobcat", "cat"), None);
}

#[test]
fn nothing_is_left_when_the_last_member_has_gone() {
    let stage = Stage::new();
    stage.put("cat", &[], &[("test", "10.0.0.2"), ("stage", "10.1.0.2")]);
    stage.put("dog", &[], &[("test", "10.0.0.3")]);
    assert_eq!(stage.files(), ["+stage+test", "+test", "stage", "test"]);
    stage.gone("cat", &["test", "stage"]);
    assert_eq!(stage.files(), ["+test", "test"]);
    assert_eq!(stage.resolve("dog", "cat"), None);
    stage.gone("dog", &["test"]);
    assert!(stage.files().is_empty());
}

#[test]
fn a_member_without_an_address_hears_of_the_others() {
    let stage = Stage::new();
    stage.put("cat", &[], &[("test", "")]);
    stage.put("dog", &[], &[("test", "10.0.0.3")]);
    assert_eq!(stage.resolve("cat", "dog").as_deref(), Some("10.0.0.3"));
    assert_eq!(stage.resolve("dog", "cat"), None);
}

#[test]
fn names_of_its_own_are_for_one_container_alone_and_stay_as_others_come_and_go() {
    let stage = Stage::new();
    stage.put("cat", &[], &[("test", "10.0.0.2")]);
    let here = vec![member("dog", "test", "10.0.0.3")];
    let own = [("10.9.9.9", "mine"), ("10.9.9.8", "cat")];
    stage.names.put(&entry("dog", here, &own), &[], Some(&stage.link("dog")), |_| false).unwrap();
    assert_eq!(stage.files(), ["+test", "+test@dog", "@dog", "test"]);
    stage.put("bird", &[], &[("test", "10.0.0.4")]);
    assert_eq!(stage.resolve("dog", "mine").as_deref(), Some("10.9.9.9"));
    assert_eq!(stage.resolve("dog", "cat").as_deref(), Some("10.9.9.8"), "its own names come first");
    assert_eq!(stage.resolve("dog", "bird").as_deref(), Some("10.0.0.4"));
    assert_eq!(stage.resolve("cat", "mine"), None);
    assert_eq!(stage.resolve("cat", "dog").as_deref(), Some("10.0.0.3"));
    let moved = vec![member("dog", "stage", "10.1.0.3")];
    let was = ["test".parse().unwrap()];
    stage.names.put(&entry("dog", moved, &own), &was, Some(&stage.link("dog")), |_| false).unwrap();
    assert_eq!(stage.files(), ["+stage@dog", "+test", "@dog", "stage", "test"]);
    assert_eq!(stage.resolve("dog", "mine").as_deref(), Some("10.9.9.9"));
    stage.gone("dog", &["stage"]);
    assert_eq!(stage.files(), ["+test", "test"]);
    stage.names.put(&entry("none", Vec::new(), &own), &[], Some(&stage.link("none")), |_| false).unwrap();
    assert_eq!(stage.resolve("none", "mine").as_deref(), Some("10.9.9.9"));
    assert_eq!(stage.files(), ["+test", "test"], "who is on no network leaves nothing here");
}

#[test]
fn who_is_on_no_network_any_more_has_a_file_of_its_own() {
    let stage = Stage::new();
    stage.put("cat", &[], &[("test", "10.0.0.2")]);
    stage.put("cat", &["test"], &[]);
    assert!(stage.files().is_empty());
    assert_eq!(stage.resolve("cat", "localhost").as_deref(), Some("127.0.0.1"));
}

#[test]
fn networks_with_very_long_names_have_a_file_too() {
    let stage = Stage::new();
    let (long, longer) = ("a".repeat(200), "b".repeat(200));
    stage.put("cat", &[], &[(&long, "10.0.0.2"), (&longer, "10.1.0.2")]);
    stage.put("dog", &[], &[(&longer, "10.1.0.3")]);
    assert_eq!(stage.resolve("cat", "dog").as_deref(), Some("10.1.0.3"));
}
