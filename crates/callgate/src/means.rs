//! What policies may count on here: those that count on more are not put in force.

use std::collections::BTreeSet;

use callgate_policy::{Bundle, Tier};

use crate::ceremony::Ceremonies;
use crate::config::{Config, Problem, Problems};

/// What is configured that policies can name.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    /// The channels by which people are told.
    channels: BTreeSet<String>,
    /// Whether people can have passkeys.
    passkeys: bool,
}

impl Means {
    pub(crate) fn of(config: &Config) -> Self {
        let public_url = config.resources.public_url.as_deref();
        Self {
            channels: config.channels.keys().cloned().collect(),
            passkeys: public_url.is_some_and(|url| Ceremonies::at(url).is_some()),
        }
    }

    /// The bundle, if there is all that its policies count on.
    ///
    /// # Errors
    /// What there is not.
    pub(crate) fn suffice(&self, bundle: Bundle) -> Result<Bundle, Problems> {
        let unknown = |(tier, policy, channel): (Tier, &str, &str)| Problem {
            place: format!("{}/: {policy}", tier.folder()),
            text: format!("no channel is called `{channel}`"),
            hint: Some(format!("configure [notify.{channel}], or take @notify(\"{channel}\") out")),
        };
        let channels =
            bundle.channels_named().filter(|(.., named)| !self.channels.contains(*named));
        let mut problems: Vec<Problem> = channels.map(unknown).collect();
        let unproved = |policy: &str| {
            Problem {
            place: format!("approvals/: {policy}"),
            text: "nobody can have a passkey here: passkeys are of the name of the console".to_owned(),
            hint: Some("set `listen.public_url` to an address with a name, `http://localhost:PORT` on your own machine; or take @step_up out".to_owned()),
        }
        };
        if !self.passkeys {
            problems.extend(bundle.steps_up().map(unproved));
        }
        if problems.is_empty() { Ok(bundle) } else { Err(Problems(problems)) }
    }
}
