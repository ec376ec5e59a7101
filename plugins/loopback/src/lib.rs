//! `loopback`: the container's `lo`, up. As the reference's: a previous plugin's result is passed through, and
//! `CNI_IFNAME` does not matter.
use cni::{AddResult, Call, Fail, Interface, Ip};
use plan::{Facts, Place, Plan, Query, step};
use plugin::{Endpoint, Lease, Plugin, Recipe};
use types::{IfName, Mac};

/// The plugin.
pub static PLUGIN: Plugin<Loopback> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Loopback;

impl Recipe for Loopback {
    const NAME: &'static str = "loopback";
    type Config = ();

    fn configure(_call: &Call) -> Result<(), Fail> {
        Ok(())
    }

    fn asks((): &(), _endpoint: &Endpoint) -> Vec<Query> {
        vec![Query::Ipv6(IfName::loopback())]
    }

    fn plan((): &(), _endpoint: &Endpoint, _lease: &Lease, _facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        plan.own(step::Up { place: Place::Container, link: IfName::loopback(), announce: false });
        plan
    }

    fn result(call: &Call, (): &(), endpoint: &Endpoint, _lease: &Lease, facts: &Facts) -> AddResult {
        if let Some(previous) = &call.prev_result {
            return previous.clone();
        }
        let lo = IfName::loopback();
        let texts: &[&str] =
            if facts.ipv6.contains(&lo) { &["127.0.0.1/8", "::1/128"] } else { &["127.0.0.1/8"] };
        let addresses = texts.iter().filter_map(|text| text.parse().ok());
        let sandbox = Some(endpoint.netns.to_string_lossy().into_owned());
        AddResult {
            interfaces: vec![Interface {
                name: lo.to_string(),
                mac: Mac::new([0; 6]).to_string(),
                sandbox,
                ..Interface::default()
            }],
            ips: addresses.map(|address| Ip { interface: Some(0), address, gateway: None }).collect(),
            ..AddResult::default()
        }
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        Self::plan(&(), endpoint, &Lease::default(), &Facts::default())
    }
}
