//! `sealane ping`.
use crate::args;
use cni::Fail;

pub(crate) fn ping(_ping: &args::Ping) -> Result<u8, Fail> {
    Ok(0)
}
