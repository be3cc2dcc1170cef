use std::path::Path;

use crate::config::Config;
use crate::config::tests::premises;

const SERVED: &str = concat!(
    premises!(),
    r#"[servers.atlassian]
url = "http://127.0.0.1:1/mcp"
catalog = "atlassian-rovo"
[tokens]
"#
);

fn config(section: &str) -> Result<Config, String> {
    let text = format!("{SERVED}[telemetry]\n{section}");
    Config::parse(&text, Path::new("callgate.toml")).map_err(|problems| {
        problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn without_the_section_nothing_is_sent() {
    let config = Config::parse(SERVED, Path::new("callgate.toml")).unwrap();
    assert!(config.telemetry.is_none());
}

#[test]
fn an_address_is_enough() {
    let telemetry = config("otlp = \"https://collector:4318\"").unwrap().telemetry.unwrap();
    assert!(telemetry.traces.is_some() && telemetry.metrics.is_some());
    assert_eq!((telemetry.sample, telemetry.service.as_str()), (1.0, "callgate"));
    assert_eq!(telemetry.metrics_every.as_secs(), 60);
    let only = config("otlp = \"https://collector:4318/base/\"\nmetrics = false").unwrap();
    let only = only.telemetry.unwrap();
    assert!(format!("{:?}", only.traces).contains("https://collector:4318/base/v1/traces"));
    assert!(only.metrics.is_none());
}

#[test]
fn the_example_of_the_page_loads_and_the_keys_are_told() {
    let page = include_str!("../../../../../docs/telemetry.md");
    let example = page.split("```toml\n[telemetry]\n").nth(1).unwrap().split("```").next().unwrap();
    let telemetry = config(&example.replace("OTLP_AUTHORIZATION", "PATH")).unwrap().telemetry;
    let telemetry = telemetry.unwrap();
    assert_eq!(
        (telemetry.sample, telemetry.headers.len(), telemetry.attributes.len()),
        (0.1, 1, 1)
    );
    let page = include_str!("../../../../../docs/configuration.md");
    let section = page.split("## `[telemetry]`").nth(1).unwrap();
    // What is wrong with a key that is not there names those that are.
    let known = config("otlp = \"https://x\"\nnothing = 1").unwrap_err();
    let (_, known) = known.split_once("expected one of").unwrap();
    let keys: Vec<_> = known.split('`').skip(1).step_by(2).collect();
    assert_eq!(keys.len(), 9);
    for key in keys {
        assert!(section.contains(&format!("| `{key}")), "{key} is not in the page");
    }
}

#[test]
fn what_is_wrong_is_told() {
    let https = "otlp = \"https://collector\"\n";
    for (section, told) in [
        ("traces = true", "telemetry: missing field `otlp`"),
        ("otlp = \"collector:4318\"", "telemetry.otlp: it is no address"),
        ("otlp = \"ftp://collector\"", "telemetry.otlp: the url must be http(s)"),
        ("otlp = \"http://collector:4318\"", "telemetry.otlp: who calls what would cross"),
        ("otlp = \"https://collector/?token=x\"", "telemetry.otlp: the address has more than"),
        (&format!("{https}sample = 1.1"), "telemetry.sample: is not from 0 to 1"),
        (&format!("{https}sample = nan"), "telemetry.sample: is not from 0 to 1"),
        (&format!("{https}metrics_every_s = 0"), "telemetry.metrics_every_s: is not from 1"),
        (&format!("{https}traces = false\nmetrics = false"), "neither traces nor metrics"),
        (&format!("{https}logs = true"), "unknown field `logs`"),
        (&format!("{https}headers.\"a b\" = {{ env = \"PATH\" }}"), "not the name of a header"),
        (&format!("{https}headers.a = \"secret-in-the-file\""), "telemetry: "),
        (&format!("{https}headers.a = {{ env = \"NO_SUCH_VARIABLE\" }}"), "telemetry.headers.a: "),
    ] {
        let problems = config(section).unwrap_err();
        assert!(problems.contains(told), "{section}: {problems}");
    }
    assert!(config("otlp = \"http://127.0.0.1:4318\"").is_ok());
    let danger = "otlp = \"http://collector:4318\"\ndanger_plain_http = true";
    assert_eq!(config(danger).unwrap().dangers, ["telemetry.danger_plain_http"]);
}

#[test]
fn i7_what_is_secret_of_a_header_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.secret");
    let headers = |secret: &str| {
        std::fs::write(&file, secret).unwrap();
        let file = file.display();
        config(&format!(
            "otlp = \"https://collector\"\nheaders.authorization = {{ file = \"{file}\" }}"
        ))
    };
    let telemetry = headers("Bearer canary\n").unwrap().telemetry.unwrap();
    assert_eq!(telemetry.headers["authorization"], "Bearer canary");
    assert!(!format!("{telemetry:?}").contains("canary"));
    let problems = headers("canary\u{1}").unwrap_err();
    assert!(problems.contains("is not the value of a header") && !problems.contains("canary"));
}
