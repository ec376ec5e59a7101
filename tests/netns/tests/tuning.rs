//! `tuning` behind `bridge`: what it changes of a container, what it gives back, and what it refuses.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
mod beside;
mod one_interface;
mod random;
mod whose;

use netlab::{Binaries, Container, Host, Protocol, Reply, Snapshot, ip, reaches, serve, with};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use serde_json::{Value, json};
use std::{fs, io::Write as _, path::PathBuf, thread};

fn main() -> std::process::ExitCode {
    let mut trials = netlab::trials![
        every_key_changes_the_container_and_all_is_given_back,
        all_keys_may_come_by_args_too,
        sysctls_are_given_back,
        a_sysctl_that_was_set_otherwise_since_stays_so,
        a_sysctl_stays_as_another_network_has_set_it_since,
        sysctls_by_args_alone_are_set,
        an_interface_with_a_dot_in_its_name_has_its_parameters,
        the_container_is_reached_at_its_new_address_with_its_new_mtu,
        the_hosts_own_parameters_stay_as_they_are,
        a_sysctl_that_is_not_there_is_named_before_anything_is_changed,
        an_interface_that_is_not_there_is_named,
        a_failed_add_leaves_everything_as_it_was,
        a_value_that_the_kernel_refuses_is_named_with_what_it_is_now_and_the_others_are_given_back,
        a_data_dir_that_cannot_be_written_to_is_refused_and_del_succeeds,
        a_backup_that_cannot_be_removed_is_named_and_all_the_rest_is_given_back,
        an_mtu_that_the_parent_cannot_carry_is_refused_with_both_numbers,
        only_what_the_hosts_list_allows_is_set,
        check_names_each_drift,
        an_add_again_is_instead_of_the_first_and_the_former_values_stay_the_same,
        two_uses_in_a_network_both_count_and_both_are_given_back,
        of_two_uses_that_set_the_same_the_later_counts_and_the_first_value_comes_back,
        a_use_that_is_added_again_is_instead_of_itself_alone,
        a_record_that_does_not_say_whose_keys_it_has_is_replaced,
        a_second_use_that_fails_leaves_the_first_as_it_was,
        however_the_keys_were_edited_del_gives_all_back,
        uses_in_a_namespace_that_is_gone_go_with_the_next_add,
        gc_gives_back_what_every_use_has_done,
        del_gives_back_however_often_and_whatever_the_configuration_says,
        del_succeeds_without_the_namespace_and_leaves_no_file,
        del_of_a_container_that_is_gone_changes_nothing_in_its_successor,
        gc_gives_back_for_who_is_not_listed,
        a_namespace_that_was_named_from_where_the_runtime_was_is_found_from_elsewhere,
        without_keys_nothing_is_written_and_nothing_is_looked_at,
        status_is_well,
        in_a_chain_all_comes_and_goes,
        an_address_that_the_bridge_lets_nothing_come_from_is_refused,
    ];
    trials.extend(beside::trials());
    trials.extend(one_interface::trials());
    trials.extend(random::trials());
    trials.extend(whose::trials());
    trials.extend(netlab::beside_the_reference(netlab::trials![
        a_del_of_the_reference_gives_back_what_ours_has_changed,
        a_del_of_ours_gives_back_what_the_reference_has_changed,
    ]));
    netlab::main(trials)
}

/// A host with a container that has an interface, up, with an address.
struct Site {
    host: Host,
    container: Container,
}

impl Site {
    fn new() -> Self {
        Self::of(Host::new().unwrap())
    }

    fn of(host: Host) -> Self {
        let container = host.container().unwrap();
        let site = Self { host, container };
        site.connect("eth0");
        site
    }

    fn connect(&self, ifname: &str) {
        let netns = self.container.netns().display();
        ip(&format!("link add v-{ifname} type veth peer name {ifname} netns {netns}")).unwrap();
        ip(&format!("addr add 10.1.0.1/24 dev v-{ifname}")).unwrap();
        ip(&format!("link set v-{ifname} up")).unwrap();
        self.container.ip(&format!("addr add 10.1.0.2/24 dev {ifname}")).unwrap();
        self.container.ip(&format!("link set {ifname} up")).unwrap();
    }

    fn config(&self, keys: &Value) -> Value {
        let before = json!({"cniVersion": "1.1.0", "interfaces": [
            {"name": "v-eth0", "mac": "02:00:00:00:00:01"},
            {"name": "eth0", "mac": "02:00:00:00:00:02", "mtu": 1500, "sandbox": self.container.netns()},
        ], "ips": [{"address": "10.1.0.2/24", "interface": 1}]});
        let mut config = json!({"type": "tuning", "dataDir": self.backups(), "prevResult": before});
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        self.host.config(&config)
    }

    fn call(&self, verb: &str, keys: &Value) -> Reply {
        self.host.attach(verb, &self.config(keys), &self.container, "eth0").unwrap().run().unwrap()
    }

    fn add(&self, keys: &Value) -> Value {
        self.call("ADD", keys).result().unwrap()
    }

    fn well(&self, verb: &str, keys: &Value) {
        let reply = self.call(verb, keys);
        assert_eq!((reply.success(), reply.stdout.as_str()), (true, ""), "{reply:?}");
    }

    fn refused(&self, verb: &str, keys: &Value) -> (u64, String) {
        let reply = self.call(verb, keys);
        assert!(!reply.success(), "{reply:?}");
        let error: Value = serde_json::from_str(&reply.stdout).unwrap();
        (error["code"].as_u64().unwrap(), format!("{} ({})", error["msg"], error["details"]))
    }

    fn backups(&self) -> PathBuf {
        self.host.dir().join("tuning")
    }

    fn record_folder(&self) -> PathBuf {
        let network = self.host.config(&json!({}))["name"].as_str().unwrap().to_owned();
        let attachment = format!("{}:eth0", self.container.id());
        self.host.state_dir().join("attachments").join(network).join(attachment)
    }

    /// What uses of the plugin there are.
    fn records(&self) -> Vec<String> {
        let files = fs::read_dir(self.record_folder()).into_iter().flatten();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn link(&self) -> Value {
        self.container.ip("link show eth0").unwrap()[0].clone()
    }

    fn somaxconn(&self) -> String {
        self.container.sysctl("core/somaxconn").unwrap()
    }

    /// Of the container and the host: nothing must be left of it all.
    fn snapshot(&self) -> (Snapshot, Snapshot, Vec<String>) {
        let files = fs::read_dir(self.backups()).into_iter().flatten();
        let files = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
        (self.container.snapshot().unwrap(), self.host.snapshot().unwrap(), files)
    }

    fn is_as(&self, before: &(Snapshot, Snapshot, Vec<String>)) {
        let now = self.snapshot();
        assert_eq!(before.0.difference(&now.0), "");
        assert_eq!(before.1.difference(&now.1), "");
        assert_eq!(before.2, now.2);
    }
}

fn everything() -> Value {
    json!({"mac": "C2:00:00:00:00:01", "promisc": true, "mtu": 1400, "txQLen": 20, "allmulti": true})
}

fn is_tuned(site: &Site) {
    let link = site.link();
    assert_eq!(
        (&link["address"], &link["mtu"], &link["txqlen"]),
        (&json!("c2:00:00:00:00:01"), &json!(1400), &json!(20))
    );
    let flags = link["flags"].to_string();
    assert!(flags.contains("PROMISC") && flags.contains("ALLMULTI"), "{flags}");
}

fn every_key_changes_the_container_and_all_is_given_back() {
    let site = Site::new();
    let before = site.snapshot();
    let address = site.link()["address"].clone();
    let keys = with(
        &everything(),
        "sysctl",
        &json!({"net.core.somaxconn": "77", "net/ipv4/conf/IFNAME/rp_filter": "2"}),
    );
    let result = site.add(&keys);
    is_tuned(&site);
    assert_eq!(site.somaxconn(), "77");
    assert_eq!(site.container.sysctl("ipv4/conf/eth0/rp_filter").unwrap(), "2");
    let mut expected = site.config(&keys)["prevResult"].clone();
    expected["interfaces"][1]["mac"] = json!("c2:00:00:00:00:01");
    assert_eq!(result, expected, "the address is told, the rest is as it came");
    let backup = fs::read_to_string(site.backups().join("c1_eth0.json")).unwrap();
    let former = json!({"mac": address, "promisc": false, "mtu": 1500, "allmulti": false, "txQLen": 1000});
    assert_eq!(serde_json::from_str::<Value>(&backup).unwrap(), former);
    site.well("CHECK", &keys);
    site.well("DEL", &keys);
    site.is_as(&before);
    assert_eq!(site.container.sysctl("ipv4/conf/eth0/rp_filter").unwrap(), "0");
}

fn all_keys_may_come_by_args_too() {
    let site = Site::new();
    let before = site.snapshot();
    let keys = json!({"mtu": 1300, "args": {"cni": everything()}});
    site.add(&keys);
    is_tuned(&site);
    site.well("CHECK", &keys);
    site.well("DEL", &json!({}));
    site.is_as(&before);
}

/// The reference leaves them changed.
fn sysctls_are_given_back() {
    let site = Site::new();
    let keys = json!({"sysctl": {"net.core.somaxconn": "77", "net.ipv4.ip_local_reserved_ports": "8080,8081",
        "net.ipv4.tcp_rmem": "4096 8192 16384", "net.ipv4.route.flush": "1"}});
    let paths = ["core/somaxconn", "ipv4/ip_local_reserved_ports", "ipv4/tcp_rmem"];
    let read = || paths.map(|path| site.container.sysctl(path).unwrap());
    let before = read();
    site.add(&keys);
    assert_eq!(read(), ["77", "8080-8081", "4096\t8192\t16384"]);
    site.well("CHECK", &keys);
    site.well("DEL", &keys);
    assert_eq!(read(), before);
}

/// The other that the attachment has set is given back, however the kernel shows it.
fn a_sysctl_that_was_set_otherwise_since_stays_so() {
    let site = Site::new();
    let keys = json!({"sysctl": {"net.core.somaxconn": "77", "net.ipv4.tcp_rmem": "4096 0x2000 16384"}});
    let before = site.container.sysctl("ipv4/tcp_rmem").unwrap();
    site.add(&keys);
    site.container.exec(|| fs::write("/proc/sys/net/core/somaxconn", "600")).unwrap().unwrap();
    site.well("DEL", &keys);
    assert_eq!(site.somaxconn(), "600");
    assert_eq!(site.container.sysctl("ipv4/tcp_rmem").unwrap(), before);
}

fn a_sysctl_stays_as_another_network_has_set_it_since() {
    let site = Site::new();
    site.connect("eth1");
    let config = |network: &str, value: &str| {
        let config = site.config(&json!({"sysctl": {"net.core.somaxconn": value}}));
        with(&config, "name", &json!(network))
    };
    let (first, second) = (config("first", "500"), config("second", "600"));
    let call = |verb, config: &Value, ifname| {
        let reply = site.host.attach(verb, config, &site.container, ifname).unwrap().run().unwrap();
        assert!(reply.success(), "{reply:?}");
    };
    call("ADD", &first, "eth0");
    call("ADD", &second, "eth1");
    call("DEL", &first, "eth0");
    assert_eq!(site.somaxconn(), "600");
    call("CHECK", &second, "eth1");
    call("DEL", &second, "eth1");
    // The other way round: the last first.
    let before = site.somaxconn();
    call("ADD", &first, "eth0");
    call("ADD", &second, "eth1");
    call("DEL", &second, "eth1");
    assert_eq!(site.somaxconn(), "500");
    call("DEL", &first, "eth0");
    assert_eq!(site.somaxconn(), before);
}

/// The reference panics: `assignment to entry in nil map`.
fn sysctls_by_args_alone_are_set() {
    let site = Site::new();
    site.add(&json!({"args": {"cni": {"sysctl": {"net.core.somaxconn": "77"}}}}));
    assert_eq!(site.somaxconn(), "77");
    site.add(&json!({"sysctl": {"net.core.somaxconn": "5"}, "args": {"cni": {"sysctl": {"net/core/somaxconn": "78"}}}}));
    assert_eq!(site.somaxconn(), "78");
    site.well("DEL", &json!({}));
    assert_eq!(site.somaxconn(), "4096");
}

fn an_interface_with_a_dot_in_its_name_has_its_parameters() {
    let site = Site::new();
    ip("link del v-eth0").unwrap();
    site.connect("eth0.5");
    let config = site.config(&json!({"sysctl": {"net.ipv4.conf.IFNAME.rp_filter": "2"}}));
    site.host.add(&config, &site.container, "eth0.5").unwrap().result().unwrap();
    assert_eq!(site.container.sysctl("ipv4/conf/eth0.5/rp_filter").unwrap(), "2");
    site.host.del(&config, &site.container, "eth0.5").unwrap().result().unwrap();
    assert_eq!(site.container.sysctl("ipv4/conf/eth0.5/rp_filter").unwrap(), "0");
}

fn the_container_is_reached_at_its_new_address_with_its_new_mtu() {
    let site = Site::new();
    let address = "10.1.0.2".parse().unwrap();
    // As every plugin of ours leaves an interface with addresses: its neighbours hear of a change.
    site.container.exec(|| fs::write("/proc/sys/net/ipv4/conf/eth0/arp_notify", "1")).unwrap().unwrap();
    site.container.exec(|| serve(Protocol::Tcp, address, 8080)).unwrap().unwrap();
    reaches(Protocol::Tcp, address, 8080).unwrap();
    site.add(&everything());
    reaches(Protocol::Tcp, address, 8080).unwrap();
    let neighbour = ip("neigh show 10.1.0.2").unwrap()[0].clone();
    assert_eq!(neighbour["lladdr"], "c2:00:00:00:00:01", "{neighbour}");
    site.well("DEL", &everything());
    reaches(Protocol::Tcp, address, 8080).unwrap();
}

fn the_hosts_own_parameters_stay_as_they_are() {
    let site = Site::new();
    let before = netlab::sysctl("core/somaxconn").unwrap();
    site.add(&json!({"sysctl": {"net.core.somaxconn": "77"}}));
    assert_eq!(netlab::sysctl("core/somaxconn").unwrap(), before);
}

fn a_sysctl_that_is_not_there_is_named_before_anything_is_changed() {
    let site = Site::new();
    let before = site.snapshot();
    let keys = with(&everything(), "sysctl", &json!({"net.core.somaxconn": "77", "net.ipv4.no_such": "1"}));
    let (code, said) = site.refused("ADD", &keys);
    assert!(
        code == 7 && said.contains("there is no sysctl net/ipv4/no_such in the container"),
        "{code} {said}"
    );
    let (code, said) =
        site.refused("ADD", &json!({"sysctl": {"net.ipv4.tcp_available_congestion_control": "x"}}));
    assert!(
        code == 7 && said.contains("net/ipv4/tcp_available_congestion_control can't be set"),
        "{code} {said}"
    );
    let (code, said) = site.refused("ADD", &json!({"sysctl": {"kernel.hostname": "x"}}));
    assert!(code == 7 && said.contains("invalid net sysctl key"), "{code} {said}");
    site.is_as(&before);
}

fn an_interface_that_is_not_there_is_named() {
    let site = Site::new();
    ip("link del v-eth0").unwrap();
    let before = site.snapshot();
    let (code, said) = site.refused("ADD", &everything());
    assert!(code == 100 && said.contains("no interface \\\"eth0\\\" in the container"), "{code} {said}");
    site.is_as(&before);
    site.well("DEL", &everything());
    // Parameters need none.
    site.add(&json!({"sysctl": {"net.core.somaxconn": "77"}}));
    assert_eq!(site.somaxconn(), "77");
}

fn a_failed_add_leaves_everything_as_it_was() {
    let site = Site::new();
    let before = site.snapshot();
    // A veth takes no more than 65535, which is allowed, and the parameter is checked by the kernel only when it is written.
    let keys =
        with(&everything(), "sysctl", &json!({"net.core.somaxconn": "77", "net.ipv4.tcp_syncookies": "x"}));
    let (code, said) = site.refused("ADD", &keys);
    assert!(code == 7 && said.contains("net/ipv4/tcp_syncookies can't be"), "{code} {said}");
    assert_eq!(site.somaxconn(), "4096");
    site.is_as(&before);
    site.well("DEL", &keys);
}

fn an_mtu_that_the_parent_cannot_carry_is_refused_with_both_numbers() {
    let site = Site::of(Host::new().unwrap());
    ip("link add up0 mtu 1400 type veth peer name up1").unwrap();
    site.container.ip("link del eth0").unwrap();
    let netns = site.container.netns().display();
    ip(&format!("link add link up0 name eth0 netns {netns} type macvlan")).unwrap();
    let (code, says) = site.refused("ADD", &json!({"mtu": 1450}));
    assert!(code == 7 && says.contains("invalid MTU 1450, must be [0, up0's MTU (1400)]"), "{code} {says}");
    assert_eq!(site.link()["mtu"], 1400);
}

fn a_value_that_the_kernel_refuses_is_named_with_what_it_is_now_and_the_others_are_given_back() {
    let site = Site::new();
    let before = site.snapshot();
    let (somaxconn, filter) = (site.somaxconn(), site.container.sysctl("ipv4/conf/eth0/rp_filter").unwrap());
    for (name, value, now) in [
        ("net.core.somaxconn", "99999999999", somaxconn.as_str()),
        ("net.core.somaxconn", "big", somaxconn.as_str()),
        ("net.ipv4.ip_unprivileged_port_start", "70000", "1024"),
        ("net.ipv4.tcp_congestion_control", "nosuch", "it is"),
    ] {
        let keys = json!({"mtu": 1400, "sysctl": {"net.ipv4.conf.IFNAME.rp_filter": "2", name: value}});
        let (code, text) = site.refused("ADD", &keys);
        let path = name.replace('.', "/");
        assert_eq!(code, 7, "{text}");
        assert!(text.contains(&path) && text.contains(&format!("can't be \\\"{value}\\\"")), "{text}");
        assert!(text.contains(now) && text.contains("says what it can be"), "{text}");
        assert_eq!(
            (site.somaxconn(), &site.container.sysctl("ipv4/conf/eth0/rp_filter").unwrap()),
            (somaxconn.clone(), &filter)
        );
        site.is_as(&before);
        site.well("DEL", &keys);
        site.is_as(&before);
    }
}

fn a_data_dir_that_cannot_be_written_to_is_refused_and_del_succeeds() {
    let site = Site::new();
    let (file, fixed) = (site.host.dir().join("file"), site.host.dir().join("fixed"));
    fs::write(&file, "mine").unwrap();
    fs::create_dir(&fixed).unwrap();
    mount(Some("none"), &fixed, Some("tmpfs"), MsFlags::MS_RDONLY, None::<&str>).unwrap();
    let before = site.snapshot();
    for (folder, code) in
        [(file.clone(), 7), (file.join("sub"), 7), (fixed.clone(), 5), ("/proc/x".into(), 5)]
    {
        let keys = json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "77"}, "dataDir": folder});
        let (refused, text) = site.refused("ADD", &keys);
        assert_eq!(refused, code, "{text}");
        assert!(text.contains(&folder.display().to_string()) && text.contains("dataDir"), "{text}");
        site.is_as(&before);
        for _ in 0..2 {
            site.well("DEL", &keys);
            site.is_as(&before);
        }
        // What needs no backup needs no folder for it.
        let keys = json!({"sysctl": {"net.core.somaxconn": "77"}, "dataDir": folder});
        site.add(&keys);
        assert_eq!(site.somaxconn(), "77");
        site.well("DEL", &keys);
        site.is_as(&before);
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

fn a_backup_that_cannot_be_removed_is_named_and_all_the_rest_is_given_back() {
    let site = Site::new();
    let fixed = site.host.dir().join("fixed");
    fs::create_dir(&fixed).unwrap();
    let mounted = |flags| mount(Some("none"), &fixed, Some("tmpfs"), flags, None::<&str>).unwrap();
    mounted(MsFlags::empty());
    let keys = json!({"mtu": 1400, "dataDir": fixed});
    let before = site.snapshot();
    site.add(&keys);
    assert_eq!(site.link()["mtu"], 1400);
    mounted(MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    let (code, text) = site.refused("DEL", &keys);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("_eth0.json") && text.contains("or take it away"), "{text}");
    assert_eq!(site.link()["mtu"], 1500);
    mounted(MsFlags::MS_REMOUNT);
    site.well("DEL", &keys);
    site.is_as(&before);
    assert_eq!(fs::read_dir(&fixed).unwrap().count(), 0);
}

fn only_what_the_hosts_list_allows_is_set() {
    thread::scope(|scope| scope.spawn(only_what_is_listed_is_set).join()).unwrap();
}

/// In a mount namespace of this thread's own, whose /etc holds nothing but the list.
fn only_what_is_listed_is_set() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    mount(Some("tmpfs"), "/etc", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    fs::create_dir_all("/etc/cni/tuning").unwrap();
    let list = |text: &str| fs::write("/etc/cni/tuning/allowlist.conf", text).unwrap();
    let site = Site::new();
    let before = site.snapshot();
    let (mine, other) = (
        json!({"mtu": 1400, "sysctl": {"net/ipv4/conf/IFNAME/rp_filter": "2"}}),
        json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "77"}}),
    );
    list("\n  ^net.ipv4.conf.IFNAME.[a-z_]*$  \n");
    site.add(&mine);
    site.well("DEL", &mine);
    let (code, said) = site.refused("ADD", &other);
    let expected = "Sysctl net.core.somaxconn is not allowed. Only the following sysctls are allowed: [^net.ipv4.conf.IFNAME.[a-z_]*$]";
    assert!(code == 7 && said.contains(expected), "{code} {said}");
    site.is_as(&before);
    site.add(&json!({"mtu": 1400}));
    site.well("DEL", &json!({}));
    list("net.co\\.\nfoo(\n");
    let (code, said) = site.refused("ADD", &other);
    assert!(code == 7 && said.contains("error parsing regexp") && said.contains("foo("), "{code} {said}");
    list("net.core\nfoo(\n");
    site.add(&other);
    list("");
    site.well("CHECK", &other);
    site.well("DEL", &other);
    site.is_as(&before);
}

fn check_names_each_drift() {
    let site = Site::new();
    let keys = with(
        &everything(),
        "sysctl",
        &json!({"net.core.somaxconn": "77", "net.ipv4.tcp_rmem": "4096 8192 16384"}),
    );
    site.add(&keys);
    for (command, back, drift) in [
        ("address c2:00:00:00:00:02", "address c2:00:00:00:00:01", "but eth0 is mac c2:00:00:00:00:02"),
        ("mtu 1300", "mtu 1400", "expected eth0 mtu 1400 in the container, and then mtu"),
        ("txqueuelen 9", "txqueuelen 20", "but eth0 is transmit queue 9"),
        ("promisc off", "promisc on", "but eth0 is promiscuous mode off"),
        ("allmulticast off", "allmulticast on", "but eth0 is all multicast off"),
    ] {
        site.container.ip(&format!("link set eth0 {command}")).unwrap();
        let (code, said) = site.refused("CHECK", &keys);
        assert!(code == 102 && said.contains(drift.split(", and then").next().unwrap()), "{command}: {said}");
        site.container.ip(&format!("link set eth0 {back}")).unwrap();
        site.well("CHECK", &keys);
    }
    site.container.exec(|| fs::write("/proc/sys/net/core/somaxconn", "78")).unwrap().unwrap();
    let (_, said) = site.refused("CHECK", &keys);
    assert!(said.contains("net/core/somaxconn is 78") && !said.contains("but net/ipv4/tcp_rmem"), "{said}");
    site.container.ip("link del eth0").unwrap();
    let (_, said) = site.refused("CHECK", &keys);
    assert!(said.contains("there is no eth0"), "{said}");
}

/// The reference then gives back what its first ADD has set.
fn an_add_again_is_instead_of_the_first_and_the_former_values_stay_the_same() {
    let site = Site::new();
    let (before, address) = (site.snapshot(), site.link()["address"].clone());
    let mac = |mac: &str| with(&everything_but_a_mac(), "runtimeConfig", &json!({"mac": mac}));
    site.add(&mac("c2:00:00:00:00:01"));
    // The same keys, in another order and with another call's words.
    let keys = with(&json!({"sysctl": {"net.core.somaxconn": "77"}}), "mtu", &json!(1400));
    let keys = with(&keys, "runtimeConfig", &json!({}));
    site.add(&with(&keys, "cniVersion", &json!("1.0.0")));
    assert_eq!(site.records(), ["tuning.0"]);
    assert_eq!((site.link()["mtu"].clone(), site.somaxconn()), (json!(1400), "77".into()));
    assert_eq!(site.link()["address"], address, "what is asked for no more is given back");
    site.well("DEL", &keys);
    site.is_as(&before);
    assert_eq!(site.somaxconn(), "4096");
}

fn everything_but_a_mac() -> Value {
    json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "77"}})
}

/// The reference then gives back one of them alone.
fn two_uses_in_a_network_both_count_and_both_are_given_back() {
    let site = Site::new();
    let before = site.snapshot();
    let one = json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "77"}});
    let two = json!({"txQLen": 20, "sysctl": {"net.ipv4.conf.IFNAME.rp_filter": "2"}});
    for dels in [vec![&two, &one], vec![&two, &one, &two, &one], vec![&one]] {
        site.add(&one);
        site.add(&two);
        assert_eq!(site.records(), ["tuning.0", "tuning.1"]);
        assert_eq!((&site.link()["mtu"], &site.link()["txqlen"]), (&json!(1400), &json!(20)));
        let filter = site.container.sysctl("ipv4/conf/eth0/rp_filter").unwrap();
        assert_eq!((site.somaxconn().as_str(), filter.as_str()), ("77", "2"));
        site.well("CHECK", &one);
        site.well("CHECK", &two);
        for keys in dels {
            site.well("DEL", keys);
        }
        site.is_as(&before);
        assert_eq!(site.somaxconn(), "4096");
    }
}

fn of_two_uses_that_set_the_same_the_later_counts_and_the_first_value_comes_back() {
    let site = Site::new();
    let before = site.snapshot();
    let set = |value: &str, mtu: u32| json!({"mtu": mtu, "sysctl": {"net.core.somaxconn": value}});
    site.add(&set("77", 1400));
    site.add(&set("78", 1300));
    assert_eq!((site.link()["mtu"].clone(), site.somaxconn()), (json!(1300), "78".into()));
    site.well("CHECK", &set("78", 1300));
    // The first is as the later one wants it, and not as somebody else does.
    site.well("CHECK", &set("77", 1400));
    site.container.exec(|| fs::write("/proc/sys/net/core/somaxconn", "79")).unwrap().unwrap();
    site.container.ip("link set eth0 mtu 1200").unwrap();
    let (_, said) = site.refused("CHECK", &set("77", 1400));
    assert!(said.contains("net/core/somaxconn is 79") && said.contains("eth0 is mtu 1200"), "{said}");
    site.container.exec(|| fs::write("/proc/sys/net/core/somaxconn", "78")).unwrap().unwrap();
    site.well("DEL", &set("78", 1300));
    site.well("DEL", &set("77", 1400));
    site.is_as(&before);
    assert_eq!(site.somaxconn(), "4096");
}

fn a_use_that_is_added_again_is_instead_of_itself_alone() {
    let site = Site::new();
    let before = site.snapshot();
    let (one, two) = (json!({"sysctl": {"net.core.somaxconn": "77"}}), json!({"mtu": 1400}));
    for keys in [&one, &two, &one, &two, &one] {
        site.add(keys);
    }
    assert_eq!(site.records(), ["tuning.0", "tuning.1"]);
    assert_eq!((site.link()["mtu"].clone(), site.somaxconn()), (json!(1400), "77".into()));
    site.well("DEL", &two);
    site.is_as(&before);
    assert_eq!(site.somaxconn(), "4096");
}

/// It is of a release that knew of one use alone.
fn a_record_that_does_not_say_whose_keys_it_has_is_replaced() {
    let site = Site::new();
    let before = site.snapshot();
    let older = |keys: &Value| {
        site.add(keys);
        let path = site.record_folder().join("tuning.0");
        let text = fs::read_to_string(&path).unwrap();
        let (head, tail) = text.split_once(",\"keys\":\"").unwrap();
        fs::write(&path, format!("{head}{}", tail.split_once('"').unwrap().1)).unwrap();
    };
    older(&json!({"mtu": 1400}));
    site.add(&json!({"txQLen": 20}));
    assert_eq!((site.link()["mtu"].clone(), site.link()["txqlen"].clone()), (json!(1500), json!(20)));
    assert_eq!(site.records(), ["tuning.0"]);
    site.well("DEL", &json!({}));
    site.is_as(&before);
    older(&json!({"mtu": 1400}));
    site.well("CHECK", &json!({"mtu": 1400}));
    site.well("DEL", &json!({"mtu": 1400}));
    site.is_as(&before);
}

fn a_second_use_that_fails_leaves_the_first_as_it_was() {
    let site = Site::new();
    let before = site.snapshot();
    site.add(&json!({"mtu": 1400, "txQLen": 20}));
    let standing = site.snapshot();
    let beforehand = json!({"mtu": 1300, "txQLen": 30, "sysctl": {"net.core.bogus": "1"}});
    assert!(site.refused("ADD", &beforehand).1.contains("net/core/bogus"));
    site.is_as(&standing);
    let below = json!({"txQLen": 30, "sysctl": {"net.core.somaxconn": "77", "net.ipv4.tcp_syncookies": "x"}});
    assert!(site.refused("ADD", &below).1.contains("tcp_syncookies"));
    site.is_as(&standing);
    assert_eq!(site.records(), ["tuning.0"]);
    site.well("DEL", &below);
    site.is_as(&before);
}

fn however_the_keys_were_edited_del_gives_all_back() {
    let site = Site::new();
    let before = site.snapshot();
    let [one, two, three] = [json!({"mtu": 1400}), json!({"txQLen": 20}), json!({"mtu": 1300})];
    let cases = [
        // A list of one, edited, and added again without a DEL.
        (vec![&one, &three], vec![&three]),
        // One of two is edited, or gone, or there is one more.
        (vec![&one, &two], vec![&three, &one]),
        (vec![&one, &two], vec![&one]),
        (vec![&one], vec![&two, &one]),
        (vec![&one, &two, &three], vec![&one]),
    ];
    for (adds, dels) in cases {
        for keys in &adds {
            site.add(keys);
        }
        assert_eq!(site.records().len(), adds.len());
        for keys in dels {
            site.well("DEL", keys);
        }
        site.is_as(&before);
        assert_eq!(site.records(), Vec::<String>::new());
    }
}

fn uses_in_a_namespace_that_is_gone_go_with_the_next_add() {
    let site = Site::new();
    site.add(&json!({"mtu": 1400}));
    site.add(&json!({"txQLen": 20}));
    site.container.kill().unwrap();
    site.container.restart().unwrap();
    assert!(netlab::soon(|| ip("link show v-eth0").is_err()));
    site.connect("eth0");
    site.add(&json!({"mtu": 1300}));
    assert_eq!(site.records(), ["tuning.0"]);
    assert_eq!((site.link()["mtu"].clone(), site.link()["txqlen"].clone()), (json!(1300), json!(1000)));
    site.well("DEL", &json!({"mtu": 1300}));
    assert_eq!((site.link()["mtu"].clone(), site.records().len()), (json!(1500), 0));
}

fn gc_gives_back_what_every_use_has_done() {
    let site = Site::new();
    let before = site.snapshot();
    site.add(&json!({"mtu": 1400}));
    site.add(&json!({"mtu": 1300}));
    let config = site.host.config(&json!({"type": "tuning"}));
    site.host.gc(&config, &[(site.container.id(), "eth0")]).unwrap().result().unwrap();
    assert_eq!(site.link()["mtu"], 1300);
    site.host.gc(&config, &[]).unwrap().result().unwrap();
    site.is_as(&before);
}

fn del_gives_back_however_often_and_whatever_the_configuration_says() {
    let site = Site::new();
    let before = site.snapshot();
    for keys in [
        everything(),
        json!({}),
        json!({"mtu": -7, "sysctl": {"bogus": 1}, "dataDir": "/nowhere", "prevResult": null}),
    ] {
        site.add(&with(&everything(), "sysctl", &json!({"net.core.somaxconn": "77"})));
        site.well("DEL", &keys);
        site.well("DEL", &keys);
        site.is_as(&before);
        assert_eq!(site.somaxconn(), "4096");
    }
}

fn del_succeeds_without_the_namespace_and_leaves_no_file() {
    let site = Site::new();
    let keys = with(&everything(), "sysctl", &json!({"net.core.somaxconn": "77"}));
    let before = site.host.snapshot().unwrap();
    site.add(&keys);
    site.container.kill().unwrap();
    site.well("DEL", &keys);
    let reply = site.host.del_without_netns(&site.config(&keys), &site.container, "eth0").unwrap();
    assert!(reply.success(), "{reply:?}");
    assert_eq!(fs::read_dir(site.backups()).unwrap().count(), 0);
    assert_eq!(
        site.host.changes_since(&before).unwrap().lines().filter(|line| line.contains("file")).count(),
        0
    );
}

fn del_of_a_container_that_is_gone_changes_nothing_in_its_successor() {
    let site = Site::new();
    site.add(&json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "77"}}));
    site.container.kill().unwrap();
    site.container.restart().unwrap();
    assert!(netlab::soon(|| ip("link show v-eth0").is_err()));
    site.connect("eth0");
    site.container.ip("link set eth0 mtu 1200").unwrap();
    site.container.exec(|| fs::write("/proc/sys/net/core/somaxconn", "55")).unwrap().unwrap();
    site.add(&json!({"txQLen": 7}));
    assert_eq!((site.link()["mtu"].clone(), site.somaxconn()), (json!(1200), "55".into()));
    site.well("DEL", &json!({}));
    assert_eq!((site.link()["mtu"].clone(), site.somaxconn()), (json!(1200), "55".into()));
}

fn gc_gives_back_for_who_is_not_listed() {
    let site = Site::new();
    let before = site.snapshot();
    let keys = with(&everything(), "sysctl", &json!({"net.core.somaxconn": "77"}));
    site.add(&keys);
    let gc = |valid: &[(&str, &str)]| {
        let reply = site.host.gc(&site.config(&json!({})), valid).unwrap();
        assert!(reply.success(), "{reply:?}");
    };
    gc(&[("c1", "eth0")]);
    is_tuned(&site);
    gc(&[("c2", "eth0")]);
    site.is_as(&before);
    assert_eq!(site.somaxconn(), "4096");
}

/// GC is not told which namespace it is.
fn a_namespace_that_was_named_from_where_the_runtime_was_is_found_from_elsewhere() {
    let site = Site::new();
    let before = site.snapshot();
    let netns = site.container.netns();
    let keys = with(&everything(), "sysctl", &json!({"net.core.somaxconn": "77"}));
    for verb in ["GC", "DEL"] {
        let call = site.host.attach("ADD", &site.config(&keys), &site.container, "eth0").unwrap();
        let call = call.env("CNI_NETNS", netns.file_name().unwrap().to_str().unwrap());
        let mut plugin = call.command().current_dir(netns.parent().unwrap()).spawn().unwrap();
        plugin.stdin.take().unwrap().write_all(call.input()).unwrap();
        let output = plugin.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        is_tuned(&site);
        let config = site.config(&json!({}));
        let reply = match verb {
            "GC" => site.host.gc(&config, &[]),
            _ => site.host.del_without_netns(&config, &site.container, "eth0"),
        };
        assert!(reply.unwrap().success());
        site.is_as(&before);
        assert_eq!(site.somaxconn(), "4096", "{verb}");
    }
}

/// The reference's CHECK fails of an interface that was promiscuous before.
fn without_keys_nothing_is_written_and_nothing_is_looked_at() {
    let site = Site::new();
    site.container.ip("link set eth0 promisc on").unwrap();
    let before = site.snapshot();
    assert_eq!(site.add(&json!({})), site.config(&json!({}))["prevResult"]);
    site.is_as(&before);
    site.well("CHECK", &json!({}));
    site.well("DEL", &json!({}));
    site.is_as(&before);
}

fn status_is_well() {
    let site = Site::new();
    let reply = site.host.status(&site.config(&everything())).unwrap();
    assert!(reply.success(), "{reply:?}");
}

fn in_a_chain_all_comes_and_goes() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let ranges = json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]);
    let bridge = json!({"type": "bridge", "bridge": "b0", "isGateway": true, "ipam": {"type": "host-local", "ranges": ranges}});
    let tuning = json!({"type": "tuning", "mac": "c2:00:00:00:00:01", "mtu": 1400, "dataDir": host.dir().join("tuning"),
        "sysctl": {"net.core.somaxconn": "77", "net.ipv6.conf.IFNAME.accept_ra": "0"}});
    let chain = host.chain(&[bridge, tuning]).unwrap();
    let inside = container.snapshot().unwrap();
    let result = chain.add(&container, &Value::Null).unwrap();
    chain.check(&container, &Value::Null, &result).unwrap();
    let address = "10.1.0.2".parse().unwrap();
    container.exec(|| serve(Protocol::Udp, address, 8080)).unwrap().unwrap();
    reaches(Protocol::Udp, address, 8080).unwrap();
    assert_eq!(container.sysctl("core/somaxconn").unwrap(), "77");
    chain.del(&container, &Value::Null, &result).unwrap();
    assert_eq!(container.sysctl("core/somaxconn").unwrap(), "4096");
    assert_eq!(inside.difference(&container.snapshot().unwrap()), "");
}

/// With the reference such a container reaches nobody.
fn an_address_that_the_bridge_lets_nothing_come_from_is_refused() {
    let host = Host::new().unwrap();
    let bridge = json!({"type": "bridge", "bridge": "b0", "isGateway": true, "macspoofchk": true,
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}});
    let tuning = json!({"type": "tuning", "mac": "c2:00:00:00:00:01", "dataDir": host.dir().join("tuning")});
    let container = host.container().unwrap();
    let chain = host.chain(&[bridge.clone(), tuning.clone()]).unwrap();
    let refused = chain.add(&container, &Value::Null).unwrap_err().to_string();
    assert!(refused.contains("only") && refused.contains("macspoofchk"), "{refused}");
    chain.del(&container, &Value::Null, &Value::Null).unwrap();
    // The bridge may be told of it.
    let args = json!({"cni": {"mac": "c2:00:00:00:00:01"}});
    let chain = host.chain(&[with(&bridge, "args", &args), tuning]).unwrap();
    let result = chain.add(&container, &Value::Null).unwrap();
    chain.check(&container, &Value::Null, &result).unwrap();
    let gateway = "10.1.0.1".parse().unwrap();
    serve(Protocol::Udp, gateway, 8080).unwrap();
    container.exec(|| reaches(Protocol::Udp, gateway, 8080)).unwrap().unwrap();
    chain.del(&container, &Value::Null, &result).unwrap();
}

fn a_del_of_the_reference_gives_back_what_ours_has_changed() {
    let mut site = Site::new();
    let before = site.container.snapshot().unwrap();
    site.add(&everything());
    site.host.use_binaries(&Binaries::reference().unwrap());
    site.well("DEL", &json!({}));
    assert_eq!(before.difference(&site.container.snapshot().unwrap()), "");
    // Our record that it leaves holds nothing.
    site.host.use_binaries(&Binaries::under_test().unwrap());
    site.add(&json!({"mtu": 1300}));
    site.well("DEL", &json!({}));
    assert_eq!(before.difference(&site.container.snapshot().unwrap()), "");
}

fn a_del_of_ours_gives_back_what_the_reference_has_changed() {
    let mut site = Site::of(Host::with(&Binaries::reference().unwrap()).unwrap());
    let before = site.snapshot();
    site.add(&everything());
    is_tuned(&site);
    site.host.use_binaries(&Binaries::under_test().unwrap());
    site.well("CHECK", &everything());
    site.well("DEL", &json!({}));
    site.is_as(&before);
}
