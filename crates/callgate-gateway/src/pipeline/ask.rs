//! Requests for one prompt or one resource: the way of a call. What they mean is known by the method; of a catalog, only
//! what URIs name.

use std::sync::Arc;
use std::time::Instant;

use callgate_mcp::message::{InvalidParams, SubjectParams};
use callgate_model::call::Method;
use callgate_model::decision::Decision;
use callgate_model::evidence::Decided;
use callgate_model::json::Object;
use callgate_model::products::mcp;
use callgate_model::vocabulary::Operation;
use callgate_policy::{Bundle, could_allow_in, could_cover};

use super::{Gateway, Reply, Request};
use crate::name::{NamedCall, Unnameable, name_subject, operation_of};

impl Gateway {
    /// One request for a prompt or a resource, from its parameters to its answer.
    pub(super) async fn ask(
        self: &Arc<Self>,
        mut request: Request,
        method: Method,
        read: fn(Object) -> Result<SubjectParams, InvalidParams>,
    ) -> Reply {
        let begun = Instant::now();
        let SubjectParams { subject, params, round } =
            match read(std::mem::take(&mut request.params)) {
                Ok(asked) => asked,
                Err(refused) => return self.refuse_params(&request, refused.to_string()),
            };
        let server = Arc::clone(&request.server);
        let operation = operation_of(&server.catalog, &subject);
        request.subject = Some(subject.clone());
        let bundle = self.bundle.load_full();
        let mut record = self.begin_record(&request, subject.name(), &params, bundle.digest());
        let round = match self.open_round(&request, &mut record, round) {
            Ok(round) => round,
            Err(text) => return self.refuse_invalid(&request, record, text.to_owned()),
        };
        let named = name_subject(&server.name, &server.catalog, method, &subject, params);
        let considered = self.consider_subject(&request, named, &bundle, &mut record).await;
        record.decided_in_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        match considered {
            Ok(named) => {
                let asked = self.asked(&request, &bundle, round, &mut record);
                self.carry_out(request, named, None, asked, record).await
            }
            Err(detail) => {
                let hidden = self.is_hidden(&request, operation, &bundle);
                self.refuse(&request, record, detail.as_deref(), hidden)
            }
        }
    }

    /// Decides what was named. If it is not to be allowed, what was wrong, for the caller.
    pub(super) async fn consider_subject(
        &self,
        request: &Request,
        named: Result<NamedCall, Unnameable>,
        bundle: &Bundle,
        record: &mut Decided,
    ) -> Result<NamedCall, Option<String>> {
        let named = named.map_err(|Unnameable { reason, detail }| {
            record.decision = Decision::deny(reason, bundle.digest());
            detail
        })?;
        self.decide_and_record(request, &named, bundle, record).await;
        self.settings.recording.name(record, &named);
        if record.decision.is_allow() { Ok(named) } else { Err(None) }
    }

    /// It is not known what exists; but to whoever may have nothing here, nothing does.
    pub(super) fn is_hidden(
        &self,
        request: &Request,
        operation: &Operation,
        bundle: &Bundle,
    ) -> bool {
        !self.settings.reveal_denied_tools && !self.could_have(request, operation, bundle)
    }

    /// Whether this caller could be allowed `operation` on anything of the server, perhaps after approval.
    pub(super) fn could_have(
        &self,
        request: &Request,
        operation: &Operation,
        bundle: &Bundle,
    ) -> bool {
        let (caller, name) = (&request.caller.caller, &*request.server.name);
        let server = mcp::server(name);
        could_allow_in(bundle, caller, name, operation, operation.risk, &server)
            || (self.is_in_shadow(request, operation)
                && could_cover(caller, name, operation, operation.risk))
    }
}
