//! The call that a plugin would get, for what explains an ADD without making it.
use super::attachment::{AttachmentError, RuntimeAttachment};
use super::chain::Runtime;
use super::conflist::Network;
use super::derive;
use super::error::PluginError;
use super::plugin::PluginConfig;
use crate::args::Args;
use crate::delegate::find;
use crate::error::Fail;
use crate::request::{Attachment, Call, Verb};
use crate::result::AddResult;
use crate::version::Version;
use std::path::PathBuf;

impl Runtime {
    /// The executable of a plugin, which a call would run.
    pub fn program(&self, plugin: &PluginConfig) -> Result<PathBuf, Fail> {
        Ok(find(&plugin.kind, &self.path)?)
    }

    /// What a plugin of the network would be called with for an ADD, after plugins that would have answered `previous`.
    pub fn preview(
        &self,
        network: &Network,
        plugin: &PluginConfig,
        at: &RuntimeAttachment,
        previous: Option<AddResult>,
    ) -> Result<(Call, Attachment), Fail> {
        at.validate()?;
        let request =
            derive::attach(network, plugin, None, &at.capability_args).map_err(PluginError::Request)?;
        let args = Args::new(at.args_text());
        let call = Call::new(Verb::Add, request, args, self.path.clone(), &Version::ALL)?;
        let call = Call { prev_result: previous.or(call.prev_result), ..call };
        let container = at.container.parse().map_err(|_| AttachmentError::Container(at.container.clone()))?;
        let ifname = at.ifname.parse().map_err(|_| AttachmentError::Interface(at.ifname.clone()))?;
        Ok((call, Attachment { container, ifname, netns: Some(PathBuf::from(&at.netns)) }))
    }
}
