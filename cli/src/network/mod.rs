//! `sealane network`: the words of `docker network`, over conflists and what the kernel has.
mod create;
mod error;
mod filter;
mod inspect;
mod list;
mod nodes;
mod prune;
mod remove;
mod shared;
mod status;
mod usage;
mod users;
mod view;

pub(crate) use nodes::{in_use, listed};
pub(crate) use shared::PATIENCE;
pub(crate) use view::View;

use crate::{args::NetworkVerb, container, say};
use cni::Fail;
use networks::{Definition, Folder};

/// Does what was asked for.
pub(crate) fn run(verb: NetworkVerb) -> Result<(), Fail> {
    match verb {
        NetworkVerb::Create(create) => create::create(create),
        NetworkVerb::Ls(list) => list::list(&list),
        NetworkVerb::Inspect(inspect) => inspect::inspect(&inspect),
        NetworkVerb::Rm(remove) => remove::remove(&remove),
        NetworkVerb::Prune(prune) => prune::prune(&prune),
        NetworkVerb::Connect(connect) => container::connect(&connect),
        NetworkVerb::Disconnect(disconnect) => container::disconnect(&disconnect),
    }
}

/// All networks. Files that are none are mentioned: somebody may be looking for what is in them.
pub(crate) fn all(folder: &Folder) -> Result<Vec<Definition>, Fail> {
    let listing = folder.listing()?;
    for broken in listing.broken {
        say::failure(&broken);
    }
    Ok(listing.networks)
}

/// Goes on after a failure, so that what can be done is done; the last failure is the command's.
pub(crate) fn each<T>(names: &[T], mut act: impl FnMut(&T) -> Result<(), Fail>) -> Result<(), Fail> {
    let mut last = Ok(());
    for name in names {
        let outcome = act(name);
        if outcome.is_err()
            && let Err(fail) = std::mem::replace(&mut last, outcome)
        {
            say::failure(&*fail);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_failure_is_done_too() {
        let mut done = Vec::new();
        let outcome = each(&[1, 2, 3], |number| {
            done.push(*number);
            if *number == 2 {
                Err(error::Error::NotKeyValue { what: "--opt", value: "x".into() }.into())
            } else {
                Ok(())
            }
        });
        assert!(outcome.is_err());
        assert_eq!(done, [1, 2, 3]);
    }
}
