//! The tools that need something from the client before they answer. In the modern era the call is answered with what is
//! needed and comes again; in the legacy era the client is asked while the call waits.

use std::fs;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, CreateMessageRequest,
    CreateMessageRequestParams, ElicitRequest, ElicitRequestParams, InputRequest, InputRequests,
    InputRequiredResult, ListRootsRequest, SamplingMessage, ServerRequest,
};
use serde_json::{Value, json};

use crate::server::Notes;
use crate::tools::{Context, broken, failed, is_modern, says, text};

type Answer = Result<CallToolResponse, ErrorData>;

/// What the server remembers of the first round. It has no secret, but a client must bring it back as it was.
const STATE: &str = "round=1; \"as it was\" =?äß";

pub(crate) async fn sign_note(
    notes: &Notes,
    call: &CallToolRequestParams,
    context: &Context,
) -> Answer {
    let name = text(call, "name")?;
    let message = format!("Who signs {name}?");
    let question = form(message, "signature", "string")?;
    let given = match ask(call, context, "signature", question).await? {
        Asked::Given(given) => given,
        Asked::First(response) => return Ok(response),
    };
    let signature = given.pointer("/content/signature").and_then(Value::as_str);
    let Some(signature) = signature.filter(|_| accepts(&given)) else {
        return Ok(failed(format!("nobody signs {name}")));
    };
    let note = fs::read_to_string(notes.file(name)).unwrap_or_default();
    fs::write(notes.file(name), format!("{note} -- {signature}")).map_err(broken)?;
    Ok(says(format!("{signature} signed {name}")))
}

pub(crate) async fn summarize_note(
    notes: &Notes,
    call: &CallToolRequestParams,
    context: &Context,
) -> Answer {
    let note = fs::read_to_string(notes.file(text(call, "name")?)).unwrap_or_default();
    let message = SamplingMessage::user_text(format!("Summarize: {note}"));
    let params = CreateMessageRequestParams::new(vec![message], 100);
    let question = InputRequest::CreateMessage(CreateMessageRequest::new(params));
    Ok(match ask(call, context, "summary", question).await? {
        Asked::Given(given) => match given.pointer("/content/text").and_then(Value::as_str) {
            Some(summary) => says(summary),
            None => failed(format!("the model says {given}")),
        },
        Asked::First(response) => response,
    })
}

pub(crate) async fn list_roots(call: &CallToolRequestParams, context: &Context) -> Answer {
    let question = InputRequest::ListRoots(ListRootsRequest::default());
    Ok(match ask(call, context, "roots", question).await? {
        Asked::Given(given) => {
            let roots = given.get("roots").and_then(Value::as_array).into_iter().flatten();
            let uris: Vec<&str> = roots.filter_map(|root| root.get("uri")?.as_str()).collect();
            says(uris.join(", "))
        }
        Asked::First(response) => response,
    })
}

pub(crate) fn accepts(given: &Value) -> bool {
    given.get("action").is_some_and(|action| action == "accept")
}

/// A form with one member, for a person.
pub(crate) fn form(message: String, member: &str, kind: &str) -> Result<InputRequest, ErrorData> {
    let schema = json!({ "type": "object", "properties": { member: { "type": kind } }, "required": [member] });
    let requested_schema = serde_json::from_value(schema).map_err(broken)?;
    let params =
        ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema };
    Ok(InputRequest::Elicitation(ElicitRequest::new(params)))
}

/// Whether the client has said what it was asked, or is to be asked by this response.
enum Asked {
    Given(Value),
    First(CallToolResponse),
}

async fn ask(
    call: &CallToolRequestParams,
    context: &Context,
    key: &str,
    question: InputRequest,
) -> Result<Asked, ErrorData> {
    if let Some(missing) = lacking(context, &question)? {
        return Ok(Asked::First(missing));
    }
    if !is_modern(context) {
        let question = match question {
            InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
            InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
            InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
            other => return Err(broken(format!("what is {other:?}?"))),
        };
        let given = context.peer.send_request(question).await.map_err(broken)?;
        return serde_json::to_value(given).map(Asked::Given).map_err(broken);
    }
    match call.input_responses.as_ref().and_then(|responses| responses.get(key)) {
        Some(_) if call.request_state.as_deref() != Some(STATE) => {
            Err(ErrorData::invalid_params("this is no state of ours", None))
        }
        Some(given) => Ok(Asked::Given(given.clone())),
        None => {
            let questions = InputRequests::from([(key.to_owned(), question)]);
            let round = InputRequiredResult::new(Some(questions), Some(STATE.to_owned()));
            Ok(Asked::First(round.into()))
        }
    }
}

/// A client must not be asked what it did not declare. The modern era has an error for it.
fn lacking(
    context: &Context,
    question: &InputRequest,
) -> Result<Option<CallToolResponse>, ErrorData> {
    let has = context.client_capabilities().unwrap_or_default();
    let wants = ClientCapabilities::builder();
    let (declared, wanted) = match question {
        InputRequest::Elicitation(_) => {
            (has.elicitation.is_some(), wants.enable_elicitation().build())
        }
        InputRequest::CreateMessage(_) => (has.sampling.is_some(), wants.enable_sampling().build()),
        InputRequest::ListRoots(_) | _ => (has.roots.is_some(), wants.enable_roots().build()),
    };
    if declared {
        Ok(None)
    } else if is_modern(context) {
        Err(ErrorData::missing_required_client_capability(wanted))
    } else {
        Ok(Some(failed("the client cannot be asked")))
    }
}
