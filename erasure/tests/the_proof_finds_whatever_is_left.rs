//! A proof that finds nothing proves nothing unless each of its detectors finds what is there: here receipts lie, footers
//! list what nobody has, quarantine holds what was erased, and each time the proof says so and where.

mod support;

use std::path::Path;

use agenttracer_model::{Digest, Position, sample};
use agenttracer_storage::format::{Footer, TRAILER_BYTES, Trailer, seed};
use agenttracer_storage::log_record::{self, LogRecord, Selection, Tombstone};
use agenttracer_storage::verify::inspect;
use serde_json::json;
use support::{NOW, World, disk, proof, whats};
use uuid::Uuid;

const LOOKED_AT: [&str; 7] = [
    "batches",
    "terms of run ids",
    "stored documents",
    "positions of documents",
    "values of dictionaries",
    "files",
    "bytes",
];

#[test]
fn a_receipt_that_lies_is_seen_through_by_each_detector() {
    for is_compressed in [false, true] {
        let world = World::new();
        world.store((0..200).map(sample::run));
        world.index.commit_now().unwrap();
        if is_compressed {
            world.compress();
        }
        let erasure = world.erase([3, 50, 150]);
        let dir = world.close();
        let pending = proof(dir.path());
        assert_eq!((pending.holds(), pending.purged, pending.pending, pending.runs), (true, 0, 1, 3), "{pending:?}");

        let world = World::open(dir, 64 << 10);
        world.claim_purged(&erasure);
        let dir = world.close();
        let lie = proof(dir.path());
        let found = whats(&lie);
        for what in [
            "a batch of an erased run",
            "a batch with the id of an erased run",
            "a term with the id of an erased run",
            "a stored document of an erased run",
            "a document with the position of an erased run",
            "the id of an erased run",
        ] {
            assert!(found.contains(what), "compressed: {is_compressed}, {what}: {lie:?}");
        }
        let raw = |place: &str| {
            lie.named.iter().any(|found| found.what == "the id of an erased run" && found.place.contains(place))
        };
        // In blocks only what is decoded tells; elsewhere the files do.
        assert!(if is_compressed { raw("log, position") } else { raw(".seg") }, "{lie:?}");
        assert!(raw("index, segment"), "{lie:?}");
        for what in LOOKED_AT {
            assert!(lie.looked_at[what] > 0, "{what}: {lie:?}");
        }
    }
}

#[test]
fn a_receipt_that_is_true_holds_and_one_of_other_tombstones_does_not() {
    let world = World::new();
    world.store((0..200).map(sample::run));
    world.index.commit_now().unwrap();
    world.erase([3, 50, 150]);
    world.purge();
    world.purge();
    let dir = world.close();
    let honest = proof(dir.path());
    assert_eq!((honest.holds(), honest.purged, honest.pending, honest.runs), (true, 1, 0, 3), "{honest:?}");
    for what in LOOKED_AT {
        assert!(honest.looked_at[what] > 0, "{what}: {honest:?}");
    }

    let world = World::open(dir, 64 << 10);
    let (erasure, run) = (Uuid::new_v4(), Digest::of_run_id(Uuid::new_v4()).0);
    world.append(log_record::encode(
        &[
            LogRecord::ErasureBegun { erasure, selection: Selection::RUN, runs: 1 },
            LogRecord::RunsErased { erasure, runs: vec![Tombstone { run, positions: vec![Position::new(1)] }] },
            LogRecord::ErasureHidden { erasure, runs: 1, batches: 1, digest: Digest::default() },
        ],
        NOW,
    ));
    let dir = world.close();
    let other = proof(dir.path());
    assert_eq!(whats(&other), ["its tombstones are not those that its receipt names"].into());
    assert_eq!(other.named[0].place, format!("erasure {erasure}"));
}

#[test]
fn a_value_that_only_a_footer_lists_is_found() {
    let world = World::new();
    world.store((0..100).map(sample::run));
    world.compress();
    let dir = world.close();
    assert!(proof(dir.path()).holds());
    forge_footer(dir.path());
    let stale = proof(dir.path());
    assert_eq!(whats(&stale), ["the footer lists a value that no batch of the segment has"].into(), "{stale:?}");
    assert!(stale.looked_at["values of footers"] > 0);
}

/// Puts another agent into the dictionary of a rewritten segment, with checksums that hold.
fn forge_footer(dir: &Path) {
    let report = inspect(&*disk(), dir).unwrap();
    let segment = report.segments.iter().find(|segment| segment.generation > 1 && segment.batches > 0).unwrap();
    let seed = seed(report.log_id.unwrap(), segment.first, segment.generation);
    let mut bytes = std::fs::read(&segment.file).unwrap();
    let at = bytes.len() - TRAILER_BYTES;
    let trailer = Trailer::decode(seed, &bytes[at..], bytes.len() as u64).unwrap();
    let from = trailer.footer_offset as usize;
    let mut footer = Footer::decode(seed, &bytes[from..from + trailer.footer_bytes as usize]).unwrap();
    let agent = footer.dictionary.lists[0].pop_first().unwrap();
    footer.dictionary.lists[0].insert("x".repeat(agent.len()));
    let forged = footer.encode(seed, trailer.footer_offset);
    bytes.splice(from.., forged);
    std::fs::write(&segment.file, bytes).unwrap();
}

#[test]
fn what_repairs_put_aside_is_looked_at_and_purged() {
    let world = World::new();
    world.store((0..100).map(sample::run));
    let (erased, living) = (sample::run(7), sample::run(8));
    let position_of = |id| world.index.snapshot().find(id).unwrap().unwrap().position().get();
    let (erased_at, living_at) = (position_of(erased.run_id), position_of(living.run_id));
    let put_aside = world.path().join("quarantine");
    std::fs::create_dir(&put_aside).unwrap();
    let put = |name: &str, positions: [u64; 2], bytes: &[u8]| {
        std::fs::write(put_aside.join(name), bytes).unwrap();
        let note = json!({
            "format": 1, "log_id": Uuid::nil(), "file": "a", "offsets": [0, 9], "positions": positions,
            "what": "a checksum", "bytes": name, "repaired_at": "2026-11-22T10:00:00Z",
        });
        std::fs::write(put_aside.join(format!("{name}.json")), note.to_string()).unwrap();
    };
    let put_all = || {
        put("of-the-position.bin", [erased_at, erased_at + 1], b"?");
        put("of-another.bin", [living_at, living_at + 1], b"?");
        put("with-the-id.bin", [living_at, living_at + 1], format!("..{}..", erased.run_id).as_bytes());
        put("000.g2.cseg-0-9-a.bin", [living_at, living_at + 1], b"compressed");
    };
    put_all();
    world.erase([7]);
    world.purge();
    let dir = world.close();
    let names = || {
        let names = std::fs::read_dir(&put_aside).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| !name.to_str().unwrap().ends_with("json")).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["of-another.bin"], "what is of an erased run, or may be, goes; the rest stays");
    assert_eq!(std::fs::read_dir(&put_aside).unwrap().count(), 5, "the notes stay");
    let clean = proof(dir.path());
    assert!(clean.holds() && clean.looked_at["quarantined files"] == 1, "{clean:?}");

    put_all();
    let found = proof(dir.path());
    assert_eq!(
        whats(&found),
        ["bytes of the positions of an erased run", "the id of an erased run"].into(),
        "{found:?}"
    );
    assert_eq!(found.findings, 2);
}

#[test]
fn a_living_run_that_names_an_erased_one_is_counted_and_is_no_finding() {
    let world = World::new();
    let mut child = sample::run(1);
    child.parent_run_id = Some(sample::run(0).run_id);
    world.store([sample::run(0), child, sample::run(2)]);
    world.index.commit_now().unwrap();
    world.erase([0]);
    world.purge();
    let dir = world.close();
    let named = proof(dir.path());
    assert_eq!((named.holds(), named.mentions), (true, 1), "{named:?}");
}
