use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use http::header::COOKIE;
use tempfile::TempDir;

use super::*;
use crate::assemble;
use crate::config::Config;

const CONFIGURATION: &str = r#"
[listen]
address = "127.0.0.1:0"
[store]
path = "evidence.db"
[policies]
folder = "policies"
[servers.files]
url = "http://127.0.0.1:1/mcp"
catalog = "filesystem"
[tokens]
"#;
const MINUTE_MS: u64 = 60 * 1000;

/// Time that goes on when it is told to, and randomness that counts.
#[derive(Debug)]
struct Clock(AtomicI64, AtomicU8);

impl Clock {
    fn pass(&self, milliseconds: u64) {
        self.0.fetch_add(i64::try_from(milliseconds).unwrap(), Ordering::Relaxed);
    }
}

impl Ambient for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::Relaxed))
    }

    fn random(&self) -> [u8; 16] {
        [self.1.fetch_add(1, Ordering::Relaxed); 16]
    }
}

struct World {
    clock: Arc<Clock>,
    sessions: Sessions,
    gateway: Arc<Gateway>,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir_all(folder.path().join("policies/permits")).unwrap();
        let config = Config::parse(CONFIGURATION, &folder.path().join("callgate.toml")).unwrap();
        let parts = assemble::parts(&config).unwrap();
        let clock = Arc::new(Clock(AtomicI64::new(1_795_600_000_000), AtomicU8::new(0)));
        let ambient: Arc<dyn Ambient> = Arc::<Clock>::clone(&clock);
        let (gateway, _store) =
            assemble::gateway(config, parts, Arc::clone(&ambient), 0).await.unwrap();
        let sessions = Sessions::new(Arc::clone(&gateway), ambient, Roles::default(), true);
        Self { clock, sessions, gateway, _folder: folder }
    }

    /// Somebody signs in in a browser that sends `headers`; what it sends from then on.
    async fn sign_in(&self, headers: &HeaderMap, token: Option<&str>) -> HeaderMap {
        let made = self.sessions.make(Newcomer {
            way: if token.is_some() { Way::Token } else { Way::Issuer },
            who: "corp/carol".to_owned(),
            groups: Vec::new(),
            client: "corp/console".to_owned(),
            issued: self.clock.now(),
            authenticated: None,
            token,
        });
        let cookie = self.sessions.begin(headers, made, None).await.unwrap().unwrap();
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(pair).unwrap())])
    }

    async fn is_in(&self, headers: &HeaderMap) -> bool {
        self.sessions.of(headers).await.ok().unwrap().is_some()
    }
}

#[tokio::test]
async fn s01_a_session_is_its_cookies_alone_and_ends() {
    let world = World::new().await;
    let carol = world.sign_in(&HeaderMap::new(), None).await;
    let session = world.sessions.of(&carol).await.ok().unwrap().unwrap();
    assert!(session.is_guarded_by(session.csrf()) && !session.is_guarded_by(""));
    assert!(session.token().is_none());
    let other = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("__Host-callgate=00"))]);
    assert!(!world.is_in(&other).await && !world.is_in(&HeaderMap::new()).await);

    world.clock.pass(ConsoleSession::IDLE_MS);
    assert!(!world.is_in(&carol).await, "nobody was there");
    let carol = world.sign_in(&HeaderMap::new(), None).await;
    for _ in 0..16 {
        world.clock.pass(29 * MINUTE_MS);
        assert!(world.is_in(&carol).await, "she is there");
    }
    world.clock.pass(16 * MINUTE_MS);
    assert!(!world.is_in(&carol).await, "it is eight hours old");
}

#[tokio::test]
async fn that_somebody_is_there_is_written_down_once_a_minute() {
    let world = World::new().await;
    let carol = world.sign_in(&HeaderMap::new(), None).await;
    let (store, begun) = (world.gateway.authority().unwrap(), world.clock.now());
    let digest = world.sessions.of(&carol).await.ok().unwrap().unwrap().kept.digest;
    let seen = async || store.session(digest).await.unwrap().unwrap().seen;
    world.clock.pass(MINUTE_MS - 1);
    assert!(world.is_in(&carol).await);
    assert_eq!(seen().await, begun);
    world.clock.pass(1);
    assert!(world.is_in(&carol).await);
    assert_eq!(seen().await, world.clock.now());
}

/// Nobody is in a session that was there before they signed in, and what a browser had is good no more.
#[tokio::test]
async fn s01_who_signs_in_gets_another_cookie_and_the_old_one_is_none() {
    let world = World::new().await;
    let before = world.sign_in(&HeaderMap::new(), None).await;
    let after = world.sign_in(&before, None).await;
    assert_ne!(before, after);
    assert!(!world.is_in(&before).await && world.is_in(&after).await);
    let session = world.sessions.of(&after).await.ok().unwrap().unwrap();
    world.sessions.end(&session).await.unwrap();
    assert!(!world.is_in(&after).await);
    assert!(world.sessions.end(&session).await.is_some(), "again, which is no error");
}

#[tokio::test]
async fn i7_a_token_opens_with_what_the_browser_has_alone() {
    let world = World::new().await;
    let carol = world.sign_in(&HeaderMap::new(), Some("canary")).await;
    let session = world.sessions.of(&carol).await.ok().unwrap().unwrap();
    assert_eq!(session.token(), Some("canary"));
    let sealed = session.kept.sealed.clone().unwrap();
    assert!(!sealed.contains("canary"));
    let open = |secret: &str, who: &[u8]| Keyring::of_secret(secret).open(PURPOSE, who, &sealed);
    let value = carol[COOKIE].to_str().unwrap().split_once('=').unwrap().1;
    assert!(open(value, b"corp/carol").is_some());
    assert!(open(value, b"corp/dave").is_none() && open("other", b"corp/carol").is_none());
}
