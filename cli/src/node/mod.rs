//! `sealane node`: the words of `docker node`, over the networks of this host and their stores.
mod error;
mod list;
mod remove;
mod seen;
mod uneven;

pub(crate) use seen::{Seen, look};
pub(crate) use uneven::narrowest;

use crate::args::NodeVerb;
use cni::Fail;

/// Does what was asked for.
pub(crate) fn run(verb: &NodeVerb) -> Result<(), Fail> {
    match verb {
        NodeVerb::Ls(list) => list::list(list),
        NodeVerb::Rm(remove) => remove::remove(remove),
    }
}
