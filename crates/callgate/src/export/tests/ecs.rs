//! Documents against the published fields: names, types, and the values that event fields may have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::Format;
use super::Sample;
use super::samples::{EVIL, all, change, erased, everywhere, intent, outcome, refusal};

const FIELDS: &str = include_str!("../data/ecs-9.4.0.txt");

struct Fields {
    types: BTreeMap<&'static str, &'static str>,
    values: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

fn fields() -> Fields {
    let mut fields = Fields { types: BTreeMap::new(), values: BTreeMap::new() };
    for line in FIELDS.lines().filter(|line| !line.starts_with('#')) {
        if let Some(line) = line.strip_prefix("= ") {
            let (name, values) = line.split_once(": ").unwrap();
            fields.values.insert(name, values.split(' ').collect());
        } else {
            let (name, kind) = line.split_once(' ').unwrap();
            fields.types.insert(name, kind);
        }
    }
    fields
}

fn check(fields: &Fields, value: &Value, path: &str, problems: &mut Vec<String>) {
    // What is ours is under a name of ours.
    if path == "callgate" {
        return;
    }
    if let Value::Object(members) = value {
        for (name, member) in members {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            check(fields, member, &path, problems);
        }
        return;
    }
    let Some(kind) = fields.types.get(path) else {
        return problems.push(format!("{path}: unknown"));
    };
    let is_right = match *kind {
        "keyword" | "match_only_text" | "date" => value.is_string(),
        "long" => value.is_i64(),
        "keyword[]" => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
        _ => false,
    };
    if !is_right {
        problems.push(format!("{path}: {value} is no {kind}"));
    }
    if let (Some(values), Some(text)) = (fields.values.get(path), value.as_str())
        && !values.contains(text)
    {
        problems.push(format!("{path}: {text} is no value"));
    }
}

/// Each type has to be one that goes with the category.
fn check_types(fields: &Fields, event: &Value, problems: &mut Vec<String>) {
    for category in event["category"].as_array().unwrap() {
        let category = category.as_str().unwrap();
        let Some(types) = fields.values.get(&*format!("event.category {category}")) else {
            problems.push(format!("{category} is no category"));
            continue;
        };
        for one in event["type"].as_array().unwrap() {
            if !types.contains(one.as_str().unwrap()) {
                problems.push(format!("{one} does not go with {category}"));
            }
        }
    }
}

fn document(sample: &Sample) -> Value {
    serde_json::from_str(&sample.line(Format::Ecs)).unwrap()
}

#[test]
fn every_document_has_known_fields_only() {
    let fields = fields();
    let erased_too = all().into_iter().map(|sample| erased(&sample));
    for sample in all().into_iter().chain(erased_too).chain(EVIL.into_iter().flat_map(everywhere)) {
        let document = document(&sample);
        let mut problems = Vec::new();
        check(&fields, &document, "", &mut problems);
        check_types(&fields, &document["event"], &mut problems);
        assert_eq!(problems, Vec::<String>::new(), "{document:#}");
    }
    let mut problems = Vec::new();
    let bad =
        serde_json::json!({ "event": { "outcome": "good", "colour": "red", "severity": "1" } });
    check(&fields, &bad, "", &mut problems);
    assert_eq!(problems.len(), 3, "a check that finds nothing would be none: {problems:?}");
}

#[test]
fn fields_say_what_the_record_says() {
    let document = |sample: &Sample| document(sample);
    let allowed = document(&intent());
    for (path, expected) in [
        ("/event/action", "jira.issue.edit"),
        ("/event/outcome", "unknown"),
        ("/event/reason", "permitted"),
        ("/user/name", "alice"),
        ("/user_agent/name", "ide"),
        ("/gen_ai/agent/id", "release-bot"),
        ("/gen_ai/tool/name", "editJiraIssue"),
        ("/gen_ai/operation/name", "execute_tool"),
        ("/service/target/name", "atlassian"),
        ("/rule/id", "engineers-work"),
        ("/rule/author/0", "engineering"),
        ("/callgate/policies/1/owner", "platform"),
        ("/callgate/understood/targets/0/id", "acme/ENG-42"),
        ("/trace/id", "4bf92f3577b34da6a3ce929d0e0e4736"),
    ] {
        assert_eq!(allowed.pointer(path), Some(&Value::from(expected)), "{path}: {allowed:#}");
    }
    assert_eq!(allowed["event"]["type"], serde_json::json!(["change", "allowed", "start"]));
    let denied = document(&refusal("deny", "guardrail"));
    assert_eq!(
        (&denied["event"]["outcome"], &denied["event"]["type"][1]),
        (&"failure".into(), &"denied".into())
    );
    let done = document(&outcome("succeeded"));
    assert_eq!(
        (&done["event"]["outcome"], &done["event"]["duration"]),
        (&"success".into(), &81_500_000.into())
    );
    let settled = document(&super::samples::settled());
    assert_eq!(settled["related"]["user"], serde_json::json!(["alice", "carol"]));
    let made = document(&change("token_issued"));
    assert_eq!(made["event"]["category"], serde_json::json!(["iam"]));
    assert_eq!(made["related"]["user"], serde_json::json!(["alice", "carol"]));
    assert_eq!(made["callgate"]["entity"]["name"], "nightly");

    for (name, category, kind, outcome) in [
        ("signed_in", "authentication", "start", "success"),
        ("sign_in_refused", "authentication", "start", "failure"),
        ("configured", "configuration", "change", "success"),
        ("policies_activated", "configuration", "change", "success"),
        ("payloads_erased", "database", "change", "success"),
        ("restored", "database", "change", "success"),
        ("approval_expired", "iam", "change", "success"),
        ("notice_given_up", "iam", "change", "failure"),
    ] {
        let event = &document(&change(name))["event"];
        let found = (&event["category"][0], &event["type"][0], &event["outcome"]);
        assert_eq!(found, (&category.into(), &kind.into(), &outcome.into()), "{name}");
    }
    let refused = document(&change("sign_in_refused"));
    assert_eq!(refused["user"]["name"], "carol");
    assert_eq!(refused["event"]["reason"], "the link was used up");
    let asked = document(&change("approval_requested"));
    assert_eq!(asked["service"]["target"]["name"], "atlassian");
    assert_eq!(asked["callgate"]["tool"], "editJiraIssue");
}
