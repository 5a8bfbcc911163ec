//! What became of the items of one request.

use agenttracer_model::privacy::Removed;
use agenttracer_model::{Loc, Position};
use uuid::Uuid;

use crate::error::Refused;
use crate::wire::{BatchAnswer, RejectedItem};

/// Errors of one answer; of each further bad item only the first is told, so that the answer stays bounded.
const MOST_ERRORS: usize = 20_000;

/// The answer to a request of many items, while it comes together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answer: BatchAnswer,
    /// The highest position that an item was given.
    pub(crate) position: Option<Position>,
    errors: usize,
}

impl Tally {
    /// One item was stored.
    pub(crate) fn accepted(&mut self, position: Position, removed: &Removed) {
        self.answer.accepted += 1;
        self.answer.removed.0.merge(removed);
        self.position = self.position.max(Some(position));
    }

    /// So many were stored before.
    pub(crate) fn duplicates(&mut self, count: usize) {
        self.answer.duplicates += count;
    }

    /// One item was not stored.
    pub(crate) fn rejected(&mut self, index: usize, run_id: Option<Uuid>, refused: Refused) {
        let status = refused.status().as_u16();
        let mut errors = refused.into_field_errors(vec![Loc::Name("body".to_owned()), Loc::Index(index)]);
        if self.errors >= MOST_ERRORS {
            errors.truncate(1);
        }
        self.errors += errors.len();
        let run_id = run_id.filter(|id| !id.is_nil());
        self.answer.rejected.push(RejectedItem { index, run_id, status, errors });
    }

    /// Puts the rejected items in the order of the request.
    pub(crate) fn sort(&mut self) {
        self.answer.rejected.sort_unstable_by_key(|item| item.index);
    }
}
