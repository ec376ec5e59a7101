//! The order in which addresses are tried, against a model that does what the reference does, one step at a time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
use ipam::pool::{InvalidRange, Range, RangeSet, RangeSpec, overlap};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use types::Prefix;

fn spec(subnet: &str, first: Option<&str>, last: Option<&str>, gateway: Option<&str>) -> RangeSpec {
    let address = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    RangeSpec {
        subnet: subnet.parse().unwrap(),
        first: address(first),
        last: address(last),
        gateway: address(gateway),
    }
}

fn set(specs: &[RangeSpec]) -> Result<RangeSet, InvalidRange> {
    let ranges: Result<Vec<Range>, InvalidRange> = specs.iter().copied().map(Range::try_from).collect();
    RangeSet::try_from(ranges?)
}

fn order(set: &RangeSet, last: Option<&str>) -> Vec<String> {
    let last = last.map(|last| last.parse().unwrap());
    set.candidates(last).map(|(address, _)| address.to_string()).collect()
}

#[test]
fn a_subnet_gives_all_but_its_own_address_the_gateway_and_the_broadcast() {
    let v4 = set(&[spec("10.1.0.0/29", None, None, None)]).unwrap();
    assert_eq!(order(&v4, None), ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"]);
    assert_eq!(v4.to_string(), "10.1.0.1-10.1.0.6");
    assert_eq!(v4.capacity(), 5);
    let v6 = set(&[spec("fd00::/126", None, None, None)]).unwrap();
    assert_eq!(order(&v6, None), ["fd00::2", "fd00::3"]);
    assert_eq!(v6.capacity(), 2);
}

#[test]
fn what_the_range_says_is_given_even_if_it_is_the_broadcast() {
    let all = set(&[spec("10.1.0.0/30", Some("10.1.0.0"), Some("10.1.0.3"), Some("10.1.0.2"))]).unwrap();
    assert_eq!(order(&all, None), ["10.1.0.0", "10.1.0.1", "10.1.0.3"]);
}

#[test]
fn the_round_goes_on_after_the_last_one_and_ends_with_it() {
    let two = [spec("10.1.0.0/29", None, Some("10.1.0.4"), None), spec("10.2.0.0/30", None, None, None)];
    let two = set(&two).unwrap();
    assert_eq!(order(&two, Some("10.1.0.3")), ["10.1.0.4", "10.2.0.2", "10.1.0.2", "10.1.0.3"]);
    assert_eq!(order(&two, Some("10.1.0.4")), ["10.2.0.2", "10.1.0.2", "10.1.0.3", "10.1.0.4"]);
    assert_eq!(order(&two, Some("10.2.0.2")), ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.2.0.2"]);
    assert_eq!(order(&two, Some("10.9.0.1")), order(&two, None));
    assert_eq!(two.to_string(), "10.1.0.1-10.1.0.4,10.2.0.1-10.2.0.2");
}

#[test]
fn a_range_of_nothing_but_the_gateway_is_empty() {
    let empty = set(&[spec("10.1.0.0/29", None, Some("10.1.0.1"), None)]).unwrap();
    assert_eq!(order(&empty, None), Vec::<String>::new());
    assert_eq!(empty.capacity(), 0);
}

#[test]
fn the_largest_ranges_do_not_overflow() {
    let v6 = set(&[spec("::/0", None, None, None)]).unwrap();
    assert_eq!(v6.candidates(None).next().unwrap().0.to_string(), "::2");
    let last = Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap());
    assert_eq!(v6.candidates(last).next().unwrap().0.to_string(), "::2");
    let v4 = set(&[spec("0.0.0.0/0", None, None, None)]).unwrap();
    assert_eq!(v4.candidates(None).next().unwrap().0.to_string(), "0.0.0.2");
    assert_eq!(v4.capacity(), u128::from(u32::MAX) - 2);
}

#[test]
fn sets_that_share_an_address_are_found() {
    let sets: Vec<RangeSet> = ["10.1.0.0/24", "10.2.0.0/24", "10.2.0.128/25"]
        .iter()
        .map(|subnet| set(&[spec(subnet, None, None, None)]).unwrap())
        .collect();
    assert_eq!(overlap(&sets), Some((1, 2)));
    assert_eq!(overlap(&sets[..2]), None);
}

/// The reference's cursor: advance, wrap, stop where it began, skip gateways.
fn model(ranges: &[(u32, u32, u32)], last: Option<u32>) -> Vec<u32> {
    let from =
        last.and_then(|last| Some((ranges.iter().position(|(a, b, _)| (a..=b).contains(&&last))?, last)));
    let (mut index, mut current) = from.map_or((0, None), |(index, last)| (index, Some(last)));
    let (mut start, mut tried) = (None, Vec::new());
    loop {
        let next = match current {
            None => ranges[index].0,
            Some(current) if current == ranges[index].1 => {
                index = (index + 1) % ranges.len();
                ranges[index].0
            }
            Some(current) => current + 1,
        };
        if start == Some(next) {
            return tried;
        }
        start = start.or(Some(next));
        current = Some(next);
        if next != ranges[index].2 {
            tried.push(next);
        }
    }
}

proptest! {
    #[test]
    fn the_order_is_the_models(
        shapes in prop::collection::vec((0u32..12, 0u32..12, 0u32..14), 1..4),
        last in prop::option::of((0u32..4, 0u32..16)),
    ) {
        let ranges: Vec<(u32, u32, u32)> = (0u32..)
            .zip(&shapes)
            .map(|(at, (a, b, gateway))| {
                let base = 0x0a00_0000 + (at << 8);
                (base + a.min(b), base + a.max(b), base + gateway)
            })
            .collect();
        let specs: Vec<RangeSpec> = ranges
            .iter()
            .map(|(first, last, gateway)| RangeSpec {
                subnet: Prefix::new(Ipv4Addr::from_bits(first & !0xff).into(), 24).unwrap(),
                first: Some(Ipv4Addr::from_bits(*first).into()),
                last: Some(Ipv4Addr::from_bits(*last).into()),
                gateway: Some(Ipv4Addr::from_bits(*gateway).into()),
            })
            .collect();
        let last = last.map(|(range, host)| 0x0a00_0000 + (range << 8) + host);
        let wanted: Vec<IpAddr> = model(&ranges, last).into_iter().map(|bits| Ipv4Addr::from_bits(bits).into()).collect();
        let set = set(&specs).unwrap();
        let last = last.map(|bits| Ipv4Addr::from_bits(bits).into());
        let tried: Vec<IpAddr> = set.candidates(last).map(|(address, _)| address).collect();
        prop_assert_eq!(set.capacity(), wanted.len() as u128);
        prop_assert_eq!(tried, wanted);
    }
}
