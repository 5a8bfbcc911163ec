//! A made-up day of several agents, told so that every page of the dashboard has something to show: a newer version that is
//! worse, retries, every way to fail, sub-agents, conversations, live runs. A pure function of its seed, its length and its end.

mod agents;
mod dice;
mod draft;
mod live;

use serde_json::{Value, json};

use self::agents::{AGENTS, CREW, FAULTS, Fault, Scene, TRIAGE, WORKER};
use self::dice::Dice;
use self::draft::{Draft, Told};
pub(crate) use self::live::{Live, Sent};

/// The versions that are worth comparing, and whose they are.
pub(crate) const AGENT: &str = AGENTS[TRIAGE].id;
pub(crate) const VERSIONS: (&str, &str) = (AGENTS[TRIAGE].versions.0, AGENTS[TRIAGE].versions.1);

const SECOND: i64 = 1_000_000;
/// When a tool of the newer version had its bad hour, as a part of the day.
const INCIDENT: std::ops::Range<f64> = 0.84..0.93;
/// The bins in which the rate of the day is summed up.
const BINS: usize = 480;
/// Runs that belong to a conversation, about.
const CONVERSATION: u64 = 3;
/// Numbers of runs that are none of the day's, but told in the same way.
const LONG: u64 = 1 << 40;
const LIVE: u64 = 1 << 41;

/// A day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    pub(crate) seed: u64,
    /// How many runs, sub-agents' runs included; about, so that none stays without its sub-agents.
    pub(crate) runs: u64,
    pub(crate) hours: u64,
    /// When it ends.
    pub(crate) until_micros: i64,
}

/// Runs of a day that are worth a look.
pub(crate) struct Named {
    /// A long run that works out, and the same one that fails in the newer version.
    pub(crate) long: [String; 2],
}

impl Day {
    /// The runs, in the order in which they began, but that sub-agents' come with theirs.
    pub(crate) fn runs(self) -> impl Iterator<Item = Value> {
        let starts = self.starts();
        let long = self.long_runs();
        let all = self.runs.saturating_sub(long.len() as u64);
        // Each way to fail comes once at least, spread over the day, where there are runs enough for that.
        let every = if all < 10 * FAULTS.len() as u64 { u64::MAX } else { all / (FAULTS.len() as u64 + 1) };
        let mut turns = FAULTS.iter().filter(|fault| fault.agent != WORKER).copied();
        let (mut number, mut sent, mut next_turn) = (0, 0, every);
        let mut waiting: Vec<Value> = Vec::new();
        let told = std::iter::from_fn(move || {
            if let Some(run) = waiting.pop() {
                return Some(run);
            }
            if sent == all {
                return None;
            }
            let mut due = None;
            if sent >= next_turn {
                next_turn += every;
                due = turns.next();
            }
            let mut runs = self.tell(number, starts(sent as f64 / all as f64), due);
            // The last ones of a day are no more than were asked for.
            runs.truncate(usize::try_from(all - sent).unwrap_or(usize::MAX));
            number += 1;
            sent += runs.len() as u64;
            runs.reverse();
            waiting = runs;
            waiting.pop()
        });
        told.chain(long.into_iter().take(usize::try_from(self.runs).unwrap_or(usize::MAX)))
    }

    pub(crate) fn named(self) -> Named {
        Named { long: self.long().map(|(_, told)| told.run_id()) }
    }

    /// Where the run begins that is at this share of all runs: more begin by day than by night.
    fn starts(self) -> impl Fn(f64) -> f64 {
        let rate = |bin: usize| {
            let at = (bin as f64 + 0.5) / BINS as f64;
            0.35 + 0.65 * (std::f64::consts::PI * ((at - 0.15) / 0.85).clamp(0.0, 1.0)).sin()
        };
        let mut sums = vec![0.0];
        for bin in 0..BINS {
            sums.push(sums[bin] + rate(bin));
        }
        move |share: f64| {
            let wanted = share.clamp(0.0, 1.0) * sums[BINS];
            let bin = sums.partition_point(|sum| *sum <= wanted).clamp(1, BINS) - 1;
            (bin as f64 + (wanted - sums[bin]) / (sums[bin + 1] - sums[bin])) / BINS as f64
        }
    }

    fn length_micros(self) -> i64 {
        self.hours.cast_signed() * 3600 * SECOND
    }

    /// When a run begins that takes so long: it has ended by the end of the day.
    fn started(self, place: f64, duration: i64) -> i64 {
        let length = self.length_micros();
        let start = self.until_micros - length + (place * length as f64) as i64;
        start.min(self.until_micros - duration - SECOND)
    }

    /// The run with this number, and those of its sub-agents. When a way to fail is `due`, it fails in that way.
    fn tell(self, number: u64, place: f64, due: Option<Fault>) -> Vec<Value> {
        let mut dice = Dice::of(self.seed, self.until_micros, number);
        let weights = std::array::from_fn::<_, { AGENTS.len() }, _>(|at| (at, AGENTS[at].weight));
        let chosen = dice.weighted(&weights);
        let agent = due.map_or(chosen, |fault| fault.agent);
        let (older, newer, rolled_out) = AGENTS[agent].versions;
        let is_newer = place > rolled_out && dice.chance(0.8);
        let version = if is_newer { newer } else { older };
        let mut draft = self.draft(dice, agent, version, number);
        let rate = match agent {
            TRIAGE if is_newer && INCIDENT.contains(&place) => 0.34,
            TRIAGE if is_newer => 0.12,
            TRIAGE => 0.035,
            CREW => 0.08,
            1 => 0.05,
            _ => 0.07,
        };
        let mut fault = due;
        if fault.is_none() && draft.dice.chance(rate) {
            fault = Some(if agent == TRIAGE && is_newer && draft.dice.chance(0.75) {
                FAULTS[0]
            } else {
                agents::choose_fault(&mut draft, agent)
            });
        }
        if agent != CREW {
            let told = agents::tell(draft, Scene { agent, version, fault });
            return vec![told.whole(self.started(place, told.duration()))];
        }
        let (told, workers) = self.tell_crew(draft, number, fault);
        let started = self.started(place, told.duration());
        let mut runs = vec![told.whole(started)];
        runs.extend(workers.into_iter().map(|(begins, told)| told.whole(started + begins)));
        runs
    }

    fn tell_crew(self, draft: Draft, number: u64, fault: Option<Fault>) -> (Told, Vec<(i64, Told)>) {
        let shared = draft.shared();
        agents::tell_crew(draft, fault, &mut |worker, parent, step| {
            let dice = Dice::of(self.seed, self.until_micros, number ^ ((worker + 1) << 42));
            let version = AGENTS[WORKER].versions.0;
            let mut draft = self.draft(dice, WORKER, version, number);
            for (name, value) in &shared {
                draft.set(name, value.clone());
            }
            draft.set("parent_run_id", parent.clone());
            draft.set("parent_step_id", json!(step));
            let fault = draft.dice.chance(0.06).then(|| agents::choose_fault(&mut draft, WORKER));
            agents::tell(draft, Scene { agent: WORKER, version, fault })
        })
    }

    /// A run that is about to be told.
    fn draft(self, mut dice: Dice, agent: usize, version: &str, number: u64) -> Draft {
        let environment = dice.weighted(&[("production", 82.0), ("staging", 13.0), ("dev", 5.0)]);
        let region = dice.of_list(&["eu-central-1", "us-east-1", "ap-south-1"]);
        let channel = dice.weighted(&[("web", 60.0), ("email", 25.0), ("api", 15.0)]);
        let trace = dice.trace_id();
        let conversation = number / CONVERSATION;
        let mut metadata = json!({"region": region, "channel": channel});
        if agent == 1 && dice.chance(0.02) {
            // What an integration sends by mistake: the server removes it, and counts that.
            metadata["customer_email"] = json!("someone@customer.example");
        }
        let head = json!({
            "agent_id": AGENTS[agent].id, "agent_version": version, "environment": environment,
            "session_id": format!("conv-{}-{conversation}", self.until_micros / (3600 * SECOND)), "trace_id": trace,
            "metadata": metadata,
        });
        Draft::new(dice, head)
    }

    /// The long run that works out, and its twin that fails: where in the day, and what happened.
    fn long(self) -> [(f64, Told); 2] {
        [(0.40, VERSIONS.0), (0.90, VERSIONS.1)].map(|(place, version)| {
            let fails = version == VERSIONS.1;
            let dice = Dice::twin(self.seed, self.until_micros, LONG, u64::from(fails));
            let mut draft = self.draft(dice, TRIAGE, version, LONG);
            draft.set("environment", json!("production"));
            (place, agents::tell_long(draft, TRIAGE, fails))
        })
    }

    fn long_runs(self) -> Vec<Value> {
        self.long().iter().map(|(place, told)| told.whole(self.started(*place, told.duration()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use agenttracer_model::taxonomy::{FailureType, KNOWN_FAILURE_CODES, REASON_CODES, SIGNAL_CODES};

    use super::*;

    const UNTIL: i64 = 1_764_000_000 * SECOND;

    fn day(runs: u64) -> Day {
        Day { seed: 7, runs, hours: 24, until_micros: UNTIL }
    }

    fn texts<'a>(runs: &'a [Value], list: &'a str, field: &'a str) -> BTreeSet<&'a str> {
        let items = runs.iter().flat_map(move |run| run[list].as_array().into_iter().flatten());
        items.filter_map(move |item| item[field].as_str()).collect()
    }

    #[test]
    fn a_day_is_the_same_for_the_same_seed_and_another_for_another() {
        let runs: Vec<_> = day(300).runs().collect();
        assert_eq!(runs.len(), 300);
        assert_eq!(day(300).runs().collect::<Vec<_>>(), runs);
        assert_ne!(Day { seed: 8, ..day(300) }.runs().collect::<Vec<_>>(), runs);
        // Another end: other ids and times, the same story.
        let later: Vec<_> = Day { until_micros: UNTIL + 60 * SECOND, ..day(300) }.runs().collect();
        let ids = |runs: &[Value]| runs.iter().map(|run| run["run_id"].to_string()).collect::<BTreeSet<_>>();
        assert!(ids(&later).is_disjoint(&ids(&runs)));
        assert_eq!(ids(&runs).len(), 300);
        let story = |runs: &[Value]| {
            let told = runs.iter().map(|run| {
                let steps: Vec<_> = run["steps"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|step| (step["name"].clone(), step["latency_ms"].clone()))
                    .collect();
                (run["agent_id"].clone(), run["agent_version"].clone(), run["status"].clone(), steps)
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(story(&later), story(&runs));
    }

    #[test]
    fn a_day_has_everything_of_the_taxonomy() {
        let runs: Vec<_> = day(2000).runs().collect();
        let kinds: BTreeSet<_> = FailureType::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(texts(&runs, "failures", "failure_type"), kinds);
        let codes: BTreeSet<_> = KNOWN_FAILURE_CODES.iter().copied().collect();
        assert_eq!(texts(&runs, "failures", "failure_code"), codes);
        let reasons: BTreeSet<_> = REASON_CODES.iter().map(|row| row.code).collect();
        assert_eq!(texts(&runs, "decisions", "reason_code"), reasons);
        let signals: BTreeSet<_> = SIGNAL_CODES.iter().map(|row| row.code).collect();
        assert_eq!(texts(&runs, "quality_signals", "signal_code"), signals);
        assert!(runs.iter().any(|run| run["parent_run_id"].is_string()));
    }

    #[test]
    fn the_newer_version_is_worse_and_the_day_has_its_hours() {
        let mut by_version: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        let runs: Vec<_> = day(2000).runs().collect();
        let (first, last) = ("2025-11-23T16:00:00", "2025-11-24T16:00:00");
        for run in &runs {
            let (started, ended) = (run["started_at"].as_str().unwrap(), run["ended_at"].as_str().unwrap());
            assert!(started >= first && ended <= last && started <= ended, "{started} {ended}");
            if run["agent_id"] == AGENT {
                let (all, failed) = by_version.entry(run["agent_version"].as_str().unwrap()).or_default();
                *all += 1.0;
                *failed += f64::from(u8::from(run["status"] == "failure"));
            }
        }
        let rate = |version| by_version[version].1 / by_version[version].0;
        assert!(rate(VERSIONS.1) > 2.0 * rate(VERSIONS.0), "{by_version:?}");
        assert!(by_version[VERSIONS.0].0 > 100.0 && by_version[VERSIONS.1].0 > 100.0, "{by_version:?}");
        let named = day(2000).named();
        for id in &named.long {
            assert!(runs.iter().any(|run| run["run_id"] == id.as_str()), "{id}");
        }
    }
}
