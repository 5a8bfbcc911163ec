//! Runs that go on while they are sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde_json::{Value, json};

use super::agents::{self, AGENTS, Scene, TRIAGE};
use super::dice::Dice;
use super::{Day, LIVE, SECOND};

/// The share of the runs of `--live` that are sent as they go on; the others are sent when they are over.
const AS_EVENTS: f64 = 0.7;

/// What happens from now on, in its order.
pub(crate) struct Live {
    day: Day,
    number: u64,
    /// When the next run begins.
    next: i64,
    /// Between the starts of two runs, on average.
    mean_micros: f64,
    due: BinaryHeap<Reverse<Due>>,
    /// The ids of runs that have begun as events and not ended.
    open: Vec<String>,
}

/// Something that happens at a time.
#[derive(PartialEq, Eq)]
struct Due {
    at: i64,
    number: u64,
    what: Sent,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Run(Value),
    Event(Value),
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Day {
    /// Events of four live runs around the end of the day: one that ended, two that go on, one that fell silent.
    pub(crate) fn live_events(self) -> Vec<Value> {
        // The agent, how long before the end it began, and how much of it was heard.
        let runs = [
            (TRIAGE, 180 * SECOND, f64::INFINITY),
            (3, 4 * SECOND, 1.0),
            (TRIAGE, 2 * SECOND, 1.0),
            (1, 400 * SECOND, 0.5),
        ];
        let mut all = Vec::new();
        for (number, (agent, before, heard)) in (0_u64..).zip(runs) {
            let version = AGENTS[agent].versions.1;
            let dice = Dice::of(self.seed, self.until_micros, LIVE + number);
            let mut draft = self.draft(dice, agent, version, LIVE + number);
            draft.set("environment", json!("production"));
            let told = if number == 1 || number == 2 {
                // Long enough to be under way still.
                agents::tell_long(draft, agent, false)
            } else {
                agents::tell(draft, Scene { agent, version, fault: None })
            };
            let started = self.until_micros - before;
            let until =
                if heard.is_infinite() { i64::MAX } else { (before.min(told.duration()) as f64 * heard) as i64 };
            all.extend(told.events(started).into_iter().filter(|(at, _)| *at <= until).map(|(_, event)| event));
        }
        all
    }

    /// How many live runs [`live_events`](Self::live_events) tells of.
    pub(crate) const LIVE_RUNS: u64 = 4;
}

impl Live {
    /// Runs that begin from now on, so many a minute.
    pub(crate) fn new(day: Day, per_minute: f64, now_micros: i64) -> Self {
        let mean_micros = 60.0 * SECOND as f64 / per_minute;
        Self { day, number: LIVE + 1000, next: now_micros, mean_micros, due: BinaryHeap::new(), open: Vec::new() }
    }

    /// What has happened until now and was not sent.
    pub(crate) fn until(&mut self, now_micros: i64) -> Vec<Sent> {
        while self.next <= now_micros {
            self.begin();
        }
        let mut sent = Vec::new();
        while self.due.peek().is_some_and(|Reverse(due)| due.at <= now_micros) {
            let Some(Reverse(due)) = self.due.pop() else { break };
            if let Sent::Event(event) = &due.what {
                let run_id = event["run_id"].as_str().unwrap_or_default();
                match event["type"].as_str() {
                    Some("run_started") => self.open.push(run_id.to_owned()),
                    Some("run_ended") => self.open.retain(|open| open != run_id),
                    _ => {}
                }
            }
            sent.push(due.what);
        }
        sent
    }

    /// The ends of all runs that go on: nobody is left to go on with them.
    pub(crate) fn cancelled(&mut self, now_micros: i64) -> Vec<Value> {
        let now = chrono::DateTime::from_timestamp_micros(now_micros).unwrap_or_default();
        let time = now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let mut events = Vec::new();
        for run_id in std::mem::take(&mut self.open) {
            events.push(json!({
                "run_id": run_id, "type": "failure_recorded", "time": time, "failure_type": "orchestration",
                "failure_code": "cancelled", "message": "the demo was ended",
            }));
            events.push(
                json!({"run_id": run_id, "type": "run_ended", "time": time, "status": "failure", "ended_at": time}),
            );
        }
        events
    }

    /// The next run, and when the one behind it begins.
    fn begin(&mut self) {
        let started = self.next;
        let day = Day { until_micros: started, ..self.day };
        let mut dice = Dice::of(day.seed, day.until_micros, self.number);
        // As waits are between things that happen by chance.
        let wait = -(1.0 - dice.share()).ln() * self.mean_micros;
        self.next += (wait as i64).max(1);
        let weights = std::array::from_fn::<_, { AGENTS.len() }, _>(|at| (at, AGENTS[at].weight));
        let agent = match dice.weighted(&weights) {
            // Its sub-agents' runs would have to go on beside it.
            agents::CREW => TRIAGE,
            agent => agent,
        };
        let (older, newer, _) = AGENTS[agent].versions;
        let version = if dice.chance(0.8) { newer } else { older };
        let as_events = dice.chance(AS_EVENTS);
        let mut draft = day.draft(dice, agent, version, self.number);
        let fails = if agent == TRIAGE && version == newer { 0.12 } else { 0.05 };
        let fault = draft.dice.chance(fails).then(|| agents::choose_fault(&mut draft, agent));
        let told = agents::tell(draft, Scene { agent, version, fault });
        let number = self.number;
        self.number += 1;
        if as_events {
            let events = told.events(started).into_iter();
            self.due
                .extend(events.map(|(at, event)| Reverse(Due { at: started + at, number, what: Sent::Event(event) })));
        } else {
            let what = Sent::Run(told.whole(started));
            self.due.push(Reverse(Due { at: started + told.duration(), number, what }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_live_begins_and_ends_in_time() {
        let day = Day { seed: 7, runs: 0, hours: 24, until_micros: 1_764_000_000 * SECOND };
        let mut live = Live::new(day, 60.0, day.until_micros);
        let (mut started, mut ended, mut whole) = (BTreeSet::new(), BTreeSet::new(), 0);
        for second in 0..120 {
            for sent in live.until(day.until_micros + second * SECOND) {
                match sent {
                    Sent::Run(_) => whole += 1,
                    Sent::Event(event) => {
                        let run_id = event["run_id"].as_str().unwrap().to_owned();
                        match event["type"].as_str() {
                            Some("run_started") => drop(started.insert(run_id)),
                            Some("run_ended") => drop(ended.insert(run_id)),
                            _ => assert!(started.contains(&run_id) && !ended.contains(&run_id)),
                        }
                    }
                }
            }
        }
        assert!((30..200).contains(&started.len()) && whole > 10, "{} as events, {whole} whole", started.len());
        let open: BTreeSet<_> = started.difference(&ended).cloned().collect();
        assert!(!open.is_empty());
        let ends = live.cancelled(day.until_micros + 120 * SECOND);
        let ends: BTreeSet<_> = ends.iter().map(|event| event["run_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ends, open);
        assert!(live.cancelled(0).is_empty());
    }

    #[test]
    fn of_four_live_runs_one_has_ended() {
        let day = Day { seed: 7, runs: 0, hours: 24, until_micros: 1_764_000_000 * SECOND };
        let events = day.live_events();
        let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        assert_eq!((of("run_started"), of("run_ended")), (4, 1));
        assert!(of("step_started") > of("step_ended"), "a step goes on");
        assert_eq!(day.live_events(), events);
    }
}
