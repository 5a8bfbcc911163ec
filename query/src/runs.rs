use agenttracer_index::{RunSummary, Stop};
use agenttracer_model::{RunBatch, RunView};
use agenttracer_storage::{Log, record};
use bytes::Bytes;

use crate::cache::RunCache;
use crate::error::{Refusal, UnreadableRun};
use crate::wire::SummaryView;

/// Whole runs, folded from their batches in the log.
pub(crate) struct Runs<'a> {
    pub(crate) log: &'a dyn Log,
    pub(crate) cache: &'a RunCache,
}

/// A JSON array of runs.
pub(crate) struct RunList {
    pub(crate) body: Vec<u8>,
    /// How many of them could not be read, and stand there without their children.
    pub(crate) damaged: usize,
}

impl Runs<'_> {
    /// The JSON of a run, the same bytes that `POST /v1/runs` answered.
    pub(crate) fn json(&self, run: &RunSummary) -> Result<Bytes, Refusal> {
        let last = run.batches.last().copied().unwrap_or_default();
        let key = (run.run_id, last);
        if let Some(json) = self.cache.get(&key) {
            return Ok(json);
        }
        let json = Bytes::from(sonic_rs::to_vec(&self.view(run)?)?);
        self.cache.put(key, json.clone());
        Ok(json)
    }

    /// A run as it is.
    pub(crate) fn view(&self, run: &RunSummary) -> Result<RunView, UnreadableRun> {
        RunView::fold(self.batches(run)?).ok_or(UnreadableRun::NoRun { run_id: run.run_id })
    }

    /// All batches of a run, in order.
    pub(crate) fn batches(&self, run: &RunSummary) -> Result<Vec<RunBatch>, UnreadableRun> {
        let read = |position| {
            let batch = self.log.read(position).map_err(|error| UnreadableRun::read(run.run_id, position, &error))?;
            record::decode(&batch).map_err(|error| UnreadableRun::decode(run.run_id, &error))
        };
        run.batches.iter().copied().map(read).collect()
    }

    /// The JSON of many runs. A run that cannot be read is shown as far as the index knows it: one damaged record must
    /// not cost all others. Runs can be megabytes each, so a list over `max_bytes` is refused as soon as it is one.
    pub(crate) fn list<'r>(
        &self,
        runs: impl IntoIterator<Item = &'r RunSummary>,
        max_bytes: usize,
        stop: &Stop,
    ) -> Result<RunList, Refusal> {
        let mut list = RunList { body: vec![b'['], damaged: 0 };
        for run in runs {
            stop.go_on()?;
            if list.body.len() > 1 {
                list.body.push(b',');
            }
            match self.json(run) {
                Ok(json) => list.body.extend_from_slice(&json),
                Err(_) => {
                    list.damaged += 1;
                    list.body.extend_from_slice(&sonic_rs::to_vec(&SummaryView::from(run))?);
                }
            }
            if list.body.len() >= max_bytes {
                return Err(Refusal::PageTooLarge { max_bytes });
            }
        }
        list.body.push(b']');
        Ok(list)
    }
}
