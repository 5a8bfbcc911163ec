use agenttracer_model::{FieldError, Loc};
use agenttracer_storage::{AppendError, SubmitError};
use http::StatusCode;

use crate::issues::Rules;

/// Why a run was not stored, as the client is told. Nothing in it repeats what the client sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refused {
    /// The body broke rules of the contract: all of them, and how often which privacy rule was among them.
    Invalid(Vec<FieldError>, Rules),
    /// It contradicts itself or a stored run.
    Conflict(String),
    /// The run was erased; it can never be stored again.
    Erased(String),
    /// A limit of size.
    TooLarge(String),
    /// A content-encoding that is not known here.
    UnknownEncoding,
    /// The client stopped sending.
    TooSlow,
    /// No room now; nothing was queued.
    Busy(&'static str),
    /// The log or the projections cannot be used now.
    Unavailable(String),
}

impl Refused {
    /// One error of the body.
    pub(crate) fn invalid(kind: &'static str, loc: Vec<Loc>, msg: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { kind, loc, msg: msg.into() }], Rules::default())
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(..) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Erased(_) => StatusCode::GONE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The kind, as a label of metrics and as the type of a batch item's error.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Invalid(..) => "invalid",
            Self::Conflict(_) => "conflict",
            Self::Erased(_) => "erased",
            Self::TooLarge(_) => "too_large",
            Self::UnknownEncoding => "unknown_encoding",
            Self::TooSlow => "too_slow",
            Self::Busy(_) => "busy",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The reason, for a person.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Invalid(..) => "The run is not valid",
            Self::Conflict(text) | Self::Erased(text) | Self::TooLarge(text) | Self::Unavailable(text) => text,
            Self::UnknownEncoding => "The content-encoding must be gzip, zstd or identity",
            Self::TooSlow => "The body did not arrive in time",
            Self::Busy(text) => text,
        }
    }

    /// The errors of a batch item; the body of a run on its own has its own shape for all but `Invalid`.
    pub(crate) fn into_field_errors(self, loc: Vec<Loc>) -> Vec<FieldError> {
        match self {
            Self::Invalid(errors, _) => errors,
            other => vec![FieldError { kind: other.kind(), loc, msg: other.text().to_owned() }],
        }
    }
}

impl From<SubmitError> for Refused {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Busy => Self::Busy("The log's queue is full, try again in a moment"),
            SubmitError::TooLarge => Self::TooLarge("The run is larger than the log can hold in one piece".to_owned()),
            SubmitError::DiskFull => Self::Unavailable("The disk is full".to_owned()),
            SubmitError::OverLimit => Self::Unavailable(
                "The data directory has reached max_disk, and nothing older can be dropped".to_owned(),
            ),
            SubmitError::Poisoned => {
                Self::Unavailable("A write failed and the log is being reopened; send the run again".to_owned())
            }
            SubmitError::Dead => Self::Unavailable(
                "The thread that writes the log has died, and the server must be restarted".to_owned(),
            ),
            SubmitError::Closed => Self::Unavailable("The server is shutting down".to_owned()),
        }
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::DiskFull => Self::Unavailable("The disk is full".to_owned()),
            // What the disk said names files of this machine; the log reports it itself.
            AppendError::Failed(_) => {
                Self::Unavailable("Writing failed: the run is stored whole or not at all; send it again".to_owned())
            }
            AppendError::Closed => Self::Unavailable("The server is shutting down".to_owned()),
            AppendError::Erased => Self::Erased("The run was erased and cannot be stored again".to_owned()),
        }
    }
}
