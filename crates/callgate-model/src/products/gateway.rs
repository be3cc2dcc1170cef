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
    /// Let a call through alone that others should have approved.
    ApprovalBreakGlass,
    /// Approve a call, or deny it.
    ApprovalDecide,
    /// List the calls that wait to be approved.
    ApprovalList,
    /// Say whether it was right that somebody broke the glass.
    ApprovalReview,
    /// See a call that waits to be approved, with its arguments.
    ApprovalShow,
    /// Take an approval back that was not used yet.
    ApprovalWithdraw,
    /// List calls: who called what, what was decided and what came of it.
    CallList,
    /// Say what became of a call of which that is not known.
    CallSettle,
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
    pub const ALL: [Self; 34] = [
        Self::ApprovalBreakGlass,
        Self::ApprovalDecide,
        Self::ApprovalList,
        Self::ApprovalReview,
        Self::ApprovalShow,
        Self::ApprovalWithdraw,
        Self::CallList,
        Self::CallSettle,
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

    /// Its name, as policies call it.
    const fn name(self) -> &'static str {
        match self {
            Self::ApprovalBreakGlass => "callgate.approval.break_glass",
            Self::ApprovalReview => "callgate.approval.review",
            Self::ApprovalDecide => "callgate.approval.decide",
            Self::ApprovalList => "callgate.approval.list",
            Self::ApprovalShow => "callgate.approval.show",
            Self::ApprovalWithdraw => "callgate.approval.withdraw",
            Self::CallList => "callgate.call.list",
            Self::CallSettle => "callgate.call.settle",
            Self::CallShow => "callgate.call.show",
            Self::CallerShow => "callgate.caller.show",
            Self::ChannelList => "callgate.channel.list",
            Self::ChannelRetry => "callgate.channel.retry",
            Self::ChannelTest => "callgate.channel.test",
            Self::GrantCreate => "callgate.grant.create",
            Self::GrantList => "callgate.grant.list",
            Self::GrantRevoke => "callgate.grant.revoke",
            Self::PasskeyList => "callgate.passkey.list",
            Self::PasskeyRemove => "callgate.passkey.remove",
            Self::PolicyShow => "callgate.policy.show",
            Self::PrivilegeShow => "callgate.privilege.show",
            Self::RevocationCreate => "callgate.revocation.create",
            Self::RevocationLift => "callgate.revocation.lift",
            Self::RevocationList => "callgate.revocation.list",
            Self::SessionEnd => "callgate.session.end",
            Self::SessionList => "callgate.session.list",
            Self::TokenCreate => "callgate.token.create",
            Self::TokenList => "callgate.token.list",
            Self::TokenRevoke => "callgate.token.revoke",
            Self::TokenRotate => "callgate.token.rotate",
            Self::ToolList => "callgate.tool.list",
            Self::ToolPin => "callgate.tool.pin",
            Self::ToolShow => "callgate.tool.show",
            Self::ToolUnpin => "callgate.tool.unpin",
            Self::WorkflowStart => "callgate.workflow.start",
        }
    }

    /// What it does, and how bad a wrong one is.
    const fn about(self) -> (&'static str, Risk) {
        match self {
            Self::ApprovalBreakGlass => {
                ("Let a call through alone that others should have approved", Risk::Critical)
            }
            Self::ApprovalReview => {
                ("Say whether it was right that somebody broke the glass", Risk::High)
            }
            Self::ApprovalDecide => ("Approve a call, or deny it", Risk::High),
            Self::ApprovalList => ("List what waits to be approved", Risk::Low),
            Self::ApprovalShow => {
                ("See what waits to be approved, with its arguments", Risk::Medium)
            }
            Self::ApprovalWithdraw => ("Take an approval back", Risk::Medium),
            Self::CallList => ("List calls", Risk::Low),
            Self::CallSettle => ("Say what became of a call", Risk::High),
            Self::CallShow => ("See all that is recorded of a call", Risk::Medium),
            Self::CallerShow => ("See what chain a token makes", Risk::Medium),
            Self::ChannelList => ("See how it goes with notification channels", Risk::Low),
            Self::ChannelRetry => ("Send again what was given up", Risk::Medium),
            Self::ChannelTest => ("Send a test message", Risk::Medium),
            Self::GrantCreate => ("Give a grant", Risk::Critical),
            Self::GrantList => ("List grants", Risk::Low),
            Self::GrantRevoke => ("Take a grant back", Risk::Medium),
            Self::PasskeyList => ("List passkeys", Risk::Low),
            Self::PasskeyRemove => ("Take a passkey from somebody", Risk::High),
            Self::PolicyShow => ("See the policies in force", Risk::Low),
            Self::PrivilegeShow => ("See who may do what, and what they did", Risk::Medium),
            Self::RevocationCreate => ("Let somebody in no more", Risk::High),
            Self::RevocationLift => ("Let somebody in again", Risk::Critical),
            Self::RevocationList => ("List revocations", Risk::Low),
            Self::SessionEnd => ("Sign somebody out of the console", Risk::Medium),
            Self::SessionList => ("List who is signed in to the console", Risk::Low),
            Self::TokenCreate => ("Make a token", Risk::Critical),
            Self::TokenList => ("List tokens", Risk::Low),
            Self::TokenRevoke => ("Take a token back", Risk::Medium),
            Self::TokenRotate => ("Make a token in place of another", Risk::High),
            Self::ToolList => ("List the tools of servers", Risk::Low),
            Self::ToolPin => ("Approve a tool as its server defines it", Risk::Critical),
            Self::ToolShow => ("See how a tool is defined, and what changed", Risk::Low),
            Self::ToolUnpin => ("Approve a tool no more", Risk::Medium),
            Self::WorkflowStart => ("Start a workflow", Risk::Low),
        }
    }

    /// The operation.
    #[must_use]
    pub fn operation(self) -> Arc<Operation> {
        let (name, (title, risk)) = (self.name(), self.about());
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
