//! Clusters of failures: runs of one agent that came to fail in the same way, by the signature of that way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use agenttracer_model::Timestamp;
use agenttracer_model::taxonomy::RunStatus;
use tantivy::columnar::{Column, StrColumn};
use tantivy::{DocAddress, DocId};
use uuid::Uuid;

use crate::columns::{Columns, Number, Text};
use crate::gather::{Aggregate, Values, dictionary};
use crate::timeline::statuses;
use crate::walk::run_key;
use crate::{Filter, IndexError, RunSummary, Snapshot};

/// The most clusters that are counted, about 32 MB of them.
const MAX_CLUSTERS: usize = 1_000_000;
/// The most versions of all clusters together that are told.
const MAX_VERSIONS: usize = 200_000;
/// How many runs of a cluster are named.
const EXAMPLES: usize = 5;

/// Runs that came to fail in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The signature.
    pub id: u64,
    /// How many runs.
    pub runs: u64,
    /// How many of them have status failure; the others recovered.
    pub failed: u64,
    /// When the first and the last of them began.
    pub seen: (Timestamp, Timestamp),
    /// How many runs of each version.
    pub versions: BTreeMap<String, u64>,
    /// The newest of them.
    pub examples: Vec<Uuid>,
}

/// The clusters of the runs that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// How many runs match, with a failure or without.
    pub runs: u64,
    /// How many of them have a failure.
    pub with_failure: u64,
    /// How many clusters there are.
    pub count: u64,
    /// The largest of them: by the number of runs, then by signature.
    pub largest: Vec<Cluster>,
}

impl Snapshot {
    /// The `most` largest clusters of the runs that match.
    ///
    /// Goes over them twice, to count all clusters and then to learn more of the largest: about 20 ns a matching run, and 60 ns
    /// one with a failure.
    ///
    /// # Errors
    /// `TooMany` when there are more than 1,000,000 clusters.
    pub fn clusters(&self, filter: &Filter, most: usize) -> Result<Clusters, IndexError> {
        let mut counts = Counts::default();
        let runs = self.gather(filter, &mut counts)?;
        let with_failure = counts.0.values().sum();
        let count = counts.0.len() as u64;
        let mut largest: Vec<_> = counts.0.into_iter().map(|(id, runs)| (Reverse(runs), id)).collect();
        if largest.len() > most {
            largest.select_nth_unstable(most);
            largest.truncate(most);
        }
        largest.sort_unstable();
        let mut gathered = Gathered { clusters: largest.iter().map(|(_, id)| (*id, None)).collect(), versions: 0 };
        self.gather(filter, &mut gathered)?;
        let largest = largest.into_iter().filter_map(|(_, id)| Some((id, gathered.clusters.remove(&id)??)));
        let largest = largest.map(|(id, sums)| {
            let mut examples =
                sums.examples.into_iter().map(|example| example.run_id(self)).collect::<Result<Vec<_>, _>>()?;
            examples.sort_unstable();
            examples.truncate(EXAMPLES);
            let examples = examples.into_iter().map(|(_, run_id)| run_id).collect();
            Ok(Cluster { id, runs: sums.runs, failed: sums.failed, seen: sums.seen, versions: sums.versions, examples })
        });
        Ok(Clusters { runs, with_failure, count, largest: largest.collect::<Result<_, IndexError>>()? })
    }
}

/// How many runs each cluster has.
#[derive(Default)]
struct Counts(HashMap<u64, u64>);

impl Counts {
    fn count(&mut self, id: u64) -> Result<(), IndexError> {
        if self.0.len() == MAX_CLUSTERS && !self.0.contains_key(&id) {
            return Err(IndexError::TooMany { what: "clusters of failures" });
        }
        *self.0.entry(id).or_default() += 1;
        Ok(())
    }
}

impl Aggregate for Counts {
    type Segment<'a> = (&'a Column<u64>, Values);

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        run.failure_cluster.map_or(Ok(()), |id| self.count(id))
    }

    fn open<'a>(&mut self, _: u32, columns: &'a Columns) -> Result<Self::Segment<'a>, IndexError> {
        Ok((columns.number(Number::FailureCluster)?, Values::default()))
    }

    fn add_docs(&mut self, (cluster, buffers): &mut Self::Segment<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        buffers.all(cluster, docs).try_for_each(|(_, id)| self.count(id))
    }

    fn close(&mut self, _: Self::Segment<'_>) -> Result<(), IndexError> {
        Ok(())
    }
}

struct Gathered {
    /// The clusters that are asked for, with what is known of them.
    clusters: HashMap<u64, Option<ClusterSums>>,
    /// Of all clusters.
    versions: usize,
}

struct ClusterSums {
    runs: u64,
    failed: u64,
    seen: (Timestamp, Timestamp),
    versions: BTreeMap<String, u64>,
    examples: Vec<Example>,
}

/// A run by which a cluster may be shown: the newest first, then by run id.
struct Example {
    key: (Reverse<Timestamp>, u64),
    place: Place,
}

#[derive(Clone)]
enum Place {
    Hot(Uuid),
    Cold(DocAddress),
}

impl Example {
    fn run_id(&self, snapshot: &Snapshot) -> Result<(Reverse<Timestamp>, Uuid), IndexError> {
        let run_id = match &self.place {
            Place::Hot(run_id) => *run_id,
            Place::Cold(address) => snapshot.summary(*address)?.run_id,
        };
        Ok((self.key.0, run_id))
    }
}

/// Keeps the examples with the least keys, and all that are equal to the last of them in it.
fn keep_example(examples: &mut Vec<Example>, example: Example) {
    let at = examples.partition_point(|have| have.key <= example.key);
    if at >= EXAMPLES && examples[EXAMPLES - 1].key != example.key {
        return;
    }
    examples.insert(at, example);
    let last = examples.get(EXAMPLES - 1).map(|example| example.key);
    if let Some(last) = last {
        examples.retain(|example| example.key <= last);
    }
}

impl Gathered {
    /// `None` for a cluster that nobody asks for.
    fn cluster(&mut self, id: u64, time: Timestamp) -> Option<&mut ClusterSums> {
        let cluster = self.clusters.get_mut(&id)?;
        Some(cluster.get_or_insert_with(|| ClusterSums {
            runs: 0,
            failed: 0,
            seen: (time, time),
            versions: BTreeMap::new(),
            examples: Vec::new(),
        }))
    }

    fn add_version(&mut self, id: u64, version: &str, runs: u64) -> Result<(), IndexError> {
        let Some(Some(cluster)) = self.clusters.get_mut(&id) else { return Ok(()) };
        match cluster.versions.get_mut(version) {
            Some(count) => *count += runs,
            None => {
                if self.versions == MAX_VERSIONS {
                    return Err(IndexError::TooMany { what: "versions in clusters of failures" });
                }
                self.versions += 1;
                cluster.versions.insert(version.to_owned(), runs);
            }
        }
        Ok(())
    }
}

impl ClusterSums {
    fn add(&mut self, time: Timestamp, failed: bool, example: Example) {
        self.runs += 1;
        self.failed += u64::from(failed);
        self.seen = (self.seen.0.min(time), self.seen.1.max(time));
        keep_example(&mut self.examples, example);
    }
}

struct SegmentClusters<'a> {
    ord: u32,
    columns: &'a Columns,
    cluster: &'a Column<u64>,
    version: &'a StrColumn,
    failure: Option<u64>,
    /// Runs by cluster and the number of the version.
    versions: HashMap<(u64, u64), u64>,
    buffers: Values,
}

impl Aggregate for Gathered {
    type Segment<'a> = SegmentClusters<'a>;

    fn add(&mut self, run: &RunSummary) -> Result<(), IndexError> {
        let Some(id) = run.failure_cluster else { return Ok(()) };
        let example = Example { key: (Reverse(run.started_at), run_key(run.run_id)), place: Place::Hot(run.run_id) };
        let Some(cluster) = self.cluster(id, run.started_at) else { return Ok(()) };
        cluster.add(run.started_at, run.status == RunStatus::Failure, example);
        self.add_version(id, &Arc::clone(&run.agent_version), 1)
    }

    fn open<'a>(&mut self, ord: u32, columns: &'a Columns) -> Result<SegmentClusters<'a>, IndexError> {
        let failure = statuses(columns)?.iter().position(|status| *status == RunStatus::Failure);
        Ok(SegmentClusters {
            ord,
            columns,
            cluster: columns.number(Number::FailureCluster)?,
            version: columns.text(Text::AgentVersion)?,
            failure: failure.map(|ord| ord as u64),
            versions: HashMap::new(),
            buffers: Values::default(),
        })
    }

    fn add_docs(&mut self, segment: &mut SegmentClusters<'_>, docs: &[DocId]) -> Result<(), IndexError> {
        let SegmentClusters { ord, columns, cluster, version, failure, versions, buffers } = segment;
        let keys = columns.number(Number::RunKey)?;
        let status = columns.text(Text::Status)?.ords();
        for (doc, id) in buffers.all(cluster, docs) {
            let time = Timestamp::from_micros(columns.started_at().get_val(doc));
            let Some(sums) = self.cluster(id, time) else { continue };
            let key = (Reverse(time), keys.values.get_val(doc));
            let failed = failure.is_some() && status.first(doc) == *failure;
            let example = Example { key, place: Place::Cold(DocAddress::new(*ord, doc)) };
            sums.add(time, failed, example);
            *versions.entry((id, version.ords().first(doc).unwrap_or(0))).or_default() += 1;
        }
        Ok(())
    }

    fn close(&mut self, segment: SegmentClusters<'_>) -> Result<(), IndexError> {
        let mut names = Vec::with_capacity(segment.version.num_terms());
        dictionary(segment.version, |_, text| {
            names.push(text.to_owned());
            Ok(())
        })?;
        for ((id, ord), runs) in segment.versions {
            self.add_version(id, &names[ord as usize], runs)?;
        }
        Ok(())
    }
}
