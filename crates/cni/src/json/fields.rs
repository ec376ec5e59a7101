//! The entries of a JSON object and the items of an array, as serde is to see them.
use super::{DecodeError, Lenient};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, value::StrDeserializer};
use serde_json::{Map, Value};

/// Entries still to be read, and the one whose key has been read.
pub(super) struct Fields<'de> {
    entries: std::vec::IntoIter<(&'de str, &'de Value)>,
    current: Option<(&'de str, &'de Value)>,
}

impl<'de> Fields<'de> {
    /// Every entry as it stands: the keys are data.
    pub(super) fn all(map: &'de Map<String, Value>) -> Self {
        Self::of(map.iter().map(|(key, value)| (key.as_str(), value)).collect())
    }

    /// The entries that are known fields, under the names that are known; of several the last, and none that is `null`.
    pub(super) fn known(map: &'de Map<String, Value>, names: &'static [&'static str]) -> Self {
        let mut entries: Vec<(&'de str, &'de Value)> = Vec::with_capacity(map.len());
        for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            let exact = names.iter().find(|name| *name == key);
            let Some(name) = exact.or_else(|| names.iter().find(|name| name.eq_ignore_ascii_case(key)))
            else {
                continue;
            };
            match entries.iter_mut().find(|(known, _)| known == name) {
                Some(entry) => entry.1 = value,
                None => entries.push((name, value)),
            }
        }
        Self::of(entries)
    }

    /// No entries.
    pub(super) fn none() -> Self {
        Self::of(Vec::new())
    }

    fn of(entries: Vec<(&'de str, &'de Value)>) -> Self {
        Self { entries: entries.into_iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        self.current = self.entries.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeError> {
        let (key, value) = self.current.take().unwrap_or(("", &Value::Null));
        seed.deserialize(Lenient(value)).map_err(|error| error.under(key))
    }
}

/// Items still to be read, each with its index.
pub(super) struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> Items<'de> {
    /// Every item.
    pub(super) fn of(items: &'de [Value]) -> Self {
        Self(items.iter().enumerate())
    }
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some((index, value)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Lenient(value)).map(Some).map_err(|error| error.at(index))
    }
}
