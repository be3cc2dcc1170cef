use super::*;

const GOOD: &str = r#"
[listen]
address = "127.0.0.1:0"
[store]
path = "x.db"
[policies]
folder = "policies"
[servers.atlassian]
url = "http://127.0.0.1:1/mcp"
catalog = "atlassian-rovo"
default_site = "acme"
[servers.atlassian.sites.acme]
cloud_id = "11111111-2222-3333-4444-555555555555"
url = "https://acme.atlassian.net"
[[danger_static_tokens]]
name = "alice"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
human = "alice"
groups = ["engineering"]
agent = "release-bot"
class = "automation"
"#;

fn problems(text: &str) -> Vec<String> {
    match Config::parse(text, Path::new("/etc/callgate/callgate.toml")) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_good_file_has_no_problems() {
    assert_eq!(problems(GOOD), Vec::<String>::new());
    let config = Config::parse(GOOD, Path::new("/etc/callgate/callgate.toml")).unwrap();
    assert_eq!(config.store, Path::new("/etc/callgate/x.db"));
    assert_eq!(config.tokens["alice"].summary(), "alice via release-bot");
}

#[test]
fn all_problems_are_told_at_once() {
    let bad = GOOD
        .replace("127.0.0.1:0", "0.0.0.0:80")
        .replace("path = \"x.db\"", "pathe = \"x.db\"")
        .replace("default_site", "credential = { env = \"NO_SUCH_VARIABLE_HERE\" }\ndefault_site")
        .replace("human = \"alice\"", "human = \"alice\"\nservice_account = \"ci\"")
        + "[polices]\n[limits]\nbody_bytes_max = -1\n";
    let problems = problems(&bad).join("\n");
    for expected in [
        "callgate.toml: polices: there is no such section",
        "callgate.toml: listen.address: is not a loopback address",
        "callgate.toml: store: unknown field `pathe`",
        "callgate.toml: servers.atlassian.credential: environment variable `NO_SUCH_VARIABLE_HERE`",
        "callgate.toml: danger_static_tokens[0]: name a `human` or a `service_account`, not both",
        "callgate.toml: limits:",
    ] {
        assert!(problems.contains(expected), "{expected}\nnot in\n{problems}");
    }
}

#[test]
fn i5_without_a_token_or_a_server_nothing_starts() {
    assert!(
        problems(GOOD.split("[[danger").next().unwrap()).join("").contains("there is no token")
    );
    let serverless =
        GOOD.replace("[servers.atlassian.sites.acme]", "[x]").replace("[servers.atlassian]", "[y]");
    assert!(problems(&serverless).join("").contains("no server is configured"));
    assert!(problems("a = [").join("").contains("callgate.toml:1: not TOML"));
}

#[test]
fn i5_nobody_is_anonymous_unless_the_file_says_who() {
    let config = |text: &str| Config::parse(text, Path::new("callgate.toml"));
    assert_eq!(config(GOOD).unwrap().danger_anonymous, None);
    let with =
        |name: &str| GOOD.replace("[store]", &format!("danger_anonymous = \"{name}\"\n[store]"));
    assert_eq!(config(&with("alice")).unwrap().danger_anonymous.as_deref(), Some("alice"));
    let unknown = problems(&with("bob")).join("");
    assert!(unknown.contains("listen.danger_anonymous: no token is called `bob`"), "{unknown}");
    let elsewhere = with("alice").replace("127.0.0.1:0", "0.0.0.0:80");
    assert!(problems(&elsewhere).join("").contains("is not a loopback address"));
}

#[test]
fn i7_a_credential_does_not_cross_a_network_in_the_clear() {
    let remote = GOOD.replace("http://127.0.0.1:1/mcp", "http://mcp.example.com/mcp");
    assert!(problems(&remote).join("").contains("servers.atlassian.url: calls and the credential"));
    assert!(problems(&remote.replace("http://", "https://")).is_empty());
    let danger = remote.replace("default_site", "danger_plain_http = true\ndefault_site");
    assert!(problems(&danger).is_empty());
}
