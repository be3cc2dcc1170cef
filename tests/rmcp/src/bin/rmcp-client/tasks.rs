//! The steps that are about tasks.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolResult, CancelTaskParams, DetailedTask, GetTaskParams, InputRequests, InputResponses,
    TaskPayload, UpdateTaskParams,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::failure::Failure;
use crate::member;
use crate::session::{Session, result_told};

/// How often a task is asked for if the server does not say.
const POLL_MS: u64 = 100;

impl Session {
    /// Asks once, or until the task is as it should be or will change no more.
    pub(crate) async fn task_get(&self, step: &Value) -> Result<Value, Failure> {
        loop {
            let task = self.get(step).await?;
            let status = json!(task.status());
            if member(step, "until").is_null()
                || *member(step, "until") == status
                || task.status().is_terminal()
            {
                let result = if let TaskPayload::Completed { result } = &task.payload {
                    let result = Value::Object(result.clone());
                    serde_json::from_value::<CallToolResult>(result).ok()
                } else {
                    None
                };
                let result = result.as_ref().map(result_told);
                return Ok(json!({ "status": status, "task": task, "result": result }));
            }
            sleep(Duration::from_millis(task.task.poll_interval_ms.unwrap_or(POLL_MS))).await;
        }
    }

    /// Answers what the task asks with what the plan has, or with the step's own words.
    pub(crate) async fn task_update(&self, step: &Value) -> Result<Value, Failure> {
        let id = self.task_of(step)?;
        self.running.service().take();
        let responses: InputResponses = if let Some(given) = member(step, "responses").as_object() {
            given.clone().into_iter().collect()
        } else if let TaskPayload::InputRequired { input_requests } = self.get(step).await?.payload
        {
            self.answers(input_requests)?
        } else {
            return Err(Failure::plan("the task asks nothing"));
        };
        self.running.update_task(UpdateTaskParams::new(id, responses)).await?;
        Ok(json!({ "asked": self.running.service().take().asked }))
    }

    pub(crate) async fn task_cancel(&self, step: &Value) -> Result<Value, Failure> {
        self.running.cancel_task(CancelTaskParams::new(self.task_of(step)?)).await?;
        Ok(json!({}))
    }

    pub(crate) fn answers(&self, questions: InputRequests) -> Result<InputResponses, Failure> {
        let hearer = self.running.service();
        let answer = |(key, question)| Ok((key, hearer.answer(question)?));
        let answers: Result<_, ErrorData> = questions.into_iter().map(answer).collect();
        answers.map_err(|error| Failure::protocol(&error))
    }

    async fn get(&self, step: &Value) -> Result<DetailedTask, Failure> {
        Ok(self.running.get_task(GetTaskParams::new(self.task_of(step)?)).await?.task)
    }

    fn task_of(&self, step: &Value) -> Result<String, Failure> {
        let task = member(step, "task").as_str().map(str::to_owned).or_else(|| self.task.clone());
        task.ok_or_else(|| Failure::plan("no call was answered with a task"))
    }
}
