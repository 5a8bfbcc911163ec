use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use agenttracer_index::{Index, Options, commit_channel};
use agenttracer_model::{Position, Run, RunView, TimedEvent, Timestamp};
use agenttracer_query::{QueryOptions, QueryState, routes};
use agenttracer_storage::disk::{RealDisk, SystemClock};
use agenttracer_storage::{
    AppendError, Batch, Damage, Health, Log, MemoryLog, ReadError, StoredBatch, SubmitError, SyncMode, Ticket, record,
};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

/// When the server took everything in.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// The read side of a fresh server, and what it stands on.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) log: Arc<TestLog>,
    pub(crate) index: Arc<Index>,
    pub(crate) state: QueryState,
    _dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&QueryOptions::default())
    }

    pub(crate) fn with(options: &QueryOptions) -> Self {
        let dir = TempDir::new().unwrap();
        let (follower, commits) = commit_channel(64);
        let log = Arc::new(TestLog {
            inner: MemoryLog::new(follower),
            damaged: Mutex::default(),
            held: Mutex::default(),
            reading: AtomicUsize::new(0),
        });
        // Runs move to the cold index when a test says so.
        let index_options =
            Options { commit_every: Duration::from_secs(3600), writer_heap_bytes: 15_000_000, ..Options::default() };
        let index = Index::open(
            Arc::new(RealDisk),
            Arc::new(SystemClock::default()),
            &dir.path().join("index"),
            Arc::clone(&log) as Arc<dyn Log>,
            commits,
            index_options,
            &mut |_| {},
        );
        let index = Arc::new(index.unwrap());
        let registry = prometheus::Registry::new();
        let state = QueryState::new(Arc::clone(&index), Arc::clone(&log) as Arc<dyn Log>, &registry, options).unwrap();
        Self { router: routes(state.clone()), log, index, state, _dir: dir }
    }

    /// Stores a run, and gives its view.
    pub(crate) fn add(&self, run: &Run) -> RunView {
        self.view_at(self.store(record::encode_run(run, NOW)))
    }

    /// Stores a run in its events, and gives its view.
    pub(crate) fn add_in_events(&self, run: Run) -> RunView {
        self.view_at(self.store(record::encode_events(run.run_id, &run.into_events(), NOW)))
    }

    /// Stores events of a live run.
    pub(crate) fn add_events(&self, run_id: Uuid, events: &[TimedEvent]) {
        self.store(record::encode_events(run_id, events, NOW));
    }

    fn store(&self, batch: Batch) -> Position {
        let (done, outcome) = mpsc::channel();
        self.log.submit(batch, Box::new(move |result| done.send(result).unwrap())).unwrap();
        outcome.recv_timeout(Duration::from_secs(60)).expect("a ticket is resolved").unwrap()
    }

    /// The run that the batch there holds.
    fn view_at(&self, position: Position) -> RunView {
        let stored = self.log.inner.read(position).unwrap();
        RunView::fold([record::decode(&stored).unwrap()]).unwrap()
    }

    /// Whether the newest version of a run is among the hot ones.
    pub(crate) fn is_hot(&self, run_id: Uuid) -> bool {
        self.index.snapshot().hot().any(|run| run.run_id == run_id)
    }

    /// Moves all runs into the cold index.
    pub(crate) fn freeze(&self) {
        self.index.commit_now().unwrap();
        assert_eq!(self.index.snapshot().hot().count(), 0);
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str) -> Reply {
        self.send(Request::builder().method(method).uri(path)).await
    }

    /// `GET` with a header.
    pub(crate) async fn ask_with(&self, path: &str, name: &str, value: &str) -> Reply {
        self.send(Request::builder().uri(path).header(name, value)).await
    }

    async fn send(&self, request: http::request::Builder) -> Reply {
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// The ids of a list, which must be answered with 200.
    pub(crate) async fn ids(&self, path: &str) -> Vec<String> {
        self.get(path).await.ids()
    }
}

/// Lets no read of the log through until the sender is used or dropped.
pub(crate) fn hold_reads(world: &Arc<World>) -> mpsc::Sender<()> {
    let (release, released): (mpsc::Sender<()>, mpsc::Receiver<()>) = mpsc::channel();
    let (held, is_held) = mpsc::channel();
    let world = Arc::clone(world);
    std::thread::spawn(move || {
        let _guard = world.log.held.lock().unwrap();
        held.send(()).unwrap();
        let _ = released.recv();
    });
    is_held.recv().unwrap();
    release
}

/// An answer, read to its end.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self.json().as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
    }

    /// The path of the next page.
    pub(crate) fn next(&self) -> Option<String> {
        let link = self.header("link")?;
        let (path, rest) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert_eq!(rest, "; rel=\"next\"");
        Some(path.to_owned())
    }
}

/// A log in memory whose batches can be damaged, and whose reads can be held up.
pub(crate) struct TestLog {
    inner: MemoryLog,
    pub(crate) damaged: Mutex<Vec<Position>>,
    /// While somebody has this, reads wait.
    pub(crate) held: Mutex<()>,
    /// How many reads began.
    pub(crate) reading: AtomicUsize,
}

impl TestLog {
    fn damage_at(&self, position: Position) -> Option<Damage> {
        self.damaged.lock().unwrap().contains(&position).then(|| Damage {
            file: PathBuf::from("/some/where/log/00000000000000000042.seg"),
            offsets: 4096..8192,
            positions: position..position.advance(1),
            what: "a test damaged it".to_owned(),
        })
    }
}

impl Log for TestLog {
    fn id(&self) -> Uuid {
        self.inner.id()
    }
    fn submit(&self, batch: Batch, ticket: Ticket) -> Result<(), SubmitError> {
        self.inner.submit(batch, ticket)
    }
    fn read(&self, position: Position) -> Result<StoredBatch, ReadError> {
        self.reading.fetch_add(1, Ordering::SeqCst);
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner));
        match self.damage_at(position) {
            Some(damage) => Err(ReadError::Damaged(Box::new(damage))),
            None => self.inner.read(position),
        }
    }
    fn scan(&self, range: Range<Position>) -> Box<dyn Iterator<Item = Result<StoredBatch, ReadError>> + Send> {
        self.inner.scan(range)
    }
    fn tail(&self) -> Position {
        self.inner.tail()
    }
    fn durable(&self) -> Position {
        self.inner.durable()
    }
    fn sync(&self) -> Result<Position, AppendError> {
        self.inner.sync()
    }
    fn sync_mode(&self) -> SyncMode {
        self.inner.sync_mode()
    }
    fn health(&self) -> Health {
        self.inner.health()
    }
    fn damage(&self) -> Vec<Damage> {
        let damaged = self.damaged.lock().unwrap().clone();
        damaged.into_iter().filter_map(|position| self.damage_at(position)).collect()
    }
}
