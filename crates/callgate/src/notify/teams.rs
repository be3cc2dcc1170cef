//! Microsoft Teams, by a workflow that posts what its webhook is sent: an Adaptive Card.
//!
//! Whatever comes from elsewhere is in text runs, in which Teams finds no Markdown; mentions would need entities, and there are none.

use serde_json::{Value, json};

use super::told::Message;

/// A message with one card.
pub(super) fn payload(message: &Message) -> Value {
    let run = |text: &str| json!({ "type": "TextRun", "text": text });
    let block = |run: Value| json!({ "type": "RichTextBlock", "inlines": [run] });
    let title =
        json!({ "type": "TextRun", "text": message.title, "weight": "Bolder", "size": "Medium" });
    let mut body = vec![block(title)];
    body.extend(message.lines.iter().filter(|line| !line.is_empty()).map(|line| block(run(line))));
    let open =
        |page: &String| json!({ "type": "Action.OpenUrl", "title": message.link(), "url": page });
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": message.page.iter().map(open).collect::<Vec<_>>(),
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a08_nothing_in_teams_is_markdown() {
        let evil = "**now** [here](https://evil.example) <at>everybody</at>";
        let message = Message::new(evil, vec![evil.to_owned()], Some("https://gate/x".to_owned()));
        let payload = payload(&message);
        let card = &payload["attachments"][0]["content"];
        for block in card["body"].as_array().unwrap() {
            assert_eq!(block["type"], "RichTextBlock");
            let run = &block["inlines"][0];
            assert_eq!((&run["type"], &run["text"]), (&"TextRun".into(), &evil.into()));
        }
        assert_eq!(card["actions"].as_array().unwrap().len(), 1);
        assert_eq!(card["actions"][0]["type"], "Action.OpenUrl");
        assert!(!payload.to_string().contains("entities"));
    }
}
