//! JSON as Callgate sees it: exact number literals, member order kept, no duplicate names.
//!
//! What is decided is what is sent (I4), so one value type serves the decision, the upstream request,
//! the digest and the record. It is made by [`read`], the only JSON parser on the way of a call, or from
//! values of our own. It must not know MCP.

mod canonical;
mod read;

pub use canonical::CanonicalObject;
pub use read::{Beyond, JsonLimits, ReadError, read, read_relayed};

use std::fmt;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use smol_str::SmolStr;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, kept as it was written.
    Number(Number),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Object),
}

/// A number literal whose value survives a round trip through an IEEE 754 double (RFC 7493 §2.2), so that
/// every reader of it, and its canonical form (RFC 8785), see the same value; or, from [`read_relayed`], any literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(Box<str>);

/// An object: members in the order written, names unique. Names are mostly short, and kept where they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object(Vec<(SmolStr, Json)>);

impl Json {
    /// The string, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The boolean, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The number, if this is one.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// The object, if this is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The elements, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(elements) = self { Some(elements) } else { None }
    }

    /// The member `name`, if this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object().and_then(|object| object.get(name))
    }

    /// The compact text of this value: members in their order, numbers as they were written.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(256);
        self.write(&mut text);
        text
    }

    /// The canonical form of RFC 8785 (JCS), over which digests are made.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut text = String::with_capacity(256);
        self.write_canonical(&mut text);
        text.into_bytes()
    }

    fn write_canonical(&self, out: &mut String) {
        match self {
            Self::Number(number) if number.as_i64().is_none() => {
                out.push_str(ryu_js::Buffer::new().format(number.as_f64()));
            }
            Self::Array(elements) => write_list(elements, ['[', ']'], out, Self::write_canonical),
            Self::Object(object) => object.write_canonical(out),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => self.write(out),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(&number.0),
            Self::String(text) => write_string(text, out),
            Self::Array(elements) => write_list(elements, ['[', ']'], out, Self::write),
            Self::Object(object) => object.write(out),
        }
    }
}

impl Number {
    /// The literal as it was written.
    #[must_use]
    pub fn literal(&self) -> &str {
        &self.0
    }

    /// The value as an integer, if it is one within ±(2^53 − 1).
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok().filter(|value: &i64| value.unsigned_abs() < 1 << 53)
    }

    /// The value. Exact, because only literals that fit are accepted, but for what is only relayed.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        // INVARIANT: the readers and `From` accept only literals that parse.
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(value.to_string().into())
    }
}

impl Object {
    /// The member `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Sets `name`, in its place if it is already there, else at the end.
    pub fn set(&mut self, name: &str, value: impl Into<Json>) {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, slot)) => *slot = value.into(),
            None => self.0.push((name.into(), value.into())),
        }
    }

    /// Takes the member `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Json> {
        let index = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(index).1)
    }

    /// The members, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The compact text: members in their order, numbers as they were written.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(256);
        self.write(&mut text);
        text
    }

    /// The canonical form of RFC 8785 (JCS).
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut text = String::with_capacity(256);
        self.write_canonical(&mut text);
        text.into_bytes()
    }

    fn write(&self, out: &mut String) {
        write_list(&self.0, ['{', '}'], out, |(name, value), out| {
            write_string(name, out);
            out.push(':');
            value.write(out);
        });
    }

    fn write_canonical(&self, out: &mut String) {
        let mut members: Vec<&(SmolStr, Json)> = self.0.iter().collect();
        members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        write_list(members.iter().copied(), ['{', '}'], out, |(name, value), out| {
            write_string(name, out);
            out.push(':');
            value.write_canonical(out);
        });
    }

    /// The same object with `name` set; for building values of our own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.set(name, value);
        self
    }
}

fn write_list<'a, T: 'a>(
    items: impl IntoIterator<Item = &'a T>,
    [open, close]: [char; 2],
    out: &mut String,
    write: impl Fn(&'a T, &mut String),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain_from = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        // Only ASCII bytes end a plain run, so the indices are character boundaries.
        out.push_str(text.get(plain_from..index).unwrap_or_default());
        plain_from = index + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            control => out.push_str(&format!("\\u{control:04x}")),
        }
    }
    out.push_str(text.get(plain_from..).unwrap_or_default());
    out.push('"');
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => match number.as_i64() {
                Some(value) => serializer.serialize_i64(value),
                None => serializer.serialize_f64(number.as_f64()),
            },
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(elements) => {
                let mut sequence = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    sequence.serialize_element(element)?;
                }
                sequence.end()
            }
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<Object> for Json {
    fn from(value: Object) -> Self {
        Self::Object(value)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => Self::Number(Number(number.to_string().into())),
            serde_json::Value::String(text) => Self::String(text),
            serde_json::Value::Array(elements) => {
                Self::Array(elements.into_iter().map(Into::into).collect())
            }
            serde_json::Value::Object(members) => Self::Object(Object(
                members.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
