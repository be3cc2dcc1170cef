//! How somebody could have less, to be pasted: never more than they had, and all that they used (I9).

use callgate_model::authority::ApiToken;

use super::Used;

/// A command that makes a narrower token, or takes it back; nothing, if it is as narrow as what it did.
pub(super) fn token(token: &ApiToken, used: &Used, was_used: bool) -> Option<String> {
    if used.count() == 0 {
        let is_idle = !was_used;
        return is_idle.then(|| format!("callgate token revoke {}", token.id));
    }
    let (operations, places) = used.names();
    let mut command = vec![
        format!(
            "callgate token create --name {} --owner {}",
            quoted(&token.name),
            quoted(&token.owner)
        ),
        format!("--agent {}", quoted(&token.agent)),
    ];
    let optional = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("--{name} {}", quoted(value)))
    };
    command.extend(optional("class", &token.class));
    command.extend(optional("service-account", &token.service_account));
    command.extend(token.groups.iter().map(|group| format!("--group {}", quoted(group))));
    command.extend(token.networks.iter().map(|network| format!("--network {}", quoted(network))));
    command.extend(used.servers.iter().map(|server| format!("--server {}", quoted(server))));
    command.extend(operations.iter().map(|operation| format!("--action {}", quoted(operation))));
    // What could be anywhere cannot be narrowed to places without losing what was used.
    if used.is_located() {
        command.extend(places.iter().map(|place| format!("--within {}", quoted(place))));
    } else {
        let within =
            token.scope.within.iter().map(|place| format!("{}::\"{}\"", place.kind, place.id));
        command.extend(within.map(|place| format!("--within {}", quoted(&place))));
    }
    command.extend(token.scope.risk_max.map(|risk| format!("--risk-max {}", risk.as_str())));
    Some(command.join(" \\\n  "))
}

/// A policy that permits an agent what it did, and no more. It does not take away what others permit.
pub(super) fn agent(name: &str, used: &Used) -> Option<String> {
    let (operations, places) = used.names();
    if places.is_empty() || !used.is_located() {
        return None;
    }
    let actions: Vec<_> = operations.iter().map(|one| format!("Action::\"{one}\"")).collect();
    let name_in_policy = name.escape_debug();
    let permits = places.iter().map(|place| {
        format!(
            "@id(\"{}-{}\") @reason(\"What it did\") @owner(\"…\")\npermit(principal == Agent::\"{name_in_policy}\", action in [{}], resource in {place});",
            plain(name),
            plain(place),
            actions.join(", ")
        )
    });
    Some(permits.collect::<Vec<_>>().join("\n"))
}

/// For a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// For an id.
fn plain(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    text.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_into_a_shell_is_one_word_each() {
        for (text, word) in [
            ("release-bot", "release-bot"),
            ("corp/auth0|5", "'corp/auth0|5'"),
            ("a'; rm -rf /'", r"'a'\''; rm -rf /'\'''"),
            ("", "''"),
            (r#"Jira::Project::"acme/ENG""#, r#"'Jira::Project::"acme/ENG"'"#),
        ] {
            assert_eq!(quoted(text), word);
        }
        assert_eq!(plain("Jira::Project::\"acme/ENG\""), "jira--project---acme-eng");
    }
}
