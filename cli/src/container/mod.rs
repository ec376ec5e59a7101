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
