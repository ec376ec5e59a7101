//! One configuration given to two suites, each on a host of its own: what the two leave in the kernel, answer and say to CHECK.
mod facts;

use netlab::{Binaries, Chain, Container, Error, Host, ip};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, thread};

/// One configuration, and what is known to differ.
pub(crate) struct Row {
    plugins: Value,
    on_host: &'static [&'static str],
    inside: &'static [&'static str],
    arguments: &'static str,
    ports: Value,
    differences: Vec<Difference>,
    possible: Vec<Difference>,
}

/// A part of the lines that differ, or several with `*` between them, and words of `docs/differences.md` that say why.
pub(crate) type Difference = (&'static str, &'static str);

/// What there is of one suite's ADD: facts, a line each.
type Seen = BTreeSet<String>;

/// What is different wherever it is, for all plugins.
const EVERYWHERE: &[Difference] = &[
    ("sysctl ipv6/conf/eth0/ndisc_notify ", "hear of all its addresses during ADD"),
    ("link END0 inet6_addr_gen_mode ", "the host's IPv6 gets slower with each"),
    ("sysctl ipv6/conf/END0/addr_gen_mode ", "the host's IPv6 gets slower with each"),
    ("sysctl ipv6/conf/END0/accept_ra ", "the host's IPv6 gets slower with each"),
    ("link END0 txqlen ", "`txqlen`"),
];

impl Row {
    /// A chain of these plugins: an array of configurations.
    pub(crate) fn new(plugins: Value) -> Self {
        let (on_host, inside, arguments, ports) = (&[], &[], "", Value::Null);
        Self { plugins, on_host, inside, arguments, ports, differences: Vec::new(), possible: Vec::new() }
    }

    /// What `ip` is told on the host beforehand.
    pub(crate) fn on_host(self, commands: &'static [&'static str]) -> Self {
        Self { on_host: commands, ..self }
    }

    /// What `ip` is told in the container beforehand.
    pub(crate) fn inside(self, commands: &'static [&'static str]) -> Self {
        Self { inside: commands, ..self }
    }

    /// What `CNI_ARGS` says.
    pub(crate) fn arguments(self, arguments: &'static str) -> Self {
        Self { arguments, ..self }
    }

    /// What the runtime asks to be published.
    pub(crate) fn ports(self, ports: Value) -> Self {
        Self { ports, ..self }
    }

    /// These lines differ, or the row fails.
    pub(crate) fn but(mut self, differences: &[Difference]) -> Self {
        self.differences.extend(differences);
        self
    }

    /// These may differ: what some rows of a plugin have.
    pub(crate) fn may(mut self, differences: &[Difference]) -> Self {
        self.possible.extend(differences);
        self
    }

    /// Panics with the differences that are not known, and with those that are known and no longer there.
    pub(crate) fn compare(&self) {
        let Some(theirs) = Binaries::reference() else { return };
        let ours = Binaries::under_test().unwrap();
        let [ours, theirs] = [&ours, &theirs].map(|suite| {
            let seen = thread::scope(|scope| scope.spawn(|| self.seen(suite)).join());
            seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let gone = theirs.difference(&ours).map(|line| format!("- {line}"));
        let lines: Vec<String> =
            gone.chain(ours.difference(&theirs).map(|line| format!("+ {line}"))).collect();
        let listed: Vec<_> = EVERYWHERE.iter().chain(&self.possible).chain(&self.differences).collect();
        let is_of = |line: &str, part: &str| part.split('*').all(|part| line.contains(part));
        let unknown = |line: &&String| !listed.iter().any(|(part, _)| is_of(line, part));
        let unknown: Vec<&str> = lines.iter().filter(unknown).map(String::as_str).collect();
        assert!(unknown.is_empty(), "- the reference, + ours:\n{}", unknown.join("\n"));
        for (_, reason) in listed {
            assert!(reasons().contains(reason), "not in docs/differences.md: {reason}");
        }
        for (part, reason) in &self.differences {
            assert!(lines.iter().any(|line| is_of(line, part)), "no longer different: {part} ({reason})");
        }
    }

    /// On a host of its own, which this thread becomes.
    fn seen(&self, suite: &Binaries) -> Seen {
        let host = Host::with(suite).unwrap();
        let container = host.container().unwrap();
        self.on_host.iter().for_each(|command| drop(ip(command).unwrap()));
        self.inside.iter().for_each(|command| drop(container.ip(command).unwrap()));
        let chain = host.chain(self.plugins.as_array().unwrap()).unwrap();
        let chain = chain.map(|call| call.env("CNI_ARGS", self.arguments));
        let (mut seen, mut result) = (Seen::new(), Value::Null);
        for when in ["before", "after ADD", "after DEL"] {
            let mut facts = match when {
                "after ADD" => self.add(&chain, &container, &mut result),
                "after DEL" => vec![said("DEL", &chain.del(&container, &self.ports, &result))],
                _ => Vec::new(),
            };
            if when == "after ADD" && result.is_null() {
                // What a failed ADD leaves for DEL to clean is told in the table of all plugins.
                seen.extend(facts);
                continue;
            }
            facts.extend(facts::files(&host.networks_dir()));
            facts.extend(facts::all().iter().map(|fact| format!("host {fact}")));
            let inside = container.exec(facts::all).unwrap();
            facts.extend(inside.iter().map(|fact| format!("container {fact}")));
            let dir = host.dir().display().to_string();
            let mut names = facts::Names::default();
            let plain = |fact: &String| format!("{when} {}", names.plain(&fact.replace(&dir, "DIR")));
            seen.extend(facts.iter().map(plain));
        }
        seen
    }

    /// What ADD and CHECK say. A refusal is as much of a row as a result.
    fn add(&self, chain: &Chain, container: &Container, result: &mut Value) -> Vec<String> {
        let added = chain.add(container, &self.ports);
        let mut facts = vec![said("ADD", &added)];
        if let Ok(added) = added {
            facts.push(format!("result {added}"));
            facts.push(said("CHECK", &chain.check(container, &self.ports, &added)));
            *result = added;
        }
        facts
    }
}

fn said<T>(verb: &str, outcome: &Result<T, Error>) -> String {
    match outcome {
        Ok(_) => format!("{verb} succeeds"),
        Err(Error::Failed { stdout, .. }) => format!("{verb} fails {stdout}"),
        Err(error) => panic!("{verb}: {error}"),
    }
}

fn reasons() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/differences.md");
    fs::read_to_string(path).unwrap_or_default()
}
