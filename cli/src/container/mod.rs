//! `sealane run`, `exec`, `ps`, `port`, `inspect`, `logs`, `stop` and `rm`, and `network connect` and `disconnect`: processes in
//! namespaces of their own, in docker's words and without images.
//!
//! # Theory of operation
//! There is no daemon. What is known of a container lies in its folder (`registry.rs`), and who looks after it is its keeper
//! (`keeper.rs`): a process that waits for its end, and takes it off its networks then. Everybody else reads the folder, and
//! asks the kernel for what the kernel knows better.
mod attach;
mod choice;
mod claim;
mod connect;
mod error;
mod etc;
mod exec;
mod files;
mod filter;
mod holder;
mod home;
mod id;
mod inspect;
mod keeper;
mod known;
mod log;
mod logs;
mod made_up;
mod member;
mod moment;
mod names;
mod order;
mod port;
mod ports;
mod ps;
mod published;
mod record;
mod refusal;
mod registry;
mod remove;
mod run;
mod seen;
mod shim;
mod stop;
mod unreadable;

pub(crate) use connect::{connect, disconnect};
pub(crate) use exec::exec;
pub(crate) use inspect::inspect;
pub(crate) use logs::logs;
pub(crate) use member::{Member, Members, members};
pub(crate) use port::port;
pub(crate) use ports::{InvalidPort, Protocol, ports_of, protocol_of};
pub(crate) use ps::ps;
pub(crate) use remove::remove;
pub(crate) use run::run;
pub(crate) use seen::{Seen, sandboxes};
pub(crate) use shim::shim;
pub(crate) use stop::stop;
