//! A child that has one client.

use super::*;

#[tokio::test]
async fn i6_a_child_asks_and_tells_its_only_client_and_nobody_else() {
    const ASKS: &str = r#"called() {
        printf '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"hi"}}\n'
        printf '{"jsonrpc":"2.0","id":70,"method":"roots/list"}\n'
        read -r said; printf '%s\n' "$said" >> "$INPUT"; done_
    }"#;
    let world = World::new(EraSetting::Legacy, &[LEGACY, ASKS]);
    assert!(world.call("t").await.is_ok());
    assert!(has(&world.input(), r#""id":70,"error""#), "{:?}", world.input());

    let world = World::new(EraSetting::Legacy, &[LEGACY, ASKS]);
    let (told, mut heard) = mpsc::channel(4);
    let capabilities = Object::default().with("roots", Object::default());
    world.upstream.serve_only(SoleClient { capabilities, told });
    let hearing = tokio::spawn(async move {
        let Some(Meanwhile::Log(log)) = heard.recv().await else { panic!("no log") };
        assert_eq!(log.get("data"), Some(&"hi".into()));
        let Some(Meanwhile::Question(question)) = heard.recv().await else { panic!("no question") };
        question.answer(Ok(Object::default().with("roots", Vec::<Json>::new())));
    });
    assert!(world.call("t").await.is_ok());
    hearing.await.unwrap();
    let input = world.input();
    assert!(has(&input, r#""capabilities":{"roots":{}}"#), "{input:?}");
    assert!(has(&input, r#"{"jsonrpc":"2.0","id":70,"result":{"roots":[]}}"#), "{input:?}");
}

#[tokio::test]
async fn i13_a_question_too_many_is_answered_and_not_put() {
    const ASKS: &str = r#"called() {
        n=100; while [ $n -lt 165 ]; do
        printf '{"jsonrpc":"2.0","id":%s,"method":"roots/list"}\n' $n; n=$((n+1)); done
        done_
    }"#;
    let world = World::new(EraSetting::Legacy, &[LEGACY, ASKS]);
    let (told, mut heard) = mpsc::channel(100);
    let capabilities = Object::default().with("roots", Object::default());
    world.upstream.serve_only(SoleClient { capabilities, told });
    assert!(world.call("t").await.is_ok());
    let mut all = Vec::new();
    while let Ok(Some(told)) = timeout(Duration::from_millis(300), heard.recv()).await {
        all.push(told);
    }
    assert!(all.len() <= 64, "put: {}", all.len());
    world.input_when(|input| has(input, r#""id":164,"#)).await;
}
