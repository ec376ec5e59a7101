//! The runtime's side of CNI: load a network, run its chain of plugins, remember what ADD gave. It behaves as libcni
//! does and shares its cache, so that either can take down what the other has set up.
//!
//! # Theory of operation
//! A [`Network`] is read from a file. For each verb the [`Runtime`] goes through its plugins (DEL backwards), derives
//! each one's request from its configuration (`derive.rs`), runs it and feeds the result of an ADD to the next. Only a
//! complete ADD is cached; a later CHECK or DEL gives the cached result to the plugins as `prevResult`. Nothing is held
//! or locked meanwhile: one attachment's verbs one after the other is what the specification asks of the caller.
mod attachment;
mod cache;
mod chain;
mod conflist;
mod derive;
mod encode;
mod error;
mod files;
mod list;
mod plugin;
mod preview;

pub use crate::exec::{PLAINLY, Run};
pub use attachment::{AttachmentError, RuntimeAttachment};
pub use cache::{Cache, CachedAttachment, DEFAULT_CACHE_DIR};
pub use chain::Runtime;
pub use conflist::Network;
pub use error::{CacheError, ConfigError, Error, GcError, PluginError};
pub use plugin::PluginConfig;
