use proptest::prelude::*;

use super::confluence::{page_id, space_key, untiny};
use super::jira::{issue_key, project_key};
use super::*;
use crate::target::{Located, Unresolved};

const ACME: &str = "11111111-2222-3333-4444-55555555abcd";

fn entry(alias: &str, cloud_id: &str, url: &str) -> SiteEntry {
    SiteEntry { alias: alias.into(), cloud_id: Some(cloud_id.into()), url: Some(url.into()) }
}

fn sites() -> SiteMap {
    let other = "99999999-2222-3333-4444-555555555555";
    let entries = [
        entry("acme", ACME, "https://acme.atlassian.net"),
        entry("evil", other, "https://evil.atlassian.net/"),
    ];
    SiteMap::new(&entries, Some("acme")).unwrap()
}

fn at(kind: &str, spelled: &str) -> Target {
    locate(kind, &[spelled], sites().default_site().unwrap())
}

fn id(target: &Target) -> String {
    match target {
        Target::Located(Located { resource, .. }) => resource.id.clone(),
        Target::Unresolved(Unresolved { obstacle, .. }) => format!("? {}", obstacle.as_str()),
    }
}

#[test]
fn z02_every_spelling_of_an_issue_is_one_issue_or_none() {
    for spelled in [
        "ENG-42",
        "eng-42",
        "https://acme.atlassian.net/browse/ENG-42",
        "HTTPS://ACME.Atlassian.NET/browse/eng-42",
        "https://acme.atlassian.net/jira/software/projects/ENG/boards/7?selectedIssue=ENG-42",
        "https://acme.atlassian.net/jira/software/c/projects/OPS/boards/7?selectedIssue=ENG-42",
        "https://acme.atlassian.net/jira/software/projects/ENG/boards/7/backlog?selectedIssue=ENG-42",
        "https://acme.atlassian.net/jira/core/projects/ENG/board?selectedIssue=ENG-42",
        "https://acme.atlassian.net/jira/software/c/projects/ENG/issues/ENG-42",
        "https://acme.atlassian.net/projects/ENG/issues/ENG-42",
    ] {
        let target = at("Jira::Issue", spelled);
        assert_eq!(id(&target), "acme/ENG-42", "{spelled}");
        let Target::Located(located) = target else { panic!("{spelled}") };
        let containers: Vec<String> = located.containers.iter().map(ToString::to_string).collect();
        assert_eq!(containers, ["Jira::Project \"acme/ENG\"", "Atlassian::Site \"acme\""]);
    }
    for (spelled, obstacle) in [
        ("10042", "opaque_id"),
        ("", "unknown_form"),
        ("ENG-", "unknown_form"),
        ("E-1", "unknown_form"),
        ("ENG-0", "unknown_form"),
        ("ENG-042", "unknown_form"),
        ("042", "unknown_form"),
        ("ENG-42 ", "unknown_form"),
        (" ENG-42", "unknown_form"),
        ("ENG-42\n", "unknown_form"),
        ("ENG-42\0", "unknown_form"),
        ("ENG-42?x", "unknown_form"),
        ("ENG-42#x", "unknown_form"),
        ("ENG-42-1", "unknown_form"),
        ("ENG-42/../EVIL-2", "unknown_form"),
        ("../EVIL-2", "unknown_form"),
        ("%2e%2e%2fEVIL-2", "unknown_form"),
        ("ENG%2D42", "unknown_form"),
        ("ari:cloud:jira:x:issue/10042", "unknown_site"),
        ("\u{ff25}NG-42", "unknown_form"),
        ("\u{0415}NG-42", "unknown_form"),
        ("ENG\u{2011}42", "unknown_form"),
        ("ENG-\u{0664}2", "unknown_form"),
        ("http://acme.atlassian.net/browse/ENG-42", "unknown_site"),
        ("https://acme.atlassian.net/browse/ENG-42/", "unknown_form"),
        ("https://acme.atlassian.net/browse/ENG-42?selectedIssue=EVIL-2", "unknown_form"),
        ("https://acme.atlassian.net/browse/ENG-42#EVIL-2", "unknown_form"),
        ("https://acme.atlassian.net/browse/../browse/EVIL-2", "unknown_form"),
        ("https://acme.atlassian.net//browse/ENG-42", "unknown_form"),
        ("https://acme.atlassian.net/browse/10042", "unknown_form"),
        ("https://acme.atlassian.net:443/browse/ENG-42", "unknown_site"),
        ("https://acme.atlassian.net@evil.atlassian.net/browse/ENG-42", "unknown_site"),
        ("https://acme.atlassian.net\\@evil.atlassian.net/browse/ENG-42", "unknown_site"),
        ("https://acme.atlassian.net./browse/ENG-42", "unknown_site"),
        ("https://acme.atlassian.net/issues/?jql=key%3DEVIL-2", "unknown_form"),
        (
            "https://acme.atlassian.net/jira/software/projects/ENG/boards/7?selectedIssue=ENG-42&selectedIssue=EVIL-2",
            "unknown_form",
        ),
        (
            "https://acme.atlassian.net/browse/EVIL-2/projects/ENG/boards/7?selectedIssue=ENG-42",
            "unknown_form",
        ),
        ("https://acme.atlassian.net/projects/EVIL/issues/ENG-42", "conflict"),
        ("https://evil.atlassian.net/browse/ENG-42", "conflict"),
    ] {
        assert_eq!(id(&at("Jira::Issue", spelled)), format!("? {obstacle}"), "{spelled:?}");
    }
}

#[test]
fn projects_and_spaces_have_one_spelling() {
    for (kind, spelled, expected) in [
        ("Jira::Project", "eng", "acme/ENG"),
        ("Jira::Project", "E_2", "acme/E_2"),
        ("Jira::Project", "10001", "? opaque_id"),
        ("Jira::Project", "2ENG", "? unknown_form"),
        ("Jira::Project", "ENG-42", "? unknown_form"),
        ("Jira::Project", "ENG,OPS", "? unknown_form"),
        ("Jira::Project", "*", "? unknown_form"),
        ("Confluence::Space", "docs", "acme/DOCS"),
        ("Confluence::Space", "~712020Ab", "acme/~712020ab"),
        ("Confluence::Space", "98304", "? opaque_id"),
        ("Confluence::Space", "~", "? unknown_form"),
        ("Confluence::Space", "DOCS/OPS", "? unknown_form"),
        ("Confluence::Space", "", "? unknown_form"),
        ("Jira::Sprint", "17", "? opaque_id"),
        ("Jira::Sprint", "../17", "? unknown_form"),
        ("Jira::Sprint", "..", "? unknown_form"),
    ] {
        assert_eq!(id(&at(kind, spelled)), expected, "{kind} {spelled:?}");
    }
}

#[test]
fn z02_every_spelling_of_a_page_is_opaque_and_the_same() {
    for spelled in [
        "948469815",
        "N4CIO",
        "x/N4CIO",
        "https://acme.atlassian.net/wiki/x/N4CIO",
        "https://acme.atlassian.net/wiki/spaces/DOCS/pages/948469815",
        "https://acme.atlassian.net/wiki/spaces/OTHER/pages/948469815/What+is+%C3%A4+page",
        "https://acme.atlassian.net/wiki/spaces/~712020/blog/2026/10/01/948469815/News",
        "https://acme.atlassian.net/wiki/pages/viewpage.action?pageId=948469815",
    ] {
        let Target::Unresolved(page) = at("Confluence::Page", spelled) else { panic!("{spelled}") };
        assert_eq!((page.obstacle, page.site.as_str()), (Obstacle::OpaqueId, "acme"), "{spelled}");
        assert_eq!(page.spelled, "acme/948469815", "{spelled}");
    }
    for (spelled, obstacle) in [
        ("N4CIOA", "unknown_form"),
        ("att948469815", "unknown_form"),
        ("0948469815", "unknown_form"),
        ("https://acme.atlassian.net/wiki/spaces/DOCS/pages/948469815/a%2F..%2F5", "unknown_form"),
        ("https://acme.atlassian.net/wiki/spaces/DOCS/pages/948469815/..", "unknown_form"),
        ("https://acme.atlassian.net/wiki/pages/viewpage.action?pageId=1&pageId=2", "unknown_form"),
        ("https://acme.atlassian.net/pages/viewpage.action?pageId=948469815", "unknown_form"),
        ("https://evil.atlassian.net/wiki/x/N4CIO", "conflict"),
    ] {
        assert_eq!(id(&at("Confluence::Page", spelled)), format!("? {obstacle}"), "{spelled:?}");
    }
}

#[test]
fn tiny_links_follow_confluence_s_alphabet() {
    // Addresses that Confluence gave out, and the pages they lead to.
    assert_eq!(untiny("LIQHD").as_deref(), Some("201819180"));
    assert_eq!(untiny("N4CIO").as_deref(), Some("948469815"));
    assert_eq!(untiny("AQ").as_deref(), Some("1"));
    // `-` is 63 and `_` is 62, as Confluence has it.
    assert_eq!(untiny("-w").as_deref(), Some("255"));
    assert_eq!(untiny("_w").as_deref(), Some("251"));
}

#[test]
fn z02_a_site_is_its_id_or_its_host() {
    let sites = sites();
    for spelled in [
        ACME,
        "11111111-2222-3333-4444-55555555ABCD",
        "https://acme.atlassian.net",
        "https://acme.atlassian.net/",
        "https://acme.atlassian.net/wiki",
        "https://acme.atlassian.net/wiki/spaces/DOCS/",
        "https://ACME.atlassian.net/browse/ENG-1",
        "acme.atlassian.net",
    ] {
        assert_eq!(sites.resolve(spelled).map(Site::alias), Ok("acme"), "{spelled}");
    }
    for (spelled, obstacle) in [
        ("acme", Obstacle::UnknownForm),
        ("", Obstacle::UnknownForm),
        ("111111112222333344445555 5555abcd", Obstacle::UnknownForm),
        ("{11111111-2222-3333-4444-55555555abcd}", Obstacle::UnknownForm),
        ("1111111122223333444455555555abcd", Obstacle::UnknownForm),
        ("https://acme.atlassian.net:8443", Obstacle::UnknownForm),
        ("https://user@acme.atlassian.net", Obstacle::UnknownForm),
        ("https://acme.atlassian.net?x=evil.atlassian.net", Obstacle::UnknownForm),
        ("https://acme.atlassian.net/../x", Obstacle::UnknownForm),
        ("http://acme.atlassian.net", Obstacle::UnknownForm),
        ("acme.atlassian.net/wiki", Obstacle::UnknownForm),
        ("acme.atlassian.net.evil.example", Obstacle::UnknownSite),
        ("11111111-2222-3333-4444-555555550000", Obstacle::UnknownSite),
    ] {
        assert_eq!(sites.resolve(spelled).map(Site::alias), Err(obstacle), "{spelled:?}");
    }
}

#[test]
fn z02_whatever_may_be_of_another_site_is_not_taken_for_an_id_of_this_one() {
    let own = format!("ari:cloud:jira:{ACME}:sprint/7");
    for (spelled, obstacle) in [
        ("7", "opaque_id"),
        ("a:b", "opaque_id"),
        (&*own, "unknown_form"),
        ("https://acme.atlassian.net/x", "unknown_form"),
        ("ari:cloud:jira:99999999-2222-3333-4444-555555555555:7", "unknown_site"),
        ("ARI:cloud:jira:x:7", "unknown_site"),
        ("ari:", "unknown_site"),
        ("x ari:cloud:jira:x:7", "unknown_site"),
        ("https://evil.atlassian.net/x", "unknown_site"),
        ("https://acme.atlassian.net.evil.example/x", "unknown_site"),
        ("https://acme.atlassian.net", "unknown_site"),
        ("https://acme.atlassian.net/x?https://evil.atlassian.net/", "unknown_site"),
        ("//evil.atlassian.net/x", "unknown_site"),
        ("ftp://acme.atlassian.net/x", "unknown_site"),
    ] {
        assert_eq!(id(&at("Jira::Sprint", spelled)), format!("? {obstacle}"), "{spelled}");
    }
}

#[test]
fn sites_that_could_be_confused_are_not_configured() {
    let url = "https://acme.atlassian.net";
    let other = "11111111-2222-3333-4444-555555550000";
    for (entries, default, error) in [
        (vec![entry("Acme", ACME, url)], None, SiteMapError::Alias("Acme".into())),
        (vec![entry("acme", "acme", url)], None, SiteMapError::CloudId("acme".into())),
        (vec![entry("acme", ACME, "https://a.b/wiki")], None, SiteMapError::Url("acme".into())),
        (vec![entry("acme", ACME, url)], Some("b"), SiteMapError::Default("b".into())),
        (
            vec![entry("acme", ACME, url), entry("b", other, "https://ACME.atlassian.net")],
            None,
            SiteMapError::Repeated("b".into()),
        ),
    ] {
        assert_eq!(SiteMap::new(&entries, default), Err(error));
    }
    let one = SiteMap::new(&[entry("acme", ACME, url)], None).unwrap();
    assert_eq!(one.default_site().map(Site::alias), Some("acme"));
    let two = SiteMap::new(
        &[entry("acme", ACME, url), entry("b", other, "https://b.atlassian.net")],
        None,
    );
    assert_eq!(two.unwrap().default_site(), None);
}

#[test]
fn bitbucket_things_are_in_a_workspace_and_in_no_site() {
    for (kind, parts, expected) in [
        ("Bitbucket::Workspace", vec!["Acme"], "acme"),
        ("Bitbucket::Repository", vec!["acme", "Web"], "acme/web"),
        ("Bitbucket::Repository", vec!["acme", "acme/web"], "acme/web"),
        ("Bitbucket::Repository", vec!["acme", "evil/web"], "? conflict"),
        ("Bitbucket::Repository", vec!["acme", ".."], "? unknown_form"),
        ("Bitbucket::Repository", vec!["acme", "acme/web/x"], "? unknown_form"),
        ("Bitbucket::Workspace", vec!["{11111111-2222-3333-4444-55555555abcd}"], "? opaque_id"),
        ("Bitbucket::Workspace", vec!["{x}"], "? unknown_form"),
        ("Bitbucket::Branch", vec!["acme", "web", "Feature/x"], "acme/web/Feature/x"),
        ("Bitbucket::Branch", vec!["acme", "web", "refs/heads/main"], "? unknown_form"),
        ("Bitbucket::Branch", vec!["acme", "web", "a/../main"], "? unknown_form"),
        ("Bitbucket::PullRequest", vec!["acme", "web", "7"], "acme/web/7"),
        ("Bitbucket::PullRequest", vec!["acme", "web", "07"], "? unknown_form"),
        ("Bitbucket::PullRequest", vec!["acme", "web"], "? unknown_form"),
        ("Bitbucket::Snippet", vec!["acme"], "? unknown_form"),
    ] {
        assert_eq!(id(&locate_in_bitbucket(kind, &parts)), expected, "{kind} {parts:?}");
    }
    let branch = locate_in_bitbucket("Bitbucket::Branch", &["acme", "web", "main"]);
    let Target::Located(branch) = branch else { panic!("located") };
    let containers: Vec<String> = branch.containers.iter().map(ToString::to_string).collect();
    assert_eq!(containers, ["Bitbucket::Repository \"acme/web\"", "Bitbucket::Workspace \"acme\""]);
}

proptest! {
    #[test]
    fn canonical_is_idempotent(
        project in "[A-Za-z][A-Za-z0-9_]{1,9}",
        number in 1_u32..,
        space in "~?[A-Za-z0-9]{1,12}",
        slug in "[A-Za-z0-9_-]{1,20}",
    ) {
        let once = project_key(&project).unwrap();
        prop_assert_eq!(project_key(&once), Some(once.clone()));
        let key = format!("{once}-{number}");
        let (again, digits) = issue_key(&key).unwrap();
        prop_assert_eq!(format!("{again}-{digits}"), key);
        if let Some(once) = space_key(&space) {
            prop_assert_eq!(space_key(&once), Some(once.clone()));
        }
        if let Ok(once) = bitbucket::slug(&slug) {
            prop_assert_eq!(bitbucket::slug(&once).ok(), Some(once.clone()));
        }
    }

    #[test]
    fn different_tiny_links_are_different_pages(a in "[A-Za-z0-9_-]{1,11}", b in "[A-Za-z0-9_-]{1,11}") {
        let (first, second) = (untiny(&a), untiny(&b));
        if let Some(id) = &first {
            prop_assert_eq!(page_id(id), first.clone());
        }
        prop_assert!(a == b || first.is_none() || first != second);
    }

    #[test]
    fn nothing_panics_and_ids_stay_plain(
        text in "(https://(acme|evil)\\.atlassian\\.net)?[/a-zA-Z0-9?=&%._~{}:@\\\\ -]{0,40}|\\PC{0,20}",
    ) {
        for kind in ["Jira::Issue", "Jira::Project", "Confluence::Page", "Confluence::Space", "Jira::Board"] {
            if let Target::Located(found) = at(kind, &text) {
                prop_assert!(found.resource.id.starts_with("acme/"));
                let id = found.resource.id;
                prop_assert!(id.bytes().all(|b| b.is_ascii_graphic() && !b"%?#\\".contains(&b)), "{}", id);
            }
        }
        let _site = sites().resolve(&text);
        let _repository = locate_in_bitbucket("Bitbucket::Repository", &["acme", &text]);
    }
}
