//! The proof: what a condition bounds.
//!
//! Every rule is on the safe side whatever the data are. Of two bounds that AND joins, one is taken and nothing is made of
//! both: a project answers to former keys too, so what two sets have in common by name is less than what they have in common.

use super::ast::{Clause, Condition, Dialect, Operand, Says};
use super::{BOUNDS_MAX, Bound, Gap, Reach};

/// What `condition` can find.
pub(super) fn reach(dialect: Dialect, condition: Option<&Condition>) -> Reach {
    let Some(condition) = condition else {
        return gap(dialect, 0, "it finds everything");
    };
    match bounds(dialect, condition) {
        Ok(bounds) => Reach::Bounded(bounds),
        Err(gap) => Reach::Unbounded(gap),
    }
}

/// Of a condition, or why it has none.
fn bounds(dialect: Dialect, condition: &Condition) -> Result<Vec<Bound>, Gap> {
    match condition {
        Condition::Clause(clause) => of_clause(dialect, clause),
        // What is not in one project may be in any other.
        Condition::Not(at, _) => Err(missing(dialect, *at, "NOT leaves everything else")),
        Condition::Any(all) => {
            let mut joined: Vec<Bound> = Vec::new();
            for one in all {
                for bound in bounds(dialect, one)? {
                    if !joined.contains(&bound) {
                        joined.push(bound);
                    }
                }
                // At once: what is joined is compared with everything that is there.
                if joined.len() > BOUNDS_MAX {
                    return Err(too_many(0));
                }
            }
            Ok(joined)
        }
        Condition::All(all) => {
            let mut best: Result<Vec<Bound>, Option<Gap>> = Err(None);
            for one in all {
                best = match (best, bounds(dialect, one)) {
                    (Ok(best), Ok(other)) if is_inside(&other, &best) => Ok(other),
                    (Ok(best), _) => Ok(best),
                    (Err(_), Ok(found)) => Ok(found),
                    (Err(None), Err(gap)) => Err(Some(gap)),
                    (Err(first), Err(_)) => Err(first),
                };
            }
            best.map_err(|gap| gap.unwrap_or_else(|| missing(dialect, 0, "it finds everything")))
        }
    }
}

/// Whether all of `inner` is in `outer`.
fn is_inside(inner: &[Bound], outer: &[Bound]) -> bool {
    inner.iter().all(|one| outer.iter().any(|other| contains(other, one)))
}

fn contains(outer: &Bound, inner: &Bound) -> bool {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    if outer.kind == inner.kind {
        return same(&outer.id, &inner.id);
    }
    let project = inner.id.rsplit_once('-').map(|(project, _)| project);
    outer.kind == PROJECT && inner.kind == ISSUE && project.is_some_and(|key| same(key, &outer.id))
}

const PROJECT: &str = "Jira::Project";
const ISSUE: &str = "Jira::Issue";
const SPACE: &str = "Confluence::Space";
const PAGE: &str = "Confluence::Page";

fn of_clause(dialect: Dialect, clause: &Clause) -> Result<Vec<Bound>, Gap> {
    let (kind, read): (_, fn(&Operand) -> Option<String>) = match (dialect, clause.field.as_str()) {
        (Dialect::Jql, "project") => (PROJECT, project),
        (Dialect::Jql, "id" | "issue" | "issuekey" | "key") => (ISSUE, issue),
        (Dialect::Cql, "space" | "space.key") => (SPACE, space),
        (Dialect::Cql, "content" | "id") => (PAGE, page),
        (_, field) => {
            let what = format!("`{}` says nothing of where", shown(field));
            return Err(missing(dialect, clause.at, &what));
        }
    };
    let values = match &clause.says {
        Says::Is(value) => std::slice::from_ref(value),
        Says::In(values) => values.as_slice(),
        Says::Other => {
            let what = format!("`{}` is not said to be certain ones", clause.field);
            return Err(missing(dialect, clause.at, &what));
        }
    };
    if values.len() > BOUNDS_MAX {
        return Err(too_many(clause.at));
    }
    let bound = |value: &Operand| Some(Bound { kind, id: read(value)? });
    let found: Option<Vec<Bound>> = values.iter().map(bound).collect();
    found.ok_or_else(|| {
        let what = format!("`{}` is not named by its key", clause.field);
        missing(dialect, clause.at, &what)
    })
}

/// A key; or the number of one, without quotes: in quotes it could be a name.
fn project(value: &Operand) -> Option<String> {
    let is_key = |text: &str| {
        text.len() >= 2
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match value {
        Operand::Word(text) | Operand::Quoted(text) if is_key(text) => Some(text.clone()),
        Operand::Word(_) => number(value),
        Operand::Quoted(_) | Operand::Unknown => None,
    }
}

fn issue(value: &Operand) -> Option<String> {
    let (Operand::Word(text) | Operand::Quoted(text)) = value else { return None };
    let Some((key, rest)) = text.split_once('-') else { return number(value) };
    let key = project(&Operand::Quoted(key.to_owned()))?;
    is_number(rest).then(|| format!("{key}-{rest}"))
}

fn space(value: &Operand) -> Option<String> {
    let (Operand::Word(text) | Operand::Quoted(text)) = value else { return None };
    let name = text.strip_prefix('~').unwrap_or(text);
    let is_key = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
        && (name.len() < text.len() || name.bytes().any(|b| b.is_ascii_alphabetic()));
    is_key.then(|| text.clone())
}

fn page(value: &Operand) -> Option<String> {
    let (Operand::Word(text) | Operand::Quoted(text)) = value else { return None };
    is_number(text).then(|| text.clone())
}

fn number(value: &Operand) -> Option<String> {
    match value {
        Operand::Word(text) if is_number(text) => Some(text.clone()),
        Operand::Word(_) | Operand::Quoted(_) | Operand::Unknown => None,
    }
}

fn is_number(text: &str) -> bool {
    (1..=18).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && !text.starts_with('0')
}

fn too_many(at: usize) -> Gap {
    Gap {
        at,
        why: format!("it names more than {BOUNDS_MAX} places; ask for some of them at a time"),
    }
}

fn gap(dialect: Dialect, at: usize, what: &str) -> Reach {
    Reach::Unbounded(missing(dialect, at, what))
}

/// What is missing at `at`, and what to write.
fn missing(dialect: Dialect, at: usize, what: &str) -> Gap {
    let write = match dialect {
        Dialect::Jql => "`project = KEY AND (…)`, with the project's key",
        Dialect::Cql => "`space = KEY AND (…)`, with the space's key",
    };
    Gap { at, why: format!("{what}; write {write}") }
}

fn shown(field: &str) -> String {
    field.chars().take(40).flat_map(char::escape_debug).collect()
}
