//! Events against the published schema: required and unknown attributes, types, values, captions.

use callgate_model::json::Json;
use serde_json::{Value, json};

use super::super::Format;
use super::samples::{EVIL, all, approved, change, erased, everywhere, intent, outcome, refusal};
use super::{Sample, samples};

fn schema() -> Value {
    serde_json::from_str(include_str!("../data/ocsf-1.8.0.json")).unwrap()
}

/// What is wrong with an event.
fn problems(schema: &Value, event: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let class = &schema["classes"][event["class_uid"].to_string()];
    if class.is_null() {
        return vec![format!("no class {}", event["class_uid"])];
    }
    if event["class_name"] != class["name"] {
        problems.push("class_name".to_owned());
    }
    if event["type_uid"].as_i64()
        != Some(event["class_uid"].as_i64().unwrap() * 100 + event["activity_id"].as_i64().unwrap())
    {
        problems.push("type_uid".to_owned());
    }
    check(schema, class, event, "", &mut problems);
    problems
}

fn check(schema: &Value, what: &Value, value: &Value, path: &str, problems: &mut Vec<String>) {
    let (attributes, members) = (what["attributes"].as_object().unwrap(), value.as_object());
    let Some(members) = members else { return problems.push(format!("{path}: no object")) };
    // The object called `object` holds anything.
    if attributes.is_empty() {
        return;
    }
    for (name, attribute) in attributes {
        if attribute["required"] == true && !members.contains_key(name) {
            problems.push(format!("{path}.{name}: missing"));
        }
    }
    if let Some(some) = what["at_least_one"].as_array()
        && !some.iter().any(|name| members.contains_key(name.as_str().unwrap()))
    {
        problems.push(format!("{path}: none of {some:?}"));
    }
    for (name, member) in members {
        let path = format!("{path}.{name}");
        let Some(attribute) = attributes.get(name) else {
            problems.push(format!("{path}: unknown"));
            continue;
        };
        let one = [member.clone()];
        let elements = match (attribute["array"] == true, member.as_array()) {
            (true, Some(elements)) => elements,
            (true, None) => return problems.push(format!("{path}: no array")),
            (false, _) => &one[..],
        };
        for element in elements {
            check_one(schema, attribute, element, &path, problems);
        }
        // A value that has a caption is told by that caption.
        let (caption, sibling) = (&attribute["enum"][member.to_string()], &attribute["sibling"]);
        let told = sibling.as_str().and_then(|sibling| members.get(sibling));
        if let Some(told) = told.filter(|_| caption.is_string() && *member != 99)
            && told != caption
        {
            problems.push(format!("{path}: {told} is not {caption}"));
        }
    }
}

fn check_one(
    schema: &Value,
    attribute: &Value,
    value: &Value,
    path: &str,
    problems: &mut Vec<String>,
) {
    if attribute["deprecated"] == true {
        problems.push(format!("{path}: deprecated"));
    }
    if let Some(object) = attribute["object"].as_str() {
        let what = &schema["objects"][object];
        assert!(
            what.is_object(),
            "{path}: the objects that are used are to be in the test data: {object}"
        );
        return check(schema, what, value, path, problems);
    }
    let is_right = match attribute["type"].as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        "any" => true,
        other => panic!("{other}"),
    };
    if !is_right {
        problems.push(format!("{path}: {value} is no {}", attribute["type"]));
    }
    if let Some(values) = attribute["enum"].as_object()
        && !values.contains_key(&value.to_string())
    {
        problems.push(format!("{path}: {value} is no value"));
    }
}

fn event(sample: &Sample) -> Value {
    serde_json::from_str(&sample.line(Format::Ocsf)).unwrap()
}

#[test]
fn every_event_fits_the_schema() {
    let schema = schema();
    let hostile = EVIL.into_iter().flat_map(everywhere);
    let erased_too = all().into_iter().map(|sample| erased(&sample));
    let orphans = all().into_iter().map(|sample| Sample { intent: None, ..sample });
    for sample in all().into_iter().chain(erased_too).chain(orphans).chain(hostile) {
        let event = event(&sample);
        assert_eq!(problems(&schema, &event), Vec::<String>::new(), "{event:#}");
    }
}

/// A check that finds nothing would be none.
#[test]
fn the_check_finds_what_is_wrong() {
    let schema = schema();
    let good = event(&intent());
    for (path, value, problem) in [
        ("/actor", json!(null), ".actor: no object"),
        ("/time", json!("now"), ".time: \"now\" is no \"integer\""),
        ("/severity_id", json!(7), ".severity_id: 7 is no value"),
        ("/severity_id", json!(5), ".severity_id: \"Low\" is not \"Critical\""),
        ("/api", json!({ "operation": "x", "tool": "y" }), ".api.tool: unknown"),
        ("/api", json!({}), ".api.operation: missing"),
        ("/resources", json!({}), ".resources: no array"),
        ("/src_endpoint", json!({ "port": 1 }), ".src_endpoint: none of"),
        ("/activity_id", json!(4), "type_uid"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = value;
        let found = problems(&schema, &bad);
        assert!(found.iter().any(|one| one.starts_with(problem)), "{problem}: {found:?}");
    }
}

fn told(sample: &Sample, path: &str) -> Value {
    event(sample).pointer(path).cloned().unwrap_or_default()
}

#[test]
fn a_call_is_an_api_activity() {
    let event = event(&intent());
    for (path, expected) in [
        ("/class_uid", json!(6003)),
        ("/activity_id", json!(3)),
        ("/time", json!(1_795_766_400_000_i64)),
        ("/metadata/uid", json!("cd".repeat(32))),
        ("/metadata/sequence", json!(7)),
        ("/metadata/profiles", json!(["security_control"])),
        ("/actor/user/name", json!("alice")),
        ("/actor/user/groups/0/name", json!("engineering")),
        ("/actor/app_name", json!("ide")),
        ("/actor/authorizations/1/policy/data/owner", json!("platform")),
        ("/unmapped/delegation/agent/id", json!("release-bot")),
        ("/unmapped/delegation/actors/0/id", json!("planner")),
        ("/unmapped/delegation/workflow/run", json!("run-7")),
        ("/unmapped/operation", json!("jira.issue.edit")),
        ("/api/operation", json!("editJiraIssue")),
        ("/api/service/name", json!("atlassian")),
        ("/api/request/uid", json!("019acb5e-8b1c-7d5e-a1c4-3f0d2b6e9a77")),
        ("/resources/0/uid", json!("acme/ENG-42")),
        ("/resources/0/namespace", json!("Jira::Project::acme/ENG")),
        ("/resources/1/data/unresolved", json!("not_found")),
        ("/policy/uid", json!("engineers-work")),
        ("/risk_level_id", json!(2)),
        ("/status_id", json!(0)),
    ] {
        assert_eq!(event.pointer(path), Some(&expected), "{path}: {event:#}");
    }
}

#[test]
fn dispositions_say_what_was_decided() {
    for (sample, action, disposition, status) in [
        (intent(), 1, 1, 0),
        (approved(false), 1, 8, 0),
        // Nobody approved it: somebody let it through alone.
        (approved(true), 1, 1, 0),
        (refusal("deny", "guardrail"), 2, 2, 2),
        (refusal("deny", "approval_denied"), 2, 25, 2),
        (refusal("deny", "evidence_unavailable"), 2, 27, 2),
        (refusal("approval_required", "approval_required"), 2, 14, 2),
        (outcome("succeeded"), 1, 1, 1),
        (outcome("tool_error"), 1, 27, 2),
        (outcome("timed_out"), 1, 1, 0),
        (outcome("in_progress"), 1, 1, 99),
        (samples::settled(), 1, 1, 1),
    ] {
        let event = event(&sample);
        let found = ["action_id", "disposition_id", "status_id"].map(|name| event[name].as_i64());
        assert_eq!(found, [Some(action), Some(disposition), Some(status)], "{event:#}");
    }
    assert_eq!(told(&outcome("tool_error"), "/api/response/error"), "tool_error");
    assert_eq!(told(&outcome("tool_error"), "/duration"), 81);
    assert_eq!(told(&outcome("in_progress"), "/status"), "in_progress");
    assert_eq!(told(&samples::settled(), "/unmapped/settled_by"), "carol");
}

#[test]
fn changes_are_told_by_the_class_that_fits() {
    for (name, class, activity) in [
        ("token_issued", 3004, 1),
        ("approval_viewed", 3004, 2),
        ("approval_voted", 3004, 3),
        ("tool_unpinned", 3004, 4),
        ("signed_in", 3002, 1),
        ("signed_out", 3002, 2),
        ("sign_in_refused", 3002, 1),
        ("approval_expired", 3004, 3),
        ("notice_given_up", 3004, 3),
        ("configured", 3004, 3),
        ("policies_activated", 3004, 10),
        ("payloads_erased", 3004, 4),
        ("restored", 3004, 3),
        ("not_known_yet", 3004, 99),
    ] {
        let event = event(&change(name));
        assert_eq!(
            (&event["class_uid"], &event["activity_id"]),
            (&json!(class), &json!(activity)),
            "{name}"
        );
        assert_eq!(event["actor"]["user"]["name"], "carol", "{name}");
    }
    assert_eq!(told(&change("token_issued"), "/entity/name"), "nightly");
    assert_eq!(told(&change("token_issued"), "/entity/user/name"), "alice");
    assert_eq!(told(&change("secret_removed"), "/entity/name"), "atlassian/alice");
    assert_eq!(told(&change("tool_pinned"), "/entity/name"), "atlassian/editJiraIssue");
    assert_eq!(told(&change("signed_in"), "/user/name"), "alice");
    assert_eq!(told(&samples::opened(), "/class_uid"), 6002);
    assert_eq!(told(&samples::opened(), "/app/version"), "0.1.0");
    let refused = change("sign_in_refused");
    for (path, expected) in [
        ("/status_id", json!(2)),
        ("/status_code", json!("failed")),
        ("/status_detail", json!("the link was used up")),
        ("/user/name", json!("carol")),
    ] {
        assert_eq!(told(&refused, path), expected, "{path}");
    }
    assert_eq!(told(&change("notice_given_up"), "/status_id"), 2);
    assert_eq!(told(&change("notice_given_up"), "/comment"), "HTTP status 500");
    assert_eq!(told(&change("policies_activated"), "/entity/type_id"), 5);
    assert_eq!(told(&change("policies_activated"), "/entity/data/policies"), json!(["p"]));
    assert_eq!(told(&change("payloads_erased"), "/entity/data/indexes"), json!([1, 2]));
    assert_eq!(told(&change("payloads_erased"), "/comment"), "kept for 400 days");
    assert_eq!(told(&change("configured"), "/entity/uid"), "aa".repeat(32));
    let servers = told(&change("configured"), "/entity/data/servers/0/name");
    assert_eq!(servers, "atlassian");
    let sink = told(&change("configured"), "/entity/data/evidence/sinks/0/name");
    assert_eq!(sink, "siem");
    assert_eq!(told(&change("secret_set"), "/entity/user/name"), "alice");
    assert_eq!(told(&change("tool_pinned"), "/entity/data/digest"), "aa".repeat(32));
    for name in ["approval_expired", "approval_viewed", "approval_withdrawn"] {
        assert_eq!(told(&change(name), "/unmapped/approval"), samples::CALL, "{name}");
    }
    let settled = samples::settled();
    assert_eq!(told(&settled, "/status_detail"), "seen in Jira");
    assert_eq!(told(&settled, "/api/response/message"), "took_effect");
    let erased = erased(&intent());
    assert_eq!(told(&erased, "/unmapped/erased"), Value::Bool(true));
    assert_eq!(erased.record.get("event"), Some(&Json::Null));
}
