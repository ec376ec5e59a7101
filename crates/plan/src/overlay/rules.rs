//! The packet filter in a network's namespace: of what passes, for IPv6 alone; of what the namespace itself has to say, for both families.
//!
//! # Theory of operation
//! Packets may come only from where those to their sender would go. Of IPv4 `rp_filter` sees to that; each rule that there is costs every packet that it is for.
//!
//! What can't go on to a container here, as it is larger than the container's MTU or there is no such container, the kernel says to the sender by ICMP, from an address of this namespace: the
//! other host lets no such address in by its tunnel. So it is said in the name of the address that the packet was for, which is behind that tunnel. That is known from the
//! packet, whose header the error quotes: nothing is kept, and nobody asked. Such packets alone meet this rule, at the hook of what is the namespace's own.
//! Routers on the way show themselves as what they are (type 11 of ICMP, 3 of ICMPv6): that stays.
use crate::filter::Section;
use kernel::nft::{
    Chain, ChainType, Compare, Expression, Family, Fib, Hook, Meta, Payload, Point, Policy, Register, Rule,
    Table, Verdict,
};
use std::borrow::Cow;

/// What tells it from that of other releases.
pub(super) const DIGEST: &str = "errors";

/// Of one family.
pub(super) fn section(is_ipv4: bool) -> Section {
    let chain = |name: &'static str, at, priority| Chain {
        name: name.into(),
        hook: Some(Hook { kind: ChainType::Filter, at, priority, policy: Policy::Accept }),
    };
    let rule = |chain: &'static str, expressions, comment: &'static str| Rule {
        chain: chain.into(),
        expressions,
        comment: comment.into(),
    };
    let (mut chains, mut rules) = (vec![chain(ERRORS, Point::Output, FILTER)], Vec::new());
    let in_its_name = "by the tunnel, in the name of whom it was for";
    if is_ipv4 {
        rules.push(rule(ERRORS, errors(&V4, UNREACHABLE_V4), in_its_name));
    } else {
        chains.push(chain(FROM, Point::Prerouting, RAW));
        rules.push(rule(FROM, from_elsewhere(), "from where nothing leads back"));
        rules.extend(UNREACHABLE_V6.map(|kind| rule(ERRORS, errors(&V6, kind), in_its_name)));
    }
    let family = if is_ipv4 { Family::Ip } else { Family::Ip6 };
    Section { table: Table { family, name: Cow::Borrowed("sealane") }, sets: Vec::new(), chains, rules }
}

/// IPv6 from an address that packets do not go to by where it came in (RFC 3704, section 2.2).
fn from_elsewhere() -> Vec<Expression> {
    let register = Register(0);
    vec![
        Expression::Fib(Fib::WayBackHere, register),
        Expression::Compare(Compare::Equal, register, vec![0; 4]),
        Expression::Verdict(Verdict::Drop),
    ]
}

/// What differs between the families.
struct Errors {
    protocol: u8,
    quoted: Payload,
    source: Payload,
}

/// Errors of this type that leave by a tunnel.
fn errors(of: &Errors, kind: u8) -> Vec<Expression> {
    let register = Register(0);
    let is = |value: &[u8]| Expression::Compare(Compare::Equal, register, value.to_vec());
    vec![
        Expression::Meta(Meta::L4proto, register),
        is(&[of.protocol]),
        Expression::Payload(Payload::IcmpType, register),
        is(&[kind]),
        // By the beginning of its name.
        Expression::Meta(Meta::Oifname, register),
        is(TUNNEL),
        Expression::Payload(of.quoted, register),
        Expression::SetPayload(of.source, register),
    ]
}

const V4: Errors =
    Errors { protocol: 1, quoted: Payload::QuotedIpv4Destination, source: Payload::Ipv4Source };
const V6: Errors =
    Errors { protocol: 58, quoted: Payload::QuotedIpv6Destination, source: Payload::Ipv6Source };
/// `ICMP_DEST_UNREACH`, "fragmentation needed" among them.
const UNREACHABLE_V4: u8 = 3;
/// `ICMPV6_DEST_UNREACH`, `ICMPV6_PKT_TOOBIG`.
const UNREACHABLE_V6: [u8; 2] = [1, 2];
/// What all tunnels' names begin with, and no container's link.
const TUNNEL: &[u8] = b"vx";
const FROM: &str = "overlay_from";
const ERRORS: &str = "overlay_errors";
// nft(8), "Standard priority names".
const RAW: i32 = -300;
const FILTER: i32 = 0;
