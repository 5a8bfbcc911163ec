//! Runs that begin below a position are let go, hot and cold, and do not come back when an event reaches one of them or the
//! index is opened again.

mod support;

use std::path::Path;
use std::sync::Arc;

use agenttracer_model::{Position, sample};
use agenttracer_storage::Log;
use agenttracer_storage::disk::{Disk, SimDisk};
use agenttracer_storage::record;
use support::{NOW, TestLog, all, live_events, open, options, wait_until};

#[test]
fn runs_that_expired_are_gone_whole() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let dir = Path::new("/data/index");
    let log = TestLog::new();
    let index = open(&disk, dir, &log, options()).unwrap();
    // A live run that goes on above the cut, between runs that arrived whole.
    let events = live_events(sample::run(1000));
    let live = sample::run(1000).run_id;
    log.append(record::encode_events(live, &events[..2], NOW)).unwrap();
    log.append_samples(0..20);
    index.commit_now().unwrap();
    let cut = log.tail();
    log.append(record::encode_events(live, &events[2..3], NOW)).unwrap();
    log.append_samples(20..30);
    assert_eq!(all(&index.snapshot()).len(), 31);

    index.forget_before(cut).unwrap();
    let kept: Vec<_> = (20..30).map(|seed| sample::run(seed).run_id).collect();
    let shown = |index: &agenttracer_index::Index| all(&index.snapshot()).into_keys().collect::<Vec<_>>();
    let mut expected = kept.clone();
    expected.sort();
    assert_eq!(shown(&index), expected);
    // Again, and for less, costs nothing.
    index.forget_before(cut).unwrap();
    index.forget_before(Position::new(1)).unwrap();
    assert_eq!(shown(&index), expected);

    // An id that is free again can be taken.
    log.append_samples(3..4);
    index.close().unwrap();
    drop(index);
    let index = open(&disk, dir, &log, options()).unwrap();
    expected.push(sample::run(3).run_id);
    expected.sort();
    wait_until("the runs", || shown(&index) == expected);
}
