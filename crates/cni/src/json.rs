//! JSON as the reference's decoder reads it. Runtimes written in Go send `HostPort` for `hostPort`, because that decoder
//! does not care; a decoder that does loses every port mapping without a word.
//!
//! - The names of *known fields* (those of a struct that derives `Deserialize`) are matched whatever their case; the last
//!   one wins. The keys of maps are data and stay as they are.
//! - `null` is absent: the field is simply not there, and a `null` for a whole struct is one without fields.
//!
//! `#[serde(flatten)]` turns a struct into a map and so switches this off: do not use it here.
mod error;
mod fields;

pub use error::DecodeError;
pub(crate) use error::Wanted;

use fields::{Fields, Items};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Number, Value};
use std::{borrow::Borrow, borrow::Cow, fmt, str::FromStr};

/// Reads one JSON text; anything but white space after it is an error.
pub fn parse(bytes: &[u8]) -> Result<Value, DecodeError> {
    serde_json::from_slice(bytes)
        .map_err(|error| DecodeError::not_json(&error, bytes.trim_ascii().is_empty()))
}

/// Makes a `T` of a value (or a reference to one), by the rules of this module.
pub fn decode<T: DeserializeOwned>(value: impl Borrow<Value>) -> Result<T, DecodeError> {
    T::deserialize(Lenient(value.borrow()))
}

/// For a field such as an address, which some clients send as `""` when they have none: `""` is absent.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Mapping {
///     #[serde(default, rename = "hostIP", deserialize_with = "cni::json::absent_if_empty")]
///     host_ip: Option<std::net::IpAddr>,
/// }
/// let mapping: Mapping = cni::json::decode(serde_json::json!({"HostIP": ""})).unwrap();
/// assert_eq!(mapping.host_ip, None);
/// ```
pub fn absent_if_empty<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    match Option::<Cow<'de, str>>::deserialize(deserializer)? {
        Some(text) if !text.is_empty() => text
            .parse()
            .map(Some)
            .map_err(|error| de::Error::custom(format_args!("invalid value {text:?}: {error}"))),
        _ => Ok(None),
    }
}

/// The value of the last key that is `name` whatever its case and not `null`.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let present = |(key, value): &(&String, &Value)| key.eq_ignore_ascii_case(name) && !value.is_null();
    value.as_object()?.iter().rfind(present).map(|(_, value)| value)
}

/// Not by `serde_json`, which would complain of it in its own words.
fn visit_number<'de, V: Visitor<'de>>(number: &Number, visitor: V) -> Result<V::Value, DecodeError> {
    match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => visitor.visit_u64(number),
        (None, Some(number)) => visitor.visit_i64(number),
        (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// A value that is read by the rules of this module.
#[derive(Clone, Copy)]
struct Lenient<'de>(&'de Value);

impl<'de> Deserializer<'de> for Lenient<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(number) => visit_number(number, visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items::of(items)),
            Value::Object(map) => visitor.visit_map(Fields::all(map)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Object(map) => visitor.visit_map(Fields::known(map, fields)),
            Value::Null => visitor.visit_map(Fields::none()),
            // Derived code would take an array for the fields in their order.
            Value::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.0.deserialize_enum(name, variants, visitor).map_err(de::Error::custom)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}
