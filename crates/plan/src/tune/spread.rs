//! What else changes when a kernel parameter is written: what is said of all interfaces, each of them has then.
use super::parameters::Parameter;
use kernel::sysctl;
use std::collections::BTreeSet;

/// Below `conf/all` of either family: what the kernel gives to `conf/default` and to each interface as well, whatever they have
/// (`inet_forward_change` in `net/ipv4/devinet.c`; `addrconf_sysctl_forward`, `.._disable`, `.._disable_policy`, `.._ignore_routes_with_linkdown`,
/// `.._addr_gen_mode` and `.._force_forwarding` in `net/ipv6/addrconf.c`).
const FOR_ALL: [[&str; 2]; 7] = [
    FORWARDING,
    FORWARDING6,
    ["ipv6", "disable_ipv6"],
    ["ipv6", "disable_policy"],
    ["ipv6", "ignore_routes_with_linkdown"],
    ["ipv6", ADDR_GEN_MODE],
    ["ipv6", FORCE_FORWARDING],
];

const FORWARDING: [&str; 2] = ["ipv4", "forwarding"];
const FORWARDING6: [&str; 2] = ["ipv6", "forwarding"];
/// What the kernel takes back when it begins or ends to forward (`inet_forward_change`; `force_forwarding` in `ip-sysctl.rst`).
const RESET: [([&str; 2], &[&str]); 2] =
    [(FORWARDING, &["accept_redirects"]), (FORWARDING6, &[FORCE_FORWARDING])];
const FORCE_FORWARDING: &str = "force_forwarding";
const ADDR_GEN_MODE: &str = "addr_gen_mode";
/// What a link has of it once it has a secret (`IN6_ADDR_GEN_MODE_STABLE_PRIVACY`, `linux/if_link.h`).
const STABLE_PRIVACY: &str = "2";

/// What the kernel has in two units, below `neigh/INTERFACE` (`net/core/neighbour.c`), and how many of the second are one of the first.
const UNITS: [[&str; 2]; 2] =
    [["retrans_time", "retrans_time_ms"], ["base_reachable_time", "base_reachable_time_ms"]];
const MILLISECONDS: [u64; 2] = [10, 1000];

/// What goes along with a parameter that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Along<'a> {
    /// That of each interface, and of those to come: its family and its name.
    OfAll([&'a str; 2]),
    /// That of each interface on which nobody has set it since it is there (`devinet_copy_dflt_conf`, `neigh_copy_dflt_parms` in
    /// `net/core/neighbour.c`): the folder of all, and its name. Who has set it the kernel does not tell.
    OfUnset([&'a str; 2], &'a str),
    /// How this interface makes its IPv6 addresses, or with `default` each (`addrconf_sysctl_stable_secret`).
    Mode(&'a str),
    /// The same in another unit: where it is, and its name there.
    OtherUnit([&'a str; 3], &'static str),
    /// Nothing.
    Nothing,
}

impl Parameter {
    /// How many others count more than it where both are said: the higher it is, the fewer.
    pub(super) fn rank(&self) -> u8 {
        match self.along() {
            Along::OfAll(_) => 0,
            Along::OfUnset(..) | Along::Mode(_) => 1,
            Along::OtherUnit(..) | Along::Nothing => 2,
        }
    }

    fn along(&self) -> Along<'_> {
        match *self.named() {
            [family, "conf", "all", name] if FOR_ALL.contains(&[family, name]) => {
                Along::OfAll([family, name])
            }
            ["ipv4", "conf", "default", name] => Along::OfUnset(["ipv4", "conf"], name),
            [family, "neigh", "default", name] => Along::OfUnset([family, "neigh"], name),
            ["ipv6", "conf", interface, "stable_secret"] => Along::Mode(interface),
            [family, "neigh", interface, name] => {
                let pair = UNITS.iter().find(|pair| pair.contains(&name));
                let other = pair.and_then(|pair| pair.iter().find(|other| **other != name));
                other.map_or(Along::Nothing, |other| Along::OtherUnit([family, "neigh", interface], other))
            }
            _ => Along::Nothing,
        }
    }

    /// Whether these have a say in what it is, though it does not change with them now.
    pub(super) fn is_given_by(&self, written: &[Parameter]) -> bool {
        let [family, folder, _, name] = *self.named() else { return false };
        written.iter().any(|it| match it.along() {
            Along::OfAll(given) => {
                let with_it = RESET.iter().any(|(by, others)| *by == given && others.contains(&name));
                folder == "conf" && (given == [family, name] || (given[0] == family && with_it))
            }
            Along::OtherUnit([_, its, _], other) => (its, other) == (folder, name),
            _ => false,
        })
    }
}

/// The parameters that may be written with these, of the namespace that the thread is in, and what they are then. Those that are among these are not.
pub(super) fn taken_along(written: &[Parameter]) -> Result<Vec<Parameter>, kernel::Error> {
    let mut written: Vec<&Parameter> = written.iter().collect();
    written.sort_by_key(|it| it.rank());
    // A namespace may have thousands of interfaces, with several for each.
    let mut known: BTreeSet<Vec<String>> = written.iter().map(|it| full_name(it)).collect();
    let mut along: Vec<Parameter> = Vec::new();
    for parameter in &written {
        along.extend(taken_by(parameter)?.into_iter().filter(|it| known.insert(full_name(it))));
    }
    Ok(along)
}

/// What tells a parameter of which is not noted whose it is.
fn full_name(parameter: &Parameter) -> Vec<String> {
    parameter.named().into_iter().map(str::to_owned).collect()
}

fn taken_by(parameter: &Parameter) -> Result<Vec<Parameter>, kernel::Error> {
    let value = &parameter.value;
    let interfaces = |folder: &[&str], general: &[&str]| {
        let mut names = sysctl::names(folder)?;
        names.retain(|name| !general.contains(&name.as_str()));
        Ok::<_, kernel::Error>(names)
    };
    let each = |folder: [&str; 2], names: Vec<String>, name: &str, value: &str| -> Vec<Parameter> {
        names.iter().map(|interface| as_parameter([folder[0], folder[1], interface, name], value)).collect()
    };
    Ok(match parameter.along() {
        Along::OfAll([family, name]) => {
            let folder = [family, "conf"];
            let mut all = each(folder, interfaces(&folder, &["all"])?, name, value);
            if [family, name] == FORWARDING {
                // Who forwards takes no redirects, and who stops takes them.
                let takes = if value == "0" { "1" } else { "0" };
                all.push(as_parameter(["ipv4", "conf", "all", "accept_redirects"], takes));
            }
            if [family, name] == FORWARDING6 {
                all.extend(each(folder, interfaces(&folder, &[])?, FORCE_FORWARDING, "0"));
            }
            all
        }
        Along::OfUnset(folder, name) => each(folder, interfaces(&folder, &GENERAL)?, name, value),
        Along::Mode("default") => {
            let folder = ["ipv6", "conf"];
            each(folder, interfaces(&folder, &GENERAL)?, ADDR_GEN_MODE, STABLE_PRIVACY)
        }
        Along::Mode(interface) => {
            vec![as_parameter(["ipv6", "conf", interface, ADDR_GEN_MODE], STABLE_PRIVACY)]
        }
        Along::OtherUnit([family, folder, interface], other) => {
            let value = in_unit(other, value);
            value.map(|value| as_parameter([family, folder, interface, other], &value)).into_iter().collect()
        }
        Along::Nothing => Vec::new(),
    })
}

/// A value in the other unit.
fn in_unit(other: &str, value: &str) -> Option<String> {
    let value: u64 = value.trim().parse().ok()?;
    let units = UNITS.iter().zip(MILLISECONDS);
    units.into_iter().find_map(|([long, short], milliseconds)| match other {
        _ if other == *long => Some((value / milliseconds).to_string()),
        _ if other == *short => Some(value.saturating_mul(milliseconds).to_string()),
        _ => None,
    })
}

/// What is called like an interface and is none.
pub(super) const GENERAL: [&str; 2] = ["all", "default"];

fn as_parameter(path: [&str; 4], value: &str) -> Parameter {
    Parameter { path: path.map(str::to_owned).to_vec(), value: value.to_owned(), former: None, link: None }
}

#[cfg(test)]
mod tests {
    use super::{super::setter::Contested, *};

    #[test]
    fn what_several_take_along_is_taken_once_and_what_is_written_itself_is_not() {
        let by_its_other_name =
            Parameter { path: vec!["ipv4".to_owned(), "ip_forward".to_owned()], ..of("all", "1") };
        let along = taken_along(&[of("default", "0"), by_its_other_name]).unwrap();
        let value_of = |interface: &str| -> Vec<String> {
            let its = along.iter().filter(|it| it.is(&of(interface, "")));
            its.map(|it| it.value.clone()).collect()
        };
        assert_eq!([value_of("lo"), value_of("default"), value_of("all")], [vec!["1"], vec![], vec![]]);
    }

    fn of(interface: &str, value: &str) -> Parameter {
        as_parameter(["ipv4", "conf", interface, "forwarding"], value)
    }
}
