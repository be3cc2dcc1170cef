//! `callgate evidence open` and `settle`: calls of which it is not known whether they took effect.

use std::sync::Arc;

use callgate_gateway::pipeline::ErrandError;
use callgate_model::products::gateway::NAME;
use callgate_store::{Row, unsettled_calls};

use crate::ambient::Machine;
use crate::cli::Failure;
use crate::cli::evidence::{Open, Settle};
use crate::commands::caller;
use crate::commands::evidence::{open_with, record};
use crate::print::call::CallTold;
use crate::{assemble, print};

pub(super) async fn open(options: &Open) -> Result<(), Failure> {
    let store = open_with(&options.config).await?;
    let calls = unsettled_calls(&*store, options.all, options.limit).await?;
    for (intent, outcome) in &calls {
        if options.json {
            print::line(&record(intent));
        } else {
            print::line(&print::safe(&line(intent, outcome)));
        }
    }
    if calls.is_empty() {
        print::note("no call is open: of each it is known whether it took effect");
    }
    Ok(())
}

fn line(intent: &Row, outcome: &Row) -> String {
    let told = CallTold::of(intent);
    let how = outcome.outcome.as_deref().unwrap_or_default();
    let call = intent.call.map(|call| call.to_string()).unwrap_or_default();
    format!(
        "{}  {how:<13} {:<24} {:<34} {}  {call}",
        intent.at,
        told.tool,
        told.targets.join(", "),
        told.who
    )
}

/// Settles a call in the name of whoever the token is of: as a gateway would, with the same policies and the same record.
pub(super) async fn settle(options: Settle) -> Result<(), Failure> {
    let config = options.config.load()?;
    let parts = assemble::parts(&config)?;
    let token = caller::read(options.token.as_deref())?;
    let (gateway, _store) = assemble::gateway(config, parts, Arc::new(Machine), 0).await?;
    let settled = match gateway.holder(token.trim(), NAME).await {
        Ok(by) => gateway.settle(&by, options.call, (options.finding, &options.note)).await,
        Err(wrong) => return Err(format!("the token is not accepted: {wrong}").into()),
    };
    gateway.close().await;
    match settled {
        Ok(()) => {
            print::line(&format!("{}  settled: {}", options.call, options.finding.as_str()));
            Ok(())
        }
        Err(ErrandError::Gone) => {
            let text = "it is known already what became of it, or there is no such call; see `callgate evidence open`";
            Err(text.into())
        }
        Err(error) => Err(Failure::Other(error.to_string())),
    }
}
