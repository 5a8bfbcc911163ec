//! Which metadata keys can be filtered by.
//!
//! Each value of each key is a term of the index. A key whose values are all different (request ids, costs) would make the
//! index as large as the data and answer no question, so a key with more than [`MAX_VALUES`] different values is left
//! out from then on, for good, and a filter on it is refused. The values are counted in the order of the log, so that
//! an index that is made anew leaves out the same keys.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use agenttracer_model::Metadata;
use tantivy::Searcher;

use crate::cold::Fields;
use crate::{Fact, IndexError, RunSummary};

/// A key with more different values than these is left out.
pub const MAX_VALUES: usize = 10_000;
/// So many different keys; later ones are left out.
pub(crate) const MAX_KEYS: usize = 128;

/// The keys of a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MetadataKeys {
    /// Keys whose values are in the index.
    known: BTreeSet<String>,
    /// Keys with too many values.
    over: BTreeSet<String>,
    /// No further key is taken.
    full: bool,
}

impl MetadataKeys {
    /// Those that a checkpoint names; the others are known from the index itself.
    pub(crate) fn of_checkpoint(over: impl IntoIterator<Item = String>, full: bool) -> Self {
        Self { known: BTreeSet::new(), over: over.into_iter().collect(), full }
    }

    /// Whether filters can ask for the key: one that no run has is indexed, too.
    pub(crate) fn is_indexed(&self, key: &str) -> bool {
        can_be_indexed(key) && !self.over.contains(key) && (!self.full || self.known.contains(key))
    }

    /// The keys whose values are in the index, ascending.
    #[cfg(test)]
    pub(crate) fn known(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(String::as_str)
    }

    /// The keys with too many values, ascending.
    pub(crate) fn over(&self) -> impl Iterator<Item = &str> {
        self.over.iter().map(String::as_str)
    }

    /// Whether keys that are not known are left out.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }
}

/// A longer key is not indexed: it would stand in front of each of its values.
const MAX_KEY_BYTES: usize = 100;

fn can_be_indexed(key: &str) -> bool {
    key.len() <= MAX_KEY_BYTES && !key.contains(Fact::SEPARATOR)
}

/// Counts the values of each key.
pub(crate) struct KeyCounter {
    values: HashMap<String, HashSet<u64>>,
    keys: Arc<MetadataKeys>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl KeyCounter {
    /// Counts on from what an index holds and its checkpoint names.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) fn new(keys: MetadataKeys, searcher: &Searcher, fields: &Fields) -> Result<Self, IndexError> {
        let mut counter = Self { values: HashMap::new(), keys: Arc::new(keys), hasher: BuildHasherDefault::default() };
        let failed = |error: &dyn std::fmt::Display| IndexError::Document(error.to_string());
        for segment in searcher.segment_readers() {
            let inverted = segment.inverted_index(fields.fact).map_err(|error| failed(&error))?;
            let mut terms = inverted.terms().stream().map_err(|error| failed(&error))?;
            while terms.advance() {
                if let Ok(text) = std::str::from_utf8(terms.key())
                    && let Some((key, value)) = Fact::parts(text)
                {
                    counter.restore(key, value);
                }
            }
        }
        Ok(counter)
    }

    /// The keys of this moment.
    pub(crate) fn keys(&self) -> &Arc<MetadataKeys> {
        &self.keys
    }

    /// Counts the facts of a run.
    pub(crate) fn add(&mut self, run: &RunSummary) {
        if run.metadata == Metadata::default() && run.step_facts.is_empty() {
            return;
        }
        for (key, value) in run.facts() {
            self.count(key, &value);
        }
    }

    fn count(&mut self, key: &str, value: &str) {
        if !can_be_indexed(key) {
            return;
        }
        let hash = self.hasher.hash_one(value);
        match self.values.get_mut(key) {
            Some(values) => {
                if values.insert(hash) && values.len() > MAX_VALUES {
                    self.values.remove(key);
                    let keys = Arc::make_mut(&mut self.keys);
                    keys.known.remove(key);
                    keys.over.insert(key.to_owned());
                }
            }
            None if self.keys.over.contains(key) || self.keys.full => {}
            None if self.keys.known.len() + self.keys.over.len() == MAX_KEYS => {
                Arc::make_mut(&mut self.keys).full = true;
            }
            None => {
                self.values.insert(key.to_owned(), HashSet::from([hash]));
                Arc::make_mut(&mut self.keys).known.insert(key.to_owned());
            }
        }
    }

    /// Counts a value that the index holds already.
    fn restore(&mut self, key: &str, value: &str) {
        if self.keys.over.contains(key) {
            return;
        }
        let hash = self.hasher.hash_one(value);
        if !self.keys.known.contains(key) {
            Arc::make_mut(&mut self.keys).known.insert(key.to_owned());
        }
        match self.values.get_mut(key) {
            Some(values) => {
                values.insert(hash);
            }
            None => {
                self.values.insert(key.to_owned(), HashSet::from([hash]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agenttracer_model::Value;

    use super::*;
    use crate::cold;
    use crate::summary::tests::run;

    fn empty() -> KeyCounter {
        let (schema, fields) = cold::schema();
        let index = tantivy::Index::builder().schema(schema).settings(cold::settings()).create_in_ram().unwrap();
        KeyCounter::new(MetadataKeys::default(), &index.reader().unwrap().searcher(), &fields).unwrap()
    }

    fn add(counter: &mut KeyCounter, key: &str, value: Value) {
        let mut run = run(0);
        run.metadata = Metadata(vec![(key.to_owned(), value)]);
        counter.add(&run);
    }

    #[test]
    fn a_key_with_too_many_values_is_left_out_for_good() {
        let mut counter = empty();
        for n in 0..MAX_VALUES as u64 {
            add(&mut counter, "request", Value::Uint(n));
            add(&mut counter, "model", Value::String("m-1".into()));
        }
        assert!(counter.keys().is_indexed("request"), "{MAX_VALUES} are not too many");
        add(&mut counter, "request", Value::Float(17.0));
        assert!(counter.keys().is_indexed("request"), "17.0 is 17");
        add(&mut counter, "request", Value::Uint(MAX_VALUES as u64));
        add(&mut counter, "request", Value::Uint(1));
        let keys = Arc::clone(counter.keys());
        assert!(!keys.is_indexed("request") && keys.is_indexed("model") && keys.is_indexed("unheard_of"));
        assert_eq!((keys.known().collect(), keys.over().collect()), (vec!["model"], vec!["request"]));
    }

    #[test]
    fn so_many_keys_and_no_more() {
        let mut counter = empty();
        for n in 0..MAX_KEYS + 5 {
            add(&mut counter, &format!("key{n:03}"), Value::Bool(true));
        }
        let keys = counter.keys();
        assert!(keys.is_full() && keys.is_indexed("key000") && keys.is_indexed("key127"));
        assert!(!keys.is_indexed("key128") && !keys.is_indexed("unheard_of"));
        assert_eq!(keys.known().count(), MAX_KEYS);
    }
}
