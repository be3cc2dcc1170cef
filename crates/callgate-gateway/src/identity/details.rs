//! What a token is for, as `authorization_details` say it (RFC 9396): some operations on one thing. What is not understood
//! covers nothing.

use std::collections::{BTreeMap, BTreeSet};

use callgate_model::envelope::Portion;
use callgate_model::json::{Json, Object};
use callgate_model::target::Resource;

use super::Unacceptable;
use super::jwt::Claims;

const CLAIM: &str = "authorization_details";
/// In place of which the identifier stands in an id.
const IDENTIFIER: &str = "{identifier}";
/// Details in one token.
const DETAILS_MAX: usize = 100;

/// What details of one type mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailRule {
    /// The kind of thing that their `identifier` names.
    pub kind: String,
    /// The thing's id, with `{identifier}` in it.
    pub id: String,
    /// What each of their `actions` covers: operations, and groups of them.
    pub actions: BTreeMap<String, BTreeSet<String>>,
}

/// The portions that the details in `claims` are.
pub(super) fn portions(
    rules: &BTreeMap<String, DetailRule>,
    claims: &Claims,
    audiences: &[String],
) -> Result<Vec<Portion>, Unacceptable> {
    let wrong = || Unacceptable::Claim(CLAIM.to_owned());
    let details = match claims.0.get(CLAIM) {
        None => return Ok(Vec::new()),
        Some(Json::Array(details)) if details.len() <= DETAILS_MAX => details,
        Some(_) => return Err(wrong()),
    };
    let mut portions = Vec::new();
    for detail in details {
        let detail = detail.as_object().ok_or_else(wrong)?;
        let kind = detail.get("type").and_then(Json::as_str).ok_or_else(wrong)?;
        let Some(rule) = rules.get(kind) else { continue };
        portions.extend(rule.portion(detail, audiences));
    }
    Ok(portions)
}

impl DetailRule {
    fn portion(&self, detail: &Object, audiences: &[String]) -> Option<Portion> {
        let known = ["type", "locations", "actions", "identifier"];
        // Any other member could narrow it in a way that is not known here.
        if detail.iter().any(|(name, _)| !known.contains(&name)) {
            return None;
        }
        let is_here = match detail.get("locations") {
            None => true,
            Some(Json::Array(locations)) => locations
                .iter()
                .filter_map(Json::as_str)
                .any(|at| audiences.iter().any(|audience| audience == at)),
            Some(_) => false,
        };
        let identifier = detail.get("identifier").and_then(Json::as_str)?;
        let actions = detail.get("actions").and_then(Json::as_array)?;
        let actions = actions.iter().filter_map(Json::as_str);
        let actions: BTreeSet<String> =
            actions.filter_map(|action| self.actions.get(action)).flatten().cloned().collect();
        if !is_here || identifier.is_empty() || actions.is_empty() {
            return None;
        }
        let id = self.id.replace(IDENTIFIER, identifier);
        let within = BTreeSet::from([Resource::new(self.kind.clone(), id)]);
        Some(Portion { actions, within, ..Portion::default() })
    }

    /// Whether its id has the identifier in it.
    #[must_use]
    pub fn has_identifier(&self) -> bool {
        self.id.contains(IDENTIFIER)
    }
}

#[cfg(test)]
mod tests {
    use callgate_model::json::{JsonLimits, read};

    use super::*;

    fn rules() -> BTreeMap<String, DetailRule> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let actions = BTreeMap::from([
            ("read".to_owned(), set(&["read"])),
            ("edit".to_owned(), set(&["jira.issue.edit", "read"])),
        ]);
        let rule =
            DetailRule { kind: "Jira::Project".into(), id: "acme/{identifier}".into(), actions };
        BTreeMap::from([("jira_project".to_owned(), rule)])
    }

    fn told(details: &str) -> Result<String, Unacceptable> {
        let text = format!(r#"{{"authorization_details":{details}}}"#);
        let Json::Object(claims) = read(text.as_bytes(), &JsonLimits::default()).unwrap() else {
            panic!("{text}")
        };
        let audiences = ["https://gate.example/mcp/atlassian".to_owned()];
        let found = portions(&rules(), &Claims(claims), &audiences)?;
        Ok(found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn details_cover_what_is_understood_of_them() {
        let eng = r#"{"type":"jira_project","identifier":"ENG","actions":["edit"]}"#;
        let covers = "jira.issue.edit, read in Jira::Project \"acme/ENG\"";
        assert_eq!(told(&format!("[{eng}]")).unwrap(), covers);
        let two = eng.replace("ENG", "OPS").replace("edit", "read");
        let both = told(&format!("[{eng},{two}]")).unwrap();
        assert_eq!(both, format!("{covers}; read in Jira::Project \"acme/OPS\""));
        let here = eng.replace("]}", r#"],"locations":["https://gate.example/mcp/atlassian"]}"#);
        assert_eq!(told(&format!("[{here}]")).unwrap(), covers);
        assert_eq!(told("[]").unwrap(), "");
    }

    #[test]
    fn i9_details_that_are_not_understood_cover_nothing_and_what_is_none_is_refused() {
        for detail in [
            r#"{"type":"other","identifier":"ENG","actions":["read"]}"#,
            r#"{"type":"jira_project","actions":["read"]}"#,
            r#"{"type":"jira_project","identifier":"","actions":["read"]}"#,
            r#"{"type":"jira_project","identifier":7,"actions":["read"]}"#,
            r#"{"type":"jira_project","identifier":"ENG"}"#,
            r#"{"type":"jira_project","identifier":"ENG","actions":["delete"]}"#,
            r#"{"type":"jira_project","identifier":"ENG","actions":["read"],"datatypes":["title"]}"#,
            r#"{"type":"jira_project","identifier":"ENG","actions":["read"],"locations":["https://x"]}"#,
            r#"{"type":"jira_project","identifier":"ENG","actions":["read"],"locations":"https://x"}"#,
        ] {
            assert_eq!(told(&format!("[{detail}]")).unwrap(), "", "{detail}");
        }
        for wrong in ["{}", "\"x\"", "[7]", "[{}]", r#"[{"type":7}]"#, "null"] {
            assert!(told(wrong).is_err(), "{wrong}");
        }
    }
}
