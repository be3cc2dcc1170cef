//! What a client asks for, as OAuth knows it: a resource with an address, described by metadata (RFC 9728) that says where
//! to get a token for it.

use callgate_model::json::{Json, Object};

use crate::identity::Identities;

/// Where the metadata of a resource stand, before its own path.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Where the API of the gateway itself is.
pub const API: &str = "/api/v1";

/// The addresses under which clients know what they ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// `https://host[:port]` of the gateway, as its clients see it; without one, no metadata are served.
    pub public_url: Option<String>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its address: what a token for it is for. Nothing, if that is not known.
    pub address: String,
    /// Where its metadata are.
    pub metadata: Option<String>,
}

impl Resources {
    /// The API of the gateway itself.
    #[must_use]
    pub fn api(&self) -> Resource {
        match &self.public_url {
            Some(public) => Resource {
                address: format!("{public}{API}"),
                metadata: Some(format!("{public}{WELL_KNOWN}{API}")),
            },
            None => Resource { address: String::new(), metadata: None },
        }
    }

    /// The resource that is the server of that name; all of them, if it is nothing.
    #[must_use]
    pub fn of(&self, server: &str) -> Resource {
        // What is no name of a server is not repeated to anybody.
        let is_name = server.len() <= 40
            && server.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let Some(public) = self.public_url.as_ref().filter(|_| is_name) else {
            return Resource { address: String::new(), metadata: None };
        };
        let path = if server.is_empty() { "/mcp".to_owned() } else { format!("/mcp/{server}") };
        let metadata = Some(format!("{public}{WELL_KNOWN}{path}"));
        Resource { address: format!("{public}{path}"), metadata }
    }
}

impl Resource {
    /// What is said of it (RFC 9728 §2), if somebody issues tokens for it.
    #[must_use]
    pub fn describe(&self, identities: &Identities) -> Option<Object> {
        let mut issuers = identities.issuers().peekable();
        issuers.peek()?;
        self.metadata.as_ref()?;
        let (mut servers, mut scopes) = (Vec::<Json>::new(), Vec::<Json>::new());
        for (address, wanted) in issuers {
            servers.push(address.into());
            scopes.extend(wanted.iter().map(|scope| Json::from(scope.as_str())));
        }
        let mut metadata = Object::default()
            .with("resource", self.address.as_str())
            .with("authorization_servers", servers)
            .with("bearer_methods_supported", vec![Json::from("header")])
            .with("resource_name", "Callgate");
        if !scopes.is_empty() {
            metadata.set("scopes_supported", scopes);
        }
        Some(metadata)
    }
}
