//! The options of commands that give and take back authority.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::authority::{Subject, SubjectKind};
use clap::{Args, Subcommand};

use super::WithConfig;
use crate::desk::{NewGrant, NewScope, NewToken};

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token for an agent or a job that no identity provider knows. It is shown once.
    Create(Box<TokenCreate>),
    /// List tokens: whose they are, what they are for, when they were used.
    List(Listing),
    /// Make another token in place of one, which stays good for a while.
    Rotate(TokenRotate),
    /// Take a token back.
    Revoke(ById),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Grant {
    /// Give authority for a while and so many calls.
    Create(Box<GrantCreate>),
    /// List grants: for whom, for what, how much is left.
    List(Listing),
    /// Take a grant back.
    Revoke(ById),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Revocation {
    /// List who and what is let in no more.
    List(InForce),
    /// Let them in again.
    Lift(ById),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    /// Keep a person's secret for a server, sealed; it is read from a file or standard input.
    Set(SecretSet),
    /// List who has a secret for which server, and since when.
    List(InForce),
    /// Use a person's secret no more.
    Remove(SecretRemove),
    /// Seal every secret with the first of `sealing.keys`, before an old key goes.
    Reseal(InForce),
    /// Print a secret sealed, to stand in the configuration: `{ sealed = "…" }`.
    Seal(SecretSeal),
}

/// Options of `secret set`.
#[derive(Debug, Args)]
pub(crate) struct SecretSet {
    #[command(flatten)]
    pub(crate) of: SecretOf,
    /// How it is presented: `bearer`, or `basic` with the base64 of `user:token`.
    #[arg(long, default_value = "bearer", value_parser = ["bearer", "basic"])]
    pub(crate) scheme: String,
    /// The file with the secret; else it is read from standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<std::path::PathBuf>,
}

/// Options of `secret seal`.
#[derive(Debug, Args)]
pub(crate) struct SecretSeal {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The file with the secret; else it is read from standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<std::path::PathBuf>,
}

/// Options of `secret remove`.
#[derive(Debug, Args)]
pub(crate) struct SecretRemove {
    #[command(flatten)]
    pub(crate) of: SecretOf,
}

/// Whose secret, for which server.
#[derive(Debug, Args)]
pub(crate) struct SecretOf {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// The server.
    #[arg(long, value_name = "NAME")]
    pub(crate) server: String,
    #[command(flatten)]
    holder: SecretHolder,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct SecretHolder {
    /// The person, as policies call them.
    #[arg(long, value_name = "PERSON")]
    human: Option<String>,
    /// The service account.
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
}

impl SecretOf {
    pub(crate) fn holder(&self) -> Option<Subject> {
        let human = self.holder.human.clone().map(|name| Subject::new(SubjectKind::Human, name));
        let service = self.holder.service_account.clone();
        human.or_else(|| service.map(|name| Subject::new(SubjectKind::ServiceAccount, name)))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Privilege {
    /// For each token, grant, agent and client: what policy could let it do, what it did, what could be taken away.
    Report(PrivilegeReport),
}

/// Options of `privilege report`.
#[derive(Debug, Args)]
pub(crate) struct PrivilegeReport {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// What was done in so many days.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
    /// Print JSON.
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print a table for spreadsheets: a line for each operation at each place.
    #[arg(long)]
    pub(crate) csv: bool,
}

/// What a token or a grant is for.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Scope {
    /// Only this server; may be given again.
    #[arg(long = "server", value_name = "NAME")]
    servers: Vec<String>,
    /// Only this operation, or group of operations (read, write, share, jira.issue.edit); may be given again.
    #[arg(long = "action", value_name = "NAME")]
    actions: Vec<String>,
    /// Only in this place, as policies write it (`Jira::Project::"acme/ENG"`); may be given again.
    #[arg(long = "within", value_name = "PLACE")]
    within: Vec<String>,
    /// Only up to this risk: low, medium, high or critical.
    #[arg(long, value_name = "RISK")]
    risk_max: Option<String>,
}

/// Options of `token create`.
#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// What people call it.
    #[arg(long)]
    name: String,
    /// The person who answers for it, as policies call them. It is good for as long as they are.
    #[arg(long, value_name = "PERSON")]
    owner: String,
    /// The agent that gets it, as policies call it.
    #[arg(long)]
    agent: String,
    /// The agent's class.
    #[arg(long)]
    class: Option<String>,
    /// A service account that is accountable in place of the owner: no person stands behind each call.
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// A group of whoever is accountable; may be given again.
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// A network that it may come from (10.0.0.0/8); may be given again.
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// How many days it lasts.
    #[arg(long)]
    days: Option<u32>,
    /// After how many days without a use it is good no more.
    #[arg(long)]
    idle_days: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `token rotate`.
#[derive(Debug, Args)]
pub(crate) struct TokenRotate {
    #[command(flatten)]
    pub(crate) by_id: ById,
    /// For how many hours the old one stays good.
    #[arg(long)]
    pub(crate) overlap_hours: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of commands about one thing.
#[derive(Debug, Args)]
pub(crate) struct ById {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Its id.
    #[arg(value_parser = id)]
    pub(crate) id: Id,
}

/// Options of lists.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Those that have ended, too.
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON, one a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `revocation list`.
#[derive(Debug, Args)]
pub(crate) struct InForce {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// Print JSON, one a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `grant create`.
#[derive(Debug, Args)]
pub(crate) struct GrantCreate {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    /// For calls of this person, as policies call them.
    #[arg(long, value_name = "PERSON")]
    human: Option<String>,
    /// For calls of this service account.
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// For calls of this agent.
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// For calls by this client.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// For calls of this workflow run.
    #[arg(long, value_name = "RUN")]
    workflow: Option<String>,
    #[command(flatten)]
    scope: Scope,
    /// In place of `--within`: anywhere.
    #[arg(long)]
    anywhere: bool,
    /// For how many calls. Default: 1.
    #[arg(long)]
    uses: Option<u32>,
    /// For how long. Default: 60.
    #[arg(long)]
    minutes: Option<u32>,
    /// From when on (2026-11-27T08:00:00Z); else from now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    begins: Option<Timestamp>,
    /// Why.
    #[arg(long)]
    reason: String,
    /// The ticket that asks for it.
    #[arg(long)]
    ticket: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(crate) config: WithConfig,
    #[command(flatten)]
    which: Which,
    /// Only with credentials made before this moment (2026-11-27T08:00:00Z, or `now`): new ones are good.
    #[arg(long, value_name = "TIME")]
    pub(crate) issued_before: Option<String>,
    /// Why.
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// A person, and all tokens that they own.
    #[arg(long, value_name = "PERSON")]
    human: Option<String>,
    /// A service account.
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// An agent.
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// A client.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// One token of an issuer.
    #[arg(long, value_name = "ISSUER/JTI")]
    jti: Option<String>,
    /// A workflow run.
    #[arg(long, value_name = "RUN")]
    workflow: Option<String>,
    /// A token of the gateway's own.
    #[arg(long, value_name = "ID", value_parser = id)]
    token: Option<Id>,
    /// A grant.
    #[arg(long, value_name = "ID", value_parser = id)]
    grant: Option<Id>,
}

/// What is revoked.
pub(crate) enum Revoked {
    Subject(Subject),
    Token(Id),
    Grant(Id),
}

impl Revoke {
    pub(crate) fn which(&self) -> Option<Revoked> {
        let which = &self.which;
        let named = [
            (SubjectKind::Human, &which.human),
            (SubjectKind::ServiceAccount, &which.service_account),
            (SubjectKind::Agent, &which.agent),
            (SubjectKind::Client, &which.client),
            (SubjectKind::Jti, &which.jti),
            (SubjectKind::Workflow, &which.workflow),
        ];
        let mut named = named.into_iter().filter_map(|(kind, name)| Some((kind, name.clone()?)));
        let subject = named.next().map(|(kind, name)| Revoked::Subject(Subject::new(kind, name)));
        subject
            .or_else(|| which.token.map(Revoked::Token))
            .or_else(|| which.grant.map(Revoked::Grant))
    }
}

impl From<Scope> for NewScope {
    fn from(scope: Scope) -> Self {
        let Scope { servers, actions, within, risk_max } = scope;
        Self { servers, actions, within, risk_max }
    }
}

impl From<TokenCreate> for NewToken {
    fn from(asked: TokenCreate) -> Self {
        Self {
            name: asked.name,
            owner: asked.owner,
            service_account: asked.service_account,
            groups: asked.groups,
            agent: asked.agent,
            class: asked.class,
            scope: asked.scope.into(),
            networks: asked.networks,
            days: asked.days,
            idle_days: asked.idle_days,
        }
    }
}

impl From<GrantCreate> for NewGrant {
    fn from(asked: GrantCreate) -> Self {
        Self {
            human: asked.human,
            service_account: asked.service_account,
            agent: asked.agent,
            client: asked.client,
            workflow: asked.workflow,
            scope: asked.scope.into(),
            anywhere: asked.anywhere,
            begins: asked.begins,
            minutes: asked.minutes,
            uses: asked.uses,
            reason: asked.reason,
            ticket: asked.ticket,
        }
    }
}

pub(crate) fn id(text: &str) -> Result<Id, String> {
    Id::parse(text).ok_or_else(|| "it is no id; `list` shows them".to_owned())
}

/// RFC 3339, or a day, which begins at midnight UTC.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    Timestamp::parse(text)
        .or_else(day)
        .ok_or_else(|| "write it as 2026-11-27T08:00:00Z, or as 2026-11-27".to_owned())
}
