//! What is heard of changes while something else is wanted, and when it cannot be had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn a_modern_server_is_asked_anew_when_something_else_is_wanted_and_nothing_is_missed_meanwhile()
 {
    let (say, _) = tokio::sync::broadcast::channel::<String>(8);
    let said = say.clone();
    let fake = Fake::start(move |_, before| {
        // The second one takes its time.
        let slow = if before == 1 { 100 } else { 0 };
        let acknowledged = stream::once(async move {
            tokio::time::sleep(Duration::from_millis(slow)).await;
            let told = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}"#;
            Ok::<_, std::io::Error>(format!("data: {told}\n\n"))
        });
        let more = stream::unfold(said.subscribe(), async |mut said| {
            Some((Ok(said.recv().await.ok()?), said))
        });
        typed(200, "text/event-stream", Body::from_stream(acknowledged.chain(more)))
    })
    .await;
    let (wanted, wanting) = watch::channel(Uris::from(["a:b".into()]));
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let upstream = modern(&fake);
    let key = SessionKey::new("own");
    let following = upstream.follow(&key, None, wanting, |one| tell.send(one).unwrap());
    let updated = |uri: &str| {
        let params = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"{uri}"}}}}"#
        );
        drop(say.send(format!("data: {params}\n\n")));
    };
    let driving = async {
        assert_eq!(heard.recv().await, Some(Heard::Attentive));
        wanted.send_replace(Uris::from(["a:b".into(), "c:d".into()]));
        while fake.seen().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        updated("a:b");
        assert_eq!(heard.recv().await, Some(Heard::Updated("a:b".into())), "by the first one");
        // Acknowledged and read.
        tokio::time::sleep(Duration::from_millis(300)).await;
        while heard.try_recv().is_ok() {}
        updated("c:d");
        assert_eq!(heard.recv().await, Some(Heard::Updated("c:d".into())));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(heard.try_recv().is_err(), "once: the first one has ended");
    };
    tokio::select! {
        silence = following => panic!("{silence:?}"),
        () = driving => {}
    }
    let asked = |at: usize| {
        let notifications = fake.seen()[at].params().get("notifications").cloned().unwrap();
        notifications.get("resourceSubscriptions").unwrap().to_text()
    };
    assert_eq!((asked(0), asked(1)), (r#"["a:b"]"#.to_owned(), r#"["a:b","c:d"]"#.to_owned()));
}

#[tokio::test]
async fn a_legacy_server_is_told_which_resources_are_wanted() {
    let fake = Fake::start(|seen, _| {
        seen.legacy("s").unwrap_or_else(|| match seen.method() {
            "a GET" => {
                let never = stream::pending::<Result<Bytes, std::io::Error>>();
                typed(200, "text/event-stream", Body::from_stream(never))
            }
            _ => json(200, seen.result("{}")),
        })
    })
    .await;
    let (wanted, wanting) = watch::channel(Uris::from(["a:b".into()]));
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default());
    let key = SessionKey::new("own");
    let told = || {
        let seen = fake.seen();
        let told = seen.iter().filter(|seen| seen.method().starts_with("resources/"));
        told.map(|seen| (seen.method().to_owned(), seen.params().get("uri").unwrap().to_text()))
            .collect::<Vec<_>>()
    };
    let until = async |count: usize| {
        while told().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        silence = upstream.follow(&key, None, wanting, |_| {}) => panic!("{silence:?}"),
        () = async {
            until(1).await;
            wanted.send_replace(Uris::from(["c:d".into()]));
            until(3).await;
        } => {}
    }
    let pair = |method: &str, uri: &str| (method.to_owned(), format!("\"{uri}\""));
    let (subscribe, unsubscribe) = ("resources/subscribe", "resources/unsubscribe");
    let expected = [pair(subscribe, "a:b"), pair(subscribe, "c:d"), pair(unsubscribe, "a:b")];
    assert_eq!(told(), expected);
}

#[tokio::test]
async fn a_lost_session_is_opened_again_by_who_follows() {
    let lost = Arc::new(AtomicUsize::new(0));
    let counting = lost.clone();
    let fake = Fake::start(move |seen, _| match seen.method() {
        "a GET" if seen.header("mcp-session-id") == "s" && counting.load(Ordering::SeqCst) > 0 => {
            json(404, "{}")
        }
        "a GET" => typed(200, "text/event-stream", Body::from("")),
        _ => seen.legacy("s").unwrap(),
    })
    .await;
    let upstream = upstream_with(&fake.url, EraSetting::Legacy, UpstreamLimits::default());
    let key = SessionKey::new("own");
    for _ in 0..3 {
        drop(upstream.follow(&key, None, nothing(), |_| {}).await);
        lost.store(1, Ordering::SeqCst);
    }
    let opened = fake.methods().iter().filter(|method| *method == "initialize").count();
    assert!(opened > 1, "{opened}");
}

/// Two changes of what is wanted before the server acknowledges the first of them.
#[tokio::test]
async fn nothing_is_missed_while_more_and_more_is_wanted() {
    let (say, _) = tokio::sync::broadcast::channel::<String>(8);
    let said = say.clone();
    let fake = Fake::start(move |_, before| {
        let (slow, said) = (if before == 0 { 0 } else { 600 }, said.clone());
        let acknowledged = stream::once(async move {
            tokio::time::sleep(Duration::from_millis(slow)).await;
            let told = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}"#;
            Ok::<_, std::io::Error>(format!("data: {told}\n\n"))
        });
        // It tells of what happens once it has acknowledged.
        let more = stream::unfold(None, move |heard| {
            let said = said.clone();
            async move {
                let mut heard = heard.unwrap_or_else(|| said.subscribe());
                Some((Ok(heard.recv().await.ok()?), Some(heard)))
            }
        });
        typed(200, "text/event-stream", Body::from_stream(acknowledged.chain(more)))
    })
    .await;
    let (wanted, wanting) = watch::channel(Uris::from(["a:b".into()]));
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let upstream = modern(&fake);
    let key = SessionKey::new("own");
    let following = upstream.follow(&key, None, wanting, |one| tell.send(one).unwrap());
    let driving = async {
        assert_eq!(heard.recv().await, Some(Heard::Attentive));
        tokio::time::sleep(Duration::from_millis(100)).await;
        for uri in ["c:d", "e:f"] {
            wanted.send_modify(|wanted| wanted.extend([uri.into()]));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let params = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}"#;
        say.send(format!("data: {params}\n\n")).ok();
        let mut all = Vec::new();
        while let Ok(Some(one)) =
            tokio::time::timeout(Duration::from_millis(1500), heard.recv()).await
        {
            all.push(one);
        }
        assert!(all.contains(&Heard::Updated("a:b".into())), "{all:?}");
    };
    tokio::select! {
        silence = following => panic!("{silence:?}"),
        () = driving => {}
    }
}

#[tokio::test]
async fn what_a_server_refuses_to_tell_of_keeps_nobody_from_the_rest() {
    let fake = Fake::start(move |seen, _| {
        if seen.body.to_text().contains("bad:uri") {
            return json(400, seen.error(-32602, "null"));
        }
        let told = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}"#;
        let told = stream::iter([Ok::<_, std::io::Error>(format!("data: {told}\n\n"))]);
        typed(200, "text/event-stream", Body::from_stream(told.chain(stream::pending())))
    })
    .await;
    let (wanted, wanting) = watch::channel(Uris::from(["a:b".into()]));
    let upstream = modern(&fake);
    let key = SessionKey::new("own");
    let following = upstream.follow(&key, None, wanting, |_| {});
    let driving = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        wanted.send_modify(|wanted| wanted.extend(["bad:uri".into()]));
        tokio::time::sleep(Duration::from_millis(1000)).await;
    };
    tokio::select! {
        silence = following => panic!("{silence:?}"),
        () = driving => {}
    }
}
