use super::*;
use crate::notify::told::tests::news;

fn mail() -> Mail {
    let relay = Relay {
        host: "mail.example".to_owned(),
        port: None,
        protection: Protection::StartTls,
        authority: None,
        login: None,
    };
    let mailbox = |text: &str| text.parse().unwrap();
    Mail::new(mailbox("Gate <gate@corp.example>"), vec![mailbox("leads@corp.example")], relay)
        .unwrap()
}

fn formatted(message: &Message) -> String {
    let mail = mail().mail(&news(|_| {}), message).unwrap();
    String::from_utf8(mail.formatted()).unwrap()
}

#[test]
fn a08_no_header_can_be_added() {
    let evil = "x\r\nBcc: eve@evil.example\r\n\r\n<script>";
    let lines = vec!["<b>bold</b> & \"quoted\"".to_owned()];
    let text = formatted(&Message::new(evil, lines, Some("https://gate/x".to_owned())));
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let names: Vec<&str> = head
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    for name in ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"] {
        assert_eq!(names.iter().filter(|found| **found == name).count(), 1, "{name} in {head}");
    }
    assert!(!names.contains(&"Bcc"), "{head}");
    let (_, html) = body.split_once("Content-Type: text/html").unwrap();
    assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
}

/// Two attempts are one mail.
#[test]
fn a_message_has_the_same_id_each_time() {
    let id = |text: String| {
        let line = text.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned();
        assert!(line.ends_with("@corp.example>"), "{line}");
        line
    };
    let message = || Message::new("x", Vec::new(), None);
    assert_eq!(id(formatted(&message())), id(formatted(&message())));
}
