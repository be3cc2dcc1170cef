//! I4: what was decided is what is sent and what is recorded, to the letter.

use callgate_model::digest::Digest;

use crate::client::Ask;
use crate::store::{arguments_digest, reasons};
use crate::support::{CLOUD, Setup, World, json};

/// Arguments as a client may write them, and as they must arrive.
fn spellings() -> Vec<(String, String)> {
    let around = |fields: &str| {
        format!(r#"{{"fields":{fields},"issueIdOrKey":"ENG-42","cloudId":"{CLOUD}"}}"#)
    };
    [
        // Number literals stay what they were.
        (r#"{"a":1.0,"b":1e2,"c":1E+2,"d":0.10,"e":-5,"f":100}"#, None),
        // Members stay in their order.
        (r#"{"zeta":1,"alpha":{"b":[3,1,2],"a":null},"Mu":true}"#, None),
        // Blanks and escapes are no content: there is one way to write a text.
        (
            "{ \"summary\" :\t\"\\u0041\\u00e9\\/\\ud83d\\ude00\\u0009\" }",
            Some("{\"summary\":\"Aé/😀\\t\"}"),
        ),
        // Neither are letters that look alike the same letter.
        ("{\"summary\":\"Сheckout\u{200d}e\u{301} \u{e9}\"}", None),
        (r#"{"labels":[],"nested":{"":{}},"text":"</script>\"\\"}"#, None),
    ]
    .into_iter()
    .map(|(written, arrives)| (around(written), around(arrives.unwrap_or(written))))
    .collect()
}

#[tokio::test]
async fn i4_what_is_decided_is_what_is_sent_and_recorded() {
    let world = World::start(Setup::default()).await;
    let spellings = spellings();
    for (written, _) in &spellings {
        let said = world.call("alice-release", "editJiraIssue", written).await;
        assert!(["ok", "tool_error"].contains(&said.brief().as_str()), "{written}: {said:?}");
    }
    let rows = world.record().await;
    let intents: Vec<_> = rows.iter().filter(|row| row.kind == "intent").collect();
    let ledger = world.sim.ledger().entries();
    assert_eq!((ledger.len(), intents.len()), (spellings.len(), spellings.len()));
    for ((entry, intent), (written, arrives)) in ledger.iter().zip(intents).zip(&spellings) {
        assert_eq!(entry.arguments, *arrives);
        assert_eq!(entry.arguments, json(written).to_text());
        let seen = Digest::of_json(&json(&entry.arguments)).to_string();
        assert_eq!(arguments_digest(intent), Some(seen), "{written}");
    }
}

/// P01, P06, P08: what two readers could read differently is not sent at all.
#[tokio::test]
async fn i4_what_could_be_read_differently_is_not_sent() {
    let world = World::start(Setup::default()).await;
    let ask = Ask::call("alice-release", "editJiraIssue", "{}");
    let fields = [
        r#"{"summary":"a","summary":"b"}"#,
        r#"{"summary":"a","\u0073ummary":"b"}"#,
        r#"{"n":9007199254740993}"#,
        r#"{"n":1e400}"#,
        r#"{"summary":"\ud800"}"#,
        r#"{"n":NaN}"#,
    ];
    for field in fields {
        let arguments =
            format!(r#"{{"cloudId":"{CLOUD}","issueIdOrKey":"ENG-42","fields":{field}}}"#);
        let body = String::from_utf8(ask.body().into()).unwrap();
        let body = body.replace(r#""arguments":{}"#, &format!(r#""arguments":{arguments}"#));
        let said = world.raw(&ask, body.into()).await;
        assert_eq!(said.status.as_u16(), 400, "{field}");
    }
    assert_eq!(world.sim.ledger().requests().len(), 0, "not even the list was asked for");
    let rows = world.record().await;
    let refused = rows.iter().filter(|row| reasons(row) == ["request_malformed"]).count();
    assert_eq!(refused, fields.len());
}
