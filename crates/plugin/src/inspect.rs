//! CHECK and STATUS: they look and change nothing.
use crate::{
    Lease, Recipe,
    detach::departure,
    duplicates,
    endpoint::{Endpoint, key},
    error::Error,
    ipam, uses,
};
use cni::{AddResult, Attachment, Call, Delegates, Fail};
use plan::{Facts, Places, State};

pub(crate) fn check<R: Recipe>(delegates: &Delegates, call: &Call, at: &Attachment) -> Result<(), Fail> {
    let config = R::configure(call)?;
    let missing = || if R::CHAINED { Error::NotChainedToCheck } else { Error::NoPrevResult };
    let reported = call.prev_result.as_ref().ok_or_else(missing)?;
    if let Some(ipam) = ipam::<R>(call) {
        delegates.check(call, at, ipam)?;
    }
    let machine = if R::CHAINED { String::new() } else { kernel::machine_id().map_err(Error::Kernel)? };
    let endpoint = Endpoint::new(call, at, machine, R::mac(&config))?.as_reported(reported);
    let netns = endpoint.netns::<R>()?;
    let mut places = Places::new(Some(netns), departure()).on(&call.network);
    let lease = if R::CHAINED { reported.clone() } else { leased(reported, &endpoint) };
    let (state, key) = (State::from_env().map_err(Error::Plan)?, key(call, at, R::NAME));
    let keys = uses::keys::<R>(call);
    let of_use = keys.map_or(Ok(None), |keys| state.use_with(&key, &keys)).map_err(Error::Plan)?;
    let key = of_use.unwrap_or(key);
    let endpoint = endpoint.of_use(key.nth);
    let asked = R::asks_about(&config, &endpoint, &lease);
    let facts = Facts::recall(&asked, &mut places, || state.recorded(&key)).map_err(Error::Plan)?;
    let recorded = if R::MOVES { state.recorded(&key).map_err(Error::Plan)? } else { None };
    let plan = recorded.unwrap_or_else(|| duplicates::plan::<R>(&config, &endpoint, &lease, &facts));
    let check = if state.knows(&key) { plan::check } else { plan::check_the_references };
    Ok(check(&plan, &mut places).map_err(Error::Plan)?)
}

pub(crate) fn status<R: Recipe>(delegates: &Delegates, call: &Call) -> Result<(), Fail> {
    R::status(call)?;
    ipam::<R>(call).map_or(Ok(()), |ipam| delegates.status(call, ipam))
}

/// The part of a chain's result that is this attachment's: the addresses of its interface, and the routes.
pub(crate) fn leased(reported: &AddResult, endpoint: &Endpoint) -> Lease {
    let ours = |index: Option<u32>| match index.and_then(|index| reported.interfaces.get(index as usize)) {
        Some(interface) => interface.name == endpoint.ifname.as_str(),
        None => true,
    };
    let ips = reported.ips.iter().filter(|ip| ours(ip.interface)).cloned().collect();
    Lease { ips, routes: reported.routes.clone(), ..Lease::default() }
}
