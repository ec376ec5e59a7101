//! `sealane run`, `exec`, `ps`, `inspect`, `logs`, `stop` and `rm`.
use crate::args;
use cni::Fail;

pub(crate) fn run(_run: &args::Run) -> Result<u8, Fail> {
    Ok(0)
}
pub(crate) fn exec(_exec: &args::Exec) -> Result<u8, Fail> {
    Ok(0)
}
pub(crate) fn ps(_ps: &args::Ps) -> Result<(), Fail> {
    Ok(())
}
pub(crate) fn inspect(_inspect: &args::Inspect) -> Result<(), Fail> {
    Ok(())
}
pub(crate) fn logs(_logs: &args::Logs) -> Result<(), Fail> {
    Ok(())
}
pub(crate) fn stop(_stop: &args::Stop) -> Result<(), Fail> {
    Ok(())
}
pub(crate) fn remove(_remove: &args::Remove) -> Result<(), Fail> {
    Ok(())
}
pub(crate) fn connect(_connect: &args::Connect) -> Result<(), Fail> {
    Ok(())
}
pub(crate) fn disconnect(_disconnect: &args::Disconnect) -> Result<(), Fail> {
    Ok(())
}
pub(crate) fn shim() -> u8 {
    0
}

/// A container on a network.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The container's name.
    pub(crate) container: String,
    /// Its ID, 64 digits.
    pub(crate) id: String,
    /// What docker calls the endpoint's ID, 64 digits.
    pub(crate) endpoint: String,
    /// The interface in the container.
    pub(crate) ifname: types::IfName,
    /// Its MAC address as the plugin gave it, if it gave one.
    pub(crate) mac: Option<types::Mac>,
    /// Its addresses as the plugin gave them.
    pub(crate) addresses: Vec<types::Prefix>,
    /// The container's first process, as long as the container runs. Its network namespace is /proc/PID/ns/net.
    pub(crate) pid: Option<u32>,
}

/// Who is on a network: containers that run, and those whose keeper was killed, which hold what they had until `rm`.
pub(crate) fn members(_network: &str) -> Result<Vec<Member>, Fail> {
    Ok(Vec::new())
}
