//! The yardstick: a server with nothing in it but the work that cannot be left out. It parses a run, encodes it with
//! bincode, commits it in a group to a prepared file with one fdatasync, and answers 201. With `index` it also adds a
//! document to tantivy and commits each second. No validation, no privacy, no idempotency, no recovery, no queries.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttracer_index::cold::{self, Fields};
use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Deserialize;
use tantivy::{IndexWriter, TantivyDocument};
use tokio::sync::oneshot;

const SEGMENT_BYTES: u64 = 64 << 20;
const GROUP_BYTES: usize = 1 << 20;

/// A run, parsed as far as it must be to be encoded and indexed.
#[derive(Deserialize, bincode::Encode)]
struct Run {
    run_id: String,
    agent_id: String,
    agent_version: String,
    environment: String,
    status: String,
    started_at: String,
    ended_at: String,
    steps: Vec<Step>,
    failure: Option<Failure>,
    decisions: Vec<Decision>,
    quality_signals: Vec<Signal>,
}

#[derive(Deserialize, bincode::Encode)]
struct Step {
    step_id: String,
    seq: u32,
    step_type: String,
    name: String,
    latency_ms: u64,
    started_at: String,
    ended_at: String,
    metadata: Metadata,
}

#[derive(Deserialize, bincode::Encode)]
struct Metadata {
    model: String,
    input_tokens: u64,
    output_tokens: u64,
    http_status: u64,
    cache_key: String,
}

#[derive(Deserialize, bincode::Encode)]
struct Failure {
    step_id: String,
    failure_type: String,
    failure_code: String,
    message: String,
}

#[derive(Deserialize, bincode::Encode)]
struct Decision {
    decision_id: String,
    step_id: String,
    decision_type: String,
    selected: String,
    reason_code: String,
    candidates: Vec<String>,
    confidence: f64,
}

#[derive(Deserialize, bincode::Encode)]
struct Signal {
    signal_id: String,
    step_id: String,
    signal_type: String,
    signal_code: String,
    value: bool,
    weight: Option<f64>,
}

struct Submission {
    bytes: Vec<u8>,
    runs: Vec<Run>,
    done: oneshot::Sender<()>,
}

/// Serves on a free port of the loopback until the process ends; tells the address on standard output.
pub(crate) async fn serve(dir: &Path, index: bool) -> anyhow::Result<()> {
    let (submit, submissions) = bounded(4096);
    let (to_index, runs) = bounded::<Vec<Run>>(1024);
    let log = dir.join("bare");
    std::fs::create_dir_all(&log)?;
    let spares = prepare(log);
    std::thread::spawn(move || commit(&submissions, &spares, index.then_some(to_index)));
    if index {
        let dir = dir.join("tantivy");
        std::fs::create_dir_all(&dir)?;
        std::thread::spawn(move || add(&dir, &runs));
    }
    let app = Router::new()
        .route("/v1/runs", post(one))
        .route("/v1/runs/batch", post(many))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .with_state(Arc::new(submit));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    announce(listener.local_addr()?)?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await.context("serving")
}

#[expect(clippy::print_stdout, reason = "the parent process reads the address there")]
fn announce(address: SocketAddr) -> std::io::Result<()> {
    use std::io::Write;
    println!("{address}");
    std::io::stdout().flush()
}

async fn one(State(submit): State<Arc<Sender<Submission>>>, body: Bytes) -> Response {
    let Ok(run) = sonic_rs::from_slice::<Run>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let run_id = run.run_id.clone();
    let Ok(bytes) = bincode::encode_to_vec(&run, bincode::config::standard()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (done, wait) = oneshot::channel();
    if submit.try_send(Submission { bytes, runs: vec![run], done }).is_err() {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    match wait.await {
        Ok(()) => {
            let body = format!("{{\"run_id\":\"{run_id}\",\"from\":\"bare\"}}");
            (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn many(State(submit): State<Arc<Sender<Submission>>>, body: Bytes) -> Response {
    let (mut runs, mut bytes) = (Vec::new(), Vec::new());
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(run) = sonic_rs::from_slice::<Run>(line) else { return StatusCode::BAD_REQUEST.into_response() };
        if bincode::encode_into_std_write(&run, &mut bytes, bincode::config::standard()).is_err() {
            return StatusCode::BAD_REQUEST.into_response();
        }
        runs.push(run);
    }
    let (done, wait) = oneshot::channel();
    if submit.try_send(Submission { bytes, runs, done }).is_err() {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    match wait.await {
        Ok(()) => (StatusCode::OK, "{\"from\":\"bare\"}").into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Keeps one zero-filled, synced file ready.
fn prepare(dir: PathBuf) -> Receiver<File> {
    let (ready, spares) = bounded(1);
    std::thread::spawn(move || {
        for number in 0.. {
            let made = prepared_file(&dir.join(format!("{number}.seg")), SEGMENT_BYTES);
            if made.ok().is_none_or(|file| ready.send(file).is_err()) {
                return;
            }
        }
    });
    spares
}

/// A file of `len` zeros whose blocks are on the disk.
pub(crate) fn prepared_file(path: &Path, len: u64) -> std::io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; 1 << 20];
    for offset in (0..len).step_by(zeros.len()) {
        file.write_all_at(&zeros, offset)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn commit(submissions: &Receiver<Submission>, spares: &Receiver<File>, index: Option<Sender<Vec<Run>>>) {
    let Ok(mut file) = spares.recv() else { return };
    let (mut offset, mut buffer, mut group) = (0, Vec::new(), Vec::new());
    while let Ok(first) = submissions.recv() {
        buffer.clear();
        group.clear();
        group.push(first);
        while group.len() < 1024 && group.iter().map(|one: &Submission| one.bytes.len()).sum::<usize>() < GROUP_BYTES {
            let Ok(next) = submissions.try_recv() else { break };
            group.push(next);
        }
        for one in &group {
            buffer.extend_from_slice(&(one.bytes.len() as u32).to_le_bytes());
            buffer.extend_from_slice(&crc32fast::hash(&one.bytes).to_le_bytes());
            buffer.extend_from_slice(&one.bytes);
        }
        buffer.resize(buffer.len().next_multiple_of(4096), 0);
        if offset + buffer.len() as u64 > SEGMENT_BYTES {
            let Ok(next) = spares.recv() else { return };
            (file, offset) = (next, 0);
        }
        if file.write_all_at(&buffer, offset).and_then(|()| file.sync_data()).is_err() {
            return;
        }
        offset += buffer.len() as u64;
        for one in group.drain(..) {
            let _ = one.done.send(());
            if let Some(index) = &index
                && index.send(one.runs).is_err()
            {
                return;
            }
        }
    }
}

/// Adds every run to an index sorted by start, and commits each second.
fn add(dir: &Path, runs: &Receiver<Vec<Run>>) {
    let (schema, fields) = cold::schema();
    let built = tantivy::Index::builder().schema(schema).settings(cold::settings()).create_in_dir(dir);
    let Ok(mut writer) = built.and_then(|index| index.writer_with_num_threads(1, 64 << 20)) else { return };
    let mut position = 0;
    let mut committed = Instant::now();
    loop {
        match runs.recv_timeout(Duration::from_millis(100)) {
            Ok(runs) => {
                for run in &runs {
                    position += 1;
                    if add_one(&mut writer, &fields, run, position).is_err() {
                        return;
                    }
                }
            }
            Err(error) if error.is_disconnected() => return,
            Err(_) => {}
        }
        if committed.elapsed() >= Duration::from_secs(1) {
            if writer.commit().is_err() {
                return;
            }
            committed = Instant::now();
        }
    }
}

/// Adds the document that the real index holds of such a run: the same fields, as many values in each, texts of the same form.
/// What would have to be worked out (times between steps, the critical path) is a number at hand.
fn add_one(writer: &mut IndexWriter, fields: &Fields, run: &Run, position: u64) -> anyhow::Result<()> {
    let mut doc = TantivyDocument::new();
    let run_id = uuid::Uuid::try_parse(&run.run_id)?;
    doc.add_bytes(fields.run_id, run_id.as_bytes());
    doc.add_text(fields.agent_id, &run.agent_id);
    doc.add_text(fields.agent_version, &run.agent_version);
    doc.add_text(fields.environment, &run.environment);
    doc.add_text(fields.status, &run.status);
    if let Some(failure) = &run.failure {
        doc.add_text(fields.failure_type, &failure.failure_type);
        doc.add_text(fields.failure_code, &failure.failure_code);
        doc.add_text(fields.failure, format!("{}/{}", failure.failure_type, failure.failure_code));
        doc.add_u64(fields.failure_cluster, run.steps.len() as u64);
    }
    let mut steps: Vec<(&str, &str, u64, u64)> = Vec::with_capacity(run.steps.len());
    for step in &run.steps {
        match steps.iter_mut().find(|known| (known.0, known.1) == (step.step_type.as_str(), step.name.as_str())) {
            Some((_, _, latency_ms, times)) => (*latency_ms, *times) = (*latency_ms + step.latency_ms, *times + 1),
            None => steps.push((&step.step_type, &step.name, step.latency_ms, 1)),
        }
    }
    for (step_type, name, latency_ms, times) in &steps {
        doc.add_text(fields.step_name, name);
        doc.add_text(fields.step_type, step_type);
        doc.add_text(fields.step, format!("{step_type}/{name}"));
        doc.add_u64(fields.step_ms, *latency_ms);
        doc.add_u64(fields.step_times, *times);
    }
    for made in &run.decisions {
        let reason = format!("{}/{}", made.decision_type, made.reason_code);
        doc.add_text(fields.decision, format!("{reason}/{}", made.selected));
        doc.add_text(fields.reason, reason);
        doc.add_u64(fields.confidence, (made.confidence * 10.0) as u64);
    }
    for signal in &run.quality_signals {
        doc.add_text(fields.signal, format!("{}/{}/{}", signal.signal_type, signal.signal_code, signal.value));
    }
    let mut facts: Vec<String> = Vec::new();
    for Metadata { model, input_tokens, output_tokens, http_status, cache_key } in run.steps.iter().map(|s| &s.metadata)
    {
        facts.push(format!("model={model}"));
        facts.push(format!("input_tokens={input_tokens}"));
        facts.push(format!("output_tokens={output_tokens}"));
        facts.push(format!("http_status={http_status}"));
        facts.push(format!("cache_key={cache_key}"));
    }
    facts.sort_unstable();
    facts.dedup();
    for fact in &facts {
        doc.add_text(fields.fact, fact);
    }
    let mut models: Vec<(&str, [u64; 3])> = Vec::new();
    for Metadata { model, input_tokens, output_tokens, .. } in run.steps.iter().map(|step| &step.metadata) {
        let used = [1, *input_tokens, *output_tokens];
        match models.iter_mut().find(|(known, _)| *known == model.as_str()) {
            Some((_, sums)) => sums.iter_mut().zip(used).for_each(|(sum, number)| *sum += number),
            None => models.push((model, used)),
        }
    }
    for (model, [steps, input_tokens, output_tokens]) in &models {
        doc.add_text(fields.usage, format!(":{model}"));
        doc.add_u64(fields.usage_steps, *steps);
        doc.add_u64(fields.usage_input_tokens, *input_tokens);
        doc.add_u64(fields.usage_output_tokens, *output_tokens);
        doc.add_u64(fields.usage_cost, 0);
    }
    doc.add_bool(fields.has_retries, steps.len() < run.steps.len());
    // The time is not parsed: the order of arrival stands for it, which the index must sort all the same.
    doc.add_i64(fields.started_at, position as i64);
    doc.add_u64(fields.position, position);
    doc.add_u64(fields.run_key, run_id.as_u64_pair().0);
    let latency_ms: u64 = run.steps.iter().map(|step| step.latency_ms).sum();
    let count = run.steps.len() as u64;
    let numbers =
        [fields.duration_ms, fields.step_latency_ms, fields.idle_ms, fields.overlap_ms, fields.retry_waste_ms];
    for field in numbers.into_iter().chain([fields.critical_path_ms]) {
        doc.add_u64(field, latency_ms);
    }
    for field in fields.steps_by_type().into_iter().chain([fields.step_count, fields.retry_count]) {
        doc.add_u64(field, count);
    }
    let summary = (&run.agent_id, &run.agent_version, &run.environment, &run.status, &run.started_at, &steps, &facts);
    doc.add_bytes(fields.summary, &bincode::encode_to_vec((summary, position), bincode::config::standard())?);
    writer.add_document(doc)?;
    Ok(())
}
