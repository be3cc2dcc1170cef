//! What a server would answer to the gateway's own questions, as people write it: nobody asks it in a rehearsal.

use std::collections::BTreeMap;

use callgate_model::products::atlassian;
use callgate_model::target::{Located, Obstacle, Resource, Target};
use callgate_model::vocabulary::FieldValue;
use callgate_policy::Bundle;
use serde::Deserialize;

use crate::catalog::ServerCatalog;
use crate::name::NamedCall;
use crate::resolve::{STEPS_MAX, inside, unknown_field};

/// What is supposed to be found.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Supposed {
    /// Where things belong whose ids do not tell, or what they are called: `Confluence::Page::"acme/123"` is in
    /// `Confluence::Space::"acme/DOCS"`.
    pub found: BTreeMap<String, OneOrMore>,
    /// The values of fields that are asked for.
    pub looked_up: BTreeMap<String, String>,
}

/// One container, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl Supposed {
    /// Puts into `named` what is supposed; what is not stays unresolved, as it would if the server did not say.
    ///
    /// # Errors
    /// What is not written as policies write it, or is in no site of the server.
    pub(super) fn settle(
        &self,
        named: &mut NamedCall,
        catalog: &ServerCatalog,
        bundle: &Bundle,
    ) -> Result<(), String> {
        let mut targets = Vec::new();
        for target in &named.targets {
            let found = match target {
                Target::Unresolved(open) if open.obstacle == Obstacle::OpaqueId => {
                    self.places(&Resource::new(&*open.kind, &*open.spelled), catalog, STEPS_MAX)?
                }
                Target::Located(_) | Target::Unresolved(_) => None,
            };
            match found {
                Some(places) => targets.extend(places.into_iter().map(Target::Located)),
                None => targets.push(target.clone()),
            }
        }
        for one in named.looked_up.iter().filter(|one| bundle.looks_up(&one.field)) {
            match self.looked_up.get(&one.field) {
                Some(value) => {
                    let value = FieldValue::Text(value.clone());
                    named.call.fields.insert(one.field.clone(), value);
                }
                None => targets.push(unknown_field(one)),
            }
        }
        named.targets = targets;
        Ok(())
    }

    fn places(
        &self,
        thing: &Resource,
        catalog: &ServerCatalog,
        steps: usize,
    ) -> Result<Option<Vec<Located>>, String> {
        let key = format!("{}::\"{}\"", thing.kind, thing.id);
        let (Some(steps), Some(found)) = (steps.checked_sub(1), self.found.get(&key)) else {
            return Ok(None);
        };
        let texts = match found {
            OneOrMore::One(text) => std::slice::from_ref(text),
            OneOrMore::More(texts) => texts,
        };
        let mut places = Vec::new();
        for text in texts {
            let unreadable =
                || format!("`{text}` is not in a site of the server, as in `Kind::\"site/id\"`");
            let outer = Resource::parse(text).ok_or_else(unreadable)?;
            let (alias, id) = outer.id.split_once('/').ok_or_else(unreadable)?;
            let site = catalog.sites.named(alias).ok_or_else(unreadable)?;
            let located = match atlassian::locate(&outer.kind, &[id], site) {
                Target::Located(located) => Some(vec![located]),
                Target::Unresolved(_) => self.places(&outer, catalog, steps)?,
            };
            let Some(located) = located else { return Ok(None) };
            let is_name = outer.kind == thing.kind;
            let place = |outer| if is_name { outer } else { inside(thing, &outer) };
            places.extend(located.into_iter().map(place));
        }
        Ok(Some(places))
    }
}
