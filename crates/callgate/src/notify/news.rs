//! What a channel tells: how it is with an approval, that a call was let through, or that it works.

use callgate_model::ambient::{Id, Timestamp};
use callgate_model::approval::Standing;
use callgate_model::json::Json;
use callgate_store::{Row, Taken};
use serde_json::{Value, json};

use super::told::{ARGUMENTS, Message, Reader, Told, inert, read_by, some};
use crate::print::approval::moment;
use crate::print::call::CallTold;
use crate::print::safe;

/// Something to be told.
#[derive(Debug)]
pub(crate) enum News {
    /// Of an approval.
    Approval(Box<Told>),
    /// Of a call that a permit let through.
    Call(Box<Called>),
    /// Of nothing: whether it gets there.
    Trial(Trial),
}

/// A message of somebody who wants to know whether the channel works.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) id: Id,
    pub(crate) at: Timestamp,
    pub(crate) channel: String,
    /// Who wants to know.
    pub(crate) by: String,
    /// Where one sees how it goes with the channels.
    pub(crate) page: String,
}

/// A call that was let through, as its record says.
#[derive(Debug)]
pub(crate) struct Called {
    id: Id,
    call: Id,
    /// When it was let through.
    let_through: Timestamp,
    /// When that is told.
    at: Timestamp,
    told: CallTold,
    accountable: Option<String>,
    agent: Option<String>,
    arguments: Value,
    /// Where it can be looked at.
    page: Option<String>,
}

impl News {
    /// By which whoever gets it twice knows it.
    pub(super) fn id(&self) -> Id {
        match self {
            Self::Approval(told) => told.id,
            Self::Call(called) => called.id,
            Self::Trial(trial) => trial.id,
        }
    }

    /// When it is told.
    pub(super) fn at(&self) -> Timestamp {
        match self {
            Self::Approval(told) => told.at,
            Self::Call(called) => called.at,
            Self::Trial(trial) => trial.at,
        }
    }

    /// Whether it asks somebody who need not decide any more.
    pub(super) fn is_too_late(&self) -> bool {
        match self {
            Self::Approval(told) => {
                told.occasion.asks() && told.state.standing(told.at) != Standing::Waiting
            }
            Self::Call(_) | Self::Trial(_) => false,
        }
    }

    /// Until when it is of use, if not for good.
    pub(super) fn is_of_use_until(&self) -> Option<Timestamp> {
        match self {
            Self::Approval(told) => {
                told.occasion.asks().then_some(told.state.approval.decide_until)
            }
            Self::Call(_) | Self::Trial(_) => None,
        }
    }

    pub(super) fn page(&self) -> Option<&str> {
        match self {
            Self::Approval(told) => told.page.as_deref(),
            Self::Call(called) => called.page.as_deref(),
            Self::Trial(trial) => Some(&trial.page),
        }
    }

    /// What kind of event it is for programs.
    pub(super) fn event(&self) -> String {
        match self {
            Self::Approval(told) => format!("dev.callgate.approval.{}", told.occasion.as_str()),
            Self::Call(_) => "dev.callgate.call.let_through".to_owned(),
            Self::Trial(_) => "dev.callgate.test".to_owned(),
        }
    }

    /// What it is about.
    pub(super) fn subject(&self) -> Id {
        match self {
            Self::Approval(told) => told.state.approval.id,
            Self::Call(called) => called.call,
            Self::Trial(trial) => trial.id,
        }
    }

    /// All of it by name, for programs.
    pub(super) fn data(&self, arguments: bool, reader: &Reader) -> Value {
        match self {
            Self::Approval(told) => told.data(arguments, reader),
            Self::Call(called) => called.data(arguments, reader),
            Self::Trial(trial) => trial.data(reader),
        }
    }

    /// As people read it.
    pub(super) fn message(&self, arguments: bool) -> Message {
        match self {
            Self::Approval(told) => told.message(arguments),
            Self::Call(called) => called.message(arguments),
            Self::Trial(trial) => trial.message(),
        }
    }
}

impl Called {
    /// What its record says, which is told `at` this moment, with the page where it can be looked at.
    pub(super) fn new(taken: &Taken, row: &Row, page: Option<String>, at: Timestamp) -> Self {
        let event = row.event();
        let arguments = event.get(ARGUMENTS).map_or_else(String::new, Json::to_text);
        Self {
            id: taken.id,
            call: taken.about,
            let_through: row.at,
            at,
            told: CallTold::of(row),
            accountable: row.accountable.clone(),
            agent: row.agent.clone(),
            arguments: serde_json::from_str(&arguments).unwrap_or_default(),
            page,
        }
    }

    fn data(&self, arguments: bool, Reader { foreign, own }: &Reader) -> Value {
        let told = &self.told;
        let policy =
            |(id, owner): &(String, String)| json!({ "policy": own(id), "owner": own(owner) });
        let mut data = json!({
            "call": self.call,
            "occasion": "let_through",
            "page": self.page,
            "asked_by": foreign(&told.who),
            "accountable": self.accountable.as_deref().map(foreign),
            "agent": self.agent.as_deref().map(foreign),
            "server": own(&told.server),
            "tool": foreign(&told.tool),
            "operation": own(&told.operation),
            "effect": own(&told.effect),
            "risk": own(&told.risk),
            "targets": told.targets.iter().map(|one| foreign(one)).collect::<Vec<_>>(),
            "policies": told.policies.iter().map(policy).collect::<Vec<_>>(),
            "approval": told.approval,
            "let_through_at": self.let_through,
        });
        if let Some(all) = data.as_object_mut().filter(|_| arguments) {
            all.insert(ARGUMENTS.to_owned(), read_by(*foreign, &self.arguments));
        }
        data
    }

    fn message(&self, arguments: bool) -> Message {
        let told = &self.told;
        let mut lines = Vec::new();
        let mut say = |name: &str, text: &str| lines.push(format!("{name}: {text}"));
        say("asked by", &inert(&told.who));
        say("tool", &format!("{} on {}", inert(&told.tool), safe(&told.server)));
        say("effect", &safe(&format!("{}, {} risk", told.effect, told.risk)));
        some(told.targets.clone()).iter().for_each(|target| say("touches", &inert(target)));
        for (policy, owner) in &told.policies {
            say("let through by", &safe(&format!("{policy} ({owner})")));
        }
        say("at", &moment(self.let_through));
        told.approval.iter().for_each(|id| say("approval", &safe(id)));
        let named = self.arguments.as_object().filter(|_| arguments).into_iter().flatten();
        let named = named.map(|(name, value)| format!("{name} = {value}"));
        some(named.collect()).iter().for_each(|text| say("argument", &inert(text)));
        if self.page.is_none() {
            lines.push(format!("look: callgate evidence show {}", self.call));
        }
        let title = format!("Let through: {}, {} risk", told.operation, told.risk);
        Message { asks: false, ..Message::new(&title, lines, self.page.clone()) }
    }
}

impl Trial {
    fn data(&self, Reader { foreign, own }: &Reader) -> Value {
        json!({
            "channel": own(&self.channel),
            "occasion": "test",
            "page": self.page,
            "asked_by": foreign(&self.by),
        })
    }

    fn message(&self) -> Message {
        let lines = vec![
            format!("asked by: {}", inert(&self.by)),
            "Nothing waits. Somebody wants to know whether this gets here.".to_owned(),
        ];
        let title = format!("Test of the channel {}", self.channel);
        Message { asks: false, ..Message::new(&title, lines, Some(self.page.clone())) }
    }
}

#[cfg(test)]
mod tests;
