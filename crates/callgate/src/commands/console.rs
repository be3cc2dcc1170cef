//! `callgate console`: how somebody gets in whom no issuer knows.

use callgate_model::ambient::Ambient;
use callgate_model::authority::{Change, SignInLink};
use callgate_model::digest::Digest;

use super::office::Office;
use crate::ambient::Machine;
use crate::cli::{ConsoleLink, Failure};
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

/// A link for `name`, and what is in it: that is shown once, and kept nowhere.
pub(crate) fn make(name: &str) -> (SignInLink, String) {
    let secret = [Machine.random(), Machine.random()];
    // As long as what it is a digest of, and as hard to guess.
    let code = Digest::of(secret.as_flattened()).to_string();
    let (id, digest, made) = (Machine.id(), Digest::of(code.as_bytes()), Machine.now());
    let ends = made.after_ms(SignInLink::LASTS_MS);
    (SignInLink { id, digest, who: local(name), made, ends }, code)
}
