//! Callers of a real OpenID provider: the SDKs find out from the gateway where to log in, do it, and every call carries
//! who it was that did. Nothing about the provider is told to the clients.

use std::process::Stdio;

use callgate_sim::{Running, SimOptions};
use callgate_tests::evidence::{Decision, Evidence};
use callgate_tests::gateway::{Gateway, Setup, callgate};
use callgate_tests::install::{self, OAuth};
use callgate_tests::upstream::Upstream;
use serde_json::{Value, json};
use tokio::process::Command;

use super::world::{SECRET, reconcile, site};

const PERMITS: &str = r#"
@id("alice-in-eng") @reason("Her project") @owner("engineering")
permit(principal == User::"corp/alice",
  action in [Action::"jira.issue.read", Action::"jira.issue.edit"],
  resource in Jira::Project::"acme/ENG");
@id("nightly-reads") @reason("It reports") @owner("engineering")
permit(principal == ServiceAccount::"corp/nightly",
  action == Action::"jira.issue.read",
  resource in Jira::Project::"acme/ENG");
"#;

/// A provider, a site, and a gateway that takes the provider's tokens and no others.
struct World {
    oauth: OAuth,
    provider: Upstream,
    sim: Running,
    gateway: Gateway,
}

impl World {
    /// `more` is what else the configuration says of the provider, which is at `URL`.
    async fn start(format: &str, more: &str) -> Self {
        let oauth = install::oauth(&install::default_directory()).unwrap();
        let (provider, sim) =
            tokio::join!(Upstream::provider(&oauth, format), site(SimOptions::default()));
        let provider = provider.unwrap();
        let issuer = format!(
            "[issuers.corp]\nissuer = \"{}\"\nscopes = [\"mcp\"]\n{}",
            provider.url,
            more.replace("URL", &provider.url)
        );
        let url = format!("{}?tools=all", sim.url);
        let gateway = Setup::default()
            .public()
            .unwrap()
            .server("atlassian", &url, "atlassian-rovo", SECRET)
            .section(&issuer)
            // `gateway:secret-of-the-gateway`
            .file("gateway.secret", "Z2F0ZXdheTpzZWNyZXQtb2YtdGhlLWdhdGV3YXk=")
            .file("policies/permits/all.cedar", PERMITS)
            .start()
            .await
            .unwrap();
        Self { oauth, provider, sim, gateway }
    }

    /// What the client `kind` is told after `who` logged in.
    async fn login(&self, kind: &str, who: &str) -> Value {
        self.login_by(&[kind, &self.gateway.url("atlassian"), who]).await
    }

    async fn login_by(&self, arguments: &[&str]) -> Value {
        let mut client = Command::new("node");
        client.arg(&self.oauth.login).args(arguments);
        self.told(client).await
    }

    /// What the client of the Python SDK is told after `who` logged in.
    async fn login_in_python(&self, who: &str) -> Value {
        let python = install::python(&install::default_directory()).unwrap();
        let mut client = Command::new(&python.interpreter);
        client.arg(&python.login).args([&self.gateway.url("atlassian"), who]);
        self.told(client).await
    }

    async fn told(&self, mut client: Command) -> Value {
        let client = client.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = client.await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {said}\n{}", self.gateway.output()))
    }

    /// The calls of tools in the evidence, once there are `count`.
    async fn calls(&self, count: usize) -> Evidence {
        let is_call = |one: &Decision| !one.tool().is_empty();
        let enough = |evidence: &Evidence| {
            evidence.is_settled() && evidence.0.iter().filter(|one| is_call(one)).count() == count
        };
        let evidence = self.gateway.evidence_when(enough).await.unwrap();
        Evidence(evidence.0.into_iter().filter(is_call).collect())
    }
}

/// What became of each call, in order.
fn outcomes(told: &Value) -> Vec<bool> {
    let calls = told["calls"].as_array().unwrap();
    calls.iter().map(|call| !call["isError"].as_bool().unwrap()).collect()
}

#[tokio::test]
async fn people_log_in_at_their_provider_and_every_call_carries_who_it_was() {
    let world = World::start("jwt", "").await;
    for (kind, calls) in [("client", 3), ("sdk", 6)] {
        let told = world.login(kind, "alice").await;
        assert_eq!(told["refused"], "UnauthorizedError", "{kind}");
        assert_eq!(outcomes(&told), [true, true, false], "{kind}: {told}");
        let denied = told["calls"][2]["text"].as_str().unwrap();
        assert!(denied.contains("human_not_permitted"), "{denied}");

        let evidence = world.calls(calls).await;
        for call in &evidence.0 {
            assert_eq!(call.human(), "corp/alice");
            assert_eq!(call.text("/caller/accountable/kind"), "human");
            assert_eq!(call.text("/caller/accountable/assurance"), "verified");
            assert_eq!(call.text("/caller/credential/kind"), "jwt");
            // It registered itself a moment ago: all that is known of it is what the provider calls it.
            assert!(call.text("/caller/client/name").len() > 20);
            assert_eq!(call.record.pointer("/event/caller/agent"), Some(&Value::Null));
        }
        reconcile(&world.sim, &evidence);
        // I7: neither the log nor the evidence has the token.
        let token = told["token"].as_str().unwrap();
        assert_eq!(token.split('.').count(), 3, "{token}");
        let records: String = evidence.0.iter().map(|call| call.record.to_string()).collect();
        assert!(!records.contains(token) && !world.gateway.output().contains(token));
        let shown = callgate(world.gateway.path(), &["caller", "show", "--json"], token).await;
        let shown = shown.unwrap().json().unwrap().remove(0);
        assert_eq!(shown["caller"]["accountable"]["id"], "corp/alice", "{shown}");
        assert_eq!(shown["opens"], json!(["/mcp/atlassian"]));
    }
    let stranger = world.login("client", "mallory").await;
    assert_eq!(stranger["tools"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_job_with_a_token_of_its_own_is_no_human() {
    let world = World::start("jwt", "").await;
    let told = world.login("job", &world.provider.url).await;
    assert_eq!(outcomes(&told), [true, false, false], "{told}");
    let evidence = world.calls(3).await;
    for call in &evidence.0 {
        assert_eq!(call.human(), "corp/nightly");
        assert_eq!(call.text("/caller/accountable/kind"), "service_account");
    }
    reconcile(&world.sim, &evidence);
}

#[tokio::test]
async fn the_python_client_logs_in_by_itself() {
    let world = World::start("jwt", "").await;
    let told = world.login_in_python("alice").await;
    assert_eq!(outcomes(&told), [true, true, false], "{told}");
    let evidence = world.calls(3).await;
    assert!(evidence.0.iter().all(|call| call.human() == "corp/alice"));
    reconcile(&world.sim, &evidence);
}

/// What scopes cover: clients first ask for one that only reads.
const ENVELOPE: &str = "\
[issuers.corp.envelope.mcp]
actions = [\"read\"]
[issuers.corp.envelope.\"mcp:write\"]
actions = [\"jira.issue.edit\"]
within = ['Jira::Project::\"acme/ENG\"']
";

#[tokio::test]
async fn a_client_that_lacks_a_scope_asks_for_it_and_goes_on() {
    let world = World::start("jwt", ENVELOPE).await;
    // One that registers itself may only ever have the scopes that it knew of then.
    let url = world.gateway.url("atlassian");
    let told = world.login_by(&["client", &url, "alice", "ide"]).await;
    assert_eq!(outcomes(&told), [true, true, false], "{told}");
    assert_eq!(told["calls"][0]["after"], Value::Null);
    assert_eq!(told["calls"][1]["after"], "UnauthorizedError", "{told}");
    let evidence = world.calls(4).await;
    let reasons: Vec<_> = evidence.0.iter().map(Decision::reasons).collect();
    let denied = "human_not_permitted+scope_insufficient";
    assert_eq!(reasons, ["permitted", "scope_insufficient", "permitted", denied]);
    let scopes = |call: &Decision| call.record.pointer("/event/caller/credential/scopes").cloned();
    assert_eq!(scopes(&evidence.0[1]), Some(json!(["mcp"])));
    assert_eq!(scopes(&evidence.0[2]), Some(json!(["mcp", "mcp:write"])));
    reconcile(&world.sim, &evidence);
}

/// How the provider is asked about its tokens.
const ASKED: &str = "introspection = { ownerless = true, url = \"URL/token/introspection\", \
                     credential = { scheme = \"basic\", file = \"gateway.secret\" } }\n";

#[tokio::test]
async fn the_provider_is_asked_about_tokens_that_say_nothing() {
    let world = World::start("opaque", ASKED).await;
    let told = world.login("client", "alice").await;
    assert_eq!(outcomes(&told), [true, true, false], "{told}");
    let told = world.login("job", &world.provider.url).await;
    assert_eq!(outcomes(&told), [true, false, false], "{told}");
    let evidence = world.calls(6).await;
    let who = |call: &Decision| {
        let kind = call.text("/caller/accountable/kind");
        format!("{kind} {} {}", call.human(), call.text("/caller/credential/kind"))
    };
    let who: Vec<_> = evidence.0.iter().map(who).collect();
    assert_eq!(who[..3], ["human corp/alice opaque"; 3]);
    assert_eq!(who[3..], ["service_account corp/nightly opaque"; 3]);
    reconcile(&world.sim, &evidence);
    let token = told["token"].as_str().unwrap();
    assert!(!token.contains('.'), "{token}");
    let shown = world.gateway.cli(&["caller", "show", "nowhere"]).await.unwrap();
    assert_eq!(shown.code, Some(2), "{shown:?}");
    let shown = callgate(world.gateway.path(), &["caller", "show"], &format!("{token}x")).await;
    let shown = shown.unwrap();
    assert_eq!(shown.code, Some(1), "{shown:?}");
    assert_eq!(shown.stdout, "not accepted: the issuer says that the token is not active\n");
}
