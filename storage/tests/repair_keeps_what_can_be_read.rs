//! Whatever a bad disk does to a log, repair keeps every batch whose bytes are untouched at its position, declares the rest as
//! lost, copies the damaged bytes, and leaves a log that opens. It can be cut off in any disk call and begun anew.
//! `AGENTTRACER_SIM_SEEDS=7..8` repeats seed 7.

mod common;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_model::Position;
use agenttracer_storage::disk::sim::SECTOR_LEN;
use agenttracer_storage::disk::{Disk, SimDisk};
use agenttracer_storage::format::GapReason;
use agenttracer_storage::repair::{Repair, Repaired, known_loss};
use agenttracer_storage::{KnownDurable, Log, OpenError, ReadError};
use common::{SIM_DIR, Sim, payload};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// The length of a frame's header, which stands in front of the payload (`docs/format.md`).
const FRAME_HEADER_BYTES: usize = 72;
const BATCHES: u64 = 70;
/// A sector of a segment in which a payload stands.
const SECTOR: usize = 9;

fn batch(position: u64) -> Vec<u8> {
    payload(position, 500 + (position as usize * 131) % 700)
}

/// A log of several sealed segments and an active one, closed or not; batch i is at position i.
fn written(seed: u64, clean: bool) -> Sim {
    let mut sim = Sim::new(seed, 24 << 10);
    let (log, _) = sim.open().unwrap();
    for i in 0..BATCHES {
        assert_eq!(sim.append(&log, &batch(i), 1).unwrap(), Position::new(i));
    }
    if clean {
        log.close().unwrap();
    }
    drop(log);
    sim.disk = sim.disk.restart();
    sim
}

fn dir() -> &'static Path {
    Path::new(SIM_DIR)
}

fn examine(sim: &Sim) -> Result<Repair, OpenError> {
    // As an index would say that has seen all of it.
    let known = KnownDurable { log: sim.options.new_log_id, below: Position::new(BATCHES) };
    Repair::examine(Arc::new(sim.disk.clone()), dir(), Some(known))
}

fn apply(sim: &Sim, repair: Repair) -> Result<Repaired, OpenError> {
    repair.apply(&sim.clock, &mut || Ok(()))
}

/// The positions of the batches with a byte in `hit` of a file that had the bytes `before`.
fn batches_in(before: &[u8], after: &[u8], hit: &Range<usize>) -> BTreeSet<u64> {
    let changed: Vec<_> =
        hit.clone().filter(|at| before[*at] != after.get(*at).copied().unwrap_or(!before[*at])).collect();
    let of = |position: u64| {
        let payload = batch(position);
        let found = (FRAME_HEADER_BYTES..before.len().saturating_sub(payload.len() - 1)).step_by(8).find(|at| {
            before[*at - FRAME_HEADER_BYTES..].starts_with(b"ATF1") && before[*at..].starts_with(&payload)
        })?;
        Some(found - FRAME_HEADER_BYTES..found + payload.len())
    };
    (0..BATCHES)
        .filter(|position| of(*position).is_some_and(|frame| changed.iter().any(|at| frame.contains(at))))
        .collect()
}

/// Damages files of the log; returns the batches that were hit.
fn damage(sim: &Sim, dice: &mut SmallRng) -> BTreeSet<u64> {
    let mut lost = BTreeSet::new();
    for _ in 0..dice.random_range(1..4) {
        let segments = sim.segments();
        let path = match dice.random_range(0..10) {
            0 => dir().join("manifest.a"),
            1 => dir().join("manifest.b"),
            _ => segments.choose(dice).unwrap().clone(),
        };
        let before = sim.disk.content(&path).unwrap();
        let whole = 0..before.len();
        let hit = match dice.random_range(0..10) {
            0 if path.extension().is_some() && segments.len() > 2 => {
                sim.disk.remove(&path).unwrap();
                whole
            }
            1 => {
                let len = dice.random_range(0..before.len());
                sim.disk.open(&path).unwrap().set_len(len as u64).unwrap();
                len..before.len()
            }
            2..6 => {
                let sector = dice.random_range(0..before.len().div_ceil(SECTOR_LEN));
                sim.disk.zero_sector(&path, sector);
                sector * SECTOR_LEN..before.len().min((sector + 1) * SECTOR_LEN)
            }
            _ => {
                // The regions are of very different lengths: headers and ends often.
                let byte = match dice.random_range(0..4) {
                    0 => dice.random_range(0..before.len().min(200)),
                    1 => before.len() - 1 - dice.random_range(0..before.len().min(200)),
                    _ => dice.random_range(0..before.len()),
                };
                sim.disk.flip_bit(&path, byte, dice.random_range(0..8));
                byte..byte + 1
            }
        };
        let after = sim.disk.content(&path).unwrap_or_default();
        lost.extend(batches_in(&before, &after, &hit));
    }
    lost
}

/// Holds the repaired log to what must be left of it.
fn holds(sim: &Sim, lost: &BTreeSet<u64>, what: &str) {
    let report = sim.verify();
    assert!(report.is_sound(), "{what}: {:?}", report.damage);
    let (log, recovery) = sim.open().unwrap_or_else(|error| panic!("{what}: {error}"));
    // A bit that was flipped behind the last batch is a torn tail, which costs nothing.
    assert!(recovery.damage.is_empty(), "{what}: {recovery}");
    assert_eq!(log.tail(), Position::new(BATCHES), "{what}");
    for position in 0..BATCHES {
        match log.read(Position::new(position)) {
            Ok(found) => {
                assert!(!lost.contains(&position), "{what}: {position}");
                assert_eq!(found.payload[..], batch(position)[..], "{what}: {position}");
            }
            Err(ReadError::Gone { reason: GapReason::Lost, .. }) => {
                assert!(lost.contains(&position), "{what}: {position} is not lost");
            }
            Err(error) => panic!("{what}: {position}: {error}"),
        }
    }
    let scanned: Vec<_> = log.scan(Position::ZERO..log.tail()).map(|batch| batch.unwrap().position.get()).collect();
    assert_eq!(scanned, (0..BATCHES).filter(|position| !lost.contains(position)).collect::<Vec<_>>(), "{what}");
    let declared: BTreeSet<_> = report.lost.iter().flat_map(|range| range.start.get()..range.end.get()).collect();
    assert_eq!(&declared, lost, "{what}");
    let noted = known_loss(&sim.disk, dir()).unwrap();
    let noted: BTreeSet<_> = noted.iter().flat_map(|range| range.start.get()..range.end.get()).collect();
    assert_eq!(&noted, lost, "{what}: the notes in the quarantine");
    assert_eq!(log.lost(), lost.len() as u64, "{what}");
    // It takes batches again, at positions that nobody ever had.
    assert_eq!(sim.append(&log, b"after", 1).unwrap(), Position::new(BATCHES), "{what}");
    log.close().unwrap();
    drop(log);
    assert!(sim.verify().is_sound(), "{what}");
}

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("AGENTTRACER_SIM_SEEDS") else { return 0..150 };
    let (from, to) = text.split_once("..").unwrap_or(("0", &text));
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn every_batch_that_was_not_hit_is_kept() {
    let (mut hit, mut refused, mut manifests) = (0, 0, 0);
    for seed in seeds() {
        let sim = written(seed, seed % 2 == 0);
        let mut dice = SmallRng::seed_from_u64(seed);
        let lost = damage(&sim, &mut dice);
        let what = format!("AGENTTRACER_SIM_SEEDS={seed}..{}", seed + 1);
        let state = everything(&sim.disk);
        let repair = examine(&sim).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(everything(&sim.disk), state, "{what}: to look changes nothing");
        let declared: BTreeSet<_> = repair.lost.iter().flat_map(|range| range.start.get()..range.end.get()).collect();
        assert_eq!(declared, lost, "{what}: {:?}", repair.damage);
        manifests += u32::from(repair.makes_manifest());
        let needed = repair.is_needed();
        let damaged = repair.damage.clone();
        let repaired = apply(&sim, repair).unwrap_or_else(|error| panic!("{what}: {error}"));
        hit += u32::from(!lost.is_empty());
        refused += u32::from(needed);
        for damage in damaged.iter().filter(|damage| !damage.positions.is_empty()) {
            let name = damage.file.file_name().unwrap().to_string_lossy().into_owned();
            let is_noted = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&name);
            assert!(repaired.quarantined.iter().any(is_noted), "{what}: {damage}");
        }
        holds(&sim, &lost, &what);
        let again = examine(&sim);
        // More batches than the index knows by now.
        assert!(!again.unwrap().is_needed(), "{what}: nothing is left to be repaired");
    }
    if seeds() == (0..150) {
        assert!(hit > 50 && refused > 80 && manifests > 0, "{hit} {refused} {manifests}");
    }
}

fn everything(disk: &SimDisk) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    disk.files().into_iter().map(|path| (path.clone(), disk.content(&path))).collect()
}

#[test]
fn a_repair_that_is_cut_off_begins_anew() {
    for manifest in [false, true] {
        let mut crashed = 0;
        for nth in 0.. {
            let mut sim = written(nth, false);
            let segments = sim.segments();
            let before = sim.disk.content(&segments[1]).unwrap();
            sim.disk.zero_sector(&segments[1], SECTOR);
            let after = sim.disk.content(&segments[1]).unwrap();
            let mut lost = batches_in(&before, &after, &(SECTOR * SECTOR_LEN..(SECTOR + 1) * SECTOR_LEN));
            let gone = sim.disk.content(&segments[2]).unwrap();
            lost.extend(batches_in(&gone, &[], &(0..gone.len())));
            sim.disk.remove(&segments[2]).unwrap();
            sim.disk.sync_dir(&dir().join("log")).unwrap();
            if manifest {
                sim.disk.flip_bit(&dir().join("manifest.a"), 50, 1);
                sim.disk.flip_bit(&dir().join("manifest.b"), 50, 1);
            }
            sim.disk.crash_at_change(nth);
            let outcome = examine(&sim).and_then(|repair| apply(&sim, repair));
            if !sim.disk.has_crashed() {
                break;
            }
            crashed += 1;
            assert!(outcome.is_err());
            sim.disk = sim.disk.restart();
            let what = format!("crash at {nth}");
            let repair = examine(&sim).unwrap_or_else(|error| panic!("{what}: {error}"));
            if repair.is_needed() {
                let mut forgotten = false;
                drop(repair);
                assert!(sim.open().is_err(), "{what}: nobody takes it for whole before");
                let forget = &mut || {
                    forgotten = true;
                    Ok(())
                };
                examine(&sim).unwrap().apply(&sim.clock, forget).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(forgotten, "{what}: what is derived from the log is made anew");
            } else {
                drop(repair);
            }
            holds(&sim, &lost, &what);
        }
        assert!(crashed > 20, "a repair made only {crashed} disk calls");
    }
}

#[test]
fn a_full_disk_leaves_the_log_to_another_try() {
    let sim = written(1, true);
    let segments = sim.segments();
    let before = sim.disk.content(&segments[1]).unwrap();
    sim.disk.zero_sector(&segments[1], SECTOR);
    let after = sim.disk.content(&segments[1]).unwrap();
    let lost = batches_in(&before, &after, &(SECTOR * SECTOR_LEN..(SECTOR + 1) * SECTOR_LEN));
    sim.disk.set_capacity(Some(sim.disk.used() + 3000));
    let full = apply(&sim, examine(&sim).unwrap()).unwrap_err();
    assert!(matches!(full, OpenError::Io { .. }), "{full}");
    let refused = sim.open().err().unwrap().to_string();
    assert!(refused.contains("run `agenttracer repair` once more"), "{refused}");
    sim.disk.set_capacity(None);
    apply(&sim, examine(&sim).unwrap()).unwrap();
    holds(&sim, &lost, "after a full disk");
}

#[test]
fn a_whole_log_is_left_alone_and_a_foreign_one_is_not_guessed() {
    let sim = written(1, true);
    let state = everything(&sim.disk);
    let repair = examine(&sim).unwrap();
    assert!(!repair.is_needed() && repair.damage.is_empty());
    assert_eq!(apply(&sim, repair).unwrap(), Repaired::default());
    assert_eq!(everything(&sim.disk), state);
    let log = sim.open().unwrap().0;
    assert!(matches!(examine(&sim), Err(OpenError::Locked(_))));
    drop(log);

    // Every file that says which log it is is damaged.
    for path in sim.segments() {
        sim.disk.flip_bit(&path, 30, 1);
    }
    for slot in ["manifest.a", "manifest.b"] {
        sim.disk.flip_bit(&dir().join(slot), 30, 1);
    }
    let unknown = Repair::examine(Arc::new(sim.disk.clone()), dir(), None).err().unwrap();
    assert!(unknown.to_string().contains("no file says which log this is"), "{unknown}");
    // The index does.
    apply(&sim, examine(&sim).unwrap()).unwrap();
    holds(&sim, &BTreeSet::new(), "with the index");
}
