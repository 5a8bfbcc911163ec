//! Agents and their versions: how many runs each has, how they ended and how long they took.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use agenttracer_model::Timestamp;
use agenttracer_model::taxonomy::RunStatus;
use tantivy::DocId;
use tantivy::columnar::{Column, StrColumn};

use crate::columns::{Columns, Number, Text};
use crate::filter::Dimensions;
use crate::gather::{Aggregate, Numbered, UsageValues, Values, dictionary, model_of};
use crate::rollup::Grain;
use crate::rollup::plan::{RolledCell, Rolling, Seen};
use crate::timeline::statuses;
use crate::{Filter, Histogram, IndexError, ModelUsage, RunSummary, Snapshot};

/// The most agents, or versions, that are told apart.
const MAX_GROUPS: usize = 20_000;

/// By what runs are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Their agent.
    Agent,
    /// Their agent's version.
    Version,
}

/// The runs of one agent or version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunGroup {
    /// How many, by status in the order of `RunStatus::ALL`.
    pub by_status: [u64; 4],
    /// How many steps they have.
    pub steps: u64,
    /// How many runs have a second or later attempt.
    pub runs_with_retries: u64,
    /// The latencies of all attempts but the last, in ms.
    pub retry_waste_ms: u128,
    /// When the first and the last of them began.
    pub seen: Option<(Timestamp, Timestamp)>,
    /// Their durations in ms, of those that have one.
    pub durations: Histogram,
    /// What they used of models, by name; without a name where none was named.
    pub models: BTreeMap<String, ModelUsage>,
    /// How many versions they have, where they are put together by agent.
    pub versions: u64,
}

impl RunGroup {
    /// How many runs.
    pub fn runs(&self) -> u64 {
        self.by_status.iter().sum()
    }

    /// How many of them failed.
    pub fn failed(&self) -> u64 {
        self.by_status[RunStatus::Failure as usize]
    }
}

impl Snapshot {
    /// The matching runs by agent or version, in the order of the names.
    ///
    /// Takes about 50 ns a matching run; where `filter` asks for names and times only, it takes as long as there are agents,
    /// versions, environments and days. Where it asks for agents and times only, the sums are those of agents and days, and
    /// of versions and environments only the runs are counted.
    ///
    /// # Errors
    /// `TooMany` when there are more than 20,000 of them.
    pub fn groups(&self, filter: &Filter, by: GroupBy) -> Result<BTreeMap<String, RunGroup>, IndexError> {
        let apart = by == GroupBy::Agent && self.rolls_agents(filter);
        let groups = self.sum_up(filter, by, if apart { Part::Sums } else { Part::Whole })?;
        let mut counted = if apart { Some(self.sum_up(filter, by, Part::Versions)?) } else { None };
        let named = groups.names.into_texts().into_iter().zip(groups.groups);
        let named = named.filter(|(_, sums)| sums.group.runs() > 0).map(|(name, sums)| {
            let Sums { mut group, seen, mut versions, models } = sums;
            if let Some(counted) = &mut counted {
                let number = counted.group(&name)?;
                versions = std::mem::take(&mut counted.groups[number].versions);
            }
            let models = models.into_iter().filter(|(_, used)| used.runs > 0);
            group.models = models.map(|(model, used)| (model.to_string(), used)).collect();
            group.versions = versions.values().filter(|runs| **runs > 0).count() as u64;
            let mut of_group = filter.clone();
            match by {
                GroupBy::Agent => of_group.agent_id = vec![name.clone()],
                GroupBy::Version => of_group.agent_version = vec![name.clone()],
            }
            group.seen = self.first_and_last(&of_group, seen)?;
            Ok((name, group))
        });
        named.collect()
    }

    fn sum_up(&self, filter: &Filter, by: GroupBy, part: Part) -> Result<Groups, IndexError> {
        let mut groups =
            Groups { by, part, names: Numbered::default(), groups: Vec::new(), hasher: Default::default() };
        self.roll(filter, &mut groups)?;
        Ok(groups)
    }
}

/// What is taken of cells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// All but the versions of agents.
    Sums,
    /// The versions of agents and nothing else.
    Versions,
}

struct Groups {
    by: GroupBy,
    part: Part,
    names: Numbered,
    /// By the numbers of the names.
    groups: Vec<Sums>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

/// What is added up of one of them.
#[derive(Default)]
struct Sums {
    group: RunGroup,
    seen: Seen,
    /// The runs of the versions of an agent, by their hashes.
    versions: HashMap<u64, u64>,
    models: HashMap<Arc<str>, ModelUsage>,
}

impl Sums {
    fn model(&mut self, model: &str) -> &mut ModelUsage {
        if !self.models.contains_key(model) {
            self.models.insert(model.into(), ModelUsage::default());
        }
        self.models.get_mut(model).expect("it was inserted above")
    }
}

impl Groups {
    fn group(&mut self, name: &str) -> Result<usize, IndexError> {
        let what = match self.by {
            GroupBy::Agent => "agents",
            GroupBy::Version => "versions",
        };
        let number = self.names.of(name, MAX_GROUPS, what)? as usize;
        if self.groups.len() <= number {
            self.groups.resize_with(number + 1, Sums::default);
        }
        Ok(number)
    }

    fn add_version(&mut self, group: usize, version: &str, runs: u64) {
        let hash = self.hasher.hash_one(version);
        *self.groups[group].versions.entry(hash).or_default() += runs;
    }
}

impl Rolling for Groups {
    fn dimensions(&self) -> Dimensions {
        Dimensions { agent: self.by == GroupBy::Agent, version: self.part != Part::Sums, environment: false }
    }

    fn grain(&self) -> Option<Grain> {
        Some(Grain::Any)
    }

    fn add_cell(&mut self, rolled: &RolledCell<'_>) -> Result<(), IndexError> {
        let cell = rolled.cell;
        let number = self.group(match self.by {
            GroupBy::Agent => rolled.agent,
            GroupBy::Version => rolled.version,
        })?;
        if self.by == GroupBy::Agent && self.part != Part::Sums {
            let version = self.hasher.hash_one(rolled.version);
            rolled.put(self.groups[number].versions.entry(version).or_default(), cell.runs());
        }
        if self.part == Part::Versions {
            return Ok(());
        }
        let sums = &mut self.groups[number];
        for (model, used) in cell.usage.iter() {
            let sum = sums.model(rolled.texts.text(model));
            match rolled.hidden {
                true => sum.put(used, u64::wrapping_sub, u128::wrapping_sub),
                false => sum.put(used, u64::wrapping_add, u128::wrapping_add),
            }
        }
        let Sums { group, seen, .. } = sums;
        rolled.put_all(&mut group.by_status, &cell.by_status);
        rolled.put(&mut group.steps, cell.steps_by_type.iter().sum());
        rolled.put(&mut group.runs_with_retries, cell.runs_with_retries);
        rolled.put_large(&mut group.retry_waste_ms, cell.retry_waste_ms);
        cell.durations.add_durations_to(&mut group.durations, rolled.hidden);
        seen.see_cell(rolled);
        Ok(())
    }
}

struct SegmentGroups<'a> {
    columns: &'a Columns,
    name: &'a StrColumn,
    version: &'a StrColumn,
    /// Of each name, its group; made when it is met.
    group_of: Vec<u32>,
    names: Vec<String>,
    statuses: Vec<RunStatus>,
    /// Runs by group and the number of the version, where versions are counted.
    versions: HashMap<(u32, u64), u64>,
    /// What was used by group and the number of the model.
    models: HashMap<(u32, u32), ModelUsage>,
    duration_ms: &'a Column<u64>,
    buffers: Values,
    usage: UsageValues,
    /// The groups of the documents of a block.
    block: Vec<u32>,
}

const UNMET: u32 = u32::MAX;

impl Aggregate for Groups {
    type Segment<'a> = SegmentGroups<'a>;

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        let name = match self.by {
            GroupBy::Agent => &run.agent_id,
            GroupBy::Version => &run.agent_version,
        };
        let number = self.group(name)?;
        if self.by == GroupBy::Agent {
            self.add_version(number, &run.agent_version, 1);
        }
        for used in &run.usage {
            self.groups[number].model(&used.model).add(used.steps.into(), used.amounts);
        }
        let Sums { group, seen, .. } = &mut self.groups[number];
        seen.see(run.started_at.as_micros());
        group.by_status[run.status as usize] += 1;
        group.steps += u64::from(run.step_count());
        group.runs_with_retries += u64::from(run.retry_count > 0);
        group.retry_waste_ms += u128::from(run.timing.retry_waste_ms);
        if let Some(ms) = run.duration_ms {
            group.durations.add(ms, 1);
        }
        Ok(())
    }

    fn open<'a>(&mut self, _ord: u32, columns: &'a Columns) -> Result<SegmentGroups<'a>, IndexError> {
        let version = columns.text(Text::AgentVersion)?;
        let name = match self.by {
            GroupBy::Agent => columns.text(Text::AgentId)?,
            GroupBy::Version => version,
        };
        let mut names = Vec::with_capacity(name.num_terms());
        dictionary(name, |_, text| {
            names.push(text.to_owned());
            Ok(())
        })?;
        Ok(SegmentGroups {
            columns,
            name,
            version,
            group_of: vec![UNMET; names.len()],
            names,
            statuses: statuses(columns)?,
            versions: HashMap::new(),
            models: HashMap::new(),
            duration_ms: columns.number(Number::DurationMs)?,
            buffers: Values::default(),
            usage: UsageValues::default(),
            block: Vec::new(),
        })
    }

    fn add_docs(&mut self, segment: &mut SegmentGroups<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        let SegmentGroups { columns, name, group_of, names, buffers, block, .. } = segment;
        block.clear();
        for ord in buffers.one_each(name.ords(), docs) {
            let ord = *ord as usize;
            if group_of[ord] == UNMET {
                group_of[ord] = self.group(&names[ord])? as u32;
            }
            block.push(group_of[ord]);
        }
        let groups = &mut self.groups;
        for (group, ord) in block.iter().zip(buffers.one_each(columns.text(Text::Status)?.ords(), docs)) {
            groups[*group as usize].group.by_status[segment.statuses[*ord as usize] as usize] += 1;
        }
        for (group, steps) in block.iter().zip(buffers.one_each(columns.number(Number::StepCount)?, docs)) {
            groups[*group as usize].group.steps += steps;
        }
        for (group, retries) in block.iter().zip(buffers.one_each(columns.number(Number::RetryCount)?, docs)) {
            groups[*group as usize].group.runs_with_retries += u64::from(*retries > 0);
        }
        for (group, ms) in block.iter().zip(buffers.one_each(columns.number(Number::RetryWasteMs)?, docs)) {
            groups[*group as usize].group.retry_waste_ms += u128::from(*ms);
        }
        let mut row = 0;
        segment.usage.each(columns, docs, |doc, model, steps, amounts| {
            row += docs[row..].iter().take_while(|other| **other != doc).count();
            segment.models.entry((block[row], model)).or_default().add(steps, amounts);
        })?;
        if self.by == GroupBy::Agent {
            for (group, ord) in block.iter().zip(buffers.one_each(segment.version.ords(), docs)) {
                *segment.versions.entry((*group, *ord)).or_default() += 1;
            }
        }
        for (group, doc) in block.iter().zip(docs) {
            let Sums { group, seen, .. } = &mut groups[*group as usize];
            seen.see(columns.started_at().get_val(*doc));
            if let Some(ms) = segment.duration_ms.first(*doc) {
                group.durations.add(ms, 1);
            }
        }
        Ok(())
    }

    fn close(&mut self, segment: SegmentGroups<'_>) -> Result<(), IndexError> {
        let mut of_model: HashMap<u32, Vec<(u32, ModelUsage)>> = HashMap::new();
        for ((group, ord), used) in segment.models {
            of_model.entry(ord).or_default().push((group, used));
        }
        dictionary(segment.columns.text(Text::Usage)?, |ord, text| {
            for (group, used) in of_model.get(&(ord as u32)).into_iter().flatten() {
                self.groups[*group as usize].model(model_of(text)).put(used, u64::wrapping_add, u128::wrapping_add);
            }
            Ok(())
        })?;
        if segment.versions.is_empty() {
            return Ok(());
        }
        let mut of_version: HashMap<u64, Vec<(u32, u64)>> = HashMap::new();
        for ((group, ord), runs) in segment.versions {
            of_version.entry(ord).or_default().push((group, runs));
        }
        dictionary(segment.version, |ord, text| {
            for (group, runs) in of_version.get(&ord).into_iter().flatten() {
                self.add_version(*group as usize, text, *runs);
            }
            Ok(())
        })
    }
}
