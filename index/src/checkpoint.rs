use std::fmt;

use agenttracer_model::Position;
use uuid::Uuid;

use crate::cold::SCHEMA_VERSION;
use crate::notes::Noted;

/// The payload of a tantivy commit: what the index covers. It is the one checkpoint; everything derived that is kept
/// beside tantivy (rollups) is named in it, so that all of it becomes true in one rename.
///
/// Text of `key=value` words. Unknown words are left alone, so that an older program can still read `next` and say
/// what the log must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The version of all that is derived.
    pub(crate) version: u32,
    /// The id of the log that it was derived from.
    pub(crate) log: Uuid,
    /// The next position to be read from the log.
    pub(crate) next: Position,
    /// How much of `index/erasures` counts.
    pub(crate) noted: Noted,
}

impl Checkpoint {
    /// This program's checkpoint at `next` of the log `log`.
    pub(crate) fn at(log: Uuid, next: Position, noted: Noted) -> Self {
        Self { version: SCHEMA_VERSION, log, next, noted }
    }

    /// Reads a payload; `None` when it is not one.
    pub(crate) fn parse(payload: &str) -> Option<Self> {
        let word = |key: &str| payload.split_ascii_whitespace().find_map(|word| word.strip_prefix(key));
        let noted = match word("erasures=") {
            Some(noted) => {
                let (count, crc) = noted.split_once(':')?;
                Noted { count: count.parse().ok()?, crc: u32::from_str_radix(crc, 16).ok()? }
            }
            None => Noted::default(),
        };
        Some(Self {
            noted,
            version: word("version=")?.parse().ok()?,
            log: word("log=")?.parse().ok()?,
            next: Position::new(word("next=")?.parse().ok()?),
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version={} log={} next={}", self.version, self.log, self.next)?;
        match self.noted {
            Noted { count: 0, .. } => Ok(()),
            Noted { count, crc } => write!(f, " erasures={count}:{crc:08x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_wrote_and_what_a_later_program_wrote() {
        let log = Uuid::from_u128(7);
        for noted in [Noted::default(), Noted { count: 3, crc: 0xab }] {
            let checkpoint = Checkpoint::at(log, Position::new(42), noted);
            assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Some(checkpoint));
        }
        let later = Checkpoint::parse(&format!("version=9 rollup=7.delta log={log} next=43")).unwrap();
        assert_eq!((later.version, later.log, later.next), (9, log, Position::new(43)));
        for incomplete in ["version=1 next=43", "version=2 log=7 next=43", &format!("version=2 log={log}")] {
            assert_eq!(Checkpoint::parse(incomplete), None, "{incomplete}");
        }
        assert_eq!(Checkpoint::parse(""), None);
    }
}
