//! What every store must do, as one suite. A new backend is done when it passes.

use std::sync::Arc;

use callgate_model::ambient::{Ambient as _, Id, Timestamp};
use callgate_model::decision::Decision;
use callgate_model::digest::Digest;
use callgate_model::evidence::audit::Auditor;
use callgate_model::evidence::{Chain, Event, Link, Payload};
use callgate_model::reason::Reason;
use callgate_model::target::{Located, Resource, Target};

use crate::engines::{Engine, Files, Opened};
use crate::testing::{Ticking, intent, outcome};
use crate::{Durability, EvidenceLimits, EvidenceLog, EvidenceStore, Filter, Row, Store};

/// Runs the suite; `open` makes an empty store each time.
async fn conforms(open: impl AsyncFn() -> Opened) {
    an_empty_store_has_nothing(&*open().await.store).await;
    rows_come_back_as_they_were(&*open().await.store).await;
    an_append_is_all_or_nothing(&*open().await.store).await;
    filters_find_what_they_name(&*open().await.store).await;
    pages_follow_the_log(&*open().await.store).await;
    decisions_are_counted_by_span(&*open().await.store).await;
    writers_and_orphans_are_told(&*open().await.store).await;
    i11_concurrent_records_make_one_chain(&open().await.store).await;
}

/// The calls whose intent is there, and whose outcome is not.
pub(crate) async fn open_calls(store: &dyn EvidenceStore) -> Vec<Id> {
    let rows = store.read(0, u32::MAX).await.unwrap();
    let calls = |kind: &str| -> Vec<Id> {
        rows.iter().filter(|row| row.kind == kind).filter_map(|row| row.call).collect()
    };
    let concluded = calls("outcome");
    calls("intent").into_iter().filter(|call| !concluded.contains(call)).collect()
}

/// The end of one writer's chain, in a log that keeps all rules.
pub(crate) async fn verified(store: &dyn EvidenceStore, writer: Id) -> Digest {
    let (mut auditor, mut head) = (Auditor::new(), None);
    for row in store.read(0, u32::MAX).await.unwrap() {
        let payload = Some(row.text.as_bytes()).filter(|text| !text.is_empty());
        let audited = auditor.entry(row.entry.as_bytes(), payload).unwrap();
        head = Some(audited.leaf).filter(|_| row.writer == writer).or(head);
    }
    head.unwrap()
}

fn edit(ambient: &Ticking, human: &str) -> Event {
    Event::Decided(Arc::new(intent(ambient.id(), human, "release-bot")))
}

fn rows(chain: &mut Chain, events: &[Event]) -> Vec<Row> {
    let at = |seconds| Timestamp::from_unix_ms(1_000 * seconds);
    let mut seal =
        |seconds, event: &Event| Row::seal(chain, at(seconds), event, Payload::new(event, [7; 16]));
    (1_i64..).zip(events).map(|(seconds, event)| seal(seconds, event)).collect()
}

async fn an_empty_store_has_nothing(store: &dyn EvidenceStore) {
    let id = Ticking::new(1).id();
    store.append(&[]).await.unwrap();
    assert_eq!(store.last_chain().await.unwrap(), None);
    assert_eq!(store.head(id).await.unwrap(), None);
    assert!(store.writers().await.unwrap().is_empty());
    assert!(store.orphans().await.unwrap().is_empty());
    assert!(store.show(id).await.unwrap().is_empty());
    assert!(store.list(&Filter::default()).await.unwrap().is_empty());
}

async fn rows_come_back_as_they_were(store: &dyn EvidenceStore) {
    let ambient = Ticking::new(1);
    let mut chain = Chain::new(ambient.id());
    let mut events = vec![Event::Opened { version: "1".to_owned(), after: None }];
    events.extend((0..198).map(|_| edit(&ambient, "o'hara; \0 \u{1F600}")));
    let call = ambient.id();
    events.push(Event::Decided(Arc::new(intent(call, "alice", "release-bot"))));
    events.push(outcome(call));
    let rows = rows(&mut chain, &events);
    // Every number of rows that is put together in its own way.
    store.append(&rows[..127]).await.unwrap();
    store.append(&rows[127..]).await.unwrap();

    let mut listed = store.list(&Filter::default()).await.unwrap();
    listed.reverse();
    let stored =
        |(index, row): (u64, &Row)| Row { index: Some(index), links: Vec::new(), ..row.clone() };
    let rows: Vec<Row> = (0..).zip(&rows).map(stored).collect();
    assert_eq!(listed, rows);
    assert_eq!(store.size().await.unwrap(), 201);
    assert_eq!(store.read(0, 1_000).await.unwrap(), rows);
    assert_eq!(store.read(198, 2).await.unwrap(), rows[198..200]);
    assert!(store.read(201, 1).await.unwrap().is_empty());
    let last = rows.last().unwrap();
    assert_eq!(store.head(chain.writer()).await.unwrap(), Some((200, last.hash)));
    assert_eq!(verified(store, chain.writer()).await, last.hash);
    let two = Filter { limit: Some(2), ..Filter::default() };
    assert_eq!(store.list(&two).await.unwrap(), [rows[200].clone(), rows[199].clone()]);
}

async fn an_append_is_all_or_nothing(store: &dyn EvidenceStore) {
    let ambient = Ticking::new(1);
    let mut chain = Chain::new(ambient.id());
    let events: Vec<Event> = (0..100).map(|_| edit(&ambient, "alice")).collect();
    let rows = rows(&mut chain, &events);
    store.append(&rows[..1]).await.unwrap();
    let mut doubled = rows[1..].to_vec();
    doubled.push(rows[0].clone());
    assert!(store.append(&doubled).await.is_err(), "a place in a chain was given twice");
    assert_eq!(store.head(chain.writer()).await.unwrap(), Some((0, rows[0].hash)));
    assert_eq!(store.list(&Filter::default()).await.unwrap().len(), 1);
    store.append(&rows[1..]).await.unwrap();
    assert_eq!(store.list(&Filter::default()).await.unwrap().len(), 100);
}

/// The first is a call of alice's, with its outcome; the last a refusal of what nobody knows.
async fn an_intent_and_a_refusal(store: &dyn EvidenceStore) -> Id {
    let ambient = Ticking::new(1);
    let (first, second) = (ambient.id(), ambient.id());
    let mut refusal = intent(second, "Alice", "Release-Bot");
    refusal.server = "github".to_owned();
    refusal.tool = "delete_repo".to_owned();
    refusal.understood = None;
    refusal.decision = Decision::deny(Reason::ToolUnknown, Digest::default());
    let mut allowed = intent(first, "alice", "release-bot");
    if let Some(understood) = &mut allowed.understood {
        understood.targets = vec![Target::Located(Located {
            resource: Resource::new("Jira::Issue", "acme/ENG-42"),
            containers: vec![
                Resource::new("Jira::Project", "acme/ENG"),
                Resource::new("Jira::Site", "acme"),
            ],
        })];
    }
    let events =
        [Event::Decided(Arc::new(allowed)), outcome(first), Event::Decided(Arc::new(refusal))];
    store.append(&rows(&mut Chain::new(ambient.id()), &events)).await.unwrap();
    first
}

async fn filters_find_what_they_name(store: &dyn EvidenceStore) {
    let first = an_intent_and_a_refusal(store).await;
    let all = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let at = |unix_ms| Some(Timestamp::from_unix_ms(unix_ms));
    let with = |link, value: &str| all().with(link, text(value));
    let cases = [
        (all(), vec![2, 1, 0]),
        (Filter { decided: true, ..all() }, vec![2, 0]),
        (with(Link::Kind, "intent"), vec![0]),
        (with(Link::Kind, "refusal"), vec![2]),
        (with(Link::Verdict, "deny"), vec![2]),
        (with(Link::Outcome, "succeeded"), vec![1]),
        (with(Link::Server, "github"), vec![2]),
        (with(Link::Server, "GitHub"), vec![]),
        (Filter { decided: true, ..all().without(Link::Server, "github") }, vec![0]),
        (Filter { decided: true, ..all().without(Link::Server, "GitHub") }, vec![2, 0]),
        (with(Link::Tool, "editJiraIssue"), vec![0]),
        (with(Link::Tool, "editjiraissue"), vec![]),
        (with(Link::Operation, "jira.issue.edit"), vec![0]),
        (with(Link::Operation, "jira.%"), vec![]),
        // Identities differ if their case does.
        (with(Link::Human, "alice"), vec![0]),
        (with(Link::Human, "Alice"), vec![2]),
        (with(Link::Agent, "Release-Bot"), vec![2]),
        (with(Link::Client, "ide"), vec![2, 0]),
        (with(Link::Client, "Ide"), vec![]),
        (with(Link::Reason, "tool_unknown"), vec![2]),
        (with(Link::Reason, "permitted"), vec![0]),
        (with(Link::Reason, "tool"), vec![]),
        (with(Link::Policy, "engineers-edit"), vec![0]),
        (with(Link::Target, "acme/ENG-42"), vec![0]),
        (with(Link::Target, "acme/ENG"), vec![0]),
        (with(Link::Target, "Jira::Project::acme/ENG"), vec![0]),
        (with(Link::Target, "acme"), vec![0]),
        (with(Link::Target, "Jira::Issue"), vec![]),
        (with(Link::Target, "ENG-42"), vec![]),
        (with(Link::Target, "%"), vec![]),
        // Each of them has to be there.
        (with(Link::Client, "ide").with(Link::Verdict, text("deny")), vec![2]),
        (with(Link::Client, "ide").with(Link::Kind, text("outcome")), vec![]),
        (with(Link::Client, "ide").without(Link::Verdict, "deny"), vec![0]),
        (with(Link::Client, "ide").with(Link::Agent, None), vec![2, 0]),
        (Filter { call: Some(first), ..all() }, vec![1, 0]),
        (Filter { since: at(2_000), ..all() }, vec![2, 1]),
        (Filter { since: at(3_001), ..all() }, vec![]),
        (Filter { until: at(3_000), ..all() }, vec![1, 0]),
        (Filter { since: at(2_000), until: at(2_001), ..all() }, vec![1]),
        (Filter { since: at(2_000), ..with(Link::Client, "ide") }, vec![2]),
        (Filter { until: at(3_000), ..with(Link::Client, "ide") }, vec![0]),
        (Filter { call: Some(first), ..with(Link::Kind, "outcome") }, vec![1]),
        (Filter { call: Some(first), ..with(Link::Kind, "refusal") }, vec![]),
        (Filter { call: Some(first), since: at(2_000), ..all() }, vec![1]),
        (Filter { limit: Some(1), ..with(Link::Client, "ide") }, vec![2]),
    ];
    for (filter, expected) in cases {
        let found = store.list(&filter).await.unwrap();
        let found: Vec<u64> = found.iter().map(|row| row.sequence).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let kinds: Vec<String> =
        store.show(first).await.unwrap().into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["intent", "outcome"]);
}

async fn pages_follow_the_log(store: &dyn EvidenceStore) {
    an_intent_and_a_refusal(store).await;
    let all = Filter::default;
    let with = |link, value: &str| all().with(link, Some(value.to_owned()));
    let at = |ms| Some(Timestamp::from_unix_ms(ms));
    for (filter, from, expected) in [
        (all(), 0, vec![0, 1, 2]),
        (all(), 1, vec![1, 2]),
        (all(), 3, vec![]),
        (Filter { limit: Some(2), ..all() }, 0, vec![0, 1]),
        // What became of a call goes with its intent, wherever the page begins.
        (with(Link::Human, "alice"), 0, vec![0, 1]),
        (with(Link::Human, "alice"), 1, vec![1]),
        (with(Link::Human, "Alice"), 0, vec![2]),
        (with(Link::Human, "nobody"), 0, vec![]),
        (Filter { limit: Some(1), ..with(Link::Target, "acme/ENG") }, 1, vec![1]),
        (with(Link::Verdict, "deny"), 0, vec![2]),
        (with(Link::Outcome, "succeeded"), 0, vec![1]),
        (all().without(Link::Server, "github"), 0, vec![0, 1]),
        // Its time is its own.
        (Filter { since: at(2_000), ..with(Link::Human, "alice") }, 0, vec![1]),
        (Filter { until: at(2_000), ..with(Link::Human, "alice") }, 0, vec![0]),
    ] {
        let page = store.page(&filter, from).await.unwrap();
        let places: Vec<u64> = page.iter().filter_map(|row| row.index).collect();
        assert_eq!(places, expected, "{filter:?} from {from}");
    }
}

async fn decisions_are_counted_by_span(store: &dyn EvidenceStore) {
    an_intent_and_a_refusal(store).await;
    let all = Filter::default;
    // The intent was after a second, the refusal after three.
    let tallied = [
        (all(), 1_000, vec![(1_000, "allow", 1), (3_000, "deny", 1)]),
        (all(), 2_000, vec![(0, "allow", 1), (2_000, "deny", 1)]),
        (all(), 10_000, vec![(0, "allow", 1), (0, "deny", 1)]),
        (all().without(Link::Server, "github"), 10_000, vec![(0, "allow", 1)]),
        (
            Filter { since: Some(Timestamp::from_unix_ms(2_000)), limit: Some(0), ..all() },
            1_000,
            vec![(3_000, "deny", 1)],
        ),
        (all().with(Link::Agent, Some("nobody".to_owned())), 1_000, vec![]),
    ];
    for (filter, every_ms, expected) in tallied {
        let found = store.tally(&filter, every_ms).await.unwrap();
        let found: Vec<_> =
            found.iter().map(|one| (one.at.unix_ms(), one.verdict.as_str(), one.count)).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

async fn writers_and_orphans_are_told(store: &dyn EvidenceStore) {
    let ambient = Ticking::new(1);
    let (open, concluded) = (ambient.id(), ambient.id());
    // The later writer has the smaller id: what counts is who began later.
    let late = Chain::new(ambient.id());
    let mut early = Chain::new(ambient.id());
    let mut late = late;
    let decided = |call| Event::Decided(Arc::new(intent(call, "alice", "release-bot")));
    store.append(&rows(&mut early, &[decided(open), decided(concluded)])).await.unwrap();
    let last = rows(&mut late, &[outcome(concluded)]);
    store.append(&last).await.unwrap();

    assert_eq!(store.writers().await.unwrap(), [early.writer(), late.writer()]);
    assert_eq!(store.last_chain().await.unwrap(), Some((late.writer(), last[0].hash)));
    assert_eq!(store.orphans().await.unwrap(), [open]);
}

async fn i11_concurrent_records_make_one_chain(store: &Arc<dyn Store>) {
    let ambient = Arc::new(Ticking::new(1));
    let limits = EvidenceLimits::default();
    let (log, recovery) =
        EvidenceLog::open(Arc::<dyn Store>::clone(store), Arc::<Ticking>::clone(&ambient), limits)
            .await
            .unwrap();
    assert!(recovery.indeterminate.is_empty());
    let log = Arc::new(log);
    let tasks: Vec<_> = (0..64)
        .map(|index| {
            let (log, ambient) = (Arc::clone(&log), Arc::clone(&ambient));
            let kind = if index % 4 == 0 { Durability::Queued } else { Durability::Durable };
            tokio::spawn(async move {
                let call = ambient.id();
                let decided = Event::Decided(Arc::new(intent(call, "alice", "release-bot")));
                log.record(decided, kind).await.unwrap();
                log.record(outcome(call), kind).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    log.shutdown().await.unwrap();

    assert_eq!(log.counters().appended, 128);
    assert!(log.counters().batches < 64, "{:?}", log.counters());
    let (writer, head) = store.last_chain().await.unwrap().unwrap();
    assert_eq!(verified(&**store, writer).await, head);
    assert_eq!(store.list(&Filter::default()).await.unwrap().len(), 129);
    assert!(open_calls(&**store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_a_file_conforms() {
    let files = Files::new();
    conforms(async || files.open().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_memory_conforms() {
    conforms(async || Engine::Sqlite.open().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: `cargo xtask test` has one"]
async fn i12_postgres_conforms() {
    conforms(async || Engine::Postgres.open().await).await;
}
