use agenttracer_index::{Filter, Rank, Sort, SortBy};
use agenttracer_model::Position;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// A place in a list: behind one run, in the list as it stood at one position of the log.
///
/// On the wire it is opaque: base64url of a version byte, the order of the list, the run's rank in it, the run id, the
/// position and the filter's hash, numbers big-endian. Pages that follow each other by cursor show each ended run that the log held when the
/// first page was asked exactly once, and none that came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The order of the list.
    pub(crate) sort: Sort,
    /// The place of the last run of the page in it.
    pub(crate) rank: Rank,
    /// The last run of the page.
    pub(crate) run_id: Uuid,
    /// Only runs below this position are listed.
    pub(crate) opened_at: Position,
    /// The filter the list was opened with.
    pub(crate) filter_hash: u64,
}

const VERSION: u8 = 2;
const LEN_BYTES: usize = 1 + 1 + 1 + 8 + 16 + 8 + 8;

/// Newest first: the order of a list for which no other is asked.
pub(crate) const NEWEST_FIRST: Sort = Sort { by: SortBy::StartedAt, ascending: false };

const ORDERS: [SortBy; 4] = [SortBy::StartedAt, SortBy::DurationMs, SortBy::StepCount, SortBy::RetryCount];

impl Cursor {
    /// The text that [`decode`](Self::decode) reads.
    pub(crate) fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(LEN_BYTES);
        bytes.push(VERSION);
        let order = ORDERS.iter().position(|order| *order == self.sort.by).unwrap_or_default() as u8;
        bytes.push(order << 1 | u8::from(self.sort.ascending));
        bytes.push(u8::from(self.rank.is_last));
        bytes.extend_from_slice(&self.rank.number.to_be_bytes());
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
        let (&[order, is_last], rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (run_id, rest) = rest.split_first_chunk()?;
        let (opened_at, filter_hash) = rest.split_first_chunk()?;
        Some(Self {
            sort: Sort { by: *ORDERS.get(usize::from(order >> 1))?, ascending: order & 1 == 1 },
            rank: Rank { is_last: is_last == 1, number: u64::from_be_bytes(*number) },
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
        failure_cluster,
        step_type,
        step_name,
        reason,
        signal,
        session_id,
        parent_run_id,
        metadata,
        conditions,
        not_started,
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
    hash.list(14, session_id.iter().map(String::as_str));
    hash.list(15, step_type.iter().map(|kind| kind.as_str()));
    hash.list(16, texts(reason.iter().map(|reason| reason.tag())));
    hash.list(17, texts(signal.iter().map(|(code, value)| format!("{} {value}", code.tag()))));
    hash.list(18, texts(parent_run_id));
    hash.list(19, texts(failure_cluster));
    for (key, values) in metadata {
        hash.list(20, [key.as_str()]);
        hash.list(21, values.iter().map(String::as_str));
    }
    hash.list(22, texts(conditions.iter().map(|condition| format!("{condition:?}"))));
    hash.list(23, texts(not_started.iter().map(|times| format!("{}..{}", times.start(), times.end()))));
    hash.number(24, live.then_some(1));
    hash.0
}

fn texts(values: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
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

    fn list(&mut self, field: u8, values: impl IntoIterator<Item = impl AsRef<str>>) {
        let values: Vec<_> = values.into_iter().collect();
        let mut values: Vec<_> = values.iter().map(AsRef::as_ref).collect();
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
    use agenttracer_model::Timestamp;

    use super::*;

    #[test]
    fn a_cursor_survives_the_wire() {
        let cursor = Cursor {
            sort: Sort { by: SortBy::RetryCount, ascending: true },
            rank: Rank { is_last: true, number: u64::MAX - 7 },
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
        let text = Cursor {
            sort: NEWEST_FIRST,
            rank: Rank { is_last: false, number: 0 },
            run_id: Uuid::nil(),
            opened_at: Position::ZERO,
            filter_hash: 0,
        }
        .encode();
        assert_eq!(Cursor::decode(""), None);
        assert_eq!(Cursor::decode("not a cursor"), None);
        assert_eq!(Cursor::decode(&text[1..]), None);
        assert_eq!(Cursor::decode(&format!("{text}AAAA")), None);
        // The first byte is the version.
        assert_eq!(Cursor::decode(&format!("AA{}", &text[2..])), None);
    }

    fn of_line(line: &str) -> Filter {
        let mut filter = Filter::default();
        crate::search_line::parse(line, &mut filter).unwrap();
        filter
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
            Filter { session_id: vec!["a".into(), "b".into()], ..Filter::default() },
            Filter { metadata: vec![("a".into(), vec!["b".into()])], ..Filter::default() },
            Filter { metadata: vec![("a".into(), vec!["b".into(), "c".into()])], ..Filter::default() },
            Filter { live: true, ..Filter::default() },
            Filter { failure_cluster: vec![5], ..Filter::default() },
            of_line("agent:a"),
            of_line("-agent:a"),
            of_line("version:a"),
            of_line("-started:2026-11-22"),
        ];
        let mut hashes: Vec<_> = others.iter().map(filter_hash).chain([filter_hash(&ab)]).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 1);
    }
}
