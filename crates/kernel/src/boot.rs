//! Which boot of which machine this is.
use crate::Error;
use std::{fs, path::Path};

/// The kernel's identifier of this boot: a UUID as text (`random(4)`). Two boots never share one.
pub fn boot_id() -> Result<String, Error> {
    identifier(Path::new("/proc/sys/kernel/random/boot_id"))
}

/// The installation's identifier: 32 hexadecimal digits (`machine-id(5)`). Where there is none, as without systemd or D-Bus and in an
/// image that was never booted, it is the boot's.
pub fn machine_id() -> Result<String, Error> {
    machine_at(Path::new("/etc/machine-id"))
}

fn machine_at(path: &Path) -> Result<String, Error> {
    identifier(path).or_else(|_| boot_id())
}

fn identifier(path: &Path) -> Result<String, Error> {
    let text =
        fs::read_to_string(path).map_err(|cause| Error::io(format!("read {}", path.display()), &cause))?;
    let text = text.trim_ascii();
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    if digits == 32 { Ok(text.to_owned()) } else { Err(Error::NoIdentifier { path: path.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_identifier() {
        assert_eq!(boot_id().unwrap().len(), 36);
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }

    #[test]
    fn a_machine_without_an_identifier_has_the_boots() {
        for path in ["/nowhere", "/proc/version"] {
            assert_eq!(machine_at(Path::new(path)).unwrap(), boot_id().unwrap());
        }
    }

    #[test]
    fn a_file_that_holds_no_identifier_is_refused() {
        assert!(matches!(identifier(Path::new("/proc/version")), Err(Error::NoIdentifier { .. })));
        assert!(matches!(identifier(Path::new("/nowhere")), Err(Error::System { .. })));
    }
}
