//! What is wrong with a gateway's surroundings, or soon will be: settings, files, disk, database, and everything that it has to reach.
//!
//! It changes nothing, works while a gateway runs and while none does, and every wait in it has an end. What it finds is a
//! value; how that is printed is the command's.

mod database;
mod files;
mod reach;
mod settings;
mod standing;

use std::path::Path;

use callgate_model::ambient::Ambient;

use crate::assemble::{self, Parts};
use crate::cases;
use crate::config::{Config, Problems};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, and should be looked at.
    Warning,
    /// Calls are refused, or something is open that must not be.
    Problem,
}

impl Level {
    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What one check says of one thing.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The check.
    pub(crate) check: &'static str,
    /// How bad it is.
    pub(crate) level: Level,
    /// What there is to say.
    pub(crate) text: String,
    /// What would help, if anything needs to.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, text: text.into(), remedy: None }
    }

    fn warning(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { check, level: Level::Warning, text: text.into(), remedy }
    }

    fn problem(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Problem, ..Self::warning(check, text, remedy) }
    }

    /// The same, as bad as that.
    fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }
}

/// Examines the gateway that the file at `path` configures.
pub(crate) async fn examine(path: &Path, ambient: &dyn Ambient) -> Vec<Finding> {
    let mut config = match Config::load(path) {
        Ok(config) => config,
        Err(problems) => {
            let places = Config::places(path);
            let beside = places.iter().flat_map(assemble::problems_beside).collect();
            return [problems, Problems(beside)].iter().flat_map(wrong).collect();
        }
    };
    let mut found = vec![Finding::ok("configuration", summary(path, &config))];
    found.extend(settings::examine(&config));
    found.extend(files::examine(path, &config));
    let (of_database, store) = database::examine(&config).await;
    found.extend(of_database);
    let parts = match assemble::parts(&config) {
        Ok(parts) => {
            found.extend(policies(&config, &parts, ambient));
            Some(parts)
        }
        Err(problems) => {
            found.extend(wrong(&problems));
            None
        }
    };
    if let Some(store) = &store {
        match standing::examine(&config, &**store, ambient.now()).await {
            Ok(standing) => found.extend(standing),
            Err(error) => found.push(database::unreadable(&config, &error.to_string())),
        }
    }
    found.extend(Box::pin(reach::examine(&mut config, parts, store.as_deref(), ambient)).await);
    found
}

fn summary(path: &Path, config: &Config) -> String {
    format!(
        "{}: {}, {}",
        path.display(),
        counted(config.servers.len(), "server"),
        counted(config.issuers.len(), "issuer")
    )
}

/// What `check` would say, too.
fn wrong(problems: &Problems) -> Vec<Finding> {
    let finding = |problem: &crate::config::Problem| {
        let text = format!("{}: {}", problem.place, problem.text);
        let remedy = problem.hint.clone();
        Finding { check: "configuration", level: Level::Problem, text, remedy }
    };
    problems.0.iter().map(finding).collect()
}

/// Policies load, or we would not be here; whether they mean what they should is what cases tell.
fn policies(config: &Config, parts: &Parts, ambient: &dyn Ambient) -> Vec<Finding> {
    const CHECK: &str = "policies";
    let (bundle, files) = (&parts.bundle, cases::files(&config.policies));
    let digest = bundle.digest().to_string();
    let loaded = format!("{} (bundle {digest:.12})", policies_of(bundle.len()));
    if files.is_empty() {
        let text = format!(
            "{loaded} load; there are no decision cases, which say what they should decide"
        );
        let remedy = format!("write some: {}", config.policies.join("cases").display());
        return vec![Finding::warning(CHECK, text, remedy)];
    }
    match cases::run(&files, &parts.catalogs, bundle, ambient.now()) {
        Ok(ran) => {
            let failed: Vec<&str> =
                ran.iter().filter(|case| case.result.is_err()).map(|case| &*case.name).collect();
            if failed.is_empty() {
                let text = format!("{loaded} load; {} pass", counted(ran.len(), "decision case"));
                return vec![Finding::ok(CHECK, text)];
            }
            let text =
                format!("{} of {} decision cases fail: {}", failed.len(), ran.len(), few(&failed));
            vec![Finding::problem(CHECK, text, "`callgate policy test` says what is different")]
        }
        Err(problem) => {
            let text = format!("{}: {}", problem.place, problem.text);
            vec![Finding::problem(CHECK, text, "mend that file of decision cases")]
        }
    }
}

fn policies_of(count: usize) -> String {
    if count == 1 { "1 policy".to_owned() } else { format!("{count} policies") }
}

/// So many of them.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first of them, and how many more there are.
fn few(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
