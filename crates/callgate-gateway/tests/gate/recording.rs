//! What of arguments comes into the record.

use callgate_gateway::recording::Recording;

use crate::client::{delete, edit};
use crate::support::{Setup, World};

/// What is not asked for is not recorded: not of calls, and not of what is asked to be approved.
#[tokio::test]
async fn only_digests_of_arguments_are_recorded_unless_somebody_asks_for_more() {
    let world = World::start(Setup { recording: Recording::default(), ..Setup::default() }).await;
    let said = world.call("alice-release", "editJiraIssue", &edit("ENG-42", "canary-text")).await;
    assert_eq!(said.brief(), "ok");
    let waits = world.call("alice-release", "executeDestructive", &delete("ENG-45")).await;
    assert_eq!(waits.brief(), "approval_required approval_required");
    let rows = world.record().await;
    let intent = rows.iter().find(|row| row.kind == "intent").unwrap();
    assert!(intent.text.contains(r#""arguments":null"#), "{}", intent.text);
    assert!(intent.text.contains(r#""arguments_digest":""#), "{}", intent.text);
    assert!(rows.iter().all(|row| !row.text.contains("canary-text")));
    let asked = rows.iter().find(|row| row.text.contains("approval_requested")).unwrap();
    assert!(asked.text.contains(r#""arguments":null"#), "{}", asked.text);
}
