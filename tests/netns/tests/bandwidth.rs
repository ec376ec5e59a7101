//! `bandwidth` end to end: how fast data really gets to a container and out of it, and what is left afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test without libtest's attribute"
)]
use netlab::{Chain, Container, Host, PATIENCE, ip, with};
use serde_json::{Value, json};
use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

netlab::tests! {
    data_comes_to_the_container_at_the_rate,
    data_leaves_the_container_at_the_rate,
    one_use_for_each_way_limits_both_ways,
    two_uses_for_one_way_are_refused_and_the_first_stays,
    a_use_that_died_takes_nothing_of_the_others_with_it,
    without_rates_nothing_is_done,
    the_configurations_rates_count_more_than_the_runtimes,
    containerds_burst_is_kept,
    two_networks_of_one_container_have_a_limit_each,
    two_interfaces_on_one_network_have_a_limit_each,
    what_cannot_be_is_refused_before_anything_is_made,
    a_container_without_a_pair_is_refused,
    a_queue_of_somebody_elses_is_left_alone,
    nothing_is_left_of_it_with_the_container_and_without,
    del_needs_no_configuration_that_add_would_take,
    gc_takes_away_what_is_not_valid,
    check_names_what_is_different,
    a_failed_add_leaves_the_host_as_it_was,
}

/// 20 Mbit/s, and 50,000 bytes at once.
const RATE: u64 = 20_000_000;
const BURST: u64 = 400_000;

fn bridge(name: &str, subnet: &str) -> Value {
    json!({"name": name, "type": "bridge", "bridge": name, "isGateway": true,
        "ipam": {"type": "host-local", "subnet": subnet}})
}

fn limited(name: &str, keys: &Value) -> Value {
    let mut config = json!({"name": name, "type": "bandwidth"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

fn both_ways() -> Value {
    json!({"ingressRate": RATE, "ingressBurst": BURST, "egressRate": RATE, "egressBurst": BURST})
}

fn chain(host: &Host, keys: &Value) -> Chain {
    host.chain(&[bridge("b0", "10.1.0.0/24"), limited("b0", keys)]).unwrap()
}

fn added(host: &Host, keys: &Value) -> (Container, Chain, Value) {
    let (container, chain) = (host.container().unwrap(), chain(host, keys));
    let result = chain.add(&container, &Value::Null).unwrap();
    (container, chain, result)
}

/// The host's queues, as tc(8) tells them, but for those that nobody has put there.
fn queues() -> Vec<String> {
    let output = std::process::Command::new("tc").args(["qdisc", "show"]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = shown.lines().filter(|line| !line.contains("noqueue"));
    // What htb has counted.
    lines.map(|line| line.split(" direct_packets_stat").next().unwrap().to_owned()).collect()
}

fn links(kind: &str) -> Vec<String> {
    let all = ip(&format!("link show type {kind}")).unwrap();
    all.as_array().into_iter().flatten().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
}

/// Bits a second, on the wire, that get through one TCP connection; what may pass at once is not counted. It ends when the reader has as much.
fn measured(writer: impl FnOnce() -> TcpStream + Send, reader: impl FnOnce() -> TcpStream + Send) -> u64 {
    const BYTES: u64 = 4_000_000;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut stream = writer();
            while stream.write_all(&[7; 16_384]).is_ok() {}
        });
        let (mut stream, mut block) = (reader(), vec![0; 65_536]);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut seen, mut first) = (0, None);
        while seen < BYTES {
            seen += match stream.read(&mut block) {
                // A wait with a limit, when the machine stands still for a moment.
                Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
                read => read.unwrap() as u64,
            };
            first.get_or_insert_with(Instant::now);
        }
        let time = first.unwrap().elapsed();
        // A segment of 1,448 bytes is a frame of 1,514.
        let frames = (seen - BURST / 8) * 1_514 / 1_448;
        frames * 8 * 1_000_000 / u64::try_from(time.as_micros()).unwrap()
    })
}

/// Never faster; and of a few times, for a machine may have other things to do, at least once as fast.
fn is_the_rate(mut measure: impl FnMut() -> u64) {
    let mut seen = Vec::new();
    for _ in 0..10 {
        let bits = measure();
        assert!(bits <= RATE * 11 / 10, "{bits} bits a second are more than {RATE}");
        if bits >= RATE * 9 / 10 {
            return;
        }
        seen.push(bits);
    }
    panic!("{RATE} bits a second were never reached: {seen:?}");
}

fn patiently(to: SocketAddr) -> TcpStream {
    let limit = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect_timeout(&to, Duration::from_secs(5)) {
            Err(_) if Instant::now() < limit => thread::sleep(Duration::from_millis(10)),
            outcome => return outcome.unwrap(),
        }
    }
}

/// A connection from the host to the container: the ends here and there.
fn connected(container: &Container, port: u16) -> (TcpStream, TcpStream) {
    let at = SocketAddr::new("10.1.0.2".parse::<IpAddr>().unwrap(), port);
    let listener = container.exec(|| TcpListener::bind(at)).unwrap().unwrap();
    let here = patiently(at);
    (here, listener.accept().unwrap().0)
}

fn data_comes_to_the_container_at_the_rate() {
    let host = Host::new().unwrap();
    let (container, ..) = added(&host, &json!({"ingressRate": RATE, "ingressBurst": BURST}));
    let mut port = 7000;
    is_the_rate(|| {
        port += 1;
        let (here, there) = connected(&container, port);
        measured(|| here, || there)
    });
}

fn data_leaves_the_container_at_the_rate() {
    let host = Host::new().unwrap();
    let (container, ..) = added(&host, &json!({"egressRate": RATE, "egressBurst": BURST}));
    let mut port = 7000;
    is_the_rate(|| {
        port += 1;
        let (here, there) = connected(&container, port);
        measured(|| there, || here)
    });
}

fn one_use_for_each_way_limits_both_ways() {
    let (to, from) = (
        json!({"ingressRate": RATE, "ingressBurst": BURST}),
        json!({"egressRate": RATE, "egressBurst": BURST}),
    );
    for [one, two] in [[&to, &from], [&from, &to]] {
        let host = Host::new().unwrap();
        let container = host.container().unwrap();
        let network = [bridge("b0", "10.1.0.0/24"), limited("b0", one), limited("b0", two)];
        let chain = host.chain(&network).unwrap();
        let before = host.snapshot().unwrap();
        let result = chain.add(&container, &Value::Null).unwrap();
        assert_eq!((queues().len(), links("ifb").len()), (3, 1), "{:?}", queues());
        let mut port = 7000;
        is_the_rate(|| {
            port += 1;
            let (here, there) = connected(&container, port);
            measured(|| here, || there)
        });
        is_the_rate(|| {
            port += 1;
            let (here, there) = connected(&container, port);
            measured(|| there, || here)
        });
        chain.check(&container, &Value::Null, &result).unwrap();
        chain.del(&container, &Value::Null, &result).unwrap();
        chain.del(&container, &Value::Null, &result).unwrap();
        assert_eq!((queues(), links("ifb")), (vec![], vec![]));
        let records = host.changes_since(&before).unwrap();
        assert!(!records.contains("attachments"), "{records}");
    }
}

/// The reference: `create qdisc: file exists`, or `adding link: file exists`.
fn two_uses_for_one_way_are_refused_and_the_first_stays() {
    for way in ["ingress", "egress"] {
        let host = Host::new().unwrap();
        let rate = |rate: u64| json!({format!("{way}Rate"): rate, format!("{way}Burst"): BURST});
        let (container, chain, result) = added(&host, &rate(RATE));
        let before = (queues(), host.snapshot().unwrap());
        for keys in [rate(2 * RATE), with(&rate(RATE), "because", &json!("others do"))] {
            let config = with(&host.config(&limited("b0", &keys)), "prevResult", &result);
            let reply = host.add(&config, &container, "eth0").unwrap();
            assert!(reply.msg().contains("has a queue of kind"), "{reply:?}");
            assert!(reply.stdout.contains("give one `bandwidth` the keys of both"), "{reply:?}");
            assert_eq!((queues(), host.changes_since(&before.1).unwrap()), (before.0.clone(), String::new()));
        }
        chain.del(&container, &Value::Null, &result).unwrap();
        assert_eq!((queues(), links("ifb")), (vec![], vec![]));
    }
}

/// It had written down that it would begin, and no more: the link's name is the attachment's.
fn a_use_that_died_takes_nothing_of_the_others_with_it() {
    let host = Host::new().unwrap();
    let (container, chain, result) = added(&host, &json!({"egressRate": RATE, "egressBurst": BURST}));
    let folder = host.state_dir().join("attachments/b0").join(format!("{}:eth0", container.id()));
    let text = std::fs::read_to_string(folder.join("bandwidth.0")).unwrap();
    std::fs::write(folder.join("bandwidth.1"), text.lines().next().unwrap()).unwrap();
    let before = queues();
    let keys = json!({"ingressRate": RATE, "ingressBurst": BURST});
    let config = with(&host.config(&limited("b0", &keys)), "prevResult", &result);
    host.add(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!((queues().len(), links("ifb").len()), (before.len() + 1, 1), "{:?}", queues());
    std::fs::write(folder.join("bandwidth.2"), "").unwrap();
    chain.del(&container, &Value::Null, &result).unwrap();
    assert_eq!((queues(), links("ifb"), folder.exists()), (vec![], vec![], false));
}

fn without_rates_nothing_is_done() {
    for keys in [json!({}), json!({"ingressRate": 0, "ingressBurst": 0}), json!({"runtimeConfig": {}})] {
        let host = Host::new().unwrap();
        let (_container, _, result) = added(&host, &keys);
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 3);
        assert_eq!((queues(), links("ifb")), (vec![], vec![]));
        let records = host.snapshot().unwrap();
        assert_eq!(records.lines_with("bandwidth"), Vec::<&str>::new());
    }
}

fn the_configurations_rates_count_more_than_the_runtimes() {
    let runtimes = json!({"IngressRate": 1_000_000, "IngressBurst": 1_000_000});
    let host = Host::new().unwrap();
    let (container, chain, result) = added(&host, &json!({"runtimeConfig": {"bandwidth": runtimes}}));
    assert!(
        queues().iter().any(|queue| queue.contains("rate 1Mbit burst 125000b lat 25ms")),
        "{:?}",
        queues()
    );
    chain.del(&container, &Value::Null, &result).unwrap();
    for (rate, burst, shown) in [(5_000_000, 500_000, Some("rate 5Mbit burst 62500b")), (0, 0, None)] {
        let keys =
            json!({"ingressRate": rate, "ingressBurst": burst, "runtimeConfig": {"bandwidth": runtimes}});
        let (container, chain, result) = added(&host, &keys);
        assert_eq!(queues().len(), usize::from(shown.is_some()), "{:?}", queues());
        assert!(shown.is_none_or(|shown| queues()[0].contains(shown)), "{:?}", queues());
        chain.del(&container, &Value::Null, &result).unwrap();
    }
}

/// 4294967295 bits at a rate of which the kernel's clock has too few ticks: the reference's are 21,474,835 bytes.
fn containerds_burst_is_kept() {
    let host = Host::new().unwrap();
    let (container, ..) = added(&host, &json!({"ingressRate": 1_000_000, "ingressBurst": 4_294_967_295_u64}));
    assert!(queues()[0].contains("rate 1Mbit"), "{:?}", queues());
    // 100 Mbit are more than a second of that rate, and pass at once.
    let (mut here, mut there) = connected(&container, 7000);
    let sent = thread::spawn(move || here.write_all(&vec![7; 12_500_000]).map(|()| here));
    let began = Instant::now();
    let mut block = vec![0; 12_500_000];
    there.read_exact(&mut block).unwrap();
    assert!(began.elapsed() < Duration::from_secs(90), "at that rate it would take 100 seconds");
    sent.join().unwrap().unwrap();
}

fn two_networks_of_one_container_have_a_limit_each() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let mut chains = Vec::new();
    for (at, name) in ["b0", "b1"].into_iter().enumerate() {
        let plugins = [bridge(name, &format!("10.{at}.0.0/24")), limited(name, &both_ways())];
        let chain = host.chain(&plugins).unwrap().map(|call| call.env("CNI_IFNAME", format!("eth{at}")));
        let result = chain.add(&container, &Value::Null).unwrap();
        chains.push((chain, result));
    }
    assert_eq!((links("ifb").len(), queues().len()), (2, 6), "{:?}", queues());
    let (chain, result) = &chains[0];
    chain.del(&container, &Value::Null, result).unwrap();
    assert_eq!((links("ifb").len(), queues().len()), (1, 3), "{:?}", queues());
}

/// Of which the reference's second has the name of its first.
fn two_interfaces_on_one_network_have_a_limit_each() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    for ifname in ["eth0", "eth1"] {
        chain(&host, &both_ways())
            .map(|call| call.env("CNI_IFNAME", ifname))
            .add(&container, &Value::Null)
            .unwrap();
    }
    assert_eq!((links("ifb").len(), queues().len()), (2, 6), "{:?}", queues());
}

fn what_cannot_be_is_refused_before_anything_is_made() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let bridge = host.config(&bridge("b0", "10.1.0.0/24"));
    let result = host.add(&bridge, &container, "eth0").unwrap().result().unwrap();
    let before = host.snapshot().unwrap();
    for (keys, says, hint) in [
        (json!({"ingressRate": 8000}), "if rate is set, burst must also be set", "ingressBurst"),
        (json!({"egressBurst": 8000}), "if burst is set, rate must also be set", "egressRate"),
        (
            json!({"egressRate": 8, "egressBurst": 34_359_738_368_u64}),
            "burst cannot be more than 4GB: egressBurst is 34359738368",
            "34359738367",
        ),
        (
            json!({"ingressRate": 7, "ingressBurst": 20_000}),
            "ingressRate of 7 bits is less than a byte",
            "at least 8",
        ),
        (
            json!({"ingressRate": 100, "ingressBurst": 8000}),
            "burst of 1000 bytes is less than the 1514 of a packet",
            "12112",
        ),
    ] {
        let config = with(&host.config(&limited("b0", &keys)), "prevResult", &result);
        let reply = host.add(&config, &container, "eth0").unwrap();
        assert_eq!(reply.code(), Some(7), "{keys}: {reply:?}");
        assert!(reply.msg().contains(says) && reply.hint().contains(hint), "{keys}: {reply:?}");
        assert_eq!(host.changes_since(&before).unwrap(), "");
    }
}

fn a_container_without_a_pair_is_refused() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let result =
        json!({"cniVersion": "1.1.0", "interfaces": [{"name": "eth0", "sandbox": container.netns()}]});
    let config = with(&host.config(&limited("b0", &both_ways())), "prevResult", &result);
    let missing = host.add(&config, &container, "eth0").unwrap();
    assert!(missing.msg().contains("container interface \"eth0\" not found"), "{missing:?}");
    container.ip("link add eth0 type bridge").unwrap();
    let other = host.add(&config, &container, "eth0").unwrap();
    assert!(other.msg().contains("\"eth0\" is a bridge, which has no end on the host"), "{other:?}");
    container.ip("link del eth0").unwrap();
    container.ip("link add eth0 type veth peer name eth1").unwrap();
    let inside = host.add(&config, &container, "eth0").unwrap();
    assert!(
        inside.msg().contains("the other end of container interface \"eth0\" is not on the host"),
        "{inside:?}"
    );
}

fn a_queue_of_somebody_elses_is_left_alone() {
    let host = Host::new().unwrap();
    let container = host.container().unwrap();
    let bridge = host.config(&bridge("b0", "10.1.0.0/24"));
    let result = host.add(&bridge, &container, "eth0").unwrap().result().unwrap();
    let end = result["interfaces"][1]["name"].as_str().unwrap();
    let tc = |arguments: &str| {
        assert!(std::process::Command::new("tc").args(arguments.split(' ')).status().unwrap().success());
    };
    tc(&format!("qdisc add dev {end} root handle 7: htb"));
    let before = (queues(), host.snapshot().unwrap());
    let config = with(&host.config(&limited("b0", &both_ways())), "prevResult", &result);
    let reply = host.add(&config, &container, "eth0").unwrap();
    assert!(reply.msg().contains(&format!("\"{end}\" has a queue of kind htb already")), "{reply:?}");
    assert_eq!(queues(), before.0);
    assert_eq!(host.changes_left_since(&before.1).unwrap(), "");
}

fn nothing_is_left_of_it_with_the_container_and_without() {
    for netns in [true, false] {
        let host = Host::new().unwrap();
        let first = host.container().unwrap();
        host.add(&host.config(&bridge("b0", "10.1.0.0/24")), &first, "eth0").unwrap().result().unwrap();
        let before = host.snapshot().unwrap();
        let (container, chain, result) = added(&host, &both_ways());
        let mut chain = chain;
        if !netns {
            container.kill().unwrap();
            chain = chain.map(|call| call.env("CNI_NETNS", ""));
        }
        for result in [&result, &Value::Null] {
            chain.del(&container, &Value::Null, result).unwrap();
            assert_eq!(host.changes_left_since(&before).unwrap(), "");
            assert_eq!((queues(), links("ifb")), (vec![], vec![]));
        }
    }
}

/// The reference reads the rates first, and so leaves its link where they have become bad.
fn del_needs_no_configuration_that_add_would_take() {
    let host = Host::new().unwrap();
    let (container, _, result) = added(&host, &both_ways());
    let bad = with(&host.config(&limited("b0", &json!({"ingressRate": 8}))), "prevResult", &result);
    host.del(&bad, &container, "eth0").unwrap().result().unwrap();
    assert_eq!((queues(), links("ifb")), (vec![], vec![]));
}

fn gc_takes_away_what_is_not_valid() {
    let host = Host::new().unwrap();
    let (kept, _, _) = added(&host, &both_ways());
    let (_gone, _, _) = added(&host, &both_ways());
    assert_eq!(links("ifb").len(), 2);
    host.gc(&host.config(&limited("b0", &json!({}))), &[(kept.id(), "eth0")]).unwrap().result().unwrap();
    assert_eq!((links("ifb").len(), queues().len()), (1, 3), "{:?}", queues());
}

fn check_names_what_is_different() {
    let host = Host::new().unwrap();
    let (container, chain, result) = added(&host, &both_ways());
    chain.check(&container, &Value::Null, &result).unwrap();
    let (end, ifb) = (&result["interfaces"][1]["name"], &result["interfaces"][3]["name"]);
    let (end, ifb) = (end.as_str().unwrap(), ifb.as_str().unwrap());
    for (command, says) in [
        (
            format!("qdisc change dev {end} root handle 1: tbf rate 1mbit burst 50000 latency 25ms"),
            "it is 125000 bytes a second",
        ),
        (format!("qdisc del dev {end} root"), "has no queue"),
        (format!("qdisc replace dev {end} root handle 7: htb"), "has a queue of kind htb"),
        (format!("filter del dev {end} parent ffff:"), "nothing leads there"),
        (format!("qdisc del dev {ifb} root"), "has no queue"),
    ] {
        assert!(
            std::process::Command::new("tc").args(command.split(' ')).status().unwrap().success(),
            "{command}"
        );
        let found = chain.check(&container, &Value::Null, &result).unwrap_err().to_string();
        assert!(found.contains(says), "{command}: {found}");
    }
    ip(&format!("link del {ifb}")).unwrap();
    let found = chain.check(&container, &Value::Null, &result).unwrap_err().to_string();
    assert!(found.contains(&format!("there is no ifb {ifb}")), "{found}");
}

/// The link's name is somebody else's.
fn a_failed_add_leaves_the_host_as_it_was() {
    let host = Host::new().unwrap();
    let (container, chain, result) = added(&host, &both_ways());
    let ifb = result["interfaces"][3]["name"].as_str().unwrap();
    chain.del(&container, &Value::Null, &result).unwrap();
    ip(&format!("link add {ifb} type bridge")).unwrap();
    let bridge = host.config(&bridge("b0", "10.1.0.0/24"));
    let result = host.add(&bridge, &container, "eth0").unwrap().result().unwrap();
    let before = host.snapshot().unwrap();
    let config = with(&host.config(&limited("b0", &both_ways())), "prevResult", &result);
    let reply = host.add(&config, &container, "eth0").unwrap();
    assert!(reply.msg().contains(&format!("failed to create \"{ifb}\" on the host")), "{reply:?}");
    assert_eq!((host.changes_left_since(&before).unwrap(), queues()), (String::new(), vec![]));
}
