//! What servers of the legacy era ask in the middle of a call.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::*;
use crate::message::RpcError;
use crate::upstream::Question;

const CAPABILITIES: &str = r#"{"elicitation":{},"roots":{"listChanged":true}}"#;

fn request(id: u32, method: &str) -> String {
    format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{}}}}\n\n")
}

/// A server that asks each of `methods` and answers the call when it has as many answers, which are remembered.
async fn asking(methods: &'static [&'static str], then: &'static str) -> (Fake, Answers) {
    let answers = Answers::default();
    let remembered = answers.clone();
    let fake = Fake::start(move |seen, _| {
        if let Some(answer) = seen.legacy("s") {
            return answer;
        }
        if seen.method() == "a response" {
            remembered.0.lock().unwrap().push(seen.body.to_text());
            return json(202, "");
        }
        let asked = methods.iter().zip(70..).map(|(method, id)| request(id, method));
        let first = stream::iter([Ok(asked.collect::<String>() + then)]);
        let (answers, wanted) = (remembered.clone(), methods.len());
        let answer = format!("data: {}\n\n", seen.result(OK));
        let last = stream::once(async move {
            answers.reach(wanted).await;
            Ok::<_, std::io::Error>(answer)
        });
        typed(200, "text/event-stream", Body::from_stream(first.chain(last)))
    })
    .await;
    (fake, answers)
}

#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<String>>>);

impl Answers {
    async fn reach(&self, count: usize) {
        while self.0.lock().unwrap().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Calls for a client that can be asked, and gives each question to `take`.
async fn call_interactively(
    upstream: &Upstream,
    mut take: impl FnMut(Question) + Send,
) -> Result<Answer, CallError> {
    let call = OutgoingCall {
        key: &SessionKey::new("alice"),
        assertion: None,
        credential: None,
        method: "tools/call",
        params: object(r#"{"name":"t","arguments":{}}"#),
        name: Some("t"),
        trace: &TraceContext::default(),
        progress: false,
        log_level: None,
        input_schema: None,
        capabilities: object(CAPABILITIES),
        is_interactive: true,
        round: Round::default(),
    };
    let on_told = |told| match told {
        Meanwhile::Question(question) => take(question),
        Meanwhile::Log(_) | Meanwhile::Progress(_) => panic!("{told:?}"),
    };
    upstream.call(call, on_told).await
}

#[tokio::test]
async fn questions_within_what_was_declared_are_put_and_the_others_declined() {
    let methods = &["elicitation/create", "sampling/createMessage", "roots/list", "ping"];
    let (fake, answers) = asking(methods, "").await;
    let (asked, mut questions) = mpsc::unbounded_channel();
    let answering = tokio::spawn(async move {
        let first: Question = questions.recv().await.unwrap();
        let second: Question = questions.recv().await.unwrap();
        assert_eq!((&*first.method, &*second.method), ("elicitation/create", "roots/list"));
        // Out of order, and one of them badly.
        second.answer(Err(RpcError { code: -1, message: "no".to_owned(), data: None }));
        tokio::time::sleep(Duration::from_millis(50)).await;
        first.answer(Ok(object(r#"{"action":"accept"}"#)));
    });
    let upstream = upstream(&fake);
    let called = call_interactively(&upstream, |question| asked.send(question).unwrap()).await;
    succeeded(called);
    answering.await.unwrap();
    let initialize = &fake.seen()[1];
    assert_eq!(initialize.params().get("capabilities"), Some(&object(CAPABILITIES).into()));
    let mut told = answers.0.lock().unwrap().clone();
    told.sort();
    assert_eq!(told[0], r#"{"jsonrpc":"2.0","id":70,"result":{"action":"accept"}}"#);
    assert!(told[1].contains(r#""id":71,"error":{"code":-32601"#), "{}", told[1]);
    assert_eq!(told[2], r#"{"jsonrpc":"2.0","id":72,"error":{"code":-1,"message":"no"}}"#);
    assert_eq!(told[3], r#"{"jsonrpc":"2.0","id":73,"result":{}}"#);
    let answer = fake.seen().into_iter().find(|seen| seen.method() == "a response").unwrap();
    assert_eq!(answer.header("mcp-session-id"), "s");
}

#[tokio::test]
async fn a_question_that_nobody_takes_is_declined() {
    let (fake, answers) = asking(&["roots/list"], "").await;
    succeeded(call_interactively(&upstream(&fake), drop).await);
    assert!(answers.0.lock().unwrap()[0].contains(r#""error":{"code":-32601"#));
}

#[tokio::test]
async fn a_question_is_withdrawn_by_its_server_and_with_its_call() {
    const CANCELLED: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":70}}\n\n";
    for then in [CANCELLED, ""] {
        let (fake, _answers) = asking(&["roots/list"], then).await;
        let upstream = upstream(&fake);
        let (asked, mut questions) = mpsc::unbounded_channel();
        let calling =
            async { call_interactively(&upstream, |question| asked.send(question).unwrap()).await };
        let mut question = None;
        tokio::select! {
            _ = calling => panic!("it is never answered"),
            () = async {
                let mut asked: Question = questions.recv().await.unwrap();
                if then.is_empty() {
                    // The call ends with this.
                    question = Some(asked);
                } else {
                    asked.withdrawn().await;
                }
            } => {}
        }
        if let Some(mut question) = question {
            question.withdrawn().await;
        }
    }
}

#[tokio::test]
async fn a_server_may_ask_on_the_stream_of_the_session_which_is_opened_once() {
    let answers = Answers::default();
    let remembered = answers.clone();
    let (ask, _) = tokio::sync::broadcast::channel::<String>(4);
    let fake = Fake::start(move |seen, _| {
        if let Some(answer) = seen.legacy("s") {
            return answer;
        }
        let remembered = remembered.clone();
        match seen.method() {
            "a GET" => {
                let asked = stream::unfold(ask.subscribe(), async |mut asked| {
                    let text = asked.recv().await.ok()?;
                    Some((Ok::<_, std::io::Error>(text), asked))
                });
                typed(200, "text/event-stream", Body::from_stream(asked))
            }
            "a response" => {
                remembered.0.lock().unwrap().push(seen.body.to_text());
                json(202, "")
            }
            // Nothing of the answer comes before the client's.
            _ => {
                let wanted = remembered.0.lock().unwrap().len() + 1;
                ask.send(request(70, "roots/list")).unwrap();
                let answer = format!("data: {}\n\n", seen.result(OK));
                let answer = stream::once(async move {
                    remembered.reach(wanted).await;
                    Ok::<_, std::io::Error>(answer)
                });
                typed(200, "text/event-stream", Body::from_stream(answer))
            }
        }
    })
    .await;
    let upstream = upstream(&fake);
    for _ in 0..2 {
        let roots = object(r#"{"roots":[]}"#);
        let take = |question: Question| question.answer(Ok(roots.clone()));
        succeeded(call_interactively(&upstream, take).await);
    }
    let answered = answers.0.lock().unwrap().clone();
    assert_eq!(answered, [r#"{"jsonrpc":"2.0","id":70,"result":{"roots":[]}}"#; 2]);
    let gets = fake.methods().iter().filter(|method| *method == "a GET").count();
    assert_eq!(gets, 1);
}
