//! Events and an ambient to make them with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use callgate_model::ambient::{Ambient, Id, Timestamp};
use callgate_model::authority::Under;
use callgate_model::caller::{
    Accountable, AccountableKind, Agent, Assurance, Caller, Client, Credential, CredentialKind,
    Identity,
};
use callgate_model::decision::{Decision, PolicyRef, Verdict};
use callgate_model::digest::Digest;
use callgate_model::evidence::{CallerRecord, Concluded, Decided, Event, Outcome, Understood};
use callgate_model::json::Object;
use callgate_model::reason::Reason;
use callgate_model::vocabulary::{Effect, Reversibility, Risk};

/// Time that goes on by a millisecond with every look at it, and ids that differ by `seed`.
#[derive(Debug)]
pub struct Ticking {
    seed: u8,
    ticks: AtomicU32,
}

impl Ticking {
    /// Begins at 2026-11-25T09:46:40.000Z.
    #[must_use]
    pub const fn new(seed: u8) -> Self {
        Self { seed, ticks: AtomicU32::new(0) }
    }

    fn tick(&self) -> u32 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }
}

impl Ambient for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(1_795_600_000_000 + i64::from(self.tick()))
    }

    fn random(&self) -> [u8; 16] {
        let [a, b, c, d] = self.tick().to_be_bytes();
        [self.seed, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }
}

/// The intent of `human` to edit an issue through `agent`, about as large as such records are.
#[must_use]
pub fn intent(call: Id, human: &str, agent: &str) -> Decided {
    let identity = |subject: &str| Identity { issuer: None, subject: subject.to_owned() };
    let assurance = Assurance::Verified;
    let class = Some("release".to_owned());
    let caller = Caller {
        accountable: Accountable {
            kind: AccountableKind::Human,
            identity: identity(human),
            groups: Vec::new(),
            assurance,
        },
        agent: Some(Agent { identity: identity(agent), class, assurance }),
        actors: Vec::new(),
        client: Client { name: "ide".to_owned(), assurance: Assurance::Configured },
        credential: Credential {
            kind: CredentialKind::StaticToken,
            digest: Digest::of(b"token"),
            issued: None,
            expires: None,
            scopes: None,
            id: None,
            within: None,
        },
        workflow: None,
    };
    let arguments = Object::default()
        .with("issueIdOrKey", "ENG-42")
        .with("summary", "Roll the release back to the version of last week")
        .with("description", "The new version answers too slowly under load. ".repeat(4));
    Decided {
        call,
        caller: Some(Arc::new(CallerRecord::new(&caller))),
        continues: None,
        resolves: None,
        client_says: Some("ide 1.2.3".to_owned()),
        why: None,
        method: "tools/call".to_owned(),
        server: "atlassian".to_owned(),
        tool: "editJiraIssue".to_owned(),
        understood: Some(Understood {
            operation: "jira.issue.edit".to_owned(),
            effect: Effect::Write,
            risk: Risk::Medium,
            reversibility: Reversibility::Reversible,
            definition: Some(Digest::of(b"definition")),
            targets: Vec::new(),
            input: Object::default(),
        }),
        arguments_digest: Some(Digest::of(b"arguments")),
        arguments: arguments.into(),
        hashes: Vec::new(),
        responses_digest: None,
        under: Under::default(),
        decision: Decision {
            obliges: None,
            would: None,
            verdict: Verdict::Allow,
            reasons: vec![Reason::Permitted],
            policies: vec![PolicyRef {
                id: "engineers-edit".to_owned(),
                reason: "Engineers edit their issues".to_owned(),
                owner: "team:platform".to_owned(),
            }],
            bundle: Digest::of(b"bundle"),
        },
        decided_in_us: 40,
        notices: Vec::new(),
        trace: None,
    }
}

/// The outcome of a call that succeeded.
#[must_use]
pub fn outcome(call: Id) -> Event {
    Event::Concluded(Concluded {
        call,
        outcome: Outcome::Succeeded,
        upstream_us: Some(80_000),
        result: Some((Digest::of(b"result"), 6)),
        detail: None,
    })
}
