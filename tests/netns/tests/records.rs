//! Records that can't be read: somebody has emptied or damaged them, or a newer release wrote them. DEL and GC give back what they can't tell, and
//! nobody else's ADD is in their way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, Reply, ip, with};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};

netlab::tests! {
    del_gives_back_what_a_record_does_not_say,
    del_of_one_that_is_not_alone_leaves_the_other_what_they_share,
    gc_gives_back_what_a_record_does_not_say,
    gc_of_a_list_that_has_the_plugin_no_more_gives_it_back_too,
    the_mac_check_of_a_port_goes_with_it,
    an_interface_that_another_network_has_is_left_alone,
    conditions_and_rules_of_iptables_go_with_their_ports,
    what_is_between_a_plan_and_the_end_of_a_record_is_not_lost,
    an_add_beside_it_finds_a_port_of_a_range,
    an_add_beside_it_is_told_who_has_the_port,
    an_add_beside_it_has_a_mac_address,
    an_add_of_the_same_interface_begins_anew,
    of_what_a_killed_add_leaves_no_word_is_said,
    a_record_that_is_short_of_what_was_answered_is_named,
    a_line_that_cannot_be_read_is_named_and_kept,
    of_copies_of_what_cannot_be_read_the_newest_are_kept,
    repair_names_what_it_cannot_read,
}

/// What becomes of a record.
type Damage = fn(&[u8]) -> Vec<u8>;

const EMPTY: Damage = |_| Vec::new();
const BEGUN: Damage = |text| text.split_inclusive(|byte| *byte == b'\n').next().unwrap().to_vec();
const TORN: Damage = |text| [BEGUN(text), b"{\"plan\": {\"steps\": [".to_vec()].concat();
const RUBBISH: Damage = |_| b"rubbish\n".to_vec();
const NO_TEXT: Damage = |_| b"\xff\xfe\n".to_vec();
const NEWER: Damage = |text| {
    String::from_utf8(text.to_vec()).unwrap().replace("\"steps\"", "\"steps-of-tomorrow\"").into_bytes()
};
const ALL: [Damage; 6] = [EMPTY, BEGUN, TORN, RUBBISH, NO_TEXT, NEWER];
/// Of those, what has a whole line that is none.
const WHOLE: [Damage; 3] = [RUBBISH, NO_TEXT, NEWER];

struct Site {
    host: Host,
    portmap: Value,
}

/// A container with the port of this number, and what ADD said.
struct Inside {
    container: Container,
    port: u16,
    result: Value,
}

impl Site {
    /// A host on which the network has been used before, so that what is shared exists.
    fn new(keys: &Value) -> Self {
        let host = Host::new().unwrap();
        let mut portmap = host.config(&json!({"type": "portmap"}));
        portmap.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let site = Self { host, portmap };
        let first = site.add(1);
        site.del(&first);
        site
    }

    fn bridge(&self) -> Value {
        self.host.config(
            &json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
            "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}),
        )
    }

    fn publish(&self, port: u16) -> Value {
        with(
            &self.portmap,
            "runtimeConfig",
            &json!({"portMappings": [{"hostPort": port, "containerPort": 80}]}),
        )
    }

    fn call(&self, verb: &str, config: &Value, of: &Container, result: &Value) -> Reply {
        let config = if result.is_null() { config.clone() } else { with(config, "prevResult", result) };
        self.host.attach(verb, &config, of, "eth0").unwrap().run().unwrap()
    }

    fn add(&self, port: u16) -> Inside {
        self.add_to(&self.host.container().unwrap(), port)
    }

    fn add_to(&self, container: &Container, port: u16) -> Inside {
        let result = self.host.add(&self.bridge(), container, "eth0").unwrap().result().unwrap();
        self.call("ADD", &self.publish(port), container, &result).result().unwrap();
        Inside { container: container.clone(), port, result }
    }

    fn record(&self, of: &Inside, plugin: &str) -> PathBuf {
        let attachments = self.host.state_dir().join("attachments/net");
        attachments.join(format!("{}:eth0", of.container.id())).join(plugin)
    }

    fn add_and_damage(&self, port: u16, damage: Damage) -> Inside {
        let inside = self.add(port);
        self.damage(&inside, damage);
        inside
    }

    fn damage(&self, inside: &Inside, damage: Damage) {
        for plugin in ["bridge.0", "portmap.0"] {
            let record = self.record(inside, plugin);
            fs::write(&record, damage(&fs::read(&record).unwrap())).unwrap();
        }
    }

    /// As a runtime does that has kept what ADD answered; what was said on standard error.
    fn del(&self, inside: &Inside) -> String {
        self.del_with(inside, &inside.result)
    }

    fn del_with(&self, inside: &Inside, result: &Value) -> String {
        let configs = [self.publish(inside.port), self.bridge()];
        let replies = configs.iter().map(|config| self.call("DEL", config, &inside.container, result));
        replies.map(said).collect()
    }

    fn gc(&self, plugins: &[&Value]) -> String {
        plugins.iter().map(|config| said(self.host.gc(config, &[]).unwrap())).collect()
    }

    /// What differs since, but for the records that are kept aside.
    fn changes_since(&self, before: &netlab::Snapshot) -> String {
        let changes = self.host.changes_since(before).unwrap();
        changes.split_inclusive('\n').filter(|line| !line.contains("/unreadable")).collect()
    }
}

fn said(reply: Reply) -> String {
    reply.result().unwrap();
    reply.stderr
}

fn ruleset() -> String {
    String::from_utf8(Command::new("nft").args(["list", "ruleset"]).output().unwrap().stdout).unwrap()
}

fn del_gives_back_what_a_record_does_not_say() {
    let site = Site::new(&json!({}));
    let before = site.host.snapshot().unwrap();
    for (at, damage) in ALL.iter().enumerate() {
        for result in [true, false] {
            let inside = site.add_and_damage(8080, *damage);
            site.del_with(&inside, if result { &inside.result } else { &Value::Null });
            assert_eq!(site.changes_since(&before), "", "{at} {result}");
        }
    }
    assert!(!ruleset().contains("elements"));
}

fn del_of_one_that_is_not_alone_leaves_the_other_what_they_share() {
    let site = Site::new(&json!({}));
    let nobody = site.host.snapshot().unwrap();
    let other = site.add(8081);
    let before = site.host.snapshot().unwrap();
    for (at, damage) in ALL.iter().enumerate() {
        let inside = site.add_and_damage(8080, *damage);
        site.del(&inside);
        assert_eq!(site.changes_since(&before), "", "{at}");
    }
    assert_eq!(site.del(&other), "");
    assert_eq!(site.changes_since(&nobody), "");
}

fn gc_gives_back_what_a_record_does_not_say() {
    let site = Site::new(&json!({}));
    let before = site.host.snapshot().unwrap();
    for (at, damage) in ALL.iter().enumerate() {
        site.add_and_damage(8080, *damage);
        site.gc(&[&site.portmap, &site.bridge()]);
        assert_eq!(site.changes_since(&before), "", "{at}");
    }
}

fn gc_of_a_list_that_has_the_plugin_no_more_gives_it_back_too() {
    let site = Site::new(&json!({}));
    let before = site.host.snapshot().unwrap();
    for (at, damage) in ALL.iter().enumerate() {
        site.add_and_damage(8080, *damage);
        site.gc(&[&site.bridge()]);
        assert_eq!(site.changes_since(&before), "", "{at}");
    }
}

/// That of another port stays.
fn the_mac_check_of_a_port_goes_with_it() {
    let site = Site::new(&json!({}));
    let checked = with(&site.bridge(), "macspoofchk", &json!(true));
    let add = || {
        let container = site.host.container().unwrap();
        let result = site.host.add(&checked, &container, "eth0").unwrap().result().unwrap();
        Inside { container, port: 0, result }
    };
    let other = add();
    let before = site.host.snapshot().unwrap();
    for (at, damage) in ALL.iter().enumerate() {
        for verb in ["DEL", "DEL with a result", "GC"] {
            let inside = add();
            let record = site.record(&inside, "bridge.0");
            fs::write(&record, damage(&fs::read(&record).unwrap())).unwrap();
            let port = inside.result["interfaces"][1]["name"].as_str().unwrap();
            assert!(ruleset().matches(port).count() == 2, "{}", ruleset());
            match verb {
                "DEL" => said(site.call("DEL", &checked, &inside.container, &Value::Null)),
                "GC" => said(site.host.gc(&checked, &[(other.container.id(), "eth0")]).unwrap()),
                _ => said(site.call("DEL", &checked, &inside.container, &inside.result)),
            };
            assert_eq!(site.changes_since(&before), "", "{at} {verb}");
        }
    }
}

/// A runtime sends DEL after an ADD that was refused because of it, whatever result it has kept.
fn an_interface_that_another_network_has_is_left_alone() {
    let site = Site::new(&json!({}));
    let inside = site.add(8080);
    let before = site.host.snapshot().unwrap();
    for name in ["bridge", "portmap"] {
        let record = site.record(&inside, &format!("{name}.0"));
        let record = record.to_str().unwrap().replace("/net/", "/other/");
        fs::create_dir_all(PathBuf::from(&record).parent().unwrap()).unwrap();
        fs::write(&record, "").unwrap();
        let config = if name == "bridge" { site.bridge() } else { site.publish(8080) };
        let config = with(&config, "name", &json!("other"));
        said(site.call("DEL", &config, &inside.container, &inside.result));
        assert_eq!(site.changes_since(&before), "", "{name}");
    }
}

fn conditions_and_rules_of_iptables_go_with_their_ports() {
    for keys in [json!({"conditionsV4": ["ip saddr 10.0.0.0/8"]}), json!({"backend": "iptables"})] {
        let site = Site::new(&keys);
        let before = site.host.snapshot().unwrap();
        for (at, damage) in ALL.iter().enumerate() {
            let inside = site.add_and_damage(8080, *damage);
            assert!(ruleset().contains("8080"));
            site.del_with(&inside, &Value::Null);
            assert_eq!(site.changes_since(&before), "", "{at} {keys}");
        }
    }
}

/// Of several tries to choose a port the last one counts, which may be what can't be read.
fn what_is_between_a_plan_and_the_end_of_a_record_is_not_lost() {
    let site = Site::new(&json!({}));
    let before = site.host.snapshot().unwrap();
    let inside = site.add(8080);
    let record = site.record(&inside, "portmap.0");
    let text = fs::read_to_string(&record).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let another = lines[1].replace("8080", "8079");
    lines.insert(1, &another);
    lines[2] = "rubbish";
    fs::write(&record, lines.join("\n") + "\n").unwrap();
    site.del(&inside);
    assert_eq!(site.changes_since(&before), "");
}

fn an_add_beside_it_finds_a_port_of_a_range() {
    let site = Site::new(&json!({}));
    for damage in ALL {
        let inside = site.add_and_damage(8080, damage);
        let beside = site.host.container().unwrap();
        let result = site.host.add(&site.bridge(), &beside, "eth0").unwrap().result().unwrap();
        let range = json!({"portMappings": [{"hostPort": 8080, "hostPortEnd": 8081, "containerPort": 80}]});
        let config = with(&site.portmap, "runtimeConfig", &range);
        site.call("ADD", &config, &beside, &result).result().unwrap();
        let beside = Inside { container: beside, port: 8081, result };
        assert!(site.host.state_dir().join("ports/tcp/8081").exists());
        site.del(&beside);
        site.del(&inside);
    }
}

fn an_add_beside_it_is_told_who_has_the_port() {
    let site = Site::new(&json!({}));
    for damage in ALL {
        let inside = site.add_and_damage(8080, damage);
        let beside = site.host.container().unwrap();
        let result = site.host.add(&site.bridge(), &beside, "eth0").unwrap().result().unwrap();
        let said = site.call("ADD", &site.publish(8080), &beside, &result).msg();
        assert!(said.contains(inside.container.id()), "{said}");
        site.del(&inside);
        site.call("ADD", &site.publish(8080), &beside, &result).result().unwrap();
        site.del(&Inside { container: beside, port: 8080, result });
    }
}

/// Where an earlier release has attached containers, all records of the network are read once.
fn an_add_beside_it_has_a_mac_address() {
    let site = Site::new(&json!({}));
    for damage in ALL {
        let inside = site.add_and_damage(8080, damage);
        fs::remove_dir_all(site.host.state_dir().join("ethers")).unwrap();
        let beside = site.add(8081);
        site.del(&beside);
        site.del(&inside);
    }
}

fn an_add_of_the_same_interface_begins_anew() {
    let site = Site::new(&json!({}));
    let before = site.host.snapshot().unwrap();
    for damage in WHOLE {
        let inside = site.add_and_damage(8080, damage);
        let again = site.add_to(&inside.container, 8080);
        site.call("CHECK", &site.bridge(), &again.container, &again.result).result().unwrap();
        assert_eq!(site.del(&again), "", "what it has written can be read");
        assert_eq!(site.changes_since(&before), "");
    }
}

fn of_what_a_killed_add_leaves_no_word_is_said() {
    let site = Site::new(&json!({}));
    for damage in [EMPTY, BEGUN, TORN] {
        let inside = site.add_and_damage(8080, damage);
        assert_eq!(site.del_with(&inside, &Value::Null), "");
        site.add_and_damage(8080, damage);
        assert_eq!(site.gc(&[&site.bridge()]), "");
    }
    assert!(!site.host.state_dir().join("unreadable").exists());
}

fn a_record_that_is_short_of_what_was_answered_is_named() {
    let site = Site::new(&json!({}));
    for damage in [EMPTY, BEGUN, TORN] {
        let inside = site.add_and_damage(8080, damage);
        let records = ["portmap.0", "bridge.0"].map(|plugin| site.record(&inside, plugin));
        let said = site.del(&inside);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        for (line, record) in lines.iter().zip(records) {
            assert!(line.contains(record.to_str().unwrap()) && line.contains("does not say"), "{line}");
        }
    }
    assert!(!site.host.state_dir().join("unreadable").exists());
}

fn a_line_that_cannot_be_read_is_named_and_kept() {
    let site = Site::new(&json!({}));
    for damage in WHOLE {
        for verb in ["DEL", "GC"] {
            let inside = site.add_and_damage(8080, damage);
            let records = ["portmap.0", "bridge.0"].map(|plugin| site.record(&inside, plugin));
            let texts = records.each_ref().map(|record| fs::read(record).unwrap());
            let said =
                if verb == "DEL" { site.del_with(&inside, &Value::Null) } else { site.gc(&[&site.bridge()]) };
            assert_eq!(said.lines().count(), 2, "{said}");
            for ((line, record), text) in said.lines().zip(records).zip(texts) {
                let aside = record.to_str().unwrap().replace("/attachments/", "/unreadable/");
                assert!(line.contains(record.to_str().unwrap()) && line.contains(&aside), "{line}");
                assert_eq!(fs::read(aside).unwrap(), text);
                assert!(!record.exists());
            }
        }
    }
    assert_eq!(ip("link show type veth").unwrap().as_array().map_or(0, Vec::len), 0);
}

fn of_copies_of_what_cannot_be_read_the_newest_are_kept() {
    let site = Site::new(&json!({}));
    let all = site.host.state_dir().join("unreadable/net");
    for at in 0..40 {
        let copy = all.join(format!("old{at}:eth0"));
        fs::create_dir_all(&copy).unwrap();
        fs::write(copy.join("bridge.0"), "rubbish\n").unwrap();
    }
    let inside = site.add_and_damage(8080, RUBBISH);
    site.gc(&[&site.bridge()]);
    let newest = all.join(format!("{}:eth0", inside.container.id()));
    assert_eq!(fs::read_dir(&newest).unwrap().count(), 2);
    assert_eq!(fs::read_dir(&all).unwrap().count(), 31, "with those of two plugins 32");
}

fn repair_names_what_it_cannot_read() {
    let site = Site::new(&json!({}));
    for (damage, is_named) in [(BEGUN, false), (NO_TEXT, true), (NEWER, true)] {
        let inside = site.add_and_damage(8080, damage);
        let before = site.host.snapshot().unwrap();
        let mut command = netlab::sealane(site.host.dir());
        command.env("SEALANE_STATE_DIR", site.host.state_dir()).env("SEALANE_DATA_DIR", site.host.data_dir());
        command.env("SEALANE_CNI_CACHE_DIR", site.host.results_dir());
        let output = command.arg("repair").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let record = site.record(&inside, "portmap.0");
        assert_eq!(said.contains(record.to_str().unwrap()), is_named, "{said}");
        assert_eq!(output.status.code(), Some(i32::from(is_named)), "{said}");
        assert_eq!(site.changes_since(&before), "", "a container that runs keeps what it has");
        site.del(&inside);
    }
}
