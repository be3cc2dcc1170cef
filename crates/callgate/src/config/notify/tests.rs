use std::path::Path;

use crate::config::Config;
use crate::config::tests::premises;
use crate::notify::Channels;

const HEAD: &str = concat!(
    premises!(),
    r#"[servers.atlassian]
url = "http://127.0.0.1:1/mcp"
catalog = "atlassian-rovo"
[tokens]
"#
);

const WEBHOOK: &str = r#"
[notify.hook]
kind = "webhook"
url = "https://hooks.example/in"
secrets = [{ file = "good.secret" }, { file = "good.secret" }]
"#;

const MAIL: &str = r#"
[notify.mail]
kind = "mail"
from = "Gate <gate@corp.example>"
to = ["leads@corp.example"]
relay = "mail.corp.example"
"#;

const SLACK: &str = "[notify.talk]\nkind = \"slack\"\nurl = { file = \"slack.url\" }\n";

fn read(sections: &str) -> Result<Channels, String> {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("good.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    put("bad.secret", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    put("slack.url", "https://hooks.slack.example/services/T0/B0/sesame\n");
    put("plain.url", "http://hooks.slack.example/services/T0/B0/sesame\n");
    put("no.url", "slack sesame\n");
    put("login.secret", "sesame\n");
    let file: &Path = &folder.path().join("callgate.toml");
    let config =
        Config::parse(&format!("{HEAD}{sections}"), file).map_err(|found| found.to_string())?;
    let debug = format!("{config:?}");
    assert!(!debug.contains("sesame") && !debug.contains("MfKQ"), "{debug}");
    Ok(std::sync::Arc::into_inner(config.channels).unwrap())
}

#[test]
fn channels_are_read() {
    let teams = SLACK.replace("slack\"", "teams\"").replace("notify.talk", "notify.meet");
    let login = "user = \"gate\"\npassword = { file = \"login.secret\" }\ntls = \"implicit\"\n";
    let rule =
        "approvers = [\"team:leads\", \"human\"]\noccasions = [\"requested\"]\narguments = true\n";
    let all = format!(
        "{WEBHOOK}{rule}{SLACK}template = \"{{{{ code }}}}\"\n{teams}{MAIL}subject = \"{{{{ code }}}}\"\n{login}"
    );
    let channels = read(&all).unwrap();
    let kinds: Vec<(&str, &str)> =
        channels.iter().map(|(name, channel)| (name.as_str(), channel.kind())).collect();
    assert_eq!(
        kinds,
        [("hook", "webhook"), ("mail", "mail"), ("meet", "teams"), ("talk", "slack")]
    );
    assert!(channels["hook"].arguments && !channels["mail"].arguments);
    assert_eq!(channels["hook"].rule.approvers.len(), 2);
    assert_eq!(channels["hook"].rule.occasions.len(), 1);
    assert_eq!(channels["mail"].rule.occasions.len(), 3);
    assert!(channels.values().all(|channel| channel.danger.is_none()));
}

#[test]
fn each_problem_of_a_channel_is_told_with_its_place_and_without_secrets() {
    let hook = |from: &str, to: &str| WEBHOOK.replace(from, to);
    let mail = |more: &str| format!("{MAIL}{more}\n");
    let second = ", { file = \"good.secret\" }]";
    for (sections, expected) in [
        ("[notify.\"A b\"]\nkind = \"slack\"\n".to_owned(), "notify.A b: a channel's name is of"),
        (hook("\"webhook\"", "\"pager\""), "notify.hook.kind: `pager` is none of"),
        (hook("kind = \"webhook\"\n", ""), "notify.hook.kind: `` is none of"),
        (
            hook("https://", "http://"),
            "notify.hook.url: what people are told would cross the network",
        ),
        (hook("https://hooks", "https://me:pass@hooks"), "notify.hook.url: the url must be"),
        (hook(second, ", { env = \"A\" }, { env = \"B\" }]"), "notify.hook.secrets: one, or two"),
        (hook(second, ", { env = \"NO_SUCH\" }]"), "notify.hook.secrets[1]: environment"),
        (
            hook("good.secret\" }, {", "bad.secret\" }, {"),
            "notify.hook.secrets[0]: it is not `whsec_`",
        ),
        (
            hook(
                "secrets = [{ file = \"good.secret\" }, { file = \"good.secret\" }]",
                "secrets = []",
            ),
            "notify.hook.secrets: one, or two",
        ),
        (
            hook("kind", "template = \"x\"\nkind"),
            "notify.hook: what a program reads has no template",
        ),
        (
            hook("kind", "approvers = [\"leads\"]\nkind"),
            "notify.hook.approvers: `leads` approves nothing",
        ),
        (hook("kind", "occasions = [\"never\"]\nkind"), "notify.hook.occasions: can be"),
        (hook("kind", "occasions = []\nkind"), "notify.hook.occasions: can be"),
        (hook("kind", "colour = \"x\"\nkind"), "notify.hook: unknown field `colour`"),
        (
            SLACK.replace("slack.url", "plain.url"),
            "notify.talk.url: what people are told would cross",
        ),
        (SLACK.replace("slack.url", "no.url"), "notify.talk.url: it is no address"),
        (SLACK.replace("slack.url", "none.url"), "notify.talk.url: `"),
        (format!("{SLACK}subject = \"x\"\n"), "notify.talk.subject: only mail has one"),
        (
            format!("{SLACK}template = \"{{{{ x }}}}\"\n"),
            "notify.talk: `template`: there is no `x`",
        ),
        (mail("user = \"gate\""), "notify.mail: `user` and `password` go together"),
        (mail("tls = \"none\""), "notify.mail.tls: `none` is neither"),
        (mail("tls = \"implicit\"\ndanger_plain_smtp = true"), "notify.mail: say `tls` or"),
        (mail("authority = \"none.pem\""), "notify.mail.authority: `"),
        (mail("authority = \"good.secret\""), "there is no certificate in it"),
        (MAIL.replace("Gate <gate@corp.example>", "Gate\\r\\nBcc: <x@y>"), "notify.mail.from:"),
        (MAIL.replace("[\"leads@corp.example\"]", "[]"), "notify.mail.to: 1 to 20"),
        (MAIL.replace("leads@corp.example", "leads"), "notify.mail.to: `leads` is no mailbox"),
    ] {
        let problems = read(&sections).expect_err(&sections);
        assert!(problems.contains(expected), "{expected} not in {problems}");
        assert!(!problems.contains("sesame") && !problems.contains("MfKQ"), "{problems}");
    }
    let many: String = (0..33).map(|n| SLACK.replace("talk", &format!("talk-{n}"))).collect();
    assert!(read(&many).unwrap_err().contains("notify: more than 32 channels"));
}

/// What the page shows can be used as it is.
#[test]
fn the_examples_of_the_page_are_read() {
    let page = include_str!("../../../../../docs/notifications.md");
    let blocks = page.split("```toml\n").skip(1);
    let blocks: Vec<&str> = blocks.map(|block| block.split("```").next().unwrap()).collect();
    let [slack, teams, mail, hook, own] = blocks.as_slice() else { panic!("{blocks:?}") };
    let all = format!("{slack}{teams}{mail}{own}{hook}")
        .replace("{ env = \"TEAMS_URL\" }", "{ file = \"slack.url\" }")
        .replace("smtp.secret", "login.secret")
        .replace("webhook.secret", "good.secret");
    let channels = read(&all).unwrap();
    assert_eq!(channels.keys().collect::<Vec<_>>(), ["duty", "leads", "mail", "pager"]);
}

#[test]
fn what_weakens_a_channel_is_known() {
    let hook = WEBHOOK.replace("https://", "http://") + "danger_plain_http = true\n";
    let channels = read(&format!("{hook}{MAIL}danger_plain_smtp = true\n")).unwrap();
    assert_eq!(channels["hook"].danger, Some("danger_plain_http"));
    assert_eq!(channels["mail"].danger, Some("danger_plain_smtp"));
}
