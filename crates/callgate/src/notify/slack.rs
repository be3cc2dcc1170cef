//! Slack, by an incoming webhook of one channel of its own.
//!
//! Whatever comes from elsewhere is in objects of the type `plain_text`, in which Slack finds no markup, no mentions and no links.

use serde_json::{Value, json};

use super::told::Message;

/// A message of blocks.
pub(super) fn payload(message: &Message) -> Value {
    let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
    let mut blocks = vec![json!({ "type": "header", "text": plain(&message.title) })];
    // Slack takes no empty text.
    if !message.text().trim().is_empty() {
        blocks.push(json!({ "type": "section", "text": plain(&message.text()) }));
    }
    if let Some(page) = &message.page {
        let link = format!("<{}|{}>", escaped(page), message.link());
        let text = json!({ "type": "mrkdwn", "text": link, "verbatim": true });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    json!({
        "text": escaped(&message.title),
        "mrkdwn": false,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

/// The three characters that begin whatever Slack takes for more than text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a08_nothing_in_slack_is_markup_but_the_link() {
        let evil = "<!channel> *now* <https://evil.example|here> & @here";
        let message =
            Message::new(evil, vec![evil.to_owned()], Some("https://gate/x?a&b".to_owned()));
        let payload = payload(&message);
        let blocks = payload["blocks"].as_array().unwrap();
        let types: Vec<&str> =
            blocks.iter().map(|block| block["text"]["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["plain_text", "plain_text", "mrkdwn"]);
        assert_eq!(blocks[2]["text"]["text"], "<https://gate/x?a&amp;b|Look at it and decide>");
        let fallback = payload["text"].as_str().unwrap();
        assert!(
            !fallback.contains(['<', '>']) && fallback.contains("&lt;!channel&gt;"),
            "{fallback}"
        );
        let blank = super::payload(&Message::new("x", vec![String::new(), " ".to_owned()], None));
        assert_eq!(blank["blocks"].as_array().unwrap().len(), 1, "{blank}");
        for off in ["mrkdwn", "link_names", "unfurl_links", "unfurl_media"] {
            assert_eq!(payload[off], false, "{off}");
        }
    }
}
