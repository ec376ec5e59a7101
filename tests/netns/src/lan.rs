//! A host on an Ethernet that others are on too: its link `eth0` is a cable to a switch, which is another machine.
use crate::{Container, Error, Host, ip};
use serde_json::{Value, json};

/// The host, and the machine outside, which is the switch as well: its bridge `lan` has the host's cable as its only port.
#[derive(Debug)]
pub struct Lan {
    /// The host: `eth0` is 10.7.0.250 and `fd07::fa`, and the way out.
    pub host: Host,
    /// The machine outside: 10.7.0.254 and `fd07::fe`.
    pub outside: Container,
}

impl Lan {
    /// A fresh host on a fresh network, all of it up.
    pub fn new() -> Result<Self, Error> {
        Self::of(Host::new()?)
    }

    /// The same with a host that is there.
    pub fn of(host: Host) -> Result<Self, Error> {
        let outside = host.container_called("outside")?;
        ip(&format!("link add eth0 type veth peer name cable netns {}", outside.netns().display()))?;
        for command in ["add lan type bridge", "set cable master lan up", "set lan up"] {
            outside.ip(&format!("link {command}"))?;
        }
        for address in ["10.7.0.254/24", "fd07::fe/64 nodad"] {
            outside.ip(&format!("addr add {address} dev lan"))?;
        }
        ip("link set eth0 up")?;
        for address in ["10.7.0.250/24", "fd07::fa/64 nodad"] {
            ip(&format!("addr add {address} dev eth0"))?;
        }
        ip("route add default via 10.7.0.254")?;
        ip("route add default via fd07::fe")?;
        Ok(Self { host, outside })
    }

    /// `host-local` with addresses that nobody outside has, by way of the machine outside.
    pub fn ipam() -> Value {
        let ranges = json!([
            [{"subnet": "10.7.0.0/24", "rangeStart": "10.7.0.2", "rangeEnd": "10.7.0.99", "gateway": "10.7.0.254"}],
            [{"subnet": "fd07::/64", "rangeStart": "fd07::2", "rangeEnd": "fd07::99", "gateway": "fd07::fe"}],
        ]);
        json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]})
    }

    /// Has the switch send a frame back by the port that it came in on, or not (IEEE 802.1Qbg, "reflective relay").
    pub fn reflect(&self, on: bool) -> Result<(), Error> {
        let on = if on { "on" } else { "off" };
        self.outside.ip(&format!("link set cable type bridge_slave hairpin {on}")).map(drop)
    }
}

/// A cable of this thread's host: `p0`, and its other end `p1`, both up.
pub fn cable() -> Result<(), Error> {
    for command in ["add p0 type veth peer name p1", "set p0 up", "set p1 up"] {
        ip(&format!("link {command}"))?;
    }
    Ok(())
}
