//! Some runs of many are erased: hidden when the call returns, and after the purge neither the decoded walk nor a search of
//! the bytes of all files finds their ids or values, which both found before. With `AGENTTRACER_PROVE` 1,000 of a million.

mod support;

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use agenttracer_erasure::Wanted;
use agenttracer_index::{Filter, traces};
use agenttracer_model::{Metadata, Run, Value, sample};
use agenttracer_storage::StoredBatch;
use agenttracer_storage::verify::{Visitor, visit};
use support::{World, disk, proof};

/// In a value of each run that is erased, and nowhere else.
const MARK: &[u8] = b"only-in-erased-runs";

fn run(seed: u64, every: u64) -> Run {
    let mut run = sample::run(seed);
    let Metadata(entries) = &mut run.metadata;
    let kind = if seed % every == 3 { "only-in-erased-runs" } else { "in-runs-that-stay" };
    entries.push(("request".to_owned(), Value::String(format!("{kind}-{seed}"))));
    if seed % every == 3 {
        run.session_id = Some(format!("only-in-erased-runs-{seed}"));
        run.agent_id = "only-in-erased-runs".to_owned();
    }
    run
}

/// How often the mark stands in payloads of the log, in files as they lie there, and in what the index holds.
fn marks(dir: &Path) -> [usize; 3] {
    struct Decoded(usize);
    impl Visitor for Decoded {
        fn batch(&mut self, batch: &StoredBatch) {
            self.0 += count(&batch.payload);
        }
    }
    let mut decoded = Decoded(0);
    let report = visit(&*disk(), dir, &mut decoded).unwrap();
    assert!(report.is_sound() && report.strays.is_empty(), "{report:?}");
    let mut raw = 0;
    for sub in ["", "log", "index", "run"] {
        for entry in std::fs::read_dir(dir.join(sub)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_file() {
                raw += count(&std::fs::read(&path).unwrap());
            }
        }
    }
    let mut indexed = 0;
    traces(disk(), &dir.join("index"), &mut |_, trace| {
        indexed += match trace {
            agenttracer_index::Trace::Document(_, bytes) => count(bytes),
            agenttracer_index::Trace::Value { value, .. } => count(value),
            _ => 0,
        };
    })
    .unwrap();
    [decoded.0, raw, indexed]
}

fn count(bytes: &[u8]) -> usize {
    let mut found = 0;
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == MARK[0]) {
        rest = &rest[at..];
        found += usize::from(rest.starts_with(MARK));
        rest = &rest[1..];
    }
    found
}

#[test]
fn neither_ids_nor_values_are_left() {
    let (all, erased) = if std::env::var_os("AGENTTRACER_PROVE").is_some() { (1_000_000, 1_000) } else { (6_000, 30) };
    let every = all / erased;
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let world = World::open(dir, 8 << 20);
    world.store((0..all).map(|seed| run(seed, every)));
    world.index.commit_now().unwrap();
    let dir = world.close();
    let before = marks(dir.path());
    assert!(before.iter().all(|found| *found as u64 >= erased), "a living value would not be found: {before:?}");

    let world = World::open(dir, 8 << 20);
    let begun = Instant::now();
    let wanted = Wanted { agent_ids: vec!["only-in-erased-runs".to_owned()], ..Wanted::default() };
    let erasure = world.eraser.erase(&wanted).unwrap();
    let hidden = begun.elapsed();
    assert_eq!(erasure.erased, erased);
    let snapshot = world.index.snapshot();
    assert_eq!(snapshot.stats(&Filter::default()).unwrap().runs, all - erased);
    assert_eq!(snapshot.find(sample::run(3).run_id).unwrap(), None);
    drop(snapshot);
    let begun = Instant::now();
    world.purge();
    let purged = begun.elapsed();
    let dir = world.close();
    let begun = Instant::now();
    let proof = proof(dir.path());
    assert!(proof.holds(), "{:?}", proof.named);
    assert_eq!((proof.purged, proof.pending, proof.runs), (1, 0, erased));
    let proved = begun.elapsed();
    let _ = writeln!(
        std::io::stderr(),
        "{erased} of {all}: hidden in {hidden:.1?}, purged in {purged:.1?}, proved in {proved:.1?}"
    );
    assert_eq!(marks(dir.path()), [0; 3]);
}
