use std::path::Path;

use super::super::Config;
use super::super::tests::GOOD;
use super::*;

fn problems(budgets: &str) -> String {
    match Config::parse(&format!("{GOOD}\n{budgets}"), Path::new("callgate.toml")) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_budget_says_for_whom_of_what_and_how_much() {
    let text = format!(
        "{GOOD}\n{}",
        r#"
[[budgets]]
name = "deletes"
per = "agent"
servers = ["atlassian"]
effects = ["delete", "admin"]
deletes = "5 in 1h"
exact = true

[[budgets]]
name = "reach"
per = ["workflow", "human"]
calls = "1000000 in 7d"
targets = "1000 in 30m"
targets_of = "Jira::Project"
"#
    );
    let config = Config::parse(&text, Path::new("callgate.toml")).unwrap();
    let [deletes, reach] = &*config.budgets else { panic!("{:?}", config.budgets) };
    assert_eq!(deletes.per, [Per::Agent].into());
    assert_eq!(deletes.effects, [Effect::Delete, Effect::Admin].into());
    assert!(deletes.exact && !reach.exact);
    let allowances: Vec<_> =
        reach.allowances.iter().map(|one| (one.what, one.most, one.within_s)).collect();
    assert_eq!(allowances, [(What::Calls, 1_000_000, 604_800), (What::Targets, 1_000, 1_800)]);
    assert_eq!(reach.targets_of.as_deref(), Some("Jira::Project"));
}

#[test]
fn i5_what_is_wrong_with_a_budget_is_told_at_its_place() {
    let section = "[[budgets]]\nname = \"b\"\nper = \"agent\"\n";
    for (more, expected) in [
        ("", "budgets[0]: says of nothing how much there may be"),
        ("calls = \"0 in 1h\"", "budgets[0].calls: cannot be `0 in 1h`"),
        ("calls = \"5 in 8d\"", "budgets[0].calls: cannot be `5 in 8d`"),
        ("targets = \"1001 in 1h\"", "budgets[0].targets: cannot be `1001 in 1h`"),
        ("writes = \"5\"", "budgets[0].writes: cannot be `5`"),
        ("calls = \"5 in 1h\"\nservers = [\"x\"]", "budgets[0].servers: no server is called `x`"),
        ("calls = \"5 in 1h\"\neffects = [\"x\"]", "budgets[0].effects: there is no `x`"),
        (
            "calls = \"5 in 1h\"\ntargets_of = \"X\"",
            "budgets[0].targets_of: no targets are counted",
        ),
        ("cals = \"5 in 1h\"", "budgets[0]: unknown field `cals`"),
    ] {
        let found = problems(&format!("{section}{more}\n"));
        assert!(found.contains(expected), "{expected}\nnot in\n{found}");
    }
    let good = format!("{section}calls = \"5 in 1h\"\n");
    assert_eq!(problems(&good), "");
    assert!(problems(&good.repeat(2)).contains("`b` is named twice"));
    assert!(
        problems(&good.replace("agent", "agents")).contains("budgets[0].per: there is no `agents`")
    );
    assert!(problems(&good.replace("\"b\"", "\"B\"")).contains("a budget's name is of a-z"));
    let many = (0..65).map(|number| good.replace("\"b\"", &format!("\"b{number}\"")));
    assert!(problems(&many.collect::<String>()).contains("budgets: are more than 64"));
}
