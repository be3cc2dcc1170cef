//! GitHub's search syntax: which repositories and owners a query is bound to.
//!
//! GitHub reads one text in several ways: its older search takes `repo:` and `org:` out of the text wherever they stand and
//! joins them, its newer one knows AND, OR, NOT and parentheses. So a query is bounded only if it is in both: between any
//! two ORs there is a qualifier that is not denied. All that are named are bounds, and what may name a place and is not
//! certainly one makes the whole query unbounded: joined to the others it could add to them.
//!
//! Facts: "Searching issues and pull requests", "Understanding the search syntax", "Searching for repositories" of GitHub's
//! documentation.

use crate::target::{Located, Resource};

const OWNER: &str = "GitHub::Owner";
const REPOSITORY: &str = "GitHub::Repository";

/// Longest query, in bytes; GitHub itself takes no more than 256 characters of text.
const BYTES_MAX: usize = 4 << 10;
/// Most repositories and owners by which a query is bounded.
const BOUNDS_MAX: usize = 100;

/// Qualifiers that add places, or nobody can tell.
const WIDER: &[&str] = &["enterprise", "owner", "saved"];

/// The repositories and owners that everything the query `text` finds is in; never empty. `beside` are the owner and the
/// name of a repository to which the server binds a query that names none itself.
///
/// # Errors
/// Why it is not bounded, for whoever wrote it.
pub fn search(text: &str, beside: Option<(&str, &str)>) -> Result<Vec<Located>, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("a query is at most {BYTES_MAX} bytes"));
    }
    let parts = parts(text)?;
    // The server looks for it anywhere, also within other words.
    let named = text.to_ascii_lowercase().contains("repo:")
        || parts.iter().any(|part| part.scope.is_some());
    let has_or = parts.iter().any(|part| part.is_or);
    let mut bounds: Vec<Located> = Vec::new();
    if let Some((owner, name)) = beside {
        let repository = repository(owner, name);
        bounds.push(repository.ok_or_else(|| format!("`{owner}/{name}` is no repository"))?);
    }
    let by_server = beside.is_some() && !named && !has_or;
    for between_ors in parts.split(|part| part.is_or) {
        let found = between_ors.iter().filter_map(|part| part.scope.clone());
        let before = bounds.len();
        bounds.extend(found);
        if bounds.len() == before && !by_server {
            return Err("write `repo:OWNER/NAME` or `org:OWNER`, and if there is an OR, on both sides of it".to_owned());
        }
        if bounds.len() > BOUNDS_MAX {
            return Err(format!("more than {BOUNDS_MAX} repositories"));
        }
    }
    bounds.sort();
    bounds.dedup();
    Ok(bounds)
}

/// A word of a query.
#[derive(Default)]
struct Part {
    is_or: bool,
    /// What it binds to.
    scope: Option<Located>,
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    if text.chars().any(|c| c == '\\' || (c.is_whitespace() && c != ' ') || c.is_control()) {
        return Err("no backslashes, and no blanks but spaces".to_owned());
    }
    let mut parts = Vec::new();
    let (mut rest, mut denied) = (text, false);
    loop {
        rest = rest.trim_start_matches([' ', '(', ')']);
        if rest.is_empty() {
            return Ok(parts);
        }
        let word;
        (word, rest) = split_word(rest)?;
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        if is("NOT") || is("-") {
            denied = true;
        } else if is("OR") || is("|") || is("||") {
            parts.push(Part { is_or: true, ..Part::default() });
        } else if !is("AND") {
            parts.push(qualifier(word, denied)?);
        }
        if denied && rest.trim_start_matches(' ').starts_with('(') {
            return Err("a NOT before parentheses: deny words one by one".to_owned());
        }
        denied &= is("NOT") || is("-");
    }
}

/// The word at the beginning of `text`, quotes and all, and what follows.
fn split_word(text: &str) -> Result<(&str, &str), String> {
    let mut quoted = None;
    for (at, c) in text.char_indices() {
        match (c, quoted) {
            ('"', None) => {
                let opens = text
                    .get(..at)
                    .is_some_and(|before| matches!(before, "" | "-") || before.ends_with(':'));
                if !opens {
                    return Err("a quote within a word".to_owned());
                }
                quoted = Some(at + 1);
            }
            ('"', Some(from)) => {
                let (inside, rest) = (text.get(from..at), text.get(at + 1..));
                let (Some(inside), Some(rest)) = (inside, rest) else { break };
                check_quoted(inside)?;
                if !rest.starts_with([' ', '(', ')']) && !rest.is_empty() {
                    return Err("a word that goes on after its quotes".to_owned());
                }
                return Ok((text.get(..=at).unwrap_or_default(), rest));
            }
            (' ' | '(' | ')', None) => return Ok(text.split_at(at)),
            _ => {}
        }
    }
    match quoted {
        Some(_) => Err("a quote without an end".to_owned()),
        None => Ok((text, "")),
    }
}

/// Quotes are taken off by some readers.
fn check_quoted(inside: &str) -> Result<(), String> {
    let keyword = |word: &str| ["AND", "NOT", "OR"].iter().any(|k| word.eq_ignore_ascii_case(k));
    if inside.contains([':', '(', ')', '|']) || inside.split(' ').any(keyword) {
        return Err("quoted words with `:`, parentheses, AND, OR or NOT in them are not read alike everywhere".to_owned());
    }
    Ok(())
}

fn qualifier(word: &str, denied: bool) -> Result<Part, String> {
    if word.starts_with('/') {
        return Err("a regular expression, or a path".to_owned());
    }
    let (minus, word) = match word.strip_prefix('-') {
        Some(word) => (true, word),
        None => (false, word),
    };
    let Some((name, value)) = word.split_once(':') else { return Ok(Part::default()) };
    if !name.is_empty() && !name.bytes().all(|b| b.is_ascii_alphabetic() || b"-.".contains(&b))
        || name.starts_with('-')
    {
        return Err(format!("`{}:` is no qualifier", name.escape_debug()));
    }
    if WIDER.iter().any(|wider| name.eq_ignore_ascii_case(wider)) {
        return Err(format!("`{name}:` can name places that nobody lists"));
    }
    if !["org", "repo", "user"].iter().any(|scope| name.eq_ignore_ascii_case(scope)) {
        return Ok(Part::default());
    }
    let scope = match name {
        "repo" => value.split_once('/').and_then(|(owner, name)| repository(owner, name)),
        "org" | "user" => owner(value),
        _ => None,
    };
    match (scope, minus, denied) {
        (None, _, _) => Err(format!("`{}` names no place certainly", word.escape_debug())),
        // Who does not know the word takes what follows for a place to look in.
        (Some(_), _, true) => Err("deny a repository by a `-` before it, not by NOT".to_owned()),
        (Some(_), true, false) => Ok(Part::default()),
        (Some(scope), false, false) => Ok(Part { is_or: false, scope: Some(scope) }),
    }
}

fn owner(name: &str) -> Option<Located> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_name = name.len() <= 64
        && name.bytes().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let resource = || Resource::new(OWNER, name.to_ascii_lowercase());
    is_name.then(|| Located { resource: resource(), containers: Vec::new() })
}

fn repository(of: &str, name: &str) -> Option<Located> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let is_name = (1..=100).contains(&name.len())
        && name.bytes().all(plain)
        && name.bytes().any(|b| b.is_ascii_alphanumeric());
    let owner = owner(of).filter(|_| is_name)?.resource;
    let id = format!("{}/{}", owner.id, name.to_ascii_lowercase());
    Some(Located { resource: Resource::new(REPOSITORY, id), containers: vec![owner] })
}

#[cfg(test)]
mod tests;
