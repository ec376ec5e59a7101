//! Many at once. The first test is true of the reference plugins, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test without libtest's attribute")]
use netlab::{Container, Host, Running};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use serde_json::{Value, json};
use std::{collections::BTreeSet, env, process::Command, thread};

netlab::tests! {
    sixty_four_containers_at_once_get_sixty_four_addresses,
    sixty_four_containers_added_and_deleted_at_once_leave_nothing,
    one_attachment_added_eight_times_at_once_is_made_once,
    a_pool_of_eight_is_given_to_eight_of_sixty_four,
    adds_and_dels_of_one_attachment_at_once_end_in_one_of_the_two,
    sixty_four_chains_at_once_leave_the_packet_filter_as_it_was,
}

const MANY: usize = 64;

fn network(host: &Host, keys: &Value) -> Value {
    let mut ipam = json!({"type": "host-local", "subnet": "10.1.0.0/24"});
    ipam.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    host.config(&json!({"type": "bridge", "bridge": "b0", "isDefaultGateway": true, "ipam": ipam}))
}

fn containers(host: &Host) -> Vec<Container> {
    (0..MANY).map(|_| host.container().unwrap()).collect()
}

fn start(host: &Host, verb: &str, config: &Value, container: &Container) -> Running {
    host.attach(verb, config, container, "eth0").unwrap().start().unwrap()
}

fn sixty_four_containers_at_once_get_sixty_four_addresses() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({}));
    let running: Vec<_> =
        containers(&host).iter().map(|container| start(&host, "ADD", &config, container)).collect();
    let results = running.into_iter().map(|one| one.wait().unwrap().result().unwrap());
    let addresses: BTreeSet<_> = results.map(|result| result["ips"][0]["address"].to_string()).collect();
    assert_eq!(addresses.len(), MANY);
}

fn sixty_four_containers_added_and_deleted_at_once_leave_nothing() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({}));
    let containers = containers(&host);
    let first = host.add(&config, &containers[0], "eth0").unwrap();
    first.result().unwrap();
    host.del(&config, &containers[0], "eth0").unwrap().result().unwrap();
    let before = host.snapshot().unwrap();
    for verb in ["ADD", "DEL"] {
        let running: Vec<_> =
            containers.iter().map(|container| start(&host, verb, &config, container)).collect();
        for one in running {
            one.wait().unwrap().result().unwrap();
        }
    }
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

fn one_attachment_added_eight_times_at_once_is_made_once() {
    let host = Host::new().unwrap();
    let (config, container) = (network(&host, &json!({})), host.container().unwrap());
    let running: Vec<_> = (0..8).map(|_| start(&host, "ADD", &config, &container)).collect();
    let replies: Vec<_> = running.into_iter().map(|one| one.wait().unwrap()).collect();
    let made: Vec<_> = replies.iter().filter(|reply| reply.success()).collect();
    assert_eq!(made.len(), 1, "{replies:?}");
    host.check(&config, &container, "eth0", &made[0].json().unwrap()).unwrap().result().unwrap();
    let files = host.snapshot().unwrap().lines_with("/networks/").len();
    assert_eq!(files, 1, "one reservation");
}

fn a_pool_of_eight_is_given_to_eight_of_sixty_four() {
    let host = Host::new().unwrap();
    let config = network(&host, &json!({"rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.17"}));
    let containers = containers(&host);
    let running: Vec<_> =
        containers.iter().map(|container| start(&host, "ADD", &config, container)).collect();
    let replies: Vec<_> = running.into_iter().map(|one| one.wait().unwrap()).collect();
    let codes: Vec<_> = replies.iter().filter(|reply| !reply.success()).map(netlab::Reply::code).collect();
    assert_eq!(codes, vec![Some(11); MANY - 8]);
    let left = host.snapshot().unwrap();
    assert_eq!(left.lines_with("link veth").len(), 8, "who got none leaves no link: {left:?}");
}

fn adds_and_dels_of_one_attachment_at_once_end_in_one_of_the_two() {
    let host = Host::new().unwrap();
    let (config, container) = (network(&host, &json!({})), host.container().unwrap());
    host.add(&config, &container, "eth0").unwrap().result().unwrap();
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    let before = host.snapshot().unwrap();
    let verbs = ["ADD", "DEL"].into_iter().cycle().take(16);
    let running: Vec<_> = verbs.map(|verb| (verb, start(&host, verb, &config, &container))).collect();
    for (verb, one) in running {
        let reply = one.wait().unwrap();
        assert!(verb == "ADD" || reply.success(), "DEL never fails: {reply:?}");
    }
    host.del(&config, &container, "eth0").unwrap().result().unwrap();
    assert_eq!(host.changes_since(&before).unwrap(), "");
}

/// Masquerade, two published ports each and the firewall; again and again, as often as `SEALANE_ROUNDS` says. Every other round all
/// are there at once; in the others each leaves as soon as it has come, so that what is shared comes and goes under way.
fn sixty_four_chains_at_once_leave_the_packet_filter_as_it_was() {
    let host = Host::new().unwrap();
    let bridge = netlab::with(&network(&host, &json!({})), "ipMasq", &json!(true));
    let chain = host.chain(&[bridge, json!({"type": "portmap"}), json!({"type": "firewall"})]).unwrap();
    let containers = containers(&host);
    let add = |at: usize| chain.add(&containers[at], &ports(at)).unwrap();
    let del = |at: usize, added: &Value| chain.del(&containers[at], &ports(at), added).unwrap();
    del(0, &add(0)); // what stays for whoever comes next
    let (before, rules) = (host.snapshot().unwrap(), ruleset());
    let rounds = env::var("SEALANE_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        if round % 2 == 0 {
            let added = at_once(add);
            let addresses: BTreeSet<_> =
                added.iter().map(|result| result["ips"][0]["address"].to_string()).collect();
            assert_eq!(addresses.len(), MANY, "round {round}");
            at_once(|at| del(at, &added[at]));
        } else {
            at_once(|at| del(at, &add(at)));
        }
        assert_eq!(host.changes_since(&before).unwrap(), "", "round {round}");
        assert_eq!(ruleset(), rules, "round {round}");
        bury_orphans();
    }
}

/// What the plugins have left behind became children of this process, which has none of its own now: after some hundred rounds
/// they would be more than there are numbers for processes.
fn bury_orphans() {
    while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|it| it != WaitStatus::StillAlive) {}
}

fn ports(at: usize) -> Value {
    json!([
        {"hostPort": 10_000 + at, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 10_000 + at, "containerPort": 53, "protocol": "udp"},
    ])
}

/// Runs one for each container, all of them at once, in this thread's namespace.
fn at_once<T: Send>(one: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let one = &one;
    thread::scope(|scope| {
        let all: Vec<_> = (0..MANY).map(|at| scope.spawn(move || one(at))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// Every line, so that a rule that is there twice is seen; nothing where there is no `nft`.
fn ruleset() -> String {
    let listed = Command::new("/usr/sbin/nft").args(["--stateless", "list", "ruleset"]).output();
    listed.map(|listed| String::from_utf8(listed.stdout).unwrap()).unwrap_or_default()
}
