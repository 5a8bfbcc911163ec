use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Refusal;

/// Answers up to this size are bounded by the number of connections well enough.
const SMALL_BYTES: usize = 16 << 10;

/// Bounds what answers hold while their clients read them: a slow reader of a large page keeps it in memory.
pub(crate) struct Held(Arc<Semaphore>);

/// An answer, and its share of the bound until its last byte was handed over.
struct Leased {
    body: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Held {
    /// At most `max_bytes` at a time, over all answers.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(max_bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// The same bytes, which count against the bound until nobody holds them any more.
    ///
    /// # Errors
    /// `Busy` when too much waits to be read already.
    pub(crate) fn until_read(&self, body: Bytes) -> Result<Bytes, Refusal> {
        if body.len() <= SMALL_BYTES {
            return Ok(body);
        }
        let bytes = u32::try_from(body.len()).map_err(|_| Refusal::Busy)?;
        let share = Arc::clone(&self.0).try_acquire_many_owned(bytes).map_err(|_| Refusal::Busy)?;
        Ok(Bytes::from_owner(Leased { body, _share: share }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_yet_counts() {
        let held = Held::new(100_000);
        let large = || Bytes::from(vec![7; 60_000]);
        let first = held.until_read(large()).unwrap();
        assert_eq!(first, large());
        assert!(matches!(held.until_read(large()), Err(Refusal::Busy)));
        assert!(held.until_read(Bytes::from_static(b"small")).is_ok());
        // A part of it keeps the whole alive.
        let rest = first.slice(50_000..);
        drop(first);
        assert!(matches!(held.until_read(large()), Err(Refusal::Busy)));
        drop(rest);
        assert!(held.until_read(large()).is_ok());
    }
}
