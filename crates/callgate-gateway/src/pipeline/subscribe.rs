//! Wanting to hear when one resource changes: who may read it may, and it is decided and recorded as a request for it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use callgate_mcp::code;
use callgate_mcp::http::StatusCode;
use callgate_mcp::inbound::Refused;
use callgate_mcp::message::{Subject, SubjectParams};
use callgate_mcp::reply;
use callgate_model::call::Method;
use callgate_model::decision::Decision;
use callgate_model::evidence::{Concluded, Decided, Outcome};
use callgate_model::json::Object;
use callgate_model::reason::Reason;

use super::admit::Entrance;
use super::{Gateway, Reply, Request, roof};
use crate::answer;
use crate::follow::{Interest, Interests};
use crate::limits::Limit;
use crate::name::{name_subject, operation_of};

/// Resources that one client wants to hear of.
pub(super) const INTERESTS_MAX: usize = 100;

impl Gateway {
    /// Answers `resources/subscribe` in a session of the legacy era.
    pub(super) async fn subscribe(&self, mut request: Request) -> Reply {
        let Some(interests) = request.interests.clone() else {
            let message = "only in a session is anybody told of changes".to_owned();
            let status = StatusCode::OK;
            let refused = Refused { status, code: code::INVALID_REQUEST, message, data: None };
            let record = self.blank_record(&request, "", self.bundle.load().digest());
            return self.refuse_wire(&request, record, &refused, Reason::RequestMalformed);
        };
        let params = match SubjectParams::of_resource(std::mem::take(&mut request.params)) {
            Ok(params) => params.params,
            Err(refused) => return self.refuse_params(&request, refused.to_string()),
        };
        // Who asks again for the same is no other.
        let called = params.get("uri").and_then(|uri| uri.as_str()).unwrap_or_default();
        let called = request.uri_as_called(called);
        let others = interests.borrow().keys().filter(|uri| ***uri != *called).count();
        match self.interest(&mut request, params, others).await {
            Ok((uri, interest)) => {
                interests.send_modify(|interests| drop(interests.insert(uri, interest)));
                Reply::json(StatusCode::OK, reply::result(&request.id, Object::default()))
            }
            Err(refusal) => Reply::json(StatusCode::OK, refusal),
        }
    }

    /// Answers `resources/unsubscribe`.
    pub(super) fn unsubscribe(&self, request: &Request) -> Reply {
        let params = match SubjectParams::of_resource(request.params.clone()) {
            Ok(params) => params,
            Err(refused) => return self.refuse_params(request, refused.to_string()),
        };
        if let Some(interests) = &request.interests {
            let uri = request.uri_as_called(params.subject.name());
            interests.send_modify(|interests| drop(interests.remove(uri.as_str())));
        }
        Reply::json(StatusCode::OK, reply::result(&request.id, Object::default()))
    }

    /// Those of `uris` of whose changes the client of `request` may hear.
    pub(super) async fn interests(&self, request: &Request, uris: Vec<String>) -> Interests {
        let mut interests = Interests::new();
        for called in uris {
            let found = match request.entrance {
                Entrance::Server | Entrance::UnderRoof => {
                    Some((Arc::clone(&request.server), called))
                }
                Entrance::Roof => self.of_uri(&called).or_else(|| {
                    let mut record =
                        self.blank_record(request, &called, self.bundle.load().digest());
                    record.decision = Decision::deny(Reason::ToolUnknown, record.decision.bundle);
                    self.record_refusal(record);
                    None
                }),
            };
            let Some((server, uri)) = found else { continue };
            let mut one = Request { server, ..request.aside() };
            if request.entrance == Entrance::Roof {
                one.entrance = Entrance::UnderRoof;
            }
            let params = Object::default().with("uri", uri);
            let interest = self.interest(&mut one, params, interests.len()).await;
            interests.extend(interest.ok());
        }
        interests
    }

    /// Decides and records that the client is told when a resource changes. Otherwise the refusal.
    async fn interest(
        &self,
        request: &mut Request,
        params: Object,
        others: usize,
    ) -> Result<(Arc<str>, Arc<Interest>), Bytes> {
        let method = Method::ResourcesSubscribe;
        method.as_str().clone_into(&mut request.method);
        let server = Arc::clone(&request.server);
        let uri = params.get("uri").and_then(|uri| uri.as_str()).unwrap_or_default().to_owned();
        let called = Arc::from(request.uri_as_called(&uri));
        let subject = Subject::Resource(uri);
        let operation = operation_of(&server.catalog, &subject);
        request.subject = Some(subject.clone());
        let (begun, bundle) = (Instant::now(), self.bundle.load_full());
        let mut record = self.begin_record(request, subject.name(), &params, bundle.digest());
        let named = name_subject(&server.name, &server.catalog, method, &subject, params);
        let considered = self.consider_subject(request, named, &bundle, &mut record).await;
        record.decided_in_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let named = match considered {
            Ok(named) => named,
            Err(detail) => {
                let hidden = self.is_hidden(request, operation, &bundle);
                return Err(self.refusal(request, record, detail.as_deref(), hidden));
            }
        };
        let wanted = named.clone();
        let (decided, (permit, evidence)) = self.open_call(request, record, named).await?;
        let (call, _) = permit.spend();
        // Only now the server may learn of it.
        let interest = Interest::new(&server, request.caller.key, wanted);
        let interest = interest.filter(|_| others < INTERESTS_MAX);
        let outcome = if interest.is_some() { Outcome::Succeeded } else { Outcome::NotDispatched };
        self.metrics.concluded(&server.name, &call.to_string(), outcome, 0);
        let concluded = Concluded { call, outcome, upstream_us: None, result: None, detail: None };
        // It is a read: what could not be recorded is found without an outcome.
        evidence.conclude(concluded).await.ok();
        let Some(interest) = interest else {
            self.metrics.limited(Limit::Resources);
            let decision = Decision::deny(Reason::Overloaded, bundle.digest());
            let record = Decided { decision, ..Decided::clone(&decided) };
            let (era, id, subject) = (request.era, &request.id, request.subject.as_ref());
            let told = Some(Limit::Resources.told());
            return Err(answer::refused(era, id, subject, &record, (told, None)));
        };
        Ok((called, Arc::new(interest)))
    }
}

impl Request {
    /// The resource `uri` as the client calls it.
    pub(super) fn uri_as_called(&self, uri: &str) -> String {
        match self.entrance {
            Entrance::Server | Entrance::Roof => uri.to_owned(),
            Entrance::UnderRoof => roof::called_uri(&self.server.name, uri),
        }
    }
}
