//! From characters to tokens. What the two languages do not certainly read alike in every version is refused.

use super::QueryError;
use super::ast::Dialect;

/// A token and where it begins, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    And,
    Bracketed(String),
    Close,
    Comma,
    Compare,
    Equals,
    Not,
    Open,
    Or,
    Quoted(String),
    Word(String),
}

/// The characters that end a bare word, whatever they mean.
const STOPS: &str = "\"'=!<>()~,[]|&{}*/%+^$#@?;\\`";

/// The tokens of `text`.
pub(super) fn tokens(dialect: Dialect, text: &str) -> Result<Vec<Token>, QueryError> {
    let mut characters = Characters { rest: text.chars().peekable(), at: 0 };
    let mut tokens = Vec::new();
    loop {
        while characters.rest.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) {
            characters.next();
        }
        let at = characters.at;
        let Some(first) = characters.next() else { return Ok(tokens) };
        tokens.push(Token { at, kind: characters.token(dialect, first, at)? });
    }
}

struct Characters<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    at: usize,
}

impl Characters<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.at += usize::from(next.is_some());
        next
    }

    /// Takes the next character if it is this one.
    fn takes(&mut self, wanted: char) -> bool {
        let is_it = self.rest.peek() == Some(&wanted);
        if is_it {
            self.next();
        }
        is_it
    }

    fn token(&mut self, dialect: Dialect, first: char, at: usize) -> Result<Kind, QueryError> {
        let is_jql = dialect == Dialect::Jql;
        Ok(match first {
            '(' => Kind::Open,
            ')' => Kind::Close,
            ',' => Kind::Comma,
            '=' => Kind::Equals,
            '~' => Kind::Compare,
            '<' | '>' => {
                self.takes('=');
                Kind::Compare
            }
            '!' if self.takes('=') || self.takes('~') => Kind::Compare,
            '!' if is_jql => Kind::Not,
            '&' if is_jql => {
                self.takes('&');
                Kind::And
            }
            '|' if is_jql => {
                self.takes('|');
                Kind::Or
            }
            '[' if is_jql => self.bracketed(at)?,
            '"' => self.quoted(dialect, '"', at)?,
            '\'' if is_jql => self.quoted(dialect, '\'', at)?,
            '\'' => return Err(QueryError::new(at, "in CQL, quotes are double: `\"`")),
            first if is_plain(first) => self.word(first),
            other => {
                let shown = other.escape_debug();
                let message = format!("`{shown}` can only stand in quotes");
                return Err(QueryError::new(at, message));
            }
        })
    }

    fn word(&mut self, first: char) -> Kind {
        let mut word = String::from(first);
        while let Some(more) = self.rest.peek().copied().filter(|c| is_plain(*c)) {
            word.push(more);
            self.next();
        }
        Kind::Word(word)
    }

    /// The name in `cf[10010]` or `issue.property[name]`.
    fn bracketed(&mut self, at: usize) -> Result<Kind, QueryError> {
        let mut name = String::new();
        loop {
            match self.next() {
                Some(']') if !name.is_empty() => return Ok(Kind::Bracketed(name)),
                Some(c) if c.is_ascii_alphanumeric() || "-_.".contains(c) => name.push(c),
                Some(_) | None => {
                    return Err(QueryError::new(at, "`[` without a plain name and `]`"));
                }
            }
        }
    }

    fn quoted(&mut self, dialect: Dialect, quote: char, at: usize) -> Result<Kind, QueryError> {
        let mut text = String::new();
        loop {
            let here = self.at;
            match self.next() {
                None => return Err(QueryError::new(at, "the quote does not end")),
                Some(c) if c == quote => return Ok(Kind::Quoted(text)),
                Some('\\') => text.push(self.escape(dialect, here)?),
                Some(c) if c.is_control() => {
                    return Err(QueryError::new(here, "a control character"));
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self, dialect: Dialect, at: usize) -> Result<char, QueryError> {
        let unknown = || QueryError::new(at, "`\\` before what it does not belong to");
        match (self.next(), dialect) {
            (Some(c @ ('"' | '\\')), _) => Ok(c),
            (Some(c @ ('\'' | ' ')), Dialect::Jql) => Ok(c),
            (Some('n'), Dialect::Jql) => Ok('\n'),
            (Some('r'), Dialect::Jql) => Ok('\r'),
            (Some('t'), Dialect::Jql) => Ok('\t'),
            (Some('u'), Dialect::Jql) => {
                let mut code = 0;
                for _ in 0..4 {
                    let digit = self.next().and_then(|c| c.to_digit(16)).ok_or_else(unknown)?;
                    code = code * 16 + digit;
                }
                char::from_u32(code).ok_or_else(unknown)
            }
            _ => Err(unknown()),
        }
    }
}

/// Whether a bare word may have it. Other letters than those of ASCII have to be in quotes: some look like these, and some
/// are white space to somebody.
fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() && !STOPS.contains(c)
}
