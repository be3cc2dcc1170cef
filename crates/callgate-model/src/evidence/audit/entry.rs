//! What kinds of entries there are, and what each of them has to name.

use super::{Breach, Rule};
use crate::evidence::{About, ByApproval, Entry, Kind};

/// Reads an entry that is one in every byte, and names what its kind has to.
pub(super) fn read(text: &[u8]) -> Result<Entry, Breach> {
    let entry = std::str::from_utf8(text).ok().and_then(Entry::parse);
    let entry =
        entry.ok_or_else(|| form("an entry of format 2 in its one form", "something else"))?;
    let kind = entry.kind;
    let About { approval, call, change, continues, outcome } = &entry.about;
    let of_call = matches!(kind, Kind::Intent | Kind::Refusal | Kind::Outcome | Kind::Settled);
    for (name, has, wants) in [
        ("call", call.is_some(), of_call),
        ("change", change.is_some(), kind == Kind::Change),
        ("outcome", outcome.is_some(), kind == Kind::Outcome),
    ] {
        if has != wants {
            let (expected, found) = if wants { ("a", "none") } else { ("no", "one") };
            return Err(form(format!("{expected} `{name}` of {}", kind.as_str()), found));
        }
    }
    if continues.is_some() && kind != Kind::Intent {
        return Err(form(format!("no `continues` of {}", kind.as_str()), "one"));
    }
    check_approval(kind, change.as_deref(), *approval).map(|()| entry)
}

/// Which entries name an approval, and which of them what it binds.
fn check_approval(
    kind: Kind,
    change: Option<&str>,
    approval: Option<ByApproval>,
) -> Result<(), Breach> {
    let of_change = match change {
        Some("approval_requested") => Some(true),
        Some("approval_expired" | "approval_voted" | "approval_withdrawn" | "glass_broken") => {
            Some(false)
        }
        Some(_) | None => None,
    };
    match (approval, of_change) {
        (None, Some(_)) => Err(form("an `approval`", "none")),
        (Some(ByApproval { binding, spends, .. }), _) if kind == Kind::Intent => {
            if binding.is_none() && spends {
                return Err(form("an `approval.binding` of what spends it", "none"));
            }
            Ok(())
        }
        (Some(ByApproval { binding, spends: false, .. }), Some(binds))
            if binding.is_some() == binds =>
        {
            Ok(())
        }
        (None, None) => Ok(()),
        (Some(_), _) => Err(form("no such `approval`", "one")),
    }
}

fn form(expected: impl Into<String>, found: impl Into<String>) -> Breach {
    Breach::new(Rule::Form, expected, found)
}
