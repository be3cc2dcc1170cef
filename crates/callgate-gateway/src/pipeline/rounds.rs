//! What a server may ask a client for while it works on a call, and the rounds that this takes.

use callgate_mcp::message::{InputRequired, Round};
use callgate_model::decision::Decision;
use callgate_model::evidence::Decided;
use callgate_model::json::{Json, Object};
use callgate_model::products::mcp::{self, Asking};
use callgate_model::target::Target;
use callgate_policy::Bundle;

use super::{Gateway, Request};
use crate::name::name_asking;
use crate::round::{Binding, Opened};

/// What is said to a server beside the call itself.
pub(super) struct Asked {
    /// What it may ask for: what the client declared, as far as policy lets this caller be asked by this server.
    pub(super) capabilities: Object,
    /// The round.
    pub(super) opened: Opened,
}

impl Gateway {
    /// Opens the state that the client brings back, for this call of this caller.
    pub(super) fn open_round(
        &self,
        request: &Request,
        record: &mut Decided,
        round: Round,
    ) -> Result<Opened, &'static str> {
        let opened = self.sealer.open(&binding(request, record), self.ambient.now(), round)?;
        record.continues = opened.first;
        Ok(opened)
    }

    /// Seals what a server needs for the round after this one.
    pub(super) fn seal_round(
        &self,
        request: &Request,
        record: &Decided,
        opened: &Opened,
        required: InputRequired,
    ) -> Option<InputRequired> {
        let binding = binding(request, record);
        self.sealer.seal(&binding, &*self.ambient, opened, record.call, required)
    }

    /// What may be said to the server. Answers of a caller who may be asked nothing are left out: there was no question,
    /// and the server could take them for a person's.
    pub(super) fn asked(&self, request: &Request, bundle: &Bundle, mut opened: Opened) -> Asked {
        let mut capabilities = Object::default();
        // Only who declares it with every request can be asked.
        for asking in Asking::ALL.into_iter().filter(|_| request.is_modern()) {
            let Some(declared @ Json::Object(_)) = request.capabilities.get(asking.capability())
            else {
                continue;
            };
            if self.may_ask(request, bundle, asking).is_allow() {
                capabilities.set(asking.capability(), declared.clone());
            }
        }
        if capabilities.is_empty() {
            opened.round.responses = None;
        }
        Asked { capabilities, opened }
    }

    fn may_ask(&self, request: &Request, bundle: &Bundle, asking: Asking) -> Decision {
        let server = Target::located(mcp::server(&request.server.name), Vec::new());
        self.decide(request, &name_asking(&request.server.name, asking, server), bundle)
    }
}

fn binding<'a>(request: &'a Request, record: &'a Decided) -> Binding<'a> {
    Binding {
        caller: request.caller.key,
        server: &request.server.name,
        method: &record.method,
        name: &record.tool,
        arguments: record.arguments_digest.unwrap_or_default(),
    }
}
