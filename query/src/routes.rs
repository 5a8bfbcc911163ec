use std::sync::Arc;
use std::time::Instant;

use agenttracer_index::{Count, PageRequest, RunSummary, Snapshot, SortedRequest, Stop};
use agenttracer_model::taxonomy::RunStatus;
use axum::Router;
use axum::body::Body;
use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri};
use serde::Serialize;
use uuid::Uuid;

use crate::cursor::{Cursor, NEWEST_FIRST};
use crate::endpoints::{Answers, TABLE};
use crate::error::{Detail, Refusal, json_response};
use crate::held::Held;
use crate::params::{self, View};
use crate::query_string::QueryString;
use crate::state::{QueryState, Shared};
use crate::tail;
use crate::wire::{self, HealthView, RunLatencyView, StatsView, SummaryView};

/// How many matches `X-Total-Count` counts exactly; of more than these, `X-Total-Count-Min` says at least so many.
const COUNT_UP_TO: u64 = 100_000;

/// The version that `/health` names.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The routes of the query API (contract §6), with `/health` and `/metrics`. Each path also works with a slash at its
/// end. An unknown path or method is answered by the fallbacks; put another `fallback` on the router to replace them.
///
/// CORS, the check of `Host`, and what else concerns a listener is the server's.
pub fn routes(state: QueryState) -> Router {
    let mut router = Router::new();
    for row in TABLE {
        let methods = match row.answers {
            Answers::Question(name, answer) => question(&state, name, answer),
            Answers::Follow => follow(&state),
            Answers::Notice(answer) => notice(&state, answer),
        };
        router = router.route(row.path, methods.clone()).route(&format!("{}/", row.path), methods);
    }
    router.fallback(not_found).method_not_allowed_fallback(method_not_allowed)
}

async fn not_found() -> Response<Body> {
    json_response(StatusCode::NOT_FOUND, &Detail { detail: "Not Found" })
}

async fn method_not_allowed() -> Response<Body> {
    json_response(StatusCode::METHOD_NOT_ALLOWED, &Detail { detail: "Method Not Allowed" })
}

/// One request.
pub(crate) struct Asked {
    path: String,
    query: String,
    /// What stands in the path, decoded.
    params: Vec<String>,
    /// The entity tags that the client has.
    if_none_match: Option<String>,
    /// Looked at by whatever takes long.
    pub(crate) stop: Stop,
}

impl Asked {
    pub(crate) fn query(&self) -> QueryString<'_> {
        QueryString::new(&self.query)
    }

    /// The parameter of the path at this place.
    pub(crate) fn param(&self, at: usize) -> &str {
        self.params.get(at).map_or("", String::as_str)
    }

    fn run_id(&self) -> Result<Uuid, Refusal> {
        Ok(params::run_id(self.param(0))?)
    }

    /// The snapshot from which all of the answer comes; its questions end when nobody waits for it any more.
    pub(crate) fn snapshot(&self, shared: &Shared) -> Snapshot {
        shared.index.snapshot().until(self.stop.clone())
    }

    /// Says when nobody waits for the answer any more.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Whether the client has what is tagged so.
    fn has(&self, tag: &str) -> bool {
        let Some(tags) = &self.if_none_match else { return false };
        tags.split(',')
            .map(str::trim)
            .any(|have| have == "*" || have.trim_start_matches("W/") == tag.trim_start_matches("W/"))
    }
}

/// The body of a 200, which is JSON, and its further headers; or that the client has it already.
pub(crate) struct Answer {
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
    not_modified: bool,
}

impl Answer {
    pub(crate) fn json(body: &impl Serialize) -> Result<Self, Refusal> {
        Ok(Self::new(sonic_rs::to_vec(body)?))
    }

    fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), headers: Vec::new(), not_modified: false }
    }

    /// The answer about one run, with a tag when the run has ended: then it changes only with another batch. It is made
    /// only when the client does not have it.
    fn of_run(
        shared: &Shared,
        asked: &Asked,
        run: &RunSummary,
        body: impl FnOnce() -> Result<Bytes, Refusal>,
    ) -> Result<Self, Refusal> {
        if run.status == RunStatus::Running {
            return Ok(Self::new(body()?));
        }
        let last = run.batches.last().copied().unwrap_or_default();
        // Weak, since compression changes the bytes.
        let tag = format!("W/\"{:08x}-{last}\"", shared.log_tag);
        let not_modified = asked.has(&tag);
        let body = if not_modified { Bytes::new() } else { body()? };
        let headers = HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)).into_iter();
        Ok(Self { body, headers: headers.collect(), not_modified })
    }

    fn into_response(self, held: &Held) -> Result<Response<Body>, Refusal> {
        if self.not_modified {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().extend(self.headers);
            return Ok(response);
        }
        let mut response = Response::new(Body::from(held.until_read(self.body)?));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        Ok(response)
    }
}

/// A route whose answer is worked out on a query thread.
fn question(
    state: &QueryState,
    name: &'static str,
    answer: fn(&Shared, &Asked) -> Result<Answer, Refusal>,
) -> MethodRouter {
    let shared = Arc::clone(&state.0);
    get(move |uri: Uri, headers: HeaderMap, params: Result<RawPathParams, RawPathParamsRejection>| {
        let shared = Arc::clone(&shared);
        async move {
            let mut request = Request::new(&shared, name);
            let path = uri.path().to_owned();
            let params = params.map(|params| params.iter().map(|(_, value)| value.to_owned()).collect());
            let asked = Asked {
                path: path.clone(),
                query: uri.query().unwrap_or_default().to_owned(),
                params: params.unwrap_or_default(),
                if_none_match: headers.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).map(str::to_owned),
                stop: Stop::default(),
            };
            let work = {
                let shared = Arc::clone(&shared);
                move |stop| answer(&shared, &Asked { stop, ..asked })
            };
            let outcome = match shared.gate.run_until(shared.timeout, work).await {
                Ok(outcome) => outcome,
                Err(error) => Err(error.into()),
            };
            let response = outcome
                .and_then(|answer| answer.into_response(&shared.held))
                .unwrap_or_else(|refusal| refusal.into_response(&path));
            request.answered_with(response.status().as_u16());
            response
        }
    })
}

/// A request until it is counted: with the status of its answer, or as left by its client.
struct Request {
    shared: Arc<Shared>,
    endpoint: &'static str,
    started: Instant,
    status: u16,
}

/// What a request is counted as whose client went away before the answer. No client sees it; nginx has the same.
const CLIENT_LEFT: u16 = 499;

impl Request {
    fn new(shared: &Arc<Shared>, endpoint: &'static str) -> Self {
        Self { shared: Arc::clone(shared), endpoint, started: Instant::now(), status: CLIENT_LEFT }
    }

    fn answered_with(&mut self, status: u16) {
        self.status = status;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.shared.metrics.answered(self.endpoint, self.status, self.started.elapsed().as_secs_f64());
    }
}

/// `GET /v1/tail`: answered for as long as the client wants.
fn follow(state: &QueryState) -> MethodRouter {
    let shared = Arc::clone(&state.0);
    get(move |uri: Uri, headers: HeaderMap| {
        let shared = Arc::clone(&shared);
        async move {
            let started = Instant::now();
            let query = QueryString::new(uri.query().unwrap_or_default());
            let last_seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
            let response = params::tail(&query)
                .map_err(Refusal::from)
                .and_then(|(filter, after)| tail::answer(&shared, filter, last_seen.or(after)))
                .unwrap_or_else(|refusal| refusal.into_response(uri.path()));
            shared.metrics.answered("tail", response.status().as_u16(), started.elapsed().as_secs_f64());
            response
        }
    })
}

/// A route that is answered at once.
fn notice(state: &QueryState, answer: fn(&Shared) -> Response<Body>) -> MethodRouter {
    let shared = Arc::clone(&state.0);
    get(move || std::future::ready(answer(&shared)))
}

/// `GET /v1/runs`
pub(crate) fn list(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let query = asked.query();
    let wanted = params::runs(&query)?;
    let snapshot = asked.snapshot(shared);
    let (sort, offset, limit) = (wanted.sort, wanted.offset, wanted.limit);
    let after = wanted.cursor.map(|cursor| (cursor.rank, cursor.run_id));
    let page = if sort == NEWEST_FIRST {
        let after = after.map(|(rank, run_id)| (sort.time(rank), run_id));
        snapshot.list(&wanted.filter, &PageRequest { after, offset, limit, count_up_to: COUNT_UP_TO })?
    } else {
        snapshot.list_sorted(&wanted.filter, &SortedRequest { sort, after, offset, limit })?
    };

    let mut headers = vec![match page.total {
        Count::Exactly(count) => (HeaderName::from_static("x-total-count"), HeaderValue::from(count)),
        Count::AtLeast(count) => (HeaderName::from_static("x-total-count-min"), HeaderValue::from(count)),
    }];
    if let Some(last) = page.runs.last().filter(|_| page.more) {
        let next = Cursor {
            sort,
            rank: sort.rank(last),
            run_id: last.run_id,
            opened_at: wanted.cursor.map_or(snapshot.position(), |cursor| cursor.opened_at),
            filter_hash: wanted.filter_hash,
        };
        let link = format!("<{}?{}>; rel=\"next\"", asked.path, query.with("cursor", &next.encode()));
        headers.extend(HeaderValue::try_from(link).ok().map(|link| (LINK, link)));
    }
    let runs = page.runs.iter().map(|run| &**run);
    let body = match wanted.view {
        View::Summary => sonic_rs::to_vec(&runs.map(SummaryView::from).collect::<Vec<_>>())?,
        View::Full => {
            let list = shared.runs().list(runs, shared.max_page_bytes, &asked.stop)?;
            if list.damaged > 0 {
                headers.push((HeaderName::from_static("x-damaged-runs"), HeaderValue::from(list.damaged)));
            }
            list.body
        }
    };
    Ok(Answer { headers, ..Answer::new(body) })
}

/// `GET /v1/runs/{run_id}`
pub(crate) fn run(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let run_id = asked.run_id()?;
    let run = found(&shared.index.snapshot(), run_id)?;
    Answer::of_run(shared, asked, &run, || shared.runs().json(&run))
}

/// `GET /v1/runs/{run_id}/steps`
pub(crate) fn steps(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let (run_id, wanted) = both(asked.run_id(), params::steps(&asked.query()).map_err(Refusal::from))?;
    let no_steps = || Refusal::NotFound(format!("No steps found for run {run_id}"));
    let run = shared.index.snapshot().find(run_id)?.ok_or_else(no_steps)?;
    let view = shared.runs().view(&run)?;
    if view.steps.is_empty() {
        return Err(no_steps());
    }
    let behind = |seq: u32| wanted.after_seq.is_none_or(|after| u64::from(seq) > after);
    let steps: Vec<_> = view.steps.iter().filter(|step| behind(step.seq)).take(wanted.limit).collect();
    Answer::json(&steps)
}

/// `GET /v1/runs/{run_id}/failures`: an unknown run has none.
pub(crate) fn failures(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    match shared.index.snapshot().find(asked.run_id()?)? {
        Some(run) => Answer::json(&shared.runs().view(&run)?.failures),
        None => Ok(Answer::new(Bytes::from_static(b"[]"))),
    }
}

/// `GET /v1/runs/{run_id}/decisions`
pub(crate) fn decisions(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let run = found(&shared.index.snapshot(), asked.run_id()?)?;
    Answer::json(&shared.runs().view(&run)?.decisions)
}

/// `GET /v1/runs/{run_id}/signals`
pub(crate) fn signals(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let run = found(&shared.index.snapshot(), asked.run_id()?)?;
    Answer::json(&shared.runs().view(&run)?.quality_signals)
}

/// `GET /v1/runs/{run_id}/latency`
pub(crate) fn latency(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let run = found(&shared.index.snapshot(), asked.run_id()?)?;
    Answer::of_run(shared, asked, &run, || {
        let view = shared.runs().view(&run)?;
        Ok(sonic_rs::to_vec(&RunLatencyView::from(&view))?.into())
    })
}

/// `GET /v1/runs/{run_id}/events`
pub(crate) fn events(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let run = found(&shared.index.snapshot(), asked.run_id()?)?;
    Answer::json(&wire::records(&shared.runs().batches(&run)?))
}

/// `GET /v1/stats`
pub(crate) fn stats(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let filter = params::stats(&asked.query())?;
    Answer::json(&StatsView::from(asked.snapshot(shared).stats(&filter)?))
}

/// Both values, or the errors of both.
fn both<A, B>(a: Result<A, Refusal>, b: Result<B, Refusal>) -> Result<(A, B), Refusal> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(Refusal::Unprocessable(mut errors)), Err(Refusal::Unprocessable(others))) => {
            errors.extend(others);
            Err(Refusal::Unprocessable(errors))
        }
        (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
    }
}

fn found(snapshot: &Snapshot, run_id: Uuid) -> Result<Arc<RunSummary>, Refusal> {
    snapshot.find(run_id)?.ok_or_else(|| Refusal::no_run(run_id))
}

/// `GET /health`: answered without a query thread, so that a busy server is not taken for a dead one. Damage leaves
/// all else readable, so it is 200 still.
pub(crate) fn health(shared: &Shared) -> Response<Body> {
    let reason = agenttracer_storage::trouble(&*shared.log);
    json_response(
        StatusCode::OK,
        &HealthView {
            status: if reason.is_none() { "healthy" } else { "degraded" },
            service: "query-api",
            version: VERSION,
            sync_mode: shared.log.sync_mode().to_string(),
            position: shared.index.snapshot().position(),
            ingest_port: shared.ingest_port,
            reason,
            warning: shared.warning,
        },
    )
}

/// `GET /metrics`
pub(crate) fn metrics(shared: &Shared) -> Response<Body> {
    match shared.metrics.text() {
        Ok((content_type, text)) => {
            let mut response = Response::new(Body::from(text));
            let content_type = HeaderValue::try_from(content_type);
            response
                .headers_mut()
                .insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("text/plain; version=0.0.4")));
            response
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            Refusal::Failed("The metrics could not be written".to_owned()).into_response("/metrics")
        }
    }
}
