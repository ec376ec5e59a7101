//! The verbs over a network's whole chain of plugins (CNI spec 1.1, section 3; libcni `api.go`).
use super::attachment::RuntimeAttachment;
use super::cache::{Cache, CachedAttachment};
use super::conflist::Network;
use super::derive;
use super::error::{Error, GcError, PluginError};
use super::plugin::PluginConfig;
use crate::delegate::find;
use crate::error::{Code, Failure as _};
use crate::exec::{self, Exec, Run};
use crate::json;
use crate::request::AttachmentId;
use crate::result::AddResult;
use crate::version::Version;
use serde_json::Value;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A runtime: where its plugins are and where it remembers what they did.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The folders with the plugins (`CNI_PATH`), in the order they are looked into.
    pub path: Vec<PathBuf>,
    /// The folder of the cache: [`super::DEFAULT_CACHE_DIR`] is the one every libcni runtime shares.
    pub cache_dir: PathBuf,
    /// How each plugin's command is run, such as with its signals.
    pub run: Run,
}

impl Runtime {
    /// ADD: each plugin gets the result of the one before, and the last one's is remembered and returned, in the version
    /// the plugin gave it. The first failure ends it, with what came before left standing: the caller owes a DEL.
    pub fn add(&self, network: &Network, at: &RuntimeAttachment) -> Result<Value, Error> {
        at.validate()?;
        let mut result = None;
        for plugin in &network.plugins {
            let added = self.add_one(network, plugin, at, result.as_ref());
            result = Some(added.map_err(|source| Error::plugin(plugin, "add", source))?);
        }
        let result = result.unwrap_or_default();
        self.cache().store(network, at, &result).map_err(|source| Error::cache("set", network, source))?;
        Ok(result)
    }

    /// CHECK, from 0.4.0 on: each plugin gets the remembered result; with none it is for the plugins to say so.
    pub fn check(&self, network: &Network, at: &RuntimeAttachment) -> Result<(), Error> {
        at.validate()?;
        if network.version < Version::V0_4_0 {
            return Err(Error::NoCheck(network.version.as_str()));
        }
        if network.disable_check {
            return Ok(());
        }
        let cached =
            self.cache().result(network, at).map_err(|source| Error::cache("get", network, source))?;
        for plugin in &network.plugins {
            self.attach(network, plugin, at, "CHECK", cached.as_ref()).map_err(Error::Answer)?;
        }
        Ok(())
    }

    /// CHECK of the plugins of this type alone, and ADD again of those that fail it with code 102, with the remembered result: for one that
    /// answers what it was given, and replaces what an ADD before has made. What each had missed, in its own words.
    pub fn renew(&self, network: &Network, at: &RuntimeAttachment, kind: &str) -> Result<Vec<String>, Error> {
        if network.disable_check {
            return Ok(Vec::new());
        }
        let cached =
            self.cache().result(network, at).map_err(|source| Error::cache("get", network, source))?;
        let mut missed = Vec::new();
        for plugin in network.plugins.iter().filter(|plugin| plugin.kind == kind) {
            let call = |verb| self.attach(network, plugin, at, verb, cached.as_ref()).map_err(Error::Answer);
            match call("CHECK") {
                Err(fail) if fail.passed_on().is_some_and(|reply| reply.code == Code::Check as u32) => {
                    missed.push(fail.to_string());
                    call("ADD")?;
                }
                other => drop(other?),
            }
        }
        Ok(missed)
    }

    /// DEL: the plugins in reverse, each with the remembered result (from 0.4.0 on). A result that cannot be read is as
    /// good as none: what is left must still go.
    pub fn del(&self, network: &Network, at: &RuntimeAttachment) -> Result<(), Error> {
        at.validate()?;
        let cache = self.cache();
        let forget = |_| {
            cache.remove(network, at);
            None
        };
        let cached = match network.version {
            old if old < Version::V0_4_0 => None,
            _ => cache.result(network, at).unwrap_or_else(forget),
        };
        for plugin in network.plugins.iter().rev() {
            let outcome = self.attach(network, plugin, at, "DEL", cached.as_ref());
            outcome.map_err(|source| Error::plugin(plugin, "delete", source))?;
        }
        cache.remove(network, at);
        Ok(())
    }

    /// GC: first a DEL for every remembered attachment of the network that is not valid any more, then, from 1.1.0 on, GC
    /// to every plugin with the valid ones. It goes on after a failure and reports them all.
    pub fn gc(&self, network: &Network, valid: &[AttachmentId]) -> Result<(), Error> {
        if network.disable_gc {
            return Ok(());
        }
        let mut failures = Vec::new();
        for stale in self.stale(network, valid)? {
            if let Err(source) = self.del(network, &stale) {
                let RuntimeAttachment { container, ifname, .. } = stale;
                failures.push(GcError::Stale { container, ifname, source: Box::new(source) });
            }
        }
        if network.version >= Version::V1_1_0 {
            for plugin in &network.plugins {
                if let Err(source) = self.collect(network, plugin, valid) {
                    failures.push(GcError::Plugin { plugin: plugin.kind.clone(), source });
                }
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(Error::Gc(failures)) }
    }

    /// STATUS, from 1.1.0 on: whether every plugin could serve an ADD now. The first that could not says why.
    pub fn status(&self, network: &Network) -> Result<(), Error> {
        if network.version < Version::V1_1_0 {
            return Ok(());
        }
        for plugin in &network.plugins {
            let request = derive::status(network, plugin)
                .map_err(|error| Error::Answer(PluginError::Request(error)))?;
            self.run(plugin, &RuntimeAttachment::default(), "STATUS", &request).map_err(Error::Answer)?;
        }
        Ok(())
    }

    /// What this runtime remembers.
    pub fn cache(&self) -> Cache {
        Cache::new(&self.cache_dir)
    }

    fn add_one(
        &self,
        network: &Network,
        plugin: &PluginConfig,
        at: &RuntimeAttachment,
        previous: Option<&Value>,
    ) -> Result<Value, PluginError> {
        let printed = json::parse(&self.attach(network, plugin, at, "ADD", previous)?)?;
        let version = json::field(&printed, "cniVersion").and_then(Value::as_str);
        let version = version.and_then(|text| text.parse().ok()).unwrap_or(network.version);
        let result = AddResult::from_json(printed.clone(), network.version)?;
        // 0.2.0 has no form for a result without an address; what the plugin printed is one all the same.
        Ok(result.to_json(version).unwrap_or(printed))
    }

    fn attach(
        &self,
        network: &Network,
        plugin: &PluginConfig,
        at: &RuntimeAttachment,
        verb: &str,
        previous: Option<&Value>,
    ) -> Result<Vec<u8>, PluginError> {
        let request =
            derive::attach(network, plugin, previous, &at.capability_args).map_err(PluginError::Request)?;
        self.run(plugin, at, verb, &request)
    }

    fn collect(
        &self,
        network: &Network,
        plugin: &PluginConfig,
        valid: &[AttachmentId],
    ) -> Result<(), PluginError> {
        let request = derive::collect(network, plugin, valid).map_err(PluginError::Request)?;
        self.run(plugin, &RuntimeAttachment::default(), "GC", &request).map(drop)
    }

    fn stale(&self, network: &Network, valid: &[AttachmentId]) -> Result<Vec<RuntimeAttachment>, Error> {
        let valid: HashSet<_> = valid.iter().map(|id| (id.container.as_str(), id.ifname.as_str())).collect();
        let is_stale = |cached: &CachedAttachment| {
            let at = &cached.attachment;
            cached.network == network.name.as_str()
                && !valid.contains(&(at.container.as_str(), at.ifname.as_str()))
        };
        let cached = self.cache().attachments()?;
        Ok(cached.into_iter().filter(is_stale).map(|cached| cached.attachment).collect())
    }

    fn run(
        &self,
        plugin: &PluginConfig,
        at: &RuntimeAttachment,
        verb: &str,
        request: &[u8],
    ) -> Result<Vec<u8>, PluginError> {
        let program = find(&plugin.kind, &self.path)?;
        let env = [
            ("CNI_COMMAND", verb.into()),
            ("CNI_CONTAINERID", at.container.clone().into()),
            ("CNI_NETNS", at.netns.clone().into()),
            ("CNI_ARGS", at.args_text().into()),
            ("CNI_IFNAME", at.ifname.clone().into()),
            ("CNI_PATH", self.path_text()),
        ];
        let run = self.run;
        exec::run(&Exec { program: &program, env: &env, stdin: request, run }).map_err(PluginError::Run)
    }

    fn path_text(&self) -> OsString {
        let folders: Vec<_> = self.path.iter().map(|folder| folder.as_os_str()).collect();
        folders.join(OsStr::new(":"))
    }
}
