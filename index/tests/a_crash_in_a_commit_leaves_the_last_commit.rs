//! tantivy over the simulated disk: a commit is cut off by a loss of power in each of its disk calls in turn. The index
//! opens afterwards with the last commit that returned, or with the one that was cut off, whole.

use std::path::Path;
use std::sync::Arc;

use agenttracer_index::DiskDirectory;
use agenttracer_storage::disk::{Disk, SimDisk};
use tantivy::collector::Count;
use tantivy::query::AllQuery;
use tantivy::schema::{NumericOptions, Schema};
use tantivy::{Index, IndexWriter, TantivyDocument};

const INDEX: &str = "/data/index";
const FATES: u64 = 3;

fn open(disk: &SimDisk) -> Index {
    let mut schema = Schema::builder();
    schema.add_u64_field("number", NumericOptions::default().set_indexed().set_fast());
    let directory = DiskDirectory::open(Arc::new(disk.clone()), Path::new(INDEX)).unwrap();
    Index::open_or_create(directory, schema.build()).unwrap()
}

/// Adds `documents` and commits them under `payload`.
fn commit(index: &Index, documents: u64, payload: &str) -> tantivy::Result<()> {
    let number = index.schema().get_field("number")?;
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 15_000_000)?;
    for n in 0..documents {
        let mut document = TantivyDocument::new();
        document.add_u64(number, n);
        writer.add_document(document)?;
    }
    let mut prepared = writer.prepare_commit()?;
    prepared.set_payload(payload);
    prepared.commit()?;
    writer.wait_merging_threads()
}

/// What an index holds: the payload of its last commit, and how many documents.
fn content(disk: &SimDisk) -> (Option<String>, usize) {
    let index = open(disk);
    let payload = index.load_metas().unwrap().payload;
    let searcher = index.reader().unwrap().searcher();
    // Every file of every segment is read, and its checksum holds.
    assert_eq!(index.validate_checksum().unwrap(), std::collections::HashSet::new());
    (payload, searcher.search(&AllQuery, &Count).unwrap())
}

/// An index with one commit of three documents.
fn committed(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    commit(&open(&disk), 3, "first").unwrap();
    disk
}

#[test]
fn whichever_disk_call_it_is_cut_off_in() {
    let whole = committed(0);
    let before = whole.changes();
    commit(&open(&whole), 4, "second").unwrap();
    let calls = whole.changes() - before;
    assert!(calls > 20, "a commit of {calls} calls");
    assert_eq!(content(&whole.restart()), (Some("second".to_owned()), 7), "a commit that returned is durable");

    let (mut first, mut second) = (0, 0);
    for call in 0..calls {
        for fate in 0..FATES {
            let disk = committed(call * FATES + fate);
            let index = open(&disk);
            disk.crash_at_change(call);
            let outcome = commit(&index, 4, "second");
            drop(index);
            let after = disk.restart();
            match content(&after) {
                (Some(payload), 3) if payload == "first" => {
                    assert!(outcome.is_err(), "call {call}: a commit that returned is gone");
                    first += 1;
                }
                (Some(payload), 7) if payload == "second" => second += 1,
                found => panic!("call {call}, fate {fate}: {found:?}"),
            }
            // It goes on, whatever the crash left behind.
            commit(&open(&after), 1, "third").unwrap();
            assert_eq!(content(&after.restart()).0.as_deref(), Some("third"));
        }
    }
    assert!(first > 10 && second > 0, "{first} crashes before the commit, {second} behind it");
}

#[test]
fn what_was_created_and_never_committed_is_an_empty_index() {
    let disk = SimDisk::new(5);
    open(&disk);
    assert_eq!(content(&disk.restart()), (None, 0));
    assert!(disk.restart().list(Path::new(INDEX)).unwrap().iter().any(|(name, _)| name == "meta.json"));
}
