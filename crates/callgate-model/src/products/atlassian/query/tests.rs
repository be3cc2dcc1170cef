use std::fmt::Write as _;

use proptest::prelude::*;

use super::ast::{Clause, Condition, Operand, Says};
use super::*;

fn described(found: Result<Reach, QueryError>) -> String {
    match found {
        Ok(Reach::Unbounded(gap)) => {
            assert!(gap.why.contains("KEY") || gap.why.contains("at a time"), "{gap:?}");
            "?".to_owned()
        }
        Ok(Reach::Bounded(bounds)) => {
            assert!(!bounds.is_empty());
            bounds.into_iter().map(|bound| bound.id).collect::<Vec<_>>().join(", ")
        }
        Err(error) => format!("! {}", error.at + 1),
    }
}

#[test]
fn z01_each_query_reaches_what_is_written_beside_it() {
    type Analyse = fn(&str) -> Result<Reach, QueryError>;
    let files: [(&str, Analyse); 2] =
        [(include_str!("cases/jql.txt"), jql), (include_str!("cases/cql.txt"), cql)];
    let (mut count, mut wrong) = (0, String::new());
    for (text, analyse) in files {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (query, wanted) = line.rsplit_once("=> ").unwrap();
            let query = query.strip_suffix(' ').unwrap_or(query);
            let found = described(analyse(query));
            if found != wanted {
                writeln!(wrong, "{query} => {found}, not {wanted}").unwrap();
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(count >= 300, "{count}");
}

#[test]
fn the_kind_of_a_bound_is_that_of_its_field() {
    let kinds = |found: Result<Reach, QueryError>| match found {
        Ok(Reach::Bounded(bounds)) => bounds.into_iter().map(|bound| bound.kind).collect(),
        other => panic!("{other:?}"),
    };
    let both: Vec<_> = kinds(jql("project = ENG OR key = OPS-1"));
    assert_eq!(both, ["Jira::Project", "Jira::Issue"]);
    let both: Vec<_> = kinds(cql("space = DOCS OR id = 7"));
    assert_eq!(both, ["Confluence::Space", "Confluence::Page"]);
}

#[test]
fn a_gap_says_where_and_what_to_write() {
    let Ok(Reach::Unbounded(gap)) = jql("project = ENG OR assignee = bob") else { panic!() };
    assert_eq!(gap.at, 17);
    assert_eq!(
        gap.why,
        "`assignee` says nothing of where; write `project = KEY AND (…)`, with the project's key"
    );
    let error = jql("project = ENG) OR (a = b").unwrap_err().to_string();
    assert_eq!(error, "at character 14: here should be AND, OR, ORDER BY or the end");
}

#[test]
fn i13_a_query_has_a_bound_in_every_direction() {
    let deep = |depth: usize| format!("{}project = ENG{}", "(".repeat(depth), ")".repeat(depth));
    assert!(jql(&deep(63)).is_ok());
    assert!(jql(&deep(64)).is_err() && jql(&deep(8000)).is_err());
    assert!(jql(&format!("{}a = b", "NOT ".repeat(4000))).is_err());
    assert!(jql(&format!("project = ENG AND x = \"{}\"", "y".repeat(BYTES_MAX))).is_err());
    let many = |count: usize| {
        let keys: Vec<String> = (0..count).map(|number| format!("K{number}")).collect();
        jql(&format!("project in ({})", keys.join(",")))
    };
    assert!(matches!(many(BOUNDS_MAX), Ok(Reach::Bounded(_))));
    assert!(matches!(many(BOUNDS_MAX + 1), Ok(Reach::Unbounded(_))));
}

// --- Queries made by chance ------------------------------------------------------------------------------------------

const KEYS: [&str; 3] = ["ENG", "OPS", "HR"];

fn clause() -> impl Strategy<Value = Condition> {
    let key = prop::sample::select(&KEYS[..]);
    let project = prop_oneof![
        key.clone().prop_map(|key| Operand::Word(key.to_owned())),
        key.clone().prop_map(|key| Operand::Quoted(key.to_owned())),
    ];
    let issue = (key, 1..4_u8).prop_map(|(key, n)| Operand::Word(format!("{key}-{n}")));
    let value = prop::sample::select(vec!["alice", "bob"]);
    let value = value.prop_map(|name| Operand::Quoted(name.to_owned()));
    let says = |value: BoxedStrategy<Operand>| {
        prop_oneof![
            value.clone().prop_map(Says::Is),
            prop::collection::vec(value, 1..4).prop_map(Says::In),
            Just(Says::Other),
        ]
    };
    let about = |field: &'static str, value: BoxedStrategy<Operand>| {
        says(value)
            .prop_map(move |says| Condition::Clause(Clause { at: 0, field: field.into(), says }))
    };
    prop_oneof![
        about("project", project.boxed()),
        about("key", issue.boxed()),
        about("assignee", value.boxed()),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    clause().prop_recursive(4, 24, 4, |inner| {
        let many = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            many.clone().prop_map(Condition::All),
            many.prop_map(Condition::Any),
            inner.prop_map(|inner| Condition::Not(0, Box::new(inner))),
        ]
    })
}

fn print(condition: &Condition) -> String {
    let joined = |all: &[Condition], by: &str| {
        all.iter().map(|one| format!("({})", print(one))).collect::<Vec<_>>().join(by)
    };
    let value = |operand: &Operand| match operand {
        Operand::Word(text) => text.clone(),
        Operand::Quoted(text) => format!("\"{text}\""),
        Operand::Unknown => "f()".to_owned(),
    };
    match condition {
        Condition::All(all) => joined(all, " AND "),
        Condition::Any(all) => joined(all, " OR "),
        Condition::Not(_, inner) => format!("NOT ({})", print(inner)),
        Condition::Clause(Clause { field, says, .. }) => match says {
            Says::Is(operand) => format!("{field} = {}", value(operand)),
            Says::In(all) => {
                format!("{field} in ({})", all.iter().map(value).collect::<Vec<_>>().join(", "))
            }
            Says::Other => format!("{field} != nothing"),
        },
    }
}

/// Without places, and without what a list of one says otherwise.
fn placeless(condition: Condition) -> Condition {
    match condition {
        Condition::All(all) => Condition::All(all.into_iter().map(placeless).collect()),
        Condition::Any(all) => Condition::Any(all.into_iter().map(placeless).collect()),
        Condition::Not(_, inner) => Condition::Not(0, Box::new(placeless(*inner))),
        Condition::Clause(clause) => Condition::Clause(Clause { at: 0, ..clause }),
    }
}

/// An issue of a small Jira.
#[derive(Clone, Copy, Debug)]
struct Issue {
    project: &'static str,
    number: u8,
    assignee: &'static str,
}

fn every_issue() -> impl Iterator<Item = Issue> {
    KEYS.into_iter().flat_map(|project| {
        (1..4).flat_map(move |number| {
            ["alice", "bob"].map(|assignee| Issue { project, number, assignee })
        })
    })
}

/// What Jira would find: written without a look at the analysis.
fn finds(condition: &Condition, issue: Issue) -> bool {
    match condition {
        Condition::All(all) => all.iter().all(|one| finds(one, issue)),
        Condition::Any(all) => all.iter().any(|one| finds(one, issue)),
        Condition::Not(_, inner) => !finds(inner, issue),
        Condition::Clause(Clause { field, says, .. }) => {
            let own = match field.as_str() {
                "project" => issue.project.to_owned(),
                "key" => format!("{}-{}", issue.project, issue.number),
                _ => issue.assignee.to_owned(),
            };
            let is = |operand: &Operand| match operand {
                Operand::Word(text) | Operand::Quoted(text) => *text == own,
                Operand::Unknown => true,
            };
            match says {
                Says::Is(operand) => is(operand),
                Says::In(all) => all.iter().any(is),
                Says::Other => true,
            }
        }
    }
}

fn bounds_of(condition: &Condition) -> Option<Vec<Bound>> {
    match jql(&print(condition)).unwrap() {
        Reach::Bounded(bounds) => Some(bounds),
        Reach::Unbounded(_) => None,
    }
}

fn holds(bounds: &[Bound], issue: Issue) -> bool {
    bounds.iter().any(|bound| {
        bound.id == issue.project || bound.id == format!("{}-{}", issue.project, issue.number)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_printed_is_read_again(condition in condition()) {
        let read = parse::parse(Dialect::Jql, &print(&condition)).unwrap().unwrap();
        prop_assert_eq!(placeless(read), condition);
    }

    #[test]
    fn z01_everything_that_is_found_is_in_the_bounds(condition in condition()) {
        if let Some(bounds) = bounds_of(&condition) {
            for issue in every_issue().filter(|issue| finds(&condition, *issue)) {
                prop_assert!(holds(&bounds, issue), "{} finds {issue:?}", print(&condition));
            }
        }
    }

    #[test]
    fn z01_adding_an_or_never_shrinks_what_is_reached(one in condition(), more in condition()) {
        let both = bounds_of(&Condition::Any(vec![one.clone(), more.clone()]));
        match (bounds_of(&one), bounds_of(&more), both) {
            (Some(one), Some(more), Some(both)) => {
                prop_assert!(one.iter().chain(&more).all(|bound| both.contains(bound)));
            }
            (None, _, both) | (_, None, both) => prop_assert_eq!(both, None),
            (Some(_), Some(_), None) => prop_assert!(false, "two that are bounded are"),
        }
    }

    #[test]
    fn z01_adding_an_and_never_grows_what_is_reached(one in condition(), more in condition()) {
        let both = bounds_of(&Condition::All(vec![one.clone(), more]));
        if let Some(bounds) = bounds_of(&one) {
            let both = both.unwrap();
            for issue in every_issue().filter(|issue| holds(&both, *issue)) {
                prop_assert!(holds(&bounds, issue), "{issue:?}");
            }
        }
    }

    #[test]
    fn z01_not_has_no_bounds(condition in condition()) {
        prop_assert_eq!(bounds_of(&Condition::Not(0, Box::new(condition))), None);
    }

    #[test]
    fn any_text_is_a_query_or_none(text in "\\PC{0,80}") {
        jql(&text).ok();
        cql(&text).ok();
    }
}

/// Pieces that queries are made of, and what is near them.
const PIECES: &[&str] = &[
    "project",
    "key",
    "space",
    "id",
    "=",
    "!=",
    " in ",
    " not in ",
    "(",
    ")",
    "(",
    ")",
    ",",
    "ENG",
    "HR-1",
    "\"ENG\"",
    "'x'",
    " AND ",
    " OR ",
    " NOT ",
    "!",
    "&&",
    "||",
    "~",
    "<=",
    " is ",
    "EMPTY",
    " was ",
    " changed ",
    " from ",
    "f()",
    "ORDER BY ",
    "cf[1]",
    "[",
    "]",
    "\"",
    "'",
    "\\",
    "\\u0041",
    " ",
    "10",
    "-",
    ".",
    "é",
    "\u{200b}",
    "\n",
    "desc",
];

#[test]
fn i13_a_million_queries_made_by_chance_do_no_harm() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let (mut text, mut read, mut bounded) = (String::new(), 0, 0);
    for round in 0..1_000_000 {
        text.clear();
        if round % 2 == 0 {
            text.push_str("project = ENG AND (key = HR-1 OR space in (\"ENG\", HR))");
            let at = next(text.len());
            text.insert_str(at, PIECES[next(PIECES.len())]);
        } else {
            (0..next(9) + 1).for_each(|_| text.push_str(PIECES[next(PIECES.len())]));
        }
        for reach in [jql(&text), cql(&text)].into_iter().flatten() {
            read += 1;
            bounded += usize::from(matches!(reach, Reach::Bounded(_)));
        }
    }
    assert!(read > 100_000 && bounded > 10_000, "{read} {bounded}");
}

/// What is joined is compared with what is there, so there cannot be too much of it.
#[test]
fn i13_a_query_of_many_places_takes_no_time() {
    let keys: Vec<String> = (0..2_500_u32)
        .map(|n| {
            let letter = |n: u32| char::from(b'A' + u8::try_from(n % 26).unwrap());
            // With a digit, for some letters are words of the language.
            [letter(n / 676), letter(n / 26), letter(n), '1'].iter().collect()
        })
        .collect();
    let inner = format!("project in ({})", keys.join(","));
    let nested = (0..60).fold(inner.clone(), |inner, _| format!("({inner} or id=1)"));
    let begun = std::time::Instant::now();
    assert!(matches!(jql(&nested), Ok(Reach::Unbounded(_))));
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
    // In an AND another part may still bound it.
    let bounded = jql(&format!("project = ENG AND {inner}"));
    assert!(matches!(bounded, Ok(Reach::Bounded(bounds)) if bounds.len() == 1));
}
