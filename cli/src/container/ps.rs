//! `sealane ps`.
use super::{
    filter::{Filter, word},
    published::{listed, published},
    record::{Phase, Record},
    registry::{Container, Registry, State},
    seen::{self, Seen},
};
use crate::{
    args::{self, Format},
    say,
    table::Table,
};
use cni::Fail;
use serde::Serialize;
use std::{cmp::Reverse, collections::BTreeMap};

/// How many characters of a command are shown.
const SHOWN: usize = 20;
const HEADINGS: &[&str] = &["CONTAINER ID", "COMMAND", "CREATED", "STATUS", "PORTS", "NETWORKS", "NAMES"];

/// Lists containers.
pub(crate) fn ps(ps: &args::Ps) -> Result<(), Fail> {
    let (filter, how) = (Filter::read(&ps.filter)?, &ps.listing);
    let everybody = ps.all || filter.names_states();
    let shown = |one: &Container| (everybody || one.state == State::Running) && filter.takes(one);
    let mut containers: Vec<_> = Registry::from_env()?.all()?.into_iter().filter(shown).collect();
    containers.sort_by_key(|one| Reverse(one.record.created));
    if how.quiet {
        let ids = containers.iter().map(|one| id(&one.record, how.no_trunc).to_owned() + "\n");
        say::text(&ids.collect::<String>());
        return Ok(());
    }
    let seen = seen::containers(&containers)?;
    let rows = containers.iter().zip(&seen).map(|(one, seen)| Row::of(one, seen, how.no_trunc));
    match how.format {
        Format::Json => rows.for_each(|row| say::json_line(&row)),
        Format::Table => say::text(&table(rows)),
    }
    Ok(())
}

/// A container as docker lists it for scripts, and where it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "ID")]
    id: String,
    names: String,
    command: String,
    created_at: String,
    running_for: String,
    status: String,
    state: &'static str,
    ports: String,
    networks: String,
    labels: String,
    /// By network: what the kernel says.
    addresses: BTreeMap<String, Vec<String>>,
    #[serde(skip)]
    places: String,
}

impl Row {
    fn of(container: &Container, seen: &Seen, in_full: bool) -> Self {
        let record = &container.record;
        let addresses = |endpoint: &super::record::Endpoint| {
            seen.addresses(&endpoint.ifname).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let networks: Vec<_> = record.endpoints.iter().map(|endpoint| endpoint.network.as_str()).collect();
        let labels: Vec<_> = record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Self {
            id: id(record, in_full).to_owned(),
            names: record.name.clone(),
            command: command(&record.command, in_full),
            created_at: record.created.spelled_out(),
            running_for: ago(record.created.age()),
            status: status(container),
            state: word(container.state),
            ports: ports(container),
            networks: networks.join(","),
            labels: labels.join(","),
            addresses: record.endpoints.iter().map(|one| (one.network.to_string(), addresses(one))).collect(),
            places: places(container, seen),
        }
    }
}

fn table(rows: impl Iterator<Item = Row>) -> String {
    let mut table = Table::new(HEADINGS);
    for row in rows {
        let Row { id, command, running_for, status, ports, places, names, .. } = &row;
        table.row(&[id, command, running_for, status, ports, places, names]);
    }
    table.text()
}

fn id(record: &Record, in_full: bool) -> &str {
    if in_full { record.id.as_str() } else { record.id.short() }
}

/// In quotes, and no longer than fits.
fn command(words: &[String], in_full: bool) -> String {
    let command = words.join(" ");
    if in_full || command.chars().count() <= SHOWN {
        return format!("\"{command}\"");
    }
    let begin: String = command.chars().take(SHOWN - 1).collect();
    format!("\"{begin}…\"")
}

fn ago(age: String) -> String {
    age + " ago"
}

fn status(container: &Container) -> String {
    match (&container.record.phase, container.state) {
        (_, State::Dead) => "Dead".to_owned(),
        (Phase::Running { since, .. }, _) => format!("Up {}", since.age()),
        (Phase::Exited { at, status, .. }, _) => format!("Exited ({status}) {}", ago(at.age())),
        (Phase::Created, _) => "Created".to_owned(),
    }
}

fn ports(container: &Container) -> String {
    if container.state == State::Running { listed(&published(&container.record)) } else { String::new() }
}

/// Its networks, with its addresses there as the kernel has them.
fn places(container: &Container, seen: &Seen) -> String {
    let place = |endpoint: &super::record::Endpoint| {
        let network = endpoint.network.as_str();
        let addresses: Vec<_> =
            seen.addresses(&endpoint.ifname).iter().map(|prefix| prefix.address().to_string()).collect();
        match seen.link(&endpoint.ifname) {
            _ if super::choice::is_fixed(&endpoint.network) || container.state != State::Running => {
                network.to_owned()
            }
            None => format!("{network} (no {})", endpoint.ifname),
            Some(link) if !link.up => format!("{network} (down)"),
            Some(_) if addresses.is_empty() => network.to_owned(),
            Some(_) => format!("{network} ({})", addresses.join(", ")),
        }
    };
    container.record.endpoints.iter().map(place).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_cut_where_docker_cuts_it() {
        let words = ["sleep".to_owned(), "1234567890123456".to_owned()];
        assert_eq!(command(&words, false), "\"sleep 1234567890123…\"");
        assert_eq!(command(&words, true), "\"sleep 1234567890123456\"");
        assert_eq!(command(&["sleep".to_owned(), "10".to_owned()], false), "\"sleep 10\"");
        assert_eq!(command(&[], false), "\"\"");
    }
}
