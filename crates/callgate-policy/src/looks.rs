//! Whether a decision could depend on something that whoever asks does not know.

use crate::bundle::{Bundle, Policy};
use crate::decide::Question;
use crate::frame::{Frame, Thing};

/// Whether a condition of a policy whose scope matches names `what` of the context, one of `names`. Read off its text: rather too
/// often yes. A name may be written with escapes.
#[must_use]
pub fn looks_at(bundle: &Bundle, question: &Question<'_>, what: &str, names: &[&str]) -> bool {
    let Some(frame) = Frame::new(bundle, question) else { return false };
    let closures = question.caller.links().iter();
    let closures = closures.map(|link| (link, bundle.names.closure(&link.uid, &link.parents)));
    let links: Vec<_> = closures.collect();
    let things = question.targets.iter();
    let things = things.filter_map(|target| Thing::new(bundle, question.call, target));
    things.into_iter().any(|thing| {
        links.iter().any(|(link, closure)| {
            let thing = (&thing.uid, &thing.closure);
            let matching = bundle.slice((&link.uid, closure), &frame.action, thing);
            matching.into_iter().any(|policy| is_about(policy, what, names))
        })
    })
}

fn is_about(policy: &Policy, what: &str, names: &[&str]) -> bool {
    let has = |part: &str| policy.text().contains(part);
    let is_escaped = has("\\u") || has("\\x");
    let is_asked = policy.alone.is_some() && !policy.in_shadow;
    is_asked && (is_escaped || (has(what) && names.iter().any(|name| has(name))))
}
