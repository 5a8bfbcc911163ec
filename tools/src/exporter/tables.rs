//! The tables of an export: five kinds, their columns, and the rows of a run.

use agenttracer_model::{DecisionView, FailureView, Metadata, RunView, SignalView, StepView, Timestamp};
use uuid::Uuid;

use super::Finished;

/// A kind of rows.
pub(crate) struct Table {
    /// The name of its file, without the ending.
    pub(crate) name: &'static str,
    /// In the order of the cells of a row.
    pub(crate) columns: &'static [Column],
}

/// A column of a table.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A UUID, as text: what the API answers, and what joins in every tool. `unique`: of the row itself.
    Id {
        unique: bool,
    },
    /// Text whose values repeat.
    Text,
    /// Text whose values rarely repeat.
    LongText,
    /// A signed integer of 64 bits.
    Int,
    /// A float of 64 bits.
    Float,
    Bool,
    /// An instant in UTC, microseconds.
    Time,
    /// A JSON object, as text.
    Json,
}

/// A value.
#[derive(Clone, Copy)]
pub(crate) enum Cell<'a> {
    Null,
    Id(Uuid),
    Text(&'a str),
    Int(i64),
    Float(f64),
    Bool(bool),
    Time(Timestamp),
    Json(&'a Metadata),
}

/// Where the rows of a table go.
pub(crate) trait TableWriter {
    /// Adds a row: a cell a column, in their order.
    fn add(&mut self, cells: &[Cell<'_>]) -> anyhow::Result<()>;

    /// Completes the file.
    fn finish(self: Box<Self>) -> anyhow::Result<Finished>;
}

const fn must(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false }
}

const fn may(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true }
}

const ID: Kind = Kind::Id { unique: true };
const REFERENCE: Kind = Kind::Id { unique: false };
use Kind::{Bool, Float, Int, Json, LongText, Text, Time};

const RUNS: usize = 0;
const STEPS: usize = 1;
const FAILURES: usize = 2;
const DECISIONS: usize = 3;
const SIGNALS: usize = 4;

/// All tables. Names of columns are those of the API.
pub(crate) const TABLES: [Table; 5] = [
    Table {
        name: "runs",
        columns: &[
            must("run_id", ID),
            must("agent_id", Text),
            must("agent_version", Text),
            must("environment", Text),
            must("status", Text),
            must("started_at", Time),
            may("ended_at", Time),
            must("created_at", Time),
            may("duration_ms", Int),
            may("parent_run_id", REFERENCE),
            may("parent_step_id", REFERENCE),
            may("session_id", Text),
            may("trace_id", LongText),
            must("metadata", Json),
            must("removed_count", Int),
            must("position", Int),
            must("step_count", Int),
            must("failure_count", Int),
            must("decision_count", Int),
            must("signal_count", Int),
        ],
    },
    Table {
        name: "steps",
        columns: &[
            must("run_id", REFERENCE),
            must("step_id", ID),
            must("seq", Int),
            must("step_type", Text),
            must("name", Text),
            must("status", Text),
            must("latency_ms", Int),
            must("started_at", Time),
            must("ended_at", Time),
            may("error_code", Text),
            may("parent_step_id", REFERENCE),
            must("attempt", Int),
            must("attempts_total", Int),
            may("retry_group", REFERENCE),
            must("metadata", Json),
            must("created_at", Time),
        ],
    },
    Table {
        name: "failures",
        columns: &[
            must("run_id", REFERENCE),
            must("failure_id", ID),
            may("step_id", REFERENCE),
            must("failure_type", Text),
            must("failure_code", Text),
            must("message", LongText),
            must("created_at", Time),
        ],
    },
    Table {
        name: "decisions",
        columns: &[
            must("run_id", REFERENCE),
            must("decision_id", ID),
            may("step_id", REFERENCE),
            must("decision_type", Text),
            must("reason_code", Text),
            must("selected", Text),
            may("confidence", Float),
            must("metadata", Json),
            must("recorded_at", Time),
            must("created_at", Time),
        ],
    },
    Table {
        name: "signals",
        columns: &[
            must("run_id", REFERENCE),
            must("signal_id", ID),
            may("step_id", REFERENCE),
            must("signal_type", Text),
            must("signal_code", Text),
            must("value", Bool),
            may("weight", Float),
            must("tone", Text),
            must("metadata", Json),
            must("recorded_at", Time),
            must("created_at", Time),
        ],
    },
];

/// Gives each row of a run, with the index of its table.
pub(crate) fn each_row(
    run: &RunView,
    mut row: impl FnMut(usize, &[Cell<'_>]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    row(RUNS, &run_cells(run))?;
    run.steps.iter().try_for_each(|step| row(STEPS, &step_cells(step)))?;
    run.failures.iter().try_for_each(|failure| row(FAILURES, &failure_cells(failure)))?;
    run.decisions.iter().try_for_each(|decision| row(DECISIONS, &decision_cells(decision)))?;
    run.quality_signals.iter().try_for_each(|signal| row(SIGNALS, &signal_cells(signal)))
}

fn run_cells(run: &RunView) -> [Cell<'_>; 20] {
    [
        Cell::Id(run.run_id),
        Cell::Text(&run.agent_id),
        Cell::Text(&run.agent_version),
        Cell::Text(&run.environment),
        Cell::Text(run.status.as_str()),
        Cell::Time(run.started_at),
        time(run.ended_at),
        Cell::Time(run.created_at),
        run.duration_ms.map_or(Cell::Null, int),
        id(run.parent_run_id),
        id(run.parent_step_id),
        text(run.session_id.as_deref()),
        text(run.trace_id.as_deref()),
        Cell::Json(&run.metadata),
        int(u64::from(run.removed_count)),
        int(run.position.get()),
        count(&run.steps),
        count(&run.failures),
        count(&run.decisions),
        count(&run.quality_signals),
    ]
}

fn step_cells(step: &StepView) -> [Cell<'_>; 16] {
    [
        Cell::Id(step.run_id),
        Cell::Id(step.step_id),
        int(u64::from(step.seq)),
        Cell::Text(step.step_type.as_str()),
        Cell::Text(&step.name),
        Cell::Text(step.status.as_str()),
        int(step.latency_ms),
        Cell::Time(step.started_at),
        Cell::Time(step.ended_at),
        text(step.error_code.as_deref()),
        id(step.parent_step_id),
        int(u64::from(step.attempt)),
        int(u64::from(step.attempts_total)),
        id(step.retry_group),
        Cell::Json(&step.metadata),
        Cell::Time(step.created_at),
    ]
}

fn failure_cells(failure: &FailureView) -> [Cell<'_>; 7] {
    [
        Cell::Id(failure.run_id),
        Cell::Id(failure.failure_id),
        id(failure.step_id),
        Cell::Text(failure.failure_type.as_str()),
        Cell::Text(&failure.failure_code),
        Cell::Text(&failure.message),
        Cell::Time(failure.created_at),
    ]
}

fn decision_cells(decision: &DecisionView) -> [Cell<'_>; 10] {
    [
        Cell::Id(decision.run_id),
        Cell::Id(decision.decision_id),
        id(decision.step_id),
        Cell::Text(decision.decision_type.as_str()),
        Cell::Text(decision.reason_code),
        Cell::Text(&decision.selected),
        float(decision.confidence),
        Cell::Json(&decision.metadata),
        Cell::Time(decision.recorded_at),
        Cell::Time(decision.created_at),
    ]
}

fn signal_cells(signal: &SignalView) -> [Cell<'_>; 11] {
    [
        Cell::Id(signal.run_id),
        Cell::Id(signal.signal_id),
        id(signal.step_id),
        Cell::Text(signal.signal_type.as_str()),
        Cell::Text(signal.signal_code),
        Cell::Bool(signal.value),
        float(signal.weight),
        Cell::Text(signal.tone.as_str()),
        Cell::Json(&signal.metadata),
        Cell::Time(signal.recorded_at),
        Cell::Time(signal.created_at),
    ]
}

/// Every number here is far below 2^63: positions, counts, milliseconds up to 2^53.
fn int(number: u64) -> Cell<'static> {
    Cell::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn count<T>(list: &[T]) -> Cell<'static> {
    int(list.len() as u64)
}

fn float(number: Option<f64>) -> Cell<'static> {
    number.map_or(Cell::Null, Cell::Float)
}

fn id(id: Option<Uuid>) -> Cell<'static> {
    id.map_or(Cell::Null, Cell::Id)
}

fn time(time: Option<Timestamp>) -> Cell<'static> {
    time.map_or(Cell::Null, Cell::Time)
}

fn text(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::Null, Cell::Text)
}

#[cfg(test)]
mod tests {
    use agenttracer_model::{Position, sample};

    use super::*;

    #[test]
    fn a_row_has_a_cell_of_its_kind_for_each_column() {
        let mut rows = [0; 5];
        for seed in 0..50 {
            let run = RunView::from_run(&sample::run(seed), Timestamp::from_micros(1), Position::new(seed));
            each_row(&run, |table, cells| {
                rows[table] += 1;
                assert_eq!(cells.len(), TABLES[table].columns.len());
                for (cell, column) in cells.iter().zip(TABLES[table].columns) {
                    let fits = match (cell, column.kind) {
                        (Cell::Null, _) => column.nullable,
                        (Cell::Id(_), Kind::Id { .. }) | (Cell::Text(_), Kind::Text | Kind::LongText) => true,
                        (Cell::Int(_), Kind::Int) | (Cell::Float(_), Kind::Float) => true,
                        (Cell::Bool(_), Kind::Bool) | (Cell::Time(_), Kind::Time) => true,
                        (Cell::Json(_), Kind::Json) => true,
                        _ => false,
                    };
                    assert!(fits, "{}.{}", TABLES[table].name, column.name);
                }
                Ok(())
            })
            .unwrap();
        }
        assert!(rows.iter().all(|rows| *rows > 0), "{rows:?}");
    }
}
