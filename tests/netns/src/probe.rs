//! What the kernel can do, asked before the tests begin.
use libtest_mimic::Trial;
use std::{env, fs::OpenOptions, process::Command};

/// Whether its bridges keep VLANs apart (`CONFIG_BRIDGE_VLAN_FILTERING`). In the virtual machine (`SEALANE_VM`) it is
/// taken for granted: what can't be tested there is a failure.
pub fn bridges_know_vlans() -> bool {
    let look = "ip link add name b0 type bridge && ip -details link show dev b0";
    let told = || Command::new("unshare").args(["--map-root-user", "--net", "sh", "-c", look]).output();
    in_the_vm()
        || told().is_ok_and(|told| String::from_utf8_lossy(&told.stdout).contains("vlan_default_pvid"))
}

/// Whether these tests run in the virtual machine, which is there for what this kernel lacks.
pub fn in_the_vm() -> bool {
    env::var_os("SEALANE_VM").is_some()
}

/// These tests, which need links of one of the kernel's drivers: `dummy`, `ipvlan`, `vlan`, `vrf`. Where it lacks that one, which is said, they
/// are ignored, and counted so; but in the virtual machine it is taken for granted.
pub fn with_links_of(driver: &str, trials: Vec<Trial>) -> Vec<Trial> {
    let able = has_links_of(driver);
    if !able {
        eprintln!("skipped: kernel lacks {driver}");
    }
    trials.into_iter().map(|trial| crate::ignored_if(trial, !able)).collect()
}

/// These tests, which make TAP devices. Where this user may not, which is said, they are ignored, and counted so.
pub fn with_tap_devices(trials: Vec<Trial>) -> Vec<Trial> {
    let able = has_tap_devices();
    if !able {
        eprintln!("skipped: this user may not open /dev/net/tun");
    }
    trials.into_iter().map(|trial| crate::ignored_if(trial, !able)).collect()
}

/// Whether this user may open what TAP devices are made by: with udev everybody may.
pub fn has_tap_devices() -> bool {
    in_the_vm() || OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_ok()
}

/// Whether it makes links of this driver.
pub fn has_links_of(driver: &str) -> bool {
    let settings = match driver {
        "vlan" => "link b0 name l0 type vlan id 2",
        "ipvlan" => "link b0 name l0 type ipvlan",
        "vrf" => "name l0 type vrf table 100",
        other => &format!("name l0 type {other}"),
    };
    let look = format!("ip link add name b0 type bridge && ip link add {settings}");
    let told = || Command::new("unshare").args(["--map-root-user", "--net", "sh", "-c", &look]).output();
    in_the_vm() || told().is_ok_and(|told| told.status.success())
}
