//! A backup holds every batch that was acknowledged before it was asked for, whole batches only; it is refused when a bit of it is
//! not as it was written; and wherever it is interrupted, the one before it is still there.

mod common;

use std::path::{Path, PathBuf};

use agenttracer_model::Position;
use agenttracer_storage::backup::{self, Backup, BackupError, Options, Taken};
use agenttracer_storage::disk::sim::SECTOR_LEN;
use agenttracer_storage::disk::{Disk, SimDisk};
use agenttracer_storage::{KnownDurable, Log, OpenError, SegmentedLog};
use common::{SIM_DIR, Sim, payload};

const TARGET: &str = "/backups/one";
const RESTORED: &str = "/restored";

/// Appends the batches `from..to`; batch i is at position i.
fn append(sim: &Sim, log: &SegmentedLog, from: u64, to: u64) {
    for i in from..to {
        assert_eq!(sim.append(log, &payload(i, 700 + (i as usize * 91) % 900), 1).unwrap(), Position::new(i));
    }
}

fn take_with(sim: &Sim, options: &Options) -> Result<Taken, BackupError> {
    backup::take(&sim.disk, &sim.clock, Path::new(SIM_DIR), Path::new(TARGET), options, &mut |_| {})
}

fn take(sim: &Sim) -> Taken {
    take_with(sim, &Options::default()).unwrap()
}

fn check(disk: &SimDisk) -> Result<Backup, BackupError> {
    Backup::check(disk, Path::new(TARGET), &mut |_| {}).map(|(backup, _)| backup)
}

fn restore(disk: &SimDisk) -> Result<Backup, BackupError> {
    backup::restore(disk, Path::new(TARGET), Path::new(RESTORED), &mut |_| {})
}

/// Opens what was restored and holds it to the batches `0..end`.
fn holds(sim: &Sim, end: u64) {
    let report = agenttracer_storage::verify::verify(&sim.disk, Path::new(RESTORED), &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.clean, "{:?}", report.damage);
    let (disk, clock) = (std::sync::Arc::new(sim.disk.clone()), std::sync::Arc::new(sim.clock.clone()));
    let follower = Box::new(agenttracer_storage::ResolveOnCommit);
    let (log, recovery) =
        SegmentedLog::open_stepped(disk, clock, Path::new(RESTORED), sim.options.clone(), follower).unwrap();
    assert!(recovery.clean && recovery.cut.is_none(), "{recovery}");
    assert_eq!((log.id(), log.tail()), (sim.options.new_log_id, Position::new(end)));
    let mut next = 0;
    for batch in log.scan(Position::ZERO..log.tail()) {
        let batch = batch.unwrap();
        assert_eq!(batch.position, Position::new(next));
        assert_eq!(batch.payload[..], payload(next, 700 + (next as usize * 91) % 900)[..]);
        next += 1;
    }
    assert_eq!(next, end);
    // It goes on where the backup was taken.
    append(sim, &log, end, end + 3);
}

fn forget_restored(disk: &SimDisk) {
    for path in disk.files().iter().filter(|path| path.starts_with(RESTORED)) {
        disk.remove(path).unwrap();
    }
}

#[test]
fn everything_acknowledged_is_in_it_and_what_is_there_is_not_copied_again() {
    for copy in [false, true] {
        let sim = Sim::new(5, 32 << 10);
        let (log, _) = sim.open().unwrap();
        let options = Options { copy, ..Options::default() };
        let mut segments = 0;
        for round in 0..6 {
            append(&sim, &log, round * 40, (round + 1) * 40);
            // While the log is open and its lock held.
            let taken = take_with(&sim, &options).unwrap();
            assert_eq!(taken.backup.position, (round + 1) * 40);
            assert_eq!((taken.damage.len(), taken.linked == 0), (0, copy || taken.linked == 0));
            assert_eq!(taken.linked + taken.copied + taken.reused, taken.backup.segments.len() as u64);
            // The part of the active segment, one that was only a part before, and new ones.
            assert!(taken.reused + 1 >= segments, "{} of {segments} were not copied again", taken.reused);
            segments = taken.backup.segments.len() as u64;
            assert_eq!(check(&sim.disk).unwrap(), taken.backup);
            let listed = backup::list(&sim.disk, Path::new(SIM_DIR)).unwrap();
            assert_eq!(listed.len(), 1);
            assert_eq!((listed[0].target.as_path(), listed[0].position), (Path::new(TARGET), (round + 1) * 40));

            assert_eq!(restore(&sim.disk).unwrap(), taken.backup);
            holds(&sim, (round + 1) * 40);
            forget_restored(&sim.disk);
            // Nothing but what the list names is kept.
            let kept = sim.disk.files().iter().filter(|path| path.starts_with(TARGET)).count();
            assert_eq!(kept as u64, segments + 1 + 2, "the manifest, the list and the lock beside the segments");
        }
        assert!(segments > 5, "{segments} segments");
        let again = take_with(&sim, &options).unwrap();
        assert_eq!((again.copied, again.linked, again.reused), (0, 0, segments), "nothing was written since");
        log.close().unwrap();
        let closed = take_with(&sim, &options).unwrap();
        assert_eq!((closed.copied, closed.backup.position), (0, 240));
    }
}

#[test]
fn an_interrupted_backup_leaves_the_one_before_and_the_next_one_goes_on() {
    for copy in [false, true] {
        let options = Options { copy, ..Options::default() };
        let mut crashed = 0;
        for nth in 0.. {
            let mut sim = Sim::new(nth, 32 << 10);
            let (log, _) = sim.open().unwrap();
            append(&sim, &log, 0, 40);
            let first = take_with(&sim, &options).unwrap().backup;
            append(&sim, &log, 40, 80);
            sim.disk.crash_at_change(nth);
            let second = take_with(&sim, &options);
            if !sim.disk.has_crashed() {
                break;
            }
            crashed += 1;
            assert!(second.is_err());
            drop(log);
            sim.disk = sim.disk.restart();

            let found = check(&sim.disk).unwrap_or_else(|error| panic!("crash at {nth}: {error}"));
            assert!(found == first || found.position == 80, "crash at {nth}");
            restore(&sim.disk).unwrap();
            holds(&sim, found.position);
            assert!(sim.verify().is_sound(), "crash at {nth}");
            let (log, _) = sim.open().unwrap();
            assert_eq!(log.tail(), Position::new(80));
            assert_eq!(take_with(&sim, &options).unwrap().backup.position, 80);
            forget_restored(&sim.disk);
            restore(&sim.disk).unwrap();
            holds(&sim, 80);
        }
        assert!(crashed > 20, "a backup made only {crashed} disk calls");
    }
}

#[test]
fn a_full_disk_leaves_the_backup_before() {
    let sim = Sim::new(5, 32 << 10);
    let (log, _) = sim.open().unwrap();
    append(&sim, &log, 0, 60);
    let first = take(&sim).backup;
    append(&sim, &log, 60, 150);
    sim.disk.set_capacity(Some(sim.disk.used() + 20_000));
    let options = Options { copy: true, ..Options::default() };
    let error = take_with(&sim, &options).unwrap_err();
    assert!(matches!(error, BackupError::Io { .. }), "{error}");
    assert_eq!(check(&sim.disk).unwrap(), first);
    sim.disk.set_capacity(None);
    assert_eq!(take_with(&sim, &options).unwrap().backup.position, 150);
}

#[test]
fn an_interrupted_restore_is_taken_for_nothing_and_begins_anew() {
    let mut crashed = 0;
    for nth in 0.. {
        let mut sim = Sim::new(nth, 32 << 10);
        let (log, _) = sim.open().unwrap();
        append(&sim, &log, 0, 100);
        take(&sim);
        drop(log);
        sim.disk.crash_at_change(nth);
        let restored = restore(&sim.disk);
        if !sim.disk.has_crashed() {
            break;
        }
        crashed += 1;
        assert!(restored.is_err());
        sim.disk = sim.disk.restart();
        let dir = Path::new(RESTORED);
        if backup::is_unfinished(&sim.disk, dir).unwrap() {
            let (disk, clock) = (std::sync::Arc::new(sim.disk.clone()), std::sync::Arc::new(sim.clock.clone()));
            let follower = Box::new(agenttracer_storage::ResolveOnCommit);
            let opened = SegmentedLog::open_stepped(disk, clock, dir, sim.options.clone(), follower);
            assert!(matches!(opened, Err(OpenError::Unfinished { .. })), "crash at {nth}");
            let looked = agenttracer_storage::verify::inspect(&sim.disk, dir);
            assert!(matches!(looked, Err(OpenError::Unfinished { .. })), "crash at {nth}");
            let again = backup::take(&sim.disk, &sim.clock, dir, Path::new("/other"), &Options::default(), &mut |_| {});
            assert!(matches!(again, Err(BackupError::Log(OpenError::Unfinished { .. }))), "crash at {nth}");
        }
        match restore(&sim.disk) {
            Ok(_) => {}
            // It was finished, and only its last sync was cut off.
            Err(BackupError::NotEmpty { .. }) => assert!(!backup::is_unfinished(&sim.disk, dir).unwrap()),
            Err(error) => panic!("crash at {nth}: {error}"),
        }
        holds(&sim, 100);
    }
    assert!(crashed > 15, "a restore made only {crashed} disk calls");
}

#[test]
fn a_backup_that_is_not_as_it_was_written_is_refused_and_the_file_named() {
    let sim = Sim::new(5, 32 << 10);
    let (log, _) = sim.open().unwrap();
    append(&sim, &log, 0, 100);
    let backup = take(&sim).backup;
    log.close().unwrap();
    let refused = |file: &Path, what: &str| {
        let before = sim.disk.files();
        match restore(&sim.disk) {
            Err(BackupError::Bad { file: named, .. }) => assert_eq!(named, file, "{what}"),
            other => panic!("{what} of {}: {other:?}", file.display()),
        }
        assert_eq!(sim.disk.files(), before, "{what}: nothing was written");
    };
    for listed in backup.files() {
        let file = Path::new(TARGET).join(&listed.name);
        let whole = sim.disk.content(&file).unwrap();
        for offset in (0..whole.len()).step_by(997) {
            sim.disk.flip_bit(&file, offset, offset as u32 % 8);
            refused(&file, "a flipped bit");
            sim.disk.flip_bit(&file, offset, offset as u32 % 8);
        }
        for sector in 0..whole.len() / SECTOR_LEN {
            let range = sector * SECTOR_LEN..(sector + 1) * SECTOR_LEN;
            if whole[range.clone()].iter().any(|byte| *byte != 0) && sector % 7 == 0 {
                sim.disk.zero_sector(&file, sector);
                refused(&file, "a zeroed sector");
                sim.disk.damage(&file, |bytes| bytes[range.clone()].copy_from_slice(&whole[range]));
            }
        }
        let handle = sim.disk.open(&file).unwrap();
        handle.set_len(whole.len() as u64 - 1).unwrap();
        refused(&file, "a shorter file");
        sim.disk.remove(&file).unwrap();
        refused(&file, "a missing file");
        sim.disk.create(&file).unwrap().write_all_at(&whole, 0).unwrap();
    }
    let list = Path::new(TARGET).join("backup.json");
    let text = String::from_utf8(sim.disk.content(&list).unwrap()).unwrap();
    let replace = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        sim.disk.remove(&list).unwrap();
        sim.disk.create(&list).unwrap().write_all_at(text.replacen(from, to, 1).as_bytes(), 0).unwrap();
    };
    for (from, to) in [
        ("\"position\": 100", "\"position\": 99"),
        ("\"segments\": [", "\"segments\": [["),
        ("\"name\": \"log/", "\"name\": \"../../log/"),
        ("\"format\": 1,", ""),
    ] {
        replace(from, to);
        refused(&list, from);
    }
    replace("\"format\": 1", "\"format\": 2");
    let newer = restore(&sim.disk).unwrap_err().to_string();
    assert!(newer.contains("backup.json has format 2, this program reads up to 1"), "{newer}");
    replace("{", "{");
    restore(&sim.disk).unwrap();
    holds(&sim, 100);
}

#[test]
fn nothing_is_mixed_with_what_is_in_a_directory() {
    let mut sim = Sim::new(5, 32 << 10);
    let (log, _) = sim.open().unwrap();
    append(&sim, &log, 0, 50);
    take(&sim);
    for file in ["/restored/notes.txt", "/restored/log/00000000000000000000.seg"] {
        let file = Path::new(file);
        sim.disk.create_dir_all(file.parent().unwrap()).unwrap();
        sim.disk.create(file).unwrap();
        let error = restore(&sim.disk).unwrap_err();
        assert!(matches!(&error, BackupError::NotEmpty { name, .. } if file.ends_with(name)), "{error}");
        sim.disk.remove(file).unwrap();
    }
    // Nor with a log: not even with the very one.
    let again = backup::restore(&sim.disk, Path::new(TARGET), Path::new(SIM_DIR), &mut |_| {});
    assert!(matches!(again, Err(BackupError::NotEmpty { .. })));

    let notes = PathBuf::from("/else/notes.txt");
    sim.disk.create_dir_all(Path::new("/else")).unwrap();
    sim.disk.create(&notes).unwrap();
    let other =
        backup::take(&sim.disk, &sim.clock, Path::new(SIM_DIR), Path::new("/else"), &Options::default(), &mut |_| {});
    assert!(matches!(other, Err(BackupError::NotEmpty { name, .. }) if name == "notes.txt"));

    // Another log may not take the place of this one.
    drop(log);
    for path in sim.disk.files().iter().filter(|path| path.starts_with(SIM_DIR)) {
        sim.disk.remove(path).unwrap();
    }
    sim.options.new_log_id = uuid::Uuid::from_u128(8);
    let (log, _) = sim.open().unwrap();
    append(&sim, &log, 0, 5);
    let error = take_with(&sim, &Options::default()).unwrap_err();
    assert!(matches!(error, BackupError::OtherLog { .. }), "{error}");
    assert_eq!(check(&sim.disk).unwrap().position, 50);
}

#[test]
fn two_lives_of_one_log_share_what_they_have_in_common() {
    let sim = Sim::new(5, 32 << 10);
    let (log, _) = sim.open().unwrap();
    append(&sim, &log, 0, 70);
    take(&sim);
    append(&sim, &log, 70, 140);
    log.close().unwrap();
    drop(log);
    // The log is lost, the backup restored in its place, and another life begins.
    for path in sim.disk.files().iter().filter(|path| path.starts_with(SIM_DIR)) {
        sim.disk.remove(path).unwrap();
    }
    backup::restore(&sim.disk, Path::new(TARGET), Path::new(SIM_DIR), &mut |_| {}).unwrap();
    let (log, _) = sim.open().unwrap();
    append(&sim, &log, 70, 75);
    for i in 75..130 {
        sim.append(&log, &payload(1000 + i, 500), 1).unwrap();
    }
    let taken = take(&sim);
    assert!(taken.reused > 0 && taken.backup.position == 130);
    check(&sim.disk).unwrap();
    restore(&sim.disk).unwrap();
    let report = agenttracer_storage::verify::verify(&sim.disk, Path::new(RESTORED), &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.tail() == Position::new(130), "{:?}", report.damage);
}

#[test]
fn damage_is_taken_along_and_told_but_missing_data_is_no_backup() {
    let mut sim = Sim::new(5, 32 << 10);
    let (log, _) = sim.open().unwrap();
    append(&sim, &log, 0, 100);
    let sealed = sim.segments()[1].clone();
    sim.disk.flip_bit(&sealed, 5000, 1);
    let taken = take(&sim);
    assert_eq!(taken.damage.len(), 1);
    assert!(taken.damage[0].offsets.contains(&5000), "{}", taken.damage[0]);
    check(&sim.disk).unwrap();
    // The good copy of a segment that rots later stays.
    let other = sim.segments()[0].clone();
    drop(log);
    let (log, _) = sim.open().unwrap();
    let options = Options { copy: true, ..Options::default() };
    take_with(&sim, &options).unwrap();
    drop(log);
    assert_eq!(check(&sim.disk).unwrap().position, 100);

    // What is known durable must be there.
    let known = KnownDurable { log: sim.options.new_log_id, below: Position::new(101) };
    let missing = take_with(&sim, &Options { known_durable: Some(known), ..options }).unwrap_err();
    assert!(matches!(&missing, BackupError::Log(OpenError::Damaged(_))) && missing.is_damage(), "{missing}");
    // A whole group behind bytes that are none.
    sim.disk = sim.disk.restart();
    let (log, _) = sim.open().unwrap();
    append(&sim, &log, 100, 108);
    let active = sim.segments().last().unwrap().clone();
    sim.disk.flip_bit(&active, 4096 + 20, 1);
    let damaged = take_with(&sim, &options).unwrap_err();
    assert!(matches!(&damaged, BackupError::Log(OpenError::Damaged(damage)) if damage.file == active), "{damaged}");
    drop(log);
    // A segment that is missing is only missed where no backup has it.
    sim.disk.flip_bit(&active, 4096 + 20, 1);
    sim.disk.remove(&other).unwrap();
    let fresh = Path::new("/backups/two");
    let missing = backup::take(&sim.disk, &sim.clock, Path::new(SIM_DIR), fresh, &options, &mut |_| {}).unwrap_err();
    assert!(matches!(&missing, BackupError::Log(OpenError::Damaged(damage)) if damage.file == other), "{missing}");
    assert_eq!(check(&sim.disk).unwrap().position, 100, "the backup before is still there");
}
