//! `tap` with real traffic: a program in the container opens the device and is a machine behind it.
//!
//! Tests that are named for what the reference gets wrong can be pointed at it: `SEALANE_CNI_BIN`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test without libtest's attribute"
)]
use netlab::{Binaries, Container, Host, Protocol, is_cut_off, reaches, refused, soon, with, with_all};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    net::IpAddr,
    process::{Child, Command, Stdio},
};

fn main() -> std::process::ExitCode {
    let mut trials = netlab::trials![
        a_program_behind_the_device_answers_arp_and_echoes,
        a_program_behind_the_device_is_on_the_containers_bridge,
        a_device_of_many_queues_is_opened_twice,
        a_failed_add_leaves_no_device,
        an_unknown_bridge_is_named_with_those_that_there_are,
        what_can_not_be_is_refused_before_anything_is_made,
        ipv6_below_1280_is_refused_with_both_numbers,
        every_key_is_a_property_of_the_device,
        nothing_is_executed,
        a_second_add_is_refused_and_leaves_the_first,
        check_names_whatever_is_different,
        del_needs_neither_netns_nor_configuration_and_succeeds_twice,
        gc_takes_whom_the_runtime_does_not_name,
        status_is_that_of_ipam,
    ];
    let beside = netlab::trials![what_the_reference_has_attached_is_checked_and_taken_away];
    trials.extend(netlab::beside_the_reference(beside));
    netlab::main(netlab::with_tap_devices(trials))
}

fn network(host: &Host, keys: &Value) -> Value {
    let addresses = json!([{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}, {"address": "fd01::2/64"}]);
    let config = json!({"type": "tap", "ipam": {"type": "static", "addresses": addresses}});
    host.config(&with_all(&config, keys))
}

fn attach(host: &Host, config: &Value) -> (Container, Value) {
    let container = host.container().unwrap();
    let result = host.add(config, &container, "tap0").unwrap().result().unwrap();
    (container, result)
}

/// A machine behind the device: it has 10.1.0.1, tells so by ARP, and sends every UDP packet back to where it came from. It says a
/// word when it has opened the device, which it does as often as it is told to.
const MACHINE: &str = r#"
import fcntl, os, struct, sys
IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE, TUNSETIFF = 2, 0x1000, 0x100, 0x400454ca
MAC, ADDRESS = bytes([2, 0, 0, 0, 0, 99]), bytes([10, 1, 0, 1])
name, queues = sys.argv[1], int(sys.argv[2])
flags = IFF_TAP | IFF_NO_PI | (IFF_MULTI_QUEUE if queues > 1 else 0)
taps = []
for _ in range(queues):
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    taps.append(tap)
print("open", flush=True)
import select
while True:
    for tap in select.select(taps, [], [])[0]:
        frame = os.read(tap, 65536)
        kind = frame[12:14]
        if kind == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == ADDRESS:
            answer = frame[14:20] + b"\0\2" + MAC + ADDRESS + frame[22:32]
            os.write(tap, frame[6:12] + MAC + kind + answer)
        elif kind == b"\x08\0" and frame[23] == 17 and frame[30:34] == ADDRESS:
            ip, udp = frame[14:34], frame[34:]
            back = ip[:12] + ip[16:20] + ip[12:16]
            os.write(tap, frame[6:12] + MAC + kind + back + udp[2:4] + udp[0:2] + udp[4:6] + b"\0\0" + udp[8:])
"#;

struct Machine(Child);

impl Machine {
    /// In the container, with the device open.
    fn behind(container: &Container, device: &str, queues: u8) -> Self {
        let start = || {
            let mut machine = Command::new("python3");
            machine.args(["-c", MACHINE, device, &queues.to_string()]).stdout(Stdio::piped());
            // Who deletes the device takes it from under the machine.
            machine.stderr(Stdio::null()).spawn().unwrap()
        };
        let mut child = container.exec(start).unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "open");
        Self(child)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn machine() -> IpAddr {
    "10.1.0.1".parse().unwrap()
}

fn a_program_behind_the_device_answers_arp_and_echoes() {
    let host = Host::new().unwrap();
    let (container, result) = attach(&host, &network(&host, &json!({})));
    assert!(container.exec(|| is_cut_off(Protocol::Udp, machine(), 7)).unwrap(), "nobody is there yet");
    let _machine = Machine::behind(&container, "tap0", 1);
    let from = container.exec(|| reaches(Protocol::Udp, machine(), 7)).unwrap().unwrap();
    assert_eq!(from.to_string(), "10.1.0.2");
    host.check(&network(&host, &json!({})), &container, "tap0", &result).unwrap().result().unwrap();
}

fn a_program_behind_the_device_is_on_the_containers_bridge() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    container.ip("link add br0 up type bridge").unwrap();
    container.ip("address add 10.1.0.5/24 dev br0").unwrap();
    let config = network(&host, &json!({"bridge": "br0", "ipam": {}}));
    host.add(&config, &container, "tap0").unwrap().result().unwrap();
    let _machine = Machine::behind(&container, "tap0", 1);
    container.exec(|| reaches(Protocol::Udp, machine(), 7)).unwrap().unwrap();
}

fn a_device_of_many_queues_is_opened_twice() {
    let host = Host::new().unwrap();
    let keys = json!({"multiQueue": true, "owner": u32::MAX, "group": u32::MAX});
    let (container, _) = attach(&host, &network(&host, &keys));
    let shown = container.ip("link show dev tap0").unwrap()[0]["linkinfo"]["info_data"].clone();
    assert_eq!((shown.get("user"), shown.get("group")), (None, None), "-1 is nobody");
    let _machine = Machine::behind(&container, "tap0", 2);
    container.exec(|| reaches(Protocol::Udp, machine(), 7)).unwrap().unwrap();
}

/// The reference leaves it in the container, where the next ADD fails at its name.
fn a_failed_add_leaves_no_device() {
    let host = Host::new().unwrap();
    let routes = json!([{"dst": "0.0.0.0/0", "gw": "192.0.2.99"}]);
    let impossible = json!({"type": "static", "addresses": [{"address": "10.1.0.2/24"}], "routes": routes});
    for keys in [json!({"ipam": impossible}), json!({"owner": u32::MAX - 1}), json!({"bridge": "lo"})] {
        let container = host.container().unwrap();
        let (outer, inner) = (host.snapshot().unwrap(), container.snapshot().unwrap());
        let reply = host.add(&network(&host, &keys), &container, "tap0").unwrap();
        assert!(!reply.success() && !reply.msg().is_empty(), "{keys}: {reply:?}");
        assert_eq!(inner.difference(&container.snapshot().unwrap()), "", "{keys}");
        assert_eq!(host.changes_left_since(&outer).unwrap(), "", "{keys}");
    }
}

fn an_unknown_bridge_is_named_with_those_that_there_are() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let ask = || {
        let reply = host.add(&network(&host, &json!({"bridge": "br7"})), &container, "tap0").unwrap();
        format!("{}; {}", refused(&reply, 7), reply.hint())
    };
    let said = ask();
    assert!(said.contains("br7") && said.contains("there is none"), "{said}");
    container.ip("link add br0 type bridge").unwrap();
    let said = ask();
    assert!(said.contains("br7") && said.contains("br0"), "{said}");
    assert!(container.ip("link show tap0").is_err());
}

fn what_can_not_be_is_refused_before_anything_is_made() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let (outer, inner) = (host.snapshot().unwrap(), container.snapshot().unwrap());
    for (keys, code, words) in [
        (json!({"mtu": 65_522}), 7, "65522"),
        (json!({"mac": "zz"}), 7, "zz"),
        (json!({"mac": "01:00:00:00:00:01"}), 7, "01:00:00:00:00:01"),
        (json!({"bridge": "lo"}), 101, "lo"),
        (json!({"selinuxContext": "nonsense"}), 7, "nonsense"),
        (json!({"selinuxContext": "system_u:system_r:container_t:s0"}), 7, "SELinux is not enabled"),
        (json!({"ipam": {"type": "static"}}), 104, "missing IP config"),
    ] {
        if words.starts_with("SELinux") && std::fs::exists("/sys/fs/selinux/enforce").unwrap() {
            continue;
        }
        let reply = host.add(&network(&host, &keys), &container, "tap0").unwrap();
        let said = refused(&reply, code);
        assert!(said.contains(words), "{keys}: {said}");
        assert_eq!(inner.difference(&container.snapshot().unwrap()), "", "{keys}");
        assert_eq!(host.changes_since(&outer).unwrap(), "", "{keys}");
    }
}

fn ipv6_below_1280_is_refused_with_both_numbers() {
    let host = Host::new().unwrap();
    let (container, before) = (host.container().unwrap(), host.snapshot().unwrap());
    let reply = host.add(&network(&host, &json!({"mtu": 1279})), &container, "tap0").unwrap();
    assert_eq!(refused(&reply, 7), "invalid MTU 1279, must be 1280 or more for fd01::2/64 on \"tap0\"");
    assert_eq!(host.changes_since(&before).unwrap(), "");
    assert!(container.ip("link show dev tap0").is_err());
    attach(&host, &network(&host, &json!({"mtu": 1280})));
}

fn every_key_is_a_property_of_the_device() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    container.ip("link add br0 type bridge").unwrap();
    let keys = json!({"multiQueue": true, "mtu": 1400, "mac": "02:00:00:00:00:01", "owner": 0, "group": 0, "bridge": "br0",
        "runtimeConfig": {"mac": "02:00:00:00:00:02"}});
    let result = host.add(&network(&host, &keys), &container, "tap0").unwrap().result().unwrap();
    assert_eq!(result["interfaces"][0]["mac"], "02:00:00:00:00:02");
    let shown = container.ip("link show tap0").unwrap();
    let (link, info) = (&shown[0], &shown[0]["linkinfo"]["info_data"]);
    assert_eq!(
        (&link["mtu"], &link["address"], &link["master"]),
        (&json!(1400), &json!("02:00:00:00:00:02"), &json!("br0"))
    );
    assert_eq!(
        (&info["type"], &info["multi_queue"], &info["persist"]),
        (&json!("tap"), &json!(true), &json!(true))
    );
    assert_eq!((&info["user"], &info["group"]), (&json!("root"), &json!("root")));
    // By what the runtime says in its arguments, before the configuration's own.
    let other = network(&host, &json!({"mac": "02:00:00:00:00:01"}));
    let call = host.attach("ADD", &other, &container, "tap1").unwrap();
    let result =
        call.env("CNI_ARGS", "IgnoreUnknown=1;MAC=02:00:00:00:00:03").run().unwrap().result().unwrap();
    assert_eq!(result["interfaces"][0]["mac"], "02:00:00:00:00:03");
}

/// The reference runs `ip` unless it is told an owner and a group: it is not there in many images.
fn nothing_is_executed() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let call = host.attach("ADD", &network(&host, &json!({})), &container, "tap0").unwrap();
    call.env("PATH", "/nowhere").run().unwrap().result().unwrap();
}

fn a_second_add_is_refused_and_leaves_the_first() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({}));
    let (container, result) = attach(&host, &config);
    let before = container.snapshot().unwrap();
    refused(&host.add(&config, &container, "tap0").unwrap(), 101);
    assert_eq!(before.difference(&container.snapshot().unwrap()), "");
    // Nor is one that somebody else has made taken for ours.
    let other = host.container().unwrap();
    other.ip("tuntap add tap0 mode tap").unwrap();
    refused(&host.add(&config, &other, "tap0").unwrap(), 101);
    other.ip("link show tap0").unwrap();
    host.check(&config, &container, "tap0", &result).unwrap().result().unwrap();
}

fn check_names_whatever_is_different() {
    for (drift, words) in [
        ("link del tap0", "there is no tap tap0"),
        ("link set tap0 address 02:00:00:00:00:77", "02:00:00:00:00:77"),
        ("link set tap0 down", "tap0 is down"),
        ("link set tap0 nomaster", "is not on that bridge"),
        ("addr del 10.1.0.2/24 dev tap0", "address 10.1.0.2/24"),
    ] {
        let host = Host::new().unwrap();
        let container = host.container().unwrap();
        container.ip("link add br0 type bridge").unwrap();
        let config = network(&host, &json!({"bridge": "br0"}));
        let result = host.add(&config, &container, "tap0").unwrap().result().unwrap();
        host.check(&config, &container, "tap0", &result).unwrap().result().unwrap();
        container.ip(drift).unwrap();
        let reply = host.check(&config, &container, "tap0", &result).unwrap();
        assert!(!reply.success() && reply.msg().contains(words), "{drift}: {reply:?}");
        host.del(&config, &container, "tap0").unwrap().result().unwrap();
        assert!(container.ip("link show tap0").is_err(), "{drift}");
    }
}

fn del_needs_neither_netns_nor_configuration_and_succeeds_twice() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({}));
    let before = host.snapshot().unwrap();
    let other = with(&with(&config, "bridge", &json!("br7")), "owner", &json!(7));
    for (killed, open, config) in [
        (false, false, &config),
        (false, true, &config),
        (true, false, &config),
        (false, false, &other),
        (true, false, &other),
    ] {
        let (container, _) = attach(&host, &network(&host, &json!({})));
        let _machine = open.then(|| Machine::behind(&container, "tap0", 1));
        if killed {
            container.kill().unwrap();
        }
        for _ in 0..2 {
            host.del(config, &container, "tap0").unwrap().result().unwrap();
        }
        if !killed {
            assert!(container.ip("link show tap0").is_err());
        }
        let gone = || host.changes_since(&before).unwrap().is_empty();
        assert!(soon(gone), "{}", host.changes_since(&before).unwrap());
    }
    let (container, _) = attach(&host, &config);
    host.del_without_netns(&config, &container, "tap0").unwrap().result().unwrap();
    assert!(container.ip("link show tap0").is_err(), "the record knows the namespace");
}

fn gc_takes_whom_the_runtime_does_not_name() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({}));
    let [(first, own), (second, _)] = [(); 2].map(|()| attach(&host, &config));
    host.gc(&config, &[(first.id(), "tap0")]).unwrap().result().unwrap();
    host.check(&config, &first, "tap0", &own).unwrap().result().unwrap();
    assert!(second.ip("link show tap0").is_err());
}

fn status_is_that_of_ipam() {
    let host = Host::new().unwrap();
    host.status(&network(&host, &json!({}))).unwrap().result().unwrap();
    let reply = host.status(&network(&host, &json!({"ipam": {"type": "nobody"}}))).unwrap();
    assert!(!reply.success() && reply.msg().contains("nobody"), "{reply:?}");
}

fn what_the_reference_has_attached_is_checked_and_taken_away() {
    let Some(reference) = Binaries::reference() else { return };
    for keys in [json!({}), json!({"owner": 0, "group": 0, "multiQueue": true})] {
        let mut host = Host::with(&reference).unwrap();
        let config = network(&host, &keys);
        let (container, result) = attach(&host, &config);
        host.use_binaries(&Binaries::under_test().unwrap());
        host.check(&config, &container, "tap0", &result).unwrap().result().unwrap();
        container.ip("link set tap0 down").unwrap();
        assert!(!host.check(&config, &container, "tap0", &result).unwrap().success());
        let del = with(&config, "prevResult", &result);
        host.del(&del, &container, "tap0").unwrap().result().unwrap();
        assert!(container.ip("link show tap0").is_err());
    }
}
