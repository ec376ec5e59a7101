//! Directories that the environment names.
use std::path::PathBuf;

/// An environment variable should name a directory from the root: the next call may be made from elsewhere, and has to find what this one wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is not an absolute path: {value}")]
pub struct RelativeDirectory {
    /// The variable.
    pub variable: &'static str,
    /// Its value.
    pub value: PathBuf,
}

/// Where what must outlive a reboot lies: `$SEALANE_DATA_DIR`, else `$SEALANE_STATE_DIR/data` if that is set, else
/// `/var/lib/sealane`. A variable that is empty counts as not set; one that is relative is an error.
pub fn data_dir() -> Result<PathBuf, RelativeDirectory> {
    if let Some(dir) = directory("SEALANE_DATA_DIR")? {
        return Ok(dir);
    }
    let state = directory("SEALANE_STATE_DIR")?;
    Ok(state.map_or_else(|| PathBuf::from("/var/lib/sealane"), |state| state.join("data")))
}

/// The absolute path in an environment variable; `None` if it is not set or empty.
pub fn directory(variable: &'static str) -> Result<Option<PathBuf>, RelativeDirectory> {
    match std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from) {
        Some(value) if value.is_relative() => Err(RelativeDirectory { variable, value }),
        value => Ok(value),
    }
}
