use super::*;

/// What every configuration has that is written for a test.
macro_rules! premises {
    () => {
        r#"
[listen]
address = "127.0.0.1:0"
[store]
path = "x.db"
[policies]
folder = "policies"
"#
    };
}
pub(crate) use premises;

const GOOD: &str = concat!(
    premises!(),
    r#"[servers.atlassian]
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
"#
);

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
    assert_eq!(config.store.to_string(), "/etc/callgate/x.db");
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

const ISSUER: &str = r#"
[issuers.corp]
issuer = "https://login.example.com/"
profile = "auth0"
audiences = ["callgate"]
[issuers.corp.agents.x7f]
name = "release-bot"
"#;

#[test]
fn tokens_of_an_issuer_are_enough_and_may_come_from_elsewhere() {
    let (without_tokens, _) = GOOD.split_once("[[danger").unwrap();
    let text = format!("{without_tokens}{ISSUER}");
    assert_eq!(problems(&text), Vec::<String>::new());
    // Nobody could tell which tokens are for this gateway.
    let nameless = text.replace("audiences = [\"callgate\"]\n", "");
    assert!(problems(&nameless).join("").contains("issuers.corp: nobody could tell"));
    let public = |url: &str, text: &str| {
        text.replace("127.0.0.1:0\"", &format!("0.0.0.0:80\"\npublic_url = \"{url}\""))
    };
    assert_eq!(problems(&public("https://gate.example.com", &nameless)), Vec::<String>::new());
    let behind = |text: &str, url: &str| {
        text.replace("127.0.0.1:0\"", &format!("127.0.0.1:0\"\npublic_url = \"{url}\""))
    };
    let local = behind(&format!("{GOOD}{ISSUER}"), "http://localhost:8077");
    assert_eq!(problems(&local), Vec::<String>::new());
    let elsewhere = "listen.public_url: is not of this machine";
    for (bad, expected) in [
        (behind(&format!("{GOOD}{ISSUER}"), "https://gate.example.com"), elsewhere),
        (behind(&text, "http://gate.example.com"), elsewhere),
        (public("http://gate.example.com", &nameless), "is not a loopback address"),
        (public("https://gate.example.com", &format!("{GOOD}{ISSUER}")), "not a loopback"),
        (public("https://gate.example.com/", &nameless), "listen.public_url: `https://gate"),
        (public("https://me@gate.example.com", &nameless), "listen.public_url: `https://me@"),
        (public("gate.example.com", &nameless), "listen.public_url: `gate.example.com` is not"),
    ] {
        let told = problems(&bad).join("\n");
        assert!(told.contains(expected), "{expected}\nnot in\n{told}");
    }
}

#[test]
fn i5_an_issuer_that_is_not_well_said_keeps_the_gateway_from_starting() {
    let twice = ISSUER.replace("corp", "again");
    for (from, to, expected) in [
        ("https://login", "login", "issuers.corp.issuer: `login.example.com/` is no address"),
        ("https://login", "http://login", "issuers.corp.metadata_url: what is asked there would"),
        ("auth0", "saml", "issuers.corp: unknown variant `saml`"),
        ("\"release-bot\"", "\"corp/alice\"", "issuers.corp.agents: `corp/alice` is empty or"),
        ("[issuers.corp.", "algorithms = [\"HS256\"]\n[issuers.corp.", "corp.algorithms: `HS256`"),
        ("[issuers.corp.", "max_age_s = 0\n[issuers.corp.", "issuers.corp.max_age_s: is not more"),
        ("[issuers.corp.", "scope = 1\n[issuers.corp.", "issuers.corp: unknown field `scope`"),
        ("[issuers.corp]", &format!("{twice}[issuers.corp]"), "the issuer of another section"),
        (
            "auth0\"",
            "auth0\"\nintrospection = { url = \"https://a.b/i\", credential = { env = \"PATH\" } }",
            "corp.introspection: what other issuers answer",
        ),
        (
            "profile = \"auth0\"",
            "introspection = { url = \"https://a.b/i\", credential = { env = \"NO_SUCH_VARIABLE_HERE\" } }",
            "corp.introspection.credential: environment variable",
        ),
        (
            "profile = \"auth0\"",
            "introspection = { url = \"http://a.b/i\", credential = { env = \"PATH\" } }",
            "corp.introspection.url: what is asked there would",
        ),
        (
            "[issuers.corp.",
            "envelope.r = { within = [] }\n[issuers.corp.",
            "missing field `actions`",
        ),
        (
            "[issuers.corp.",
            "envelope.r = { actions = [\"risk.from.low\"] }\n[issuers.corp.",
            "envelope.\"r\": `risk.from.low` is for forbids",
        ),
        (
            "[issuers.corp.",
            "envelope.r = { actions = [\"read\"], within = [\"ENG\"] }\n[issuers.corp.",
            "envelope.\"r\": `ENG` is no resource",
        ),
        (
            "[issuers.corp.",
            "envelope.'a b' = { actions = [\"read\"] }\n[issuers.corp.",
            "envelope.\"a b\": is no name of a scope",
        ),
    ] {
        let told = problems(&format!("{GOOD}{}", ISSUER.replacen(from, to, 1))).join("\n");
        assert!(told.contains(expected), "{expected}\nnot in\n{told}");
    }
}

const COMMAND: &str = r#"
[servers.local]
command = ["uvx", "mcp-atlassian", "-v"]
catalog = "mcp-atlassian"
folder = "work"
inherit = ["PATH", "NOT_THERE"]
[servers.local.environment]
JIRA_URL = "https://acme.atlassian.net"
"#;

#[test]
fn a_server_may_be_a_command_with_an_environment_of_its_own() {
    let text = GOOD.replace("[[danger", &format!("{COMMAND}[[danger"));
    let config = Config::parse(&text, Path::new("/etc/callgate/callgate.toml")).unwrap();
    let At::Command(program) = &config.servers["local"].at else { panic!() };
    assert_eq!((program.name.as_str(), program.command.as_path()), ("local", Path::new("uvx")));
    assert_eq!(program.arguments, ["mcp-atlassian", "-v"]);
    assert_eq!(program.folder.as_deref(), Some(Path::new("/etc/callgate/work")));
    let names: Vec<&str> = program.environment.keys().map(String::as_str).collect();
    assert_eq!(names, ["JIRA_URL", "PATH"]);
    assert!(program.secrets.is_empty());
}

#[test]
fn what_only_a_command_or_only_a_url_has_is_told_apart() {
    let with = |command: &str| {
        problems(&GOOD.replace("[[danger", &format!("{command}[[danger"))).join("\n")
    };
    assert_eq!(with(COMMAND), "");
    let both = COMMAND.replace("catalog", "url = \"https://a.b/mcp\"\ncatalog");
    assert!(with(&both).contains("servers.local: say `url` or `command`, one of them"));
    let neither = COMMAND.replace("command = ", "commands = ");
    assert!(with(&neither).contains("servers.local: unknown field `commands`"));
    assert!(with(&COMMAND.replace("\"uvx\", \"mcp-atlassian\", \"-v\"", "")).contains("is empty"));
    let header = COMMAND.replace("folder", "credential = { env = \"PATH\" }\nfolder");
    assert!(with(&header).contains("servers.local.credential: a command takes no header"));
    let secret =
        format!("{COMMAND}[servers.local.secrets]\nJIRA_API_TOKEN = {{ file = \"none\" }}\n");
    assert!(with(&secret).contains("servers.local.secrets.JIRA_API_TOKEN: `/etc/callgate/none`"));
    let url = GOOD.replace("default_site", "inherit = [\"PATH\"]\ndefault_site");
    assert!(problems(&url).join("").contains("atlassian.inherit: only a `command` has it"));
}

#[test]
fn a_command_around_takes_the_place_of_where_the_server_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callgate.toml");
    std::fs::write(&path, GOOD).unwrap();
    let command = ["server".to_owned(), "--quiet".to_owned()];
    let config = Config::load_around(&path, "atlassian", &command).unwrap();
    let At::Command(program) = &config.servers["atlassian"].at else { panic!() };
    assert_eq!(program.arguments, ["--quiet"]);
    assert!(program.environment.contains_key("PATH") && program.environment.len() > 3);
    let config = Config::load_around(&path, "atlassian", &[]).unwrap();
    assert!(matches!(config.servers["atlassian"].at, At::Url(_)));
}

#[test]
fn a_command_around_one_server_does_not_read_the_secrets_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callgate.toml");
    let other = "[servers.other]\nurl = \"https://other.example/mcp\"\ncatalog = \"atlassian-rovo\"\ncredential = { env = \"NOT_THERE\" }\n";
    let text = GOOD.replace("[[danger", &format!("{other}[[danger"));
    std::fs::write(&path, &text).unwrap();
    assert!(problems(&text).join("").contains("NOT_THERE"));
    let config = Config::load_around(&path, "atlassian", &[]).unwrap();
    assert_eq!(config.servers.keys().collect::<Vec<_>>(), ["atlassian"]);
}

#[test]
fn what_is_said_of_the_environment_counts_more_than_what_is_inherited() {
    let of = |all: &[(&str, &str)]| {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let said = of(&[("API_TOKEN", "said"), ("PATH", "/said")]);
    let ours =
        of(&[("API_TOKEN", "ours"), ("PATH", "/ours"), ("HOME", "/h"), ("OTHER_SECRET", "x")]);
    let (environment, secrets) = server::with_inherited(said, ours);
    assert_eq!(environment, of(&[("API_TOKEN", "said"), ("HOME", "/h"), ("PATH", "/said")]));
    assert_eq!(secrets.keys().collect::<Vec<_>>(), ["OTHER_SECRET"]);
}

const EXCHANGED: &str = r#"
[servers.atlassian.credential]
kind = "exchange"
issuer = "corp"
token_url = "https://login.example.com/token"
client_id = "gate"
client_secret = { env = "PATH" }
scopes = ["read:jira"]
audience = "https://site.example"
[servers.atlassian.credential.lists]
kind = "client_credentials"
token_url = "https://login.example.com/token"
client_id = "gate"
client_secret = { env = "PATH" }
"#;

#[test]
fn i5_a_credential_that_is_not_well_said_keeps_the_gateway_from_starting() {
    let with = |credential: &str| problems(&format!("{GOOD}{ISSUER}{credential}")).join("\n");
    assert_eq!(with(EXCHANGED), "");
    for (from, to, expected) in [
        ("\"exchange\"", "\"vault\"", "credential.kind: `vault` is none of `static`"),
        ("\"exchange\"", "7", "credential.kind: invalid type"),
        ("\"exchange\"", "\"client_credentials\"", "atlassian.credential: unknown field `"),
        ("\"exchange\"", "\"static\"", "atlassian.credential: unknown field `"),
        (
            "issuer = \"corp\"",
            "issuer = \"other\"",
            "credential.issuer: there is no `[issuers.other]`",
        ),
        ("issuer = \"corp\"\n", "", "credential.issuer: whose tokens are exchanged is not said"),
        ("https://login", "http://login", "credential.token_url: what is asked there would"),
        ("https://login.example.com/token", "token", "credential.token_url: "),
        ("PATH", "NO_SUCH_VARIABLE_HERE", "credential.client_secret: environment variable"),
        ("\"gate\"", "\"\"", "credential.client_secret: the secret is empty"),
        ("scopes", "scope", "atlassian.credential: unknown field `scope`"),
        ("\"client_credentials\"", "\"exchange\"", "lists.kind: lists are for everybody"),
    ] {
        let told = with(&EXCHANGED.replacen(from, to, 1));
        assert!(told.contains(expected), "{expected}\nnot in\n{told}");
    }
}

const SIGNED: &str = "[assertion]\nkey = { file = \"assertion.key\" }\n";

#[test]
fn who_is_to_be_told_by_a_signature_needs_a_key_and_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callgate.toml");
    let key = |key: &str| std::fs::write(folder.path().join("assertion.key"), key).unwrap();
    let parsed = |text: &str| match Config::parse(text, &path) {
        Ok(config) => Ok(config.servers["atlassian"].signer.is_some()),
        Err(problems) => Err(problems.to_string()),
    };
    let public = GOOD.replace(":0\"", ":0\"\npublic_url = \"http://localhost:8077\"");
    let asking = public.replace("default_site", "assertion = true\ndefault_site");
    key("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=\n");
    assert_eq!(parsed(&format!("{SIGNED}{asking}")), Ok(true));
    assert_eq!(parsed(&format!("{SIGNED}{public}")), Ok(false));
    let actor = EXCHANGED.replace("issuer", "actor = \"gateway\"\nissuer");
    assert_eq!(parsed(&format!("{SIGNED}{public}{ISSUER}{actor}")), Ok(false));
    let other = actor.replace("\"gateway\"", "\"agent\"");
    for (text, expected) in [
        (asking.clone(), "servers.atlassian.assertion: there is no key to sign with"),
        (format!("{public}{ISSUER}{actor}"), "credential.actor: there is no key to sign with"),
        (format!("{SIGNED}{public}{ISSUER}{other}"), "credential.actor: can only be `gateway`"),
        (format!("{SIGNED}{GOOD}"), "assertion: whose statements they are could not be told"),
        (
            format!("{SIGNED}{asking}{}", COMMAND.replace("catalog", "assertion = true\ncatalog")),
            "servers.local.assertion: a command takes no header",
        ),
    ] {
        let told = parsed(&text).unwrap_err();
        assert!(told.contains(expected), "{expected}\nnot in\n{told}");
    }
    key("not a key");
    let told = parsed(&format!("{SIGNED}{asking}")).unwrap_err();
    assert!(told.contains("assertion.key: it is no Ed25519 key") && !told.contains("not a key"));
    assert!(!told.contains("servers.atlassian.assertion"), "one problem is told once: {told}");
}

#[test]
fn keys_that_seal_are_in_a_file_or_said_by_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callgate.toml");
    let key = |byte: char| format!("{}=", byte.to_string().repeat(43));
    std::fs::write(folder.path().join("old.key"), format!("{}\n", key('A'))).unwrap();
    let parsed =
        |keys: &str| match Config::parse(&format!("[sealing]\nkeys = [{keys}]\n{GOOD}"), &path) {
            Ok(config) => format!("{:?}", config.sealing.unwrap()),
            Err(problems) => problems.to_string(),
        };
    let (file, said) = (
        "{ file = \"old.key\" }",
        format!("{{ command = [\"echo\", \"{}\"] }}", key('B').replace("B=", "A=")),
    );
    let both = parsed(&format!("{said}, {file}"));
    assert!(both.starts_with("Keyring {") && both.matches("SealingKey").count() == 2, "{both}");
    assert!(!both.contains("AAAA") && !both.contains("BBBB"));
    // It runs in the folder of the configuration.
    assert_eq!(parsed("{ command = [\"cat\", \"old.key\"] }"), parsed(file));
    for (keys, expected) in [
        ("", "sealing.keys: there is no key"),
        (&*format!("{file}, {file}"), "sealing.keys: one key is there twice"),
        ("{ env = \"PATH\" }", "sealing.keys[0]: it is no key: the base64 of 32 bytes"),
        ("{ file = \"old.key\", env = \"PATH\" }", "sealing.keys[0]: say where the secret is"),
        ("{ file = \"old.key\", command = [\"true\"] }", "sealing.keys[0]: say where the key is"),
        ("{}", "sealing.keys[0]: say where the secret is"),
        ("{ command = [] }", "sealing.keys[0]: the command is empty"),
        ("{ command = [\"false\"] }", "sealing.keys[0]: `false` failed: exit status: 1"),
        ("{ command = [\"/no/such/program\"] }", "sealing.keys[0]: `/no/such/program` cannot be"),
        ("{ command = [\"yes\"] }", "sealing.keys[0]: `yes` "),
        ("{ command = [\"true\"] }", "sealing.keys[0]: it is no key"),
    ] {
        let told = parsed(keys);
        assert!(told.contains(expected), "{expected}\nnot in\n{told}");
        assert!(!told.contains("AAAA"), "{told}");
    }
}
