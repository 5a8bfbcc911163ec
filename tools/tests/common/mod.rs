//! The real binary in a process of its own.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its part of this module")]

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// The program with `arguments`, and nothing of the environment that configures it.
pub(crate) fn agenttracer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agenttracer"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("AGENTTRACER_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs an offline command over a data directory to its end.
pub(crate) fn offline(name: &str, dir: &Path, arguments: &[&str]) -> Output {
    let mut command = agenttracer(&[name, "--data-dir", dir.to_str().unwrap()]);
    command.args(arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// `serve` over `dir` with any free ports and small segments.
pub(crate) fn serve(dir: &Path) -> Command {
    let mut command = agenttracer(&["serve", "--data-dir", dir.to_str().unwrap()]);
    command.args(["--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0", "--ui-addr", "off"]);
    command.args(["--segment-bytes", "262144"]);
    command
}

/// A serving process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    pub(crate) ingest: SocketAddr,
    pub(crate) query: SocketAddr,
}

/// What a process left.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts `serve` over `dir` and waits until it is ready.
    pub(crate) fn start(dir: &Path) -> Self {
        Self::spawn(dir, serve(dir)).unwrap_or_else(|ended| panic!("{}: {}", ended.status, ended.stderr))
    }

    /// Starts `command`, which serves `dir`, and waits until it is ready or has ended.
    pub(crate) fn spawn(dir: &Path, mut command: Command) -> Result<Self, Ended> {
        let file = dir.join("run/addresses.json");
        // What a killed server left behind is gone only once the new one has begun.
        let _ = std::fs::remove_file(&file);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut process = Self { child, stdout: Some(stdout), stderr: Some(stderr), ingest: nowhere, query: nowhere };
        let begun = Instant::now();
        let addresses = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break serde_json::from_str::<Value>(&text).unwrap();
            }
            if process.child.try_wait().unwrap().is_some() {
                return Err(process.end());
            }
            assert!(begun.elapsed() < DEADLINE, "the server is not ready");
            std::thread::sleep(Duration::from_millis(2));
        };
        let address = |name: &str| addresses[name].as_str().map_or(nowhere, |text| text.parse().unwrap());
        (process.ingest, process.query) = (address("ingest"), address("query"));
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }

    /// SIGTERM, and then as long as it takes.
    pub(crate) fn stop(mut self) -> Ended {
        self.terminate();
        self.end()
    }

    pub(crate) fn terminate(&mut self) {
        let signal = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
    }

    fn end(&mut self) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < DEADLINE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = |thread: &mut Option<JoinHandle<String>>| thread.take().unwrap().join().unwrap();
        Ended { status, stdout: text(&mut self.stdout), stderr: text(&mut self.stderr) }
    }

    pub(crate) fn ingest_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.ingest)
    }

    pub(crate) fn query_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.query)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// All files below `dir`.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A run of some kilobytes with three steps.
pub(crate) fn run() -> Value {
    let step = |seq: u32, kind: &str, name: &str| {
        json!({
            "step_id": Uuid::new_v4(), "seq": seq, "step_type": kind, "name": name, "latency_ms": 120,
            "started_at": format!("2026-11-22T10:00:0{seq}Z"), "ended_at": format!("2026-11-22T10:00:0{seq}.5Z"),
            "metadata": {"model": "m-large-1", "tokens_prompt": 812, "trace": Uuid::new_v4()},
        })
    };
    json!({
        "run_id": Uuid::new_v4(), "agent_id": "support-agent", "agent_version": "v1.0.0", "status": "failure",
        "started_at": "2026-11-22T10:00:00Z", "ended_at": "2026-11-22T10:00:05.250000Z",
        "steps": [step(0, "plan", "analyze_query"), step(1, "retrieve", "search_kb"), step(2, "tool", "billing_api")],
        "failure": {"failure_type": "tool", "failure_code": "timeout", "message": "API timeout after 30s"},
        "decisions": [{"decision_type": "tool_selection", "reason_code": "fresh_data_required", "selected": "api"}],
        "quality_signals": [{"signal_type": "schema_valid", "signal_code": "full_match", "value": true}],
    })
}

pub(crate) fn id(run: &Value) -> String {
    run["run_id"].as_str().unwrap().to_owned()
}

/// Stores a run; gives the body of the answer.
pub(crate) async fn store(client: &reqwest::Client, process: &Process, run: &Value) -> String {
    let response = client.post(process.ingest_url("/v1/runs")).json(run).send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    assert_eq!(status, 201, "{body}");
    body
}

/// `GET` on the query listener.
pub(crate) async fn get(client: &reqwest::Client, process: &Process, path: &str) -> (u16, String) {
    let response = client.get(process.query_url(path)).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Sends the demo's day to a server.
pub(crate) fn demo(process: &Process, arguments: &[&str]) -> Output {
    let url = format!("http://{}", process.ingest);
    agenttracer(&["demo", "--url", &url]).args(arguments).output().unwrap()
}
