use agenttracer_index::Filter;
use agenttracer_model::{Position, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// A place in a newest-first list: behind one run, in the list as it stood at one position of the log.
///
/// On the wire it is opaque: base64url of a version byte, `started_at` in µs, the run id, the position and the filter's
/// hash, numbers big-endian. Pages that follow each other by cursor show each ended run that the log held when the
/// first page was asked exactly once, and none that came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Where the last run of the page began.
    pub(crate) started_at: Timestamp,
    /// The last run of the page.
    pub(crate) run_id: Uuid,
    /// Only runs below this position are listed.
    pub(crate) opened_at: Position,
    /// The filter the list was opened with.
    pub(crate) filter_hash: u64,
}

const VERSION: u8 = 1;
const LEN_BYTES: usize = 1 + 8 + 16 + 8 + 8;

impl Cursor {
    /// The text that [`decode`](Self::decode) reads.
    pub(crate) fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(LEN_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.started_at.as_micros().to_be_bytes());
        bytes.extend_from_slice(self.run_id.as_bytes());
        bytes.extend_from_slice(&self.opened_at.get().to_be_bytes());
        bytes.extend_from_slice(&self.filter_hash.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for anything else.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; LEN_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (started_at, rest) = rest.split_first_chunk()?;
        let (run_id, rest) = rest.split_first_chunk()?;
        let (opened_at, filter_hash) = rest.split_first_chunk()?;
        Some(Self {
            started_at: Timestamp::from_micros(i64::from_be_bytes(*started_at)),
            run_id: Uuid::from_bytes(*run_id),
            opened_at: Position::new(u64::from_be_bytes(*opened_at)),
            filter_hash: u64::from_be_bytes(filter_hash.try_into().ok()?),
        })
    }
}

/// A hash of what `filter` asks: the same for the same conditions in whatever order and repetition, in every process.
/// `before_position` is no part of it.
pub(crate) fn filter_hash(filter: &Filter) -> u64 {
    // Named one by one, so that a new condition cannot be forgotten here.
    let Filter {
        agent_id,
        agent_version,
        environment,
        status,
        live,
        start_time,
        end_time,
        failure_type,
        failure_code,
        step_name,
        has_retries,
        min_duration_ms,
        max_duration_ms,
        before_position: _,
        nothing,
    } = filter;
    let mut hash = Fnv::new();
    for (field, values) in [(1, agent_id), (2, agent_version), (3, environment), (4, failure_code), (5, step_name)] {
        hash.list(field, values.iter().map(String::as_str));
    }
    hash.list(6, status.iter().map(|status| status.as_str()));
    hash.list(7, failure_type.iter().map(|kind| kind.as_str()));
    hash.number(8, start_time.map(|time| time.as_micros().cast_unsigned()));
    hash.number(9, end_time.map(|time| time.as_micros().cast_unsigned()));
    hash.number(10, has_retries.map(u64::from));
    hash.number(11, *min_duration_ms);
    hash.number(12, *max_duration_ms);
    hash.number(13, nothing.then_some(1));
    hash.number(14, live.then_some(1));
    hash.0
}

/// FNV-1a, 64 bits: short, and the same in every process, unlike the hashers of std.
/// Source: <http://www.isthe.com/chongo/tech/comp/fnv/>
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn list<'a>(&mut self, field: u8, values: impl Iterator<Item = &'a str>) {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable();
        values.dedup();
        for value in values {
            self.bytes(&[field]);
            // The length first, so that no two lists are written alike.
            self.bytes(&(value.len() as u64).to_be_bytes());
            self.bytes(value.as_bytes());
        }
    }

    fn number(&mut self, field: u8, value: Option<u64>) {
        if let Some(value) = value {
            self.bytes(&[field]);
            self.bytes(&value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_wire() {
        let cursor = Cursor {
            started_at: Timestamp::from_micros(-7),
            run_id: Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788),
            opened_at: Position::new(42),
            filter_hash: u64::MAX - 3,
        };
        let text = cursor.encode();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{text}");
        assert_eq!(Cursor::decode(&text), Some(cursor));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let text =
            Cursor { started_at: Timestamp::default(), run_id: Uuid::nil(), opened_at: Position::ZERO, filter_hash: 0 }
                .encode();
        assert_eq!(Cursor::decode(""), None);
        assert_eq!(Cursor::decode("not a cursor"), None);
        assert_eq!(Cursor::decode(&text[1..]), None);
        assert_eq!(Cursor::decode(&format!("{text}AAAA")), None);
        // The first byte is the version.
        assert_eq!(Cursor::decode(&format!("AA{}", &text[2..])), None);
    }

    #[test]
    fn the_hash_knows_conditions_not_their_order() {
        let ab = Filter { agent_id: vec!["a".into(), "b".into()], ..Filter::default() };
        let bab = Filter { agent_id: vec!["b".into(), "a".into(), "b".into()], ..Filter::default() };
        assert_eq!(filter_hash(&ab), filter_hash(&bab));
        let opened = Filter { before_position: Some(Position::new(9)), ..ab.clone() };
        assert_eq!(filter_hash(&ab), filter_hash(&opened));

        let others = [
            Filter::default(),
            Filter { agent_id: vec!["ab".into()], ..Filter::default() },
            Filter { agent_version: vec!["a".into(), "b".into()], ..Filter::default() },
            Filter { min_duration_ms: Some(5), ..Filter::default() },
            Filter { max_duration_ms: Some(5), ..Filter::default() },
            Filter { has_retries: Some(false), ..Filter::default() },
            Filter { has_retries: Some(true), ..Filter::default() },
            Filter { start_time: Some(Timestamp::from_micros(5)), ..Filter::default() },
            Filter { end_time: Some(Timestamp::from_micros(5)), ..Filter::default() },
            Filter { nothing: true, ..Filter::default() },
        ];
        let mut hashes: Vec<_> = others.iter().map(filter_hash).chain([filter_hash(&ab)]).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 1);
    }
}
