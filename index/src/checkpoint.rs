use std::fmt;

use agenttracer_model::Position;
use uuid::Uuid;

use crate::cold::SCHEMA_VERSION;
use crate::metadata_keys::MetadataKeys;
use crate::notes::Noted;

/// The payload of a tantivy commit: what the index covers. It is the one checkpoint; everything derived that is kept
/// beside tantivy (rollups) is named in it, so that all of it becomes true in one rename.
///
/// Text of `key=value` words. Unknown words are left alone, so that an older program can still read `next` and say
/// what the log must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The version of all that is derived.
    pub(crate) version: u32,
    /// The id of the log that it was derived from.
    pub(crate) log: Uuid,
    /// The next position to be read from the log.
    pub(crate) next: Position,
    /// Metadata keys that are not in the index because they have too many values, ascending.
    pub(crate) keys_over: Vec<String>,
    /// Whether further metadata keys are left out of the index.
    pub(crate) keys_full: bool,
    /// How much of `index/erasures` counts.
    pub(crate) noted: Noted,
    /// The rollup files, oldest first.
    pub(crate) rollups: Vec<String>,
    /// Whether there were too many cells for rollups.
    pub(crate) rollups_over: bool,
}

impl Checkpoint {
    /// This program's checkpoint at `next` of the log `log`.
    pub(crate) fn at(log: Uuid, next: Position, keys: &MetadataKeys, noted: Noted) -> Self {
        let keys_over = keys.over().map(str::to_owned).collect();
        Self {
            version: SCHEMA_VERSION,
            log,
            next,
            keys_over,
            keys_full: keys.is_full(),
            noted,
            rollups: Vec::new(),
            rollups_over: false,
        }
    }

    /// What the checkpoint says of metadata keys.
    pub(crate) fn metadata_keys(&self) -> MetadataKeys {
        MetadataKeys::of_checkpoint(self.keys_over.iter().cloned(), self.keys_full)
    }

    /// Reads a payload; `None` when it is not one.
    pub(crate) fn parse(payload: &str) -> Option<Self> {
        let words = |key| payload.split_ascii_whitespace().filter_map(move |word| word.strip_prefix(key));
        let word = |key| words(key).next();
        let noted = match word("erasures=") {
            Some(noted) => {
                let (count, crc) = noted.split_once(':')?;
                Noted { count: count.parse().ok()?, crc: u32::from_str_radix(crc, 16).ok()? }
            }
            None => Noted::default(),
        };
        Some(Self {
            version: word("version=")?.parse().ok()?,
            log: word("log=")?.parse().ok()?,
            next: Position::new(word("next=")?.parse().ok()?),
            keys_over: words("key_over=").filter_map(unescape).collect(),
            keys_full: word("keys_full=") == Some("1"),
            noted,
            rollups: words("rollup=").map(str::to_owned).collect(),
            rollups_over: word("days_over=") == Some("1"),
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version={} log={} next={}", self.version, self.log, self.next)?;
        if self.noted.count > 0 {
            write!(f, " erasures={}:{:08x}", self.noted.count, self.noted.crc)?;
        }
        if self.keys_full {
            f.write_str(" keys_full=1")?;
        }
        if self.rollups_over {
            f.write_str(" days_over=1")?;
        }
        self.rollups.iter().try_for_each(|name| write!(f, " rollup={name}"))?;
        self.keys_over.iter().try_for_each(|key| write!(f, " key_over={}", escape(key)))
    }
}

/// A key as one word: all but plain characters as `%` and two digits.
fn escape(key: &str) -> String {
    let mut word = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'%' => word.push_str("%25"),
            _ if byte.is_ascii_graphic() => word.push(char::from(byte)),
            _ => word.push_str(&format!("%{byte:02x}")),
        }
    }
    word
}

fn unescape(word: &str) -> Option<String> {
    let mut bytes = word.bytes();
    let mut key = Vec::with_capacity(word.len());
    while let Some(byte) = bytes.next() {
        key.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_wrote_and_what_a_later_program_wrote() {
        let log = Uuid::from_u128(7);
        let keys = MetadataKeys::of_checkpoint(["request".to_owned(), "späte 5%\u{1}key".to_owned()], true);
        for noted in [Noted::default(), Noted { count: 3, crc: 0xab }] {
            let mut checkpoint = Checkpoint::at(log, Position::new(42), &keys, noted);
            assert_eq!(Checkpoint::parse(&checkpoint.to_string()).as_ref(), Some(&checkpoint));
            (checkpoint.rollups, checkpoint.rollups_over) = (vec!["1.rollup".to_owned(), "2.rollup".to_owned()], true);
            assert_eq!(checkpoint.metadata_keys(), keys);
            assert_eq!(Checkpoint::parse(&checkpoint.to_string()).as_ref(), Some(&checkpoint));
        }
        let later = Checkpoint::parse(&format!("version=9 rollup=7.delta log={log} next=43")).unwrap();
        assert_eq!((later.version, later.log, later.next), (9, log, Position::new(43)));
        for incomplete in ["version=1 next=43", "version=2 log=7 next=43", &format!("version=2 log={log}")] {
            assert_eq!(Checkpoint::parse(incomplete), None, "{incomplete}");
        }
        assert_eq!(Checkpoint::parse(""), None);
    }
}
