//! Many runs in one request: cut into items first, then each item on its own, so that one bad run never costs another.

use std::ops::Range;
use std::sync::Arc;

use agenttracer_model::Loc;
use agenttracer_model::privacy::Removed;
use agenttracer_storage::SubmitError;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::body::Body;
use crate::dedupe::Outcome;
use crate::error::Refused;
use crate::intake::{Begun, Intake, Known, Queued, Ready, blocking, settled, waited};
use crate::issues::Rules;
use crate::json::{self, CutError};
use crate::native::{self, Rejected};
use crate::tally::Tally;

/// Items of one request.
pub(crate) const MOST_ITEMS: usize = 10_000;
/// Items that are made ready before any of them is queued: so they share a group of the log, and its one sync, instead of
/// waking the commit thread one by one; and the log works on them while the next ones are made ready.
const TOGETHER: usize = 256;

/// How the items are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A JSON array.
    Array,
    /// One JSON value a line; blank lines count for nothing.
    Lines,
}

/// The byte ranges of the items.
pub(crate) fn cut(body: &[u8], form: Form) -> Result<Vec<Range<usize>>, Refused> {
    match form {
        Form::Lines => lines(body),
        Form::Array => json::elements(body, MOST_ITEMS).map_err(|error| match error {
            CutError::TooMany => too_many(),
            CutError::Malformed(malformed) => {
                let begins = body.iter().find(|byte| !json::is_space(**byte));
                if malformed.offset < body.len() && begins.is_some_and(|byte| *byte != b'[') {
                    let loc = vec![Loc::Name("body".to_owned())];
                    return Refused::invalid("list_type", loc, "Input should be a valid list");
                }
                Refused::Invalid(vec![malformed.at(None)], Rules::default())
            }
        }),
    }
}

fn lines(body: &[u8]) -> Result<Vec<Range<usize>>, Refused> {
    let mut ranges = Vec::new();
    let mut begin = 0;
    for end in memchr::memchr_iter(b'\n', body).chain([body.len()]) {
        if !body[begin..end].trim_ascii().is_empty() {
            if ranges.len() == MOST_ITEMS {
                return Err(too_many());
            }
            ranges.push(begin..end);
        }
        begin = end + 1;
    }
    Ok(ranges)
}

fn too_many() -> Refused {
    Refused::TooLarge(format!("A batch holds at most {MOST_ITEMS} items"))
}

/// A batch while it is stored.
pub(crate) struct Batch {
    intake: Arc<Intake>,
    body: Body,
    items: Vec<Range<usize>>,
    /// The largest item, in bytes.
    item_limit: usize,
    tally: Tally,
}

/// What one wave left to be awaited or done again.
#[derive(Default)]
struct Wave {
    ready: Vec<Item<Ready>>,
    queued: Vec<Item<Queued>>,
    /// Their run id is being stored, by another request or by an earlier item of this one.
    waiting: Vec<(usize, Uuid, oneshot::Receiver<Outcome>)>,
    /// Runs with their id are stored.
    known: Vec<(usize, Known)>,
    /// The log's queue was full.
    full: Vec<(usize, Uuid)>,
}

/// An item on its way into the log.
struct Item<T> {
    index: usize,
    /// As it was sent: nil when the server made it.
    sent_id: Uuid,
    run_id: Uuid,
    removed: Removed,
    at: T,
}

impl Batch {
    pub(crate) fn new(intake: Arc<Intake>, body: Body, items: Vec<Range<usize>>, item_limit: usize) -> Self {
        Self { intake, body, items, item_limit, tally: Tally::default() }
    }

    /// Stores every item that can be stored.
    ///
    /// Works in waves: a wave queues all its items before it awaits any of them; items that had to wait for a run id or
    /// for room in the queue make the next one. A wave that could queue nothing and waited for nobody is the last.
    pub(crate) async fn store(mut self) -> Tally {
        let mut todo: Vec<usize> = (0..self.items.len()).collect();
        while !todo.is_empty() {
            let wave;
            (self, wave) = self.begin(todo).await;
            let progress = !wave.queued.is_empty() || !wave.waiting.is_empty();
            todo = Vec::new();
            if !wave.known.is_empty() {
                self = blocking(move || self.compare(wave.known)).await;
            }
            for item in wave.queued {
                self.settle(item).await;
            }
            for (index, run_id, outcome) in wave.waiting {
                match waited(outcome).await {
                    Ok(()) => todo.push(index),
                    Err(refused) => self.reject(index, Some(run_id), refused),
                }
            }
            for (index, run_id) in wave.full {
                if progress {
                    todo.push(index);
                } else {
                    self.reject(index, Some(run_id), SubmitError::Busy.into());
                }
            }
            todo.sort_unstable();
        }
        self.tally.sort();
        self.tally
    }

    /// Reads and queues the items; large bodies away from the threads that serve connections.
    async fn begin(self, todo: Vec<usize>) -> (Self, Wave) {
        if self.body.bytes.len() < crate::body::LARGE {
            return self.begin_now(&todo);
        }
        blocking(move || self.begin_now(&todo)).await
    }

    fn begin_now(mut self, todo: &[usize]) -> (Self, Wave) {
        let mut wave = Wave::default();
        for &index in todo {
            if let Err(rejected) = self.begin_item(index, &mut wave) {
                self.reject(index, rejected.run_id, rejected.refused);
            }
            if wave.ready.len() == TOGETHER {
                self.submit(&mut wave);
            }
        }
        self.submit(&mut wave);
        (self, wave)
    }

    fn begin_item(&mut self, index: usize, wave: &mut Wave) -> Result<(), Box<Rejected>> {
        let item = &self.body.bytes[self.items[index].clone()];
        if item.len() > self.item_limit {
            let refused = Refused::TooLarge(format!("A run must be at most {} MiB", self.item_limit >> 20));
            return Err(Box::new(Rejected { run_id: None, refused }));
        }
        let mut prepared = native::prepare(item, Some(index), self.intake.words)?;
        let sent_id = prepared.run.run_id;
        let begun = self
            .intake
            .begin(&mut prepared)
            .map_err(|refused| Box::new(Rejected { run_id: Some(sent_id).filter(|id| !id.is_nil()), refused }))?;
        let run_id = prepared.run.run_id;
        match begun {
            Begun::Ready(ready) => {
                wave.ready.push(Item { index, sent_id, run_id, removed: prepared.removed, at: ready });
            }
            Begun::Known(known) => wave.known.push((index, known)),
            Begun::Wait(outcome) => wave.waiting.push((index, run_id, outcome)),
        }
        Ok(())
    }

    /// Tells repetitions from conflicts.
    fn compare(mut self, known: Vec<(usize, Known)>) -> Self {
        for (index, known) in known {
            match self.intake.compare(&known) {
                Ok(()) => {
                    self.intake.metrics.duplicate.inc();
                    self.tally.duplicates(1);
                }
                Err(refused) => self.reject(index, Some(known.run_id), refused),
            }
        }
        self
    }

    /// Queues what is ready.
    fn submit(&mut self, wave: &mut Wave) {
        for Item { index, sent_id, run_id, removed, at } in wave.ready.drain(..) {
            match self.intake.submit(at) {
                Ok(queued) => wave.queued.push(Item { index, sent_id, run_id, removed, at: queued }),
                // An id that was made for it is not kept or told: nothing of it was stored.
                Err(SubmitError::Busy) => wave.full.push((index, sent_id)),
                Err(error) => self.reject(index, Some(sent_id), error.into()),
            }
        }
    }

    async fn settle(&mut self, item: Item<Queued>) {
        match settled(item.at).await {
            Ok(position) => self.tally.accepted(position, &item.removed),
            Err(refused) => self.reject(item.index, Some(item.run_id), refused),
        }
    }

    fn reject(&mut self, index: usize, run_id: Option<Uuid>, refused: Refused) {
        self.intake.metrics.count_refused(&refused);
        self.tally.rejected(index, run_id, refused);
    }
}
