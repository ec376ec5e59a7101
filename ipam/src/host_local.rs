//! `host-local`: addresses out of ranges, reserved in files of this host.
use crate::{
    allocate::{Claim, refuse_if_full},
    config::{self, Config, WhenFull},
    gone::Evidence,
    held::check_held,
    lease::{Leases, boot_id},
    release::{release_all_but, release_from},
    resolv_conf,
    store::Store,
};
use cni::{AddResult, Attachment, AttachmentId, Call, Dns, Fail, Handler, Ip};
use std::{borrow::Cow, path::PathBuf};

/// The plugin; see [`Handler`].
#[derive(Debug)]
pub struct HostLocal;

impl Handler for HostLocal {
    fn name(&self) -> &'static str {
        "host-local"
    }

    fn add(&self, call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
        let asked = Asked::of(call, at)?;
        let ips = asked.claim(call).allocate(&|_, _| Ok(Cow::from(&asked.config.sets)))?;
        Ok(asked.answer(ips))
    }

    fn check(&self, call: &Call, at: &Attachment) -> Result<(), Fail> {
        let data_dir = config::data_dir(call)?;
        Ok(check_held(&call.network, &attachment_id(at), &data_dir, self.name())?)
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
        let evidence = Evidence { network: &call.network, data_dir: &data_dir, leases: &leases, boot: &boot };
        Ok(refuse_if_full(&sets, &Store::unlocked(&data_dir, &call.network), &evidence)?)
    }
}

/// What ADD would answer now; nothing is written.
pub(crate) fn preview(call: &Call, at: &Attachment) -> Result<AddResult, Fail> {
    let asked = Asked::of(call, at)?;
    let ips = asked.claim(call).preview(&|_, _| Ok(Cow::from(&asked.config.sets)))?;
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
        Claim {
            requested: &self.config.requested,
            data_dir: &self.config.data_dir,
            network: &call.network,
            id: &self.id,
            netns: &self.netns,
            leads: None,
        }
    }

    fn answer(self, ips: Vec<Ip>) -> AddResult {
        AddResult { ips, dns: self.dns, routes: self.config.routes, ..AddResult::default() }
    }
}

pub(crate) fn attachment_id(at: &Attachment) -> AttachmentId {
    AttachmentId { container: at.container.clone(), ifname: at.ifname.clone() }
}
