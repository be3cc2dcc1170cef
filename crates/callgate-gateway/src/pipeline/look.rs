//! What things are now that a call would change, for those who decide about it: read by the gateway itself, in the caller's
//! name, when somebody is asked to approve a call. What cannot be read is not shown; nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callgate_model::ambient::Id;
use callgate_model::approval::Look;
use callgate_model::digest::Digest;
use callgate_model::json::{Json, Object};
use callgate_model::target::{Located, Resource, Target};
use callgate_model::vocabulary::Effect;
use tokio::time::timeout;

use super::resolve::Inquiry;
use super::{Gateway, Request};
use crate::catalog::Seen;
use crate::name::NamedCall;

/// For all of them.
const WITHIN: Duration = Duration::from_secs(5);
/// Most things of one call that are looked at.
const LOOKS_MAX: usize = 5;
/// Most of a title, and of a value, that is kept, in characters.
const TITLE_CHARS_MAX: usize = 200;
const VALUE_CHARS_MAX: usize = 4_000;

impl Gateway {
    /// What the things are called that `named` touches, and what its arguments would replace.
    pub(super) async fn look(
        &self,
        request: &Request,
        named: &NamedCall,
        (bundle, call): (Digest, Id),
    ) -> Vec<Look> {
        let effect = named.call.operation.effect;
        if effect == Effect::Read {
            return Vec::new();
        }
        let Ok(set) = request.server.tools(Some(&named.call.tool)).await else { return Vec::new() };
        let mut inquiry = Inquiry::new(self, request, &set, effect, (bundle, call));
        let mut looks = Vec::new();
        let all = async {
            for target in named.targets.iter().take(LOOKS_MAX) {
                let Target::Located(Located { resource, .. }) = target else { continue };
                let known = named.seen.iter().find(|(thing, _)| thing == resource);
                let seen = match known {
                    Some((_, seen)) => Some(seen.clone()),
                    None => look_at(&mut inquiry, resource).await,
                };
                looks.extend(seen.map(|seen| told(resource, &seen, named.call.effective())));
            }
        };
        // Boxed: it is rare, and large.
        if timeout(WITHIN, Box::pin(all)).await.is_err() {
            tracing::debug!(%call, "what a call touches could not be looked at in time");
        }
        looks
    }
}

async fn look_at(inquiry: &mut Inquiry<'_>, thing: &Resource) -> Option<Seen> {
    let catalog = &inquiry.request().server.catalog;
    let resolver = Arc::clone(catalog.resolver(&thing.kind)?);
    if resolver.title.is_empty() {
        return None;
    }
    let (alias, id) = thing.id.split_once('/')?;
    let site = catalog.sites.named(alias)?;
    for ask in &resolver.asks {
        let answer = inquiry.ask(ask, &thing.kind, id, site).await;
        let seen = answer.and_then(|answer| resolver.look(ask, &answer, id));
        if seen.is_some() {
            return seen;
        }
    }
    None
}

fn told(thing: &Resource, seen: &Seen, arguments: &Object) -> Look {
    Look {
        target: format!("{} {}", thing.kind, thing.id),
        title: seen.title.as_ref().map(|title| cut(title, TITLE_CHARS_MAX)),
        now: replaced(arguments, &seen.values),
    }
}

/// What arguments, and members of those that are objects, have another value now under the same name.
fn replaced(arguments: &Object, values: &Object) -> BTreeMap<String, String> {
    let mut now = BTreeMap::new();
    let mut compare = |path: String, name: &str, value: &Json| {
        if let Some(old) = values.get(name).filter(|old| *old != value) {
            let text = old.as_str().map_or_else(|| old.to_text(), str::to_owned);
            now.insert(path, cut(&text, VALUE_CHARS_MAX));
        }
    };
    for (name, value) in arguments.iter() {
        compare(name.to_owned(), name, value);
        for (member, value) in value.as_object().into_iter().flat_map(Object::iter) {
            compare(format!("{name}.{member}"), member, value);
        }
    }
    now
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_model::json::{JsonLimits, read};

    #[test]
    fn what_would_be_replaced_is_what_differs_under_the_same_name() {
        let object = |text: &str| {
            read(text.as_bytes(), &JsonLimits::default()).unwrap().as_object().unwrap().clone()
        };
        let arguments = object(
            r#"{"id":"7","title":"new","fields":{"summary":"b","labels":["x"],"same":1,"unknown":2},"summary":"c"}"#,
        );
        let values = object(r#"{"title":"old","summary":"a","labels":[],"same":1,"id":"7"}"#);
        let now = replaced(&arguments, &values);
        let now: Vec<(&str, &str)> = now.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected =
            [("fields.labels", "[]"), ("fields.summary", "a"), ("summary", "a"), ("title", "old")];
        assert_eq!(now, expected);
        assert_eq!(cut("äöü", 2), "äö…");
    }
}
