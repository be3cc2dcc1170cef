//! What reading a resource touches: the resource, and whatever its URI names by the rules of the catalog.
//!
//! Only the server knows which other URIs mean the same. So if a catalog has rules for the URIs of a scheme, one of that
//! scheme that is of no shape is not a URI without a rule, but one that may be any of them (Z02).

use callgate_model::products::mcp;
use callgate_model::reason::Reason;
use callgate_model::target::{Obstacle, Target};
use callgate_model::vocabulary::Risk;

use super::Targets;
use crate::catalog::{ResourceRule, ServerCatalog, scheme};

impl ServerCatalog {
    /// What reading `uri` touches, `resource` itself first; and how bad a wrong read is.
    ///
    /// # Errors
    /// [`Reason::TooManyTargets`].
    pub fn locate_uri(&self, resource: Target, uri: &str) -> Result<(Risk, Vec<Target>), Reason> {
        let scheme = scheme(uri);
        let near: Vec<&ResourceRule> = self
            .resources()
            .filter(|rule| scheme.is_none_or(|own| own.eq_ignore_ascii_case(rule.shape.scheme())))
            .collect();
        let mut targets = Targets { all: vec![resource], ..Targets::default() };
        let Some(worst) = near.iter().map(|rule| rule.risk).max() else {
            return Ok((self.read_resource().risk, targets.all));
        };
        let located = near.iter().find_map(|rule| self.by_rule(rule, uri));
        let (risk, named) = located.transpose()?.unwrap_or_else(|| {
            (worst, vec![Target::unresolved(mcp::RESOURCE, "", Obstacle::UnknownForm, uri)])
        });
        named.into_iter().try_for_each(|target| targets.add(target))?;
        Ok((risk, targets.all))
    }

    /// What `uri` names by `rule`, if that is certain.
    fn by_rule(
        &self,
        rule: &ResourceRule,
        uri: &str,
    ) -> Option<Result<(Risk, Vec<Target>), Reason>> {
        let mut values = rule.shape.read(uri)?;
        let named = self.located(&rule.targets, &values);
        // Some servers read the host of a URI in lower case. Unless that is the same thing, it is not known which.
        if let Some(host) = rule.shape.host()
            && let Some(written) = values.get(host).and_then(|host| host.as_str())
        {
            let lower = written.to_lowercase();
            values.set(host, lower);
            if self.located(&rule.targets, &values) != named {
                return None;
            }
        }
        match named {
            // Nobody is asked what a name in a URI means.
            Ok(named) if !named.by_name.is_empty() => None,
            Ok(named) => Some(Ok((rule.risk, named.all))),
            Err(reason) => Some(Err(reason)),
        }
    }
}

#[cfg(test)]
mod tests;
