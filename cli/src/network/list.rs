//! `sealane network ls`.
use super::{
    View, all,
    filter::{Filters, OF_LISTS},
    status::{self, Bridge},
    users::{Users, members},
};
use crate::{args, say, table::Table};
use cni::Fail;
use networks::{Definition, Folder};

/// Lists the networks: docker's columns, then what the kernel says.
pub(crate) fn list(list: &args::List) -> Result<(), Fail> {
    let (filters, how) = (Filters::read(&list.filter, OF_LISTS)?, &list.listing);
    let (view, members) = (View::now()?, members()?);
    let mut table =
        Table::new(&["NETWORK ID", "NAME", "DRIVER", "SCOPE", "SUBNETS", "BRIDGE", "PORTS", "CONTAINERS"]);
    for network in all(&Folder::from_env())? {
        let users = Users::of(&network, &view, &members);
        if !filters.take(&network, users.any()) {
            continue;
        }
        let id = if how.no_trunc { network.id.as_str() } else { network.short_id() };
        let bridge = Bridge::of(&network, &view);
        match how.format {
            _ if how.quiet => say::text(&format!("{id}\n")),
            args::Format::Json => say::json_line(&status::line(&network, &users, bridge, id)),
            args::Format::Table => row(&mut table, &network, &users, bridge, id),
        }
    }
    if !how.quiet && how.format == args::Format::Table {
        say::text(&table.text());
    }
    Ok(())
}

fn row(table: &mut Table, network: &Definition, users: &Users, bridge: Bridge, id: &str) {
    let named = network.bridge.as_ref().map(|name| format!("{name} {}", bridge.word()));
    let ports = if bridge == Bridge::None { String::new() } else { users.ports.len().to_string() };
    table.row(&[
        id,
        network.name.as_str(),
        &network.driver,
        status::SCOPE,
        &status::subnets(network).join(", "),
        named.as_deref().unwrap_or_default(),
        &ports,
        &users.members.len().to_string(),
    ]);
}
