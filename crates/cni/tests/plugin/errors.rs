//! Refusals, compared with what the reference's `static` 1.9.1 printed for the same calls.
use crate::{Test, puppet::Bin};
use libtest_mimic::Failed;

pub const TESTS: &[Test] = &[
    ("what is missing from the environment is listed in the reference's order", missing_variables),
    ("a name that cannot be is refused before what is missing is listed", bad_names),
    ("a configuration is refused with the reference's words", bad_configurations),
    ("a version is refused with the reference's words", bad_versions),
    ("an error is laid out as libcni lays it out", error_layout),
];

const OK: &str = r#"{"cniVersion":"1.0.0","name":"n"}"#;
const SUPPORTED: &str = r#"["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]"#;

fn missing_variables() -> Result<(), Failed> {
    let bin = Bin::new();
    for (verb, missing) in [
        ("ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"),
        ("CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"),
        ("DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"),
        ("GC", "CNI_PATH"),
        ("STATUS", "CNI_PATH"),
    ] {
        let (code, msg, _) = bin.call(&[("CNI_COMMAND", verb)], "").error()?;
        assert_eq!((code, msg), (4, format!("required env variables [{missing}] missing")), "{verb}");
    }
    let (code, msg, _) = bin.verb("ADD", &[("CNI_NETNS", "")], OK).error()?;
    assert_eq!((code, msg.as_str()), (4, "required env variables [CNI_NETNS] missing"));
    Ok(())
}

fn bad_names() -> Result<(), Failed> {
    let bin = Bin::new();
    let error = |env: &[(&str, &str)]| bin.call(&[&[("CNI_COMMAND", "ADD")], env].concat(), OK).error();
    let container = (4, "invalid characters in containerID".to_owned(), "a/b".to_owned());
    assert_eq!(error(&[("CNI_CONTAINERID", "a/b")])?, container);
    assert_eq!(error(&[("CNI_CONTAINERID", "a/b"), ("CNI_IFNAME", "..")])?, container);
    for (ifname, message) in [
        ("abcdefghijklmnop", "interface name is too long"),
        ("abcdefghijk:mnop", "interface name is too long"),
        ("..", "interface name is . or .."),
        (".", "interface name is . or .."),
        ("a/b", "interface name contains / or : or whitespace characters"),
        ("a:b", "interface name contains / or : or whitespace characters"),
        ("a b", "interface name contains / or : or whitespace characters"),
    ] {
        let (code, msg, details) = error(&[("CNI_IFNAME", ifname)])?;
        assert_eq!((code, msg.as_str()), (4, message), "{ifname:?}");
        assert!(details.contains(ifname), "{details}");
    }
    assert!(bin.verb("ADD", &[("CNI_IFNAME", "abcdefghijklmno")], OK).ok, "15 bytes are a name");

    // Verbs that are not about an attachment do not look at its name.
    let status = [("CNI_COMMAND", "STATUS"), ("CNI_PATH", "/"), ("CNI_CONTAINERID", "a/b")];
    assert!(bin.call(&status, r#"{"cniVersion":"1.1.0","name":"n"}"#).ok);
    Ok(())
}

/// A verb and a configuration; the code, the message and the beginning of the hint.
const BAD_CONFIGURATIONS: [(&str, &str, (u64, &str, &str)); 13] = [
    ("ADD", "", (6, "error unmarshall network config: it is empty", "`jq")),
    (
        "ADD",
        "[]",
        (6, "error unmarshall network config: it is a list: an object is expected", "it is one JSON object"),
    ),
    (
        "ADD",
        r#"{"name":5}"#,
        (6, "error unmarshall network config: \"name\" is 5: a text is expected", "write \"5\", in quotes"),
    ),
    ("ADD", "null", (7, "missing network name", "every configuration needs a \"name\"")),
    ("ADD", "{}", (7, "missing network name", "every configuration needs a \"name\"")),
    ("ADD", r#"{"name":null}"#, (7, "missing network name", "every configuration needs a \"name\"")),
    ("FOO", "{}", (7, "missing network name", "every configuration needs a \"name\"")),
    ("FOO", OK, (4, "unknown CNI_COMMAND: FOO", "")),
    ("ADD", r#"{"name":"a/b"}"#, (7, "invalid characters found in network name", "a/b")),
    (
        "ADD",
        r#"{"name":"n","ipam":5}"#,
        (6, "error unmarshall network config: \"ipam\" is 5: an object is expected", "put \"ipam\" right"),
    ),
    (
        "ADD",
        r#"{"name":"n","cniVersion":"1.0.0","prevResult":{"ips":[{"address":"x"}]}}"#,
        (6, "could not parse prevResult: ", "put \"prevResult.ips[0].address\" right"),
    ),
    (
        "GC",
        r#"{"name":"n","cniVersion":"1.1.0"}"#,
        (7, "the configuration has no cni.dev/valid-attachments", ""),
    ),
    (
        "GC",
        r#"{"name":"n","cniVersion":"1.1.0","cni.dev/valid-attachments":[{"containerID":"a/b"}]}"#,
        (7, "could not read cni.dev/valid-attachments: ", ""),
    ),
];

fn bad_configurations() -> Result<(), Failed> {
    let bin = Bin::new();
    for (verb, stdin, expected) in BAD_CONFIGURATIONS {
        let (code, msg, details) = bin.verb(verb, &[], stdin).error()?;
        let (expected_code, expected_msg, expected_details) = expected;
        assert_eq!(code, expected_code, "{stdin}: {msg}");
        // Where the reference says what Go's decoder says, only the head is the same.
        let same =
            if expected_msg.ends_with(": ") { msg.starts_with(expected_msg) } else { msg == expected_msg };
        assert!(same, "{stdin}: {msg}");
        assert!(details.starts_with(expected_details), "{stdin}: {details}");
    }
    Ok(())
}

fn bad_versions() -> Result<(), Failed> {
    let bin = Bin::new();
    for (verb, version, code, message) in [
        ("ADD", r#""2.0.0""#, 1, "incompatible CNI versions"),
        ("ADD", r#""0.3.2""#, 1, "incompatible CNI versions"),
        ("ADD", r#""abc""#, 1, "incompatible CNI versions"),
        ("CHECK", r#""0.4.5""#, 1, "incompatible CNI versions"),
        ("CHECK", r#""1""#, 1, "incompatible CNI versions"),
        ("CHECK", r#""0.3.1""#, 1, "config version does not allow CHECK"),
        ("CHECK", r#""""#, 1, "config version does not allow CHECK"),
        ("CHECK", "null", 1, "config version does not allow CHECK"),
        ("CHECK", r#""2.0.0""#, 1, "plugin version does not allow CHECK"),
        ("GC", r#""1.0.0""#, 1, "config version does not allow GC"),
        ("GC", r#""2.0.0""#, 1, "plugin version does not allow GC"),
        ("STATUS", r#""1.0.0""#, 1, "config version does not allow STATUS"),
        ("CHECK", r#""1.0.0.0""#, 6, "invalid version \"1.0.0.0\""),
        ("CHECK", r#""abc""#, 6, "invalid version \"abc\""),
        ("ADD", "1", 6, "decoding version from network config: \"cniVersion\" is 1: a text is expected"),
    ] {
        let stdin = format!(r#"{{"name":"n","cniVersion":{version}}}"#);
        let (got, msg, details) = bin.verb(verb, &[], &stdin).error()?;
        assert_eq!((got, msg.as_str()), (code, message), "{verb} {version}");
        if message == "incompatible CNI versions" {
            assert_eq!(details, format!("config is {version}, plugin supports {SUPPORTED}"));
        }
    }
    Ok(())
}

fn error_layout() -> Result<(), Failed> {
    let bin = Bin::new();
    let reply = bin.verb("ADD", &[], r#"{"cniVersion":"0.4.0","name":"n","fail":"so it did"}"#);
    assert!(!reply.ok);
    assert_eq!(
        reply.stdout,
        r#"{
    "cniVersion": "0.4.0",
    "code": 101,
    "msg": "the puppet was told to fail: so it did",
    "details": "tell it something else"
}"#
    );
    assert_eq!(reply.stderr, "");
    Ok(())
}
