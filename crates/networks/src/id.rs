//! IDs of networks: 64 hexadecimal digits, as docker's.
use crate::Error;
use types::stable_hash;

/// A new one.
pub(crate) fn random() -> Result<String, Error> {
    Ok(hex(&bytes::<32>()?))
}

/// That of a network that has none: its name, hashed.
pub(crate) fn of_name(name: &str) -> String {
    let quarter = |part| stable_hash(&["network", part, name]).to_be_bytes();
    hex(&["1", "2", "3", "4"].map(quarter).concat())
}

/// Random bytes of the kernel's.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|cause| Error::Random(cause.to_string()))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_64_digits_and_no_second_owner() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!((one.len(), other.len()), (64, 64));
        assert_ne!(one, other);
        assert_ne!(of_name("a"), of_name("b"));
    }
}
