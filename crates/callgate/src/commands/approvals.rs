//! `callgate approvals`: calls that wait for somebody to let them through.

use std::sync::Arc;

use callgate_gateway::pipeline::{Ballot, ErrandError, Gateway};
use callgate_model::ambient::{Ambient as _, Id, Timestamp};
use callgate_model::approval::ApprovalState;
use callgate_model::json::{Json, JsonLimits, read};
use callgate_model::products::gateway::NAME;

use super::caller;
use super::office::{Office, unread};
use crate::ambient::Machine;
use crate::assemble;
use crate::cli::Failure;
use crate::cli::approvals::{self, Approvals, Decide, Show};
use crate::cli::authority::Listing;
use crate::habits::{Habits, percent};
use crate::notify::{self, Channel};
use crate::print;
use crate::print::approval as told_of;

pub(crate) async fn run(command: Approvals) -> Result<(), Failure> {
    match command {
        Approvals::List(options) => list(options).await,
        Approvals::Show(options) => show(options).await,
        Approvals::Approve(options) => Box::pin(decide(options, true)).await,
        Approvals::Deny(options) => Box::pin(decide(options, false)).await,
        Approvals::Review(options) => Box::pin(review(options)).await,
        Approvals::Habits(options) => habits(options).await,
        Approvals::Channels(options) => channels(options).await,
    }
}

async fn list(options: Listing) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let now = Machine.now();
    let all = office.store.approvals((!options.all).then_some(now)).await.map_err(unread)?;
    if all.is_empty() {
        print::note("nothing waits to be approved");
    }
    for state in &all {
        if options.json {
            print::json(&print::shape::approval(state, now, false).into());
        } else {
            print::line(&print::safe(&as_line(state, now)));
        }
    }
    Ok(())
}

async fn habits(options: approvals::Habits) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let all = office.store.approvals(None).await.map_err(unread)?;
    let habits = Habits::of(&all, Machine.now());
    if options.json {
        print::json(&print::shape::habits(&habits).into());
        return Ok(());
    }
    if habits.said == 0 {
        print::note("nobody has decided about a call yet");
    }
    for (name, figure) in told_of::habits(&habits) {
        print::line(&format!("{name:<24} {figure}"));
    }
    for (gate, said) in &habits.gates {
        let all = said.approved + said.denied;
        let share = percent(said.approved, all);
        print::line(&print::safe(&format!("gate {gate:<19} {share} % of {all} approved")));
    }
    habits.suggestions().iter().for_each(|text| print::line(&print::safe(text)));
    Ok(())
}

async fn channels(options: approvals::Channels) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let all = office.store.channels(Machine.now()).await.map_err(unread)?;
    let configured = office.channels();
    // What was not told anything yet is known by the configuration alone.
    let all = notify::all(all, configured);
    if all.is_empty() {
        print::note("no channel is configured");
    }
    for state in &all {
        let kind = configured.get(&state.channel).map(Channel::kind);
        if options.json {
            print::json(&print::shape::channel(state, kind).into());
        } else {
            print::line(&print::safe(&told_of::channel(state, kind)));
        }
    }
    Ok(())
}

async fn show(options: Show) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let state = office.store.approval(options.id).await.map_err(unread)?;
    told(&state.ok_or_else(|| none(options.id))?, true, options.json);
    Ok(())
}

/// Decides in the name of whoever the token is of: as a gateway would, with the same policies and the same record.
async fn decide(options: Decide, approves: bool) -> Result<(), Failure> {
    let config = options.config.load()?;
    let parts = assemble::parts(&config)?;
    let token = caller::read(options.token.as_deref())?;
    let (gateway, _store) = assemble::gateway(config, parts, Arc::new(Machine), 0).await?;
    let decided = vote(&gateway, &options, token.trim(), approves).await;
    gateway.close().await;
    told(&decided?, false, options.json);
    Ok(())
}

/// Says in the name of whoever the token is of whether it was right to break the glass.
async fn review(options: approvals::Review) -> Result<(), Failure> {
    let config = options.config.load()?;
    let parts = assemble::parts(&config)?;
    let token = caller::read(options.token.as_deref())?;
    let (gateway, _store) = assemble::gateway(config, parts, Arc::new(Machine), 0).await?;
    let reviewed = match gateway.holder(token.trim(), NAME).await {
        Ok(by) => gateway.review_glass(&by, options.id, (options.verdict, &options.note)).await,
        Err(wrong) => return Err(format!("the token is not accepted: {wrong}").into()),
    };
    gateway.close().await;
    told(&reviewed.map_err(undone)?, false, options.json);
    Ok(())
}

async fn vote(
    gateway: &Arc<Gateway>,
    options: &Decide,
    token: &str,
    approves: bool,
) -> Result<ApprovalState, Failure> {
    let voter = gateway.holder(token, NAME).await;
    let voter = voter.map_err(|wrong| format!("the token is not accepted: {wrong}"))?;
    let store = gateway.authority().ok_or("there is no store")?;
    let state = store.approval(options.id).await.map_err(unread)?;
    let approval = state.ok_or_else(|| none(options.id))?.approval;
    if options.code != approval.short_code() {
        let text =
            "the code is another one: look at the approval again (`callgate approvals show`)";
        return Err(Failure::Other(text.to_owned()));
    }
    let (reason, shown) = (options.reason.clone(), approval.shown());
    let ballot = Ballot { approves, grants: options.grant, reason, shown, proof: None };
    gateway.vote(&voter, options.id, ballot).await.map_err(undone)
}

fn undone(error: ErrandError) -> Failure {
    match error {
        ErrandError::Refused(decision) => {
            let codes = decision.codes().collect::<Vec<_>>().join(", ");
            Failure::Other(format!("policy does not let you decide about it ({codes})"))
        }
        ErrandError::Gone => Failure::Other("it waits no more, or you have said so already".into()),
        ErrandError::Wrong(text) => Failure::Other(text),
        ErrandError::Unavailable => Failure::Other("the store fails".into()),
    }
}

fn none(id: Id) -> Failure {
    Failure::Other(format!("there is no approval {id}"))
}

fn told(state: &ApprovalState, whole: bool, json: bool) {
    let now = Machine.now();
    if json {
        print::json(&print::shape::approval(state, now, whole).into());
    } else if whole {
        print::line(&print::safe(&as_text(state, now).join("\u{1}")).replace("\\u{1}", "\n"));
    } else {
        print::line(&print::safe(&as_line(state, now)));
    }
}

fn as_line(state: &ApprovalState, now: Timestamp) -> String {
    let approval = &state.approval;
    let about = &approval.about;
    let targets = told_of::targets(state).join(", ");
    format!(
        "{}  {}  {:<10} {} on {}: {} {targets}  {}  {}",
        approval.id,
        approval.short_code(),
        state.standing(now).as_str(),
        about.tool,
        about.server,
        about.operation,
        approval.asker.summary(),
        told_of::clock(state, now),
    )
}

/// Everything that somebody who decides has to know, as it is and not as whoever asks tells it.
fn as_text(state: &ApprovalState, now: Timestamp) -> Vec<String> {
    let approval = &state.approval;
    let (about, asker) = (&approval.about, &approval.asker);
    let mut lines = vec![format!("{}  {}", approval.id, state.standing(now).as_str())];
    let mut say = |name: &str, text: String| lines.push(format!("  {name:<12} {text}"));
    say("code", approval.short_code());
    say("asked by", asker.summary());
    say("through", format!("{} ({})", asker.client, asker.credential));
    asker.workflow.iter().for_each(|run| say("in the run", run.clone()));
    say("tool", format!("{} on {}", about.tool, about.server));
    say("means", format!("{}: {}", about.operation, about.title));
    say("effect", format!("{}, {} risk, {}", about.effect, about.risk, about.reversibility));
    told_of::targets(state).into_iter().for_each(|target| say("touches", target));
    for look in &approval.looks {
        look.title.iter().for_each(|title| say("called", format!("{}: {title}", look.target)));
        look.now.iter().for_each(|(at, value)| say("now", format!("{at} = {value}")));
    }
    for gate in &approval.gates {
        say("gate", gate.told());
    }
    say("clock", told_of::clock(state, now));
    about.why.iter().for_each(|why| say("agent says", format!("{why} (not checked)")));
    told_of::votes(state).into_iter().for_each(|vote| say("said", vote));
    told_of::offer(approval).into_iter().for_each(|offer| say("or grant", offer));
    let whole = read(approval.arguments.as_bytes(), &JsonLimits::default());
    let Ok(Json::Object(arguments)) = whole else {
        // It has ended: what is left of them is what records show.
        say("arguments", about.arguments.to_string());
        return lines;
    };
    for (name, value) in arguments.iter() {
        say("argument", format!("{name} = {}", value.to_text()));
    }
    lines
}
