//! The cold index: one tantivy document a run.
//!
//! Every filter has an indexed field and a fast column; a list page is shown from the stored bytes alone. The index is
//! sorted by `started_at` descending, so a newest-first walk of a segment's doc ids can stop early. Field names are the
//! names of the columns.

use std::ops::Bound;
use std::sync::Arc;

use agenttracer_model::Position;
use agenttracer_model::taxonomy::{ReasonCode, SignalCode, StepType};
use agenttracer_storage::StoredBatch;
use agenttracer_storage::record::DecodeError;
use tantivy::index::{IndexSettings, IndexSortByField, Order};
use tantivy::query::{Query, RangeQuery};
use tantivy::schema::document::{
    DeserializeError, Document, DocumentDeserialize, DocumentDeserializer, ReferenceValue, ReferenceValueLeaf, Value,
    ValueDeserialize, ValueDeserializer,
};
use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, SchemaBuilder, TextFieldIndexing, TextOptions,
};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::{DocAddress, DocSet, Searcher, TERMINATED, Term};
use uuid::Uuid;

use crate::metadata_keys::{KeyCounter, MetadataKeys};
use crate::names::Names;
use crate::walk::run_key;
use crate::{Fact, IndexError, RunSummary, stored, summarise};

/// The version of everything that is derived and kept in `index/`. Another one on disk means a rebuild.
pub(crate) const SCHEMA_VERSION: u32 = 6;

/// The status of a live run whose start has not come. No wire name of a status is this, so no filter finds it.
pub const UNSTARTED: &str = "unstarted";

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
    /// Text (the wire name, or [`UNSTARTED`]), raw, indexed and fast.
    pub status: Field,
    /// Text (the wire names), raw, indexed.
    pub failure_type: Field,
    /// Text, raw, indexed.
    pub failure_code: Field,
    /// Text, raw, indexed: the distinct names of the steps.
    pub step_name: Field,
    /// Text (the wire names), raw, indexed: the distinct types of the steps.
    pub step_type: Field,
    /// Text `type/code`, raw, indexed: why decisions were made.
    pub reason: Field,
    /// Text `type/code/true` or `../false`, raw, indexed and fast, one value a signal, repeats kept.
    pub signal: Field,
    /// Text, raw, indexed.
    pub session_id: Field,
    /// 16 bytes, indexed.
    pub parent_run_id: Field,
    /// Text `key NUL value`, raw, indexed and fast: the facts of the run and of its steps, each once; without those of
    /// keys that have too many values.
    pub fact: Field,
    /// Bool, indexed.
    pub has_retries: Field,
    /// u64, indexed and fast; absent when the run has no failure.
    pub failure_cluster: Field,
    /// Text `type/code`, fast, one value a failure, repeats kept: statistics count every failure.
    pub failure: Field,
    /// Text `type/name`, fast: the distinct steps.
    pub step: Field,
    /// u64, fast: of each value of `step`, the sum of the latencies.
    pub step_ms: Field,
    /// u64, fast: of each value of `step`, how many steps.
    pub step_times: Field,
    /// Text `type/code/selected`, fast, one value a decision, repeats kept.
    pub decision: Field,
    /// u64, fast: of each value of `decision`, in which tenth the confidence lies.
    pub confidence: Field,
    /// Text `:model`, fast: the models that were used, without a name where none was named.
    pub usage: Field,
    /// u64, fast: of each value of `usage`, how many steps.
    pub usage_steps: Field,
    /// u64, fast: of each value of `usage`.
    pub usage_input_tokens: Field,
    /// u64, fast: of each value of `usage`.
    pub usage_output_tokens: Field,
    /// u64, fast: of each value of `usage`, billionths of a dollar.
    pub usage_cost: Field,
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
    /// u64, fast: how many steps.
    pub step_count: Field,
    /// u64, fast: how many steps are a second or later attempt.
    pub retry_count: Field,
    /// u64, fast: the sum of the steps' latencies.
    pub step_latency_ms: Field,
    /// u64, fast: idle between steps.
    pub idle_ms: Field,
    /// u64, fast: how much steps overlap.
    pub overlap_ms: Field,
    /// u64, fast: the latencies of all attempts but the last.
    pub retry_waste_ms: Field,
    /// u64, fast: the length of the critical path.
    pub critical_path_ms: Field,
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
    let indexed = |schema: &mut SchemaBuilder, name: &str| {
        schema.add_text_field(name, TextOptions::default().set_indexing_options(exact.clone()))
    };
    let fast =
        |schema: &mut SchemaBuilder, name: &str| schema.add_text_field(name, TextOptions::default().set_fast("raw"));
    let number =
        |schema: &mut SchemaBuilder, name: &str| schema.add_u64_field(name, NumericOptions::default().set_fast());
    let mut schema = Schema::builder();
    let fields = Fields {
        run_id: schema.add_bytes_field("run_id", BytesOptions::default().set_indexed()),
        agent_id: keyword(&mut schema, "agent_id"),
        agent_version: keyword(&mut schema, "agent_version"),
        environment: keyword(&mut schema, "environment"),
        status: keyword(&mut schema, "status"),
        failure_type: indexed(&mut schema, "failure_type"),
        failure_code: indexed(&mut schema, "failure_code"),
        step_name: indexed(&mut schema, "step_name"),
        step_type: indexed(&mut schema, "step_type"),
        reason: indexed(&mut schema, "reason"),
        signal: keyword(&mut schema, "signal"),
        session_id: indexed(&mut schema, "session_id"),
        parent_run_id: schema.add_bytes_field("parent_run_id", BytesOptions::default().set_indexed()),
        fact: keyword(&mut schema, "fact"),
        has_retries: schema.add_bool_field("has_retries", NumericOptions::default().set_indexed()),
        failure_cluster: schema.add_u64_field("failure_cluster", NumericOptions::default().set_indexed().set_fast()),
        failure: fast(&mut schema, "failure"),
        step: fast(&mut schema, "step"),
        step_ms: number(&mut schema, "step_ms"),
        step_times: number(&mut schema, "step_times"),
        decision: fast(&mut schema, "decision"),
        confidence: number(&mut schema, "confidence"),
        usage: fast(&mut schema, "usage"),
        usage_steps: number(&mut schema, "usage_steps"),
        usage_input_tokens: number(&mut schema, "usage_input_tokens"),
        usage_output_tokens: number(&mut schema, "usage_output_tokens"),
        usage_cost: number(&mut schema, "usage_cost"),
        started_at: schema.add_i64_field("started_at", NumericOptions::default().set_fast()),
        duration_ms: number(&mut schema, "duration_ms"),
        position: number(&mut schema, "position"),
        run_key: number(&mut schema, "run_key"),
        steps_plan: number(&mut schema, "steps_plan"),
        steps_retrieve: number(&mut schema, "steps_retrieve"),
        steps_tool: number(&mut schema, "steps_tool"),
        steps_respond: number(&mut schema, "steps_respond"),
        steps_other: number(&mut schema, "steps_other"),
        step_count: number(&mut schema, "step_count"),
        retry_count: number(&mut schema, "retry_count"),
        step_latency_ms: number(&mut schema, "step_latency_ms"),
        idle_ms: number(&mut schema, "idle_ms"),
        overlap_ms: number(&mut schema, "overlap_ms"),
        retry_waste_ms: number(&mut schema, "retry_waste_ms"),
        critical_path_ms: number(&mut schema, "critical_path_ms"),
        summary: schema.add_bytes_field("summary", BytesOptions::default().set_stored()),
    };
    (schema.build(), fields)
}

/// How the index is laid out on disk.
pub fn settings() -> IndexSettings {
    IndexSettings {
        sort_by_field: Some(IndexSortByField { field: "started_at".into(), order: Order::Desc }),
        docstore_compression: Compressor::Zstd(ZstdCompressor::default()),
        // One more thread would only take turns with the others on a small machine.
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

/// The term of a run: for a query, and to delete its document.
pub fn run_term(fields: &Fields, run_id: Uuid) -> Term {
    Term::from_field_bytes(fields.run_id, run_id.as_bytes())
}

/// The runs whose first record stands below `position`.
pub(crate) fn begins_below(fields: &Fields, position: Position) -> Box<dyn Query> {
    let below = Term::from_field_u64(fields.position, position.get());
    Box::new(RangeQuery::new(Bound::Unbounded, Bound::Excluded(below)))
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
    texts: Texts,
    stored: Vec<u8>,
}

/// Values that stand nowhere in the summary as they go into the index.
struct Texts {
    failures: Vec<String>,
    steps: Vec<String>,
    /// With the tenth of the confidence and how many there are.
    decisions: Vec<(String, u64, u32)>,
    reasons: Vec<String>,
    /// With how many there are.
    signals: Vec<(String, u32)>,
    facts: Vec<String>,
    models: Vec<String>,
}

impl ColdRun {
    /// The document of a run; `keys` says which metadata goes into it.
    pub(crate) fn new(fields: Fields, run: Arc<RunSummary>, keys: &MetadataKeys) -> Self {
        let stored = stored::encode(&run);
        let texts = Texts::of(&run, keys);
        Self { fields, run, texts, stored }
    }
}

/// Makes the documents of batches outside of an index, for who measures tantivy alone.
pub struct Documents {
    fields: Fields,
    names: Names,
    keys: KeyCounter,
}

impl Documents {
    /// For an index that `searcher` reads, whose fields these are.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn new(fields: Fields, searcher: &Searcher) -> Result<Self, IndexError> {
        let keys = KeyCounter::new(MetadataKeys::default(), searcher, &fields)?;
        Ok(Self { fields, names: Names::new(), keys })
    }

    /// The documents of the runs that arrived whole among these batches, as one commit of the index has them.
    ///
    /// # Errors
    /// When a batch cannot be decoded.
    pub fn of_whole(&mut self, batches: &[StoredBatch]) -> Result<Vec<ColdRun>, DecodeError> {
        let mut runs = Vec::with_capacity(batches.len());
        for batch in batches {
            runs.extend(summarise::of_whole(batch, &mut self.names)?.map(Arc::new));
        }
        runs.iter().for_each(|run| self.keys.add(run));
        let keys = self.keys.keys();
        Ok(runs.into_iter().map(|run| ColdRun::new(self.fields, run, keys)).collect())
    }
}

impl Texts {
    fn of(run: &RunSummary, keys: &MetadataKeys) -> Self {
        let mut facts: Vec<_> = run
            .facts()
            .filter(|(key, _)| keys.is_indexed(key))
            .map(|(key, value)| Fact::text(key, &value))
            .filter(|fact| fact.len() <= MAX_TERM_BYTES)
            .collect();
        facts.sort_unstable();
        facts.dedup();
        let decisions: Vec<_> = run
            .decisions
            .iter()
            .map(|made| {
                let text = format!("{}/{}", reason_text(made.reason), made.selected);
                (text, made.confidence.index() as u64, made.count)
            })
            .collect();
        Self {
            failures: run.failures.iter().map(|f| format!("{}/{}", f.failure_type.as_str(), f.failure_code)).collect(),
            steps: run.steps.iter().map(|step| format!("{}/{}", step.step_type.as_str(), step.name)).collect(),
            decisions,
            reasons: {
                let mut reasons: Vec<_> = run.decisions.iter().map(|made| reason_text(made.reason)).collect();
                reasons.dedup();
                reasons
            },
            signals: run.signals.iter().map(|s| (signal_text(s.code, s.value), s.count)).collect(),
            facts,
            models: run.usage.iter().map(|used| format!(":{}", used.model)).collect(),
        }
    }
}

/// The longest term: one byte less than a page of tantivy's writer takes. No fact comes near it.
const MAX_TERM_BYTES: usize = 60_000;

/// How the index writes a reason.
pub(crate) fn reason_text(reason: ReasonCode) -> String {
    format!("{}/{}", reason.decision_type().as_str(), reason.as_str())
}

/// How the index writes a signal.
pub(crate) fn signal_text(code: SignalCode, value: bool) -> String {
    format!("{}/{}/{value}", code.signal_type().as_str(), code.as_str())
}

impl Document for ColdRun {
    type Value<'a> = Cell<'a>;
    type FieldsValuesIter<'a> = std::vec::IntoIter<(Field, Cell<'a>)>;

    // In the order of the fields, so that tantivy's sort by field finds nothing to do.
    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        let (fields, run, texts) = (&self.fields, &*self.run, &self.texts);
        let mut cells = Vec::with_capacity(48 + 4 * run.steps.len() + 3 * run.failures.len());
        let number = |field: Field, value: u64| (field, Cell::U64(value));
        cells.push((fields.run_id, Cell::Bytes(run.run_id.as_bytes())));
        cells.push((fields.agent_id, Cell::Str(&run.agent_id)));
        cells.push((fields.agent_version, Cell::Str(&run.agent_version)));
        cells.push((fields.environment, Cell::Str(&run.environment)));
        cells.push((fields.status, Cell::Str(if run.started { run.status.as_str() } else { UNSTARTED })));
        cells.extend(run.failures.iter().map(|f| (fields.failure_type, Cell::Str(f.failure_type.as_str()))));
        cells.extend(run.failures.iter().map(|f| (fields.failure_code, Cell::Str(&f.failure_code))));
        cells.extend(run.step_names().map(|name| (fields.step_name, Cell::Str(name))));
        let steps_by_type = run.steps_by_type();
        let types = StepType::ALL.iter().zip(steps_by_type).filter(|(_, count)| *count > 0);
        cells.extend(types.map(|(step_type, _)| (fields.step_type, Cell::Str(step_type.as_str()))));
        cells.extend(texts.reasons.iter().map(|text| (fields.reason, Cell::Str(text))));
        for (text, count) in &texts.signals {
            cells.extend(std::iter::repeat_n((fields.signal, Cell::Str(text)), *count as usize));
        }
        cells.extend(run.session_id.as_deref().map(|text| (fields.session_id, Cell::Str(text))));
        cells.extend(run.parent_run_id.as_ref().map(|id| (fields.parent_run_id, Cell::Bytes(id.as_bytes()))));
        cells.extend(texts.facts.iter().map(|text| (fields.fact, Cell::Str(text))));
        cells.push((fields.has_retries, Cell::Bool(run.retry_count > 0)));
        cells.extend(run.failure_cluster.map(|cluster| number(fields.failure_cluster, cluster)));
        cells.extend(texts.failures.iter().map(|text| (fields.failure, Cell::Str(text))));
        cells.extend(texts.steps.iter().map(|text| (fields.step, Cell::Str(text))));
        cells.extend(run.steps.iter().map(|step| number(fields.step_ms, step.latency_ms)));
        cells.extend(run.steps.iter().map(|step| number(fields.step_times, step.count.into())));
        for (text, _, count) in &texts.decisions {
            cells.extend(std::iter::repeat_n((fields.decision, Cell::Str(text)), *count as usize));
        }
        for (_, tenth, count) in &texts.decisions {
            cells.extend(std::iter::repeat_n(number(fields.confidence, *tenth), *count as usize));
        }
        cells.extend(texts.models.iter().map(|text| (fields.usage, Cell::Str(text))));
        cells.extend(run.usage.iter().map(|used| number(fields.usage_steps, used.steps.into())));
        cells.extend(run.usage.iter().map(|used| number(fields.usage_input_tokens, used.amounts.input_tokens)));
        cells.extend(run.usage.iter().map(|used| number(fields.usage_output_tokens, used.amounts.output_tokens)));
        cells.extend(run.usage.iter().map(|used| number(fields.usage_cost, used.amounts.cost_nano_usd)));
        cells.push((fields.started_at, Cell::I64(run.started_at.as_micros())));
        cells.extend(run.duration_ms.map(|ms| number(fields.duration_ms, ms)));
        cells.push(number(fields.position, run.position().get()));
        cells.push(number(fields.run_key, run_key(run.run_id)));
        for (field, count) in fields.steps_by_type().into_iter().zip(steps_by_type) {
            cells.push(number(field, u64::from(count)));
        }
        cells.push(number(fields.step_count, run.step_count().into()));
        cells.push(number(fields.retry_count, run.retry_count.into()));
        cells.push(number(fields.step_latency_ms, run.step_latency_ms()));
        cells.push(number(fields.idle_ms, run.timing.idle_ms));
        cells.push(number(fields.overlap_ms, run.timing.overlap_ms));
        cells.push(number(fields.retry_waste_ms, run.timing.retry_waste_ms));
        cells.push(number(fields.critical_path_ms, run.timing.critical_path_ms));
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
pub(crate) struct StoredBytes(pub(crate) Vec<u8>);

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
            writer.add_document(ColdRun::new(fields, Arc::clone(run), &MetadataKeys::default())).unwrap();
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
