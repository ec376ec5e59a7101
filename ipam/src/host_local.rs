//! `host-local`: addresses out of ranges, reserved in files of this host.
use crate::{
    allocate::{Claim, held_if_full},
    config::{self, Config, WhenFull},
    error::Error,
    gone::Evidence,
    lease::{Leases, Recorded, boot_id},
    release::{release_all_but, release_from},
    resolv_conf,
    store::Store,
};
use cni::{AddResult, Attachment, AttachmentId, Call, Dns, Fail, Handler, Ip};
use std::path::PathBuf;

/// The plugin; see [`Handler`].
#[derive(Debug)]
pub struct HostLocal;

impl Handler for HostLocal {
    fn name(&self) -> &'static str {
        "host-local"
    }

    fn add(&self, call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
        let asked = Asked::of(call, at)?;
        let ips = asked.claim(call).allocate()?;
        Ok(asked.answer(ips))
    }

    fn check(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        let data_dir = config::data_dir(call)?;
        let id = attachment_id(at);
        let mut recorded = Vec::new();
        if let Recorded::Lease(lease) = Leases::of(&call.network)?.read(&id)? {
            let store = Store::unlocked(&lease.data_dir, &call.network);
            let mut holders = lease.addresses.iter().map(|address| store.holder(*address));
            if holders
                .try_fold(true, |all, holder| Ok::<_, Error>(all && holder?.is_some_and(|it| it.is(&id))))?
            {
                return Ok(());
            }
            recorded = lease.addresses;
        }
        // Not ours, or the other suite has been at work since: any reservation will do, as for the reference.
        let found = Store::unlocked(&data_dir, &call.network).addresses_of(&id)?;
        let lost = found.is_empty() || recorded.iter().any(|address| found.contains(address));
        if !lost {
            return Ok(());
        }
        Err(Error::NotHeld { container: id.container.to_string(), recorded }.into())
    }

    fn del(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        let (leases, data_dir) = (Leases::of(&call.network)?, config::data_dir_if_it_can_be(call)?);
        Ok(release_from(&leases, &call.network, &attachment_id(at), &data_dir)?)
    }

    fn gc(&self, call: &Call, valid: &[AttachmentId]) -> Result<(), Fail> {
        Ok(release_all_but(valid, &call.network, &config::data_dir(call)?)?)
    }

    fn status(&self, call: &Call) -> Result<(), Fail> {
        let (when_full, sets) = Config::for_status(call)?;
        if when_full == WhenFull::Ready {
            return Ok(());
        }
        let (data_dir, leases, boot) = (config::data_dir(call)?, Leases::of(&call.network)?, boot_id()?);
        let store = Store::unlocked(&data_dir, &call.network);
        let evidence = Evidence { network: &call.network, data_dir: &data_dir, leases: &leases, boot: &boot };
        for set in &sets {
            if let Some(held) = held_if_full(set, &store, &evidence)? {
                return Err(Error::Unavailable { set: set.to_string(), held }.into());
            }
        }
        Ok(())
    }
}

/// What ADD would answer now; nothing is written.
pub(crate) fn preview(call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
    let asked = Asked::of(call, at)?;
    let ips = asked.claim(call).preview()?;
    Ok(asked.answer(ips))
}

/// What an ADD asks for. Everything that can be refused is refused here, before an address is touched.
struct Asked {
    config: Config,
    dns: Dns,
    id: AttachmentId,
    netns: PathBuf,
}

impl Asked {
    fn of(call: &Call, at: &Attachment) -> Result<Self, Fail> {
        let config = Config::of(call)?;
        let dns = config.resolv_conf.as_deref().map(resolv_conf::read).transpose()?.unwrap_or_default();
        Ok(Self { config, dns, id: attachment_id(at), netns: at.netns.clone().unwrap_or_default() })
    }

    fn claim<'a>(&'a self, call: &'a Call) -> Claim<'a> {
        Claim { config: &self.config, network: &call.network, id: &self.id, netns: &self.netns }
    }

    fn answer(self, ips: Vec<Ip>) -> AddResult {
        AddResult { ips, dns: self.dns, routes: self.config.routes, ..AddResult::default() }
    }
}

fn attachment_id(at: &Attachment) -> AttachmentId {
    AttachmentId { container: at.container.clone(), ifname: at.ifname.clone() }
}
