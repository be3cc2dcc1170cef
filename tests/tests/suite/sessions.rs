//! Who is signed in to the console, in a real browser without scripts: what people see of it, and what they end.

use callgate_tests::gateway::{Gateway, digest};
use serde_json::{Value, json};

use super::console::{browse, says};
use super::pages::{OPERATOR, prepared};
use super::world::BOB;

const MIA: &str = "token-of-mia";

async fn world() -> Gateway {
    let mia = format!(
        "[[danger_static_tokens]]\nname = \"mia\"\nsha256 = \"{}\"\nhuman = \"mia\"\n",
        digest(MIA.as_bytes())
    );
    prepared().section(&mia).start().await.unwrap()
}

/// The sessions that the command line tells of somebody.
async fn of(gateway: &Gateway, who: &str) -> Vec<String> {
    let listed = gateway.cli(&["console", "sessions", "list", "--json"]).await.unwrap();
    assert!(!listed.stdout.contains("digest") && !listed.stdout.contains("sealed"), "I7");
    let all: Vec<Value> =
        listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let theirs = all.iter().filter(|one| one["who"] == who);
    theirs.map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn s01_everybody_ends_their_own_sessions_and_policy_says_who_ends_those_of_others() {
    let gateway = world().await;
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "olga", "token": OPERATOR },
            { "do": "sign_in", "person": "mia", "token": MIA },
            { "do": "sign_in", "person": "mia-at-home", "token": MIA },
            // Tokens of agents: they are not by themselves.
            { "do": "sign_in", "person": "bob", "token": BOB },
            { "do": "sign_in", "person": "bob-at-home", "token": BOB },
            { "do": "open", "person": "bob", "path": "/console/sessions" },
            { "do": "open", "person": "mia", "path": "/console/sessions?all=" },
            { "do": "open", "person": "mia", "path": "/console/sessions" },
            { "do": "forged", "person": "mia", "path": "/console/sessions", "form": { "csrf": "", "id": "x" } },
            { "do": "press", "person": "mia", "button": "End the session of mia" },
            { "do": "open", "person": "mia-at-home", "path": "/console/sessions" },
            { "do": "sign_in", "person": "mia-at-home", "token": MIA },
            { "do": "open", "person": "olga", "path": "/console/sessions?all=" },
            { "do": "check", "person": "olga", "picture": "sessions" },
            { "do": "open", "person": "olga", "path": "/console/sessions?all=&name=bo" },
            { "do": "press", "person": "olga", "button": "End the session of bob" },
            { "do": "press", "person": "olga", "button": "End the session of mia" },
            { "do": "open", "person": "olga", "path": "/console/sessions?nothing=" },
        ]),
    )
    .await;
    assert!(says(&told[5], "bob") && says(&told[5], "this one"), "{}", told[5]);
    assert!(!says(&told[5], "End"), "an agent ends nothing of its person's: {}", told[5]);
    let statuses = [6, 8, 17].map(|at: usize| told[at]["status"].as_u64().unwrap());
    assert_eq!(statuses, [403, 403, 400]);
    assert!(says(&told[7], "with a token") && !says(&told[7], "olga"), "{}", told[7]);
    assert!(says(&told[9], "It has ended") && !says(&told[9], "End\n"), "{}", told[9]);
    assert_eq!(told[10]["url"], "/console/sign-in");
    assert_eq!(told[13]["found"], json!([]), "axe, and the width of the screen");
    assert!(says(&told[12], "olga") && says(&told[12], "mia"), "{}", told[12]);
    assert!(says(&told[14], "bob") && !says(&told[14], "mia"), "{}", told[14]);
    assert!(says(&told[15], "It has ended"), "{}", told[15]);
    assert_eq!((of(&gateway, "bob").await.len(), of(&gateway, "mia").await.len()), (1, 1));

    // A form of one's own does not end somebody else's.
    let theirs = of(&gateway, "olga").await.remove(0);
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "mia", "token": MIA },
            { "do": "sign_in", "person": "mia-at-home", "token": MIA },
            { "do": "open", "person": "mia", "path": "/console/sessions" },
            { "do": "press", "person": "mia", "set": { "id": theirs }, "button": "End the session of mia" },
        ]),
    )
    .await;
    assert_eq!(told[3]["status"], 403, "{}", told[3]);
    assert_eq!(of(&gateway, "olga").await, std::slice::from_ref(&theirs));
    let ended = gateway.cli(&["console", "sessions", "end", &theirs]).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(of(&gateway, "olga").await, Vec::<String>::new());
    let again = gateway.cli(&["console", "sessions", "end", &theirs]).await.unwrap();
    assert_eq!(again.code, Some(2), "{again:?}");
    let changes = gateway.cli(&["evidence", "list", "--changes", "--json"]).await.unwrap();
    let ends = changes.stdout.lines().filter(|line| line.contains("signed_out"));
    let by: Vec<Value> = ends
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"]["by"].clone())
        .collect();
    for who in ["mia", "olga"] {
        assert!(by.iter().any(|one| one == who), "{by:?}");
    }
}
