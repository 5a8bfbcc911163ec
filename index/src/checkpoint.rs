use std::fmt;

use agenttracer_model::Position;

use crate::cold::SCHEMA_VERSION;

/// The payload of a tantivy commit: what the index covers. It is the one checkpoint; everything derived that is kept
/// beside tantivy (rollups) is named in it, so that all of it becomes true in one rename.
///
/// Text of `key=value` words. Unknown words are left alone, so that an older program can still read `next` and say
/// what the log must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The version of all that is derived.
    pub(crate) version: u32,
    /// The next position to be read from the log.
    pub(crate) next: Position,
}

impl Checkpoint {
    /// This program's checkpoint at `next`.
    pub(crate) fn at(next: Position) -> Self {
        Self { version: SCHEMA_VERSION, next }
    }

    /// Reads a payload; `None` when it is not one.
    pub(crate) fn parse(payload: &str) -> Option<Self> {
        let word = |key: &str| payload.split_ascii_whitespace().find_map(|word| word.strip_prefix(key));
        Some(Self { version: word("version=")?.parse().ok()?, next: Position::new(word("next=")?.parse().ok()?) })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version={} next={}", self.version, self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_wrote_and_what_a_later_program_wrote() {
        let checkpoint = Checkpoint::at(Position::new(42));
        assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Some(checkpoint));
        let later = Checkpoint::parse("version=9 rollup=7.delta next=43").unwrap();
        assert_eq!((later.version, later.next), (9, Position::new(43)));
        assert_eq!(Checkpoint::parse("version=1"), None);
        assert_eq!(Checkpoint::parse(""), None);
    }
}
