//! What host-local is told: every key of the reference's, in two stages. Stage one is what was typed, stage two what it means.
use crate::{
    error::Error,
    pool::{InvalidRange, Range, RangeSet, RangeSpec, overlap},
};
use cni::{Call, Fail, Route, Version};
use serde::Deserialize;
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};
use types::Prefix;

/// Where reservations lie if the configuration does not say.
pub(crate) const DATA_DIR: &str = "/var/lib/cni/networks";

/// The configuration of an ADD, with nothing left to check.
#[derive(Debug)]
pub(crate) struct Config {
    /// The attachment gets one address out of each.
    pub(crate) sets: Vec<RangeSet>,
    /// Addresses that were asked for, in the order of asking, none twice.
    pub(crate) requested: Vec<IpAddr>,
    /// Routes to hand on.
    pub(crate) routes: Vec<Route>,
    /// A file like resolv.conf(5) that the result's `dns` is read from.
    pub(crate) resolv_conf: Option<PathBuf>,
    /// Where reservations lie, in a directory for each network.
    pub(crate) data_dir: PathBuf,
}

/// What STATUS says when no address is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Success: containers that run are well, and a full pool must not make Kubernetes evict them.
    Ready,
    /// Code 50.
    Unavailable,
}

impl WhenFull {
    /// What `statusWhenFull` means.
    pub(crate) fn meant(text: Option<&str>) -> Result<Self, Error> {
        match present(text) {
            None | Some("ready") => Ok(Self::Ready),
            Some("unavailable") => Ok(Self::Unavailable),
            Some(other) => Err(Error::StatusWhenFull(other.to_owned())),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawNetwork {
    ipam: Option<RawIpam>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawIpam {
    subnet: Option<String>,
    range_start: Option<String>,
    range_end: Option<String>,
    gateway: Option<String>,
    ranges: Vec<Option<Vec<RawRange>>>,
    routes: Vec<Option<Route>>,
    data_dir: Option<String>,
    resolv_conf: Option<String>,
    status_when_full: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawRange {
    subnet: Option<String>,
    range_start: Option<String>,
    range_end: Option<String>,
    gateway: Option<String>,
}

/// What CHECK and GC need: no range, for the configuration may have been edited since ADD.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPlace {
    ipam: RawPlaceInIpam,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawPlaceInIpam {
    data_dir: Option<String>,
}

impl Config {
    /// The configuration of a call; refuses what ADD could not do, before anything is changed.
    pub(crate) fn of(call: &Call) -> Result<Self, Fail> {
        let ipam = call.decode::<RawNetwork>()?.ipam.ok_or(Error::NoIpam)?;
        let requested = requested(call)?;
        WhenFull::meant(ipam.status_when_full.as_deref())?;
        let ranges = all_ranges(call, &ipam)?;
        if ranges.is_empty() {
            return Err(Error::NoRanges.into());
        }
        Ok(Self {
            sets: range_sets(&ranges, call.version)?,
            requested,
            routes: ipam.routes.into_iter().flatten().collect(),
            resolv_conf: present(ipam.resolv_conf.as_deref()).map(PathBuf::from),
            data_dir: place(ipam.data_dir.as_deref())?,
        })
    }

    /// What STATUS should say of which range sets, if there are any; a runtime may send them with ADD only.
    pub(crate) fn for_status(call: &Call) -> Result<(WhenFull, Vec<RangeSet>), Fail> {
        let ipam = call.decode::<RawNetwork>()?.ipam.unwrap_or_default();
        match WhenFull::meant(ipam.status_when_full.as_deref())? {
            WhenFull::Ready => Ok((WhenFull::Ready, Vec::new())),
            WhenFull::Unavailable => {
                let ranges = all_ranges(call, &ipam)?;
                Ok((WhenFull::Unavailable, range_sets(&ranges, call.version)?))
            }
        }
    }
}

/// `dataDir`, or where the reference puts reservations without it.
pub(crate) fn data_dir(call: &Call) -> Result<PathBuf, Fail> {
    let raw: RawPlace = call.decode()?;
    Ok(place(raw.ipam.data_dir.as_deref())?)
}

/// The same for DEL: one that is no path was no ADD's.
pub(crate) fn data_dir_if_it_can_be(call: &Call) -> Result<PathBuf, Fail> {
    Ok(place(call.key::<String>(&["ipam", "dataDir"]).as_deref())?)
}

fn place(data_dir: Option<&str>) -> Result<PathBuf, Error> {
    let path = Path::new(present(data_dir).unwrap_or(DATA_DIR));
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let reservation = |cause| Error::Reservation { doing: "find", path: path.to_owned(), cause };
    std::path::absolute(path).map_err(reservation)
}

/// Every range set in the reference's order: the runtime's, the one of the old single-range keys, the list.
fn all_ranges(call: &Call, ipam: &RawIpam) -> Result<Vec<Vec<RawRange>>, Fail> {
    let from_runtime: Option<Vec<Option<Vec<RawRange>>>> = call.runtime_config("ipRanges")?;
    let single = present(ipam.subnet.as_deref()).map(|subnet| {
        vec![RawRange {
            subnet: Some(subnet.to_owned()),
            range_start: ipam.range_start.clone(),
            range_end: ipam.range_end.clone(),
            gateway: ipam.gateway.clone(),
        }]
    });
    let listed = ipam.ranges.iter().cloned().map(Option::unwrap_or_default);
    let runtimes = from_runtime.unwrap_or_default().into_iter().map(Option::unwrap_or_default);
    Ok(runtimes.chain(single).chain(listed).collect())
}

fn range_sets(raw: &[Vec<RawRange>], version: Version) -> Result<Vec<RangeSet>, Error> {
    let mut sets = Vec::with_capacity(raw.len());
    for (at, ranges) in raw.iter().enumerate() {
        sets.push(range_set(at, ranges)?);
    }
    let ipv4 = sets.iter().filter(|set| set.is_ipv4()).count();
    if version < Version::V0_3_0 && (ipv4 > 1 || sets.len() - ipv4 > 1) {
        return Err(Error::OnePerFamily { version });
    }
    match overlap(&sets) {
        Some((first, second)) => Err(Error::Overlap { first, second }),
        None => Ok(sets),
    }
}

fn range_set(at: usize, raw: &[RawRange]) -> Result<RangeSet, Error> {
    let invalid = |cause| Error::RangeSet { set: at, cause };
    let mut ranges = Vec::with_capacity(raw.len());
    for range in raw {
        let subnet = present(range.subnet.as_deref()).ok_or(InvalidRange::NoSubnet).map_err(invalid)?;
        let subnet: Prefix = subnet.parse().map_err(|_| Error::NotAPrefix(subnet.to_owned()))?;
        if subnet.address().to_canonical() != subnet.address() {
            return Err(invalid(InvalidRange::MixedNotation));
        }
        let spec = RangeSpec {
            subnet,
            first: address(range.range_start.as_deref())?,
            last: address(range.range_end.as_deref())?,
            gateway: address(range.gateway.as_deref())?,
        };
        ranges.push(Range::try_from(spec).map_err(invalid)?);
    }
    RangeSet::try_from(ranges).map_err(invalid)
}

/// Requested addresses: `IP` of `CNI_ARGS`, then `args.cni.ips`, then `runtimeConfig.ips`.
pub(crate) fn requested(call: &Call) -> Result<Vec<IpAddr>, Fail> {
    let mut requested = Vec::new();
    if let Some(text) = present(call.args.get("IP")) {
        requested.push(request(text).ok_or_else(|| Error::NotARequestInArgs(text.to_owned()))?);
    }
    let lists: [Option<Vec<Option<String>>>; 2] = [call.cni_arg("ips")?, call.runtime_config("ips")?];
    for text in lists.iter().flatten().flatten() {
        let Some(text) = present(text.as_deref()) else { continue };
        let address = request(text).ok_or_else(|| Error::NotARequest(text.to_owned()))?;
        if !requested.contains(&address) {
            requested.push(address);
        }
    }
    Ok(requested)
}

/// An address that may have a prefix length; the length is the range's to say.
fn request(text: &str) -> Option<IpAddr> {
    let address = if text.contains('/') {
        text.parse::<Prefix>().ok()?.address()
    } else {
        text.parse::<IpAddr>().ok()?
    };
    Some(address.to_canonical())
}

fn address(text: Option<&str>) -> Result<Option<IpAddr>, Error> {
    let Some(text) = present(text) else { return Ok(None) };
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(Some(address.to_canonical())),
        Err(_) => Err(Error::NotAnAddress(text.to_owned())),
    }
}

/// The text, unless it is empty: `""` is absent.
fn present(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}
