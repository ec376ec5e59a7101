//! `host-device`: a device of the host that is the container's for as long as it is attached, and then the host's again, as it was.
//! Keys, defaults and result are those of the reference's `host-device` 1.9.
mod config;

pub use config::{Config, Error};

use cni::{AddResult, Call, Fail};
use plan::{DeviceFact, Facts, Place, Plan, Query, step};
use plugin::{Endpoint, Lease, Plugin, Recipe, interface};
use types::Mac;

/// The plugin.
pub static PLUGIN: Plugin<HostDevice> = Plugin::new();

/// The recipe.
#[derive(Debug)]
pub struct HostDevice;

impl Recipe for HostDevice {
    const NAME: &'static str = "host-device";
    type Config = Config;

    fn configure(call: &Call) -> Result<Config, Fail> {
        Config::read(call)
    }

    fn asks(config: &Config, _endpoint: &Endpoint) -> Vec<Query> {
        vec![Query::Device(config.device.clone())]
    }

    fn accept(call: &Call, _config: &Config, lease: &Lease) -> Result<(), Fail> {
        interface::accept(call, lease)
    }

    fn plan(config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        match &facts.device {
            // There is no interface: the program in the container has the device itself, and what becomes of the addresses is its affair.
            Some(DeviceFact::Userspace) => return plan,
            Some(DeviceFact::Link(taken)) => {
                let (ifname, taken) = (endpoint.ifname.clone(), taken.as_ref().clone());
                plan.own(step::Device { ifname, taken });
            }
            None => {}
        }
        if config.addressed {
            interface::address_before_up(&mut plan, endpoint, lease, config.dad);
        } else {
            let link = endpoint.ifname.clone();
            plan.own(step::Up { place: Place::Container, link, announce: false });
        }
        plan
    }

    fn result(call: &Call, _config: &Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> AddResult {
        let mac = match &facts.device {
            Some(DeviceFact::Link(taken)) => taken.mac,
            Some(DeviceFact::Userspace) | None => None,
        };
        let mut result = interface::result(call, endpoint, mac.unwrap_or(NO_MAC), lease);
        if mac.is_none() {
            result.interfaces.iter_mut().for_each(|interface| interface.mac.clear());
        }
        result
    }

    /// Another suite keeps no record, but it writes a device's name on it.
    fn remains_of(call: &Call, endpoint: &Endpoint, reported: Option<&AddResult>) -> Plan {
        let mut plan = Plan::default();
        plan.own(step::LeftDevice {
            ifname: endpoint.ifname.clone(),
            mac: reported.map(|_| endpoint.mac),
            name: Config::device_name(call),
        });
        plan
    }
}

const NO_MAC: Mac = Mac::new([0; 6]);
