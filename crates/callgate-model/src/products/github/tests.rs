use proptest::prelude::*;

use super::*;

/// The bounds as one line, or why there are none.
fn bounds(text: &str) -> String {
    told(search(text, None))
}

fn told(found: Result<Vec<Located>, String>) -> String {
    match found {
        Ok(bounds) => {
            bounds.iter().map(|one| one.resource.id.clone()).collect::<Vec<_>>().join(" ")
        }
        Err(why) => format!("! {why}"),
    }
}

#[test]
fn queries_that_are_bounded() {
    for (query, expected) in [
        ("repo:acme/web", "acme/web"),
        ("is:open repo:Acme/Web label:bug crash", "acme/web"),
        ("repo:acme/web repo:acme/api", "acme/api acme/web"),
        ("org:acme fix", "acme"),
        ("user:octocat repo:acme/web", "octocat acme/web"),
        ("repo:acme/web \"stack trace\" label:\"good first issue\"", "acme/web"),
        ("repo:acme/web AND crash", "acme/web"),
        ("repo:acme/web crash OR repo:acme/api crash", "acme/api acme/web"),
        ("(repo:acme/web crash) OR (repo:acme/api)", "acme/api acme/web"),
        ("repo:acme/web -repo:acme/api -label:bug", "acme/web"),
        ("repo:acme/web -\"wont fix\"", "acme/web"),
        ("crash (repo:acme/web OR repo:acme/api)", "acme/api acme/web"),
        ("repo:acme/.github", "acme/.github"),
        ("repo:acme/web Überlauf", "acme/web"),
    ] {
        assert_eq!(bounds(query), expected, "{query}");
    }
}

#[test]
fn z01_queries_that_reach_further() {
    for query in [
        "",
        "crash",
        "is:open label:bug",
        // An OR beside it, in any spelling, with or without parentheses.
        "repo:acme/web OR crash",
        "crash OR repo:acme/web",
        "repo:acme/web or crash",
        "repo:acme/web | crash",
        "repo:acme/web || crash",
        "repo:acme/web (crash OR burn)",
        "(crash OR repo:acme/web burn)",
        // Denied.
        "-repo:acme/web",
        "NOT repo:acme/web",
        "not repo:acme/web",
        "NOT (repo:acme/web)",
        "-(repo:acme/web crash)",
        "repo:acme/web -(crash)",
        "- repo:acme/web",
        // In quotes, or where quotes end.
        "\"repo:acme/web\"",
        "label:\"x repo:evil/y\" repo:acme/web",
        "repo:acme/web \"a OR b\"",
        "\"a\"repo:acme/web",
        "a\"repo:acme/web\"",
        "\"a repo:acme/web",
        "repo:\"acme/web\"",
        "\\\"repo:acme/web\\\"",
        // No name of one repository.
        "repo:acme",
        "repo:acme/",
        "repo:/web",
        "repo:acme/*",
        "repo:acme/..",
        "repo:acme/web,evil/web",
        "repo:acme/web/x",
        "repo:@me/web",
        "user:@me",
        "org:",
        "Repo:acme/web",
        "xrepo:acme/web",
        // Other blanks than spaces.
        "crash\u{a0}repo:acme/web",
        "crash\trepo:acme/web",
        "crash\u{200b}repo:acme/web\n",
        // Beside a good one: some readers would join it.
        "repo:acme/web user:@me",
        "repo:acme/web repo:\"evil/secret\"",
        "repo:acme/web REPO:evil/secret",
        "repo:acme/web repo:evil/x,evil/y",
        "repo:acme/web - repo:evil/secret",
        "repo:acme/web not repo:evil/secret",
        "repo:acme/web NOT repo:evil/secret",
        "NOT -repo:evil/secret repo:acme/web",
        "repo:acme/web --repo:evil/secret",
        "repo:acme/web ,repo:evil/secret",
        "repo:acme/web label_repo:evil/secret",
        // What adds places.
        "repo:acme/web enterprise:evil",
        "repo:acme/web Owner:evil",
        "repo:acme/web saved:everything",
        "repo:acme/web /repo:evil/",
    ] {
        assert!(bounds(query).starts_with("! "), "{query}: {}", bounds(query));
    }
}

#[test]
fn a_repository_beside_the_query_binds_what_names_none() {
    let search = |text| told(search(text, Some(("Acme", "Web"))));
    assert_eq!(search("crash"), "acme/web");
    assert_eq!(search(""), "acme/web");
    // The server leaves out what stands beside it, or does not: it is a bound as well.
    assert_eq!(search("repo:acme/api"), "acme/api acme/web");
    for query in [
        "crash OR burn",
        "-repo:acme/api",
        "repo:x",
        "repo:acme/api OR crash",
        // The server finds a `repo:` in it and adds none.
        "password -label:repo:x",
        "password -x.repo:y",
        "password label:REPO:x",
    ] {
        assert!(search(query).starts_with("! "), "{query}");
    }
    assert!(super::search("crash", Some(("a/b", "c"))).is_err());
}

/// What a reader who knows AND, OR and parentheses takes it for: whether all that it finds is in what it names.
#[derive(Clone, Debug)]
enum Tree {
    Word,
    Repo(u8),
    NotRepo(u8),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Tree {
    fn is_bounded(&self) -> bool {
        match self {
            Self::Repo(_) => true,
            Self::Word | Self::NotRepo(_) => false,
            Self::And(a, b) => a.is_bounded() || b.is_bounded(),
            Self::Or(a, b) => a.is_bounded() && b.is_bounded(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Word => "w".to_owned(),
            Self::Repo(n) => format!("repo:a/r{n}"),
            Self::NotRepo(n) => format!("-repo:a/r{n}"),
            Self::And(a, b) => format!("{} {}", a.within(), b.within()),
            Self::Or(a, b) => format!("{} OR {}", a.within(), b.within()),
        }
    }

    fn within(&self) -> String {
        match self {
            Self::And(..) | Self::Or(..) => format!("({})", self.text()),
            Self::Word | Self::Repo(_) | Self::NotRepo(_) => self.text(),
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Word),
        (0..4_u8).prop_map(Tree::Repo),
        (0..4_u8).prop_map(Tree::NotRepo)
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::And(a.into(), b.into())),
            (inner.clone(), inner).prop_map(|(a, b)| Tree::Or(a.into(), b.into())),
        ]
    })
}

proptest! {
    /// What is said to be bounded is bounded for a reader of AND, OR and parentheses; and so it is for one who drops the
    /// parentheses.
    #[test]
    fn bounded_for_every_reader(tree in trees()) {
        let text = tree.text();
        if search(&text, None).is_ok() {
            prop_assert!(tree.is_bounded(), "{text}");
            let flat = text.replace(['(', ')'], "");
            prop_assert!(flat.split(" OR ").all(|part| part.split(' ').any(|word| word.starts_with("repo:"))));
        }
    }

    #[test]
    fn adding_words_never_makes_fewer_places(tree in trees(), more in trees()) {
        let (text, more) = (tree.text(), more.text());
        if let (Ok(one), Ok(both)) = (search(&text, None), search(&format!("{text} OR {more}"), None)) {
            prop_assert!(one.iter().all(|bound| both.contains(bound)));
        }
    }

    #[test]
    fn i13_any_text_is_read(text in ".{0,200}") {
        let _any = search(&text, None);
        let _any = search(&text, Some(("a", "b")));
    }
}
