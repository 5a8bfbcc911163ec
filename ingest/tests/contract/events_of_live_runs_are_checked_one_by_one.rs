//! `POST /v1/events`: every event is judged on its own, by the rules of the part it is about; the run decides the rest.

use std::sync::atomic::Ordering;

use agenttracer_ingest::{Options, StoredRun};
use agenttracer_model::{Event, Position};
use agenttracer_storage::AppendError;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, errors_of, post};

const RUN: Uuid = Uuid::from_u128(0x1111_1111_1111_4111_8111_1111_1111_1111);
const OTHER: Uuid = Uuid::from_u128(0x2222_2222_2222_4222_8222_2222_2222_2222);

fn event(kind: &str, fields: Value) -> Value {
    let mut event = json!({"event_id": Uuid::new_v4(), "run_id": RUN, "type": kind, "time": "2026-11-22T10:00:01Z"});
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn started() -> Value {
    event("run_started", json!({"agent_id": "a", "agent_version": "v1"}))
}

fn step(fields: Value) -> Value {
    let mut step = event(
        "step_ended",
        json!({"seq": 0, "step_type": "tool", "name": "billing_api", "latency_ms": 5,
               "started_at": "2026-11-22T10:00:00Z", "ended_at": "2026-11-22T10:00:01Z"}),
    );
    for (name, value) in fields.as_object().unwrap() {
        step[name] = value.clone();
    }
    step
}

/// One of each kind that a client can send.
fn one_of_each() -> Vec<Value> {
    vec![
        started(),
        event("step_started", json!({"seq": 0, "step_type": "tool", "name": "billing_api"})),
        step(json!({})),
        event(
            "decision_recorded",
            json!({"decision_type": "tool_selection", "reason_code": "fresh_data_required", "selected": "api"}),
        ),
        event("signal_recorded", json!({"signal_type": "schema_valid", "signal_code": "full_match", "value": true})),
        event(
            "failure_recorded",
            json!({"failure_type": "tool", "failure_code": "timeout", "message": "it took too long"}),
        ),
        event("heartbeat", json!({})),
        event("run_ended", json!({"status": "success"})),
    ]
}

#[tokio::test]
async fn every_kind_is_stored_as_an_array_and_as_lines_in_one_batch_a_run() {
    let world = World::new();
    let mut events = one_of_each();
    let mut others = one_of_each();
    others.iter_mut().for_each(|event| event["run_id"] = json!(OTHER));
    events.append(&mut others);
    let answer = world.post_events(&json!(events)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), json!({"accepted": 16, "duplicates": 0, "rejected": [], "removed": {}}));
    assert_eq!((answer.header("x-durability"), answer.header("x-log-position")), (Some("always"), Some("8")));
    for run in [RUN, OTHER] {
        assert_eq!(world.runs.live.lock().unwrap()[&run].len(), 1, "the events of one run are one batch");
        assert_eq!(world.events(run).len(), 8);
    }
    let Event::RunStarted(start) = &world.events(RUN)[0] else { panic!() };
    assert_eq!(
        (start.environment.as_str(), start.started_at.to_string().as_str()),
        ("production", "2026-11-22T10:00:01Z")
    );
    let Event::StepStarted(begun) = &world.events(RUN)[1] else { panic!() };
    assert_eq!((begun.started_at, begun.ended_at, begun.latency_ms), (start.started_at, start.started_at, 0));

    // The next request is a batch of its own.
    let lines = format!("{}\n\n{}\n", event("heartbeat", json!({})), event("heartbeat", json!({})));
    let mut request = post("/v1/events/", lines);
    request.headers_mut().insert("content-type", "application/x-ndjson".parse().unwrap());
    assert_eq!(world.send(request).await.json()["accepted"], 2);
    assert_eq!(world.runs.live.lock().unwrap()[&RUN].len(), 2);
}

#[tokio::test]
async fn every_broken_rule_of_an_event_is_named_and_costs_no_other_event() {
    let world = World::new();
    let bad = [
        (json!(5), vec![("model_attributes_type", "0")]),
        (json!({}), vec![("missing", "0.run_id"), ("missing", "0.type"), ("missing", "0.time")]),
        (
            json!({"event_id": "x", "run_id": "y", "type": "run_abandoned", "time": "then"}),
            vec![
                ("uuid_parsing", "0.event_id"),
                ("uuid_parsing", "0.run_id"),
                ("enum", "0.type"),
                ("datetime_parsing", "0.time"),
            ],
        ),
        (
            event("run_started", json!({"agent_id": ""})),
            vec![("string_too_short", "0.agent_id"), ("missing", "0.agent_version")],
        ),
        (
            event("step_started", json!({"seq": -1, "step_type": "x"})),
            vec![("greater_than_equal", "0.seq"), ("enum", "0.step_type"), ("missing", "0.name")],
        ),
        (step(json!({"ended_at": "2026-11-22T09:00:00Z"})), vec![("value_error", "0.ended_at")]),
        (
            step(json!({"latency_ms": null, "metadata": {"prompt": 1}})),
            vec![("int_type", "0.latency_ms"), ("value_error", "0.metadata.prompt")],
        ),
        (
            event("decision_recorded", json!({"decision_type": "tool_selection", "reason_code": "x", "selected": "a"})),
            vec![("value_error", "0.reason_code")],
        ),
        (
            event("signal_recorded", json!({"signal_type": "schema_valid", "signal_code": "full_match"})),
            vec![("missing", "0.value")],
        ),
        (
            event("failure_recorded", json!({"failure_type": "tool", "failure_code": "c", "message": "my password"})),
            vec![("value_error", "0.message")],
        ),
        (event("run_ended", json!({"status": "running"})), vec![("enum", "0.status")]),
        (event("run_ended", json!({"status": "success", "ended_at": 5})), vec![("datetime_parsing", "0.ended_at")]),
    ];
    for (bad, expected) in bad {
        let answer = world.post_events(&json!([bad, event("heartbeat", json!({}))])).await.json();
        assert_eq!(answer["accepted"], 1, "{answer}");
        let rejected = &answer["rejected"][0];
        assert_eq!((&rejected["index"], &rejected["status"]), (&json!(0), &json!(422)));
        let errors = errors_of(&rejected["errors"]);
        let errors: Vec<_> = errors.iter().map(|(kind, place)| (kind.as_str(), place.as_str())).collect();
        assert_eq!(errors, expected, "{bad}");
    }
}

#[tokio::test]
async fn private_values_are_removed_from_every_kind_and_counted_in_the_record() {
    let world = World::new();
    let mut events = vec![
        event(
            "run_started",
            json!({"agent_id": "jo@example.com", "agent_version": "v1", "metadata": {"query": "what?"}}),
        ),
        event("step_started", json!({"seq": 0, "step_type": "tool", "name": "call +491511234567"})),
        step(json!({"metadata": {"email": "x", "model": "m"}})),
        event(
            "decision_recorded",
            json!({"decision_type": "tool_selection", "reason_code": "fresh_data_required", "selected": "jo@example.com"}),
        ),
        event(
            "signal_recorded",
            json!({"signal_type": "schema_valid", "signal_code": "full_match", "value": true, "metadata": {"body": "x"}}),
        ),
        event(
            "failure_recorded",
            json!({"failure_type": "tool", "failure_code": "c d", "message": "ask jo@example.com"}),
        ),
    ];
    let answer = world.post_events(&json!(events)).await;
    assert_eq!(answer.json()["removed"], json!({"key": 3, "email": 3, "phone": 1}), "{}", answer.text());
    assert_eq!(answer.header("x-removed"), Some("key=3, email=3, phone=1"));
    let counts: Vec<u32> = world.runs.live.lock().unwrap()[&RUN][0].events.iter().map(|timed| timed.removed).collect();
    assert_eq!(counts, [2, 1, 1, 1, 1, 1]);
    let Event::FailureRecorded(failure) = &world.events(RUN)[5] else { panic!() };
    assert_eq!((failure.failure_code.as_str(), failure.message.as_str()), ("c_d", "ask [email]"));
    assert_eq!(failure.failure_id.to_string(), events.pop().unwrap()["event_id"], "it has its event's id");
}

#[tokio::test]
async fn the_same_event_again_is_a_duplicate_in_one_request_and_in_the_next() {
    let world = World::new();
    let events = one_of_each();
    let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
    let answer = world.post_events(&json!(twice)).await.json();
    // A heartbeat is no fact that could be known.
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(9), &json!(7)), "{answer}");
    let answer = world.post_events(&json!(events)).await.json();
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(1), &json!(7)), "{answer}");
    let answer = world.post_events(&json!([events[2]])).await;
    assert_eq!((answer.json()["duplicates"].clone(), answer.header("x-log-position")), (json!(1), None));
    assert_eq!(world.events(RUN).len(), 10);

    // Without an id of its own each is another one.
    let mut signal = events[4].clone();
    signal.as_object_mut().unwrap().remove("event_id");
    let answer = world.post_events(&json!([signal, signal])).await.json();
    assert_eq!(answer["accepted"], 2, "{answer}");
    // The same step at another time is a version that has to be stored.
    let mut later = events[2].clone();
    later["time"] = json!("2026-11-22T10:00:05Z");
    assert_eq!(world.post_events(&json!([later])).await.json()["accepted"], 1);
}

#[tokio::test]
async fn a_run_is_stored_whole_or_live() {
    let world = World::new();
    assert_eq!(world.post_events(&json!([started()])).await.json()["accepted"], 1);
    let whole = json!({"run_id": RUN, "agent_id": "a", "agent_version": "v", "status": "success",
                       "started_at": "2026-11-22T10:00:00Z"});
    let answer = world.post(&whole).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"].clone()),
        (409, json!(format!("Run {RUN} is a live run")))
    );

    world.runs.special.lock().unwrap().insert(OTHER, StoredRun::Whole(Position::ZERO));
    let erased = Uuid::from_u128(9);
    world.runs.special.lock().unwrap().insert(erased, StoredRun::Erased);
    let to = |run: Uuid| event("heartbeat", json!({"run_id": run}));
    let answer = world.post_events(&json!([to(OTHER), to(erased), to(RUN), to(OTHER)])).await.json();
    assert_eq!(answer["accepted"], 1);
    let rejected: Vec<_> = answer["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["index"], &item["status"], &item["run_id"]))
        .collect();
    assert_eq!(
        rejected,
        [
            (&json!(0), &json!(409), &json!(OTHER)),
            (&json!(1), &json!(410), &json!(erased)),
            (&json!(3), &json!(409), &json!(OTHER))
        ]
    );
}

#[tokio::test]
async fn live_runs_are_bounded_and_each_bound_has_its_answer() {
    let world = World::with(Options { run_limit_bytes: 2 << 20, most_live_runs: 3, ..Options::default() });
    assert_eq!(world.post_events(&json!([started()])).await.json()["accepted"], 1);
    // Live runs.
    world.runs.others_live.store(2, Ordering::SeqCst);
    let other = event("heartbeat", json!({"run_id": OTHER}));
    let answer = world.post_events(&json!([other, event("heartbeat", json!({}))])).await.json();
    assert_eq!((&answer["accepted"], &answer["rejected"][0]["status"]), (&json!(1), &json!(429)), "{answer}");
    world.runs.others_live.store(0, Ordering::SeqCst);
    // What one request may hold of one run.
    let candidate = "x".repeat(200);
    let large: Vec<_> = (0..300)
        .map(|_| {
            event(
                "decision_recorded",
                json!({"decision_type": "tool_selection", "reason_code": "fresh_data_required", "selected": "api",
                       "candidates": vec![candidate.clone(); 64]}),
            )
        })
        .collect();
    let answer = world.post_events(&json!(large)).await.json();
    assert_eq!((&answer["accepted"], answer["rejected"].as_array().unwrap().len()), (&json!(0), 300));
    assert_eq!(answer["rejected"][0]["status"], 413);
    // Requests with events of one run.
    let batch = world.runs.live.lock().unwrap()[&RUN][0].clone();
    world.runs.live.lock().unwrap().insert(RUN, vec![batch; 10_000]);
    let answer = world.post_events(&json!([step(json!({}))])).await.json();
    assert_eq!(answer["rejected"][0]["status"], 413, "{answer}");
    assert!(answer["rejected"][0]["errors"][0]["msg"].as_str().unwrap().contains("10000 requests"), "{answer}");
    // Full means full: nothing is queued.
    world.runs.full.store(true, Ordering::SeqCst);
    let answer = world.post_events(&json!([other])).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("1")));
}

#[tokio::test]
async fn what_ends_a_full_run_is_let_through() {
    let world = World::new();
    assert_eq!(world.post_events(&json!([started()])).await.json()["accepted"], 1);
    let batch = world.runs.live.lock().unwrap()[&RUN][0].clone();
    world.runs.live.lock().unwrap().insert(RUN, vec![batch; 10_000]);
    assert_eq!(world.post_events(&json!([event("heartbeat", json!({}))])).await.json()["rejected"][0]["status"], 413);
    assert_eq!(
        world.post_events(&json!([event("run_ended", json!({"status": "success"}))])).await.json()["accepted"],
        1
    );
}

#[tokio::test]
async fn a_run_that_is_silent_is_given_up_once() {
    let world = World::new();
    assert_eq!(world.post_events(&json!([started()])).await.json()["accepted"], 1);
    assert_eq!(world.state.abandon_expired(), 0);
    world.runs.expired.lock().unwrap().push(RUN);
    assert_eq!(world.state.abandon_expired(), 1);
    crate::world::until("the run is given up", || world.events(RUN).len() == 2).await;
    assert_eq!(world.events(RUN)[1], Event::RunAbandoned);
    assert_eq!(world.state.abandon_expired(), 0);
    let metrics = world.get("/metrics").await.text();
    assert!(metrics.contains("agenttracer_runs_abandoned_total 1\n"), "{metrics}");
    assert!(metrics.contains("agenttracer_events_ingested_total 1\n"), "{metrics}");
}

#[tokio::test]
async fn events_whose_write_failed_are_told_one_by_one() {
    let world = World::new();
    *world.runs.failing.lock().unwrap() = Some(AppendError::DiskFull);
    let answer = world.post_events(&json!([started(), event("heartbeat", json!({"run_id": OTHER}))])).await.json();
    let statuses: Vec<_> = answer["rejected"].as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
    assert_eq!((&answer["accepted"], statuses), (&json!(0), vec![json!(503), json!(503)]));
    *world.runs.failing.lock().unwrap() = None;
    assert_eq!(world.post_events(&json!([started()])).await.json()["accepted"], 1);
}
