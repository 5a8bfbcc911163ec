//! What the index keeps beside the log: the checkpoint of a commit, and stored summaries.

use agenttracer_index::fuzzing;
use agenttracer_model::sample;
use agenttracer_storage::record;
use proptest::prelude::*;

use crate::corpus::lines;
use crate::mutate::{changed, changes};
use crate::{bounded, config};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn checkpoints(seed in prop::sample::select(lines("checkpoints.txt")), changes in changes(b"version=log next-0123456789abcdef", 4)) {
        let payload = String::from_utf8_lossy(&changed(seed.into_bytes(), &changes)).into_owned();
        bounded(64 << 10, || fuzzing::checkpoint(&payload));
    }

    #[test]
    fn stored_summaries(seed in 0..200_u64, changes in changes(b"\x00\x01\xfb\xfc\xfd\xff", 4)) {
        let batch = record::encode_run(&sample::run(seed), sample::FIRST_START);
        let whole = fuzzing::stored_summary(&batch);
        prop_assert!(fuzzing::load_summary(&whole));
        let bytes = changed(whole, &changes);
        // A varint length that lies must not be believed before the bytes are there.
        bounded((64 << 10) + 64 * bytes.len(), || fuzzing::load_summary(&bytes));
    }
}
