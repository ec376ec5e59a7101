//! `sealane run`, `exec`, `ps`, `inspect`, `logs`, `stop` and `rm`: the words of `docker`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Lab, soon};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

netlab::tests! {
    a_container_runs_in_namespaces_of_its_own,
    the_exit_status_is_the_commands_or_dockers,
    a_container_in_the_foreground_is_the_command,
    a_container_in_the_background_gives_its_id,
    a_container_without_a_command_stays_until_it_is_stopped,
    a_container_without_a_name_gets_one,
    environment_folder_and_host_name_are_as_asked_for,
    a_container_without_a_network_is_on_bridge,
    a_container_on_none_has_loopback_alone,
    a_container_on_host_has_the_hosts_network,
    the_second_container_on_host_that_asks_for_a_port_is_told_of_the_first,
    the_ports_of_a_container_on_host_are_listed_as_docker_lists_them,
    a_port_that_nothing_can_publish_is_refused,
    serve_answers_whoever_fetches,
    a_container_can_be_on_many_networks,
    an_address_and_a_mac_are_as_asked_for,
    a_network_that_cannot_be_had_leaves_nothing,
    exec_runs_in_the_containers_namespaces,
    exec_gives_the_commands_status_or_dockers,
    ps_shows_what_runs_and_all_what_has_been,
    ps_can_be_filtered,
    a_list_does_nothing_to_the_terminal,
    inspect_shows_all_there_is,
    logs_hold_output_and_errors,
    logs_can_be_followed,
    stop_is_gentle_first_and_firm_later,
    a_container_whose_keeper_is_stopped_can_be_stopped,
    a_container_started_by_a_background_job_ignores_no_signal,
    a_shell_in_the_background_stays_as_dockers_does,
    the_words_of_docker_container_are_known,
    a_container_whose_record_is_broken_can_be_removed,
    control_c_ends_a_run_whose_plugin_hangs,
    a_signal_to_a_run_alone_ends_it_though_its_plugin_hangs,
    a_container_whose_start_never_ends_can_be_removed,
    rm_wants_a_container_that_has_ended_or_force,
    a_container_that_is_done_keeps_its_name_until_it_is_removed,
    rm_removes_itself_when_asked_to,
    the_first_process_reaps_orphans,
    signals_reach_the_command,
    a_killed_keeper_takes_its_container_along,
    a_killed_foreground_run_takes_its_container_along,
    a_container_whose_init_is_killed_leaves_its_networks,
    fifty_runs_at_once_have_addresses_of_their_own,
    one_name_asked_for_at_once_is_had_by_one,
    the_machines_files_are_not_touched,
    a_container_can_be_run_from_a_shell_that_goes_away,
}

fn inspect(lab: &Lab, container: &str) -> Value {
    lab.run(&format!("sealane inspect {container}")).json()[0].clone()
}

fn ps(lab: &Lab, flags: &str) -> Vec<Value> {
    let lines = lab.ok(&format!("sealane ps {flags} --format json"));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What containers leave when they are not taken down: interfaces, leases, records, folders, processes; but not those that only hold a
/// socket of the packet filter until the kernel is done with it, and have been left by what came before.
fn traces(lab: &Lab) -> String {
    lab.ok(
        "ip -o link | cut -d: -f2 | cut -d@ -f1; find /run/sealane /var/lib/sealane /var/lib/cni ! -type d 2>/dev/null \
         | grep -v -e '[./]lock$' -e last_reserved_ip | sort; cat /proc/self/mountinfo | cut -d' ' -f5; \
         cat /proc/[0-9]*/comm 2>/dev/null | grep sealane | grep -vcx sealane-nft; true",
    )
}

/// The same traces as before, after the kernel and the keepers had time to finish.
#[track_caller]
fn leaves_nothing(lab: &Lab, before: &str) {
    let mut now = traces(lab);
    soon(|| {
        if now != before {
            now = traces(lab);
        }
        now == before
    });
    assert_eq!(before, now);
    lab.soon("! grep -qx sealane-nft /proc/[0-9]*/comm");
}

fn a_container_runs_in_namespaces_of_its_own() {
    let lab = Lab::new();
    let host = lab.ok(
        "readlink /proc/self/ns/net /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/uts /proc/self/ns/ipc",
    );
    let links =
        "readlink /proc/self/ns/net /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/uts /proc/self/ns/ipc";
    let inside = lab.ok(&format!("sealane run --rm --network none -- {links}"));
    assert_eq!(inside.lines().count(), 5, "{inside}");
    for (outside, inside) in host.lines().zip(inside.lines()) {
        assert_ne!(outside, inside);
    }
    let pids =
        lab.ok("sealane run --rm --network none -- sh -c 'ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm'");
    let (count, init) = pids.split_once('\n').unwrap();
    assert!(count.parse::<u32>().unwrap() <= 6 && init.trim().starts_with("sealane"), "{pids}");
    let interfaces = lab.ok("sealane run --rm --network none -- ls /sys/class/net");
    assert_eq!(interfaces, "lo\n", "/sys is that of its network");
}

fn the_exit_status_is_the_commands_or_dockers() {
    let lab = Lab::new();
    for (command, status) in [
        ("true", 0),
        ("sh -c 'exit 7'", 7),
        ("sh -c 'exit 255'", 255),
        ("sh -c 'kill -9 $$'", 137),
        ("sh -c 'kill $$'", 143),
        ("no-such-command", 127),
        ("/no/such/command", 127),
        ("/etc/passwd", 126),
        ("/etc", 126),
    ] {
        let said = lab.run(&format!("sealane run --rm --network none -- {command}"));
        assert_eq!(said.status, status, "{said:#?}");
        let name = command.split(' ').next().unwrap();
        assert!(![126, 127].contains(&status) || said.stderr.contains(name), "{said:#?}");
        let background = lab.run(&format!("sealane run -d --rm --network none -- {command}"));
        let expected = if [126, 127].contains(&status) { status } else { 0 };
        assert_eq!(background.status, expected, "{background:#?}");
    }
    for ours in [
        "--network nobody -- true",
        "--name 'a/b' -- true",
        "--no-such-flag -- true",
        "--ip 10.9.9.9 -- true",
    ] {
        assert_eq!(lab.run(&format!("sealane run --rm {ours}")).status, 125, "{ours}");
    }
    assert_eq!(lab.soon("test -z \"$(sealane ps -aq)\" && echo none"), "none\n");
}

fn a_container_in_the_foreground_is_the_command() {
    let lab = Lab::new();
    let said =
        lab.run("echo in | sealane run --rm --network none -- sh -c 'cat; echo out; echo err >&2; exit 3'");
    assert_eq!((said.status, &*said.stdout, &*said.stderr), (3, "in\nout\n", "err\n"));
    lab.ok("head -c 3000000 /dev/urandom > $TMPDIR/big && sealane run --rm --network none -- cat < $TMPDIR/big | cmp - $TMPDIR/big");
    let said = lab.run("sealane run --rm --network none -- -c 'echo x'");
    assert_eq!(said.status, 127, "what follows -- is the command: {said:#?}");
    assert_eq!(lab.ok("sealane run --rm --network none echo --name -d"), "--name -d\n");
}

fn a_container_in_the_background_gives_its_id() {
    let lab = Lab::new();
    let id = lab.ok("sealane run -d --name c1 --network none -- sh -c 'echo hello; sleep 1000'");
    assert!(id.trim().len() == 64 && id.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let all = ps(&lab, "");
    assert_eq!((all.len(), &all[0]["ID"], &all[0]["Names"]), (1, &json!(id[..12]), &json!("c1")));
    for key in [id.trim(), &id[..12], &id[..5], "c1"] {
        assert_eq!(lab.ok(&format!("sealane exec {key} echo here")), "here\n");
    }
    assert_eq!(lab.soon("sealane logs c1 | grep ."), "hello\n");
    assert_eq!(lab.ok(&format!("sealane rm -f {}", &id[..12])), format!("{}\n", &id[..12]));
}

fn a_container_without_a_command_stays_until_it_is_stopped() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name c1 --network none");
    assert_eq!(inspect(&lab, "c1")["State"]["Status"], "running");
    assert_eq!(lab.ok("sealane stop -t 60 c1"), "c1\n");
    let state = inspect(&lab, "c1")["State"].clone();
    assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("exited"), &json!(0)), "it hears SIGTERM");
}

fn a_container_without_a_name_gets_one() {
    let lab = Lab::new();
    for _container in 0..20 {
        lab.ok("sealane run -d --network none");
    }
    let names: HashSet<String> =
        ps(&lab, "").iter().map(|row| row["Names"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 20, "{names:?}");
    for name in &names {
        lab.ok(&format!("sealane inspect {name}"));
    }
}

fn environment_folder_and_host_name_are_as_asked_for() {
    let lab = Lab::new();
    let said = lab.ok("OUTER=o sealane run --rm --network none -e A=b -e C= -e OUTER -e 'D=e f=g' -w /etc --hostname tom -- \
                       sh -c 'echo $A/$C/$OUTER/$D; pwd; hostname; cat /etc/hostname'");
    assert_eq!(said, "b//o/e f=g\n/etc\ntom\ntom\n");
    let said = lab
        .run("sealane run --rm --network none -e NOT_SET_ANYWHERE -- sh -c 'echo ${NOT_SET_ANYWHERE-unset}'");
    assert_eq!(said.ok(), "unset\n");
    let id = lab.ok("sealane run -d --name c1 --network none");
    assert_eq!(lab.ok("sealane exec c1 hostname"), format!("{}\n", &id[..12]));
    assert_eq!(lab.ok("hostname"), "worker-1\n", "the host's own is as it was");
    let said = lab.refused("sealane run --rm --network none -w /no/such -- true");
    assert!(said.contains("/no/such"), "{said}");
    let said = lab.refused("sealane run --rm --network none -e =x -- true");
    assert!(said.contains("=x"), "{said}");
}

fn a_container_without_a_network_is_on_bridge() {
    let lab = Lab::new();
    let address = lab.ok("sealane run --rm -- ip -4 -brief address show dev eth0");
    assert!(address.contains("eth0"), "{address}");
    let gateway = lab.run("sealane network inspect bridge").json()[0]["IPAM"]["Config"][0]["Gateway"].clone();
    lab.ok(&format!("sealane run --rm -- ping -n -c 1 -w 60 {}", gateway.as_str().unwrap()));
    lab.ok("for n in 1 2 3 4 5 6; do sealane run -d --name c$n & done; wait");
    assert_eq!(lab.ok("sealane network ls -q -f name=bridge").lines().count(), 1, "made once");
    lab.ok("sealane exec c1 ping -c 1 -w 60 c6");
}

fn a_container_on_none_has_loopback_alone() {
    let lab = Lab::new();
    assert_eq!(lab.ok("sealane run --rm --network none -- ls /sys/class/net"), "lo\n");
    lab.ok("sealane run --rm --network none -- ping -n -c 1 127.0.0.1");
    lab.ok("sealane run --rm --network none -- ping -n -c 1 ::1");
    assert_eq!(lab.ok("sealane run --rm --network none -- ip route"), "");
    assert_ne!(lab.run("sealane run --rm --network none -- ping -n -c 1 -W 1 192.0.2.254").status, 0);
}

fn a_container_on_host_has_the_hosts_network() {
    let lab = Lab::new();
    let look = "readlink /proc/self/ns/net; hostname; ip -o address | tr -s ' ' | cut -d' ' -f 2,4";
    let host = lab.ok(look);
    assert_eq!(lab.ok(&format!("sealane run --rm --network host -- sh -c \"{look}\"")), host);
    lab.ok("sealane run --rm --network host -- ping -n -c 1 -w 60 198.51.100.1");
    lab.ok("sealane run -d --name c1 --network host");
    let inside = inspect(&lab, "c1")["NetworkSettings"]["Networks"].clone();
    assert!(inside["host"].is_object() && inside.as_object().unwrap().len() == 1, "{inside:#}");
    let said = lab.refused("sealane run --rm --network host --network bridge -- true");
    assert!(said.contains("host"), "{said}");
    let said = lab.refused("sealane run --rm --network host --ip 10.1.0.9 -- true");
    assert!(said.contains("10.1.0.9") || said.contains("host"), "{said}");
}

fn the_second_container_on_host_that_asks_for_a_port_is_told_of_the_first() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name nginx-1 --network host -p 80");
    let said = lab.run("sealane run -d --name nginx-2 --network host -p 80");
    assert_eq!(said.status, 125, "{said:#?}");
    for word in ["80", "nginx-1"] {
        assert!(said.stderr.contains(word), "{word} is not in {said:#?}");
    }
    assert!(said.stderr.to_lowercase().contains("in use"), "{said:#?}");
    lab.ok("sealane run -d --name nginx-3 --network host -p 8080:8080 -p 80/udp");
    assert_eq!(ps(&lab, "").len(), 2);
    lab.ok("sealane rm -f nginx-1 && sealane run -d --name nginx-2 --network host -p 80");
}

fn the_ports_of_a_container_on_host_are_listed_as_docker_lists_them() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name c1 --network host -p 8000-8002 -p 127.0.0.1:53:53/udp");
    let expected = "53/udp -> 127.0.0.1:53\n8000/tcp -> 0.0.0.0:8000\n8000/tcp -> [::]:8000\n\
        8001/tcp -> 0.0.0.0:8001\n8001/tcp -> [::]:8001\n8002/tcp -> 0.0.0.0:8002\n8002/tcp -> [::]:8002\n";
    assert_eq!(lab.ok("sealane port c1"), expected);
    assert_eq!(lab.ok("sealane port c1 8001"), "0.0.0.0:8001\n[::]:8001\n");
    assert_eq!(lab.ok("sealane port c1 53/udp"), "127.0.0.1:53\n");
    let one = json!([{"HostIp": "127.0.0.1", "HostPort": "53"}]);
    assert_eq!(lab.run("sealane port --format json c1").json()["53/udp"], one);
    assert_eq!(inspect(&lab, "c1")["NetworkSettings"]["Ports"]["53/udp"], one);
    let listed = "127.0.0.1:53->53/udp, 0.0.0.0:8000-8002->8000-8002/tcp, [::]:8000-8002->8000-8002/tcp";
    assert_eq!(ps(&lab, "")[0]["Ports"], listed);
    assert!(lab.ok("sealane ps").contains(listed));
    let said = lab.refused("sealane port c1 53");
    assert!(said.contains("53/tcp") && said.contains("53/udp"), "{said}");
    lab.ok("sealane stop -t 0 c1");
    assert_eq!(lab.ok("sealane port c1"), "");
    assert_eq!(ps(&lab, "-a")[0]["Ports"], "");
}

fn a_port_that_nothing_can_publish_is_refused() {
    let lab = Lab::new();
    lab.ok("sealane network create --internal inside");
    let list = json!({"cniVersion": "1.0.0", "name": "bare", "plugins": [{"type": "bridge", "bridge": "bare0",
        "isGateway": true, "ipam": {"type": "host-local", "subnet": "10.79.0.0/24"}}]});
    lab.ok(&format!("echo '{list}' > /etc/cni/net.d/10-bare.conflist"));
    for (network, next) in [("none", "another network"), ("inside", "not internal"), ("bare", "portmap")] {
        let said = lab.run(&format!("sealane run --network {network} -p 8080:80 -- true"));
        assert_eq!(said.status, 125, "{said:#?}");
        assert!(said.stderr.contains(network) && said.stderr.contains(next), "{said:#?}");
    }
    assert!(ps(&lab, "-a").is_empty());
}

fn serve_answers_whoever_fetches() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name web --network host -- sealane serve 8000-8001 hello");
    lab.ok("sealane run -d --name dns --network host -- sealane serve 53/udp datagram");
    for (from, target, answer) in [
        ("worker-1", "127.0.0.1:8000", "hello\n"),
        ("worker-1", "[::1]:8001", "hello\n"),
        ("worker-1", "localhost:8001", "hello\n"),
        ("outside", "192.0.2.1:8000", "hello\n"),
        ("outside", "192.0.2.1:53/udp", "datagram\n"),
        ("outside", "[2001:db8::1]:53/udp", "datagram\n"),
    ] {
        assert_eq!(lab.ok(&format!("sealane on {from} sealane fetch -W 60 '{target}'")), answer, "{target}");
    }
    let log = lab.ok("sealane logs web");
    assert!(log.starts_with("listening on port 8000-8001/tcp\n"), "{log}");
    assert!(log.contains("192.0.2.254 asked on port 8000/tcp\n"), "{log}");
    let said = lab.refused("sealane serve 8000 taken");
    assert!(said.contains("8000/tcp") && said.contains("in use"), "{said}");
    let said = lab.refused("sealane fetch -W 0.2 127.0.0.1:8002");
    assert!(said.contains("127.0.0.1:8002") && said.contains("refused"), "{said}");
    let said = lab.refused("sealane fetch nobody:80");
    assert!(said.contains("nobody"), "{said}");
}

fn a_container_can_be_on_many_networks() {
    let lab = Lab::new();
    lab.ok("for n in 1 2 3; do sealane network create n$n --subnet 10.$n.0.0/24; done");
    lab.ok("sealane run -d --name c1 --network n1 --network n2 --network n3 --ip 10.1.0.9");
    let address = |link: &str| lab.ok(&format!("sealane exec c1 ip -4 -brief address show dev {link}"));
    assert!(address("eth0").contains("10.1.0.9/24"));
    assert!(address("eth1").contains("10.2.0.2/24"));
    assert!(address("eth2").contains("10.3.0.2/24"));
    let networks = inspect(&lab, "c1")["NetworkSettings"]["Networks"].clone();
    assert_eq!(networks["n2"]["IPAddress"], "10.2.0.2", "{networks:#}");
    for n in 1..=3 {
        lab.ok(&format!("sealane run --rm --network n{n} -- ping -c 1 -w 60 c1"));
    }
    let said = lab.refused("sealane run --rm --network n1 --network n1 -- true");
    assert!(said.contains("n1"), "{said}");
}

fn an_address_and_a_mac_are_as_asked_for() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 --subnet fd01::/64");
    lab.ok("sealane run -d --name c1 --network test --ip 10.1.0.99 --ip6 fd01::99 --mac-address 02:11:22:33:44:55");
    let networks = inspect(&lab, "c1")["NetworkSettings"]["Networks"]["test"].clone();
    for (key, value) in [
        ("IPAddress", json!("10.1.0.99")),
        ("IPPrefixLen", json!(24)),
        ("Gateway", json!("10.1.0.1")),
        ("GlobalIPv6Address", json!("fd01::99")),
        ("GlobalIPv6PrefixLen", json!(64)),
        ("MacAddress", json!("02:11:22:33:44:55")),
    ] {
        assert_eq!(networks[key], value, "{key} of {networks:#}");
    }
    assert_eq!(lab.ok("sealane exec c1 cat /sys/class/net/eth0/address"), "02:11:22:33:44:55\n");
    for (flags, value) in [
        ("--ip 10.1.0.99", "10.1.0.99"),
        ("--ip 10.2.0.1", "10.2.0.1"),
        ("--ip 10.1.0.1", "10.1.0.1"),
        ("--ip 10.1.0.255", "10.1.0.255"),
        ("--ip6 fd02::1", "fd02::1"),
        ("--mac-address 01:00:00:00:00:01", "01:00:00:00:00:01"),
        ("--mac-address nonsense", "nonsense"),
    ] {
        let said = lab.run(&format!("sealane run --rm --network test {flags} -- true"));
        assert!(said.status == 125 && said.stderr.contains(value), "{said:#?}");
    }
    assert_eq!(ps(&lab, "-a").len(), 1);
}

fn a_network_that_cannot_be_had_leaves_nothing() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24 && sealane network create tiny --subnet 10.2.0.0/30");
    lab.ok("sealane run -d --name c1 --network test --network tiny");
    let before = traces(&lab);
    let said = lab.run("sealane run --name c2 --network test --network tiny -- true");
    assert!(said.status == 125 && said.stderr.contains("10.2.0.1-10.2.0.2"), "the pool is empty: {said:#?}");
    leaves_nothing(&lab, &before);
    lab.ok("sealane run --rm --name c2 --network test -- true");
}

fn exec_runs_in_the_containers_namespaces() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name c1 --network bridge -e A=b -w /etc -- sleep 1000");
    let links =
        "readlink /proc/self/ns/net /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/uts /proc/self/ns/ipc";
    let first = lab.ok(
        "sealane exec c1 readlink /proc/1/ns/net /proc/1/ns/mnt /proc/1/ns/pid /proc/1/ns/uts /proc/1/ns/ipc",
    );
    assert_eq!(lab.ok(&format!("sealane exec c1 {links}")), first);
    assert_eq!(
        lab.ok("sealane exec c1 sh -c 'echo $A; pwd'"),
        "b\n/etc\n",
        "the container's environment and folder"
    );
    assert_eq!(lab.ok("sealane exec -e A=c -e D=d -w /usr c1 sh -c 'echo $A$D; pwd'"), "cd\n/usr\n");
    assert_eq!(lab.ok("echo in | sealane exec c1 cat"), "in\n");
    assert!(lab.ok("sealane exec c1 cat /proc/1/comm").starts_with("sealane"));
    lab.ok("sealane exec -d c1 sh -c \"touch $TMPDIR/begun; sleep 1001\"");
    lab.soon("test -e $TMPDIR/begun && pgrep -x -f 'sleep 1001'");
}

fn exec_gives_the_commands_status_or_dockers() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name c1 --network none");
    for (command, status) in [
        ("true", 0),
        ("sh -c 'exit 7'", 7),
        ("sh -c 'kill -9 $$'", 137),
        ("no-such-command", 127),
        ("/etc/passwd", 126),
    ] {
        let said = lab.run(&format!("sealane exec c1 {command}"));
        assert_eq!(said.status, status, "{said:#?}");
    }
    lab.ok("sealane stop c1");
    let said = lab.run("sealane exec c1 true");
    assert!(said.status == 1 && said.stderr.contains("c1"), "it does not run: {said:#?}");
    assert_eq!(lab.run("sealane exec nobody true").status, 1);
}

fn ps_shows_what_runs_and_all_what_has_been() {
    let lab = Lab::new();
    assert_eq!(lab.ok("sealane ps").lines().count(), 1, "the head of a table");
    lab.ok("sealane network create test --subnet 10.1.0.0/24");
    let id = lab.ok("sealane run -d --name c1 --network test -- sleep 1000");
    lab.run("sealane run --name c2 --network test -- sh -c 'exit 3'");
    let table = lab.ok("sealane ps");
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 2, "{table}");
    for word in ["CONTAINER ID", "COMMAND", "STATUS", "NAMES"] {
        assert!(rows[0].contains(word), "{table}");
    }
    for word in [&id[..12], "sleep 1000", "Up ", "c1", "10.1.0.2"] {
        assert!(rows[1].contains(word), "{word} is not in {table}");
    }
    let all = lab.ok("sealane ps -a");
    assert!(all.lines().count() == 3 && all.contains("Exited (3)") && all.contains("c2"), "{all}");
    assert_eq!(lab.ok("sealane ps -q"), format!("{}\n", &id[..12]));
    assert_eq!(lab.ok("sealane ps -q --no-trunc"), id);
    assert_eq!(lab.ok("sealane ps -aq").lines().count(), 2);
    let json = ps(&lab, "-a");
    let states: HashSet<_> =
        json.iter().map(|row| (row["Names"].as_str().unwrap(), row["State"].as_str().unwrap())).collect();
    assert_eq!(states, HashSet::from([("c1", "running"), ("c2", "exited")]));
    // What the kernel says, not what was asked for.
    lab.ok("sealane exec c1 ip address del 10.1.0.2/24 dev eth0 && sealane exec c1 ip address add 10.1.0.200/24 dev eth0");
    assert!(lab.ok("sealane ps").contains("10.1.0.200"), "{}", lab.ok("sealane ps"));
}

fn a_list_does_nothing_to_the_terminal() {
    let lab = Lab::new();
    lab.ok(r#"sealane run -d --name c1 --network none -- sh -c "$(printf ': \033[31m\007; sleep 1000')""#);
    let shown = lab.ok("sealane ps --no-trunc");
    assert!(shown.contains(" [31m") && !shown.contains(['\x1b', '\x07']), "{shown:?}");
    // Scripts get what it is.
    assert!(ps(&lab, "--no-trunc")[0]["Command"].as_str().unwrap().contains("\x1b[31m"));
}

fn ps_can_be_filtered() {
    let lab = Lab::new();
    lab.ok("sealane network create test");
    let id = lab.ok("sealane run -d --name cat --network test -l colour=red -l tall=");
    lab.ok("sealane run -d --name dog --network none -l colour=blue");
    lab.ok("sealane run --name fish --network none -- true");
    for (filters, expected) in [
        ("name=cat", vec!["cat"]),
        ("name=a", vec!["cat"]),
        ("network=test", vec!["cat"]),
        ("network=none", vec!["dog", "fish"]),
        ("label=colour", vec!["cat", "dog"]),
        ("label=colour=red", vec!["cat"]),
        ("status=exited", vec!["fish"]),
        ("status=running", vec!["cat", "dog"]),
        (&format!("id={}", &id[..4]), vec!["cat"]),
        ("status=running -f network=none", vec!["dog"]),
        ("name=cat -f name=dog", vec!["cat", "dog"]),
    ] {
        let rows = ps(&lab, &format!("-a -f {filters}"));
        let mut names: Vec<_> = rows.iter().map(|row| row["Names"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{filters}");
    }
    let said = lab.refused("sealane ps -f colour=red");
    assert!(said.contains("colour") && said.contains("status"), "{said}");
}

fn inspect_shows_all_there_is() {
    let lab = Lab::new();
    lab.ok("sealane network create test --subnet 10.1.0.0/24");
    let id = lab.ok("sealane run -d --name c1 --network test --network-alias db -e A=b -l x=y --hostname tom -w /etc -- sleep 1000");
    let c1 = inspect(&lab, "c1");
    for (pointer, value) in [
        ("/Id", json!(id.trim())),
        ("/State/Status", json!("running")),
        ("/State/Running", json!(true)),
        ("/State/ExitCode", json!(0)),
        ("/Config/Hostname", json!("tom")),
        ("/Config/Cmd", json!(["sleep", "1000"])),
        ("/Config/Labels", json!({"x": "y"})),
        ("/Config/WorkingDir", json!("/etc")),
        ("/NetworkSettings/Networks/test/IPAddress", json!("10.1.0.2")),
        ("/NetworkSettings/Networks/test/Gateway", json!("10.1.0.1")),
    ] {
        assert_eq!(c1.pointer(pointer), Some(&value), "{pointer} of {c1:#}");
    }
    assert_eq!(c1["Name"].as_str().unwrap().trim_start_matches('/'), "c1");
    assert!(c1["Config"]["Env"].as_array().unwrap().contains(&json!("A=b")), "{c1:#}");
    assert!(
        c1["NetworkSettings"]["Networks"]["test"]["Aliases"].as_array().unwrap().contains(&json!("db")),
        "{c1:#}"
    );
    let pid = c1["State"]["Pid"].as_u64().unwrap();
    assert_eq!(
        lab.ok(&format!("readlink /proc/{pid}/ns/net")),
        lab.ok("sealane exec c1 readlink /proc/self/ns/net")
    );
    lab.ok("sealane stop -t 60 c1");
    let c1 = inspect(&lab, "c1");
    assert_eq!((&c1["State"]["Status"], &c1["State"]["ExitCode"]), (&json!("exited"), &json!(143)), "{c1:#}");
    assert_eq!((&c1["State"]["Pid"], &c1["State"]["Running"]), (&json!(0), &json!(false)));
    let said = lab.run("sealane inspect nobody c1");
    assert!(
        said.status == 1 && said.stderr.contains("nobody") && said.stdout.contains(id.trim()),
        "{said:#?}"
    );
}

fn logs_hold_output_and_errors() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name c1 --network none -- sh -c 'for n in 1 2 3 4 5; do echo line $n; done; echo bad >&2; exit 2'");
    lab.soon("sealane ps -a -f status=exited -q | grep .");
    let said = lab.run("sealane logs c1");
    let mut lines: Vec<_> = (said.stdout.clone() + &said.stderr).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["bad", "line 1", "line 2", "line 3", "line 4", "line 5"]);
    let tail = lab.run("sealane logs -n 2 c1");
    assert_eq!((tail.stdout + &tail.stderr).lines().count(), 2);
    let none = lab.run("sealane logs --tail 0 c1");
    assert_eq!(none.stdout + &none.stderr, "");
    lab.ok("sealane rm c1");
    let said = lab.refused("sealane logs c1");
    assert!(said.contains("c1"), "{said}");
}

fn logs_can_be_followed() {
    let lab = Lab::new();
    lab.ok(
        "sealane run -d --name c1 --network none -- sh -c 'for n in 1 2 3 4 5; do echo $n; sleep 0.2; done'",
    );
    assert_eq!(lab.ok("sealane logs -f c1"), "1\n2\n3\n4\n5\n", "until it ends");
    lab.ok("sealane run -d --name c2 --network none -- sh -c \"echo a; while [ ! -e $TMPDIR/more ]; do sleep 0.02; done; echo b; sleep 1000\"");
    lab.ok("sealane logs -f c2 > $TMPDIR/followed & echo $! > $TMPDIR/pid");
    lab.soon("grep -x a $TMPDIR/followed");
    lab.ok("touch $TMPDIR/more");
    lab.soon("grep -x b $TMPDIR/followed");
    lab.ok("kill $(cat $TMPDIR/pid)"); // it is there to be killed: c2 runs
    assert_eq!(lab.ok("sealane logs -f c2 | head -1"), "a\n");
}

fn stop_is_gentle_first_and_firm_later() {
    let lab = Lab::new();
    let trap = "trap \"echo bye; exit 5\" TERM; echo up; while :; do sleep 0.05; done";
    lab.ok(&format!("sealane run -d --name gentle --network none -- sh -c '{trap}'"));
    lab.ok("sealane run -d --name deaf --network none -- sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.05; done'");
    lab.soon("sealane logs gentle | grep up && sealane logs deaf | grep up");
    assert_eq!(lab.ok("sealane stop -t 60 gentle"), "gentle\n");
    assert_eq!(inspect(&lab, "gentle")["State"]["ExitCode"], 5);
    assert!(lab.ok("sealane logs gentle").contains("bye"));
    let began = Instant::now();
    lab.ok("sealane stop -t 1 deaf");
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(inspect(&lab, "deaf")["State"]["ExitCode"], 137);
    assert_eq!(lab.ok("sealane stop gentle deaf"), "gentle\ndeaf\n", "what is stopped is stopped");
    let said = lab.run("sealane stop nobody gentle");
    assert!(said.status == 1 && said.stdout == "gentle\n" && said.stderr.contains("nobody"), "{said:#?}");
}

fn a_container_whose_keeper_is_stopped_can_be_stopped() {
    let lab = Lab::new();
    let before = traces(&lab);
    let keeper = "$(ps -o ppid= -p $(sealane inspect c1 | jq .[0].State.Pid))";
    for end in ["sealane stop -t 60 c1", "sealane exec c1 kill -KILL 2; sealane stop c1", "sealane rm -f c1"]
    {
        lab.ok("sealane run -d --name c1 --network none -- sleep 1000");
        lab.ok(&format!("kill -STOP {keeper}"));
        lab.ok(end);
        lab.ok("sealane ps -aq | xargs -r sealane rm");
        leaves_nothing(&lab, &before);
    }
}

fn a_container_started_by_a_background_job_ignores_no_signal() {
    let lab = Lab::new();
    let run = "sealane run -d --name c1 --network none -- grep SigIgn: /proc/self/status";
    lab.ok(&format!("trap '' HUP; grep SigIgn: /proc/self/status; {run} & wait"));
    let said = lab.soon("sealane logs c1 | grep SigIgn:");
    let ignored = u64::from_str_radix(said.trim_start_matches("SigIgn:").trim(), 16).unwrap();
    let of_terminals = [1, 2, 3].map(|signal| 1 << (signal - 1)).iter().sum::<u64>();
    assert_eq!(ignored & of_terminals, 0, "{said}");
}

fn a_shell_in_the_background_stays_as_dockers_does() {
    let lab = Lab::new();
    for (name, options) in [("c1", "-dit"), ("c2", "-d -i"), ("c3", "-d --tty")] {
        lab.ok(&format!(
            "sealane run {options} --name {name} --network none sh -c 'echo up; read line; echo over'"
        ));
        lab.soon(&format!("sealane logs {name} | grep up"));
    }
    // Without, there is nothing to read.
    lab.ok("sealane run -d --name c4 --network none sh -c 'echo up; read line; echo over'");
    lab.soon("sealane logs c4 | grep over && test $(sealane ps -q | wc -l) = 3");
    assert_eq!(lab.ok("echo typed | sealane exec -it c1 cat"), "typed\n");
    assert_eq!(lab.ok("echo typed | sealane run --rm -it --network none cat"), "typed\n");
    assert!(!lab.ok("sealane logs c1").contains("over"));
}

fn the_words_of_docker_container_are_known() {
    let lab = Lab::new();
    lab.ok("sealane container run -dit --name c1 --network none sh");
    for list in ["ls", "ps", "list"] {
        assert_eq!(lab.ok(&format!("sealane container {list} -q")), lab.ok("sealane ps -q"), "{list}");
    }
    assert_eq!(lab.ok("sealane container exec c1 echo hello"), "hello\n");
    assert_eq!(lab.ok("sealane container inspect c1"), lab.ok("sealane inspect c1"));
    assert_eq!(lab.ok("sealane container stop -t 0 c1 && sealane container rm c1"), "c1\nc1\n");
    assert_eq!(lab.run("sealane container run --nonsense").status, 125);
    assert_eq!(lab.run("sealane container ls --nonsense").status, 2);
}

fn a_container_whose_record_is_broken_can_be_removed() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run -d --name c2 --network test");
    let before = traces(&lab);
    let hosts = lab.ok("sealane exec c2 cat /etc/hosts");
    // One that runs, and one whose keeper was killed.
    for kill in ["true", "kill -9 $(ps -o ppid= -p $(sealane inspect c1 | jq .[0].State.Pid))"] {
        lab.ok("sealane run -d --name c1 --network test --network bridge -- sleep 1000");
        lab.ok(kill);
        lab.ok("echo '{' > /run/sealane/containers/c1/container.json");
        let said = lab.refused("sealane rm c1");
        assert!(said.contains("c1/container.json") && said.contains("`sealane rm -f c1`"), "{said}");
        assert_eq!(lab.ok("sealane rm -f c1"), "c1\n");
        lab.soon("! pgrep -f '^sleep 1000$'");
        lab.ok("sealane network rm bridge");
        leaves_nothing(&lab, &before);
        assert_eq!(lab.ok("sealane exec c2 cat /etc/hosts"), hosts);
    }
    lab.ok("sealane run --rm --name c1 --network test -- true");
}

/// A network whose plugin's ADD takes for ever.
fn hanging(lab: &Lab) {
    let plugin = lab.dir().join("hang");
    fs::write(&plugin, "#!/bin/sh\nif [ $CNI_COMMAND = ADD ]; then exec sleep 1000; fi\n").unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let network = r#"{"cniVersion": "1.0.0", "name": "hang", "plugins": [{"type": "hang"}]}"#;
    fs::write(lab.dir().join("conflist"), network).unwrap();
    lab.ok("mkdir -p /etc/cni/net.d && cp $TMPDIR/conflist /etc/cni/net.d/10-hang.conflist");
}

fn control_c_ends_a_run_whose_plugin_hangs() {
    let lab = Lab::new();
    hanging(&lab);
    let before = traces(&lab);
    // A group of its own, as a shell gives to a job, which is what a terminal's Ctrl-C goes to.
    let run = "exec env --default-signal=INT CNI_PATH=$CNI_PATH:$TMPDIR setsid sealane run --name c1 --network hang -- true";
    lab.ok(&format!("(sh -c 'echo $$ > $TMPDIR/pid; {run}'; echo $? > $TMPDIR/status) 2> $TMPDIR/said &"));
    lab.soon("pgrep -f '^sleep 1000$'");
    lab.ok("kill -INT -$(cat $TMPDIR/pid)");
    lab.soon("test -s $TMPDIR/status");
    assert_eq!(lab.ok("cat $TMPDIR/status"), "130\n", "{}", lab.ok("cat $TMPDIR/said"));
    assert!(lab.ok("cat $TMPDIR/said").contains("hang"));
    assert_eq!(lab.ok("sealane ps -aq"), "");
    leaves_nothing(&lab, &before);
}

fn a_signal_to_a_run_alone_ends_it_though_its_plugin_hangs() {
    let lab = Lab::new();
    hanging(&lab);
    let before = traces(&lab);
    for (signal, status) in [("TERM", "143\n"), ("HUP", "129\n")] {
        let run = "exec env --default-signal=TERM,HUP CNI_PATH=$CNI_PATH:$TMPDIR sealane run --name c1 --network hang -- true";
        lab.ok(&format!(
            "rm -f $TMPDIR/status; (sh -c 'echo $$ > $TMPDIR/pid; {run}'; echo $? > $TMPDIR/status) 2> $TMPDIR/said &"
        ));
        lab.soon("pgrep -f '^sleep 1000$'");
        lab.ok(&format!("kill -{signal} $(cat $TMPDIR/pid)"));
        lab.soon("test -s $TMPDIR/status");
        assert_eq!(lab.ok("cat $TMPDIR/status"), status, "{}", lab.ok("cat $TMPDIR/said"));
        assert!(lab.ok("cat $TMPDIR/said").contains("hang"));
        assert_eq!(lab.ok("sealane ps -aq"), "");
        leaves_nothing(&lab, &before);
    }
}

fn a_container_whose_start_never_ends_can_be_removed() {
    let lab = Lab::new();
    hanging(&lab);
    let before = traces(&lab);
    lab.ok("CNI_PATH=$CNI_PATH:$TMPDIR sealane run -d --name c1 --network hang -- true 2> /dev/null &");
    lab.soon("pgrep -f '^sleep 1000$'");
    lab.ok("CNI_PATH=$CNI_PATH:$TMPDIR sealane rm -f c1");
    assert_eq!(lab.ok("sealane ps -aq"), "");
    lab.ok("pkill -f '^sleep 1000$'");
    leaves_nothing(&lab, &before);
}

fn rm_wants_a_container_that_has_ended_or_force() {
    let lab = Lab::new();
    let before = traces(&lab);
    lab.ok("sealane run -d --name c1 --network none && sealane run -d --name c2 --network none");
    let said = lab.refused("sealane rm c1");
    assert!(said.contains("c1") && said.lines().count() == 2, "and what to do next: {said}");
    assert_eq!(lab.ok("sealane rm -f c1"), "c1\n");
    lab.ok("sealane stop c2 && sealane rm c2");
    let said = lab.run("sealane rm c2");
    assert!(said.status == 1 && said.stderr.contains("c2"), "{said:#?}");
    lab.ok("sealane rm -f nobody || true");
    leaves_nothing(&lab, &before);
}

fn a_container_that_is_done_keeps_its_name_until_it_is_removed() {
    let lab = Lab::new();
    lab.ok("sealane run --name c1 --network none -- true");
    let said = lab.run("sealane run --name c1 --network none -- true");
    assert_eq!(said.status, 125);
    assert!(said.stderr.contains("c1") && said.stderr.contains("sealane rm c1"), "{said:#?}");
    lab.ok("sealane rm c1 && sealane run --name c1 --network none -- true");
}

fn rm_removes_itself_when_asked_to() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run --rm --network test -- true");
    let before = traces(&lab);
    lab.ok("sealane run --rm --name c1 --network test -- true");
    assert_eq!(ps(&lab, "-a").len(), 0);
    leaves_nothing(&lab, &before);
    lab.ok("sealane run -d --rm --name c1 --network test -- sleep 0.2");
    lab.soon("test -z \"$(sealane ps -aq)\"");
    leaves_nothing(&lab, &before);
    lab.ok("sealane run -d --rm --name c1 --network test && sealane stop c1");
    lab.soon("test -z \"$(sealane ps -aq)\"");
    leaves_nothing(&lab, &before);
}

fn the_first_process_reaps_orphans() {
    let lab = Lab::new();
    lab.ok("sealane run -d --name c1 --network none -- sh -c '(sleep 0.1 & sleep 0.1 & sleep 0.1 &); sleep 1001'");
    lab.soon(
        "sealane exec c1 sh -c 'cat /proc/[0-9]*/stat' > $TMPDIR/stats && ! grep -q ') Z ' $TMPDIR/stats",
    );
    // The container ends with its command, whoever else is left in it.
    lab.ok("sealane run --rm --network none -- sh -c 'setsid sleep 1000 & exit 0'");
    assert_eq!(lab.run("pgrep -f '^sleep 1000$'").stdout, "");
}

fn signals_reach_the_command() {
    let lab = Lab::new();
    // Not HUP: a shell can't trap what its caller ignores, and who runs these tests by nohup(1) does.
    let script = "trap \"echo usr2\" USR2; trap \"echo usr1\" USR1; trap \"echo bye; exit 9\" TERM; echo up; while :; do sleep 0.05; done";
    lab.ok(&format!(
        "sealane run --rm --name c1 --network none -- sh -c '{script}' > $TMPDIR/out & echo $! > $TMPDIR/pid"
    ));
    lab.soon("grep up $TMPDIR/out");
    for (signal, word) in [("USR2", "usr2"), ("USR1", "usr1"), ("TERM", "bye")] {
        lab.ok(&format!("kill -{signal} $(cat $TMPDIR/pid)"));
        lab.soon(&format!("grep {word} $TMPDIR/out"));
    }
    lab.soon("test -z \"$(sealane ps -aq)\"");
}

fn a_killed_keeper_takes_its_container_along() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run --rm --network test -- true");
    let before = traces(&lab);
    lab.ok("sealane run -d --name c1 --network test -- sleep 1000");
    lab.ok("sealane run -d --name c2 --network test");
    lab.ok("kill -9 $(pgrep -f '^sealane-shim' || pgrep sealane-shim)");
    lab.soon("! pgrep -f '^sleep 1000$'");
    lab.soon("test -z \"$(sealane ps -q)\"");
    let row = ps(&lab, "-a").into_iter().find(|row| row["Names"] == "c1").unwrap();
    assert_eq!(row["State"], json!("dead"));
    // c1 is seen as what it is, and everything of it can be had again.
    lab.ok("sealane rm c1 c2");
    leaves_nothing(&lab, &before);
    lab.ok("sealane run --rm --name c1 --network test -- true");
}

fn a_killed_foreground_run_takes_its_container_along() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run --rm --network test -- true");
    let before = traces(&lab);
    lab.ok("sealane run --rm --name c1 --network test -- sleep 1000 & echo $! > $TMPDIR/pid");
    lab.soon("pgrep -f '^sleep 1000$'");
    lab.ok("kill -9 $(cat $TMPDIR/pid)");
    lab.soon("! pgrep -f '^sleep 1000$'");
    // Its name and its address are free for whoever asks next.
    lab.ok("sealane run --rm --name c1 --network test -- true");
    lab.run("sealane rm c1");
    leaves_nothing(&lab, &before);
}

fn a_container_whose_init_is_killed_leaves_its_networks() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run --rm --network test -- true");
    let before = traces(&lab);
    lab.ok("sealane run -d --name c1 --network test -- sleep 1000");
    let pid = inspect(&lab, "c1")["State"]["Pid"].as_u64().unwrap();
    lab.ok(&format!("kill -9 {pid}"));
    lab.soon("sealane ps -a -f status=exited -q | grep .");
    assert_eq!(inspect(&lab, "c1")["State"]["ExitCode"], 137);
    assert_eq!(lab.run("sealane network inspect test").json()[0]["Containers"], json!({}));
    lab.ok("sealane rm c1");
    leaves_nothing(&lab, &before);
}

fn fifty_runs_at_once_have_addresses_of_their_own() {
    let lab = Lab::new();
    lab.ok("sealane network create test && sealane run --rm --network test -- true");
    let before = traces(&lab);
    lab.ok("for n in $(seq 50); do sealane run -d --name c$n --network test >&2 & done; wait");
    assert_eq!(ps(&lab, "").len(), 50);
    let members = lab.run("sealane network inspect test").json()[0]["Containers"].clone();
    let addresses: HashSet<_> =
        members.as_object().unwrap().values().map(|member| member["IPv4Address"].as_str().unwrap()).collect();
    assert_eq!(addresses.len(), 50);
    assert_eq!(lab.ok("sealane exec c1 grep -c ' c[0-9]* ' /etc/hosts"), "50\n");
    lab.ok("sealane exec c7 sh -c 'for n in $(seq 50); do ping -c 1 -w 60 c$n >/dev/null || exit 1; done'");
    lab.ok("for n in $(seq 50); do sealane rm -f c$n & done; wait");
    leaves_nothing(&lab, &before);
}

fn one_name_asked_for_at_once_is_had_by_one() {
    let lab = Lab::new();
    for _time in 0..5 {
        let ids = lab.ok("for n in $(seq 12); do sealane run -d --name c1 --network none & done; wait");
        assert_eq!(ids.lines().count(), 1, "{ids}");
        assert_eq!(ps(&lab, "-a").len(), 1);
        lab.ok("sealane rm -f c1");
    }
    let said = lab
        .run("for n in $(seq 6); do sealane rm -f c1 & sealane run -d --name c1 --network none & done; wait");
    assert!(ps(&lab, "-a").len() <= 1, "{said:#?}");
}

fn the_machines_files_are_not_touched() {
    let lab = Lab::new();
    let look = "cat /etc/hosts /etc/hostname /etc/resolv.conf; ls -la --time-style=full-iso /etc | grep -v ' \\.$'; hostname";
    let before = lab.ok(look);
    lab.ok("sealane network create test && sealane run -d --name c1 --network test --network-alias db");
    lab.ok("sealane run --rm --network test --hostname tom -- sh -c 'ping -c 1 c1; echo 1.2.3.4 x >> /etc/hosts; touch /etc/new; hostname x; :'");
    lab.ok("sealane network disconnect test c1; sealane rm -f c1; sealane network rm test");
    assert_eq!(lab.ok(look), before);
}

fn a_container_can_be_run_from_a_shell_that_goes_away() {
    let lab = Lab::new();
    lab.ok("sh -c 'sealane run -d --name c1 --network none -- sleep 1000'");
    lab.ok("setsid sh -c 'sealane run -d --name c2 --network none -- sleep 1000; kill -9 -$$' || :");
    lab.ok("(sealane run -d --name c3 --network none -- sleep 1000 &)");
    lab.soon("test $(sealane ps -q | wc -l) = 3");
    // Nobody but the command holds on to the output of `run -d`.
    assert!(
        !lab.ok("timeout 60 sh -c 'sealane run -d --name c4 --network none -- sleep 1000 | cat'").is_empty()
    );
}
