//! A child that is asked to tell of something else.

use super::*;

#[tokio::test]
async fn the_request_before_ends_when_the_next_is_acknowledged() {
    let listening = MODERN.replace(
        "*tools/call*",
        r#"*subscriptions/listen*)
            printf '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n'
            printf '{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}\n' ;;
        *tools/call*"#,
    );
    let world = World::new(EraSetting::Modern, &[&listening, "called() { done_; }"]);
    let (wanted, wanting) = watch::channel(Uris::from(["a:b".into()]));
    let key = SessionKey::new("own");
    tokio::select! {
        silence = world.upstream.follow(&key, None, wanting, |_| {}) => panic!("{silence:?}"),
        () = async {
            world.input_when(|input| has(input, "subscriptions/listen")).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            wanted.send_replace(Uris::from(["c:d".into()]));
            world.input_when(|input| has(input, "c:d")).await;
            world.input_when(|input| has(input, "notifications/cancelled")).await;
        } => {}
    }
}
