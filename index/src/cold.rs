//! The cold index: one tantivy document a run.
//!
//! Every filter has an indexed field and a fast column; a list page is shown from the stored bytes alone. The index is
//! sorted by `started_at` descending, so a newest-first walk of a segment's doc ids can stop early. Field names are the
//! names of the columns.

use std::sync::Arc;

use agenttracer_storage::StoredBatch;
use agenttracer_storage::record::DecodeError;
use tantivy::index::{IndexSettings, IndexSortByField, Order};
use tantivy::schema::document::{
    DeserializeError, Document, DocumentDeserialize, DocumentDeserializer, ReferenceValue, ReferenceValueLeaf, Value,
    ValueDeserialize, ValueDeserializer,
};
use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, SchemaBuilder, TextFieldIndexing, TextOptions,
};
use tantivy::store::Compressor;
use tantivy::{DocAddress, DocSet, Searcher, TERMINATED, Term};
use uuid::Uuid;

use crate::names::Names;
use crate::walk::run_key;
use crate::{IndexError, RunSummary, stored, summarise};

/// The version of everything that is derived and kept in `index/`. Another one on disk means a rebuild.
pub(crate) const SCHEMA_VERSION: u32 = 2;

/// The fields of a run's document. The name of each in the schema is the name of the field here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// 16 bytes, indexed: the exact term of a run.
    pub run_id: Field,
    /// Text, raw, indexed and fast.
    pub agent_id: Field,
    /// Text, raw, indexed and fast.
    pub agent_version: Field,
    /// Text, raw, indexed and fast.
    pub environment: Field,
    /// Text (the wire name), raw, indexed and fast.
    pub status: Field,
    /// Text (the wire names), raw, indexed and fast, one value a failure.
    pub failure_type: Field,
    /// Text, raw, indexed and fast, one value a failure.
    pub failure_code: Field,
    /// Text, raw, indexed and fast, the distinct names of the steps.
    pub step_name: Field,
    /// Text `type/code`, fast only, one value a failure, repeats kept: statistics count every failure.
    pub failure: Field,
    /// Bool, indexed and fast.
    pub has_retries: Field,
    /// i64, fast: microseconds since the epoch. The index is sorted by it, descending.
    pub started_at: Field,
    /// u64, fast; absent when the run has no `ended_at`.
    pub duration_ms: Field,
    /// u64, fast: the position of the run's first record.
    pub position: Field,
    /// u64, fast: the first half of the run id, by which runs of one instant are put in order.
    pub run_key: Field,
    /// u64, fast: how many steps of type plan.
    pub steps_plan: Field,
    /// u64, fast: how many steps of type retrieve.
    pub steps_retrieve: Field,
    /// u64, fast: how many steps of type tool.
    pub steps_tool: Field,
    /// u64, fast: how many steps of type respond.
    pub steps_respond: Field,
    /// u64, fast: how many steps of type other.
    pub steps_other: Field,
    /// u64, fast: the sum of the steps' latencies.
    pub step_latency_ms: Field,
    /// Stored only: the encoded [`RunSummary`].
    pub summary: Field,
}

impl Fields {
    /// The fields of step counts, in the order of `StepType::ALL`.
    pub fn steps_by_type(&self) -> [Field; 5] {
        [self.steps_plan, self.steps_retrieve, self.steps_tool, self.steps_respond, self.steps_other]
    }
}

/// The schema of the cold index, and its fields.
pub fn schema() -> (Schema, Fields) {
    // No norms, frequencies or positions: nothing is ranked by text.
    let exact = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false);
    let keyword = |schema: &mut SchemaBuilder, name: &str| {
        schema.add_text_field(name, TextOptions::default().set_indexing_options(exact.clone()).set_fast("raw"))
    };
    let number =
        |schema: &mut SchemaBuilder, name: &str| schema.add_u64_field(name, NumericOptions::default().set_fast());
    let mut schema = Schema::builder();
    let fields = Fields {
        run_id: schema.add_bytes_field("run_id", BytesOptions::default().set_indexed()),
        agent_id: keyword(&mut schema, "agent_id"),
        agent_version: keyword(&mut schema, "agent_version"),
        environment: keyword(&mut schema, "environment"),
        status: keyword(&mut schema, "status"),
        failure_type: keyword(&mut schema, "failure_type"),
        failure_code: keyword(&mut schema, "failure_code"),
        step_name: keyword(&mut schema, "step_name"),
        failure: schema.add_text_field("failure", TextOptions::default().set_fast("raw")),
        has_retries: schema.add_bool_field("has_retries", NumericOptions::default().set_indexed().set_fast()),
        started_at: schema.add_i64_field("started_at", NumericOptions::default().set_fast()),
        duration_ms: number(&mut schema, "duration_ms"),
        position: number(&mut schema, "position"),
        run_key: number(&mut schema, "run_key"),
        steps_plan: number(&mut schema, "steps_plan"),
        steps_retrieve: number(&mut schema, "steps_retrieve"),
        steps_tool: number(&mut schema, "steps_tool"),
        steps_respond: number(&mut schema, "steps_respond"),
        steps_other: number(&mut schema, "steps_other"),
        step_latency_ms: number(&mut schema, "step_latency_ms"),
        summary: schema.add_bytes_field("summary", BytesOptions::default().set_stored()),
    };
    (schema.build(), fields)
}

/// How the index is laid out on disk.
pub fn settings() -> IndexSettings {
    IndexSettings {
        sort_by_field: Some(IndexSortByField { field: "started_at".into(), order: Order::Desc }),
        docstore_compression: Compressor::Lz4,
        // One more thread would only take turns with the others on a small machine.
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

/// The term of a run: for a query, and to delete its document.
pub fn run_term(fields: &Fields, run_id: Uuid) -> Term {
    Term::from_field_bytes(fields.run_id, run_id.as_bytes())
}

/// Where the living document of a run is.
pub(crate) fn address(searcher: &Searcher, fields: &Fields, run_id: Uuid) -> tantivy::Result<Option<DocAddress>> {
    let term = run_term(fields, run_id);
    for (ord, segment) in searcher.segment_readers().iter().enumerate() {
        let Some(mut postings) =
            segment.inverted_index(fields.run_id)?.read_postings(&term, IndexRecordOption::Basic)?
        else {
            continue;
        };
        let mut doc = postings.doc();
        while doc != TERMINATED {
            if !segment.is_deleted(doc) {
                return Ok(Some(DocAddress::new(ord as u32, doc)));
            }
            doc = postings.advance();
        }
    }
    Ok(None)
}

/// The stored summary of a document.
pub(crate) fn summary(searcher: &Searcher, address: DocAddress) -> Result<RunSummary, IndexError> {
    let StoredBytes(bytes) = searcher.doc(address).map_err(|error| IndexError::Document(error.to_string()))?;
    stored::decode(&bytes)
}

/// A run on its way into the index. tantivy reads its values in place.
pub struct ColdRun {
    fields: Fields,
    run: Arc<RunSummary>,
    failures: Vec<String>,
    stored: Vec<u8>,
}

impl ColdRun {
    pub(crate) fn new(fields: Fields, run: Arc<RunSummary>) -> Self {
        let failures = run
            .failures
            .iter()
            .map(|failure| format!("{}/{}", failure.failure_type.as_str(), failure.failure_code))
            .collect();
        let stored = stored::encode(&run);
        Self { fields, run, failures, stored }
    }
}

/// Makes documents of batches, for who measures tantivy alone.
pub struct Documents {
    fields: Fields,
    names: Names,
}

impl Documents {
    /// Documents with these fields.
    pub fn new(fields: Fields) -> Self {
        Self { fields, names: Names::new() }
    }

    /// The document of a run that arrived whole; `None` when this is no such batch.
    ///
    /// # Errors
    /// When the batch cannot be decoded.
    pub fn of_whole(&mut self, batch: &StoredBatch) -> Result<Option<ColdRun>, DecodeError> {
        let run = summarise::of_whole(batch, &mut self.names)?;
        Ok(run.map(|run| ColdRun::new(self.fields, Arc::new(run))))
    }
}

impl Document for ColdRun {
    type Value<'a> = Cell<'a>;
    type FieldsValuesIter<'a> = std::vec::IntoIter<(Field, Cell<'a>)>;

    // In the order of the fields, so that tantivy's sort by field finds nothing to do.
    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        let (fields, run) = (&self.fields, &*self.run);
        let mut cells = Vec::with_capacity(16 + run.step_names.len() + 3 * run.failures.len());
        cells.push((fields.run_id, Cell::Bytes(run.run_id.as_bytes())));
        cells.push((fields.agent_id, Cell::Str(&run.agent_id)));
        cells.push((fields.agent_version, Cell::Str(&run.agent_version)));
        cells.push((fields.environment, Cell::Str(&run.environment)));
        cells.push((fields.status, Cell::Str(run.status.as_str())));
        cells.extend(run.failures.iter().map(|f| (fields.failure_type, Cell::Str(f.failure_type.as_str()))));
        cells.extend(run.failures.iter().map(|f| (fields.failure_code, Cell::Str(&f.failure_code))));
        cells.extend(run.step_names.iter().map(|name| (fields.step_name, Cell::Str(name))));
        cells.extend(self.failures.iter().map(|text| (fields.failure, Cell::Str(text))));
        cells.push((fields.has_retries, Cell::Bool(run.retry_count > 0)));
        cells.push((fields.started_at, Cell::I64(run.started_at.as_micros())));
        cells.extend(run.duration_ms.map(|ms| (fields.duration_ms, Cell::U64(ms))));
        cells.push((fields.position, Cell::U64(run.position().get())));
        cells.push((fields.run_key, Cell::U64(run_key(run.run_id))));
        for (field, count) in fields.steps_by_type().into_iter().zip(run.steps_by_type) {
            cells.push((field, Cell::U64(u64::from(count))));
        }
        cells.push((fields.step_latency_ms, Cell::U64(run.step_latency_ms)));
        cells.push((fields.summary, Cell::Bytes(&self.stored)));
        cells.into_iter()
    }
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// Text.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A number that is not negative.
    U64(u64),
    /// A number.
    I64(i64),
    /// A truth value.
    Bool(bool),
}

impl<'a> Value<'a> for Cell<'a> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = std::iter::Empty<(&'a str, Self)>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        ReferenceValue::Leaf(match *self {
            Self::Str(value) => ReferenceValueLeaf::Str(value),
            Self::Bytes(value) => ReferenceValueLeaf::Bytes(value),
            Self::U64(value) => ReferenceValueLeaf::U64(value),
            Self::I64(value) => ReferenceValueLeaf::I64(value),
            Self::Bool(value) => ReferenceValueLeaf::Bool(value),
        })
    }
}

/// The one stored value of a document.
struct StoredBytes(Vec<u8>);

impl DocumentDeserialize for StoredBytes {
    fn deserialize<'de, D: DocumentDeserializer<'de>>(mut document: D) -> Result<Self, DeserializeError> {
        let mut bytes = Vec::new();
        while let Some((_, RawBytes(value))) = document.next_field()? {
            bytes = value;
        }
        Ok(Self(bytes))
    }
}

struct RawBytes(Vec<u8>);

impl ValueDeserialize for RawBytes {
    fn deserialize<'de, D: ValueDeserializer<'de>>(value: D) -> Result<Self, DeserializeError> {
        value.deserialize_bytes().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use agenttracer_model::taxonomy::FailureType;
    use tantivy::Index;

    use super::*;
    use crate::FailureSummary;
    use crate::summary::tests::run;

    #[test]
    fn a_document_gives_back_its_summary_and_counts_every_failure() {
        let (schema, fields) = schema();
        let index = Index::builder().schema(schema).settings(settings()).create_in_ram().unwrap();
        let mut writer = index.writer_with_num_threads::<ColdRun>(1, 15_000_000).unwrap();
        let timeout = FailureSummary { failure_type: FailureType::Tool, failure_code: "timeout".into() };
        let runs: Vec<_> = (0..3)
            .map(|n| {
                let mut run = run(n);
                run.failures = vec![timeout.clone(); n as usize];
                Arc::new(run)
            })
            .collect();
        for run in &runs {
            writer.add_document(ColdRun::new(fields, Arc::clone(run))).unwrap();
        }
        writer.commit().unwrap();
        let searcher = index.reader().unwrap().searcher();
        for run in &runs {
            let address = address(&searcher, &fields, run.run_id).unwrap().unwrap();
            assert_eq!(summary(&searcher, address).unwrap(), **run);
            let segment = searcher.segment_reader(address.segment_ord);
            let failures = segment.fast_fields().str("failure").unwrap().unwrap();
            assert_eq!(failures.term_ords(address.doc_id).count(), run.failures.len());
        }
        assert_eq!(address(&searcher, &fields, Uuid::from_u128(99)).unwrap(), None);
        let started = searcher.segment_reader(0).fast_fields().i64("started_at").unwrap();
        let times: Vec<_> = (0..3).map(|doc| started.first(doc).unwrap()).collect();
        assert!(times.is_sorted_by(|a, b| a > b), "{times:?} is not newest first");
    }
}
