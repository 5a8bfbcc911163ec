//! From a prepared run to a durable and visible one: idempotency, ids, the log.

use std::sync::Arc;

use agenttracer_model::privacy::MessageWords;
use agenttracer_model::{Digest, Position, RunView, Timestamp};
use agenttracer_storage::disk::Clock;
use agenttracer_storage::{AppendError, Batch, Log, SubmitError, Ticket, record};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::dedupe::{InFlight, Outcome, Reservation, Reserved};
use crate::error::Refused;
use crate::metrics::Metrics;
use crate::native::{self, Prepared};
use crate::{StoredRun, StoredRuns, StoredRunsError};

/// Stores prepared runs, each run id once.
pub(crate) struct Intake {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) runs: Arc<dyn StoredRuns>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) metrics: Metrics,
    pub(crate) words: MessageWords,
    pub(crate) most_live_runs: u64,
}

/// A run in the log's queue.
pub(crate) struct Queued {
    /// Resolved once the run is durable and visible, or was not stored.
    pub(crate) outcome: oneshot::Receiver<Result<Position, AppendError>>,
    /// The time of its batch.
    pub(crate) created_at: Timestamp,
}

/// A run that can be given to the log.
pub(crate) struct Ready {
    batch: Batch,
    ticket: Ticket,
    queued: Queued,
}

/// What a first attempt came to.
pub(crate) enum Begun {
    /// It can be stored: [`Intake::submit`] is next.
    Ready(Ready),
    /// A run with its id is stored already: [`Intake::compare`] is next, away from the threads that serve connections.
    Known(Known),
    /// Another request stores this run id now: wait for this, then try again unless it failed.
    Wait(oneshot::Receiver<Outcome>),
}

/// A run that was sent and one that is stored, with the same id.
pub(crate) struct Known {
    pub(crate) run_id: Uuid,
    /// Of what was sent.
    digest: Digest,
    /// Of what is stored.
    position: Position,
}

/// A run that is stored.
pub(crate) enum Stored {
    /// By this request.
    Now {
        /// Of its first record.
        position: Position,
        /// The time of its batch.
        created_at: Timestamp,
    },
    /// Before, with the same content.
    Before {
        /// Of its first record.
        position: Position,
    },
}

impl Intake {
    /// Refuses when no further run can become visible now.
    pub(crate) fn check_room(&self) -> Result<(), Refused> {
        if self.runs.has_room() {
            Ok(())
        } else {
            Err(Refused::Busy("Too many runs wait to be indexed, try again in a moment"))
        }
    }

    /// Reserves the run's id and encodes it, unless the id is known or being stored. Does not read the log, and waits for
    /// nobody.
    pub(crate) fn begin(&self, prepared: &mut Prepared) -> Result<Begun, Refused> {
        let run_id = prepared.run.run_id;
        // An id that the server makes now is nobody else's.
        let reservation = if run_id.is_nil() {
            None
        } else {
            let reservation = match self.in_flight.reserve(run_id) {
                Reserved::Ours(reservation) => reservation,
                Reserved::Theirs(outcome) => return Ok(Begun::Wait(outcome)),
            };
            match self.runs.find(run_id).map_err(unreadable)? {
                None => Some(reservation),
                Some(StoredRun::Whole(position)) => {
                    return Ok(Begun::Known(Known { run_id, digest: prepared.run.digest, position }));
                }
                Some(StoredRun::Live) => return Err(Refused::Conflict(format!("Run {run_id} is a live run"))),
                Some(StoredRun::Erased) => return Err(erased(run_id)),
            }
        };
        let created_at = self.clock.now();
        native::make_ids(&mut prepared.run, created_at);
        let batch = record::encode_run(&prepared.run, created_at);
        let (sender, outcome) = oneshot::channel();
        let ticket = self.ticket(prepared, reservation, sender);
        Ok(Begun::Ready(Ready { batch, ticket, queued: Queued { outcome, created_at } }))
    }

    /// Refuses a run whose content is not that of the stored one. Reads the log.
    pub(crate) fn compare(&self, known: &Known) -> Result<(), Refused> {
        let Known { run_id, digest, position } = known;
        match self.runs.digest(*position).map_err(unreadable)? {
            Some(stored) if stored == *digest => Ok(()),
            Some(_) => Err(Refused::Conflict(format!("Run {run_id} already exists with other content"))),
            // Sending it again would change nothing, so this is none of the answers that say so.
            None => Err(Refused::Conflict(format!(
                "Run {run_id} already exists, but its record is damaged and cannot be compared"
            ))),
        }
    }

    /// Puts a run into the log's queue. When that fails its id is free again. Never waits.
    pub(crate) fn submit(&self, ready: Ready) -> Result<Queued, SubmitError> {
        self.log.submit(ready.batch, ready.ticket).map(|()| ready.queued)
    }

    /// It owns the reservation and counts the run: both must happen even when the client has gone away meanwhile.
    fn ticket(
        &self,
        prepared: &Prepared,
        reservation: Option<Reservation>,
        sender: oneshot::Sender<Result<Position, AppendError>>,
    ) -> Ticket {
        let metrics = self.metrics.clone();
        let removed = prepared.removed;
        let failure_left_out = prepared.failure_left_out;
        Box::new(move |result| {
            if result.is_ok() {
                metrics.ingested.inc();
                metrics.count_removed(&removed);
                metrics.failure_left_out.inc_by(u64::from(failure_left_out));
            }
            if let Some(reservation) = reservation {
                reservation.end(&result.clone().map(drop));
            }
            // Nobody may be waiting any more.
            let _ = sender.send(result);
        })
    }

    /// Stores the run and waits until it is durable and visible.
    pub(crate) async fn store(self: &Arc<Self>, prepared: &mut Prepared) -> Result<Stored, Refused> {
        loop {
            match self.begin(prepared)? {
                Begun::Known(known) => {
                    let (intake, position) = (Arc::clone(self), known.position);
                    return blocking(move || intake.compare(&known)).await.map(|()| Stored::Before { position });
                }
                Begun::Wait(outcome) => waited(outcome).await?,
                Begun::Ready(ready) => {
                    let queued = self.submit(ready)?;
                    let created_at = queued.created_at;
                    return settled(queued).await.map(|position| Stored::Now { position, created_at });
                }
            }
        }
    }

    /// The view of a run that is stored. Reads the log.
    pub(crate) fn view(&self, run_id: Uuid) -> Result<RunView, Refused> {
        // It was there a moment ago: only an erasure takes it away.
        self.runs.view(run_id).map_err(unreadable)?.ok_or_else(|| erased(run_id))
    }
}

/// Runs what reads the log, away from the threads that serve connections.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        // Not cancelled, for nobody holds the handle: it panicked, and so does the request.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Waits for the request that stores the same run id; an error when it failed, for then so does this one.
pub(crate) async fn waited(outcome: oneshot::Receiver<Outcome>) -> Result<(), Refused> {
    match outcome.await {
        Ok(Err(error)) => Err(error.into()),
        // Stored, or given up before it was queued: ask again.
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}

/// Waits for the log's answer.
pub(crate) async fn settled(queued: Queued) -> Result<Position, Refused> {
    match queued.outcome.await {
        Ok(result) => result.map_err(Refused::from),
        // The log drops a ticket only when it goes away.
        Err(_) => Err(AppendError::Closed.into()),
    }
}

pub(crate) fn erased(run_id: Uuid) -> Refused {
    Refused::Erased(format!("Run {run_id} was erased and cannot be stored again"))
}

/// The cause names files; it is for the process log, not for the client.
pub(crate) fn unreadable(error: StoredRunsError) -> Refused {
    tracing::error!(%error, "stored runs cannot be read");
    Refused::Unavailable("Stored runs cannot be read now".to_owned())
}
