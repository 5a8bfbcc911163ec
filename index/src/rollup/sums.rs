use std::collections::{HashMap, HashSet};

use agenttracer_model::taxonomy::{FailureType, RunStatus};
use tantivy::DocId;
use tantivy::columnar::{Column, StrColumn};

use super::Width;
use super::cell::{Cell, hour_of};
use super::texts::Texts;
use crate::columns::{Columns, Number, Text};
use crate::gather::{Aggregate, UsageValues, Values, dictionary, model_of};
use crate::timeline::statuses;
use crate::{IndexError, RunSummary};

/// To which cell a run belongs; names are numbers of [`Texts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CellKey {
    pub(crate) agent: u32,
    pub(crate) version: u32,
    pub(crate) environment: u32,
    /// With which its time begins.
    pub(crate) hour: i32,
}

/// Runs put into cells: hot ones from their summaries, cold ones from columns, with the same outcome.
#[derive(Default)]
pub(crate) struct CellSums {
    pub(crate) texts: Texts,
    pub(crate) cells: Cells,
}

/// Cells by their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cells {
    pub(crate) width: Width,
    pub(crate) by_key: HashMap<CellKey, Cell>,
    /// How many texts they count, together.
    texts: usize,
    bounds: Bounds,
}

/// The most cells, and the most texts: in all of them, or that are told apart.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    cells: usize,
    texts: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { cells: usize::MAX, texts: usize::MAX }
    }
}

impl Cells {
    /// None yet, as `other` began.
    fn like(other: &Self) -> Self {
        Self { width: other.width, bounds: other.bounds, ..Self::default() }
    }

    /// Adds what a cell of this width, or of a smaller one, holds. Where hours would be too many cells, all become days.
    ///
    /// # Errors
    /// `TooMany` when days are, too.
    fn add(&mut self, key: CellKey, cell: &Cell) -> Result<(), IndexError> {
        let sum = self.by_key.entry(self.width.key(key)).or_default();
        let before = sum.texts();
        sum.change(None, Some(cell));
        self.texts = self.texts - before + sum.texts();
        if self.is_small() { Ok(()) } else { self.made_small() }
    }

    /// Makes days of cells that are too many.
    fn made_small(&mut self) -> Result<(), IndexError> {
        match self.width {
            Width::Hour => self.widen(),
            Width::Day => Err(IndexError::TooMany { what: "cells of agents, versions, environments and days" }),
        }
    }

    /// Makes days of the hours.
    fn widen(&mut self) -> Result<(), IndexError> {
        let days = Self { width: Width::Day, ..Self::like(self) };
        let hours = std::mem::replace(self, days).by_key;
        hours.into_iter().try_for_each(|(key, cell)| self.add(key, &cell))
    }

    fn is_small(&self) -> bool {
        self.by_key.len() <= self.bounds.cells && self.texts <= self.bounds.texts
    }

    fn check_texts(&self, texts: usize) -> Result<(), IndexError> {
        match texts <= self.bounds.texts {
            true => Ok(()),
            false => Err(IndexError::TooMany { what: "texts" }),
        }
    }
}

/// What is read of a segment. Keys and tallies have the numbers that texts have in the segment.
pub(crate) struct SegmentCells<'a> {
    columns: &'a Columns,
    names: [&'a StrColumn; 3],
    statuses: Vec<RunStatus>,
    duration_ms: &'a Column<u64>,
    /// Of each value of the failure column: its type, and the number of its code in `codes`.
    failures: Vec<(FailureType, u32)>,
    codes: Texts,
    cells: Cells,
    /// Of each document of a block, the place of its cell in `of_block`.
    block: Vec<usize>,
    of_block: Vec<(CellKey, Cell)>,
    keys: Vec<CellKey>,
    buffers: Values,
    usage: UsageValues,
}

impl CellSums {
    /// No runs yet. Adding more than the cold runs of so many cells, or of more than `texts` texts, is an error.
    pub(crate) fn bounded(cells: usize, texts: usize) -> Self {
        let cells = Cells { bounds: Bounds { cells, texts }, ..Cells::default() };
        Self { cells, ..Self::default() }
    }

    /// The same within these bounds, in days where hours are beyond them.
    ///
    /// # Errors
    /// `TooMany` when days are, too.
    pub(crate) fn within(mut self, cells: usize, texts: usize) -> Result<Self, IndexError> {
        self.cells.bounds = Bounds { cells, texts };
        self.cells.check_texts(self.texts.len())?;
        self.cells.texts = self.cells.by_key.values().map(Cell::texts).sum();
        if !self.cells.is_small() {
            self.cells.made_small()?;
        }
        Ok(self)
    }

    /// No runs yet, and cells of this width.
    pub(crate) fn of_width(width: Width) -> Self {
        Self { cells: Cells { width, ..Cells::default() }, ..Self::default() }
    }
}

impl Aggregate for CellSums {
    type Segment<'a> = SegmentCells<'a>;

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        if !Cell::counts(run) {
            return Ok(());
        }
        let texts = &mut self.texts;
        let key = CellKey {
            agent: texts.number(&run.agent_id),
            version: texts.number(&run.agent_version),
            environment: texts.number(&run.environment),
            hour: hour_of(run.started_at.as_micros()),
        };
        let cell = self.cells.by_key.entry(self.cells.width.key(key)).or_default();
        cell.see(run.started_at.as_micros());
        cell.by_status[run.status as usize] += 1;
        for (at, steps) in run.steps_by_type().into_iter().enumerate() {
            cell.steps_by_type[at] += u64::from(steps);
            cell.runs_by_step_type[at] += u64::from(steps > 0);
        }
        cell.step_latency_ms += u128::from(run.step_latency_ms());
        cell.runs_with_retries += u64::from(run.retry_count > 0);
        cell.retry_waste_ms += u128::from(run.timing.retry_waste_ms);
        if let Some(ms) = run.duration_ms {
            cell.durations.add_duration(ms);
        }
        for used in &run.usage {
            cell.usage.add(texts.number(&used.model), used.steps.into(), used.amounts);
        }
        // A live run may have tens of thousands of them.
        let (mut codes, mut kinds) = (HashSet::new(), HashSet::new());
        for failure in &run.failures {
            let text = format!("{}/{}", failure.failure_type.as_str(), failure.failure_code);
            cell.failures.add(texts.number(&text), 1);
            if codes.insert(&failure.failure_code) {
                cell.runs_by_code.add(texts.number(&failure.failure_code), 1);
            }
            if kinds.insert(failure.failure_type) {
                cell.runs_by_failure_type[failure.failure_type as usize] += 1;
            }
        }
        Ok(())
    }

    fn open<'a>(&mut self, _ord: u32, columns: &'a Columns) -> Result<SegmentCells<'a>, IndexError> {
        let names = [Text::AgentId, Text::AgentVersion, Text::Environment];
        let [agent, version, environment] = names.map(|name| columns.text(name));
        for column in names.into_iter().chain([Text::Failure, Text::Usage]) {
            self.cells.check_texts(columns.text(column)?.num_terms())?;
        }
        let (mut failures, mut codes) = (Vec::new(), Texts::default());
        let mut unknown = false;
        dictionary(columns.text(Text::Failure)?, |_, text| {
            let named = text.split_once('/').and_then(|(kind, code)| Some((FailureType::parse(kind)?, code)));
            match named {
                Some((kind, code)) => failures.push((kind, codes.number(code))),
                None => unknown = true,
            }
            Ok(())
        })?;
        if unknown {
            return Err(IndexError::Document("a failure without a known type".to_owned()));
        }
        Ok(SegmentCells {
            columns,
            names: [agent?, version?, environment?],
            statuses: statuses(columns)?,
            duration_ms: columns.number(Number::DurationMs)?,
            failures,
            codes,
            cells: Cells::like(&self.cells),
            block: Vec::new(),
            of_block: Vec::new(),
            keys: Vec::new(),
            buffers: Values::default(),
            usage: UsageValues::default(),
        })
    }

    fn add_docs(&mut self, segment: &mut SegmentCells<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        segment.find_cells(docs);
        let SegmentCells { columns, block, of_block, buffers, .. } = segment;
        let statuses = buffers.one_each(columns.text(Text::Status)?.ords(), docs);
        for ((at, doc), ord) in block.iter().zip(docs).zip(statuses) {
            let cell = &mut of_block[*at].1;
            cell.see(columns.started_at().get_val(*doc));
            cell.by_status[segment.statuses[*ord as usize] as usize] += 1;
        }
        for (index, number) in Number::STEPS_BY_TYPE.into_iter().enumerate() {
            for (at, steps) in block.iter().zip(buffers.one_each(columns.number(number)?, docs)) {
                of_block[*at].1.steps_by_type[index] += steps;
                of_block[*at].1.runs_by_step_type[index] += u64::from(*steps > 0);
            }
        }
        for (at, ms) in block.iter().zip(buffers.one_each(columns.number(Number::StepLatencyMs)?, docs)) {
            of_block[*at].1.step_latency_ms += u128::from(*ms);
        }
        for (at, retries) in block.iter().zip(buffers.one_each(columns.number(Number::RetryCount)?, docs)) {
            of_block[*at].1.runs_with_retries += u64::from(*retries > 0);
        }
        for (at, ms) in block.iter().zip(buffers.one_each(columns.number(Number::RetryWasteMs)?, docs)) {
            of_block[*at].1.retry_waste_ms += u128::from(*ms);
        }
        for (at, doc) in block.iter().zip(docs) {
            if let Some(ms) = segment.duration_ms.first(*doc) {
                of_block[*at].1.durations.add_duration(ms);
            }
        }
        // What a document has several of stands together, and documents come in order.
        let mut row = 0;
        let mut row_of = |doc: DocId| {
            row += docs[row..].iter().take_while(|other| **other != doc).count();
            row
        };
        segment.usage.each(columns, docs, |doc, model, steps, amounts| {
            of_block[block[row_of(doc)]].1.usage.add(model, steps, amounts);
        })?;
        buffers.load(columns.text(Text::Failure)?.ords(), docs);
        let (mut row, mut of_doc) = (0, None);
        let (mut codes, mut kinds): (HashSet<u32>, HashSet<FailureType>) = (HashSet::new(), HashSet::new());
        for (doc, ord) in buffers.last() {
            if of_doc.replace(doc) != Some(doc) {
                codes.clear();
                kinds.clear();
                row += docs[row..].iter().take_while(|other| **other != doc).count();
            }
            let cell = &mut of_block[block[row]].1;
            let (kind, code) = segment.failures[ord as usize];
            cell.failures.add(ord as u32, 1);
            if codes.insert(code) {
                cell.runs_by_code.add(code, 1);
            }
            if kinds.insert(kind) {
                cell.runs_by_failure_type[kind as usize] += 1;
            }
        }
        for (key, cell) in segment.of_block.drain(..) {
            segment.cells.add(key, &cell)?;
        }
        Ok(())
    }

    fn close(&mut self, segment: SegmentCells<'_>) -> Result<(), IndexError> {
        let mut numbers: [Vec<u32>; 3] = Default::default();
        for (numbers, column) in numbers.iter_mut().zip(segment.names) {
            dictionary(column, |_, text| {
                numbers.push(self.texts.number(text));
                Ok(())
            })?;
        }
        let mut failures = Vec::with_capacity(segment.failures.len());
        dictionary(segment.columns.text(Text::Failure)?, |_, text| {
            failures.push(self.texts.number(text));
            Ok(())
        })?;
        let mut models = Vec::new();
        dictionary(segment.columns.text(Text::Usage)?, |_, text| {
            models.push(self.texts.number(model_of(text)));
            Ok(())
        })?;
        let codes: Vec<_> =
            (0..segment.codes.len() as u32).map(|code| self.texts.number(segment.codes.text(code))).collect();
        self.cells.check_texts(self.texts.len())?;
        let [agents, versions, environments] = numbers;
        if segment.cells.width > self.cells.width {
            self.cells.widen()?;
        }
        for (key, cell) in segment.cells.by_key {
            let key = CellKey {
                agent: agents[key.agent as usize],
                version: versions[key.version as usize],
                environment: environments[key.environment as usize],
                hour: key.hour,
            };
            let cell = cell.with_failures(|ord| failures[ord as usize]).with_codes(|code| codes[code as usize]);
            let cell = cell.with_models(|ord| models[ord as usize]);
            self.cells.add(key, &cell)?;
        }
        Ok(())
    }
}

impl SegmentCells<'_> {
    /// Says of each document of a block to which cell it belongs.
    fn find_cells(&mut self, docs: &[DocId]) {
        let Self { keys, names: [agent, version, environment], buffers, .. } = self;
        keys.clear();
        keys.extend(docs.iter().map(|doc| CellKey {
            agent: 0,
            version: 0,
            environment: 0,
            hour: hour_of(self.columns.started_at().get_val(*doc)),
        }));
        for (key, ord) in keys.iter_mut().zip(buffers.one_each(agent.ords(), docs)) {
            key.agent = *ord as u32;
        }
        for (key, ord) in keys.iter_mut().zip(buffers.one_each(version.ords(), docs)) {
            key.version = *ord as u32;
        }
        for (key, ord) in keys.iter_mut().zip(buffers.one_each(environment.ords(), docs)) {
            key.environment = *ord as u32;
        }
        let mut places: HashMap<CellKey, usize> = HashMap::new();
        self.block.clear();
        for key in &self.keys {
            let place = places.entry(*key).or_insert_with(|| {
                self.of_block.push((*key, Cell::default()));
                self.of_block.len() - 1
            });
            self.block.push(*place);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// There are never more cells than there may be, by one; those that fit are all there, by hours when these fit.
        #[test]
        fn cells_are_bounded_while_they_are_added(
            added in prop::collection::vec((0..3_u32, 0..200_i32, 0..4_u32), 0..80),
            most_cells in 1..40_usize,
            most_texts in 0..60_usize,
        ) {
            let mut cells = CellSums::bounded(most_cells, most_texts).cells;
            let mut outcome = Ok(());
            for (agent, hour, text) in &added {
                let key = CellKey { agent: *agent, version: 0, environment: 0, hour: *hour };
                let mut cell = Cell { by_status: [1, 0, 0, 0], ..Cell::default() };
                cell.failures.add(*text, 1);
                outcome = outcome.and_then(|()| cells.add(key, &cell));
                prop_assert!(cells.by_key.len() <= most_cells + 1 && cells.texts <= most_texts + 1);
            }
            let size = |hours: i32| {
                let keys: HashSet<_> = added.iter().map(|(agent, hour, _)| (agent, hour / hours)).collect();
                let texts: HashSet<_> = added.iter().map(|(agent, hour, text)| (agent, hour / hours, text)).collect();
                (keys.len(), texts.len())
            };
            let fits = |hours: i32| size(hours).0 <= most_cells && size(hours).1 <= most_texts;
            prop_assert_eq!(outcome.is_ok(), fits(24));
            if outcome.is_ok() {
                prop_assert_eq!(cells.width, if fits(1) { Width::Hour } else { Width::Day });
                prop_assert_eq!((cells.by_key.len(), cells.texts), size(cells.width.hours() as i32));
                prop_assert_eq!(cells.by_key.values().map(Cell::runs).sum::<u64>(), added.len() as u64);
            }
        }
    }
}
