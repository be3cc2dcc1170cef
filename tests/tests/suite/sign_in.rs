//! Signing in to the console, in a real browser: at a real OpenID provider, with a token, by a link. Who they are there, what
//! their groups let them do, and how a session ends.

mod raw;

use std::process::Stdio;

use callgate_sim::{Running, SimOptions};
use callgate_tests::gateway::{Gateway, Ran, program};
use callgate_tests::install;
use callgate_tests::upstream::Upstream;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::console::{browse, browse_at, deleted, is_made, says, waits};
use super::world::{APPROVALS, PERMITS, SECRET, setup, site};

/// What roles are for, as the starter packs have it.
const ROLES: &str = include_str!("../../../policies/zero-standing/permits/console.cedar");

const CONSOLE: &str = r#"
[approvals]
same_person = [["alice", "corp/alice"]]
[console]
issuer = "corp"
client_id = "console"
client_secret = { file = "console.secret" }
scopes = ["groups"]
[console.roles]
viewer = ["corp/staff"]
approver = ["corp/leads"]
operator = ["corp/operators"]
[console.people.dave]
groups = ["corp/leads"]
roles = ["approver"]
"#;

struct World {
    provider: Upstream,
    sim: Running,
    gateway: Gateway,
}

impl World {
    async fn start() -> Self {
        let oauth = install::oauth(&install::default_directory()).unwrap();
        let (provider, sim) =
            tokio::join!(Upstream::provider(&oauth, "jwt"), site(SimOptions::default()));
        let provider = provider.unwrap();
        let issuer = format!("[issuers.corp]\nissuer = \"{}\"\n", provider.url);
        let gateway = setup()
            .public()
            .unwrap()
            .server("atlassian", &format!("{}?tools=all", sim.url), "atlassian-rovo", SECRET)
            .section(&issuer)
            .section(CONSOLE)
            .file("console.secret", "secret of the console")
            .file(
                "policies/approvals/all.cedar",
                &APPROVALS.replace("team:leads", "team:corp/leads"),
            )
            .file("policies/permits/all.cedar", PERMITS)
            .file("policies/permits/console.cedar", ROLES)
            .start()
            .await
            .unwrap();
        Self { provider, sim, gateway }
    }

    /// What the evidence has of such changes, the newest first.
    async fn changes(&self, name: &str) -> Vec<Value> {
        let list = ["evidence", "list", "--changes", "--limit", "1000", "--json"];
        let all = self.gateway.cli(&list).await.unwrap().json().unwrap();
        all.into_iter()
            .map(|one| one["event"].clone())
            .filter(|one| one["change"] == name)
            .collect()
    }

    async fn link(&self, more: &[&str]) -> Ran {
        self.gateway.cli(&[&["console", "link"], more].concat()).await.unwrap()
    }
}

fn statuses(told: &[Value]) -> Vec<u64> {
    told.iter().filter_map(|one| one["status"].as_u64()).collect()
}

#[tokio::test]
async fn people_sign_in_at_their_provider_and_do_what_their_groups_let_them() {
    let world = World::start().await;
    let page = waits(&world.gateway, "ENG-45").await;
    let told = browse(
        &world.gateway,
        json!([
            { "do": "check", "person": "nobody", "path": "/console/sign-in", "picture": "sign-in" },
            { "do": "oidc", "person": "erin", "path": page, "name": "erin" },
            { "do": "says", "person": "erin", "verdict": "approve" },
            { "do": "oidc", "person": "alice", "path": page, "name": "alice" },
            { "do": "says", "person": "alice", "verdict": "approve" },
            { "do": "oidc", "person": "mallory", "path": "/console", "name": "mallory" },
            { "do": "oidc", "person": "olga", "path": "/console", "name": "olga" },
            { "do": "open", "person": "olga", "path": page },
            { "do": "says", "person": "olga", "verdict": "approve" },
            { "do": "oidc", "person": "carol", "path": page, "name": "carol" },
            { "do": "check", "person": "carol", "path": page, "picture": "signed-in" },
            { "do": "says", "person": "carol", "verdict": "approve", "reason": "nobody calls it" },
            { "do": "sign_out", "person": "carol" },
        ]),
    )
    .await;
    let [
        sign_in,
        erin,
        erin_says,
        _,
        alice_says,
        mallory,
        _,
        olga,
        olga_says,
        carol,
        check,
        done,
        out,
    ] = told.as_slice()
    else {
        panic!("{told:?}")
    };
    assert_eq!(
        (&sign_in["found"], &check["found"]),
        (&json!([]), &json!([])),
        "axe, and the width"
    );
    // Where they wanted to go, known by what the provider says.
    assert!(erin["url"] == page.as_str() && says(erin, "ENG-45"), "{erin}");
    let kept = json!([{ "name": "callgate", "httpOnly": true, "sameSite": "Lax" }]);
    assert_eq!(erin["cookies"], kept, "what the sign-in needed is gone");
    assert!(erin_says["status"] == 403 && says(erin_says, "Not allowed"), "a viewer: {erin_says}");
    assert!(alice_says["status"] == 409, "of the team, and the one who asks: {alice_says}");
    assert!(says(alice_says, "t is your own call"), "{alice_says}");
    assert!(says(mallory, "Not allowed"), "in no group: {mallory}");
    assert!(says(olga, "ENG-45") && olga_says["status"] == 403, "{olga_says}");
    assert!(says(carol, "waiting"), "nobody has decided: {carol}");
    assert!(done["url"] == "/console" && says(done, "It is recorded"), "{done}");
    assert_eq!(out["url"], "/console/sign-in");
    assert!(is_made(&world.gateway, "ENG-45").await);
    assert_eq!(deleted(&world.sim), 1);

    let begun = world.changes("signed_in").await;
    let who: Vec<_> =
        begun.iter().rev().map(|one| one["session"]["who"].as_str().unwrap()).collect();
    assert_eq!(who, ["corp/erin", "corp/alice", "corp/mallory", "corp/olga", "corp/carol"]);
    assert_eq!(begun[0]["session"]["groups"], json!(["corp/staff", "corp/leads"]));
    assert!(begun.iter().all(|one| one["session"]["way"] == "issuer" && one["link"].is_null()));
    let ended = world.changes("signed_out").await;
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (&ended[0]["by"], &ended[0]["id"]),
        (&json!("corp/carol"), &begun[0]["session"]["id"])
    );
}

/// A11: what comes back from the issuer is of the browser that was sent there, and good once.
#[tokio::test]
async fn a11_nobody_is_signed_in_by_what_another_was_sent_back_with() {
    let mut world = World::start().await;
    let told = browse(
        &world.gateway,
        json!([
            // Mallory stops before she is back, and gives Carol the address.
            { "do": "oidc", "person": "mallory", "path": "/console", "name": "mallory", "until": true },
            { "do": "replay", "person": "carol", "whose": "mallory" },
            { "do": "open", "person": "carol", "path": "/console" },
            { "do": "oidc", "person": "carol", "path": "/console", "name": "carol" },
            // In her own browser it would do, and does once.
            { "do": "replay", "person": "carol", "whose": "carol" },
            { "do": "open", "person": "carol", "path": "/console" },
            { "do": "replay", "person": "mallory", "whose": "mallory" },
            { "do": "replay", "person": "mallory", "whose": "mallory" },
            { "do": "oidc", "person": "dave", "path": "/console", "name": "dave", "cancel": true },
            { "do": "open", "person": "erin", "path": "/console/sign-in/callback" },
            { "do": "open", "person": "erin", "path": "/console/sign-in/callback?state=x&state=y&code=z" },
            { "do": "forged", "person": "erin", "path": "/console/sign-in/oidc?next=//evil.example" },
            { "do": "forged", "person": "erin", "path": "/console/sign-in/oidc", "headers": { "origin": "https://evil.example" } },
        ]),
    )
    .await;
    let [
        _,
        forged,
        nobody,
        carol,
        again,
        still,
        mallory,
        twice,
        cancelled,
        empty,
        two,
        elsewhere,
        foreign,
    ] = told.as_slice()
    else {
        panic!("{told:?}")
    };
    assert!(forged["status"] == 400 && says(forged, "not begun in this browser"), "{forged}");
    assert_eq!(nobody["url"], "/console/sign-in", "she is not signed in as somebody else");
    assert!(carol["url"] == "/console" && says(carol, "Nothing waits"), "{carol}");
    assert_eq!((&again["status"], &still["url"]), (&json!(400), &json!("/console")));
    assert!(says(mallory, "Not allowed"), "signed in, and in no group: {mallory}");
    assert_eq!(twice["status"], 400);
    assert!(says(cancelled, "corp does not sign you in: access_denied"), "{cancelled}");
    assert_eq!(statuses(&[empty.clone(), two.clone()]), [400, 400]);
    assert_eq!((&elsewhere["status"], &foreign["status"]), (&json!(303), &json!(403)));

    // The issuer is down.
    drop(world.provider);
    world.gateway.terminate().await.unwrap();
    world.gateway.restart().await.unwrap();
    let told = browse(
        &world.gateway,
        json!([{ "do": "open", "person": "carol", "path": "/console/sign-in/oidc" }]),
    )
    .await;
    assert!(told[0]["status"] == 503 && says(&told[0], "corp cannot be asked now"), "{told:?}");
    assert!(!world.gateway.output().contains("secret of the console"), "I7");
}

/// I8: a session is in the store, so that it outlives the gateway; it ends when the person may not come any more.
#[tokio::test]
async fn i8_a_session_outlives_a_restart_and_ends_with_the_person() {
    let mut world = World::start().await;
    waits(&world.gateway, "ENG-45").await;
    let kept = tempfile::NamedTempFile::new().unwrap();
    let kept = kept.path().to_str().unwrap();
    let told = browse(
        &world.gateway,
        json!([
            { "do": "oidc", "person": "carol", "path": "/console", "name": "carol" },
            { "do": "leave", "person": "carol", "file": kept },
        ]),
    )
    .await;
    assert!(says(&told[0], "ENG-45"), "{told:?}");
    world.gateway.terminate().await.unwrap();
    world.gateway.restart().await.unwrap();
    let told = browse(
        &world.gateway,
        json!([
            { "do": "come", "person": "carol", "file": kept },
            { "do": "open", "person": "carol", "path": "/console" },
        ]),
    )
    .await;
    assert!(told[1]["url"] == "/console" && says(&told[1], "ENG-45"), "{told:?}");

    let gone = ["revoke", "--human", "corp/carol", "--reason", "left"];
    let revoked = world.gateway.cli(&gone).await.unwrap();
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    let told = browse(
        &world.gateway,
        json!([
            { "do": "come", "person": "carol", "file": kept },
            { "do": "open", "person": "carol", "path": "/console/calls" },
            { "do": "check", "person": "carol", "picture": "ended" },
            { "do": "oidc", "person": "carol", "path": "/console", "name": "carol" },
            { "do": "open", "person": "carol", "path": "/console" },
        ]),
    )
    .await;
    let [_, ended, check, refused, out] = told.as_slice() else { panic!("{told:?}") };
    assert!(ended["url"] == "/console/sign-in" && says(ended, "has ended"), "{ended}");
    assert_eq!(check["found"], json!([]));
    assert!(says(refused, "let in no more"), "{refused}");
    assert_eq!(out["url"], "/console/sign-in");
    assert_eq!(world.changes("signed_out").await.len(), 1, "at the next request, and once");
}

/// A token that somebody signed in with is nowhere but sealed by what their browser has.
#[tokio::test]
async fn i7_a_session_by_a_token_outlives_a_restart_and_the_store_cannot_open_it() {
    let (_sim, mut gateway) = super::approvals::world("").await;
    let kept = tempfile::NamedTempFile::new().unwrap();
    let kept = kept.path().to_str().unwrap();
    let token = super::approvals::CAROL;
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "carol", "token": token },
            { "do": "leave", "person": "carol", "file": kept },
        ]),
    )
    .await;
    assert_eq!(told[0]["url"], "/console");
    gateway.terminate().await.unwrap();
    for file in std::fs::read_dir(gateway.path()).unwrap() {
        let path = file.unwrap().path();
        let is_store = path.is_file()
            && path.file_name().unwrap().to_string_lossy().starts_with("evidence.db");
        let bytes = if is_store { std::fs::read(&path).unwrap() } else { Vec::new() };
        assert!(!bytes.windows(token.len()).any(|one| one == token.as_bytes()), "{path:?}");
    }
    gateway.restart().await.unwrap();
    let told = browse(
        &gateway,
        json!([
            { "do": "come", "person": "carol", "file": kept },
            { "do": "open", "person": "carol", "path": "/console" },
            { "do": "sign_out", "person": "carol" },
            { "do": "come", "person": "carol", "file": kept },
            { "do": "open", "person": "carol", "path": "/console" },
        ]),
    )
    .await;
    assert!(told[1]["url"] == "/console" && says(&told[1], "Nothing waits"), "{told:?}");
    assert!(told[4]["url"] == "/console/sign-in" && says(&told[4], "has ended"), "{}", told[4]);
}

/// Who made the links and who signed in by them, and nothing of what is in them.
async fn is_recorded(world: &World, code: &str) {
    let made = world.changes("sign_in_link_made").await;
    assert!(made[0]["by"].as_str().unwrap().ends_with("on the command line"), "{made:?}");
    let begun = world.changes("signed_in").await;
    let mut told: Vec<_> = begun.iter().map(|one| (&one["session"]["who"], &one["link"])).collect();
    let expected = made.iter().map(|one| (&one["link"]["who"], &one["link"]["id"]));
    let mut expected: Vec<_> = expected.collect();
    expected.sort_by_key(|(who, _)| who.to_string());
    told.sort_by_key(|(who, _)| who.to_string());
    assert_eq!(told, expected);
    let list = ["evidence", "list", "--changes"];
    let lines = world.gateway.cli(&list).await.unwrap().stdout;
    let tells =
        |what: &str, who: &str| lines.lines().any(|line| line.contains(what) && line.contains(who));
    assert!(
        tells("sign_in_link_made", "local/dave") && tells("signed_in", "local/dave"),
        "{lines}"
    );
    let records = serde_json::to_string(&(made, begun)).unwrap();
    assert!(!records.contains(code) && !world.gateway.output().contains(code), "I7");
}

/// A11: a link is used up by who says so on its page, and by nothing that only looks at it.
#[tokio::test]
async fn a11_a_link_signs_one_person_in_once() {
    let world = World::start().await;
    let page = waits(&world.gateway, "ENG-45").await;
    let nobody = world.link(&["--for", "mallory"]).await;
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    assert!(nobody.stderr.contains("[console.people.mallory]"), "{nobody:?}");
    let (first, dave) = (world.link(&[]).await, world.link(&["--for", "dave"]).await);
    let [first, dave] = [first, dave].map(|ran| ran.stdout.trim().to_owned());
    let origin = format!("http://{}/console/sign-in/link?code=", world.gateway.address);
    let code = dave.strip_prefix(&origin).unwrap();
    assert_eq!(code.len(), 64, "256 bits");
    let form = |csrf: &str| json!({ "code": code, "next": "/console", "csrf": csrf });
    let post = |person: &str, form: Value| json!({ "do": "forged", "person": person, "path": "/console/sign-in/link", "form": form });
    let evil = json!({ "do": "forged", "person": "mallory", "path": "/console/sign-in/link",
        "form": form(""), "headers": { "origin": "https://evil.example" } });
    let told = browse(
        &world.gateway,
        json!([
            // Mail scanners, previews, and a page of somebody else's that knows the link.
            { "do": "open", "person": "scanner", "path": dave },
            { "do": "open", "person": "scanner", "path": dave },
            post("mallory", form("")),
            post("mallory", form("0000")),
            evil,
            post("mallory", json!({ "code": code })),
            { "do": "check", "person": "dave", "path": dave, "picture": "link" },
            { "do": "link", "person": "dave", "url": format!("{dave}&next={page}") },
            { "do": "says", "person": "dave", "verdict": "approve", "reason": "nobody calls it" },
            { "do": "link", "person": "mallory", "url": dave },
            { "do": "link", "person": "nobody", "url": format!("{origin}{}", "0".repeat(64)) },
            { "do": "link", "person": "olga", "url": first },
            { "do": "open", "person": "olga", "path": "/console/calls" },
        ]),
    )
    .await;
    assert_eq!(statuses(&told[..6]), [200, 200, 403, 403, 403, 400], "{told:?}");
    let [check, dave, approved, again, guessed, olga, calls] = &told[6..] else {
        panic!("{told:?}")
    };
    assert_eq!(check["found"], json!([]));
    assert!(says(&dave["shown"], "Sign in as local/dave"), "{dave}");
    assert!(dave["url"] == page.as_str() && says(dave, "ENG-45"), "two clicks: {dave}");
    assert!(says(approved, "It is recorded"), "{approved}");
    assert_eq!(statuses(&[again.clone(), guessed.clone()]), [410, 410]);
    assert!(says(again, "This link was used"), "{again}");
    assert!(olga["url"] == "/console" && calls["status"] == 200, "who sets it up looks: {olga}");
    assert!(is_made(&world.gateway, "ENG-45").await);
    assert_eq!(deleted(&world.sim), 1);

    is_recorded(&world, code).await;

    let gone = ["revoke", "--human", "local/dave", "--reason", "left"];
    assert_eq!(world.gateway.cli(&gone).await.unwrap().code, Some(0));
    let late = world.link(&["--for", "dave"]).await.stdout.trim().to_owned();
    let told =
        browse(&world.gateway, json!([{ "do": "link", "person": "dave", "url": late }])).await;
    assert!(says(&told[0], "let in no more"), "{told:?}");
}

/// What whoever runs the demo is told to do: two clicks, and the call that waited can be made.
#[tokio::test]
async fn the_demo_gives_a_link_to_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(program().unwrap())
        .args(["demo", "--port", "0"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut link = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("/console/sign-in/link?code=") {
            link = line.trim().to_owned();
        }
        if line.contains("Stop with Ctrl-C") {
            break;
        }
    }
    let (origin, _) = link.split_once("/console/").unwrap();
    let told = browse_at(
        origin,
        json!([
            { "do": "link", "person": "carol", "url": link },
            { "do": "says", "person": "carol", "verdict": "approve" },
            { "do": "call", "token": "demo-alice-release-bot", "tool": "executeDestructive", "arguments":
                { "name": "deleteJiraIssue", "cloudId": "https://acme.atlassian.net", "inputs": { "issueIdOrKey": "ENG-43" } } },
        ]),
    )
    .await;
    assert!(says(&told[0], "ENG-43") && says(&told[0]["shown"], "local/carol"), "{told:?}");
    assert!(says(&told[1], "It is recorded"), "{told:?}");
    assert!(says(&told[2], "\"isError\":false") || !says(&told[2], "isError"), "{told:?}");
    assert!(!says(&told[2], "approval_required"), "{told:?}");
    demo.kill().await.unwrap();
}
