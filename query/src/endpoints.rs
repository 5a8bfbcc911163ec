//! The table of the read side: each path with who answers it and how it is described. The router and the OpenAPI document
//! are both made of it, so nothing is served that is not described. A new route is a new row.

use agenttracer_model::openapi::{Answer, Document, Endpoint, example_run, example_step, schema};
use agenttracer_model::taxonomy::{
    DecisionType, FailureType, REASON_CODES, RunStatus, SIGNAL_CODES, Scope, SignalType, StepType,
};
use agenttracer_model::{DecisionView, FailureView, RunView, SignalView, StepView};
use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use crate::aggregate_routes;
use crate::error::Refusal;
use crate::interval::{INTERVALS, MAX_BUCKETS};
use crate::params::{self, MAX_LIMIT, MAX_PAGE_SIZE, MAX_STEPS};
use crate::routes::{self, Asked};
use crate::state::Shared;
use crate::wire::{
    AgentsView, CompareView, DecisionsView, FacetsView, FailuresView, HealthView, HistogramBucket, LatencyView,
    MissedView, Record, RunLatencyView, SeriesBucket, SignalsBucket, SignalsView, StatsView, SummaryView, TimelineView,
    VersionsView,
};

/// One path, which is asked with `GET`.
pub(crate) struct Row {
    pub(crate) path: &'static str,
    pub(crate) answers: Answers,
    pub(crate) about: fn() -> Endpoint,
}

/// Who answers.
#[derive(Clone, Copy)]
pub(crate) enum Answers {
    /// A query thread; the name is that of the metrics.
    Question(&'static str, fn(&Shared, &Asked) -> Result<routes::Answer, Refusal>),
    /// `GET /v1/tail`.
    Follow,
    /// At once.
    Notice(fn(&Shared) -> Response<Body>),
}

/// The description of the read side.
pub fn describe(document: &mut Document) {
    for row in TABLE {
        let mut endpoint = (row.about)();
        // What tells nothing about anybody can be asked by everybody: whoever watches the server needs no key for that.
        if row.path != "/health" {
            endpoint = endpoint.scope(Scope::Query);
        }
        document.add(
            row.path,
            match row.answers {
                Answers::Question(..) => endpoint.with(question),
                Answers::Follow | Answers::Notice(_) => endpoint,
            },
        );
    }
}

pub(crate) static TABLE: &[Row] = &[
    Row {
        path: "/v1/runs",
        answers: Answers::Question("runs", routes::list),
        about: || {
            Endpoint::get("list_runs", "Runs, a page at a time")
                .tag("Runs")
                .about(
                    "Newest first unless another order is asked for; runs of one instant by run id. The header `Link` leads \
                     to the next page by a cursor, which shows no ended run twice and misses none.",
                )
                .with(filters)
                .query("page", schema::with_default(integer_from_one(), 1), "Which page, from 1; without a meaning beside `cursor`.")
                .query("page_size", schema::with_default(schema::integer(1, MAX_PAGE_SIZE), 20), "How many runs a page holds at most.")
                .query("cursor", schema::any_text(), "Where the page begins: from the header `Link` of the one before.")
                .query(
                    "sort",
                    schema::with_default(schema::one_of(["started_at", "duration_ms", "step_count", "retry_count"]), "started_at"),
                    "What the runs are ordered by.",
                )
                .query("order", schema::with_default(schema::one_of(["asc", "desc"]), "desc"), "In which direction.")
                .query(
                    "view",
                    schema::with_default(schema::one_of(["full", "summary"]), "full"),
                    "`summary` shows each run as a `RunSummary`: without its steps, decisions and signals, but with their numbers.",
                )
                .answer(
                    200,
                    Answer::list_of_either::<RunView, SummaryView<'static>>("The runs of the page.", json!([example_run()]))
                        .header("X-Total-Count", schema::count(), "How many runs match.")
                        .header("X-Total-Count-Min", schema::count(), "In place of `X-Total-Count` when counting all would take long: at least so many match.")
                        .header("X-Damaged-Runs", schema::count(), "How many runs of the page are shown as summaries because their records are damaged.")
                        .header("Link", schema::any_text(), "The next page, when there is one: `</v1/runs?cursor=...>; rel=\"next\"`."),
                )
                .problem(413, "The runs of the page are too large together.", "The runs of this page are over 64 MiB: ask with a smaller page_size or view=summary")
        },
    },
    Row {
        path: "/v1/runs/{run_id}",
        answers: Answers::Question("run", routes::run),
        about: || {
            Endpoint::get("get_run", "One run, whole")
                .tag("Runs")
                .with(run_id)
                .with(tagged)
                .answer(200, Answer::json::<RunView>("The run.", example_run()).with(entity_tag))
                .with(no_run)
        },
    },
    Row {
        path: "/v1/runs/{run_id}/steps",
        answers: Answers::Question("run_steps", routes::steps),
        about: || {
            Endpoint::get("get_run_steps", "The steps of a run")
                .tag("Runs")
                .with(run_id)
                .query("after_seq", schema::count(), "Only steps behind this `seq`.")
                .query(
                    "limit",
                    schema::with_default(schema::integer(1, MAX_STEPS), MAX_STEPS),
                    "How many steps at most.",
                )
                .answer(200, Answer::list::<StepView>("The steps in `seq` order.", json!([example_step()])))
                .problem(
                    404,
                    "There is no such run, or it has no steps.",
                    "No steps found for run 01a20481-9a4b-71d8-a64b-5bae045ba445",
                )
        },
    },
    Row {
        path: "/v1/runs/{run_id}/failures",
        answers: Answers::Question("run_failures", routes::failures),
        about: || {
            Endpoint::get("get_run_failures", "The failures of a run")
                .tag("Runs")
                .about("An unknown run has none.")
                .with(run_id)
                .answer(200, Answer::list::<FailureView>("The failures.", example_run()["failures"].take()))
        },
    },
    Row {
        path: "/v1/runs/{run_id}/decisions",
        answers: Answers::Question("run_decisions", routes::decisions),
        about: || {
            Endpoint::get("get_run_decisions", "The decisions of a run")
                .tag("Runs")
                .with(run_id)
                .answer(200, Answer::list::<DecisionView>("The decisions.", example_run()["decisions"].take()))
                .with(no_run)
        },
    },
    Row {
        path: "/v1/runs/{run_id}/signals",
        answers: Answers::Question("run_signals", routes::signals),
        about: || {
            Endpoint::get("get_run_signals", "The quality signals of a run")
                .tag("Runs")
                .with(run_id)
                .answer(200, Answer::list::<SignalView>("The signals.", example_run()["quality_signals"].take()))
                .with(no_run)
        },
    },
    Row {
        path: "/v1/runs/{run_id}/events",
        answers: Answers::Question("run_events", routes::events),
        about: || {
            Endpoint::get("get_run_events", "What the log holds of a run")
                .tag("Runs")
                .about("Every record with its position, its type, when the server took it in, and its fields as they were sent.")
                .with(run_id)
                .answer(
                    200,
                    Answer::list::<Record<'static>>(
                        "The records in the order of the log.",
                        json!([
                            {"position": 4127, "time": "2026-11-22T18:25:33.496674Z", "type": "run_ended", "status": "failure",
                             "ended_at": "2026-11-22T18:25:32.990156Z", "removed_count": 0}
                        ]),
                    ),
                )
                .with(no_run)
        },
    },
    Row {
        path: "/v1/runs/{run_id}/latency",
        answers: Answers::Question("run_latency", routes::latency),
        about: || {
            Endpoint::get("get_run_latency", "Where the time of a run went")
                .tag("Runs")
                .with(run_id)
                .with(tagged)
                .answer(200, Answer::json::<RunLatencyView>("Times in ms.", example::run_latency()).with(entity_tag))
                .with(no_run)
        },
    },
    Row {
        path: "/v1/runs/histogram",
        answers: Answers::Question("histogram", aggregate_routes::histogram),
        about: || {
            Endpoint::get("get_run_histogram", "Runs over time, by status")
                .tag("Aggregates")
                .with(filters)
                .with(timeline)
                .answer(
                    200,
                    Answer::json_as::<TimelineView<HistogramBucket>>(
                        "RunHistogram",
                        "Buckets without a gap.",
                        example::histogram(),
                    )
                    .mentions::<HistogramBucket>(),
                )
        },
    },
    Row {
        path: "/v1/stats",
        answers: Answers::Question("stats", routes::stats),
        about: || {
            Endpoint::get("get_stats", "Counts, the rate of success, the mean latency of steps")
                .tag("Aggregates")
                .with(filters)
                .answer(
                    200,
                    Answer::json::<StatsView>(
                        "Of all runs that match.",
                        json!({
                            "total_runs": 10, "total_failures": 1, "success_rate": 90.0, "avg_latency_ms": 45.87,
                            "failure_breakdown": {"retrieval/empty_retrieval": 1, "tool/timeout": 1},
                            "step_type_breakdown": {"plan": 10, "retrieve": 5, "tool": 14, "respond": 10},
                        }),
                    ),
                )
        },
    },
    Row {
        path: "/v1/facets",
        answers: Answers::Question("facets", aggregate_routes::facets),
        about: || {
            Endpoint::get("get_facets", "The values of each filter, with how many runs have them")
                .tag("Aggregates")
                .with(filters)
                .queries(
                    "field",
                    schema::any_text().examples(params::facet_names()),
                    "Which filters; `meta.` and a key for a fact. All but facts when none is named.",
                )
                .with(|endpoint| limit(endpoint, 20))
                .answer(
                    200,
                    Answer::json::<FacetsView>(
                        "The most frequent values of each filter.",
                        json!({"total_runs": 10, "facets": [{
                            "field": "status", "distinct": 2,
                            "values": [{"value": "success", "runs": 9}, {"value": "failure", "runs": 1}],
                        }]}),
                    ),
                )
        },
    },
    Row {
        path: "/v1/timeseries",
        answers: Answers::Question("timeseries", aggregate_routes::timeseries),
        about: || {
            Endpoint::get("get_timeseries", "Count, rate of failure and percentiles of duration over time")
                .tag("Aggregates")
                .with(filters)
                .with(timeline)
                .answer(
                    200,
                    Answer::json_as::<TimelineView<SeriesBucket>>(
                        "Timeseries",
                        "Buckets without a gap.",
                        example::timeseries(),
                    )
                    .mentions::<SeriesBucket>(),
                )
        },
    },
    Row {
        path: "/v1/agents",
        answers: Answers::Question("agents", aggregate_routes::agents),
        about: || {
            Endpoint::get("list_agents", "The agents, those with the most runs first")
                .tag("Agents")
                .with(filters)
                .with(|endpoint| limit(endpoint, 1000))
                .answer(
                    200,
                    Answer::json::<AgentsView>(
                        "The agents of the runs that match.",
                        json!({"total_runs": 10, "total_agents": 1, "agents": [
                            example::group(json!({"agent_id": "support-agent", "versions": 2})),
                        ]}),
                    ),
                )
        },
    },
    Row {
        path: "/v1/agents/{agent_id}/versions",
        answers: Answers::Question("versions", aggregate_routes::versions),
        about: || {
            Endpoint::get("list_agent_versions", "The versions of an agent, the latest first")
                .tag("Agents")
                .with(agent_id)
                .with(filters)
                .with(|endpoint| limit(endpoint, 1000))
                .answer(
                    200,
                    Answer::json::<VersionsView>(
                        "The versions of the runs that match; the one seen first most lately stands first.",
                        json!({"agent_id": "support-agent", "total_runs": 10, "total_versions": 1, "versions": [
                            example::group(json!({"agent_version": "v1.4.0"})),
                        ]}),
                    ),
                )
        },
    },
    Row {
        path: "/v1/agents/{agent_id}/versions/{agent_version}/latency",
        answers: Answers::Question("version_latency", aggregate_routes::version_latency),
        about: || {
            Endpoint::get("get_version_latency", "Where the time of a version's runs went")
                .tag("Agents")
                .with(agent_id)
                .path("agent_version", schema::text(1, 100), "The version.", "v1.4.0")
                .with(filters)
                .answer(200, Answer::json::<LatencyView>("Times in ms.", example::version_latency()))
        },
    },
    Row {
        path: "/v1/decisions",
        answers: Answers::Question("decisions", aggregate_routes::decisions),
        about: || {
            Endpoint::get("get_decisions", "What was decided, why, and with which confidence")
                .tag("Aggregates")
                .with(filters)
                .with(|endpoint| limit(endpoint, 50))
                .answer(
                    200,
                    Answer::json::<DecisionsView>(
                        "The decisions of the runs that match, by type.",
                        json!({"total_runs": 10, "total_decisions": 10, "types": [{
                            "decision_type": "tool_selection", "count": 10, "runs": 10,
                            "confidence": [0, 0, 0, 0, 0, 0, 0, 0, 9, 0], "without_confidence": 1,
                            "reasons": [{"reason_code": "fresh_data_required", "count": 10}],
                            "distinct_selected": 1,
                            "selected": [{"selected": "api", "count": 10,
                                          "reasons": [{"reason_code": "fresh_data_required", "count": 10}]}],
                        }]}),
                    ),
                )
        },
    },
    Row {
        path: "/v1/signals",
        answers: Answers::Question("signals", aggregate_routes::signals),
        about: || {
            Endpoint::get("get_signals", "What was observed of the quality, and how often")
                .tag("Aggregates")
                .about("With `buckets` or `interval` also over time.")
                .with(filters)
                .with(timeline)
                .answer(
                    200,
                    Answer::json::<SignalsView>(
                        "The signals of the runs that match, by type and code.",
                        json!({"total_runs": 10, "total_signals": 10, "types": [{
                            "signal_type": "schema_valid", "count": 10, "runs": 10,
                            "codes": [{"signal_code": "full_match", "count": 10, "runs": 10, "count_true": 9, "count_false": 1,
                                       "runs_true": 9, "runs_false": 1, "attention": 1, "attention_value": false}],
                        }]}),
                    )
                    .mentions::<SignalsBucket>(),
                )
        },
    },
    Row {
        path: "/v1/failures",
        answers: Answers::Question("failures", aggregate_routes::failures),
        about: || {
            Endpoint::get("get_failures", "Clusters of failures that came about in one way")
                .tag("Aggregates")
                .about("Runs are of one cluster when agent, failure and the way to the failing step are the same.")
                .with(filters)
                .with(|endpoint| limit(endpoint, 20))
                .answer(
                    200,
                    Answer::json::<FailuresView>("The largest clusters of the runs that match.", example::failures()),
                )
        },
    },
    Row {
        path: "/v1/compare",
        answers: Answers::Question("compare", aggregate_routes::compare),
        about: || {
            Endpoint::get("compare_runs", "What differs between two versions, environments or times")
                .tag("Aggregates")
                .about(
                    "Each run counts once in each comparison. Differences are candidate less base, intervals of 95 %, p-values \
                     adjusted over all comparisons of the answer; `docs/compare.md` tells the methods and their sources.",
                )
                .query(
                    "by",
                    schema::with_default(schema::one_of(["agent_version", "environment", "time"]), "agent_version"),
                    "In what the sides differ. Where versions are compared, one `agent_id` is required.",
                )
                .query("base", schema::any_text().examples(["v1.4.0"]), "One side; required. A time is `START/END`, the end not included.")
                .query("candidate", schema::any_text().examples(["v1.5.0"]), "The other side; required.")
                .with(filters)
                .answer(200, Answer::json::<CompareView>("The comparisons.", example::comparison()))
        },
    },
    Row {
        path: "/v1/tail",
        answers: Answers::Follow,
        about: || {
            Endpoint::get("tail_runs", "Runs as they arrive and grow")
                .tag("Runs")
                .about(
                    "Server-sent events. `run` carries a `RunSummary`, once a run is new or has changed; `missed` carries a \
                     `Missed`: records that were passed over, because the client was too far behind or the log is damaged. An \
                     event's id is a position of the log; with it in `Last-Event-ID` a client that comes back misses nothing. \
                     Live runs are shown unless a status is asked for.",
                )
                .with(filters)
                .query("after", schema::count(), "The position after which to begin; the end of the log when it is left out.")
                .header("Last-Event-ID", schema::any_text(), "The id of the last event seen; counts before `after`.")
                .answer(
                    200,
                    Answer::text(
                        "A stream that ends when the client leaves or the server stops.",
                        "text/event-stream",
                        "retry: 1000\nid: 4120\n\nevent: run\nid: 4128\ndata: {\"run_id\": \"01a20481-9a4b-71d8-a64b-5bae045ba445\"}\n\n",
                    )
                    .mentions::<SummaryView<'static>>()
                    .mentions::<MissedView>(),
                )
                .with(invalid)
                .problem(429, "As many clients as may be follow already.", "Too many queries at a time: try again in a moment")
        },
    },
    Row {
        path: "/health",
        answers: Answers::Notice(routes::health),
        about: || {
            Endpoint::get("get_health", "Whether questions are answered")
                .tag("Operation")
                .answer(
                    200,
                    Answer::json::<HealthView<'static>>(
                        "They are.",
                        json!({"status": "healthy", "service": "query-api", "version": "0.1.0", "sync_mode": "always", "position": 4128, "ingest_port": 8000}),
                    ),
                )
        },
    },
    Row {
        path: "/metrics",
        answers: Answers::Notice(routes::metrics),
        about: || {
            Endpoint::get("get_metrics", "Metrics of the whole server, for Prometheus")
                .tag("Operation")
                .answer(
                    200,
                    Answer::text("In the text format.", "text/plain", "# TYPE agenttracer_query_seconds histogram\n"),
                )
                .with(failed)
        },
    },
];

/// What every question can be answered beside its own answers.
fn question(endpoint: Endpoint) -> Endpoint {
    endpoint
        .with(invalid)
        .problem(
            429,
            "Too many questions, or too many answers that nobody has read yet.",
            "Too many queries at a time: try again in a moment",
        )
        .with(failed)
        .problem(
            503,
            "It took too long and was given up.",
            "The query took too long and was given up: narrow the time range or the filter",
        )
}

fn failed(endpoint: Endpoint) -> Endpoint {
    endpoint.problem(500, "The index or the log could not be read.", "The index could not be read")
}

fn invalid(endpoint: Endpoint) -> Endpoint {
    let error = json!({"type": "int_parsing", "loc": ["query", "page"], "msg": "Input should be a valid integer"});
    endpoint.answer(422, Answer::invalid(error))
}

fn no_run(endpoint: Endpoint) -> Endpoint {
    endpoint.problem(404, "There is no such run.", "Run 01a20481-9a4b-71d8-a64b-5bae045ba445 not found")
}

fn run_id(endpoint: Endpoint) -> Endpoint {
    endpoint.path("run_id", schema::uuid(), "The run, by its UUID.", "01a20481-9a4b-71d8-a64b-5bae045ba445")
}

fn agent_id(endpoint: Endpoint) -> Endpoint {
    endpoint.path("agent_id", schema::text(1, 255), "The agent.", "support-agent")
}

/// An answer about a run that has ended changes only with another batch.
fn tagged(endpoint: Endpoint) -> Endpoint {
    endpoint
        .header("If-None-Match", schema::any_text(), "The `ETag` of the answer that the client has.")
        .answer(304, entity_tag(Answer::empty("The client has the answer already.")))
}

fn entity_tag(answer: Answer) -> Answer {
    answer.header("ETag", schema::any_text(), "Names what the run is now; only of a run that has ended.")
}

fn limit(endpoint: Endpoint, default: u64) -> Endpoint {
    endpoint.query("limit", schema::with_default(schema::integer(1, MAX_LIMIT), default), "How many are shown.")
}

fn integer_from_one() -> utoipa::openapi::ObjectBuilder {
    schema::count().minimum(Some(1))
}

/// What the histogram and the time series share.
fn timeline(endpoint: Endpoint) -> Endpoint {
    endpoint
        .query(
            "interval",
            schema::one_of(INTERVALS.iter().map(|(name, _)| *name)),
            "How wide a bucket is; chosen by the time range when it is left out. `1w` begins on Monday, `1M` and `1y` follow the calendar.",
        )
        .query("buckets", schema::with_default(schema::integer(2, MAX_BUCKETS as u64), 60), "How many buckets at most, where the width is chosen.")
        .query("time_zone", schema::with_default(schema::any_text(), "UTC"), "Where the buckets' days begin: `UTC` or an offset from it, as `+02:00`.")
}

/// The filters that the list and the aggregates share.
fn filters(endpoint: Endpoint) -> Endpoint {
    endpoint
        .queries("agent_id", schema::any_text(), "The agent.")
        .queries("agent_version", schema::any_text(), "Its version.")
        .queries("environment", schema::any_text(), "Where it ran.")
        .queries(
            "status",
            of(RunStatus::ALL, RunStatus::as_str),
            "How the run stands; a live run is shown only when `running` is asked for, or `live`.",
        )
        .query("start_time", schema::time(), "Runs that began at this time or later.")
        .query("end_time", schema::time(), "Runs that began at this time or earlier.")
        .queries("failure_type", of(FailureType::ALL, FailureType::as_str), "The type of a failure of the run.")
        .queries("failure_code", schema::any_text(), "The code of a failure of the run.")
        .queries("failure_cluster", schema::any_text(), "A cluster of `/v1/failures`.")
        .queries("step_type", of(StepType::ALL, StepType::as_str), "The type of a step of the run.")
        .queries("step_name", schema::any_text(), "The name of a step of the run.")
        .queries("decision_type", of(DecisionType::ALL, DecisionType::as_str), "The type of a decision of the run.")
        .queries(
            "reason_code",
            schema::one_of(REASON_CODES.iter().map(|row| row.code)),
            "The reason of a decision; of the same one as `decision_type`.",
        )
        .queries("signal_type", of(SignalType::ALL, SignalType::as_str), "The type of a signal of the run.")
        .queries(
            "signal_code",
            schema::one_of(SIGNAL_CODES.iter().map(|row| row.code)),
            "The code of a signal; of the same one as `signal_type`.",
        )
        .queries("signal_value", schema::boolean(), "The value of that signal.")
        .query("min_duration_ms", schema::count(), "Runs that took at least so long.")
        .query("max_duration_ms", schema::count(), "Runs that took at most so long.")
        .queries("has_retries", schema::boolean(), "Whether anything was tried again.")
        .queries("session_id", schema::any_text(), "The session.")
        .queries("parent_run_id", schema::uuid(), "The run that began it.")
        .queries("live", schema::boolean(), "Live runs, too.")
        .queries_under("meta", schema::any_text(), "`meta.KEY=VALUE`: runs with this fact in their metadata.")
        .queries(
            "q",
            schema::any_text().examples(["agent:support version:1.4* code:timeout -env:dev"]),
            "A search line; see the documentation of queries.",
        )
}

fn of<T: Copy + 'static>(all: &'static [T], name: fn(T) -> &'static str) -> utoipa::openapi::ObjectBuilder {
    schema::one_of(all.iter().map(move |value| name(*value)))
}

/// Examples that take several lines.
mod example {
    use super::{Value, json};

    const TIMES: [&str; 2] = ["2026-11-22T18:00:00Z", "2026-11-22T19:00:00Z"];

    fn percentiles() -> Value {
        json!({"p50": 754, "p95": 2063, "p99": 2063})
    }

    fn spread(sum: u64) -> Value {
        json!({"runs": 10, "sum": sum, "mean": sum as f64 / 10.0, "p50": sum / 10, "p95": sum / 5, "p99": sum / 5})
    }

    pub(super) fn histogram() -> Value {
        let by_status = json!({"success": 8, "failure": 1, "partial": 1});
        let bucket = json!({"start": TIMES[0], "end": TIMES[1], "runs": 10, "by_status": by_status});
        json!({"interval": "1h", "time_zone": "UTC", "total_runs": 10, "buckets": [bucket]})
    }

    pub(super) fn timeseries() -> Value {
        let bucket = json!({
            "start": TIMES[0], "end": TIMES[1], "runs": 10, "failures": 1, "failure_rate": 10.0, "duration_ms": percentiles(),
        });
        let total = json!({"runs": 10, "failures": 1, "failure_rate": 10.0, "duration_ms": percentiles()});
        json!({"interval": "1h", "time_zone": "UTC", "total_runs": 10, "total": total, "buckets": [bucket]})
    }

    /// What the runs of an agent or a version have in common, behind its name.
    pub(super) fn group(mut named: Value) -> Value {
        let group = json!({
            "runs": 10, "by_status": {"success": 8, "failure": 1, "partial": 1}, "failure_rate": 10.0, "steps": 39,
            "runs_with_retries": 3, "retry_waste_ms": 502, "duration_ms": percentiles(),
            "models": [{
                "model": "gpt-4.1", "runs": 10, "steps": 10, "input_tokens": 8120, "output_tokens": 950, "cost_usd": 0.0238,
            }],
            "first_seen": TIMES[0], "last_seen": "2026-11-22T18:25:32.235977Z",
        });
        if let (Value::Object(named), Value::Object(group)) = (&mut named, group) {
            named.extend(group);
        }
        named
    }

    pub(super) fn run_latency() -> Value {
        let step = json!({
            "step_id": "01a20481-9a4c-7068-9266-9f7d7c650bf6", "seq": 1, "step_type": "tool", "name": "order_service",
            "length_ms": 251, "waited_ms": 8,
        });
        let tool = json!({"step_type": "tool", "steps": 2, "retries": 1, "latency_ms": 502, "share": 97.67});
        let named = json!({
            "step_type": "tool", "name": "order_service", "steps": 2, "retries": 1, "latency_ms": 502, "share": 97.67,
        });
        json!({
            "run_id": "01a20481-9a4b-71d8-a64b-5bae045ba445", "duration_ms": 754, "busy_ms": 514,
            "idle": {"before_first_step_ms": 0, "between_steps_ms": 239, "after_last_step_ms": 1},
            "overlap_ms": 0,
            "step_latency_ms": percentiles(),
            "retries": {"operations": 1, "attempts": 2, "waste_ms": 251, "backoff_ms": 231},
            "critical_path": {"steps_ms": 251, "steps": [step]},
            "by_step_type": [tool],
            "by_step": [named],
        })
    }

    pub(super) fn version_latency() -> Value {
        json!({
            "runs": 10, "duration_ms": spread(7540), "idle_ms": spread(2390), "overlap_ms": spread(0),
            "retry_waste_ms": spread(500), "critical_path_ms": spread(5140),
            "by_step_type": [{"step_type": "tool", "steps": 14, "share": 97.67, "latency_ms": spread(5020)}],
            "by_step": [{"step_type": "tool", "name": "order_service", "steps": 14, "share": 97.67, "latency_ms": spread(5020)}],
        })
    }

    pub(super) fn failures() -> Value {
        json!({"total_runs": 10, "runs_with_failure": 2, "total_clusters": 1, "clusters": [{
            "cluster": "3f1c2a9b7d604e55", "runs": 1, "failed_runs": 1, "share": 10.0,
            "first_seen": "2026-11-22T18:25:32.235977Z", "last_seen": "2026-11-22T18:25:32.235977Z",
            "versions": [{"agent_version": "v1.4.0", "runs": 1}],
            "examples": ["01a20481-9a4b-71d8-a64b-5bae045ba445"],
            "cause": {
                "agent_id": "support-agent", "failure_type": "tool", "failure_code": "timeout",
                "step": {"step_type": "tool", "name": "order_service"}, "step_seq": 3,
                "path": [{"step_type": "plan", "name": "analyze_query"}],
                "spread_to": [],
            },
        }]})
    }

    pub(super) fn comparison() -> Value {
        let share = |runs: u64, count: u64| json!({"runs": runs, "count": count, "share": count as f64 / runs as f64});
        let numbers = |p50: u64, p95: u64| json!({"runs": 200, "mean": p50, "p50": p50, "p95": p95});
        json!({
            "by": "agent_version", "agent_id": "support-agent",
            "base": {"name": "v1.4.0", "runs": 200}, "candidate": {"name": "v1.5.0", "runs": 200},
            "state": "significant", "tested": 2, "significant": 1, "false_discovery_rate": 0.05, "min_runs": 30,
            "rates": [{
                "metric": "failure_rate", "name": null, "base": share(200, 10), "candidate": share(200, 40),
                "difference": 0.15, "confidence_interval": [0.085, 0.213],
                "state": "significant", "test": "score", "p_value": 0.000006, "p_adjusted": 0.000012, "effect_size": 0.47,
            }],
            "failures_left_out": 0,
            "quantities": [{
                "metric": "duration_ms", "name": null, "exact": true,
                "base": numbers(740, 2100), "candidate": numbers(760, 2150),
                "p50": {"difference": 20, "confidence_interval": [-12, 55]},
                "p95": {"difference": 50, "confidence_interval": [-300, 410]},
                "state": "not_significant", "test": "mann_whitney", "p_value": 0.31, "p_adjusted": 0.31, "effect_size": 0.06,
            }],
            "distributions": [],
        })
    }
}
