//! Opening refuses when acknowledged data is damaged or missing, and says where; it changes nothing then. A torn tail is cut.

mod common;

use std::path::{Path, PathBuf};

use agenttracer_model::Position;
use agenttracer_storage::disk::Disk;
use agenttracer_storage::{Damage, KnownDurable, Log, OpenError};
use common::{Dir, SIM_DIR, Sim, payload};
use uuid::Uuid;

/// A log of three sealed segments and an active one, not closed; batch i is `payload(i, 900)` with one record.
fn three_segments() -> (Sim, u64) {
    let mut sim = Sim::new(3, 32 << 10);
    let (log, _) = sim.open().unwrap();
    let mut batches = 0;
    while sim.segments().len() < 4 || batches % 7 != 0 {
        assert_eq!(sim.append(&log, &payload(batches, 900), 1).unwrap(), Position::new(batches));
        batches += 1;
    }
    drop(log);
    sim.disk = sim.disk.restart();
    (sim, batches)
}

fn everything(sim: &Sim) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    sim.disk.files().into_iter().map(|path| (path.clone(), sim.disk.content(&path))).collect()
}

/// The damage for which opening refuses; nothing may have changed.
fn refused(sim: &Sim) -> Damage {
    let before = everything(sim);
    let error = sim.open().err().expect("opening must refuse");
    assert_eq!(everything(sim), before, "a refusal changes nothing");
    match error {
        OpenError::Damaged(damage) => {
            assert!(!sim.verify().is_sound(), "verify must find it too: {damage}");
            *damage
        }
        other => panic!("{other}"),
    }
}

/// What an index of this log would say.
fn known(sim: &Sim, below: u64) -> Option<KnownDurable> {
    Some(KnownDurable { log: sim.options.new_log_id, below: Position::new(below) })
}

fn manifest(slot: &str) -> PathBuf {
    Path::new(SIM_DIR).join(format!("manifest.{slot}"))
}

#[test]
fn a_clean_close_goes_on_in_the_same_segment_and_a_crash_begins_another() {
    let mut sim = Sim::new(3, 32 << 10);
    let (log, recovery) = sim.open().unwrap();
    assert!(recovery.created);
    sim.append(&log, &payload(0, 900), 3).unwrap();
    log.close().unwrap();
    drop(log);
    let (log, recovery) = sim.open().unwrap();
    assert!(recovery.clean && !recovery.created);
    assert_eq!((recovery.tail, recovery.epoch, recovery.segments), (Position::new(3), 2, 0));
    assert_eq!(sim.append(&log, &payload(1, 900), 1).unwrap(), Position::new(3));
    drop(log);
    assert_eq!(sim.segments().len(), 1);
    sim.disk = sim.disk.restart_process();
    let (log, recovery) = sim.open().unwrap();
    assert!(!recovery.clean && recovery.cut.is_none(), "{recovery}");
    assert_eq!((recovery.tail, recovery.epoch, recovery.segments), (Position::new(4), 3, 1));
    assert_eq!(sim.segments().len(), 2);
    assert_eq!(log.scan(Position::ZERO..log.tail()).count(), 2);
}

#[test]
fn bytes_behind_the_last_batch_are_a_torn_tail_and_are_cut() {
    let (sim, batches) = three_segments();
    let active = sim.segments()[3].clone();
    let end = sim.disk.content(&active).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let garbage = end.next_multiple_of(4096);
    sim.disk.damage(&active, |bytes| bytes[garbage..garbage + 700].copy_from_slice(&payload(9, 700)));
    let report = sim.verify();
    assert!(report.is_sound() && report.torn_tail.is_some(), "{report:?}");
    let (log, recovery) = sim.open().unwrap();
    let cut = recovery.cut.expect("a torn tail");
    assert_eq!((cut.file, recovery.tail), (active, Position::new(batches)));
    assert!(cut.offset <= garbage as u64 && cut.offset + cut.bytes >= garbage as u64 + 700);
    assert_eq!(log.scan(Position::ZERO..log.tail()).filter(Result::is_ok).count() as u64, batches);
    log.close().unwrap();
    assert!(sim.verify().is_sound());
}

#[test]
fn a_damaged_batch_before_the_last_group_is_refused_and_named() {
    let (sim, batches) = three_segments();
    let active = sim.segments()[3].clone();
    let first = active.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    // The second batch of the segment: each was a group of its own, in one block.
    let damaged = first + 1;
    assert!(damaged + 1 < batches);
    for byte in [8192, 8192 + 20, 8192 + 500] {
        sim.disk.flip_bit(&active, byte, 3);
        let damage = refused(&sim);
        assert_eq!((damage.file.clone(), damage.positions.start), (active.clone(), Position::new(damaged)));
        assert!(damage.offsets.contains(&(byte as u64)), "{damage}");
        sim.disk.flip_bit(&active, byte, 3);
    }
    sim.open().unwrap();
}

#[test]
fn a_damaged_last_group_is_refused_when_a_checkpoint_knows_that_it_was_durable() {
    let (mut sim, batches) = three_segments();
    let active = sim.segments()[3].clone();
    let end = sim.disk.content(&active).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    sim.disk.flip_bit(&active, end, 0);
    sim.options.known_durable = known(&sim, batches);
    let error = sim.open().err().expect("opening must refuse");
    assert!(
        matches!(&error, OpenError::Damaged(damage) if damage.positions == (Position::new(batches - 1)..Position::new(batches))),
        "{error}"
    );
    // Nobody knows more than that: it may be a group that was never acknowledged.
    sim.options.known_durable = known(&sim, batches - 1);
    let (log, recovery) = sim.open().unwrap();
    assert!(recovery.cut.is_some());
    assert_eq!(log.tail(), Position::new(batches - 1));
}

#[test]
fn a_log_that_ends_before_its_checkpoint_is_refused() {
    let (mut sim, batches) = three_segments();
    sim.options.known_durable = known(&sim, batches + 1);
    assert!(
        matches!(sim.open(), Err(OpenError::Damaged(damage)) if damage.positions.end == Position::new(batches + 1))
    );
    let empty = Sim { disk: Sim::new(1, 1).disk, ..sim };
    assert!(matches!(empty.open(), Err(OpenError::Damaged(_))));
}

#[test]
fn the_checkpoint_of_another_log_is_no_evidence() {
    let (mut sim, batches) = three_segments();
    let below = Position::new(batches + 1);
    sim.options.known_durable = Some(KnownDurable { log: Uuid::from_u128(8), below });
    let (log, _) = sim.open().unwrap();
    assert_eq!((log.id(), log.tail()), (sim.options.new_log_id, Position::new(batches)));
}

#[test]
fn a_missing_or_shorter_segment_is_refused_and_named() {
    for (index, shorten) in [(0, false), (1, false), (2, false), (1, true), (2, true)] {
        let (sim, _) = three_segments();
        let file = sim.segments()[index].clone();
        if shorten {
            let handle = sim.disk.open(&file).unwrap();
            handle.set_len(handle.len().unwrap() - 1).unwrap();
        } else {
            sim.disk.remove(&file).unwrap();
        }
        assert_eq!(refused(&sim).file, file, "{index} {shorten}");
    }
}

#[test]
fn one_manifest_slot_is_enough_and_none_is_not() {
    for slot in ["a", "b"] {
        let (sim, batches) = three_segments();
        sim.disk.flip_bit(&manifest(slot), 100, 1);
        let (log, recovery) = sim.open().unwrap();
        assert_eq!(log.tail(), Position::new(batches), "{slot}");
        assert_eq!(recovery.rewritten.as_ref().map(|rewritten| &rewritten.file), Some(&manifest(slot)));
        assert!(recovery.to_string().contains(&format!("wrote {} anew", manifest(slot).display())), "{recovery}");
        assert_eq!((&recovery.damage[..], &log.damage()[..]), (&[][..], &[][..]), "it is whole again");
        drop(log);
        assert!(sim.verify().is_sound(), "it was written at once");
    }
    let (sim, batches) = three_segments();
    sim.disk.flip_bit(&manifest("a"), 100, 1);
    sim.disk.flip_bit(&manifest("b"), 100, 1);
    refused(&sim);
    // The batches are still there, and verification says how many.
    assert_eq!(sim.verify().records(), batches);
}

#[test]
fn a_damaged_footer_is_rebuilt_and_reported() {
    let (sim, batches) = three_segments();
    let sealed = sim.segments()[1].clone();
    let last = sim.disk.content(&sealed).unwrap().len() - 1;
    sim.disk.flip_bit(&sealed, last, 1);
    let (log, recovery) = sim.open().unwrap();
    assert_eq!(recovery.damage.len(), 1);
    assert_eq!(recovery.damage[0].file, sealed);
    assert_eq!(log.damage(), recovery.damage);
    for i in 0..batches {
        assert_eq!(log.read(Position::new(i)).unwrap().payload[..], payload(i, 900)[..]);
    }
}

#[test]
fn a_directory_is_opened_once_at_a_time() {
    let dir = Dir::with_segments(32 << 10);
    let log = dir.open();
    assert!(matches!(dir.try_open(), Err(OpenError::Locked(path)) if path == dir.path()));
    log.close().unwrap();
    drop(dir.open());
}
