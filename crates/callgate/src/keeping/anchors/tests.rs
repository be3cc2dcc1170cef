use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{post, put as put_at};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callgate_mcp::upstream::UpstreamLimits;
use callgate_model::ambient::Timestamp;
use callgate_store::KeptCheckpoint;
use callgate_store::TreeStore as _;
use tokio::net::TcpListener;

use super::*;
use crate::ambient::Machine;

const NOTE: &str = "gate.example/evidence\n7\nroot\n\n\u{2014} gate.example/evidence sig=\n";
const COSIGNED: &str = "gate.example/evidence\n7\nroot\n\n\u{2014} gate.example/evidence sig=\n\u{2014} witness.example/w cosig=\n";

/// A store whose newest checkpoint is `note`, of 7 records.
async fn store(note: &str) -> callgate_store::SqliteStore {
    let store = callgate_store::SqliteStore::open_in_memory().await.unwrap();
    let at = Timestamp::from_unix_ms(0);
    let kept = KeptCheckpoint { size: 7, at, note: note.to_owned() };
    store.keep_checkpoint(&kept).await.unwrap();
    store
}

async fn serve(routes: Router, path: &str) -> Document {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/{path}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Document::new(url, UpstreamLimits::default()).unwrap()
}

/// What was put, by its path.
type Kept = Arc<Mutex<BTreeMap<String, String>>>;

/// Who keeps what it has, and says `refusal` of anything else that is put there.
async fn keeper(refusal: u16) -> (Anchor, Kept) {
    let kept = Kept::default();
    let take = move |State(kept): State<Kept>, Path(size): Path<String>, body: String| async move {
        let mut kept = kept.lock().unwrap();
        if kept.contains_key(&size) {
            return StatusCode::from_u16(refusal).unwrap();
        }
        kept.insert(size, body);
        // The proxy before it does not wait for it.
        StatusCode::GATEWAY_TIMEOUT
    };
    let give = |State(kept): State<Kept>, Path(size): Path<String>, headers: HeaderMap| async move {
        assert_eq!(headers[AUTHORIZATION], "Bearer sesame");
        kept.lock().unwrap().get(&size).cloned().ok_or(StatusCode::NOT_FOUND)
    };
    let routes = Router::new().route("/log/{size}", put_at(take).get(give));
    let below = serve(routes.with_state(Arc::clone(&kept)), "log").await;
    let authorization = Some(HeaderValue::from_static("Bearer sesame"));
    (Anchor::Put { below, authorization }, kept)
}

#[tokio::test]
async fn what_was_taken_is_taken_though_nobody_was_told() {
    for refusal in [409, 412, 403] {
        let (mut anchor, kept) = keeper(refusal).await;
        let before = store(NOTE).await;
        let lost = anchor.send(&before, &Machine).await;
        assert_eq!(lost, Err("the server answers with HTTP status 504".to_owned()));
        assert_eq!(kept.lock().unwrap().values().collect::<Vec<_>>(), [NOTE]);
        assert_eq!(anchor.send(&before, &Machine).await, Ok(7), "{refusal}");
        // A witness was faster than the next attempt.
        assert_eq!(anchor.send(&store(COSIGNED).await, &Machine).await, Ok(7));
    }
}

#[tokio::test]
async fn i11_another_checkpoint_in_its_place_is_not_taken_for_it() {
    let (mut anchor, kept) = keeper(409).await;
    let unsigned = NOTE.split_inclusive("\n\n").next().unwrap();
    let others =
        [NOTE.replace("root", "toor"), unsigned.to_owned(), String::new(), COSIGNED.to_owned()];
    for other in others {
        kept.lock().unwrap().insert("7".to_owned(), other.clone());
        let told = anchor.send(&store(NOTE).await, &Machine).await.unwrap_err();
        assert!(told.ends_with("409, and what is there is another one"), "{other}: {told}");
    }
    // What cannot be looked at is refused as it was.
    let refuses = put_at(async || StatusCode::CONFLICT);
    let below = serve(Router::new().route("/log/7", refuses), "log").await;
    let mut blind = Anchor::Put { below, authorization: None };
    let told = blind.send(&store(NOTE).await, &Machine).await;
    assert_eq!(told, Err("the server answers with HTTP status 409".to_owned()));
}

#[tokio::test]
async fn a_checkpoint_is_posted_and_signed() {
    let posted: Arc<Mutex<Vec<(HeaderMap, String)>>> = Arc::default();
    let take = |State(posted): State<Arc<Mutex<Vec<_>>>>, headers: HeaderMap, body: String| async move {
        posted.lock().unwrap().push((headers, body));
        StatusCode::NO_CONTENT
    };
    let routes = Router::new().route("/in", post(take)).with_state(Arc::clone(&posted));
    let document = serve(routes, "in").await;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let mut anchor = Anchor::Webhook(Webhook::new(document, vec![key.clone()]));
    for _ in 0..2 {
        assert_eq!(anchor.send(&store(NOTE).await, &Machine).await, Ok(7));
    }
    let posted = posted.lock().unwrap();
    let header = |of: &HeaderMap, name: &str| of[name].to_str().unwrap().to_owned();
    for (headers, body) in &*posted {
        assert_eq!(body, NOTE);
        assert_eq!(headers[CONTENT_TYPE], PLAIN);
        let [id, at] = ["webhook-id", "webhook-timestamp"].map(|name| header(headers, name));
        let signature = header(headers, "webhook-signature");
        let signature = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&key, format!("{id}.{at}.{body}").as_bytes(), &signature).unwrap();
    }
    // If it is sent again, it says that it is the same.
    let ids: Vec<String> =
        posted.iter().map(|(headers, _)| header(headers, "webhook-id")).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1] && ids[0].starts_with("checkpoint-7-"), "{ids:?}");
}
