//! What all aggregates share: going over the matching runs, hot and cold, and reading columns by the block.

use std::collections::HashMap;

use tantivy::DocId;
use tantivy::columnar::{Cardinality, Column, StrColumn};

use crate::columns::{Columns, Number, Text, unreadable};
use crate::matching::Plan;
use crate::{Amounts, Filter, IndexError, RunSummary, Snapshot};

/// How many documents are looked at together.
const BLOCK: usize = 1024;

/// Sums over runs: hot ones from their summaries, cold ones from columns. Both must give the same.
pub(crate) trait Aggregate {
    /// What is kept while one segment is gone over.
    type Segment<'a>;

    /// Adds one run.
    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError>;
    /// Begins a segment.
    fn open<'a>(&mut self, ord: u32, columns: &'a Columns) -> Result<Self::Segment<'a>, IndexError>;
    /// Adds documents of the segment, ascending.
    fn add_docs(&mut self, segment: &mut Self::Segment<'_>, docs: &[DocId]) -> Result<(), IndexError>;
    /// Ends a segment.
    fn close(&mut self, segment: Self::Segment<'_>) -> Result<(), IndexError>;
}

impl Snapshot {
    /// Adds all runs that match and have ended to `aggregate`; how many there were.
    pub(crate) fn gather(&self, filter: &Filter, aggregate: &mut impl Aggregate) -> Result<u64, IndexError> {
        let filter = &filter.ended();
        self.check(filter)?;
        if filter.is_hopeless() {
            return Ok(0);
        }
        Ok(self.gather_hot(filter, aggregate)? + self.gather_cold(filter, aggregate)?)
    }

    /// The hot ones of them; `filter` is of ended runs.
    pub(crate) fn gather_hot(&self, filter: &Filter, aggregate: &mut impl Aggregate) -> Result<u64, IndexError> {
        let mut runs = 0;
        for (run, index) in self.hot().zip(1_u64..) {
            if index % BLOCK as u64 == 0 {
                self.go_on()?;
            }
            if filter.matches(run) {
                aggregate.add(run)?;
                runs += 1;
            }
        }
        Ok(runs)
    }

    /// The cold ones of them.
    pub(crate) fn gather_cold(&self, filter: &Filter, aggregate: &mut impl Aggregate) -> Result<u64, IndexError> {
        self.gather_plan(&Plan::new(self, filter)?, aggregate)
    }

    /// Those of the cold index that this snapshot masks, as they stand there.
    pub(crate) fn gather_hidden(&self, filter: &Filter, aggregate: &mut impl Aggregate) -> Result<u64, IndexError> {
        self.gather_plan(&Plan::new(self, filter)?.of_masked(), aggregate)
    }

    fn gather_plan(&self, plan: &Plan<'_>, aggregate: &mut impl Aggregate) -> Result<u64, IndexError> {
        let mut runs = 0;
        let mut docs = Vec::new();
        for segment in plan.segments() {
            let Some(mut matching) = segment.matching()? else { continue };
            if !matching.next_block(BLOCK, &mut docs)? {
                continue;
            }
            let mut open = aggregate.open(segment.ord, segment.columns)?;
            loop {
                runs += docs.len() as u64;
                aggregate.add_docs(&mut open, &docs)?;
                if !matching.next_block(BLOCK, &mut docs)? {
                    break;
                }
            }
            self.go_on()?;
            aggregate.close(open)?;
        }
        Ok(runs)
    }
}

/// Buffers for the values of a block of documents.
#[derive(Default)]
pub(crate) struct Values {
    docs: Vec<DocId>,
    rows: Vec<u32>,
    values: Vec<u64>,
}

impl Values {
    /// The value of each document; 0 where there is none.
    pub(crate) fn one_each(&mut self, column: &Column<u64>, docs: &[DocId]) -> &[u64] {
        self.values.clear();
        self.values.resize(docs.len(), 0);
        if column.get_cardinality() == Cardinality::Full {
            column.values.get_vals(docs, &mut self.values);
        } else {
            for (value, doc) in self.values.iter_mut().zip(docs) {
                *value = column.first(*doc).unwrap_or(0);
            }
        }
        &self.values
    }

    /// All values of the documents, each with its document, in their order.
    pub(crate) fn all(&mut self, column: &Column<u64>, docs: &[DocId]) -> impl Iterator<Item = (DocId, u64)> {
        self.load(column, docs);
        self.last()
    }

    /// Reads all values of the documents; [`last`](Self::last) gives them.
    pub(crate) fn load(&mut self, column: &Column<u64>, docs: &[DocId]) {
        self.docs.clear();
        self.rows.clear();
        column.row_ids_for_docs(docs, &mut self.docs, &mut self.rows);
        self.values.clear();
        self.values.resize(self.rows.len(), 0);
        column.values.get_vals(&self.rows, &mut self.values);
    }

    /// The values that were read last.
    pub(crate) fn last(&self) -> impl Iterator<Item = (DocId, u64)> {
        self.docs.iter().copied().zip(self.values.iter().copied())
    }

    /// The values that were read last, those of each document that has any together.
    pub(crate) fn by_doc(&self) -> impl Iterator<Item = &[u64]> {
        let mut values = self.values.as_slice();
        self.docs.chunk_by(|a, b| a == b).map(move |docs| {
            let (of_doc, rest) = values.split_at(docs.len());
            values = rest;
            of_doc
        })
    }

    /// The values of the same rows, of another column whose values stand beside its.
    pub(crate) fn beside(&self, column: &Column<u64>, values: &mut Vec<u64>) {
        values.clear();
        values.resize(self.rows.len(), 0);
        column.values.get_vals(&self.rows, values);
    }
}

/// What the documents of a block used of models.
#[derive(Default)]
pub(crate) struct UsageValues {
    values: Values,
    steps: Vec<u64>,
    amounts: [Vec<u64>; 3],
}

impl UsageValues {
    /// Hands each document that used a model to `each`, with the number of the model in the segment, how many steps, and how
    /// much.
    pub(crate) fn each(
        &mut self,
        columns: &Columns,
        docs: &[DocId],
        mut each: impl FnMut(DocId, u32, u64, Amounts<u64>),
    ) -> Result<(), IndexError> {
        let models = columns.text(Text::Usage)?;
        if models.num_terms() == 0 {
            return Ok(());
        }
        let Self { values, steps, amounts: [inputs, outputs, costs] } = self;
        values.load(models.ords(), docs);
        values.beside(columns.number(Number::UsageSteps)?, steps);
        values.beside(columns.number(Number::UsageInputTokens)?, inputs);
        values.beside(columns.number(Number::UsageOutputTokens)?, outputs);
        values.beside(columns.number(Number::UsageCost)?, costs);
        for (at, (doc, model)) in values.last().enumerate() {
            let amounts = Amounts { input_tokens: inputs[at], output_tokens: outputs[at], cost_nano_usd: costs[at] };
            each(doc, model as u32, steps[at], amounts);
        }
        Ok(())
    }
}

/// The model in a value of the column.
pub(crate) fn model_of(text: &str) -> &str {
    text.strip_prefix(':').unwrap_or(text)
}

/// Hands each value of a dictionary to `each`, with its number, until it fails.
pub(crate) fn dictionary(
    column: &StrColumn,
    mut each: impl FnMut(u64, &str) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let mut terms = column.dictionary().stream().map_err(|error| unreadable(error.into()))?;
    while terms.advance() {
        let text = std::str::from_utf8(terms.key());
        let text = text.map_err(|_| IndexError::Document("a name that is no text".to_owned()))?;
        each(terms.term_ord(), text)?;
    }
    Ok(())
}

/// Numbers texts in the order in which they come, so that runs of all segments can be counted in one list.
#[derive(Default)]
pub(crate) struct Numbered {
    numbers: HashMap<String, u32>,
}

impl Numbered {
    /// The number of a text.
    ///
    /// # Errors
    /// `TooMany` when there are more than `most` of them.
    pub(crate) fn of(&mut self, text: &str, most: usize, what: &'static str) -> Result<u32, IndexError> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        if self.numbers.len() == most {
            return Err(IndexError::TooMany { what });
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(text.to_owned(), number);
        Ok(number)
    }

    /// The texts by their numbers.
    pub(crate) fn into_texts(self) -> Vec<String> {
        let mut texts = vec![String::new(); self.numbers.len()];
        for (text, number) in self.numbers {
            texts[number as usize] = text;
        }
        texts
    }
}
