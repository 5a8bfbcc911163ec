use agenttracer_index::{IndexError, ListError, MAX_METADATA_VALUES};
use agenttracer_model::{FieldError, Loc, Position, Problem};
use agenttracer_storage::ReadError;
use agenttracer_storage::record::DecodeError;
use axum::body::Body;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use uuid::Uuid;

use crate::gate::GateError;

/// Why a question got no answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such thing; says what.
    NotFound(String),
    /// The question is not well put.
    Unprocessable(Vec<FieldError>),
    /// The projections or the log failed; says what may be told.
    Failed(String),
    /// Too many questions at a time.
    Busy,
    /// 503: the question took too long.
    TimedOut,
    /// 413: the runs of the page are too large together.
    PageTooLarge { max_bytes: usize },
}

impl Refusal {
    /// No such run.
    pub(crate) fn no_run(run_id: Uuid) -> Self {
        Self::NotFound(format!("Run {run_id} not found"))
    }

    /// The answer to a request of `path`.
    pub(crate) fn into_response(self, path: &str) -> Response<Body> {
        let problem = |status: StatusCode, error: String| {
            json_response(status, &Problem { error, status_code: status.as_u16(), path: path.to_owned() })
        };
        match self {
            Self::NotFound(error) => problem(StatusCode::NOT_FOUND, error),
            Self::Unprocessable(detail) => json_response(StatusCode::UNPROCESSABLE_ENTITY, &Detail { detail }),
            Self::Failed(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error),
            Self::PageTooLarge { max_bytes } => problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "The runs of this page are over {} MiB: ask with a smaller page_size or view=summary",
                    max_bytes >> 20
                ),
            ),
            Self::TimedOut => problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "The query took too long and was given up: narrow the time range or the filter".to_owned(),
            ),
            Self::Busy => {
                let error = "Too many queries at a time: try again in a moment".to_owned();
                let mut response = problem(StatusCode::TOO_MANY_REQUESTS, error);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
        }
    }
}

/// A body with one `detail`: what a 422, and an unknown path or method, are answered with.
#[derive(Serialize)]
pub(crate) struct Detail<T> {
    pub(crate) detail: T,
}

/// A JSON response without further headers.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    match sonic_rs::to_vec(body) {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            // Our own types with text keys: this cannot be.
            tracing::error!(%error, "a response could not be written as JSON");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

impl From<Vec<FieldError>> for Refusal {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Unprocessable(errors)
    }
}

impl From<GateError> for Refusal {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Full => Self::Busy,
            GateError::TimedOut => Self::TimedOut,
            GateError::Panicked => Self::Failed("The query failed".to_owned()),
        }
    }
}

impl From<IndexError> for Refusal {
    fn from(error: IndexError) -> Self {
        let refused = |name: String, kind, msg| {
            Self::Unprocessable(vec![FieldError {
                kind,
                loc: vec![Loc::Name("query".to_owned()), Loc::Name(name)],
                msg,
            }])
        };
        match error {
            IndexError::NotIndexed { .. } => refused(
                "meta".to_owned(),
                "not_indexed",
                format!(
                    "This metadata key cannot be filtered by: it has over {MAX_METADATA_VALUES} different values, is \
                     longer than 100 bytes, or came after more keys than are indexed"
                ),
            ),
            IndexError::TooMany { what } => refused(
                "filter".to_owned(),
                "too_many_values",
                format!("The runs have too many different {what} to be counted: narrow the filter"),
            ),
            IndexError::GivenUp => Self::TimedOut,
            error => {
                tracing::error!(%error, "the index could not be read");
                Self::Failed("The index could not be read".to_owned())
            }
        }
    }
}

impl From<ListError> for Refusal {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Index(error) => error.into(),
            ListError::TooDeep { most } => Self::Unprocessable(vec![FieldError {
                kind: "less_than_equal",
                loc: vec![Loc::Name("query".to_owned()), Loc::Name("page".to_owned())],
                msg: format!(
                    "At most {most} runs can be left out by page: follow the cursors of the Link header instead"
                ),
            }]),
        }
    }
}

impl From<sonic_rs::Error> for Refusal {
    fn from(error: sonic_rs::Error) -> Self {
        tracing::error!(%error, "an answer could not be written as JSON");
        Self::Failed("The answer could not be written".to_owned())
    }
}

/// Why a run that the index knows could not be read from the log. Other runs are not touched by it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnreadableRun {
    /// The bytes are damaged.
    #[error("The log record of run {run_id} is damaged (segment {segment}, position {position})")]
    Damaged { run_id: Uuid, segment: String, position: Position },
    /// The disk, or a program, failed.
    #[error("The log record of run {run_id} could not be read (position {position}): {what}")]
    Failed { run_id: Uuid, position: Position, what: String },
    /// All of it was read, and it is no run.
    #[error("The log holds no run {run_id}, though the index does: delete the index to have it rebuilt")]
    NoRun { run_id: Uuid },
}

impl UnreadableRun {
    /// Reading the batch at `position` failed.
    pub(crate) fn read(run_id: Uuid, position: Position, error: &ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => {
                let segment = damage.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
                Self::Damaged { run_id, segment, position }
            }
            ReadError::Gone { .. } => Self::Failed { run_id, position, what: "it is gone from the log".to_owned() },
            ReadError::NotFound(_) => Self::Failed { run_id, position, what: "no batch begins there".to_owned() },
            ReadError::Io { source, .. } => Self::Failed { run_id, position, what: source.kind().to_string() },
        }
    }

    /// Decoding a batch failed.
    pub(crate) fn decode(run_id: Uuid, error: &DecodeError) -> Self {
        Self::Failed { run_id, position: error.position, what: error.what.clone() }
    }
}

impl From<UnreadableRun> for Refusal {
    fn from(error: UnreadableRun) -> Self {
        tracing::error!("{error}");
        Self::Failed(error.to_string())
    }
}
