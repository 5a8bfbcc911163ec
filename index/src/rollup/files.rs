//! The table on disk.
//!
//! *Format*: a file `<16 hexadecimal digits>.rollup` holds some cells, whole:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | `ATROLLUP` |
//! | 8 | 4 | version, little-endian |
//! | 12 | 4 | CRC-32 of the body |
//! | 16 | | body: [`Body`] in bincode's standard configuration |
//!
//! A commit writes the cells that it changed into one new file, and the files that count stand in the commit's payload, oldest
//! first; of a cell the newest file counts. A new file takes along the cells of the newest older files that are not much
//! larger than it, so there are few files, and a cell is written anew about as often as the logarithm of their number.
//!
//! *Durability*: a file is synced before the commit that names it, and its name with the commit's own. *Recovery*: files that no
//! commit names are removed by the next writer. A file that is missing, damaged or of another version costs reading the
//! columns of the index.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use agenttracer_storage::disk::Disk;
use bincode::{Decode, Encode};

use super::cell::Cell;
use super::sums::{CellKey, CellSums};
use super::{Rollup, Width};
use crate::DiskDirectory;

const MAGIC: &[u8; 8] = b"ATROLLUP";
const VERSION: u32 = 2;
const HEADER_LEN: usize = 16;
/// What the name of a file ends with.
const ENDING: &str = ".rollup";
/// Far more than the most cells can need; a damaged length is not believed.
const LIMIT_BYTES: usize = 1 << 30;
/// A file takes the cells of an older one along that has at most so many times as many.
const TAKES_ALONG: usize = 2;

#[derive(Encode, Decode)]
struct Body {
    width: Width,
    /// The names, codes and failures of the cells.
    texts: Vec<String>,
    cells: Vec<StoredCell>,
}

/// A cell as it is now; `None` when it holds no run any more.
#[derive(Encode, Decode)]
struct StoredCell {
    agent: u32,
    version: u32,
    environment: u32,
    hour: i32,
    cell: Option<Cell>,
}

/// The files of the last commit, and who writes the next one.
pub(crate) struct Files {
    directory: DiskDirectory,
    /// Of the cells in all of them.
    width: Width,
    /// Oldest first; with the cells that each holds, ascending.
    files: Vec<(String, Arc<[CellKey]>)>,
    next: u64,
    /// What no commit names any more, or will.
    left: Vec<String>,
    /// Whether the next commit writes all cells anew, so that nothing is left of what they were.
    renewing: bool,
}

/// The files of a commit to come.
pub(crate) struct Written {
    width: Width,
    files: Vec<(String, Arc<[CellKey]>)>,
}

impl Written {
    /// No files: there are too many cells.
    pub(crate) fn none() -> Self {
        Self { width: Width::default(), files: Vec::new() }
    }

    /// Their names, oldest first.
    pub(crate) fn names(&self) -> Vec<String> {
        self.files.iter().map(|(name, _)| name.clone()).collect()
    }
}

impl Files {
    /// None that can be used: the next file holds all cells. Those of the last commit stay until then.
    pub(crate) fn anew(directory: DiskDirectory, last: &[String]) -> Self {
        let (width, files) = (Width::default(), Vec::new());
        Self { directory, width, files, next: behind(last), left: last.to_vec(), renewing: false }
    }

    /// Reads the files that a commit names. `Err` says why the table must be made anew.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn read(
        disk: &dyn Disk,
        dir: &Path,
        directory: DiskDirectory,
        names: &[String],
        max_cells: usize,
    ) -> io::Result<Result<(Self, Option<Rollup>), String>> {
        let mut sums = CellSums::default();
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            if number_of(name).is_none() {
                return Ok(Err("a commit names what is no rollup file".to_owned()));
            }
            let body = match read(disk, &dir.join(name)) {
                Ok(body) => body,
                Err(error) if is_damage(&error) => return Ok(Err(format!("{name}: {error}"))),
                Err(error) => return Err(error),
            };
            if files.is_empty() {
                sums.cells.width = body.width;
            } else if body.width != sums.cells.width {
                return Ok(Err(format!("{name}: its cells have another width than those before it")));
            }
            let numbers: Vec<_> = body.texts.iter().map(|text| sums.texts.number(text)).collect();
            let number = |text: u32| numbers.get(text as usize).copied();
            let mut keys = Vec::with_capacity(body.cells.len());
            for stored in body.cells {
                let (Some(agent), Some(version), Some(environment)) =
                    (number(stored.agent), number(stored.version), number(stored.environment))
                else {
                    return Ok(Err(format!("{name}: a cell without a name")));
                };
                let key = CellKey { agent, version, environment, hour: stored.hour };
                keys.push(key);
                match stored.cell {
                    Some(cell) if cell.largest_text().is_none_or(|text| number(text).is_some()) => {
                        let number = |text: u32| numbers[text as usize];
                        sums.cells.by_key.insert(key, cell.renumbered(number));
                    }
                    Some(_) => return Ok(Err(format!("{name}: a cell counts a text that is not there"))),
                    None => drop(sums.cells.by_key.remove(&key)),
                }
            }
            keys.sort_unstable();
            files.push((name.clone(), keys.into()));
        }
        let width = sums.cells.width;
        let read = Self { directory, width, files, next: behind(names), left: Vec::new(), renewing: false };
        Ok(Ok((read, Rollup::of(sums, max_cells))))
    }

    /// Writes the cells that `changed`, and others that go into one file with them. Only [`committed`](Self::committed)
    /// makes the outcome count.
    ///
    /// # Errors
    /// When the disk fails; a part of a file may be there then, which the next writer removes.
    pub(crate) fn write(&mut self, rollup: &Rollup, changed: &[CellKey]) -> io::Result<Written> {
        // Cells of another width replace all that there were.
        let width = rollup.width();
        let mut files = if self.renewing || width != self.width { Vec::new() } else { self.files.clone() };
        if changed.is_empty() && !files.is_empty() {
            return Ok(Written { width, files });
        }
        let mut keys: BTreeSet<CellKey> = changed.iter().copied().collect();
        while let Some((_, older)) = files.last().filter(|(_, older)| older.len() <= TAKES_ALONG * keys.len()) {
            keys.extend(older.iter().copied());
            files.pop();
        }
        let keys: Vec<CellKey> = if files.is_empty() { rollup.keys() } else { keys.into_iter().collect() };
        let name = format!("{:016x}{ENDING}", self.next);
        self.next += 1;
        self.left.push(name.clone());
        self.directory.write_new(Path::new(&name), &encode(rollup, &keys))?;
        files.push((name, keys.into()));
        Ok(Written { width, files })
    }

    /// The next commit writes all cells into one new file: the texts that only former cells had are in none then.
    pub(crate) fn renew(&mut self) {
        self.renewing = true;
    }

    /// The names that must stay while a commit is on its way: those of the last one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| name.as_str())
    }

    /// Takes over what a commit names, and removes what it does not.
    pub(crate) fn committed(&mut self, written: Written) {
        self.renewing = false;
        self.width = written.width;
        let before = std::mem::replace(&mut self.files, written.files);
        self.left.extend(before.into_iter().map(|(name, _)| name));
        for name in std::mem::take(&mut self.left) {
            if self.files.iter().all(|(kept, _)| *kept != name)
                && let Err(error) = self.directory.remove(Path::new(&name))
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(name, %error, "an old rollup file could not be removed; the next writer does it");
            }
        }
    }
}

/// A number that none of these files has.
fn behind(names: &[String]) -> u64 {
    names.iter().filter_map(|name| number_of(name)).max().map_or(0, |last| last.saturating_add(1))
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Whether the file is there and its checksum holds.
///
/// # Errors
/// When the disk fails.
pub(crate) fn is_whole(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match read(disk, path) {
        Ok(_) => Ok(true),
        Err(error) if is_damage(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Shows each text of a file with how many of its cells have it.
///
/// # Errors
/// When the file cannot be read, or is damaged.
pub(crate) fn texts(disk: &dyn Disk, path: &Path, see: &mut dyn FnMut(&str, u64)) -> io::Result<()> {
    let Body { texts, cells, .. } = read(disk, path)?;
    let mut counts = vec![0; texts.len()];
    for StoredCell { agent, version, environment, cell, .. } in cells {
        let mut used = BTreeSet::from([agent, version, environment]);
        if let Some(cell) = cell {
            let _ = cell.renumbered(|text| {
                used.insert(text);
                text
            });
        }
        for text in used {
            if let Some(count) = counts.get_mut(text as usize) {
                *count += 1;
            }
        }
    }
    texts.iter().zip(counts).for_each(|(text, count)| see(text, count));
    Ok(())
}

/// Whether this is the name of a rollup file.
pub(crate) fn is_name(name: &str) -> bool {
    number_of(name).is_some()
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT_BYTES>()
}

/// Appends a part of a [`Body`].
fn put(bytes: &mut Vec<u8>, part: impl Encode) {
    bincode::encode_into_std_write(part, bytes, config()).expect("a Vec takes every byte");
}

fn encode(rollup: &Rollup, keys: &[CellKey]) -> Vec<u8> {
    let (mut texts, mut numbers) = (Vec::new(), HashMap::new());
    let mut number = |text: u32| {
        *numbers.entry(text).or_insert_with(|| {
            texts.push(rollup.texts.text(text).to_string());
            texts.len() as u32 - 1
        })
    };
    // One cell after the other, as a list of them is written: copies of all would take as much memory as the table.
    let mut cells = Vec::new();
    put(&mut cells, keys.len());
    for key in keys {
        let cell = StoredCell {
            agent: number(key.agent),
            version: number(key.version),
            environment: number(key.environment),
            hour: key.hour,
            cell: rollup.cell(*key).map(|cell| cell.clone().renumbered(&mut number)),
        };
        put(&mut cells, cell);
    }
    let mut bytes = vec![0; HEADER_LEN];
    put(&mut bytes, rollup.width());
    put(&mut bytes, texts);
    bytes.append(&mut cells);
    let crc = crc32fast::hash(&bytes[HEADER_LEN..]);
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Body> {
    let file = disk.open_read(path)?;
    let len = usize::try_from(file.len()?).map_err(|_| ErrorKind::InvalidData)?;
    if len > LIMIT_BYTES {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    let damaged = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Err(damaged("it is cut")) };
    if header[..8] != *MAGIC {
        return Err(damaged("it is no rollup file"));
    }
    if header[8..12] != VERSION.to_le_bytes() {
        return Err(damaged("it has another version"));
    }
    if header[12..] != crc32fast::hash(body).to_le_bytes() {
        return Err(damaged("its checksum does not hold"));
    }
    let decoded = bincode::decode_from_slice::<Body, _>(body, config());
    decoded.map(|(body, _)| body).map_err(|_| damaged("its body is of no known form"))
}
