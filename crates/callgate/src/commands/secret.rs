//! `callgate secret`: what servers are called with in a person's name, sealed in the store.

use std::collections::BTreeSet;

use callgate_gateway::credential::{Credential, Scheme, open_text, seal};
use callgate_gateway::sealing::Keyring;
use callgate_model::ambient::Ambient as _;
use callgate_model::authority::{Change, SecretFor, UpstreamSecret};
use callgate_model::json::Object;
use secrecy::SecretString;

use super::caller::read;
use super::office::{Office, unread};
use crate::ambient::Machine;
use crate::cli::Failure;
use crate::cli::authority::{InForce, Secret, SecretOf, SecretSeal, SecretSet};
use crate::config::IN_CONFIGURATION;
use crate::print;

pub(crate) async fn run(command: Secret) -> Result<(), Failure> {
    match command {
        Secret::Set(options) => set(options).await,
        Secret::List(options) => list(options).await,
        Secret::Remove(options) => {
            let office = Office::open(&options.of.config).await?;
            let owner = owner(&office, &options.of)?;
            office.change(Change::SecretRemoved { owner: owner.clone() }).await?;
            print::note(&format!("{} is called for {} no more", owner.server, owner.holder));
            Ok(())
        }
        Secret::Reseal(options) => reseal(options).await,
        Secret::Seal(options) => seal_for_configuration(&options),
    }
}

async fn set(options: SecretSet) -> Result<(), Failure> {
    let office = Office::open(&options.of.config).await?;
    let owner = owner(&office, &options.of)?;
    let text = SecretString::from(read(options.file.as_deref())?);
    let scheme = Scheme::parse(&options.scheme).unwrap_or(Scheme::Bearer);
    // What could not be sent is not kept.
    Credential::new(scheme, &text).map_err(|error| error.to_string())?;
    office.change(sealed(office.keys()?, owner.clone(), scheme, &text)?).await?;
    print::note(&format!("{} is called with it for {}", owner.server, owner.holder));
    Ok(())
}

fn sealed(
    keys: &Keyring,
    owner: SecretFor,
    scheme: Scheme,
    text: &SecretString,
) -> Result<Change, Failure> {
    let sealed = seal(keys, &owner, text, Machine.random()).ok_or("it is too large")?;
    let scheme = scheme.as_str().to_owned();
    let secret = UpstreamSecret { owner, scheme, set: Machine.now(), sealed };
    Ok(Change::SecretSet { secret: Box::new(secret) })
}

/// Whose secret, for a server that takes such.
fn owner(office: &Office, of: &SecretOf) -> Result<SecretFor, Failure> {
    let holder = of.holder().ok_or("say whose it is")?;
    let holder = office.desk().subject(holder)?;
    let takes: BTreeSet<_> = office.personal_servers().collect();
    if !takes.contains(of.server.as_str()) {
        let known = takes.into_iter().collect::<Vec<_>>().join(", ");
        let text = format!(
            "`{}` has no `credential = {{ kind = \"personal\" }}`; there are: {known}",
            of.server
        );
        return Err(text.into());
    }
    Ok(SecretFor { server: of.server.clone(), holder })
}

/// Nothing is kept: the text goes where the operator puts it.
fn seal_for_configuration(options: &SecretSeal) -> Result<(), Failure> {
    let config = options.config.load()?;
    let text = read(options.file.as_deref())?;
    let keys = config.sealing.ok_or("there is no `[sealing]`: nothing could be opened later")?;
    let sealed = keys.seal(IN_CONFIGURATION, b"", text.trim().as_bytes(), Machine.random());
    print::line(&sealed.ok_or("it is too large")?);
    Ok(())
}

async fn list(options: InForce) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let all = office.store.secrets().await.map_err(unread)?;
    if all.is_empty() {
        print::note("there are no secrets");
    }
    for secret in &all {
        let owner = &secret.owner;
        let is_old = office.keys()?.needs_resealing(&secret.sealed);
        if options.json {
            let object = Object::default()
                .with("server", owner.server.as_str())
                .with("kind", owner.holder.kind.as_str())
                .with("name", owner.holder.name.as_str())
                .with("scheme", secret.scheme.as_str())
                .with("set", secret.set.to_string())
                .with("needs_resealing", is_old);
            print::json(&object.into());
        } else {
            let old = if is_old { ", sealed with an old key" } else { "" };
            let line = format!(
                "{:<16} {}  {} since {}{old}",
                owner.server, owner.holder, secret.scheme, secret.set
            );
            print::line(&print::safe(&line));
        }
    }
    Ok(())
}

async fn reseal(options: InForce) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let keys = office.keys()?;
    let all = office.store.secrets().await.map_err(unread)?;
    let (mut done, mut lost) = (0_usize, 0_usize);
    for secret in all.into_iter().filter(|secret| keys.needs_resealing(&secret.sealed)) {
        let opened = open_text(&secret, keys);
        let Some(sealed) =
            opened.and_then(|text| seal(keys, &secret.owner, &text, Machine.random()))
        else {
            print::note(&format!(
                "{} for {}: its key is not there",
                secret.owner.server, secret.owner.holder
            ));
            lost += 1;
            continue;
        };
        let secret = UpstreamSecret { sealed, ..secret };
        office.change(Change::SecretSet { secret: Box::new(secret) }).await?;
        done += 1;
    }
    if options.json {
        let object = Object::default()
            .with("resealed", i64::try_from(done).unwrap_or(i64::MAX))
            .with("lost", i64::try_from(lost).unwrap_or(i64::MAX));
        print::json(&object.into());
    } else {
        print::line(&format!("sealed anew: {done}; not to be opened: {lost}"));
    }
    if lost == 0 { Ok(()) } else { Err(Failure::No) }
}
