//! The gateway itself: what can be done by its API. Each is an operation like any other, denied unless a policy permits it, and
//! of the effect `admin`, so that no permit to read or write things of servers lets anybody in here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::target::{Resource, Target};
use crate::vocabulary::{Effect, Operation, Reversibility, Risk, Vocabulary};

/// What stands in place of a server's name; no server is called so.
pub const NAME: &str = "callgate";
/// The kind of the gateway as a whole; its id is [`NAME`].
pub const GATEWAY: &str = "Callgate::Gateway";
/// The kind of whoever authority is about: its id is what policies call them.
pub const ACCOUNT: &str = "Callgate::Account";

/// What can be done by the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Approve a call, or deny it.
    ApprovalDecide,
    /// List the calls that wait to be approved.
    ApprovalList,
    /// See a call that waits to be approved, with its arguments.
    ApprovalShow,
    /// Take an approval back that was not used yet.
    ApprovalWithdraw,
    /// List calls: who called what, what was decided and what came of it.
    CallList,
    /// See all that is recorded of a call.
    CallShow,
    /// Ask what chain a token makes.
    CallerShow,
    /// See by which channels people are told, and how it goes with each.
    ChannelList,
    /// Tell people again by a channel what it was given up to tell them.
    ChannelRetry,
    /// Send a test message by a channel.
    ChannelTest,
    /// Give a grant.
    GrantCreate,
    /// List grants.
    GrantList,
    /// Take a grant back.
    GrantRevoke,
    /// List passkeys of others.
    PasskeyList,
    /// Take a passkey from somebody else.
    PasskeyRemove,
    /// See the policies in force.
    PolicyShow,
    /// See who may do what, and what they did.
    PrivilegeShow,
    /// Let somebody in no more.
    RevocationCreate,
    /// Let somebody in again.
    RevocationLift,
    /// List who is let in no more.
    RevocationList,
    /// Sign somebody out of the console.
    SessionEnd,
    /// List who is signed in to the console.
    SessionList,
    /// Make a token.
    TokenCreate,
    /// List tokens.
    TokenList,
    /// Take a token back.
    TokenRevoke,
    /// Make a token in place of another.
    TokenRotate,
    /// List the tools of servers.
    ToolList,
    /// Approve a tool as its server defines it now.
    ToolPin,
    /// See how a tool is defined, and what has changed.
    ToolShow,
    /// Approve a tool no more.
    ToolUnpin,
    /// Start a workflow.
    WorkflowStart,
}

impl Errand {
    /// All of them.
    pub const ALL: [Self; 31] = [
        Self::ApprovalDecide,
        Self::ApprovalList,
        Self::ApprovalShow,
        Self::ApprovalWithdraw,
        Self::CallList,
        Self::CallShow,
        Self::CallerShow,
        Self::ChannelList,
        Self::ChannelRetry,
        Self::ChannelTest,
        Self::GrantCreate,
        Self::GrantList,
        Self::GrantRevoke,
        Self::PasskeyList,
        Self::PasskeyRemove,
        Self::PolicyShow,
        Self::PrivilegeShow,
        Self::RevocationCreate,
        Self::RevocationLift,
        Self::RevocationList,
        Self::SessionEnd,
        Self::SessionList,
        Self::TokenCreate,
        Self::TokenList,
        Self::TokenRevoke,
        Self::TokenRotate,
        Self::ToolList,
        Self::ToolPin,
        Self::ToolShow,
        Self::ToolUnpin,
        Self::WorkflowStart,
    ];

    /// Its name, what it does, and how bad a wrong one is.
    const fn about(self) -> (&'static str, &'static str, Risk) {
        match self {
            Self::ApprovalDecide => {
                ("callgate.approval.decide", "Approve a call, or deny it", Risk::High)
            }
            Self::ApprovalList => {
                ("callgate.approval.list", "List what waits to be approved", Risk::Low)
            }
            Self::ApprovalShow => (
                "callgate.approval.show",
                "See what waits to be approved, with its arguments",
                Risk::Medium,
            ),
            Self::ApprovalWithdraw => {
                ("callgate.approval.withdraw", "Take an approval back", Risk::Medium)
            }
            Self::CallList => ("callgate.call.list", "List calls", Risk::Low),
            Self::CallShow => {
                ("callgate.call.show", "See all that is recorded of a call", Risk::Medium)
            }
            Self::CallerShow => {
                ("callgate.caller.show", "See what chain a token makes", Risk::Medium)
            }
            Self::ChannelList => {
                ("callgate.channel.list", "See how it goes with notification channels", Risk::Low)
            }
            Self::ChannelRetry => {
                ("callgate.channel.retry", "Send again what was given up", Risk::Medium)
            }
            Self::ChannelTest => ("callgate.channel.test", "Send a test message", Risk::Medium),
            Self::GrantCreate => ("callgate.grant.create", "Give a grant", Risk::Critical),
            Self::GrantList => ("callgate.grant.list", "List grants", Risk::Low),
            Self::GrantRevoke => ("callgate.grant.revoke", "Take a grant back", Risk::Medium),
            Self::PasskeyList => ("callgate.passkey.list", "List passkeys", Risk::Low),
            Self::PasskeyRemove => {
                ("callgate.passkey.remove", "Take a passkey from somebody", Risk::High)
            }
            Self::PolicyShow => ("callgate.policy.show", "See the policies in force", Risk::Low),
            Self::PrivilegeShow => {
                ("callgate.privilege.show", "See who may do what, and what they did", Risk::Medium)
            }
            Self::RevocationCreate => {
                ("callgate.revocation.create", "Let somebody in no more", Risk::High)
            }
            Self::RevocationLift => {
                ("callgate.revocation.lift", "Let somebody in again", Risk::Critical)
            }
            Self::RevocationList => ("callgate.revocation.list", "List revocations", Risk::Low),
            Self::SessionEnd => {
                ("callgate.session.end", "Sign somebody out of the console", Risk::Medium)
            }
            Self::SessionList => {
                ("callgate.session.list", "List who is signed in to the console", Risk::Low)
            }
            Self::TokenCreate => ("callgate.token.create", "Make a token", Risk::Critical),
            Self::TokenList => ("callgate.token.list", "List tokens", Risk::Low),
            Self::TokenRevoke => ("callgate.token.revoke", "Take a token back", Risk::Medium),
            Self::TokenRotate => {
                ("callgate.token.rotate", "Make a token in place of another", Risk::High)
            }
            Self::ToolList => ("callgate.tool.list", "List the tools of servers", Risk::Low),
            Self::ToolPin => {
                ("callgate.tool.pin", "Approve a tool as its server defines it", Risk::Critical)
            }
            Self::ToolShow => {
                ("callgate.tool.show", "See how a tool is defined, and what changed", Risk::Low)
            }
            Self::ToolUnpin => ("callgate.tool.unpin", "Approve a tool no more", Risk::Medium),
            Self::WorkflowStart => ("callgate.workflow.start", "Start a workflow", Risk::Low),
        }
    }

    /// The operation.
    #[must_use]
    pub fn operation(self) -> Arc<Operation> {
        let (name, title, risk) = self.about();
        Arc::new(Operation {
            name: name.to_owned(),
            title: title.to_owned(),
            effect: Effect::Admin,
            risk,
            reversibility: Reversibility::Recoverable,
            targets: vec![ACCOUNT.to_owned(), GATEWAY.to_owned()],
            fields: BTreeMap::new(),
        })
    }
}

/// What policies can name of it.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    let operations = Errand::ALL.map(Errand::operation);
    Vocabulary {
        operations: operations.map(|one| (one.name.clone(), one)).into(),
        target_kinds: [(GATEWAY, None), (ACCOUNT, Some(GATEWAY.to_owned()))]
            .map(|(kind, container)| (kind.to_owned(), container))
            .into(),
        ..Vocabulary::default()
    }
}

/// Whoever authority is about; the whole gateway, if that is not one.
#[must_use]
pub fn account(who: Option<&str>) -> Target {
    let gateway = Resource::new(GATEWAY, NAME);
    match who {
        Some(who) => Target::located(Resource::new(ACCOUNT, who), vec![gateway]),
        None => Target::located(gateway, Vec::new()),
    }
}
