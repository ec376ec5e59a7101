//! CHECK and STATUS: they look and change nothing.
use crate::{Lease, Recipe, detach::departure, endpoint::Endpoint, error::Error};
use cni::{AddResult, Attachment, Call, Delegates, Fail};
use plan::{Facts, Places};

pub(crate) fn check<R: Recipe>(delegates: &Delegates, call: &Call, at: &Attachment) -> Result<(), Fail> {
    let config = R::configure(call)?;
    let reported = call.prev_result.as_ref().ok_or(Error::NoPrevResult)?;
    if let Some(ipam) = call.ipam_type.as_deref() {
        delegates.check(call, at, ipam)?;
    }
    let endpoint = Endpoint::new(call, at, String::new(), R::mac(&config))?.as_reported(reported);
    let netns = endpoint.netns::<R>()?;
    let mut places = Places::new(Some(netns), departure());
    let facts = Facts::answer(&R::asks(&config), &mut places).map_err(Error::Plan)?;
    let plan = R::plan(&config, &endpoint, &leased(reported, &endpoint), &facts);
    Ok(plan::check(&plan, &mut places).map_err(Error::Plan)?)
}

pub(crate) fn status(delegates: &Delegates, call: &Call) -> Result<(), Fail> {
    call.ipam_type.as_deref().map_or(Ok(()), |ipam| delegates.status(call, ipam))
}

/// The part of a chain's result that is this attachment's: the addresses of its interface, and the routes.
fn leased(reported: &AddResult, endpoint: &Endpoint) -> Lease {
    let ours = |index: Option<u32>| match index.and_then(|index| reported.interfaces.get(index as usize)) {
        Some(interface) => interface.name == endpoint.ifname.as_str(),
        None => true,
    };
    let ips = reported.ips.iter().filter(|ip| ours(ip.interface)).cloned().collect();
    Lease { ips, routes: reported.routes.clone(), ..Lease::default() }
}
