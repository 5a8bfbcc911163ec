//! The native body: from its bytes to a run that can be stored, and the ids that the server makes.

use agenttracer_model::privacy::{MessageWords, Removed};
use agenttracer_model::{Digest, Run, Timestamp};
use uuid::{Builder, Uuid};

use crate::error::Refused;
use crate::issues::Rules;
use crate::json::{self, Numbers};
use crate::{clean, references, validate};

/// A run that may be stored: valid, cleaned, with its digest. Ids that the client did not send are nil.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The run.
    pub(crate) run: Run,
    /// What the privacy rules removed from it.
    pub(crate) removed: Removed,
    /// Whether it has status `failure` and its failure was left out.
    pub(crate) failure_left_out: bool,
}

/// A body that cannot be stored.
#[derive(Debug)]
pub(crate) struct Rejected {
    /// The run's id when it was readable.
    pub(crate) run_id: Option<Uuid>,
    /// Why.
    pub(crate) refused: Refused,
}

/// Reads one run; `item` is its index in a batch.
pub(crate) fn prepare(body: &[u8], item: Option<usize>, words: MessageWords) -> Result<Prepared, Box<Rejected>> {
    let malformed = |error: json::Malformed| {
        Box::new(Rejected { run_id: None, refused: Refused::Invalid(vec![error.at(item)], Rules::default()) })
    };
    let document = json::parse(body, Numbers::Nearest).map_err(malformed)?;
    let mut verdict = validate::validate(&document, item, words);
    if verdict.doubtful {
        let exact = json::parse(body, Numbers::Exact).map_err(malformed)?;
        verdict = validate::validate(&exact, item, words);
    }
    let run_id = verdict.run_id;
    let rejected = |refused| Box::new(Rejected { run_id, refused });
    let validate::Draft { mut run, failure_left_out } = verdict.draft.map_err(rejected)?;
    if let Some(contradiction) = references::contradiction(&run) {
        return Err(rejected(Refused::Conflict(contradiction)));
    }
    let removed = clean::clean(&mut run);
    run.digest = Digest::of(&run);
    Ok(Prepared { run, removed, failure_left_out })
}

/// A new id: a UUID v7 of `now`.
pub(crate) fn make_id(now: Timestamp) -> Uuid {
    let mut id = Uuid::nil();
    Ids { millis: u64::try_from(now.as_micros() / 1000).unwrap_or(0), next: None }.fill(&mut id);
    id
}

/// Makes every id that is still nil: UUIDs v7 of `now`, in the order of the run's parts.
///
/// One draw of random bits serves the whole run. Its ids count up from it, so they differ from each other for certain
/// and from those of other runs as surely as random ones do.
pub(crate) fn make_ids(run: &mut Run, now: Timestamp) {
    let mut ids = Ids { millis: u64::try_from(now.as_micros() / 1000).unwrap_or(0), next: None };
    ids.fill(&mut run.run_id);
    run.steps.iter_mut().for_each(|step| ids.fill(&mut step.step_id));
    run.failures.iter_mut().for_each(|failure| ids.fill(&mut failure.failure_id));
    run.decisions.iter_mut().for_each(|decision| ids.fill(&mut decision.decision_id));
    run.quality_signals.iter_mut().for_each(|signal| ids.fill(&mut signal.signal_id));
}

struct Ids {
    millis: u64,
    /// 74 bits of it go into an id; drawn when the first id is needed.
    next: Option<u128>,
}

impl Ids {
    fn fill(&mut self, id: &mut Uuid) {
        if id.is_nil() {
            let number = self.next.unwrap_or_else(|| Uuid::new_v4().as_u128() << 64 | Uuid::new_v4().as_u128() >> 64);
            self.next = Some(number.wrapping_add(1));
            *id = self.v7(number);
        }
    }

    /// The low 62 bits become the low 62 bits of the id, so that counting up never meets the bits that are fixed.
    fn v7(&self, number: u128) -> Uuid {
        let low = (number as u64) & (u64::MAX >> 2);
        let high = ((number >> 62) as u16) & 0xfff;
        let mut random = [0; 10];
        random[..2].copy_from_slice(&high.to_be_bytes());
        random[2..].copy_from_slice(&low.to_be_bytes());
        Builder::from_unix_timestamp_millis(self.millis, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn made_ids_are_distinct_v7_ids_of_their_time() {
        let mut ids = Ids { millis: 1_700_000_000_123, next: Some((1 << 62) - 3) };
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let mut id = Uuid::nil();
            ids.fill(&mut id);
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
            let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
            assert_eq!((seconds, nanos), (1_700_000_000, 123_000_000));
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn an_id_that_was_sent_stays() {
        let sent = Uuid::from_u128(7);
        let mut id = sent;
        Ids { millis: 0, next: None }.fill(&mut id);
        assert_eq!(id, sent);
    }
}
