//! Files of an export: complete and named, or not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use agenttracer_model::hex;
use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

/// What a file is called until the export is complete.
const UNFINISHED: &str = ".part";

/// The directory of an export. Its files get their names in [`finish`](Self::finish), all at the end; a failed export
/// removes them.
pub(crate) struct OutDir {
    dir: PathBuf,
}

/// A file that is written once from its beginning, with its length and checksum.
pub(crate) struct OutFile {
    name: String,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

/// A complete file that waits for its name.
pub(crate) struct Finished {
    pub(crate) name: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// In hex.
    pub(crate) sha256: String,
}

impl OutDir {
    /// Takes a directory that is not there, is empty, or holds what an interrupted export left.
    pub(crate) fn create(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
            let name = entry?.file_name();
            if !name.to_string_lossy().ends_with(UNFINISHED) {
                bail!(
                    "{} is not empty: an export is never mixed with other files; name another directory",
                    dir.display()
                );
            }
            fs::remove_file(dir.join(&name)).with_context(|| format!("removing {}", dir.join(&name).display()))?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Begins a file.
    pub(crate) fn file(&self, name: &str) -> anyhow::Result<OutFile> {
        let path = self.unfinished(name);
        let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        let file = BufWriter::with_capacity(256 << 10, file);
        Ok(OutFile { name: name.to_owned(), file, hash: Sha256::new(), bytes: 0 })
    }

    /// Gives all files their names, in this order: the last one says that the others are complete.
    pub(crate) fn finish<'a>(self, names: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
        for name in names {
            let (from, to) = (self.unfinished(name), self.dir.join(name));
            fs::rename(&from, &to).with_context(|| format!("naming {}", to.display()))?;
        }
        // The names too must survive a power cut.
        File::open(&self.dir).and_then(|dir| dir.sync_all()).with_context(|| format!("syncing {}", self.dir.display()))
    }

    fn unfinished(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{UNFINISHED}"))
    }
}

impl Drop for OutDir {
    fn drop(&mut self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
                // What cannot be removed is removed by the next export into this directory.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl OutFile {
    /// Completes the file on disk; its name comes later.
    pub(crate) fn finish(mut self, rows: u64) -> anyhow::Result<Finished> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .with_context(|| format!("writing {}", self.name))?;
        Ok(Finished { name: self.name, rows, bytes: self.bytes, sha256: hex(&self.hash.finalize()) })
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The SHA-256 of a file, in hex.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_their_names_when_all_are_complete() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("out");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("old.part"), "of an interrupted export").unwrap();
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };

        let out = OutDir::create(&dir).unwrap();
        let mut file = out.file("a").unwrap();
        file.write_all(b"abc").unwrap();
        assert_eq!(names(), ["a.part"]);
        drop(out);
        assert_eq!(names(), [""; 0]);

        let out = OutDir::create(&dir).unwrap();
        let mut file = out.file("a").unwrap();
        file.write_all(b"abc").unwrap();
        let finished = file.finish(1).unwrap();
        assert_eq!((finished.bytes, finished.rows), (3, 1));
        assert_eq!(finished.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        out.finish(["a"]).unwrap();
        assert_eq!(names(), ["a"]);
        assert_eq!(sha256_of(&dir.join("a")).unwrap(), finished.sha256);
        assert!(OutDir::create(&dir).is_err_and(|error| error.to_string().contains("is not empty")));
    }
}
