//! How the runs of each agent ended since the start, for whoever watches them.
//!
//! A run counts when it ends: when it arrives whole, when its last event does, and when it is given up. What a replay reads
//! was counted by the process that took it in, so a restart counts nothing twice; and a run that ended counts once, whatever
//! comes late or again. Failures that come late count when they come. A run that was given up and taken up again counts once
//! more when it ends.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agenttracer_model::taxonomy::{FailureType, RunStatus};

use crate::{FailureSummary, RunSummary};

/// So many series there are at most of [`RunsEnded`], and so many of [`FailuresOfRuns`], the rest included.
pub const MOST_SERIES: usize = 2_000;

/// What stands for an agent, a version, an environment and a code that came when all series were given away.
pub const REST: &str = "other";

/// Whose runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The agent.
    pub agent_id: Arc<str>,
    /// Its version.
    pub agent_version: Arc<str>,
    /// Where it ran.
    pub environment: Arc<str>,
}

/// How many runs of a source ended with a status.
pub type RunsEnded = ((Source, RunStatus), u64);

/// How many failures of a type and a code the ended runs of a source had.
pub type FailuresOfRuns = ((Source, FailureType, Arc<str>), u64);

/// Counts that only grow, until the process ends.
#[derive(Debug, Default)]
pub struct Outcomes(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    runs: Series<(Source, RunStatus)>,
    failures: Series<(Source, FailureType, Arc<str>)>,
}

/// Who comes first keeps a series of its own: a counter must not vanish, and must not move to another name.
#[derive(Debug)]
struct Series<K>(HashMap<K, u64>);

impl<K> Default for Series<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone + Ord> Series<K> {
    /// Counts `key`, or `rest`, for which there is always one of `reserved` places.
    fn add(&mut self, key: K, rest: impl FnOnce() -> K, reserved: usize) {
        if let Some(count) = self.0.get_mut(&key) {
            *count += 1;
        } else {
            let key = if self.0.len() + reserved < MOST_SERIES { key } else { rest() };
            *self.0.entry(key).or_default() += 1;
        }
    }

    fn read(&self) -> Vec<(K, u64)> {
        self.0.iter().map(|(key, count)| (key.clone(), *count)).collect()
    }
}

impl Outcomes {
    /// The ended runs, ascending by source and status.
    pub fn runs(&self) -> Vec<RunsEnded> {
        sorted(self.counts().runs.read())
    }

    /// The failures of ended runs, ascending by source, type and code.
    pub fn failures(&self) -> Vec<FailuresOfRuns> {
        sorted(self.counts().failures.read())
    }

    /// A run stands as `after` now; `before` is what was known of it.
    pub(crate) fn count(&self, before: Option<&RunSummary>, after: &RunSummary) {
        if after.status == RunStatus::Running {
            return;
        }
        let before = before.filter(|before| before.status != RunStatus::Running);
        if before.is_some() && after.failures.is_empty() {
            return;
        }
        let source = Source {
            agent_id: Arc::clone(&after.agent_id),
            agent_version: Arc::clone(&after.agent_version),
            environment: Arc::clone(&after.environment),
        };
        let known = before.map_or(&[][..], |before| &before.failures);
        if before.is_some() && known == after.failures {
            return;
        }
        let mut counted: HashMap<&FailureSummary, u32> = HashMap::new();
        for failure in known {
            *counted.entry(failure).or_default() += 1;
        }
        let counts = &mut *self.counts();
        for failure in &after.failures {
            if let Some(times) = counted.get_mut(failure).filter(|times| **times > 0) {
                *times -= 1;
                continue;
            }
            let FailureSummary { failure_type, failure_code } = failure.clone();
            let rest = || (Source::rest(), failure_type, Arc::from(REST));
            counts.failures.add((source.clone(), failure_type, failure_code), rest, FailureType::ALL.len());
        }
        if before.is_none() {
            let status = after.status;
            counts.runs.add((source, status), || (Source::rest(), status), RunStatus::ALL.len());
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While nobody holds the lock any more, for which those wait that put runs in.
fn sorted<K: Ord>(mut series: Vec<(K, u64)>) -> Vec<(K, u64)> {
    series.sort_unstable();
    series
}

impl Source {
    fn rest() -> Self {
        Self { agent_id: Arc::from(REST), agent_version: Arc::from(REST), environment: Arc::from(REST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::run;

    fn with(status: RunStatus, codes: &[&str]) -> RunSummary {
        let failure = |code: &&str| FailureSummary { failure_type: FailureType::Tool, failure_code: (*code).into() };
        RunSummary { status, failures: codes.iter().map(failure).collect(), ..run(1) }
    }

    fn total<K>(series: Vec<(K, u64)>) -> u64 {
        series.into_iter().map(|(_, count)| count).sum()
    }

    #[test]
    fn a_run_counts_once_and_each_of_its_failures_once() {
        let outcomes = Outcomes::default();
        let running = with(RunStatus::Running, &["timeout"]);
        outcomes.count(None, &running);
        assert_eq!((total(outcomes.runs()), total(outcomes.failures())), (0, 0));
        let failed = with(RunStatus::Failure, &["timeout"]);
        outcomes.count(Some(&running), &failed);
        outcomes.count(Some(&failed), &failed);
        assert_eq!((total(outcomes.runs()), total(outcomes.failures())), (1, 1));
        let late = with(RunStatus::Failure, &["timeout", "timeout", "cancelled"]);
        outcomes.count(Some(&failed), &late);
        assert_eq!((total(outcomes.runs()), total(outcomes.failures())), (1, 3));
        assert_eq!(outcomes.failures()[1].0.2, "timeout".into());
        assert_eq!(outcomes.failures()[1].1, 2);
        // It goes on after it was given up, and ends again.
        outcomes.count(Some(&late), &running);
        outcomes.count(Some(&running), &with(RunStatus::Success, &[]));
        assert_eq!(
            outcomes.runs().iter().map(|((_, status), count)| (*status, *count)).collect::<Vec<_>>(),
            [(RunStatus::Success, 1), (RunStatus::Failure, 1)]
        );
    }

    #[test]
    fn who_comes_when_all_series_are_given_away_counts_among_the_rest() {
        let outcomes = Outcomes::default();
        let agents: Vec<RunSummary> = (0..MOST_SERIES + 100)
            .map(|n| RunSummary { agent_id: format!("agent-{n}").into(), ..with(RunStatus::Failure, &["timeout"]) })
            .collect();
        for _ in 0..3 {
            agents.iter().for_each(|run| outcomes.count(None, run));
        }
        let (runs, failures) = (outcomes.runs(), outcomes.failures());
        assert!(runs.len() <= MOST_SERIES && failures.len() <= MOST_SERIES, "{} {}", runs.len(), failures.len());
        assert_eq!((total(runs), total(failures)), (3 * agents.len() as u64, 3 * agents.len() as u64));
        let known = outcomes.runs();
        let of =
            |agent: &str| known.iter().find(|((source, _), _)| &*source.agent_id == agent).map(|(_, count)| *count);
        assert_eq!(of("agent-0"), Some(3));
        assert_eq!(of(&format!("agent-{}", agents.len() - 1)), None);
        assert_eq!(of(REST), Some(3 * (agents.len() - (known.len() - 1)) as u64));
    }
}
