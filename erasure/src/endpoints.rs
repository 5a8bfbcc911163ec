//! The table of erasures: each path with who answers it and how it is described. The router and the OpenAPI documents are both
//! made of it. A new route is a new row.

use agenttracer_model::openapi::{Answer, Document, Endpoint, schema};
use agenttracer_model::taxonomy::Scope;
use axum::routing::{MethodRouter, delete, get, post};
use serde_json::{Value, json};

use crate::routes::{self, ErasureState, MOST_LISTED, PAGE};
use crate::wire::{ErasureView, WantedBody};

/// One method of one path.
pub(crate) struct Row {
    pub(crate) path: &'static str,
    pub(crate) answers: fn() -> MethodRouter<ErasureState>,
    pub(crate) about: fn() -> Endpoint,
}

/// The description of erasures, which both listeners serve.
pub fn describe(document: &mut Document) {
    for row in TABLE {
        document.add(row.path, (row.about)().tag("Erasure").scope(Scope::Erase));
    }
}

pub(crate) static TABLE: &[Row] = &[
    Row {
        path: "/v1/runs/{run_id}",
        answers: || delete(routes::erase_run),
        about: || {
            Endpoint::delete("erase_run", "Erase a run")
                .about(
                    "The answer comes when no query shows the run any more. Its bytes go with the next compaction; \
                     `/v1/erasures/{erasure_id}` tells when that is done. Sending the run again is refused with 410 for good.",
                )
                .path("run_id", schema::uuid(), "The run.", RUN)
                .answer(200, Answer::json::<ErasureView>("It is hidden.", example()))
                .problem(404, "There is no such run.", &format!("Run {RUN} not found"))
                .problem(410, "It was erased before.", &format!("Run {RUN} was erased before by erasure {ERASURE}"))
                .answer(422, Answer::invalid(wrong("path", "run_id")))
                .with(writing)
        },
    },
    Row {
        path: "/v1/erasures",
        answers: || post(routes::erase),
        about: || {
            Endpoint::post("erase_runs", "Erase all runs that match")
                .about(
                    "Runs that are there now and meet every condition, each by any of its values; at least one condition. \
                     A client sees all of it or nothing. A key that is not known is refused, so that a misspelt condition erases nothing.",
                )
                .body::<WantedBody>(
                    "Which runs, at most 1 MiB.",
                    json!({"agent_id": "support-agent", "end_time": "2026-11-01T00:00:00Z"}),
                )
                .answer(
                    201,
                    Answer::json::<ErasureView>("They are hidden.", example()).header(
                        "Location",
                        schema::any_text(),
                        "Where its state is told.",
                    ),
                )
                .problem(404, "No run matches.", "No run matches: nothing was erased")
                .problem(413, "The body is too long, or too many runs match.", "The body is over 1048576 bytes, or did not arrive")
                .answer(422, Answer::invalid(wrong("body", "run_id")))
                .with(writing)
        },
    },
    Row {
        path: "/v1/erasures",
        answers: || get(routes::list),
        about: || {
            Endpoint::get("list_erasures", "Erasures, the newest first")
                .query("limit", schema::with_default(schema::integer(1, MOST_LISTED), PAGE), "How many.")
                .query("before", schema::count(), "Only those that were accepted before this position of the log.")
                .answer(
                    200,
                    Answer::list::<ErasureView>("The erasures of the page.", json!([example()])).header(
                        "Link",
                        schema::any_text(),
                        "The next page, when there is one: `</v1/erasures?before=...>; rel=\"next\"`.",
                    ),
                )
                .answer(422, Answer::invalid(wrong("query", "limit")))
        },
    },
    Row {
        path: "/v1/erasures/{erasure_id}",
        answers: || get(routes::erasure),
        about: || {
            Endpoint::get("get_erasure", "How far an erasure is")
                .path("erasure_id", schema::uuid(), "The erasure.", ERASURE)
                .answer(200, Answer::json::<ErasureView>("Its receipt.", example()))
                .problem(404, "There is no such erasure.", &format!("Erasure {ERASURE} not found"))
                .answer(422, Answer::invalid(wrong("path", "erasure_id")))
        },
    },
];

const RUN: &str = "01a20481-9a4b-71d8-a64b-5bae045ba445";
const ERASURE: &str = "5e0c6f5c-9d0d-4b0e-8f5e-5a8b3f0f9a11";

/// What every writing can meet.
fn writing(endpoint: Endpoint) -> Endpoint {
    endpoint.problem(429, "Too much is being written.", "Too much is being written, try again in a moment").problem(
        503,
        "The log takes nothing now, or the runs could not be read.",
        "The disk is full",
    )
}

fn wrong(place: &str, name: &str) -> Value {
    json!({"type": "uuid_parsing", "loc": [place, name], "msg": "Input should be a valid UUID"})
}

fn example() -> Value {
    json!({
        "erasure_id": ERASURE, "state": "hidden", "selected_by": ["run"], "runs": 1, "batches": 1,
        "accepted_at": "2026-11-22T18:25:33.496674Z", "hidden_at": "2026-11-22T18:25:33.496674Z", "purged_at": null,
        "positions": {"accepted": 4711, "hidden": 4711, "purged": null},
        "digest": "0f2c9a1e5b7d3846aa01bb02cc03dd04ee05ff0610213243546576879809a1b2",
    })
}
