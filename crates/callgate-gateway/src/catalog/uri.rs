//! The shapes of URIs: `jira://{site}/issues/{key}`.
//!
//! A URI has one reading or none. It is cut at every `/`; of each piece at most one part is a variable, and everything
//! else is as it is written, in case and escapes too. What is almost such a URI is none: its server may take it for one
//! (Z02). It must not know targets.

use callgate_model::json::Object;
use callgate_model::products::mcp;

/// A shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriShape {
    scheme: String,
    /// What is between two `/`.
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable { before: String, name: String, after: String },
}

/// What a value could end with, or lead elsewhere with, in some server's reading; with `%`, also if it unescapes twice.
const SEPARATORS: [char; 6] = ['/', '\\', '?', '#', '&', '%'];

/// Where the host is: after `scheme:`, and nothing between two `/`.
const HOST_AT: usize = 2;

impl UriShape {
    /// The shape that `text` writes.
    ///
    /// # Errors
    /// What is wrong with it, for the author of the catalog.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        mcp::resource("", text)?;
        let scheme = scheme(text).ok_or("it begins with a scheme, as in `jira:`")?.to_owned();
        let pieces = text.split('/').map(Piece::parse).collect::<Result<Vec<_>, _>>()?;
        let shape = Self { scheme, pieces };
        let mut names: Vec<&str> = shape.variables().collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err("two variables have one name");
        }
        Ok(shape)
    }

    /// Its scheme.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The names of its variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(Piece::variable)
    }

    /// The variable that is, or is in, the host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let is_there = matches!(
            self.pieces.as_slice(),
            [Piece::Literal(scheme), Piece::Literal(empty), ..]
                if scheme.ends_with(':') && empty.is_empty()
        );
        self.pieces.get(HOST_AT).filter(|_| is_there)?.variable()
    }

    /// The values of its variables, if `uri` is certainly of this shape.
    #[must_use]
    pub fn read(&self, uri: &str) -> Option<Object> {
        let mut values = Object::default();
        let mut parts = uri.split('/');
        for piece in &self.pieces {
            let part = parts.next()?;
            match piece {
                Piece::Literal(literal) if literal == part => {}
                Piece::Literal(_) => return None,
                Piece::Variable { before, name, after } => {
                    let value = value(part.strip_prefix(before.as_str())?.strip_suffix(after)?)?;
                    if self.host() == Some(name) && value.contains(['@', ':']) {
                        // A user or a port: the host is another one than the whole.
                        return None;
                    }
                    values.set(name.as_str(), value);
                }
            }
        }
        parts.next().is_none().then_some(values)
    }

    /// Whether a URI could be of both shapes. Says yes rather too often.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.pieces.len() == other.pieces.len()
            && self.pieces.iter().zip(&other.pieces).all(|(a, b)| a.meets(b))
    }
}

impl Piece {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let Some((before, rest)) = text.split_once('{') else {
            let literal = Self::Literal(text.to_owned());
            return if text.contains('}') { Err("a `}` without `{`") } else { Ok(literal) };
        };
        let (name, after) = rest.split_once('}').ok_or("a `{` without `}`")?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err("a variable is `{name}`, of letters, digits and `_`");
        }
        if before.contains('}') || after.contains(['{', '}']) {
            return Err("between two `/` there is one variable at most");
        }
        let [before, name, after] = [before, name, after].map(str::to_owned);
        Ok(Self::Variable { before, name, after })
    }

    fn variable(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Variable { name, .. } => Some(name),
        }
    }

    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(a), Self::Literal(b)) => a == b,
            (Self::Literal(literal), Self::Variable { before, after, .. })
            | (Self::Variable { before, after, .. }, Self::Literal(literal)) => {
                let value = literal.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                value.is_some_and(|value| !value.is_empty())
            }
            (
                Self::Variable { before, after, .. },
                Self::Variable { before: other_before, after: other_after, .. },
            ) => {
                (before.starts_with(other_before) || other_before.starts_with(before))
                    && (after.ends_with(other_after) || other_after.ends_with(after))
            }
        }
    }
}

/// The scheme of `uri`, as it is written, if it has one.
#[must_use]
pub fn scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let rest = scheme.strip_prefix(|c: char| c.is_ascii_alphabetic())?;
    rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)).then_some(scheme)
}

/// What `written` means, its escapes undone once. Nothing, if that is not certain.
fn value(written: &str) -> Option<String> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let mut bytes = written.bytes();
    let mut value = Vec::with_capacity(written.len());
    while let Some(byte) = bytes.next() {
        value.push(match byte {
            b'%' => u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?,
            byte => byte,
        });
    }
    let value = String::from_utf8(value).ok()?;
    let is_plain = !value.is_empty() && !value.contains(|c: char| c.is_control());
    (is_plain && !value.contains(SEPARATORS)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> UriShape {
        UriShape::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn read(text: &str, uri: &str) -> Option<String> {
        shape(text).read(uri).map(|values| values.to_text())
    }

    #[test]
    fn a_uri_of_the_shape_gives_the_values_of_the_variables() {
        for (text, uri, values) in [
            (
                "jira://{site}/issues/{key}",
                "jira://a.b/issues/E-1",
                r#"{"site":"a.b","key":"E-1"}"#,
            ),
            ("issue:{key}", "issue:ENG-1", r#"{"key":"ENG-1"}"#),
            ("a:/x/v{n}.json", "a:/x/v7.json", r#"{"n":"7"}"#),
            ("a://h/s?jql={jql}", "a://h/s?jql=a%20%3D%20%C3%A9", r#"{"jql":"a = é"}"#),
            ("a://h/{x}", "a://h/n%40b%3Ac~+é", r#"{"x":"n@b:c~+é"}"#),
            ("a://h/%41/{x}", "a://h/%41/{x}", r#"{"x":"{x}"}"#),
            ("a://h", "a://h", "{}"),
        ] {
            assert_eq!(read(text, uri).as_deref(), Some(values), "{text} {uri}");
        }
    }

    #[test]
    fn z02_what_is_almost_of_the_shape_is_not() {
        for uri in [
            "JIRA://acme/issues/ENG-1",
            "%6aira://acme/issues/ENG-1",
            "jira://acme/Issues/ENG-1",
            "jira://acme/%69ssues/ENG-1",
            "jira://acme/issues/ENG-1/",
            "jira://acme//issues/ENG-1",
            "jira:///acme/issues/ENG-1",
            "jira:/acme/issues/ENG-1",
            "jira:acme/issues/ENG-1",
            "jira:\\\\acme\\issues\\ENG-1",
            "jira://acme/issues\\ENG-1",
            "jira://acme/issues/",
            "jira:///issues/ENG-1",
            "jira://x@acme/issues/ENG-1",
            "jira://x%40acme/issues/ENG-1",
            "jira://acme:80/issues/ENG-1",
            "jira://acme/issues/ENG-1?x",
            "jira://acme/issues/ENG-1%3Fx",
            "jira://acme/issues/ENG-1#x",
            "jira://acme/issues/ENG-1%23x",
            "jira://acme/issues/ENG-1&key=HR-1",
            "jira://acme/issues/HR%2FENG-1",
            "jira://acme/issues/HR%5cENG-1",
            "jira://acme/issues/ENG%252d1",
            "jira://acme/issues/ENG-1%",
            "jira://acme/issues/ENG-1%4",
            "jira://acme/issues/ENG-1%+4",
            "jira://acme/issues/ENG-1%00",
            "jira://acme/issues/ENG-1%0a",
            "jira://acme/issues/ENG-1%C2%85",
            "jira://acme/issues/ENG-1%ff",
            "jira://acme/issues/ENG-1%c0%af",
        ] {
            assert_eq!(read("jira://{site}/issues/{key}", uri), None, "{uri}");
        }
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        for text in [
            "",
            "jira",
            "//acme/{key}",
            "{scheme}://x",
            "1a:{key}",
            "jira://a b",
            "jira://../{key}",
            "jira://{}",
            "jira://{+key}",
            "jira://{key*}",
            "jira://{a/b}",
            "jira://{key",
            "jira://key}",
            "jira://a}b{c}",
            "jira://{a}{b}",
            "jira://{a}-{b}",
            "jira://{a}/{a}",
        ] {
            assert!(UriShape::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shapes_meet_if_one_uri_could_be_of_both() {
        for (a, b, meet) in [
            ("a://{x}/y", "a://x/{y}", true),
            ("a://{x}/y", "a://x/z", false),
            ("a://{x}/y", "a://{x}/y/z", false),
            ("a://{x}", "a://", false),
            ("a://h/v{x}", "a://h/{y}.json", true),
            ("a://h/v{x}", "a://h/w{y}", false),
            ("a://h/{x}.xml", "a://h/{y}.json", false),
            ("a://h/v{x}x", "a://h/vx", false),
            ("a://h/v{x}x", "a://h/vxx", true),
            ("a://{x}", "b://{x}", false),
        ] {
            let (a, b) = (shape(a), shape(b));
            assert_eq!((a.meets(&b), b.meets(&a)), (meet, meet), "{a:?} {b:?}");
            assert!(a.meets(&a));
        }
    }

    #[test]
    fn the_host_is_what_follows_two_slashes() {
        for (text, host) in [
            ("a://{x}/{y}", Some("x")),
            ("a://www.{x}.example/{y}", Some("x")),
            ("a://h/{y}", None),
            ("a:/{x}/{y}", None),
            ("a:{x}", None),
            ("a:///{x}", None),
        ] {
            assert_eq!(shape(text).host(), host, "{text}");
        }
    }
}
