//! `callgate grant`: authority for a while and so many calls.

use callgate_model::ambient::{Ambient as _, Timestamp};
use callgate_model::authority::{Change, Grant as Given, Holder};
use callgate_store::GrantState;

use super::office::{Office, unread};
use crate::ambient::Machine;
use crate::cli::Failure;
use crate::cli::authority::{ById, Grant, GrantCreate, Listing};
use crate::print;

pub(crate) async fn run(command: Grant) -> Result<(), Failure> {
    match command {
        Grant::Create(options) => create(*options).await,
        Grant::List(options) => list(options).await,
        Grant::Revoke(options) => revoke(&options).await,
    }
}

async fn create(options: GrantCreate) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let json = options.json;
    let grant = office.desk().grant(options.into(), &office.by)?;
    let left = grant.uses;
    office.change(Change::GrantIssued { grant: Box::new(grant.clone()) }).await?;
    let state = GrantState { grant, left, revoked: None };
    if json {
        print::json(&print::shape::grant(&state).into());
    } else {
        print::line(&print::safe(&as_line(&state, Machine.now())));
    }
    Ok(())
}

async fn revoke(options: &ById) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    office.change(Change::GrantRevoked { id: options.id }).await?;
    print::note(&format!("grant {} is good no more", options.id));
    Ok(())
}

async fn list(options: Listing) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let now = Machine.now();
    let all = office.store.grants((!options.all).then_some(now)).await.map_err(unread)?;
    if all.is_empty() {
        print::note("there are no grants");
    }
    for state in &all {
        if options.json {
            print::json(&print::shape::grant(state).into());
        } else {
            print::line(&print::safe(&as_line(state, now)));
        }
    }
    Ok(())
}

fn as_line(state: &GrantState, now: Timestamp) -> String {
    let GrantState { grant, left, revoked } = state;
    let standing = match revoked {
        Some(at) => format!("revoked {at}"),
        None if *left == 0 => "spent".to_owned(),
        None if grant.ends <= now => format!("ended {}", grant.ends),
        None if grant.begins > now => format!("from {} until {}", grant.begins, grant.ends),
        None => format!("until {}", grant.ends),
    };
    let ticket = grant.ticket.as_ref().map(|ticket| format!(" [{ticket}]")).unwrap_or_default();
    format!(
        "{}  {}  {}  {left} of {} left, {standing}  {}{ticket}",
        grant.id,
        who(&grant.holder),
        what(grant),
        grant.uses,
        grant.reason
    )
}

fn who(holder: &Holder) -> String {
    let links = [&holder.human, &holder.service_account, &holder.agent, &holder.client];
    let mut named: Vec<_> = links.into_iter().flatten().cloned().collect();
    named.extend(holder.workflow.as_ref().map(|run| format!("run {run}")));
    named.join(" via ")
}

fn what(grant: &Given) -> String {
    let join = |all: Vec<String>| all.join(",");
    let actions = join(grant.scope.actions.iter().cloned().collect());
    let places: Vec<_> = grant.scope.within.iter().map(|place| place.id.clone()).collect();
    let places = if places.is_empty() { "anywhere".to_owned() } else { join(places) };
    format!("{actions} in {places}")
}
