//! The channels in the console, in a real browser without scripts: how it goes with each, a test, and what was given up once more.

use callgate_tests::gateway::digest;
use serde_json::json;

use super::approvals::{CAROL, prepared};
use super::console::{browse, says};
use super::notify::{Receiver, ask, channel_when, nobody};
use super::pages::OPERATOR;

const OPERATORS: &str = r#"
@id("operators-run-it") @reason("They run the gateway") @owner("platform")
permit(principal in Group::"operators", action in Action::"callgate.channel", resource in Callgate::Gateway::"callgate");
"#;

#[tokio::test]
async fn operators_see_how_it_goes_with_channels_and_try_them() {
    let receiver = Receiver::start().await;
    let down = receiver
        .hook("down", "secret-of-the-address")
        .replace(&receiver.web.to_string(), &nobody());
    let operator = format!(
        "[[danger_static_tokens]]\nname = \"olga\"\nsha256 = \"{}\"\nhuman = \"olga\"\ngroups = [\"operators\"]\n",
        digest(OPERATOR.as_bytes())
    );
    let (_sim, setup) = prepared("@decide_within(\"3s\") @notify(\"hook\")").await;
    let setup = receiver.files(setup).file("policies/permits/operators.cedar", OPERATORS);
    let once = "occasions = [\"requested\"]\n";
    let sections = format!("{operator}{}{once}{down}{once}", receiver.hook("hook", "webhook"));
    let gateway = setup.section(&sections).start().await.unwrap();
    ask(&gateway).await;
    channel_when(&gateway, "down", |one| one["given_up"] == 1).await;
    let retry = |csrf: &str| json!({ "csrf": csrf, "channel": "down", "verb": "retry" });
    let told = browse(
        &gateway,
        json!([
            { "do": "sign_in", "person": "olga", "token": OPERATOR },
            { "do": "open", "person": "olga", "path": "/console/channels" },
            { "do": "check", "person": "olga", "picture": "channels" },
            { "do": "press", "person": "olga", "button": "Send a test by hook" },
            { "do": "press", "person": "olga", "button": "Send a test by down" },
            { "do": "check", "person": "olga", "picture": "channels-tested" },
            { "do": "forged", "person": "olga", "path": "/console/channels", "form": retry("") },
            { "do": "press", "person": "olga", "button": "Try again what down was given up to tell" },
            { "do": "sign_in", "person": "carol", "token": CAROL },
            { "do": "open", "person": "carol", "path": "/console/channels" },
        ]),
    )
    .await;
    for part in [
        "hook",
        "deletes-need-a-lead (in approvals/)",
        "delivers",
        "webhook",
        "fails",
        "it ended before that",
    ] {
        assert!(says(&told[1], part), "{part}: {}", told[1]);
    }
    assert!(!says(&told[1], "secret-of-the-address") && !says(&told[4], "secret-of-the-address"));
    assert_eq!(told[2]["found"], json!([]), "axe, and the width of the screen");
    assert!(says(&told[3], "has taken the test"), "{}", told[3]);
    let tests = receiver.has("webhook", 2).await;
    assert_eq!(tests[1]["body"]["type"], "dev.callgate.test");
    assert_eq!(tests[1]["body"]["data"]["asked_by"], "olga");
    assert!(
        told[4]["status"] == 409 && says(&told[4], "down has not taken the test"),
        "{}",
        told[4]
    );
    assert_eq!((&told[6]["status"], &told[9]["status"]), (&json!(403), &json!(403)));
    assert!(says(&told[7], "is sent again"), "{}", told[7]);
    // Nobody needs it any more.
    channel_when(&gateway, "down", |one| one["given_up"] == 0 && one["waiting"] == 0).await;
}
