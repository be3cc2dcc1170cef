use std::collections::BTreeSet;
use std::path::Path;

use callgate_mcp::tool::read_tools_page;
use callgate_model::json::{JsonLimits, read};

use super::*;
use crate::catalog::Catalogs;

fn tool(name: &str, arguments: &str, annotations: &str) -> ToolDefinition {
    let text = format!(
        r#"{{"tools":[{{"name":"{name}","description":"d","inputSchema":{{"type":"object","properties":{{{arguments}}}}},"annotations":{{{annotations}}}}}]}}"#
    );
    let page = read(text.as_bytes(), &JsonLimits::default()).unwrap();
    read_tools_page(page.as_object().unwrap()).unwrap().tools.remove(0)
}

#[test]
fn a_proposal_says_what_it_is_made_from() {
    let of = |name, arguments, annotations| {
        let proposal = propose(&tool(name, arguments, annotations));
        (proposal.effect, proposal.risk)
    };
    assert_eq!(of("listJiraIssues", "", ""), (Effect::Read, Risk::Low));
    assert_eq!(of("get_or_create_page", "", ""), (Effect::Write, Risk::Medium));
    assert_eq!(of("repo.delete-branch", "", ""), (Effect::Delete, Risk::High));
    assert_eq!(of("frobnicate", "", ""), (Effect::Write, Risk::Critical));
    assert_eq!(of("getPage", "", r#""readOnlyHint":false"#), (Effect::Write, Risk::Medium));
    assert_eq!(of("getPage", "", r#""destructiveHint":true"#), (Effect::Read, Risk::High));
    assert_eq!(of("query", r#""sql":{}"#, ""), (Effect::Write, Risk::Critical));
    assert_eq!(of("getPage", r#""url":{}"#, ""), (Effect::Read, Risk::High));
    // T04: a hint makes nothing milder.
    assert_eq!(of("deleteAll", "", r#""readOnlyHint":true"#), (Effect::Delete, Risk::High));
}

#[test]
fn i5_a_proposal_does_not_load_before_a_person_has_finished_it() {
    let tool = tool("get_page", r#""id":{}"#, "");
    let text = as_catalog(&tool, &propose(&tool));
    let file = format!("format = 1\nname = \"mine\"\nversion = \"1\"\n\n{text}");
    let problems = Catalogs::shipped(&[("mine.toml", &file)]).unwrap_err();
    assert!(problems.iter().all(|problem| problem.at.contains("targets")), "{problems:#?}");
    let finished = file.replace("targets = \"?\"", "targets = []");
    assert!(Catalogs::shipped(&[("mine.toml", &finished)]).is_ok(), "{finished}");
    assert!(text.contains("# proposed: `get` in the name") && text.contains("/id"), "{text}");
}

/// How proposals compare with what people classified, over the catalogs that are part of the program.
#[test]
fn the_rate_of_error_is_the_one_that_the_documentation_tells() {
    let catalogs = Catalogs::shipped(&[]).unwrap();
    let (mut all, mut milder, mut other) = (0_usize, 0_usize, 0_usize);
    let weight = |effect: Effect| match effect {
        Effect::Read => 0,
        Effect::Write | Effect::Share => 1,
        Effect::Delete | Effect::Admin => 2,
    };
    // What one catalog has of another counts once.
    let mut seen = BTreeSet::new();
    for (_, rule, name) in catalogs.every_tool().filter(|(_, rule, name)| {
        let what = (name.to_string(), rule.operation.name.clone());
        seen.insert(what)
    }) {
        let proposed = propose(&tool(name, "", "")).effect;
        all += 1;
        other += usize::from(proposed != rule.operation.effect);
        milder += usize::from(weight(proposed) < weight(rule.operation.effect));
    }
    assert!(all > 200);
    let percent = |part: usize| (part * 1000 / all + 5) / 10;
    let told = format!(
        "Of the {all} tools in the catalogs that come with the program, it proposes another effect than the catalog for {other} ({} %), and \
         a milder one for {milder} ({} %).",
        percent(other),
        percent(milder)
    );
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/catalogs.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&told), "docs/catalogs.md must say: {told}");
}
