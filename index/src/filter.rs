//! Which runs a question is about.

use std::ops::{BitOr, RangeInclusive};

use agenttracer_model::taxonomy::{FailureType, ReasonCode, RunStatus, SignalCode, StepType};
use agenttracer_model::{Position, Timestamp};
use uuid::Uuid;

use crate::RunSummary;

/// A conjunction of conditions; within one condition, any of the values. An empty list or `None` is no condition.
///
/// The default matches every run that has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Exact agents.
    pub agent_id: Vec<String>,
    /// Exact versions.
    pub agent_version: Vec<String>,
    /// Exact environments.
    pub environment: Vec<String>,
    /// Statuses. Without any, here or in [`conditions`](Self::conditions), every status but `running`.
    pub status: Vec<RunStatus>,
    /// Also live runs that go on, whatever `status` says.
    pub live: bool,
    /// Not before, on `started_at`; inclusive.
    pub start_time: Option<Timestamp>,
    /// Not after, on `started_at`; inclusive.
    pub end_time: Option<Timestamp>,
    /// Not within these times.
    pub not_started: Vec<RangeInclusive<Timestamp>>,
    /// Runs with a failure of one of these types.
    pub failure_type: Vec<FailureType>,
    /// Runs with a failure of one of these codes.
    pub failure_code: Vec<String>,
    /// Runs that came to fail in one of these ways: see `agenttracer_model::failure_path`.
    pub failure_cluster: Vec<u64>,
    /// Runs with a step of one of these types.
    pub step_type: Vec<StepType>,
    /// Runs with a step of one of these names.
    pub step_name: Vec<String>,
    /// Runs with a decision for one of these reasons.
    pub reason: Vec<ReasonCode>,
    /// Runs with one of these signals, of this value.
    pub signal: Vec<(SignalCode, bool)>,
    /// Runs of one of these conversations.
    pub session_id: Vec<String>,
    /// Runs that one of these runs started.
    pub parent_run_id: Vec<Uuid>,
    /// For each key, any of the values, as [`Value::as_fact`](agenttracer_model::Value::as_fact) writes them.
    pub metadata: Vec<(String, Vec<String>)>,
    /// Runs with, or without, a second attempt.
    pub has_retries: Option<bool>,
    /// At least this long, in ms; a run without `ended_at` has no duration and never matches.
    pub min_duration_ms: Option<u64>,
    /// At most this long, in ms; as above.
    pub max_duration_ms: Option<u64>,
    /// What a search line asks beside all that.
    pub conditions: Vec<Condition>,
    /// Only runs whose position is below this one: what a cursor was opened at.
    pub before_position: Option<Position>,
    /// Set when a value was asked for that no run can have (an unknown status): nothing matches.
    pub nothing: bool,
}

/// One condition of a search line.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Runs that do not pass the test.
    pub negated: bool,
    /// The test.
    pub test: Test,
}

/// What a condition tests.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Any of these.
    Any(Vec<NameTest>),
    /// A number within a range; a run without the number does not pass.
    Number(NumberField, RangeInclusive<u64>),
}

/// A test of one of a run's names.
#[derive(Clone, Debug, PartialEq)]
pub enum NameTest {
    /// The name is this one.
    Is(Name, String),
    /// The name begins with this.
    Begins(Name, String),
    /// An agent, version, environment, step name or failure code holds this text; ASCII letters in either case.
    Word(String),
    /// A decision was made for this reason.
    Reason(ReasonCode),
    /// A signal was recorded with this value.
    Signal(SignalCode, bool),
    /// Another run started it.
    Parent(Uuid),
    /// It came to fail in this way.
    Cluster(u64),
    /// A fact of this key has this value.
    Fact(String, String),
    /// A fact of this key has a value that begins with this.
    FactBegins(String, String),
}

/// The names of a run that can be tested.
#[expect(missing_docs, reason = "they are those of the contract")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    AgentId,
    AgentVersion,
    Environment,
    Status,
    FailureType,
    FailureCode,
    StepType,
    StepName,
    SessionId,
}

/// The numbers of a run that can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberField {
    /// `duration_ms`; a run that has not ended has none.
    DurationMs,
    /// How many steps.
    StepCount,
    /// How many of them are a second or later attempt.
    RetryCount,
}

impl NumberField {
    /// The number of a run.
    pub fn of(self, run: &RunSummary) -> Option<u64> {
        match self {
            Self::DurationMs => run.duration_ms,
            Self::StepCount => Some(run.step_count().into()),
            Self::RetryCount => Some(run.retry_count.into()),
        }
    }
}

impl Filter {
    /// Whether `run` meets every condition.
    pub fn matches(&self, run: &RunSummary) -> bool {
        any(&self.agent_id, |agent| **agent == *run.agent_id)
            && any(&self.agent_version, |version| **version == *run.agent_version)
            && any(&self.environment, |environment| **environment == *run.environment)
            && run.started
            && match run.status {
                RunStatus::Running => !self.hides_running() && (self.live || any(&self.status, is_running)),
                _ => self.status.is_empty() || self.status.contains(&run.status),
            }
            && self.start_time.is_none_or(|start| run.started_at >= start)
            && self.end_time.is_none_or(|end| run.started_at <= end)
            && !self.not_started.iter().any(|times| times.contains(&run.started_at))
            && any(&self.failure_type, |kind| run.failures.iter().any(|failure| failure.failure_type == *kind))
            && any(&self.failure_code, |code| run.failures.iter().any(|failure| *failure.failure_code == **code))
            && any(&self.failure_cluster, |cluster| run.failure_cluster == Some(*cluster))
            && any(&self.step_type, |kind| run.steps.iter().any(|step| step.step_type == *kind))
            && any(&self.step_name, |name| has_step(run, name))
            && any(&self.reason, |reason| run.decisions.iter().any(|decision| decision.reason == *reason))
            && any(&self.signal, |asked| run.signals.iter().any(|signal| (signal.code, signal.value) == *asked))
            && any(&self.session_id, |session| run.session_id.as_deref() == Some(session))
            && any(&self.parent_run_id, |parent| run.parent_run_id == Some(*parent))
            && self.metadata.iter().all(|(key, values)| {
                run.facts().any(|(have, fact)| have == *key && values.iter().any(|value| *value == *fact))
            })
            && self.has_retries.is_none_or(|retries| retries == (run.retry_count > 0))
            && self.durations().is_none_or(|range| run.duration_ms.is_some_and(|ms| range.contains(&ms)))
            && self.conditions.iter().all(|condition| condition.matches(run))
            && self.before_position.is_none_or(|position| run.position() < position)
            && !self.nothing
    }

    /// The same without live runs that go on: statistics count what has ended.
    pub(crate) fn ended(&self) -> Self {
        let mut ended = Self { live: false, ..self.clone() };
        ended.status.retain(|status| *status != RunStatus::Running);
        ended.nothing |= ended.status.is_empty() && !self.status.is_empty();
        if !ended.hides_running() {
            let running = NameTest::Is(Name::Status, RunStatus::Running.as_str().to_owned());
            ended.conditions.push(Condition { negated: true, test: Test::Any(vec![running]) });
        }
        ended
    }

    /// Which of agent, version and environment it asks for; `None` when it asks for anything but these and times, or for
    /// times that are no range.
    pub(crate) fn dimensions(&self) -> Option<Dimensions> {
        let Self {
            agent_id,
            agent_version,
            environment,
            status,
            live,
            start_time: _,
            end_time: _,
            not_started,
            failure_type,
            failure_code,
            failure_cluster,
            step_type,
            step_name,
            reason,
            signal,
            session_id,
            parent_run_id,
            metadata,
            has_retries,
            min_duration_ms,
            max_duration_ms,
            conditions,
            before_position,
            nothing,
        } = self;
        let asks_for_more = !status.is_empty()
            || *live
            || !not_started.is_empty()
            || !failure_type.is_empty()
            || !failure_code.is_empty()
            || !failure_cluster.is_empty()
            || !step_type.is_empty()
            || !step_name.is_empty()
            || !reason.is_empty()
            || !signal.is_empty()
            || !session_id.is_empty()
            || !parent_run_id.is_empty()
            || !metadata.is_empty()
            || has_retries.is_some()
            || min_duration_ms.is_some()
            || max_duration_ms.is_some()
            || before_position.is_some()
            || *nothing;
        if asks_for_more {
            return None;
        }
        let lists = Dimensions {
            agent: !agent_id.is_empty(),
            version: !agent_version.is_empty(),
            environment: !environment.is_empty(),
        };
        conditions.iter().try_fold(lists, |dimensions, condition| Some(dimensions | condition.dimensions()?))
    }

    /// Whether runs of this agent, version and environment meet it, when it asks for [`dimensions`](Self::dimensions) only.
    pub(crate) fn asks_for_names(&self, names: [&str; 3]) -> bool {
        let [agent, version, environment] = names;
        any(&self.agent_id, |asked| asked == agent)
            && any(&self.agent_version, |asked| asked == version)
            && any(&self.environment, |asked| asked == environment)
            && self.conditions.iter().all(|condition| condition.asks_for_names(names))
    }

    /// The metadata keys that are asked for.
    pub(crate) fn metadata_keys(&self) -> impl Iterator<Item = &str> {
        let of_line = self.conditions.iter().flat_map(|condition| match &condition.test {
            Test::Any(tests) => tests.as_slice(),
            Test::Number(..) => &[],
        });
        let of_line = of_line.filter_map(|test| match test {
            NameTest::Fact(key, _) | NameTest::FactBegins(key, _) => Some(key.as_str()),
            _ => None,
        });
        self.metadata.iter().map(|(key, _)| key.as_str()).chain(of_line)
    }

    /// Whether live runs are left out because nobody asked for them.
    pub(crate) fn hides_running(&self) -> bool {
        let asks_status = |condition: &Condition| {
            let Test::Any(tests) = &condition.test else { return false };
            !condition.negated && tests.iter().any(|test| matches!(test, NameTest::Is(Name::Status, _)))
        };
        !self.live && self.status.is_empty() && !self.conditions.iter().any(asks_status)
    }

    /// Whether no run at all can match, whatever there is.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.nothing
            || self.start_time.zip(self.end_time).is_some_and(|(start, end)| start > end)
            || self.durations().is_some_and(|range| range.is_empty())
            || self.metadata.iter().any(|(_, values)| values.is_empty())
            || self.before_position == Some(Position::ZERO)
    }

    /// The durations asked for, in ms; `None` when any will do, none included.
    pub(crate) fn durations(&self) -> Option<RangeInclusive<u64>> {
        (self.min_duration_ms.is_some() || self.max_duration_ms.is_some())
            .then(|| self.min_duration_ms.unwrap_or(0)..=self.max_duration_ms.unwrap_or(u64::MAX))
    }
}

/// The names by which rollups tell runs apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dimensions {
    pub(crate) agent: bool,
    pub(crate) version: bool,
    pub(crate) environment: bool,
}

impl BitOr for Dimensions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            agent: self.agent || other.agent,
            version: self.version || other.version,
            environment: self.environment || other.environment,
        }
    }
}

impl Condition {
    /// As [`Filter::dimensions`].
    fn dimensions(&self) -> Option<Dimensions> {
        let Test::Any(tests) = &self.test else { return None };
        tests.iter().try_fold(Dimensions::default(), |dimensions, test| {
            let (NameTest::Is(name, _) | NameTest::Begins(name, _)) = test else { return None };
            let none = Dimensions::default();
            let of_test = match name {
                Name::AgentId => Dimensions { agent: true, ..none },
                Name::AgentVersion => Dimensions { version: true, ..none },
                Name::Environment => Dimensions { environment: true, ..none },
                _ => return None,
            };
            Some(dimensions | of_test)
        })
    }

    /// As [`Filter::asks_for_names`].
    fn asks_for_names(&self, [agent, version, environment]: [&str; 3]) -> bool {
        let Test::Any(tests) = &self.test else { return false };
        let name_of = |name: &Name| match name {
            Name::AgentId => agent,
            Name::AgentVersion => version,
            _ => environment,
        };
        let passes = tests.iter().any(|test| match test {
            NameTest::Is(name, text) => name_of(name) == text,
            NameTest::Begins(name, text) => name_of(name).starts_with(text.as_str()),
            _ => false,
        });
        passes != self.negated
    }

    fn matches(&self, run: &RunSummary) -> bool {
        let passes = match &self.test {
            Test::Any(tests) => tests.iter().any(|test| test.passes(run)),
            Test::Number(field, range) => field.of(run).is_some_and(|number| range.contains(&number)),
        };
        passes != self.negated
    }
}

impl NameTest {
    fn passes(&self, run: &RunSummary) -> bool {
        match self {
            Self::Is(Name::StepName, name) => has_step(run, name),
            Self::Is(name, text) => names_of(run, *name, |have| have == text),
            Self::Begins(name, text) => names_of(run, *name, |have| have.starts_with(text.as_str())),
            Self::Word(word) => {
                let holds = |have: &str| holds_word(have, word);
                [Name::AgentId, Name::AgentVersion, Name::Environment, Name::StepName, Name::FailureCode]
                    .iter()
                    .any(|name| names_of(run, *name, holds))
            }
            Self::Reason(reason) => run.decisions.iter().any(|decision| decision.reason == *reason),
            Self::Signal(code, value) => {
                run.signals.iter().any(|signal| (signal.code, signal.value) == (*code, *value))
            }
            Self::Parent(parent) => run.parent_run_id == Some(*parent),
            Self::Cluster(cluster) => run.failure_cluster == Some(*cluster),
            Self::Fact(key, value) => run.facts().any(|(have, fact)| have == key && *fact == **value),
            Self::FactBegins(key, text) => run.facts().any(|(have, fact)| have == key && fact.starts_with(&**text)),
        }
    }
}

/// Whether any of the run's names of this kind passes.
fn names_of(run: &RunSummary, name: Name, passes: impl Fn(&str) -> bool) -> bool {
    match name {
        Name::AgentId => passes(&run.agent_id),
        Name::AgentVersion => passes(&run.agent_version),
        Name::Environment => passes(&run.environment),
        Name::Status => passes(run.status.as_str()),
        Name::FailureType => run.failures.iter().any(|failure| passes(failure.failure_type.as_str())),
        Name::FailureCode => run.failures.iter().any(|failure| passes(&failure.failure_code)),
        Name::StepType => run.steps.iter().any(|step| passes(step.step_type.as_str())),
        Name::StepName => run.step_names().any(|name| passes(name)),
        Name::SessionId => run.session_id.as_deref().is_some_and(passes),
    }
}

fn is_running(status: &RunStatus) -> bool {
    *status == RunStatus::Running
}

fn has_step(run: &RunSummary, name: &str) -> bool {
    run.steps.binary_search_by(|step| (*step.name).cmp(name)).is_ok()
}

/// Whether `text` holds `word`, with ASCII letters in either case.
pub(crate) fn holds_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    word.is_empty() || text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// Whether one of `values` holds; no value is no condition.
fn any<T>(values: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(holds)
}
