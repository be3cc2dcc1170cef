//! `callgate shadow report`: what would have been decided otherwise if nothing were in shadow. Works while a gateway runs.

use callgate_model::evidence::Recorded;
use callgate_model::json::Json;

use super::evidence;
use crate::cli::Failure;
use crate::cli::replay::{Shadow, ShadowReport};
use crate::difference::{Difference, Group};
use crate::print;
use crate::recorded::{self, Unread};

pub(crate) async fn run(command: Shadow) -> Result<(), Failure> {
    match command {
        Shadow::Report(options) => report(options).await,
    }
}

async fn report(options: ShadowReport) -> Result<(), Failure> {
    let config = options.config.load()?;
    let store = match options.which.records {
        None => Some(evidence::open(&config).await?),
        Some(_) => None,
    };
    let mut found = Difference::default();
    let take = |record: Result<Recorded, Unread>| match record {
        Ok(recorded) => count(&mut found, &recorded),
        Err(unread) => found.unread(unread),
    };
    recorded::each(store.as_deref(), &options.which, take).await?;
    if options.json {
        print::json(&found.to_json().into());
        return Ok(());
    }
    let (decisions, same) = (found.decisions, found.same);
    print::line(&format!(
        "{decisions} decisions: {same} would be the same if nothing were in shadow"
    ));
    found.lines().iter().for_each(|line| print::line(line));
    Ok(())
}

/// What would be of a call on a server in shadow, and of that again what policies in shadow would make.
fn count(found: &mut Difference, recorded: &Recorded) {
    found.decisions += 1;
    let (mut was, mut would) = (recorded.verdict.clone(), recorded.would.as_ref());
    if would.is_none() {
        found.same += 1;
    }
    while let Some(decision) = would {
        let verdict = decision.get("verdict").and_then(Json::as_str).unwrap_or_default();
        let change = match verdict {
            "allow" => "would_allow",
            "deny" => "would_deny",
            _ => "would_need_approval",
        };
        let texts = |list: &str, of: &dyn Fn(&Json) -> Option<String>| -> Vec<String> {
            let all = decision.get(list).and_then(Json::as_array).unwrap_or_default();
            all.iter().filter_map(of).collect()
        };
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let group = Group {
            change: change.to_owned(),
            was: std::mem::replace(&mut was, verdict.to_owned()),
            is: verdict.to_owned(),
            reasons: texts("reasons", &text),
            policies: texts("policies", &|policy| policy.get("id").and_then(text)),
            ..Group::of(recorded)
        };
        found.changes(group, recorded.call);
        would = decision.get("would");
    }
}
