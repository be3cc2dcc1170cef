//! What browsers keep for the console.

use callgate_model::digest::Digest;
use http::{HeaderMap, HeaderValue, header};

/// One of the things that a browser keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    /// That somebody has signed in.
    Session,
    /// That somebody is on their way to the issuer.
    Login,
    /// That somebody was shown the page of a link.
    Link,
}

/// How they are set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookies {
    /// Whether browsers come by `https`.
    pub(super) is_secure: bool,
}

impl Cookies {
    /// Its name. The prefix binds it to this host and to `https`, which there is not on loopback.
    const fn name(self, cookie: Cookie) -> &'static str {
        match (cookie, self.is_secure) {
            (Cookie::Session, true) => "__Host-callgate",
            (Cookie::Session, false) => "callgate",
            (Cookie::Login, true) => "__Host-callgate-login",
            (Cookie::Login, false) => "callgate-login",
            (Cookie::Link, true) => "__Host-callgate-link",
            (Cookie::Link, false) => "callgate-link",
        }
    }

    /// Sets it for so long. What the browser is sent here with from elsewhere brings it along: people come by links.
    pub(super) fn set(self, cookie: Cookie, value: &str, seconds: u64) -> Option<HeaderValue> {
        let (name, secure) = (self.name(cookie), if self.is_secure { "; Secure" } else { "" });
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok()
    }

    /// Takes it away.
    pub(super) fn clear(self, cookie: Cookie) -> Option<HeaderValue> {
        self.set(cookie, "", 0)
    }

    /// What the browser has. Of two, one was put there by somebody else.
    pub(super) fn get(self, cookie: Cookie, headers: &HeaderMap) -> Option<&str> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|all| all.to_str().ok());
        let mut ours = cookies.flat_map(|all| all.split("; ")).filter_map(|one| {
            one.split_once('=')
                .filter(|(name, _)| *name == self.name(cookie))
                .map(|(_, value)| value)
        });
        match (ours.next(), ours.next()) {
            (Some(value), None) if !value.is_empty() => Some(value),
            (Some(_) | None, _) => None,
        }
    }
}

/// What every form carries that a browser with this cookie was given: nobody else can know it, and it does not tell the cookie.
pub(super) fn csrf(value: &str) -> String {
    Digest::of(format!("form of the console\0{value}").as_bytes()).to_string()
}

/// Compared by digests, which tell nobody how much of it was right.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    Digest::of(one.as_bytes()) == Digest::of(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a11_a_cookie_is_bound_to_its_host_and_there_once() {
        let cookies = Cookies { is_secure: true };
        let set = cookies.set(Cookie::Session, "x", 60).unwrap();
        let set = set.to_str().unwrap();
        assert_eq!(set, "__Host-callgate=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        let has = |texts: &[&str]| {
            let value = |text: &&str| (header::COOKIE, HeaderValue::try_from(*text).unwrap());
            let headers: HeaderMap = texts.iter().map(value).collect();
            cookies.get(Cookie::Session, &headers).map(str::to_owned)
        };
        assert_eq!(has(&["a=b; __Host-callgate=x; __Host-callgate-link=y"]).as_deref(), Some("x"));
        for bad in [
            &["callgate=x"][..],
            &["__Host-callgate="],
            &["__Host-callgate=x; __Host-callgate=y"],
            &["__Host-callgate=x", "__Host-callgate=x"],
        ] {
            assert_eq!(has(bad), None, "{bad:?}");
        }
        assert!(!csrf("x").contains('x') && is_same(&csrf("x"), &csrf("x")));
        assert!(!is_same(&csrf("x"), &csrf("y")) && !is_same(&csrf("x"), ""));
    }
}
