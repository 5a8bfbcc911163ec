//! `DATA_DIR/keys.json`: replaced as a whole, so that a reader sees all of it or all of what was before; under a lock, so
//! that two who change it do so one after the other.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agenttracer_model::Timestamp;

use super::{Draft, Guard, Key, Keys};
use crate::access::key::MOST_KEYS;

const FORMAT: u32 = 1;
/// How often a server looks whether the file is another one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells one state of the file from another: when it was written, its inode and its length.
pub(crate) type Mark = (SystemTime, u64, u64);

/// Which states of the file were read, and could not be.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    read: Option<Mark>,
    failed: Option<Mark>,
}

/// Why keys could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The file is not what this program writes. It is left as it is.
    #[error("{file} is no list of keys: {what}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where and why; nothing of what stands there.
        what: String,
    },
    /// There is no such key, or it was revoked or has expired.
    #[error("there is no valid key {0}")]
    Unknown(String),
    /// There are as many as may be.
    #[error("there are {MOST_KEYS} keys already: revoke those that nobody uses")]
    TooMany,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// A key that was just made or rotated, with its text: the only time that it is seen.
#[derive(Clone)]
pub struct Shown {
    /// What is kept of it.
    pub key: Key,
    /// What a client sends.
    pub text: String,
}

/// The keys of a data directory.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The keys of this data directory. Nothing is read yet.
    pub fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join("keys.json") }
    }

    /// Where they stand.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of them; none when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn load(&self) -> Result<Keys, KeyError> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Keys::default()),
            Err(source) => return Err(self.failed(source)),
        };
        let malformed = |what: String| KeyError::Malformed { file: self.path.clone(), what };
        let keys: Keys = serde_json::from_slice(&text)
            .map_err(|error| malformed(format!("line {}, column {}", error.line(), error.column())))?;
        if keys.format != FORMAT {
            return Err(malformed(format!("format {}, and this program knows {FORMAT}", keys.format)));
        }
        Ok(keys)
    }

    /// Makes a key. `by` says who asks for it.
    ///
    /// # Errors
    /// When the file cannot be read or written, or there are too many.
    pub fn create(&self, draft: Draft, by: &str) -> Result<Shown, KeyError> {
        self.change(|keys| {
            let now = now();
            if keys.keys.iter().filter(|key| key.is_valid(now)).count() >= MOST_KEYS {
                return Err(KeyError::TooMany);
            }
            let (id, text) = keys.create(draft, now, by).map_err(KeyError::Random)?;
            shown(keys, &id, text)
        })
    }

    /// Gives a key a new secret; the one before stays valid for `grace`.
    ///
    /// # Errors
    /// `Unknown` when no such key is valid; otherwise as [`create`](Self::create).
    pub fn rotate(&self, id: &str, grace: Duration, by: &str) -> Result<Shown, KeyError> {
        self.change(|keys| {
            let now = now();
            let grace = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
            let until = Timestamp::from_micros(now.as_micros().saturating_add(grace));
            match keys.rotate(id, until, now, by).map_err(KeyError::Random)? {
                Some(text) => shown(keys, id, text),
                None => Err(KeyError::Unknown(id.to_owned())),
            }
        })
    }

    /// Ends a key. Its sessions and streams end within a few seconds.
    ///
    /// # Errors
    /// `Unknown` when no such key is valid; otherwise as [`create`](Self::create).
    pub fn revoke(&self, id: &str, by: &str) -> Result<Key, KeyError> {
        self.change(|keys| {
            let unknown = || KeyError::Unknown(id.to_owned());
            if !keys.revoke(id, now(), by) {
                return Err(unknown());
            }
            keys.by_id(id).cloned().ok_or_else(unknown)
        })
    }

    /// Reads, changes and replaces the file, while nobody else does.
    fn change<T>(&self, change: impl FnOnce(&mut Keys) -> Result<T, KeyError>) -> Result<T, KeyError> {
        let lock = self.path.with_extension("lock");
        let held = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock);
        let held = held
            .and_then(|file| self.give_to_owner(&file).and_then(|()| file.lock()).map(|()| file))
            .map_err(|source| KeyError::Io { file: lock, source })?;
        let mut keys = self.load()?;
        keys.format = FORMAT;
        let outcome = change(&mut keys)?;
        self.replace(&keys).map_err(|source| self.failed(source))?;
        drop(held);
        Ok(outcome)
    }

    fn replace(&self, keys: &Keys) -> io::Result<()> {
        let temporary = self.path.with_extension("json.tmp");
        let mut text = serde_json::to_vec_pretty(keys)?;
        text.push(b'\n');
        // Only the owner may read it: a hash is no key, but it is nobody's business either.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary)?;
        self.give_to_owner(&file)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        // The directory too, or a power loss could bring a revoked key back.
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Makes a file that root writes belong to whom the directory belongs: the server must be able to read it.
    fn give_to_owner(&self, file: &File) -> io::Result<()> {
        let owner = std::fs::metadata(self.path.parent().unwrap_or(Path::new(".")))?;
        let data = file.metadata()?;
        if data.uid() == owner.uid() {
            return Ok(());
        }
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
    }

    fn failed(&self, source: io::Error) -> KeyError {
        KeyError::Io { file: self.path.clone(), source }
    }

    /// None while there is no file.
    fn mark(&self) -> Option<Mark> {
        let data = std::fs::metadata(&self.path).ok()?;
        Some((data.modified().ok()?, data.ino(), data.len()))
    }
}

fn shown(keys: &Keys, id: &str, text: String) -> Result<Shown, KeyError> {
    let key = keys.by_id(id).cloned().ok_or_else(|| KeyError::Unknown(id.to_owned()))?;
    Ok(Shown { key, text })
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

impl Guard {
    /// Reads the file again when it is another one than before. One that cannot be read changes nothing: the keys that were
    /// known stay.
    pub(crate) async fn look(&self) {
        let mut seen = self.seen.lock().await;
        let mark = self.file.mark();
        if mark == seen.read {
            return;
        }
        let file = self.file.clone();
        match tokio::task::spawn_blocking(move || file.load()).await {
            Ok(Ok(loaded)) => {
                self.keys.send_if_modified(|keys| {
                    let changed = *keys != loaded;
                    *keys = loaded;
                    changed
                });
                *seen = Seen { read: mark, failed: None };
            }
            // It is tried again with every look, and told once.
            failed if seen.failed != mark => {
                match failed {
                    Ok(Err(error)) => tracing::error!(%error, "the keys cannot be read; those known before stay valid"),
                    _ => tracing::error!("reading the keys panicked; those known before stay valid"),
                }
                seen.failed = mark;
            }
            _ => {}
        }
    }
}

/// Looks at the file every second until `stopped`, and forgets what ended.
pub(crate) async fn watch(guard: Arc<Guard>, stopped: impl Future<Output = ()>) {
    let mut stopped = std::pin::pin!(stopped);
    loop {
        guard.look().await;
        guard.forget_ended();
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = &mut stopped => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use agenttracer_model::taxonomy::Scope;

    use super::*;

    #[test]
    fn the_file_belongs_to_whom_the_directory_belongs() {
        let dir = tempfile::tempdir().unwrap();
        // Only root can give a directory away; everybody else finds what holds anyway.
        let _ = std::os::unix::fs::chown(dir.path(), Some(12345), Some(12345));
        KeyFile::of(dir.path()).create(draft(), "command line").unwrap();
        let owner = std::fs::metadata(dir.path()).unwrap().uid();
        for file in ["keys.json", "keys.lock"] {
            assert_eq!(std::fs::metadata(dir.path().join(file)).unwrap().uid(), owner, "{file}");
        }
    }

    fn draft() -> Draft {
        Draft { name: "n".into(), scopes: vec![Scope::Ingest], ..Draft::default() }
    }

    #[test]
    fn keys_outlive_the_process_and_only_their_owner_reads_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        assert!(file.load().unwrap().keys.is_empty());
        let shown = file.create(draft(), "command line").unwrap();
        let keys = KeyFile::of(dir.path()).load().unwrap();
        assert_eq!(keys.find(&shown.text, now()).unwrap(), &shown.key);
        assert_eq!(std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        file.revoke(&shown.key.id, "command line").unwrap();
        assert!(matches!(file.revoke(&shown.key.id, "command line"), Err(KeyError::Unknown(_))));
        assert!(file.load().unwrap().find(&shown.text, now()).is_none());
    }

    #[test]
    fn changes_at_one_time_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| file.create(draft(), "command line").unwrap());
            }
        });
        assert_eq!(file.load().unwrap().keys.len(), 8);
    }

    #[test]
    fn a_damaged_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::of(dir.path());
        std::fs::write(file.path(), "{\"format\":1,\"keys\":[{\"id\":\"secret").unwrap();
        let error = file.create(draft(), "command line").err().unwrap();
        assert!(matches!(&error, KeyError::Malformed { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(std::fs::read_to_string(file.path()).unwrap().ends_with("secret"));
    }
}
