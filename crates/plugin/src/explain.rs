//! `sealane explain`: the plan of an ADD, and nothing changed.
use crate::{
    Lease, Plugin, Recipe, complete, detach::departure, duplicates, endpoint::Endpoint, error::Error, ipam,
    mtu,
};
use cni::{AddResult, Attachment, Call, Fail, Handler};
use kernel::Netns;
use plan::{Facts, Places, Plan};

/// A plugin that can say what an ADD would do.
pub trait Explain: Handler {
    /// What an ADD would do, and answer, after those before it in its chain have done this. The addresses are those that IPAM would give now; those of
    /// an IPAM plugin that is not ours are not known beforehand, and left out with a line that says so.
    fn explain(&self, call: &Call, at: &Attachment, before: &Plan) -> Result<Explained, Fail>;

    /// Whether the plugin comes after others in a network's list ([`Recipe::CHAINED`]).
    fn is_chained(&self) -> bool;
}

/// What an ADD would do.
#[derive(Debug)]
pub struct Explained {
    /// What is not known beforehand, a line each.
    pub notes: String,
    /// Its steps.
    pub plan: Plan,
    /// What it would answer.
    pub answer: AddResult,
}

impl<R: Recipe> Explain for Plugin<R> {
    fn is_chained(&self) -> bool {
        R::CHAINED
    }

    fn explain(&self, call: &Call, at: &Attachment, before: &Plan) -> Result<Explained, Fail> {
        let call = &*complete::<R>(call);
        let config = R::configure(call)?;
        let machine = kernel::machine_id().map_err(Error::Kernel)?;
        let endpoint = Endpoint::new(call, at, machine, R::mac(&config))?;
        let netns = there::<R>(&endpoint)?;
        let mut places = Places::new(netns, departure()).on(&call.network);
        let (mut notes, lease) = preview::<R>(call, at)?;
        let asked = R::asks_about(&config, &endpoint, &lease);
        let (facts, unknown) = Facts::foresee(&asked, before, &mut places).map_err(Error::Plan)?;
        if notes.is_empty() {
            R::accept(call, &config, &lease)?;
        }
        let later = |path: &Vec<String>| {
            format!("# what net/{} is before is known when {} is there\n", path.join("/"), at.ifname)
        };
        notes.extend(unknown.iter().map(later));
        let endpoint = endpoint.of_lease::<R>(&config, &lease);
        let plan = duplicates::plan::<R>(&config, &endpoint, &lease, &facts);
        duplicates::refuse_plan(&plan)?;
        mtu::refuse::<R>(&plan, &endpoint, &lease, &facts)?;
        plan.refuse_after(before, &mut places).map_err(Error::Plan)?;
        let answer = R::result(call, &config, &endpoint, &lease, &facts);
        Ok(Explained { notes, plan, answer })
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
