//! What the main of every plugin does: request, lease, plan, record, apply, answer. A plugin is a [`Recipe`]; the rest
//! is here, once.
//!
//! # Theory of operation
//! ADD writes its record before it changes anything, asks the IPAM plugin for addresses, makes the plan from them and
//! from the facts, and applies it. Whatever fails, what was done is taken back and the record goes last. Whatever is
//! killed, the record stays, and the next ADD or DEL or GC takes back what it announces. DEL needs nothing but the
//! record: links first, so that an address is never free while somebody still answers to it; then the lease; then the
//! record.
//!
//! A chained plugin comes after others: their result (`prevResult`) takes the place of the IPAM plugin's answer, and is what
//! it answers itself, as it came. One that has nothing to do writes no record, asks the kernel nothing and looks for no
//! machine ID: most containers publish no port.
mod attach;
mod detach;
mod duplicates;
mod endpoint;
mod error;
mod explain;
mod inspect;
pub mod interface;
pub mod keys;
mod masquerade;
mod mtu;
pub mod pair;
mod port_mapping;
mod unrecorded;
mod uses;

pub use endpoint::{Endpoint, shared_mac};
pub use error::Error;
pub use explain::{Explain, Explained};
pub use masquerade::{Masquerade, UnknownBackend};
pub use port_mapping::{HostPort, InvalidMapping, PortMapping, RawPortMapping};
pub use uses::{CHAINED, FIRST};

use cni::{AddResult, Attachment, AttachmentId, Call, Delegates, Fail, Handler, Version};
use plan::{Facts, Plan, Query};
use std::{borrow::Cow, marker::PhantomData, process::ExitCode};

/// A plugin, as pure functions. It never calls the kernel, reads a file or a clock.
pub trait Recipe: Sync {
    /// The CNI name: of the executable and of `type` in a configuration.
    const NAME: &'static str;

    /// The versions of configurations that it takes, oldest first.
    const VERSIONS: &'static [Version] = &Version::ALL;

    /// Whether its containers have the host's network namespace instead of one of their own.
    const SHARES_NETNS: bool = false;

    /// Whether it works on what plugins before it in the chain have made. ADD then needs their result, which the recipe gets as
    /// its lease; and no IPAM plugin is asked.
    const CHAINED: bool = false;

    /// Whether containers of the network hear each other's frames, so that no two may have one MAC address.
    const IS_SEGMENT: bool = true;

    /// The IPAM plugin that is asked where the configuration names none.
    const IPAM: Option<&'static str> = None;

    /// Whether it works in the container's namespace, which its record then knows for certain.
    const INSIDE: bool = !Self::CHAINED;

    /// Whether what it has found is no longer there once it is done, so that no second look can tell what its steps were: CHECK then takes
    /// them from the record, if there is one.
    const MOVES: bool = false;

    /// What the configuration means: it cannot hold nonsense.
    type Config;

    /// Reads and refuses the configuration: the one place that does, before anything is changed.
    fn configure(call: &Call) -> Result<Self::Config, Fail>;

    /// STATUS, besides that of the IPAM plugin: whether an ADD could be served now.
    fn status(_call: &Call) -> Result<(), Fail> {
        Ok(())
    }

    /// What the plan must know of the host.
    fn asks(_config: &Self::Config, _endpoint: &Endpoint) -> Vec<Query> {
        Vec::new()
    }

    /// The same, now that the addresses are known.
    fn asks_about(config: &Self::Config, endpoint: &Endpoint, _lease: &Lease) -> Vec<Query> {
        Self::asks(config, endpoint)
    }

    /// What stands in for an IPAM plugin's answer: that of the plugins before it in the chain.
    fn given(call: &Call, _config: &Self::Config) -> Option<Lease> {
        call.prev_result.clone().filter(|_| Self::CHAINED)
    }

    /// The address that the container's interface was asked to have.
    fn mac(_config: &Self::Config) -> Option<types::Mac> {
        None
    }

    /// Refuses a lease that the plugin can't work with.
    fn accept(_call: &Call, _config: &Self::Config, _lease: &Lease) -> Result<(), Fail> {
        Ok(())
    }

    /// The MAC address of the container's interface where it follows from its addresses, and not from a hash of its names.
    fn mac_of(_config: &Self::Config, _lease: &Lease) -> Option<types::Mac> {
        None
    }

    /// The steps of an attachment.
    fn plan(config: &Self::Config, endpoint: &Endpoint, lease: &Lease, facts: &Facts) -> Plan;

    /// What ADD answers: in a chain what came before, where the plugin adds nothing to it.
    fn result(
        _call: &Call,
        _config: &Self::Config,
        _endpoint: &Endpoint,
        lease: &Lease,
        _facts: &Facts,
    ) -> AddResult {
        lease.clone()
    }

    /// Whether an attachment of this configuration that has no record can have left anything. It need not be a configuration that
    /// an ADD would take.
    fn may_remain(_call: &Call) -> bool {
        true
    }

    /// What an attachment without a record may have left: the steps it would own, by name alone. Nothing where all of them are told by
    /// the record alone, which is written before they are there.
    fn remains(_endpoint: &Endpoint) -> Plan {
        Plan::default()
    }

    /// What besides another suite may have left, which keeps no record. Where it is known what ADD answered, the ends are those that it
    /// reported. The configuration need not be one that an ADD would take.
    fn remains_of(_call: &Call, endpoint: &Endpoint, reported: Option<&AddResult>) -> Plan {
        reported.map_or_else(Plan::default, |_| Self::remains(endpoint))
    }
}

/// What an IPAM plugin answered: addresses, routes, name servers. Empty without IPAM. For a chained plugin, what the plugins
/// before it answered.
pub type Lease = AddResult;

/// A recipe as an executable plugin.
pub struct Plugin<R> {
    delegates: Delegates,
    recipe: PhantomData<fn() -> R>,
}

impl<R: Recipe> Plugin<R> {
    /// The plugin of this recipe.
    pub const fn new() -> Self {
        Self { delegates: Delegates { built_in: ipam::BUILT_IN }, recipe: PhantomData }
    }
}

impl<R: Recipe> Default for Plugin<R> {
    fn default() -> Self {
        Self::new()
    }
}

/// The `main` of a plugin's own executable.
pub fn run<R: Recipe>() -> ExitCode {
    cni::serve(&Plugin::<R>::new())
}

impl<R: Recipe> Handler for Plugin<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn versions(&self) -> &'static [Version] {
        R::VERSIONS
    }

    fn may_share_netns(&self) -> bool {
        R::SHARES_NETNS
    }

    fn add(&self, call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
        attach::add::<R>(&self.delegates, &complete::<R>(call), at)
    }

    fn check(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        inspect::check::<R>(&self.delegates, &complete::<R>(call), at)
    }

    fn del(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        detach::del::<R>(&self.delegates, &complete::<R>(call), at)
    }

    fn gc(&self, call: &Call, valid: &[AttachmentId]) -> Result<(), Fail> {
        detach::gc::<R>(&self.delegates, &complete::<R>(call), valid)
    }

    fn status(&self, call: &Call) -> Result<(), Fail> {
        inspect::status::<R>(&self.delegates, &complete::<R>(call))
    }
}

/// The IPAM plugin that is asked for addresses, if any.
fn ipam<R: Recipe>(call: &Call) -> Option<&str> {
    call.ipam_type.as_deref().filter(|_| !R::CHAINED)
}

/// The call, with the IPAM plugin that is asked where it names none.
fn complete<R: Recipe>(call: &Call) -> Cow<'_, Call> {
    match R::IPAM.filter(|_| call.ipam_type.is_none()) {
        Some(ipam) => Cow::Owned(Call { ipam_type: Some(ipam.to_owned()), ..call.clone() }),
        None => Cow::Borrowed(call),
    }
}
