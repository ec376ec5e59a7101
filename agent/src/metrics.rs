//! How things are, in numbers: the text format of Prometheus, version 0.0.4 (`https://prometheus.io/docs/instrumenting/exposition_formats/`).
use crate::status::{Known, Network, Peers};
use std::fmt::{Display, Write as _};

/// All of it.
pub(crate) fn text(stores: &[Known]) -> String {
    let mut text = Text(String::new());
    text.of_stores(
        stores,
        "sealane_store_heard",
        "whether the store answered when it was last asked",
        |it| Some(u8::from(it.heard)),
    );
    text.of_stores(
        stores,
        "sealane_store_fault",
        "whether nothing is concluded from what the store lacks",
        |it| Some(u8::from(it.fault)),
    );
    text.of_stores(stores, "sealane_node_incarnation", "how often this node has begun a life", |it| {
        it.incarnation
    });
    text.of_stores(
        stores,
        "sealane_node_mtu_bytes",
        "the largest packet that the link to the underlay carries",
        |it| it.mtu,
    );
    text.of_ways(stores);
    text.of_networks(stores, "sealane_network_blocks", "blocks of the network that are this node's", |it| {
        Some(it.blocks.len())
    });
    text.of_networks(
        stores,
        "sealane_network_trouble",
        "whether something about the network could not be done",
        |it| {
            let of_peers = it.peers.as_ref().is_some_and(|peers| peers.trouble.is_some());
            Some(u8::from(it.trouble.is_some() || of_peers))
        },
    );
    text.of_others(stores);
    text.0
}

struct Text(String);

impl Text {
    /// What arrives at other nodes: a line for each of the few at which less does.
    fn of_ways(&mut self, stores: &[Known]) {
        self.of_stores(
            stores,
            "sealane_peers_silent",
            "other nodes that answer no packet of any size",
            |it| Some(it.tried.silent.len()),
        );
        let name = "sealane_peer_mtu_bytes";
        self.head(
            name,
            "the largest packet that arrives at a node, where that is less than its way should carry",
        );
        for known in stores {
            for (peer, arrives) in &known.tried.narrow {
                self.line(name, known, Some(("peer", peer.as_str())), Some(arrives));
            }
        }
    }

    /// The other nodes.
    fn of_others(&mut self, stores: &[Known]) {
        self.of_peers(stores, "sealane_network_peers", "other nodes with blocks of the network", |it| {
            Some(it.known)
        });
        self.of_peers(stores, "sealane_network_peers_suspect", "those of them that are not heard", |it| {
            Some(it.suspect.len())
        });
        self.of_peers(
            stores,
            "sealane_network_stands",
            "whether the network has containers on this host",
            |it| Some(u8::from(it.stands)),
        );
        self.of_peers(
            stores,
            "sealane_network_mtu_bytes",
            "the largest packet of the network's tunnel",
            |it| it.mtu,
        );
        self.of_peers(
            stores,
            "sealane_network_changes_total",
            "how often the other nodes were others",
            |it| Some(it.changes),
        );
        self.of_peers(
            stores,
            "sealane_network_change_seconds_total",
            "how long it took to tell this host",
            |it| Some(it.seconds),
        );
    }

    fn of_stores<T: Display>(
        &mut self,
        stores: &[Known],
        name: &str,
        help: &str,
        value: impl Fn(&Known) -> Option<T>,
    ) {
        self.head(name, help);
        for known in stores {
            self.line(name, known, None, value(known));
        }
    }

    fn of_networks<T: Display>(
        &mut self,
        stores: &[Known],
        name: &str,
        help: &str,
        value: impl Fn(&Network) -> Option<T>,
    ) {
        self.head(name, help);
        for known in stores {
            for (network, it) in &known.networks {
                self.line(name, known, Some(("network", network.as_str())), value(it));
            }
        }
    }

    fn of_peers<T: Display>(
        &mut self,
        stores: &[Known],
        name: &str,
        help: &str,
        value: impl Fn(&Peers) -> Option<T>,
    ) {
        self.of_networks(stores, name, help, |network| network.peers.as_ref().and_then(&value));
    }

    fn head(&mut self, name: &str, help: &str) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let _never_fails = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn line<T: Display>(&mut self, name: &str, known: &Known, of: Option<(&str, &str)>, value: Option<T>) {
        let Some(value) = value else { return };
        let (node, prefix) = (quoted(&known.node), quoted(&known.prefix));
        let endpoint = quoted(known.endpoints.first().map_or("", String::as_str));
        let of = of.map(|(label, of)| format!(",{label}={}", quoted(of))).unwrap_or_default();
        let _never_fails =
            writeln!(self.0, "{name}{{node={node},store={endpoint},prefix={prefix}{of}}} {value}");
    }
}

/// A label's value.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Tried;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_known_is_a_line_each_and_what_is_not_is_none() {
        let peers = Peers {
            known: 3,
            suspect: vec!["w2".parse().unwrap()],
            changes: 7,
            seconds: 0.25,
            ..Peers::default()
        };
        let network = Network { peers: Some(peers), ..Network::default() };
        let known = Known {
            node: "w1".into(),
            prefix: "/a\"b".into(),
            endpoints: vec!["http://192.0.2.9:2379".into()],
            heard: true,
            mtu: Some(9000),
            tried: Tried { narrow: BTreeMap::from([("w3".parse().unwrap(), 1400)]), ..Tried::default() },
            networks: BTreeMap::from([
                ("net".parse().unwrap(), network),
                ("new".parse().unwrap(), Network::default()),
            ]),
            ..Known::default()
        };
        let text = text(&[known]);
        let of = r#"{node="w1",store="http://192.0.2.9:2379",prefix="/a\"b""#;
        for line in [
            format!("sealane_store_heard{of}}} 1"),
            format!("sealane_store_fault{of}}} 0"),
            format!("sealane_node_mtu_bytes{of}}} 9000"),
            format!("sealane_peers_silent{of}}} 0"),
            format!("sealane_peer_mtu_bytes{of},peer=\"w3\"}} 1400"),
            format!("sealane_network_blocks{of},network=\"new\"}} 0"),
            format!("sealane_network_peers{of},network=\"net\"}} 3"),
            format!("sealane_network_peers_suspect{of},network=\"net\"}} 1"),
            format!("sealane_network_changes_total{of},network=\"net\"}} 7"),
            format!("sealane_network_change_seconds_total{of},network=\"net\"}} 0.25"),
            "# TYPE sealane_network_changes_total counter".into(),
            "# TYPE sealane_network_peers gauge".into(),
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert!(!text.contains("sealane_network_peers{node=\"w1\",store=\"http://192.0.2.9:2379\",prefix=\"/a\\\"b\",network=\"new\"}"));
        assert!(!text.contains("sealane_network_mtu_bytes{"), "{text}");
    }
}
