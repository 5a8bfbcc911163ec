//! The small files that the cases begin from.

use std::path::{Path, PathBuf};

use agenttracer_storage::disk::{Disk, SimDisk};

/// The files of a folder of `corpus/`, sorted by name.
///
/// # Panics
/// When there is none: a test without a beginning proves nothing.
pub(crate) fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// The lines of a file of `corpus/`.
pub(crate) fn lines(file: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(file);
    let lines: Vec<_> = std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    assert!(!lines.is_empty(), "{} is empty", file.display());
    lines
}

/// A golden file of the log's format.
pub(crate) fn golden(name: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../storage/tests/golden/v1").join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The files of a disk.
pub(crate) struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    /// Files with these names and bytes.
    pub(crate) fn new(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Self {
        Self(files.into_iter().collect())
    }

    /// Those of `disk`.
    pub(crate) fn of(disk: &SimDisk) -> Self {
        Self::new(disk.files().into_iter().map(|path| {
            let bytes = disk.content(&path).unwrap();
            (path, bytes)
        }))
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(name, _)| name.to_str().unwrap().to_owned())
    }

    /// The bytes of one.
    pub(crate) fn get(&self, path: &str) -> &[u8] {
        let found = self.0.iter().find(|(name, _)| name == Path::new(path));
        &found.unwrap_or_else(|| panic!("no {path}")).1
    }

    /// A fresh disk with all of them.
    pub(crate) fn disk(&self) -> SimDisk {
        self.disk_with("", Vec::new())
    }

    /// A fresh disk with all of them, of which one has these bytes instead.
    pub(crate) fn disk_with(&self, path: &str, bytes: Vec<u8>) -> SimDisk {
        let disk = SimDisk::new(1);
        for (name, whole) in &self.0 {
            disk.create_dir_all(name.parent().unwrap()).unwrap();
            let file = disk.create(name).unwrap();
            file.write_all_at(if name == Path::new(path) { &bytes } else { whole }, 0).unwrap();
            file.sync_data().unwrap();
        }
        disk
    }
}
