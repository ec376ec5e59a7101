//! Delegates: found as the reference finds them, run in this process or another, and passed on word for word.
use crate::{Test, puppet::Bin};
use libtest_mimic::Failed;
use std::{
    fs::{self, OpenOptions},
    thread,
    time::Duration,
};

pub const TESTS: &[Test] = &[
    ("a delegate that is this very program runs in this process", in_process),
    ("a copy of this program is this program, another program is not", copies),
    ("the first plugin in CNI_PATH is the one that is run", first_in_path),
    ("every verb reaches the delegate in this process and in another", verbs),
    ("a delegate's error keeps its code, message and details", errors),
    ("a delegate that says nothing of use is told from one that fails", nonsense),
    ("a delegate that cannot be found is refused with the reference's words", not_found),
    ("a delegate gets our environment and our input", environment),
    ("a delegate's stderr is ours and its stdout is not", streams),
    ("an old version holds as much of a delegate's result in this process as from another", old_versions),
    ("a delegate that is being replaced is waited for", busy),
    ("a child that a delegate leaves behind does not keep us", left_behind),
];

fn config(plugin: &str, more: &str) -> String {
    format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"puppet","ipam":{{"type":"{plugin}"}}{more}}}"#)
}

/// The process that the delegate ran in, and ours.
fn processes(bin: &Bin) -> Result<(String, String), Failed> {
    let result = bin.verb("ADD", &[], &config("inner", "")).result()?;
    let process = |at: usize| {
        let name = result["interfaces"][at]["name"].as_str().unwrap_or_default();
        name.split_once(' ').map(|(_, process)| process.to_owned()).ok_or("no process")
    };
    Ok((process(0)?, process(1)?))
}

fn in_process() -> Result<(), Failed> {
    let bin = Bin::new();
    fs::hard_link(bin.path().join("puppet"), bin.path().join("inner"))?;
    let (inner, main) = processes(&bin)?;
    assert_eq!(inner, main);
    Ok(())
}

fn copies() -> Result<(), Failed> {
    let bin = Bin::new();
    let inner = bin.path().join("inner");
    fs::copy(std::env::current_exe()?, &inner)?;
    let (process, main) = processes(&bin)?;
    assert_eq!(process, main, "a copy has the same build id");

    // As long as the copy, and as good a program, but built otherwise as far as anyone can tell: the note's type is changed.
    let mut bytes = fs::read(&inner)?;
    let note = b"\x03\0\0\0GNU\0";
    let at = bytes.windows(note.len()).position(|window| window == note).ok_or("no build id")?;
    bytes[at] = 9;
    fs::write(&inner, bytes)?;
    let (process, main) = processes(&bin)?;
    assert_ne!(process, main);
    Ok(())
}

fn first_in_path() -> Result<(), Failed> {
    let (bin, other) = (Bin::new(), Bin::new());
    bin.link("inner");
    other.script("inner", r#"echo '{"ips":[{"address":"10.9.9.9/32"}]}'"#);
    fs::create_dir(bin.path().join("folder"))?;
    other.script("folder", "echo '{}'");
    let (ours, theirs) = (bin.path().display(), other.path().display());
    let run = |path: &str| bin.verb("ADD", &[("CNI_PATH", path)], &config("inner", "")).result();
    assert_eq!(run(&format!("/nowhere::{theirs}:{ours}"))?["ips"][0]["address"], "10.9.9.9/32");
    assert_eq!(run(&format!("{ours}:{theirs}"))?.get("ips"), None);
    // A folder of that name is passed over.
    let both = format!("{ours}:{theirs}");
    bin.verb("ADD", &[("CNI_PATH", &both)], &config("folder", "")).result()?;
    Ok(())
}

fn verbs() -> Result<(), Failed> {
    let (here, there) = (Bin::new(), Bin::new());
    here.link("inner");
    there.script("inner", r#"test "$CNI_COMMAND" = ADD && echo '{}'; echo "$CNI_COMMAND" >> "${0%/*}/log""#);
    for verb in ["ADD", "CHECK", "DEL", "GC", "STATUS"] {
        let log = here.path().join("log");
        let more = format!(r#","cni.dev/valid-attachments":[],"log":"{}""#, log.display());
        assert!(here.verb(verb, &[], &config("inner", &more)).ok, "{verb}");
        assert_eq!(fs::read_to_string(&log)?, format!("{verb} inner-{verb} "));
        fs::remove_file(log)?;
        let reply = there.verb(verb, &[], &config("inner", r#","cni.dev/valid-attachments":[]"#));
        assert!(reply.ok, "{verb}: {}", reply.stdout);
        assert!(verb == "ADD" || reply.stdout.is_empty(), "{verb}: {}", reply.stdout);
    }
    assert_eq!(fs::read_to_string(there.path().join("log"))?, "ADD\nCHECK\nDEL\nGC\nSTATUS\n");
    Ok(())
}

fn errors() -> Result<(), Failed> {
    let bin = Bin::new();
    bin.link("inner");
    bin.script("other", r#"echo '{"code":123,"msg":"m","details":"d"}'; echo noise >&2; exit 3"#);
    for verb in ["ADD", "CHECK", "DEL", "GC", "STATUS"] {
        let stdin = config("other", r#","cni.dev/valid-attachments":[]"#);
        assert_eq!(bin.verb(verb, &[], &stdin).error()?, (123, "m".into(), "d".into()), "{verb}");
    }
    Ok(())
}

fn nonsense() -> Result<(), Failed> {
    let bin = Bin::new();
    for (script, code, message) in [
        ("echo noise >&2; exit 3", 104, r#"netplugin failed: "noise\n": exit status 3"#),
        ("exit 3", 104, "netplugin failed with no error message: exit status 3"),
        ("kill -9 $$", 104, "netplugin failed with no error message: signal: 9 (SIGKILL)"),
        (
            "echo junk; exit 1",
            6,
            r#"netplugin failed but error parsing its diagnostic message "junk\n": it is not JSON: expected value at line 1 column 1"#,
        ),
        (
            "echo junk",
            6,
            r#"failed to unmarshal raw result "junk\n": it is not JSON: expected value at line 1 column 1"#,
        ),
        ("", 6, r#"failed to unmarshal raw result "": it is empty"#),
        (
            r#"echo '{"ips":[{"address":"x"}]}'"#,
            6,
            "failed to unmarshal raw result \"{\\\"ips\\\":[{\\\"address\\\":\\\"x\\\"}]}\\n\": \
             \"ips[0].address\": \"x\" is not an address with a prefix length such as 10.1.2.0/24",
        ),
        (r#"echo '{"cniVersion":"9.9.9"}'"#, 6, "unsupported CNI result version \"9.9.9\""),
    ] {
        bin.script("other", script);
        let (got, msg, _) = bin.verb("ADD", &[], &config("other", "")).error()?;
        assert_eq!((got, msg.as_str()), (code, message), "{script}");
    }
    bin.script("other", "echo null");
    assert!(bin.verb("ADD", &[], &config("other", "")).ok, "null is a result with nothing in it");
    Ok(())
}

fn not_found() -> Result<(), Failed> {
    let bin = Bin::new();
    fs::create_dir(bin.path().join("folder"))?;
    fs::write(bin.path().join("text"), "not a program")?;
    let run = |plugin: &str, path: &str| bin.verb("ADD", &[("CNI_PATH", path)], &config(plugin, "")).error();
    let here = bin.path().to_str().ok_or("path")?;
    let path = format!("/nowhere:{here}");
    for plugin in ["folder", "inner"] {
        let (code, msg, _) = run(plugin, &path)?;
        assert_eq!((code, msg), (999, format!("failed to find plugin {plugin:?} in path [/nowhere {here}]")));
    }
    for (plugin, hint) in [
        (
            "inner",
            "put \"inner\" into /nowhere, or name another as \"type\": addresses come from host-local, static, dhcp",
        ),
        ("host_local", "did you mean \"host-local\"?"),
        ("Static", "did you mean \"static\"?"),
        ("dhcp", "put \"dhcp\" into /nowhere"),
    ] {
        assert!(run(plugin, &path)?.2.starts_with(hint), "{plugin}: {:?}", run(plugin, &path)?);
    }
    assert_eq!(run("a/b", &path)?.1, "invalid plugin name: a/b");
    assert_eq!(run("../puppet", &path)?.0, 7);
    assert_eq!(run("inner", ":")?.1, "no paths provided");
    let (code, msg, _) = run("text", &path)?;
    assert_eq!((code, msg), (104, format!("could not run {here}/text: Permission denied (os error 13)")));
    Ok(())
}

fn environment() -> Result<(), Failed> {
    let bin = Bin::new();
    bin.script("other", r"env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= | sort >&2; cat >&2; echo '{}'");
    let env = [("CNI_ARGS", "IgnoreUnknown=1;K=a=b"), ("OTHER", "x")];
    let stdin = config("other", r#","KEY": "as it was",  "odd" :null"#);
    let reply = bin.verb("ADD", &env, &stdin);
    let path = bin.path().display();
    let expected = format!(
        "CNI_ARGS=IgnoreUnknown=1;K=a=b\nCNI_COMMAND=ADD\nCNI_CONTAINERID=c1\nCNI_IFNAME=eth0\n\
         CNI_NETNS=/nowhere\nCNI_PATH={path}\nOTHER=x\n{stdin}"
    );
    assert_eq!(reply.stderr, expected);
    Ok(())
}

fn streams() -> Result<(), Failed> {
    let bin = Bin::new();
    bin.script("other", "echo said; echo noise >&2");
    let reply = bin.verb("DEL", &[], &config("other", ""));
    assert!(reply.ok);
    assert_eq!((reply.stdout.as_str(), reply.stderr.as_str()), ("", "noise\n"));
    Ok(())
}

fn old_versions() -> Result<(), Failed> {
    let (here, there) = (Bin::new(), Bin::new());
    here.link("inner");
    there.script("inner", r#"echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24"},"dns":{}}'"#);
    let result = r#"{"ips":[{"address":"10.0.0.2/24"},{"address":"10.0.0.3/24"}]}"#;
    for bin in [&here, &there] {
        let count = bin.path().join("count");
        let more = format!(r#","result":{result},"count":"{}""#, count.display());
        bin.verb("ADD", &[], &config("inner", &more).replace("1.1.0", "0.2.0")).result()?;
        assert_eq!(fs::read_to_string(count)?, "1");
    }
    Ok(())
}

fn busy() -> Result<(), Failed> {
    let bin = Bin::new();
    bin.script("other", "echo '{}'");
    let writer = OpenOptions::new().append(true).open(bin.path().join("other"))?;
    let closing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        drop(writer);
    });
    let reply = bin.verb("ADD", &[], &config("other", ""));
    closing.join().map_err(|_| "the writer died")?;
    assert!(reply.ok, "{}", reply.stdout);
    Ok(())
}

fn left_behind() -> Result<(), Failed> {
    let bin = Bin::new();
    bin.script("other", "sleep 120 & echo '{}'; echo $! > \"${0%/*}/child\"");
    // It still holds what the delegate had for stdout and stderr.
    bin.verb("ADD", &[], &config("other", "")).result()?;
    let child: i32 = fs::read_to_string(bin.path().join("child"))?.trim().parse()?;
    // One that has ended is gone, or a zombie.
    let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    assert!(!state.is_empty() && !state.contains(") Z "), "its end was waited for");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL)?;
    Ok(())
}
