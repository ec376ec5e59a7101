//! What the kernel can do, asked before the tests begin.
use std::{env, process::Command};

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
