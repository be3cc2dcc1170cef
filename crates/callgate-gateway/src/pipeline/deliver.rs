//! How a client is told that its call waits for an approval: by what this request declares. None of it lets anything through.
//! The same call, repeated after somebody approved it, is let through once; what is told here only spares the repeating.
//!
//! | the client | is told |
//! |---|---|
//! | knows tasks | a task, which is done when the call was made, or will not be |
//! | can show a page | to show the page of the approval, and to come back; then it is held for a while |
//! | any other, if the operator lets requests be held | after a while, with signs of life if it wants progress |
//! | every other | at once |

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use callgate_mcp::extension;
use callgate_mcp::http::StatusCode;
use callgate_mcp::message::{InputRequired, Round, ToolsCallParams};
use callgate_mcp::reply;
use callgate_model::ambient::Id;
use callgate_model::approval::{Ended, Standing};
use callgate_model::decision::Decision;
use callgate_model::evidence::Decided;
use callgate_model::json::{Json, Object};
use callgate_model::reason::Reason;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::carry::given_up;
use super::question::Open;
use super::reply::{MESSAGES_WAITING_MAX, Reply, answer_with};
use super::rounds::binding;
use super::{Attempt, Gateway, Request, Settings};
use crate::round::{Opened, PAGE, Waited};
use crate::spans::Failure;

/// A client of the legacy era shows the page while it is held, and does not come back: it is held so many times as long.
const LEGACY_HOLDS: u32 = 2;
/// How often a client is sent to come back with nothing but its state. One SDK gives up at the third time.
const RETURNS_MAX: i64 = 2;
/// Between two signs of life.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// How far a sign of life says that the call has got: less than whatever its server will say.
const PROGRESS_STEP: f64 = 0.000_001;

/// A call that waits for an approval, and what it needs to go on.
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) call: Called,
    pub(super) approval: Id,
    /// The record of its refusal.
    pub(super) record: Decided,
    /// The answer that can always be given.
    pub(super) refused: Reply,
}

/// What was called, as the client did.
pub(super) struct Called {
    pub(super) name: String,
    pub(super) arguments: Object,
    /// What its server is to be given, and how far the call has got.
    pub(super) round: (Round, Opened),
}

/// How a client is told.
enum Telling {
    /// At once, as a refusal.
    Refusal,
    /// As a task.
    Task,
    /// It is to show the page, and to come back.
    Page,
    /// Not before it was decided, or after a while.
    Hold(Hold),
}

/// How a request is held.
#[derive(Clone, Copy)]
struct Hold {
    how_long: Duration,
    /// Whether the client is to show the page meanwhile.
    shows_page: bool,
    /// How it is sent to come back if nobody has decided by then.
    then: Option<Waited>,
}

/// How the wait of a held request ended.
enum Waits {
    /// Somebody has approved or denied it: the call is decided again.
    Decided,
    /// It has ended in another way. Nobody is asked again for a client that has not called again.
    Ended(Reason),
    /// It goes on.
    Still,
    /// Its client does not want to wait.
    Declined,
}

impl Gateway {
    /// Tells a client that its call waits for an approval; or holds its request, and makes the call.
    pub(super) async fn deliver(self: &Arc<Self>, waiting: Waiting) -> Reply {
        match self.telling(&waiting) {
            Telling::Refusal => waiting.refused,
            Telling::Task => self.as_task(waiting).await,
            Telling::Page => self.show_page(waiting).await,
            Telling::Hold(hold) => self.hold(waiting, hold).await,
        }
    }

    fn telling(&self, waiting: &Waiting) -> Telling {
        let (request, opened) = (&waiting.request, &waiting.call.round.1);
        let Settings { hold, page_hold, .. } = self.settings;
        let has_pages = self.settings.console.is_some();
        let can_show = has_pages && shows_pages(&request.capabilities);
        if !request.can_be_held {
            return Telling::Refusal;
        }
        if !request.is_modern() {
            let shows_page = can_show && request.session.is_some();
            let how_long = if shows_page { hold.max(page_hold * LEGACY_HOLDS) } else { hold };
            return Telling::held(Hold { how_long, shows_page, then: None });
        }
        match opened.waited {
            // What a server has asked for in rounds is no task any more.
            None if opened.first.is_none()
                && extension::is_declared(&request.capabilities, extension::TASKS) =>
            {
                Telling::Task
            }
            None if can_show => Telling::Page,
            Some(waited) if waited.declined => Telling::Refusal,
            waited => {
                let page = waited.is_some_and(|waited| waited.page);
                let returns = waited.map_or(0, |waited| waited.returns);
                let then = Waited { page, declined: false, returns: returns + 1 };
                Telling::held(Hold {
                    how_long: if page { hold.max(page_hold) } else { hold },
                    shows_page: false,
                    then: (returns < RETURNS_MAX).then_some(then),
                })
            }
        }
    }

    /// Asks a client of the modern era to show the page, and to come back.
    async fn show_page(&self, waiting: Waiting) -> Reply {
        let Some(page) = self.page(&waiting).await else { return waiting.refused };
        let asks = Object::default().with("method", "elicitation/create").with("params", page);
        let requests = Object::default().with(PAGE, asks);
        let waited = Waited { page: true, declined: false, returns: 0 };
        self.send_back(waiting, Some(requests), waited)
    }

    /// What shows the page of the approval. The address has nothing of anybody in it, and lets nobody in.
    async fn page(&self, waiting: &Waiting) -> Option<Object> {
        let url = self.approval_page(&waiting.record)?;
        let state = self.authority()?.approval(waiting.approval).await.ok().flatten()?;
        let (title, code) = (&state.approval.about.title, state.approval.short_code());
        let message = format!(
            "This call waits for somebody to approve it: {title} (code {code}). Who may do so does it on this page; to open it approves nothing."
        );
        Some(Object::default().with("mode", "url").with("url", url).with("message", message))
    }

    /// Sends a client of the modern era to come back.
    fn send_back(&self, waiting: Waiting, requests: Option<Object>, waited: Waited) -> Reply {
        let Waiting { request, call, record, refused, .. } = waiting;
        let (round, opened) = &call.round;
        let (binding, at) = (binding(&request, &record), (opened, record.call));
        match self.sealer.seal_wait(&binding, &*self.ambient, at, round, waited) {
            Some(state) => {
                let required = InputRequired { requests, state: Some(state) };
                request.ends(None);
                Reply::json(StatusCode::OK, reply::result(&request.id, required.into_result()))
            }
            // There is more to be brought back than a client can: it repeats the call.
            None => refused,
        }
    }

    /// Holds a request. In a task of its own, so that signs of life can be sent.
    async fn hold(self: &Arc<Self>, waiting: Waiting, hold: Hold) -> Reply {
        let (say, said) = mpsc::channel(MESSAGES_WAITING_MAX);
        let (tell, last) = oneshot::channel();
        let (gateway, id) = (Arc::clone(self), waiting.request.id.clone());
        tokio::spawn(async move {
            if let Some(reply) = gateway.held(waiting, hold, &say).await {
                // Who has gone hears nothing.
                tell.send(reply).ok();
            }
        });
        answer_with(said, last, &id).await
    }

    /// The answer to a request that was held. `None` if its client gave the call up meanwhile: while it waits, in any era by
    /// going away; later as ever.
    async fn held(
        self: &Arc<Self>,
        mut waiting: Waiting,
        hold: Hold,
        say: &mpsc::Sender<Bytes>,
    ) -> Option<Reply> {
        let Ok(_place) = self.holds.enter(waiting.request.caller.key) else {
            return Some(waiting.refused);
        };
        let registered = waiting.request.registered.take();
        let waits = tokio::select! {
            waits = self.wait(&mut waiting, hold, say) => waits,
            () = given_up(registered.as_ref(), say, true) => {
                waiting.request.ends(Failure::Cancelled);
                return None;
            }
        };
        waiting.request.registered = registered;
        Some(match (waits, hold.then) {
            (Waits::Still, Some(waited)) => self.send_back(waiting, None, waited),
            (Waits::Still, None) | (Waits::Declined, _) => waiting.refused,
            (Waits::Ended(reason), _) => self.refuse_ended(&waiting, reason),
            (Waits::Decided, _) => return self.after_hold(waiting, say).await,
        })
    }

    /// Makes a call that was held, or refuses it, as if it had come now. `None` if its client leaves, and has cancelled by that.
    async fn after_hold(
        self: &Arc<Self>,
        waiting: Waiting,
        say: &mpsc::Sender<Bytes>,
    ) -> Option<Reply> {
        if !self.identities.still_admits(&waiting.request.caller, self.ambient.now()).await {
            return Some(self.refuse_ended(&waiting, Reason::Unauthenticated));
        }
        let cancels_by_leaving = waiting.request.cancels_by_leaving;
        let made = Box::pin(self.attempt(self.again(waiting), None));
        tokio::select! {
            made = made => Some(made.unwrap_or_else(|waiting| waiting.refused)),
            () = say.closed(), if cancels_by_leaving => None,
        }
    }

    /// Waits for somebody to decide, and tells the client meanwhile that it does.
    async fn wait(
        self: &Arc<Self>,
        waiting: &mut Waiting,
        hold: Hold,
        say: &mpsc::Sender<Bytes>,
    ) -> Waits {
        let page = if hold.shows_page { self.page(waiting).await } else { None };
        let mut shown = page.and_then(|page| {
            let page = page.with("elicitationId", waiting.approval.to_string());
            self.ask_for_gateway(&waiting.request, ("elicitation/create", page), say)
        });
        if hold.shows_page && shown.is_none() {
            return Waits::Declined;
        }
        let decided = self.decided(waiting.approval, Instant::now() + hold.how_long);
        tokio::pin!(decided);
        let request = &mut waiting.request;
        let standing = loop {
            tokio::select! {
                standing = &mut decided => break standing,
                is_shown = answered(&mut shown) => if !is_shown {
                    return Waits::Declined;
                },
                () = sleep(PROGRESS_EVERY), if request.progress_token.is_some() => {
                    say.try_send(sign_of_life(request, waiting.approval)).ok();
                }
            }
        };
        match standing {
            Some(Standing::Approved { .. } | Standing::Ended(Ended::Denied)) => Waits::Decided,
            Some(standing) => ended(standing).map_or(Waits::Still, Waits::Ended),
            None => Waits::Still,
        }
    }

    /// The same call, to be decided again.
    pub(super) fn again(&self, waiting: Waiting) -> Attempt {
        let Waiting { request, call, record: before, .. } = waiting;
        let (round, opened) = call.round;
        let bundle = self.bundle.load_full();
        let mut record = self.begin_record(&request, &call.name, &call.arguments, bundle.digest());
        record.continues = opened.first.or(Some(before.call));
        record.under.after = Some(before.call);
        let meta = Object::default();
        let params = ToolsCallParams {
            name: call.name,
            arguments: call.arguments,
            meta,
            round: Round::default(),
        };
        Attempt { request, params, round: (round, opened), bundle, record }
    }

    /// Refuses a call that was held.
    fn refuse_ended(&self, waiting: &Waiting, reason: Reason) -> Reply {
        let (request, before) = (&waiting.request, &waiting.record);
        let record = Decided {
            call: self.ambient.id(),
            continues: before.continues.or(Some(before.call)),
            decision: Decision::deny(reason, before.decision.bundle),
            ..before.clone()
        };
        self.refuse(request, record, None, false)
    }
}

impl Telling {
    fn held(hold: Hold) -> Self {
        if hold.how_long.is_zero() { Self::Refusal } else { Self::Hold(hold) }
    }
}

/// Why a call cannot be made any more that waited for an approval which is this now. `None` if it still waits, or may be made.
pub(super) const fn ended(standing: Standing) -> Option<Reason> {
    match standing {
        Standing::Waiting | Standing::Approved { .. } => None,
        Standing::Expired | Standing::Unused => Some(Reason::ApprovalExpired),
        Standing::Ended(Ended::Denied) => Some(Reason::ApprovalDenied),
        Standing::Ended(Ended::Withdrawn) => Some(Reason::ApprovalWithdrawn),
        Standing::Ended(Ended::Spent { .. }) => Some(Reason::ApprovalSpent),
    }
}

/// Whether a client that declares `capabilities` can be asked to show a page.
fn shows_pages(capabilities: &Object) -> bool {
    capabilities.get("elicitation").is_some_and(|modes| modes.get("url").is_some())
}

/// Whether the page is shown, once the client says so. That says nothing of whether anybody approves (A06).
async fn answered(shown: &mut Option<Open<'_>>) -> bool {
    let Some(open) = shown else { return std::future::pending().await };
    let answer = open.answered().await;
    *shown = None;
    let action = answer.as_ref().and_then(|answer| answer.as_ref().ok()?.get("action"));
    action.and_then(Json::as_str) == Some("accept")
}

/// Tells a client that its call still waits.
fn sign_of_life(request: &mut Request, approval: Id) -> Bytes {
    let progress = request.progressed.unwrap_or_default() + PROGRESS_STEP;
    request.progressed = Some(progress);
    let params = Object::default()
        .with("progress", Json::from(serde_json::Value::from(progress)))
        .with("message", format!("waits for the approval {approval}"));
    let token = request.progress_token.as_ref().unwrap_or(&Json::Null);
    reply::progress(token, params)
}
