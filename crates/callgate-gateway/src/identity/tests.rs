use super::*;

const WRONG: [&[&str]; 8] = [
    &[""],
    &["Bearer wrong"],
    &["right"],
    &["Basic right"],
    &["Bearer "],
    &["Bearer right right"],
    &["Bearer right", "Bearer right"],
    &["Bearer right", "Bearer wrong"],
];

fn identities() -> Identities {
    let chain = |human: &str, token: &[u8]| {
        let spec = ChainSpec { human: Some(human.into()), ..ChainSpec::default() };
        spec.to_caller(Digest::of(token)).unwrap()
    };
    Identities::new(vec![chain("alice", b"right"), chain("bob", b"also right")])
}

async fn identify(identities: &Identities, values: &[&str]) -> Option<Digest> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("authorization", value.parse().unwrap());
    }
    Some(identities.identify(&headers, Timestamp::default(), &Visit::default()).await.ok()?.key)
}

#[tokio::test]
async fn i5_only_one_valid_bearer_token_is_a_credential() {
    let identities = identities();
    for right in ["Bearer right", "bearer right"] {
        assert_eq!(identify(&identities, &[right]).await, Some(Digest::of(b"right")));
    }
    for refused in WRONG.into_iter().chain([&[][..]]) {
        assert_eq!(identify(&identities, refused).await, None, "{refused:?}");
    }
}

#[tokio::test]
async fn i5_a_wrong_credential_is_refused_even_if_none_is_needed() {
    let lax = identities().with_danger_anonymous(Digest::of(b"right"));
    assert_eq!(identify(&lax, &[]).await, Some(Digest::of(b"right")));
    assert_eq!(identify(&lax, &["Bearer also right"]).await, Some(Digest::of(b"also right")));
    for refused in WRONG {
        assert_eq!(identify(&lax, refused).await, None, "{refused:?}");
    }
    let unknown = identities().with_danger_anonymous(Digest::of(b"unknown"));
    assert_eq!(identify(&unknown, &[]).await, None, "no such token, nobody to be");
}

#[tokio::test]
async fn i5_a_credential_that_has_ended_is_none() {
    let spec = ChainSpec { human: Some("alice".into()), ..ChainSpec::default() };
    let mut caller = spec.to_caller(Digest::of(b"right")).unwrap();
    caller.credential.expires = Some(Timestamp::from_unix_ms(1000));
    let identities = Identities::new(vec![caller]);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer right".parse().unwrap());
    let at = Timestamp::from_unix_ms;
    let early = identities.identify(&headers, at(0), &Visit::default()).await.unwrap();
    for (ms, accepted) in [(999, true), (1000, false), (1001, false)] {
        let found = identities.identify(&headers, at(ms), &Visit::default()).await;
        assert_eq!(found.is_ok(), accepted, "{ms}");
        assert_eq!(identities.still_admits(&early, at(ms)).await, accepted, "{ms}, who waited");
    }
}
