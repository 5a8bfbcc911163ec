//! Golden files pin the bytes of segments and manifest in both directions, and the documentation has the code's tables.
//! A difference is a new version of the format, not a new golden file.

mod common;

use std::path::{Path, PathBuf};

use agenttracer_model::Position;
use agenttracer_storage::Log;
use agenttracer_storage::disk::{Disk, SimDisk};
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

#[test]
fn the_documentation_has_the_tables_of_the_code() {
    let documented = include_str!("../../docs/format.md");
    let sources = [
        include_str!("../src/format/header.rs"),
        include_str!("../src/format/frame.rs"),
        include_str!("../src/format/block.rs"),
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
