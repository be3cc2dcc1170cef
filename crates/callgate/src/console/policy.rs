//! The page about the policies in force: since when, whose each is and what it asks for, what is wrong with those on disk, and
//! what the decision cases say.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use callgate_model::json::Object;
use callgate_model::products::gateway::Errand;
use callgate_policy::{Bundle, PolicyText, Tier};
use http::StatusCode;
use serde::Deserialize;

use super::{Console, not_understood, page, query, refused};
use crate::print::approval::{duration, moment};
use crate::print::{safe, safe_lines};
use crate::reload::Loaded;

/// Policies of one folder on the page.
const POLICIES_MAX: usize = 100;
/// Problems, and cases that fail, on the page.
const PROBLEMS_MAX: usize = 50;

/// What is looked for. Empty text looks for everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    owner: String,
    /// What stands anywhere in it.
    text: String,
}

#[derive(Template)]
#[template(path = "console/policy.html")]
struct Policies<'a> {
    who: &'a str,
    csrf: &'a str,
    wanted: &'a Wanted,
    digest: String,
    since: String,
    count: usize,
    problems: Shortened,
    cases: Cases,
    folders: Vec<Folder>,
}

/// The first of some texts.
struct Shortened {
    texts: Vec<String>,
    more: usize,
}

struct Cases {
    passed: usize,
    failed: Shortened,
    /// Why they were not run.
    unread: Option<String>,
}

/// One of the three folders.
struct Folder {
    name: &'static str,
    says: &'static str,
    policies: Vec<Told>,
    more: usize,
}

/// A policy in words.
struct Told {
    id: String,
    reason: String,
    owner: String,
    gate: Option<String>,
    in_shadow: bool,
    text: String,
}

pub(super) async fn show(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Response> {
    let (head, visitor) = console.open(request).await?;
    let wanted: Wanted = query(&head).ok_or_else(not_understood)?;
    let gateway = &console.front.gateway;
    let asked =
        Object::default().with("owner", wanted.owner.as_str()).with("text", wanted.text.as_str());
    let work = async { Ok((gateway.bundle(), console.premises.policies.borrow().clone())) };
    let found = gateway.run_errand(&visitor.caller, Errand::PolicyShow, None, asked, work);
    let (bundle, loaded) = found.await.map_err(refused)?;
    let page_of = Policies {
        who: &visitor.who(),
        csrf: visitor.session.csrf(),
        digest: bundle.digest().to_string(),
        since: moment(loaded.since),
        count: bundle.len(),
        problems: Shortened::of(loaded.problems.iter().map(String::as_str)),
        cases: Cases::of(&loaded),
        folders: Tier::ALL.iter().map(|tier| Folder::of(*tier, &bundle, &wanted)).collect(),
        wanted: &wanted,
    };
    Ok(page(StatusCode::OK, &page_of))
}

impl Shortened {
    fn of<'a>(all: impl Iterator<Item = &'a str>) -> Self {
        let mut texts: Vec<String> = all.map(safe).collect();
        let more = texts.len().saturating_sub(PROBLEMS_MAX);
        texts.truncate(PROBLEMS_MAX);
        Self { texts, more }
    }
}

impl Cases {
    fn of(loaded: &Loaded) -> Self {
        let (ran, unread) = match &loaded.cases {
            Ok(ran) => (ran.as_slice(), None),
            Err(why) => (&[][..], Some(safe(why))),
        };
        let failed = ran.iter().filter_map(|case| {
            let difference = case.result.as_ref().err()?;
            Some(format!("{}: {difference}", case.name))
        });
        let failed: Vec<String> = failed.collect();
        let passed = ran.len() - failed.len();
        Self { passed, failed: Shortened::of(failed.iter().map(String::as_str)), unread }
    }
}

impl Folder {
    fn of(tier: Tier, bundle: &Bundle, wanted: &Wanted) -> Self {
        let says = match tier {
            Tier::Guardrail => "Forbids that nothing lifts.",
            Tier::Approval => "Forbids that an approval lifts, for one call.",
            Tier::Permit => "What is allowed at all.",
        };
        let fits = |policy: &PolicyText<'_>| policy.tier == tier && wanted.fits(policy);
        let mut policies: Vec<PolicyText<'_>> = bundle.texts().filter(fits).collect();
        policies.sort_by_key(|policy| &policy.about.id);
        let more = policies.len().saturating_sub(POLICIES_MAX);
        let policies = policies.iter().take(POLICIES_MAX).map(Told::of).collect();
        Self { name: tier.folder(), says, policies, more }
    }
}

impl Wanted {
    fn fits(&self, policy: &PolicyText<'_>) -> bool {
        let owner = self.owner.trim();
        let text = self.text.trim().to_lowercase();
        (owner.is_empty() || policy.about.owner == owner)
            && (text.is_empty() || policy.text.to_lowercase().contains(&text))
    }
}

impl Told {
    fn of(policy: &PolicyText<'_>) -> Self {
        let gate = policy.gate.map(|gate| {
            format!(
                "{} of {}, within {}; good for {}",
                gate.quorum,
                gate.approvers,
                duration(gate.decide_within_s),
                duration(gate.use_within_s)
            )
        });
        Self {
            id: safe(&policy.about.id),
            reason: safe(&policy.about.reason),
            owner: safe(&policy.about.owner),
            gate: gate.map(|gate| safe(&gate)),
            in_shadow: policy.in_shadow,
            text: safe_lines(policy.text),
        }
    }
}
