use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Answer;
use crate::{FieldError, Problem};

/// The body of a 422: all errors that are independent of each other, none with what was sent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it stands for the bodies that each listener writes itself")]
struct Invalid {
    detail: Vec<FieldError>,
}

impl Answer {
    /// What the application answers with an error of its own. `error` is an example of what it says.
    pub fn problem(status: u16, about: &str, error: &str) -> Self {
        let example = json!({"error": error, "status_code": status, "path": "/v1/runs"});
        let answer = Self::json::<Problem>(about, example);
        match status {
            429 => answer.header("Retry-After", super::schema::count(), "Seconds until it may be tried again."),
            _ => answer,
        }
    }

    /// A 422; `error` is an example of an entry.
    pub fn invalid(error: Value) -> Self {
        Self::json::<Invalid>("What was asked or sent breaks rules: all of them, by place.", json!({"detail": [error]}))
    }
}
