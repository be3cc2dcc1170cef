//! `callgate token`: the gateway's own tokens.

use callgate_model::ambient::{Ambient as _, Timestamp};
use callgate_model::authority::{ApiToken, Change, Secret};
use callgate_store::TokenState;

use super::office::{Office, unread};
use crate::ambient::Machine;
use crate::cli::Failure;
use crate::cli::authority::{ById, Listing, Token, TokenCreate, TokenRotate};
use crate::print;
use crate::print::shape::made_token;

pub(crate) async fn run(command: Token) -> Result<(), Failure> {
    match command {
        Token::Create(options) => create(*options).await,
        Token::List(options) => list(options).await,
        Token::Rotate(options) => rotate(options).await,
        Token::Revoke(options) => revoke(&options).await,
    }
}

async fn create(options: TokenCreate) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let json = options.json;
    let (token, secret) = office.desk().token(options.into())?;
    office.change(Change::TokenIssued { token: Box::new(token.clone()) }).await?;
    show(&token, &secret, json);
    Ok(())
}

async fn rotate(options: TokenRotate) -> Result<(), Failure> {
    let office = Office::open(&options.by_id.config).await?;
    let id = options.by_id.id;
    let old = office.store.token(id).await.map_err(unread)?;
    let old = old.ok_or_else(|| format!("there is no token `{id}`"))?;
    let (token, old_ends, secret) = office.desk().rotation(old, options.overlap_hours)?;
    office.change(Change::TokenRotated { token: Box::new(token.clone()), old_ends }).await?;
    show(&token, &secret, options.json);
    if !options.json {
        print::note(&format!("the old one is good until {old_ends}"));
    }
    Ok(())
}

async fn revoke(options: &ById) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    office.change(Change::TokenRevoked { id: options.id }).await?;
    print::note(&format!("token {} is good no more", options.id));
    Ok(())
}

/// The one time that a token's text is seen: alone on standard output, so that it can be piped to where it is kept.
fn show(token: &ApiToken, secret: &Secret, json: bool) {
    if json {
        print::json(&made_token(token).with("secret", secret.expose()).into());
        return;
    }
    print::note(&format!("token {} for {}, good until {}", token.id, who(token), token.ends));
    print::note("keep it where secrets are kept; it is not shown again:");
    print::line(secret.expose());
}

async fn list(options: Listing) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let now = Machine.now();
    let all = office.store.tokens((!options.all).then_some(now)).await.map_err(unread)?;
    if all.is_empty() {
        print::note("there are no tokens");
    }
    for state in &all {
        if options.json {
            print::json(&print::shape::token(state).into());
        } else {
            print::line(&print::safe(&as_line(state, now)));
        }
    }
    Ok(())
}

fn as_line(state: &TokenState, now: Timestamp) -> String {
    let token = &state.token;
    let standing = match state.revoked {
        Some(at) => format!("revoked {at}"),
        None if state.ends <= now => format!("ended {}", state.ends),
        None => format!("until {}", state.ends),
    };
    let used = state.used.map_or("not used".to_owned(), |at| format!("used {at}"));
    format!("{}  {:<20} {:<34} {standing}  {used}", token.id, token.name, who(token))
}

fn who(token: &ApiToken) -> String {
    match &token.service_account {
        Some(service) => format!("{service} via {} (owner {})", token.agent, token.owner),
        None => format!("{} via {}", token.owner, token.agent),
    }
}
