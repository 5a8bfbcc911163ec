//! The list of a backup, `backup.json`, and what a data directory keeps of the backups that were taken of it.

use std::path::Path;

use agenttracer_model::Timestamp;
use agenttracer_storage::backup::{self, Backup, BackupError, Options};
use agenttracer_storage::disk::{SimClock, SimDisk};
use agenttracer_storage::verify;
use proptest::prelude::*;

use crate::corpus::Files;
use crate::log::files as data_directory;
use crate::mutate::{changed, changes};
use crate::{bounded, check};

const LIST: &str = "/backups/one/backup.json";
const JSON: &[u8] = b"{}[]\",:\\0123456789.eE+-tfn u/\x00\xff";
/// Pieces of 1 MiB are read, and a directory of some kilobytes is written.
const MEMORY: usize = 16 << 20;

/// The data directory of the golden files, and a backup of it.
fn backed_up() -> Files {
    let disk = data_directory().disk();
    let clock = SimClock::new(Timestamp::from_micros(1));
    backup::take(&disk, &clock, Path::new("/data"), Path::new("/backups/one"), &Options::default(), &mut |_| {})
        .unwrap();
    Files::of(&disk)
}

/// Restores it: whole, or not at all.
fn restore(disk: &SimDisk) -> Result<(), TestCaseError> {
    let restored = Path::new("/restored");
    let outcome = bounded(MEMORY, || backup::restore(disk, Path::new("/backups/one"), restored, &mut |_| {}))?;
    match outcome {
        Ok(_) => {
            let report = verify::verify(disk, restored, &mut |_| {}).unwrap();
            prop_assert!(report.is_sound(), "{:?}", report.damage);
        }
        Err(BackupError::Bad { .. } | BackupError::Newer { .. }) => {
            prop_assert!(!disk.files().iter().any(|file| file.starts_with(restored)), "{:?}", disk.files());
        }
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    }
    Ok(())
}

#[test]
fn lists_of_backups() {
    let files = backed_up();
    let whole = files.get(LIST).to_vec();
    restore(&files.disk()).unwrap();
    check(changes(JSON, 5), |changes| restore(&files.disk_with(LIST, changed(whole.clone(), &changes))));
}

/// Numbers and names that are well formed, and lead elsewhere.
#[test]
fn lists_that_lead_elsewhere() {
    let files = backed_up();
    let whole = serde_json::from_slice::<Backup>(files.get(LIST)).unwrap();
    let names = prop::sample::select(
        &["", "/", ".", "..", "log/..", "../../data/manifest.a", "/data/manifest.a", "log//x", "log/\0", "backup.json"]
            [..],
    );
    let numbers = || prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(u64::MAX / 2), any::<u64>()];
    check((names, numbers(), numbers(), 0..4_usize), |(name, bytes, position, which)| {
        let mut list = whole.clone();
        match which {
            0 => list.segments[0].name = name.to_owned(),
            1 => list.manifest.bytes = bytes,
            2 => list.segments[0].bytes = bytes,
            _ => list.position = position,
        }
        let disk = files.disk_with(LIST, serde_json::to_vec(&list).unwrap());
        let outcome = Backup::check(&disk, Path::new("/backups/one"), &mut |_| {});
        prop_assert!(list == whole || matches!(outcome, Err(BackupError::Bad { .. })), "{outcome:?} of {list:?}");
        restore(&disk)
    });
}

#[test]
fn records_of_backups() {
    let files = backed_up();
    let record = files.names().find(|name| name.starts_with("/data/") && name.ends_with(".json")).unwrap();
    let whole = files.get(&record).to_vec();
    check(changes(JSON, 5), |changes| {
        let disk = files.disk_with(&record, changed(whole.clone(), &changes));
        let listed = bounded(MEMORY, || backup::list(&disk, Path::new("/data")))?;
        prop_assert!(listed.is_ok_and(|listed| listed.len() <= 1));
        Ok(())
    });
}
