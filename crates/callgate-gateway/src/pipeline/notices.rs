//! Who is told that a call waits for somebody, or was let through. They are told later, by whoever takes the notices out of the store: no call waits for that.

use std::collections::BTreeSet;

use callgate_model::ambient::Id;
use callgate_model::approval::{Approval, Notice, Occasion};
use callgate_model::call::Method;
use callgate_model::decision::Gate;
use callgate_model::evidence::Decided;
use callgate_policy::Bundle;

use super::Gateway;

/// Of what a channel tells people.
#[derive(Clone, Debug)]
pub struct ChannelRule {
    /// The channel.
    pub channel: String,
    /// Those whose approvals it tells of, as gates name them (`team:leads`); everybody's, if there are none. A gate that names the
    /// channel itself is told of in any case.
    pub approvers: BTreeSet<String>,
    /// When.
    pub occasions: BTreeSet<Occasion>,
}

impl ChannelRule {
    fn tells_of(&self, bundle: &Bundle, gate: &Gate) -> bool {
        self.is_for(&gate.approvers) || bundle.channels().get(&gate.policy) == Some(&self.channel)
    }

    fn is_for(&self, approvers: &str) -> bool {
        self.approvers.is_empty() || self.approvers.contains(approvers)
    }

    /// Whether it tells of `approval` on this occasion. Those who may decide later are told when they may, and how it ends.
    fn tells(&self, bundle: &Bundle, approval: &Approval, occasion: Occasion) -> bool {
        let mut gates = approval.gates.iter();
        let later =
            |gate: &Gate| gate.escalation.as_ref().is_some_and(|also| self.is_for(&also.approvers));
        match occasion {
            Occasion::Requested => gates.any(|gate| self.tells_of(bundle, gate)),
            Occasion::Escalated => gates.any(later),
            Occasion::Closed => gates.any(|gate| self.tells_of(bundle, gate) || later(gate)),
            // That is for permits to say; and who is told of broken glass is configured for itself.
            Occasion::LetThrough | Occasion::GlassBroken => false,
        }
    }
}

impl Gateway {
    /// Who is told of `approval`.
    pub(super) fn notices(&self, bundle: &Bundle, approval: &Approval) -> Vec<Notice> {
        let notices = self.settings.channels.iter().flat_map(|rule| {
            let notice = |occasion: &Occasion| Notice {
                id: self.ambient.id(),
                channel: rule.channel.clone(),
                occasion: *occasion,
                page: self.page_of(approval.id),
            };
            let told = rule.occasions.iter().filter(|one| rule.tells(bundle, approval, **one));
            told.map(notice).collect::<Vec<_>>()
        });
        notices.collect()
    }

    /// Who is told that a call is let through, as the permits oblige that let it: each round of it, since each is let through by
    /// itself; not what is asked of a task later, which is there because the call was.
    pub(super) fn notices_of_call(&self, record: &Decided, method: Method) -> Vec<Notice> {
        if method.is_about_task() {
            return Vec::new();
        }
        let notice = |channel: &String| Notice {
            id: self.ambient.id(),
            channel: channel.clone(),
            occasion: Occasion::LetThrough,
            page: self.page_of_call(record.call),
        };
        record.decision.obligations().notify.iter().map(notice).collect()
    }

    /// Where people see what came of a call, if they can.
    #[must_use]
    pub fn page_of_call(&self, call: Id) -> Option<String> {
        self.settings.console.as_ref().map(|console| format!("{console}/calls/{call}"))
    }

    /// Counts what became of an attempt to tell people by `channel`: `delivered`, `failed` or `given_up`.
    pub fn noticed(&self, channel: &str, what: &'static str) {
        self.metrics.noticed(channel, what);
    }

    /// How many notices wait, by channel.
    pub fn notices_wait(&self, waiting: impl Iterator<Item = (String, u32)>) {
        self.metrics.notices_wait(waiting);
    }
}
