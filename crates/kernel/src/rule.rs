//! Rules that say which routing table a packet is looked up in (ip-rule(8), `linux/fib_rules.h`).
use crate::{Error, Message, Rtnl, reply::attributes};
use netlink_packet_core::{DecodeError, Emitable, NLM_F_CREATE, NLM_F_EXCL, parse_ip, parse_u32};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    rule::{RuleAction, RuleAttribute, RuleHeader, RuleMessage},
};
use nix::libc;
use std::net::IpAddr;
use types::Prefix;

/// A rule that leads to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whose packets: those with such a source address; none for all.
    pub from: Option<Prefix>,
    /// The table that they are looked up in.
    pub table: u32,
    /// The lower is asked first; none, where one is added, for one below all that there are but that of the table `local`.
    pub priority: Option<u32>,
}

/// Adds a rule for one source address. The same one again is another rule, with a priority of its own.
pub fn add(from: IpAddr, table: u32) -> Message {
    let what = format!("add rule from {from} to table {table}");
    Message::new(what, RouteNetlinkMessage::NewRule(body(from, table)), NLM_F_CREATE | NLM_F_EXCL)
}

/// Deletes the first rule for this source address and table, whatever its priority; `ENOENT` if there is none.
pub fn delete(from: IpAddr, table: u32) -> Message {
    let what = format!("delete rule from {from} to table {table}");
    Message::new(what, RouteNetlinkMessage::DelRule(body(from, table)), 0)
}

/// All rules that lead to a table, IPv4 first.
pub fn rules(rtnl: &mut Rtnl) -> Result<Vec<Rule>, Error> {
    let mut rules = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RuleMessage::default();
        message.header.family = family;
        let request = Message::new("list rules".into(), RouteNetlinkMessage::GetRule(message), 0);
        match rtnl.list(&request, read) {
            // A kernel without rules of this family, or without the family.
            Err(error)
                if matches!(error.errno(), Some(crate::Errno::EOPNOTSUPP | crate::Errno::EAFNOSUPPORT)) => {}
            list => rules.extend(list?),
        }
    }
    Ok(rules)
}

fn body(from: IpAddr, table: u32) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = if from.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.src_len = Prefix::host(from).length();
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Source(from));
    // The header's field has 8 bits; tables above need the attribute.
    message.header.table = u8::try_from(table).unwrap_or_else(|_| {
        message.attributes.push(RuleAttribute::Table(table));
        libc::RT_TABLE_UNSPEC
    });
    message
}

fn read(bytes: &[u8]) -> Result<Option<Rule>, DecodeError> {
    let header = RuleHeader::parse(bytes)?;
    if header.action != RuleAction::ToTable {
        return Ok(None);
    }
    let (mut from, mut table, mut priority) = (None, u32::from(header.table), Some(0));
    for attribute in attributes(bytes.get(header.buffer_len()..).unwrap_or_default()) {
        let (kind, value) = attribute?;
        match kind {
            FRA_SRC => from = Prefix::new(parse_ip(value)?, header.src_len).ok(),
            FRA_TABLE => table = parse_u32(value)?,
            FRA_PRIORITY => priority = Some(parse_u32(value)?),
            _ => {}
        }
    }
    Ok(Some(Rule { from, table, priority }))
}

// linux/fib_rules.h, which libc lacks.
const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_TABLE: u16 = 15;
