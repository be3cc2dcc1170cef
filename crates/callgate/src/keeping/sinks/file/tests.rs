use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

fn text(folder: &TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap()
}

fn appender(folder: &TempDir, header: Option<&str>, rotation: Option<Rotation>) -> Appender {
    Appender::new(folder.path().join("log"), header.map(str::to_owned), rotation)
}

#[tokio::test]
async fn lines_are_added_for_the_owner_only() {
    let folder = TempDir::new().unwrap();
    let mut file = appender(&folder, Some("head"), None);
    file.append("one\n".to_owned()).await.unwrap();
    file.append("two\nthree\n".to_owned()).await.unwrap();
    assert_eq!(text(&folder, "log"), "head\none\ntwo\nthree\n");
    let mode = fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Whoever begins anew goes on; a line that was cut off is none of the next.
    fs::write(file.path(), "head\none\ntw").unwrap();
    let mut file = appender(&folder, Some("head"), None);
    file.append("two\n".to_owned()).await.unwrap();
    assert_eq!(text(&folder, "log"), "head\none\ntw\ntwo\n");
}

#[tokio::test]
async fn a_file_that_others_put_aside_or_empty_is_begun_anew() {
    let folder = TempDir::new().unwrap();
    let mut file = appender(&folder, Some("head"), None);
    file.append("one\n".to_owned()).await.unwrap();
    fs::rename(file.path(), folder.path().join("aside")).unwrap();
    file.append("two\n".to_owned()).await.unwrap();
    assert_eq!((&*text(&folder, "aside"), &*text(&folder, "log")), ("head\none\n", "head\ntwo\n"));
    // As `copytruncate` does.
    fs::write(file.path(), "").unwrap();
    file.append("three\n".to_owned()).await.unwrap();
    assert_eq!(text(&folder, "log"), "head\nthree\n");
    fs::remove_file(file.path()).unwrap();
    file.append("four\n".to_owned()).await.unwrap();
    assert_eq!(text(&folder, "log"), "head\nfour\n");
}

#[tokio::test]
async fn a_file_that_is_long_enough_is_put_aside() {
    let folder = TempDir::new().unwrap();
    let mut file = appender(&folder, Some("h"), Some(Rotation { bytes_max: 10, keep: 2 }));
    for line in ["aaaa\n", "bbb\n", "cccc\n", "0123456789abc\n", "d\n"] {
        file.append(line.to_owned()).await.unwrap();
    }
    // What is too long is written all the same, and the oldest is gone.
    let names = ["log", "log.1", "log.2"].map(|name| text(&folder, name));
    assert_eq!(names, ["h\nd\n", "h\n0123456789abc\n", "h\ncccc\n"]);
    assert!(!folder.path().join("log.3").exists());
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_tried_again() {
    let folder = TempDir::new().unwrap();
    let mut file = Appender::new(folder.path().join("not/there/log"), None, None);
    let why = file.append("one\n".to_owned()).await.unwrap_err();
    assert!(why.contains("not/there/log: No such file"), "{why}");
    fs::create_dir_all(folder.path().join("not/there")).unwrap();
    file.append("one\n".to_owned()).await.unwrap();
    assert_eq!(text(&folder, "not/there/log"), "one\n");
    // Neither a folder nor a pipe, which nobody might read.
    let mut file = Appender::new(folder.path().join("not"), None, None);
    assert!(file.append("one\n".to_owned()).await.unwrap_err().contains("it is no file"));
}

/// Nobody who gave up waiting leaves two writes on their way.
#[tokio::test]
async fn an_attempt_that_was_given_up_ends_before_the_next() {
    let folder = TempDir::new().unwrap();
    let mut file = appender(&folder, None, None);
    for line in ["one\n", "two\n", "three\n"] {
        // It is begun and dropped.
        let begun = file.append(line.to_owned());
        drop(futures_util::FutureExt::now_or_never(begun));
    }
    file.append("four\n".to_owned()).await.unwrap();
    let all = text(&folder, "log");
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines.starts_with(&["one"]) && lines.ends_with(&["four"]), "{lines:?}");
}
