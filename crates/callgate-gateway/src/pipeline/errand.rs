//! What is asked of the gateway itself, by its API: the way of a call. The caller is identified as for any server, the operation
//! is decided by the same policies, and recorded before it is done.

use std::sync::Arc;
use std::time::Instant;

use callgate_mcp::http::request::Parts;
use callgate_model::authority::Under;
use callgate_model::call::{Method, ToolCall};
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::evidence::{Concluded, Decided, Event, Outcome};
use callgate_model::json::Object;
use callgate_model::products::gateway::{Errand, NAME, account};
use callgate_model::reason::Reason;
use callgate_model::redact;
use callgate_policy::{Question, decide};
use callgate_store::EvidenceError;

use super::{Gateway, Reply, shorten, understood};
use crate::evidence::{enqueue, open};
use crate::identity::Identified;
use crate::name::NamedCall;

/// Why an errand was not done.
#[derive(Debug, thiserror::Error)]
pub enum ErrandError {
    /// Policy does not allow it, or it could not be recorded.
    #[error("it is not allowed")]
    Refused(Decision),
    /// It cannot be done as it was asked for.
    #[error("{0}")]
    Wrong(String),
    /// What is to be changed has changed meanwhile, or is not there.
    #[error("it was changed meanwhile, or there is no such thing")]
    Gone,
    /// The store fails.
    #[error("the store fails")]
    Unavailable,
}

impl From<EvidenceError> for ErrandError {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Refused => Self::Gone,
            EvidenceError::Closed
            | EvidenceError::Failing
            | EvidenceError::Full
            | EvidenceError::Store(_)
            | EvidenceError::Timeout => Self::Unavailable,
        }
    }
}

impl Gateway {
    /// Who comes to the API.
    ///
    /// # Errors
    /// The answer for whoever is not let in; it is recorded.
    pub async fn api_caller(&self, http: &Parts) -> Result<Arc<Identified>, Box<Reply>> {
        self.who_asks(http, NAME, self.settings.resources.api()).await
    }

    /// Does `work`, if `caller` may do `errand` about somebody, or the whole gateway. `asked` is what the record says was
    /// asked for.
    ///
    /// # Errors
    /// [`ErrandError`].
    pub async fn run_errand<T>(
        &self,
        caller: &Arc<Identified>,
        errand: Errand,
        about: Option<&str>,
        asked: Object,
        work: impl Future<Output = Result<T, ErrandError>>,
    ) -> Result<T, ErrandError> {
        let begun = Instant::now();
        let named = name_errand(errand, about, asked);
        let decision = self.decide_errand(caller, &named);
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let record = self.errand_record(caller, &named, decision, micros);
        if !record.decision.is_allow() {
            let decision = record.decision.clone();
            self.record_refusal(record);
            return Err(ErrandError::Refused(decision));
        }
        let decided = Arc::new(record);
        let opened = open(&self.evidence, Arc::clone(&decided), named.call).await;
        let Ok((permit, mut evidence)) = opened else {
            let bundle = decided.decision.bundle;
            let decision = Decision::deny(Reason::EvidenceUnavailable, bundle);
            let record = Decided { decision: decision.clone(), ..Arc::unwrap_or_clone(decided) };
            // It was tried before this; if this one fails too, the store's health says so.
            enqueue(&self.evidence, Event::Decided(Arc::new(record))).ok();
            return Err(ErrandError::Refused(decision));
        };
        let (call, _) = permit.spend();
        // Who asked may leave at any time, and it may be done by then.
        evidence.dispatched();
        let done = work.await;
        let detail = done.as_ref().err().map(ToString::to_string);
        let outcome = if done.is_ok() { Outcome::Succeeded } else { Outcome::ToolError };
        let concluded = Concluded { call, outcome, upstream_us: None, result: None, detail };
        evidence.conclude(concluded).await?;
        done
    }

    /// Whether `caller` may do `errand` about somebody, so that whoever may not is not even shown it. Nothing is done by that,
    /// and nothing recorded.
    #[must_use]
    pub fn may(&self, caller: &Identified, errand: Errand, about: Option<&str>) -> bool {
        self.decide_errand(caller, &name_errand(errand, about, Object::default())).is_allow()
    }

    fn decide_errand(&self, caller: &Identified, named: &NamedCall) -> Decision {
        let question = Question {
            caller: &caller.caller,
            call: &named.call,
            targets: &named.targets,
            now: self.ambient.now(),
            grant: None,
            lifted: &[],
        };
        unobliged(decide(&self.bundle.load_full(), &question))
    }

    fn errand_record(
        &self,
        caller: &Arc<Identified>,
        named: &NamedCall,
        decision: Decision,
        decided_in_us: u64,
    ) -> Decided {
        Decided {
            call: self.ambient.id(),
            caller: Some(Arc::clone(&caller.record)),
            continues: None,
            resolves: None,
            client_says: None,
            why: None,
            method: named.call.method.as_str().to_owned(),
            server: NAME.to_owned(),
            tool: shorten(&named.call.tool),
            understood: Some(understood(named)),
            arguments_digest: Some(named.call.arguments_digest),
            arguments: redact::arguments(&named.call.arguments),
            hashes: Vec::new(),
            responses_digest: None,
            under: Under::default(),
            decision,
            decided_in_us,
            notices: Vec::new(),
            budgets: Vec::new(),
            trace: None,
        }
    }
}

fn name_errand(errand: Errand, about: Option<&str>, asked: Object) -> NamedCall {
    let operation = errand.operation();
    let call = ToolCall {
        server: NAME.into(),
        method: Method::Api,
        tool: operation.name.clone(),
        risk: operation.risk,
        operation,
        definition: None,
        arguments_digest: Digest::of_object(&asked),
        arguments: asked,
        unwrapped: None,
        fields: std::collections::BTreeMap::new(),
    };
    NamedCall::plain(call, vec![account(about)])
}

/// Nothing that a permit may oblige to can be done here, so one that does lets nothing through (I5).
fn unobliged(decision: Decision) -> Decision {
    if decision.obliges.is_none() {
        return decision;
    }
    let denied = Decision::deny(Reason::PolicyError, decision.bundle);
    Decision { policies: decision.policies, ..denied }
}
