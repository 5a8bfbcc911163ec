//! The table of the write side: each path with who answers it and how it is described. The router and the OpenAPI document
//! are both made of it, so nothing is served that is not described. A new route is a new row.

use agenttracer_model::RunView;
use agenttracer_model::openapi::{Answer, Document, Endpoint, example_run, schema};
use agenttracer_model::privacy::Rule;
use agenttracer_model::taxonomy::Scope;
use axum::routing::{MethodRouter, get, post};
use serde_json::{Value, json};

use crate::batch::MOST_ITEMS;
use crate::bodies::{NewEvent, NewRun};
use crate::metrics;
use crate::routes::{self, IngestState};
use crate::wire::{BatchAnswer, HealthAnswer, Minimal};

/// One method of one path.
pub(crate) struct Row {
    pub(crate) path: &'static str,
    pub(crate) answers: fn() -> MethodRouter<IngestState>,
    pub(crate) about: fn() -> Endpoint,
}

/// The description of the write side.
pub fn describe(document: &mut Document) {
    for row in TABLE {
        let endpoint = (row.about)();
        // What tells nothing about anybody can be asked by everybody: whoever watches the server needs no key for that.
        let endpoint = match row.path {
            "/health" => endpoint,
            "/metrics" => endpoint.scope(Scope::Query),
            _ => endpoint.scope(Scope::Ingest),
        };
        document.add(row.path, endpoint);
    }
}

pub(crate) static TABLE: &[Row] = &[
    Row {
        path: "/v1/runs",
        answers: || post(routes::post_run),
        about: || {
            Endpoint::post("post_run", "Store a run that is over")
                .tag("Runs")
                .about(
                    "2xx means: durable in the mode that `X-Durability` names, and seen by the next query. 4xx means: not \
                     stored. After a 5xx, or without an answer, the run is stored whole or not at all; send it again.",
                )
                .header("Prefer", schema::any_text().examples(["return=minimal"]), "`return=minimal`: answer with the id and the position alone.")
                .header("Content-Encoding", schema::one_of(["gzip", "zstd", "identity"]), "How the body is compressed.")
                .body::<NewRun>("The run, at most 8 MiB.", sent_run())
                .answer(201, stored("It is stored."))
                .answer(200, stored("It was stored before, with the same content."))
                .problem(409, "Another run has this id, or the run contradicts itself: an id used twice, a step that is not there.", "Run 01a20481-9a4b-71d8-a64b-5bae045ba445 already exists with different content")
                .problem(410, "A run with this id was erased. That is final.", "Run 01a20481-9a4b-71d8-a64b-5bae045ba445 was erased")
                .with(body)
        },
    },
    Row {
        path: "/v1/runs/batch",
        answers: || post(routes::post_batch),
        about: || {
            Endpoint::post("post_runs", "Store many runs")
                .tag("Runs")
                .about("One bad run never costs another: each is stored or rejected on its own.")
                .header("Content-Encoding", schema::one_of(["gzip", "zstd", "identity"]), "How the body is compressed.")
                .body_of_many::<NewRun>(
                    "The runs, at most 64 MiB together and 8 MiB each.",
                    MOST_ITEMS,
                    json!([sent_run()]),
                )
                .answer(200, tallied())
                .with(body)
        },
    },
    Row {
        path: "/v1/events",
        answers: || post(routes::post_events),
        about: || {
            Endpoint::post("post_events", "Tell how live runs go on")
                .tag("Runs")
                .about(
                    "Events of one run may come in any order, twice and in pieces: the run is the same. A run without an event \
                     for its lease is given up, and its next event takes it up again.",
                )
                .header("Content-Encoding", schema::one_of(["gzip", "zstd", "identity"]), "How the body is compressed.")
                .body_of_many::<NewEvent>(
                    "The events, at most 64 MiB together.",
                    MOST_ITEMS,
                    json!([
                        {"run_id": "01a20481-9a4b-71d8-a64b-5bae045ba446", "type": "run_started", "time": "2026-11-22T18:25:32Z",
                         "agent_id": "support-agent", "agent_version": "v1.4.0"},
                        {"run_id": "01a20481-9a4b-71d8-a64b-5bae045ba446", "type": "run_ended", "time": "2026-11-22T18:25:33Z",
                         "status": "success"},
                    ]),
                )
                .answer(200, tallied())
                .with(body)
        },
    },
    Row {
        path: "/health",
        answers: || get(routes::health),
        about: || {
            let example = |status: &str, reason: Option<&str>| {
                let mut health =
                    json!({"status": status, "service": "ingest-api", "version": "0.1.0", "sync_mode": "always"});
                if let Some(reason) = reason {
                    health["reason"] = reason.into();
                }
                health
            };
            Endpoint::get("get_health", "Whether runs are taken in")
                .tag("Operation")
                .answer(200, Answer::json::<HealthAnswer>("They are.", example("healthy", None)))
                .answer(
                    503,
                    Answer::json::<HealthAnswer>("They are not.", example("unhealthy", Some("the disk is full"))),
                )
        },
    },
    Row {
        path: "/metrics",
        answers: || get(routes::metrics),
        about: || {
            Endpoint::get("get_metrics", "Metrics of the whole server, for Prometheus")
                .tag("Operation")
                .about("With `Accept: application/json` some numbers of the write side, as JSON.")
                .answer(
                    200,
                    Answer::text(
                        "In the text format.",
                        "text/plain",
                        "# TYPE agenttracer_runs_ingested_total counter\n",
                    )
                    .or_json::<metrics::Answer>(metrics::example()),
                )
                .answer(500, Answer::empty("They could not be written."))
        },
    },
];

/// The example run as a client sends it: what the server makes is left out.
fn sent_run() -> Value {
    let mut run = example_run();
    let made = ["created_at", "failures", "duration_ms", "removed_count", "position"];
    let without = |value: &mut Value, names: &[&str]| {
        if let Value::Object(fields) = value {
            fields.retain(|name, value| !names.contains(&name.as_str()) && !value.is_null());
        }
    };
    let each = |value: &mut Value, names: &[&str]| {
        if let Value::Array(parts) = value {
            parts.iter_mut().for_each(|part| without(part, names));
        }
    };
    let mut failure = run["failures"][0].take();
    without(&mut failure, &["failure_id", "run_id", "created_at"]);
    without(&mut run, &made);
    each(&mut run["steps"], &["run_id", "created_at", "attempt", "attempts_total", "retry_group"]);
    run["decisions"][0]["candidates"] = run["decisions"][0]["metadata"]["candidates"].take();
    run["decisions"][0]["metadata"] = json!({});
    each(&mut run["decisions"], &["run_id", "recorded_at", "created_at"]);
    each(&mut run["quality_signals"], &["run_id", "recorded_at", "created_at", "tone"]);
    run["failure"] = failure;
    run
}

/// What can be wrong with any body.
fn body(endpoint: Endpoint) -> Endpoint {
    let missing = json!({"type": "missing", "loc": ["body", "agent_id"], "msg": "Field required"});
    endpoint
        .problem(408, "The body did not arrive in time.", "The body did not arrive in time")
        .problem(413, "The body, or a part of it, is too large.", "The body must be at most 8 MiB")
        .problem(
            415,
            "The body is compressed in a way that is not known here.",
            "The content-encoding must be gzip, zstd or identity",
        )
        .answer(422, Answer::invalid(missing))
        .problem(
            429,
            "There is no room now; nothing was queued.",
            "Too many large bodies at once, try again in a moment",
        )
        .problem(500, "What is stored under this id could not be read.", "The log could not be read")
        .problem(503, "The log takes nothing now: the disk is full, or a write failed.", "The disk is full")
}

fn stored(about: &str) -> Answer {
    with_headers(Answer::json_of_either::<RunView, Minimal>(about, example_run())).header(
        "Preference-Applied",
        schema::any_text(),
        "`return=minimal`, when it was asked for.",
    )
}

fn tallied() -> Answer {
    let error = json!({"type": "missing", "loc": ["body", 3, "agent_id"], "msg": "Field required"});
    let example = json!({
        "accepted": 2, "duplicates": 1,
        "rejected": [{"index": 3, "run_id": null, "status": 422, "errors": [error]}],
        "removed": {"email": 1},
    });
    with_headers(Answer::json::<BatchAnswer>("What became of each item.", example))
}

fn with_headers(answer: Answer) -> Answer {
    let rules: Vec<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    answer
        .header(
            "X-Log-Position",
            schema::count(),
            "The position of the run, or of the last item that was stored, in the log.",
        )
        .header(
            "X-Durability",
            schema::any_text(),
            "What this 2xx means: `always` (synced), or `interval=..` (synced so often).",
        )
        .header(
            "X-Removed",
            schema::any_text(),
            &format!("What the privacy rules removed, as `email=1, prose=2`. Rules: {}.", rules.join(", ")),
        )
}
