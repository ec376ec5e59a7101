//! What other crates use: the preview of an ADD, and giving back by the lease record alone.
//!
//! Directories come from the environment, which a test cannot change for itself: each runs itself again in one of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows it in tests, but does not see that helpers are theirs"
)]
use cluster::{BlockNumber, Holding, Layout, LeasedBlock, Owned};
use cni::{Args, Attachment, AttachmentId, Call, Code, Failure, Handler, Verb, Version};
use serde_json::{Value, json};
use std::{env, fs, path::Path, process::Command};

fn in_a_host(test: &str, work: impl FnOnce(&Path)) {
    if let Some(dir) = env::var_os("SEALANE_TEST_DIR") {
        return work(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env_remove("SEALANE_STATE_DIR")
        .env("SEALANE_TEST_DIR", dir.path())
        .env("SEALANE_DATA_DIR", dir.path().join("data"))
        .env("SEALANE_CNI_CACHE_DIR", dir.path().join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn call(dir: &Path, ipam: &str) -> Call {
    let config = json!({"cniVersion": "1.1.0", "name": "net", "type": "bridge",
        "ipam": {"type": ipam, "dataDir": dir.join("networks"), "ranges": [[{"subnet": "10.1.0.0/29"}]]}});
    Call::new(Verb::Add, config.to_string().into_bytes(), Args::new(""), Vec::new(), &Version::ALL).unwrap()
}

fn attachment(container: &str) -> Attachment {
    let (container, ifname) = (container.parse().unwrap(), "eth0".parse().unwrap());
    Attachment { container, ifname, netns: Some("/some/where".into()) }
}

fn id(container: &str) -> AttachmentId {
    AttachmentId { container: container.parse().unwrap(), ifname: "eth0".parse().unwrap() }
}

#[test]
fn a_preview_is_what_add_answers_then_and_changes_nothing() {
    in_a_host("a_preview_is_what_add_answers_then_and_changes_nothing", |dir| {
        let call = call(dir, "host-local");
        for container in ["c1", "c2", "c3"] {
            let preview = ipam::preview(&call, &attachment(container)).unwrap();
            assert_eq!(dir.join("networks").exists(), container != "c1");
            assert_eq!(ipam::preview(&call, &attachment(container)).unwrap(), preview);
            assert_eq!(ipam::HOST_LOCAL.add(&call, &attachment(container)).unwrap(), preview);
        }
        let again = ipam::preview(&call, &attachment("c1")).unwrap_err();
        assert!(again.hint().unwrap().contains("DEL"), "{again}");
        // One of a former boot gives its address back first, and so can have it again.
        let record = dir.join("data/leases/net/c1:eth0");
        let mut value: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
        *value.get_mut("boot").unwrap() = json!("of-yore");
        fs::write(&record, value.to_string()).unwrap();
        fs::write(dir.join("networks/net/last_reserved_ip.0"), "10.1.0.6").unwrap();
        let preview = ipam::preview(&call, &attachment("c1")).unwrap();
        assert_eq!(fs::read_to_string(&record).unwrap(), value.to_string());
        assert_eq!(preview.ips.first().unwrap().address.to_string(), "10.1.0.2/29");
        assert_eq!(ipam::HOST_LOCAL.add(&call, &attachment("c1")).unwrap(), preview);
    });
}

#[test]
fn only_what_is_built_in_can_be_previewed() {
    in_a_host("only_what_is_built_in_can_be_previewed", |dir| {
        let fixed = call(dir, "static");
        assert_eq!(ipam::preview(&fixed, &attachment("c1")).unwrap().ips, []);
        let other = call(dir, "dhcp");
        assert_eq!(
            ipam::preview(&other, &attachment("c1")).unwrap_err().to_string(),
            "IPAM plugin \"dhcp\" is not built in"
        );
        let names: Vec<&str> = ipam::BUILT_IN
            .iter()
            .map(|(name, handler)| {
                assert_eq!(*name, handler.name());
                *name
            })
            .collect();
        assert_eq!(names, ["host-local", "static", "cluster"]);
    });
}

#[test]
fn an_address_is_given_back_by_its_record_alone() {
    in_a_host("an_address_is_given_back_by_its_record_alone", |dir| {
        let call = call(dir, "host-local");
        let reservation = dir.join("networks/net/10.1.0.2");
        let network = "net".parse().unwrap();
        assert!(!ipam::release(&network, &id("c1")).unwrap(), "nothing is known of it");
        ipam::HOST_LOCAL.add(&call, &attachment("c1")).unwrap();
        assert!(!ipam::release(&network, &id("c2")).unwrap());
        assert!(reservation.exists());
        assert!(ipam::release(&network, &id("c1")).unwrap());
        assert!(!reservation.exists());
        assert!(!ipam::release(&network, &id("c1")).unwrap());
    });
}

/// A node with leased blocks of a network.
fn leasing(blocks: &[u32]) -> (Call, Holding) {
    let config = json!({"cniVersion": "1.1.0", "name": "net", "type": "overlay", "vni": 4242, "subnets": ["10.42.0.0/24"],
        "node": "worker-1", "store": {"type": "etcd", "endpoints": ["http://192.0.2.9"]}, "ipam": {"type": "cluster"}});
    let call =
        Call::new(Verb::Add, config.to_string().into_bytes(), Args::new(""), Vec::new(), &Version::ALL);
    let layout = Layout::new(vec!["10.42.0.0/24".parse().unwrap()], None).unwrap();
    let block = |number: &u32| LeasedBlock { number: BlockNumber(*number), epoch: 1 };
    (call.unwrap(), Holding::new(&layout, Owned::Leased(blocks.iter().map(block).collect())))
}

#[test]
fn leased_blocks_are_taken_into_use_and_given_back_when_nobody_has_an_address_of_them() {
    in_a_host("leased_blocks_are_taken_into_use_and_given_back_when_nobody_has_an_address_of_them", |dir| {
        let network = "net".parse().unwrap();
        let ((call, one), (_, two), (_, none)) = (leasing(&[5]), leasing(&[5, 2]), leasing(&[]));
        assert_eq!(ipam::cluster::holding(&network).unwrap(), None);
        ipam::cluster::change(&network, |before| before.map_or(one.clone(), |_| none.clone())).unwrap();
        for at in 0..12 {
            assert!(!one.wants_another(ipam::cluster::given(&network, &one).unwrap()[0]).unwrap(), "{at}");
            assert_eq!(ipam::preview(&call, &attachment("c1")).is_ok(), at == 0);
            ipam::CLUSTER.add(&call, &attachment(&format!("c{}", at + 1))).unwrap();
        }
        assert!(one.wants_another(ipam::cluster::given(&network, &one).unwrap()[0]).unwrap());
        let added = |before: Option<Holding>| {
            assert_eq!(before, Some(one.clone()));
            two.clone()
        };
        assert_eq!(ipam::cluster::change(&network, added).unwrap(), two);
        assert_eq!(ipam::cluster::holding(&network).unwrap(), Some(two.clone()));
        let written = fs::read_to_string(dir.join("data/cluster/net/blocks")).unwrap();
        assert_eq!(written, serde_json::to_string(&two).unwrap());

        let refused = ipam::cluster::change(&network, |_| leasing(&[2]).1).unwrap_err();
        assert_eq!(
            (refused.code(), refused.to_string().as_str()),
            (Code::Taken, "containers have addresses of blocks that are to be given back")
        );
        assert!(refused.hint().unwrap().starts_with("12 addresses are held: "));
        ipam::cluster::change(&network, |_| one.clone()).unwrap();
        ipam::CLUSTER.gc(&call, &[]).unwrap();
        ipam::cluster::change(&network, |_| none.clone()).unwrap();
        let code = ipam::CLUSTER.add(&call, &attachment("c1")).unwrap_err().code();
        assert_eq!(code, Code::TryAgain);
    });
}

#[test]
fn the_data_directory_is_named_by_the_environment() {
    let is = |data: &str, state: &str| {
        let program = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_data_directory_is_printed", "--nocapture"])
            .env("SEALANE_DATA_DIR", data)
            .env("SEALANE_STATE_DIR", state)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&program.stdout).into_owned();
        said.split('<').nth(1).and_then(|rest| rest.split('>').next()).unwrap().to_owned()
    };
    assert_eq!(is("", ""), "/var/lib/sealane");
    assert_eq!(is("", "/run/host1"), "/run/host1/data");
    assert_eq!(is("/data", "/run/host1"), "/data");
    assert_eq!(is("data", ""), "SEALANE_DATA_DIR is not an absolute path: data");
    assert_eq!(is("", "host1"), "SEALANE_STATE_DIR is not an absolute path: host1");
}

/// Not a test of its own: what the one above runs.
#[test]
#[expect(clippy::print_stdout, reason = "the test that runs this reads it")]
fn the_data_directory_is_printed() {
    let said = ipam::data_dir().map_or_else(|error| error.to_string(), |dir| dir.display().to_string());
    println!("<{said}>");
}
