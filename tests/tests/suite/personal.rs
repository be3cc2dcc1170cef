//! Servers that are called with each person's own secret: `mcp-atlassian`, which others wrote, and the log of the backend behind
//! it, which says whose token came with what.

use callgate_tests::backend::{Arrival, Backend};
use callgate_tests::gateway::{Chain, Gateway, callgate};
use callgate_tests::install;
use callgate_tests::upstream::Upstream;
use callgate_tests::wire::{Ask, Heard};
use serde_json::{Value, json};

use super::world::{ALICE, BOB, setup};

const EVE: &str = "token-of-eve";

const PERMITS: &str = r#"
@id("everybody-works-in-eng") @reason("A small company") @owner("platform")
permit(principal, action in [Action::"jira.issue.read", Action::"jira.issue.edit"], resource in Jira::Project::"acme/ENG");
"#;

/// The base64 of 32 bytes.
const KEYS: [&str; 2] = [
    "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
    "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=",
];

async fn world() -> (Backend, Upstream, Gateway) {
    let python = install::python(&install::default_directory()).unwrap();
    let backend = Backend::start().await.unwrap();
    let upstream = Upstream::start(&python, &backend).await.unwrap();
    let server = format!(
        "[servers.jira]\nurl = \"{}\"\ncatalog = \"mcp-atlassian\"\ntools = \"any\"\nconfirm_moves = false\ndefault_site = \"acme\"\n\
         credential = {{ kind = \"personal\", lists = {{ file = \"lists.secret\" }} }}\n[servers.jira.sites.acme]\nurl = \"https://acme.atlassian.net\"\n\
         [sealing]\nkeys = [{{ file = \"sealing.key\" }}]\n",
        upstream.url
    );
    let gateway = setup()
        .token(EVE, &Chain { human: "eve", group: "nobody", agent: "release-bot" })
        .file("policies/guardrails/all.cedar", "")
        .file("policies/permits/all.cedar", PERMITS)
        .file("sealing.key", KEYS[0])
        .file("lists.secret", "lists-canary")
        .section(&server)
        .start()
        .await
        .unwrap();
    (backend, upstream, gateway)
}

async fn set(gateway: &Gateway, human: &str, secret: &str) {
    let command = ["secret", "set", "--server", "jira", "--human", human];
    let ran = callgate(gateway.path(), &command, secret).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!format!("{ran:?}").contains(secret), "I7: it is not printed");
}

async fn call(gateway: &Gateway, token: &str, tool: &str, arguments: Value) -> Heard {
    Ask::call("jira", token, tool, arguments).send(gateway.address).await.unwrap()
}

async fn read(gateway: &Gateway, token: &str, key: &str) -> Heard {
    call(gateway, token, "jira_get_issue", json!({ "issue_key": key })).await
}

async fn edit(gateway: &Gateway, token: &str, key: &str) -> Heard {
    let fields = json!({ "summary": "Edited" }).to_string();
    let arguments = json!({ "issue_key": key, "fields": fields });
    call(gateway, token, "jira_update_issue", arguments).await
}

fn bearers(arrivals: &[Arrival], path: &str) -> Vec<String> {
    let of_path = arrivals.iter().filter(|arrival| arrival.path.contains(path));
    let mut all: Vec<_> = of_path.filter_map(|arrival| arrival.authorization.clone()).collect();
    all.dedup();
    all
}

#[tokio::test]
async fn i6_i7_i08_each_persons_calls_reach_the_backend_with_their_own_token() {
    let (backend, _upstream, gateway) = world().await;
    set(&gateway, "alice", "secret-canary-of-alice").await;
    set(&gateway, "bob", "secret-canary-of-bob\n").await;
    for (token, key) in [(ALICE, "ENG-1"), (BOB, "ENG-2")] {
        let heard = read(&gateway, token, key).await;
        assert!(heard.is_success(), "{heard:?}");
        let heard = edit(&gateway, token, key).await;
        assert!(heard.is_success(), "{heard:?}");
    }
    let refused = edit(&gateway, EVE, "ENG-1").await;
    assert!(refused.reasons().contains("credential_unavailable"), "{refused:?}");
    let arrivals = backend.arrivals();
    assert_eq!(bearers(&arrivals, "ENG-1"), ["Bearer secret-canary-of-alice"]);
    assert_eq!(bearers(&arrivals, "ENG-2"), ["Bearer secret-canary-of-bob"]);
    let of_clients = format!("{arrivals:?}");
    for token in [ALICE, BOB, EVE, "lists-canary"] {
        assert!(!of_clients.contains(token), "I7: {token} came through");
    }

    // Both at once, for a while: none is ever called with the other's.
    for _ in 0..10 {
        let (alice, bob) =
            tokio::join!(read(&gateway, ALICE, "ENG-1"), read(&gateway, BOB, "ENG-2"));
        assert!(alice.is_success() && bob.is_success(), "{alice:?} {bob:?}");
    }
    let arrivals = backend.arrivals();
    assert_eq!(bearers(&arrivals, "ENG-1"), ["Bearer secret-canary-of-alice"]);
    assert_eq!(bearers(&arrivals, "ENG-2"), ["Bearer secret-canary-of-bob"]);

    let evidence = gateway.evidence_when(|all| all.is_settled()).await.unwrap();
    for place in [format!("{evidence:?}"), gateway.output()] {
        assert!(!place.contains("canary"), "I7");
    }
}

#[tokio::test]
async fn a_secret_and_the_key_to_it_can_be_replaced_while_the_gateway_runs() {
    let (backend, _upstream, mut gateway) = world().await;
    set(&gateway, "alice", "first-canary").await;
    assert!(read(&gateway, ALICE, "ENG-1").await.is_success());
    set(&gateway, "alice", "second-canary").await;
    assert!(read(&gateway, ALICE, "ENG-1").await.is_success());
    let seen = bearers(&backend.arrivals(), "ENG-1");
    assert_eq!(seen, ["Bearer first-canary", "Bearer second-canary"]);

    // A new key comes before the old one; what is there is sealed anew; then the old one goes.
    let config = std::fs::read_to_string(gateway.path().join("callgate.toml")).unwrap();
    let both = r#"keys = [{ file = "new.key" }, { file = "sealing.key" }]"#;
    let old = r#"keys = [{ file = "sealing.key" }]"#;
    gateway.put("new.key", KEYS[1]).unwrap();
    gateway.put("callgate.toml", &config.replace(old, both)).unwrap();
    let listed = gateway.cli(&["secret", "list"]).await.unwrap();
    assert!(listed.stdout.contains("sealed with an old key"), "{listed:?}");
    let resealed = gateway.cli(&["secret", "reseal"]).await.unwrap();
    assert_eq!(resealed.stdout, "sealed anew: 1; not to be opened: 0\n", "{resealed:?}");
    let refused = read(&gateway, ALICE, "ENG-1").await;
    assert!(
        refused.reasons().contains("credential_unavailable"),
        "it has the old key: {refused:?}"
    );
    gateway.put("callgate.toml", &config.replace(old, r#"keys = [{ file = "new.key" }]"#)).unwrap();
    gateway.terminate().await.unwrap();
    gateway.restart().await.unwrap();
    assert!(read(&gateway, ALICE, "ENG-1").await.is_success());

    let remove = ["secret", "remove", "--server", "jira", "--human", "alice"];
    assert_eq!(gateway.cli(&remove).await.unwrap().code, Some(0));
    let refused = read(&gateway, ALICE, "ENG-1").await;
    assert!(refused.reasons().contains("credential_unavailable"), "I8: {refused:?}");
    for (command, told) in [
        (["secret", "remove", "--server", "jira", "--human", "alice"], "no such thing"),
        (["secret", "set", "--server", "wiki", "--human", "alice"], "there are: jira"),
        (["secret", "set", "--server", "jira", "--human", "corp/x"], "no issuer is called"),
    ] {
        let ran = callgate(gateway.path(), &command, "x").await.unwrap();
        assert!(ran.code == Some(2) && ran.stderr.contains(told), "{ran:?}");
    }
}

#[tokio::test]
async fn a_secret_can_stand_sealed_in_the_configuration() {
    let server = "[servers.jira]\nurl = \"http://127.0.0.1:9/mcp\"\ncatalog = \"mcp-atlassian\"\ntools = \"any\"\nconfirm_moves = false\n\
                  credential = { file = \"jira.secret\" }\n\
                  [servers.jira.sites.acme]\nurl = \"https://acme.atlassian.net\"\n[sealing]\nkeys = [{ file = \"sealing.key\" }]\n";
    let folder = setup()
        .file("sealing.key", KEYS[0])
        .file("jira.secret", "config-canary")
        .section(server)
        .write()
        .unwrap();
    let sealed = callgate(folder.path(), &["secret", "seal"], "config-canary\n").await.unwrap();
    let sealed = sealed.stdout.trim();
    assert!(sealed.starts_with("cgs1.") && !sealed.contains("canary"), "{sealed}");
    let config = std::fs::read_to_string(folder.path().join("callgate.toml")).unwrap();
    let with = |text: &str| {
        let credential = format!("credential = {{ sealed = \"{text}\" }}");
        config.replace("credential = { file = \"jira.secret\" }", &credential)
    };
    folder.put("callgate.toml", &with(sealed)).unwrap();
    let ran = folder.cli(&["check"]).await.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    folder.put("callgate.toml", &with(&sealed.replace("cgs1", "cgs2"))).unwrap();
    let ran = folder.cli(&["check"]).await.unwrap();
    assert!(
        ran.code == Some(64) && ran.stderr.contains("none of `sealing.keys` opens it"),
        "{ran:?}"
    );
    folder.put("callgate.toml", &with(sealed)).unwrap();
    folder.put("sealing.key", KEYS[1]).unwrap();
    let ran = folder.cli(&["check"]).await.unwrap();
    assert!(
        ran.code == Some(64) && ran.stderr.contains("none of `sealing.keys` opens it"),
        "{ran:?}"
    );
}
