use callgate_model::json::{JsonLimits, read};
use callgate_model::products::atlassian::{SiteEntry, SiteMap};

use super::*;

fn answer(text: &str) -> Object {
    match read(text.as_bytes(), &JsonLimits::default()) {
        Ok(Json::Object(object)) => object,
        other => panic!("{other:?}"),
    }
}

fn tool() -> Ask {
    Ask::Tool { name: "get".into(), arguments: Vec::new() }
}

fn resolver(finds: Finds) -> Resolver {
    Resolver {
        title: Vec::new(),
        values: None,
        kind: "Confluence::Page".into(),
        container: "Confluence::Space".into(),
        asks: vec![tool()],
        finds,
        rows: None,
        same: vec![Path::parse("/id").unwrap()],
        moves: false,
    }
}

#[test]
fn i5_an_answer_that_does_not_say_one_thing_says_nothing() {
    let spaces = |paths: &[&str]| {
        let paths = paths.iter().map(|path| Path::parse(path).unwrap());
        resolver(Finds::Containers(paths.collect()))
    };
    let one = spaces(&["/space/key"]);
    let found = one.read(&tool(), &answer(r#"{"id":"7","space":{"key":"DOCS"}}"#), "7");
    assert_eq!(found, Some(Found::Containers(vec!["DOCS".into()])));
    let number = spaces(&["/spaceId"]).read(&tool(), &answer(r#"{"id":7,"spaceId":98}"#), "7");
    assert_eq!(number, Some(Found::Containers(vec!["98".into()])));
    for unclear in [
        r#"{"id":"8","space":{"key":"DOCS"}}"#,
        r#"{"space":{"key":"DOCS"}}"#,
        r#"{"id":"7","space":{"key":null}}"#,
        r#"{"id":"7","space":{}}"#,
        r#"{"id":"7","space":"DOCS"}"#,
        r#"{"id":"7","space":{"key":["DOCS"]}}"#,
        r#"{"id":"7","space":{"key":1.5}}"#,
        r#"{"id":["7"],"space":{"key":"DOCS"}}"#,
    ] {
        assert_eq!(one.read(&tool(), &answer(unclear), "7"), None, "{unclear}");
    }
    let ends = spaces(&["/in/key", "/out/key"]);
    let both = answer(r#"{"id":"7","in":{"key":"ENG-1"},"out":{"key":"OPS-2"}}"#);
    assert_eq!(
        ends.read(&tool(), &both, "7"),
        Some(Found::Containers(vec!["ENG-1".into(), "OPS-2".into()]))
    );
    assert_eq!(ends.read(&tool(), &answer(r#"{"id":"7","in":{"key":"ENG-1"}}"#), "7"), None);
    let each = spaces(&["/all/*/key"]);
    let same = answer(r#"{"id":"7","all":[{"key":"A"},{"key":"A"}]}"#);
    assert!(each.read(&tool(), &same, "7").is_some());
    assert_eq!(
        each.read(&tool(), &answer(r#"{"id":"7","all":[{"key":"A"},{"key":"B"}]}"#), "7"),
        None
    );
    assert_eq!(each.read(&tool(), &answer(r#"{"id":"7","all":[]}"#), "7"), None);
    let name = resolver(Finds::Name(Path::parse("/key").unwrap()));
    let found = name.read(&tool(), &answer(r#"{"id":"7","key":"ENG-1"}"#), "7");
    assert_eq!(found, Some(Found::Name("ENG-1".into())));
}

#[test]
fn a_rest_path_takes_nothing_but_an_id() {
    let path = RestPath::parse("/rest/api/2/version/{id}?expand=a,b").unwrap();
    assert_eq!(path.of("10001").unwrap(), "/rest/api/2/version/10001?expand=a,b");
    for id in ["..", "1/2", "1?x", "1#x", "%2e", "1 ", "é", "att:1"] {
        assert_eq!(path.of(id), None, "{id}");
    }
    for wrong in ["/rest", "rest/{id}", "//evil.example/{id}", "/a/../{id}", "/{id}#", "/ {id}"] {
        assert!(RestPath::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_site_without_a_name_of_its_product_is_asked_nothing() {
    let site = |cloud_id: Option<&str>, url: Option<&str>| {
        let entry = SiteEntry {
            alias: "acme".into(),
            cloud_id: cloud_id.map(str::to_owned),
            url: url.map(str::to_owned),
        };
        SiteMap::new(&[entry], None).unwrap()
    };
    let given =
        [("cloudId".to_owned(), Given::Site), ("full".to_owned(), Given::Constant(false.into()))];
    let asked = |sites: &SiteMap| Ask::arguments(&given, "7", sites.default_site().unwrap());
    let id = "5f2c9a1e-7b34-4d08-9c61-2ad0e8f3b7c4";
    let by_id = asked(&site(Some(id), Some("https://acme.atlassian.net"))).unwrap();
    assert_eq!(by_id.to_text(), format!(r#"{{"cloudId":"{id}","full":false}}"#));
    let by_url = asked(&site(None, Some("https://acme.atlassian.net"))).unwrap();
    assert_eq!(by_url.get("cloudId").unwrap().as_str(), Some("https://acme.atlassian.net"));
    assert_eq!(asked(&site(None, None)), None);
}

#[test]
fn i5_a_value_that_is_not_certainly_the_one_is_none() {
    let path = |text| Path::parse(text).unwrap();
    let lookup = Lookup {
        kind: "Jira::Issue".into(),
        ask: Ask::Tool { name: "list".into(), arguments: Vec::new() },
        rows: path("/transitions/*"),
        key: path("/id"),
        value: path("/to/name"),
    };
    let rows = |rows: &str| answer(&format!(r#"{{"transitions":[{rows}]}}"#));
    let (open, done) = (r#"{"id":"11","to":{"name":"Open"}}"#, r#"{"id":41,"to":{"name":"Done"}}"#);
    assert_eq!(lookup.read(&rows(&format!("{open},{done}")), "41").unwrap(), "Done");
    assert_eq!(lookup.read(&rows(open), "41"), None);
    let twice = format!(r#"{done},{{"id":"41","to":{{"name":"Open"}}}}"#);
    for unclear in [&*twice, r#"{"id":"41"}"#, r#"{"to":{"name":"Done"}}"#, "41", ""] {
        assert_eq!(lookup.read(&rows(unclear), "41"), None, "{unclear}");
    }
}

#[test]
fn i5_of_several_rows_the_one_about_the_id_counts() {
    let path = |text| Path::parse(text).unwrap();
    let project = Resolver {
        rows: Some(path("/values/*")),
        same: vec![path("/key"), path("/id")],
        ..resolver(Finds::Name(path("/key")))
    };
    let all = r#"{"values":[{"id":"1","key":"HRX","name":"HR"},{"id":"2","key":"HR","name":"x"}]}"#;
    let name = |key: &str| Some(Found::Name(key.to_owned()));
    assert_eq!(project.read(&tool(), &answer(all), "HR"), name("HR"));
    assert_eq!(project.read(&tool(), &answer(all), "1"), name("HRX"));
    assert_eq!(project.read(&tool(), &answer(all), "x"), None, "a name is none");
    assert_eq!(project.read(&tool(), &answer(r#"{"values":[]}"#), "HR"), None);
    assert_eq!(project.read(&tool(), &answer(r#"{"values":["HR"]}"#), "HR"), None);
    assert_eq!(project.read(&tool(), &answer(r#"{"values":{"id":"1","key":"HR"}}"#), "HR"), None);
}

#[test]
fn what_people_call_a_thing_is_read_of_an_answer_about_it_only() {
    let path = |text| Path::parse(text).unwrap();
    let seen = |resolver: &Resolver, text: &str| resolver.look(&tool(), &answer(text), "7");
    let same = Resolver {
        same: vec![path("/id")],
        title: vec![path("/fields/summary"), path("/summary")],
        values: Some(path("/fields")),
        ..resolver(Finds::Containers(vec![path("/space")]))
    };
    let full = seen(&same, r#"{"id":"7","space":"S","fields":{"summary":"Plan","x":1}}"#).unwrap();
    let values = full.values.to_text();
    assert_eq!((full.title.as_deref(), &*values), (Some("Plan"), r#"{"summary":"Plan","x":1}"#));
    let flat = seen(&same, r#"{"id":"7","space":"S","summary":"Plan"}"#).unwrap();
    assert!(flat.title.is_some() && flat.values.get("summary").is_some());
    assert_eq!(seen(&same, r#"{"id":"8","space":"S","summary":"Plan"}"#), None, "of another");
    let silent = Resolver { title: Vec::new(), ..same };
    assert_eq!(seen(&silent, r#"{"id":"7","space":"S","summary":"Plan"}"#), None);
}
