use std::collections::HashSet;

use agenttracer_model::Timestamp;

use super::*;
use crate::disk::Clock;

fn path(name: &str) -> PathBuf {
    Path::new("/data").join(name)
}

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk
}

/// A file that is durable with its name, holding `bytes`.
fn durable(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(&path(name)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    file
}

/// What a file can hold after a power loss, over many seeds.
fn outcomes(act: impl Fn(&SimDisk)) -> HashSet<Option<Vec<u8>>> {
    (0..400)
        .map(|seed| {
            let disk = disk(seed);
            act(&disk);
            disk.restart().content(&path("file"))
        })
        .collect()
}

fn sectors(values: &[u8]) -> Vec<u8> {
    values.iter().flat_map(|value| [*value; SECTOR_LEN]).collect()
}

#[test]
fn what_is_synced_survives_with_a_synced_name() {
    let found = outcomes(|disk| drop(durable(disk, "file", b"kept")));
    assert_eq!(found, HashSet::from([Some(b"kept".to_vec())]));
}

#[test]
fn a_name_that_was_not_synced_may_be_forgotten() {
    let found = outcomes(|disk| {
        let file = disk.create(&path("file")).unwrap();
        file.write_all_at(b"bytes", 0).unwrap();
        file.sync_data().unwrap();
    });
    assert_eq!(found, HashSet::from([None, Some(b"bytes".to_vec())]));
}

#[test]
fn sectors_that_were_not_synced_are_kept_or_lost_one_by_one() {
    let found = outcomes(|disk| {
        let file = durable(disk, "file", &sectors(&[1, 1, 1]));
        file.write_all_at(&sectors(&[2, 2, 2]), 0).unwrap();
    });
    let every = (0..8u8).map(|bits| Some(sectors(&[1 + (bits & 1), 1 + (bits >> 1 & 1), 1 + (bits >> 2)])));
    assert_eq!(found, every.collect());
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let found = outcomes(|disk| {
        let file = durable(disk, "file", &sectors(&[0, 0]));
        file.write_all_at(&sectors(&[1]), 0).unwrap();
        file.write_all_at(&sectors(&[2]), SECTOR_LEN as u64).unwrap();
    });
    let every = [[0, 0], [1, 0], [0, 2], [1, 2]].map(|values| Some(sectors(&values)));
    assert_eq!(found, HashSet::from(every));
}

#[test]
fn a_length_may_survive_without_its_bytes() {
    let found = outcomes(|disk| {
        let file = durable(disk, "file", b"");
        file.write_all_at(&sectors(&[7]), 0).unwrap();
    });
    assert_eq!(found, HashSet::from([Some(vec![]), Some(sectors(&[0])), Some(sectors(&[7]))]));
}

#[test]
fn a_rename_happens_whole_or_not_and_removing_may_be_undone() {
    let found = outcomes(|disk| {
        durable(disk, "file", b"old");
        durable(disk, "temporary", b"new");
        disk.rename(&path("temporary"), &path("file")).unwrap();
    });
    assert_eq!(found, HashSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]));
    let found = outcomes(|disk| {
        durable(disk, "file", b"old");
        disk.remove(&path("file")).unwrap();
    });
    assert_eq!(found, HashSet::from([Some(b"old".to_vec()), None]));
}

#[test]
fn after_a_failed_sync_the_bytes_may_be_lost_though_a_later_sync_succeeds() {
    let found = outcomes(|disk| {
        let file = durable(disk, "file", &sectors(&[1]));
        file.write_all_at(&sectors(&[2]), 0).unwrap();
        disk.fail(Call::Sync, 0);
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        file.sync_data().unwrap();
    });
    assert_eq!(found, HashSet::from([Some(sectors(&[1])), Some(sectors(&[2]))]));
}

#[test]
fn a_killed_process_loses_nothing_but_what_it_left_unsynced_can_still_be_lost() {
    let before = disk(1);
    before.create(&path("file")).unwrap().write_all_at(b"cached", 0).unwrap();
    let after = before.restart_process();
    assert_eq!(after.content(&path("file")).unwrap(), b"cached");
    assert!(before.open(&path("file")).is_err());
    let found: HashSet<_> = outcomes(|disk| {
        disk.create(&path("file")).unwrap().write_all_at(b"cached", 0).unwrap();
    });
    assert!(found.contains(&None) && found.contains(&Some(b"cached".to_vec())));
}

#[test]
fn every_call_fails_from_the_ordered_crash_on() {
    let disk = disk(3);
    let file = durable(&disk, "file", b"old");
    let before = disk.changes();
    disk.crash_at_change(1);
    file.write_all_at(b"new", 0).unwrap();
    assert!(!disk.has_crashed());
    assert!(file.sync_data().is_err());
    assert!(disk.has_crashed());
    assert_eq!(disk.changes(), before + 2);
    assert!(file.read_at(&mut [0; 3], 0).is_err());
    assert!(file.write_all_at(b"more", 0).is_err());
    assert!(disk.list(Path::new("/data")).is_err());
    assert!(disk.create(&path("other")).is_err());
    let after = disk.restart();
    let content = after.content(&path("file")).unwrap();
    assert!(content == b"old" || content == b"new");
    after.open(&path("file")).unwrap();
}

#[test]
fn ordered_failures_come_once_and_only_to_their_kind() {
    let disk = disk(4);
    let file = durable(&disk, "file", b"12345678");
    disk.fail(Call::Read, 1);
    disk.fail(Call::Write, 0);
    disk.fail(Call::Name, 0);
    disk.fail(Call::SyncDir, 0);
    file.sync_data().unwrap();
    let read = || file.read_at(&mut [0; 2], 0).map_err(|error| error.raw_os_error());
    assert_eq!([read(), read(), read()], [Ok(2), Err(Some(5)), Ok(2)]);
    assert!(file.write_all_at(b"changed!", 0).is_err());
    file.write_all_at(b"changed!", 0).unwrap();
    assert!(disk.create(&path("other")).is_err());
    disk.create(&path("other")).unwrap();
    assert!(disk.sync_dir(Path::new("/data")).is_err());
    disk.sync_dir(Path::new("/data")).unwrap();
}

#[test]
fn a_full_disk_takes_what_fits_and_everything_again_when_there_is_space() {
    let disk = disk(5);
    let file = durable(&disk, "file", &[1; 100]);
    disk.set_capacity(Some(150));
    file.write_all_at(&[2; 100], 0).unwrap();
    let error = file.write_all_at(&[3; 100], 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.used(), 150);
    assert_eq!(file.set_len(151).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.set_capacity(None);
    file.write_all_at(&[3; 100], 100).unwrap();
    assert_eq!(disk.used(), 200);
}

#[test]
fn damage_reaches_what_is_read_and_what_survives() {
    let disk = disk(6);
    durable(&disk, "file", &sectors(&[1, 1]));
    disk.flip_bit(&path("file"), 3, 1);
    disk.zero_sector(&path("file"), 1);
    let mut expected = sectors(&[1, 0]);
    expected[3] = 3;
    assert_eq!(disk.content(&path("file")).unwrap(), expected);
    assert_eq!(disk.restart().content(&path("file")).unwrap(), expected);
}

#[test]
fn a_lock_is_held_until_its_guard_goes_or_the_machine_does() {
    let disk = disk(7);
    let guard = disk.lock(&path("LOCK")).unwrap();
    assert_eq!(disk.lock(&path("LOCK")).err().unwrap().kind(), ErrorKind::WouldBlock);
    drop(guard);
    let _guard = disk.lock(&path("LOCK")).unwrap();
    let _after = disk.restart().lock(&path("LOCK")).unwrap();
}

#[test]
fn the_same_seed_gives_the_same_misfortune() {
    let run = |seed| {
        let disk = disk(seed);
        let file = durable(&disk, "file", &sectors(&[0; 32]));
        for n in 0..32 {
            file.write_all_at(&sectors(&[n]), u64::from(n) * SECTOR_LEN as u64).unwrap();
        }
        disk.restart().content(&path("file"))
    };
    assert_eq!(run(9), run(9));
    assert!((0..20).any(|seed| run(seed) != run(9)));
}

#[test]
fn the_clock_moves_when_it_is_told() {
    let clock = SimClock::new(Timestamp::from_micros(5_000_000));
    clock.advance(3);
    assert_eq!((clock.now().as_micros(), clock.monotonic_ms()), (5_003_000, 3));
    clock.set(Timestamp::from_micros(1));
    assert_eq!((clock.now().as_micros(), clock.monotonic_ms()), (1, 3));
}
