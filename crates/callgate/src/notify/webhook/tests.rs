use super::*;
use crate::notify::told::tests::news;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

fn webhook(secrets: &[&str]) -> Webhook {
    let url = "https://hooks.example/in".parse().unwrap();
    let document = Document::new(url, callgate_mcp::upstream::UpstreamLimits::default()).unwrap();
    let keys = secrets.iter().map(|secret| key(&(*secret).into()).unwrap()).collect();
    Webhook::new(document, keys)
}

/// The example of Standard Webhooks, and what another implementation of HMAC makes of it.
#[test]
fn what_is_sent_is_signed_by_every_secret() {
    let at = Timestamp::from_unix_ms(1_614_265_330_999);
    let headers =
        webhook(&[NEW, OLD]).headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#);
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header("webhook-id"), "msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_eq!(header("webhook-timestamp"), "1614265330");
    assert_eq!(
        header("webhook-signature"),
        "v1,+qNgyReIHqPuR060oMQ+nyzPsJZG+OFv/pI9RG/w4Ts= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
}

#[test]
fn a_secret_is_whole_or_none() {
    let bytes = |count: usize| format!("whsec_{}", STANDARD.encode(vec![7; count]));
    for good in [24, 32, 64] {
        assert!(key(&bytes(good).into()).is_ok(), "{good}");
    }
    let bare = OLD.trim_start_matches("whsec_").to_owned();
    for bad in [String::new(), bare, "whsec_!".to_owned(), bytes(23), bytes(65)] {
        assert!(key(&bad.clone().into()).is_err(), "{bad}");
    }
}

#[test]
fn an_event_says_where_it_is_from_and_what_it_is_of() {
    let news = news(|_| {});
    let event: serde_json::Value = serde_json::from_str(&event(&news, false)).unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["source"], "https://gate.example");
    assert_eq!(event["type"], "dev.callgate.approval.requested");
    assert_eq!(event["subject"], event["data"]["approval"]);
    assert_eq!(event["id"], news.id().to_string());
    assert_eq!(event["data"]["targets"][0], "Jira::Issue acme/ENG-45", "as it is");
}
