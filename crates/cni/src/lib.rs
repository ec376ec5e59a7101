//! The CNI protocol, both sides of it: what a plugin is asked and what it answers (this level), and what a runtime does to call
//! plugins ([`runtime`]).
//!
//! The reference is libcni 1.3 as the plugins 1.9.1 use it: what it accepts is accepted, what it prints is printed, byte for byte
//! where it says anything, in the order in which it says it.
mod args;
mod config;
mod convert;
mod delegate;
mod environment;
mod error;
mod exec;
pub mod json;
mod program;
mod request;
mod result;
pub mod runtime;
mod serve;
mod version;

pub use args::Args;
pub use convert::ConvertError;
pub use delegate::{BuiltIn, Delegates};
pub use error::{Code, Error, ErrorReply, Fail, Failure};
pub use json::DecodeError;
pub use request::{Attachment, AttachmentId, Call, Configuration, Verb};
pub use result::{AddResult, Dns, Interface, Ip, Route};
pub use serve::{BANNER_VERSION, Handler, serve};
pub use version::{UnknownVersion, Version};
