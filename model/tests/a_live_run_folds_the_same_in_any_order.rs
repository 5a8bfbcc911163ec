//! The fold of live events is a function of the set of batches: order, duplication and how they are cut do not matter.

mod make;

use agenttracer_model::taxonomy::{FailureType, RunStatus};
use agenttracer_model::{Event, Position, RunBatch, RunEnded, RunStarted, RunView, TimedEvent, Timestamp};
use make::{RUN_ID, at, decision, failure, signal, step};
use proptest::prelude::*;

fn started(agent: &str) -> Event {
    Event::RunStarted(RunStarted {
        agent_id: agent.to_owned(),
        agent_version: "v1".to_owned(),
        environment: "production".to_owned(),
        started_at: at(0),
        parent_run_id: None,
        parent_step_id: None,
        session_id: None,
        trace_id: None,
        metadata: Default::default(),
    })
}

fn ended(status: RunStatus, ended_at: Option<Timestamp>) -> Event {
    Event::RunEnded(RunEnded { status, ended_at, removed_count: 2, digest: None })
}

fn batch(position: u64, events: Vec<(i64, Event)>) -> RunBatch {
    RunBatch {
        position: Position::new(position),
        received_at: at(1000 + position as i64),
        run_id: RUN_ID,
        whole: false,
        events: events.into_iter().map(|(time, event)| TimedEvent::new(Some(at(time)), event)).collect(),
    }
}

fn json(view: Option<RunView>) -> String {
    serde_json::to_string(&view).unwrap()
}

/// Any event but erasure and giving up; few ids and times, so that keys and times collide.
fn event() -> impl Strategy<Value = (i64, Event)> {
    let ids = 1u128..4;
    let event = prop_oneof![
        "[ab]".prop_map(|agent| started(&agent)),
        (ids.clone(), 0u32..3, 0u64..3).prop_map(|(id, seq, ms)| Event::StepStarted(step(id, seq, ms))),
        (ids.clone(), 0u32..3, 0u64..3).prop_map(|(id, seq, ms)| Event::StepEnded(step(id, seq, ms))),
        (ids.clone(), "[ab]").prop_map(|(id, code)| Event::FailureRecorded(failure(id, &code))),
        (ids.clone(), "[ab]").prop_map(|(id, selected)| Event::DecisionRecorded(decision(id, &selected))),
        (ids, any::<bool>()).prop_map(|(id, value)| Event::SignalRecorded(signal(id, value))),
        Just(Event::Heartbeat),
        prop_oneof![Just(RunStatus::Success), Just(RunStatus::Partial)].prop_map(|status| ended(status, None)),
    ];
    (0i64..4, event)
}

fn batches() -> impl Strategy<Value = Vec<RunBatch>> {
    let any = (event(), prop_oneof![9 => Just(false), 1 => Just(true)]);
    prop::collection::vec(prop::collection::vec(any, 1..5), 1..8).prop_map(|groups| {
        let mut position = 0;
        groups
            .into_iter()
            .map(|events| {
                let events: Vec<_> = events
                    .into_iter()
                    .map(|((time, event), abandoned)| (time, if abandoned { Event::RunAbandoned } else { event }))
                    .collect();
                let batch = batch(position, events);
                position += batch.events.len() as u64;
                batch
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn order_and_duplication_of_batches_do_not_matter(
        batches in batches(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        let expected = json(RunView::fold(batches.clone()));
        let mut shuffled = batches.clone();
        for (index, with) in order.iter().enumerate() {
            let (a, b) = (index % shuffled.len(), with.index(shuffled.len()));
            shuffled.swap(a, b);
        }
        prop_assert_eq!(&json(RunView::fold(shuffled.clone())), &expected);
        shuffled.extend(order.iter().map(|index| batches[index.index(batches.len())].clone()));
        prop_assert_eq!(&json(RunView::fold(shuffled)), &expected);
    }

    #[test]
    fn the_order_in_which_events_arrive_does_not_matter(
        events in prop::collection::vec(event(), 1..20).prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        cut in 1usize..6,
        again in 0usize..10,
    ) {
        let (events, shuffled) = events;
        let arrive = |events: &[(i64, Event)]| {
            let mut position = 0;
            let batches: Vec<_> = events.chunks(cut).map(|events| {
                let mut batch = batch(position, events.to_vec());
                batch.received_at = at(1000);
                position += events.len() as u64;
                batch
            }).collect();
            json(RunView::fold(batches))
        };
        let mut repeated = shuffled.clone();
        repeated.extend(events.iter().take(again).cloned());
        let expected = arrive(&events);
        prop_assert_eq!(&arrive(&shuffled), &expected);
        prop_assert_eq!(&arrive(&repeated), &expected);
    }
}

#[test]
fn the_greater_time_wins_and_then_the_greater_content() {
    let view = |events: Vec<(i64, Event)>| RunView::fold([batch(0, events)]).unwrap();
    assert_eq!(view(vec![(5, started("late")), (1, started("early"))]).agent_id, "late");
    let tie = view(vec![(1, started("a")), (1, started("b"))]).agent_id;
    assert_eq!(view(vec![(1, started("b")), (1, started("a"))]).agent_id, tie);
}

#[test]
fn without_a_start_there_is_no_run() {
    assert_eq!(RunView::fold([]), None);
    assert_eq!(RunView::fold([batch(0, vec![(1, Event::StepEnded(step(1, 0, 5)))])]), None);
}

#[test]
fn a_run_is_running_until_it_ends() {
    let start = batch(0, vec![(0, started("a"))]);
    let view = RunView::fold([start.clone()]).unwrap();
    assert_eq!((view.status, view.ended_at, view.duration_ms), (RunStatus::Running, None, None));

    let end = batch(1, vec![(2500, ended(RunStatus::Success, None))]);
    let view = RunView::fold([end, start]).unwrap();
    assert_eq!((view.status, view.ended_at, view.duration_ms), (RunStatus::Success, Some(at(2500)), Some(2500)));
    assert_eq!((view.position, view.created_at, view.removed_count), (Position::ZERO, at(1000), 2));
}

#[test]
fn a_step_that_ended_supersedes_its_start_whatever_the_times() {
    let start = batch(0, vec![(0, started("a")), (9, Event::StepStarted(step(1, 0, 0)))]);
    let end = batch(2, vec![(1, Event::StepEnded(step(1, 0, 250)))]);
    let view = RunView::fold([start, end]).unwrap();
    assert_eq!(view.steps.len(), 1);
    assert_eq!((view.steps[0].latency_ms, view.steps[0].created_at), (250, at(1000)));
}

#[test]
fn parts_of_a_live_run_have_the_times_of_their_events() {
    let events = vec![
        (0, started("a")),
        (7, Event::DecisionRecorded(decision(1, "x"))),
        (3, Event::SignalRecorded(signal(1, true))),
    ];
    let view = RunView::fold([batch(4, events)]).unwrap();
    assert_eq!((view.decisions[0].recorded_at, view.decisions[0].created_at), (at(7), at(1004)));
    assert_eq!((view.quality_signals[0].recorded_at, view.quality_signals[0].created_at), (at(3), at(1004)));
}

#[test]
fn a_later_event_reopens_a_run_that_was_given_up() {
    let start = batch(0, vec![(0, started("a"))]);
    let abandoned = batch(1, vec![(900, Event::RunAbandoned)]);
    let view = RunView::fold([abandoned.clone(), start.clone()]).unwrap();
    assert_eq!((view.status, view.ended_at), (RunStatus::Failure, None));
    assert_eq!(
        (view.failures[0].failure_type, view.failures[0].failure_code.as_str()),
        (FailureType::Orchestration, "abandoned")
    );
    assert_eq!(view.failures[0].created_at, at(1001));
    assert_eq!(
        view.failures[0].failure_id,
        RunView::fold([start.clone(), abandoned.clone()]).unwrap().failures[0].failure_id
    );

    let alive = batch(2, vec![(950, Event::Heartbeat)]);
    let view = RunView::fold([alive.clone(), abandoned.clone(), start.clone()]).unwrap();
    assert_eq!((view.status, view.failures.len()), (RunStatus::Running, 0));

    let again = batch(3, vec![(2000, Event::RunAbandoned)]);
    assert_eq!(
        RunView::fold([start.clone(), abandoned.clone(), alive, again.clone()]).unwrap().status,
        RunStatus::Failure
    );

    let end = batch(1, vec![(2, ended(RunStatus::Success, Some(at(2))))]);
    let view = RunView::fold([start, end, again]).unwrap();
    assert_eq!((view.status, view.failures.len()), (RunStatus::Success, 0));
}

#[test]
fn an_erased_run_is_gone() {
    let start = batch(0, vec![(0, started("a"))]);
    let erased = batch(1, vec![(1, Event::RunErased)]);
    assert_eq!(RunView::fold([start.clone(), erased.clone()]), None);
    assert_eq!(RunView::fold([erased, start]), None);
}
