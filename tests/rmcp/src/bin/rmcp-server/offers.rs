//! What is not a tool: two resources and a template, a prompt, completion, and who follows the board.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::ErrorData;
use rmcp::model::{
    CompleteRequestParams, CompleteResult, CompletionInfo, GetPromptRequestParams, GetPromptResult,
    Prompt, PromptArgument, PromptMessage, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate, ResourceUpdatedNotificationParam, Role, SubscriptionFilter,
};
use rmcp::service::{Peer, RoleServer, SubscriptionContext};
use serde_json::Value;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::task::AbortHandle;

use crate::server::Notes;
use crate::tools::{broken, names, write};

const BOARD: &str = "notes://board";
const RULES: &str = "notes://rules";
const NOTE: &str = "notes://note/";

/// Word of a change that a follower may be late to hear; it is the same word each time.
const UNHEARD_MAX: usize = 16;

pub(crate) fn resources() -> Vec<Resource> {
    vec![Resource::new(BOARD, "board"), Resource::new(RULES, "rules")]
}

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![ResourceTemplate::new(format!("{NOTE}{{name}}"), "note")]
}

pub(crate) fn read(notes: &Notes, uri: String) -> Result<ReadResourceResult, ErrorData> {
    let file = |name| fs::read_to_string(notes.file(name)).ok();
    let text = match uri.as_str() {
        BOARD => Some(file("board").unwrap_or_default()),
        RULES => Some("Every note is kept.".to_owned()),
        other => other.strip_prefix(NOTE).and_then(file),
    };
    let missing = || ErrorData::resource_not_found(format!("there is no {uri}"), None);
    let text = text.ok_or_else(missing)?;
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri)]))
}

pub(crate) fn prompts() -> Vec<Prompt> {
    let name = PromptArgument::new("name").with_required(true);
    vec![Prompt::new("review_note", Some("Have a note reviewed."), Some(vec![name]))]
}

pub(crate) fn prompt(
    notes: &Notes,
    request: &GetPromptRequestParams,
) -> Result<GetPromptResult, ErrorData> {
    let arguments = request.arguments.as_ref();
    let name = arguments.and_then(|arguments| arguments.get("name")).and_then(Value::as_str);
    let (Some(name), "review_note") = (name, request.name.as_str()) else {
        let wrong = format!("`{}` with these arguments is no prompt", request.name);
        return Err(ErrorData::invalid_params(wrong, None));
    };
    let note = fs::read_to_string(notes.file(name)).unwrap_or_default();
    let message = PromptMessage::new_text(Role::User, format!("Review {name}: {note}"));
    Ok(GetPromptResult::new(vec![message]))
}

/// The one argument there is, of the prompt and of the template, is the name of a note.
pub(crate) fn complete(
    notes: &Notes,
    request: &CompleteRequestParams,
) -> Result<CompleteResult, ErrorData> {
    let mut names = names(notes)?;
    names.retain(|name| name.starts_with(&request.argument.value));
    names.truncate(CompletionInfo::MAX_VALUES);
    CompletionInfo::with_all_values(names).map(CompleteResult::new).map_err(broken)
}

/// The board and who waits for news of it.
#[derive(Clone)]
pub(crate) struct Board(Sender<()>);

impl Board {
    pub(crate) fn new() -> Self {
        Self(Sender::new(UNHEARD_MAX))
    }

    pub(crate) fn post(&self, notes: &Notes, text: &str) -> Result<(), ErrorData> {
        write(notes, "board", text)?;
        // That nobody follows is no error.
        self.0.send(()).map(drop).unwrap_or_default();
        Ok(())
    }

    pub(crate) fn follow(&self) -> Receiver<()> {
        self.0.subscribe()
    }
}

/// Who follows.
#[derive(Clone, Default)]
pub(crate) struct Followers {
    /// Of the legacy era: they are told in their session.
    told: Arc<Mutex<HashMap<String, AbortHandle>>>,
    /// Of the modern era: the SDK acknowledges before it lets listen, and what comes in between must not be lost.
    early: Arc<Mutex<VecDeque<Receiver<()>>>>,
}

impl Followers {
    pub(crate) fn begin(&self, news: Receiver<()>) {
        self.early.lock().unwrap_or_else(PoisonError::into_inner).push_back(news);
    }

    pub(crate) fn begun(&self) -> Option<Receiver<()>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(crate) fn add(&self, uri: String, mut news: Receiver<()>, peer: Peer<RoleServer>) {
        let subject = uri.clone();
        let following = tokio::spawn(async move {
            while news.recv().await.is_ok() {
                let update = ResourceUpdatedNotificationParam::new(subject.clone());
                if peer.notify_resource_updated(update).await.is_err() {
                    return;
                }
            }
        });
        self.replace(uri, Some(following.abort_handle()));
    }

    pub(crate) fn remove(&self, uri: &str) {
        self.replace(uri.to_owned(), None);
    }

    fn replace(&self, uri: String, following: Option<AbortHandle>) {
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match following {
            Some(following) => all.insert(uri, following),
            None => all.remove(&uri),
        };
        if let Some(before) = before {
            before.abort();
        }
    }
}

pub(crate) fn is_followed(uri: &str) -> Result<(), ErrorData> {
    if uri == BOARD {
        return Ok(());
    }
    Err(ErrorData::invalid_params(format!("nobody can follow {uri}"), None))
}

/// Of the modern era: who listens says for what.
pub(crate) fn followed_of(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let uris = requested.resource_subscriptions.iter().flatten();
    let followed = uris.filter(|uri| *uri == BOARD).cloned();
    SubscriptionFilter::builder().resource_subscriptions(followed).build()
}

pub(crate) async fn listen(mut news: Receiver<()>, context: &SubscriptionContext) {
    loop {
        tokio::select! {
            () = context.cancelled() => return,
            heard = news.recv() => {
                if heard.is_err() || context.sink().notify_resource_updated(BOARD).await.is_err() {
                    return;
                }
            }
        }
    }
}
