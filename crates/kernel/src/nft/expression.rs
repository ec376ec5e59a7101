//! What a rule looks at and does: one step of the kernel's packet filter machine each (`linux/netfilter/nf_tables.h`).
use super::{
    encode::Attributes,
    object::{Family, Set},
    value::{Field, Verdict},
};
use std::borrow::Cow;

/// A place for values, in units of four bytes, 0 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(pub u8);

impl Register {
    /// `enum nft_registers`: those of 16 bytes are 1 to 4, those of 4 bytes begin at 8.
    fn number(self) -> u32 {
        let slot = u32::from(self.0);
        if slot.is_multiple_of(4) { 1 + slot / 4 } else { 8 + slot }
    }
}

/// The register that a verdict goes to (`NFT_REG_VERDICT`).
const VERDICT: u32 = 0;

/// One step. A comparison or a look-up that does not fit ends the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Reads a property of the packet.
    Meta(Meta, Register),
    /// Reads a part of the packet.
    Payload(Payload, Register),
    /// Writes a part of the packet, and corrects the checksums that it is in.
    SetPayload(Payload, Register),
    /// Reads a property of its connection.
    Ct(Ct, Register),
    /// Asks the routing table.
    Fib(Fib, Register),
    /// Puts a value into a register.
    Load(Field, Register),
    /// Ands a register with a mask, and xors it with a value of the same length.
    Bitwise {
        /// What is read and written.
        register: Register,
        /// The mask.
        mask: Vec<u8>,
        /// The value.
        xor: Vec<u8>,
    },
    /// Compares a register with a value.
    Compare(Compare, Register, Vec<u8>),
    /// Whether the key that begins in the register is in the set, or (`inverted`) is not.
    In {
        /// The set's name.
        set: Cow<'static, str>,
        /// Where the key begins.
        key: Register,
        /// Whether it must not be in.
        inverted: bool,
    },
    /// Looks the key up in a map, and puts what it leads to into a register; a verdict is carried out.
    Map {
        /// The map's name.
        map: Cow<'static, str>,
        /// Where the key begins.
        key: Register,
        /// Where the datum begins; `None` for a map of verdicts.
        to: Option<Register>,
    },
    /// Translates the destination, or the source.
    Nat {
        /// Which of both.
        kind: Nat,
        /// Of which family the address is.
        family: Family,
        /// Where the address is.
        address: Register,
        /// Where the port is, if it is to change.
        port: Option<Register>,
    },
    /// Translates the source to the address of the interface it leaves by.
    Masquerade,
    /// Sets the packet's mark from a register.
    SetMark(Register),
    /// Has no connection kept of the packet (`notrack`).
    Untracked,
    /// A verdict.
    Verdict(Verdict),
}

/// A property of a packet (`enum nft_meta_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of nft(8), \"META EXPRESSIONS\"")]
pub enum Meta {
    Protocol,
    Mark,
    Iifname,
    Oifname,
    Nfproto,
    L4proto,
    Ibrname,
    Obrname,
}

/// A part of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Payload {
    EtherSource,
    EtherDestination,
    Ipv4Source,
    Ipv4Destination,
    Ipv6Source,
    Ipv6Destination,
    SourcePort,
    DestinationPort,
    IcmpType,
    /// Where the packet was for that an error quotes (RFC 792).
    QuotedIpv4Destination,
    /// The same of IPv6 (RFC 4443, section 3).
    QuotedIpv6Destination,
}

/// A property of a connection (`enum nft_ct_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ct {
    /// `established` is bit 1, `related` bit 2 (`NF_CT_STATE_BIT`).
    State,
    /// `IPS_DST_NAT` is bit 5 (`linux/netfilter/nf_conntrack_common.h`).
    Status,
    /// The connection's mark.
    Mark,
}

/// A question to the routing table (`enum nft_fib_result`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fib {
    /// What kind of address the destination is, `RTN_*` of `linux/rtnetlink.h`.
    DestinationType,
    /// What kind the source is.
    SourceType,
    /// What kind the destination is to the interface that the packet came in by: another one's address is not local.
    DestinationTypeHere,
    /// The number of the interface that the packet came in by, if what is for its source would leave by that; else 0.
    WayBackHere,
}

/// How values are compared (`enum nft_cmp_ops`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compare {
    Equal,
    NotEqual,
}

/// Which end of a connection is translated (`enum nft_nat_types`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Nat {
    Source,
    Destination,
}

impl Meta {
    fn number(self) -> u32 {
        match self {
            Meta::Protocol => 1,
            Meta::Mark => 3,
            Meta::Iifname => 6,
            Meta::Oifname => 7,
            Meta::Nfproto => 15,
            Meta::L4proto => 16,
            Meta::Ibrname => 17,
            Meta::Obrname => 18,
        }
    }
}

impl Ct {
    fn number(self) -> u32 {
        match self {
            Ct::State => 0,
            Ct::Status => 2,
            Ct::Mark => 3,
        }
    }
}

impl Fib {
    /// `NFTA_FIB_F_SADDR`, `NFTA_FIB_F_DADDR`, `NFTA_FIB_F_IIF`.
    fn flags(self) -> u32 {
        match self {
            Fib::SourceType => 1,
            Fib::DestinationType => 2,
            Fib::DestinationTypeHere => 2 | 8,
            Fib::WayBackHere => 1 | 8,
        }
    }

    /// `NFT_FIB_RESULT_OIF`, `NFT_FIB_RESULT_ADDRTYPE`.
    fn result(self) -> u32 {
        match self {
            Fib::WayBackHere => 1,
            Fib::SourceType | Fib::DestinationType | Fib::DestinationTypeHere => 3,
        }
    }
}

impl Payload {
    /// The header it is in (`enum nft_payload_bases`), where in it, and its length in bytes.
    fn place(self) -> (u32, u32, u32) {
        match self {
            Payload::EtherDestination => (0, 0, 6),
            Payload::EtherSource => (0, 6, 6),
            Payload::Ipv4Source => (1, 12, 4),
            Payload::Ipv4Destination => (1, 16, 4),
            Payload::Ipv6Source => (1, 8, 16),
            Payload::Ipv6Destination => (1, 24, 16),
            Payload::SourcePort => (2, 0, 2),
            Payload::DestinationPort => (2, 2, 2),
            Payload::IcmpType => (2, 0, 1),
            Payload::QuotedIpv4Destination => (2, 8 + 16, 4),
            Payload::QuotedIpv6Destination => (2, 8 + 24, 16),
        }
    }

    /// Which checksums it is in: the one at this place of its own header, and whether that of the protocol above it (its pseudo-header).
    fn checksums(self) -> (Option<u32>, bool) {
        match self {
            Payload::Ipv4Source | Payload::Ipv4Destination => (Some(10), true),
            Payload::Ipv6Source | Payload::Ipv6Destination => (None, true),
            Payload::EtherSource
            | Payload::EtherDestination
            | Payload::SourcePort
            | Payload::DestinationPort
            | Payload::IcmpType
            | Payload::QuotedIpv4Destination
            | Payload::QuotedIpv6Destination => (None, false),
        }
    }
}

impl Payload {
    fn fill_in(self, from: Register, data: &mut Attributes) {
        let ((base, offset, length), (own, above)) = (self.place(), self.checksums());
        pairs(data, &[(5, from.number()), (2, base), (3, offset), (4, length)]);
        // NFT_PAYLOAD_CSUM_INET, NFT_PAYLOAD_L4CSUM_PSEUDOHDR
        if let Some(at) = own {
            pairs(data, &[(6, 1), (7, at)]);
        }
        pairs(data, &[(8, u32::from(above))]);
    }
}

impl Expression {
    /// Looks a key up in this set.
    pub fn is_in(set: &Set, key: Register) -> Self {
        Expression::In { set: set.name.clone(), key, inverted: false }
    }

    /// The reverse.
    pub fn is_not_in(set: &Set, key: Register) -> Self {
        Expression::In { set: set.name.clone(), key, inverted: true }
    }

    fn name(&self) -> &'static str {
        match self {
            Expression::Meta(..) | Expression::SetMark(_) => "meta",
            Expression::Payload(..) | Expression::SetPayload(..) => "payload",
            Expression::Ct(..) => "ct",
            Expression::Fib(..) => "fib",
            Expression::Load(..) | Expression::Verdict(_) => "immediate",
            Expression::Bitwise { .. } => "bitwise",
            Expression::Compare(..) => "cmp",
            Expression::In { .. } | Expression::Map { .. } => "lookup",
            Expression::Nat { .. } => "nat",
            Expression::Masquerade => "masq",
            Expression::Untracked => "notrack",
        }
    }

    /// Appends it to a rule's list (`NFTA_LIST_ELEM`).
    pub(super) fn append_to(&self, list: &mut Attributes) {
        list.nest(1, |it| {
            it.text(1, self.name());
            it.nest(2, |data| self.fill(data));
        });
    }

    fn fill(&self, data: &mut Attributes) {
        match self {
            Expression::Meta(key, to) => pairs(data, &[(2, key.number()), (1, to.number())]),
            Expression::SetMark(from) => pairs(data, &[(2, Meta::Mark.number()), (3, from.number())]),
            Expression::Payload(part, to) => {
                let (base, offset, length) = part.place();
                pairs(data, &[(1, to.number()), (2, base), (3, offset), (4, length)]);
            }
            Expression::SetPayload(part, from) => part.fill_in(*from, data),
            Expression::Ct(key, to) => pairs(data, &[(2, key.number()), (1, to.number())]),
            Expression::Fib(of, to) => pairs(data, &[(3, of.flags()), (2, of.result()), (1, to.number())]),
            Expression::Load(field, to) => {
                data.number(1, to.number());
                data.data(2, &field.bytes());
            }
            Expression::Verdict(verdict) => {
                data.number(1, VERDICT);
                data.verdict(2, verdict);
            }
            Expression::Bitwise { register, mask, xor } => {
                let length = u32::try_from(mask.len()).unwrap_or(u32::MAX);
                // NFT_BITWISE_MASK_XOR
                pairs(data, &[(1, register.number()), (2, register.number()), (6, 0), (3, length)]);
                data.data(4, mask);
                data.data(5, xor);
            }
            Expression::Compare(how, register, value) => {
                pairs(data, &[(1, register.number()), (2, u32::from(*how == Compare::NotEqual))]);
                data.data(3, value);
            }
            Expression::In { set, key, inverted } => {
                data.text(1, set);
                pairs(data, &[(2, key.number()), (5, u32::from(*inverted))]);
            }
            Expression::Map { map, key, to } => {
                data.text(1, map);
                pairs(data, &[(2, key.number()), (3, to.map_or(VERDICT, Register::number))]);
            }
            Expression::Nat { kind, family, address, port } => {
                let kind = u32::from(*kind == Nat::Destination);
                pairs(data, &[(1, kind), (2, u32::from(family.number())), (3, address.number())]);
                if let Some(port) = port {
                    pairs(data, &[(5, port.number()), (7, PROTO_SPECIFIED)]);
                }
            }
            Expression::Masquerade | Expression::Untracked => {}
        }
    }
}

/// `NF_NAT_RANGE_PROTO_SPECIFIED` (`linux/netfilter/nf_nat.h`).
const PROTO_SPECIFIED: u32 = 2;

fn pairs(data: &mut Attributes, pairs: &[(u16, u32)]) {
    for (kind, value) in pairs {
        data.number(*kind, *value);
    }
}
