//! Files of a container's own in /etc: who it is, and whom it asks for names. (Whom it knows: `names`.)
use super::{choice::HOST, error::Error, files, home::Home, known, names, record::Record};
use std::{fs, net::IpAddr};

/// The container's names.
pub(crate) const HOSTS: &str = "hosts";
/// Its host name.
pub(crate) const HOSTNAME: &str = "hostname";
/// Its resolvers.
pub(crate) const RESOLV_CONF: &str = "resolv.conf";

/// The host's names.
const HOSTS_NAMES: &str = "/etc/hosts";
/// The host's resolvers.
const HOSTS_RESOLVERS: &str = "/etc/resolv.conf";
/// Where systemd-resolved, which puts a loopback address into the former, has the real ones.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Writes the files of a container that are its alone, as far as it has its own.
pub(crate) fn write(home: &Home, record: &Record) -> Result<(), Error> {
    if let Some(hostname) = &record.hostname {
        files::replace(&home.file(HOSTNAME), format!("{hostname}\n").as_bytes(), 0o644)?;
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    if record.is_on(HOST) {
        let names = names::own(&known::own(record)) + &read(HOSTS_NAMES);
        return files::replace(&home.file(HOSTS), names.as_bytes(), 0o644);
    }
    let resolvers = resolvers(record, &[HOSTS_RESOLVERS, RESOLVED].map(read));
    files::replace(&home.file(RESOLV_CONF), resolvers.as_bytes(), 0o644)
}

/// What the plugins said; if they said nothing, what the host has, without addresses that mean the host itself.
fn resolvers(record: &Record, host: &[String]) -> String {
    let dns =
        || record.endpoints.iter().filter_map(|endpoint| endpoint.given.as_ref()).map(|given| &given.dns);
    let servers = dns().flat_map(|dns| &dns.nameservers);
    let servers: String = servers.flat_map(|server| ["nameserver ", server, "\n"]).collect();
    if servers.is_empty() {
        let usable: Vec<_> = host.iter().map(|text| without_loopback(text)).collect();
        let with_server = usable.iter().find(|text| text.contains("nameserver"));
        return with_server.or(usable.first()).cloned().unwrap_or_default();
    }
    let words = |key: &str, all: Vec<&String>| match all.as_slice() {
        [] => String::new(),
        all => format!("{key} {}\n", all.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" ")),
    };
    let domains = dns().filter_map(|dns| dns.domain.as_ref()).filter(|domain| !domain.is_empty());
    let search = words("search", domains.chain(dns().flat_map(|dns| &dns.search)).collect());
    servers + &search + &words("options", dns().flat_map(|dns| &dns.options).collect())
}

fn without_loopback(text: &str) -> String {
    let is_loopback = |line: &&str| {
        let server = line.trim_start().strip_prefix("nameserver").map(str::trim);
        server.and_then(|server| server.parse::<IpAddr>().ok()).is_some_and(|server| server.is_loopback())
    };
    text.lines().filter(|line| !is_loopback(line)).map(|line| line.to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_resolver_is_left_out_and_all_else_stays() {
        let text = "# by hand\nnameserver 127.0.0.53\n nameserver ::1\nnameserver 192.0.2.53\nsearch a.example\noptions ndots:2\n";
        let expected = "# by hand\nnameserver 192.0.2.53\nsearch a.example\noptions ndots:2\n";
        assert_eq!(without_loopback(text), expected);
    }
}
