//! `GET /v1/tail`: runs as they arrive and grow, as server-sent events.
//!
//! The stream is pulled: nothing is kept for a client but the position of the log that it is at. Each event's id is a
//! position, so a client that comes back with it in `Last-Event-ID` misses nothing and sees nothing of before again. A
//! client that is too far behind is told what it missed and goes on at the end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use agenttracer_index::{Filter, Snapshot};
use agenttracer_model::Position;
use agenttracer_storage::ReadError;
use agenttracer_storage::record::Records;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::Refusal;
use crate::state::Shared;
use crate::wire::{MissedView, SummaryView};

/// How often to look for something new.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A client that is further behind than so many records goes on at the end.
const MAX_BEHIND: u64 = 200_000;
/// How many batches are looked at together.
const BATCHES: usize = 256;
/// How many bytes of events are sent together.
const CHUNK_BYTES: usize = 128 << 10;

/// What a client follows, and how far it is.
pub(crate) struct Tail {
    shared: Arc<Shared>,
    filter: Arc<Filter>,
    /// Everything below was sent or does not concern the client.
    next: Position,
    last_sent: Instant,
    looking: Option<Looking>,
    /// When to look for something new.
    look_at: Instant,
    closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

/// The answer: a stream that ends when the client leaves or the server stops.
///
/// # Errors
/// `Busy` when too many clients follow already.
pub(crate) fn answer(shared: &Arc<Shared>, filter: Filter, after: Option<u64>) -> Result<Response<Body>, Refusal> {
    let snapshot = shared.index.snapshot();
    snapshot.check(&filter)?;
    let place = Arc::clone(&shared.followers).try_acquire_owned().map_err(|_| Refusal::Busy)?;
    // One that comes from another life of the log cannot be ahead of this one.
    let next = after.map_or(snapshot.position(), |after| Position::new(after).min(snapshot.position()));
    let tail = Tail {
        shared: Arc::clone(shared),
        filter: Arc::new(filter),
        next,
        last_sent: Instant::now(),
        looking: None,
        look_at: Instant::now(),
        closing: shared.closing.subscribe(),
        _place: place,
    };
    let greeting = Bytes::from(format!("retry: 1000\nid: {next}\n\n"));
    let stream = futures_util::stream::unfold((Some(greeting), tail), |(greeting, tail)| async move {
        match greeting {
            Some(greeting) => Some((Ok::<_, Infallible>(greeting), (None, tail))),
            None => tail.chunk().await.map(|(chunk, tail)| (Ok(chunk), (None, tail))),
        }
    });
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Tail {
    /// The next events; `None` when the server stops. Whatever is waited for, silence and the end are looked at meanwhile.
    async fn chunk(mut self) -> Option<(Bytes, Self)> {
        loop {
            if *self.closing.borrow() {
                return None;
            }
            if self.looking.is_none() && self.look_at <= Instant::now() {
                if self.shared.index.snapshot().position() > self.next {
                    self.looking = Some(self.looked());
                } else {
                    self.look_at = Instant::now() + LOOK_EVERY;
                }
            }
            let silent_at = self.last_sent + self.shared.max_silence;
            tokio::select! {
                looked = async { Some(self.looking.as_mut()?.await) }, if self.looking.is_some() => {
                    self.looking = None;
                    // Too many questions at a time, or a fault: the same is tried again a little later.
                    let found = looked.flatten().unwrap_or_else(|| Found { next: self.next, ..Found::default() });
                    self.next = found.next;
                    self.look_at = Instant::now() + if found.more { Duration::ZERO } else { LOOK_EVERY };
                    if !found.events.is_empty() {
                        self.last_sent = Instant::now();
                        return Some((found.events.into(), self));
                    }
                }
                () = tokio::time::sleep_until(self.look_at), if self.looking.is_none() => {}
                () = tokio::time::sleep_until(silent_at) => {
                    self.last_sent = Instant::now();
                    // An id without data is no event, but where the client would go on.
                    let alive = Bytes::from(format!(": alive\nid: {}\n\n", self.next));
                    return Some((alive, self));
                }
                changed = self.closing.changed() => changed.ok()?,
            }
        }
    }

    /// Looks for events when it is its turn, in the runs as they are then; `None` when that did not work.
    fn looked(&self) -> Looking {
        let (shared, filter, from) = (Arc::clone(&self.shared), Arc::clone(&self.filter), self.next);
        Box::pin(async move {
            // Nobody closes the semaphore.
            let _turn = shared.following.acquire().await;
            let looking = Arc::clone(&shared);
            let found = shared.gate.run(move || look(&looking, &looking.index.snapshot(), &filter, from)).await;
            found.ok()?.ok()
        })
    }
}

/// A look that is on its way, or waits for its turn.
type Looking = Pin<Box<dyn Future<Output = Option<Found>> + Send>>;

/// Some events.
#[derive(Default)]
struct Found {
    events: Vec<u8>,
    next: Position,
    /// Whether there is more to look at already.
    more: bool,
}

/// Looks at some batches from `from` on, and shows the runs that they belong to as they are in `snapshot`.
fn look(shared: &Shared, snapshot: &Snapshot, filter: &Filter, from: Position) -> Result<Found, Refusal> {
    let end = snapshot.position();
    let mut found = Found { next: from, ..Found::default() };
    if end.get() - from.get() > MAX_BEHIND {
        missed(&mut found.events, from, end, "behind")?;
        found.next = end;
        return Ok(found);
    }
    // A run that has several batches here is shown once, where the last of them stands.
    let mut changed: Vec<(Uuid, Position)> = Vec::new();
    let mut scan = shared.log.scan(from..end);
    for _ in 0..BATCHES {
        match scan.next() {
            None => {
                found.next = end;
                break;
            }
            Some(Ok(batch)) => {
                found.next = batch.end().min(end);
                if let Some(run_id) = run_of(&batch) {
                    changed.retain(|(changed, _)| *changed != run_id);
                    changed.push((run_id, found.next));
                }
            }
            // What was read before it is told first, and the next look begins with it: ids only go up.
            Some(Err(ReadError::Damaged(_))) if !changed.is_empty() => break,
            Some(Err(ReadError::Damaged(damage))) => {
                let behind = damage.positions.end.max(found.next).min(end);
                missed(&mut found.events, found.next, behind, "damaged")?;
                found.next = behind;
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the log could not be read for a follower");
                return Err(Refusal::Failed("The log could not be read".to_owned()));
            }
        }
    }
    found.more = found.next < end;
    for (run_id, next) in changed {
        if let Some(run) = snapshot.find(run_id)?.filter(|run| filter.matches(run)) {
            found.events.extend_from_slice(format!("event: run\nid: {next}\ndata: ").as_bytes());
            found.events.extend_from_slice(&sonic_rs::to_vec(&SummaryView::from(&*run))?);
            found.events.extend_from_slice(b"\n\n");
            if found.events.len() > CHUNK_BYTES {
                found.more |= next < found.next;
                found.next = next;
                break;
            }
        }
    }
    Ok(found)
}

/// The run that a batch belongs to.
fn run_of(batch: &agenttracer_storage::StoredBatch) -> Option<Uuid> {
    Records::of(batch).ok().map(|records| records.run_id)
}

fn missed(events: &mut Vec<u8>, from: Position, to: Position, reason: &'static str) -> Result<(), Refusal> {
    events.extend_from_slice(format!("event: missed\nid: {to}\ndata: ").as_bytes());
    events.extend_from_slice(&sonic_rs::to_vec(&MissedView { from, to, reason })?);
    events.extend_from_slice(b"\n\n");
    Ok(())
}
