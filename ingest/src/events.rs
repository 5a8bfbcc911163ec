//! Events of live runs (contract §5a): sorted by run, and the events of each run stored as one batch.
//!
//! A run id is reserved while its events are stored, as it is for a run that arrives whole: so what a run holds does not
//! change between looking and appending, and a run is never stored both whole and live.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use agenttracer_model::privacy::Removed;
use agenttracer_model::{Event, EventKey, EventMark, EventVersion, Position, TimedEvent};
use agenttracer_storage::{AppendError, SubmitError, record};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::StoredRun;
use crate::body::Body;
use crate::dedupe::{Outcome, Reserved};
use crate::error::Refused;
use crate::event::{self, Incoming};
use crate::intake::{Intake, blocking, erased, unreadable, waited};
use crate::tally::Tally;

/// Batches of one live run, one a request.
pub(crate) const MOST_BATCHES: u64 = 10_000;
/// Events of one live run: more than the steps, each begun and ended, decisions and signals that a whole run may have.
pub(crate) const MOST_EVENTS: u64 = 50_000;
/// Bytes of one live run's events, as the log holds them.
pub(crate) const MOST_BYTES: u64 = 16 << 20;
/// Batches beyond the bound that may still end the run.
const ENDING_BATCHES: u64 = 100;
/// Runs that one call gives up.
const ABANDONED_AT_ONCE: usize = 1000;

/// The events of one request while they are stored.
pub(crate) struct Events {
    intake: Arc<Intake>,
    body: Body,
    items: Vec<Range<usize>>,
    /// The largest event, and the most that the events of one run may take together, in bytes.
    limit: usize,
    tally: Tally,
}

/// The events of one run.
struct Group {
    run_id: Uuid,
    /// In the order of the request.
    members: Vec<Member>,
    events: Vec<TimedEvent>,
    /// Items that repeat a member: what becomes of that becomes of them.
    repeated: Vec<usize>,
}

struct Member {
    index: usize,
    mark: EventMark,
    removed: Removed,
}

/// What one attempt to store a group came to.
enum Begun {
    Queued(Group, oneshot::Receiver<Result<Position, AppendError>>),
    /// Another request stores events of this run now.
    Wait(Group, oneshot::Receiver<Outcome>),
    /// The log's queue was full.
    Full(Group),
    /// Nothing is left of it to be stored.
    Done,
}

impl Events {
    pub(crate) fn new(intake: Arc<Intake>, body: Body, items: Vec<Range<usize>>, limit: usize) -> Self {
        Self { intake, body, items, limit, tally: Tally::default() }
    }

    /// Stores every event that can be stored.
    ///
    /// Works in waves, as [`crate::batch`] does: all groups are queued before any is awaited; those that had to wait for a
    /// run or for room make the next wave.
    pub(crate) async fn store(self) -> Tally {
        // Away from the threads that serve connections: looking at what a run holds can mean reading it from the disk.
        let (mut events, mut begun) = blocking(move || {
            let mut events = self;
            let groups = events.read();
            let begun = events.begin(groups);
            (events, begun)
        })
        .await;
        loop {
            let progress = begun.iter().any(|begun| matches!(begun, Begun::Queued(..) | Begun::Wait(..)));
            let mut todo = Vec::new();
            for begun in begun {
                match begun {
                    Begun::Queued(group, outcome) => events.settle(group, outcome).await,
                    Begun::Wait(group, outcome) => match waited(outcome).await {
                        Ok(()) => todo.push(group),
                        Err(refused) => events.reject(group, &refused),
                    },
                    Begun::Full(group) if progress => todo.push(group),
                    Begun::Full(group) => events.reject(group, &SubmitError::Busy.into()),
                    Begun::Done => {}
                }
            }
            if todo.is_empty() {
                break;
            }
            (events, begun) = blocking(move || {
                let begun = events.begin(todo);
                (events, begun)
            })
            .await;
        }
        events.tally.sort();
        events.tally
    }

    /// Reads the items, and sorts them by run.
    fn read(&mut self) -> Vec<Group> {
        let now = self.intake.clock.now();
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of: HashMap<Uuid, usize> = HashMap::new();
        // Of what is repeated in this request the first is stored, or the one from which more was removed.
        let mut seen: HashMap<(Uuid, EventKey, EventVersion), u32> = HashMap::new();
        for index in 0..self.items.len() {
            let item = &self.body.bytes[self.items[index].clone()];
            let read = if item.len() > self.limit {
                let refused = Refused::TooLarge(format!("An event must be at most {} MiB", self.limit >> 20));
                Err((None, refused))
            } else {
                event::prepare(item, index, self.intake.words, now)
                    .map_err(|rejected| (rejected.run_id, rejected.refused))
            };
            let Incoming { run_id, mark, event, removed } = match read {
                Ok(incoming) => incoming,
                Err((run_id, refused)) => {
                    self.reject_one(index, run_id, refused);
                    continue;
                }
            };
            let at = *group_of.entry(run_id).or_insert_with(|| {
                groups.push(Group { run_id, members: Vec::new(), events: Vec::new(), repeated: Vec::new() });
                groups.len() - 1
            });
            if let Some(key) = mark.key {
                match seen.get_mut(&(run_id, key, mark.version)) {
                    Some(most) if *most >= mark.removed => {
                        groups[at].repeated.push(index);
                        continue;
                    }
                    Some(most) => *most = mark.removed,
                    None => {
                        seen.insert((run_id, key, mark.version), mark.removed);
                    }
                }
            }
            groups[at].members.push(Member { index, mark, removed });
            groups[at].events.push(event);
        }
        groups
    }

    fn begin(&mut self, groups: Vec<Group>) -> Vec<Begun> {
        groups.into_iter().map(|group| self.begin_group(group)).collect()
    }

    /// Queues what the run does not hold yet. Waits for nobody.
    fn begin_group(&mut self, mut group: Group) -> Begun {
        let intake = Arc::clone(&self.intake);
        let run_id = group.run_id;
        let reservation = match intake.in_flight.reserve(run_id) {
            Reserved::Ours(reservation) => reservation,
            Reserved::Theirs(outcome) => return Begun::Wait(group, outcome),
        };
        if let Err(refused) = self.admit(&mut group) {
            self.reject(group, &refused);
            return Begun::Done;
        }
        if group.members.is_empty() {
            let repeated = group.repeated.len();
            self.duplicates(repeated);
            return Begun::Done;
        }
        let batch = record::encode_events(run_id, &group.events, intake.clock.now());
        if batch.payload.len() > self.limit {
            let most = self.limit >> 20;
            let text = format!("The events of one run in one request must take at most {most} MiB together");
            self.reject(group, &Refused::TooLarge(text));
            return Begun::Done;
        }
        let (sender, outcome) = oneshot::channel();
        let metrics = intake.metrics.clone();
        let stored = group.members.len() as u64;
        let mut removed = Removed::default();
        group.members.iter().for_each(|member| removed.merge(&member.removed));
        // It owns the reservation and counts: both must happen even when the client has gone away meanwhile.
        let ticket = Box::new(move |result: Result<Position, AppendError>| {
            if result.is_ok() {
                metrics.events_ingested.inc_by(stored);
                metrics.count_removed(&removed);
            }
            reservation.end(&result.clone().map(drop));
            let _ = sender.send(result);
        });
        match intake.log.submit(batch, ticket) {
            Ok(()) => Begun::Queued(group, outcome),
            Err(SubmitError::Busy) => Begun::Full(group),
            Err(error) => {
                self.reject(group, &error.into());
                Begun::Done
            }
        }
    }

    /// Takes out of the group what the run holds already.
    ///
    /// # Errors
    /// When the run takes no events, or no more of them.
    fn admit(&mut self, group: &mut Group) -> Result<(), Refused> {
        let intake = Arc::clone(&self.intake);
        let run_id = group.run_id;
        match intake.runs.find(run_id).map_err(unreadable)? {
            None if intake.runs.live_runs() >= intake.most_live_runs => {
                return Err(Refused::Busy("Too many live runs go on, try again when some have ended"));
            }
            None => return bounded(run_id, 0, group.events.len() as u64, 0, &group.events),
            Some(StoredRun::Live) => {}
            Some(StoredRun::Whole(_)) => {
                return Err(Refused::Conflict(format!("Run {run_id} arrived whole and takes no events")));
            }
            Some(StoredRun::Erased) => return Err(erased(run_id)),
        }
        let marks: Vec<EventMark> = group.members.iter().map(|member| member.mark).collect();
        let held = intake.runs.live(run_id, &marks).map_err(unreadable)?.unwrap_or_default();
        if held.held.contains(&true) {
            let mut known = held.held.iter().copied().chain(std::iter::repeat(false));
            let mut keep = Vec::with_capacity(group.members.len());
            let mut before = 0;
            group.members.retain(|_| {
                let is_known = known.next().unwrap_or(false);
                before += usize::from(is_known);
                keep.push(!is_known);
                !is_known
            });
            let mut keep = keep.into_iter();
            group.events.retain(|_| keep.next().unwrap_or(true));
            self.duplicates(before);
        }
        if group.members.is_empty() {
            return Ok(());
        }
        let events = held.events + group.events.len() as u64;
        bounded(run_id, held.batches, events, held.payload_bytes, &group.events)
    }

    async fn settle(&mut self, group: Group, outcome: oneshot::Receiver<Result<Position, AppendError>>) {
        // The log drops a ticket only when it goes away.
        match outcome.await.unwrap_or(Err(AppendError::Closed)) {
            Ok(position) => {
                for member in &group.members {
                    self.tally.accepted(position, &member.removed);
                }
                self.duplicates(group.repeated.len());
            }
            Err(error) => self.reject(group, &error.into()),
        }
    }

    fn duplicates(&mut self, count: usize) {
        self.intake.metrics.events_duplicate.inc_by(count as u64);
        self.tally.duplicates(count);
    }

    fn reject(&mut self, group: Group, refused: &Refused) {
        let indexes = group.members.iter().map(|member| member.index).chain(group.repeated);
        for index in indexes {
            self.reject_one(index, Some(group.run_id), refused.clone());
        }
    }

    fn reject_one(&mut self, index: usize, run_id: Option<Uuid>, refused: Refused) {
        self.intake.metrics.count_refused_event(&refused);
        self.tally.rejected(index, run_id, refused);
    }
}

/// The bounds of one live run. What ends it is let through, so that it does not go on for ever.
fn bounded(run_id: Uuid, batches: u64, events: u64, payload_bytes: u64, adds: &[TimedEvent]) -> Result<(), Refused> {
    let ends = adds.len() == 1 && matches!(adds[0].event, Event::RunEnded(_));
    let reached = if batches >= MOST_BATCHES {
        format!("{MOST_BATCHES} requests; send several events in one")
    } else if events > MOST_EVENTS {
        format!("{MOST_EVENTS} events")
    } else if payload_bytes >= MOST_BYTES {
        format!("{} MiB of events", MOST_BYTES >> 20)
    } else {
        return Ok(());
    };
    if ends && batches < MOST_BATCHES + ENDING_BATCHES && events <= MOST_EVENTS + ENDING_BATCHES {
        return Ok(());
    }
    Err(Refused::TooLarge(format!("Run {run_id} has reached the bound of a live run: {reached}")))
}

/// See [`crate::IngestState::abandon_expired`].
pub(crate) fn abandon_expired(intake: &Intake) -> usize {
    let mut queued = 0;
    if intake.check_room().is_err() {
        return queued;
    }
    for run_id in intake.runs.expired(ABANDONED_AT_ONCE) {
        // Somebody stores an event of it just now: it is alive.
        let Reserved::Ours(reservation) = intake.in_flight.reserve(run_id) else { continue };
        if !intake.runs.is_expired(run_id) {
            continue;
        }
        let now = intake.clock.now();
        let batch = record::encode_events(run_id, &[TimedEvent::new(Some(now), Event::RunAbandoned)], now);
        let abandoned = intake.metrics.abandoned.clone();
        let ticket = Box::new(move |result: Result<Position, AppendError>| {
            if result.is_ok() {
                abandoned.inc();
            }
            reservation.end(&result.map(drop));
        });
        if intake.log.submit(batch, ticket).is_err() {
            // The log takes nothing now; the lease stays ended, and the next call tries again.
            break;
        }
        queued += 1;
    }
    queued
}
