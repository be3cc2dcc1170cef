//! `callgate console`: how somebody gets in whom no issuer knows, and who is in.

use callgate_model::ambient::Ambient;
use callgate_model::authority::{Change, ConsoleSession, SignInLink};
use callgate_model::digest::Digest;
use callgate_store::SessionState;

use super::office::{Office, unread};
use crate::ambient::Machine;
use crate::cli::authority::InForce;
use crate::cli::{ConsoleLink, Failure, Sessions};
use crate::config::{FIRST, local};
use crate::console::link_to;
use crate::print;

pub(crate) async fn link(options: ConsoleLink) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let origin = office.origin(options.port)?;
    if !office.roles().knows(&options.name) {
        let text = "nobody is called `{}`: write [console.people.{}] with their `groups` and `roles`, or leave out `--for`";
        return Err(text.replace("{}", &print::safe(&options.name)).into());
    }
    let (link, code) = make(&options.name);
    let ends = link.ends;
    office.change(Change::SignInLinkMade { link: Box::new(link) }).await?;
    let name = if options.name == FIRST { "an operator" } else { &options.name };
    print::note(&format!("signs in {name}, once, until {ends}:"));
    print::line(&link_to(&origin, &code, None));
    Ok(())
}

pub(crate) async fn sessions(command: Sessions) -> Result<(), Failure> {
    match command {
        Sessions::List(options) => list(options).await,
        Sessions::End(options) => {
            let office = Office::open(&options.config).await?;
            office.change(Change::SignedOut { id: options.id }).await?;
            print::note(&format!("session {} has ended", options.id));
            Ok(())
        }
    }
}

async fn list(options: InForce) -> Result<(), Failure> {
    let office = Office::open(&options.config).await?;
    let all = office.store.sessions(Machine.now()).await.map_err(unread)?;
    if all.is_empty() {
        print::note("nobody is signed in");
    }
    for one in &all {
        let roles = office.roles().roles_of(&one.session);
        if options.json {
            print::json(&print::shape::session(one, &roles).into());
        } else {
            print::line(&print::safe(&as_line(one, &roles)));
        }
    }
    Ok(())
}

fn as_line(SessionState { session, seen }: &SessionState, roles: &[String]) -> String {
    let ConsoleSession { id, who, way, begun, ends, .. } = session;
    let roles = if roles.is_empty() { String::new() } else { format!(" ({})", roles.join(", ")) };
    format!("{id}  {who}{roles} {}  since {begun}, last seen {seen}, ends {ends}", way.told())
}

/// A link for `name`, and what is in it: that is shown once, and kept nowhere.
pub(crate) fn make(name: &str) -> (SignInLink, String) {
    let secret = [Machine.random(), Machine.random()];
    // As long as what it is a digest of, and as hard to guess.
    let code = Digest::of(secret.as_flattened()).to_string();
    let (id, digest, made) = (Machine.id(), Digest::of(code.as_bytes()), Machine.now());
    let ends = made.after_ms(SignInLink::LASTS_MS);
    (SignInLink { id, digest, who: local(name), made, ends }, code)
}
