use std::sync::Arc;
use std::time::Duration;

use agenttracer_index::Stop;
use tokio::sync::Semaphore;

/// Runs queries on threads of their own, a few at a time, so that they cannot hold up the threads that serve
/// connections and ingest. Who finds the queue full is sent away at once.
pub(crate) struct Gate {
    /// One permit for each query that may run or wait.
    places: Arc<Semaphore>,
    /// One permit for each query that may run.
    turns: Arc<Semaphore>,
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
    /// At most `running` queries at a time (at least 1), and `waiting` more in the queue.
    pub(crate) fn new(running: usize, waiting: usize) -> Self {
        let running = running.clamp(1, 1024);
        let places = running.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(places)), turns: Arc::new(Semaphore::new(running)) }
    }

    /// Runs `query` when it is its turn.
    ///
    /// A caller that goes away while it waits takes its query along; one that runs already ends by itself, and holds
    /// its turn until then.
    pub(crate) async fn run<T, F>(&self, query: F) -> Result<T, GateError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| GateError::Full)?;
        // Nobody closes the semaphore.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| GateError::Full)?;
        let running = tokio::task::spawn_blocking(move || {
            let answer = query();
            drop((turn, place));
            answer
        });
        running.await.map_err(|_| GateError::Panicked)
    }
}

/// Tells a query to give up when nobody waits for it any more: dropped with the future that waits.
struct Waiting(Stop);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl Gate {
    /// As [`run`](Self::run), but the query is given up when its caller goes away or `timeout` is over, by a [`Stop`] that it
    /// has to look at.
    pub(crate) async fn run_until<T, F>(&self, timeout: Duration, query: F) -> Result<T, GateError>
    where
        T: Send + 'static,
        F: FnOnce(Stop) -> T + Send + 'static,
    {
        let stop = Stop::default();
        let _waiting = Waiting(stop.clone());
        let answer = self.run(move || query(stop));
        tokio::time::timeout(timeout, answer).await.unwrap_or(Err(GateError::TimedOut))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn the_queue_is_bounded_and_moves_on() {
        let gate = Arc::new(Gate::new(1, 1));
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
        let gate = Arc::new(Gate::new(1, 4));
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
        let gate = Gate::new(1, 0);
        assert_eq!(gate.run(|| panic!("as this test wants")).await, Err::<(), _>(GateError::Panicked));
        assert_eq!(gate.run(|| 4).await, Ok(4));
    }
}
