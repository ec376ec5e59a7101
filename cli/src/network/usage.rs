//! How many of a subnet's addresses are taken, as `docker network inspect` counts them.
use cluster::Span;
use networks::Subnet;
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::IpAddr};
use types::Prefix;

/// Docker's `IPsInUse` and `DynamicIPsAvailable`: the subnet's own address, IPv4's broadcast address and the gateway are in use
/// too; available is what is left in the range that containers get addresses from.
pub(crate) fn usage(subnet: &Subnet, reserved: &[IpAddr]) -> Value {
    let whole = subnet.subnet;
    let own = [Some(whole.address()), whole.is_ipv4().then(|| whole.last()), subnet.gateway];
    let used: BTreeSet<_> = own
        .into_iter()
        .flatten()
        .chain(reserved.iter().copied())
        .filter(|one| whole.contains(*one))
        .collect();
    let range = subnet.ip_range.unwrap_or(whole);
    let used_in_range = used.iter().filter(|one| range.contains(**one)).count();
    let available = size(range).saturating_sub(u64::try_from(used_in_range).unwrap_or(u64::MAX));
    json!({"IPsInUse": used.len(), "DynamicIPsAvailable": available})
}

/// The same for a subnet of which only these spans are this node's to hand out: no gateway has an address of it.
pub(crate) fn usage_of(subnet: Prefix, spans: &[Span], reserved: &[IpAddr]) -> Value {
    let kept = if subnet.is_ipv4() { 2 } else { 1 };
    let used = reserved.iter().filter(|one| subnet.contains(**one)).count();
    let ours = reserved.iter().filter(|one| spans.iter().any(|span| span.contains(**one))).count();
    let all = spans.iter().map(Span::count).fold(0, u128::saturating_add);
    let available = u64::try_from(all.saturating_sub(ours as u128)).unwrap_or(u64::MAX);
    json!({"IPsInUse": used + kept, "DynamicIPsAvailable": available})
}

/// How many addresses a prefix has; what is more than 2^64 - 1 counts as that.
fn size(prefix: Prefix) -> u64 {
    1u64.checked_shl(u32::from(prefix.bits() - prefix.length())).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(subnet: &str, range: Option<&str>, gateway: &str, reserved: &[&str]) -> (u64, u64) {
        let subnet = Subnet {
            subnet: subnet.parse().unwrap(),
            ip_range: range.map(|range| range.parse().unwrap()),
            gateway: Some(gateway.parse().unwrap()),
        };
        let reserved: Vec<_> = reserved.iter().map(|one| one.parse().unwrap()).collect();
        let usage = usage(&subnet, &reserved);
        (usage["IPsInUse"].as_u64().unwrap(), usage["DynamicIPsAvailable"].as_u64().unwrap())
    }

    #[test]
    fn a_new_subnet_has_three_addresses_in_use_and_ipv6_two() {
        assert_eq!(counted("10.1.0.0/16", None, "10.1.0.1", &[]), (3, 65_533));
        assert_eq!(counted("fd00::/64", None, "fd00::1", &[]), (2, u64::MAX - 2));
        assert_eq!(counted("fd00::/120", None, "fd00::1", &["fd00::2"]), (3, 253));
    }

    #[test]
    fn only_what_is_in_the_range_is_taken_off_it() {
        let reserved = ["10.1.0.64", "10.1.0.9", "fd00::2"];
        assert_eq!(counted("10.1.0.0/24", Some("10.1.0.64/29"), "10.1.0.1", &reserved), (5, 7));
    }
}
