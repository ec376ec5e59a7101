//! Tracked connections.
use crate::trials;
use kernel::{
    Rtnl,
    conntrack::{Flow, flows_to, forget, list_flows_to},
    link,
    nft::{
        Chain, ChainType, Ct, Expression, Family, Hook, Nft, Point, Policy, Register, Rule, Table,
        Transaction,
    },
};
use libtest_mimic::Trial;
use netlab::Host;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};

pub(crate) fn trials() -> Vec<Trial> {
    trials![conntrack:
        nothing_is_tracked_in_a_new_namespace,
        connections_to_a_port_are_found_and_others_are_not,
        a_connection_that_is_forgotten_is_gone_and_others_stay,
        what_is_sent_to_a_port_as_an_answer_is_found_too,
        many_ports_are_looked_for_at_once,
        what_is_printed_and_what_is_listed_are_the_same,
    ]
}

const UDP: u8 = 17;
const TCP: u8 = 6;

/// A namespace with loopback up, where the kernel tracks connections because a rule asks for it.
fn tracking() -> (Host, Nft) {
    let host = Host::new().unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    let lo = link::lookup(&mut rtnl, &"lo".parse().unwrap()).unwrap().unwrap();
    rtnl.transact(&[link::set_up(lo.index)]).unwrap().pop().unwrap().unwrap();
    let table = Table { family: Family::Inet, name: "t".into() };
    let hook = Hook { kind: ChainType::Filter, at: Point::Output, priority: 0, policy: Policy::Accept };
    let mut change = Transaction::default();
    change.add_table(&table);
    change.add_chain(&table, &Chain { name: "c".into(), hook: Some(hook) });
    let expressions = vec![Expression::Ct(Ct::State, Register(0))];
    change.add_rule(&table, &Rule { chain: "c".into(), expressions, comment: "track".into() });
    let mut nft = Nft::open().unwrap();
    nft.commit(&change).unwrap();
    (host, nft)
}

/// Sends to a new port of its own; the socket must live on.
fn send(to: IpAddr) -> ((UdpSocket, UdpSocket), u16) {
    let server = UdpSocket::bind((to, 0)).unwrap();
    let client = UdpSocket::bind((to, 0)).unwrap();
    client.send_to(b"x", server.local_addr().unwrap()).unwrap();
    let port = server.local_addr().unwrap().port();
    ((client, server), port)
}

fn ports(flows: &[Flow]) -> Vec<u16> {
    flows.iter().map(|flow| flow.destination.1).collect()
}

fn nothing_is_tracked_in_a_new_namespace() {
    let (_host, mut nft) = tracking();
    assert_eq!(flows_to(&mut nft, &[(UDP, 1)]).unwrap(), []);
}

fn connections_to_a_port_are_found_and_others_are_not() {
    let (_host, mut nft) = tracking();
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let (sockets, port) = send(address);
        let (_others, other) = send(address);
        let found = flows_to(&mut nft, &[(UDP, port)]).unwrap();
        let [flow] = found[..] else { panic!("{found:?}") };
        let source = sockets.0.local_addr().unwrap().port();
        assert_eq!((flow.protocol, flow.source, flow.destination), (UDP, (address, source), (address, port)));
        assert_eq!(flow.answered_by, (address, port));
        assert_eq!(flows_to(&mut nft, &[(TCP, port)]).unwrap(), []);
        assert_eq!(ports(&flows_to(&mut nft, &[(UDP, other)]).unwrap()), [other]);
    }
}

fn a_connection_that_is_forgotten_is_gone_and_others_stay() {
    let (_host, mut nft) = tracking();
    let address = Ipv4Addr::LOCALHOST;
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_one, _two) =
        (TcpStream::connect((address, port)).unwrap(), TcpStream::connect((address, port)).unwrap());
    let found = flows_to(&mut nft, &[(TCP, port)]).unwrap();
    let [one, two] = found[..] else { panic!("{found:?}") };
    forget(&mut nft, &one).unwrap();
    assert_eq!(flows_to(&mut nft, &[(TCP, port)]).unwrap(), [two]);
    forget(&mut nft, &one).unwrap();
    assert_eq!(flows_to(&mut nft, &[(TCP, port)]).unwrap(), [two]);
}

/// As an answer is to the kernel whose question it has forgotten.
fn what_is_sent_to_a_port_as_an_answer_is_found_too() {
    let (_host, mut nft) = tracking();
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let (sockets, port) = send(address);
        let own = sockets.0.local_addr().unwrap().port();
        let found = flows_to(&mut nft, &[(UDP, own)]).unwrap();
        assert_eq!(ports(&found), [port]);
        assert_eq!(found[0].answered_to, (address, own));
        assert!(found[0].is_answered_at((UDP, own)) && !found[0].is_answered_at((UDP, port)));
        let listed = list_flows_to(&mut nft, &[(UDP, own)]).unwrap();
        assert_eq!(listed.len(), 1);
        forget(&mut nft, &listed[0]).unwrap();
        assert_eq!(flows_to(&mut nft, &[(UDP, own)]).unwrap(), []);
    }
    // What a process has asked by TCP is its own.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let asker = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let own = (TCP, asker.local_addr().unwrap().port());
    assert_eq!(flows_to(&mut nft, &[own]).unwrap(), []);
    assert_eq!(list_flows_to(&mut nft, &[own]).unwrap(), []);
}

fn many_ports_are_looked_for_at_once() {
    let (_host, mut nft) = tracking();
    let sent: Vec<_> = (0..20).map(|_| send(Ipv4Addr::LOCALHOST.into())).collect();
    let wanted: Vec<(u8, u16)> = sent.iter().take(10).map(|(_, port)| (UDP, *port)).collect();
    let mut found = ports(&flows_to(&mut nft, &wanted).unwrap());
    found.sort_unstable();
    let mut expected: Vec<u16> = wanted.iter().map(|(_, port)| *port).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// The file is not in every kernel, and netlink is for those who have very many: both are told the same.
fn what_is_printed_and_what_is_listed_are_the_same() {
    let (_host, mut nft) = tracking();
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let sent: Vec<_> = (0..3).map(|_| send(address)).collect();
        let wanted: Vec<(u8, u16)> = sent.iter().take(2).map(|(_, port)| (UDP, *port)).collect();
        let ends = |flows: Vec<Flow>| {
            let mut ends: Vec<_> =
                flows.iter().map(|flow| (flow.source, flow.destination, flow.answered_by)).collect();
            ends.sort_unstable();
            ends
        };
        let told = ends(flows_to(&mut nft, &wanted).unwrap());
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told, ends(list_flows_to(&mut nft, &wanted).unwrap()));
        for flow in list_flows_to(&mut nft, &wanted[..1]).unwrap() {
            forget(&mut nft, &flow).unwrap();
        }
        assert_eq!(flows_to(&mut nft, &wanted).unwrap().len(), 1);
    }
}
