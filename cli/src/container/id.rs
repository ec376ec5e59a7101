//! The ID of a container or of an endpoint: 64 hexadecimal digits, of which people see twelve.
use super::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many bytes of chance are in an ID.
const BYTES: usize = 32;
/// How many digits people are shown.
const SHORT: usize = 12;

/// An ID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Id(String);

/// A text that is no ID.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no ID of 64 hexadecimal digits")]
pub(crate) struct NoId(String);

impl Id {
    /// A new one, that nobody else has.
    pub(crate) fn random() -> Result<Self, Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|cause| Error::Random(cause.to_string()))?;
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
        Ok(Self(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()))
    }

    /// All of it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As people are shown it.
    pub(crate) fn short(&self) -> &str {
        self.0.get(..SHORT).unwrap_or_default()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Id {
    type Error = NoId;

    fn try_from(text: String) -> Result<Self, NoId> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 2 * BYTES && digits { Ok(Self(text)) } else { Err(NoId(text)) }
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_64_digits_and_another_each_time() {
        let (one, other) = (Id::random().unwrap(), Id::random().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.as_str().len(), one.short().len()), (64, 12));
        assert_eq!(Id::try_from(one.to_string()).unwrap(), one);
        assert!(Id::try_from("../etc".to_owned()).is_err());
    }
}
