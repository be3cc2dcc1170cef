//! What both engines do with the same words: one text, compiled for each, so that their answers cannot drift apart (I12).
//!
//! Each engine names its [`sqlx`] types `Engine`, `Arguments`, `Sql` (a connection) and `SqlRow`, calls itself `Store`, and says in
//! its `dialect` what the other says in other words. What is common is in both: `$1`, `FILTER`, `RETURNING`, `ON CONFLICT`, and numbers
//! of 64 bits.

/// The modules of [`crate::sql`], in the engine that says this.
macro_rules! sql {
    () => {
        #[path = "sql/approvals.rs"]
        mod approvals;
        #[path = "sql/authority.rs"]
        mod authority;
        #[path = "sql/cursors.rs"]
        mod cursors;
        #[path = "sql/evidence.rs"]
        mod evidence;
        #[path = "sql/glass.rs"]
        mod glass;
        #[path = "sql/notices.rs"]
        mod notices;
        #[path = "sql/passkeys.rs"]
        mod passkeys;
        #[path = "sql/retention.rs"]
        mod retention;
        #[path = "sql/rows.rs"]
        mod rows;
        #[path = "sql/search.rs"]
        mod search;
        #[path = "sql/sessions.rs"]
        mod sessions;
        #[path = "sql/tree.rs"]
        mod tree;
    };
}
