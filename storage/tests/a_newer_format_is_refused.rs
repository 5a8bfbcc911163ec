//! A directory that a newer program wrote is refused by everything that reads it, with a message that names the file and the
//! versions, and nothing is changed. What an older one wrote is read: see `the_format_stays_as_it_is`.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agenttracer_storage::OpenError;
use agenttracer_storage::backup::{self, BackupError};
use agenttracer_storage::format::Version;
use agenttracer_storage::repair::Repair;
use agenttracer_storage::verify::{inspect, verify};
use common::{SIM_DIR, Sim, payload};

/// Where a header or a slot has its CRC, and up to where that reaches.
enum Sealed {
    Header,
    Slot,
}

/// Writes a version into a file, with a CRC that holds.
fn ask_for(sim: &Sim, path: &Path, kind: &Sealed, version: Version) {
    sim.disk.damage(path, |bytes| {
        bytes[12..16].copy_from_slice(&version.format.to_le_bytes());
        bytes[16..24].copy_from_slice(&version.features.to_le_bytes());
        let end = match kind {
            Sealed::Header => 4096,
            Sealed::Slot => 80 + 48 * u32::from_le_bytes(bytes[68..72].try_into().unwrap()) as usize,
        };
        let crc = crc32fast::hash(&bytes[12..end]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    });
}

#[test]
fn everything_that_reads_a_directory_refuses_a_newer_one() {
    let dir = Path::new(SIM_DIR);
    let unknown = 1 << 63;
    let Version { format, features } = Version::SUPPORTED;
    for version in [Version { format: format + 1, features: 0 }, Version { format, features: features | unknown }] {
        for index in 0..5 {
            let sim = Sim::new(1, 24 << 10);
            let (log, _) = sim.open().unwrap();
            for i in 0..30 {
                sim.append(&log, &payload(i, 900), 1).unwrap();
            }
            // The header of the first and of the last segment count, and each slot on its own.
            log.close().unwrap();
            drop(log);
            let segments = sim.segments();
            let path = match index {
                0 => segments[0].clone(),
                1 => segments.last().unwrap().clone(),
                _ => dir.join(["manifest.a", "manifest.b"][index % 2]),
            };
            let kind = if index < 2 { Sealed::Header } else { Sealed::Slot };
            ask_for(&sim, &path, &kind, version);
            let state = || -> Vec<(PathBuf, _)> {
                sim.disk.files().into_iter().map(|path| (path.clone(), sim.disk.content(&path))).collect()
            };
            let before = state();
            let refusals = [
                ("open", sim.open().err()),
                ("verify", verify(&sim.disk, dir, &mut |_| {}).err()),
                ("inspect", inspect(&sim.disk, dir).err()),
                ("repair", Repair::examine(Arc::new(sim.disk.clone()), dir, None).err()),
            ];
            for (who, refusal) in refusals {
                let refusal = refusal.unwrap_or_else(|| panic!("{who} took {} with {version}", path.display()));
                assert!(
                    matches!(&refusal, OpenError::NewerFormat { file, found } if (file, *found) == (&path, version)),
                    "{who}: {refusal}"
                );
                let text = refusal.to_string();
                for part in [path.to_str().unwrap(), &version.to_string(), &Version::SUPPORTED.to_string()] {
                    assert!(text.contains(part), "{who} says {text}");
                }
            }
            if index > 1 {
                let target = Path::new("/backup");
                let refused =
                    backup::take(&sim.disk, &sim.clock, dir, target, &backup::Options::default(), &mut |_| {});
                assert!(matches!(refused, Err(BackupError::Log(OpenError::NewerFormat { .. }))), "{refused:?}");
            }
            assert!(state() == before, "nothing was changed");
        }
    }
}
