//! Building answers to clients, in the shape of the client's era.

use bytes::Bytes;
use callgate_model::json::{Json, Object};

use crate::era::Era;
use crate::message::{Notification, RequestId, Response, RpcError};

/// Where a result tells the server's name and version.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// Whether a message that was made here is an answer, and not what comes before one. A question has an id, too, and its
/// method after it.
#[must_use]
pub fn is_answer(message: &[u8]) -> bool {
    const METHOD: &[u8] = br#","method":"#;
    let Some(rest) = message.strip_prefix(br#"{"jsonrpc":"2.0","id":"#) else { return false };
    // In a text a quote is escaped: this is where the id ends.
    let after_id = rest.windows(METHOD.len()).find(|next| next.starts_with(br#",""#));
    after_id.is_some_and(|next| next != METHOD)
}

/// An answer with a result.
#[must_use]
pub fn result(id: &RequestId, result: Object) -> Bytes {
    Response { id: Some(id.clone()), outcome: Ok(result) }.into_bytes()
}

/// An answer with an error. Without an id it says that the id could not be read.
#[must_use]
pub fn error(id: Option<&RequestId>, code: i64, message: &str, data: Option<Json>) -> Bytes {
    let error = RpcError { code, message: message.to_owned(), data };
    Response { id: id.cloned(), outcome: Err(error) }.into_bytes()
}

/// A progress notification with the client's own token.
#[must_use]
pub fn progress(token: &Json, params: Object) -> Bytes {
    let params = params.with("progressToken", token.clone());
    Notification { method: "notifications/progress".to_owned(), params }.into_bytes()
}

/// A log message of the server.
#[must_use]
pub fn log(params: Object) -> Bytes {
    Notification { method: "notifications/message".to_owned(), params }.into_bytes()
}

/// A complete result as a client of `era` knows it. What only the modern era has is added or taken away; nothing
/// else is touched.
#[must_use]
pub fn complete(mut result: Object, era: Era, server: &Object) -> Object {
    let mut meta = match result.remove("_meta") {
        Some(Json::Object(meta)) => meta,
        _ => Object::default(),
    };
    match era {
        Era::Modern => {
            result.set("resultType", "complete");
            meta.set(SERVER_INFO, server.clone());
        }
        Era::Legacy(_) => {
            for name in ["resultType", "ttlMs", "cacheScope"] {
                result.remove(name);
            }
            meta.remove(SERVER_INFO);
        }
    }
    if !meta.is_empty() {
        result.set("_meta", meta);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::era::LegacyVersion;
    use crate::message::Request;

    #[test]
    fn a_result_is_shaped_for_the_era_and_otherwise_untouched() {
        let server = Object::default().with("name", "callgate");
        let given = Object::default()
            .with("content", Vec::<Json>::new())
            .with("vendor", 1)
            .with("_meta", Object::default().with("k", true));
        let modern = complete(given.clone(), Era::Modern, &server);
        assert_eq!(
            Json::from(modern.clone()).to_text(),
            r#"{"content":[],"vendor":1,"resultType":"complete","_meta":{"k":true,"io.modelcontextprotocol/serverInfo":{"name":"callgate"}}}"#
        );
        let modern = modern.with("ttlMs", 0).with("cacheScope", "private");
        assert_eq!(complete(modern, Era::Legacy(LegacyVersion::LATEST), &server), given);
    }

    #[test]
    fn errors_without_an_id_say_null() {
        assert_eq!(
            error(None, -32700, "no", None),
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#
        );
    }

    #[test]
    fn a_question_is_no_answer_whatever_the_ids_are() {
        let ids =
            [1.into(), "a".into(), r#"",","method":""#.into(), ",\"method\":".into(), ",".into()];
        for id in ids.iter().filter_map(RequestId::from_json) {
            assert!(is_answer(&result(&id, Object::default())), "{id:?}");
            assert!(is_answer(&error(Some(&id), -32600, "no", None)), "{id:?}");
        }
        let (id, method) =
            (RequestId::Text("callgate-1".to_owned()), "elicitation/create".to_owned());
        let question = Request { id, method, params: Object::default() };
        assert!(!is_answer(&question.into_bytes()));
        assert!(!is_answer(&progress(&1.into(), Object::default())));
    }

    #[test]
    fn progress_carries_the_clients_token() {
        let params = Object::default().with("progress", 1).with("progressToken", 99);
        assert_eq!(
            progress(&"mine".into(), params),
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":"mine"}}"#
        );
    }
}
