//! `callgate revoke` and `callgate revocation`: who and what is let in no more.

use callgate_model::ambient::{Ambient as _, Timestamp};
use callgate_model::authority::{Change, Revocation as Made};

use super::office::{Office, unread};
use crate::ambient::Machine;
use crate::cli::Failure;
use crate::cli::authority::{InForce, Revocation, Revoke, Revoked, moment};
use crate::desk::NewRevocation;
use crate::print;

pub(crate) async fn run(options: Revoke) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let Some(which) = options.which() else { return Ok(()) };
    let (change, told) = match which {
        Revoked::Token(id) => (Change::TokenRevoked { id }, format!("token {id}")),
        Revoked::Grant(id) => (Change::GrantRevoked { id }, format!("grant {id}")),
        Revoked::Subject(subject) => {
            let issued_before = issued_before(options.issued_before.as_deref())?;
            let told = format!("{subject}");
            let asked = NewRevocation {
                kind: subject.kind,
                name: subject.name,
                issued_before,
                reason: options.reason,
            };
            let revocation = office.desk().revocation(asked)?;
            let told = format!("{told} (revocation {})", revocation.id);
            (Change::Revoked { revocation: Box::new(revocation) }, told)
        }
    };
    office.change(change).await?;
    print::note(&print::safe(&format!("revoked: {told}")));
    Ok(())
}

fn issued_before(text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    match text {
        Some("now") => Ok(Some(Machine.now())),
        Some(text) => Ok(Some(moment(text)?)),
        None => Ok(None),
    }
}

pub(crate) async fn standing(command: Revocation) -> Result<(), Failure> {
    match command {
        Revocation::List(options) => list(options).await,
        Revocation::Lift(options) => {
            let office = Office::open(&options.config).await?;
            office.change(Change::RevocationLifted { id: options.id }).await?;
            print::note(&format!("revocation {} holds no more", options.id));
            Ok(())
        }
    }
}

async fn list(options: InForce) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let all = office.store.revocations().await.map_err(unread)?;
    if all.is_empty() {
        print::note("nobody is revoked");
    }
    for one in &all {
        if options.json {
            print::json(&print::shape::revocation(one).into());
        } else {
            print::line(&print::safe(&as_line(one)));
        }
    }
    Ok(())
}

fn as_line(one: &Made) -> String {
    let which = one.issued_before.map(|at| format!(", issued before {at}")).unwrap_or_default();
    format!("{}  {}{which}  since {}  {}", one.id, one.subject, one.at, one.reason)
}
