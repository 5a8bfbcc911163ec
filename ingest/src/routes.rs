//! The ingest listener's routes (contract §5).

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttracer_model::privacy::MessageWords;
use agenttracer_model::{Loc, Position};
use agenttracer_storage::disk::Clock;
use agenttracer_storage::{Health, Log};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prometheus::{Encoder, Registry, TextEncoder};
use serde::Serialize;

use crate::StoredRuns;
use crate::batch::{self, Batch, Form};
use crate::body::{self, Body, Budget, LARGE, Limits};
use crate::dedupe::InFlight;
use crate::endpoints::TABLE;
use crate::error::Refused;
use crate::events::{self, Events};
use crate::intake::{Intake, Stored, blocking};
use crate::metrics::Metrics;
use crate::native::{self, Prepared};
use crate::tally::Tally;
use crate::wire::{self, HealthAnswer, Minimal};

/// How the write side behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether words in a failure's message refuse the run, or only shapes are replaced.
    pub message_words: MessageWords,
    /// The largest single run, in bytes once decompressed; 8 MiB.
    pub run_limit_bytes: usize,
    /// The largest batch, in bytes once decompressed; 64 MiB.
    pub batch_limit_bytes: usize,
    /// What all bodies may hold together, in bytes; 256 MiB.
    pub in_flight_limit_bytes: usize,
    /// How many live runs may go on at a time; 100,000. A further one is answered with 429.
    pub most_live_runs: u64,
    /// The longest pause between two pieces of a body; 30 s.
    pub body_idle: Duration,
    /// The longest that a whole body may take; 10 min.
    pub body_time: Duration,
    /// What `/health` warns of.
    pub warning: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            message_words: MessageWords::default(),
            run_limit_bytes: 8 << 20,
            batch_limit_bytes: 64 << 20,
            in_flight_limit_bytes: 256 << 20,
            most_live_runs: 100_000,
            body_idle: Duration::from_secs(30),
            body_time: Duration::from_secs(600),
            warning: None,
        }
    }
}

/// What the routes stand on. Clones share it.
#[derive(Clone)]
pub struct IngestState(Arc<Shared>);

struct Shared {
    intake: Arc<Intake>,
    budget: Arc<Budget>,
    registry: Registry,
    options: Options,
    durability: HeaderValue,
}

impl IngestState {
    /// Joins the write side to a log and to what is stored. Its metrics go into `registry`.
    ///
    /// # Errors
    /// When `registry` has metrics of the write side already.
    pub fn new(
        log: Arc<dyn Log>,
        runs: Arc<dyn StoredRuns>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
        options: Options,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        let durability =
            HeaderValue::try_from(log.sync_mode().to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        let words = options.message_words;
        let most_live_runs = options.most_live_runs;
        let intake = Intake { log, runs, clock, in_flight: InFlight::new(), metrics, words, most_live_runs };
        Ok(Self(Arc::new(Shared {
            intake: Arc::new(intake),
            budget: Budget::new(options.in_flight_limit_bytes),
            registry: registry.clone(),
            options,
            durability,
        })))
    }
}

/// The routes of the ingest listener: `/v1/runs`, `/v1/runs/batch`, `/v1/events`, `/health`, `/metrics`. A trailing slash makes no
/// difference; unknown paths and methods are answered as the contract says.
pub fn routes(state: IngestState) -> Router {
    let mut router = Router::new();
    for row in TABLE {
        let methods = (row.answers)();
        router = router.route(row.path, methods.clone()).route(&format!("{}/", row.path), methods);
    }
    router
        .fallback(async || wire::not_found())
        .method_not_allowed_fallback(async || wire::method_not_allowed())
        .with_state(state)
}

pub(crate) async fn post_run(State(state): State<IngestState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    answered(&state, &path, state.store_run(request), Metrics::count_refused).await
}

pub(crate) async fn post_batch(State(state): State<IngestState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    answered(&state, &path, state.store_batch(request), Metrics::count_refused).await
}

pub(crate) async fn post_events(State(state): State<IngestState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    answered(&state, &path, state.store_events(request), Metrics::count_refused_event).await
}

/// What is answered to what was sent to `path`: counted where it is refused, and how long it took.
async fn answered(
    state: &IngestState,
    path: &str,
    storing: impl Future<Output = Result<Response, Refused>>,
    count_refused: fn(&Metrics, &Refused),
) -> Response {
    let begun = Instant::now();
    let metrics = &state.0.intake.metrics;
    let response = storing.await.unwrap_or_else(|refused| {
        count_refused(metrics, &refused);
        wire::refusal(&refused, path)
    });
    metrics.seconds.observe(begun.elapsed().as_secs_f64());
    response
}

impl IngestState {
    /// Gives up the live runs whose lease has ended: appends to each that it was abandoned. Call it now and then. It never
    /// waits: what cannot be queued now is found by the next call. Returns how many were queued.
    pub fn abandon_expired(&self) -> usize {
        events::abandon_expired(&self.0.intake)
    }

    async fn store_run(&self, request: Request) -> Result<Response, Refused> {
        let intake = &self.0.intake;
        intake.check_room()?;
        let (head, body) = request.into_parts();
        let body = self.read(&head.headers, body, self.0.options.run_limit_bytes).await?;
        if !is_json(content_type(&head.headers)) {
            return Err(not_json());
        }
        let mut prepared = self.prepare(body).await?;
        let stored = intake.store(&mut prepared).await?;
        let minimal = prefers_minimal(&head.headers);
        let Prepared { run, removed, .. } = prepared;
        let (status, position) = match stored {
            Stored::Now { position, .. } => (StatusCode::CREATED, position),
            Stored::Before { position } => {
                intake.metrics.duplicate.inc();
                (StatusCode::OK, position)
            }
        };
        if minimal {
            let answer = Minimal { run_id: run.run_id, position };
            return Ok(self.answer(status, &answer, Some(position), &removed, true));
        }
        let view = match stored {
            Stored::Now { position, created_at } => run.into_view(created_at, position),
            Stored::Before { .. } => {
                let intake = Arc::clone(intake);
                blocking(move || intake.view(run.run_id)).await?
            }
        };
        Ok(self.answer(status, &view, Some(position), &removed, false))
    }

    async fn store_batch(&self, request: Request) -> Result<Response, Refused> {
        let (body, items) = self.read_items(request).await?;
        let limit = self.0.options.run_limit_bytes;
        Ok(self.tallied(&Batch::new(self.0.intake.clone(), body, items, limit).store().await))
    }

    async fn store_events(&self, request: Request) -> Result<Response, Refused> {
        let (body, items) = self.read_items(request).await?;
        let limit = self.0.options.run_limit_bytes;
        Ok(self.tallied(&Events::new(self.0.intake.clone(), body, items, limit).store().await))
    }

    /// A body of many items, and where each stands in it.
    async fn read_items(&self, request: Request) -> Result<(Body, Vec<Range<usize>>), Refused> {
        self.0.intake.check_room()?;
        let (head, body) = request.into_parts();
        let body = self.read(&head.headers, body, self.0.options.batch_limit_bytes).await?;
        let content_type = content_type(&head.headers);
        let form = if is_json(content_type) {
            Form::Array
        } else if is_lines(content_type) {
            Form::Lines
        } else {
            return Err(not_json());
        };
        let items = batch::cut(&body.bytes, form)?;
        Ok((body, items))
    }

    fn tallied(&self, tally: &Tally) -> Response {
        self.answer(StatusCode::OK, &tally.answer, tally.position, &tally.answer.removed.0, false)
    }

    /// The whole body; an empty one is an error of its own.
    async fn read(&self, headers: &HeaderMap, body: axum::body::Body, bytes: usize) -> Result<Body, Refused> {
        let limits = Limits { bytes, idle: self.0.options.body_idle, time: self.0.options.body_time };
        let body = body::read(headers, body, limits, &self.0.budget).await?;
        if body.bytes.is_empty() {
            return Err(Refused::invalid("missing", vec![Loc::Name("body".to_owned())], "Field required"));
        }
        Ok(body)
    }

    async fn prepare(&self, body: Body) -> Result<Prepared, Refused> {
        let words = self.0.options.message_words;
        let prepared = if body.bytes.len() < LARGE {
            native::prepare(&body.bytes, None, words)
        } else {
            blocking(move || native::prepare(&body.bytes, None, words)).await
        };
        prepared.map_err(|rejected| rejected.refused)
    }

    fn answer(
        &self,
        status: StatusCode,
        body: &impl Serialize,
        position: Option<Position>,
        removed: &agenttracer_model::privacy::Removed,
        minimal: bool,
    ) -> Response {
        let mut response = wire::json(status, body);
        let headers = response.headers_mut();
        headers.insert(wire::X_DURABILITY, self.0.durability.clone());
        if let Some(position) = position {
            headers.insert(wire::X_LOG_POSITION, HeaderValue::from(position.get()));
        }
        if let Some(removed) = wire::removed_header(removed) {
            headers.insert(wire::X_REMOVED, removed);
        }
        if minimal {
            headers.insert(wire::PREFERENCE_APPLIED, HeaderValue::from_static("return=minimal"));
        }
        response
    }
}

/// The media type, without its parameters.
fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim_ascii()
}

fn is_json(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case("application/json")
}

fn is_lines(media_type: &str) -> bool {
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"]
        .iter()
        .any(|known| media_type.eq_ignore_ascii_case(known))
}

/// The error that existing clients get when the body was not declared as JSON and so was never read as an object.
fn not_json() -> Refused {
    Refused::invalid(
        "model_attributes_type",
        vec![Loc::Name("body".to_owned())],
        "Input should be a valid dictionary or object to extract fields from: the content-type must be application/json",
    )
}

fn prefers_minimal(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| preference.split_once('='))
        .any(|(name, value)| {
            // A value may stand in quotes (RFC 7240, section 2).
            let value = value.trim_ascii().trim_matches('"');
            name.trim_ascii().eq_ignore_ascii_case("return") && value.eq_ignore_ascii_case("minimal")
        })
}

pub(crate) async fn health(State(state): State<IngestState>) -> Response {
    let log = &state.0.intake.log;
    let unhealthy = match log.health() {
        Health::Writable => None,
        Health::DiskFull => Some("the disk is full"),
        Health::OverLimit => Some("the data directory has reached max_disk"),
        Health::Poisoned(_) => Some("a write failed and the log is being reopened"),
        Health::Dead => Some("the thread that writes the log has died: restart the server"),
        Health::Closed => Some("the server is shutting down"),
    };
    let (code, status, reason) = match (unhealthy, agenttracer_storage::trouble(&**log)) {
        (Some(reason), _) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy", Some(reason.to_owned())),
        (None, Some(reason)) => (StatusCode::OK, "degraded", Some(reason)),
        (None, None) => (StatusCode::OK, "healthy", None),
    };
    let answer = HealthAnswer {
        status,
        service: "ingest-api",
        version: env!("CARGO_PKG_VERSION"),
        sync_mode: log.sync_mode().to_string(),
        reason,
        warning: state.0.options.warning,
    };
    wire::json(code, &answer)
}

pub(crate) async fn metrics(State(state): State<IngestState>, headers: HeaderMap) -> Response {
    let metrics = &state.0.intake.metrics;
    metrics.body_bytes.set(i64::try_from(state.0.budget.used()).unwrap_or(i64::MAX));
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("application/json") {
        return wire::json(StatusCode::OK, &metrics.as_json());
    }
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&state.0.registry.gather(), &mut text) {
        Ok(()) => {
            let content_type =
                (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
            ([content_type], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
