//! Site pinning: the gateway's API token opens every site that its account is in, and the call says which. So a call that
//! may be about another site than those configured is never sent, whatever policies say.

use callgate_policy::Tier;

use crate::client::issue;
use crate::support::{CLOUD, Rule, Setup, World};

/// Everything, also what is not known.
const LAX: &[Rule] = &[
    (Tier::Permit, "all", "permit(principal, action, resource);"),
    (
        Tier::Permit,
        "unknown",
        r#"permit(principal, action in Action::"read", resource is Unresolved);"#,
    ),
];

#[tokio::test]
async fn z02_a_call_that_names_another_site_is_never_sent_whatever_policies_say() {
    let world = World::start(Setup { policies: LAX.to_vec(), ..Setup::default() }).await;
    let sites = [
        "99999999-0000-3333-4444-555555555555",
        "https://evil.atlassian.net",
        "evil.atlassian.net",
        "https://acme.atlassian.net@evil.atlassian.net",
        "https://acme.atlassian.net:8443",
        "acme",
        "",
    ];
    let mut calls = Vec::new();
    for site in sites {
        let inputs = r#""issueIdOrKey":"ENG-42""#;
        calls.extend([
            ("getJiraIssue", format!(r#"{{"cloudId":"{site}",{inputs}}}"#)),
            ("executeRead", format!(r#"{{"name":"getJiraIssue","cloudId":"{site}","inputs":{{{inputs}}}}}"#)),
            ("executeRead", format!(r#"{{"name":"getJiraIssue","inputs":{{"cloudId":"{site}",{inputs}}}}}"#)),
            (
                "executeRead",
                format!(r#"{{"name":"getJiraIssue","cloudId":"{CLOUD}","inputs":{{"cloudId":"{site}",{inputs}}}}}"#),
            ),
            ("getConfluenceContent", format!(r#"{{"cloudId":"{site}","contentId":"948469815"}}"#)),
            ("searchJiraIssuesUsingJql", format!(r#"{{"cloudId":"{site}","jql":"project = ENG"}}"#)),
            (
                "executeRead",
                format!(
                    r#"{{"name":"listBitbucketRepoPullRequests","cloudId":"{site}","inputs":{{"workspaceId":"acme","repoSlug":"website"}}}}"#
                ),
            ),
        ]);
    }
    for id in [
        "https://evil.atlassian.net/browse/ENG-42",
        "https://evil.atlassian.net/browse/ENG-42/",
        "https://acme.atlassian.net@evil.atlassian.net/browse/ENG-42",
        "ari:cloud:jira:99999999-0000-3333-4444-555555555555:issue/10042",
    ] {
        calls.push(("getJiraIssue", issue(id)));
    }
    for (tool, arguments) in &calls {
        let said = world.call("alice", tool, arguments).await.brief();
        let refused = [
            "deny target_unresolved",
            "deny target_conflict",
            "deny dispatch_conflict",
            "deny arguments_invalid",
        ];
        assert!(refused.contains(&&*said), "{tool} {arguments}: {said}");
    }
    assert_eq!(world.calls_sent(), 0);
    // These are what the policies let through, of this site.
    for (tool, arguments) in [
        ("getJiraIssue", issue("ENG-42")),
        ("getJiraIssue", issue("10042")),
        ("searchJiraIssuesUsingJql", format!(r#"{{"cloudId":"{CLOUD}","jql":"project = ENG"}}"#)),
    ] {
        let said = world.call("alice", tool, &arguments).await.brief();
        assert!(["ok", "tool_error"].contains(&&*said), "{tool} {arguments}: {said}");
    }
}
