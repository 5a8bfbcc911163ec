//! Rollups: what the runs of each agent, version, environment and hour add up to, so that a question about these costs the
//! same however many runs there are.
//!
//! *What they cover*: exactly the runs of the cold index that have ended, those included that a snapshot masks. So a
//! question adds the cells, takes away what is masked, adds the hot runs, and reads what is left of its times beside whole
//! hours from the index ([`plan`]). It is the same answer that going over all runs gives: each number is a whole number,
//! and a histogram of durations has fixed buckets, so that what a run was before is taken away exactly.
//!
//! *How they change*: with a commit, by one minus for each document that it deletes and one plus for each that it adds; the
//! new table is shown in the same instant as the new searcher.
//!
//! *How fine they are*: where hours would be too many cells, cells stand for days, from then on until the table is made anew
//! ([`Width`]).
//!
//! *On disk* ([`files`]): the cells that a commit changed, in a file that the commit names. Whatever cannot be read is made
//! anew from the columns of the index.

pub(crate) mod cell;
pub(crate) mod files;
pub(crate) mod plan;
pub(crate) mod sums;
mod texts;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use bincode::{Decode, Encode};
use tantivy::Searcher;

use crate::cold::Fields;
use crate::{Filter, IndexError, ModelUsage, Snapshot};
use cell::Cell;
use sums::{CellKey, CellSums};
use texts::Texts;

/// The most different texts, and failures and codes in all cells: as with too many cells.
const MAX_TEXTS: usize = 1_000_000;

/// Stands for any name.
const ANY: u32 = u32::MAX;

/// The cells of all runs of a cold index. A clone shares what does not change.
#[derive(Clone, Debug)]
pub(crate) struct Rollup {
    width: Width,
    /// Beyond, there are no rollups and the index is gone over.
    max_cells: usize,
    texts: Arc<Texts>,
    /// Of each agent, version and environment; and together where questions want them together: see [`Level`].
    series: HashMap<SeriesKey, Arc<Series>>,
    cells: usize,
    texts_in_cells: usize,
}

/// How much time a cell stands for: an hour, or a day of UTC where hours would be too many cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) enum Width {
    #[default]
    Hour,
    Day,
}

impl Width {
    pub(crate) const fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => HOURS_OF_DAY,
        }
    }

    /// The cell of this width in which one of this width, or of a smaller one, counts.
    fn key(self, key: CellKey) -> CellKey {
        let hours = self.hours() as i32;
        CellKey { hour: key.hour.div_euclid(hours).saturating_mul(hours), ..key }
    }
}

/// Names by their numbers; or [`ANY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SeriesKey {
    agent: u32,
    version: u32,
    environment: u32,
}

/// Which names series tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Everything,
    Agents,
    Environments,
    Each,
}

impl Level {
    const ALL: [Self; 4] = [Self::Everything, Self::Agents, Self::Environments, Self::Each];

    /// The series in which a cell counts.
    fn series(self, CellKey { agent, version, environment, .. }: CellKey) -> SeriesKey {
        match self {
            Self::Everything => SeriesKey { agent: ANY, version: ANY, environment: ANY },
            Self::Agents => SeriesKey { agent, version: ANY, environment: ANY },
            Self::Environments => SeriesKey { agent: ANY, version: ANY, environment },
            Self::Each => SeriesKey { agent, version, environment },
        }
    }

    fn holds(self, key: SeriesKey) -> bool {
        let told = (key.agent != ANY, key.version != ANY, key.environment != ANY);
        told == match self {
            Self::Everything => (false, false, false),
            Self::Agents => (true, false, false),
            Self::Environments => (false, false, true),
            Self::Each => (true, true, true),
        }
    }
}

/// How much time a cell may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grain {
    Hour,
    Day,
    Any,
}

/// The cells of some names over time.
#[derive(Clone, Debug, Default)]
struct Series {
    /// By the hour with which each begins, ascending.
    hours: Vec<(i32, Arc<Cell>)>,
    /// Sums of the hours of a day in UTC, so that long times need few steps; none where the cells themselves are days.
    days: Vec<(i32, Arc<Cell>)>,
    all: Arc<Cell>,
}

const HOURS_OF_DAY: i64 = 24;

impl Series {
    fn change(&mut self, width: Width, hour: i32, gone: Option<&Cell>, come: Option<&Cell>) {
        change_at(&mut self.hours, hour, gone, come);
        if width == Width::Hour {
            change_at(&mut self.days, hour.div_euclid(HOURS_OF_DAY as i32), gone, come);
        }
        Arc::make_mut(&mut self.all).change(gone, come);
    }

    fn at(&self, hour: i32) -> Option<&Cell> {
        let at = self.hours.binary_search_by_key(&hour, |(hour, _)| *hour).ok()?;
        Some(&self.hours[at].1)
    }

    /// The first hours of its cells that begin in these hours, ascending.
    fn starts(&self, hours: &Range<i64>) -> impl Iterator<Item = i64> {
        self.hours.iter().map(|(hour, _)| i64::from(*hour)).filter(move |hour| hours.contains(hour))
    }

    /// Hands the cells of these hours, which are whole cells, to `each`, in as few pieces as `grain` allows, with the first hour
    /// of each.
    fn each(&self, width: Width, hours: &Range<i64>, grain: Grain, each: &mut impl FnMut(i64, &Cell)) {
        let (Some((first, _)), Some((last, _))) = (self.hours.first(), self.hours.last()) else { return };
        let (first, behind) = (i64::from(*first).max(hours.start), (i64::from(*last) + width.hours()).min(hours.end));
        if grain == Grain::Any && first == i64::from(self.hours[0].0) && behind == i64::from(*last) + width.hours() {
            return each(first, &self.all);
        }
        let mut pieces = |cells: &[(i32, Arc<Cell>)], width: i64, times: Range<i64>| {
            let from = cells.partition_point(|(at, _)| i64::from(*at) < times.start);
            for (at, cell) in cells[from..].iter().take_while(|(at, _)| i64::from(*at) < times.end) {
                each(i64::from(*at) * width, cell);
            }
        };
        let days = first.div_euclid(HOURS_OF_DAY) + i64::from(first.rem_euclid(HOURS_OF_DAY) > 0)
            ..behind.div_euclid(HOURS_OF_DAY);
        if width == Width::Day || grain == Grain::Hour || days.is_empty() {
            return pieces(&self.hours, 1, first..behind);
        }
        pieces(&self.hours, 1, first..days.start * HOURS_OF_DAY);
        pieces(&self.days, HOURS_OF_DAY, days.clone());
        pieces(&self.hours, 1, days.end * HOURS_OF_DAY..behind);
    }
}

fn change_at(cells: &mut Vec<(i32, Arc<Cell>)>, at: i32, gone: Option<&Cell>, come: Option<&Cell>) {
    let place = match cells.binary_search_by_key(&at, |(at, _)| *at) {
        Ok(place) => place,
        Err(place) => {
            cells.insert(place, (at, Arc::default()));
            place
        }
    };
    let cell = Arc::make_mut(&mut cells[place].1);
    cell.change(gone, come);
    if cell.runs() == 0 {
        cells.remove(place);
    }
}

impl Rollup {
    /// A table of no runs.
    pub(crate) fn empty(max_cells: usize) -> Self {
        Self {
            width: Width::Hour,
            max_cells,
            texts: Arc::default(),
            series: HashMap::new(),
            cells: 0,
            texts_in_cells: 0,
        }
    }

    /// The finest table of these cells; `None` when they are too many.
    pub(crate) fn of(sums: CellSums, max_cells: usize) -> Option<Self> {
        let CellSums { texts, cells } = sums.within(max_cells, MAX_TEXTS).ok()?;
        let empty = Self { width: cells.width, texts: Arc::new(texts), ..Self::empty(max_cells) };
        empty.filled(cells.by_key.into_iter())
    }

    /// The same runs in cells that are days; `None` when these are too many, too.
    fn by_days(&self) -> Option<Self> {
        let cells = self.keys().into_iter().filter_map(|key| Some((key, self.cell(key)?)));
        let empty = Self { width: Width::Day, texts: Arc::clone(&self.texts), ..Self::empty(self.max_cells) };
        empty.filled(cells)
    }

    fn filled(mut self, cells: impl Iterator<Item = (CellKey, impl Borrow<Cell>)>) -> Option<Self> {
        let mut cells: Vec<_> = cells.map(|(key, cell)| (self.width.key(key), cell)).collect();
        // In the order of time each cell is put at the end of its series.
        cells.sort_unstable_by_key(|(key, _)| (key.hour, *key));
        for (key, cell) in cells {
            self.change(key, None, Some(cell.borrow()));
            if self.cells > self.max_cells {
                return None;
            }
        }
        self.is_small().then_some(self)
    }

    /// How much time its cells stand for.
    pub(crate) fn width(&self) -> Width {
        self.width
    }

    /// The table of all that a searcher shows; `None` when there are too many cells.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn of_index(searcher: &Searcher, fields: &Fields, max_cells: usize) -> Result<Option<Self>, IndexError> {
        let mut sums = CellSums::bounded(max_cells, MAX_TEXTS);
        match Snapshot::of_cold(searcher.clone(), *fields)?.gather_cold(&Filter::default(), &mut sums) {
            Ok(_) => Ok(Self::of(sums, max_cells)),
            Err(IndexError::TooMany { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins another table, which is this one at first.
    pub(crate) fn begin_change(&self) -> Change {
        Change { rollup: Some(self.clone()), keys: BTreeSet::new() }
    }

    fn is_small(&self) -> bool {
        self.cells <= self.max_cells && self.texts_in_cells <= MAX_TEXTS && self.texts.len() <= MAX_TEXTS
    }

    /// The numbers that the texts of `texts` have here.
    fn numbers(&mut self, texts: &Texts) -> Vec<u32> {
        let number = |text: &Arc<str>| match self.texts.known(text) {
            Some(number) => number,
            None => Arc::make_mut(&mut self.texts).number(text),
        };
        texts.iter().map(number).collect()
    }

    fn change(&mut self, key: CellKey, gone: Option<&Cell>, come: Option<&Cell>) {
        let (cells, texts) = self.size_of(key);
        for level in Level::ALL {
            let at = level.series(key);
            let series = Arc::make_mut(self.series.entry(at).or_default());
            series.change(self.width, key.hour, gone, come);
            if series.hours.is_empty() {
                self.series.remove(&at);
            }
        }
        let (cells_now, texts_now) = self.size_of(key);
        self.cells = self.cells - cells + cells_now;
        self.texts_in_cells = self.texts_in_cells - texts + texts_now;
    }

    fn size_of(&self, key: CellKey) -> (usize, usize) {
        self.cell(key).map_or((0, 0), |cell| (1, cell.texts()))
    }

    /// The cell of one agent, version and environment that begins with an hour.
    fn cell(&self, key: CellKey) -> Option<&Cell> {
        self.series.get(&Level::Each.series(key))?.at(key.hour)
    }

    /// The keys of all cells, ascending.
    fn keys(&self) -> Vec<CellKey> {
        let each = self.series.iter().filter(|(key, _)| Level::Each.holds(**key));
        let mut keys: Vec<_> = each
            .flat_map(|(SeriesKey { agent, version, environment }, series)| {
                let (agent, version, environment) = (*agent, *version, *environment);
                series.hours.iter().map(move |(hour, _)| CellKey { agent, version, environment, hour: *hour })
            })
            .collect();
        keys.sort_unstable();
        keys
    }

    /// Whether this table holds what `other` does, which was made from the index just now and so has exact bounds.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        if self.width > other.width {
            // There were more hours once than there are now.
            return other.by_days().is_some_and(|other| self.agrees_with(&other));
        }
        let (ours, others) = (self.by_names(), other.by_names());
        ours.len() == others.len()
            && ours.iter().zip(&others).all(|((names, key), (other_names, other_key))| {
                names == other_names
                    && match (self.plain(*key), other.plain(*other_key)) {
                        (Some(ours), Some(others)) => ours.agrees_with(&others),
                        _ => false,
                    }
            })
    }

    /// The keys of all cells by what they stand for: two tables number their texts differently.
    fn by_names(&self) -> BTreeMap<(&str, &str, &str, i32), CellKey> {
        let text = |number: u32| &**self.texts.text(number);
        let named = |key: CellKey| ((text(key.agent), text(key.version), text(key.environment), key.hour), key);
        self.keys().into_iter().map(named).collect()
    }

    /// A cell with the texts that it counts.
    fn plain(&self, key: CellKey) -> Option<PlainCell<'_>> {
        let text = |number: u32| &**self.texts.text(number);
        let texts = |tally: cell::Tally| tally.iter().map(|(number, count)| (text(number), count)).collect();
        let mut cell = self.cell(key)?.clone();
        Some(PlainCell {
            failures: texts(std::mem::take(&mut cell.failures)),
            codes: texts(std::mem::take(&mut cell.runs_by_code)),
            usage: std::mem::take(&mut cell.usage).iter().map(|(model, used)| (text(model), *used)).collect(),
            first: std::mem::take(&mut cell.first),
            last: std::mem::take(&mut cell.last),
            sums: cell,
        })
    }
}

/// A table that becomes another one.
pub(crate) struct Change {
    /// `None` once there are too many cells, of days too.
    rollup: Option<Rollup>,
    keys: BTreeSet<CellKey>,
}

impl Change {
    /// Takes away runs that the table has, in cells that stand for no more time than its own do; before anything is added, which
    /// may make them stand for more.
    pub(crate) fn remove(&mut self, gone: &CellSums) {
        self.apply(gone, |rollup, key, cell| rollup.change(key, Some(cell), None));
    }

    /// Adds runs.
    pub(crate) fn add(&mut self, come: &CellSums) {
        self.apply(come, |rollup, key, cell| rollup.change(key, None, Some(cell)));
    }

    /// The table, by days when there were too many hours, and the cells that changed, ascending; `None` when there are too
    /// many days, too.
    pub(crate) fn finish(self) -> Option<(Rollup, Vec<CellKey>)> {
        Some((self.rollup?, self.keys.into_iter().collect()))
    }

    /// Cell by cell, so that these are never there once more with the numbers of the table.
    fn apply(&mut self, sums: &CellSums, change: fn(&mut Rollup, CellKey, &Cell)) {
        let Some(rollup) = &mut self.rollup else { return };
        let numbers = rollup.numbers(&sums.texts);
        let number = |text: u32| numbers[text as usize];
        // In the order of time most cells are put at the end of their series.
        let mut cells: Vec<_> = sums.cells.by_key.iter().collect();
        cells.sort_unstable_by_key(|(key, _)| (key.hour, **key));
        for (key, cell) in cells {
            let Some(rollup) = &mut self.rollup else { return };
            let key = rollup.width.key(CellKey {
                agent: number(key.agent),
                version: number(key.version),
                environment: number(key.environment),
                hour: key.hour,
            });
            change(rollup, key, &cell.clone().renumbered(number));
            self.keys.insert(key);
            if !rollup.is_small() {
                self.widen();
            }
        }
    }

    fn widen(&mut self) {
        self.rollup =
            self.rollup.take().filter(|rollup| rollup.width == Width::Hour).and_then(|rollup| rollup.by_days());
        self.keys = std::mem::take(&mut self.keys).into_iter().map(|key| Width::Day.key(key)).collect();
    }
}

/// A cell, and the failures, codes and models that it counts by their names.
struct PlainCell<'a> {
    failures: BTreeMap<&'a str, u64>,
    codes: BTreeMap<&'a str, u64>,
    usage: BTreeMap<&'a str, ModelUsage>,
    first: cell::Bound,
    last: cell::Bound,
    /// All the rest.
    sums: Cell,
}

impl PlainCell<'_> {
    /// Whether `other`, whose bounds are exact, counts the same.
    fn agrees_with(&self, other: &Self) -> bool {
        let bounds = |ours: cell::Bound, others: cell::Bound, beyond: bool| {
            ours.micros == others.micros || !ours.is_exact && beyond
        };
        self.sums == other.sums
            && self.failures == other.failures
            && self.codes == other.codes
            && self.usage == other.usage
            && bounds(self.first, other.first, self.first.micros < other.first.micros)
            && bounds(self.last, other.last, self.last.micros > other.last.micros)
    }
}

#[cfg(test)]
mod tests {
    use agenttracer_model::Timestamp;

    use super::*;
    use crate::gather::Aggregate;
    use crate::summary::tests::run;

    /// A run of one agent each hour, from `hours.start` on.
    fn sums(hours: Range<i64>) -> CellSums {
        let mut sums = CellSums::default();
        for hour in hours {
            let started_at = Timestamp::from_micros(1_780_000_000_000_000 + hour * cell::HOUR);
            sums.add(&crate::RunSummary { started_at, duration_ms: Some(hour as u64), ..run(hour as u64) }).unwrap();
        }
        sums
    }

    #[test]
    fn cells_are_days_where_hours_are_too_many() {
        let hours = Rollup::of(sums(0..60), 60).unwrap();
        assert_eq!((hours.width, hours.keys().len()), (Width::Hour, 60));
        let days = Rollup::of(sums(0..60), 59).unwrap();
        assert_eq!(days.width, Width::Day);
        assert!(days.keys().len() <= 4 && days.keys().iter().all(|key| key.hour % 24 == 0), "{:?}", days.keys());
        assert!(days.agrees_with(&hours) && !hours.agrees_with(&days));
        assert!(!days.agrees_with(&Rollup::of(sums(0..59), 60).unwrap()));
        assert!(Rollup::of(sums(0..60), 2).is_none());

        // However many pieces the new runs come in.
        let mut pieces = hours.begin_change();
        pieces.remove(&sums(0..20));
        for hour in (60..80).rev() {
            pieces.add(&sums(hour..hour + 1));
        }
        let (pieces, keys) = pieces.finish().unwrap();
        assert_eq!((pieces.width, keys.len()), (Width::Hour, 40));
        assert!(pieces.agrees_with(&Rollup::of(sums(20..80), 1000).unwrap()));

        // One hour more than there may be: from then on, all of them are days.
        let changed = |table: &Rollup, gone: &CellSums, come: &CellSums| {
            let mut change = table.begin_change();
            change.remove(gone);
            change.add(come);
            change.finish().unwrap()
        };
        let (more, keys) = changed(&hours, &CellSums::default(), &sums(60..61));
        assert_eq!((more.width, keys.len()), (Width::Day, 1));
        assert!(more.agrees_with(&Rollup::of(sums(0..61), 1000).unwrap()));
        let (fewer, _) = changed(&more, &sums(0..50), &CellSums::default());
        assert!(fewer.agrees_with(&Rollup::of(sums(50..61), 1000).unwrap()));
        assert!(fewer.keys().len() < more.keys().len());
    }
}
