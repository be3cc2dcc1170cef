//! A query, read.

/// The language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Confluence's.
    Cql,
    /// Jira's.
    Jql,
}

/// What has to be true of what is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// All of them. At least two.
    All(Vec<Self>),
    /// Any of them. At least two.
    Any(Vec<Self>),
    /// Not this.
    Not(usize, Box<Self>),
    /// Something about one field.
    Clause(Clause),
}

/// Something about one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    /// Where it begins.
    pub(super) at: usize,
    /// The field's name in lower case; properties and custom fields with their brackets.
    pub(super) field: String,
    /// What is said about it.
    pub(super) says: Says,
}

/// What is said about a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Its value is this one.
    Is(Operand),
    /// Its value is one of these.
    In(Vec<Operand>),
    /// Anything else: that it is not so, compares, was so, matches a text, is one of what a function gives.
    Other,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// Without quotes.
    Word(String),
    /// In quotes, without them.
    Quoted(String),
    /// Nothing, or what only the product knows.
    Unknown,
}
