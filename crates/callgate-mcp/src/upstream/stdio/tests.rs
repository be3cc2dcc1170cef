//! Children with one habit each. Their input is kept in a file, as the oracle.

mod sole;
mod wanted;

use std::path::Path;

use callgate_model::json::{Json, JsonLimits, Object, read};
use tempfile::TempDir;

use super::*;
use crate::lists::ListKind;
use crate::log_level::LogLevel;
use crate::message::Round;
use crate::trace::TraceContext;
use crate::upstream::{Answer, Meanwhile, OutgoingCall, SessionKey, Transport, Upstream, Uris};

/// Answers as `answer` says; `$line` is the message, `$id` the id of a request.
const LOOP: &str = r#"
while read -r line; do
  printf '%s\n' "$line" >> "$INPUT"
  id=$(printf %s "$line" | sed -n 's/^{"jsonrpc":"2.0","id":\("[a-z]*"\|[0-9]*\),.*/\1/p')
  answer
done
echo ended >> "$INPUT"
"#;

const MODERN: &str = r#"
answer() { case "$line" in
  *server/discover*) reply '{"supportedVersions":["2026-07-28"],"capabilities":{}}' ;;
  *tools/call*) called ;;
esac }
"#;

const LEGACY: &str = r#"
answer() { case "$line" in
  *'"initialize"'*) reply '{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}' ;;
  *tools/call*) called ;;
  *'"id"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id" ;;
esac }
"#;

const REPLY: &str = r#"
reply() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
done_() { reply '{"content":[],"resultType":"complete"}'; }
"#;

struct World {
    folder: TempDir,
    upstream: Upstream,
}

impl World {
    fn new(era: EraSetting, habits: &[&str]) -> Self {
        Self::with(era, UpstreamLimits::default(), habits)
    }

    fn with(era: EraSetting, limits: UpstreamLimits, habits: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let script = [REPLY, &habits.concat(), LOOP].concat();
        let variable = |name: &str, value: String| (name.to_owned(), value);
        let program = Program {
            name: "test".into(),
            command: "/bin/sh".into(),
            arguments: vec!["-c".into(), script],
            environment: BTreeMap::from([
                variable("PATH", "/usr/bin:/bin".into()),
                variable("INPUT", folder.path().join("input").display().to_string()),
            ]),
            secrets: BTreeMap::from([("API_TOKEN".to_owned(), "canary-secret".into())]),
            folder: Some(folder.path().to_owned()),
        };
        Self { upstream: Upstream::of_program(program, limits, era), folder }
    }

    async fn call(&self, tool: &str) -> Result<Answer, CallError> {
        self.call_with(tool, |_| {}).await
    }

    async fn call_with(
        &self,
        tool: &str,
        mut on_progress: impl FnMut(Object) + Send,
    ) -> Result<Answer, CallError> {
        let call = OutgoingCall {
            key: &SessionKey::new("alice"),
            assertion: None,
            credential: None,
            method: "tools/call",
            params: Object::default().with("name", tool).with("arguments", Object::default()),
            name: Some(tool),
            trace: &TraceContext::default(),
            progress: true,
            log_level: Some(LogLevel::Debug),
            input_schema: None,
            capabilities: Object::default(),
            is_interactive: false,
            round: Round::default(),
        };
        let on_told = |told| match told {
            Meanwhile::Progress(params) => on_progress(params),
            Meanwhile::Log(log) => panic!("nobody knows whose {log:?} is"),
            Meanwhile::Question(question) => panic!("nobody may be asked {question:?}"),
        };
        self.upstream.call(call, on_told).await
    }

    fn input(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("input")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn input_when(&self, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        let input = || Some(self.input()).filter(|input| enough(input));
        until(input, || format!("{:?}", self.input())).await
    }
}

async fn until<T>(found: impl Fn() -> Option<T>, otherwise: impl Fn() -> String) -> T {
    for _ in 0..500 {
        if let Some(found) = found() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {}", otherwise())
}

fn has(input: &[String], what: &str) -> bool {
    input.iter().any(|line| line.contains(what))
}

#[tokio::test]
async fn a_modern_child_is_asked_once_how_it_speaks_and_then_called() {
    let world = World::new(EraSetting::Auto, &[MODERN, "called() { done_; }"]);
    for _ in 0..2 {
        assert!(matches!(world.call("t").await, Ok(Answer::Result { is_error: false, .. })));
    }
    let input = world.input();
    assert_eq!(input.len(), 3, "{input:?}");
    assert!(input[0].contains("server/discover") && !has(&input, "initialize"));
    let call = read(input[1].as_bytes(), &JsonLimits::default()).unwrap();
    let meta = call.get("params").and_then(|params| params.get("_meta")).unwrap();
    let version = meta.get("io.modelcontextprotocol/protocolVersion").and_then(Json::as_str);
    assert_eq!(version, Some("2026-07-28"));
}

#[tokio::test]
async fn a_legacy_child_shakes_hands_first() {
    let world = World::new(EraSetting::Auto, &[LEGACY, "called() { done_; }"]);
    assert!(world.call("t").await.is_ok());
    let input = world.input();
    let order = ["server/discover", "\"initialize\"", "notifications/initialized", "tools/call"];
    assert_eq!(input.len(), order.len());
    assert!(order.iter().zip(&input).all(|(what, line)| line.contains(what)), "{input:?}");
    assert!(!input[3].contains("io.modelcontextprotocol"));
}

#[tokio::test]
async fn a_legacy_child_that_ends_when_probed_is_started_again_and_not_probed() {
    let fragile =
        LEGACY.replace("*'\"initialize\"'*)", "*server/discover*) exit 1 ;;\n*'\"initialize\"'*)");
    let world = World::new(EraSetting::Auto, &[&fragile, "called() { done_; }"]);
    assert!(world.call("t").await.is_ok());
    assert_eq!(world.input().iter().filter(|line| line.contains("server/discover")).count(), 1);
}

#[tokio::test]
async fn a_child_that_dies_leaves_its_call_open_and_comes_back_later() {
    let called = "called() { case $line in *deadly*) exit 3 ;; *) done_ ;; esac }";
    let world = World::new(EraSetting::Modern, &[MODERN, called]);
    assert!(world.call("t").await.is_ok());
    let error = world.call("deadly").await.unwrap_err();
    assert!(error.sent && error.to_string().contains("exit status: 3"), "{error}");
    let error = world.call("t").await.unwrap_err();
    assert!(!error.sent && error.to_string().contains("started again in"), "{error}");
    tokio::time::sleep(RESTART_FIRST).await;
    assert!(world.call("t").await.is_ok());
}

#[tokio::test]
async fn a_child_that_ended_a_while_ago_is_started_at_once() {
    let called = "called() { done_; case $line in *last*) exit 0 ;; esac }";
    let world = World::new(EraSetting::Modern, &[MODERN, called]);
    assert!(world.call("last").await.is_ok());
    tokio::time::sleep(RESTART_FIRST + Duration::from_millis(300)).await;
    let again = world.call("t").await;
    assert!(again.is_ok(), "nobody asked meanwhile: {again:?}");
}

#[tokio::test]
async fn what_cannot_be_started_is_an_error_and_is_left_alone_for_a_while() {
    let mut world = World::new(EraSetting::Modern, &[MODERN]);
    let Transport::Stdio(stdio) = &mut world.upstream.transport else { panic!() };
    stdio.program.command = Path::new("/nowhere/server").to_owned();
    let error = world.call("t").await.unwrap_err();
    assert!(!error.sent && error.to_string().contains("/nowhere/server"), "{error}");
    let again = world.call("t").await.unwrap_err();
    assert!(!again.sent && again.to_string().contains("started again in"), "{again}");
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_by_its_id() {
    let world = World::new(EraSetting::Modern, &[MODERN, "called() { :; }"]);
    let waited = timeout(Duration::from_millis(300), world.call("t")).await;
    assert!(waited.is_err());
    let input = world.input_when(|input| has(input, "notifications/cancelled")).await;
    let message = |line: &str| read(line.as_bytes(), &JsonLimits::default()).unwrap();
    let call = input.iter().find(|line| line.contains("tools/call")).map(|line| message(line));
    let cancelled = input.last().map(|line| message(line)).unwrap();
    let id = cancelled.get("params").and_then(|params| params.get("requestId")).cloned();
    assert_eq!(id, call.unwrap().get("id").cloned());
}

#[tokio::test]
async fn i6_r03_each_call_gets_its_own_answer_and_progress_and_junk_goes_nowhere() {
    // Answers two calls at once in the other order, among noise.
    let called = r#"
called() {
  printf '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%s}}\n' "$id" "$id"
  if [ -z "$first" ]; then first=$id; return; fi
  echo 'not json'; echo '[]'; echo
  printf '{"jsonrpc":"2.0","id":999,"result":{"whose":"nobody"}}\n'
  printf '{"jsonrpc":"2.0","id":"%s","result":{"whose":"text"}}\n' "$id"
  printf '{"jsonrpc":"2.0","id":999,"result":{"error":1},"error":{"code":1,"message":"both"}}\n'
  printf '{"jsonrpc":"2.0","id":%s,"method":"odd","params":1}\n' "$id"
  reply "{\"content\":[],\"whose\":$id}"
  id=$first; reply "{\"content\":[],\"whose\":$id}"
}"#;
    let world = World::new(EraSetting::Modern, &[MODERN, called]);
    let one = async {
        let mut progress = Vec::new();
        let answer = world.call_with("t", |told| progress.push(told)).await;
        (answer, progress)
    };
    let two = async {
        let mut progress = Vec::new();
        let answer = world.call_with("t", |told| progress.push(told)).await;
        (answer, progress)
    };
    let (one, two) = tokio::join!(one, two);
    let mut seen = Vec::new();
    for (answer, progress) in [one, two] {
        let Ok(Answer::Result { result, .. }) = answer else { panic!("{answer:?}") };
        let whose = result.get("whose").cloned().unwrap();
        assert_eq!(progress, [Object::default().with("progress", whose.clone())]);
        seen.push(whose.to_text());
    }
    seen.sort();
    assert_eq!(seen, ["1", "2"]);
}

#[tokio::test]
async fn a_server_may_ask_whether_we_are_there_and_nothing_else() {
    let called = r#"
called() {
  echo '{"jsonrpc":"2.0","id":"p","method":"ping"}'
  echo '{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{}}'
  done_
}"#;
    let world = World::new(EraSetting::Modern, &[MODERN, called]);
    assert!(world.call("t").await.is_ok());
    let input = world.input_when(|input| has(input, r#""id":"s""#)).await;
    assert!(has(&input, r#"{"jsonrpc":"2.0","id":"p","result":{}}"#), "{input:?}");
    assert!(has(&input, r#"{"jsonrpc":"2.0","id":"s","error":{"code":-32601"#), "{input:?}");
}

#[tokio::test]
async fn i13_r06_an_answer_beyond_the_limit_is_an_error_and_the_child_goes_on() {
    let called = r#"called() { case $line in
      *large*) printf '{"jsonrpc":"2.0","id":%s,"result":{"x":"%5000s"}}\n' "$id" x ;;
      *) done_ ;; esac }"#;
    let limits = UpstreamLimits { response_bytes_max: 4000, ..UpstreamLimits::default() };
    let world = World::with(EraSetting::Modern, limits, &[MODERN, called]);
    assert_eq!(world.call("large").await.unwrap_err().kind, CallErrorKind::TooLarge);
    assert!(world.call("t").await.is_ok());
}

#[tokio::test]
async fn r06_an_answer_beyond_the_limit_is_nobody_elses() {
    // Answers a call that has been cancelled, with too much, while another one waits.
    let called = r#"called() { case $line in
      *slow*) slow=$id ;;
      *) printf '{"jsonrpc":"2.0","id":%s,"result":{"x":"%5000s"}}\n' "$slow" x; done_ ;; esac }"#;
    let limits = UpstreamLimits { response_bytes_max: 4000, ..UpstreamLimits::default() };
    let world = World::with(EraSetting::Modern, limits, &[MODERN, called]);
    assert!(timeout(Duration::from_millis(300), world.call("slow")).await.is_err());
    assert!(matches!(world.call("t").await, Ok(Answer::Result { .. })));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_an_error_at_once() {
    let called = r#"called() { case $line in
      *odd*) printf '{"result":{"content":[],"x":"\ud83d"},"jsonrpc":"2.0","id":%s}\n' "$id" ;;
      *both*) printf '{"jsonrpc":"2.0","id":%s,"result":{},"error":{"code":1,"message":"x"}}\n' "$id" ;;
      *astext*) printf '{"jsonrpc":"2.0","id":%s,"result":"text"}\n' "$id" ;;
      *) echo '{"a":'; done_ ;; esac }"#;
    let world = World::new(EraSetting::Modern, &[MODERN, called]);
    for odd in ["odd", "both", "astext"] {
        let answered = timeout(Duration::from_secs(5), world.call(odd)).await.unwrap();
        let error = answered.unwrap_err();
        assert!(error.sent && matches!(error.kind, CallErrorKind::NotMcp(_)), "{odd}: {error:?}");
    }
    assert!(world.call("t").await.is_ok(), "noise answers nobody");
}

#[tokio::test]
async fn numbers_of_an_answer_are_relayed_as_they_are() {
    let called =
        r#"called() { reply '{"content":[],"structuredContent":{"id":9007199254740993}}'; }"#;
    let world = World::new(EraSetting::Modern, &[MODERN, called]);
    let Ok(Answer::Result { result, .. }) = world.call("t").await else { panic!() };
    assert!(result.to_text().contains("9007199254740993"));
}

#[tokio::test]
async fn i7_a_child_has_its_own_environment_and_nothing_of_ours() {
    let called = r#"called() { env > "$PWD/env"; done_; }"#;
    let world = World::new(EraSetting::Modern, &[MODERN, called]);
    assert!(world.call("t").await.is_ok());
    let seen = std::fs::read_to_string(world.folder.path().join("env")).unwrap();
    let names: std::collections::BTreeSet<&str> =
        seen.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(seen.contains("API_TOKEN=canary-secret"));
    let own = ["API_TOKEN", "INPUT", "OLDPWD", "PATH", "PWD", "SHLVL", "_"];
    assert!(names.iter().all(|name| own.contains(name)), "{names:?}");
}

#[tokio::test]
async fn a_child_ends_with_what_it_started_even_if_it_will_not() {
    let called = r#"
trap '' TERM
trap 'while :; do sleep 1; done' EXIT
called() { sleep 600 & echo "$!" > "$PWD/pid"; done_; }"#;
    let world = World::new(EraSetting::Modern, &[MODERN, called]);
    assert!(world.call("t").await.is_ok());
    let pid = std::fs::read_to_string(world.folder.path().join("pid")).unwrap();
    let process = format!("/proc/{}", pid.trim());
    assert!(Path::new(&process).exists());
    timeout(Duration::from_secs(8), world.upstream.stop()).await.unwrap();
    let gone = || (!is_running(&process)).then_some(());
    until(gone, || process.clone()).await;
}

#[tokio::test]
async fn i13_a_child_that_does_not_read_can_be_ended() {
    let deaf = "exec sleep 600";
    let world = World::new(EraSetting::Modern, &[deaf]);
    let large = Object::default().with("x", "x".repeat(1 << 20));
    let call = OutgoingCall {
        assertion: None,
        log_level: None,
        key: &SessionKey::new("alice"),
        credential: None,
        method: "tools/call",
        params: Object::default().with("name", "t").with("arguments", large),
        name: Some("t"),
        trace: &TraceContext::default(),
        progress: false,
        input_schema: None,
        capabilities: Object::default(),
        is_interactive: false,
        round: Round::default(),
    };
    let stuck = timeout(Duration::from_millis(300), world.upstream.call(call, |_| {})).await;
    assert!(stuck.is_err());
    timeout(Duration::from_secs(8), world.upstream.stop()).await.expect("it cannot be ended");
}

#[tokio::test]
async fn a_child_that_starts_slowly_starts_even_if_who_asked_first_goes_away() {
    let slow = "sleep 1;";
    let world = World::new(EraSetting::Modern, &[slow, MODERN, "called() { done_; }"]);
    let hasty = timeout(Duration::from_millis(100), world.call("t")).await;
    assert!(hasty.is_err());
    let Transport::Stdio(stdio) = &world.upstream.transport else { panic!() };
    let started = stdio.state.lock().await.running.as_ref().map(|running| running.since);
    assert!(world.call("t").await.is_ok());
    let running = stdio.state.lock().await.running.as_ref().map(|running| running.since);
    assert!(started.is_some() && started == running, "it was started twice");
}

/// A zombie that nobody has waited for yet runs no more.
fn is_running(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// No resource is wanted, nor will be.
fn nothing() -> watch::Receiver<Uris> {
    watch::channel(Uris::new()).1
}

/// What is heard until `enough`.
async fn heard(world: &World, enough: usize) -> Vec<Heard> {
    let (key, mut heard) = (SessionKey::new("own"), Vec::new());
    let (tell, mut told) = mpsc::unbounded_channel();
    let following = world.upstream.follow(&key, None, nothing(), |heard| tell.send(heard).unwrap());
    tokio::pin!(following);
    while heard.len() < enough {
        tokio::select! {
            silence = &mut following => panic!("{silence:?} after {heard:?}"),
            Some(next) = told.recv() => heard.push(next),
            () = tokio::time::sleep(Duration::from_secs(5)) => panic!("only {heard:?}"),
        }
    }
    heard
}

#[tokio::test]
async fn a_legacy_child_says_by_itself_that_its_lists_changed() {
    let called = r#"
called() {
  n=0; while [ $n -lt 200 ]; do
    echo '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
    echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'
    n=$((n+1))
  done
  done_
}
"#;
    let world = World::new(EraSetting::Legacy, &[LEGACY, called]);
    let (heard, _) = tokio::join!(heard(&world, 201), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.call("t").await.unwrap()
    });
    assert_eq!(heard[0], Heard::Attentive);
    assert!(heard[1..].iter().all(|one| *one == Heard::Changed(ListKind::Tools)), "{heard:?}");
    assert!(!has(&world.input(), "subscriptions/listen"));
}

#[tokio::test]
async fn a_modern_child_is_asked_to_tell_and_told_when_nobody_listens_any_more() {
    let listening = MODERN.replace(
        "*tools/call*)",
        r#"*subscriptions/listen*)
    echo '{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}'
    echo '{"jsonrpc":"2.0","method":"notifications/prompts/list_changed","params":{}}' ;;
  *tools/call*)"#,
    );
    let world = World::new(EraSetting::Modern, &[&listening, "called() { done_; }"]);
    let heard = heard(&world, 2).await;
    assert_eq!(heard, [Heard::Attentive, Heard::Changed(ListKind::Prompts)]);
    let input = world.input_when(|input| has(input, "notifications/cancelled")).await;
    let asked = r#""notifications":{"promptsListChanged":true,"resourcesListChanged":true,"toolsListChanged":true}"#;
    assert!(input[0].contains(asked), "{input:?}");
}

#[tokio::test]
async fn a_child_that_tells_nothing_or_ends_is_not_waited_for() {
    let refusing = MODERN.replace(
        "*tools/call*)",
        r#"*subscriptions/listen*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id" ;;
  *tools/call*)"#,
    );
    let world = World::new(EraSetting::Modern, &[&refusing, "called() { done_; }"]);
    let key = SessionKey::new("own");
    let silence = world.upstream.follow(&key, None, nothing(), |heard| panic!("{heard:?}")).await;
    assert_eq!(silence, Ok(Silence::Never));

    let world = World::new(EraSetting::Legacy, &[LEGACY, "called() { exit 0; }"]);
    let follow = world.upstream.follow(&key, None, nothing(), |_| {});
    let (silence, _) = tokio::join!(follow, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.call("t").await
    });
    assert_eq!(silence, Ok(Silence::Ended));
}

#[tokio::test]
async fn i13_what_is_being_started_can_be_ended_and_nothing_is_started_after_that() {
    let silent = "echo started >> \"$INPUT\"; exec sleep 600";
    let world = World::new(EraSetting::Legacy, &[silent]);
    let call = world.call("t");
    let stop = async {
        world.input_when(|input| has(input, "started")).await;
        timeout(Duration::from_secs(8), world.upstream.stop()).await.expect("it cannot be ended");
    };
    let (answered, ()) = tokio::join!(call, stop);
    assert!(!answered.unwrap_err().sent);
    assert!(!world.call("t").await.unwrap_err().sent);
    assert_eq!(world.input(), ["started"]);
}
