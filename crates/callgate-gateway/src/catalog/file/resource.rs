//! The tables of resources: what the URIs of one shape name.

use callgate_model::vocabulary::Risk;

use super::{ResourceEntry, tool, words};
use crate::catalog::path::Path;
use crate::catalog::problem::nearest;
use crate::catalog::rule::TargetRule;
use crate::catalog::section::Section;
use crate::catalog::uri::UriShape;

/// The resources whose URIs are of the shape `uri`.
pub(super) fn entry(uri: &str, at: &Section<'_>) -> Option<ResourceEntry> {
    at.only(&["risk", "targets"]);
    if !at.has("targets") {
        let hint = "write `targets = []` if they are nothing but resources of their server";
        at.fault("", "`targets` is missing", Some(hint.to_owned()));
    }
    let risk = at.word("risk", &words(Risk::ALL, Risk::as_str));
    let targets: Vec<(Section<'_>, TargetRule)> = at
        .list("targets")
        .into_iter()
        // The file's `site` is an argument of tools.
        .filter_map(|rule| tool::target(&rule, None).map(|target| (rule, target)))
        .collect();
    let shape = match UriShape::parse(uri) {
        Ok(shape) => shape,
        Err(why) => {
            at.fault("", format!("this is no shape of a URI: {why}"), None);
            return None;
        }
    };
    check_variables(at, &shape, &targets);
    let targets = targets.into_iter().map(|(rule, target)| (rule.path, target)).collect();
    Some(ResourceEntry { shape, risk, targets, at: at.path.clone() })
}

/// Every path is a variable, and every variable says something: a site that is forgotten would be taken for another.
fn check_variables(at: &Section<'_>, shape: &UriShape, targets: &[(Section<'_>, TargetRule)]) {
    for (rule, target) in targets {
        for key in ["default", "optional"].into_iter().filter(|key| rule.has(key)) {
            rule.fault(key, "a variable is never absent", None);
        }
        for path in target.paths() {
            if !shape.variables().any(|name| path.single() == Some(name)) {
                let hint = nearest(path.single().unwrap_or_default(), shape.variables());
                rule.fault("", format!("`{path}` is no variable of this URI"), hint);
            }
        }
    }
    let used = targets.iter().flat_map(|(_, target)| target.paths()).filter_map(Path::single);
    let used: Vec<&str> = used.collect();
    for name in shape.variables().filter(|name| !name.starts_with('_') && !used.contains(name)) {
        let hint = format!("if it does not say what is read, write `{{_{name}}}`");
        at.fault("", format!("no target uses `{{{name}}}`"), Some(hint));
    }
}
