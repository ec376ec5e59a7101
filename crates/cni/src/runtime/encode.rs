//! JSON text as libcni writes it, byte for byte: keys of maps sorted, whole numbers without a point, and `<`, `>`, `&`
//! and the two line separators of Unicode escaped. Go plugins need the numbers (`1.0` is no integer to them); the rest
//! makes requests and cache files comparable with those of other runtimes.
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Number, Value};
use std::io::{self, Write};

/// The text of a value. Structs keep the order of their fields; make maps [`canonical`] first.
pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::with_capacity(1024);
    value.serialize(&mut Serializer::with_formatter(&mut text, Escaping))?;
    Ok(text)
}

/// The same value with every object's keys in byte order and every whole number an integer.
pub(super) fn canonical(mut value: Value) -> Value {
    value.sort_all_objects();
    make_whole(&mut value);
    value
}

fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(map) => map.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn whole(number: &Number) -> Option<Number> {
    let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0)?;
    float.to_string().parse::<i64>().ok().map(Number::from)
}

struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for piece in fragment.split_inclusive(ESCAPED) {
            match (piece.strip_suffix(ESCAPED), piece.chars().next_back()) {
                (Some(plain), Some(special)) => write!(out, "{plain}\\u{:04x}", u32::from(special))?,
                _ => out.write_all(piece.as_bytes())?,
            }
        }
        Ok(())
    }
}

const ESCAPED: [char; 5] = ['<', '>', '&', '\u{2028}', '\u{2029}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_numbers_and_text_are_as_go_writes_them() {
        let value = serde_json::from_str(r#"{"b":[1,2.5,1e3,1.0],"a":{"z":0,"y":"<x>&\u2028é\n"},"B":-2.0}"#)
            .unwrap();
        let text = encode(&canonical(value)).unwrap();
        let expected =
            "{\"B\":-2,\"a\":{\"y\":\"\\u003cx\\u003e\\u0026\\u2028é\\n\",\"z\":0},\"b\":[1,2.5,1000,1]}";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn an_integer_too_big_for_a_float_keeps_every_digit() {
        let value = serde_json::from_str("18446744073709551615").unwrap();
        assert_eq!(encode(&canonical(value)).unwrap(), b"18446744073709551615");
    }
}
