//! What opaque ids were found to be: kept for a short while, for those who found it.
//!
//! An answer that one caller got is no answer to another, nor to the same one with another credential: what they may see is
//! not the same. It must not know how answers are got.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callgate_model::ambient::Timestamp;
use callgate_model::digest::Digest;
use callgate_model::target::{Located, Obstacle, Resource, Target};
use callgate_model::vocabulary::Effect;

use crate::identity::Identified;
use crate::locate::LookedUp;

/// How long what was found is taken to be so, unless the operator says otherwise.
pub const FOUND_FOR: Duration = Duration::from_secs(30);
/// The same for a call that changes something: only what was found with the calls just before it. Whoever could move the
/// thing meanwhile could choose where the change is decided.
pub const FOUND_FOR_CHANGES: Duration = Duration::from_secs(1);
/// Resources that are known at one time, of one server.
const THINGS_MAX: usize = 10_000;
/// From a thing to what contains it, and so on: a comment, its page, its space by number, its space by key.
pub(crate) const STEPS_MAX: usize = 5;
/// Callers for whom one thing is known at one time.
const HOLDERS_MAX: usize = 64;

/// For whom an answer is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    caller: Digest,
    credential: Digest,
}

impl Holder {
    /// The caller, with the credential that they come with.
    #[must_use]
    pub fn of(caller: &Identified) -> Self {
        Self { caller: caller.key, credential: caller.caller.credential.digest }
    }
}

/// Where a thing was found to belong.
pub type Places = Arc<[Located]>;

/// What was found, of one server.
#[derive(Debug)]
pub struct Finds {
    known: Mutex<Known>,
    good_for: Duration,
}

#[derive(Debug, Default)]
struct Known {
    things: HashMap<Resource, Vec<Find>>,
    /// How often everything was forgotten.
    epoch: Epoch,
}

/// A time in which nothing was moved, as far as the gateway knows.
pub type Epoch = u64;

#[derive(Debug)]
struct Find {
    holder: Holder,
    at: Timestamp,
    places: Places,
}

impl Finds {
    /// Nothing yet; what is found is good for so long.
    #[must_use]
    pub fn new(good_for: Duration) -> Self {
        Self { known: Mutex::default(), good_for }
    }

    /// What this holder found not long ago, for a call of that effect; else the present epoch, to be given to
    /// [`Finds::put`].
    ///
    /// # Errors
    /// The epoch.
    pub fn get(
        &self,
        thing: &Resource,
        (holder, effect): (Holder, Effect),
        now: Timestamp,
    ) -> Result<Places, Epoch> {
        let good_for = match effect {
            Effect::Read => self.good_for,
            Effect::Write | Effect::Share | Effect::Delete | Effect::Admin => {
                self.good_for.min(FOUND_FOR_CHANGES)
            }
        };
        let known = self.known();
        let finds = known.things.get(thing).map(Vec::as_slice).unwrap_or_default();
        let found = finds.iter().find(|find| find.holder == holder && is_good(find, good_for, now));
        found.map(|find| Arc::clone(&find.places)).ok_or(known.epoch)
    }

    /// Keeps what this holder found since `asked`, unless everything was forgotten meanwhile. If there is no room, something
    /// else is forgotten.
    pub fn put(&self, thing: Resource, found: (Holder, Places), asked: Epoch, now: Timestamp) {
        let ((holder, places), mut known) = (found, self.known());
        if known.epoch != asked {
            return;
        }
        let things = &mut known.things;
        if things.len() >= THINGS_MAX && !things.contains_key(&thing) {
            things.retain(|_, finds| finds.iter().any(|find| is_good(find, self.good_for, now)));
        }
        if things.len() >= THINGS_MAX && !things.contains_key(&thing) {
            // Far too many at one time: none of them is worth more than another.
            things.clear();
        }
        let finds = things.entry(thing).or_default();
        finds.retain(|find| find.holder != holder && is_good(find, self.good_for, now));
        if finds.len() >= HOLDERS_MAX {
            finds.remove(0);
        }
        finds.push(Find { holder, at: now, places });
    }

    /// Forgets everything, for everybody: something was moved, and what was in it with it.
    pub fn forget(&self) {
        let mut known = self.known();
        known.epoch += 1;
        let things = std::mem::take(&mut known.things);
        drop(known);
        drop(things);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_good(find: &Find, good_for: Duration, now: Timestamp) -> bool {
    // A clock that was set back makes nothing good for longer.
    find.at <= now && u128::from(now.ms_since(find.at)) < good_for.as_millis()
}

/// `thing` in the container `outer`.
pub(crate) fn inside(thing: &Resource, outer: &Located) -> Located {
    let containers = std::iter::once(&outer.resource).chain(&outer.containers).cloned();
    Located { resource: thing.clone(), containers: containers.collect() }
}

/// What a call touches besides if the value of a field is not known: policies would see it as absent, and the server may not.
pub(crate) fn unknown_field(one: &LookedUp) -> Target {
    let said = format!("field {}", one.field);
    Target::unresolved(&one.lookup.kind, "", Obstacle::UnknownForm, &said)
}

#[cfg(test)]
mod tests;
