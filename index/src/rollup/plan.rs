//! Answering from cells. A filter on agents, versions, environments and times only is answered from them, whole hours (or days)
//! at a time; any other goes over the runs.

use std::ops::Range;

use agenttracer_model::Timestamp;

use super::cell::{Bound, Cell, HOUR};
use super::sums::CellSums;
use super::texts::Texts;
use super::{ANY, Grain, Level, Rollup, Series, SeriesKey, Width};
use crate::filter::Dimensions;
use crate::gather::Aggregate;
use crate::matching::Plan;
use crate::timeline::TimeRange;
use crate::{Count, Filter, IndexError, Snapshot};

/// An aggregate that cells can be added to, with the same outcome as their runs.
pub(crate) trait Rolling: Aggregate {
    /// Which names it tells apart.
    fn dimensions(&self) -> Dimensions;
    /// How much time it takes in one cell; `None` when none of it does.
    fn grain(&self) -> Option<Grain>;
    /// Adds a cell, or takes a hidden one away, which was added before.
    fn add_cell(&mut self, cell: &RolledCell<'_>) -> Result<(), IndexError>;
}

/// A cell with its names, as far as they are told apart.
pub(crate) struct RolledCell<'a> {
    pub(crate) agent: &'a str,
    pub(crate) version: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) cell: &'a Cell,
    /// When its first hour begins, in µs.
    pub(crate) start: i64,
    /// Of the failures and codes.
    pub(crate) texts: &'a Texts,
    /// These runs are in cells that were added, and must not be: the snapshot masks them.
    pub(crate) hidden: bool,
}

impl RolledCell<'_> {
    /// Adds a number of the cell to a sum, or takes it away.
    pub(crate) fn put(&self, sum: &mut u64, number: u64) {
        *sum = if self.hidden { sum.wrapping_sub(number) } else { sum.wrapping_add(number) };
    }

    /// As [`put`](Self::put).
    pub(crate) fn put_large(&self, sum: &mut u128, number: u128) {
        *sum = if self.hidden { sum.wrapping_sub(number) } else { sum.wrapping_add(number) };
    }

    /// As [`put`](Self::put), for sums that stand side by side.
    pub(crate) fn put_all(&self, sums: &mut [u64], numbers: &[u64]) {
        sums.iter_mut().zip(numbers).for_each(|(sum, number)| self.put(sum, *number));
    }
}

/// A question that cells answer.
struct Rolled<'a> {
    rollup: &'a Rollup,
    level: Level,
    grain: Grain,
    hours: Range<i64>,
    /// The same question about whole cells only.
    whole: Filter,
    /// And about the rest of its times.
    edges: Vec<Filter>,
}

impl Rollup {
    /// The series that tell as much apart as `level` does and whose names `filter` asks for.
    fn series<'a>(&'a self, level: Level, filter: &'a Filter) -> impl Iterator<Item = ([&'a str; 3], &'a Series)> {
        let name = |number: u32| if number == ANY { "" } else { &**self.texts.text(number) };
        self.series.iter().filter(move |(key, _)| level.holds(**key)).filter_map(move |(key, series)| {
            let SeriesKey { agent, version, environment } = *key;
            let names = [agent, version, environment].map(name);
            filter.asks_for_names(names).then_some((names, &**series))
        })
    }
}

impl Rolled<'_> {
    fn each(
        &self,
        snapshot: &Snapshot,
        each: &mut dyn FnMut(&RolledCell<'_>) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        for ([agent, version, environment], series) in self.rollup.series(self.level, &self.whole) {
            snapshot.go_on()?;
            let mut outcome = Ok(());
            series.each(self.rollup.width, &self.hours, self.grain, &mut |hour, cell| {
                if outcome.is_ok() {
                    let texts = &self.rollup.texts;
                    let start = hour.saturating_mul(HOUR);
                    outcome = each(&RolledCell { agent, version, environment, cell, start, texts, hidden: false });
                }
            });
            outcome?;
        }
        if snapshot.has_any_mask() {
            let mut hidden = CellSums::default();
            snapshot.gather_hidden(&self.whole, &mut hidden)?;
            for (key, cell) in &hidden.cells.by_key {
                let [agent, version, environment] =
                    [key.agent, key.version, key.environment].map(|name| &**hidden.texts.text(name));
                let (start, texts) = (i64::from(key.hour) * HOUR, &hidden.texts);
                each(&RolledCell { agent, version, environment, cell, start, texts, hidden: true })?;
            }
        }
        Ok(())
    }
}

impl Snapshot {
    /// As `gather`, from cells where they can answer.
    pub(crate) fn roll(&self, filter: &Filter, aggregate: &mut impl Rolling) -> Result<u64, IndexError> {
        let ended = filter.ended();
        let rolled = aggregate.grain().and_then(|grain| self.rolled(&ended, aggregate.dimensions(), grain));
        let Some(rolled) = rolled else { return self.gather(filter, aggregate) };
        let mut runs = 0;
        rolled.each(self, &mut |cell| {
            cell.put(&mut runs, cell.cell.runs());
            aggregate.add_cell(cell)
        })?;
        runs += self.gather_hot(&ended, aggregate)?;
        for edge in &rolled.edges {
            runs += self.gather_cold(edge, aggregate)?;
        }
        Ok(runs)
    }

    /// Whether there are cells of agents that answer `filter`, whatever their versions and environments.
    pub(crate) fn rolls_agents(&self, filter: &Filter) -> bool {
        let agents = Dimensions { agent: true, ..Dimensions::default() };
        self.rolled(&filter.ended(), agents, Grain::Any).is_some_and(|rolled| rolled.level == Level::Agents)
    }

    /// How many runs match, where cells tell; exactly, unless more than `limit` lie beside whole cells.
    /// `hot` are hot.
    pub(crate) fn rolled_count(&self, filter: &Filter, hot: u64, limit: u64) -> Result<Option<Count>, IndexError> {
        // A list shows live runs when it is asked to.
        if !filter.hides_running() || !filter.status.is_empty() {
            return Ok(None);
        }
        let Some(rolled) = self.rolled(filter, Dimensions::default(), Grain::Any) else { return Ok(None) };
        let mut runs = hot;
        rolled.each(self, &mut |cell| {
            cell.put(&mut runs, cell.cell.runs());
            Ok(())
        })?;
        for edge in &rolled.edges {
            match Plan::new(self, edge)?.count(0, limit)? {
                Count::Exactly(count) => runs += count,
                more => return Ok(Some(more)),
            }
        }
        Ok(Some(Count::Exactly(runs)))
    }

    /// How cells answer `filter`, which is of ended runs, when names of `dimensions` are to be told apart; `None` when they
    /// cannot, or when no cell is whole in its times.
    fn rolled<'a>(&'a self, filter: &Filter, dimensions: Dimensions, grain: Grain) -> Option<Rolled<'a>> {
        let rollup = self.rollup()?;
        let asked = filter.dimensions()?;
        if filter.is_hopeless() || rollup.width == Width::Day && grain == Grain::Hour {
            return None;
        }
        let level = match asked | dimensions {
            Dimensions { agent: false, version: false, environment: false } => Level::Everything,
            Dimensions { agent: true, version: false, environment: false } => Level::Agents,
            Dimensions { agent: false, version: false, environment: true } => Level::Environments,
            _ => Level::Each,
        };
        let start = filter.start_time.map(Timestamp::as_micros);
        let behind = filter.end_time.map(|end| end.as_micros().saturating_add(1));
        // Below, times are counted in cells.
        let width = HOUR * rollup.width.hours();
        let first = start.map(|start| start.div_euclid(width) + i64::from(start.rem_euclid(width) > 0));
        let until = behind.map(|behind| behind.div_euclid(width));
        if first.zip(until).is_some_and(|(first, until)| first >= until) {
            return None;
        }
        let at = |cell: i64| Timestamp::from_micros(cell.saturating_mul(width));
        let before = |cell: i64| Timestamp::from_micros(cell.saturating_mul(width).saturating_sub(1));
        let mut edges = Vec::new();
        if let Some(first) = first.filter(|first| filter.start_time != Some(at(*first))) {
            edges.push(Filter { end_time: Some(before(first)), ..filter.clone() });
        }
        if let Some(until) = until.filter(|until| filter.end_time != Some(before(*until))) {
            edges.push(Filter { start_time: Some(at(until)), ..filter.clone() });
        }
        let whole = Filter { start_time: first.map(at), end_time: until.map(before), ..filter.clone() };
        let hour = |cell: i64| cell * rollup.width.hours();
        let hours = first.map_or(i64::MIN, hour)..until.map_or(i64::MAX, hour);
        Some(Rolled { rollup, level, grain, hours, whole, edges })
    }
}

/// When the first and the last of some runs began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Of runs that were looked at.
    looked_at: Option<(i64, i64)>,
    /// Of cells.
    rolled: Option<(Bound, Bound)>,
}

impl Seen {
    /// A run began then.
    pub(crate) fn see(&mut self, micros: i64) {
        let (first, last) = self.looked_at.unwrap_or((micros, micros));
        self.looked_at = Some((first.min(micros), last.max(micros)));
    }

    /// The runs of a cell.
    pub(crate) fn see_cell(&mut self, RolledCell { cell, hidden, .. }: &RolledCell<'_>) {
        match &mut self.rolled {
            Some((first, last)) if *hidden => {
                first.is_exact &= cell.first.micros > first.micros;
                last.is_exact &= cell.last.micros < last.micros;
            }
            Some((first, last)) => {
                (*first, *last) = (first.earlier(cell.first), last.later(cell.last));
            }
            None => self.rolled = Some((cell.first, cell.last)),
        }
    }
}

impl Snapshot {
    /// When the first and the last of the runs of `filter` began, which is what `seen` was told of; where cells do not tell,
    /// the index does.
    pub(crate) fn first_and_last(
        &self,
        filter: &Filter,
        seen: Seen,
    ) -> Result<Option<(Timestamp, Timestamp)>, IndexError> {
        let Seen { looked_at, rolled } = seen;
        let (mut first, mut last) = (looked_at.map(|(first, _)| first), looked_at.map(|(_, last)| last));
        if let Some((first_rolled, last_rolled)) = rolled {
            if first_rolled.is_exact {
                first = Some(first.map_or(first_rolled.micros, |first| first.min(first_rolled.micros)));
            } else if first.is_none_or(|first| first > first_rolled.micros) {
                first = first.into_iter().chain(self.end_of_cold(filter, false)?).min();
            }
            if last_rolled.is_exact {
                last = last.max(Some(last_rolled.micros));
            } else if last.is_none_or(|last| last < last_rolled.micros) {
                last = last.max(self.end_of_cold(filter, true)?);
            }
        }
        Ok(first.zip(last).map(|(first, last)| (Timestamp::from_micros(first), Timestamp::from_micros(last))))
    }

    /// When the first or the last run of the cold index that matches began, of whole cells.
    fn end_of_cold(&self, filter: &Filter, last: bool) -> Result<Option<i64>, IndexError> {
        let ended = filter.ended();
        let Some(rolled) = self.rolled(&ended, Dimensions::default(), Grain::Any) else { return Ok(None) };
        let mut hours = Vec::new();
        for (_, series) in rolled.rollup.series(rolled.level, &rolled.whole) {
            hours.extend(series.starts(&rolled.hours));
        }
        hours.sort_unstable();
        hours.dedup();
        if last {
            hours.reverse();
        }
        // All runs of a cell may be masked.
        for hour in hours {
            let start = Timestamp::from_micros(hour * HOUR);
            let end = Timestamp::from_micros((hour + rolled.rollup.width.hours()) * HOUR - 1);
            let of_hour = Filter { start_time: Some(start), end_time: Some(end), ..ended.clone() };
            let mut range = TimeRange::default();
            self.gather_cold(&of_hour, &mut range)?;
            if let Some((first_seen, last_seen)) = range.seen.looked_at {
                return Ok(Some(if last { last_seen } else { first_seen }));
            }
        }
        Ok(None)
    }
}
