//! Files of the machine that a server runs on: what it reads to send it away, or writes. They exist whatever catalogs say,
//! and catalogs can only point at the arguments that name them.
//!
//! A file or a folder is named by its whole path. It is in every folder above it and, since it may be one, in the folder of its own
//! name: so a policy about a folder is about the folder and all that is below. Only the server knows where a link leads, or what a relative path is relative to (Z06). It must not know
//! policies, nor catalogs, nor any disk.

use crate::target::{Obstacle, Resource, Target};
use crate::vocabulary::Vocabulary;

/// The kind of a file; its id is its path.
pub const PATH: &str = "Local::Path";
/// The kind of a folder; its id is its path.
pub const FOLDER: &str = "Local::Folder";

/// Longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;
/// Most names in a path.
pub const SEGMENTS_MAX: usize = 64;

/// What policies can name of it.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    Vocabulary {
        target_kinds: [(PATH, Some(FOLDER.to_owned())), (FOLDER, None)]
            .map(|(kind, container)| (kind.to_owned(), container))
            .into(),
        nested: [FOLDER.to_owned()].into(),
        ..Vocabulary::default()
    }
}

/// Whether `kind` is, or would be taken for one, of this module.
#[must_use]
pub fn has_kind(kind: &str) -> bool {
    kind.starts_with("Local::")
}

/// The file or folder at `spelled`, in itself and all folders above it.
#[must_use]
pub fn path(spelled: &str) -> Target {
    match folders(spelled) {
        Some(folders) => Target::located(Resource::new(PATH, spelled), folders),
        None => Target::unresolved(PATH, "", Obstacle::UnknownForm, spelled),
    }
}

/// The folder at `path` and those above it, innermost first; nothing, if it is not certainly one path.
fn folders(path: &str) -> Option<Vec<Resource>> {
    // What could be another path: for a shell, for a reader of addresses, on another system, or after a server has tidied it.
    let is_odd = |c: char| {
        c.is_control() || (c.is_whitespace() && c != ' ') || matches!(c, '\\' | '~' | '%' | '$')
    };
    if path.len() > PATH_BYTES_MAX || path.contains(is_odd) {
        return None;
    }
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let is_name = |name: &&str| {
        !matches!(*name, "" | "." | "..") && !name.starts_with(' ') && !name.ends_with(' ')
    };
    if segments.len() > SEGMENTS_MAX || !segments.iter().all(is_name) {
        return None;
    }
    let mut ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    ends.push(path.len());
    ends.into_iter()
        .rev()
        .map(|end| {
            let above = path.get(..end)?;
            Some(Resource::new(FOLDER, if above.is_empty() { "/" } else { above }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::target::Located;

    fn located(spelled: &str) -> Option<Located> {
        match path(spelled) {
            Target::Located(found) => Some(found),
            Target::Unresolved(not) => {
                assert_eq!((not.kind.as_str(), not.obstacle), (PATH, Obstacle::UnknownForm));
                None
            }
        }
    }

    #[test]
    fn a_file_is_in_every_folder_above_it_and_a_folder_in_itself() {
        for (spelled, folders) in [
            ("/passwd", &["/passwd", "/"][..]),
            (
                "/srv/exports/2026/q3 report.pdf",
                &[
                    "/srv/exports/2026/q3 report.pdf",
                    "/srv/exports/2026",
                    "/srv/exports",
                    "/srv",
                    "/",
                ],
            ),
            ("/srv/.hidden/...", &["/srv/.hidden/...", "/srv/.hidden", "/srv", "/"]),
            ("/srv/Bücher/a:b,c", &["/srv/Bücher/a:b,c", "/srv/Bücher", "/srv", "/"]),
        ] {
            let found = located(spelled).unwrap_or_else(|| panic!("{spelled}"));
            assert_eq!(found.resource, Resource::new(PATH, spelled));
            let expected: Vec<_> =
                folders.iter().map(|path| Resource::new(FOLDER, *path)).collect();
            assert_eq!(found.containers, expected, "{spelled}");
        }
    }

    #[test]
    fn z06_what_is_not_certainly_one_path_names_no_file() {
        let deep = "/x".repeat(SEGMENTS_MAX);
        assert_eq!(located(&deep).unwrap().containers.len(), SEGMENTS_MAX + 1);
        let long = format!("/{}", "x".repeat(PATH_BYTES_MAX - 1));
        assert!(located(&long).is_some());
        for spelled in [
            "",
            "/",
            "//",
            "passwd",
            "./passwd",
            "../passwd",
            "etc/passwd",
            " /etc/passwd",
            "/etc/passwd ",
            "//etc/passwd",
            "/etc//passwd",
            "/etc/passwd/",
            "/etc/./passwd",
            "/srv/exports/../../etc/passwd",
            "/..",
            "/.",
            "/srv/..",
            "/srv/.. /x",
            "/srv/ ../x",
            "/srv/exports\\..\\x",
            "C:\\secret",
            "C:/secret",
            "\\\\host\\share",
            "~",
            "~/x",
            "/~root/x",
            "/home/a~/x",
            "/srv/%2e%2e/etc/passwd",
            "/srv/100%",
            "/srv/$HOME/x",
            "${HOME}",
            "file:///etc/passwd",
            "/etc/passwd\0",
            "/etc/passwd\0.pdf",
            "/etc/pass\nwd",
            "/etc/\tpasswd",
            "/etc/\u{a0}passwd",
            "/etc/\u{2028}passwd",
            "/etc/\u{85}x",
            &format!("{deep}/x"),
            &format!("{long}x"),
        ] {
            assert_eq!(located(spelled), None, "{spelled}");
        }
    }

    proptest! {
        #[test]
        fn i13_any_text_is_a_path_or_none(text in "\\PC{0,64}") {
            let _target = path(&text);
        }

        /// Whoever joins and tidies the path as systems do finds the same file, below the same folders.
        #[test]
        fn z06_two_readers_agree(text in "/{0,2}([a-c.~% ]{0,3}/){0,5}[a-c.]{0,3}") {
            if let Some(found) = located(&text) {
                let other = std::path::Path::new(&text);
                prop_assert!(other.is_absolute());
                let tidied: std::path::PathBuf = other.components().collect();
                prop_assert_eq!(tidied.to_str(), Some(text.as_str()));
                let above = other.ancestors().map(|path| path.to_str().unwrap().to_owned());
                let ids: Vec<_> = found.containers.into_iter().map(|folder| folder.id).collect();
                prop_assert_eq!(ids, above.collect::<Vec<_>>());
            }
        }
    }
}
