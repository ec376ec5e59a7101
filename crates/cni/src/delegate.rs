//! Calling another plugin with our own configuration: what a main plugin does with its IPAM plugin (CNI spec 1.1, section 4).
//!
//! # Theory of operation
//! The plugin is always looked for in `CNI_PATH`, as the specification says, so whoever puts another one there gets that one
//! run. Only when the file found *is this very program*, and so would do exactly what we would, the exec is spared and the plugin
//! runs in this process.
use crate::{
    error::{Error, Fail},
    exec::{self, Exec},
    program,
    request::{Attachment, AttachmentId, Call, Verb},
    result::AddResult,
    serve::Handler,
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// A plugin that is part of this program: its name and what it does.
pub type BuiltIn = (&'static str, &'static dyn Handler);

/// The plugins that need no exec when the file found is this very program.
#[derive(Clone, Copy)]
pub struct Delegates {
    /// Their names and what they do.
    pub built_in: &'static [BuiltIn],
}

/// Where a delegate was found.
enum Found {
    Here(&'static dyn Handler),
    There(PathBuf),
}

impl Delegates {
    /// ADD by the plugin of this name. Fails as the plugin does, with its own code and words.
    pub fn add(&self, call: &Call, at: &Attachment, plugin: &str) -> Result<AddResult, Fail> {
        match self.find(call, plugin)? {
            // As if it had been printed: an old version holds less, and the runtime must not see more than was made.
            Found::Here(handler) => Ok(handler.add(call, at)?.through(call.version)?),
            Found::There(program) => exec::result(&run(&program, Verb::Add, call, Some(at))?, call.version),
        }
    }

    /// CHECK by the plugin of this name.
    pub fn check(&self, call: &Call, at: &Attachment, plugin: &str) -> Result<(), Fail> {
        match self.find(call, plugin)? {
            Found::Here(handler) => handler.check(call, at),
            Found::There(program) => run(&program, Verb::Check, call, Some(at)).map(drop),
        }
    }

    /// DEL by the plugin of this name.
    pub fn del(&self, call: &Call, at: &Attachment, plugin: &str) -> Result<(), Fail> {
        match self.find(call, plugin)? {
            Found::Here(handler) => handler.del(call, at),
            Found::There(program) => run(&program, Verb::Del, call, Some(at)).map(drop),
        }
    }

    /// GC by the plugin of this name. `valid` may be more than what the call says.
    pub fn gc(&self, call: &Call, valid: &[AttachmentId], plugin: &str) -> Result<(), Fail> {
        match self.find(call, plugin)? {
            Found::Here(handler) => handler.gc(call, valid),
            Found::There(program) => {
                let stdin = call.with_valid(valid);
                hand(&program, Verb::Gc, (call, &stdin), None).map(drop)
            }
        }
    }

    /// STATUS of the plugin of this name.
    pub fn status(&self, call: &Call, plugin: &str) -> Result<(), Fail> {
        match self.find(call, plugin)? {
            Found::Here(handler) => handler.status(call),
            Found::There(program) => run(&program, Verb::Status, call, None).map(drop),
        }
    }

    fn find(&self, call: &Call, plugin: &str) -> Result<Found, Error> {
        let program = find(plugin, &call.cni_path)?;
        let built_in = self.built_in.iter().find(|(name, handler)| {
            *name == plugin && handler.versions().contains(&call.version) && program::is_this_one(&program)
        });
        Ok(built_in.map_or(Found::There(program), |(_, handler)| Found::Here(*handler)))
    }
}

/// The first regular file of this name in the folders.
pub(crate) fn find(plugin: &str, path: &[PathBuf]) -> Result<PathBuf, Error> {
    if plugin.is_empty() {
        return Err(Error::NoPluginName);
    }
    if plugin.contains('/') {
        return Err(Error::PluginName(plugin.to_owned()));
    }
    if path.is_empty() {
        return Err(Error::NoPath);
    }
    let mut candidates = path.iter().map(|folder| folder.join(plugin));
    let found = candidates.find(|file| file.metadata().is_ok_and(|file| file.is_file()));
    found.ok_or_else(|| Error::PluginNotFound { plugin: plugin.to_owned(), path: path.to_owned() })
}

/// The plugin's output. It gets our environment, in which only the command differs when we were called by one ourselves.
fn run(program: &Path, verb: Verb, call: &Call, at: Option<&Attachment>) -> Result<Vec<u8>, Fail> {
    hand(program, verb, (call, &call.stdin), at)
}

/// The same with this configuration in the place of the call's own.
fn hand(
    program: &Path,
    verb: Verb,
    (call, stdin): (&Call, &[u8]),
    at: Option<&Attachment>,
) -> Result<Vec<u8>, Fail> {
    let mut env: Vec<(&str, OsString)> = vec![("CNI_COMMAND", verb.as_str().into())];
    if let Ok(path) = std::env::join_paths(&call.cni_path) {
        env.push(("CNI_PATH", path));
    }
    if !call.args.as_str().is_empty() {
        env.push(("CNI_ARGS", call.args.as_str().into()));
    }
    if let Some(at) = at {
        env.push(("CNI_CONTAINERID", at.container.as_str().into()));
        env.push(("CNI_IFNAME", at.ifname.as_str().into()));
        env.extend(at.netns.iter().map(|netns| ("CNI_NETNS", netns.into())));
    }
    exec::run(&Exec { program, env: &env, stdin, run: exec::PLAINLY })
}
