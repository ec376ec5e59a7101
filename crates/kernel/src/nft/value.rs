//! What sets hold: typed values, side by side in one key or one datum.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use types::{IfName, Mac};

/// The type of a field, by its name in nft(8), "DATA TYPES".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of nft(8)")]
pub enum Kind {
    Ipv4Addr,
    Ipv6Addr,
    EtherAddr,
    InetProto,
    InetService,
    Mark,
    Ifname,
}

/// A value of one of these types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// A hardware address.
    Ether(Mac),
    /// A protocol above IP, by its IANA number.
    Proto(u8),
    /// A port.
    Service(u16),
    /// A packet's mark.
    Mark(u32),
    /// An interface's name.
    Ifname(IfName),
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is dropped at once.
    Drop,
    /// This base chain lets it pass; other base chains may still drop it.
    Accept,
    /// Back to the chain that jumped here.
    Return,
    /// On to this chain, and back.
    Jump(String),
    /// On to this chain, and not back.
    Goto(String),
}

/// What a map's key leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Fields side by side.
    Fields(Vec<Field>),
    /// A verdict.
    Verdict(Verdict),
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The fields of its key.
    pub key: Vec<Field>,
    /// What the key leads to, in a map.
    pub value: Option<Value>,
    /// A remark for people; at most 128 bytes.
    pub comment: Option<String>,
}

impl Kind {
    /// The number that nft(8) knows the type by (`enum datatypes` in its `include/datatype.h`).
    pub(super) fn number(self) -> u32 {
        match self {
            Kind::Ipv4Addr => 7,
            Kind::Ipv6Addr => 8,
            Kind::EtherAddr => 9,
            Kind::InetProto => 12,
            Kind::InetService => 13,
            Kind::Mark => 19,
            Kind::Ifname => 41,
        }
    }

    /// The value's length in bytes.
    pub(super) fn length(self) -> usize {
        match self {
            Kind::Ipv4Addr | Kind::Mark => 4,
            Kind::Ipv6Addr | Kind::Ifname => 16,
            Kind::EtherAddr => 6,
            Kind::InetProto => 1,
            Kind::InetService => 2,
        }
    }

    /// How nft(8) is told, in a set's user data, which byte comes first (`NFTNL_UDATA_SET_KEYBYTEORDER`, four bytes).
    pub(super) fn byte_order(self) -> [u8; 6] {
        let host = matches!(self, Kind::Mark | Kind::Ifname);
        let [a, b, c, d] = if host { 1u32 } else { 2u32 }.to_ne_bytes();
        [0, 4, a, b, c, d]
    }

    /// Reads a value; `None` if the bytes are no such value.
    fn read(self, bytes: &[u8]) -> Option<Field> {
        Some(match self {
            Kind::Ipv4Addr => Field::Ipv4(<[u8; 4]>::try_from(bytes).ok()?.into()),
            Kind::Ipv6Addr => Field::Ipv6(<[u8; 16]>::try_from(bytes).ok()?.into()),
            Kind::EtherAddr => Field::Ether(Mac::new(bytes.try_into().ok()?)),
            Kind::InetProto => Field::Proto(*bytes.first()?),
            Kind::InetService => Field::Service(u16::from_be_bytes(bytes.try_into().ok()?)),
            Kind::Mark => Field::Mark(u32::from_ne_bytes(bytes.try_into().ok()?)),
            Kind::Ifname => {
                let text = bytes.split(|byte| *byte == 0).next()?;
                Field::Ifname(std::str::from_utf8(text).ok()?.parse().ok()?)
            }
        })
    }
}

impl Field {
    /// Its bytes, as the kernel has them in a register.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Field::Ipv4(address) => address.octets().to_vec(),
            Field::Ipv6(address) => address.octets().to_vec(),
            Field::Ether(mac) => mac.octets().to_vec(),
            Field::Proto(number) => vec![*number],
            Field::Service(port) => port.to_be_bytes().to_vec(),
            Field::Mark(mark) => mark.to_ne_bytes().to_vec(),
            Field::Ifname(name) => {
                let mut bytes = name.as_str().as_bytes().to_vec();
                bytes.resize(Kind::Ifname.length(), 0);
                bytes
            }
        }
    }
}

impl From<IpAddr> for Field {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Field::Ipv4(address),
            IpAddr::V6(address) => Field::Ipv6(address),
        }
    }
}

/// Fields side by side: one alone has its own length, several are each padded to four bytes.
pub(super) fn join(fields: &[Field]) -> Vec<u8> {
    if let [one] = fields {
        return one.bytes();
    }
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend(field.bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// The reverse of [`join`].
pub(super) fn split(kinds: &[Kind], mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    for kind in kinds {
        fields.push(kind.read(bytes.get(..kind.length())?)?);
        bytes = bytes.get(kind.length().next_multiple_of(4)..).unwrap_or_default();
    }
    Some(fields)
}

/// The type's number and length of fields side by side.
pub(super) fn layout(kinds: &[Kind]) -> (u32, u32) {
    let number = kinds.iter().fold(0, |number, kind| number << BITS | kind.number());
    let length = match kinds {
        [one] => one.length(),
        several => several.iter().map(|kind| kind.length().next_multiple_of(4)).sum(),
    };
    (number, u32::try_from(length).unwrap_or(u32::MAX))
}

/// How many bits of a joined type's number each field has (`TYPE_BITS` in nft's `include/datatype.h`).
const BITS: u32 = 6;

impl Verdict {
    /// `NF_*` of `linux/netfilter.h`, `enum nft_verdicts`.
    pub(super) fn code(&self) -> i32 {
        match self {
            Verdict::Drop => 0,
            Verdict::Accept => 1,
            Verdict::Jump(_) => -3,
            Verdict::Goto(_) => -4,
            Verdict::Return => -5,
        }
    }

    pub(super) fn chain(&self) -> Option<&str> {
        match self {
            Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
            Verdict::Drop | Verdict::Accept | Verdict::Return => None,
        }
    }

    pub(super) fn read(code: i32, chain: Option<String>) -> Option<Self> {
        Some(match code {
            0 => Verdict::Drop,
            1 => Verdict::Accept,
            -3 => Verdict::Jump(chain?),
            -4 => Verdict::Goto(chain?),
            -5 => Verdict::Return,
            _ => return None,
        })
    }
}

/// As nft(8) prints it.
impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Field::Ipv4(address) => address.fmt(f),
            Field::Ipv6(address) => address.fmt(f),
            Field::Ether(mac) => mac.fmt(f),
            Field::Proto(6) => f.write_str("tcp"),
            Field::Proto(17) => f.write_str("udp"),
            Field::Proto(132) => f.write_str("sctp"),
            Field::Proto(number) => number.fmt(f),
            Field::Service(port) => port.fmt(f),
            Field::Mark(mark) => write!(f, "{mark:#010x}"),
            Field::Ifname(name) => write!(f, "\"{name}\""),
        }
    }
}
