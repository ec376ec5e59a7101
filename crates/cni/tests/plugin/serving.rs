//! What a plugin prints when all is well, what it does about its own network namespace, and how it dies.
use crate::{Test, puppet::Bin};
use libtest_mimic::Failed;
use std::fs;

pub const TESTS: &[Test] = &[
    ("without a command a plugin says on stderr what it is and succeeds", banner),
    ("VERSION needs nothing and reads nothing", version),
    ("a configuration without a version is one of 0.1.0", no_version),
    ("verbs without a result print nothing", silence),
    ("a plugin does not touch the namespace it runs in", own_netns),
    ("an attachment that the version cannot tell of is taken back", no_address_no_attachment),
    ("a panic is an error like any other", panic),
    ("GC tells no list from an empty list, under either name", valid_attachments),
    ("a prevResult without a version is of the configuration's", prev_result),
    ("a DEL does not fail for a prevResult that cannot be read", del_with_a_bad_prev_result),
    ("a big configuration is read to its end", big_configuration),
];

fn banner() -> Result<(), Failed> {
    let bin = Bin::new();
    for env in [&[][..], &[("CNI_COMMAND", "")]] {
        let reply = bin.call(env, "");
        assert!(reply.ok);
        assert_eq!(reply.stdout, "");
        assert_eq!(
            reply.stderr,
            "CNI puppet plugin v1.9.1\n\
             CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"
        );
    }
    Ok(())
}

fn version() -> Result<(), Failed> {
    let reply = Bin::new().call(&[("CNI_COMMAND", "VERSION")], "junk");
    assert!(reply.ok);
    assert_eq!(
        reply.stdout,
        "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":\
         [\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n"
    );
    Ok(())
}

fn no_version() -> Result<(), Failed> {
    let stdin = r#"{"name":"n","result":{"ips":[{"address":"10.0.0.2/24"}]}}"#;
    let reply = Bin::new().verb("ADD", &[], stdin);
    assert_eq!(
        reply.stdout,
        r#"{
    "cniVersion": "0.1.0",
    "ip4": {
        "ip": "10.0.0.2/24"
    },
    "dns": {}
}"#
    );
    Ok(())
}

fn silence() -> Result<(), Failed> {
    let bin = Bin::new();
    for verb in ["DEL", "CHECK", "STATUS"] {
        let reply = bin.verb(verb, &[], r#"{"cniVersion":"1.1.0","name":"n"}"#);
        assert!(reply.ok, "{verb}: {}", reply.stdout);
        assert_eq!(reply.stdout + &reply.stderr, "", "{verb}");
    }
    Ok(())
}

fn own_netns() -> Result<(), Failed> {
    let bin = Bin::new();
    let log = bin.path().join("log");
    let shown = log.display();
    let stdin = format!(r#"{{"cniVersion":"1.1.0","name":"n","result":{{}},"log":"{shown}"}}"#);
    let own = ("CNI_NETNS", "/proc/self/ns/net");
    for verb in ["ADD", "DEL", "CHECK"] {
        let (code, msg, _) = bin.verb(verb, &[own], &stdin).error()?;
        assert_eq!(
            (code, msg.as_str()),
            (8, "plugin's netns and netns from CNI_NETNS should not be the same"),
            "{verb}"
        );
    }
    assert!(!log.exists(), "it was refused too late");
    assert!(!bin.verb("ADD", &[own, ("CNI_NETNS_OVERRIDE", "yes")], &stdin).ok);
    for yes in ["1", "true", "TRUE", "tRue"] {
        assert!(bin.verb("ADD", &[own, ("CNI_NETNS_OVERRIDE", yes)], &stdin).ok, "{yes}");
    }
    assert_eq!(fs::read_to_string(&log)?, "ADD ADD ADD ADD ");
    Ok(())
}

fn no_address_no_attachment() -> Result<(), Failed> {
    let bin = Bin::new();
    let log = bin.path().join("log");
    let shown = log.display();
    let stdin = format!(r#"{{"cniVersion":"0.2.0","name":"n","result":{{}},"log":"{shown}"}}"#);
    let (code, msg, _) = bin.verb("ADD", &[], &stdin).error()?;
    assert_eq!((code, msg.as_str()), (999, "cannot convert: no valid IP addresses"));
    assert_eq!(fs::read_to_string(&log)?, "ADD DEL ");
    Ok(())
}

fn panic() -> Result<(), Failed> {
    let reply = Bin::new().verb("ADD", &[], r#"{"cniVersion":"1.0.0","name":"n","panic":"two\nlines"}"#);
    let (code, msg, details) = reply.error()?;
    assert_eq!(code, 999);
    assert!(msg.contains("two lines") && msg.contains("puppet.rs"), "{msg}");
    assert!(details.contains("defect"), "{details}");
    Ok(())
}

fn valid_attachments() -> Result<(), Failed> {
    let bin = Bin::new();
    let gc = |list: &str| {
        let stdin = format!(r#"{{"cniVersion":"1.1.0","name":"n"{list}}}"#);
        bin.verb("GC", &[], &stdin).error()
    };
    assert_eq!(gc("")?.0, 7);
    assert_eq!(gc(r#","cni.dev/valid-attachments":null"#)?.0, 7);
    assert_eq!(gc(r#","cni.dev/valid-attachments":[]"#)?.1, "valid: []");
    assert_eq!(gc(r#","cni.dev/attachments":[]"#)?.1, "valid: []");
    let list = r#"[{"containerID":"c1","ifname":"eth0"},{"ContainerID":"c2","IfName":"net1"}]"#;
    let both = r#"valid: ["c1:eth0", "c2:net1"]"#;
    assert_eq!(gc(&format!(r#","cni.dev/valid-attachments":{list}"#))?.1, both);
    assert_eq!(gc(&format!(r#","cni.dev/valid-attachments":null,"cni.dev/attachments":{list}"#))?.1, both);
    Ok(())
}

fn prev_result() -> Result<(), Failed> {
    let bin = Bin::new();
    let stdin = r#"{"cniVersion":"0.2.0","name":"n","prevResult":{"ip4":{"ip":"10.0.0.2/24"}}}"#;
    assert_eq!(bin.verb("ADD", &[], stdin).result()?["ip4"]["ip"], "10.0.0.2/24");
    let stdin = r#"{"cniVersion":"1.0.0","name":"n","prevResult":{"CNIVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.2/24"}]}}"#;
    let result = bin.verb("ADD", &[], stdin).result()?;
    assert_eq!(result["ips"], serde_json::json!([{"address": "10.0.0.2/24"}]));
    Ok(())
}

fn del_with_a_bad_prev_result() -> Result<(), Failed> {
    for prev_result in [r#"{"ips":[{"address":""}]}"#, r#"{"cniVersion":"9.0.0"}"#, "5", "{}"] {
        let stdin = format!(r#"{{"cniVersion":"1.0.0","name":"n","prevResult":{prev_result}}}"#);
        assert!(Bin::new().verb("DEL", &[], &stdin).ok, "{prev_result}");
    }
    Ok(())
}

fn big_configuration() -> Result<(), Failed> {
    let name = "x".repeat(300_000);
    let stdin =
        format!(r#"{{"cniVersion":"1.0.0","name":"n","result":{{"interfaces":[{{"name":"{name}"}}]}}}}"#);
    let result = Bin::new().verb("ADD", &[], &stdin).result()?;
    assert_eq!(result["interfaces"][0]["name"], name);
    Ok(())
}
