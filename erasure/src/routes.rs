use std::sync::Arc;

use agenttracer_index::Erasure;
use agenttracer_model::{FieldError, Loc, Position, Problem};
use agenttracer_storage::{AppendError, SubmitError};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{CONTENT_TYPE, LINK, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode, Uri};
use serde::Serialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::endpoints::TABLE;
use crate::wire::{self, ErasureView};
use crate::{EraseError, Eraser};

/// The longest body.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Requests that wait for their turn; one more is answered with 429.
const MOST_WAITING: usize = 64;
/// Erasures of one page, unless asked for more or less.
pub(crate) const PAGE: usize = 100;
/// The longest page.
pub(crate) const MOST_LISTED: u64 = 1_000;

/// What the routes share. Clones are the same state.
#[derive(Clone)]
pub struct ErasureState {
    eraser: Arc<Eraser>,
    waiting: Arc<Semaphore>,
}

impl ErasureState {
    /// Routes to this eraser.
    pub fn new(eraser: Arc<Eraser>) -> Self {
        Self { eraser, waiting: Arc::new(Semaphore::new(MOST_WAITING)) }
    }
}

/// The routes of erasures (contract §7), for both listeners. Each path also works with a slash at its end. Fallbacks are the
/// caller's.
pub fn routes(state: ErasureState) -> Router {
    let mut router = Router::new();
    for row in TABLE {
        let methods = (row.answers)();
        router = router.route(row.path, methods.clone()).route(&format!("{}/", row.path), methods);
    }
    router.with_state(state)
}

/// `DELETE /v1/runs/{run_id}`
pub(crate) async fn erase_run(State(state): State<ErasureState>, Path(run_id): Path<String>, uri: Uri) -> Response {
    let Ok(run_id) = Uuid::try_parse(&run_id) else { return no_uuid("run_id") };
    let outcome = state.work(move |eraser| eraser.erase_run(run_id)).await;
    match outcome {
        Ok(erasure) => json(StatusCode::OK, &ErasureView::from(&erasure)),
        Err(EraseError::NotFound) => problem(StatusCode::NOT_FOUND, format!("Run {run_id} not found"), &uri),
        Err(EraseError::Before(erasure)) => {
            let by = erasure.map(|erasure| format!(" by erasure {}", erasure.id)).unwrap_or_default();
            problem(StatusCode::GONE, format!("Run {run_id} was erased before{by}"), &uri)
        }
        Err(error) => failed(&error, &uri),
    }
}

/// `POST /v1/erasures`
pub(crate) async fn erase(State(state): State<ErasureState>, uri: Uri, body: Body) -> Response {
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        let error = format!("The body is over {MAX_BODY_BYTES} bytes, or did not arrive");
        return problem(StatusCode::PAYLOAD_TOO_LARGE, error, &uri);
    };
    let wanted = match wire::wanted(&body) {
        Ok(wanted) => wanted,
        Err(errors) => return unprocessable(errors),
    };
    match state.work(move |eraser| eraser.erase(&wanted)).await {
        Ok(erasure) => {
            let mut response = json(StatusCode::CREATED, &ErasureView::from(&erasure));
            if let Ok(location) = HeaderValue::try_from(format!("/v1/erasures/{}", erasure.id)) {
                response.headers_mut().insert(LOCATION, location);
            }
            response
        }
        Err(EraseError::NotFound) => {
            problem(StatusCode::NOT_FOUND, "No run matches: nothing was erased".to_owned(), &uri)
        }
        Err(error) => failed(&error, &uri),
    }
}

/// `GET /v1/erasures/{erasure_id}`
pub(crate) async fn erasure(State(state): State<ErasureState>, Path(id): Path<String>, uri: Uri) -> Response {
    let Ok(id) = Uuid::try_parse(&id) else { return no_uuid("erasure_id") };
    match state.eraser.erasure(id) {
        Some(erasure) => json(StatusCode::OK, &ErasureView::from(&erasure)),
        None => problem(StatusCode::NOT_FOUND, format!("Erasure {id} not found"), &uri),
    }
}

/// `GET /v1/erasures`: the newest first; `limit` and `before` (a position) make pages, which the `Link` header leads through.
pub(crate) async fn list(State(state): State<ErasureState>, uri: Uri) -> Response {
    let (mut limit, mut before) = (PAGE, None);
    for (name, value) in uri.query().unwrap_or_default().split('&').filter_map(|part| part.split_once('=')) {
        let number = value.parse::<u64>();
        match (name, number) {
            ("limit", Ok(number @ 1..=MOST_LISTED)) => limit = number as usize,
            ("before", Ok(number)) => before = Some(Position::new(number)),
            ("limit" | "before", _) => {
                let loc = vec![Loc::Name("query".to_owned()), Loc::Name(name.to_owned())];
                let msg = "Input should be a number; limit from 1 to 1000".to_owned();
                return unprocessable(vec![FieldError { kind: "int_parsing", loc, msg }]);
            }
            _ => {}
        }
    }
    let mut erasures: Vec<Erasure> = state.eraser.erasures(before, limit + 1);
    let more = erasures.len() > limit;
    erasures.truncate(limit);
    let views: Vec<_> = erasures.iter().map(ErasureView::from).collect();
    let mut response = json(StatusCode::OK, &views);
    if let Some(last) = erasures.last().filter(|_| more) {
        let before = last.accepted.position;
        let link = format!("<{}?limit={limit}&before={before}>; rel=\"next\"", uri.path());
        response.headers_mut().extend(HeaderValue::try_from(link).ok().map(|link| (LINK, link)));
    }
    response
}

impl ErasureState {
    /// Does what blocks on a thread of its own. It goes on when the client goes away.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Eraser) -> Result<T, EraseError> + Send + 'static,
    ) -> Result<T, EraseError> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| SubmitError::Busy)?;
        let eraser = Arc::clone(&self.eraser);
        let worked = tokio::task::spawn_blocking(move || {
            let outcome = work(&eraser);
            drop(place);
            outcome
        });
        worked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

/// What the client is told of a failure: the cause names files, and is for the process log.
fn failed(error: &EraseError, uri: &Uri) -> Response {
    match error {
        EraseError::TooMany(most) => problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("More than {most} runs match: erase them in several ranges of time"),
            uri,
        ),
        EraseError::Submit(SubmitError::Busy) => {
            let error = "Too much is being written, try again in a moment".to_owned();
            let mut response = problem(StatusCode::TOO_MANY_REQUESTS, error, uri);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        EraseError::Submit(SubmitError::DiskFull) | EraseError::Append(AppendError::DiskFull) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "The disk is full".to_owned(), uri)
        }
        EraseError::Submit(_) | EraseError::Append(_) => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "Writing failed: the erasure happens whole or not at all; look at /v1/erasures, or send it again"
                .to_owned(),
            uri,
        ),
        other => {
            tracing::error!(error = %other, "an erasure failed");
            let error = "The runs could not be read now; look at /v1/erasures, or send it again".to_owned();
            problem(StatusCode::SERVICE_UNAVAILABLE, error, uri)
        }
    }
}

fn no_uuid(name: &str) -> Response {
    unprocessable(vec![FieldError {
        kind: "uuid_parsing",
        loc: vec![Loc::Name("path".to_owned()), Loc::Name(name.to_owned())],
        msg: "Input should be a valid UUID".to_owned(),
    }])
}

#[derive(Serialize)]
struct Detail {
    detail: Vec<FieldError>,
}

fn unprocessable(detail: Vec<FieldError>) -> Response {
    json(StatusCode::UNPROCESSABLE_ENTITY, &Detail { detail })
}

fn problem(status: StatusCode, error: String, uri: &Uri) -> Response {
    json(status, &Problem { error, status_code: status.as_u16(), path: uri.path().to_owned() })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Our own types with text keys: this does not fail.
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
