//! The steps of a run as bars on an axis of time, one row each, those of a step below it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::answers::{Run, Step};
use crate::human::{clean, shortened, whole_ms};
use crate::paint::Ink;
use crate::table::{Cell, Column, Page, Table};

/// A run of more steps is shown in part.
const SHOWN: usize = 60;
/// Of those, at the beginning and at the end.
const ENDS: usize = 8;
/// The narrowest and the widest axis.
const AXIS: std::ops::RangeInclusive<usize> = 8..=60;
/// How much of the page the names and what is said of a step may take.
const NAME_SHARE: f64 = 0.36;
const NOTE: usize = 26;

/// A step, and how deep it stands.
struct Row<'a> {
    step: &'a Step,
    depth: usize,
}

/// The steps as lines, and how many are not among them.
pub(crate) fn render(run: &Run, page: Page, all: bool, indent: usize) -> (String, usize) {
    let rows = tree(&run.steps);
    let shown = if all || rows.len() <= SHOWN { rows.iter().map(|row| row.step.seq).collect() } else { chosen(&rows) };
    let axis = Axis::of(run);
    let width = page.full() - indent;
    let longest = |text: &dyn Fn(&Row<'_>) -> String| {
        let rows = rows.iter().filter(|row| shown.contains(&row.step.seq));
        rows.map(|row| console::measure_text_width(&text(row))).max().unwrap_or(0)
    };
    let name_width = longest(&|row| name(row)).min((width as f64 * NAME_SHARE) as usize);
    let note_width = longest(&|row| note(row.step)).min(NOTE);
    let latency_width = longest(&|row| whole_ms(row.step.latency_ms)).max("latency".len());
    let seq_width = longest(&|row| row.step.seq.to_string());
    let rest = width.saturating_sub(seq_width + name_width + note_width + latency_width + 8);
    let bar_width = rest.clamp(*AXIS.start(), *AXIS.end());

    let mut table = Table::of(vec![
        Column::new("").right(),
        Column::new("").shrinks_to(name_width).left(),
        Column::new("").left(),
        Column::new("").right(),
        Column::new("").shrinks_to(8).left(),
    ])
    .indented(indent);
    let end = whole_ms(axis.whole_ms());
    let ruler = format!("0{:>width$}", end, width = bar_width - 1);
    table.cells([
        Cell::default(),
        Cell::default(),
        Cell::new(ruler).ink(Ink::Dim),
        Cell::new("latency").ink(Ink::Dim),
        Cell::default(),
    ]);
    let mut passed = 0;
    let folded = |table: &mut Table, passed: &mut usize| {
        if *passed > 0 {
            let text = crate::human::count(*passed as u64, "step", "steps");
            table.cells([Cell::default(), Cell::new(format!("… {text}")).ink(Ink::Dim)]);
            *passed = 0;
        }
    };
    for row in &rows {
        if !shown.contains(&row.step.seq) {
            passed += 1;
            continue;
        }
        folded(&mut table, &mut passed);
        let ink = if row.step.has_failed() { Ink::Red } else { type_ink(&row.step.step_type) };
        table.cells([
            Cell::new(row.step.seq.to_string()).ink(Ink::Dim),
            Cell::new(shortened(&name(row), name_width)),
            Cell::new(axis.bar(row.step, bar_width)).ink(ink),
            Cell::new(whole_ms(row.step.latency_ms)),
            Cell::new(shortened(&note(row.step), note_width)).ink(if row.step.has_failed() {
                Ink::Red
            } else {
                Ink::Dim
            }),
        ]);
    }
    folded(&mut table, &mut passed);
    let page = Page { width: Some(page.full()), ..page };
    (table.render(page), rows.len() - shown.len())
}

/// The colour of a type of steps.
pub(crate) fn type_ink(step_type: &str) -> Ink {
    match step_type {
        "tool" => Ink::Yellow,
        "plan" | "respond" => Ink::Cyan,
        "retrieve" => Ink::Green,
        _ => Ink::Dim,
    }
}

fn name(row: &Row<'_>) -> String {
    format!("{}{:<8}  {}", "  ".repeat(row.depth.min(8)), clean(&row.step.step_type), clean(&row.step.name))
}

fn note(step: &Step) -> String {
    let mut parts = Vec::new();
    if step.has_failed() {
        parts.push(match &step.error_code {
            Some(code) => format!("✗ {}", clean(code)),
            None => "✗ failed".to_owned(),
        });
    }
    if step.is_retried() {
        parts.push(format!("attempt {}/{}", step.attempt, step.attempts_total));
    }
    parts.join(", ")
}

/// The steps in their order, those of a step behind it.
fn tree(steps: &[Step]) -> Vec<Row<'_>> {
    let known: HashMap<&str, &Step> = steps.iter().map(|step| (step.step_id.as_str(), step)).collect();
    let mut children: BTreeMap<Option<&str>, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        let parent = step.parent_step_id.as_deref().filter(|parent| known.contains_key(parent));
        children.entry(parent).or_default().push(step);
    }
    let mut rows = Vec::with_capacity(steps.len());
    let mut waiting: Vec<Row<'_>> = Vec::new();
    waiting.extend(children.remove(&None).unwrap_or_default().into_iter().rev().map(|step| Row { step, depth: 0 }));
    while let Some(row) = waiting.pop() {
        let below = children.remove(&Some(row.step.step_id.as_str())).unwrap_or_default();
        waiting.extend(below.into_iter().rev().map(|step| Row { step, depth: row.depth + 1 }));
        rows.push(row);
    }
    // Steps that are parents of each other in a ring have no beginning; none may be lost.
    let mut rings: Vec<_> = children.into_values().flatten().collect();
    rings.sort_by_key(|step| step.seq);
    rows.extend(rings.into_iter().map(|step| Row { step, depth: 0 }));
    rows
}

/// The steps of a long run that say most about it: the ends, what failed, what was tried again, the longest.
fn chosen(rows: &[Row<'_>]) -> BTreeSet<u64> {
    let ends = rows.iter().take(ENDS).chain(rows.iter().rev().take(ENDS));
    let mut chosen: BTreeSet<u64> = ends.map(|row| row.step.seq).collect();
    let mut by_weight: Vec<_> = rows.iter().map(|row| row.step).collect();
    // Stable, so of equal ones the earlier.
    by_weight.sort_by_key(|step| {
        let of_last_attempt = step.is_retried() && step.attempt == step.attempts_total;
        std::cmp::Reverse((step.has_failed() && (of_last_attempt || !step.is_retried()), step.latency_ms))
    });
    for step in by_weight {
        if chosen.len() >= SHOWN {
            break;
        }
        chosen.insert(step.seq);
    }
    chosen
}

/// From the first that happens in a run to the last.
struct Axis {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Axis {
    fn of(run: &Run) -> Self {
        let starts = run.steps.iter().map(|step| step.started_at);
        let ends = run.steps.iter().map(|step| step.ended_at.max(step.started_at));
        let start = starts.chain([run.started_at]).min().unwrap_or(run.started_at);
        let end = ends.chain(run.ended_at).chain([run.started_at]).max().unwrap_or(run.started_at);
        Self { start, end }
    }

    fn whole_ms(&self) -> u64 {
        (self.end - self.start).num_milliseconds().max(0).cast_unsigned()
    }

    /// A step as characters: what takes any time has one at least.
    fn bar(&self, step: &Step, width: usize) -> String {
        let whole = (self.end - self.start).num_microseconds().unwrap_or(i64::MAX).max(1) as f64;
        let place = |time: DateTime<Utc>| {
            let share = (time - self.start).num_microseconds().unwrap_or(0).max(0) as f64 / whole;
            (share * width as f64).min(width as f64)
        };
        let (from, to) = (place(step.started_at), place(step.ended_at.max(step.started_at)));
        let first = (from as usize).min(width - 1);
        let last = (to.ceil() as usize).clamp(first + 1, width);
        let ink = if step.has_failed() { '▒' } else { '█' };
        // A piece that is much thinner than a character is drawn thin.
        let ink = if to - from < 0.25 && last - first == 1 && !step.has_failed() { '▏' } else { ink };
        format!("{}{}", " ".repeat(first), ink.to_string().repeat(last - first))
    }
}
