use std::sync::Arc;
use std::time::Duration;

use agenttracer_index::Index;
use agenttracer_storage::Log;
use prometheus::Registry;
use tokio::sync::{Semaphore, watch};

use crate::cache::RunCache;
use crate::gate::{Bounds, Gate};
use crate::held::Held;
use crate::metrics::Metrics;
use crate::runs::Runs;

/// How much the read side may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryOptions {
    /// Queries that run at a time, each on a thread of its own. Default: one for each core, at least 2.
    pub max_running: usize,
    /// Queries that wait for their turn; one more is answered with 429. Default: 512.
    pub max_waiting: usize,
    /// How long a query may use a processor as one of `max_running`, and ten times as long last; then it goes on as one of
    /// `max_wide`. Default: 5 ms.
    pub wide_after: Duration,
    /// Queries that take longer and run at a time; those that have run so for less than ten times `wide_after` go first. Default: one for each core but one, at least 1.
    pub max_wide: usize,
    /// Queries that wait to become one of these; one more is answered with 429. Default: 64.
    pub max_wide_waiting: usize,
    /// Bytes of serialised runs that are kept in memory. Default: 32 MiB.
    pub cache_bytes: usize,
    /// The largest page of whole runs, in bytes; a larger one is answered with 413. Default: 64 MiB.
    pub max_page_bytes: usize,
    /// How long a query may take, its turn in the queue included; one that takes longer is answered with 503. Default: 10 s.
    pub timeout: Duration,
    /// Clients that follow `/v1/tail` at a time; one more is answered with 429. Default: 64.
    pub max_followers: usize,
    /// How long nothing is sent to such a client at most: whoever stands between may close a silent connection. Default: 15 s.
    pub max_silence: Duration,
    /// Bytes of answers that wait to be read by their clients, all together; more is answered with 429. Default: 256 MiB.
    pub max_held_bytes: usize,
    /// The port of the write side, which `/health` names to those who want to send runs. Default: none.
    pub ingest_port: Option<u16>,
    /// What `/health` warns of. Default: nothing.
    pub warning: Option<&'static str>,
}

impl Default for QueryOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            max_running: cores.max(2),
            max_waiting: 512,
            wide_after: Duration::from_millis(5),
            max_wide: cores.saturating_sub(1).max(1),
            max_wide_waiting: 64,
            cache_bytes: 32 << 20,
            max_page_bytes: 64 << 20,
            timeout: Duration::from_secs(10),
            max_followers: 64,
            max_silence: Duration::from_secs(15),
            max_held_bytes: 256 << 20,
            ingest_port: None,
            warning: None,
        }
    }
}

/// What the routes of the read side share. Clones are the same state, so that several listeners can serve it.
#[derive(Clone)]
pub struct QueryState(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) index: Arc<Index>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) cache: RunCache,
    pub(crate) gate: Gate,
    pub(crate) held: Held,
    pub(crate) max_page_bytes: usize,
    pub(crate) timeout: Duration,
    pub(crate) ingest_port: Option<u16>,
    /// One permit for each client that may follow.
    pub(crate) followers: Arc<Semaphore>,
    pub(crate) max_silence: Duration,
    /// One permit for all of them: many followers of a busy log take no more than one turn of the short questions.
    pub(crate) following: Semaphore,
    /// Turned when the server stops.
    pub(crate) closing: watch::Sender<bool>,
    /// Names the log in entity tags: positions mean something else in another one.
    pub(crate) log_tag: u32,
    pub(crate) warning: Option<&'static str>,
    pub(crate) metrics: Metrics,
}

impl QueryState {
    /// The read side of `index`, which must be a projection of `log`. Its metrics go to `registry`, and `/metrics`
    /// answers all that is in there.
    ///
    /// # Errors
    /// When `registry` has metrics of the same names already.
    pub fn new(
        index: Arc<Index>,
        log: Arc<dyn Log>,
        registry: &Registry,
        options: &QueryOptions,
    ) -> Result<Self, prometheus::Error> {
        let log_tag = log.id().as_fields().0;
        Ok(Self(Arc::new(Shared {
            index,
            log_tag,
            warning: options.warning,
            timeout: options.timeout,
            ingest_port: options.ingest_port,
            followers: Arc::new(Semaphore::new(options.max_followers.min(Semaphore::MAX_PERMITS))),
            max_silence: options.max_silence,
            following: Semaphore::new(1),
            closing: watch::Sender::new(false),
            log,
            cache: RunCache::new(options.cache_bytes),
            gate: Gate::new(Bounds {
                running: options.max_running,
                waiting: options.max_waiting,
                wide_running: options.max_wide,
                wide_waiting: options.max_wide_waiting,
                wide_after: options.wide_after,
                old_after: options.wide_after * 10,
            }),
            held: Held::new(options.max_held_bytes),
            max_page_bytes: options.max_page_bytes,
            metrics: Metrics::new(registry)?,
        })))
    }

    /// Ends the streams of those who follow `/v1/tail`, so that a stop need not wait for them. Other questions go on.
    pub fn close(&self) {
        self.0.closing.send_replace(true);
    }
}

impl QueryState {
    /// Forgets every run that is cached: some were erased.
    pub fn forget_runs(&self) {
        self.0.cache.clear();
    }
}

impl Shared {
    pub(crate) fn runs(&self) -> Runs<'_> {
        Runs { log: &*self.log, cache: &self.cache }
    }
}
