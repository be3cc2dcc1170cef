//! What servers are called with, by a real OpenID provider: tokens of the gateway's own, and tokens in the names of people
//! who logged in. Whatever the server was shown is checked here as a server would check it, with a library for that.

use std::process::Stdio;

use callgate_sim::{Running, Sim, SimOptions, Site};
use callgate_tests::evidence::{Decision, Evidence};
use callgate_tests::gateway::{Gateway, Setup};
use callgate_tests::install::{self, OAuth};
use callgate_tests::upstream::Upstream;
use serde_json::Value;
use tokio::process::Command;

use super::world::reconcile;

/// What the provider knows the site by.
const SITE: &str = "https://site.example/mcp";

const PERMITS: &str = r#"
@id("alice-in-eng") @reason("Her project") @owner("engineering")
permit(principal == User::"corp/alice", action, resource in Jira::Project::"acme/ENG");
@id("bob-in-eng") @reason("His project") @owner("engineering")
permit(principal == User::"corp/bob", action, resource in Jira::Project::"acme/ENG");
@id("ide-bot-in-eng") @reason("It works for them") @owner("engineering")
permit(principal == Agent::"ide-bot", action, resource in Jira::Project::"acme/ENG");
"#;

/// As the job `nightly`, whose secret has characters that are encoded.
const CLIENT: &str = "kind = \"client_credentials\"\ntoken_url = \"URL/token\"\nclient_id = \"nightly\"\n\
    client_secret = { file = \"nightly.secret\" }\nscopes = [\"mcp\"]\nresource = \"https://site.example/mcp\"\n";

const EXCHANGE: &str = "kind = \"exchange\"\nissuer = \"corp\"\ntoken_url = \"URL/token\"\nclient_id = \"gateway\"\n\
    client_secret = { file = \"gateway.secret\" }\nscopes = [\"mcp\"]\nresource = \"https://site.example/mcp\"\n\
    actor = \"gateway\"\n[servers.atlassian.credential.lists]\n";

struct World {
    oauth: OAuth,
    provider: Upstream,
    sim: Running,
    gateway: Gateway,
}

impl World {
    /// A gateway that calls a site, which takes anything, with this credential.
    async fn start(credential: &str) -> Self {
        let oauth = install::oauth(&install::default_directory()).unwrap();
        let sim = Sim::start(Site::demo(), SimOptions::default());
        let (provider, sim) = tokio::join!(Upstream::provider(&oauth, "jwt"), sim);
        let (provider, sim) = (provider.unwrap(), sim.unwrap());
        let sections = format!(
            "[issuers.corp]\nissuer = \"{}\"\nscopes = [\"mcp\"]\n[issuers.corp.agents.ide]\nname = \"ide-bot\"\n\
             [assertion]\nkey = {{ file = \"assertion.pem\" }}\n\
             [servers.atlassian]\nurl = \"{}?tools=all\"\ncatalog = \"atlassian-rovo\"\ntools = \"any\"\nconfirm_moves = false\nassertion = true\n\
             [servers.atlassian.sites.acme]\nurl = \"https://acme.atlassian.net\"\n\
             [servers.atlassian.credential]\n{}",
            provider.url,
            sim.url,
            credential.replace("URL", &provider.url)
        );
        let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        let gateway = Setup::default()
            .public()
            .unwrap()
            .section(&sections)
            .file("nightly.secret", "the secret of the nightly job\n")
            .file("gateway.secret", "secret-of-the-gateway\n")
            .file("assertion.pem", key)
            .file("policies/permits/all.cedar", PERMITS)
            .start()
            .await
            .unwrap();
        Self { oauth, provider, sim, gateway }
    }

    /// What the client is told after `who` logged in with it.
    async fn login(&self, arguments: &[&str]) -> Value {
        let mut client = Command::new("node");
        client.arg(&self.oauth.login).args(arguments);
        serde_json::from_str(&self.said(client).await).unwrap()
    }

    async fn said(&self, mut command: Command) -> String {
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}\n{}", self.gateway.output());
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the site was shown in a header of the requests of this method, without what comes before a token.
    fn shown(&self, method: &str, header: &str) -> Vec<String> {
        let is_it = format!("\"method\":\"{method}\"");
        let requests = self.sim.ledger().requests();
        let asked = requests.iter().filter(|request| request.body.contains(&is_it));
        let token = |value: &str| value.strip_prefix("Bearer ").unwrap_or(value).to_owned();
        asked.filter_map(|request| request.header(header).map(token)).collect()
    }

    /// What tokens say, if a server would take them.
    async fn checked(&self, by: &[&str], tokens: &[String]) -> Vec<Value> {
        let mut verify = Command::new("node");
        verify.arg(&self.oauth.verify).args(by).args(tokens);
        let said = self.said(verify).await;
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn issued(&self, tokens: &[String]) -> Vec<Value> {
        let issuer = &self.provider.url;
        self.checked(&[&format!("{issuer}/jwks"), issuer, SITE, "at+jwt"], tokens).await
    }

    async fn signed(&self, tokens: &[String]) -> Vec<Value> {
        let gateway = format!("http://{}", self.gateway.address);
        let keys = format!("{gateway}/.well-known/callgate-jwks.json");
        let server = format!("{}?tools=all", self.sim.url);
        self.checked(&[&keys, &gateway, &server, "callgate+jwt"], tokens).await
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

fn is_error(told: &Value) -> Vec<bool> {
    let calls = told["calls"].as_array().unwrap();
    calls.iter().map(|call| call["isError"].as_bool().unwrap()).collect()
}

#[tokio::test]
async fn i6_i7_people_have_tokens_of_their_own_at_the_server_and_theirs_stay_here() {
    let world = World::start(&format!("{EXCHANGE}{CLIENT}")).await;
    let url = world.gateway.url("atlassian");
    // Bob has a client that is known as an agent, and Alice has none.
    let alice = world.login(&["client", &url, "alice"]).await;
    let bob = world.login(&["client", &url, "bob", "ide"]).await;
    for told in [&alice, &bob] {
        assert_eq!(is_error(told), [false, false, true], "{told}\n{}", world.gateway.output());
    }
    let shown = world.shown("tools/call", "authorization");
    assert!(shown[0] == shown[1] && shown[2] == shown[3] && shown[0] != shown[2]);
    let issued = world.issued(&shown).await;
    let who: Vec<_> = issued.iter().map(|one| one["sub"].as_str().unwrap()).collect();
    assert_eq!(who, ["alice", "alice", "bob", "bob"]);
    assert!(issued.iter().all(|one| one["client_id"] == "gateway"));
    assert_eq!((issued[0].get("act"), &issued[2]["act"]["sub"]), (None, &"ide-bot".into()));
    let lists = world.issued(&world.shown("tools/list", "authorization")).await;
    assert!(lists.iter().all(|one| one["sub"] == "nightly"), "they are in nobody's name");

    let asserted = world.signed(&world.shown("tools/call", "callgate-assertion")).await;
    let tools: Vec<_> = asserted.iter().map(|one| one["tool"].as_str().unwrap()).collect();
    assert_eq!(tools, ["getJiraIssue", "editJiraIssue", "getJiraIssue", "editJiraIssue"]);
    let evidence = world.calls(6).await;
    for (one, intent) in asserted.iter().zip(evidence.dispatched()) {
        assert_eq!(
            (one["sub"].as_str(), one["sub_kind"].as_str()),
            (Some(intent.human()), Some("human"))
        );
        assert_eq!(one["jti"], intent.record["event"]["call"]);
    }
    reconcile(&world.sim, &evidence);
    let seen = format!("{:?}", world.sim.ledger().requests());
    let records: String = evidence.0.iter().map(|call| call.record.to_string()).collect();
    for told in [&alice, &bob] {
        let token = told["token"].as_str().unwrap();
        assert!(token.starts_with("eyJ") && !seen.contains(token));
        assert!(!records.contains(token) && !world.gateway.output().contains(token));
    }
    assert!(!records.contains(&shown[0]) && !world.gateway.output().contains(&shown[0]));
}

#[tokio::test]
async fn i1_a_provider_that_exchanges_nothing_lets_nothing_through_and_a_token_of_its_own_does() {
    // `nightly` may not exchange tokens.
    let as_nightly = EXCHANGE
        .replace("\"gateway\"\nclient_secret", "\"nightly\"\nclient_secret")
        .replace("gateway.secret", "nightly.secret");
    for (credential, refused) in
        [(format!("{as_nightly}{CLIENT}"), true), (CLIENT.to_owned(), false)]
    {
        let world = World::start(&credential).await;
        let told = world.login(&["client", &world.gateway.url("atlassian"), "alice"]).await;
        assert_eq!(is_error(&told), [refused, refused, true], "{told}\n{}", world.gateway.output());
        let evidence = world.calls(3).await;
        reconcile(&world.sim, &evidence);
        let shown = world.shown("tools/call", "authorization");
        if refused {
            assert_eq!(evidence.0[0].reasons(), "credential_unavailable");
            assert_eq!((evidence.intents().len(), shown.len()), (0, 0));
        } else {
            assert_eq!(world.issued(&shown).await[0]["sub"], "nightly");
        }
    }
}
