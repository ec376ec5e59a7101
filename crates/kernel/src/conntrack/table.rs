//! The connections as the kernel prints them (`/proc/net/nf_conntrack`, where it was built to).
//!
//! # Theory of operation
//! To list connections over netlink the kernel locks each of its lists in turn, and it has 262,144 on a machine of some size:
//! 11 ms, however few connections there are. To print them it passes by the empty ones: 0.15 ms, and 2 us for each connection.
use super::Flow;
use std::{fs, net::IpAddr};

/// Up to so many connections are told sooner this way.
pub(super) const FEW: usize = 10_000;

/// All connections with ports, of the namespace that this thread is in. `None` where the kernel does not tell.
pub(super) fn flows() -> Option<Vec<Flow>> {
    let text = fs::read_to_string("/proc/thread-self/net/nf_conntrack").ok()?;
    Some(text.lines().filter_map(flow).collect())
}

/// A line such as `ipv4 2 udp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=5 dport=6 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=6 dport=5
/// mark=0 zone=0 use=2`, with blanks as it pleases.
fn flow(line: &str) -> Option<Flow> {
    let protocol = line.split_whitespace().nth(3)?.parse().ok()?;
    // The first of each is of the first packet, the second of the answer.
    let both = |key| {
        let mut values = line.split_whitespace().filter_map(move |word| word.strip_prefix(key));
        [values.next(), values.next()]
    };
    let ([source, answering], [destination, answered]) = (both("src="), both("dst="));
    let ([source_port, answering_port], [destination_port, answered_port]) = (both("sport="), both("dport="));
    let end = |address: Option<&str>, port: Option<&str>| -> Option<(IpAddr, u16)> {
        Some((address?.parse().ok()?, port?.parse().ok()?))
    };
    Some(Flow {
        protocol,
        source: end(source, source_port)?,
        destination: end(destination, destination_port)?,
        answered_by: end(answering, answering_port)?,
        answered_to: end(answered, answered_port)?,
        id: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translated_connection_is_read_with_both_its_ends() {
        let line = "ipv4     2 tcp      6 431999 ESTABLISHED src=192.0.2.2 dst=192.0.2.1 sport=40000 dport=8080 packets=4 bytes=216 \
                    src=10.1.0.2 dst=192.0.2.2 sport=80 dport=40000 packets=3 bytes=164 [ASSURED] mark=0 zone=0 use=2";
        let ends = |address: &str, port| (address.parse().unwrap(), port);
        let expected = Flow {
            protocol: 6,
            source: ends("192.0.2.2", 40000),
            destination: ends("192.0.2.1", 8080),
            answered_by: ends("10.1.0.2", 80),
            answered_to: ends("192.0.2.2", 40000),
            id: None,
        };
        assert_eq!(flow(line), Some(expected));
    }

    #[test]
    fn one_without_an_answer_and_of_ipv6_is_read_too() {
        let line = "ipv6     10 udp      17 26 src=fd00:0000:0000:0000:0000:0000:0000:0001 dst=fd00:0000:0000:0000:0000:0000:0000:0002 \
                    sport=5353 dport=53 [UNREPLIED] src=fd00:0000:0000:0000:0000:0000:0000:0002 \
                    dst=fd00:0000:0000:0000:0000:0000:0000:0001 sport=53 dport=5353 mark=0 zone=0 use=2";
        let flow = flow(line).unwrap();
        assert_eq!((flow.protocol, flow.destination), (17, ("fd00::2".parse().unwrap(), 53)));
    }

    #[test]
    fn what_has_no_ports_is_left_out() {
        let line = "ipv4     2 icmp     1 29 src=127.0.0.1 dst=127.0.0.1 type=8 code=0 id=22437 src=127.0.0.1 dst=127.0.0.1 type=0 \
                    code=0 id=22437 mark=0 zone=0 use=2";
        assert_eq!(flow(line), None);
        assert_eq!(flow(""), None);
    }
}
