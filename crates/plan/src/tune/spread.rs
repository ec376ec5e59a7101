//! What else changes when a kernel parameter is written: what is said of all interfaces, each of them has then.
use super::parameters::Parameter;
use kernel::sysctl;

/// Below `conf/all` of either family: what the kernel gives to `conf/default` and to each interface as well, whatever they have
/// (`inet_forward_change` in `net/ipv4/devinet.c`; `addrconf_sysctl_forward`, `.._disable`, `.._disable_policy` and
/// `.._ignore_routes_with_linkdown` in `net/ipv6/addrconf.c`).
const FOR_ALL: [[&str; 2]; 5] = [
    FORWARDING,
    ["ipv6", "forwarding"],
    ["ipv6", "disable_ipv6"],
    ["ipv6", "disable_policy"],
    ["ipv6", "ignore_routes_with_linkdown"],
];

const FORWARDING: [&str; 2] = ["ipv4", "forwarding"];

impl Parameter {
    /// Its family and its name, if each interface has one of its own, and loses what that is when this one is written.
    pub(super) fn for_all(&self) -> Option<[&str; 2]> {
        match *self.named() {
            [family, "conf", "all", name] => Some([family, name]).filter(|it| FOR_ALL.contains(it)),
            _ => None,
        }
    }
}

/// The parameters that are written with these, of the namespace that the thread is in, and what they are then. Those that are among these are not.
pub(super) fn taken_along(written: &[Parameter]) -> Result<Vec<Parameter>, kernel::Error> {
    let mut along = Vec::new();
    for parameter in written {
        let Some([family, name]) = parameter.for_all() else { continue };
        let value = &parameter.value;
        let interfaces = sysctl::names(&[family, "conf"])?.into_iter().filter(|it| it != "all");
        along.extend(interfaces.map(|interface| as_parameter([family, "conf", &interface, name], value)));
        if [family, name] == FORWARDING {
            // Who forwards takes no redirects, and who stops takes them.
            let takes = if value == "0" { "1" } else { "0" };
            along.push(as_parameter(["ipv4", "conf", "all", "accept_redirects"], takes));
        }
    }
    along.retain(|it| !written.iter().any(|other| other.is(it)));
    Ok(along)
}

fn as_parameter(path: [&str; 4], value: &str) -> Parameter {
    Parameter { path: path.map(str::to_owned).to_vec(), value: value.to_owned(), former: None }
}
