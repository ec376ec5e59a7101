//! Results between versions. In memory there is one form, the newest; each older one is a type here that prints and reads
//! as the reference's does, and drops what the reference drops:
//!
//! - 1.1.0, 1.0.0: the same form; keys sorted; `dns` left out when empty.
//! - 0.4.0, 0.3.1, 0.3.0: `ips` have a `version`; interfaces have no `mtu`, `socketPath` and `pciID`; `dns` is always there.
//! - 0.2.0, 0.1.0: at most one address of each family (`ip4`, `ip6`), each with its own routes, of which only `dst` and `gw` are
//!   kept; no interfaces. With no address there is no such result.
use crate::{
    error::{Code, Failure},
    json::{self, DecodeError, absent_if_empty},
    result::{AddResult, Dns, Interface, Ip, Route, none_or_empty, none_or_zero},
    version::{UnknownVersion, Version},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{borrow::Borrow, net::IpAddr};
use types::Prefix;

/// A result cannot be had in the version asked for, or not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// 0.2.0 and 0.1.0 cannot say that there is no address.
    #[error("cannot convert: no valid IP addresses")]
    NoAddress,
    /// The result says it is of a version that nobody knows.
    #[error("unsupported CNI result version {0:?}")]
    Version(String),
    /// The result is not as its version has it.
    #[error("could not decode the result")]
    Decode(#[from] DecodeError),
    /// The value could not be turned into JSON.
    #[error("could not encode the result")]
    Encode(#[from] serde_json::Error),
}

impl ConvertError {
    /// The same error, seen from the value that holds the result under `key`.
    pub(crate) fn under(self, key: &str) -> Self {
        match self {
            ConvertError::Decode(cause) => ConvertError::Decode(cause.under(key)),
            ConvertError::NoAddress | ConvertError::Version(_) | ConvertError::Encode(_) => self,
        }
    }
}

impl Failure for ConvertError {
    fn code(&self) -> Code {
        match self {
            ConvertError::NoAddress | ConvertError::Encode(_) => Code::Internal,
            ConvertError::Version(_) | ConvertError::Decode(_) => Code::Decode,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            ConvertError::NoAddress => Some(
                "results before cniVersion 0.3.0 need an address: use a newer version, or an ipam plugin"
                    .into(),
            ),
            ConvertError::Version(_) => {
                let known = Version::ALL.map(Version::as_str).join(", ");
                Some(format!("the result's cniVersion is to be one of {known}"))
            }
            ConvertError::Decode(cause) => Some(cause.hint()),
            ConvertError::Encode(_) => None,
        }
    }
}

impl AddResult {
    /// The JSON object that `version` has for this result; members stand in the reference's order.
    pub fn to_json(&self, version: Version) -> Result<Value, ConvertError> {
        let mut object = match version {
            Version::V0_1_0 | Version::V0_2_0 => serde_json::to_value(Result020::of(self)?)?,
            Version::V0_3_0 | Version::V0_3_1 | Version::V0_4_0 => serde_json::to_value(Result040::of(self))?,
            Version::V1_0_0 | Version::V1_1_0 => serde_json::to_value(self)?,
        };
        if let Value::Object(members) = &mut object {
            members.shift_insert(0, "cniVersion".to_owned(), Value::from(version.as_str()));
        }
        Ok(object)
    }

    /// Reads a result by the version that it names itself, or by `default_version` when it names none: before 1.0.0 many
    /// plugins did not.
    pub fn from_json(value: impl Borrow<Value>, default_version: Version) -> Result<AddResult, ConvertError> {
        let value = value.borrow();
        Ok(match named_version(value, default_version)? {
            Version::V0_1_0 | Version::V0_2_0 => json::decode::<Result020>(value)?.into_newest(),
            Version::V0_3_0 | Version::V0_3_1 | Version::V0_4_0 => {
                json::decode::<Result040>(value)?.into_newest()
            }
            Version::V1_0_0 | Version::V1_1_0 => json::decode::<AddResult>(value)?,
        }
        .plain())
    }

    /// The result as a runtime gets to see it that asks for `version`: what that version cannot hold is gone.
    pub(crate) fn through(self, version: Version) -> Result<AddResult, ConvertError> {
        if version >= Version::V1_0_0 { Ok(self) } else { Self::from_json(self.to_json(version)?, version) }
    }

    /// One spelling for what is not there: where absent and 0 or `""` mean the same, absent.
    fn plain(mut self) -> Self {
        for interface in &mut self.interfaces {
            interface.mtu.take_if(|mtu| *mtu == 0);
            for text in [&mut interface.pci_id, &mut interface.sandbox, &mut interface.socket_path] {
                text.take_if(|text| text.is_empty());
            }
        }
        for route in &mut self.routes {
            for number in [&mut route.mtu, &mut route.advmss, &mut route.priority] {
                number.take_if(|number| *number == 0);
            }
        }
        self.dns.domain.take_if(|domain| domain.is_empty());
        self
    }
}

fn named_version(value: &Value, default_version: Version) -> Result<Version, ConvertError> {
    match json::field(value, "cniVersion") {
        None => Ok(default_version),
        Some(Value::String(text)) if text.is_empty() => Ok(default_version),
        Some(Value::String(text)) => text.parse().map_err(|UnknownVersion(text)| ConvertError::Version(text)),
        Some(other) => Err(ConvertError::Version(other.to_string())),
    }
}

/// The form of 0.3.0, 0.3.1 and 0.4.0.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Result040 {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<Interface040>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ips: Vec<Ip040>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route040>,
    dns: Dns040,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Interface040 {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mac: String,
    #[serde(skip_serializing_if = "none_or_empty")]
    sandbox: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Ip040 {
    /// `"4"` or `"6"`; not read, for the address says it.
    #[serde(default)]
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interface: Option<u32>,
    address: Prefix,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "absent_if_empty")]
    gateway: Option<IpAddr>,
}

/// A [`Route`], its fields in the order of the older forms.
#[derive(Serialize, Deserialize)]
struct Route040 {
    dst: Prefix,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "absent_if_empty")]
    gw: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "none_or_zero")]
    mtu: Option<u32>,
    #[serde(default, skip_serializing_if = "none_or_zero")]
    advmss: Option<u32>,
    #[serde(default, skip_serializing_if = "none_or_zero")]
    priority: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<u8>,
}

/// [`Dns`], its fields in the order of the older forms.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Dns040 {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nameservers: Vec<String>,
    #[serde(skip_serializing_if = "none_or_empty")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    search: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<String>,
}

/// The form of 0.1.0 and 0.2.0.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Result020 {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip4: Option<Ip020>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip6: Option<Ip020>,
    dns: Dns040,
}

#[derive(Serialize, Deserialize)]
struct Ip020 {
    ip: Prefix,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "absent_if_empty")]
    gateway: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route040>,
}

impl Result040 {
    fn of(result: &AddResult) -> Self {
        Self {
            interfaces: result.interfaces.iter().map(Interface040::of).collect(),
            ips: result.ips.iter().map(Ip040::of).collect(),
            routes: result.routes.iter().map(Route040::of).collect(),
            dns: Dns040::of(&result.dns),
        }
    }

    fn into_newest(self) -> AddResult {
        AddResult {
            interfaces: self.interfaces.into_iter().map(Interface040::into_newest).collect(),
            ips: self.ips.into_iter().map(Ip040::into_newest).collect(),
            routes: self.routes.into_iter().map(Route040::into_newest).collect(),
            dns: self.dns.into_newest(),
        }
    }
}

impl Result020 {
    fn of(result: &AddResult) -> Result<Self, ConvertError> {
        let (ip4, ip6) = (Ip020::first(result, true), Ip020::first(result, false));
        if ip4.is_none() && ip6.is_none() {
            return Err(ConvertError::NoAddress);
        }
        Ok(Self { ip4, ip6, dns: Dns040::of(&result.dns) })
    }

    fn into_newest(self) -> AddResult {
        let mut result = AddResult { dns: self.dns.into_newest(), ..AddResult::default() };
        for ip in [self.ip4, self.ip6].into_iter().flatten() {
            result.ips.push(Ip { address: ip.ip, gateway: ip.gateway, interface: None });
            result.routes.extend(ip.routes.into_iter().map(Route040::into_newest));
        }
        result
    }
}

impl Ip020 {
    /// The first address of a family with all routes of that family.
    fn first(result: &AddResult, v4: bool) -> Option<Self> {
        let ip = result.ips.iter().find(|ip| ip.address.is_ipv4() == v4)?;
        let routes = result.routes.iter().filter(|route| route.dst.is_ipv4() == v4);
        let plain = |route: &Route| Route040::of(&Route { gw: route.gw, ..Route::to(route.dst) });
        Some(Self { ip: ip.address, gateway: ip.gateway, routes: routes.map(plain).collect() })
    }
}

impl Interface040 {
    fn of(interface: &Interface) -> Self {
        let Interface { name, mac, sandbox, .. } = interface.clone();
        Self { name, mac, sandbox }
    }

    fn into_newest(self) -> Interface {
        Interface { name: self.name, mac: self.mac, sandbox: self.sandbox, ..Interface::default() }
    }
}

impl Ip040 {
    fn of(ip: &Ip) -> Self {
        let version = if ip.address.is_ipv4() { "4" } else { "6" }.to_owned();
        Self { version, interface: ip.interface, address: ip.address, gateway: ip.gateway }
    }

    fn into_newest(self) -> Ip {
        Ip { address: self.address, gateway: self.gateway, interface: self.interface }
    }
}

impl Route040 {
    fn of(route: &Route) -> Self {
        let Route { advmss, dst, gw, mtu, priority, scope, table } = *route;
        Self { dst, gw, mtu, advmss, priority, table, scope }
    }

    fn into_newest(self) -> Route {
        let Self { dst, gw, mtu, advmss, priority, table, scope } = self;
        Route { advmss, dst, gw, mtu, priority, scope, table }
    }
}

impl Dns040 {
    fn of(dns: &Dns) -> Self {
        let Dns { domain, nameservers, options, search } = dns.clone();
        Self { nameservers, domain, search, options }
    }

    fn into_newest(self) -> Dns {
        let Self { nameservers, domain, search, options } = self;
        Dns { domain, nameservers, options, search }
    }
}
