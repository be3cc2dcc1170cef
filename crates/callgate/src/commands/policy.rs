//! `callgate policy`: decision cases, and the schema.

use callgate_model::ambient::Ambient;
use callgate_model::json::Object;

use crate::ambient::Machine;
use crate::assemble::{self, Parts};
use crate::cases;
use crate::cli::{Failure, PolicyTest, WithConfig};
use crate::config::Problems;
use crate::print;

pub(crate) fn test(options: &PolicyTest) -> Result<(), Failure> {
    let config = options.config.load()?;
    let parts = assemble::parts(&config)?;
    let files = if options.files.is_empty() {
        cases::files(&config.policies)
    } else {
        options.files.clone()
    };
    if files.is_empty() {
        let folder = config.policies.join("cases");
        return Err(Failure::Other(format!("there are no case files in `{}`", folder.display())));
    }
    let ran = cases::run(&files, &parts.catalogs, &parts.bundle, Machine.now());
    let ran = ran.map_err(|problem| Failure::Config(Problems::one(problem)))?;
    ran.iter().for_each(|case| report(options.json, &case.file, &case.name, &case.result));
    let passed = ran.iter().filter(|case| case.result.is_ok()).count();
    let failed = ran.len() - passed;
    if !options.json {
        print::line(&format!("{passed} passed, {failed} failed"));
    }
    if failed == 0 { Ok(()) } else { Err(Failure::No) }
}

fn report(json: bool, file: &std::path::Path, name: &str, result: &Result<(), String>) {
    if json {
        print::json(
            &Object::default()
                .with("file", file.display().to_string())
                .with("case", name)
                .with("passed", result.is_ok())
                .with("difference", result.as_ref().err().cloned())
                .into(),
        );
        return;
    }
    match result {
        Ok(()) => print::line(&format!("pass  {name}")),
        Err(difference) => {
            print::line(&format!("FAIL  {name} ({})\n      {difference}", file.display()))
        }
    }
}

pub(crate) fn schema(options: &WithConfig) -> Result<(), Failure> {
    let Parts { bundle, .. } = assemble::parts(&options.load()?)?;
    print::line(bundle.schema());
    Ok(())
}
