//! `static`: the addresses that the configuration or the runtime names, and no state.
use crate::error::{Error, PrefixField};
use cni::{AddResult, Attachment, AttachmentId, Call, Dns, Fail, Handler, Ip, Route, Version};
use serde::Deserialize;
use std::net::IpAddr;
use types::Prefix;

/// The plugin; see [`Handler`].
#[derive(Debug)]
pub struct Static;

impl Handler for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn add(&self, call: &Call, _: &Attachment) -> Result<AddResult, Fail> {
        let ipam = call.decode::<RawNetwork>()?.ipam.ok_or(Error::NoIpam)?;
        let ips = addresses(call, &ipam)?;
        let routes = ipam.routes.into_iter().flatten().collect();
        Ok(AddResult { ips, routes, dns: ipam.dns, ..AddResult::default() })
    }

    /// An address that both have must have the gateway that was configured, if one was: no more is compared, as in the reference.
    fn check(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        let ipam = call.decode::<RawNetwork>()?.ipam.ok_or(Error::NoIpam)?;
        let configured = addresses(call, &ipam)?;
        let result = call.prev_result.as_ref().ok_or(Error::NoPrevResult)?;
        for Ip { address, gateway, .. } in &configured {
            let Some(wanted) = *gateway else { continue };
            let found = result.ips.iter().find(|ip| ip.address.address() == address.address());
            if found.is_some_and(|ip| ip.gateway != Some(wanted)) {
                let (address, ifname) = (address.address(), at.ifname.to_string());
                return Err(Error::Mismatch { address, ifname, wanted }.into());
            }
        }
        Ok(())
    }

    fn del(&self, _: &Call, _: &Attachment) -> Result<(), Fail> {
        Ok(())
    }

    fn gc(&self, _: &Call, _: &[AttachmentId]) -> Result<(), Fail> {
        Ok(())
    }

    fn status(&self, _: &Call) -> Result<(), Fail> {
        Ok(())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNetwork {
    ipam: Option<RawIpam>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawIpam {
    addresses: Vec<Option<RawAddress>>,
    routes: Vec<Option<Route>>,
    dns: Dns,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawAddress {
    address: String,
    gateway: Option<String>,
}

/// The addresses to give: those of the configuration and then of `CNI_ARGS`; or, instead of both, those of `args.cni.ips`; or,
/// instead of all, those of `runtimeConfig.ips`.
fn addresses(call: &Call, ipam: &RawIpam) -> Result<Vec<Ip>, Fail> {
    let configured = ipam.addresses.iter().flatten().map(configured);
    let mut ips = configured.collect::<Result<Vec<_>, _>>()?;
    ips.append(&mut from_args(call)?);
    let lists: [Option<Vec<Option<String>>>; 2] = [call.cni_arg("ips")?, call.runtime_config("ips")?];
    for list in lists.into_iter().flatten() {
        let texts = list.iter().flatten().filter(|text| !text.is_empty());
        let instead = texts.map(|text| ip(text, PrefixField::Ips)).collect::<Result<Vec<_>, _>>()?;
        if !instead.is_empty() {
            ips = instead;
        }
    }
    one_per_family(&ips, call.version)?;
    Ok(ips)
}

/// `IP` and `GATEWAY` of `CNI_ARGS`. A gateway goes to each of the former that it shares a subnet with, and, as in the
/// reference, to none of the configuration's own.
fn from_args(call: &Call) -> Result<Vec<Ip>, Error> {
    let items = |key| call.args.get(key).filter(|text| !text.is_empty()).map(|text| text.split(','));
    let addresses = items("IP").into_iter().flatten().map(|text| ip(text.trim(), PrefixField::Args));
    let mut ips = addresses.collect::<Result<Vec<_>, _>>()?;
    for text in items("GATEWAY").into_iter().flatten() {
        let gateway: IpAddr = text.trim().parse().map_err(|_| Error::Gateway(text.to_owned()))?;
        let gateway = gateway.to_canonical();
        for ip in ips.iter_mut().filter(|ip| ip.address.contains(gateway)) {
            ip.gateway = Some(gateway);
        }
    }
    Ok(ips)
}

fn configured(raw: &RawAddress) -> Result<Ip, Error> {
    let mut ip = ip(&raw.address, PrefixField::Address)?;
    if let Some(text) = raw.gateway.as_deref().filter(|text| !text.is_empty()) {
        let gateway: IpAddr = text.parse().map_err(|_| Error::NotAnAddress(text.to_owned()))?;
        ip.gateway = Some(gateway.to_canonical());
    }
    Ok(ip)
}

fn ip(text: &str, field: PrefixField) -> Result<Ip, Error> {
    let no_length = || Error::NoPrefixLength { field, value: text.to_owned() };
    let prefix: Prefix = text.parse().map_err(|_| no_length())?;
    Ok(Ip { interface: None, address: unmapped(prefix).ok_or_else(no_length)?, gateway: None })
}

/// An IPv4 address that is written as IPv6 is IPv4, and the length counts from there.
fn unmapped(prefix: Prefix) -> Option<Prefix> {
    match prefix.address().to_canonical() {
        IpAddr::V4(address) if !prefix.is_ipv4() => {
            Prefix::new(address.into(), prefix.length().checked_sub(96)?).ok()
        }
        _ => Some(prefix),
    }
}

/// Results below 0.3.0 have room for one address of each family.
fn one_per_family(ips: &[Ip], version: Version) -> Result<(), Error> {
    let ipv4 = ips.iter().filter(|ip| ip.address.is_ipv4()).count();
    if version < Version::V0_3_0 && (ipv4 > 1 || ips.len() - ipv4 > 1) {
        return Err(Error::OnePerFamily { version });
    }
    Ok(())
}
