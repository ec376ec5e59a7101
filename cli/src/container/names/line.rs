//! The lines of names files (pure): of a network's base file, and of the hosts file made of several.
use std::{collections::BTreeSet, fmt, net::IpAddr};
use types::{NetworkName, stable_hash};

/// How many of a line's names nobody else can claim: the container's name, the same with the network's behind it, its ID.
const FIRM: usize = 3;

/// What stands in place of an address.
const NO_ADDRESS: &str = "-";

/// What every hosts file begins with, as docker has it.
const LOCAL: &str = "\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
fe00:: ip6-localnet
ff00:: ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
";

/// What decides which hosts file a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Set {
    /// Its networks.
    pub(crate) networks: BTreeSet<NetworkName>,
    /// Itself, if it has names that nobody else has.
    pub(crate) own: Option<String>,
}

/// One address of one member of a network: `ADDRESS name name.network id aliases... # container networks`, and `own` behind it
/// for a container with names of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The address; none if the member has none.
    pub(crate) address: Option<IpAddr>,
    /// The names it goes by, the container's own first.
    pub(crate) names: Vec<String>,
    /// The container.
    pub(crate) container: String,
    /// All networks that the container is on.
    pub(crate) set: Set,
}

impl Line {
    /// A line of a base file. What is none, somebody else has written: it is nobody's address.
    fn read(text: &str) -> Option<Self> {
        let (names, whose) = text.split_once(" # ")?;
        let mut names = names.split_ascii_whitespace();
        let address = match names.next()? {
            NO_ADDRESS => None,
            address => Some(address.parse().ok()?),
        };
        let mut whose = whose.split(' ');
        let (container, networks) = (whose.next()?, whose.next()?);
        let networks = networks.split(',').map(|network| network.parse().ok()).collect::<Option<_>>()?;
        let own = whose.next().map(|_| container.to_owned());
        let set = Set { networks, own };
        Some(Self {
            address,
            names: names.map(str::to_owned).collect(),
            container: container.to_owned(),
            set,
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<_> = self.set.networks.iter().map(NetworkName::as_str).collect();
        let own = self.set.own.as_ref().map_or("", |_| " own");
        let address = self.address.map_or_else(|| NO_ADDRESS.to_owned(), |address| address.to_string());
        writeln!(f, "{address} {} # {} {}{own}", self.names.join(" "), self.container, set.join(","))
    }
}

/// The lines of a base file.
pub(crate) fn read(text: &str) -> Vec<Line> {
    text.lines().filter_map(Line::read).collect()
}

/// A base file with these lines for a container, in place of those it had. Who came last stands last.
pub(crate) fn put(lines: Vec<Line>, container: &str, now: impl IntoIterator<Item = Line>) -> Vec<Line> {
    lines.into_iter().filter(|line| line.container != container).chain(now).collect()
}

/// A base file without those members that are gone, of whom at most so many are looked at. Which ones depends on who asks,
/// so that in the end all are.
pub(crate) fn without_some(
    mut lines: Vec<Line>,
    who: &str,
    at_most: usize,
    is_gone: impl Fn(&str) -> bool,
) -> Vec<Line> {
    let first = usize::try_from(stable_hash(&[who])).unwrap_or(0) % lines.len().max(1);
    let looked_at = lines.iter().cycle().skip(first).take(at_most.min(lines.len()));
    let gone: BTreeSet<_> =
        looked_at.map(|line| line.container.clone()).filter(|name| name != who && is_gone(name)).collect();
    lines.retain(|line| !gone.contains(&line.container));
    lines
}

/// A base file's text.
pub(crate) fn text(lines: &[Line]) -> String {
    lines.iter().map(ToString::to_string).collect()
}

/// The hosts file for containers that are on all of these networks; `own` are lines that come before. Names that are a
/// container's own come before those that
/// several may share, as the first line that has a name decides: no alias takes a container's name.
pub(crate) fn hosts(own: &str, networks: &[(&NetworkName, &[Line])]) -> String {
    let mut text = LOCAL.to_owned() + own;
    for (network, lines) in networks {
        text.extend(["# ", network.as_str(), "\n"]);
        lines.iter().for_each(|line| text += &row(line.address, line.names.iter().take(FIRM)));
    }
    for line in networks.iter().flat_map(|(_, lines)| *lines) {
        text += &row(line.address, line.names.iter().skip(FIRM));
    }
    text
}

/// Lines for names that a container has for itself.
pub(crate) fn own(names: &[(IpAddr, String)]) -> String {
    names.iter().map(|(address, name)| row(Some(*address), std::iter::once(name))).collect()
}

/// Nothing for an address without a name, or a name without an address.
fn row<'a>(address: Option<IpAddr>, names: impl Iterator<Item = &'a String>) -> String {
    let names: String = names.flat_map(|name| [" ", name]).collect();
    match address {
        Some(address) if !names.is_empty() => format!("{address}{names}\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(address: &str, container: &str, aliases: &[&str], networks: &[&str]) -> Line {
        let own = [container.to_owned(), format!("{container}.test"), format!("id-of-{container}")];
        Line {
            address: address.parse().ok(),
            names: own.into_iter().chain(aliases.iter().map(ToString::to_string)).collect(),
            container: container.to_owned(),
            set: Set { networks: networks.iter().map(|name| name.parse().unwrap()).collect(), own: None },
        }
    }

    #[test]
    fn a_base_file_is_read_back_as_it_was_written() {
        let lines =
            [line("10.0.0.2", "cat", &["kitty"], &["test", "stage"]), line("-", "cat", &[], &["test"])];
        let text = text(&lines);
        assert_eq!(
            text,
            "10.0.0.2 cat cat.test id-of-cat kitty # cat stage,test\n- cat cat.test id-of-cat # cat test\n"
        );
        assert_eq!(read(&(text + "10.0.0.9 mine\n\nnonsense # x y\n")), lines);
    }

    #[test]
    fn a_container_that_is_put_again_has_its_new_lines_alone() {
        let (cat, dog) = (line("10.0.0.2", "cat", &[], &["test"]), line("10.0.0.3", "dog", &[], &["test"]));
        let moved = line("10.0.0.4", "cat", &[], &["test"]);
        assert_eq!(put(vec![cat.clone(), dog.clone()], "cat", [moved.clone()]), [dog.clone(), moved]);
        assert_eq!(put(vec![cat, dog.clone()], "cat", []), [dog]);
    }

    #[test]
    fn who_is_gone_is_left_out_once_somebody_looks() {
        let all: Vec<_> = (0..40).map(|n| line("10.0.0.2", &format!("c{n}"), &[], &["test"])).collect();
        let looked_at = std::cell::Cell::new(0);
        let is_gone = |name: &str| {
            looked_at.set(looked_at.get() + 1);
            name == "c7"
        };
        let mut left = all.clone();
        let mut asked = 0;
        while left.len() == 40 && asked < 1000 {
            left = without_some(left, &format!("x{asked}"), 4, is_gone);
            asked += 1;
        }
        assert_eq!(left.len(), 39);
        assert!(left.iter().all(|line| line.container != "c7"));
        assert_eq!(looked_at.get(), 4 * asked);
        assert_eq!(without_some(all[7..8].to_vec(), "c7", 4, |_| true).len(), 1, "who asks is there");
        assert!(without_some(Vec::new(), "x", 4, |_| true).is_empty());
    }

    #[test]
    fn an_alias_never_comes_before_a_containers_own_name() {
        let network = "test".parse().unwrap();
        let lines = [
            line("10.0.0.2", "cat", &["dog", "pet"], &["test"]),
            line("10.0.0.3", "dog", &["pet"], &["test"]),
        ];
        let text = hosts("10.9.9.9 mine\n", &[(&network, &lines)]);
        let expected = "\
10.9.9.9 mine
# test
10.0.0.2 cat cat.test id-of-cat
10.0.0.3 dog dog.test id-of-dog
10.0.0.2 dog pet
10.0.0.3 pet
";
        assert_eq!(text, LOCAL.to_owned() + expected);
    }
}
