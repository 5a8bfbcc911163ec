//! A panic on the commit thread ends the log: nobody waits for an answer without end, and everybody is told why.

use std::sync::{Arc, mpsc};

use agenttracer_storage::disk::{RealDisk, SystemClock};
use agenttracer_storage::{
    AppendError, Batch, BatchKind, Committed, Follower, Health, Log, OpenError, Options, ResolveOnCommit, SegmentedLog,
    SubmitError,
};

/// Takes one group, and panics at the next.
#[derive(Default)]
struct OnlyOnce(bool);

impl Follower for OnlyOnce {
    fn committed(&mut self, group: Vec<Committed>) {
        assert!(!std::mem::replace(&mut self.0, true), "a test asked for it");
        ResolveOnCommit.committed(group);
    }
}

fn open(dir: &std::path::Path, follower: impl Follower + 'static) -> Result<Arc<SegmentedLog>, OpenError> {
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    SegmentedLog::open(Arc::new(RealDisk), Arc::new(SystemClock::new()), dir, options, Box::new(follower))
        .map(|(log, _)| log)
}

fn append(log: &SegmentedLog) -> Result<Result<(), AppendError>, SubmitError> {
    let (sender, answer) = mpsc::channel();
    let batch = Batch { kind: BatchKind::Run, payload: vec![7; 100], records: 1, time: Default::default() };
    log.submit(batch, Box::new(move |outcome| drop(sender.send(outcome.map(drop)))))?;
    // A ticket that is dropped without an answer is one that the log went away with.
    Ok(answer.recv().unwrap_or(Err(AppendError::Closed)))
}

#[test]
fn a_panic_of_the_commit_thread_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), OnlyOnce::default()).unwrap();
    assert_eq!(append(&log), Ok(Ok(())));
    assert!(append(&log).unwrap().is_err(), "its group was being handed on");
    // What comes now gets an answer at once, in the queue or before it.
    while let Ok(outcome) = append(&log) {
        assert!(outcome.is_err());
    }
    assert_eq!((log.health(), append(&log)), (Health::Dead, Err(SubmitError::Dead)));
    assert!(matches!(log.seal_active(), Err(error) if error.to_string().contains("panicked")));
    // The second batch was written, and nobody was told that it is durable; a sync could not tell either.
    assert!(log.tail() == log.durable() || matches!(log.sync(), Err(AppendError::Failed(_))));
    assert_eq!(
        log.scan(agenttracer_model::Position::ZERO..log.tail()).filter(Result::is_ok).count() as u64,
        log.tail().get()
    );
    // Until it is shut down the directory stays its own.
    assert!(matches!(open(dir.path(), ResolveOnCommit), Err(OpenError::Locked(_))));
    assert!(matches!(log.close(), Err(AppendError::Failed(reason)) if reason.contains("panicked")));

    let log = open(dir.path(), ResolveOnCommit).unwrap();
    assert!(log.tail().get() >= 1, "what was acknowledged is there");
    assert_eq!(append(&log), Ok(Ok(())));
    log.close().unwrap();
}
