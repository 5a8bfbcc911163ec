use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agenttracer_model::Position;
use agenttracer_model::taxonomy::RunStatus;
use tantivy::{DocAddress, DocId, Searcher};
use uuid::Uuid;

use crate::cold::{self, Fields};
use crate::columns::{Columns, Number};
use crate::erased::Erased;
use crate::hot::Chunk;
use crate::mask::Mask;
use crate::matching::Plan;
use crate::metadata_keys::MetadataKeys;
use crate::rollup::Rollup;
use crate::run_ids::RunIdFilter;
use crate::{Filter, IndexError, RunSummary};

/// What the projections are at one moment: hot runs, the cold index, and which cold documents hot ones replace.
///
/// Every acknowledged run is in exactly one of [`hot`](Self::hot) and the unmasked documents of
/// [`searcher`](Self::searcher). A snapshot never changes; keep it only as long as an answer takes, for it keeps its
/// memory and files.
#[derive(Clone)]
pub struct Snapshot {
    state: Arc<State>,
    stop: Option<Stop>,
}

/// Lets whoever waits for an answer give it up, from any thread.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    given_up: AtomicBool,
    /// Called by the question again and again, on its thread; it may take its time, and false ends the question.
    pace: Option<Box<Pace>>,
}

type Pace = dyn Fn() -> bool + Send + Sync;

impl Stop {
    /// One whose questions also call `pace`, about each time they have looked at a thousand runs. It may wait, which holds
    /// them up; when it gives false, they end with [`IndexError::GivenUp`].
    pub fn with_pace(pace: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(StopState { pace: Some(Box::new(pace)), ..StopState::default() }))
    }

    /// The questions on a snapshot that has this end with [`IndexError::GivenUp`], soon.
    pub fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether they were given up.
    pub fn is_given_up(&self) -> bool {
        self.0.given_up.load(Ordering::Relaxed)
    }

    /// Asked by whatever takes long, again and again.
    ///
    /// # Errors
    /// `GivenUp` when nobody waits for the answer any more, or its pace ends it.
    pub fn go_on(&self) -> Result<(), IndexError> {
        let ends = self.is_given_up() || self.0.pace.as_ref().is_some_and(|pace| !pace()) || self.is_given_up();
        if ends { Err(IndexError::GivenUp) } else { Ok(()) }
    }
}

/// All that is swapped together.
pub(crate) struct State {
    /// Everything below was applied.
    pub(crate) position: Position,
    /// Hot entries with a number below are visible.
    pub(crate) visible: u64,
    /// Oldest first.
    pub(crate) hot: Arc<[Arc<Chunk>]>,
    pub(crate) searcher: Searcher,
    /// Of the searcher's segments, in its order: made with [`Columns::of`] when the searcher changes.
    pub(crate) columns: Arc<[Arc<Columns>]>,
    pub(crate) fields: Fields,
    /// Usually none.
    pub(crate) mask: Option<Arc<Mask>>,
    pub(crate) run_ids: Arc<RunIdFilter>,
    pub(crate) metadata_keys: Arc<MetadataKeys>,
    pub(crate) erased: Arc<Erased>,
    /// Of all that the searcher shows, masked or not. None when there are too many cells.
    pub(crate) rollup: Option<Arc<Rollup>>,
}

impl Snapshot {
    pub(crate) fn of(state: Arc<State>) -> Self {
        Self { state, stop: None }
    }

    /// What a searcher shows, and nothing else.
    pub(crate) fn of_cold(searcher: Searcher, fields: Fields) -> Result<Self, IndexError> {
        Ok(Self::of(Arc::new(State {
            position: Position::ZERO,
            visible: 0,
            hot: Arc::new([]),
            columns: Columns::of(&searcher, &[])?,
            searcher,
            fields,
            mask: None,
            run_ids: Arc::new(RunIdFilter::new(0)),
            metadata_keys: Arc::default(),
            erased: Arc::default(),
            rollup: None,
        })))
    }

    /// The same, but its questions end when `stop` says so.
    pub fn until(self, stop: Stop) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Asked by questions again and again.
    ///
    /// # Errors
    /// `GivenUp` when nobody waits for the answer any more.
    pub(crate) fn go_on(&self) -> Result<(), IndexError> {
        self.stop.as_ref().map_or(Ok(()), Stop::go_on)
    }

    /// Whether filters can ask for this key of metadata.
    pub(crate) fn is_indexed(&self, key: &str) -> bool {
        self.state.metadata_keys.is_indexed(key)
    }

    /// Whether `filter` can be answered at all.
    ///
    /// # Errors
    /// `NotIndexed` when it asks for a metadata key with too many values.
    pub fn check(&self, filter: &Filter) -> Result<(), IndexError> {
        match filter.metadata_keys().find(|key| !self.state.metadata_keys.is_indexed(key)) {
            Some(key) => Err(IndexError::NotIndexed { key: key.to_owned() }),
            None => Ok(()),
        }
    }

    /// Everything that was committed to the log below this position is visible here.
    pub fn position(&self) -> Position {
        self.state.position
    }

    /// The summary of a run; an id that was never seen is answered from memory.
    ///
    /// # Errors
    /// When the cold index cannot be read.
    pub fn find(&self, run_id: Uuid) -> Result<Option<Arc<RunSummary>>, IndexError> {
        Ok(self.known(run_id)?.filter(|run| run.started))
    }

    /// As [`find`](Self::find), and live runs whose start has not come, too.
    ///
    /// # Errors
    /// When the cold index cannot be read.
    pub fn known(&self, run_id: Uuid) -> Result<Option<Arc<RunSummary>>, IndexError> {
        Ok(self.state.find(run_id)?.map(|found| found.run))
    }

    /// What was erased, at least up to [`position`](Self::position).
    pub fn erased(&self) -> &Erased {
        &self.state.erased
    }

    /// The live runs that go on.
    pub(crate) fn running(&self) -> Result<Vec<Uuid>, IndexError> {
        let filter = Filter { status: vec![RunStatus::Running], ..Filter::default() };
        let mut running: Vec<Uuid> = self.hot().filter(|run| filter.matches(run)).map(|run| run.run_id).collect();
        let plan = Plan::new(self, &filter)?;
        let mut block = Vec::new();
        for segment in plan.segments() {
            let Some(mut matching) = segment.matching()? else { continue };
            while matching.next_block(1024, &mut block)? {
                for &doc in &block {
                    running.push(self.summary(DocAddress::new(segment.ord, doc))?.run_id);
                }
            }
        }
        Ok(running)
    }

    /// The hot runs, the newest version of each, in the order in which they were applied; those without a start
    /// among them, which [`Filter::matches`](crate::Filter::matches) leaves out.
    pub fn hot(&self) -> impl Iterator<Item = &Arc<RunSummary>> {
        let visible = self.state.visible;
        self.state.hot.iter().flat_map(move |chunk| chunk.visible(visible)).map(|entry| &entry.run)
    }

    /// The hot runs that match.
    ///
    /// # Errors
    /// `GivenUp` when nobody waits for the answer any more.
    pub(crate) fn matching_hot(&self, filter: &Filter) -> Result<Vec<&Arc<RunSummary>>, IndexError> {
        let mut matching = Vec::new();
        for (run, index) in self.hot().zip(1_u64..) {
            if index % 1024 == 0 {
                self.go_on()?;
            }
            if filter.matches(run) {
                matching.push(run);
            }
        }
        Ok(matching)
    }

    /// The cold index. Leave out what is [`masked`](Self::masked).
    pub fn searcher(&self) -> &Searcher {
        &self.state.searcher
    }

    /// The columns of the cold index's segments, in the order of the searcher.
    pub(crate) fn columns(&self) -> &[Arc<Columns>] {
        &self.state.columns
    }

    /// The fields of the cold index.
    pub fn fields(&self) -> &Fields {
        &self.state.fields
    }

    /// Whether any document of this segment is masked; usually none is.
    pub fn has_mask(&self, segment_ord: u32) -> bool {
        self.state.mask.as_ref().is_some_and(|mask| mask.has(segment_ord))
    }

    /// Whether any document is masked.
    pub(crate) fn has_any_mask(&self) -> bool {
        self.state.mask.is_some()
    }

    /// The documents of this segment that are masked and lie in `docs`, ascending.
    pub(crate) fn masked_docs(&self, segment_ord: u32, docs: Range<DocId>) -> Vec<DocId> {
        self.state.mask.as_ref().map_or_else(Vec::new, |mask| mask.docs(segment_ord, docs))
    }

    /// What the ended runs of the cold index add up to, masked ones included; `None` when there are too many cells.
    pub(crate) fn rollup(&self) -> Option<&Rollup> {
        self.state.rollup.as_deref()
    }

    /// Whether this cold document must not be shown, because its run is hot.
    pub fn masked(&self, segment_ord: u32, doc: u32) -> bool {
        self.state.mask.as_ref().is_some_and(|mask| mask.contains(segment_ord, doc))
    }

    /// The summary of a cold document, from its stored bytes.
    ///
    /// # Errors
    /// When the document cannot be read.
    pub fn summary(&self, address: DocAddress) -> Result<RunSummary, IndexError> {
        cold::summary(&self.state.searcher, address)
    }
}

impl Snapshot {
    /// The summary of the run whose first batch is at `position`. Looks at every run: for those that cannot be found by
    /// their batch in the log.
    ///
    /// # Errors
    /// When the cold index cannot be read.
    pub fn find_at(&self, position: Position) -> Result<Option<Arc<RunSummary>>, IndexError> {
        Ok(self.state.find_at(&HashSet::from([position]))?.pop().map(|found| found.run))
    }

    /// Where the runs that match `filter` begin, ascending; `None` when they are more than `most`.
    ///
    /// # Errors
    /// When the cold index cannot be read.
    pub fn positions(&self, filter: &Filter, most: usize) -> Result<Option<Vec<Position>>, IndexError> {
        let hot = self.hot().filter(|run| filter.matches(run));
        let mut positions: Vec<_> = hot.map(|run| run.position()).collect();
        if filter.is_hopeless() {
            return Ok(Some(positions));
        }
        let mut docs = Vec::new();
        for segment in Plan::new(self, filter)?.segments() {
            let column = segment.columns.number(Number::Position)?;
            let Some(mut matching) = segment.matching()? else { continue };
            while matching.next_block(4096, &mut docs)? {
                if positions.len() + docs.len() > most {
                    return Ok(None);
                }
                positions.extend(docs.iter().map(|doc| Position::new(column.values.get_val(*doc))));
            }
        }
        positions.sort_unstable();
        Ok((positions.len() <= most).then_some(positions))
    }
}

/// A run that was found, and where.
pub(crate) struct Found {
    pub(crate) run: Arc<RunSummary>,
    /// `None` when it is hot.
    pub(crate) cold: Option<DocAddress>,
}

impl State {
    /// The visible versions of the runs that begin at these positions, found by looking at every run.
    pub(crate) fn find_at(&self, positions: &HashSet<Position>) -> Result<Vec<Found>, IndexError> {
        let mut found: Vec<_> = (self.hot.iter().flat_map(|chunk| chunk.visible(self.visible)))
            .filter(|entry| positions.contains(&entry.run.position()))
            .map(|entry| Found { run: Arc::clone(&entry.run), cold: None })
            .collect();
        for ((ord, reader), columns) in (0..).zip(self.searcher.segment_readers()).zip(&*self.columns) {
            let column = columns.number(Number::Position)?;
            for doc in reader.doc_ids_alive() {
                let is_masked = self.mask.as_ref().is_some_and(|mask| mask.contains(ord, doc));
                if !is_masked && positions.contains(&Position::new(column.values.get_val(doc))) {
                    let address = DocAddress::new(ord, doc);
                    let run = Arc::new(cold::summary(&self.searcher, address)?);
                    found.push(Found { run, cold: Some(address) });
                }
            }
        }
        Ok(found)
    }

    /// The visible version of a run.
    pub(crate) fn find(&self, run_id: Uuid) -> Result<Option<Found>, IndexError> {
        let hash = self.run_ids.hash(run_id);
        if !self.run_ids.may_contain(hash) {
            return Ok(None);
        }
        if let Some(entry) = self.hot.iter().rev().find_map(|chunk| chunk.find(run_id, hash, self.visible)) {
            return Ok(Some(Found { run: Arc::clone(&entry.run), cold: None }));
        }
        let address = cold::address(&self.searcher, &self.fields, run_id)
            .map_err(|error| IndexError::Document(error.to_string()))?;
        // A masked document whose run is not hot is that of an erased run.
        let is_masked =
            |at: &DocAddress| self.mask.as_ref().is_some_and(|mask| mask.contains(at.segment_ord, at.doc_id));
        let Some(address) = address.filter(|address| !is_masked(address)) else { return Ok(None) };
        let run = Arc::new(cold::summary(&self.searcher, address)?);
        Ok(Some(Found { run, cold: Some(address) }))
    }
}
