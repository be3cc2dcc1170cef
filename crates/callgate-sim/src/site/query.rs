//! The part of JQL and CQL that people use: comparisons joined by AND, OR, NOT and parentheses. Anything else is
//! an error, so that a test never passes because a query was misread.

const DEPTH_MAX: usize = 16;

/// A query, read.
#[derive(Debug)]
pub(crate) enum Query {
    /// An empty query matches everything.
    All,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// The field, in lower case, has one of the values, or for `contains` a value that contains one.
    Field {
        name: String,
        contains: bool,
        values: Vec<String>,
    },
}

impl Query {
    /// Reads JQL or CQL; an `ORDER BY` at the end is ignored.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut reader = Reader { tokens: &tokens, depth: 0 };
        let query = if reader.at_end() { Self::All } else { reader.any()? };
        if reader.at_end() { Ok(query) } else { Err(reader.refuse()) }
    }

    /// Whether a thing with these fields matches.
    pub(crate) fn matches(
        &self,
        field: &dyn Fn(&str) -> Option<Vec<String>>,
    ) -> Result<bool, String> {
        Ok(match self {
            Self::All => true,
            Self::And(parts) => parts
                .iter()
                .try_fold(true, |all, part| Ok::<_, String>(part.matches(field)? && all))?,
            Self::Or(parts) => parts
                .iter()
                .try_fold(false, |any, part| Ok::<_, String>(part.matches(field)? || any))?,
            Self::Not(part) => !part.matches(field)?,
            Self::Field { name, contains, values } => {
                let has = field(name).ok_or_else(|| format!("Field '{name}' does not exist."))?;
                has.iter().any(|value| values.iter().any(|wanted| agrees(value, wanted, *contains)))
            }
        })
    }
}

fn agrees(value: &str, wanted: &str, contains: bool) -> bool {
    let (value, wanted) = (value.to_lowercase(), wanted.to_lowercase());
    if contains { value.contains(&wanted) } else { value == wanted }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Mark(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        match first {
            blank if blank.is_whitespace() => {}
            '"' | '\'' => {
                let quoted: String = chars.by_ref().take_while(|next| *next != first).collect();
                tokens.push(Token::Quoted(quoted));
            }
            '(' | ')' | ',' | '=' | '~' => tokens.push(Token::Mark(first.into())),
            '!' => match chars.next() {
                Some(next @ ('=' | '~')) => tokens.push(Token::Mark(format!("!{next}"))),
                Some(_) | None => return Err("Error in the query: '!'.".to_owned()),
            },
            _ => {
                let mut word = String::from(first);
                while let Some(next) = chars.next_if(|next| is_word(*next)) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

fn is_word(letter: char) -> bool {
    !letter.is_whitespace() && !"\"'(),=~!".contains(letter)
}

struct Reader<'a> {
    tokens: &'a [Token],
    depth: usize,
}

impl Reader<'_> {
    fn any(&mut self) -> Result<Query, String> {
        let mut parts = vec![self.all()?];
        while self.take_word("OR") {
            parts.push(self.all()?);
        }
        Ok(Query::Or(parts))
    }

    fn all(&mut self) -> Result<Query, String> {
        let mut parts = vec![self.one()?];
        while self.take_word("AND") {
            parts.push(self.one()?);
        }
        Ok(Query::And(parts))
    }

    fn one(&mut self) -> Result<Query, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("The query is nested too deeply.".to_owned());
        }
        let query = if self.take_word("NOT") {
            Query::Not(Box::new(self.one()?))
        } else if self.take_mark("(") {
            let inner = self.any()?;
            if !self.take_mark(")") {
                return Err(self.refuse());
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(query)
    }

    fn comparison(&mut self) -> Result<Query, String> {
        let name = self.value()?.to_lowercase();
        let negated = self.take_word("NOT");
        if self.take_word("IN") {
            let values = self.list()?;
            return Ok(negate(negated, Query::Field { name, contains: false, values }));
        }
        for (mark, contains, negated) in
            [("=", false, false), ("!=", false, true), ("~", true, false), ("!~", true, true)]
        {
            if self.take_mark(mark) {
                let values = vec![self.value()?];
                return Ok(negate(negated, Query::Field { name, contains, values }));
            }
        }
        Err(self.refuse())
    }

    fn list(&mut self) -> Result<Vec<String>, String> {
        if !self.take_mark("(") {
            return Err(self.refuse());
        }
        let mut values = vec![self.value()?];
        while self.take_mark(",") {
            values.push(self.value()?);
        }
        if self.take_mark(")") { Ok(values) } else { Err(self.refuse()) }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.tokens.split_first() {
            Some((Token::Word(text) | Token::Quoted(text), rest)) => {
                self.tokens = rest;
                Ok(text.clone())
            }
            Some((Token::Mark(_), _)) | None => Err(self.refuse()),
        }
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        self.take(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted)))
    }

    fn take_mark(&mut self, wanted: &str) -> bool {
        self.take(|token| matches!(token, Token::Mark(mark) if mark == wanted))
    }

    fn take(&mut self, is_wanted: impl Fn(&Token) -> bool) -> bool {
        match self.tokens.split_first() {
            Some((token, rest)) if is_wanted(token) => {
                self.tokens = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    fn at_end(&self) -> bool {
        match self.tokens.first() {
            Some(Token::Word(word)) => word.eq_ignore_ascii_case("ORDER"),
            Some(Token::Quoted(_) | Token::Mark(_)) => false,
            None => true,
        }
    }

    fn refuse(&self) -> String {
        match self.tokens.first() {
            Some(Token::Word(text) | Token::Quoted(text) | Token::Mark(text)) => {
                format!("Error in the query near '{text}'.")
            }
            None => "Error in the query: it ends too early.".to_owned(),
        }
    }
}

fn negate(negated: bool, query: Query) -> Query {
    if negated { Query::Not(Box::new(query)) } else { query }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(query: &str) -> Result<bool, String> {
        Query::read(query)?.matches(&|name| match name {
            "project" => Some(vec!["ENG".to_owned(), "Engineering".to_owned()]),
            "text" => Some(vec!["Checkout fails on retry".to_owned()]),
            _ => None,
        })
    }

    #[test]
    fn reads_what_people_write() {
        for query in [
            "project = ENG",
            "project in (OPS, \"eng\") order by created desc",
            "project = OPS OR (text ~ 'checkout' AND NOT project = HR)",
            "project not in (OPS) AND text !~ refund",
            "",
        ] {
            assert_eq!(matches(query), Ok(true), "{query}");
        }
        assert_eq!(matches("project = OPS"), Ok(false));
        assert_eq!(matches("text ~ retry and project != ENG"), Ok(false));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for query in
            ["project", "project = ", "project = A)", "(project = A", "nonsense = 1", "a ! b"]
        {
            assert!(matches(query).is_err(), "{query}");
        }
        assert!(Query::read(&"(".repeat(10_000)).is_err());
    }
}
