//! `firewall` where firewalld has the last word: a real one, on a bus and with a configuration of the test's own.
//!
//! Where its programs are: installed, or unpacked in the folder that `SEALANE_FIREWALLD` names. Nothing of it is run but in a lab.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{
    Binaries, Chain, Container, Host, OUTSIDE, Protocol, Reply, address, do_not_get_through, get_through,
    serve, soon, with,
};
use serde_json::{Value, json};
use std::{
    env, fs,
    io::ErrorKind,
    net::IpAddr,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
};

/// Without firewalld all are ignored, and counted so; without the reference plugins (`SEALANE_REFERENCE_BIN`) those that need them.
fn main() -> ExitCode {
    let none = !Programs::find().work();
    if none {
        eprintln!(
            "skipped: no firewalld (nor unpacked in SEALANE_FIREWALLD), or no dbus-daemon, python3-dbus or python3-gi"
        );
    }
    let ours = netlab::trials![
        a_container_that_firewalld_would_cut_off_gets_through,
        policies_isolate_what_a_zone_trusts,
        an_overlay_network_gets_through_as_long_as_it_has_a_container,
        del_and_gc_go_by_the_record_whatever_the_configuration_says,
        a_del_that_comes_late_takes_nobodys_source_who_has_the_address_by_now,
        a_dead_container_that_is_swept_takes_no_source_of_who_has_its_address_by_now,
        what_was_recorded_before_users_were_counted_goes_as_well,
        repair_puts_back_what_a_reload_has_forgotten,
        what_firewalld_refuses_leaves_nothing,
        without_firewalld_nothing_is_changed_and_del_succeeds,
        eight_at_once_are_all_in_the_zone,
        nobody_goes_to_the_bus_who_is_not_told_to,
        iptables_has_no_rules_of_networks_that_firewalld_decides_about,
    ];
    let theirs =
        netlab::trials![the_sources_are_the_references, what_the_reference_has_left_goes_with_our_del];
    let alone = none || Binaries::reference().is_none();
    let mut trials: Vec<_> = ours.into_iter().map(|trial| trial.with_ignored_flag(none)).collect();
    trials.extend(theirs.into_iter().map(|trial| trial.with_ignored_flag(alone)));
    netlab::main(trials)
}

const PORT: u16 = 7;

/// Where firewalld's programs are.
struct Programs(PathBuf);

impl Programs {
    fn find() -> Self {
        Self(env::var_os("SEALANE_FIREWALLD").map_or_else(|| "/".into(), PathBuf::from))
    }

    /// Whether there are such, and what they stand on.
    fn work(&self) -> bool {
        let imports = self.python().args(["-c", "import dbus, gi, nftables, firewall"]).output();
        let is_there = |program: &Path| program.exists();
        is_there(&self.0.join("usr/sbin/firewalld"))
            && is_there(Path::new("/usr/bin/dbus-daemon"))
            && imports.is_ok_and(|output| output.status.success())
    }

    /// Python with firewalld's modules; the system's, because those are.
    fn python(&self) -> Command {
        let mut python = Command::new("/usr/bin/python3");
        python.env("PYTHONPATH", self.0.join("usr/lib/python3/dist-packages"));
        python
    }

    fn program(&self, path: &str) -> Command {
        let mut program = self.python();
        program.arg(self.0.join(path));
        program
    }
}

/// A host with a bus of its own, and a firewalld on it whose default zone is public.
struct Site {
    host: Host,
    programs: Programs,
    bus: String,
    /// firewalld first, so that it is gone before the bus is.
    running: Vec<Running>,
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A container, and what its chain answered.
struct Inside {
    container: Container,
    chain: Chain,
    result: Value,
}

impl Site {
    fn new() -> Self {
        let mut site = Self::without_firewalld();
        let (folder, defaults) =
            (site.host.dir().join("firewalld"), site.programs.0.join("usr/lib/firewalld"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("firewalld.conf"), "DefaultZone=public\nFirewallBackend=nftables\n").unwrap();
        let mut firewalld = site.programs.program("usr/sbin/firewalld");
        firewalld.args(["--nofork", "--nopid", "--log-target", "console", "--system-config"]).arg(&folder);
        firewalld.arg("--default-config").arg(defaults).env("DBUS_SYSTEM_BUS_ADDRESS", &site.bus);
        site.running.insert(0, start(firewalld));
        assert!(soon(|| site.firewall_cmd("--state").is_ok()), "{:?}", site.firewall_cmd("--state"));
        site
    }

    fn without_firewalld() -> Self {
        let host = Host::new().unwrap();
        let socket = host.dir().join("bus");
        let bus = format!("unix:path={}", socket.display());
        let config = host.dir().join("bus.conf");
        let policy = r#"<allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>"#;
        let text = format!(
            "<busconfig><type>system</type><listen>{bus}</listen><policy context=\"default\"><allow user=\"*\"/>{policy}</policy></busconfig>"
        );
        fs::write(&config, text).unwrap();
        let mut daemon = Command::new("/usr/bin/dbus-daemon");
        daemon.arg("--config-file").arg(&config).args(["--nofork", "--nopidfile"]);
        let running = vec![start(daemon)];
        assert!(soon(|| socket.exists()));
        Self { host, programs: Programs::find(), bus, running }
    }

    fn stop_firewalld(&mut self) {
        drop(self.running.remove(0));
    }

    /// What `firewall-cmd` prints, or else what it complains of.
    fn firewall_cmd(&self, arguments: &str) -> Result<String, String> {
        let mut command = self.programs.program("usr/bin/firewall-cmd");
        command.args(arguments.split(' ')).env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn sources(&self, zone: &str) -> String {
        self.firewall_cmd(&format!("--zone={zone} --list-sources")).unwrap()
    }

    /// The chain of a network: 10.N.0.0/24 and `fd0N::/64` on bridge `bN`.
    fn chain(&self, network: u8, firewall: &Value) -> Chain {
        let ranges =
            json!([[{"subnet": format!("10.{network}.0.0/24")}], [{"subnet": format!("fd0{network}::/64")}]]);
        let name = json!(format!("net{network}"));
        let bridge = json!({
            "type": "bridge", "bridge": format!("b{network}"), "name": name, "isDefaultGateway": true,
            "ipam": {"type": "host-local", "ranges": ranges},
        });
        let portmap = json!({"type": "portmap", "name": name});
        let firewall = with(&with(firewall, "type", &json!("firewall")), "name", &name);
        let chain = self.host.chain(&[bridge, portmap, firewall]).unwrap();
        chain.map(|call| call.env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus))
    }

    fn inside(&self, network: u8, firewall: &Value, ports: &Value) -> Inside {
        let (container, chain) = (self.host.container().unwrap(), self.chain(network, firewall));
        let result = chain.add(&container, ports).unwrap();
        let inside = Inside { container, chain, result };
        for at in inside.addresses() {
            inside.container.exec(|| serve(Protocol::Tcp, at, PORT)).unwrap().unwrap();
        }
        inside
    }

    /// One call of `firewall` alone, behind a bridge that has given 10.1.0.2 and `fd01::2`.
    fn alone(&self, verb: &str, keys: &Value, container: &Container) -> Reply {
        let before = json!({
            "cniVersion": "1.1.0",
            "interfaces": [{"name": "b1"}, {"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/c"}],
            "ips": [{"address": "10.1.0.2/24", "interface": 2}, {"address": "fd01::2/64", "interface": 2}],
        });
        self.call(verb, &with(keys, "prevResult", &before), container)
    }

    fn call(&self, verb: &str, keys: &Value, container: &Container) -> Reply {
        let config = self.host.config(&with(keys, "type", &json!("firewall")));
        let call = self.host.attach(verb, &config, container, "eth0").unwrap();
        call.env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus).run().unwrap()
    }

    fn repair(&self) -> String {
        let mut repair = netlab::sealane(self.host.dir());
        repair.arg("repair").env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus);
        repair.env("SEALANE_STATE_DIR", self.host.state_dir()).env("SEALANE_DATA_DIR", self.host.data_dir());
        let output = repair.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is written down of attachments.
    fn records(&self) -> String {
        self.state("*/attachments/*")
    }

    /// Who is counted, and for what.
    fn users(&self) -> String {
        self.state("*/shared/*")
    }

    fn state(&self, pattern: &str) -> String {
        let found = Command::new("find").arg(self.host.state_dir()).args(["-path", pattern]).output();
        String::from_utf8(found.unwrap().stdout).unwrap()
    }
}

impl Inside {
    fn addresses(&self) -> Vec<IpAddr> {
        netlab::addresses(&self.result)
    }

    fn leave(&self) {
        self.chain.del(&self.container, &Value::Null, &self.result).unwrap();
    }
}

fn start(mut command: Command) -> Running {
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn firewalld() -> Value {
    json!({"backend": "firewalld"})
}

fn a_container_that_firewalld_would_cut_off_gets_through() {
    let site = Site::new();
    let outside = site.host.outside(PORT).unwrap();
    let port = json!([{"hostPort": 8080, "containerPort": PORT}]);
    let none = site.inside(1, &json!({"backend": "nftables"}), &port);
    do_not_get_through(&none.container, &OUTSIDE[..1], PORT);
    none.leave();

    let inside = site.inside(1, &firewalld(), &port);
    for (out, back) in [(OUTSIDE[0], "192.0.2.1"), (OUTSIDE[1], "2001:db8::1")] {
        get_through(&inside.container, out, PORT);
        get_through(&outside, address(back), 8080);
    }
    inside.chain.check(&inside.container, &port, &inside.result).unwrap();
    inside.leave();
    assert_eq!(site.sources("trusted"), "");
}

fn policies_isolate_what_a_zone_trusts() {
    let site = Site::new();
    let [open, other] = [2, 3].map(|network| site.inside(network, &firewalld(), &Value::Null));
    let same_bridge = with(&firewalld(), "ingressPolicy", &json!("same-bridge"));
    let [one, another] = [4, 5].map(|network| site.inside(network, &same_bridge, &Value::Null));
    get_through(&open.container, other.addresses()[0], PORT);
    do_not_get_through(&one.container, &another.addresses()[..1], PORT);
    let internal = site.inside(6, &with(&firewalld(), "internal", &json!(true)), &Value::Null);
    let sources = site.sources("trusted");
    assert!(!sources.contains(&internal.addresses()[0].to_string()), "{sources}");
}

fn an_overlay_network_gets_through_as_long_as_it_has_a_container() {
    let site = Site::new();
    let outside = site.host.outside(PORT).unwrap();
    let overlay = json!({"type": "overlay", "vni": 4242, "subnets": ["10.42.0.0/16", "fd42::/48"],
        "ipam": {"type": "cluster"}});
    let wall = with(&firewalld(), "type", &json!("firewall"));
    let chain = site.host.chain(&[overlay, json!({"type": "portmap"}), wall]).unwrap();
    let chain = chain.map(|call| call.env("DBUS_SYSTEM_BUS_ADDRESS", &site.bus));
    let port = json!([{"hostPort": 8080, "containerPort": PORT}]);
    let [one, two] = [port.clone(), Value::Null].map(|ports| {
        let container = site.host.container().unwrap();
        let result = chain.add(&container, &ports).unwrap();
        Inside { container, chain: chain.clone(), result }
    });
    for at in one.addresses() {
        one.container.exec(|| serve(Protocol::Tcp, at, PORT)).unwrap().unwrap();
    }
    let sources = site.sources("trusted");
    assert!(sources.contains("169.254.") && !sources.contains("10.42."), "{sources}");
    for (out, back) in [(OUTSIDE[0], "192.0.2.1"), (OUTSIDE[1], "2001:db8::1")] {
        get_through(&two.container, out, PORT);
        get_through(&outside, address(back), 8080);
    }
    one.chain.check(&one.container, &port, &one.result).unwrap();
    one.leave();
    assert_eq!(site.sources("trusted"), sources);
    get_through(&two.container, OUTSIDE[0], PORT);
    two.leave();
    assert_eq!(site.sources("trusted"), "");
}

fn del_and_gc_go_by_the_record_whatever_the_configuration_says() {
    let site = Site::new();
    let container = site.host.container().unwrap();
    let ends = [
        ("DEL", json!({"backend": "nftables"})),
        ("DEL", with(&firewalld(), "firewalldZone", &json!("trusted"))),
        ("GC", json!({"cni.dev/valid-attachments": []})),
    ];
    for (verb, keys) in ends {
        let home = with(&firewalld(), "firewalldZone", &json!("home"));
        site.alone("ADD", &home, &container).result().unwrap();
        assert_eq!(site.sources("home"), "10.1.0.2/32 fd01::2/128");
        site.call(verb, &keys, &container).result().unwrap();
        assert_eq!((site.sources("home"), site.records()), (String::new(), String::new()), "{verb} {keys}");
    }
}

fn a_del_that_comes_late_takes_nobodys_source_who_has_the_address_by_now() {
    let site = Site::new();
    let (before, after) = (site.host.container().unwrap(), site.host.container().unwrap());
    site.alone("ADD", &firewalld(), &before).result().unwrap();
    site.alone("DEL", &firewalld(), &before).result().unwrap();
    site.alone("ADD", &firewalld(), &after).result().unwrap();
    site.alone("DEL", &firewalld(), &before).result().unwrap();
    assert_eq!(site.sources("trusted"), "10.1.0.2/32 fd01::2/128");
    site.alone("DEL", &firewalld(), &after).result().unwrap();
    assert_eq!(site.sources("trusted"), "");
}

fn a_dead_container_that_is_swept_takes_no_source_of_who_has_its_address_by_now() {
    let site = Site::new();
    let (dead, heir) = (site.host.container().unwrap(), site.host.container().unwrap());
    for container in [&dead, &heir] {
        site.alone("ADD", &firewalld(), container).result().unwrap();
    }
    let valid = json!([{"containerID": heir.id(), "ifname": "eth0"}]);
    site.call("GC", &json!({"cni.dev/valid-attachments": valid}), &heir).result().unwrap();
    assert!(!site.records().contains(dead.id()), "{}", site.records());
    assert_eq!(site.sources("trusted"), "10.1.0.2/32 fd01::2/128");
    site.alone("CHECK", &firewalld(), &heir).result().unwrap();
    site.alone("DEL", &firewalld(), &heir).result().unwrap();
    assert_eq!((site.sources("trusted"), site.users()), (String::new(), String::new()));
}

fn what_was_recorded_before_users_were_counted_goes_as_well() {
    let site = Site::new();
    let (old, heir) = (site.host.container().unwrap(), site.host.container().unwrap());
    for sources in ["", "10.1.0.2/32 fd01::2/128"] {
        site.alone("ADD", &firewalld(), &old).result().unwrap();
        let path = site.records().lines().find(|path| path.ends_with("firewall.0")).unwrap().to_owned();
        let counted = fs::read_to_string(&path).unwrap();
        fs::write(path, counted.replace(r#"["ensure",{"zone-source""#, r#"["own",{"zone-source""#)).unwrap();
        fs::remove_dir_all(site.host.state_dir().join("shared")).unwrap();
        if !sources.is_empty() {
            site.alone("ADD", &firewalld(), &heir).result().unwrap();
        }
        site.call("DEL", &json!({}), &old).result().unwrap();
        assert_eq!(site.sources("trusted"), sources);
    }
    assert!(!site.records().contains(old.id()), "{}", site.records());
    site.alone("DEL", &firewalld(), &heir).result().unwrap();
    assert_eq!((site.sources("trusted"), site.users()), (String::new(), String::new()));
}

fn repair_puts_back_what_a_reload_has_forgotten() {
    let site = Site::new();
    let container = site.host.container().unwrap();
    site.alone("ADD", &firewalld(), &container).result().unwrap();
    site.alone("CHECK", &firewalld(), &container).result().unwrap();
    site.firewall_cmd("--reload").unwrap();
    assert_eq!(site.sources("trusted"), "");
    fs::remove_dir_all(site.host.state_dir().join("shared")).unwrap();
    let reply = site.alone("CHECK", &firewalld(), &container);
    assert_eq!(reply.code(), Some(102), "{reply:?}");
    for address in ["10.1.0.2/32", "fd01::2/128"] {
        assert!(reply.msg().contains(&format!("source {address} of firewalld's zone trusted")), "{reply:?}");
    }
    let said = site.repair();
    assert!(said.contains("put back source 10.1.0.2/32 of firewalld's zone trusted"), "{said}");
    assert_eq!(site.sources("trusted"), "10.1.0.2/32 fd01::2/128");
    assert!(site.users().contains("firewalld:trusted:10.1.0.2"), "who has it is counted again");
    site.alone("CHECK", &firewalld(), &container).result().unwrap();
    assert_eq!(site.repair(), "");
}

fn what_firewalld_refuses_leaves_nothing() {
    let site = Site::new();
    let container = site.host.container().unwrap();
    let nowhere = with(&firewalld(), "firewalldZone", &json!("no/where"));
    let reply = site.alone("ADD", &nowhere, &container);
    assert_eq!((reply.code(), reply.msg().contains("INVALID_ZONE: no/where")), (Some(7), true), "{reply:?}");
    assert!(reply.hint().contains("firewall-cmd --get-zones"), "{reply:?}");

    // The second of its addresses is somebody else's: the first is taken back.
    site.firewall_cmd("--zone=home --add-source=fd01::2/128").unwrap();
    let reply = site.alone("ADD", &firewalld(), &container);
    assert_eq!((reply.code(), reply.msg().contains("ZONE_CONFLICT")), (Some(101), true), "{reply:?}");
    assert_eq!((site.sources("trusted"), site.sources("home")), (String::new(), "fd01::2/128".into()));
    assert_eq!((site.records(), site.users()), (String::new(), String::new()));
    for keys in [firewalld(), nowhere] {
        site.alone("DEL", &keys, &container).result().unwrap();
        assert_eq!(site.sources("home"), "fd01::2/128", "not ours to take away");
    }
}

fn without_firewalld_nothing_is_changed_and_del_succeeds() {
    let mut site = Site::new();
    let container = site.host.container().unwrap();
    let keys = with(&firewalld(), "ingressPolicy", &json!("same-bridge"));
    site.alone("ADD", &firewalld(), &container).result().unwrap();
    site.stop_firewalld();
    site.call("DEL", &json!({}), &container).result().unwrap();
    assert_eq!(site.records(), "");

    let before = site.host.snapshot().unwrap();
    for (said, gone) in [("firewalld is not on the system bus", false), ("there is no system bus", true)] {
        if gone {
            site.running.clear();
        }
        let reply = site.alone("ADD", &keys, &container);
        assert_eq!((reply.code(), reply.msg().contains(said)), (Some(11), true), "{reply:?}");
        assert!(reply.hint().contains("systemctl start firewalld"), "{reply:?}");
        assert_eq!(site.host.changes_since(&before).unwrap(), "");
        assert_eq!(site.records(), "");
        site.alone("DEL", &keys, &container).result().unwrap();
    }
}

fn eight_at_once_are_all_in_the_zone() {
    let site = Site::new();
    let all: Vec<_> = (2..10).map(|_| site.host.container().unwrap()).collect();
    let chain = site.chain(1, &firewalld());
    let results: Vec<Value> = thread::scope(|scope| {
        let adds: Vec<_> =
            all.iter().map(|one| scope.spawn(|| chain.add(one, &Value::Null).unwrap())).collect();
        adds.into_iter().map(|add| add.join().unwrap()).collect()
    });
    assert_eq!(site.sources("trusted").split(' ').count(), 16);
    thread::scope(|scope| {
        for (one, result) in all.iter().zip(&results) {
            let chain = &chain;
            scope.spawn(move || chain.del(one, &Value::Null, result).unwrap());
        }
    });
    assert_eq!(site.sources("trusted"), "");
}

/// What a bus costs who has another backend: nothing.
fn nobody_goes_to_the_bus_who_is_not_told_to() {
    let host = Host::new().unwrap();
    let (socket, container) = (host.dir().join("bus"), host.container().unwrap());
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let site = Site {
        host,
        programs: Programs::find(),
        bus: format!("unix:path={}", socket.display()),
        running: Vec::new(),
    };
    for keys in [json!({}), json!({"backend": "nftables"}), json!({"backend": "iptables"})] {
        let keys = with(&keys, "firewalldZone", &json!("trusted"));
        for verb in ["DEL", "ADD", "CHECK", "DEL", "DEL"] {
            site.alone(verb, &keys, &container).result().unwrap();
        }
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// The reference's policies are rules of iptables' whatever the backend is, and stay when the network is gone.
fn iptables_has_no_rules_of_networks_that_firewalld_decides_about() {
    let (site, rules) = (Site::new(), || ["iptables", "ip6tables"].map(rules_of));
    let before = rules();
    for policy in ["same-bridge", "isolated"] {
        let (keys, container) =
            (with(&firewalld(), "ingressPolicy", &json!(policy)), site.host.container().unwrap());
        for verb in ["ADD", "DEL"] {
            site.alone(verb, &keys, &container).result().unwrap();
            assert_eq!(rules(), before, "{policy} {verb}");
        }
    }
}

fn rules_of(program: &str) -> String {
    let told = Command::new(program).arg("-S").output().unwrap();
    assert!(told.status.success(), "{program}: {}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).unwrap()
}

/// What the zones have after each call: the sources, and whether it succeeded.
fn course(binaries: &Binaries) -> Vec<(String, String, bool)> {
    let mut site = Site::new();
    site.host.use_binaries(binaries);
    let container = site.host.container().unwrap();
    let home = with(&firewalld(), "firewalldZone", &json!("home"));
    let unnamed = with(&firewalld(), "firewalldZone", &json!(""));
    let calls = [
        ("ADD", &firewalld()),
        ("CHECK", &firewalld()),
        ("ADD", &firewalld()),
        ("DEL", &firewalld()),
        ("DEL", &firewalld()),
        ("ADD", &home),
        ("CHECK", &home),
        ("DEL", &home),
        ("ADD", &unnamed),
        ("DEL", &unnamed),
        ("ADD", &with(&firewalld(), "firewalldZone", &json!("nowhere"))),
        ("DEL", &with(&firewalld(), "firewalldZone", &json!("nowhere"))),
    ];
    let step = |(verb, keys): (&str, &Value)| {
        let reply = site.alone(verb, keys, &container);
        (site.sources("trusted"), site.sources("home"), reply.success())
    };
    calls.into_iter().map(step).collect()
}

fn the_sources_are_the_references() {
    let theirs = course(&Binaries::reference().unwrap());
    assert_eq!(theirs[0], ("10.1.0.2/32 fd01::2/128".into(), String::new(), true));
    assert_eq!(course(&Binaries::under_test().unwrap()), theirs);
}

fn what_the_reference_has_left_goes_with_our_del() {
    let mut site = Site::new();
    let (ours, container) = (site.host.binaries().clone(), site.host.container().unwrap());
    site.host.use_binaries(&Binaries::reference().unwrap());
    site.alone("ADD", &firewalld(), &container).result().unwrap();
    site.host.use_binaries(&ours);
    assert_eq!(site.sources("trusted"), "10.1.0.2/32 fd01::2/128");
    site.alone("DEL", &firewalld(), &container).result().unwrap();
    assert_eq!(site.sources("trusted"), "");
}
