//! Golden files pin the bytes of segments and manifest in both directions, and the documentation has the code's tables.
//! A difference is a new version of the format, not a new golden file.

mod common;

use std::path::{Path, PathBuf};

use agenttracer_model::{Position, TimedEvent, Timestamp, sample};
use agenttracer_storage::disk::{Disk, SimDisk};
use agenttracer_storage::{Batch, BatchKind, Log, Rewriting, StoredBatch, record};
use common::{SIM_DIR, Sim, payload};

const BATCHES: u64 = 5;
const FILES: [&str; 4] = ["manifest.a", "manifest.b", "log/00000000000000000000.seg", "log/00000000000000000006.seg"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name.trim_start_matches("log/"))
}

/// A log of a sealed and an active segment, closed.
fn written() -> Sim {
    let sim = Sim::new(1, 24 << 10);
    let (log, _) = sim.open().unwrap();
    for i in 0..BATCHES {
        sim.append(&log, &payload(i, 50 + 1000 * i as usize), 1 + (i % 2) as u32).unwrap();
    }
    log.close().unwrap();
    sim
}

#[test]
fn todays_writer_writes_the_golden_files() {
    let sim = written();
    for name in FILES {
        let bytes =
            sim.disk.content(&Path::new(SIM_DIR).join(name)).unwrap_or_else(|| panic!("{name} was not written"));
        if std::env::var_os("WRITE_GOLDEN").is_some() && !golden(name).exists() {
            std::fs::write(golden(name), &bytes).unwrap();
        }
        assert!(bytes == std::fs::read(golden(name)).unwrap(), "{name} has other bytes than its golden file");
    }
}

#[test]
fn todays_reader_opens_the_golden_files() {
    let disk = SimDisk::new(1);
    disk.create_dir_all(&Path::new(SIM_DIR).join("log")).unwrap();
    for name in FILES {
        let file = disk.create(&Path::new(SIM_DIR).join(name)).unwrap();
        file.write_all_at(&std::fs::read(golden(name)).unwrap(), 0).unwrap();
    }
    let sim = Sim { disk, ..Sim::new(1, 24 << 10) };
    assert!(sim.verify().is_sound());
    let (log, recovery) = sim.open().unwrap();
    assert!(recovery.clean && recovery.damage.is_empty(), "{recovery}");
    let stored: Vec<_> = log.scan(Position::ZERO..log.tail()).map(Result::unwrap).collect();
    assert_eq!(stored.len() as u64, BATCHES);
    let mut next = Position::ZERO;
    for (i, batch) in (0..).zip(stored) {
        assert_eq!((batch.position, batch.records, batch.time.as_micros()), (next, 1 + (i % 2) as u32, 1000));
        assert_eq!(batch.payload[..], payload(i, 50 + 1000 * i as usize)[..]);
        next = batch.end();
    }
}

const REWRITTEN: &str = "rewritten/00000000000000000000.g2.cseg";
const REWRITTEN_MANIFEST: &str = "rewritten/manifest.a";

/// The log above, with everything rewritten but its second batch.
struct WithoutTheSecond;

impl Rewriting for WithoutTheSecond {
    fn keep(&mut self, batch: &StoredBatch) -> bool {
        batch.position != Position::new(1)
    }
}

fn rewritten() -> Sim {
    let sim = written();
    let (log, _) = sim.open().unwrap();
    log.seal_active().unwrap();
    let end = log.sealed().last().unwrap().entry.end;
    log.rewrite(Position::ZERO..end, &mut WithoutTheSecond).unwrap();
    log.close().unwrap();
    sim
}

#[test]
fn todays_rewriting_writes_the_golden_file() {
    let sim = rewritten();
    for name in [REWRITTEN, REWRITTEN_MANIFEST] {
        let file = name.replace("rewritten/0", "log/0").replace("rewritten/", "");
        let bytes =
            sim.disk.content(&Path::new(SIM_DIR).join(&file)).unwrap_or_else(|| panic!("{file} was not written"));
        if std::env::var_os("WRITE_GOLDEN").is_some() && !golden(name).exists() {
            std::fs::create_dir_all(golden(name).parent().unwrap()).unwrap();
            std::fs::write(golden(name), &bytes).unwrap();
        }
        assert!(bytes == std::fs::read(golden(name)).unwrap(), "{name} has other bytes than its golden file");
    }
}

#[test]
fn todays_reader_opens_the_golden_rewritten_segment() {
    // Today's log, with the bytes of then in the place of today's.
    let sim = rewritten();
    let file = Path::new(SIM_DIR).join(REWRITTEN.replace("rewritten", "log"));
    sim.disk.damage(&file, |bytes| bytes.copy_from_slice(&std::fs::read(golden(REWRITTEN)).unwrap()));
    assert!(sim.verify().is_sound());
    let (log, recovery) = sim.open().unwrap();
    assert!(recovery.damage.is_empty(), "{recovery}");
    let mut next = 0;
    let mut expected = Vec::new();
    for i in 0..BATCHES {
        if i != 1 {
            expected.push((next, 1 + (i % 2) as u32, payload(i, 50 + 1000 * i as usize)));
        }
        next += 1 + i % 2;
    }
    let found: Vec<_> = log
        .scan(Position::ZERO..log.tail())
        .map(|batch| batch.map(|batch| (batch.position.get(), batch.records, batch.payload.to_vec())).unwrap())
        .collect();
    assert!(found == expected);
}

const COLUMNS: &str = "columns/00000000000000000000.g2.cseg";
const COLUMNS_MANIFEST: &str = "columns/manifest.a";

/// What the golden segment in columns holds, a line a batch: kind, records, time in microseconds, payload in hex.
const COLUMNS_BATCHES: &str = "columns/batches.txt";

fn line(kind: BatchKind, records: u32, time: Timestamp, payload: &[u8]) -> String {
    let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind:?} {records} {} {hex}\n", time.as_micros())
}

/// What was put into the golden segment in columns: runs that arrived whole, one in events, and a record of the log between them.
fn batches_in_columns() -> Vec<Batch> {
    let whole = |seed| record::encode_run(&sample::run(seed), sample::FIRST_START);
    let watched = sample::run(40);
    let events = watched.clone().into_events().into_iter().zip(0_i64..).map(|(timed, n)| TimedEvent {
        time: (n % 2 == 0).then(|| Timestamp::from_micros(sample::FIRST_START.as_micros() + n * 1000)),
        removed: u32::from(n == 3),
        event: timed.event,
    });
    let events: Vec<_> = events.collect();
    let mut batches: Vec<_> = (0..6).map(whole).collect();
    batches.extend(events.chunks(4).map(|events| record::encode_events(watched.run_id, events, sample::FIRST_START)));
    let payload = std::fs::read(golden("records-log.bin")).unwrap();
    batches.insert(3, Batch { kind: BatchKind::Log, payload, records: 2, time: Timestamp::from_micros(7) });
    batches
}

/// A log of these batches, rewritten into one segment.
fn in_columns() -> Sim {
    let sim = Sim::new(1, 64 << 10);
    let (log, _) = sim.open().unwrap();
    for batch in batches_in_columns() {
        log.submit(batch, Box::new(|outcome| assert!(outcome.is_ok()))).unwrap();
        log.step();
    }
    log.seal_active().unwrap();
    log.rewrite(Position::ZERO..log.tail(), &mut Everything).unwrap();
    log.close().unwrap();
    sim
}

struct Everything;

impl Rewriting for Everything {
    fn keep(&mut self, _: &StoredBatch) -> bool {
        true
    }
}

/// What a segment in columns looks like to the byte is up to zstd too, so that only reading is pinned; the feature bit says
/// that an older program must not try.
#[test]
fn todays_reader_opens_the_golden_segment_in_columns() {
    let written = in_columns();
    let disk = SimDisk::new(1);
    disk.create_dir_all(&Path::new(SIM_DIR).join("log")).unwrap();
    for (name, file) in [(COLUMNS, COLUMNS.replace("columns", "log")), (COLUMNS_MANIFEST, "manifest.a".to_owned())] {
        let path = Path::new(SIM_DIR).join(&file);
        let bytes = written.disk.content(&path).unwrap_or_else(|| panic!("{file} was not written"));
        if std::env::var_os("WRITE_GOLDEN").is_some() && !golden(name).exists() {
            std::fs::create_dir_all(golden(name).parent().unwrap()).unwrap();
            std::fs::write(golden(name), &bytes).unwrap();
        }
        let pinned = std::fs::read(golden(name)).unwrap();
        assert_eq!(bytes[16], pinned[16], "the feature bits of {name}");
        disk.create(&path).unwrap().write_all_at(&pinned, 0).unwrap();
    }
    let sim = Sim { disk, ..Sim::new(1, 64 << 10) };
    let report = sim.verify();
    assert!(report.is_sound(), "{report:?}");
    let (log, recovery) = sim.open().unwrap();
    assert!(recovery.damage.is_empty(), "{recovery}");
    let found: Vec<_> = log.scan(Position::ZERO..log.tail()).map(Result::unwrap).collect();
    let expected = std::fs::read_to_string(golden(COLUMNS_BATCHES)).unwrap();
    let expected: Vec<_> = expected.split_inclusive('\n').collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        let line = line(found.kind, found.records, found.time, &found.payload);
        assert!(line == *expected, "the batch at {}", found.position);
    }
    // Bit 0: rewritten, bit 1: in columns.
    assert_eq!(std::fs::read(golden(COLUMNS)).unwrap()[16], 3);
}

/// The sample that the tests make their runs of, and how runs become records, are those of then: what the golden segment holds
/// stands beside it, and follows no change of either.
#[test]
fn todays_records_are_those_of_the_golden_segment_in_columns() {
    let lines =
        batches_in_columns().into_iter().map(|batch| line(batch.kind, batch.records, batch.time, &batch.payload));
    let today: String = lines.collect();
    if std::env::var_os("WRITE_GOLDEN").is_some() && !golden(COLUMNS_BATCHES).exists() {
        std::fs::write(golden(COLUMNS_BATCHES), &today).unwrap();
    }
    assert!(
        today == std::fs::read_to_string(golden(COLUMNS_BATCHES)).unwrap(),
        "the sample, or how it is recorded, changed"
    );
}

#[test]
fn the_documentation_has_the_tables_of_the_code() {
    let documented = include_str!("../../docs/format.md");
    let sources = [
        include_str!("../src/format/header.rs"),
        include_str!("../src/format/frame.rs"),
        include_str!("../src/format/block.rs"),
        include_str!("../src/format/columns/numbers.rs"),
        include_str!("../src/format/footer.rs"),
        include_str!("../src/format/slot.rs"),
    ];
    let mut rows = 0;
    for row in sources.iter().flat_map(|source| source.lines()).filter_map(|line| line.strip_prefix("/// |")) {
        rows += 1;
        assert!(documented.contains(&format!("|{row}\n")), "docs/format.md lacks the row |{row}");
    }
    assert!(rows > 50, "only {rows} rows were found");
}

#[test]
fn the_documentation_has_every_tag_of_the_closed_lists() {
    use agenttracer_model::taxonomy::{
        FailureType, REASON_CODES, RunStatus, SIGNAL_CODES, SignalCode, StepStatus, StepType,
    };

    let documented = include_str!("../../docs/format.md");
    let row = |list: &str, tags: Vec<(u16, &str)>| {
        let tags: Vec<_> = tags.iter().map(|(tag, word)| format!("{tag} {word}")).collect();
        let row = format!("| {list} | {} |\n", tags.join(", "));
        assert!(documented.contains(&row), "docs/format.md lacks the row {row}");
    };
    macro_rules! words {
        ($list:ident) => {
            $list::ALL.iter().map(|word| (u16::from(word.tag()), word.as_str())).collect()
        };
    }
    row("run status", words!(RunStatus));
    row("step type", words!(StepType));
    row("step status", words!(StepStatus));
    row("failure type", words!(FailureType));
    assert_eq!(SIGNAL_CODES.len(), (1..).map_while(SignalCode::from_tag).count());
    for rows in REASON_CODES.chunk_by(|a, b| a.decision_type == b.decision_type) {
        let list = format!("reasons of {}", rows[0].decision_type);
        row(&list, rows.iter().map(|row| (row.tag, row.code)).collect());
    }
    for rows in SIGNAL_CODES.chunk_by(|a, b| a.signal_type == b.signal_type) {
        let list = format!("signals of {}", rows[0].signal_type);
        row(&list, rows.iter().map(|row| (row.tag, row.code)).collect());
    }
}
