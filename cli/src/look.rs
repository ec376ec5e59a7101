//! The one place with an async runtime: what the kernel has is read on it, and everybody else stays synchronous.
use cni::{Code, Failure};
use kernel::{Netns, Watch};
use std::{future::Future, io, path::Path};
use tokio::runtime::Builder;
use types::{IfName, Mac, Prefix};

/// Why the kernel could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No epoll instance.
    #[error("could not get ready to read the kernel's answers")]
    Runtime(#[source] io::Error),
    /// The kernel had another answer than the one that was hoped for.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
}

/// Runs a question to its answer, on this thread; [`kernel::Watch::open`] works in it.
pub(crate) fn look<T>(question: impl Future<Output = Result<T, kernel::Error>>) -> Result<T, Error> {
    let runtime = Builder::new_current_thread().enable_io().build().map_err(Error::Runtime)?;
    Ok(runtime.block_on(question)?)
}

/// An interface of a container as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its MAC address, if it is of that kind.
    pub(crate) mac: Option<Mac>,
    /// Its addresses, but link-local ones.
    pub(crate) addresses: Vec<Prefix>,
}

/// The interface of this name in the network namespace of this file; none if there is none of that name.
pub(crate) async fn interface(netns: &Path, name: &IfName) -> Result<Option<Interface>, kernel::Error> {
    let watch = Netns::open(netns)?.run(Watch::open)??;
    let links = watch.links().await?;
    let Some(link) = links.iter().find(|link| link.name == *name) else { return Ok(None) };
    let all = watch.addresses().await?;
    let of_link = all.iter().filter(|address| address.link == link.index).map(|address| address.prefix);
    let addresses = of_link.filter(|prefix| !is_link_local(*prefix)).collect();
    Ok(Some(Interface { mac: link.mac, addresses }))
}

/// `fe80::/10`, which the kernel itself gives each interface.
fn is_link_local(prefix: Prefix) -> bool {
    matches!(prefix.address(), std::net::IpAddr::V6(address) if address.is_unicast_link_local())
}

impl Failure for Error {
    fn code(&self) -> Code {
        match self {
            Self::Runtime(_) | Self::Kernel(_) => Code::Kernel,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Runtime(_) => Some("too many files are open: raise `ulimit -n`".into()),
            Self::Kernel(cause) => cause.hint(),
        }
    }
}
