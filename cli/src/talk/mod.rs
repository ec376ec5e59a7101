//! `sealane serve` and `sealane fetch`: something to be behind a published port, and something that asks it, where nothing
//! else is installed. They speak HTTP, so that either end can be any other program, and plain datagrams.
mod error;
mod fetch;
mod serve;
mod target;

pub(crate) use fetch::fetch;
pub(crate) use serve::serve;
