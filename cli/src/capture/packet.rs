//! A frame as lines for people, one for each header, outermost first; what is in a tunnel of VXLAN is a frame again.
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use types::Mac;

/// A frame that was understood as far as its lines go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    /// A header each: its name, and what is in it.
    lines: Vec<(&'static str, String)>,
    /// The ports of the outermost header that has such, from and to.
    ports: Option<(u16, u16)>,
}

impl Packet {
    /// Reads a frame. What comes in UDP to this port is a tunnel's.
    pub(super) fn read(frame: &[u8], tunnels: u16) -> Self {
        let mut packet = Self::default();
        let mut rest = Some(frame);
        while let Some(frame) = rest {
            // None if it ends where it should not, or with what is not known here.
            rest = packet.frame(frame, tunnels);
        }
        packet
    }

    /// Whether it is from or to this port.
    pub(super) fn is_of(&self, port: u16) -> bool {
        self.ports.is_some_and(|(from, to)| from == port || to == port)
    }

    fn say(&mut self, name: &'static str, what: String) {
        self.lines.push((name, what));
    }

    /// The frame in it, if it is a tunnel's.
    fn frame<'a>(&mut self, frame: &'a [u8], tunnels: u16) -> Option<&'a [u8]> {
        let (to, rest) = frame.split_first_chunk::<6>()?;
        let (from, rest) = rest.split_first_chunk::<6>()?;
        let (kind, rest) = rest.split_first_chunk::<2>()?;
        self.say("Ethernet", format!("{} > {}, {} bytes", Mac::new(*from), Mac::new(*to), frame.len()));
        let (protocol, rest) = match u16::from_be_bytes(*kind) {
            0x0800 => self.ipv4(rest)?,
            0x86dd => self.ipv6(rest)?,
            0x0806 => return self.arp(rest),
            _ => return None,
        };
        match protocol {
            UDP => self.udp(rest, tunnels),
            TCP => self.tcp(rest),
            ICMP | ICMPV6 => self.icmp(rest, protocol),
            _ => None,
        }
    }

    /// What is in it, and of which protocol (RFC 791, section 3.1).
    fn ipv4<'a>(&mut self, packet: &'a [u8]) -> Option<(u8, &'a [u8])> {
        let header = packet.first_chunk::<20>()?;
        let [words, _, high, low, ..] = *header;
        let (from, to) = (address4(packet, 12)?, address4(packet, 16)?);
        self.say("IPv4", format!("{from} > {to}"));
        let (begin, end) = (usize::from(words & 0xf) * 4, usize::from(u16::from_be_bytes([high, low])));
        // Behind a short packet the link has filled up the frame.
        Some((header[9], packet.get(begin..end.min(packet.len()))?))
    }

    /// Likewise (RFC 8200, section 3). Extension headers are not looked into.
    fn ipv6<'a>(&mut self, packet: &'a [u8]) -> Option<(u8, &'a [u8])> {
        let address = |at: usize| Some(Ipv6Addr::from_octets(*packet.get(at..)?.first_chunk::<16>()?));
        let (from, to) = (address(8)?, address(24)?);
        self.say("IPv6", format!("{from} > {to}"));
        Some((*packet.get(6)?, packet.get(40..)?))
    }

    /// RFC 826.
    fn arp<'a>(&mut self, packet: &[u8]) -> Option<&'a [u8]> {
        let (from, to) = (address4(packet, 14)?, address4(packet, 24)?);
        let asks = *packet.get(7)? == 1;
        let what = if asks { format!("who has {to}? asks {from}") } else { format!("{from} is here") };
        self.say("ARP", what);
        None
    }

    /// RFC 768; RFC 7348, section 5.
    fn udp<'a>(&mut self, packet: &'a [u8], tunnels: u16) -> Option<&'a [u8]> {
        let (_, to) = self.ports("UDP", packet, "")?;
        if to != tunnels {
            return None;
        }
        let (header, frame) = packet.get(8..)?.split_first_chunk::<8>()?;
        let [flags, _, _, _, high, middle, low, _] = *header;
        let number = u32::from_be_bytes([0, high, middle, low]);
        let has_number = flags & 0x08 != 0;
        self.say(VXLAN, if has_number { format!("network {number}") } else { "no network".into() });
        Some(frame)
    }

    /// RFC 9293, section 3.1.
    fn tcp<'a>(&mut self, packet: &[u8]) -> Option<&'a [u8]> {
        const FLAGS: [(u8, &str); 5] =
            [(0x02, " SYN"), (0x01, " FIN"), (0x04, " RST"), (0x08, " PSH"), (0x10, " ACK")];
        let flags = *packet.get(13)?;
        let said: String = FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
        self.ports("TCP", packet, &said)?;
        None
    }

    /// The ports that both begin with.
    fn ports(&mut self, name: &'static str, packet: &[u8], more: &str) -> Option<(u16, u16)> {
        let [a, b, c, d] = *packet.first_chunk()?;
        let (from, to) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        self.say(name, format!("{from} > {to}{more}"));
        self.ports.get_or_insert((from, to));
        Some((from, to))
    }

    /// RFC 792, RFC 4443.
    fn icmp<'a>(&mut self, packet: &[u8], protocol: u8) -> Option<&'a [u8]> {
        let kind = *packet.first()?;
        let what = match (protocol, kind) {
            (ICMP, 8) | (ICMPV6, 128) => "echo request".into(),
            (ICMP, 0) | (ICMPV6, 129) => "echo reply".into(),
            (ICMPV6, 135) => "neighbour solicitation".into(),
            (ICMPV6, 136) => "neighbour advertisement".into(),
            (_, kind) => format!("type {kind}"),
        };
        self.say(if protocol == ICMP { "ICMP" } else { "ICMPv6" }, what);
        None
    }
}

/// What is in a tunnel stands to the right of it.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut margin = 0;
        for (name, what) in &self.lines {
            writeln!(f, "{:margin$}{name:<9} {what}", "")?;
            margin += if *name == VXLAN { 4 } else { 0 };
        }
        Ok(())
    }
}

fn address4(packet: &[u8], at: usize) -> Option<IpAddr> {
    Some(Ipv4Addr::from_octets(*packet.get(at..)?.first_chunk::<4>()?).into())
}

const VXLAN: &str = "VXLAN";
/// IANA, "Assigned Internet Protocol Numbers".
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a host sends for a container that opens a connection to one on another host (RFC 7348, section 5).
    const TUNNELLED: &str = "\
        02000000000a 02000000000b 0800 \
        45000067 0000 4000 40 11 0000 c0000203 c0000201 \
        c001 12b5 0053 0000 \
        08000000 001092 00 \
        02000000001a 02000000001b 0800 \
        45000035 0000 4000 3f 06 0000 0a2a0080 0a2a0001 \
        8000 0050 00000000 00000000 50 02 ffff 0000 0000";

    fn read(hex: &str) -> Packet {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        Packet::read(&digits.chunks(2).map(octet).collect::<Vec<_>>(), 4789)
    }

    #[test]
    fn what_is_in_a_tunnel_is_shown_as_well() {
        let packet = read(TUNNELLED);
        let expected = "\
Ethernet  02:00:00:00:00:0b > 02:00:00:00:00:0a, 104 bytes
IPv4      192.0.2.3 > 192.0.2.1
UDP       49153 > 4789
VXLAN     network 4242
    Ethernet  02:00:00:00:00:1b > 02:00:00:00:00:1a, 54 bytes
    IPv4      10.42.0.128 > 10.42.0.1
    TCP       32768 > 80 SYN
";
        assert_eq!(packet.to_string(), expected);
        assert!(packet.is_of(4789) && packet.is_of(49153));
        assert!(!packet.is_of(80), "that is of another network's packet");
    }

    #[test]
    fn each_kind_of_packet_says_what_it_is() {
        let ipv6 = "02000000000a 02000000000b 86dd 60000000 0040 LL 40 fd420000000000000000000000000001 \
                    fd420000000000000000000000000080";
        let last = |hex: &str| read(hex).to_string().lines().last().unwrap_or_default().to_owned();
        for (hex, expected) in [
            (format!("{} 8000 0000", ipv6.replace("LL", "3a")), "ICMPv6    echo request"),
            (format!("{} 8800 0000", ipv6.replace("LL", "3a")), "ICMPv6    neighbour advertisement"),
            (format!("{} 0001 0035 0008 0000", ipv6.replace("LL", "11")), "UDP       1 > 53"),
            (ipv6.replace("LL", "59"), "IPv6      fd42::1 > fd42::80"),
            (
                "ffffffffffff 02000000000b 0806 0001 0800 06 04 0001 02000000000b c0000201 000000000000 c0000202"
                    .to_owned(),
                "ARP       who has 192.0.2.2? asks 192.0.2.1",
            ),
        ] {
            assert_eq!(last(&hex), expected, "{hex}");
        }
    }

    /// Whoever sends it says how long it is.
    #[test]
    fn a_packet_that_ends_too_soon_is_shown_as_far_as_it_goes() {
        let whole = read(TUNNELLED);
        let digits = TUNNELLED.replace(char::is_whitespace, "");
        for end in (0..=digits.len()).step_by(2) {
            let part = read(&digits[..end]);
            assert!(part.lines.len() <= whole.lines.len());
        }
        // A header's length that leads beyond the end.
        let longer = TUNNELLED.replace("45000067", "4f00ffff");
        assert_eq!(read(&longer).lines.len(), 3, "{}", read(&longer));
    }
}
