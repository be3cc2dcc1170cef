//! What a query can find: JQL, Jira's language, and CQL, Confluence's.
//!
//! The analysis proves that everything a query finds is in certain projects or spaces, or says that it cannot. A query that
//! the product could read in another way than we do is an error. Nobody's query is ever changed: `project = A AND (…)` around
//! `x) OR (y` is another query.
//!
//! Facts: Atlassian's "Advanced search reference" for JQL (fields, operators, keywords, functions; reserved words and
//! characters) and "Advanced Searching using CQL" for CQL.

mod ast;
mod lex;
mod parse;
mod reach;
mod words;

use thiserror::Error;

pub(crate) use ast::Dialect;

/// Longest query, in bytes.
const BYTES_MAX: usize = 16 << 10;
/// Deepest nesting of parentheses and NOTs.
const DEPTH_MAX: usize = 64;
/// Most things by which a query is bounded.
const BOUNDS_MAX: usize = 100;

/// What a query can find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing that is not in one of these, or one of them. Never empty.
    Bounded(Vec<Bound>),
    /// It cannot be told.
    Unbounded(Gap),
}

/// A project, a space, an issue or a page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    /// `Jira::Project`, `Jira::Issue`, `Confluence::Space` or `Confluence::Page`.
    pub kind: &'static str,
    /// Its key or number, as the query has it.
    pub id: String,
}

/// Why a query has no bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where it reaches out, in characters from 0.
    pub at: usize,
    /// What to write instead, for whoever wrote the query.
    pub why: String,
}

/// Not a query, or none that everybody reads alike.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at character {}: {message}", at + 1)]
pub struct QueryError {
    /// Where, in characters from 0.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

impl QueryError {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// What the JQL query `text` can find.
///
/// # Errors
/// [`QueryError`].
pub fn jql(text: &str) -> Result<Reach, QueryError> {
    Ok(reach::reach(Dialect::Jql, parse::parse(Dialect::Jql, text)?.as_ref()))
}

/// What the CQL query `text` can find.
///
/// # Errors
/// [`QueryError`].
pub fn cql(text: &str) -> Result<Reach, QueryError> {
    Ok(reach::reach(Dialect::Cql, parse::parse(Dialect::Cql, text)?.as_ref()))
}

#[cfg(test)]
mod tests;
