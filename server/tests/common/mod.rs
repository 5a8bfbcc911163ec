//! A real server in a directory of its own, asked over real HTTP.

use std::path::Path;
use std::sync::Arc;

use agenttracer_server::config::ListenAddr;
use agenttracer_server::{Config, Server};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// A running server. Its directory goes when the last holder of it goes.
pub(crate) struct TestServer {
    dir: Arc<TempDir>,
    server: Server,
    client: Client,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The `loc` of each error of a 422.
    pub(crate) fn places(&self) -> Vec<Value> {
        let body = self.json();
        let detail = body["detail"].as_array().unwrap_or_else(|| panic!("no detail in {body}"));
        detail.iter().map(|error| error["loc"].clone()).collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// The configuration of a test: small segments, so that every test rotates, and any free ports.
pub(crate) fn config(dir: &Path) -> Config {
    let any = ListenAddr::At(([127, 0, 0, 1], 0).into());
    Config { ingest_addr: any, query_addr: any, ui_addr: any, segment_bytes: 4 << 20, ..Config::new(dir.to_owned()) }
}

impl TestServer {
    pub(crate) async fn boot() -> Self {
        Self::boot_with(|_| {}).await
    }

    pub(crate) async fn boot_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::boot_in(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    pub(crate) async fn boot_in(dir: Arc<TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(dir.path());
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        Self { dir, server, client: Client::new() }
    }

    /// Stops and starts again on the same directory; `between` may change files.
    pub(crate) async fn restart(self, between: impl FnOnce(&Path)) -> Self {
        let dir = self.stop().await;
        between(dir.path());
        Self::boot_in(dir, |_| {}).await
    }

    pub(crate) async fn stop(self) -> Arc<TempDir> {
        self.server.stop().await.unwrap();
        self.dir
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn ingest_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addresses().ingest.unwrap())
    }

    pub(crate) fn query_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addresses().query.unwrap())
    }

    pub(crate) fn ui_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addresses().ui.unwrap())
    }

    /// A request to the ingest listener.
    pub(crate) fn ingest(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.ingest_url(path))
    }

    /// `POST /v1/runs`.
    pub(crate) async fn post(&self, run: &Value) -> Answer {
        send(self.ingest(Method::POST, "/v1/runs").json(run)).await
    }

    /// `POST /v1/runs` with bytes as they are.
    pub(crate) async fn post_bytes(&self, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.ingest(Method::POST, "/v1/runs").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request).await
    }

    /// Stores a run and gives it as it was answered.
    pub(crate) async fn store(&self, run: &Value) -> Value {
        self.post(run).await.expect(201).json()
    }

    /// Stores many runs in one request.
    pub(crate) async fn store_all(&self, runs: &[Value]) {
        let answer = send(self.ingest(Method::POST, "/v1/runs/batch").json(runs)).await.expect(200).json();
        assert_eq!(answer["accepted"], runs.len(), "{answer}");
    }

    /// `GET` on the query listener.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.client.get(self.query_url(path))).await
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

/// A run with one of everything, all ids fresh.
pub(crate) fn full_run() -> Value {
    let step = |seq: u32, kind: &str, name: &str, latency_ms: u32| {
        json!({
            "step_id": Uuid::new_v4(),
            "seq": seq,
            "step_type": kind,
            "name": name,
            "latency_ms": latency_ms,
            "started_at": format!("2026-11-22T10:00:0{seq}Z"),
            "ended_at": format!("2026-11-22T10:00:0{}.250000Z", seq),
            "metadata": {"model": "m-large-1", "tokens_prompt": 812, "cached": false, "ratio": 0.25},
        })
    };
    let steps = [
        step(0, "plan", "analyze_query", 120),
        step(1, "retrieve", "search_kb", 80),
        step(2, "tool", "billing_api", 250),
    ];
    let tool = steps[2]["step_id"].clone();
    json!({
        "run_id": Uuid::new_v4(),
        "agent_id": "support-agent",
        "agent_version": "v1.0.0",
        "environment": "staging",
        "status": "failure",
        "started_at": "2026-11-22T10:00:00Z",
        "ended_at": "2026-11-22T10:00:05.250000Z",
        "steps": steps,
        "failure": {
            "step_id": tool,
            "failure_type": "tool",
            "failure_code": "timeout",
            "message": "External API timeout after 30s",
        },
        "decisions": [{
            "decision_id": Uuid::new_v4(),
            "step_id": tool,
            "decision_type": "tool_selection",
            "reason_code": "fresh_data_required",
            "selected": "billing_api",
            "candidates": ["billing_api", "cache"],
            "confidence": 0.85,
            "metadata": {"rank": 1},
        }],
        "quality_signals": [{
            "signal_id": Uuid::new_v4(),
            "step_id": tool,
            "signal_type": "tool_failure",
            "signal_code": "timeout",
            "value": true,
            "weight": 0.5,
            "metadata": {"http_status": 504},
        }],
    })
}

/// The least a run may say, with `fields` in place of or beside it.
pub(crate) fn small_run(fields: Value) -> Value {
    let mut run = json!({
        "run_id": Uuid::new_v4(),
        "agent_id": "support-agent",
        "agent_version": "v1.0.0",
        "status": "success",
        "started_at": "2026-11-22T10:00:00Z",
    });
    for (name, value) in fields.as_object().unwrap() {
        run[name] = value.clone();
    }
    run
}

/// The run id of a run.
pub(crate) fn id(run: &Value) -> &str {
    run["run_id"].as_str().unwrap()
}

/// `value` with `change` at a JSON pointer; `None` takes what is there away.
pub(crate) fn with(mut value: Value, pointer: &str, change: Option<Value>) -> Value {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
    match (parent, change) {
        (Value::Object(object), Some(change)) => {
            object.insert(last.to_owned(), change);
        }
        (Value::Object(object), None) => {
            object.remove(last).unwrap_or_else(|| panic!("no {pointer}"));
        }
        (Value::Array(array), Some(change)) => array[last.parse::<usize>().unwrap()] = change,
        (parent, change) => panic!("{pointer} of {parent} to {change:?}"),
    }
    value
}
