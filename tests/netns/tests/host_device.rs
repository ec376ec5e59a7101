//! `host-device` with devices that the host has, with real traffic, and what becomes of them afterwards. Some tests are named for what people see
//! of the reference plugin (`SEALANE_CNI_BIN`): there they fail. With `SEALANE_REFERENCE_BIN` each suite gives back what the other has taken.
//!
//! Devices of hardware, which the kernel gives back when their namespace dies, are in the virtual machine of `.ci/vm`: `.ci/devices`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use libtest_mimic::Trial;
use netlab::{
    Binaries, Container, Host, Protocol, address, ip, learns, reaches, refused, serve, with, with_all,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{getpid, gettid},
};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs,
    net::{IpAddr, UdpSocket},
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    let mut trials: Vec<Trial> = netlab::trials![
        a_device_talks_from_the_container_and_comes_back_as_it_was,
        the_neighbours_learn_at_once_where_its_addresses_are,
        whatever_the_container_did_to_it_the_device_comes_back_as_it_was,
        a_device_that_a_killed_add_has_moved_comes_back_whatever_was_done_to_it,
        a_device_whose_number_the_container_has_comes_back_with_it,
        what_the_container_has_made_to_look_like_the_device_stays_there,
        a_device_that_the_container_has_deleted_is_gone,
        what_the_container_has_made_with_the_number_of_a_veth_stays_there,
        what_the_container_has_made_with_the_number_of_a_macvlan_stays_there,
        names_that_the_container_has_added_are_not_the_hosts,
        a_device_comes_back_however_many_names_the_container_has_added,
        a_device_comes_back_with_the_names_that_the_container_has_taken_off_it,
        a_device_comes_home_without_the_name_that_another_has_by_now,
        a_device_may_be_called_in_the_container_what_it_is_called_besides,
        another_name_of_the_device_that_the_container_has_is_refused_and_nothing_moves,
        what_an_older_sealane_took_comes_back,
        a_device_comes_back_down_where_it_was_down,
        a_device_is_found_by_any_of_its_names,
        a_device_is_found_by_the_kernels_path,
        virtual_links_of_all_kinds_come_back,
        the_port_of_a_bridge_comes_back_to_it,
        a_device_that_a_program_drives_is_not_moved,
        without_ipam_the_device_is_up_and_has_no_addresses,
        names_that_are_taken_elsewhere_are_no_trouble,
        a_name_that_the_container_has_is_refused_and_nothing_moves,
        a_name_that_another_has_by_now_keeps_the_device_where_it_is,
        a_device_that_cannot_be_moved_stays_as_it_was,
        a_failed_add_gives_the_device_back_with_its_addresses_and_routes,
        what_cannot_be_is_refused_before_an_address_is_taken,
        del_after_the_namespace_is_gone_releases_the_addresses,
        del_leaves_nothing_however_often_and_whatever_has_changed,
        an_add_of_what_is_attached_is_refused,
        gc_gives_back_what_is_not_valid,
        check_names_whatever_has_drifted,
        status_is_that_of_the_ipam_plugin,
    ];
    let beside = netlab::trials![
        what_the_reference_took_we_check_and_give_back,
        what_we_took_the_reference_gives_back,
    ];
    trials.extend(netlab::beside_the_reference(beside));
    trials.extend(moved_about());
    let of_drivers = [
        ("dummy", netlab::trials![what_the_container_has_made_with_the_number_of_a_dummy_stays_there]),
        ("vlan", netlab::trials![what_the_container_has_made_with_the_number_of_a_vlan_stays_there]),
        ("ipvlan", netlab::trials![what_the_container_has_made_with_the_number_of_an_ipvlan_stays_there]),
    ];
    trials.extend(of_drivers.into_iter().flat_map(|(driver, trials)| netlab::with_links_of(driver, trials)));
    netlab::main(trials)
}

/// What is not where it was put, or not as it was.
fn moved_about() -> Vec<Trial> {
    netlab::trials![
        a_device_that_the_container_has_moved_on_comes_back_as_it_was,
        a_device_that_was_moved_on_twice_is_not_forgotten,
        a_device_that_the_container_has_moved_about_comes_back_as_it_was,
        a_device_that_was_moved_on_and_destroyed_is_gone,
        a_device_that_outlives_its_container_is_not_forgotten,
        a_device_that_is_out_of_sight_is_not_forgotten,
        a_device_comes_back_from_a_namespace_that_has_lost_its_name,
        a_device_that_another_container_has_by_now_stays_with_it,
        a_device_comes_back_whose_name_is_no_text,
        a_device_comes_back_though_the_container_has_thousands_of_links,
    ]
}

const MAC: &str = "02:00:00:00:00:0d";

/// A host whose device `d0` is a cable to the machine outside, with all that somebody may have set on it.
struct Cable {
    host: Host,
    outside: Container,
}

impl Cable {
    fn new() -> Self {
        let host = Host::new().unwrap();
        let outside = host.container_called("outside").unwrap();
        ip(&format!("link add d0 type veth peer name p0 netns {}", outside.netns().display())).unwrap();
        for command in
            ["link set p0 up", "addr add 10.7.0.254/24 dev p0", "addr add fd07::fe/64 dev p0 nodad"]
        {
            outside.ip(command).unwrap();
        }
        for command in [
            "link set d0 address 02:00:00:00:00:0d mtu 1400 alias uplink up",
            "link property add dev d0 altname the-cable-to-the-outside",
            "addr add 10.5.0.1/24 dev d0",
            "addr add 10.5.0.2/24 dev d0 label d0:2",
            "addr add fd05::1/64 dev d0 nodad",
            "route add 10.6.0.1 dev d0",
            "route add 10.66.0.0/16 via 10.6.0.1 src 10.5.0.2 metric 7 mtu 1300",
            "route add 10.77.0.0/16 via 10.5.0.9 table 77",
            "route add fd66::/64 via fd05::9",
        ] {
            ip(command).unwrap();
        }
        Self { host, outside }
    }

    fn config(&self, keys: &Value) -> Value {
        self.host.config(&with_all(&json!({"type": "host-device", "device": "d0"}), keys))
    }

    /// With addresses that the machine outside can be reached from.
    fn network(&self, keys: &Value) -> Value {
        let ranges = json!([[{"subnet": "10.7.0.0/24", "gateway": "10.7.0.254"}], [{"subnet": "fd07::/64", "gateway": "fd07::fe"}]]);
        let routes = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
        let ipam = json!({"type": "host-local", "ranges": ranges, "routes": routes});
        self.config(&with_all(&json!({"ipam": ipam, "dad": "off"}), keys))
    }

    fn add(&self, config: &Value) -> (Container, Value) {
        let container = self.host.container().unwrap();
        let result = self.host.add(config, &container, "net1").unwrap().result().unwrap();
        (container, result)
    }

    fn del(&self, config: &Value, container: &Container) {
        self.host.del(config, container, "net1").unwrap().result().unwrap();
    }
}

fn link(name: &str) -> Value {
    ip(&format!("link show dev {name}")).unwrap()[0].clone()
}

fn talks(container: &Container, outside: &Container, port: u16) {
    for at in ["10.7.0.254", "fd07::fe"] {
        let at: IpAddr = at.parse().unwrap();
        outside.exec(|| serve(Protocol::Tcp, at, port)).unwrap().unwrap();
        container.exec(|| reaches(Protocol::Tcp, at, port)).unwrap().unwrap();
    }
}

fn leases(host: &Host) -> usize {
    let files = fs::read_dir(host.networks_dir().join("net"));
    let names = files.into_iter().flatten().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.parse::<IpAddr>().is_ok()).count()
}

fn a_device_talks_from_the_container_and_comes_back_as_it_was() {
    let cable = Cable::new();
    let before = cable.host.snapshot().unwrap();
    let config = cable.network(&json!({}));
    let (c1, result) = cable.add(&config);
    let expected = json!({"cniVersion": "1.1.0",
        "interfaces": [{"name": "net1", "mac": MAC, "sandbox": c1.netns()}],
        "ips": [{"address": "10.7.0.1/24", "gateway": "10.7.0.254", "interface": 0},
            {"address": "fd07::1/64", "gateway": "fd07::fe", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]});
    assert_eq!(result, expected);
    assert!(ip("link show dev d0").is_err());
    talks(&c1, &cable.outside, 1);
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(link("d0")["altnames"], json!([OTHER_NAME]));
    assert!(c1.ip("link show dev net1").is_err());
}

fn the_neighbours_learn_at_once_where_its_addresses_are() {
    let cable = Cable::new();
    cable.outside.believe("p0").unwrap();
    cable.add(&cable.network(&json!({})));
    learns(&cable.outside, &["10.7.0.1", "fd07::1"].map(address), &json!(MAC));
}

fn whatever_the_container_did_to_it_the_device_comes_back_as_it_was() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    for done in [
        &["link set net1 mtu 1280 address 02:00:00:00:00:99"][..],
        &["link set net1 down name other"],
        &["link add b9 type bridge", "link set net1 master b9"],
        &["link set net1 alias mine"],
        &["link set net1 txqueuelen 7 promisc on allmulticast on"],
        &["addr flush dev net1", "link set net1 promisc on", "link set net1 promisc off"],
        &["link set net1 alias mine address 02:00:00:00:00:99"],
        &["link set net1 down name other alias mine address 02:00:00:00:00:99"],
        // And another link in its place.
        &["link set net1 down name other alias mine", "link add net1 type veth peer name net2"],
    ] {
        let (c1, _) = cable.add(&config);
        for command in done {
            c1.ip(command).unwrap();
        }
        cable.del(&config, &c1);
        assert_eq!(cable.host.changes_since(&before).unwrap(), "", "after {done:?}");
    }
}

/// What ADD has not come to its end of, its record says as well.
fn a_device_that_a_killed_add_has_moved_comes_back_whatever_was_done_to_it() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let (c1, _) = cable.add(&config);
    let record = cable.host.state_dir().join(format!("attachments/net/{}:net1/host-device.0", c1.id()));
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.strip_suffix("\"attached\"\n").unwrap()).unwrap();
    c1.ip("link set net1 down name other alias mine address 02:00:00:00:00:99").unwrap();
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
}

fn a_device_whose_number_the_container_has_comes_back_with_it() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let number = link("d0")["ifindex"].clone();
    let c1 = cable.host.container().unwrap();
    for (name, index) in [("own0", number.as_u64().unwrap()), ("own2", number.as_u64().unwrap() + 1_000_000)]
    {
        c1.ip(&format!("link add {name} index {index} type veth peer name p{name} index 7{index}")).unwrap();
    }
    cable.host.add(&config, &c1, "net1").unwrap().result().unwrap();
    talks(&c1, &cable.outside, 1);
    c1.ip("link set net1 down name other alias mine address 02:00:00:00:00:99").unwrap();
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(link("d0")["ifindex"], number);
    assert_eq!(
        c1.ip("link show type veth").unwrap().as_array().unwrap().len(),
        4,
        "the container's own stay"
    );
}

/// The container's root can give the device's mark, name and address to another link.
fn what_the_container_has_made_to_look_like_the_device_stays_there() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    for (made, marks) in [
        (&["link set net1 alias x"][..], "alias d0"),
        (&["link set net1 down name other alias x"], "name net1 alias d0"),
        (&["link set net1 down name other"], "name net1 alias d0"),
        (&["link set net1 down name other alias x"], "name net1 alias d0 address 02:00:00:00:00:0d"),
        (&["link set net1 down name other alias x"], "name net1 address 02:00:00:00:00:0d"),
        (&["link set net1 down name d1"], "name d0 alias d0"),
        (&["link del net1"], "name net1 alias d0 address 02:00:00:00:00:0d"),
    ] {
        let (c1, _) = cable.add(&config);
        for command in made.iter().copied().chain(["link add decoy type veth peer name wire"]) {
            c1.ip(command).unwrap();
        }
        c1.ip(&format!("link set decoy {marks}")).unwrap();
        let name = marks.strip_prefix("name ").map_or("decoy", |rest| rest.split(' ').next().unwrap());
        let decoy = || c1.ip(&format!("link show dev {name}")).map(|found| found[0]["ifindex"].clone()).ok();
        let number = decoy();
        cable.del(&config, &c1);
        assert_eq!(decoy(), number, "the container's own stays after {made:?}, {marks}");
        assert_eq!(leases(&cable.host), 0);
        if made != ["link del net1"] {
            assert_eq!(cable.host.changes_since(&before).unwrap(), "", "after {made:?}, {marks}");
        }
    }
    assert!(ip("link show dev d0").is_err(), "it was deleted");
}

fn a_device_that_the_container_has_deleted_is_gone() {
    let cable = Cable::new();
    let config = cable.network(&json!({}));
    let (c1, _) = cable.add(&config);
    c1.ip("link del net1").unwrap();
    c1.ip("link add net1 type veth peer name net2").unwrap();
    c1.ip("link add net3 type veth peer name net4").unwrap();
    let inside = c1.snapshot().unwrap();
    for _ in 0..2 {
        cable.del(&config, &c1);
    }
    assert_eq!(inside.difference(&c1.snapshot().unwrap()), "");
    assert_eq!(leases(&cable.host), 0);
}

/// What the container's root can do to it on the way.
const SPOILT: &[&str] =
    &["link set net1 down name other alias mine address 02:00:00:00:00:99 mtu 1280", "link set other up"];

/// A namespace that the container's root has made, and moved the device on to.
fn move_on(from: &Container, to: &Container) {
    for command in SPOILT {
        from.ip(command).unwrap();
    }
    from.ip(&format!("link set other netns {}", to.netns().display())).unwrap();
    assert!(to.ip("link show dev other").is_ok());
}

/// The device's record and its addresses stay until it is found.
fn is_not_forgotten(cable: &Cable, config: &Value, container: &Container, said: &str) {
    let reply = cable.host.del(config, container, "net1").unwrap();
    assert!(refused(&reply, 11).contains(said), "{reply:?}");
    assert!(refused(&cable.host.gc(config, &[]).unwrap(), 11).contains(said));
    assert_eq!(leases(&cable.host), 2);
}

fn a_device_that_the_container_has_moved_on_comes_back_as_it_was() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    for by_gc in [false, true] {
        let ((c1, _), inner) = (cable.add(&config), cable.host.container().unwrap());
        move_on(&c1, &inner);
        if by_gc {
            cable.host.gc(&config, &[]).unwrap().result().unwrap();
        }
        cable.del(&config, &c1);
        assert_eq!(cable.host.changes_since(&before).unwrap(), "");
        assert_eq!(link("d0")["altnames"], json!([OTHER_NAME]));
        assert!(inner.ip("link show dev other").is_err());
        assert_eq!(leases(&cable.host), 0);
    }
}

/// The container's namespace knows the first, and not the second: there somebody else may have it who took it from the host.
fn a_device_that_was_moved_on_twice_is_not_forgotten() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let ((c1, _), inner) = (cable.add(&config), cable.host.container().unwrap());
    let inmost = cable.host.container().unwrap();
    move_on(&c1, &inner);
    inner.ip(&format!("link set other netns {}", inmost.netns().display())).unwrap();
    is_not_forgotten(
        &cable,
        &config,
        &c1,
        "could not give d0 back: it is in another network namespace, net:[",
    );
    assert!(inmost.ip("link show dev other").is_ok());
    inmost.ip(&format!("link set other netns {}", c1.netns().display())).unwrap();
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
}

/// It has another number then: its own was taken where it was.
fn a_device_that_the_container_has_moved_about_comes_back_as_it_was() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let ((c1, _), inner) = (cable.add(&config), cable.host.container().unwrap());
    let number = c1.ip("link show dev net1").unwrap()[0]["ifindex"].clone();
    inner.ip(&format!("link add own0 index {number} type veth peer name own1")).unwrap();
    move_on(&c1, &inner);
    inner.ip(&format!("link set other netns {}", c1.netns().display())).unwrap();
    c1.ip(&format!("link add net1 index {number} type veth peer name own1")).unwrap();
    c1.ip("link set net1 alias d0").unwrap();
    assert_ne!(c1.ip("link show dev other").unwrap()[0]["ifindex"], number);
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(c1.ip("link show dev net1").unwrap()[0]["ifindex"], number, "the container's own stays");
}

fn a_device_that_was_moved_on_and_destroyed_is_gone() {
    let cable = Cable::new();
    let config = cable.network(&json!({}));
    for by in ["its namespace", "somebody"] {
        let ((c1, _), inner) = (cable.add(&config), cable.host.container().unwrap());
        // So the container knows a namespace that has such links.
        c1.ip(&format!("link add own0 type veth peer name own1 netns {}", inner.netns().display())).unwrap();
        move_on(&c1, &inner);
        match by {
            "somebody" => drop(inner.ip("link del other").unwrap()),
            _ => inner.kill().unwrap(),
        }
        assert!(netlab::soon(|| cable.outside.ip("link show dev p0").is_err()));
        cable.del(&config, &c1);
        assert_eq!(leases(&cable.host), 0, "destroyed by {by}");
        ip(&format!("link add d0 type veth peer name p0 netns {}", cable.outside.netns().display())).unwrap();
    }
}

fn a_device_that_outlives_its_container_is_not_forgotten() {
    let cable = Cable::new();
    let (config, inner) = (cable.network(&json!({})), cable.host.container().unwrap());
    let (c1, _) = cable.add(&config);
    move_on(&c1, &inner);
    c1.kill().unwrap();
    assert!(netlab::soon(|| {
        let reply = cable.host.del(&config, &c1, "net1").unwrap();
        reply.msg().contains("it is in another network namespace, net:[")
    }));
    is_not_forgotten(&cable, &config, &c1, "it is in another network namespace, net:[");
    inner.kill().unwrap();
    assert!(netlab::soon(|| cable.outside.ip("link show dev p0").is_err()));
    cable.del(&config, &c1);
    assert_eq!(leases(&cable.host), 0);
}

/// A namespace that a socket alone holds is nowhere in /proc.
fn a_device_that_is_out_of_sight_is_not_forgotten() {
    let cable = Cable::new();
    let config = cable.network(&json!({}));
    let ((c1, _), inner) = (cable.add(&config), cable.host.container().unwrap());
    move_on(&c1, &inner);
    let socket = inner.exec(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
    inner.kill().unwrap();
    is_not_forgotten(&cable, &config, &c1, "it is neither in the container nor on the host");
    drop(socket);
    assert!(netlab::soon(|| cable.outside.ip("link show dev p0").is_err()));
    cable.del(&config, &c1);
    assert_eq!(leases(&cable.host), 0);
}

/// What still holds it keeps the device in it: the runtime has unmounted it, and a process goes on.
fn a_device_comes_back_from_a_namespace_that_has_lost_its_name() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let (c1, _) = cable.add(&config);
    let _held = fs::File::open(c1.netns()).unwrap();
    for command in SPOILT {
        c1.ip(command).unwrap();
    }
    c1.kill().unwrap();
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(leases(&cable.host), 0);
}

/// Somebody has taken it out of the first container without a DEL, whose DEL comes late. What the second one gives back is what the first one took.
fn a_device_that_another_container_has_by_now_stays_with_it() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    for late in [true, false] {
        let (c1, _) = cable.add(&config);
        c1.ip(SPOILT[0]).unwrap();
        let home = format!("/proc/{}/task/{}/ns/net", getpid(), gettid());
        c1.ip(&format!("link set other netns {home}")).unwrap();
        let others = cable.network(&json!({"device": "other", "name": "others"}));
        let (c2, result) = cable.add(&others);
        assert_eq!(result["interfaces"][0]["mac"], MAC);
        let inside = c2.ip("link show dev net1").unwrap();
        assert_eq!((&inside[0]["address"], &inside[0]["mtu"]), (&json!(MAC), &json!(1400)));
        if late {
            cable.del(&config, &c1);
            talks(&c2, &cable.outside, 1);
            cable.del(&others, &c2);
        } else {
            cable.del(&others, &c2);
            cable.del(&config, &c1);
        }
        assert_eq!(cable.host.changes_since(&before).unwrap(), "", "late: {late}");
        assert_eq!(link("d0")["altnames"], json!([OTHER_NAME]), "late: {late}");
        assert!(!cable.host.state_dir().join("devices").exists());
    }
}

fn a_device_comes_back_whose_name_is_no_text() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let (c1, _) = cable.add(&config);
    let mut rename = Command::new("ip");
    rename.args(["link", "set", "net1", "name"]).arg(OsStr::from_bytes(b"a\xff"));
    assert!(c1.exec(|| rename.status().unwrap()).unwrap().success());
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
}

/// Not one of them is looked at.
fn a_device_comes_back_though_the_container_has_thousands_of_links() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let (c1, _) = cable.add(&config);
    c1.ip("link set net1 down name other alias mine").unwrap();
    let batch = cable.host.dir().join("batch");
    let lines: Vec<_> = (0..1000).map(|at| format!("link add v{at} type veth peer name w{at}")).collect();
    fs::write(&batch, lines.join("\n")).unwrap();
    c1.ip(&format!("-batch {}", batch.display())).unwrap();
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(c1.ip("link show type veth").unwrap().as_array().unwrap().len(), 2000);
}

fn what_the_container_has_made_with_the_number_of_a_veth_stays_there() {
    what_has_its_number_stays("type veth peer name other");
}

fn what_the_container_has_made_with_the_number_of_a_macvlan_stays_there() {
    what_has_its_number_stays("link p0 type macvlan mode bridge");
}

fn what_the_container_has_made_with_the_number_of_a_dummy_stays_there() {
    what_has_its_number_stays("type dummy");
}

fn what_the_container_has_made_with_the_number_of_a_vlan_stays_there() {
    what_has_its_number_stays("link p0 type vlan id 7");
}

fn what_the_container_has_made_with_the_number_of_an_ipvlan_stays_there() {
    what_has_its_number_stays("link p0 type ipvlan");
}

/// The container's root deletes the device, and makes another just like it: with its number, its name, its address and its mark, on a link of
/// the same name and number.
fn what_has_its_number_stays(kind: &str) {
    let host = Host::new().unwrap();
    ip("link add p0 index 77 up type veth peer name p1").unwrap();
    ip(&format!("link add d0 {kind}")).unwrap();
    let mac = link("d0")["address"].as_str().unwrap().to_owned();
    let ipam = json!({"type": "host-local", "subnet": "10.7.0.0/24"});
    let config = host.config(&json!({"type": "host-device", "device": "d0", "ipam": ipam}));
    let c1 = host.container().unwrap();
    let result = host.add(&config, &c1, "net1").unwrap().result().unwrap();
    assert!(host.check(&config, &c1, "net1", &result).unwrap().success());
    let inside = c1.ip("link show dev net1").unwrap();
    let number = &inside[0]["ifindex"];
    let address = if kind.contains("ipvlan") { String::new() } else { format!("address {mac}") };
    for command in [
        "link del net1",
        "link add p0 index 77 up type veth peer name p1",
        &format!("link add net1 index {number} {address} {kind}"),
        "link set net1 alias d0 up",
        "addr add 10.7.0.2/24 dev net1",
    ] {
        c1.ip(command).unwrap();
    }
    let check = host.check(&config, &c1, "net1", &result).unwrap();
    assert!(check.msg().contains("net1 is another device"), "{check:?}");
    let decoy = c1.snapshot().unwrap();
    host.del(&config, &c1, "net1").unwrap().result().unwrap();
    assert_eq!(decoy.difference(&c1.snapshot().unwrap()), "", "the container's own stays");
    assert!(ip("link show dev d0").is_err(), "it was deleted");
    assert_eq!(leases(&host), 0);
}

const OTHER_NAME: &str = "the-cable-to-the-outside";

fn names_that_the_container_has_added_are_not_the_hosts() {
    let cable = Cable::new();
    ip("link add taken0 type veth peer name taken1").unwrap();
    ip("link property add dev taken1 altname another-name-of-taken1").unwrap();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    for (added, named) in [
        ("altname later0", "net1"),
        // Names that the host has, the device's own among them.
        ("altname taken0 altname another-name-of-taken1", "net1"),
        ("altname d0", "other"),
        ("altname d0 altname p0 altname net1", "other"),
    ] {
        let (c1, _) = cable.add(&config);
        c1.ip(&format!("link set net1 name {named}")).unwrap();
        c1.ip(&format!("link property add dev {named} {added}")).unwrap();
        cable.del(&config, &c1);
        assert_eq!(cable.host.changes_since(&before).unwrap(), "", "after {added}");
        assert_eq!(link("d0")["altnames"], json!([OTHER_NAME]), "after {added}");
    }
    ip("link add later0 type veth peer name net1").unwrap();
}

/// The kernel takes 64 KiB of them, and tells all of them in one piece.
fn a_device_comes_back_however_many_names_the_container_has_added() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let (c1, _) = cable.add(&config);
    for at in 0..68 {
        let names: Vec<String> = (0..7).map(|nth| format!("altname {at:0>60}{nth:0>60}")).collect();
        c1.ip(&format!("link property add dev net1 {}", names.join(" "))).unwrap();
    }
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
}

fn a_device_comes_back_with_the_names_that_the_container_has_taken_off_it() {
    let cable = Cable::new();
    ip("link property add dev d0 altname enp9s9").unwrap();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    for removed in ["altname enp9s9", &format!("altname enp9s9 altname {OTHER_NAME}")] {
        let (c1, _) = cable.add(&config);
        assert_eq!(c1.ip("link show dev net1").unwrap()[0]["altnames"], json!([OTHER_NAME, "enp9s9"]));
        c1.ip(&format!("link property del dev net1 {removed}")).unwrap();
        cable.del(&config, &c1);
        assert_eq!(cable.host.changes_since(&before).unwrap(), "");
        assert_eq!(link("d0")["altnames"], json!([OTHER_NAME, "enp9s9"]), "after {removed}");
    }
}

/// As the kernel gives a card back whose namespace has died.
fn a_device_comes_home_without_the_name_that_another_has_by_now() {
    let cable = Cable::new();
    ip("link property add dev d0 altname enp9s9").unwrap();
    let config = cable.network(&json!({}));
    let (c1, _) = cable.add(&config);
    ip("link add enp9s9 type veth peer name enp9s8").unwrap();
    cable.del(&config, &c1);
    assert_eq!(link("d0")["altnames"], json!([OTHER_NAME]));
    assert_eq!(link("enp9s9")["ifname"], "enp9s9");
}

/// `eth0` in the container, for a device whose other name that is on the host.
fn a_device_may_be_called_in_the_container_what_it_is_called_besides() {
    let cable = Cable::new();
    ip("link property add dev d0 altname net1").unwrap();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let (c1, _) = cable.add(&config);
    talks(&c1, &cable.outside, 1);
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(link("d0")["altnames"], json!([OTHER_NAME, "net1"]));
}

fn another_name_of_the_device_that_the_container_has_is_refused_and_nothing_moves() {
    let cable = Cable::new();
    ip("link property add dev d0 altname enp9s9").unwrap();
    let before = cable.host.snapshot().unwrap();
    for commands in [
        &["link add enp9s9 type veth peer name other"][..],
        &["link add own0 type veth peer name other", "link property add dev own0 altname enp9s9"],
    ] {
        let c1 = cable.host.container().unwrap();
        for command in commands {
            c1.ip(command).unwrap();
        }
        let inside = c1.snapshot().unwrap();
        let reply = cable.host.add(&cable.network(&json!({})), &c1, "net1").unwrap();
        let said = refused(&reply, 101);
        assert!(said.contains("can't move d0: it is also called \"enp9s9\""), "{reply:?}");
        assert!(reply.hint().contains("ip link property del dev d0 altname enp9s9"), "{reply:?}");
        assert_eq!(cable.host.changes_since(&before).unwrap(), "");
        assert_eq!(inside.difference(&c1.snapshot().unwrap()), "");
        assert_eq!(leases(&cable.host), 0);
    }
}

/// Its records do not say what the device was called besides, nor what tells it from others.
fn what_an_older_sealane_took_comes_back() {
    let cable = Cable::new();
    ip("link add taken0 type veth peer name taken1").unwrap();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let (c1, _) = cable.add(&config);
    let record = cable.host.state_dir().join(format!("attachments/net/{}:net1/host-device.0", c1.id()));
    let text = fs::read_to_string(&record).unwrap();
    let lines = text.lines().map(|line| match serde_json::from_str::<Value>(line) {
        Ok(mut value) => {
            forget(&mut value);
            value.to_string()
        }
        Err(_) => line.to_owned(),
    });
    let older = lines.collect::<Vec<_>>().join("\n") + "\n";
    assert!(text.contains("altnames") && !older.contains("altnames"), "{older}");
    fs::write(&record, older).unwrap();
    fs::remove_dir_all(cable.host.state_dir().join("devices")).unwrap();
    c1.ip("link property add dev net1 altname taken0 altname d0").unwrap();
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(link("d0")["altnames"], json!([OTHER_NAME]));
}

fn forget(value: &mut Value) {
    if let Some(keys) = value.as_object_mut() {
        keys.retain(|key, _| key != "altnames" && key != "id");
        keys.values_mut().for_each(forget);
    } else if let Some(values) = value.as_array_mut() {
        values.iter_mut().for_each(forget);
    }
}

fn a_device_comes_back_down_where_it_was_down() {
    let host = Host::new().unwrap();
    ip("link add d0 type veth peer name p0").unwrap();
    let before = host.snapshot().unwrap();
    let config = host.config(&json!({"type": "host-device", "device": "d0"}));
    let c1 = host.container().unwrap();
    host.add(&config, &c1, "net1").unwrap().result().unwrap();
    host.del(&config, &c1, "net1").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert_eq!(link("d0").get("ifalias"), None, "nothing was written on it");
}

fn a_device_is_found_by_any_of_its_names() {
    let cable = Cable::new();
    let before = cable.host.snapshot().unwrap();
    for keys in [
        json!({"device": "d0"}),
        json!({"device": "the-cable-to-the-outside"}),
        json!({"device": "", "hwaddr": "02-00-00-00-00-0D"}),
        // In the reference's order, whatever else is there.
        json!({"device": "d0", "hwaddr": "02:00:00:00:00:77", "kernelpath": "/sys/devices/nowhere"}),
    ] {
        let config = cable.config(&keys);
        let (c1, result) = cable.add(&config);
        assert_eq!(result["interfaces"][0]["mac"], MAC, "{keys}");
        cable.del(&config, &c1);
        assert_eq!(cable.host.changes_since(&before).unwrap(), "", "{keys}");
    }
}

/// Gives this thread an own view of files.
fn alone_with_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
}

/// The kernel has virtual links in `/sys/devices/virtual/net`, so the first of them is the one of the device "virtual".
fn a_device_is_found_by_the_kernels_path() {
    let host = Host::new().unwrap();
    ip("link add a0 type veth peer name p0").unwrap();
    let before = host.snapshot().unwrap();
    alone_with_mounts();
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>).unwrap();
    assert!(Path::new("/sys/devices/virtual/net/a0").exists());
    let config = host.config(&json!({"type": "host-device", "kernelpath": "/sys/devices/virtual"}));
    let c1 = host.container().unwrap();
    host.add(&config, &c1, "net1").unwrap().result().unwrap();
    assert!(ip("link show dev a0").is_err());
    host.del(&config, &c1, "net1").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn virtual_links_of_all_kinds_come_back() {
    for make in [
        "link add d0 link p0 type macvlan mode bridge",
        "link add d0 type veth peer name q0",
        "tuntap add dev d0 mode tap",
    ] {
        let host = Host::new().unwrap();
        ip("link add p0 type veth peer name p1").unwrap();
        if make.starts_with("tuntap") && !Path::new("/dev/net/tun").exists() {
            continue;
        }
        ip(make).unwrap();
        for command in ["link set p0 up", "link set d0 mtu 1300 up", "addr add 10.5.0.1/24 dev d0"] {
            ip(command).unwrap();
        }
        let before = host.snapshot().unwrap();
        let config = host.config(&json!({"type": "host-device", "device": "d0"}));
        let c1 = host.container().unwrap();
        host.add(&config, &c1, "net1").unwrap().result().unwrap();
        host.del(&config, &c1, "net1").unwrap().result().unwrap();
        assert_eq!(host.changes_since(&before).unwrap(), "", "{make}");
    }
}

fn the_port_of_a_bridge_comes_back_to_it() {
    let host = Host::new().unwrap();
    for command in ["add d0 type veth peer name p0", "add b0 type bridge", "set b0 up", "set d0 master b0 up"]
    {
        ip(&format!("link {command}")).unwrap();
    }
    let before = host.snapshot().unwrap();
    let config = host.config(&json!({"type": "host-device", "device": "d0"}));
    let c1 = host.container().unwrap();
    host.add(&config, &c1, "net1").unwrap().result().unwrap();
    host.del(&config, &c1, "net1").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

/// Folders as sysfs has them, because there is no such card here.
fn a_device_that_a_program_drives_is_not_moved() {
    let host = Host::new().unwrap();
    let before = host.snapshot().unwrap();
    alone_with_mounts();
    mount(Some("tmpfs"), "/sys", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    let ipam = json!({"type": "static", "addresses": [{"address": "10.7.0.2/24"}]});
    for (at, driver) in ["vfio-pci", "uio_pci_generic", "igb_uio", "i40e"].into_iter().enumerate() {
        let id = format!("0000:99:00.{at}");
        let card = format!("/sys/devices/pci0/{id}");
        for folder in [&card, "/sys/bus/pci/devices", &format!("/sys/bus/pci/drivers/{driver}")] {
            fs::create_dir_all(folder).unwrap();
        }
        symlink(&card, format!("/sys/bus/pci/devices/{id}")).unwrap();
        symlink(format!("/sys/bus/pci/drivers/{driver}"), format!("{card}/driver")).unwrap();
        for keys in
            [json!({"pciBusID": id}), json!({"pciBusID": "0000:aa:00.0", "runtimeConfig": {"deviceID": id}})]
        {
            let config = host.config(&with_all(&json!({"type": "host-device", "ipam": ipam}), &keys));
            let c1 = host.container().unwrap();
            let reply = host.add(&config, &c1, "net1").unwrap();
            if driver == "i40e" {
                assert!(
                    refused(&reply, 7).contains(&format!("PCI device {id} has no interface")),
                    "{reply:?}"
                );
                assert!(reply.hint().contains("i40e"), "{reply:?}");
                continue;
            }
            let result = reply.result().unwrap();
            assert_eq!(result["interfaces"], json!([{"name": "net1", "sandbox": c1.netns()}]));
            assert_eq!(result["ips"], json!([{"address": "10.7.0.2/24", "interface": 0}]));
            assert!(host.check(&config, &c1, "net1", &result).unwrap().success());
            host.del(&config, &c1, "net1").unwrap().result().unwrap();
        }
    }
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn without_ipam_the_device_is_up_and_has_no_addresses() {
    let cable = Cable::new();
    let (c1, result) = cable.add(&cable.config(&json!({})));
    let expected =
        json!({"cniVersion": "1.1.0", "interfaces": [{"name": "net1", "mac": MAC, "sandbox": c1.netns()}]});
    assert_eq!(result, expected);
    let inside = c1.snapshot().unwrap();
    assert_eq!(inside.lines_with("link net1 [\"UP\"]").len(), 1, "{inside:?}");
    assert_eq!(inside.lines_with("address net1"), [""; 0]);
}

fn names_that_are_taken_elsewhere_are_no_trouble() {
    let cable = Cable::new();
    let config = cable.network(&json!({}));
    ip("link add net1 type veth peer name net1p").unwrap();
    let before = cable.host.snapshot().unwrap();
    let c1 = cable.host.container().unwrap();
    c1.ip("link add d0 type veth peer name d0p").unwrap();
    let inside = c1.snapshot().unwrap();
    cable.host.add(&config, &c1, "net1").unwrap().result().unwrap();
    talks(&c1, &cable.outside, 1);
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&c1.snapshot().unwrap()), "");
}

fn a_name_that_the_container_has_is_refused_and_nothing_moves() {
    let cable = Cable::new();
    let (before, c1) = (cable.host.snapshot().unwrap(), cable.host.container().unwrap());
    c1.ip("link add net1 type veth peer name d0p").unwrap();
    let inside = c1.snapshot().unwrap();
    let reply = cable.host.add(&cable.network(&json!({})), &c1, "net1").unwrap();
    assert!(refused(&reply, 101).contains("\"net1\" in the container"), "{reply:?}");
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&c1.snapshot().unwrap()), "");
}

fn a_name_that_another_has_by_now_keeps_the_device_where_it_is() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let (c1, _) = cable.add(&config);
    ip("link add d0 type veth peer name other").unwrap();
    let reply = cable.host.del(&config, &c1, "net1").unwrap();
    assert!(refused(&reply, 101).contains("net1 its name \"d0\" back"), "{reply:?}");
    talks(&c1, &cable.outside, 1);
    assert_eq!(leases(&cable.host), 2);
    refused(&cable.host.gc(&config, &[]).unwrap(), 101);
    talks(&c1, &cable.outside, 2);
    assert_eq!(leases(&cable.host), 2, "who still answers to an address has it");
    ip("link del d0").unwrap();
    cable.del(&config, &c1);
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
}

fn a_device_that_cannot_be_moved_stays_as_it_was() {
    let host = Host::new().unwrap();
    ip("link add b0 type bridge").unwrap();
    ip("addr add 10.5.0.1/24 dev b0").unwrap();
    let before = host.snapshot().unwrap();
    for (device, said, hint) in [
        ("lo", "\"lo\" is the host's loopback", "a loopback of its own"),
        ("b0", "bridge \"b0\" can't be moved", "name a network card"),
    ] {
        let config = host.config(&json!({"type": "host-device", "device": device}));
        let container = host.container().unwrap();
        let reply = host.add(&config, &container, "net1").unwrap();
        assert!(refused(&reply, 7).contains(said) && reply.hint().contains(hint), "{reply:?}");
        host.del(&config, &container, "net1").unwrap().result().unwrap();
    }
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn a_failed_add_gives_the_device_back_with_its_addresses_and_routes() {
    let cable = Cable::new();
    let (before, c1) = (cable.host.snapshot().unwrap(), cable.host.container().unwrap());
    let inside = c1.snapshot().unwrap();
    let ipam = json!({"type": "host-local", "subnet": "10.7.0.0/24", "routes": [{"dst": "10.9.0.0/16", "gw": "10.8.0.1"}]});
    let reply = cable.host.add(&cable.network(&json!({"ipam": ipam})), &c1, "net1").unwrap();
    assert!(!reply.success(), "no way to 10.8.0.1: {reply:?}");
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    assert_eq!(inside.difference(&c1.snapshot().unwrap()), "");
}

fn what_cannot_be_is_refused_before_an_address_is_taken() {
    let cable = Cable::new();
    let before = cable.host.snapshot().unwrap();
    for (keys, said) in [
        (json!({}), "specify either"),
        (json!({"device": "nope0"}), "no interface with name \"nope0\""),
        (json!({"device": "../x"}), "../x"),
        (json!({"hwaddr": "xx"}), "MAC address \"xx\""),
        (json!({"hwaddr": "02:00:00:00:00:99"}), "02:00:00:00:00:99"),
        (json!({"kernelpath": "/etc"}), "\"/etc\" must be absolute and begin with /sys/devices/"),
        (json!({"kernelpath": "/sys/devices/../../etc"}), "must be absolute"),
        (json!({"kernelpath": "/sys/devices/nowhere"}), "there is no device /sys/devices/nowhere"),
        (json!({"pciBusID": "../../x"}), "../../x"),
        (json!({"pciBusID": "0000:99:1f.7"}), "there is no PCI device 0000:99:1f.7"),
        (json!({"runtimeConfig": {"deviceID": "foo"}}), "runtime config DeviceID \"foo\""),
        (json!({"runtimeConfig": {"deviceID": "../x.y.z"}}), "runtime config DeviceID"),
        (json!({"runtimeConfig": {"deviceID": "mlx5_core.sf.99"}}), "mlx5_core.sf.99 on the auxiliary bus"),
        (json!({"device": "d0", "dad": "maybe"}), "\"dad\""),
    ] {
        let config = cable.network(&with_all(&json!({"device": ""}), &keys));
        let reply = cable.host.add(&config, &cable.host.container().unwrap(), "net1").unwrap();
        assert!(refused(&reply, 7).contains(said), "{keys}: {reply:?}");
    }
    let reply =
        cable.host.add(&cable.network(&json!({"device": "nope0"})), &cable.host.container().unwrap(), "net1");
    assert!(reply.unwrap().hint().contains("d0"), "what there is");
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
}

/// A virtual device goes with its namespace; that must not keep its addresses.
fn del_after_the_namespace_is_gone_releases_the_addresses() {
    let cable = Cable::new();
    let config = cable.network(&json!({}));
    for empty in [false, true] {
        let before = leases(&cable.host);
        let (c1, _) = cable.add(&config);
        assert_eq!(leases(&cable.host), before + 2);
        c1.kill().unwrap();
        let del = || {
            let reply = if empty {
                cable.host.del_without_netns(&config, &c1, "net1")
            } else {
                cable.host.del(&config, &c1, "net1")
            };
            reply.unwrap()
        };
        assert!(netlab::soon(|| cable.outside.ip("link show dev p0").is_err()), "the kernel takes its time");
        for _ in 0..2 {
            del().result().unwrap();
        }
        assert_eq!(leases(&cable.host), before);
        ip(&format!("link add d0 type veth peer name p0 netns {}", cable.outside.netns().display())).unwrap();
    }
}

fn del_leaves_nothing_however_often_and_whatever_has_changed() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    for changed in [
        config.clone(),
        cable.network(&json!({"device": "other"})),
        cable.network(&json!({"device": "", "pciBusID": "nonsense"})),
        cable.config(&json!({"dad": 7})),
    ] {
        let (c1, _) = cable.add(&config);
        for _ in 0..2 {
            cable.del(&changed, &c1);
            assert_eq!(cable.host.changes_since(&before).unwrap(), "", "{changed}");
        }
    }
    // The runtime has lost the namespace, but it is there.
    let (c1, _) = cable.add(&config);
    cable.host.del_without_netns(&config, &c1, "net1").unwrap().result().unwrap();
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
}

fn an_add_of_what_is_attached_is_refused() {
    let cable = Cable::new();
    let config = cable.network(&json!({}));
    let (c1, _) = cable.add(&config);
    let before = cable.host.snapshot().unwrap();
    refused(&cable.host.add(&config, &c1, "net1").unwrap(), 101);
    let another = cable.host.container().unwrap();
    let reply = cable.host.add(&config, &another, "net1").unwrap();
    assert!(refused(&reply, 7).contains("d0"), "{reply:?}");
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
    talks(&c1, &cable.outside, 1);
}

fn gc_gives_back_what_is_not_valid() {
    let cable = Cable::new();
    let (before, config) = (cable.host.snapshot().unwrap(), cable.network(&json!({})));
    let (c1, _) = cable.add(&config);
    cable.host.gc(&config, &[(c1.id(), "net1")]).unwrap().result().unwrap();
    talks(&c1, &cable.outside, 1);
    cable.host.gc(&config, &[]).unwrap().result().unwrap();
    assert_eq!(cable.host.changes_since(&before).unwrap(), "");
}

fn check_names_whatever_has_drifted() {
    let cable = Cable::new();
    let config = cable.network(&json!({}));
    for (command, complaint) in [
        ("link set net1 down", "net1 is down"),
        ("addr del 10.7.0.1/24 dev net1", "does not have it"),
        ("route del default", "no such route"),
        ("link set net1 name gone", "there is no net1"),
    ] {
        let (c1, result) = cable.add(&config);
        let check = || cable.host.check(&config, &c1, "net1", &result).unwrap();
        assert!(check().success(), "{:?}", check());
        c1.ip(command).unwrap();
        assert!(check().msg().contains(complaint), "{command}: {:?}", check());
        cable.del(&config, &c1);
        fs::remove_dir_all(cable.host.networks_dir().join("net")).unwrap();
    }
}

fn status_is_that_of_the_ipam_plugin() {
    let cable = Cable::new();
    assert!(cable.host.status(&cable.network(&json!({}))).unwrap().success());
    let broken = cable.network(&json!({"ipam": {"type": "nothing-of-that-name"}}));
    assert!(!cable.host.status(&broken).unwrap().success());
}

fn what_the_reference_took_we_check_and_give_back() {
    let mut cable = Cable::new();
    let (ours, theirs) = (cable.host.binaries().clone(), Binaries::reference().unwrap());
    for keys in [json!({}), json!({"device": "", "hwaddr": MAC})] {
        let config = with(&cable.network(&keys), "cniVersion", &json!("1.0.0"));
        cable.host.use_binaries(&theirs);
        let (c1, result) = cable.add(&config);
        cable.host.use_binaries(&ours);
        let check = || cable.host.check(&config, &c1, "net1", &result).unwrap();
        assert!(check().success(), "{:?}", check());
        c1.ip("route del default").unwrap();
        assert!(check().msg().contains("no such route"), "{:?}", check());
        cable.del(&config, &c1);
        // As it gives them back itself: down, and without addresses.
        assert_eq!((&link("d0")["address"], link("d0").get("ifalias")), (&json!(MAC), None));
        assert_eq!(leases(&cable.host), 0);
        cable.del(&config, &c1);
    }
}

fn what_we_took_the_reference_gives_back() {
    let mut cable = Cable::new();
    let (ours, theirs) = (cable.host.binaries().clone(), Binaries::reference().unwrap());
    let config = with(&cable.network(&json!({})), "cniVersion", &json!("1.0.0"));
    let (c1, _) = cable.add(&config);
    cable.host.use_binaries(&theirs);
    cable.del(&config, &c1);
    assert_eq!((&link("d0")["address"], &link("d0")["mtu"]), (&json!(MAC), &json!(1400)));
    assert!(c1.ip("link show dev net1").is_err());
    // Our record, which they know nothing of, does no harm to what is theirs by now.
    ip("link set d0 mtu 1350 up").unwrap();
    let before = ip("link show dev d0").unwrap();
    cable.host.use_binaries(&ours);
    cable.del(&config, &c1);
    assert_eq!(ip("link show dev d0").unwrap(), before);
}
