//! Every question while somebody writes: runs arrive, some of them live, runs are sent again, commits move what is hot into
//! the cold index, late events bring runs back out of it, and segments merge. Each answer is that of one moment.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use agenttracer_model::taxonomy::RunStatus;
use agenttracer_model::{Event, Run, RunEnded, RunStarted, RunView, TimedEvent};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use crate::aggregates_agree_with_a_plain_model::{
    distributions_agree, facets_agree, groups_agree, names_and_times, timelines_agree,
};
use crate::filters_agree_with_a_plain_model::{a_pair, a_run, assert_stats, meets, query, stats_of};
use crate::support::World;

/// Whose runs come while questions are asked.
const WRITER: &str = "writer";

/// How many runs are asked about.
const KNOWN: u64 = 120;

/// A run of the writer, at the times of those that are asked about.
fn another_run(number: u64) -> Run {
    Run { run_id: Uuid::from_u64_pair(7, number), agent_id: WRITER.to_owned(), ..a_run(number % 240) }
}

/// The first or the last event of a live run of the writer.
fn live_event(number: u64, ends: bool) -> TimedEvent {
    let of = another_run(number);
    let event = if ends {
        Event::RunEnded(RunEnded { status: RunStatus::Failure, ended_at: None, removed_count: 0, digest: None })
    } else {
        Event::RunStarted(RunStarted {
            agent_id: of.agent_id,
            agent_version: of.agent_version,
            environment: of.environment,
            started_at: of.started_at,
            parent_run_id: None,
            parent_step_id: None,
            session_id: None,
            trace_id: None,
            metadata: of.metadata,
        })
    };
    TimedEvent::new(Some(of.started_at), event)
}

/// Whether a run that is asked about came in events.
fn is_in_events(number: u64) -> bool {
    number.is_multiple_of(2)
}

/// Writes until it is told to stop. What is asked about does not change, but moves, and each such move is told: an event that
/// comes once more brings its run out of the cold index, and the next commit takes it back. A whole run that is sent again
/// stays where it is.
fn write(world: &World, stop: &AtomicBool, moves: &Sender<Uuid>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        match number % 6 {
            0 if is_in_events(number / 6) => {
                let run = a_run(number / 6 % KNOWN);
                let run_id = run.run_id;
                assert!(!world.is_hot(run_id), "commits came since it was sent last");
                world.add_events(run_id, &run.into_events()[..1]);
                assert!(world.is_hot(run_id), "its event brings it back");
                // Nobody counts any more once all is asked.
                let _ = moves.send(run_id);
            }
            0 => drop(world.add(&a_run(number / 6 % KNOWN))),
            1 => world.add_events(Uuid::from_u64_pair(8, number), &[live_event(number, false)]),
            // The end of the one before, which may be cold by now.
            4 if number > 30 => world.add_events(Uuid::from_u64_pair(8, number - 27), &[live_event(number, true)]),
            _ => drop(world.add(&another_run(number))),
        }
        if number % 10 == 9 {
            world.index.commit_now().unwrap();
        }
        number += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_does_not_change_is_answered_the_same(asked in vec(vec(a_pair(), 0..4), 6)) {
        let world = World::new();
        let stored = |number| if is_in_events(number) { world.add_in_events(a_run(number)) } else { world.add(&a_run(number)) };
        let views: Vec<_> = (0..KNOWN).map(stored).collect();
        world.freeze();
        let stop = AtomicBool::new(false);
        let (move_one, moves) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| write(&world, &stop, &move_one));
            // Also when an assertion fails: the scope waits for the writer.
            let _stops = StopAtEnd(&stop);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            for pairs in asked.iter().flat_map(|pairs| [pairs.clone(), names_and_times(pairs)]) {
                let mut runs: Vec<_> = views.iter().filter(|run| meets(run, &pairs)).collect();
                runs.sort_by_key(|run| (Reverse(run.started_at), run.run_id));
                let query = format!("{}q=-agent:{WRITER}&", query(&pairs));
                // Each question is asked while runs move: since the one before, one has.
                moves.try_iter().for_each(drop);
                moves.recv_timeout(Duration::from_secs(60)).expect("a run moves out of the cold index");
                runtime.block_on(async {
                    let list = world.get(&format!("/v1/runs?{query}page_size=100")).await;
                    let ids: Vec<_> = runs.iter().take(100).map(|run| run.run_id.to_string()).collect();
                    assert_eq!(list.ids(), ids, "{query}");
                    let stats = world.get(&format!("/v1/stats?{query}")).await.json();
                    assert_stats(&stats, &stats_of(&runs), &query);
                    facets_agree(&world, &query, &runs).await;
                    timelines_agree(&world, &query, &runs).await;
                    groups_agree(&world, &query, &runs).await;
                    distributions_agree(&world, &query, &runs).await;
                });
            }
        });
    }
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs come one after the other, so a moment is known by how many there are.
#[test]
fn what_grows_is_answered_as_it_was_at_one_moment() {
    const RUNS: u64 = 400;
    let world = World::new();
    let written: (Mutex<Vec<RunView>>, Condvar) = Default::default();
    let now = || written.0.lock().unwrap().len();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..RUNS {
                let view = world.add(&another_run(number));
                written.0.lock().unwrap().push(view);
                written.1.notify_all();
                if number % 20 == 19 {
                    world.index.commit_now().unwrap();
                }
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        loop {
            let before = now();
            let [stats, list, agents] = runtime.block_on(async {
                let agents = world.get("/v1/agents").await;
                [world.get("/v1/stats").await, world.get("/v1/runs?page_size=100&view=summary").await, agents]
            });
            let counts = [
                stats.json()["total_runs"].as_u64().unwrap() as usize,
                list.header("x-total-count").unwrap().parse().unwrap(),
                agents.json()["total_runs"].as_u64().unwrap() as usize,
            ];
            // A run is seen before its writer has noted it.
            let mut views = written.0.lock().unwrap();
            while views.len() < *counts.iter().max().unwrap() {
                views = written.1.wait(views).unwrap();
            }
            let first = |count: usize| views[..count].iter().collect::<Vec<_>>();
            for count in counts {
                assert!(count >= before, "{count} runs are there, of which {before} were acknowledged before");
            }
            assert_stats(&stats.json(), &stats_of(&first(counts[0])), "a moment");
            let mut newest = first(counts[1]);
            newest.sort_by_key(|run| (Reverse(run.started_at), run.run_id));
            assert_eq!(list.ids(), newest.iter().take(100).map(|run| run.run_id.to_string()).collect::<Vec<_>>());
            let steps: usize = first(counts[2]).iter().map(|run| run.steps.len()).sum();
            let answered = agents.json();
            let found =
                answered["agents"].as_array().unwrap().first().map_or(0, |agent| agent["steps"].as_u64().unwrap());
            assert_eq!(found, steps as u64);
            if before == RUNS as usize {
                break;
            }
        }
    });
}
