//! Who comes to the console: people who sign in, and those who have.

use std::sync::Arc;

use callgate_mcp::http::StatusCode;
use callgate_mcp::http::request::Parts;
use callgate_mcp::inbound;
use callgate_model::ambient::Id;
use callgate_model::authority::{Change, ConsoleSession};
use callgate_model::caller::Caller;
use callgate_store::EvidenceError;

use super::Gateway;
use crate::identity::{Answer, Arrival, Departure, Identified, LoginError, Unacceptable};
use crate::sealing::Keyring;

impl Gateway {
    /// Whether a request comes to an address of the gateway's, and from no page of somebody else's.
    ///
    /// # Errors
    /// The status that says no.
    pub fn check_visit(&self, http: &Parts) -> Result<(), StatusCode> {
        let (headers, authority) = (&http.headers, http.uri.authority());
        inbound::check_origin_host(headers, authority, &self.settings.hosts)
            .map_err(|refused| refused.status)
    }

    /// The person of a session, if they are still let in.
    ///
    /// # Errors
    /// [`Unacceptable`].
    pub async fn visitor(&self, caller: Caller) -> Result<Arc<Identified>, Unacceptable> {
        self.identities.admits(&caller, self.ambient.now()).await?;
        Ok(Arc::new(Identified::new(caller)))
    }

    /// What the operator calls the issuer where people sign in, if there is one.
    #[must_use]
    pub fn login_issuer(&self) -> Option<&str> {
        self.identities.login().map(|login| login.issuer())
    }

    /// Sends somebody to the issuer, who is to come back to `redirect` and then wants to go to `next`.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn depart(&self, redirect: &str, next: &str) -> Result<Departure, LoginError> {
        self.identities.depart(&self.keys, &*self.ambient, redirect, next).await
    }

    /// Who has come back to `redirect` with `answer`, in a browser that has `kept` what it was given.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn arrive(
        &self,
        redirect: &str,
        kept: Option<&str>,
        answer: Answer,
    ) -> Result<Arrival, LoginError> {
        self.identities.arrive(&self.keys, redirect, kept, answer, self.ambient.now()).await
    }

    /// The keys by which the gateway seals what it gives away to be brought back.
    #[must_use]
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// Begins a session, which uses up the link that somebody came by.
    ///
    /// # Errors
    /// [`EvidenceError`]; of these, [`EvidenceError::Refused`] says that the link is good no more, or that there is no room.
    pub async fn sign_in(
        &self,
        session: Box<ConsoleSession>,
        link: Option<Id>,
    ) -> Result<(), EvidenceError> {
        self.administer(session.who.clone(), Change::SignedIn { session, link }).await
    }

    /// Ends a session of `who`. One that has ended already is no error.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub async fn sign_out(&self, who: String, session: Id) -> Result<(), EvidenceError> {
        match self.administer(who, Change::SignedOut { id: session }).await {
            Err(EvidenceError::Refused) => Ok(()),
            done => done,
        }
    }
}
