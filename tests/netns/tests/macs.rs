//! MAC addresses on a network: no two attachments have the same, whoever asked for it and however, and what that costs does not grow with their
//! number. With the reference both get the address, and are heard in turns.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Binaries, Container, Host, Reply, ip, with};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, thread};

fn main() -> std::process::ExitCode {
    let mut trials = netlab::trials![
        an_address_is_the_same_in_every_form,
        an_address_that_the_host_has_on_the_bridge_is_refused_with_the_links_name,
        an_address_of_a_vlans_gateway_is_refused_with_its_name,
        an_address_that_tuning_asks_for_is_refused_while_another_has_it,
        an_address_that_tuning_gave_is_refused_to_others,
        an_address_that_is_derived_is_refused_while_another_has_asked_for_it,
        a_container_may_ask_twice_for_its_own_address,
        check_names_who_has_the_address,
        del_and_gc_and_a_dead_container_free_an_address,
        of_many_that_ask_at_once_one_has_the_address,
        a_container_of_an_earlier_release_has_its_address,
        who_asks_for_an_address_reads_no_records_of_others,
        the_directory_of_a_network_that_somebody_died_over_is_made_anew,
    ];
    trials.extend(netlab::beside_the_reference(netlab::trials![an_address_has_the_forms_of_the_reference]));
    netlab::main(trials)
}

const MAC: &str = "02:00:00:00:00:07";

/// A host with a bridge, on which containers are tuned.
struct Site(Host);

impl Site {
    fn new() -> Self {
        Self(Host::new().unwrap())
    }

    fn bridge(&self, keys: &Value) -> Value {
        let config = self.0.config(&json!({"type": "bridge", "bridge": "b0", "cniVersion": "1.1.0"}));
        all(&config, keys)
    }

    fn tuning(&self, keys: &Value, before: &Value) -> Value {
        let config = self.0.config(&json!({"type": "tuning", "dataDir": self.0.dir().join("tuning")}));
        all(&with(&config, "prevResult", before), keys)
    }

    /// One on the bridge, and what ADD said.
    fn attached(&self, container: &Container, keys: &Value) -> Value {
        self.0.add(&self.bridge(keys), container, "eth0").unwrap().result().unwrap()
    }

    fn leave(&self, container: &Container) {
        self.0.del(&self.bridge(&json!({})), container, "eth0").unwrap().result().unwrap();
    }

    fn ethers(&self) -> PathBuf {
        self.0.state_dir().join("ethers")
    }

    /// Refuses it by the name of who has it, and changes nothing.
    fn refuses(&self, config: &Value, container: &Container, by: &Container) {
        let refused = || self.0.attach("ADD", config, container, "eth0").unwrap().run().unwrap();
        self.is_refused(&refused, container, by);
    }

    fn is_refused(&self, refused: &dyn Fn() -> Reply, container: &Container, by: &Container) {
        let (before, inside) = (self.0.snapshot().unwrap(), container.snapshot().unwrap());
        let reply = refused();
        assert_eq!((reply.status.code(), reply.code()), (Some(1), Some(101)), "{reply:?}");
        let expected = format!("is in use: it is that of container {} on network net", by.id());
        assert!(reply.msg().ends_with(&expected), "{reply:?}");
        assert_eq!(reply.hint(), format!("stop container {}, or ask for another MAC address", by.id()));
        assert_eq!(self.0.changes_since(&before).unwrap(), "", "{reply:?}");
        assert_eq!(inside.difference(&container.snapshot().unwrap()), "", "{reply:?}");
    }
}

/// An object with the keys of another.
fn all(object: &Value, keys: &Value) -> Value {
    keys.as_object().unwrap().iter().fold(object.clone(), |all, (key, value)| with(&all, key, value))
}

/// The MAC address of the container's interface in a result.
fn mac(result: &Value) -> Value {
    let interfaces = result["interfaces"].as_array().unwrap();
    interfaces.iter().find(|it| it["sandbox"].is_string()).unwrap()["mac"].clone()
}

/// The ways in which one is asked for that has no key of its own for it.
fn ways(mac: &Value) -> [Value; 3] {
    [
        json!({ "mac": mac }),
        json!({"runtimeConfig": {"mac": mac}, "capabilities": {"mac": true}}),
        json!({"args": {"cni": {"mac": mac}}}),
    ]
}

fn an_address_is_the_same_in_every_form() {
    let site = Site::new();
    let (first, second) = (site.0.container().unwrap(), site.0.container().unwrap());
    let asking = |mac: &str| site.bridge(&json!({"runtimeConfig": {"mac": mac}}));
    let result = site.0.add(&asking("02-00-5E-00-53-01"), &first, "eth0").unwrap().result().unwrap();
    assert_eq!(mac(&result), "02:00:5e:00:53:01");
    for same in ["02:00:5E:00:53:01", "0200.5e00.5301", "02005E005301"] {
        site.refuses(&asking(same), &second, &first);
    }
}

/// The reference gives it, and the container hears nothing.
fn an_address_that_the_host_has_on_the_bridge_is_refused_with_the_links_name() {
    let site = Site::new();
    let (first, second) = (site.0.container().unwrap(), site.0.container().unwrap());
    let result = site.attached(&first, &json!({}));
    for at in [0, 1] {
        let theirs = &result["interfaces"][at];
        assert!(theirs["sandbox"].is_null(), "{result}");
        for way in ways(&theirs["mac"]).iter().skip(1) {
            refuses_the_hosts(&site, &site.bridge(way), &second, theirs);
        }
    }
    // A container's is another matter, and one that nobody has is free.
    site.refuses(&site.bridge(&json!({"runtimeConfig": {"mac": mac(&result)}})), &second, &first);
    let config = site.bridge(&json!({"runtimeConfig": {"mac": MAC}}));
    let result = site.0.add(&config, &second, "eth0").unwrap().result().unwrap();
    site.0.check(&config, &second, "eth0", &result).unwrap().result().unwrap();
}

/// It is on the bridge by a cable, as a container is.
fn an_address_of_a_vlans_gateway_is_refused_with_its_name() {
    let site = Site::new();
    let container = site.0.container().unwrap();
    ip("link add b0 type bridge").unwrap();
    ip(&format!("link add b0.7 address {MAC} type veth peer name p7")).unwrap();
    let ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24"});
    let keys = json!({"isGateway": true, "vlan": 7, "ipam": ipam, "runtimeConfig": {"mac": MAC}});
    refuses_the_hosts(&site, &site.bridge(&keys), &container, &json!({"name": "b0.7", "mac": MAC}));
}

fn refuses_the_hosts(site: &Site, config: &Value, container: &Container, theirs: &Value) {
    let (before, inside) = (site.0.snapshot().unwrap(), container.snapshot().unwrap());
    let reply = site.0.attach("ADD", config, container, "eth0").unwrap().run().unwrap();
    assert_eq!(reply.code(), Some(101), "{reply:?}");
    let (mac, name) = (theirs["mac"].as_str().unwrap(), theirs["name"].as_str().unwrap());
    let expected =
        format!("MAC address {mac} is in use on bridge \"b0\": it is that of \"{name}\" on the host");
    assert!(reply.msg().ends_with(&expected), "{reply:?}");
    let hint = format!("`ip link show {name}` shows it; ask for another MAC address, or for none");
    assert_eq!(reply.hint(), hint);
    assert_eq!(site.0.changes_since(&before).unwrap(), "", "{reply:?}");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "", "{reply:?}");
}

fn an_address_has_the_forms_of_the_reference() {
    let mut site = Site::new();
    ip("link add d0 address 02:00:5e:00:53:01 type veth peer name d1").unwrap();
    let device = site.0.config(&json!({"type": "host-device"}));
    for binaries in [Binaries::under_test().unwrap(), Binaries::reference().unwrap()] {
        site.0.use_binaries(&binaries);
        for (text, is_one) in [
            ("02:00:5E:00:53:01", true),
            ("02-00-5e-00-53-01", true),
            ("0200.5e00.5301", true),
            ("02005e005301", true),
            ("02:00:5e:00:53:01:00:01", false),
            ("0200.5e00.5301.0001", false),
            ("2:0:5e:0:53:1", false),
            ("02:00-5e:00-53:01", false),
            ("02.00.5e.00.53.01", false),
            ("0200:5e00:5301", false),
            ("02:00:5e:00:53", false),
            ("01:00:5e:00:53:01", false),
            ("00:00:00:00:00:00", false),
        ] {
            let bridge = site.bridge(&json!({"runtimeConfig": {"mac": text}}));
            for config in [bridge, with(&device, "hwaddr", &json!(text))] {
                let container = site.0.container().unwrap();
                let reply = site.0.add(&config, &container, "eth0").unwrap();
                assert_eq!(reply.success(), is_one, "{text} by {}: {reply:?}", binaries.dir().display());
                let had = container.ip("link show dev eth0").map(|shown| shown[0]["address"].clone());
                assert!(!is_one || had.is_ok_and(|mac| mac == "02:00:5e:00:53:01"), "{text}");
                let _not_attached = site.0.del(&config, &container, "eth0").unwrap();
            }
        }
    }
}

fn an_address_that_tuning_asks_for_is_refused_while_another_has_it() {
    let site = Site::new();
    let second = site.0.container().unwrap();
    let before = site.attached(&second, &json!({}));
    // One that nobody asked for, and one that somebody did.
    for keys in [json!({}), json!({"runtimeConfig": {"mac": MAC}})] {
        let first = site.0.container().unwrap();
        let theirs = mac(&site.attached(&first, &keys));
        for keys in ways(&theirs) {
            site.refuses(&site.tuning(&keys, &before), &second, &first);
        }
        let arguments = format!("MAC={}", theirs.as_str().unwrap());
        let call = site.0.attach("ADD", &site.tuning(&json!({}), &before), &second, "eth0").unwrap();
        let call = call.env("CNI_ARGS", arguments);
        site.is_refused(&|| call.run().unwrap(), &second, &first);
        site.leave(&first);
        // Who was refused gets it now.
        let config = site.tuning(&json!({ "mac": theirs }), &before);
        let result = site.0.add(&config, &second, "eth0").unwrap().result().unwrap();
        assert_eq!(mac(&result), theirs);
        site.0.del(&config, &second, "eth0").unwrap().result().unwrap();
    }
}

fn an_address_that_tuning_gave_is_refused_to_others() {
    let site = Site::new();
    let (first, second) = (site.0.container().unwrap(), site.0.container().unwrap());
    let before = site.attached(&first, &json!({}));
    let tuning = site.tuning(&json!({"mac": MAC}), &before);
    site.0.add(&tuning, &first, "eth0").unwrap().result().unwrap();
    let asking = site.bridge(&json!({"runtimeConfig": {"mac": MAC}}));
    site.refuses(&asking, &second, &first);
    // The one that it had before it gets back.
    site.refuses(&site.bridge(&json!({"runtimeConfig": {"mac": mac(&before)}})), &second, &first);
    site.0.del(&tuning, &first, "eth0").unwrap().result().unwrap();
    site.0.add(&asking, &second, "eth0").unwrap().result().unwrap();
    site.refuses(&tuning, &first, &second);
}

fn an_address_that_is_derived_is_refused_while_another_has_asked_for_it() {
    let site = Site::new();
    let (first, second) = (site.0.container().unwrap(), site.0.container().unwrap());
    let derived = mac(&site.attached(&second, &json!({})));
    site.leave(&second);
    site.attached(&first, &json!({"runtimeConfig": {"mac": derived}}));
    site.refuses(&site.bridge(&json!({})), &second, &first);
    site.leave(&first);
    assert_eq!(mac(&site.attached(&second, &json!({}))), derived);
}

/// `mac` as a capability of both.
fn a_container_may_ask_twice_for_its_own_address() {
    let site = Site::new();
    let (first, second) = (site.0.container().unwrap(), site.0.container().unwrap());
    let asking = json!({"runtimeConfig": {"mac": MAC}});
    let bridged = site.attached(&first, &asking);
    let tuning = site.tuning(&asking, &bridged);
    let result = site.0.add(&tuning, &first, "eth0").unwrap().result().unwrap();
    for config in [&site.bridge(&asking), &tuning] {
        site.0.check(config, &first, "eth0", &result).unwrap().result().unwrap();
    }
    // And it is its own for as long as one of both is there.
    site.0.del(&tuning, &first, "eth0").unwrap().result().unwrap();
    site.refuses(&site.bridge(&asking), &second, &first);
    site.leave(&first);
    site.attached(&second, &asking);
    site.leave(&second);
    assert!(!site.ethers().exists());
}

fn check_names_who_has_the_address() {
    let site = Site::new();
    let (first, second) = (site.0.container().unwrap(), site.0.container().unwrap());
    let result = site.attached(&first, &json!({}));
    let other = mac(&site.attached(&second, &json!({})));
    let link = |mac: &Value| site.ethers().join("net").join(mac.as_str().unwrap());
    let check = || site.0.check(&site.bridge(&json!({})), &first, "eth0", &result).unwrap();
    check().result().unwrap();
    // An earlier release made none.
    fs::remove_file(link(&mac(&result))).unwrap();
    check().result().unwrap();
    fs::rename(link(&other), link(&mac(&result))).unwrap();
    let reply = check();
    assert!(reply.msg().contains(&format!("container {} on network net has it", second.id())), "{reply:?}");
}

fn del_and_gc_and_a_dead_container_free_an_address() {
    let site = Site::new();
    let asking = json!({"runtimeConfig": {"mac": MAC}});
    for end in ["del", "del without a namespace", "gc", "death"] {
        let (first, second) = (site.0.container().unwrap(), site.0.container().unwrap());
        site.attached(&first, &asking);
        assert_eq!(fs::read_dir(site.ethers().join("net")).unwrap().count(), 1, "{end}");
        let config = site.bridge(&asking);
        match end {
            "del" => site.leave(&first),
            "gc" => drop(site.0.gc(&config, &[]).unwrap().result().unwrap()),
            "death" => first.kill().unwrap(),
            _ => drop(site.0.del_without_netns(&config, &first, "eth0").unwrap().result().unwrap()),
        }
        assert_eq!(site.ethers().exists(), end == "death", "{end}");
        site.attached(&second, &asking);
        // Of a dead one whose DEL comes late the other's stays.
        site.0.del_without_netns(&config, &first, "eth0").unwrap().result().unwrap();
        site.refuses(&config, &site.0.container().unwrap(), &second);
        site.leave(&second);
        assert!(!site.ethers().exists(), "{end}");
    }
}

fn of_many_that_ask_at_once_one_has_the_address() {
    let site = Site::new();
    for round in 0..8 {
        let containers: Vec<_> = (0..8).map(|_| site.0.container().unwrap()).collect();
        // In every other round a dead one has it.
        let dead = site.0.container().unwrap();
        if round % 2 == 0 {
            site.attached(&dead, &json!({"runtimeConfig": {"mac": MAC}}));
            dead.kill().unwrap();
        }
        let config = site.bridge(&json!({"runtimeConfig": {"mac": MAC}}));
        let call = |container| site.0.attach("ADD", &config, container, "eth0").unwrap();
        let calls: Vec<_> = containers.iter().map(call).collect();
        let replies: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> =
                calls.iter().map(|call| call.start().unwrap()).map(|it| scope.spawn(|| it.wait())).collect();
            running.into_iter().map(|it| it.join().unwrap().unwrap()).collect()
        });
        let refused: Vec<_> = replies.iter().filter(|reply| !reply.success()).collect();
        assert_eq!(refused.len(), 7, "{replies:?}");
        assert!(refused.iter().all(|reply| reply.code() == Some(101)), "{refused:?}");
        for container in containers.iter().chain([&dead]) {
            site.leave(container);
        }
        assert!(!site.ethers().exists());
    }
}

/// Its record says which address it has, and nothing else does.
fn a_container_of_an_earlier_release_has_its_address() {
    let site = Site::new();
    let (first, tuned, second) =
        (site.0.container().unwrap(), site.0.container().unwrap(), site.0.container().unwrap());
    let derived = mac(&site.attached(&first, &json!({})));
    let before = site.attached(&tuned, &json!({}));
    site.0.add(&site.tuning(&json!({"mac": MAC}), &before), &tuned, "eth0").unwrap().result().unwrap();
    let age = || {
        fs::remove_dir_all(site.ethers()).unwrap();
        for (container, plugin) in [(&first, "bridge"), (&tuned, "bridge"), (&tuned, "tuning")] {
            forget_claim(&site, container, plugin);
        }
    };
    age();
    let asking = |mac: &Value| site.bridge(&json!({"runtimeConfig": {"mac": mac}}));
    site.refuses(&asking(&derived), &second, &first);
    site.refuses(&asking(&json!(MAC)), &second, &tuned);
    // Whoever came first since has told of them.
    let third = site.0.container().unwrap();
    site.attached(&third, &json!({}));
    let told = || fs::read_dir(site.ethers().join("net")).unwrap().count();
    assert_eq!(told(), 4);
    site.refuses(&asking(&derived), &second, &first);
    site.refuses(&asking(&json!(MAC)), &second, &tuned);
    // What was told of it goes with it.
    site.leave(&first);
    assert_eq!(told(), 3);
    site.0.add(&asking(&derived), &second, "eth0").unwrap().result().unwrap();
    site.0.del(&site.tuning(&json!({}), &before), &tuned, "eth0").unwrap().result().unwrap();
    assert_eq!(told(), 3);
    for container in [&tuned, &second, &third] {
        site.leave(container);
    }
    assert!(!site.ethers().exists());
}

/// Takes the step that says whose the address is out of a record.
fn forget_claim(site: &Site, container: &Container, plugin: &str) {
    let directory = site.0.state_dir().join("attachments/net").join(format!("{}:eth0", container.id()));
    let path = directory.join(format!("{plugin}.0"));
    let text = fs::read_to_string(&path).unwrap();
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if let Some(steps) = line.pointer_mut("/plan/steps") {
            let steps = steps.as_array_mut().unwrap();
            let before = steps.len();
            steps.retain(|step| step[1].get("only-mac").is_none());
            assert_eq!(steps.len() + 1, before);
        }
        format!("{line}\n")
    };
    fs::write(&path, text.lines().map(line).collect::<String>()).unwrap();
}

/// It never slows down as the host fills up.
fn who_asks_for_an_address_reads_no_records_of_others() {
    let site = Site::new();
    let (first, second) = (site.0.container().unwrap(), site.0.container().unwrap());
    let before = site.attached(&first, &json!({}));
    // Whoever looked into it would fail.
    fs::create_dir_all(site.0.state_dir().join("attachments/net/other:eth0/bridge.0")).unwrap();
    site.attached(&second, &json!({"runtimeConfig": {"mac": MAC}}));
    let tuning = site.tuning(&json!({"mac": "02:00:00:00:00:08"}), &before);
    site.0.add(&tuning, &first, "eth0").unwrap().result().unwrap();
    site.refuses(
        &site.bridge(&json!({"runtimeConfig": {"mac": MAC}})),
        &site.0.container().unwrap(),
        &second,
    );
}

fn the_directory_of_a_network_that_somebody_died_over_is_made_anew() {
    let site = Site::new();
    let (first, second) = (site.0.container().unwrap(), site.0.container().unwrap());
    fs::create_dir_all(site.ethers().join(".net/02:00:00:00:00:08")).unwrap();
    let derived = mac(&site.attached(&first, &json!({})));
    let names = |directory: PathBuf| -> Vec<_> {
        fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(site.ethers()), ["net"]);
    assert_eq!(names(site.ethers().join("net")), [derived.as_str().unwrap()]);
    // Of one whose record is all that there is, its DEL takes the rest along.
    fs::rename(site.ethers().join("net"), site.ethers().join(".net")).unwrap();
    site.leave(&first);
    assert!(!site.ethers().exists());
    site.attached(&second, &json!({}));
}
