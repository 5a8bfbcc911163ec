//! Holding the index to the log: every run that the checkpoint covers is in it, once, with the summary that the log gives.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use agenttracer_model::{Digest, Position};
use agenttracer_storage::disk::Disk;
use agenttracer_storage::log_record::{self, LogRecord};
use agenttracer_storage::record::{self, Records};
use agenttracer_storage::{BatchKind, StoredBatch};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, DocSet, Searcher, TERMINATED};
use uuid::Uuid;

use crate::cold::{self, Fields, run_term};
use crate::columns::{Columns, Number};
use crate::live::LiveRun;
use crate::names::Names;
use crate::rollup::Rollup;
use crate::store::Store;
use crate::{IndexError, Options, RunSummary, summarise};

/// How many differences are told by name; all are counted.
const NAMED: usize = 100;

/// A committed index, held to the batches of its log one by one. Nothing is changed, and nothing in memory stands in
/// for what is on disk.
pub struct Checker {
    searcher: Searcher,
    fields: Fields,
    next: Position,
    rollup: Option<Rollup>,
    names: Names,
    /// Live runs, until the last of their batches comes.
    gathered: HashMap<Uuid, LiveRun>,
    /// Runs of the log that are not in the index, by the hash of their id, until a tombstone tells why.
    missing: HashMap<Digest, (Uuid, Position)>,
    /// The hashes of erased runs, and where their batches begin.
    erased: HashSet<Digest>,
    erased_at: HashSet<Position>,
    check: Check,
}

/// What holding an index to its log gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// The next position that the index will read: what it covers ends there.
    pub checkpoint: Position,
    /// Runs of the log that are in the index as they should be.
    pub runs: u64,
    /// Batches that the next start will read, for they came after the last commit. Not a fault.
    pub behind: u64,
    /// How many differences there are.
    pub differences: u64,
    /// The first of them.
    pub named: Vec<String>,
}

impl Checker {
    /// Opens the index in `dir` of the log with the id `log`. `Err` with the reason when there is none that this program would use: the next start
    /// makes it anew.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, log: Uuid) -> Result<Result<Self, String>, IndexError> {
        let opened = match Store::new(disk, dir).open(log, &Options::default())? {
            Ok(opened) => opened,
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(Ok(Self {
            searcher: opened.reader.searcher(),
            rollup: opened.rollup,
            fields: opened.fields,
            next: opened.next,
            names: Names::new(),
            gathered: HashMap::new(),
            missing: HashMap::new(),
            erased: HashSet::new(),
            erased_at: HashSet::new(),
            check: Check { checkpoint: opened.next, ..Check::default() },
        }))
    }

    /// Looks at the next batch of the log, in position order.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn batch(&mut self, batch: &StoredBatch) -> Result<(), IndexError> {
        if batch.kind == BatchKind::Log {
            if batch.position < self.next {
                self.erasures(batch);
            }
            return Ok(());
        }
        if batch.position >= self.next {
            self.check.behind += 1;
            return Ok(());
        }
        let position = batch.position;
        let records = match Records::of(batch) {
            Ok(records) => records,
            Err(error) => {
                self.differs(|| format!("the batch at position {position} is of no known form: {error}"));
                return Ok(());
            }
        };
        let run_id = records.run_id;
        let found = self.documents(run_id).map_err(|error| IndexError::Document(error.to_string()))?;
        let [address] = found[..] else {
            let count = found.len();
            let hash = Digest::of_run_id(run_id);
            if count == 0 && self.erased.contains(&hash) {
                return Ok(());
            }
            if count == 0 {
                // A tombstone further on may tell why.
                self.missing.entry(hash).or_insert((run_id, position));
                return Ok(());
            }
            self.differs(|| format!("run {run_id}, position {position}: {count} times in the index"));
            return Ok(());
        };
        let stored = match cold::summary(&self.searcher, address) {
            Ok(stored) => stored,
            Err(error) => {
                self.differs(|| format!("run {run_id}, position {position}: its summary cannot be read: {error}"));
                return Ok(());
            }
        };
        if !stored.batches.contains(&position) {
            // A whole run wins over everything behind it, and beside it.
            if !stored.whole {
                self.differs(|| format!("run {run_id}: the index does not know its batch at position {position}"));
            }
            return Ok(());
        }
        match self.expected(batch, run_id, &stored) {
            Ok(None) => {}
            Ok(Some(expected)) if expected == stored => self.check.runs += 1,
            Ok(Some(_)) => {
                self.differs(|| format!("run {run_id}, position {position}: the summary is not that of the log"));
            }
            Err(what) => self.differs(|| format!("run {run_id}, position {position}: {what}")),
        }
        Ok(())
    }

    /// What all batches gave.
    pub fn finish(mut self) -> Check {
        for (_, (run_id, position)) in std::mem::take(&mut self.missing) {
            self.differs(|| format!("run {run_id}, position {position}: 0 times in the index"));
        }
        for (run_id, run) in std::mem::take(&mut self.gathered) {
            let batches = run.size().batches;
            self.differs(|| format!("run {run_id}: the log has only {batches} of the batches in the index"));
        }
        match self.erased_runs() {
            Ok(runs) => {
                for position in runs {
                    self.differs(|| format!("the run at position {position} was erased, and is in the index"));
                }
            }
            Err(error) => self.differs(|| error.to_string()),
        }
        let documents: u64 = self.searcher.segment_readers().iter().map(|segment| u64::from(segment.num_docs())).sum();
        let (runs, differences) = (self.check.runs, self.check.differences);
        // Each difference concerns one run that the index has, or lacks; more than these come from nowhere.
        if documents > runs + differences {
            self.differs(|| format!("the index has {documents} runs, of which the log has {runs}"));
        }
        match Rollup::of_index(&self.searcher, &self.fields, Options::default().max_rollup_cells) {
            Err(error) => self.differs(|| format!("the rollups cannot be checked: {error}")),
            Ok(Some(made)) => match &self.rollup {
                Some(stored) if stored.agrees_with(&made) => {}
                // The files are whole: damaged ones would have been made anew.
                Some(_) => self.differs(|| "the rollups are not what the index adds up to".to_owned()),
                // There were too many cells once.
                None => {}
            },
            Ok(None) if self.rollup.is_some() => self.differs(|| "there are more rollups than there may be".to_owned()),
            Ok(None) => {}
        }
        self.check
    }

    /// Looks at what the log tells of erasures: an erased run is not in the index.
    fn erasures(&mut self, batch: &StoredBatch) {
        let records = match log_record::decode(batch) {
            Ok(records) => records,
            Err(error) => return self.differs(|| error.to_string()),
        };
        for record in records {
            let LogRecord::RunsErased { runs, .. } = record else { continue };
            for run in runs {
                let hash = Digest(run.run);
                self.missing.remove(&hash);
                self.erased.insert(hash);
                self.erased_at.extend(run.positions);
            }
        }
    }

    /// Where the erased runs begin that are in the index all the same.
    fn erased_runs(&self) -> Result<Vec<Position>, IndexError> {
        let mut found = Vec::new();
        if self.erased_at.is_empty() {
            return Ok(found);
        }
        let columns = Columns::of(&self.searcher, &[])?;
        for (segment, columns) in self.searcher.segment_readers().iter().zip(&*columns) {
            let positions = columns.number(Number::Position)?;
            let begin = segment.doc_ids_alive().map(|doc| Position::new(positions.values.get_val(doc)));
            found.extend(begin.filter(|position| self.erased_at.contains(position)));
        }
        Ok(found)
    }

    /// The summary that the log gives, once all the batches that make it were seen.
    fn expected(
        &mut self,
        batch: &StoredBatch,
        run_id: Uuid,
        stored: &RunSummary,
    ) -> Result<Option<RunSummary>, record::DecodeError> {
        let decoded = record::decode(batch)?;
        if decoded.whole {
            return Ok(match summarise::of_whole(batch, &mut self.names)? {
                None => summarise::of_batches(vec![decoded], &mut self.names),
                summary => summary,
            });
        }
        let run = self.gathered.entry(run_id).or_insert_with(|| LiveRun::new(run_id));
        run.add(decoded, batch.payload.len(), &mut self.names);
        if run.size().batches < stored.batches.len() as u64 {
            return Ok(None);
        }
        let summary = run.summary(&mut self.names);
        self.gathered.remove(&run_id);
        Ok(Some(summary))
    }

    /// All living documents of a run; there should be one.
    fn documents(&self, run_id: Uuid) -> tantivy::Result<Vec<DocAddress>> {
        let term = run_term(&self.fields, run_id);
        let mut found = Vec::with_capacity(1);
        for (ord, segment) in self.searcher.segment_readers().iter().enumerate() {
            let inverted = segment.inverted_index(self.fields.run_id)?;
            let Some(mut postings) = inverted.read_postings(&term, IndexRecordOption::Basic)? else { continue };
            let mut doc = postings.doc();
            while doc != TERMINATED {
                if !segment.is_deleted(doc) {
                    found.push(DocAddress::new(ord as u32, doc));
                }
                doc = postings.advance();
            }
        }
        Ok(found)
    }

    fn differs(&mut self, what: impl FnOnce() -> String) {
        self.check.differences += 1;
        if self.check.named.len() < NAMED {
            self.check.named.push(what());
        }
    }
}
