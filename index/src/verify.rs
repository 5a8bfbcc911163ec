//! Holding the index to the log: every run that the checkpoint covers is in it, once, with the summary that the log gives.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use agenttracer_model::Position;
use agenttracer_storage::disk::Disk;
use agenttracer_storage::record::{self, Records};
use agenttracer_storage::{BatchKind, StoredBatch};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, DocSet, Searcher, TERMINATED};
use uuid::Uuid;

use crate::cold::{self, Fields, run_term};
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
            check: Check { checkpoint: opened.next, ..Check::default() },
        }))
    }

    /// Looks at the next batch of the log, in position order.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn batch(&mut self, batch: &StoredBatch) -> Result<(), IndexError> {
        if batch.kind != BatchKind::Run {
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
            if stored.digest.is_none() {
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
        for (run_id, run) in std::mem::take(&mut self.gathered) {
            let batches = run.size().batches;
            self.differs(|| format!("run {run_id}: the log has only {batches} of the batches in the index"));
        }
        let documents: u64 = self.searcher.segment_readers().iter().map(|segment| u64::from(segment.num_docs())).sum();
        let (runs, differences) = (self.check.runs, self.check.differences);
        // Each difference concerns one run that the index has, or lacks; more than these come from nowhere.
        if documents > runs + differences {
            self.differs(|| format!("the index has {documents} runs, of which the log has {runs}"));
        }
        match Rollup::of_index(&self.searcher, &self.fields) {
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
