//! The runs that match a filter, newest first, with all that the log holds of them, in bounded memory.

use std::collections::HashMap;
use std::sync::Arc;

use agenttracer_index::{Count, Filter, PageRequest, RunSummary, Snapshot};
use agenttracer_model::{Position, RunBatch};
use agenttracer_storage::{Log, ReadError, StoredBatch, record};

/// Summaries that are asked of the index in one go.
const PAGE: usize = 4096;
/// What the runs that are read together may take, as their parts let expect at most.
const CHUNK_BYTES: u64 = 32 << 20;
/// The most that a part (a step, a decision, a signal) of a run takes: metadata of 16 KiB, and its fields.
const PART_BYTES: u64 = 18 << 10;
/// The most that a run takes, however many parts it has: the limit of a request.
const RUN_BYTES: u64 = 8 << 20;
/// Batches that lie closer to each other, in records, are read in one scan.
const NEAR: u64 = 2048;

/// A walk over runs.
pub(crate) struct Runs<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) log: &'a dyn Log,
    pub(crate) filter: &'a Filter,
}

/// A run's batches in order, or why one of them cannot be read.
pub(crate) type Read = Result<Vec<RunBatch>, String>;

impl Runs<'_> {
    /// How many runs match.
    pub(crate) fn count(&self) -> anyhow::Result<u64> {
        let page = PageRequest { after: None, offset: 0, limit: 0, count_up_to: u64::MAX };
        Ok(match self.snapshot.list(self.filter, &page)?.total {
            Count::Exactly(count) | Count::AtLeast(count) => count,
        })
    }

    /// Gives each run to `take`, newest first, ties by run id.
    pub(crate) fn each(&self, mut take: impl FnMut(&RunSummary, Read) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let request = PageRequest { after, offset: 0, limit: PAGE, count_up_to: 0 };
            let page = self.snapshot.list(self.filter, &request)?;
            let Some(last) = page.runs.last() else { return Ok(()) };
            after = Some((last.started_at, last.run_id));
            for chunk in chunks(&page.runs) {
                let mut batches = read_batches(self.log, chunk.iter().flat_map(|run| run.batches.iter().copied()));
                for run in chunk {
                    let mut take_batch = |at: &Position| {
                        batches.remove(at).unwrap_or_else(|| Err("a batch of it is missing".to_owned()))
                    };
                    take(run, run.batches.iter().map(&mut take_batch).collect())?;
                }
            }
            if !page.more {
                return Ok(());
            }
        }
    }
}

/// Cuts a page where its runs could become too many bytes.
fn chunks(runs: &[Arc<RunSummary>]) -> impl Iterator<Item = &[Arc<RunSummary>]> {
    let mut bytes = 0;
    runs.chunk_by(move |before, _| {
        let parts = before.step_count() + before.decision_count() + before.signal_count();
        bytes += RUN_BYTES.min((u64::from(parts) + 2) * PART_BYTES);
        let goes_on = bytes < CHUNK_BYTES;
        if !goes_on {
            bytes = 0;
        }
        goes_on
    })
}

/// Reads batches by their positions: neighbours in one scan, whatever the order in which they are asked for.
pub(crate) fn read_batches(
    log: &dyn Log,
    wanted: impl Iterator<Item = Position>,
) -> HashMap<Position, Result<RunBatch, String>> {
    let mut wanted: Vec<_> = wanted.collect();
    wanted.sort_unstable();
    wanted.dedup();
    let decode = |batch: &StoredBatch| record::decode(batch).map_err(|error| error.to_string());
    let mut found = HashMap::with_capacity(wanted.len());
    for near in wanted.chunk_by(|before, after| after.get() - before.get() < NEAR) {
        let [first, .., last] = near else {
            found.extend(near.iter().map(|at| (*at, one(log, *at))));
            continue;
        };
        for batch in log.scan(*first..last.advance(1)) {
            match batch {
                Ok(batch) if near.binary_search(&batch.position).is_ok() => {
                    found.insert(batch.position, decode(&batch));
                }
                // Of another run, or damage: whose batch that was is told below.
                Ok(_) | Err(ReadError::Damaged(_)) => {}
                Err(_) => break,
            }
        }
        for at in near {
            found.entry(*at).or_insert_with(|| one(log, *at));
        }
    }
    found
}

fn one(log: &dyn Log, at: Position) -> Result<RunBatch, String> {
    let batch = log.read(at).map_err(|error| error.to_string())?;
    record::decode(&batch).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use agenttracer_model::{Timestamp, sample};
    use agenttracer_storage::{MemoryLog, ResolveOnCommit};

    use super::*;

    #[test]
    fn batches_are_found_wherever_they_lie() {
        let log = MemoryLog::new(ResolveOnCommit);
        let mut positions = Vec::new();
        for seed in 0..400 {
            positions.push(log.tail());
            let batch = record::encode_run(&sample::run(seed), Timestamp::from_micros(1));
            let (done, outcome) = std::sync::mpsc::channel();
            log.submit(
                batch,
                Box::new(move |position| {
                    let _ = done.send(position.is_ok());
                }),
            )
            .unwrap();
            assert_eq!(outcome.recv(), Ok(true));
        }
        // One alone, neighbours in disorder, one twice, and one that is not there.
        let missing = Position::new(positions[7].get() + 1);
        let asked = [positions[399], positions[5], positions[3], positions[4], positions[3], missing];
        let found = read_batches(&log, asked.into_iter());
        assert_eq!(found.len(), 5);
        for (seed, at) in [(399, positions[399]), (5, positions[5]), (3, positions[3]), (4, positions[4])] {
            assert_eq!(found[&at].as_ref().unwrap().run_id, sample::run(seed).run_id);
        }
        assert!(found[&missing].is_err());
    }
}
