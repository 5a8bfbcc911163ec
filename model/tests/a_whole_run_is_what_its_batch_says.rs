//! A run that arrived whole: its view is the fold of its events, byte by byte, and live events do not touch it.

mod make;

use agenttracer_model::{Event, FoldedRun, Position, Run, RunBatch, RunView, TimedEvent};
use make::{RUN_ID, at, decision, failure, id, run, signal, step};
use proptest::prelude::*;

fn whole(run: &Run, position: u64) -> RunBatch {
    RunBatch {
        position: Position::new(position),
        received_at: at(5000),
        run_id: run.run_id,
        whole: true,
        events: run.clone().into_events(),
    }
}

fn json(view: &RunView) -> String {
    serde_json::to_string(view).unwrap()
}

proptest! {
    #[test]
    fn the_view_is_the_fold_of_the_events(
        steps in prop::collection::vec((0u64..500, any::<bool>(), prop::option::of(1u32..4)), 0..12),
        counts in (0u128..3, 0u128..4, 0u128..4),
        ended in any::<bool>(),
    ) {
        let mut run = run();
        run.ended_at = ended.then(|| at(9000));
        run.steps = steps.iter().enumerate().map(|(seq, (ms, same_name, attempt))| {
            let mut step = step(seq as u128 + 1, seq as u32, *ms);
            if !same_name {
                step.name = format!("step_{seq}");
            }
            step.attempt = *attempt;
            step
        }).collect();
        run.failures = (0..counts.0).map(|n| failure(n, "timeout")).collect();
        run.decisions = (0..counts.1).map(|n| decision(n, "api")).collect();
        run.quality_signals = (0..counts.2).map(|n| signal(n, n % 2 == 0)).collect();

        let folded = RunView::fold([whole(&run, 17)]).unwrap();
        let direct = RunView::from_run(&run, at(5000), Position::new(17));
        prop_assert_eq!(json(&direct), json(&folded));
        prop_assert_eq!(run.into_view(at(5000), Position::new(17)), folded);
    }
}

#[test]
fn the_lowest_position_wins_and_live_events_are_ignored() {
    let first = run();
    let mut second = run();
    second.agent_id = "another".to_owned();
    let live = RunBatch {
        position: Position::new(1),
        received_at: at(1),
        run_id: RUN_ID,
        whole: false,
        events: vec![TimedEvent { time: Some(at(9)), event: Event::StepEnded(step(7, 7, 7)) }],
    };
    let expected = json(&RunView::from_run(&first, at(5000), Position::new(10)));
    let batches = [whole(&second, 20), live, whole(&first, 10), whole(&first, 10)];
    assert_eq!(json(&RunView::fold(batches.clone()).unwrap()), expected);
    assert_eq!(json(&RunView::fold(batches.into_iter().rev()).unwrap()), expected);
}

#[test]
fn an_erasure_hides_a_whole_run() {
    let erased = RunBatch {
        position: Position::new(50),
        received_at: at(6000),
        run_id: RUN_ID,
        whole: false,
        events: vec![TimedEvent { time: Some(at(6000)), event: Event::RunErased }],
    };
    assert_eq!(RunView::fold([whole(&run(), 0), erased]), None);
}

#[test]
fn a_run_that_arrived_whole_folds_into_what_was_sent() {
    let (first, second) = (run(), Run { agent_id: "other".to_owned(), ..run() });
    let folded = FoldedRun::fold([whole(&second, 20), whole(&first, 10)]).unwrap();
    assert_eq!((folded.run, folded.created_at, folded.position), (first, at(5000), Position::new(10)));
    assert_eq!(FoldedRun::fold([]), None);
}

#[test]
fn parts_stand_in_the_order_they_were_sent_and_steps_by_seq() {
    let mut run = run();
    run.steps.reverse();
    run.decisions = vec![decision(9, "b"), decision(1, "a")];
    run.quality_signals = vec![signal(9, true), signal(1, false)];
    let view = RunView::from_run(&run, at(5000), Position::ZERO);
    assert_eq!(view.steps.iter().map(|step| step.seq).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(view.decisions.iter().map(|decision| decision.decision_id).collect::<Vec<_>>(), [id(3, 9), id(3, 1)]);
    assert_eq!(view.quality_signals.iter().map(|signal| signal.signal_id).collect::<Vec<_>>(), [id(4, 9), id(4, 1)]);
}

#[test]
fn the_fields_stand_in_the_order_of_the_contract() {
    let view = RunView::from_run(&run(), at(5000), Position::new(17));
    let json: serde_json::Value = serde_json::from_str(&json(&view)).unwrap();
    let keys =
        |value: &serde_json::Value| value.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&json),
        "run_id agent_id agent_version environment status started_at ended_at created_at steps failures decisions \
         quality_signals duration_ms parent_run_id parent_step_id session_id trace_id metadata removed_count position"
    );
    assert_eq!(
        keys(&json["steps"][0]),
        "step_id run_id seq step_type name latency_ms started_at ended_at metadata created_at status error_code \
         parent_step_id attempt attempts_total retry_group"
    );
    assert_eq!(keys(&json["failures"][0]), "failure_id run_id step_id failure_type failure_code message created_at");
    assert_eq!(
        keys(&json["decisions"][0]),
        "decision_id run_id step_id decision_type selected reason_code confidence metadata recorded_at created_at"
    );
    assert_eq!(
        keys(&json["quality_signals"][0]),
        "signal_id run_id step_id signal_type signal_code value weight metadata recorded_at created_at tone"
    );
    assert_eq!(json["created_at"], "2026-01-01T00:00:05Z");
    assert_eq!(json["decisions"][0]["recorded_at"], json["created_at"]);
    assert_eq!(json["decisions"][0]["metadata"]["candidates"], serde_json::json!(["api", "cache"]));
    assert_eq!((&json["duration_ms"], &json["position"]), (&serde_json::json!(1500), &serde_json::json!(17)));
    let attempts: Vec<_> = json["steps"].as_array().unwrap().iter().map(|step| step["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2]);
    assert_eq!(json["steps"][1]["retry_group"], json["steps"][0]["step_id"]);
    assert_eq!(json["quality_signals"][0]["tone"], "plain");
}

#[test]
fn candidates_replace_what_stands_under_their_key_and_none_leave_no_trace() {
    let mut run = run();
    run.decisions[0].metadata.0.insert(0, ("candidates".to_owned(), agenttracer_model::Value::Uint(2)));
    let mut without = decision(2, "x");
    without.candidates.clear();
    run.decisions.push(without);
    let json = serde_json::to_value(RunView::from_run(&run, at(5000), Position::ZERO)).unwrap();
    assert_eq!(json["decisions"][0]["metadata"], serde_json::json!({"candidates": ["api", "cache"], "cost_usd": 0.25}));
    assert_eq!(json["decisions"][1]["metadata"], serde_json::json!({"cost_usd": 0.25}));
}
