//! Blocks, compared with what counting on one's fingers gives.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test"
)]
use cluster::{BlockNumber, BlockSize, Layout, LeasedBlock, Owned, Place, Span};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::Prefix;

/// The block that each address of a subnet lies in, by walking through all of them.
fn walked(subnet: Prefix, per_block: usize) -> Vec<(IpAddr, u32)> {
    let number = |at: usize| u32::try_from(at / per_block).unwrap();
    let all = 1usize << (subnet.bits() - subnet.length());
    match subnet.address() {
        IpAddr::V4(first) => {
            let address =
                |at: usize| Ipv4Addr::from_bits(first.to_bits() + u32::try_from(at).unwrap()).into();
            (0..all).map(|at| (address(at), number(at))).collect()
        }
        IpAddr::V6(first) => {
            let address = |at: usize| Ipv6Addr::from_bits(first.to_bits() + at as u128).into();
            (0..all).map(|at| (address(at), number(at))).collect()
        }
    }
}

fn in_spans(spans: &[Span], address: IpAddr) -> bool {
    spans.iter().any(|span| span.contains(address))
}

fn v4(host_bits: u8, at: u32) -> Prefix {
    let bits = 0x0a00_0000 | (at << host_bits & 0x00ff_ffff);
    Prefix::new(Ipv4Addr::from_bits(bits).into(), 32 - host_bits).unwrap()
}

fn v6(host_bits: u8, at: u128) -> Prefix {
    let bits = 0xfd42 << 112 | (at << host_bits & ((1 << 112) - 1));
    Prefix::new(Ipv6Addr::from_bits(bits).into(), 128 - host_bits).unwrap()
}

/// Subnets of one or both families, small enough to walk through.
fn subnets() -> impl Strategy<Value = Vec<Prefix>> {
    let bits = 2u8..=13;
    prop_oneof![
        (bits.clone(), any::<u32>()).prop_map(|(bits, at)| vec![v4(bits, at)]),
        (bits.clone(), any::<u128>()).prop_map(|(bits, at)| vec![v6(bits, at)]),
        (bits.clone(), any::<u32>(), bits, any::<u128>(), any::<bool>()).prop_map(
            |(four, at, six, there, turned)| {
                let both = [v4(four, at), v6(six, there)];
                if turned { both.into_iter().rev().collect() } else { both.to_vec() }
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_address_is_in_the_block_that_counting_says(subnets in subnets(), size in prop::option::of(16i64..=30)) {
        let host_bits = |subnet: &Prefix| subnet.bits() - subnet.length();
        let smallest = subnets.iter().map(host_bits).min().unwrap();
        let fits = size.is_none_or(|size| 32 - size <= i64::from(smallest));
        let layout = Layout::new(subnets.clone(), size.map(|size| BlockSize::try_from(size).unwrap()));
        prop_assert_eq!(layout.is_ok(), fits);
        let Ok(layout) = layout else { return Ok(()) };
        // Sixteen addresses a block up to a /22, and no more than there are.
        let default = 1usize << (if smallest <= 10 { 4.min(smallest) } else { 6 });
        let per_block = size.map_or(default, |size| 1 << (32 - size));
        prop_assert_eq!(layout.blocks() as usize, (1usize << smallest) / per_block);

        for (at, subnet) in subnets.iter().enumerate() {
            let all = walked(*subnet, per_block);
            let (first, last) = (all[0].0, all[all.len() - 1].0);
            for (address, number) in all {
                let kept = address == first || (subnet.is_ipv4() && address == last);
                let there = number < layout.blocks();
                let expected = match () {
                    () if kept => Place::Kept(*subnet),
                    () if there => Place::Block(BlockNumber(number)),
                    () => Place::Behind(*subnet),
                };
                prop_assert_eq!(layout.place(address), expected, "{}", address);
                let block = layout.block(BlockNumber(number)).map(|block| block[at]);
                prop_assert_eq!(block.is_some(), there);
                prop_assert!(block.is_none_or(|block| block.contains(address) && block.is_network()));
                let slot = layout.spans(&Owned::Slot(BlockNumber(number)));
                prop_assert_eq!(in_spans(&slot[at], address), there && !kept, "{}", address);
                prop_assert_eq!(in_spans(&layout.spans(&Owned::Everything)[at], address), !kept, "{}", address);
            }
        }
    }

    #[test]
    fn no_address_is_two_nodes_and_all_blocks_together_are_all_addresses(subnets in subnets()) {
        let layout = Layout::new(subnets, None).unwrap();
        let block = |number| LeasedBlock { number: BlockNumber(number), epoch: 0 };
        let everybody = Owned::Leased((0..layout.blocks()).map(block).collect());
        let each = (0..layout.blocks()).map(|number| layout.spans(&Owned::Slot(BlockNumber(number))));
        let alone: Vec<Vec<Vec<Span>>> = each.collect();
        for (at, spans) in layout.spans(&everybody).iter().enumerate() {
            let one_by_one: Vec<Span> = alone.iter().flat_map(|spans| spans[at].clone()).collect();
            prop_assert_eq!(spans, &one_by_one);
            prop_assert!(spans.windows(2).all(|pair| !pair[0].contains(pair[1].first) && !pair[1].contains(pair[0].last)));
        }
        let smallest = layout.subnets().iter().map(|subnet| subnet.bits() - subnet.length()).min().unwrap();
        let ends = layout.subnets().iter().filter(|subnet| subnet.bits() - subnet.length() == smallest);
        let lost = ends.map(|subnet| if subnet.is_ipv4() { 2 } else { 1 }).max().unwrap();
        prop_assert!(layout.capacity(&everybody) <= (1 << smallest) - lost + 1);
        prop_assert!(layout.capacity(&everybody) >= (1 << smallest) - 2);
    }
}

fn layout(subnets: &[&str], size: Option<i64>) -> Result<Layout, cluster::Error> {
    let subnets = subnets.iter().map(|subnet| subnet.parse().unwrap()).collect();
    Layout::new(subnets, size.map(|size| BlockSize::try_from(size).unwrap()))
}

#[test]
fn blocks_are_twenty_sixes_and_smaller_up_to_a_twenty_two() {
    for (subnets, size, blocks) in [
        (vec!["10.42.0.0/16"], 26, 1024),
        (vec!["10.42.0.0/21"], 26, 32),
        (vec!["10.42.0.0/22"], 28, 64),
        (vec!["10.42.0.0/24"], 28, 16),
        (vec!["10.42.0.0/29"], 29, 1),
        (vec!["10.42.0.0/30"], 30, 1),
        (vec!["fd42::/64"], 26, u32::MAX),
        (vec!["fd42::/97"], 26, 1 << 25),
        (vec!["fd42::/118"], 28, 64),
        (vec!["fd42::/126"], 30, 1),
        (vec!["10.42.0.0/16", "fd42::/64"], 26, 1024),
        (vec!["fd42::/64", "10.42.0.0/24"], 28, 16),
        (vec!["10.0.0.0/8", "fd42::/120"], 28, 16),
    ] {
        let layout = layout(&subnets, None).unwrap();
        assert_eq!((layout.block_size().number(), layout.blocks()), (size, blocks), "{subnets:?}");
    }
}

#[test]
fn a_block_has_one_prefix_in_each_subnet() {
    let layout = layout(&["10.42.0.0/16", "fd42::/48"], None).unwrap();
    let block = |number| layout.block(BlockNumber(number));
    assert_eq!(block(3).unwrap(), ["10.42.0.192/26".parse().unwrap(), "fd42::c0/122".parse().unwrap()]);
    assert_eq!(
        block(1023).unwrap(),
        ["10.42.255.192/26".parse().unwrap(), "fd42::ffc0/122".parse().unwrap()]
    );
    assert_eq!(block(1024), None);
    let owned = |number| layout.capacity(&Owned::Slot(BlockNumber(number)));
    assert_eq!((owned(0), owned(1), owned(1023)), (63, 64, 63), "the subnet's first and last are nobody's");
    assert_eq!(layout.place("fd42::1:0:0".parse().unwrap()), Place::Behind("fd42::/48".parse().unwrap()));
    assert_eq!(layout.place("10.43.0.1".parse().unwrap()), Place::Outside);
}

#[test]
fn a_subnet_that_cannot_be_is_refused_with_its_value() {
    for (subnets, size, wanted) in [
        (vec![], None, "the configuration has no \"subnets\""),
        (vec!["10.42.0.1/16"], None, "subnet 10.42.0.1/16 has host bits set"),
        (vec!["10.42.0.0/31"], None, "subnet 10.42.0.0/31 is too small to hand addresses out of it"),
        (vec!["fd42::/127"], None, "subnet fd42::/127 is too small to hand addresses out of it"),
        (
            vec!["10.0.0.0/16", "fd42::/64", "10.9.0.0/16"],
            None,
            "subnets 10.0.0.0/16 and 10.9.0.0/16 are of one family",
        ),
        (vec!["10.42.0.0/24"], Some(20), "a block of 4096 addresses does not fit into subnet 10.42.0.0/24"),
        (
            vec!["169.254.0.0/18"],
            None,
            "subnet 169.254.0.0/18 shares addresses with 169.254.0.0/16, which is link-local, and has the gateway of every container",
        ),
        (
            vec!["0.0.0.0/0"],
            None,
            "subnet 0.0.0.0/0 shares addresses with 0.0.0.0/8, which is \"this network\" (RFC 1122)",
        ),
        (
            vec!["ff02::/64"],
            None,
            "subnet ff02::/64 shares addresses with ff00::/8, which is multicast (RFC 4291)",
        ),
    ] {
        assert_eq!(layout(&subnets, size).unwrap_err().to_string(), wanted);
    }
    for size in [-1, 0, 15, 31, 300] {
        let refused = BlockSize::try_from(size).unwrap_err().to_string();
        assert_eq!(refused, format!("invalid \"blockSize\" {size}, must be between 16 and 30"));
    }
}

#[test]
fn a_blocks_prefix_says_its_number_and_what_is_none_has_none() {
    let subnets = ["10.42.0.0/16", "fd42::/112"].map(|subnet| subnet.parse().unwrap()).to_vec();
    let layout = Layout::new(subnets, None).unwrap();
    for number in [0, 1, 77, layout.blocks() - 1].map(BlockNumber) {
        for block in layout.block(number).unwrap() {
            assert_eq!(layout.number(block), Some(number), "{block}");
        }
    }
    for none in ["10.42.0.0/24", "10.42.0.0/27", "10.43.0.0/26", "fd42::/64", "fd42::1/122"] {
        assert_eq!(layout.number(none.parse().unwrap()), None, "{none}");
    }
}
