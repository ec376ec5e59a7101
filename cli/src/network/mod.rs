//! `sealane network`.
mod view;

pub(crate) use view::View;

use crate::{args::NetworkVerb, container};
use cni::Fail;

pub(crate) fn run(verb: NetworkVerb) -> Result<(), Fail> {
    match verb {
        NetworkVerb::Connect(connect) => container::connect(&connect),
        NetworkVerb::Disconnect(disconnect) => container::disconnect(&disconnect),
        _ => Ok(()),
    }
}
