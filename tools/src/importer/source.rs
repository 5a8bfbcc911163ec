//! Where runs come from: NDJSON files, the directory of an export, or standard input; line by line, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::exporter::{MANIFEST, Manifest, sha256_of};

/// Lines that are sent together.
const CHUNK_LINES: usize = 250;
/// No further line is added to a chunk of so many bytes.
const CHUNK_BYTES: usize = 2 << 20;
/// The longest line that a server would take.
const LINE_BYTES: usize = 8 << 20;

/// Everything that is to be imported.
pub(crate) struct Source {
    pub(crate) files: Vec<SourceFile>,
    /// How many runs it holds, where that is known.
    pub(crate) runs: Option<u64>,
}

/// One file of lines.
pub(crate) struct SourceFile {
    /// For messages.
    pub(crate) name: String,
    /// `None` is standard input.
    path: Option<PathBuf>,
}

/// A run that was read.
pub(crate) struct Item {
    /// Its line, counted from 1.
    pub(crate) line: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Lines that belong together only because they were read together.
#[derive(Default)]
pub(crate) struct Chunk {
    pub(crate) items: Vec<Item>,
    /// Lines that are longer than any run can be.
    pub(crate) too_long: Vec<u64>,
}

impl Source {
    /// What `path` means: `-`, a file, or a directory that `export --format ndjson` made, whose checksums are then held
    /// against its manifest.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { files: vec![SourceFile { name: "-".to_owned(), path: None }], runs: None });
        }
        if !path.is_dir() {
            ensure!(path.exists(), "{} is not there", path.display());
            return Ok(Self { files: vec![SourceFile::at(path)], runs: None });
        }
        let manifest = path.join(MANIFEST);
        if !manifest.exists() {
            bail!("{} has no {MANIFEST}: it is no complete export; a single file can be named instead", path.display());
        }
        let text = std::fs::read(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no manifest of an export", manifest.display()))?;
        if manifest.format != "ndjson" {
            bail!("{} is an export as {}: only ndjson can be imported", path.display(), manifest.format);
        }
        let mut files = Vec::new();
        for file in &manifest.files {
            let at = path.join(&file.name);
            let found = sha256_of(&at).with_context(|| format!("reading {}", at.display()))?;
            if found != file.sha256 {
                bail!(
                    "{} is not what was exported: its checksum differs from the manifest; nothing was imported",
                    at.display()
                );
            }
            files.push(SourceFile::at(&at));
        }
        Ok(Self { files, runs: Some(manifest.runs) })
    }
}

impl SourceFile {
    fn at(path: &Path) -> Self {
        Self { name: path.display().to_string(), path: Some(path.to_owned()) }
    }

    pub(crate) fn open(&self) -> anyhow::Result<Chunks> {
        let reader: Box<dyn Read> = match &self.path {
            None => Box::new(io::stdin()),
            Some(path) => Box::new(File::open(path).with_context(|| format!("reading {}", path.display()))?),
        };
        Ok(Chunks { name: self.name.clone(), reader: BufReader::with_capacity(1 << 20, reader), line: 0 })
    }
}

/// Reads chunks of lines.
pub(crate) struct Chunks {
    name: String,
    reader: BufReader<Box<dyn Read>>,
    line: u64,
}

impl Chunks {
    /// The next lines that are not blank; `None` at the end.
    pub(crate) fn next_chunk(&mut self) -> anyhow::Result<Option<Chunk>> {
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        while chunk.items.len() + chunk.too_long.len() < CHUNK_LINES && bytes < CHUNK_BYTES {
            let mut line = Vec::new();
            let mut limited = (&mut self.reader).take(LINE_BYTES as u64 + 2);
            if limited.read_until(b'\n', &mut line).with_context(|| format!("reading {}", self.name))? == 0 {
                return Ok((!chunk.items.is_empty() || !chunk.too_long.is_empty()).then_some(chunk));
            }
            self.line += 1;
            if line.last() != Some(&b'\n') && line.len() > LINE_BYTES {
                self.reader.skip_until(b'\n').with_context(|| format!("reading {}", self.name))?;
            }
            let trimmed = line.trim_ascii();
            if trimmed.len() > LINE_BYTES {
                chunk.too_long.push(self.line);
            } else if !trimmed.is_empty() {
                bytes += trimmed.len();
                chunk.items.push(Item { line: self.line, bytes: trimmed.to_vec() });
            }
        }
        Ok(Some(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_long_ones_are_passed_over() {
        let long = "x".repeat(LINE_BYTES + 5);
        let exact = "y".repeat(LINE_BYTES);
        let text = format!("{{\"a\":1}}\r\n\n  \n{long}\n{exact}\n{{\"b\":2}}");
        let reader: Box<dyn Read> = Box::new(io::Cursor::new(text.into_bytes()));
        let mut chunks = Chunks { name: "test".to_owned(), reader: BufReader::new(reader), line: 0 };
        let first = chunks.next_chunk().unwrap().unwrap();
        let lines: Vec<_> = first.items.iter().map(|item| (item.line, item.bytes.len())).collect();
        assert_eq!((lines, first.too_long), (vec![(1, 7), (5, LINE_BYTES)], vec![4]));
        let second = chunks.next_chunk().unwrap().unwrap();
        assert_eq!(second.items[0].line, 6);
        assert_eq!(second.items[0].bytes, b"{\"b\":2}");
        assert!(chunks.next_chunk().unwrap().is_none());
    }
}
