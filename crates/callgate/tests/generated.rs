//! The reference pages that are made from tables in the code. `cargo xtask docs` writes them anew.

#[cfg(test)]
mod generated {
    use std::fmt::Write as _;
    use std::path::Path;

    use callgate_gateway::catalog::Catalogs;
    use callgate_model::evidence::FIELDS;
    use callgate_model::reason::{Fault, Reason};

    fn compare(page: &str, expected: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "docs/{page} is out of date: run `cargo xtask docs`");
    }

    #[test]
    fn reason_codes() {
        let mut page = "# Reason codes\n\nWhy a call was decided as it was. The codes are stable. *Who acts* says whose turn it is for a \
            refusal to go away.\n\nThis page is made from `crates/callgate-model/src/reason.rs`.\n\n\
            | code | who acts | meaning | what would help |\n|---|---|---|---|\n"
            .to_owned();
        for reason in Reason::ALL {
            let who = match reason.fault() {
                Fault::Caller => "the caller",
                Fault::Nobody => "nobody",
                Fault::Operator => "the operator",
                Fault::Policy => "the policy's owner",
                Fault::Service => "whoever runs the gateway",
                Fault::Upstream => "whoever runs the server",
            };
            writeln!(
                page,
                "| `{}` | {who} | {} | {} |",
                reason.code(),
                reason.message(),
                reason.remedy()
            )
            .unwrap();
        }
        compare("reason-codes.md", &page);
    }

    #[test]
    fn shipped_catalogs() {
        let mut page = "# Catalogs that come with the program\n\nA server's `catalog` names one of these, or one of \
            [your own](catalogs.md). The tools of the larger ones, call by call: [Atlassian Rovo](tools-atlassian-rovo.md), \
            [mcp-atlassian](tools-mcp-atlassian.md), [GitHub](tools-github.md).\n\nThis page is made from the files in \
            `catalogs/`.\n\n| catalog | about | tools | compared with | sources |\n|---|---|---|---|---|\n"
            .to_owned();
        for (name, about, tools) in Catalogs::shipped(&[]).unwrap().about() {
            let what = about.what.as_ref().unwrap();
            let verified = about.verified.as_ref().unwrap();
            assert!(!about.sources.is_empty(), "{name}");
            let sources: Vec<String> =
                about.sources.iter().map(|source| format!("<{source}>")).collect();
            let sources = sources.join("<br>");
            writeln!(page, "| `{name}` | {what} | {tools} | {verified} | {sources} |").unwrap();
        }
        compare("catalogs-shipped.md", &page);
    }

    #[test]
    fn evidence_record() {
        let mut page = "# The evidence record\n\nEvery field of a record (format 2), as `callgate evidence show CALL --json` prints it. What is \
            promised about records is in [evidence](evidence.md).\n\nThis page is made from \
            `crates/callgate-model/src/evidence/fields.rs`.\n\n| field | type | meaning |\n|---|---|---|\n"
            .to_owned();
        for (path, kind, meaning) in FIELDS {
            writeln!(page, "| `{path}` | {kind} | {meaning} |").unwrap();
        }
        compare("evidence-record.md", &page);
    }
}
