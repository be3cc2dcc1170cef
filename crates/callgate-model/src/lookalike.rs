//! Names that people take for one another.

/// What a name of letters, digits and `_ - . /` looks like: two names with the same one are not told apart by everybody who
/// reads them.
#[must_use]
pub fn skeleton(name: &str) -> String {
    let folded = name.chars().map(|letter| match letter.to_ascii_lowercase() {
        '0' => 'o',
        '1' | 'i' => 'l',
        '-' | '.' | '/' => '_',
        other => other,
    });
    folded.collect::<String>().replace("rn", "m").replace("vv", "w")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t03_names_that_look_alike_have_one_skeleton() {
        for (one, other) in [
            ("getIssue", "getlssue"),
            ("get_issue", "get-issue"),
            ("read_file", "Read_File"),
            ("tool0", "toolO"),
            ("list_1", "list_l"),
            ("modern", "modem"),
            ("view", "vvview"),
        ] {
            assert_eq!(skeleton(one) == skeleton(other), one != "view", "{one} {other}");
        }
        assert_ne!(skeleton("get_issue"), skeleton("get_issues"));
        assert_ne!(skeleton("create"), skeleton("delete"));
    }
}
