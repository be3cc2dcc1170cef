use super::*;

const LIFE: Duration = Duration::from_secs(30);

fn thing(number: usize) -> Resource {
    Resource { kind: "Confluence::Page".into(), id: format!("acme/{number}") }
}

fn holder(caller: &str, credential: &str) -> Holder {
    let (caller, credential) = (Digest::of(caller.as_bytes()), Digest::of(credential.as_bytes()));
    Holder { caller, credential }
}

fn in_space(key: &str) -> Places {
    let resource = Resource::new("Confluence::Page", "acme/1");
    let containers = vec![Resource::new("Confluence::Space", format!("acme/{key}"))];
    [Located { resource, containers }].into()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

/// What a read may take.
fn read(finds: &Finds, thing: &Resource, holder: Holder, now: Timestamp) -> Result<Places, Epoch> {
    finds.get(thing, (holder, Effect::Read), now)
}

#[test]
fn i6_what_one_found_is_no_answer_to_another_nor_with_another_credential() {
    let (finds, alice) = (Finds::new(LIFE), holder("alice", "token"));
    finds.put(thing(1), (alice, in_space("DOCS")), 0, at(1_000));
    assert_eq!(read(&finds, &thing(1), alice, at(1_000)), Ok(in_space("DOCS")));
    for other in [holder("bob", "token"), holder("alice", "other")] {
        assert_eq!(read(&finds, &thing(1), other, at(1_000)), Err(0));
    }
    let other_kind = Resource { kind: "Confluence::Comment".into(), ..thing(1) };
    assert_eq!(read(&finds, &other_kind, alice, at(1_000)), Err(0));
}

#[test]
fn what_was_found_ends_soon_whatever_the_clock_does() {
    let (finds, alice) = (Finds::new(LIFE), holder("alice", "token"));
    finds.put(thing(1), (alice, in_space("DOCS")), 0, at(60_000));
    assert!(read(&finds, &thing(1), alice, at(89_999)).is_ok());
    assert!(read(&finds, &thing(1), alice, at(90_000)).is_err());
    assert!(read(&finds, &thing(1), alice, at(59_999)).is_err(), "the clock was set back");
    finds.put(thing(1), (alice, in_space("HR")), 0, at(61_000));
    assert_eq!(read(&finds, &thing(1), alice, at(61_000)), Ok(in_space("HR")), "the newest counts");
}

#[test]
fn what_was_asked_before_a_move_is_not_kept_after_it() {
    let (finds, alice) = (Finds::new(LIFE), holder("alice", "token"));
    let asked = read(&finds, &thing(1), alice, at(0)).unwrap_err();
    finds.put(thing(2), (alice, in_space("DOCS")), asked, at(0));
    finds.forget();
    assert!(read(&finds, &thing(2), alice, at(0)).is_err());
    finds.put(thing(1), (alice, in_space("DOCS")), asked, at(0));
    assert!(read(&finds, &thing(1), alice, at(0)).is_err(), "it may be somewhere else by now");
}

#[test]
fn i13_what_is_kept_has_a_bound_and_the_newest_is_always_there() {
    let (finds, alice) = (Finds::new(LIFE), holder("alice", "token"));
    for number in 0..THINGS_MAX + 10 {
        finds.put(thing(number), (alice, in_space("DOCS")), 0, at(0));
        assert!(read(&finds, &thing(number), alice, at(0)).is_ok());
    }
    assert!(finds.known().things.len() <= THINGS_MAX);
    for number in 0..HOLDERS_MAX + 10 {
        let one = holder(&number.to_string(), "token");
        finds.put(thing(0), (one, in_space("DOCS")), 0, at(0));
        assert!(read(&finds, &thing(0), one, at(0)).is_ok());
    }
    assert!(finds.known().things.get(&thing(0)).unwrap().len() <= HOLDERS_MAX);
}
