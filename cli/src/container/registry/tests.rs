//! Names that are claimed, containers that are found, and keepers that are gone.
use super::*;
use crate::container::{id::Id, moment::Moment, record::Phase};
use tempfile::TempDir;

fn stage() -> (TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::at(&folder.path().join("state"));
    (folder, registry)
}

fn record(name: &str) -> Record {
    Record {
        id: Id::random().unwrap(),
        name: name.to_owned(),
        created: Moment::now(),
        hostname: None,
        command: Vec::new(),
        env: Vec::new(),
        labels: Vec::new(),
        own_names: Vec::new(),
        workdir: "/".into(),
        remove: false,
        detached: false,
        ports: Vec::new(),
        endpoints: Vec::new(),
        phase: Phase::Created,
    }
}

fn folders(registry: &Registry) -> Vec<String> {
    files::names(&registry.containers()).unwrap()
}

#[test]
fn a_name_is_had_by_one_and_free_again_when_that_one_is_removed() {
    let (_folder, registry) = stage();
    let kept = registry.claim(&record("cat")).unwrap().unwrap();
    assert!(registry.claim(&record("cat")).unwrap().is_none());
    assert_eq!(folders(&registry), ["cat"], "who comes too late leaves nothing");
    kept.home.remove().unwrap();
    assert!(folders(&registry).is_empty());
    assert!(registry.claim(&record("cat")).unwrap().is_some());
}

#[test]
fn who_claims_one_name_at_once_is_told_apart() {
    let (_folder, registry) = stage();
    let claim = || registry.claim(&record("cat")).unwrap();
    let claimed: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..16).map(|_| scope.spawn(claim)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(claimed.iter().flatten().count(), 1);
    assert_eq!(folders(&registry), ["cat"]);
}

#[test]
fn a_container_without_its_keeper_is_dead_unless_it_had_ended() {
    let (_folder, registry) = stage();
    let state = || registry.find("cat").unwrap().state;
    let kept = registry.claim(&record("cat")).unwrap().unwrap();
    assert_eq!(state(), State::Created);
    let running = Record {
        phase: Phase::Running { pid: 1, started: None, since: Moment::now() },
        ..kept.home.record().unwrap()
    };
    kept.home.write(&running).unwrap();
    assert_eq!(state(), State::Running);
    let home = kept.home.clone();
    drop(kept);
    assert_eq!(state(), State::Dead);
    let (since, at) = (Moment::now(), Moment::now());
    home.write(&Record { phase: Phase::Exited { since, at, status: 3, left: None }, ..running }).unwrap();
    assert_eq!(state(), State::Exited(3));
}

#[test]
fn who_waits_for_a_containers_end_does_not_wait_for_the_next_one_of_its_name() {
    let (_folder, registry) = stage();
    let first = registry.claim(&record("cat")).unwrap().unwrap();
    let found = registry.find("cat").unwrap();
    first.home.remove().unwrap();
    let _next = registry.claim(&record("cat")).unwrap().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(found.home.wait_until_left(&found.record.id).unwrap().is_none()));
    assert_eq!(told.recv_timeout(Duration::from_mins(1)), Ok(true));
}

#[test]
fn a_container_is_found_by_its_name_or_the_beginning_of_its_id() {
    let (_folder, registry) = stage();
    let (mut cat, mut dog) = (record("cat"), record("dog"));
    cat.id = Id::try_from("a1".repeat(32)).unwrap();
    dog.id = Id::try_from("a2".repeat(32)).unwrap();
    let _kept = [registry.claim(&cat).unwrap(), registry.claim(&dog).unwrap()];
    for (word, name) in
        [("cat", "cat"), ("/cat", "cat"), ("a1", "cat"), ("a2a2", "dog"), (dog.id.as_str(), "dog")]
    {
        assert_eq!(registry.find(word).unwrap().record.name, name, "{word}");
    }
    let several = registry.find("a").unwrap_err();
    assert!(matches!(several, Error::Ambiguous { names, .. } if names == ["cat", "dog"]));
    let unknown = registry.find("cta").unwrap_err();
    assert!(matches!(unknown, Error::Unknown { similar: Some(name), .. } if name == "cat"));
    for word in ["", "elephant", "..", "../containers/cat", "."] {
        let unknown = registry.find(word).unwrap_err();
        assert!(matches!(unknown, Error::Unknown { similar: None, .. }), "{word}: {unknown:?}");
    }
}

#[test]
fn a_record_that_is_none_hides_no_other_container() {
    let (_folder, registry) = stage();
    let kept = ["cat", "cow", "dog"].map(|name| registry.claim(&record(name)).unwrap().unwrap());
    for broken in ["", "{", "{\"id\": 1}"] {
        fs::write(kept[1].home.file("container.json"), broken).unwrap();
        let all: Vec<_> = registry.all().unwrap().into_iter().map(|one| one.record.name).collect();
        assert_eq!(all, ["cat", "dog"], "{broken}");
        let each = registry.each().unwrap();
        assert!(matches!(each.as_slice(), [Ok(_), Err(Error::Record { .. }), Ok(_)]), "{broken}");
        let dog = kept[2].home.record().unwrap().id;
        assert_eq!(registry.find(dog.as_str()).unwrap().record.name, "dog", "{broken}");
        assert!(matches!(registry.find("elephant"), Err(Error::Unknown { .. })), "{broken}");
        assert!(matches!(registry.find("cow"), Err(Error::Record { .. })), "{broken}");
    }
}

#[test]
fn a_draft_is_swept_away_only_when_nobody_is_at_it_any_more() {
    let (_folder, registry) = stage();
    let kept = registry.claim(&record("cat")).unwrap().unwrap();
    let (draft, fresh) = (registry.containers().join(".old"), registry.containers().join(".new"));
    fs::rename(kept.home.path(), &draft).unwrap();
    fs::create_dir(&fresh).unwrap();
    let long_ago = std::time::SystemTime::now() - 2 * ABANDONED;
    File::open(&draft).unwrap().set_modified(long_ago).unwrap();
    registry.sweep().unwrap();
    assert_eq!(folders(&registry), [".new", ".old"]);
    drop(kept);
    registry.sweep().unwrap();
    assert_eq!(folders(&registry), [".new"]);
}

#[test]
fn names_are_as_docker_has_them() {
    for good in ["ab", "a.b_c-D9", "0x", &"a".repeat(200)] {
        assert!(is_name(good), "{good}");
    }
    for bad in ["", "a", "-ab", ".ab", "_ab", "a b", "a/b", "..", "a\n", "é1", &"a".repeat(201)] {
        assert!(!is_name(bad), "{bad}");
    }
}
