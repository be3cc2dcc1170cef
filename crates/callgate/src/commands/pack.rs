//! `callgate evidence pack`: a folder for an auditor. Works while a gateway is running.

use callgate_model::ambient::Ambient as _;
use callgate_model::json::Object;

use super::privilege::secret_files;
use crate::ambient::Machine;
use crate::assemble;
use crate::cli::Failure;
use crate::cli::evidence::Pack;
use crate::pack::{self, Packed, Period, Standing, Wanted};
use crate::{keeping, print};

pub(super) async fn run(options: Pack) -> Result<(), Failure> {
    let period = Period { from: options.from, to: options.to };
    if period.from >= period.to {
        return Err("the period ends before it begins: `--from` has to be before `--to`".into());
    }
    let config = options.config.load()?;
    let keys = keeping::verifiers(&config)?;
    let parts = assemble::parts(&config)?;
    let store = super::evidence::open(&config).await?;
    let mut standing = Standing::of(&config, parts, secret_files(&config));
    let wanted = Wanted {
        folder: &options.folder,
        period,
        sample: usize::try_from(options.sample).unwrap_or_default(),
        seed: options.seed.as_deref(),
        now: Machine.now(),
    };
    let mut progress = print::Progress::new("records");
    let tell = |done, of| progress.tell(done, of);
    let packed = Box::pin(pack::write(&*store, &mut standing, &keys, &wanted, tell)).await?;
    if options.json {
        print::json(&json(&options, &packed).into());
    } else {
        words(&options, &packed).iter().for_each(|line| print::line(&print::safe(line)));
    }
    if packed.broken.is_some() { Err(Failure::No) } else { Ok(()) }
}

fn words(options: &Pack, packed: &Packed) -> Vec<String> {
    let folder = options.folder.display();
    let mut words = vec![format!(
        "{folder}: {} records of the period, in a log of {} entries",
        packed.records, packed.entries
    )];
    let controls = packed.controls.iter().map(|(status, count)| format!("{count} {status}"));
    words.push(format!("controls: {}", controls.collect::<Vec<_>>().join(", ")));
    match &packed.broken {
        Some(problem) => words.push(format!("BROKEN: {problem}")),
        None => words.push(format!(
            "Begin with {folder}/report.html; {folder}/README.md says how to check all of it."
        )),
    }
    words
}

fn json(options: &Pack, packed: &Packed) -> Object {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let controls = packed.controls.iter().fold(Object::default(), |all, (status, count)| {
        all.with(&status.replace(' ', "_"), i64::try_from(*count).unwrap_or(i64::MAX))
    });
    Object::default()
        .with("folder", options.folder.display().to_string())
        .with("records", number(packed.records))
        .with("entries", number(packed.entries))
        .with("controls", controls)
        .with("verdict", if packed.broken.is_some() { "broken" } else { "whole" })
        .with("problem", packed.broken.clone())
}
