//! What is wrong with a JSON value, told to who typed it: which key, what is there, what is expected there.
use serde::de::{self, Expected, Unexpected};
use serde_json::{Value, error::Category};
use std::fmt;

/// The text is not JSON, or not the JSON that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Where in the value, outermost first; empty for the value itself.
    path: Vec<Step>,
    /// Boxed, as it is part of every error and seldom there.
    cause: Box<Cause>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    /// Not JSON, and where.
    NotJson { why: String },
    /// Another type or range.
    Type { given: Given, wanted: Wanted },
    /// A key that must be there.
    Missing,
    /// What a type of ours says of its value.
    Value(String),
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    /// A number, or `true` or `false`, as it is written.
    Bare(String),
    Text(String),
    List,
    Object,
    Other(String),
}

/// What should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `true` or `false`.
    Truth,
    /// A number, in words.
    Number(String),
    /// Text.
    Text,
    /// A list.
    List,
    /// An object.
    Object,
    /// Something of a type's own, in its words.
    Other(String),
}

impl DecodeError {
    /// The same error, seen from the value that holds `key`.
    pub(crate) fn under(mut self, key: &str) -> Self {
        self.path.insert(0, Step::Key(key.to_owned()));
        self
    }

    /// The same error, seen from the list that has it at this place, counted from 0.
    pub(super) fn at(mut self, index: usize) -> Self {
        self.path.insert(0, Step::Index(index));
        self
    }

    /// This value is of another type than is wanted.
    pub(crate) fn wrong_type(value: &Value, wanted: Wanted) -> Self {
        Self { path: Vec::new(), cause: Box::new(Cause::Type { given: Given::of(value), wanted }) }
    }

    /// The text is not JSON.
    pub(super) fn not_json(error: &serde_json::Error, is_empty: bool) -> Self {
        let why = match error.classify() {
            Category::Eof if is_empty => "it is empty".to_owned(),
            Category::Eof => format!("it ends too early: {error}"),
            Category::Syntax | Category::Data | Category::Io => format!("it is not JSON: {error}"),
        };
        Self { path: Vec::new(), cause: Box::new(Cause::NotJson { why }) }
    }

    /// What the person does next.
    pub fn hint(&self) -> String {
        let instead = match &*self.cause {
            Cause::NotJson { .. } => {
                return "`jq . FILE` says of the network's file where it is not JSON".into();
            }
            Cause::Type { given, wanted } => given.instead(wanted),
            Cause::Missing | Cause::Value(_) => None,
        };
        match instead {
            Some(instead) => format!("write {instead}"),
            None if self.path.is_empty() => "it is one JSON object, such as {\"name\": \"net\"}".into(),
            None => format!("put \"{}\" right in the network's configuration", self.place()),
        }
    }

    /// `ipam.ranges[0][1].subnet`
    fn place(&self) -> String {
        let steps = self.path.iter().enumerate().map(|(depth, step)| match step {
            Step::Key(key) if depth == 0 => key.clone(),
            Step::Key(key) => format!(".{key}"),
            Step::Index(index) => format!("[{index}]"),
        });
        steps.collect()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.path.is_empty() { "it".into() } else { format!("\"{}\"", self.place()) };
        match &*self.cause {
            Cause::NotJson { why } => out.write_str(why),
            Cause::Type { given, wanted } => write!(out, "{subject} is {given}: {wanted} is expected"),
            Cause::Missing => write!(out, "{subject} is missing"),
            Cause::Value(why) if self.path.is_empty() => out.write_str(why),
            Cause::Value(why) => write!(out, "{subject}: {why}"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(cause: T) -> Self {
        Self { path: Vec::new(), cause: Box::new(Cause::Value(cause.to_string())) }
    }

    fn invalid_type(given: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let (given, wanted) = (Given::from(given), Wanted::from(wanted));
        Self { path: Vec::new(), cause: Box::new(Cause::Type { given, wanted }) }
    }

    fn invalid_value(given: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(given, wanted)
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: vec![Step::Key(field.to_owned())], cause: Box::new(Cause::Missing) }
    }
}

impl Given {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Bare(value.to_string()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        }
    }

    /// How it would have to be written, where that can be told.
    fn instead(&self, wanted: &Wanted) -> Option<String> {
        match (self, wanted) {
            (Given::Text(text), Wanted::Number(_)) if text.parse::<i128>().is_ok() => {
                Some(format!("{text}, without quotes"))
            }
            (Given::Text(text), Wanted::Truth) if text == "true" || text == "false" => {
                Some(format!("{text}, without quotes"))
            }
            (Given::Bare(text), Wanted::Text) => Some(format!("{text:?}, in quotes")),
            (Given::Text(text), Wanted::List) => Some(format!("[{text:?}], in brackets")),
            (Given::Object, Wanted::List) => Some("[{...}], with brackets around it".into()),
            _ => None,
        }
    }
}

impl From<Unexpected<'_>> for Given {
    fn from(unexpected: Unexpected<'_>) -> Self {
        match unexpected {
            Unexpected::Bool(truth) => Self::Bare(truth.to_string()),
            Unexpected::Unsigned(number) => Self::Bare(number.to_string()),
            Unexpected::Signed(number) => Self::Bare(number.to_string()),
            Unexpected::Float(number) => Self::Bare(number.to_string()),
            Unexpected::Str(text) => Self::Text(text.to_owned()),
            Unexpected::Seq => Self::List,
            Unexpected::Map => Self::Object,
            other => Self::Other(other.to_string()),
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::Bare(text) | Given::Other(text) => out.write_str(text),
            Given::Text(text) => write!(out, "the text {text:?}"),
            Given::List => out.write_str("a list"),
            Given::Object => out.write_str("an object"),
        }
    }
}

/// serde's words for what it expects (`Visitor::expecting` of its own types, and of what it derives).
impl From<&dyn Expected> for Wanted {
    fn from(expected: &dyn Expected) -> Self {
        let words = expected.to_string();
        let up_to = |most: u64| Self::Number(format!("a whole number from 0 to {most}"));
        match words.as_str() {
            "a boolean" => Self::Truth,
            "u8" => up_to(u8::MAX.into()),
            "u16" => up_to(u16::MAX.into()),
            "u32" => up_to(u32::MAX.into()),
            "u64" | "usize" => Self::Number("a whole number, not below 0,".into()),
            "i8" | "i16" | "i32" | "i64" | "isize" => Self::Number("a whole number".into()),
            "f32" | "f64" => Self::Number("a number".into()),
            "a string" | "a borrowed string" => Self::Text,
            "a sequence" => Self::List,
            "a map" => Self::Object,
            derived if derived.starts_with("struct ") => Self::Object,
            _ => Self::Other(words),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Wanted::Truth => "true or false",
            Wanted::Text => "a text",
            Wanted::List => "a list",
            Wanted::Object => "an object",
            Wanted::Number(words) | Wanted::Other(words) => words,
        })
    }
}
