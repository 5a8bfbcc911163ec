//! The write side on a log in memory, with a small stand-in for the projections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use agenttracer_ingest::{HeldEvents, IngestState, Options, StoredRun, StoredRuns, StoredRunsError, routes};
use agenttracer_model::{Digest, Event, EventMark, Position, RunBatch, RunView, Timestamp};
use agenttracer_storage::disk::Clock;
use agenttracer_storage::{AppendError, Committed, Follower, MemoryLog, record};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

/// What was stored, and the switches that tests turn.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) views: Mutex<HashMap<Uuid, (Digest, RunView)>>,
    pub(crate) special: Mutex<HashMap<Uuid, StoredRun>>,
    /// Batches of live runs.
    pub(crate) live: Mutex<HashMap<Uuid, Vec<RunBatch>>>,
    /// How many live runs there are beside those.
    pub(crate) others_live: AtomicU64,
    /// Live runs whose lease has ended.
    pub(crate) expired: Mutex<Vec<Uuid>>,
    pub(crate) full: AtomicBool,
    pub(crate) broken: AtomicBool,
    /// Records cannot be read.
    pub(crate) damaged: AtomicBool,
    pub(crate) finds: AtomicUsize,
    /// What the follower answers instead of storing.
    pub(crate) failing: Mutex<Option<AppendError>>,
}

impl StoredRuns for Runs {
    fn find(&self, run_id: Uuid) -> Result<Option<StoredRun>, StoredRunsError> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoredRunsError("/secret/path is unreadable".to_owned()));
        }
        if let Some(special) = self.special.lock().unwrap().get(&run_id) {
            return Ok(Some(*special));
        }
        if self.live.lock().unwrap().contains_key(&run_id) {
            return Ok(Some(StoredRun::Live));
        }
        Ok(self.views.lock().unwrap().get(&run_id).map(|(_, view)| StoredRun::Whole(view.position)))
    }

    fn digest(&self, position: Position) -> Result<Option<Digest>, StoredRunsError> {
        if self.damaged.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let views = self.views.lock().unwrap();
        let stored = views.values().find(|(_, view)| view.position == position);
        stored.map(|(digest, _)| Some(*digest)).ok_or_else(|| StoredRunsError(format!("nothing is at {position}")))
    }

    fn live(&self, run_id: Uuid, marks: &[EventMark]) -> Result<Option<HeldEvents>, StoredRunsError> {
        let live = self.live.lock().unwrap();
        let Some(batches) = live.get(&run_id) else { return Ok(None) };
        let events: Vec<_> = batches.iter().flat_map(|batch| &batch.events).collect();
        let known: Vec<_> =
            events.iter().map(|timed| EventMark::of(timed.time.unwrap(), timed.removed, &timed.event)).collect();
        Ok(Some(HeldEvents {
            batches: batches.len() as u64,
            events: events.len() as u64,
            payload_bytes: 100 * events.len() as u64,
            held: marks.iter().map(|mark| mark.key.is_some() && known.contains(mark)).collect(),
        }))
    }

    fn live_runs(&self) -> u64 {
        self.live.lock().unwrap().len() as u64 + self.others_live.load(Ordering::SeqCst)
    }

    fn expired(&self, most: usize) -> Vec<Uuid> {
        self.expired.lock().unwrap().iter().copied().take(most).collect()
    }

    fn is_expired(&self, run_id: Uuid) -> bool {
        self.expired.lock().unwrap().contains(&run_id)
    }

    fn view(&self, run_id: Uuid) -> Result<Option<RunView>, StoredRunsError> {
        Ok(self.views.lock().unwrap().get(&run_id).map(|(_, view)| view.clone()))
    }

    fn has_room(&self) -> bool {
        !self.full.load(Ordering::SeqCst)
    }
}

struct Applier(Arc<Runs>);

impl Follower for Applier {
    fn committed(&mut self, group: Vec<Committed>) {
        for Committed { batch, ticket } in group {
            if let Some(error) = self.0.failing.lock().unwrap().clone() {
                ticket(Err(error));
                continue;
            }
            let decoded = record::decode(&batch).unwrap();
            if !decoded.whole {
                self.0.expired.lock().unwrap().retain(|run_id| *run_id != decoded.run_id);
                self.0.live.lock().unwrap().entry(decoded.run_id).or_default().push(decoded);
                ticket(Ok(batch.position));
                continue;
            }
            let digest = decoded
                .events
                .iter()
                .find_map(|timed| match &timed.event {
                    Event::RunEnded(ended) => ended.digest,
                    _ => None,
                })
                .unwrap();
            let run_id = decoded.run_id;
            let view = RunView::fold([decoded]).unwrap();
            let before = self.0.views.lock().unwrap().insert(run_id, (digest, view));
            assert!(before.is_none(), "a run id was stored twice");
            ticket(Ok(batch.position));
        }
    }
}

/// 2026-11-22T12:00:00Z and a second later at each look.
#[derive(Default)]
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_795_348_800_000_000 + self.0.fetch_add(1, Ordering::SeqCst) * 1_000_000)
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }
}

pub(crate) struct World {
    pub(crate) state: IngestState,
    pub(crate) router: Router,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) runs: Arc<Runs>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// `(type, loc)` of every error of a 422, `loc` joined by dots without `body`.
    pub(crate) fn errors(&self) -> Vec<(String, String)> {
        assert_eq!(self.status, 422, "{}", self.text());
        errors_of(&self.json()["detail"])
    }
}

pub(crate) fn errors_of(detail: &Value) -> Vec<(String, String)> {
    let part = |part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned);
    detail
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            let keys: Vec<_> = error.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["type", "loc", "msg"]);
            assert!(!error["msg"].as_str().unwrap().is_empty());
            let loc = error["loc"].as_array().unwrap();
            assert_eq!(loc[0], "body");
            let place: Vec<_> = loc[1..].iter().map(part).collect();
            (error["type"].as_str().unwrap().to_owned(), place.join("."))
        })
        .collect()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let runs = Arc::new(Runs::default());
        let log = Arc::new(MemoryLog::new(Applier(runs.clone())));
        let clock = Arc::new(TestClock::default());
        let state = IngestState::new(log.clone(), runs.clone(), clock, &prometheus::Registry::new(), options).unwrap();
        Self { router: routes(state.clone()), state, log, runs }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    /// `POST /v1/runs` with these bytes as JSON.
    pub(crate) async fn post_bytes(&self, bytes: impl Into<Body>) -> Answer {
        self.send(post("/v1/runs", bytes)).await
    }

    pub(crate) async fn post(&self, body: &Value) -> Answer {
        self.post_bytes(body.to_string()).await
    }

    pub(crate) async fn post_batch(&self, body: &Value) -> Answer {
        self.send(post("/v1/runs/batch", body.to_string())).await
    }

    pub(crate) async fn post_events(&self, body: &Value) -> Answer {
        self.send(post("/v1/events", body.to_string())).await
    }

    /// The events of a live run that were stored, in the order of the log.
    pub(crate) fn events(&self, run_id: Uuid) -> Vec<Event> {
        let live = self.runs.live.lock().unwrap();
        let batches = live.get(&run_id).into_iter().flatten();
        batches.flat_map(|batch| &batch.events).map(|timed| timed.event.clone()).collect()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) fn stored(&self) -> usize {
        self.runs.views.lock().unwrap().len()
    }
}

pub(crate) async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: head.status, headers: head.headers, bytes }
}

pub(crate) fn post(path: &str, bytes: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(bytes.into()).unwrap()
}

/// The smallest run.
pub(crate) fn small() -> Value {
    json!({"agent_id": "a", "agent_version": "v1", "status": "success", "started_at": "2026-11-22T10:00:00Z"})
}

/// A run with one of everything.
pub(crate) fn full() -> Value {
    json!({
        "run_id": "11111111-1111-4111-8111-111111111111",
        "agent_id": "support-agent",
        "agent_version": "v1.4.0",
        "environment": "staging",
        "status": "failure",
        "started_at": "2026-11-22T10:00:00Z",
        "ended_at": "2026-11-22T10:00:02.500000Z",
        "steps": [
            {"step_id": "22222222-2222-4222-8222-222222222222", "seq": 0, "step_type": "plan", "name": "analyze",
             "latency_ms": 100, "started_at": "2026-11-22T10:00:00Z", "ended_at": "2026-11-22T10:00:00.100000Z",
             "metadata": {"model": "gpt-4o", "input_tokens": 12, "cost_usd": 0.25, "ok": true, "none": null}},
            {"step_id": "33333333-3333-4333-8333-333333333333", "seq": 1, "step_type": "tool", "name": "billing_api",
             "latency_ms": 2000, "started_at": "2026-11-22T10:00:00.100000Z", "ended_at": "2026-11-22T10:00:02.100000Z",
             "metadata": {}, "status": "failed", "error_code": "timeout",
             "parent_step_id": "22222222-2222-4222-8222-222222222222"}
        ],
        "failure": {"step_id": "33333333-3333-4333-8333-333333333333", "failure_type": "tool", "failure_code": "timeout",
                    "message": "External API timeout after 30s"},
        "decisions": [{"decision_id": "44444444-4444-4444-8444-444444444444",
                       "step_id": "22222222-2222-4222-8222-222222222222", "decision_type": "tool_selection",
                       "reason_code": "fresh_data_required", "selected": "api", "candidates": ["api", "cache"],
                       "confidence": 0.85, "metadata": {"score": 3}}],
        "quality_signals": [{"signal_id": "55555555-5555-4555-8555-555555555555",
                             "step_id": "33333333-3333-4333-8333-333333333333", "signal_type": "schema_valid",
                             "signal_code": "full_match", "value": true, "weight": 0.5, "metadata": {}}],
        "parent_run_id": "66666666-6666-4666-8666-666666666666",
        "parent_step_id": "77777777-7777-4777-8777-777777777777",
        "session_id": "session-1",
        "trace_id": "ABCDEF0123456789abcdef0123456789",
        "metadata": {"region": "eu-1"}
    })
}

/// Sets the value at a JSON pointer, making the last key when it is missing.
pub(crate) fn set(body: &Value, pointer: &str, value: Value) -> Value {
    let mut body = body.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
    match parent {
        Value::Array(array) => array[key.parse::<usize>().unwrap()] = value,
        Value::Object(object) => {
            object.insert(key.to_owned(), value);
        }
        _ => panic!("no {pointer}"),
    }
    body
}

/// Takes a key away.
pub(crate) fn without(body: &Value, pointer: &str) -> Value {
    let mut body = body.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().shift_remove(key).unwrap();
    body
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}
