//! Where an issuer is to be asked, as it says itself.

use callgate_mcp::document::Document;
use callgate_mcp::http::Uri;
use callgate_model::json::Json;

use super::LoginError;

/// What of an issuer's description a sign-in needs.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    pub(super) authorization: String,
    pub(super) token: Document,
    /// Whether it says in its answers that they are its own (RFC 9207).
    pub(super) signs_answers: bool,
    /// Whether it takes the secret only in the form.
    pub(super) takes_secret_in_form: bool,
}

impl Endpoints {
    /// Reads what `issuer` says of itself (OpenID Connect Discovery 1.0 §3), in the document `at`.
    pub(super) fn read(
        said: &Json,
        issuer: &str,
        at: &Document,
        danger_plain_http: bool,
    ) -> Result<Self, LoginError> {
        let unusable = LoginError::Unusable;
        if said.get("issuer").and_then(Json::as_str) != Some(issuer) {
            return Err(unusable(format!("its description is not the one of {issuer}")));
        }
        let endpoint = |name: &str| -> Result<_, LoginError> {
            let url = said.get(name).and_then(Json::as_str);
            let url = url.ok_or_else(|| unusable(format!("its description has no `{name}`")))?;
            let parsed = url.parse::<Uri>().ok().filter(|parsed| {
                let is_safe = danger_plain_http || is_near(parsed);
                let scheme = parsed.scheme_str();
                scheme == Some("https") || (scheme == Some("http") && is_safe)
            });
            let parsed = parsed.filter(|_| !url.contains('#'));
            let text = || format!("`{name}` in its description is no https address");
            Ok((url.to_owned(), parsed.ok_or_else(|| unusable(text()))?))
        };
        let (authorization, _) = endpoint("authorization_endpoint")?;
        let (_, token) = endpoint("token_endpoint")?;
        let token = at.at(token).map_err(|error| unusable(error.to_string()))?;
        let methods = said.get("token_endpoint_auth_methods_supported").and_then(Json::as_array);
        let takes = |method: &str| {
            methods.unwrap_or_default().iter().any(|one| one.as_str() == Some(method))
        };
        let signs = said.get("authorization_response_iss_parameter_supported");
        Ok(Self {
            authorization,
            token,
            signs_answers: signs == Some(&Json::Bool(true)),
            takes_secret_in_form: takes("client_secret_post") && !takes("client_secret_basic"),
        })
    }
}

/// Whether what is sent there does not leave this machine.
fn is_near(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
