//! Everything in a committed index that can tell of a run, deleted documents included: what a proof of erasure looks at.
//!
//! Nothing in memory stands in for what is on disk, and nothing is changed. Each kind of file that can hold a run's values
//! has its function here, called by [`traces`]; the notes of erasures hold positions only.

use std::path::Path;
use std::sync::Arc;

use agenttracer_model::Position;
use agenttracer_storage::disk::Disk;
use tantivy::columnar::{ColumnarReader, DynamicColumn};
use tantivy::index::SegmentComponent;
use tantivy::{Segment, SegmentReader, TantivyError};
use uuid::Uuid;

use crate::cold::StoredBytes;
use crate::rollup::files;
use crate::store::Store;
use crate::{IndexError, stored};

/// Something that the index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace<'a> {
    /// A run id that is a term.
    Term(Uuid),
    /// The id of the run of a stored document, and its bytes, decompressed.
    Document(Uuid, &'a [u8]),
    /// The position of a document's run.
    Position(Position),
    /// A value of a dictionary; the number of documents that have it may be 0, which is a value that stayed behind.
    Value {
        /// Whether it is one of terms or of a column, and of which field.
        dictionary: &'a str,
        /// The value.
        value: &'a [u8],
        /// How many documents have it, deleted ones included.
        documents: u64,
    },
}

/// Who is shown traces, with the segment they are in.
type See<'a> = dyn FnMut(&str, Trace<'_>) + 'a;

/// Shows everything in the index in `dir` to `see`. Returns whether there is an index.
///
/// # Errors
/// When the disk fails, or the index cannot be read: it can be deleted to have it rebuilt.
pub fn traces(disk: Arc<dyn Disk>, dir: &Path, see: &mut See<'_>) -> Result<bool, IndexError> {
    let store = Store::new(Arc::clone(&disk), dir);
    let Some(index) = store.any_index()? else { return Ok(false) };
    let mut walk = || -> tantivy::Result<()> {
        for segment in index.searchable_segments()? {
            let name = segment.id().short_uuid_string();
            let reader = SegmentReader::open(&segment)?;
            let see: &mut dyn FnMut(Trace<'_>) = &mut |trace| see(&name, trace);
            terms(&segment, &reader, see)?;
            columns(&segment, see)?;
            documents(&reader, see)?;
        }
        Ok(())
    };
    walk().map_err(|error| store.error(&error))?;
    rollups(&*disk, dir, see).map_err(|error| store.error(&error))?;
    Ok(true)
}

/// The names and codes that rollups count; a cell without runs still has its name.
fn rollups(disk: &dyn Disk, dir: &Path, see: &mut See<'_>) -> std::io::Result<()> {
    for (name, _) in disk.list(dir)?.iter().filter(|(name, _)| files::is_name(name)) {
        files::texts(disk, &dir.join(name), &mut |text, cells| {
            see(name, Trace::Value { dictionary: "texts of rollups", value: text.as_bytes(), documents: cells });
        })?;
    }
    Ok(())
}

fn terms(segment: &Segment, reader: &SegmentReader, see: &mut dyn FnMut(Trace<'_>)) -> tantivy::Result<()> {
    for (field, entry) in segment.schema().fields() {
        if !entry.is_indexed() {
            continue;
        }
        let inverted = reader.inverted_index(field)?;
        let dictionary = format!("terms of {}", entry.name());
        let is_run_id = entry.name() == "run_id";
        let mut stream = inverted.terms().stream()?;
        while stream.advance() {
            if is_run_id && let Ok(run_id) = Uuid::from_slice(stream.key()) {
                see(Trace::Term(run_id));
            }
            let documents = u64::from(stream.value().doc_freq);
            see(Trace::Value { dictionary: &dictionary, value: stream.key(), documents });
        }
    }
    Ok(())
}

fn columns(segment: &Segment, see: &mut dyn FnMut(Trace<'_>)) -> tantivy::Result<()> {
    let columns = ColumnarReader::open(segment.open_read(SegmentComponent::FastFields)?)?;
    let docs = columns.num_docs();
    for (name, handle) in columns.list_columns()? {
        let bytes = match handle.open()? {
            DynamicColumn::Str(texts) => tantivy::columnar::BytesColumn::from(texts),
            DynamicColumn::Bytes(bytes) => bytes,
            DynamicColumn::U64(numbers) if name == "position" => {
                for doc in 0..docs {
                    numbers.values_for_doc(doc).for_each(|value| see(Trace::Position(Position::new(value))));
                }
                continue;
            }
            _ => continue,
        };
        let mut counts = vec![0_u64; bytes.num_terms()];
        for doc in 0..docs {
            for ord in bytes.term_ords(doc) {
                if let Some(count) = usize::try_from(ord).ok().and_then(|ord| counts.get_mut(ord)) {
                    *count += 1;
                }
            }
        }
        let dictionary = format!("column {name}");
        let mut stream = bytes.dictionary().stream()?;
        for documents in counts {
            let value = if stream.advance() { stream.key() } else { &[] };
            see(Trace::Value { dictionary: &dictionary, value, documents });
        }
    }
    Ok(())
}

fn documents(reader: &SegmentReader, see: &mut dyn FnMut(Trace<'_>)) -> tantivy::Result<()> {
    let documents = reader.get_store_reader(1)?;
    for doc in 0..reader.max_doc() {
        // Deleted ones too: their bytes are there until a merge.
        let bytes = documents.get_document_bytes(doc)?;
        let StoredBytes(summary) = documents.get(doc)?;
        let summary = stored::decode(&summary).map_err(|error| TantivyError::InternalError(error.to_string()))?;
        see(Trace::Document(summary.run_id, &bytes));
    }
    Ok(())
}
