//! `callgate policy`: decision cases, and the schema.

use std::path::PathBuf;

use callgate_gateway::rehearse::{CaseFile, run_case};
use callgate_model::ambient::Ambient;
use callgate_model::json::Object;

use crate::ambient::Machine;
use crate::assemble::{self, Parts, files_in};
use crate::cli::{Failure, PolicyTest, WithConfig};
use crate::config::{Problem, Problems};
use crate::print;

pub(crate) fn test(options: &PolicyTest) -> Result<(), Failure> {
    let config = options.config.load()?;
    let parts = assemble::parts(&config)?;
    let files = if options.files.is_empty() {
        files_in(&config.policies.join("cases"), "toml")
    } else {
        options.files.clone()
    };
    if files.is_empty() {
        let folder = config.policies.join("cases");
        return Err(Failure::Other(format!("there are no case files in `{}`", folder.display())));
    }
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for file in files {
        let cases = read_cases(&file)?;
        for case in &cases.cases {
            let result = run_case(&parts.catalogs, &parts.bundle, &cases, case, Machine.now());
            match &result {
                Ok(()) => passed += 1,
                Err(_) => failed += 1,
            }
            report(options.json, &file, &case.name, &result);
        }
    }
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

fn read_cases(file: &PathBuf) -> Result<CaseFile, Failure> {
    let problem = |text: String| {
        Failure::Config(Problems::one(Problem {
            place: file.display().to_string(),
            text,
            hint: None,
        }))
    };
    let text = std::fs::read_to_string(file).map_err(|error| problem(error.to_string()))?;
    toml::from_str(&text).map_err(|error| problem(error.to_string()))
}

pub(crate) fn schema(options: &WithConfig) -> Result<(), Failure> {
    let Parts { bundle, .. } = assemble::parts(&options.load()?)?;
    print::line(bundle.schema());
    Ok(())
}
