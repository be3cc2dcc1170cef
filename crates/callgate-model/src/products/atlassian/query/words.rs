//! Words that cannot stand for themselves in JQL unless they are in quotes. From "Search for work items using JQL", reserved
//! words.

/// Sorted.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "a", "abort", "access", "add", "after", "alias", "all", "alter", "an", "and", "any", "are", "as", "asc", "at",
    "audit", "avg", "be", "before", "begin", "between", "boolean", "break", "but", "by", "byte", "catch", "cf",
    "char", "character", "check", "checkpoint", "collate", "collation", "column", "commit", "connect", "continue",
    "count", "create", "current", "date", "decimal", "declare", "decrement", "default", "defaults", "define",
    "delete", "delimiter", "desc", "difference", "distinct", "divide", "do", "double", "drop", "else", "empty",
    "encoding", "end", "equals", "escape", "exclusive", "exec", "execute", "exists", "explain", "false", "fetch",
    "field", "file", "first", "float", "for", "from", "function", "go", "goto", "grant", "greater", "group", "having",
    "identified", "if", "immediate", "in", "increment", "index", "initial", "inner", "inout", "input", "insert",
    "int", "integer", "intersect", "intersection", "into", "is", "isempty", "isnull", "it", "join", "last", "left",
    "less", "like", "limit", "lock", "long", "max", "min", "minus", "mode", "modify", "modulo", "more", "multiply",
    "next", "no", "noaudit", "not", "notin", "nowait", "null", "number", "object", "of", "on", "option", "or",
    "order", "outer", "output", "power", "previous", "prior", "privileges", "public", "raise", "raw", "remainder",
    "rename", "resource", "return", "returns", "revoke", "right", "row", "rowid", "rownum", "rows", "select",
    "session", "set", "share", "size", "sqrt", "start", "strict", "string", "subtract", "such", "sum", "synonym",
    "table", "that", "the", "their", "then", "there", "these", "they", "this", "to", "trans", "transaction",
    "trigger", "true", "uid", "union", "unique", "update", "user", "validate", "values", "view", "was", "when",
    "whenever", "where", "while", "will", "with",
];

/// Whether `word`, in lower case, is one of them.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_in_order_and_none_is_missed() {
        assert!(RESERVED.is_sorted() && RESERVED.iter().all(|word| is_reserved(word)));
        assert!(!is_reserved("") && !is_reserved("project") && !is_reserved("AND"));
    }
}
