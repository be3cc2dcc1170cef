//! The section of the console: where people sign in, what their groups make of them there, and whom links sign in.

use std::collections::{BTreeMap, BTreeSet};

use callgate_gateway::identity::{Issuer, Login, LoginConfig};
use callgate_model::authority::{ConsoleSession, LOCAL, Way};
use serde::Deserialize;

use super::section::Reader;
use super::server::RawSecret;

/// Whom a link signs in if nobody is named: whoever sets the gateway up.
pub(crate) const FIRST: &str = "operator";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConsole {
    issuer: Option<String>,
    client_id: Option<String>,
    client_secret: Option<RawSecret>,
    scopes: Vec<String>,
    roles: BTreeMap<Role, BTreeSet<String>>,
    people: BTreeMap<String, Person>,
}

/// What somebody is in the console. It is a group like any other, that policies name: `Group::"callgate/viewer"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Approver,
    Operator,
    PolicyAdmin,
    Viewer,
}

/// Somebody whom no issuer knows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Person {
    groups: BTreeSet<String>,
    roles: BTreeSet<Role>,
}

/// What stands before the names of roles where policies name them as groups.
const ROLES: &str = "callgate/";

/// Who is what in the console.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    by_group: BTreeMap<Role, BTreeSet<String>>,
    people: BTreeMap<String, Person>,
}

/// The console.
#[derive(Debug)]
pub(crate) struct ConsoleConfig {
    /// How people sign in at an issuer, if they do.
    pub(crate) login: Option<Login>,
    /// Who is what there.
    pub(crate) roles: Roles,
}

impl Role {
    fn group(self) -> String {
        let name = match self {
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::PolicyAdmin => "policy_admin",
            Self::Viewer => "viewer",
        };
        format!("{ROLES}{name}")
    }
}

impl Roles {
    /// The groups that whoever has this session is in now.
    pub(crate) fn groups_of(&self, session: &ConsoleSession) -> Vec<String> {
        let mut groups = session.groups.clone();
        match session.way {
            Way::Issuer => {
                let has = |wanted: &BTreeSet<String>| groups.iter().any(|one| wanted.contains(one));
                let held = self.by_group.iter().filter(|(_, wanted)| has(wanted));
                let held: Vec<String> = held.map(|(role, _)| role.group()).collect();
                groups.extend(held);
            }
            Way::Link => {
                let person =
                    session.who.split_once('/').and_then(|(_, name)| self.people.get(name));
                if let Some(Person { groups: teams, roles }) = person {
                    groups.extend(teams.iter().cloned());
                    groups.extend(roles.iter().map(|role| role.group()));
                }
            }
            // As the token says.
            Way::Token => {}
        }
        groups
    }

    /// What whoever has this session is in the console now. A token says itself what its holder may do.
    pub(crate) fn roles_of(&self, session: &ConsoleSession) -> Vec<String> {
        let groups = self.groups_of(session);
        groups.iter().filter_map(|group| group.strip_prefix(ROLES)).map(str::to_owned).collect()
    }

    /// Whether a link can be for somebody of that name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.people.contains_key(name)
    }
}

impl Reader {
    pub(super) fn console(
        &mut self,
        issuers: &[Issuer],
        public_url: Option<&str>,
    ) -> Option<ConsoleConfig> {
        let raw: RawConsole = self.optional("console")?;
        let groups = raw.roles.values().flatten();
        let is_of = |group: &str, issuer: &str| {
            group.split_once('/').is_some_and(|(before, name)| before == issuer && !name.is_empty())
        };
        let issuer = raw.issuer.clone().unwrap_or_default();
        if let Some(bad) = groups.clone().find(|group| !is_of(group, &issuer)) {
            let text = format!("`{bad}` is no group of the issuer where people sign in");
            let hint = "set `console.issuer`, and write its name before the group's: \"corp/staff\"; others have their groups in policies";
            self.problem("console.roles", &text, Some(hint.to_owned()));
        }
        let is_name = |name: &&String| !name.is_empty() && !name.contains('/') && name.is_ascii();
        if let Some(bad) = raw.people.keys().find(|name| !is_name(name)) {
            let text = format!("`{bad}` is no name");
            let hint = "of ASCII characters, and no slash: policies call them `local/NAME`";
            self.problem("console.people", &text, Some(hint.to_owned()));
        }
        let (by_group, mut people) = (raw.roles.clone(), raw.people.clone());
        people.entry(FIRST.to_owned()).or_insert_with(|| Person {
            groups: BTreeSet::new(),
            roles: BTreeSet::from([Role::Operator]),
        });
        let login = match raw.issuer.is_some() {
            true => Some(self.login(raw, &issuer, issuers, public_url)?),
            false if raw.client_id.is_some() || raw.client_secret.is_some() => {
                let text = "there is a client, and nowhere to sign in";
                self.problem("console.issuer", text, Some("name one of `[issuers]`".to_owned()));
                return None;
            }
            false => None,
        };
        Some(ConsoleConfig { login, roles: Roles { by_group, people } })
    }

    fn login(
        &mut self,
        raw: RawConsole,
        issuer: &str,
        issuers: &[Issuer],
        public_url: Option<&str>,
    ) -> Option<Login> {
        if !issuers.iter().any(|known| known.name() == issuer) {
            if self.has("issuers", issuer) {
                // What is wrong with it is told.
                return None;
            }
            let known: Vec<_> = issuers.iter().map(Issuer::name).collect();
            let hint = format!("there are: {}", known.join(", "));
            let text = format!("no issuer is called `{issuer}`");
            self.problem("console.issuer", &text, Some(hint));
            return None;
        }
        if public_url.is_none() {
            let hint = "set `listen.public_url`, and register it at the issuer with `/console/sign-in/callback` behind it";
            let text = "the issuer could not send anybody back";
            self.problem("console.issuer", text, Some(hint.to_owned()));
            return None;
        }
        let Some(client) = raw.client_id.filter(|client| !client.is_empty()) else {
            let hint = "client_id = \"…\", as the issuer knows the console";
            self.problem("console.client_id", "is missing", Some(hint.to_owned()));
            return None;
        };
        let secret = match raw.client_secret.map(|secret| self.secret(secret)).transpose() {
            Ok(secret) => secret,
            Err(text) => {
                self.problem("console.client_secret", &text, None);
                return None;
            }
        };
        let (description, danger_plain_http) = self.description(issuer)?;
        Some(Login::new(LoginConfig {
            issuer: issuer.to_owned(),
            description,
            client,
            secret,
            scopes: raw.scopes,
            danger_plain_http,
        }))
    }
}

/// What policies call somebody whom a link signs in.
pub(crate) fn local(name: &str) -> String {
    format!("{LOCAL}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_model::ambient::{Id, Timestamp};
    use callgate_model::digest::Digest;
    use std::path::Path;

    const GOOD: &str = r#"
[listen]
address = "127.0.0.1:8077"
public_url = "https://gate.example"
[store]
path = "x.db"
[policies]
folder = "policies"
[servers.jira]
url = "http://127.0.0.1:1/mcp"
catalog = "atlassian-rovo"
[issuers.corp]
issuer = "https://login.example"
[console]
issuer = "corp"
client_id = "console"
scopes = ["groups"]
[console.roles]
viewer = ["corp/staff"]
[console.people.carol]
groups = ["leads"]
roles = ["approver"]
"#;

    fn problems(text: &str) -> String {
        let read = crate::config::Config::parse(text, Path::new("callgate.toml"));
        read.err().map(|problems| problems.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_with_the_console_is_told_with_what_would_help() {
        assert_eq!(problems(GOOD), "");
        for (good, bad, told) in [
            (
                "issuer = \"corp\"",
                "issuer = \"okta\"",
                "console.issuer: no issuer is called `okta`",
            ),
            ("issuer = \"corp\"", "issuer = \"okta\"", "there are: corp"),
            (
                "issuer = \"corp\"\n",
                "",
                "console.issuer: there is a client, and nowhere to sign in",
            ),
            ("client_id = \"console\"", "", "console.client_id: is missing"),
            (
                "client_id",
                "client_secret = { env = \"NO_SUCH\" }\nclient_id",
                "console.client_secret: env",
            ),
            ("public_url = \"https://gate.example\"", "", "listen.public_url"),
            ("corp/staff", "okta/staff", "`okta/staff` is no group of the issuer"),
            ("corp/staff", "staff", "`staff` is no group of the issuer"),
            ("corp/staff", "corp/", "`corp/` is no group of the issuer"),
            ("viewer", "admin", "unknown variant `admin`"),
            ("people.carol", "people.\"corp/carol\"", "console.people: `corp/carol` is no name"),
            ("scopes", "scope", "console: unknown field `scope`"),
            ("[issuers.corp]", "[issuers.local]", "issuers.local: an issuer cannot be called so"),
            (
                "[issuers.corp]",
                "[issuers.callgate]",
                "issuers.callgate: an issuer cannot be called",
            ),
        ] {
            let all = problems(&GOOD.replacen(good, bad, 1));
            assert!(all.contains(told), "{told}\nnot in\n{all}");
        }
        // What is wrong with the issuer is told once.
        let broken = problems(&GOOD.replace("https://login.example", "login.example"));
        assert!(broken.contains("issuers.corp") && !broken.contains("console"), "{broken}");
    }

    fn session(way: Way, who: &str, groups: &[&str]) -> ConsoleSession {
        ConsoleSession {
            id: Id::new(Timestamp::default(), [1; 16]),
            digest: Digest::default(),
            way,
            who: who.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            client: "console".to_owned(),
            issued: Timestamp::default(),
            authenticated: None,
            begun: Timestamp::default(),
            ends: Timestamp::default(),
            sealed: None,
        }
    }

    #[test]
    fn i10_a_role_comes_from_a_group_of_the_issuer_or_from_the_configuration_and_not_from_a_name() {
        let raw: RawConsole = toml::from_str(
            "[roles]\nviewer = [\"corp/staff\"]\napprover = [\"corp/leads\", \"corp/heads\"]\n\
             [people.carol]\ngroups = [\"leads\"]\nroles = [\"approver\"]\n",
        )
        .unwrap();
        let roles = Roles { by_group: raw.roles, people: raw.people };
        let of = |way, who: &str, groups: &[&str]| roles.groups_of(&session(way, who, groups));
        assert_eq!(
            of(Way::Issuer, "corp/carol", &["corp/staff"]),
            ["corp/staff", "callgate/viewer"]
        );
        let both = of(Way::Issuer, "corp/carol", &["corp/heads", "corp/staff"]);
        assert_eq!(both[2..], ["callgate/approver", "callgate/viewer"]);
        let held = session(Way::Issuer, "corp/carol", &["corp/heads", "corp/staff"]);
        assert_eq!(roles.roles_of(&held), ["approver", "viewer"]);
        assert_eq!(of(Way::Link, "local/carol", &[]), ["leads", "callgate/approver"]);
        // Nobody is somebody by their name, or by a group of another issuer; nor is whoever was taken out.
        for (way, who, groups) in [
            (Way::Issuer, "corp/carol", &["okta/staff"][..]),
            (Way::Issuer, "local/carol", &[]),
            (Way::Link, "local/dave", &[]),
            (Way::Token, "corp/carol", &["corp/staff"]),
        ] {
            assert_eq!(of(way, who, groups), groups, "{who}");
        }
    }
}
