//! Answers as they are written: bodies, headers, and the shapes of errors.

use agenttracer_model::openapi::schema;
use agenttracer_model::privacy::Removed;
use agenttracer_model::{FieldError, Position, Problem};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use uuid::Uuid;

use crate::error::Refused;

pub(crate) const X_LOG_POSITION: HeaderName = HeaderName::from_static("x-log-position");
pub(crate) const X_DURABILITY: HeaderName = HeaderName::from_static("x-durability");
pub(crate) const X_REMOVED: HeaderName = HeaderName::from_static("x-removed");
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The answer to `Prefer: return=minimal`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredRun)]
pub(crate) struct Minimal {
    pub(crate) run_id: Uuid,
    pub(crate) position: Position,
}

/// The answer to a batch of runs or events.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct BatchAnswer {
    /// Items that this request stored.
    pub(crate) accepted: usize,
    /// Items that were stored already, with the same content.
    pub(crate) duplicates: usize,
    /// All others, by index.
    pub(crate) rejected: Vec<RejectedItem>,
    /// What was removed from the accepted items, by rule.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub(crate) removed: RemovedByRule,
}

/// An item of a batch that was not stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedItem {
    pub(crate) index: usize,
    /// `null` when the item had none, or none that is a UUID.
    pub(crate) run_id: Option<Uuid>,
    /// What the item on its own would have been answered.
    pub(crate) status: u16,
    pub(crate) errors: Vec<FieldError>,
}

/// `{"email": 1, "prose": 2}`
#[derive(Debug, Default)]
pub(crate) struct RemovedByRule(pub(crate) Removed);

impl Serialize for RemovedByRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (rule, count) in self.0.iter() {
            map.serialize_entry(rule.as_str(), &count)?;
        }
        map.end()
    }
}

/// The body of a 422.
#[derive(Debug, Serialize)]
struct Invalid<'a> {
    detail: &'a [FieldError],
}

/// The body of an unknown path or method.
#[derive(Debug, Serialize)]
struct Detail {
    detail: &'static str,
}

/// The answer of `/health`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthAnswer {
    /// `healthy`, `degraded` (damage is known, writes go on) or `unhealthy` (no writes).
    #[schema(schema_with = health_status)]
    pub(crate) status: &'static str,
    pub(crate) service: &'static str,
    pub(crate) version: &'static str,
    /// What a 2xx means: `always` or `interval=..ms`.
    pub(crate) sync_mode: String,
    /// Why the status is not `healthy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) reason: Option<String>,
    /// What an operator should know, though everything works.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) warning: Option<&'static str>,
}

fn health_status() -> ObjectBuilder {
    schema::one_of(["healthy", "degraded", "unhealthy"])
        .description(Some("`degraded`: a part of the log is damaged, writes go on; `unhealthy`: nothing is taken in."))
}

/// A response of JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match sonic_rs::to_vec(body) {
        Ok(bytes) => {
            let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            (status, [content_type], bytes).into_response()
        }
        // Only floats that are not finite cannot be written, and none is let in.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// An unknown path.
pub(crate) fn not_found() -> Response {
    json(StatusCode::NOT_FOUND, &Detail { detail: "Not Found" })
}

/// A method that the path does not have.
pub(crate) fn method_not_allowed() -> Response {
    json(StatusCode::METHOD_NOT_ALLOWED, &Detail { detail: "Method Not Allowed" })
}

/// The answer to a request that was refused as a whole.
pub(crate) fn refusal(refused: &Refused, path: &str) -> Response {
    let status = refused.status();
    if let Refused::Invalid(detail, _) = refused {
        return json(status, &Invalid { detail });
    }
    let problem = Problem { error: refused.text().to_owned(), status_code: status.as_u16(), path: path.to_owned() };
    let mut response = json(status, &problem);
    if matches!(refused, Refused::Busy(_)) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// `email=1, prose=2`; nothing when nothing was removed.
pub(crate) fn removed_header(removed: &Removed) -> Option<HeaderValue> {
    if removed.is_empty() {
        return None;
    }
    let rules: Vec<String> = removed.iter().map(|(rule, count)| format!("{}={count}", rule.as_str())).collect();
    HeaderValue::try_from(rules.join(", ")).ok()
}
