//! Ways between two containers on two hosts, each pair of hosts with an underlay of its own: a veth, which passes large frames whole as a card with
//! offloads does.
use super::{BOTH, BRIDGE, DOCKER, FLANNEL, RAW, RULES, config_of, vtep};
use crate::{
    bench::{
        hosts::{Host, Namespace},
        subjects::OURS,
    },
    error::Error,
};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

/// One way. What is between its ends is there as long as the files that it is bound to.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) name: &'static str,
    /// The sender.
    pub(super) from: Namespace,
    /// The receiver.
    pub(super) to: Namespace,
    /// The receiver's address.
    pub(super) at: IpAddr,
}

/// All of them, with their files below this folder; ours by the plugins of `bin`.
pub(super) fn all(folder: &Path, bin: &Path) -> Result<Vec<Way>, Error> {
    let of = |name: &str| {
        let folder = folder.join(name);
        let made = fs::create_dir_all(&folder).map(|()| folder.clone());
        made.map_err(|cause| Error::File { what: "make", path: folder, cause })
    };
    let (ipv4, both) = (ours(OURS, IPV4, &of("ours")?, bin)?, ours(BOTH, FAMILIES, &of("both")?, bin)?);
    let docker = [docker(DOCKER, &of("docker")?)?, docker(RULES, &of("rules")?)?];
    let others = docker.into_iter().chain([flannel(&of("flannel")?)?]);
    Ok([raw(&of("raw")?)?, ipv4.way(), both.way()].into_iter().chain(others).collect())
}

/// Ways out of a network, to another host: by the gate and the host, and by a bridge that is the host's.
pub(super) fn out(folder: &Path, bin: &Path) -> Result<Vec<Way>, Error> {
    let of = |name: &str| {
        let folder = folder.join(name);
        let made = fs::create_dir_all(&folder).map(|()| folder.clone());
        made.map_err(|cause| Error::File { what: "make", path: folder, cause })
    };
    let Pair { from, beyond, .. } = ours(OURS, IPV4, &of("ours")?, bin)?;
    Ok(vec![Way { name: OURS, from, to: beyond, at: vtep(2).into() }, bridge(&of("bridge")?)?])
}

/// The hosts themselves.
fn raw(folder: &Path) -> Result<Way, Error> {
    let (from, to) = (Namespace::new(folder.join("1"))?, Namespace::new(folder.join("2"))?);
    join(&from, &to)?;
    Ok(Way { name: RAW, from, to, at: vtep(2).into() })
}

const IPV4: &[&str] = &["10.32.0.0/12"];
const FAMILIES: &[&str] = &["10.32.0.0/12", "fd42::/48"];

/// Containers of ours on two hosts, and the second host.
struct Pair {
    name: &'static str,
    from: Namespace,
    to: Namespace,
    at: IpAddr,
    beyond: Namespace,
}

impl Pair {
    fn way(self) -> Way {
        let Self { name, from, to, at, .. } = self;
        Way { name, from, to, at }
    }
}

/// The plugin, with a list of two nodes.
fn ours(name: &'static str, subnets: &[&str], folder: &Path, bin: &Path) -> Result<Pair, Error> {
    let host = |at: usize| Host::with(folder.join(at.to_string()), bin, config_of(at, 2, subnets));
    let (one, two) = (host(1)?, host(2)?);
    join(&one.namespace, &two.namespace)?;
    let attached = |host: &Host| {
        let mut container = host.container("c", Vec::new())?;
        host.add(&mut container).map(|_| container)
    };
    let (from, to) = (attached(&one)?, attached(&two)?);
    let at = to.address().ok_or(Error::NoSamples { subject: name, prefill: 0 })?;
    Ok(Pair { name, from: from.namespace, to: to.namespace, at, beyond: two.namespace })
}

/// What Docker builds on one host: a bridge that is the host's, whose subnet is masqueraded; connections that are known are let through.
fn bridge(folder: &Path) -> Result<Way, Error> {
    let [host, other] = pair(folder)?;
    let container = Namespace::new(folder.join("c"))?;
    let eth0 = format!("name eth0 netns {}", container.path().display());
    for line in [
        "ip link add docker0 type bridge",
        "ip addr add 172.17.0.1/16 dev docker0",
        "ip link set docker0 up",
        &format!("ip link add veth0 type veth peer {eth0}"),
        "ip link set veth0 master docker0 up",
    ] {
        host.run(line)?;
    }
    docker_rules(&host)?;
    host.set("/proc/sys/net/ipv4/ip_forward", "1")?;
    container.run("ip addr add 172.17.0.2/16 dev eth0")?;
    container.run("ip link set eth0 up")?;
    container.run("ip route add default via 172.17.0.1")?;
    Ok(Way { name: BRIDGE, from: container, to: other, at: vtep(2).into() })
}

/// What Docker always has on a host: the subnet of a bridge that is masqueraded, published ports to be looked for, connections that are known let through.
fn docker_rules(host: &Namespace) -> Result<(), Error> {
    for line in [
        "nft add table ip docker",
        "nft add chain ip docker ports { type nat hook prerouting priority -100 ; }",
        "nft add chain ip docker published",
        "nft add rule ip docker ports fib daddr type local jump published",
        "nft add chain ip docker out { type nat hook postrouting priority 100 ; }",
        "nft add rule ip docker out ip saddr 172.17.0.0/16 oifname != docker0 masquerade",
        "nft add chain ip docker forward { type filter hook forward priority 0 ; policy drop ; }",
        "nft add rule ip docker forward oifname docker0 ct state established,related accept",
        "nft add rule ip docker forward iifname docker0 accept",
    ] {
        host.run(line)?;
    }
    Ok(())
}

/// What libnetwork builds: a namespace with a bridge, on which are the containers and the tunnel; of each container elsewhere a neighbour, for whom the
/// tunnel answers, and a forwarding entry.
fn docker(name: &'static str, folder: &Path) -> Result<Way, Error> {
    let hosts = pair(folder)?;
    if name == RULES {
        hosts.iter().try_for_each(docker_rules)?;
    }
    let mut containers = Vec::new();
    for (at, host) in (1..).zip(&hosts) {
        let inner = Namespace::new(folder.join(format!("inner{at}")))?;
        let container = Namespace::new(folder.join(format!("c{at}")))?;
        let other = 3 - at;
        let neighbour = format!("10.0.0.1{other} lladdr 02:42:0a:00:00:1{other}");
        let entry = format!("02:42:0a:00:00:1{other} dev vxlan0 dst {}", vtep(other));
        host.run("ip link add vxlan0 type vxlan id 4097 dstport 4789 nolearning proxy l2miss l3miss")?;
        host.run(&format!("ip link set vxlan0 netns {}", inner.path().display()))?;
        let eth0 =
            format!("name eth0 address 02:42:0a:00:00:1{at} mtu 1450 netns {}", container.path().display());
        for line in [
            "ip link set lo up",
            "ip link add br0 type bridge",
            "ip addr add 10.0.0.1/24 dev br0",
            "ip link set br0 mtu 1450 up",
            "ip link set vxlan0 mtu 1450 master br0 up",
            &format!("ip link add veth0 mtu 1450 type veth peer {eth0}"),
            "ip link set veth0 master br0 up",
            &format!("ip neigh add {neighbour} dev vxlan0 nud permanent"),
            &format!("bridge fdb add {entry} self permanent"),
        ] {
            inner.run(line)?;
        }
        container.run(&format!("ip addr add 10.0.0.1{at}/24 dev eth0"))?;
        container.run("ip link set eth0 up")?;
        containers.push(container);
    }
    way(name, containers, Ipv4Addr::new(10, 0, 0, 12))
}

/// What flannel builds with its bridge: a subnet for each host, a route to each by an address on the tunnel, which is a neighbour with a forwarding
/// entry.
fn flannel(folder: &Path) -> Result<Way, Error> {
    let hosts = pair(folder)?;
    let mut containers = Vec::new();
    for (at, host) in (1..).zip(&hosts) {
        let container = Namespace::new(folder.join(format!("c{at}")))?;
        let other = 3 - at;
        let tunnel = format!("id 1 local {} dev u0 dstport 8472 nolearning", vtep(at));
        let entry = format!("0a:00:00:00:00:1{other} dev flannel.1 dst {}", vtep(other));
        let neighbour = format!("10.244.{other}.0 lladdr 0a:00:00:00:00:1{other}");
        let eth0 = format!("name eth0 mtu 1450 netns {}", container.path().display());
        for line in [
            &format!("ip link add flannel.1 mtu 1450 address 0a:00:00:00:00:1{at} type vxlan {tunnel}"),
            &format!("ip addr add 10.244.{at}.0/32 dev flannel.1"),
            "ip link set flannel.1 up",
            "ip link add cni0 mtu 1450 type bridge",
            &format!("ip addr add 10.244.{at}.1/24 dev cni0"),
            "ip link set cni0 up",
            &format!("ip link add veth0 mtu 1450 type veth peer {eth0}"),
            "ip link set veth0 master cni0 up",
            &format!("ip route add 10.244.{other}.0/24 via 10.244.{other}.0 dev flannel.1 onlink"),
            &format!("ip neigh add {neighbour} dev flannel.1 nud permanent"),
            &format!("bridge fdb add {entry} self permanent"),
        ] {
            host.run(line)?;
        }
        host.set("/proc/sys/net/ipv4/ip_forward", "1")?;
        container.run(&format!("ip addr add 10.244.{at}.2/24 dev eth0"))?;
        container.run("ip link set eth0 up")?;
        container.run(&format!("ip route add default via 10.244.{at}.1"))?;
        containers.push(container);
    }
    way(FLANNEL, containers, Ipv4Addr::new(10, 244, 2, 2))
}

fn way(name: &'static str, containers: Vec<Namespace>, at: Ipv4Addr) -> Result<Way, Error> {
    let [from, to] =
        <[Namespace; 2]>::try_from(containers).map_err(|_| Error::NoSamples { subject: name, prefill: 0 })?;
    Ok(Way { name, from, to, at: at.into() })
}

/// Two hosts on an underlay.
fn pair(folder: &Path) -> Result<[Namespace; 2], Error> {
    let hosts = [Namespace::new(folder.join("1"))?, Namespace::new(folder.join("2"))?];
    let [one, two] = &hosts;
    join(one, two)?;
    Ok(hosts)
}

/// An underlay between two hosts.
fn join(one: &Namespace, two: &Namespace) -> Result<(), Error> {
    one.run(&format!("ip link add u0 type veth peer name u0 netns {}", two.path().display()))?;
    for (at, host) in (1..).zip([one, two]) {
        host.run("ip link set lo up")?;
        host.run(&format!("ip addr add {}/16 dev u0", vtep(at)))?;
        host.run("ip link set u0 up")?;
    }
    Ok(())
}
