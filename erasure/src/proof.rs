//! Looking for erased runs in every file of a data directory.
//!
//! A receipt holds hashes and positions, not what was erased. So every run id that is found anywhere is hashed and
//! compared: in decoded frames, blocks too; in the index's terms and stored documents, decompressed, deleted ones included;
//! and, as text and as 16 bytes, in the raw bytes of every file, payload and document. What cannot be known by a hash is
//! known by its place: a batch or document at an erased position; and a value of a dictionary that no run there has is one
//! that stayed behind.
//!
//! As 16 bytes anywhere, only ids in the form of RFC 9562 are looked for; others are found where ids stand.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_index::{Trace, traces};
use agenttracer_model::{Digest, Position};
use agenttracer_storage::disk::Disk;
use agenttracer_storage::format::{Footer, TRAILER_BYTES, Trailer, seed};
use agenttracer_storage::log_record::{self, LogRecord};
use agenttracer_storage::record::{RecordRef, Records};
use agenttracer_storage::repair::quarantined;
use agenttracer_storage::verify::{Report, SegmentReport, Visitor, inspect, visit};
use agenttracer_storage::{BatchKind, OpenError, StoredBatch};
use uuid::Uuid;

use crate::eraser::Sum;
use crate::{EraseError, ids};

/// How many findings are told by name; all are counted.
const NAMED: usize = 100;

/// A place where something of an erased run is left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, or the part of it.
    pub place: String,
    /// What was found there; never the value.
    pub what: String,
}

/// What looking everywhere gave.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// Erasures whose receipt says that they are purged.
    pub purged: u64,
    /// Erasures that are hidden or accepted: their bytes may still be there, and are not findings.
    pub pending: u64,
    /// Where the last receipt stands: what was copied out of the directory before may hold what it says is gone.
    pub purged_at: Option<Position>,
    /// Runs that were erased by either.
    pub runs: u64,
    /// Places of purged runs, and of receipts that do not hold.
    pub findings: u64,
    /// The first of them.
    pub named: Vec<Finding>,
    /// Runs that are there and name an erased one as their parent: what they say of it is theirs.
    pub mentions: u64,
    /// What was looked at: batches, records of blocks, terms, ...
    pub looked_at: BTreeMap<&'static str, u64>,
}

impl Proof {
    /// Whether nothing of a purged run was found, and every receipt holds.
    pub fn holds(&self) -> bool {
        self.findings == 0
    }

    fn find(&mut self, place: &str, what: &str) {
        self.findings += 1;
        if self.named.len() < NAMED {
            self.named.push(Finding { place: place.to_owned(), what: what.to_owned() });
        }
    }

    fn count(&mut self, what: &'static str, more: u64) {
        *self.looked_at.entry(what).or_default() += more;
    }
}

/// Why a proof could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The log cannot be read at all.
    #[error("{0}")]
    Log(#[from] OpenError),
    /// The index or the log cannot be read.
    #[error("{0}")]
    Erase(#[from] EraseError),
}

/// Looks for the runs of every erasure in the data directory `dir`, which no server may have open. Changes nothing.
///
/// # Errors
/// When the directory is in use, or cannot be read.
pub fn prove(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Proof, ProofError> {
    let mut receipts = Receipts::default();
    visit(&**disk, dir, &mut receipts)?;
    let mut proof = Proof::default();
    let erased = receipts.check(&mut proof);
    let report = inspect(&**disk, dir)?;
    let mut look = Look {
        disk,
        erased: &erased,
        proof,
        log: report,
        in_blocks: false,
        mentioned: HashSet::new(),
        seen: Default::default(),
    };
    visit(&**disk, dir, &mut look)?;
    look.index(&dir.join("index"))?;
    look.quarantine(dir).map_err(|source| EraseError::Io { file: dir.join("quarantine"), source })?;
    look.files(dir)?;
    Ok(look.proof)
}

/// Gathers what the log says about erasures.
#[derive(Default)]
struct Receipts {
    erasures: HashMap<Uuid, Receipt>,
    purged_at: Option<Position>,
    unread: Vec<String>,
}

#[derive(Default)]
struct Receipt {
    /// Whether the log still has its beginning: retention may have dropped that, and some of the tombstones with it.
    begun: bool,
    /// Whether all of its plan is there, when it has one.
    is_planned: bool,
    sum: Sum,
    hidden: Option<(u64, u64, Digest)>,
    purged: Option<Digest>,
    runs: Vec<[u8; 32]>,
    positions: Vec<Position>,
}

impl Visitor for Receipts {
    fn batch(&mut self, batch: &StoredBatch) {
        if batch.kind != BatchKind::Log {
            return;
        }
        let records = match log_record::decode(batch) {
            Ok(records) => records,
            Err(error) => return self.unread.push(error.to_string()),
        };
        for record in records {
            match record {
                LogRecord::RunsErased { erasure, runs } => {
                    let receipt = self.erasures.entry(erasure).or_default();
                    receipt.sum.add(&runs);
                    for tombstone in runs {
                        receipt.runs.push(tombstone.run);
                        receipt.positions.extend(tombstone.positions);
                    }
                }
                LogRecord::ErasureHidden { erasure, runs, batches, digest } => {
                    self.erasures.entry(erasure).or_default().hidden = Some((runs, batches, digest));
                }
                LogRecord::ErasurePurged { erasure, digest } => {
                    self.purged_at = Some(batch.position);
                    self.erasures.entry(erasure).or_default().purged = Some(digest);
                }
                LogRecord::ErasureBegun { erasure, .. } => self.erasures.entry(erasure).or_default().begun = true,
                LogRecord::ErasurePlanned { erasure, more, .. } => {
                    self.erasures.entry(erasure).or_default().is_planned |= !more;
                }
            }
        }
    }
}

/// What must be nowhere.
#[derive(Default)]
struct Erased {
    /// Hashes of run ids, and whether their erasure is purged.
    runs: HashMap<[u8; 32], bool>,
    /// Where the batches of purged runs were.
    positions: BTreeSet<Position>,
    is_any_purged: bool,
}

impl Receipts {
    /// Holds each receipt to its tombstones.
    fn check(self, proof: &mut Proof) -> Erased {
        let mut erased = Erased::default();
        proof.purged_at = self.purged_at;
        for what in self.unread {
            proof.find("log", &format!("what it tells of erasures cannot be read: {what}"));
        }
        for (id, receipt) in self.erasures {
            let place = format!("erasure {id}");
            if let Some((runs, batches, digest)) = receipt.hidden
                && receipt.begun
                && (runs, batches, digest) != (receipt.sum.runs, receipt.sum.batches, receipt.sum.digest())
            {
                proof.find(&place, "its tombstones are not those that its receipt names");
            }
            // Tombstones without an erasure are those that outlive it; it was purged before.
            let is_purged = receipt.purged.is_some() || id.is_nil();
            if is_purged && receipt.begun && receipt.purged != receipt.hidden.map(|(_, _, digest)| digest) {
                proof.find(&place, "the receipt of the purge is not that of the erasure");
            }
            match is_purged {
                true => proof.purged += u64::from(!id.is_nil()),
                // One without a whole plan was never accepted.
                false => proof.pending += u64::from(receipt.is_planned || !receipt.runs.is_empty()),
            }
            for run in receipt.runs {
                *erased.runs.entry(run).or_default() |= is_purged;
            }
            if is_purged {
                erased.positions.extend(receipt.positions);
                erased.is_any_purged = true;
            }
        }
        proof.runs = erased.runs.len() as u64;
        erased
    }
}

impl Erased {
    fn is_purged(&self, run_id: Uuid) -> bool {
        self.runs.get(&Digest::of_run_id(run_id).0).copied().unwrap_or_default()
    }
}

struct Look<'a> {
    disk: &'a Arc<dyn Disk>,
    erased: &'a Erased,
    proof: Proof,
    log: Report,
    /// Whether the segment at hand has compressed blocks.
    in_blocks: bool,
    /// Erased runs that a living one names.
    mentioned: HashSet<Uuid>,
    /// The values of the four dictionaries that the batches of the segment at hand have.
    seen: [BTreeSet<String>; 4],
}

impl Visitor for Look<'_> {
    fn wants(&mut self, segment: &SegmentReport) -> bool {
        self.in_blocks = segment.generation > 1;
        true
    }

    fn batch(&mut self, batch: &StoredBatch) {
        self.proof.count("batches", 1);
        if batch.kind != BatchKind::Run {
            return;
        }
        let place = format!("log, position {}", batch.position);
        if self.erased.positions.contains(&batch.position) {
            self.proof.find(&place, "a batch of an erased run");
        }
        match Records::of(batch) {
            Ok(records) => {
                if self.erased.is_purged(records.run_id) {
                    self.proof.find(&place, "a batch with the id of an erased run");
                }
                for record in records.flatten() {
                    match record {
                        RecordRef::RunStarted { agent_id, agent_version, environment, parent_run_id, .. } => {
                            for (seen, value) in self.seen.iter_mut().zip([agent_id, agent_version, environment]) {
                                add(seen, value);
                            }
                            if let Some(parent) = parent_run_id.filter(|parent| self.erased.is_purged(*parent)) {
                                self.proof.mentions += 1;
                                self.mentioned.insert(parent);
                            }
                        }
                        RecordRef::FailureRecorded { failure_code, .. } => add(&mut self.seen[3], failure_code),
                        _ => {}
                    }
                }
            }
            Err(error) => self.proof.find(&place, &format!("the batch cannot be decoded: {error}")),
        }
        if self.in_blocks {
            // Elsewhere the payload stands in the file as it is, and is looked at with it.
            self.raw(&place, &batch.payload);
        }
    }

    fn segment(&mut self, segment: &SegmentReport) {
        let seen = std::mem::take(&mut self.seen);
        if !segment.sealed {
            return;
        }
        let place = segment.file.display().to_string();
        match self.footer(segment) {
            Ok(Some(footer)) => {
                for (listed, seen) in footer.dictionary.lists.iter().zip(&seen) {
                    self.proof.count("values of footers", listed.len() as u64);
                    for _ in listed.difference(seen) {
                        self.proof.find(&place, "the footer lists a value that no batch of the segment has");
                    }
                }
            }
            // `verify` says what is wrong with it; a footer that cannot be read lists nothing.
            Ok(None) => {}
            Err(error) => self.proof.find(&place, &format!("the footer cannot be read: {error}")),
        }
    }
}

impl Look<'_> {
    fn footer(&self, segment: &SegmentReport) -> io::Result<Option<Footer>> {
        let Some(log_id) = self.log.log_id else { return Ok(None) };
        let seed = seed(log_id, segment.first, segment.generation);
        let file = self.disk.open_read(&segment.file)?;
        let file_bytes = file.len()?;
        let mut trailer = [0; TRAILER_BYTES];
        let Some(at) = file_bytes.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        file.read_exact_at(&mut trailer, at)?;
        let Some(trailer) = Trailer::decode(seed, &trailer, file_bytes) else { return Ok(None) };
        let mut bytes = vec![0; trailer.footer_bytes as usize];
        file.read_exact_at(&mut bytes, trailer.footer_offset)?;
        Ok(Footer::decode(seed, &bytes))
    }

    /// Everything in the index that can tell of a run.
    fn index(&mut self, dir: &Path) -> Result<(), EraseError> {
        traces(self.disk.clone(), dir, &mut |segment, trace| self.trace(&format!("index, segment {segment}"), trace))?;
        Ok(())
    }

    fn trace(&mut self, place: &str, trace: Trace<'_>) {
        match trace {
            Trace::Term(run_id) => {
                self.proof.count("terms of run ids", 1);
                if self.erased.is_purged(run_id) {
                    self.proof.find(place, "a term with the id of an erased run");
                }
            }
            Trace::Document(run_id, bytes) => {
                self.proof.count("stored documents", 1);
                if self.erased.is_purged(run_id) {
                    self.proof.find(place, "a stored document of an erased run");
                }
                self.raw(place, bytes);
            }
            Trace::Position(position) => {
                self.proof.count("positions of documents", 1);
                if self.erased.positions.contains(&position) {
                    self.proof.find(place, "a document with the position of an erased run");
                }
            }
            Trace::Value { dictionary, value, documents } => {
                self.proof.count("values of dictionaries", 1);
                if documents == 0 {
                    self.proof.find(place, &format!("{dictionary}: a value that no document has"));
                }
                self.raw(place, value);
            }
        }
    }

    /// The raw bytes of every file below `dir` that the engine writes.
    fn files(&mut self, dir: &Path) -> Result<(), EraseError> {
        for sub in ["", "log", "index", "run", "quarantine"] {
            let dir = if sub.is_empty() { dir.to_owned() } else { dir.join(sub) };
            let failed = |file: PathBuf| move |source| EraseError::Io { file, source };
            if !self.disk.exists(&dir).map_err(failed(dir.clone()))? {
                continue;
            }
            for (name, _) in self.disk.list(&dir).map_err(failed(dir.clone()))? {
                let path = dir.join(&name);
                self.file(&path).map_err(failed(path.clone()))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let place = path.display().to_string();
        self.proof.count("files", 1);
        ids::in_file(&**self.disk, path, &mut |bytes| {
            self.raw(&place, bytes);
            true
        })
    }

    /// What repairs put aside. Bytes of compressed blocks tell nothing of what is in them; a purge removes them.
    fn quarantine(&mut self, dir: &Path) -> io::Result<()> {
        for bytes in quarantined(&**self.disk, dir)? {
            self.proof.count("quarantined files", 1);
            if self.erased.positions.range(bytes.positions.clone()).next().is_some() {
                self.proof.find(&bytes.path.display().to_string(), "bytes of the positions of an erased run");
            }
        }
        Ok(())
    }

    /// Looks for ids in bytes of no known form.
    fn raw(&mut self, place: &str, bytes: &[u8]) {
        self.proof.count("bytes", bytes.len() as u64);
        if !self.erased.is_any_purged {
            return;
        }
        ids::each(bytes, &mut |run_id| {
            if self.erased.is_purged(run_id) && !self.mentioned.contains(&run_id) {
                self.proof.find(place, "the id of an erased run");
            }
        });
    }
}

fn add(set: &mut BTreeSet<String>, value: &str) {
    if !set.contains(value) {
        set.insert(value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use agenttracer_storage::disk::SimDisk;

    use super::*;

    /// tantivy does not write such a dictionary, so only here can it be shown that one would be found.
    #[test]
    fn a_value_that_stayed_behind_is_found() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let erased = Erased::default();
        let mut look = Look {
            disk: &disk,
            erased: &erased,
            proof: Proof::default(),
            log: Report::default(),
            in_blocks: false,
            mentioned: HashSet::new(),
            seen: Default::default(),
        };
        look.trace("here", Trace::Value { dictionary: "column agent_id", value: b"living", documents: 1 });
        assert!(look.proof.holds());
        look.trace("here", Trace::Value { dictionary: "column agent_id", value: b"left", documents: 0 });
        let what = "column agent_id: a value that no document has".to_owned();
        assert_eq!(look.proof.named, [Finding { place: "here".to_owned(), what }]);
    }
}
