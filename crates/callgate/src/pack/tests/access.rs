//! What the pack says of who held what, out of records as they are sealed.

use callgate_model::authority::{
    ApiToken, Grant, Holder, Passkey, Revocation, SecretFor, Subject, SubjectKind, UpstreamSecret,
};
use callgate_model::envelope::Portion;
use callgate_model::target::Resource;

use super::*;
use crate::pack::access;

/// What nobody may find in the table: a digest of a secret, a sealed secret, what a passkey is checked by.
const CANARY: &[u8] = b"canary";

fn within(place: Option<&str>) -> Portion {
    Portion {
        servers: ["jira".to_owned()].into(),
        actions: ["write".to_owned()].into(),
        within: place.map(|place| Resource::new("Jira::Project", place)).into_iter().collect(),
        risk_max: Some(Risk::Medium),
    }
}

fn token(number: u8, ends: i64, replaces: Option<u8>) -> Box<ApiToken> {
    Box::new(ApiToken {
        id: id(number),
        name: "nightly".into(),
        digest: Digest::of(CANARY),
        owner: "alice".into(),
        service_account: None,
        groups: Vec::new(),
        agent: "bot".into(),
        class: None,
        scope: within(Some("acme/ENG")),
        networks: Vec::new(),
        issued: moment(0),
        ends: moment(ends),
        idle_s: None,
        replaces: replaces.map(id),
        first: id(number),
    })
}

fn secret_for() -> SecretFor {
    SecretFor { server: "jira".into(), holder: Subject::new(SubjectKind::Human, "alice") }
}

impl Log {
    fn issued(&mut self, at: i64, number: u8, ends: i64) {
        self.change(at, "olga", Change::TokenIssued { token: token(number, ends, None) });
    }

    fn rotated(&mut self, at: i64, (old, number): (u8, u8), ends: i64, old_ends: i64) {
        let token = token(number, ends, Some(old));
        self.change(at, "olga", Change::TokenRotated { token, old_ends: moment(old_ends) });
    }

    fn taken(&mut self, at: i64, number: u8) {
        self.change(at, "dave", Change::TokenRevoked { id: id(number) });
    }

    fn granted(&mut self, at: i64, number: u8, uses: u32, place: Option<&str>) {
        let holder = Holder { human: Some("bob".into()), ..Holder::default() };
        let (reason, ticket) = ("on call".into(), Some("OPS-1".into()));
        let grant = Box::new(Grant {
            id: id(number),
            holder,
            scope: within(place),
            begins: moment(at),
            ends: moment(at + 3_600),
            uses,
            reason,
            ticket,
            by: "carol".into(),
            issued: moment(at),
            lifts: None,
        });
        self.change(at, "carol", Change::GrantIssued { grant });
    }

    fn used_grant(&mut self, at: i64, number: u8, spends: bool) {
        let grant = Some(Use { id: id(number), spends });
        let under = Under { grant, ..Under::default() };
        let decision = Decision::own_read(Digest::default());
        self.decided(at, Decided { under, decision, ..denied() });
    }

    fn set_secret(&mut self, at: i64) {
        let (scheme, sealed) = ("bearer".into(), "canary".into());
        let secret = UpstreamSecret { owner: secret_for(), scheme, set: moment(at), sealed };
        self.change(at, "alice", Change::SecretSet { secret: Box::new(secret) });
    }

    fn add_passkey(&mut self, at: i64) {
        let passkey = Box::new(Passkey {
            id: "pk".into(),
            who: "alice".into(),
            name: "phone".into(),
            added: moment(at),
            key_digest: Digest::of(CANARY),
            key: "canary".into(),
            counter: 0,
        });
        self.change(at, "alice", Change::PasskeyAdded { passkey, proof: None });
    }

    fn remove_passkey(&mut self, at: i64) {
        let (id, who) = ("pk".into(), "alice".into());
        self.change(at, "alice", Change::PasskeyRemoved { id, who, proof: None });
    }

    fn access(&self) -> Access {
        let mut access = Access::of(period());
        self.each(|seen| access.take(seen));
        access
    }

    /// Kind, id, and how it ended at `end`.
    fn held(&self, end: i64) -> Vec<String> {
        let access = self.access();
        let rows = lines(|files| access.write(files, moment(end)), access::CSV);
        let told = rows.iter().map(|row| {
            let cells: Vec<&str> = row.split(',').collect();
            format!("{} {} {}", cells[0], cells[13], cells[14])
        });
        told.collect()
    }
}

fn over(kind: &str, at: i64, how: &str) -> String {
    format!("{kind} {} {how}", moment(at))
}

#[test]
fn what_was_in_force_at_some_time_is_told_with_its_end() {
    let mut log = Log::default();
    log.issued(-9 * DAY_S, 1, -DAY_S);
    log.issued(-500, 2, 200 * DAY_S);
    log.issued(-400, 3, 5 * DAY_S);
    log.taken(-300, 3);
    log.rotated(100, (2, 4), 100 * DAY_S, 3_700);
    log.granted(200, 5, 3, Some("acme/ENG"));
    log.change(300, "dave", Change::GrantRevoked { id: id(5) });
    log.issued(DAY_S, 6, 5 * DAY_S);
    assert_eq!(
        log.held(50_000),
        [
            over("token", 3_700, "replaced"),
            "token  in_force".into(),
            over("grant", 300, "taken_back")
        ]
    );
    assert_eq!(log.held(200)[0], "token  in_force", "the old one is good for a while");
    let access = log.access();
    let rows = lines(|files| access.write(files, moment(50_000)), access::CSV);
    let what = "servers jira; operations write; within Jira::Project acme/ENG; risk up to medium";
    assert!(rows.iter().all(|row| row.contains(what)), "{rows:?}");
    assert!(rows[1].contains("nightly,alice,bot") && rows[1].contains(&id(2).to_string()));
    assert!(
        rows[2].contains("OPS-1,bob") && rows[2].contains("on call") && rows[2].contains("dave")
    );
    assert_eq!((access.left_out, access.erased), (0, 0));

    let tokens = access.figures("token", moment(50_000));
    assert_eq!((tokens.given, tokens.taken, tokens.held), (1, 0, 1));
    assert_eq!((tokens.long, tokens.days_max, tokens.endless), (1, 100, 0));
    assert_eq!(access.figures("token", moment(3_699)).held, 2);
    assert_eq!(access.figures("token", moment(3_700)).held, 1, "over at that very moment");
    let grants = access.figures("grant", moment(250));
    assert_eq!((grants.given, grants.taken, grants.held, grants.anywhere), (1, 1, 1, 0));
}

#[test]
fn a_grant_ends_when_it_is_used_up() {
    let mut log = Log::default();
    log.granted(0, 1, 2, None);
    log.used_grant(10, 1, true);
    log.used_grant(11, 1, false);
    assert_eq!(log.held(20), ["grant  in_force"], "what goes on with a call takes no use");
    assert_eq!(log.access().figures("grant", moment(20)).anywhere, 1);
    log.used_grant(30, 1, true);
    assert_eq!(log.held(40), [over("grant", 30, "used_up")]);
    assert_eq!(log.access().figures("grant", moment(40)).held, 0);
}

#[test]
fn a_rotation_makes_no_token_last_longer() {
    let mut log = Log::default();
    log.issued(0, 1, 500);
    log.rotated(100, (1, 2), DAY_S * 2, 3_700);
    assert_eq!(log.held(600), [over("token", 500, "ran_out"), "token  in_force".into()]);
}

#[test]
fn what_is_set_or_added_anew_does_not_hide_what_was_before() {
    let mut log = Log::default();
    log.set_secret(-100);
    log.set_secret(100);
    log.change(200, "alice", Change::SecretRemoved { owner: secret_for() });
    log.add_passkey(300);
    log.remove_passkey(400);
    log.add_passkey(500);
    assert_eq!(
        log.held(600),
        [
            over("secret", 100, "replaced"),
            over("secret", 200, "taken_back"),
            over("passkey", 400, "taken_back"),
            "passkey  in_force".into()
        ]
    );
}

/// I7: who holds something is told, and nothing by which it could be found out or tried.
#[test]
fn i7_no_secret_and_no_digest_of_one_is_in_the_table() {
    let mut log = Log::default();
    log.issued(0, 1, DAY_S);
    log.granted(1, 2, 1, None);
    log.set_secret(2);
    log.add_passkey(3);
    let revocation = Box::new(Revocation {
        id: id(3),
        subject: Subject::new(SubjectKind::Agent, "lost-bot"),
        issued_before: None,
        reason: "its key was lost".into(),
        at: moment(4),
    });
    log.change(4, "carol", Change::Revoked { revocation });
    let access = log.access();
    let rows = lines(|files| access.write(files, moment(60)), access::CSV);
    assert_eq!(rows.len(), 5);
    let digest = Digest::of(CANARY).to_string();
    for row in rows {
        assert!(!row.contains("canary") && !row.contains(&digest), "{row}");
        assert!(!row.contains("0000000000000000") && !row.contains("bearer"), "{row}");
    }
}

#[test]
fn what_was_given_before_the_log_begins_or_is_erased_is_counted() {
    let mut log = Log::default();
    log.taken(600, 9);
    log.issued(-50, 1, DAY_S * 9);
    log.erase();
    log.issued(700, 2, DAY_S * 9);
    log.taken(800, 2);
    log.erase();
    log.issued(DAY_S + 1, 3, DAY_S * 9);
    log.erase();
    let access = log.access();
    assert_eq!((access.left_out, access.erased), (1, 2), "what comes after the period is no part");
    assert_eq!(log.held(900), ["token  in_force"], "as far as records tell");
}

/// I13: those that were over before the period make room, and what has none is counted.
#[test]
fn i13_what_is_given_is_bounded() {
    let mut log = Log::default();
    log.issued(-900, 1, -800);
    log.issued(-890, 2, 9 * DAY_S);
    log.taken(-880, 2);
    log.issued(-870, 3, 9 * DAY_S);
    log.issued(-860, 4, 9 * DAY_S);
    log.rotated(-850, (4, 5), 9 * DAY_S, -840);
    log.issued(10, 6, 9 * DAY_S);
    log.issued(20, 7, 9 * DAY_S);
    let mut access = Access::of(period());
    access.most = 3;
    log.each(|seen| access.take(seen));
    assert_eq!(access.left_out, 1, "the last one");
    let rows = lines(|files| access.write(files, moment(60)), access::CSV);
    let told = |number: u8| rows.iter().any(|row| row.contains(&format!("token,{}", id(number))));
    assert_eq!([1, 2, 3, 4, 5, 6, 7].map(told), [false, false, true, false, true, true, false]);
}
