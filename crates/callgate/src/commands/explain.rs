//! `callgate explain`: why a call would be decided so.

use std::io::Read;
use std::path::Path;

use callgate_gateway::identity::ChainSpec;
use callgate_gateway::rehearse::{Asked as Wanted, Rehearsal, Rehearsed, Supposed, rehearse};
use callgate_model::ambient::Ambient;
use callgate_model::decision::{Decision, Verdict};
use callgate_model::evidence::target_to_json;
use callgate_model::json::{Json, JsonLimits, Object, read};
use callgate_policy::Asked;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ambient::Machine;
use crate::assemble;
use crate::cli::{Explain, Failure};
use crate::config::Config;
use crate::print;

#[derive(Deserialize)]
#[serde(untagged)]
enum CallerSpec {
    Token(String),
    Chain(ChainSpec),
}

pub(crate) fn run(options: &Explain) -> Result<(), Failure> {
    let config = options.config.load()?;
    let parts = assemble::parts(&config)?;
    let rehearsal = read_call(&options.call, &config)?;
    let rehearsed = rehearse(&parts.catalogs, &parts.bundle, &rehearsal, Machine.now())
        .map_err(|error| Failure::Other(error.to_string()))?;
    let decision = rehearsed.decision(&parts.bundle);
    if options.json {
        print::json(&as_json(&rehearsed, &decision));
    } else {
        print::line(&as_text(&rehearsal, &rehearsed, &decision));
    }
    Ok(())
}

fn read_call(path: &Path, config: &Config) -> Result<Rehearsal, Failure> {
    let place = path.display();
    let mut bytes = Vec::new();
    let got = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    got.map_err(|error| format!("{place}: {error}"))?;
    let call = read(&bytes, &JsonLimits::default()).map_err(|error| format!("{place}: {error}"))?;
    let text = |name: &str| call.get(name).and_then(Json::as_str).map(str::to_owned);
    let arguments = match call.get("arguments") {
        None => Object::default(),
        Some(Json::Object(arguments)) => arguments.clone(),
        Some(_) => return Err(format!("{place}: `arguments` is not an object").into()),
    };
    let caller = call.get("caller").ok_or_else(|| format!("{place}: the call needs a `caller`"))?;
    Ok(Rehearsal {
        caller: chain(caller, config).map_err(|error| format!("{place}: caller: {error}"))?,
        server: text("server")
            .ok_or_else(|| format!("{place}: the call needs a string `server`"))?,
        asked: Wanted::one_of(text("tool"), text("resource"), text("prompt"), arguments)
            .map_err(|error| format!("{place}: {error}"))?,
        grant: part(&call, "grant").map_err(|error| format!("{place}: grant: {error}"))?,
        supposed: Supposed {
            found: supposed(&call, "found").map_err(|error| format!("{place}: {error}"))?,
            looked_up: supposed(&call, "looked_up").map_err(|error| format!("{place}: {error}"))?,
        },
    })
}

fn supposed<T: DeserializeOwned + Default>(call: &Json, name: &str) -> Result<T, String> {
    Ok(part(call, name).map_err(|error| format!("{name}: {error}"))?.unwrap_or_default())
}

fn part<T: DeserializeOwned>(call: &Json, name: &str) -> Result<Option<T>, String> {
    let Some(part) = call.get(name) else { return Ok(None) };
    let value = serde_json::to_value(part).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map(Some).map_err(|error| error.to_string())
}

fn chain(caller: &Json, config: &Config) -> Result<ChainSpec, String> {
    let value = serde_json::to_value(caller).map_err(|error| error.to_string())?;
    match serde_json::from_value::<CallerSpec>(value) {
        Ok(CallerSpec::Chain(chain)) => Ok(chain),
        Ok(CallerSpec::Token(name)) => {
            let caller = config.tokens.get(&name).ok_or_else(|| {
                let known: Vec<&str> = config.tokens.keys().map(String::as_str).collect();
                format!("there is no token `{name}` (known: {})", known.join(", "))
            })?;
            Ok(ChainSpec::of(caller))
        }
        Err(_) => {
            Err("neither a token's name nor {human, groups, agent, class, client}".to_owned())
        }
    }
}

fn as_json(rehearsed: &Rehearsed, decision: &Decision) -> Json {
    let mut all = Object::default().with("decision", decision.to_json());
    if let Rehearsed::Explained(named, explanation) = rehearsed {
        all.set("operation", named.call.operation.name.as_str());
        all.set("effect", named.call.operation.effect.as_str());
        all.set("risk", named.call.risk.as_str());
        all.set("targets", named.targets.iter().map(target_to_json).collect::<Vec<_>>());
        all.set("asked", explanation.asked.iter().map(asked_to_json).collect::<Vec<_>>());
    }
    all.into()
}

fn asked_to_json(asked: &Asked) -> Json {
    let missed: Vec<Json> = asked
        .near
        .iter()
        .map(|near| {
            Object::default()
                .with("policy", near.policy.as_str())
                .with("missed", near.missed)
                .into()
        })
        .collect();
    Object::default()
        .with("link", asked.link.as_str())
        .with("target", asked.target.as_str())
        .with("verdict", asked.verdict.as_str())
        .with("policies", asked.policies.clone())
        .with("near_misses", missed)
        .into()
}

fn as_text(rehearsal: &Rehearsal, rehearsed: &Rehearsed, decision: &Decision) -> String {
    let mut lines = vec![format!("{} on {}", rehearsal.asked.name(), rehearsal.server)];
    if let Rehearsed::Explained(named, _) = rehearsed {
        let operation = &named.call.operation;
        let (effect, risk) = (operation.effect.as_str(), named.call.risk.as_str());
        lines.push(format!("  means    {} (effect {effect}, risk {risk})", operation.name));
        lines.extend(named.targets.iter().map(|target| format!("  touches  {target}")));
    }
    lines.push(format!("  decided  {}", decision.verdict.as_str()));
    for reason in &decision.reasons {
        lines.push(format!("  because  {}: {}", reason.code(), reason.message()));
    }
    for policy in &decision.policies {
        lines
            .push(format!("  policy   {}: {} (owner: {})", policy.id, policy.reason, policy.owner));
    }
    if let Verdict::ApprovalRequired(gates) = &decision.verdict {
        lines.extend(gates.iter().map(|g| format!("  gate     {}", g.told())));
    }
    if let Some(would) = &decision.would {
        let policies: Vec<_> = would.policies.iter().map(|policy| policy.id.as_str()).collect();
        let reasons: Vec<_> = would.codes().collect();
        lines.push(format!(
            "  would be {} if nothing were in shadow: {} by {}",
            would.verdict.as_str(),
            reasons.join("+"),
            policies.join(", ")
        ));
    }
    if let Rehearsed::Explained(_, explanation) = rehearsed {
        lines.push("asked, one by one".to_owned());
        for asked in &explanation.asked {
            let policies = asked.policies.join(", ");
            let (link, target, verdict) = (&asked.link, &asked.target, asked.verdict.as_str());
            lines.push(format!("  {link}, {target}: {verdict} [{policies}]"));
            lines.extend(asked.near.iter().map(|near| {
                format!(
                    "    near miss: {} would permit it but for its {}",
                    near.policy, near.missed
                )
            }));
        }
    }
    print::safe(&lines.join("\u{1}")).replace("\\u{1}", "\n")
}
