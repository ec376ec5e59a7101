//! `sealane explain`: the plan of an ADD, and nothing changed.
use crate::{
    Lease, Plugin, Recipe, detach::departure, duplicates, endpoint::Endpoint, error::Error, ipam, mtu,
};
use cni::{AddResult, Attachment, Call, Fail, Handler};
use kernel::Netns;
use plan::{Facts, Places};

/// A plugin that can say what an ADD would do.
pub trait Explain: Handler {
    /// One step a line, and what the ADD would answer. The addresses are those that IPAM would give now; those of an IPAM plugin
    /// that is not ours are not known beforehand, and left out with a line that says so.
    fn explain(&self, call: &Call, at: &Attachment) -> Result<(String, AddResult), Fail>;
}

impl<R: Recipe> Explain for Plugin<R> {
    fn explain(&self, call: &Call, at: &Attachment) -> Result<(String, AddResult), Fail> {
        let config = R::configure(call)?;
        let machine = kernel::machine_id().map_err(Error::Kernel)?;
        let endpoint = Endpoint::new(call, at, machine, R::mac(&config))?;
        let netns = there::<R>(&endpoint)?;
        let mut places = Places::new(netns, departure());
        let (note, lease) = preview::<R>(call, at)?;
        let facts =
            Facts::answer(&R::asks_about(&config, &endpoint, &lease), &mut places).map_err(Error::Plan)?;
        if note.is_empty() {
            R::accept(call, &config, &lease)?;
        }
        let plan = duplicates::plan::<R>(&config, &endpoint, &lease, &facts);
        mtu::refuse::<R>(&plan, &endpoint, &lease, &facts)?;
        Ok((format!("{note}{plan}"), R::result(call, &config, &endpoint, &lease, &facts)))
    }
}

/// The container's namespace. That there is none yet does not matter, that it is the wrong one does.
fn there<R: Recipe>(endpoint: &Endpoint) -> Result<Option<Netns>, Error> {
    match endpoint.netns::<R>() {
        Err(Error::Netns { .. }) => Ok(None),
        other => other.map(Some),
    }
}

fn preview<R: Recipe>(call: &Call, at: &Attachment) -> Result<(String, Lease), Fail> {
    if R::CHAINED {
        return Ok((String::new(), call.prev_result.clone().ok_or(Error::NotChained)?));
    }
    match ipam::<R>(call) {
        None => Ok((String::new(), Lease::default())),
        Some(ipam) if !ipam::BUILT_IN.iter().any(|(name, _)| *name == ipam) => Ok((
            format!("# addresses come from {ipam} at ADD, and with them steps that are not shown\n"),
            Lease::default(),
        )),
        Some(_) => Ok((String::new(), ipam::preview(call, at)?)),
    }
}
