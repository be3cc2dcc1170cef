//! What a server may ask a client for while it works on a call, and the rounds that this takes.

use callgate_mcp::extension;
use callgate_mcp::message::{InputRequired, Round};
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::evidence::Decided;
use callgate_model::json::{Json, Object};
use callgate_model::products::mcp::Asking;
use callgate_policy::Bundle;

use super::{Gateway, Request};
use crate::name::name_asking;
use crate::round::{Binding, Opened};

/// What is said to a server beside the call itself.
pub(super) struct Asked {
    /// What it may ask for: what the client declared, as far as policy lets this caller be asked by this server.
    pub(super) capabilities: Object,
    /// The extensions that the client declared, as far as they are passed on.
    pub(super) extensions: Object,
    /// What answers it, if it asked before.
    pub(super) round: Round,
    /// How far the call has got.
    pub(super) opened: Opened,
}

impl Gateway {
    /// Opens the state that the client brings back, for this call of this caller.
    pub(super) fn open_round(
        &self,
        request: &Request,
        record: &mut Decided,
        round: Round,
    ) -> Result<(Round, Opened), &'static str> {
        let (round, opened) =
            self.sealer.open(&binding(request, record), self.ambient.now(), round)?;
        record.continues = opened.first;
        record.under.after = opened.last;
        Ok((round, opened))
    }

    /// Seals what a server needs for the round after this one.
    pub(super) fn seal_round(
        &self,
        request: &Request,
        record: &Decided,
        opened: &Opened,
        required: InputRequired,
    ) -> Option<InputRequired> {
        let (binding, mut opened) = (binding(request, record), opened.clone());
        // A call that was held for its approval goes on with the one that was refused for that.
        opened.first = record.continues;
        self.sealer.seal(&binding, &*self.ambient, &opened, record.call, required)
    }

    /// What may be said to the server. Answers of a caller who may be asked nothing are left out: there was no question,
    /// and the server could take them for a person's.
    pub(super) fn asked(
        &self,
        request: &Request,
        bundle: &Bundle,
        (mut round, opened): (Round, Opened),
        record: &mut Decided,
    ) -> Asked {
        let mut capabilities = self.may_be_asked(request, bundle);
        let mut extensions = extensions_of(request);
        if !record.decision.obligations().redact.is_empty() {
            // What it asks or tells on the way could say anything.
            capabilities = Object::default();
            extensions.remove(extension::TASKS);
        }
        if capabilities.is_empty() {
            round.responses = None;
        }
        record.responses_digest = round.responses.as_ref().map(Digest::of_object);
        Asked { capabilities, extensions, round, opened }
    }

    /// What the client declared that it can be asked for, as far as policy lets this server ask this caller.
    pub(super) fn may_be_asked(&self, request: &Request, bundle: &Bundle) -> Object {
        let mut capabilities = Object::default();
        for asking in Asking::ALL {
            let Some(declared @ Json::Object(_)) = request.capabilities.get(asking.capability())
            else {
                continue;
            };
            if self.may_ask(request, bundle, asking).is_allow() {
                // Nobody is told when the roots change.
                let declared = if asking == Asking::Roots {
                    Object::default().into()
                } else {
                    declared.clone()
                };
                capabilities.set(asking.capability(), declared);
            }
        }
        capabilities
    }

    fn may_ask(&self, request: &Request, bundle: &Bundle, asking: Asking) -> Decision {
        self.decide(request, &name_asking(&request.server.name, asking, Object::default()), bundle)
    }
}

/// The extensions that the client declared, as far as they are passed on: those that are known, and what the operator has
/// named for this server.
pub(super) fn extensions_of(request: &Request) -> Object {
    let declared = request.capabilities.get(extension::MEMBER).and_then(Json::as_object);
    let mut passed = Object::default();
    for (name, value) in declared.iter().flat_map(|declared| declared.iter()) {
        let is_known = name == extension::UI || (name == extension::TASKS && request.is_modern());
        if is_known || request.server.extensions.iter().any(|known| known == name) {
            passed.set(name, value.clone());
        }
    }
    passed
}

pub(super) fn binding<'a>(request: &'a Request, record: &'a Decided) -> Binding<'a> {
    Binding {
        caller: request.caller.key,
        server: &request.server.name,
        method: &record.method,
        name: &record.tool,
        arguments: record.arguments_digest.unwrap_or_default(),
    }
}
