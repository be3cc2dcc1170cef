//! Canonical JSON written as it comes, without a value in between: for what is made often and always has the same form.

use super::{Json, write_string};

/// An object of names in ASCII, written in the canonical form of RFC 8785.
#[derive(Debug)]
#[must_use = "an object has to be ended"]
pub struct CanonicalObject<'a> {
    out: &'a mut String,
    last: &'static str,
}

impl<'a> CanonicalObject<'a> {
    /// Begins an object at the end of `out`.
    pub fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, last: "" }
    }

    /// The member `name`, written by `write`, which has to write one canonical value. Names come in the order of ASCII.
    pub fn member(mut self, name: &'static str, write: impl FnOnce(&mut String)) -> Self {
        debug_assert!(self.last < name, "{} before {name}", self.last);
        if !self.last.is_empty() {
            self.out.push(',');
        }
        self.last = name;
        write_string(name, self.out);
        self.out.push(':');
        write(self.out);
        self
    }

    /// The member `name`, `null` if there is no value.
    pub fn optional<T>(
        self,
        name: &'static str,
        value: Option<T>,
        write: impl FnOnce(T, &mut String),
    ) -> Self {
        self.member(name, |out| match value {
            Some(value) => write(value, out),
            None => out.push_str("null"),
        })
    }

    /// The string `value` as member `name`.
    pub fn text(self, name: &'static str, value: &str) -> Self {
        self.member(name, |out| write_string(value, out))
    }

    /// The string `value` as member `name`, or `null`.
    pub fn optional_text(self, name: &'static str, value: Option<&str>) -> Self {
        self.optional(name, value, write_string)
    }

    /// What `value` prints as member `name`. It must print nothing that JSON escapes.
    pub fn plain(self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.member(name, |out| {
            out.push('"');
            push(out, format_args!("{value}"));
            out.push('"');
        })
    }

    /// The number `value` as member `name`; at most 2^53 − 1, the last that is exact as a double.
    pub fn integer(self, name: &'static str, value: u64) -> Self {
        self.optional_integer(name, Some(value))
    }

    /// The number `value` as member `name`, or `null`.
    pub fn optional_integer(self, name: &'static str, value: Option<u64>) -> Self {
        self.optional(name, value, |value, out| {
            push(out, format_args!("{}", value.min((1 << 53) - 1)));
        })
    }

    /// Any value as member `name`.
    pub fn json(self, name: &'static str, value: &Json) -> Self {
        self.member(name, |out| value.write_canonical(out))
    }

    /// Ends the object.
    pub fn end(self) {
        self.out.push('}');
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    std::fmt::Write::write_fmt(out, text).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{JsonLimits, read};

    #[test]
    fn what_is_written_is_canonical() {
        let mut out = String::new();
        CanonicalObject::new(&mut out)
            .integer("big", u64::MAX)
            .member("in", |out| CanonicalObject::new(out).end())
            .json("list", &Json::from(vec![1.into(), Json::Null]))
            .optional_text("no", None)
            .plain("plain", 7)
            .text("text", "a\"b\n\u{1}é")
            .end();
        assert_eq!(
            out,
            r#"{"big":9007199254740991,"in":{},"list":[1,null],"no":null,"plain":"7","text":"a\"b\n\u0001é"}"#
        );
        let again = read(out.as_bytes(), &JsonLimits::default()).unwrap().canonical();
        assert_eq!(again, out.as_bytes());
    }

    #[test]
    #[should_panic(expected = "b before a")]
    fn names_out_of_order_are_found() {
        let mut out = String::new();
        CanonicalObject::new(&mut out).text("b", "").text("a", "").end();
    }
}
