//! `null`: the container's `lo`, up, and no network beside it.
use cni::{AddResult, Call, Fail, Interface};
use plan::{Facts, Place, Plan, step};
use plugin::{Endpoint, Lease, Plugin, Recipe};
use types::{IfName, Mac};

/// The plugin.
pub static PLUGIN: Plugin<Null> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct Null;

impl Recipe for Null {
    const NAME: &'static str = "null";
    type Config = ();

    fn configure(_call: &Call) -> Result<(), Fail> {
        Ok(())
    }

    fn plan((): &(), _endpoint: &Endpoint, _lease: &Lease, _facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        plan.own(step::Up { place: Place::Container, link: IfName::loopback(), announce: false });
        plan.own(step::Alone { link: IfName::loopback() });
        plan
    }

    fn result(_call: &Call, (): &(), endpoint: &Endpoint, _lease: &Lease, _facts: &Facts) -> AddResult {
        let lo = Interface {
            name: IfName::loopback().to_string(),
            mac: Mac::new([0; 6]).to_string(),
            sandbox: Some(endpoint.netns.to_string_lossy().into_owned()),
            ..Interface::default()
        };
        AddResult { interfaces: vec![lo], ..AddResult::default() }
    }

    fn remains(endpoint: &Endpoint) -> Plan {
        Self::plan(&(), endpoint, &Lease::default(), &Facts::default())
    }
}
