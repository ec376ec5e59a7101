//! Networks as administrators write them, and what libcni makes of them.
use super::lab::{Lab, object};
use cni::runtime::{ConfigError, Error, Network};
use cni::{Code, ErrorReply, Failure, Version};
use serde_json::{Value, json};

fn kinds(network: &Network) -> Vec<&str> {
    network.plugins.iter().map(|plugin| plugin.kind.as_str()).collect()
}

/// What is wrong with a list that has these members besides a name and one plugin.
fn refusal(members: &Value) -> String {
    ErrorReply::new("", &Network::parse(list(members).as_bytes()).unwrap_err()).msg
}

fn list(members: &Value) -> String {
    let mut list = object(json!({"name": "net", "cniVersion": "1.0.0", "plugins": [{"type": "first"}]}));
    list.extend(object(members.clone()));
    Value::Object(list).to_string()
}

fn version(members: &Value) -> Version {
    Network::parse(list(members).as_bytes()).unwrap().version
}

#[test]
fn a_list_is_read_whole() {
    let lab = Lab::new(&[]);
    let text = r#"{"name": "net", "cniVersion": "1.1.0", "disableCheck": true, "disableGC": "TRUE", "other": 1,
        "plugins": [{"type": "first", "Keys": {"Kept": null}}, {"Type": "second", "capabilities": {"b": true, "a": true}}]}"#;
    let network = Network::load(&lab.lay("10-net.conflist", text)).unwrap();
    assert_eq!((network.name.as_str(), network.version), ("net", Version::V1_1_0));
    assert!(network.disable_check && network.disable_gc);
    assert_eq!(kinds(&network), ["first", "second"]);
    assert_eq!(
        Value::Object(network.plugins[0].config.clone()),
        json!({"type": "first", "Keys": {"Kept": null}})
    );
    assert_eq!(network.plugins[1].capabilities, ["a", "b"]);
    assert_eq!(network.raw, text.as_bytes());
}

#[test]
fn the_highest_version_that_we_know_is_chosen() {
    assert_eq!(version(&json!({})), Version::V1_0_0);
    assert_eq!(version(&json!({"cniVersion": ""})), Version::V0_1_0);
    assert_eq!(version(&json!({"cniVersions": ["0.3.1", "1.1.0", "0.4.0"]})), Version::V1_1_0);
    assert_eq!(version(&json!({"cniVersions": ["", "0.3.1", "0.4.0"]})), Version::V1_0_0);
    assert_eq!(
        version(&json!({"cniVersions": ["0.4.0", "1.10.0", "9.9.9"], "cniVersion": ""})),
        Version::V0_4_0
    );
    assert_eq!(version(&json!({"cniVersions": ["0.4.0"], "cniVersion": "1.2.0"})), Version::V0_4_0);
    assert_eq!(version(&json!({"cniVersions": [], "cniVersion": "0.3.1"})), Version::V0_3_1);
}

#[test]
fn what_is_wrong_with_a_list_is_said_with_the_value_at_fault() {
    for (members, expected) in [
        (json!({"name": 5}), "invalid name type number"),
        (json!({"name": "../net"}), "invalid characters in network name \"../net\""),
        (json!({"cniVersion": null}), "invalid cniVersion type null"),
        (
            json!({"cniVersion": "1.2.0"}),
            "invalid cniVersion: \"1.2.0\" is not a CNI version this program knows",
        ),
        (json!({"cniVersions": "1.0.0"}), "invalid cniVersions type string"),
        (json!({"cniVersions": ["1.0.0", 1]}), "invalid cniVersions index 1 type number"),
        (json!({"cniVersions": ["latest"]}), "invalid cniVersions entry \"latest\""),
        (json!({"disableCheck": "yes"}), "invalid value \"yes\" for disableCheck"),
        (json!({"disableGC": 1}), "invalid disableGC type number"),
        (json!({"loadOnlyInlinedPlugins": []}), "invalid loadOnlyInlinedPlugins type array"),
        (json!({"plugins": {}}), "invalid plugins type object"),
        (json!({"plugins": []}), "no plugins in list"),
        (
            json!({"plugins": [{"type": "a"}, {"type": ""}]}),
            "failed to parse plugin config 1: missing 'type'",
        ),
        (json!({"plugins": [{}]}), "failed to parse plugin config 0: missing 'type'"),
    ] {
        assert_eq!(refusal(&members), expected);
    }
    let plugin = refusal(&json!({"plugins": [{"type": "a", "capabilities": {"mac": "yes"}}]}));
    assert!(
        plugin.starts_with("failed to parse plugin config 0: \"capabilities.mac\" is the text \"yes\""),
        "{plugin}"
    );
    assert!(matches!(Network::parse(b"{}"), Err(ConfigError::NoName)));
    assert!(matches!(Network::parse(br#"{"name": "n"}"#), Err(ConfigError::NoPlugins)));
    let inlined = Network::parse(br#"{"name": "n", "loadOnlyInlinedPlugins": true}"#);
    assert!(matches!(inlined, Err(ConfigError::NothingInlined)));
    assert_eq!(Network::parse(b"{").unwrap_err().code(), Code::Decode);
}

#[test]
fn an_error_names_the_file() {
    let lab = Lab::new(&[]);
    let path = lab.lay("net.conflist", r#"{"name": "net", "plugins": []}"#);
    let message = ErrorReply::new("", &Network::load(&path).unwrap_err()).msg;
    assert_eq!(message, format!("error parsing configuration {}: no plugins in list", path.display()));
    let missing = lab.path("none.conflist");
    let ErrorReply { msg, details, .. } = ErrorReply::new("", &Network::load(&missing).unwrap_err());
    assert!(msg.starts_with(&format!("error reading {}: ", missing.display())), "{msg}");
    assert!(details.starts_with("name a network's file: "), "{details}");
}

#[test]
fn one_plugins_configuration_becomes_a_list_of_one() {
    let lab = Lab::new(&[]);
    lab.lay("net/10-more.conf", r#"{"type": "beside"}"#);
    let text = r#"{"name": "net", "cniVersion": "0.4.0", "type": "first", "mtu": 1500}"#;
    for file in ["net.conf", "net.json"] {
        let network = Network::load(&lab.lay(file, text)).unwrap();
        assert_eq!((network.version, kinds(&network)), (Version::V0_4_0, vec!["first"]));
        let raw = r#"{"cniVersion":"0.4.0","name":"net","plugins":[{"cniVersion":"0.4.0","mtu":1500,"name":"net","type":"first"}]}"#;
        assert_eq!(String::from_utf8(network.raw).unwrap(), raw);
    }
    let list = Network::load(&lab.lay("list.json", &list(&json!({})))).unwrap();
    assert_eq!(kinds(&list), ["first", "beside"]);
}

#[test]
fn plugins_beside_the_list_are_added_unless_it_forbids() {
    let lab = Lab::new(&[]);
    lab.lay("net/20-b.conf", r#"{"type": "b"}"#);
    lab.lay("net/10-a.conf", r#"{"type": "a"}"#);
    lab.lay("net/30-c.conflist", r#"{"type": "c"}"#);
    lab.lay("net/sub.conf/40-d.conf", r#"{"type": "d"}"#);
    lab.lay("other/10-e.conf", r#"{"type": "e"}"#);
    let load = |members: Value| Network::load(&lab.lay("net.conflist", &list(&members)));

    assert_eq!(kinds(&load(json!({})).unwrap()), ["first", "a", "b"]);
    assert_eq!(kinds(&load(json!({"loadOnlyInlinedPlugins": "false"})).unwrap()), ["first", "a", "b"]);
    assert_eq!(kinds(&load(json!({"loadOnlyInlinedPlugins": true})).unwrap()), ["first"]);
    let alone = lab.lay("alone.conflist", r#"{"name": "net", "cniVersion": "1.1.0"}"#);
    assert_eq!(kinds(&Network::load(&alone).unwrap()), ["a", "b"]);
    let none = lab.lay("none.conflist", r#"{"name": "none"}"#);
    assert!(ErrorReply::new("", &Network::load(&none).unwrap_err()).msg.ends_with("no plugin configs found"));

    let broken = lab.lay("net/15-broken.conf", "{}");
    let message = ErrorReply::new("", &load(json!({})).unwrap_err()).msg;
    assert_eq!(message, format!("error parsing configuration {}: missing 'type'", broken.display()));
}

#[test]
fn a_network_name_cannot_lead_to_plugins_elsewhere() {
    let lab = Lab::new(&[]);
    lab.lay("elsewhere/10-a.conf", r#"{"type": "a"}"#);
    let path = lab.lay("conf/net.conflist", r#"{"name": "../elsewhere"}"#);
    assert!(matches!(Network::load(&path), Err(Error::Config { source: ConfigError::NoPlugins, .. })));
}

#[test]
fn a_network_is_found_by_name_lists_first_in_the_order_of_the_files() {
    let lab = Lab::new(&[]);
    lab.lay("d/00-single.conf", r#"{"name": "net", "type": "single"}"#);
    lab.lay("d/20-late.conflist", r#"{"name": "net", "plugins": [{"type": "late"}]}"#);
    lab.lay("d/10-early.conflist", r#"{"name": "net", "plugins": [{"type": "early"}]}"#);
    lab.lay(
        "d/05-other.conflist",
        r#"{"name": "other", "cniVersion": "7.0.0", "plugins": [{"type": "other"}]}"#,
    );
    lab.lay("d/30-json.json", r#"{"name": "json", "type": "json"}"#);
    lab.lay("d/01-not.yaml", "not ours");
    let find = |name| Network::find(&lab.path("d"), name);

    assert_eq!(kinds(&find("net").unwrap()), ["early"]);
    assert_eq!(kinds(&find("json").unwrap()), ["json"]);
    let message = find("none").unwrap_err().to_string();
    assert_eq!(message, format!("no net configuration with name \"none\" in {}", lab.path("d").display()));
    let message = find("other").unwrap_err();
    assert_eq!(message.code(), Code::IncompatibleVersion);

    lab.lay("d/07-broken.conflist", "{");
    assert!(matches!(find("net"), Err(Error::Config { .. })));
}

#[test]
fn a_folder_without_networks_or_none_at_all_says_so() {
    let lab = Lab::new(&[]);
    for dir in ["bin", "missing"] {
        let message = Network::find(&lab.path(dir), "net").unwrap_err().to_string();
        assert_eq!(message, format!("no net configurations found in {}", lab.path(dir).display()));
    }
    lab.lay("d/net.conflist", r#"{"name": "other", "plugins": [{"type": "a"}]}"#);
    assert!(matches!(Network::find(&lab.path("d"), "net"), Err(Error::NoNetwork { .. })));
}
