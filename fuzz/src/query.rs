//! Queries: no text does harm, and what is put around one does not change what it can find.

use callgate_model::products::atlassian::query::{QueryError, Reach, cql, jql};

type Analyse = fn(&str) -> Result<Reach, QueryError>;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for analyse in [jql as Analyse, cql] {
        let Ok(found) = analyse(text) else { continue };
        if let Reach::Bounded(bounds) = &found {
            assert!(!bounds.is_empty(), "bounded by nothing: {text}");
            assert!(bounds.iter().all(|bound| !bound.id.is_empty()));
        }
        // What is sorted, or empty, cannot stand in parentheses.
        if let Ok(inside) = analyse(&format!("({text})")) {
            let (Reach::Bounded(inside), Reach::Bounded(bounds)) = (inside, found) else {
                continue;
            };
            assert_eq!(inside, bounds, "{text}");
            let either = analyse(&format!("({text}) OR created > 0"));
            assert!(!matches!(either, Ok(Reach::Bounded(_))), "an OR shrinks it: {text}");
            let not = analyse(&format!("NOT ({text})"));
            assert!(!matches!(not, Ok(Reach::Bounded(_))), "{text}");
        }
    }
}
