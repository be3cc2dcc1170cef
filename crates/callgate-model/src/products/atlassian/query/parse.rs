//! From tokens to what they say. Of what is found nothing is left out; how it is sorted does not matter.

use super::ast::{Clause, Condition, Dialect, Operand, Says};
use super::lex::{Kind, Token, tokens};
use super::words::is_reserved;
use super::{BYTES_MAX, DEPTH_MAX, QueryError};

/// Reads `text`. `None` if it has no condition.
pub(super) fn parse(dialect: Dialect, text: &str) -> Result<Option<Condition>, QueryError> {
    if text.len() > BYTES_MAX {
        return Err(QueryError::new(0, format!("a query has at most {BYTES_MAX} bytes")));
    }
    let all = tokens(dialect, text)?;
    let mut parser = Parser { dialect, tokens: all, next: 0, end: text.chars().count(), depth: 0 };
    let is_empty = parser.peek().is_none() || parser.sees("order");
    let condition = if is_empty { None } else { Some(parser.any()?) };
    if parser.takes("order") {
        parser.order()?;
    }
    match parser.peek() {
        None => Ok(condition),
        Some(_) => Err(parser.wrong("AND, OR, ORDER BY or the end")),
    }
}

struct Parser {
    dialect: Dialect,
    tokens: Vec<Token>,
    next: usize,
    end: usize,
    depth: usize,
}

/// What changes of a field can be asked about.
const HISTORY: &[&str] = &["after", "before", "by", "during", "from", "on", "to"];

impl Parser {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |token| token.at)
    }

    fn wrong(&self, wanted: &str) -> QueryError {
        QueryError::new(self.at(), format!("here should be {wanted}"))
    }

    /// Whether the next token is this bare word, in any case.
    fn sees(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Kind::Word(next)) if next.eq_ignore_ascii_case(word))
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_it = self.sees(word);
        self.next += usize::from(is_it);
        is_it
    }

    fn takes_kind(&mut self, kind: &Kind) -> bool {
        let is_it = self.peek() == Some(kind);
        self.next += usize::from(is_it);
        is_it
    }

    fn any(&mut self) -> Result<Condition, QueryError> {
        let first = self.all()?;
        let mut all = vec![first];
        while self.takes("or") || self.takes_kind(&Kind::Or) {
            all.push(self.all()?);
        }
        Ok(one_or(all, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, QueryError> {
        let first = self.term()?;
        let mut all = vec![first];
        while self.takes("and") || self.takes_kind(&Kind::And) {
            all.push(self.term()?);
        }
        Ok(one_or(all, Condition::All))
    }

    fn term(&mut self) -> Result<Condition, QueryError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(QueryError::new(self.at(), "too deeply nested"));
        }
        let at = self.at();
        let term = if self.takes("not") || self.takes_kind(&Kind::Not) {
            Condition::Not(at, Box::new(self.term()?))
        } else if self.takes_kind(&Kind::Open) {
            let inner = self.any()?;
            if !self.takes_kind(&Kind::Close) {
                return Err(self.wrong("`)`"));
            }
            inner
        } else {
            Condition::Clause(self.clause()?)
        };
        self.depth -= 1;
        Ok(term)
    }

    fn clause(&mut self) -> Result<Clause, QueryError> {
        let at = self.at();
        let field = self.field()?;
        let says = self.says()?;
        Ok(Clause { at, field, says })
    }

    fn field(&mut self) -> Result<String, QueryError> {
        let mut field = match self.peek() {
            // Only letters of ASCII: what folds to one of them elsewhere may not do so here.
            Some(Kind::Quoted(name)) => name.to_ascii_lowercase(),
            Some(Kind::Word(name)) => {
                let name = name.to_ascii_lowercase();
                let is_custom = name == "cf" && self.sees_bracket_after();
                if self.is_reserved(&name) && !is_custom {
                    return Err(self.wrong(&format!("a field; the word `{name}` needs quotes")));
                }
                name
            }
            Some(_) | None => return Err(self.wrong("a field")),
        };
        self.next += 1;
        // `issue.property[name].path`
        while let Some(Kind::Bracketed(name)) = self.peek() {
            field = format!("{field}[{name}]");
            self.next += 1;
            if let Some(Kind::Word(path)) = self.peek()
                && path.starts_with('.')
            {
                field.push_str(path);
                self.next += 1;
            }
        }
        Ok(field)
    }

    fn sees_bracket_after(&self) -> bool {
        let after = self.tokens.get(self.next + 1).map(|token| &token.kind);
        matches!(after, Some(Kind::Bracketed(_)))
    }

    fn is_reserved(&self, word: &str) -> bool {
        match self.dialect {
            Dialect::Jql => is_reserved(word),
            Dialect::Cql => ["and", "by", "in", "not", "or", "order"].contains(&word),
        }
    }

    fn says(&mut self) -> Result<Says, QueryError> {
        let is_jql = self.dialect == Dialect::Jql;
        if self.takes_kind(&Kind::Equals) {
            return Ok(Says::Is(self.operand()?));
        }
        if self.takes_kind(&Kind::Compare) {
            self.operand()?;
            return Ok(Says::Other);
        }
        if self.takes("not") {
            if !self.takes("in") {
                return Err(self.wrong("IN"));
            }
            self.list()?;
            return Ok(Says::Other);
        }
        if self.takes("in") {
            return Ok(self.list()?.map_or(Says::Other, Says::In));
        }
        if is_jql && self.takes("is") {
            self.takes("not");
            if !self.takes("empty") && !self.takes("null") {
                return Err(self.wrong("EMPTY"));
            }
            return Ok(Says::Other);
        }
        if is_jql && self.takes("was") {
            self.takes("not");
            if self.takes("in") {
                self.list()?;
            } else {
                self.operand()?;
            }
            return self.history();
        }
        if is_jql && self.takes("changed") {
            return self.history();
        }
        Err(self.wrong("an operator: =, !=, ~, IN, …"))
    }

    fn history(&mut self) -> Result<Says, QueryError> {
        while HISTORY.iter().any(|word| self.sees(word)) {
            self.next += 1;
            if self.peek() == Some(&Kind::Open) {
                self.list()?;
            } else {
                self.operand()?;
            }
        }
        Ok(Says::Other)
    }

    /// Values in parentheses. `None` if a function gives them.
    fn list(&mut self) -> Result<Option<Vec<Operand>>, QueryError> {
        if !self.takes_kind(&Kind::Open) {
            return match self.operand()? {
                Operand::Unknown => Ok(None),
                Operand::Word(_) | Operand::Quoted(_) => {
                    self.next -= 1;
                    Err(self.wrong("values in parentheses"))
                }
            };
        }
        let mut values = vec![self.operand()?];
        while self.takes_kind(&Kind::Comma) {
            values.push(self.operand()?);
        }
        if !self.takes_kind(&Kind::Close) {
            return Err(self.wrong("`,` or `)`"));
        }
        Ok(Some(values))
    }

    fn operand(&mut self) -> Result<Operand, QueryError> {
        let operand = match self.peek() {
            Some(Kind::Quoted(text)) => Operand::Quoted(text.clone()),
            Some(Kind::Word(word)) => {
                let lower = word.to_ascii_lowercase();
                if self.dialect == Dialect::Jql && (lower == "empty" || lower == "null") {
                    Operand::Unknown
                } else if self.is_reserved(&lower) {
                    return Err(self.wrong(&format!("a value; the word `{lower}` needs quotes")));
                } else {
                    Operand::Word(word.clone())
                }
            }
            Some(_) | None => return Err(self.wrong("a value")),
        };
        self.next += 1;
        if !self.takes_kind(&Kind::Open) {
            return Ok(operand);
        }
        // A function, and what it is given.
        if !self.takes_kind(&Kind::Close) {
            loop {
                match self.peek() {
                    Some(Kind::Quoted(_) | Kind::Word(_)) => self.next += 1,
                    Some(_) | None => return Err(self.wrong("a value")),
                }
                if self.takes_kind(&Kind::Close) {
                    break;
                }
                if !self.takes_kind(&Kind::Comma) {
                    return Err(self.wrong("`,` or `)`"));
                }
            }
        }
        Ok(Operand::Unknown)
    }

    fn order(&mut self) -> Result<(), QueryError> {
        if !self.takes("by") {
            return Err(self.wrong("BY"));
        }
        loop {
            self.field()?;
            if !self.takes("asc") {
                self.takes("desc");
            }
            if !self.takes_kind(&Kind::Comma) {
                return Ok(());
            }
        }
    }
}

fn one_or(mut all: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            all.extend(last);
            many(all)
        }
    }
}
