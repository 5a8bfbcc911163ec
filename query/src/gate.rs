//! Who may use the processors, and for how long.
//!
//! Every query begins in the short lane, in which few run at a time and most end soon. One that has used a processor for a
//! while gives its turn there to the next and goes on in the wide lane, when there is room in it. So however many wide queries
//! are asked, short ones find a turn, and ingest finds a processor. Nobody has to guess what a query costs; and a short one
//! that others kept from the processors does not count as wide.
//!
//! In the wide lane those come first that have run there for a short time only, in the order in which they came; then the
//! others in that order. One of the others gives way at the next place where it can. So what takes some tens of milliseconds
//! does not wait for what takes a second; the scheme is that of feedback queues, with two levels.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use agenttracer_index::Stop;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A query that waits for a disk uses no processor, but holds its turn; for so many times what it may use, and no longer.
const PATIENCE: u32 = 10;

/// Runs queries on threads of their own, a few at a time, so that they cannot hold up the threads that serve
/// connections and ingest. Who finds the queue full is sent away at once.
pub(crate) struct Gate {
    /// One permit for each query that may run or wait.
    places: Arc<Semaphore>,
    /// One permit for each query that may run in the short lane.
    turns: Arc<Semaphore>,
    wide: Arc<Lane>,
    wide_after: Duration,
    old_after: Duration,
}

/// How many queries run and wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// In the short lane at a time; at least 1.
    pub(crate) running: usize,
    /// For a turn in it.
    pub(crate) waiting: usize,
    /// In the wide lane at a time; at least 1.
    pub(crate) wide_running: usize,
    /// For a turn in it, each on a thread of its own.
    pub(crate) wide_waiting: usize,
    /// How long a query may use a processor in the short lane.
    pub(crate) wide_after: Duration,
    /// How long it may run in the wide lane before it gives way to newer ones.
    pub(crate) old_after: Duration,
}

/// Why a query did not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GateError {
    /// Too many queries wait already.
    Full,
    /// It took too long.
    TimedOut,
    /// The query panicked: our own mistake.
    Panicked,
}

impl Gate {
    /// No query runs yet.
    pub(crate) fn new(bounds: Bounds) -> Self {
        let running = bounds.running.clamp(1, 1024);
        let places = running.saturating_add(bounds.waiting).min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            turns: Arc::new(Semaphore::new(running)),
            wide: Arc::new(Lane {
                state: Mutex::default(),
                freed: Condvar::new(),
                running: bounds.wide_running.max(1),
                waiting: bounds.wide_waiting,
            }),
            wide_after: bounds.wide_after,
            old_after: bounds.old_after,
        }
    }

    /// Runs `query`, which is short, when it is its turn.
    ///
    /// A caller that goes away while it waits takes its query along; one that runs already ends by itself, and holds
    /// its turn until then.
    pub(crate) async fn run<T, F>(&self, query: F) -> Result<T, GateError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (place, turn) = self.turn().await?;
        let running = tokio::task::spawn_blocking(move || {
            let answer = query();
            drop((turn, place));
            answer
        });
        running.await.map_err(|_| GateError::Panicked)
    }

    /// Runs `query` when it is its turn, and gives it up when its caller goes away or `timeout` is over, by a [`Stop`] that
    /// it has to look at: there it also waits, when it goes over into the wide lane.
    pub(crate) async fn run_until<T, F>(&self, timeout: Duration, query: F) -> Result<T, GateError>
    where
        T: Send + 'static,
        F: FnOnce(Stop) -> T + Send + 'static,
    {
        let answer = async {
            let (place, turn) = self.turn().await?;
            let course = Arc::new(Course {
                began: OnceLock::new(),
                wide_after: self.wide_after,
                old_after: self.old_after,
                turn: Mutex::new(Some(turn)),
                lane: Arc::clone(&self.wide),
                wide: Mutex::new(None),
                is_left: AtomicBool::new(false),
                is_refused: AtomicBool::new(false),
            });
            let stop = Stop::with_pace({
                let course = Arc::clone(&course);
                move || course.go_on()
            });
            let _waiting = Waiting { stop: stop.clone(), course: Arc::clone(&course) };
            let running = tokio::task::spawn_blocking(move || {
                // Dropped last, also by a panic.
                let (_place, course) = (place, Ended(course));
                course.0.began.get_or_init(Spent::so_far);
                let answer = query(stop);
                (answer, course.0.is_refused.load(Ordering::Relaxed))
            });
            match running.await {
                Ok((_, true)) => Err(GateError::Full),
                Ok((answer, false)) => Ok(answer),
                Err(_) => Err(GateError::Panicked),
            }
        };
        tokio::time::timeout(timeout, answer).await.unwrap_or(Err(GateError::TimedOut))
    }

    async fn turn(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), GateError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| GateError::Full)?;
        // Nobody closes the semaphore.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| GateError::Full)?;
        Ok((place, turn))
    }
}

/// A query on its way.
struct Course {
    /// What its thread had spent when it began.
    began: OnceLock<Spent>,
    wide_after: Duration,
    old_after: Duration,
    /// In the short lane.
    turn: Mutex<Option<OwnedSemaphorePermit>>,
    lane: Arc<Lane>,
    /// In the wide lane.
    wide: Mutex<Option<WideTurn>>,
    /// Nobody waits for it any more.
    is_left: AtomicBool,
    /// There was no room in the wide lane, and none to wait for it.
    is_refused: AtomicBool,
}

impl Course {
    /// Whether the query may go on; waits for a turn in the wide lane when it needs one, and for another when newer ones go
    /// first. Called by its own thread only.
    fn go_on(&self) -> bool {
        let mut wide = lock(&self.wide);
        let entry = match &*wide {
            None if !self.is_long() => return true,
            None => {
                lock(&self.turn).take();
                self.lane.enter(&self.is_left).map(|number| (number, Duration::ZERO))
            }
            Some(WideTurn { number, ran, since }) => {
                let ran = *ran + since.elapsed();
                let rank = Rank { is_old: ran >= self.old_after, number: *number };
                if !self.lane.has_before(rank) {
                    return true;
                }
                self.lane.give_way(rank, &self.is_left).map(|()| (rank.number, ran))
            }
        };
        self.is_refused.store(entry == Err(NoTurn::Full), Ordering::Relaxed);
        *wide = entry.ok().map(|(number, ran)| WideTurn { number, ran, since: Instant::now() });
        wide.is_some()
    }

    /// Whether it has had its time in the short lane. Most never ask what they have used, which is a system call.
    fn is_long(&self) -> bool {
        let began = self.began.get_or_init(Spent::so_far);
        let lasted = began.at.elapsed();
        lasted >= self.wide_after
            && (lasted >= self.wide_after * PATIENCE || thread_time() >= began.processor + self.wide_after)
    }
}

/// A turn in the wide lane.
struct WideTurn {
    number: u64,
    /// How long it ran there before.
    ran: Duration,
    since: Instant,
}

/// A moment of a thread.
struct Spent {
    at: Instant,
    /// How long it had used a processor.
    processor: Duration,
}

impl Spent {
    fn so_far() -> Self {
        Self { at: Instant::now(), processor: thread_time() }
    }
}

/// How long this thread has used a processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Gives back what a query had, when it has ended.
struct Ended(Arc<Course>);

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.0.turn).take();
        if lock(&self.0.wide).take().is_some() {
            self.0.lane.leave();
        }
    }
}

/// Tells a query to give up when nobody waits for it any more: dropped with the future that waits.
struct Waiting {
    stop: Stop,
    course: Arc<Course>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.stop.give_up();
        self.course.is_left.store(true, Ordering::Relaxed);
        self.course.lane.look();
    }
}

/// Turns that threads wait for.
struct Lane {
    state: Mutex<LaneState>,
    freed: Condvar,
    running: usize,
    waiting: usize,
}

#[derive(Default)]
struct LaneState {
    running: usize,
    waiting: BTreeSet<Rank>,
    /// How many ever came.
    came: u64,
}

/// Who goes first: the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_old: bool,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoTurn {
    /// Too many wait already.
    Full,
    /// Nobody waits for the answer any more.
    Left,
}

impl Lane {
    /// Waits for the first turn of a query; gives its number.
    fn enter(&self, is_left: &AtomicBool) -> Result<u64, NoTurn> {
        let mut state = lock(&self.state);
        if state.running >= self.running && state.waiting.len() >= self.waiting {
            return Err(NoTurn::Full);
        }
        state.came += 1;
        let number = state.came;
        self.wait(state, Rank { is_old: false, number }, is_left)?;
        Ok(number)
    }

    /// Whether somebody waits who goes before a query that runs.
    fn has_before(&self, rank: Rank) -> bool {
        lock(&self.state).waiting.first().is_some_and(|first| *first < rank)
    }

    /// Gives up the turn of a query and waits for its next.
    fn give_way(&self, rank: Rank, is_left: &AtomicBool) -> Result<(), NoTurn> {
        let mut state = lock(&self.state);
        state.running -= 1;
        self.freed.notify_all();
        self.wait(state, rank, is_left)
    }

    fn wait(&self, mut state: MutexGuard<'_, LaneState>, rank: Rank, is_left: &AtomicBool) -> Result<(), NoTurn> {
        state.waiting.insert(rank);
        while (state.running >= self.running || state.waiting.first() != Some(&rank))
            && !is_left.load(Ordering::Relaxed)
        {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting.remove(&rank);
        // There may be a turn for the next, too.
        self.freed.notify_all();
        if is_left.load(Ordering::Relaxed) {
            return Err(NoTurn::Left);
        }
        state.running += 1;
        Ok(())
    }

    fn leave(&self) {
        lock(&self.state).running -= 1;
        self.freed.notify_all();
    }

    /// Lets those who wait see whether anybody still waits for them. Under the lock, or one that is about to wait would miss it.
    fn look(&self) {
        drop(lock(&self.state));
        self.freed.notify_all();
    }
}

/// What a panic left is whole: each of these critical sections is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn gate(running: usize, waiting: usize) -> Arc<Gate> {
        let wide_after = Duration::from_secs(3600);
        let old_after = wide_after;
        Arc::new(Gate::new(Bounds { running, waiting, wide_running: 1, wide_waiting: 1, wide_after, old_after }))
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_moves_on() {
        let gate = gate(1, 1);
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let running = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move {
                gate.run(move || {
                    started.send(()).unwrap();
                    released.recv().unwrap();
                    1
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.run(|| 2).await }
        });
        while gate.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.run(|| 3).await, Err(GateError::Full));
        release.send(()).unwrap();
        assert_eq!(running.await.unwrap(), Ok(1));
        assert_eq!(waiting.await.unwrap(), Ok(2));
        assert_eq!(gate.run(|| 4).await, Ok(4));
    }

    #[tokio::test]
    async fn a_query_is_given_up_when_its_time_is_over_or_its_caller_leaves() {
        let gate = gate(1, 4);
        let until_given_up = |stop: Stop| {
            while !stop.is_given_up() {
                std::thread::yield_now();
            }
        };
        let timed_out = gate.run_until(Duration::from_millis(1), until_given_up).await;
        assert_eq!(timed_out, Err(GateError::TimedOut));
        let leaving = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.run_until(Duration::from_secs(3600), until_given_up).await }
        });
        tokio::task::yield_now().await;
        leaving.abort();
        // The one turn comes free only when the others have ended.
        assert_eq!(gate.run_until(Duration::from_secs(3600), |stop| stop.is_given_up()).await, Ok(false));
    }

    #[tokio::test]
    async fn a_panic_gives_its_turn_back() {
        let gate = gate(1, 0);
        assert_eq!(gate.run(|| panic!("as this test wants")).await, Err::<(), _>(GateError::Panicked));
        let panics = |_| panic!("as this test wants");
        assert_eq!(gate.run_until(Duration::from_secs(3600), panics).await, Err::<(), _>(GateError::Panicked));
        assert_eq!(gate.run(|| 4).await, Ok(4));
    }

    /// Every query is wide at once.
    fn wide_gate(old_after: Duration) -> Arc<Gate> {
        let wide_after = Duration::ZERO;
        Arc::new(Gate::new(Bounds { running: 1, waiting: 9, wide_running: 1, wide_waiting: 1, wide_after, old_after }))
    }

    #[tokio::test]
    async fn one_that_has_run_long_gives_way_to_a_newer_one_and_goes_on_then() {
        let gate = wide_gate(Duration::from_millis(1));
        let is_over = Arc::new(AtomicBool::new(false));
        let long = tokio::spawn({
            let (gate, is_over) = (Arc::clone(&gate), Arc::clone(&is_over));
            async move {
                // Ends only when the other did, which has a turn only when this one gives way.
                let query = move |stop: Stop| {
                    while !is_over.load(Ordering::Relaxed) {
                        stop.go_on().ok()?;
                    }
                    Some(1)
                };
                gate.run_until(Duration::from_secs(3600), query).await
            }
        });
        while lock(&gate.wide.state).running == 0 {
            tokio::task::yield_now().await;
        }
        let newer = move |stop: Stop| {
            stop.go_on().ok()?;
            is_over.store(true, Ordering::Relaxed);
            Some(2)
        };
        assert_eq!(gate.run_until(Duration::from_secs(3600), newer).await, Ok(Some(2)));
        assert_eq!(long.await.unwrap(), Ok(Some(1)));
        let state = lock(&gate.wide.state);
        assert_eq!((state.running, state.waiting.len(), state.came), (0, 0, 2));
    }

    /// A query that goes over into the wide lane, says so, and ends when it is told to.
    fn wide_query(gate: &Arc<Gate>, name: u32, entered: &mpsc::Sender<u32>) -> (mpsc::Sender<()>, Answer) {
        let (gate, entered) = (Arc::clone(gate), entered.clone());
        let (end, ends) = mpsc::channel::<()>();
        let query = move |stop: Stop| {
            stop.go_on().ok()?;
            entered.send(name).unwrap();
            ends.recv().unwrap();
            Some(name)
        };
        (end, tokio::spawn(async move { gate.run_until(Duration::from_secs(3600), query).await }))
    }

    type Answer = tokio::task::JoinHandle<Result<Option<u32>, GateError>>;

    async fn next(entered: &Arc<Mutex<mpsc::Receiver<u32>>>) -> u32 {
        let entered = Arc::clone(entered);
        tokio::task::spawn_blocking(move || lock(&entered).recv().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn wide_queries_wait_for_each_other_and_short_ones_do_not() {
        let gate = wide_gate(Duration::from_secs(3600));
        let (entered, enters) = mpsc::channel();
        let enters = Arc::new(Mutex::new(enters));
        let (end_first, first) = wide_query(&gate, 1, &entered);
        assert_eq!(next(&enters).await, 1);
        let (end_second, second) = wide_query(&gate, 2, &entered);
        while lock(&gate.wide.state).waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        // The only turn of the short lane is free, though two queries are at work.
        assert_eq!(gate.run(|| 7).await, Ok(7));
        // A third has no place to wait.
        let (_end, third) = wide_query(&gate, 3, &entered);
        assert_eq!(third.await.unwrap(), Err(GateError::Full));
        assert!(lock(&enters).try_recv().is_err(), "the second has not entered");
        end_first.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(Some(1)));
        assert_eq!(next(&enters).await, 2);
        // One whose caller leaves while it waits goes, too.
        let (_end, fourth) = wide_query(&gate, 4, &entered);
        while lock(&gate.wide.state).waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        fourth.abort();
        while !lock(&gate.wide.state).waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        end_second.send(()).unwrap();
        assert_eq!(second.await.unwrap(), Ok(Some(2)));
        while lock(&gate.wide.state).running > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((gate.turns.available_permits(), gate.places.available_permits()), (1, 10));
    }
}
