//! The strict reader. Where readers of JSON are known to disagree, it refuses (RFC 8259 leaves duplicate names,
//! number ranges and lone surrogates open; each has been a bypass of some gateway).

use std::borrow::Cow;

use smol_str::SmolStr;
use thiserror::Error;

use super::{Json, Number, Object};

/// How much one document may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// Longest document, in bytes.
    pub bytes_max: usize,
    /// Deepest nesting of arrays and objects.
    pub depth_max: usize,
    /// Most members and elements, over the whole document.
    pub nodes_max: usize,
    /// Longest string or member name, in bytes of its unescaped form.
    pub string_bytes_max: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { bytes_max: 1 << 20, depth_max: 64, nodes_max: 10_000, string_bytes_max: 256 << 10 }
    }
}

impl JsonLimits {
    /// Those that any document of so many bytes is within, but for how deep it is: for what was within a server's limits before.
    #[must_use]
    pub fn of_bytes(most: usize) -> Self {
        Self { bytes_max: most, nodes_max: most, string_bytes_max: most, ..Self::default() }
    }
}

/// Why a document was refused. `at` is a byte offset.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// Number whose value another reader may see differently.
    #[error(
        "the number `{literal}` at byte {at} would not survive every reader; send it as a string"
    )]
    AmbiguousNumber {
        /// Where it begins.
        at: usize,
        /// The literal, shortened.
        literal: String,
    },
    /// A byte order mark.
    #[error("the document begins with a byte order mark")]
    ByteOrderMark,
    /// Two members of one object have the same name, perhaps escaped differently.
    #[error("the name `{name}` is used twice in one object")]
    DuplicateName {
        /// The name, shortened.
        name: String,
    },
    /// Half of a surrogate pair, which has no UTF-8 form.
    #[error("a lone surrogate at byte {at}")]
    LoneSurrogate {
        /// Where the escape begins.
        at: usize,
    },
    /// Not UTF-8.
    #[error("not valid UTF-8")]
    NotUtf8,
    /// A string longer than the limit.
    #[error("a string of more than {max} bytes")]
    StringTooLong {
        /// The limit.
        max: usize,
    },
    /// Not JSON.
    #[error("not JSON at byte {at}: expected {expected}")]
    Syntax {
        /// Where.
        at: usize,
        /// What could have stood there.
        expected: &'static str,
    },
    /// Nested deeper than the limit.
    #[error("nested deeper than {max} levels")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// Longer than the limit.
    #[error("longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// More members and elements than the limit.
    #[error("more than {max} members and elements")]
    TooManyNodes {
        /// The limit.
        max: usize,
    },
}

/// Which of the limits a document is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Of its length.
    Bytes,
    /// Of its nesting.
    Depth,
    /// Of its members and elements.
    Nodes,
    /// Of one string in it.
    String,
}

impl ReadError {
    /// The limit, if that is why it was refused.
    #[must_use]
    pub const fn beyond(&self) -> Option<Beyond> {
        match self {
            Self::StringTooLong { .. } => Some(Beyond::String),
            Self::TooDeep { .. } => Some(Beyond::Depth),
            Self::TooLong { .. } => Some(Beyond::Bytes),
            Self::TooManyNodes { .. } => Some(Beyond::Nodes),
            Self::AmbiguousNumber { .. }
            | Self::ByteOrderMark
            | Self::DuplicateName { .. }
            | Self::LoneSurrogate { .. }
            | Self::NotUtf8
            | Self::Syntax { .. } => None,
        }
    }
}

/// Reads one document, whole.
///
/// # Errors
/// [`ReadError`] for anything but one unambiguous JSON document within `limits`.
pub fn read(bytes: &[u8], limits: &JsonLimits) -> Result<Json, ReadError> {
    read_with(bytes, limits, is_exact)
}

/// Reads what is passed on as it was written and not decided by: what a server answers. Any number that a double can
/// come near is accepted, since integers beyond 2^53 are common there and their literals are kept.
///
/// # Errors
/// [`ReadError`] as of [`read`], but for those numbers.
pub fn read_relayed(bytes: &[u8], limits: &JsonLimits) -> Result<Json, ReadError> {
    read_with(bytes, limits, |literal| literal.parse().is_ok_and(f64::is_finite))
}

fn read_with(
    bytes: &[u8],
    limits: &JsonLimits,
    accepts: fn(&str) -> bool,
) -> Result<Json, ReadError> {
    if bytes.len() > limits.bytes_max {
        return Err(ReadError::TooLong { max: limits.bytes_max });
    }
    let text = std::str::from_utf8(bytes).map_err(|_invalid| ReadError::NotUtf8)?;
    if text.starts_with('\u{feff}') {
        return Err(ReadError::ByteOrderMark);
    }
    let mut reader = Reader { text, at: 0, nodes: 0, limits, accepts };
    let value = reader.value(0)?;
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.expected("the end of the document"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
    limits: &'a JsonLimits,
    /// Which number literals are.
    accepts: fn(&str) -> bool,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Json, ReadError> {
        self.blanks();
        self.nodes += 1;
        if self.nodes > self.limits.nodes_max {
            return Err(ReadError::TooManyNodes { max: self.limits.nodes_max });
        }
        match self.peek() {
            Some(b'{') => self.object(self.deeper(depth)?).map(Json::Object),
            Some(b'[') => self.array(self.deeper(depth)?).map(Json::Array),
            Some(b'"') => self.string().map(|text| Json::String(text.into_owned())),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, ReadError> {
        if depth >= self.limits.depth_max {
            return Err(ReadError::TooDeep { max: self.limits.depth_max });
        }
        Ok(depth + 1)
    }

    fn object(&mut self, depth: usize) -> Result<Object, ReadError> {
        self.at += 1;
        let mut members: Vec<(SmolStr, Json)> = Vec::new();
        self.blanks();
        if self.eat(b'}') {
            return Ok(Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a member name"));
            }
            let name = SmolStr::new(self.string()?);
            self.blanks();
            if !self.eat(b':') {
                return Err(self.expected("`:`"));
            }
            let value = self.value(depth)?;
            members.push((name, value));
            self.blanks();
            if self.eat(b'}') {
                refuse_duplicates(&members)?;
                return Ok(Object(members));
            }
            if !self.eat(b',') {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Json>, ReadError> {
        self.at += 1;
        let mut elements = Vec::new();
        self.blanks();
        if self.eat(b']') {
            return Ok(elements);
        }
        loop {
            elements.push(self.value(depth)?);
            self.blanks();
            if self.eat(b']') {
                return Ok(elements);
            }
            if !self.eat(b',') {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    /// Most strings have no escapes and are a part of the document.
    fn string(&mut self) -> Result<Cow<'a, str>, ReadError> {
        self.at += 1;
        let mut read = Cow::Borrowed("");
        loop {
            let plain = self.rest().bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20);
            let Some(plain) = plain else {
                self.at = self.text.len();
                return Err(self.expected("the end of the string"));
            };
            // To nothing, this adds without copying.
            read += self.slice(self.at, self.at + plain);
            self.at += plain;
            if read.len() > self.limits.string_bytes_max {
                return Err(ReadError::StringTooLong { max: self.limits.string_bytes_max });
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(read);
                }
                Some(b'\\') => read.to_mut().push(self.escape()?),
                _ => return Err(self.expected("no control character in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ReadError> {
        let start = self.at;
        self.at += 1;
        let escaped = self.peek();
        self.at += 1;
        Ok(match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(start),
            _ => {
                self.at = start;
                return Err(self.expected("an escape that JSON knows"));
            }
        })
    }

    fn code_point(&mut self, start: usize) -> Result<char, ReadError> {
        let first = self.hex4()?;
        let lone = ReadError::LoneSurrogate { at: start };
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or(lone);
        }
        if first >= 0xdc00 || !self.rest().starts_with("\\u") {
            return Err(lone);
        }
        self.at += 2;
        let second = self.hex4()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone);
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(lone)
    }

    fn hex4(&mut self) -> Result<u32, ReadError> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(self.expected("four hexadecimal digits"));
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_impossible| self.expected("a code point"))
    }

    fn number(&mut self) -> Result<Number, ReadError> {
        let start = self.at;
        self.eat(b'-');
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.expected("a digit")),
        }
        if self.eat(b'.') {
            self.some_digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.some_digits()?;
        }
        let literal = self.slice(start, self.at);
        if !(self.accepts)(literal) {
            let literal = literal.chars().take(32).collect();
            return Err(ReadError::AmbiguousNumber { at: start, literal });
        }
        Ok(Number(literal.into()))
    }

    fn some_digits(&mut self) -> Result<(), ReadError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.expected("a digit"));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &'static str, value: Json) -> Result<Json, ReadError> {
        if !self.rest().starts_with(word) {
            return Err(self.expected("`true`, `false` or `null`"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.slice(self.at, self.text.len())
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        // INVARIANT: `at` only ever moves over whole characters.
        self.text.get(from..to).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> ReadError {
        ReadError::Syntax { at: self.at, expected }
    }
}

/// Few members are compared pairwise, many are sorted: never quadratic, and no hashing to flood.
fn refuse_duplicates(members: &[(SmolStr, Json)]) -> Result<(), ReadError> {
    let twin = if members.len() <= 8 {
        members.iter().enumerate().find_map(|(index, (name, _))| {
            members.iter().take(index).any(|(earlier, _)| earlier == name).then_some(name.as_str())
        })
    } else {
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        })
    };
    match twin {
        Some(name) => Err(ReadError::DuplicateName { name: name.chars().take(64).collect() }),
        None => Ok(()),
    }
}

/// Whether the literal's decimal value is the shortest decimal of the double it denotes; `-0` is not, since the
/// canonical form drops its sign.
fn is_exact(literal: &str) -> bool {
    let digits = literal.strip_prefix('-').unwrap_or(literal);
    if digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit()) {
        return literal != "-0";
    }
    let Ok(value) = literal.parse::<f64>() else {
        return false;
    };
    if !value.is_finite() || (value == 0.0 && literal.starts_with('-')) {
        return false;
    }
    // Between two shortest decimals equally near, writers choose differently; both are of this double.
    let value_of = decimal(literal);
    value_of.is_some()
        && (value_of == decimal(&format!("{value:e}"))
            || value_of == decimal(ryu_js::Buffer::new().format(value)))
}

/// `(significant digits, exponent of the last digit)`, zeros stripped; `None` if the exponent is out of range.
fn decimal(literal: &str) -> Option<(String, i64)> {
    let literal = literal.strip_prefix('-').unwrap_or(literal);
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0').trim_end_matches('0');
    if digits.is_empty() {
        return Some((String::new(), 0));
    }
    let trailing = all.len() - all.trim_end_matches('0').len();
    let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let shift = i64::try_from(trailing).ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    Some((digits.to_owned(), exponent.checked_add(shift)?))
}
