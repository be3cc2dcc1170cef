//! Where things belong whose ids do not tell: the server is asked before the decision, in the caller's name, with what the
//! caller's own calls are made with, and only if the answer could matter. Each question is recorded as the gateway's own read.
//!
//! What is not found stays unresolved. It is never guessed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_mcp::document::Document;
use callgate_mcp::upstream::{Answer, CallError};
use callgate_model::ambient::Id;
use callgate_model::decision::{Decision, Verdict};
use callgate_model::digest::Digest;
use callgate_model::evidence::{Concluded, Decided, Event, Outcome};
use callgate_model::json::{Json, JsonLimits, Object, read};
use callgate_model::products::atlassian::{self, Site};
use callgate_model::target::{Located, Obstacle, Resource, Target};
use callgate_model::vocabulary::{Effect, FieldValue};
use callgate_policy::{Bundle, Question, could_allow, decide};
use tokio::time::timeout;

use super::{Gateway, Request};
use crate::catalog::{Ask, Found, Seen};
use crate::credential::Presented;
use crate::evidence::enqueue;
use crate::forward::{Way, forward, outcome_of, result_of};
use crate::locate::LookedUp;
use crate::name::{NamedCall, name};
use crate::resolve::{Holder, Places, STEPS_MAX, inside, unknown_field};
use crate::tools::ToolSet;

/// For everything that one call needs to know.
const WITHIN: Duration = Duration::from_secs(10);
/// Most questions for one call.
const QUESTIONS_MAX: usize = 20;

/// What a catalog calls the elements of an answer that is nothing but an array.
const ELEMENTS: &str = "elements";

/// What is asked for one call.
pub(super) struct Inquiry<'a> {
    gateway: &'a Gateway,
    request: &'a Request,
    set: &'a ToolSet,
    bundle: Digest,
    call: Id,
    holder: Holder,
    /// Of the call.
    effect: Effect,
    presented: Option<Presented>,
    questions_left: usize,
    /// What was seen of what the call touches, if it changes something.
    seen: Vec<(Resource, Seen)>,
}

impl Gateway {
    /// Finds where the things belong that `named` touches, as far as the catalog says how and the decision could need it.
    pub(super) async fn resolve(
        &self,
        request: &Request,
        set: &ToolSet,
        named: &mut NamedCall,
        bundle: &Bundle,
        call: Id,
    ) {
        let open = |target: &Target| open(request, named, target).is_some();
        let asks = |one: &LookedUp| bundle.looks_up(&one.field);
        if !named.targets.iter().any(open) && !named.looked_up.iter().any(asks) {
            return;
        }
        // What may have been moved is taken to be where its name says: a denial there is one, whatever else.
        let is_said = |target: &&Target| matches!(target, Target::Located(_)) || !open(target);
        let certain: Vec<Target> = named.targets.iter().filter(is_said).cloned().collect();
        if !self.could_matter(request, named, &certain, bundle) {
            return;
        }
        let effect = named.call.operation.effect;
        let mut inquiry = Inquiry::new(self, request, set, effect, (bundle.digest(), call));
        let found = async {
            let mut targets = inquiry.targets(named).await;
            let mut values = Vec::new();
            for one in named.looked_up.iter().filter(|one| bundle.looks_up(&one.field)) {
                match inquiry.value(one, &targets).await {
                    Some(value) => values.push((one.field.clone(), FieldValue::Text(value))),
                    None => targets.push(unknown_field(one)),
                }
            }
            (targets, values)
        };
        // Boxed: it is rare, and large.
        if let Ok((targets, values)) = timeout(WITHIN, Box::pin(found)).await {
            named.seen = inquiry.seen;
            named.targets = targets;
            named.call.fields.extend(values);
            return;
        }
        tracing::warn!(server = request.place(), %call, "what a call touches was not found in time");
        let known =
            |target: &Target| if open(target) { unresolved(target) } else { target.clone() };
        let targets: Vec<Target> = named.targets.iter().map(known).collect();
        let unknown = named.looked_up.iter().filter(|one| asks(one)).map(unknown_field);
        named.targets = targets.into_iter().chain(unknown).collect();
    }

    /// Whether the call could be allowed at all, wherever the rest of what it touches is.
    fn could_matter(
        &self,
        request: &Request,
        named: &NamedCall,
        certain: &[Target],
        bundle: &Bundle,
    ) -> bool {
        let (call, caller) = (&named.call, &request.caller.caller);
        if self.is_in_shadow(request, &call.operation) {
            // What would have been decided is to be known.
            return true;
        }
        if !could_allow(bundle, caller, &call.server, &call.operation, call.risk) {
            return false;
        }
        if certain.is_empty() || bundle.knows_grants() {
            return true;
        }
        let now = self.ambient.now();
        let question = Question { caller, call, targets: certain, now, grant: None, lifted: &[] };
        decide(bundle, &question).verdict != Verdict::Deny
    }
}

/// The thing that `target` names, if the catalog says how to find where it belongs and that is not certain.
fn open(request: &Request, named: &NamedCall, target: &Target) -> Option<Resource> {
    let catalog = &request.server.catalog;
    match target {
        Target::Unresolved(unresolved) if unresolved.obstacle == Obstacle::OpaqueId => {
            let resolver = catalog.resolver(&unresolved.kind)?;
            Some(Resource::new(&*resolver.kind, &*unresolved.spelled))
        }
        Target::Located(Located { resource, .. }) => {
            let thing = || resource.clone();
            if named.by_name.contains(resource) {
                return Some(thing());
            }
            let changes = named.call.operation.effect != Effect::Read;
            let asks =
                changes && request.server.confirms_moves && catalog.resolver(&resource.kind)?.moves;
            asks.then(thing)
        }
        Target::Unresolved(_) => None,
    }
}

/// What is known of `target` if nothing more can be found out.
fn unresolved(target: &Target) -> Target {
    match target {
        Target::Unresolved(_) => target.clone(),
        Target::Located(Located { resource, .. }) => {
            let site = resource.id.split('/').next().unwrap_or_default();
            Target::unresolved(&resource.kind, site, Obstacle::OpaqueId, &resource.id)
        }
    }
}

impl<'a> Inquiry<'a> {
    /// Questions about what `call` touches, which has this effect.
    pub(super) fn new(
        gateway: &'a Gateway,
        request: &'a Request,
        set: &'a ToolSet,
        effect: Effect,
        (bundle, call): (Digest, Id),
    ) -> Self {
        let (holder, questions_left) = (Holder::of(&request.caller), QUESTIONS_MAX);
        Self {
            gateway,
            request,
            set,
            bundle,
            call,
            holder,
            effect,
            presented: None,
            questions_left,
            seen: Vec::new(),
        }
    }

    /// The request that it is asked for.
    pub(super) const fn request(&self) -> &'a Request {
        self.request
    }
}

impl Inquiry<'_> {
    async fn targets(&mut self, named: &NamedCall) -> Vec<Target> {
        let mut all = Vec::with_capacity(named.targets.len());
        for target in &named.targets {
            let found = match open(self.request, named, target) {
                None => vec![target.clone()],
                Some(thing) => match self.places(thing, STEPS_MAX).await {
                    Some(places) => places.iter().cloned().map(Target::Located).collect(),
                    None => vec![unresolved(target)],
                },
            };
            for target in found {
                if !all.contains(&target) {
                    all.push(target);
                }
            }
        }
        all
    }

    /// The value of a field, of the one thing of its kind that the call is about.
    async fn value(&mut self, one: &LookedUp, targets: &[Target]) -> Option<String> {
        let about = |target: &&Target| match target {
            Target::Located(located) => located.resource.kind == one.lookup.kind,
            Target::Unresolved(_) => false,
        };
        let mut about = targets.iter().filter(about);
        let (Some(Target::Located(only)), None) = (about.next(), about.next()) else { return None };
        let (alias, id) = only.resource.id.split_once('/')?;
        let site = self.request.server.catalog.sites.named(alias)?;
        let answer = self.ask(&one.lookup.ask, &one.lookup.kind, id, site).await?;
        one.lookup.read(&answer, &one.key)
    }

    /// Where `thing` belongs.
    async fn places(&mut self, thing: Resource, steps: usize) -> Option<Places> {
        let (finds, now) = (&self.request.server.finds, self.gateway.ambient.now());
        let epoch = match finds.get(&thing, (self.holder, self.effect), now) {
            Ok(places) => return Some(places),
            Err(epoch) => epoch,
        };
        let steps = steps.checked_sub(1)?;
        let catalog = &self.request.server.catalog;
        let resolver = catalog.resolver(&thing.kind)?;
        let (alias, id) = thing.id.split_once('/')?;
        let site = catalog.sites.named(alias)?;
        let mut found = None;
        for ask in &resolver.asks {
            let Some(answer) = self.ask(ask, &thing.kind, id, site).await else { continue };
            found = resolver.read(ask, &answer, id);
            if self.effect != Effect::Read {
                let seen = resolver.look(ask, &answer, id);
                self.seen.extend(seen.map(|seen| (thing.clone(), seen)));
            }
            if found.is_some() {
                break;
            }
        }
        let places: Places = match found? {
            Found::Name(name) => match atlassian::locate(&thing.kind, &[&name], site) {
                Target::Located(located) => [located].into(),
                Target::Unresolved(_) => return None,
            },
            Found::Containers(names) => {
                let mut places = Vec::new();
                for name in names {
                    let outer = self.container(&resolver.container, &name, site, steps).await?;
                    places.extend(outer.iter().map(|outer| inside(&thing, outer)));
                }
                places.into()
            }
        };
        finds.put(thing, (self.holder, places.clone()), epoch, now);
        Some(places)
    }

    /// The container of `kind` that an answer calls `name`; if that does not tell where it belongs either, it is asked for.
    async fn container(
        &mut self,
        kind: &str,
        name: &str,
        site: &Site,
        steps: usize,
    ) -> Option<Places> {
        match atlassian::locate(kind, &[name], site) {
            Target::Located(located) => Some([located].into()),
            Target::Unresolved(outer) if outer.obstacle == Obstacle::OpaqueId => {
                let thing = Resource::new(kind, outer.spelled);
                Box::pin(self.places(thing, steps)).await
            }
            Target::Unresolved(_) => None,
        }
    }

    /// What the server, or the product behind it, says of `id`.
    pub(super) async fn ask(
        &mut self,
        ask: &Ask,
        kind: &str,
        id: &str,
        site: &Site,
    ) -> Option<Object> {
        self.questions_left = self.questions_left.checked_sub(1)?;
        match ask {
            Ask::Tool { name, arguments } => {
                let arguments = Ask::arguments(arguments, id, site)?;
                self.ask_tool(name, arguments).await
            }
            Ask::Rest(path) => {
                let product = kind.split("::").next()?;
                let key = (site.alias().to_owned(), product.to_owned());
                let interface = self.request.server.rest.get(&key)?;
                self.ask_product(interface, &path.of(id)?).await
            }
        }
    }

    /// What the product itself says at `path`.
    async fn ask_product(&mut self, interface: &Document, path: &str) -> Option<Object> {
        let (gateway, request) = (self.gateway, self.request);
        let _slot = gateway.in_flight.try_acquire().ok()?;
        let mut record = gateway.begin_record(request, path, &Object::default(), self.bundle);
        record.method = "GET".to_owned();
        record.resolves = Some(self.call);
        record.decision = Decision::own_read(self.bundle);
        let (call, presented) = (record.call, self.presented(&mut record).await?);
        gateway.metrics.decided(&record);
        // Nothing is changed by it, so it is not waited for, as with every read.
        enqueue(&gateway.evidence, Event::Decided(Arc::new(record))).ok()?;
        let begun = Instant::now();
        let answered = interface.fetch_below(path, presented.header()).await;
        let upstream_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let outcome = if answered.is_ok() { Outcome::Succeeded } else { Outcome::UpstreamError };
        gateway.metrics.concluded(&request.server.name, &call.to_string(), outcome, upstream_us);
        let detail = answered.as_ref().err().map(ToString::to_string);
        let (upstream_us, result) = (Some(upstream_us), None);
        let concluded = Concluded { call, outcome, upstream_us, result, detail };
        enqueue(&gateway.evidence, Event::Concluded(concluded)).ok()?;
        match answered {
            Ok(Json::Object(object)) => Some(object),
            Ok(_) | Err(_) => None,
        }
    }

    async fn ask_tool(&mut self, tool: &str, arguments: Object) -> Option<Object> {
        let (gateway, request) = (self.gateway, self.request);
        let has = |tool: &str| self.set.get(tool).is_some();
        let (tool, arguments) = request.server.catalog.called(tool, arguments, has)?;
        let tool = self.set.get(&tool)?;
        let unapproved = gateway.unapproved(&request.server, (self.set, tool), &arguments);
        if unapproved.await.is_some() {
            return None;
        }
        let name = |arguments| name(&request.server, self.set, tool, arguments).ok();
        let named = name(arguments).filter(|named| named.call.operation.effect == Effect::Read)?;
        let _slot = gateway.in_flight.try_acquire().ok()?;
        let arguments = &named.call.arguments;
        let mut record = gateway.begin_record(request, &named.call.tool, arguments, self.bundle);
        record.resolves = Some(self.call);
        record.decision = Decision::own_read(self.bundle);
        gateway.settings.recording.name(&mut record, &named);
        let way = Way {
            presented: self.presented(&mut record).await?,
            key: request.server.session_key(&request.caller, None, &Object::default()),
            trace: request.trace.clone(),
            span: request.span.as_ref().map(|span| span.part()),
            progress: false,
            log_level: None,
            tool: Some(Arc::clone(tool)),
            capabilities: Object::default(),
            is_interactive: false,
            round: Default::default(),
        };
        let (_, (permit, mut evidence)) = gateway.open_call(request, record, named).await.ok()?;
        let (begun, call) = (Instant::now(), evidence.id());
        let voucher = gateway.voucher(request, self.bundle);
        let answered =
            forward(permit, &mut evidence, &request.server, &way, voucher, |_told| ()).await;
        let upstream_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let outcome = outcome_of(&answered, Effect::Read);
        gateway.metrics.concluded(&request.server.name, &call.to_string(), outcome, upstream_us);
        let (upstream_us, result) = (Some(upstream_us), result_of(&answered));
        let detail = answered.as_ref().err().map(ToString::to_string);
        let concluded = Concluded { call, outcome, upstream_us, result, detail };
        evidence.conclude(concluded).await.ok()?;
        document(answered)
    }

    /// What the caller's own calls are made with: the same for everything that is asked for one call.
    async fn presented(&mut self, record: &mut Decided) -> Option<Presented> {
        if self.presented.is_none() {
            self.presented = self.gateway.presented(self.request, record).await;
        }
        self.presented.clone()
    }
}

/// The JSON that a tool answered with: its one text, or else its structured content.
fn document(answered: Result<Answer, CallError>) -> Option<Object> {
    let Ok(Answer::Result { result, is_error: false, .. }) = answered else { return None };
    let as_text = || {
        let [only] = result.get("content")?.as_array()? else { return None };
        let text = only.get("text").filter(|_| only.get("type") == Some(&"text".into()));
        // The strict reader: JSON that readers disagree about is as good as none.
        match read(text?.as_str()?.as_bytes(), &JsonLimits::default()) {
            Ok(Json::Object(object)) => Some(object),
            Ok(Json::Array(elements)) => Some(Object::default().with(ELEMENTS, elements)),
            Ok(_) | Err(_) => None,
        }
    };
    as_text().or_else(|| result.get("structuredContent")?.as_object().cloned())
}
