//! JSON Web Tokens in their compact form (RFC 7515), read as strictly as messages: what two readers could understand
//! differently is refused. Nothing that a token says of its own key is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use callgate_model::ambient::Timestamp;
use callgate_model::json::{Json, JsonLimits, Object, read};
use jsonwebtoken::Algorithm;

use super::Unacceptable;

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// How far clocks may be apart, in seconds.
pub(super) const LEEWAY_S: i64 = 30;
/// Times beyond this are no times: they would not fit in milliseconds.
const TIME_MAX_S: i64 = 1 << 40;
/// What of a header changes how a token is to be read, or where its key is: never done here (RFC 7515 §4.1).
const REFUSED: [&str; 8] = ["b64", "crit", "enc", "jku", "jwk", "x5c", "x5u", "zip"];

/// A token whose signature has not been checked.
#[derive(Debug)]
pub(super) struct Jwt<'a> {
    pub(super) alg: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
    claims: Object,
    /// What is signed.
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
}

/// What a token with a good signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims(pub(super) Object);

/// How old a token may be, in seconds, and when it was made and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) issued: Option<Timestamp>,
    pub(super) expires: Timestamp,
}

impl<'a> Jwt<'a> {
    pub(super) fn read(token: &'a str) -> Result<Self, Unacceptable> {
        let malformed = || Unacceptable::Malformed;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed());
        }
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(malformed());
        }
        let header = object(header)?;
        if REFUSED.iter().any(|name| header.get(name).is_some()) {
            return Err(Unacceptable::Header);
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Unacceptable::Header),
        };
        let alg = text("alg")?.as_deref().and_then(algorithm).ok_or(Unacceptable::Algorithm)?;
        let (kid, typ) = (text("kid")?, text("typ")?);
        Ok(Self { alg, kid, typ, claims: object(payload)?, signed, signature })
    }

    /// Who says that they made it: to find their keys, and for nothing else.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Json::as_str)
    }

    /// What it says. Only for who has checked the signature.
    pub(super) fn into_claims(self) -> Claims {
        Claims(self.claims)
    }
}

/// The algorithms of public keys; `none` and secrets are not among them (I02).
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        _ => return None,
    })
}

fn object(encoded: &str) -> Result<Object, Unacceptable> {
    let limits = JsonLimits { bytes_max: TOKEN_BYTES_MAX, depth_max: 32, ..JsonLimits::default() };
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok();
    match bytes.and_then(|bytes| read(&bytes, &limits).ok()) {
        Some(Json::Object(object)) => Ok(object),
        Some(_) | None => Err(Unacceptable::Malformed),
    }
}

impl Claims {
    /// A claim that is a text, if it is there. One of another type is no claim but a fault (I10).
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Unacceptable> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Json::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(Unacceptable::Claim(name.to_owned())),
        }
    }

    /// A claim that is a list of texts; none if it is not there.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Unacceptable> {
        let wrong = || Unacceptable::Claim(name.to_owned());
        let list = match self.0.get(name) {
            None => return Ok(Vec::new()),
            Some(list) => list.as_array().ok_or_else(wrong)?,
        };
        list.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    /// For whom it is: never empty (RFC 7519 §4.1.3, I01).
    pub(super) fn audiences(&self) -> Result<Vec<String>, Unacceptable> {
        let audiences = match self.0.get("aud") {
            Some(Json::String(one)) => vec![one.clone()],
            Some(Json::Array(_)) => self.texts("aud")?,
            Some(_) | None => Vec::new(),
        };
        if audiences.is_empty() { Err(Unacceptable::Audience) } else { Ok(audiences) }
    }

    /// When it is good, if that is now (RFC 7519 §4.1.4–6, I03).
    pub(super) fn times(&self, now: Timestamp, age_s_max: i64) -> Result<Times, Unacceptable> {
        let now = now.unix_ms() / 1000;
        let expires = self.seconds("exp")?.ok_or_else(|| Unacceptable::Claim("exp".to_owned()))?;
        let (issued, not_before) = (self.seconds("iat")?, self.seconds("nbf")?);
        if now >= expires.saturating_add(LEEWAY_S) {
            return Err(Unacceptable::Expired);
        }
        if issued.max(not_before).is_some_and(|begins| begins > now.saturating_add(LEEWAY_S)) {
            return Err(Unacceptable::NotYet);
        }
        let begun = issued.ok_or_else(|| Unacceptable::Claim("iat".to_owned()))?;
        if now.saturating_sub(begun) > age_s_max || expires.saturating_sub(begun) > age_s_max {
            return Err(Unacceptable::TooOld);
        }
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds.saturating_mul(1000));
        Ok(Times { issued: issued.map(at), expires: at(expires) })
    }

    pub(super) fn seconds(&self, name: &str) -> Result<Option<i64>, Unacceptable> {
        let wrong = || Unacceptable::Claim(name.to_owned());
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_number().ok_or_else(wrong)?.as_f64();
        // Some issuers write fractions. What is no time at all is refused.
        #[expect(clippy::cast_possible_truncation, reason = "it is within the bounds of a time")]
        let whole = (0.0..TIME_MAX_S as f64).contains(&seconds).then(|| seconds.floor() as i64);
        whole.map(Some).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.c2ln", encoded(header), encoded(payload))
    }

    fn claims(text: &str) -> Claims {
        Claims(object(&encoded(text)).unwrap())
    }

    const GOOD: &str = r#"{"alg":"RS256","kid":"k","typ":"at+jwt"}"#;

    #[test]
    fn a_token_is_read_whole() {
        let token = token(GOOD, r#"{"iss":"i"}"#);
        let jwt = Jwt::read(&token).unwrap();
        assert_eq!((jwt.alg, jwt.kid.as_deref()), (Algorithm::RS256, Some("k")));
        assert_eq!((jwt.typ.as_deref(), jwt.issuer()), (Some("at+jwt"), Some("i")));
        assert_eq!(format!("{}.{}", jwt.signed, jwt.signature), token);
    }

    #[test]
    fn i02_what_could_be_read_otherwise_or_brings_its_own_key_is_refused() {
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"rs256"}"#,
            r#"{"kid":"k"}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{"alg":"RS256","kid":7}"#,
            r#"{"alg":"RS256","alg":"none"}"#,
            r#"{"alg":"RS256","crit":["exp"]}"#,
            r#"{"alg":"RS256","b64":false}"#,
            r#"{"alg":"RS256","jwk":{}}"#,
            r#"{"alg":"RS256","jku":"https://evil.example"}"#,
            r#"{"alg":"RS256","x5u":"https://evil.example"}"#,
            r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#,
            "[]",
        ] {
            assert!(Jwt::read(&token(header, "{}")).is_err(), "{header}");
        }
        let good = token(GOOD, "{}");
        let (head, _) = good.rsplit_once('.').unwrap();
        for bad in [
            "",
            "a.b.c",
            head,
            &format!("{head}."),
            &format!("{good}.x"),
            &format!("{good}.x.y"),
            &format!(" {good}"),
            &good.replacen('.', "=.", 1),
            &token(GOOD, r#"{"iss":"a","iss":"b"}"#),
            &token(GOOD, &format!(r#"{{"x":"{}"}}"#, "x".repeat(TOKEN_BYTES_MAX))),
        ] {
            assert!(Jwt::read(bad).is_err(), "{}", bad.chars().take(80).collect::<String>());
        }
    }

    #[test]
    fn i03_times_are_numbers_and_now() {
        let now = Timestamp::from_unix_ms(1_000_000_000);
        let times = |text: &str| claims(text).times(now, 3_600);
        let good = times(r#"{"exp":1000100,"iat":999900.5,"nbf":999900}"#).unwrap();
        assert_eq!(good.expires, Timestamp::from_unix_ms(1_000_100_000));
        assert_eq!(good.issued, Some(Timestamp::from_unix_ms(999_900_000)));
        assert!(times(r#"{"exp":999971,"iat":999900}"#).is_ok(), "within the leeway");
        for (text, wrong) in [
            (r#"{"exp":999970}"#, Unacceptable::Expired),
            (r#"{"exp":1000100,"nbf":1000031}"#, Unacceptable::NotYet),
            (r#"{"exp":1000100,"iat":1000031}"#, Unacceptable::NotYet),
            (r#"{"exp":1000100,"iat":996000}"#, Unacceptable::TooOld),
            (r#"{"exp":1003530,"iat":999900}"#, Unacceptable::TooOld),
            (r#"{"exp":1000100}"#, Unacceptable::Claim("iat".to_owned())),
        ] {
            assert_eq!(times(text), Err(wrong), "{text}");
        }
        for exp in ["\"1000100\"", "-1", "1e30", "null", "[1000100]", "true"] {
            let text = format!(r#"{{"exp":{exp}}}"#);
            assert_eq!(times(&text), Err(Unacceptable::Claim("exp".to_owned())), "{text}");
        }
        assert_eq!(times("{}"), Err(Unacceptable::Claim("exp".to_owned())));
        assert!(times(r#"{"exp":1000100,"nbf":"0"}"#).is_err());
    }

    #[test]
    fn i01_an_audience_is_one_or_more_texts() {
        assert_eq!(claims(r#"{"aud":"a"}"#).audiences(), Ok(vec!["a".to_owned()]));
        assert_eq!(claims(r#"{"aud":["a","b"]}"#).audiences().unwrap().len(), 2);
        for bad in ["{}", r#"{"aud":[]}"#, r#"{"aud":7}"#, r#"{"aud":["a",7]}"#, r#"{"aud":{}}"#] {
            assert!(claims(bad).audiences().is_err(), "{bad}");
        }
    }
}
