//! `callgate check`: everything that `serve` would find wrong, without opening anything.

use callgate_model::json::{Json, Object};

use crate::assemble;
use crate::cli::{Check, Failure};
use crate::config::{Config, Problems};
use crate::print;

pub(crate) fn run(options: &Check) -> Result<(), Failure> {
    let checked = match options.config.load() {
        Ok(config) => assemble::parts(&config).map(|parts| (config, parts)).map_err(Into::into),
        // One thing that is wrong does not hide what else is.
        Err(Failure::Config(mut problems)) => {
            let places = Config::places(&options.config.config);
            problems.0.extend(places.iter().flat_map(assemble::problems_beside));
            Err(Failure::Config(problems))
        }
        Err(failure) => Err(failure),
    };
    match checked {
        Ok((config, parts)) => {
            let places = config.evidence.elsewhere.places();
            let places: Vec<_> = places.into_iter().map(|(name, _)| Json::from(name)).collect();
            let summary = Object::default()
                .with("ok", true)
                .with("servers", config.servers.keys().map(String::as_str).collect::<Vec<_>>())
                .with("channels", config.channels.keys().map(String::as_str).collect::<Vec<_>>())
                .with("elsewhere", places)
                .with("tokens", config.tokens.keys().map(String::as_str).collect::<Vec<_>>())
                .with("operations", i64::try_from(parts.vocabulary.operations.len()).unwrap_or(0))
                .with("policies", i64::try_from(parts.bundle.len()).unwrap_or(0))
                .with("bundle", parts.bundle.digest().to_string());
            if options.json {
                print::json(&summary.into());
            } else {
                print::line(&format!(
                    "ok: servers {}, tokens {}, operations {}, policies {} (bundle {:.12})",
                    config.servers.len(),
                    config.tokens.len(),
                    parts.vocabulary.operations.len(),
                    parts.bundle.len(),
                    parts.bundle.digest().to_string()
                ));
            }
            Ok(())
        }
        Err(Failure::Config(problems)) if options.json => {
            print::json(&as_json(&problems));
            Err(Failure::Config(problems))
        }
        Err(failure) => Err(failure),
    }
}

fn as_json(problems: &Problems) -> Json {
    let all: Vec<Json> = problems
        .0
        .iter()
        .map(|problem| {
            Object::default()
                .with("place", problem.place.as_str())
                .with("problem", problem.text.as_str())
                .with("hint", problem.hint.clone())
                .into()
        })
        .collect();
    Object::default().with("ok", false).with("problems", all).into()
}
