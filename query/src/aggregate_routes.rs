//! The routes of aggregates. Each goes over everything that its filter names.

use std::cmp::Reverse;

use agenttracer_index::{Facet, Filter, GroupBy, Snapshot, TimeBucket};
use agenttracer_model::Timestamp;

use crate::compare::Comparison;
use crate::error::Refusal;
use crate::interval::Interval;
use crate::params::{self, Facets, Timeline};
use crate::routes::{Answer, Asked};
use crate::state::Shared;
use crate::wire::{
    AgentView, AgentsView, ClusterView, CompareView, DecisionsView, FacetView, FacetsView, FailuresView,
    HistogramBucket, LatencyView, SeriesBucket, SeriesNumbers, SignalsBucket, SignalsView, TimelineView, VersionView,
    VersionsView,
};

/// How many buckets a timeline has when nothing is said.
const BUCKETS: usize = 60;

/// `GET /v1/facets`
pub(crate) fn facets(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let Facets { filter, fields, limit } = params::facets(&asked.query())?;
    let facets: Vec<Facet> = fields.iter().map(|(_, facet)| facet.clone()).collect();
    let (total_runs, counts) = asked.snapshot(shared).facets(&filter, &facets)?;
    let views = fields.into_iter().zip(counts).map(|((field, _), counts)| FacetView::new(field, counts, limit));
    Answer::json(&FacetsView { total_runs, facets: views.collect() })
}

/// `GET /v1/runs/histogram`
pub(crate) fn histogram(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    timeline(shared, asked, false, HistogramBucket::new)
}

/// `GET /v1/timeseries`
pub(crate) fn timeseries(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    timeline(shared, asked, true, SeriesBucket::new)
}

fn timeline<B: serde::Serialize>(
    shared: &Shared,
    asked: &Asked,
    durations: bool,
    view: fn(Timestamp, Timestamp, &TimeBucket) -> B,
) -> Result<Answer, Refusal> {
    let asks = params::timeline(&asked.query())?;
    let snapshot = asked.snapshot(shared);
    let Some((interval, edges)) = edges(&snapshot, &asks)? else {
        let time_zone = asks.zone.name;
        return Answer::json(&TimelineView {
            interval: None,
            time_zone,
            total_runs: 0,
            total: None,
            buckets: Vec::<B>::new(),
        });
    };
    let counted = snapshot.timeline(&asks.filter, &edges, durations)?;
    let total_runs = counted.iter().map(TimeBucket::runs).sum();
    let buckets = edges.windows(2).zip(&counted).map(|(edges, bucket)| view(edges[0], edges[1], bucket)).collect();
    let total = durations.then(|| SeriesNumbers::of_all(&counted));
    Answer::json(&TimelineView { interval: Some(interval), time_zone: asks.zone.name, total_runs, total, buckets })
}

/// The buckets of a timeline by their edges, and how wide they are; `None` when there is no time to divide.
fn edges(snapshot: &Snapshot, asks: &Timeline) -> Result<Option<(&'static str, Vec<Timestamp>)>, Refusal> {
    let range = match (asks.filter.start_time, asks.filter.end_time) {
        (Some(start), Some(end)) => (start <= end).then_some((start, end)),
        // Where one end is open, it is that of the runs.
        (start, end) => snapshot
            .time_range(&asks.filter)?
            .map(|(first, last)| (start.unwrap_or(first), end.unwrap_or(last)))
            .filter(|(first, last)| first <= last),
    };
    let Some((first, last)) = range else { return Ok(None) };
    // Times before and behind all runs stand just outside the calendar's years that runs can have.
    let (name, interval) =
        asks.interval.unwrap_or_else(|| Interval::fitting(first, last, asks.buckets.unwrap_or(BUCKETS)));
    match interval.edges(&asks.zone, first, last) {
        Some(edges) => Ok(Some((name, edges))),
        None => Err(params::too_many_buckets()),
    }
}

/// `GET /v1/agents`
pub(crate) fn agents(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let (filter, limit) = params::limited(&asked.query(), 1000)?;
    let groups = asked.snapshot(shared).groups(&filter, GroupBy::Agent)?;
    let total_runs = groups.values().map(|group| group.runs()).sum();
    let mut agents: Vec<_> = groups
        .iter()
        .map(|(agent_id, group)| AgentView { agent_id: agent_id.clone(), versions: group.versions, runs: group.into() })
        .collect();
    // Stable: agents with as many runs stay in the order of their names.
    agents.sort_by_key(|agent| Reverse(agent.runs.runs));
    agents.truncate(limit);
    Answer::json(&AgentsView { total_runs, total_agents: groups.len(), agents })
}

/// `GET /v1/agents/{agent_id}/versions`
pub(crate) fn versions(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let (filter, limit) = params::limited(&asked.query(), 1000)?;
    let agent_id = asked.param(0).to_owned();
    let Some(filter) = of_agent(filter, &agent_id) else {
        return Answer::json(&VersionsView { agent_id, total_runs: 0, total_versions: 0, versions: Vec::new() });
    };
    let groups = asked.snapshot(shared).groups(&filter, GroupBy::Version)?;
    let total_runs = groups.values().map(|group| group.runs()).sum();
    let mut versions: Vec<_> = groups
        .iter()
        .map(|(version, group)| VersionView { agent_version: version.clone(), runs: group.into() })
        .collect();
    versions.sort_by_key(|version| Reverse(version.runs.first_seen));
    versions.truncate(limit);
    Answer::json(&VersionsView { agent_id, total_runs, total_versions: groups.len(), versions })
}

/// `GET /v1/agents/{agent_id}/versions/{agent_version}/latency`
pub(crate) fn version_latency(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let filter = params::stats(&asked.query())?;
    let filter = of_agent(filter, asked.param(0)).and_then(|filter| of_version(filter, asked.param(1)));
    let nothing = Filter { nothing: true, ..Filter::default() };
    let latency = asked.snapshot(shared).latency(&filter.unwrap_or(nothing))?;
    Answer::json(&LatencyView::from(&latency))
}

/// The filter with this agent, too; `None` when it asks for others.
fn of_agent(filter: Filter, agent_id: &str) -> Option<Filter> {
    let asks = filter.agent_id.is_empty() || filter.agent_id.iter().any(|asked| asked == agent_id);
    asks.then(|| Filter { agent_id: vec![agent_id.to_owned()], ..filter })
}

/// The filter with this version, too; `None` when it asks for others.
fn of_version(filter: Filter, version: &str) -> Option<Filter> {
    let asks = filter.agent_version.is_empty() || filter.agent_version.iter().any(|asked| asked == version);
    asks.then(|| Filter { agent_version: vec![version.to_owned()], ..filter })
}

/// `GET /v1/decisions`
pub(crate) fn decisions(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let (filter, limit) = params::limited(&asked.query(), 50)?;
    Answer::json(&DecisionsView::new(asked.snapshot(shared).decisions(&filter)?, limit))
}

/// `GET /v1/signals`
pub(crate) fn signals(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let query = asked.query();
    let asks = params::timeline(&query)?;
    let snapshot = asked.snapshot(shared);
    let mut view = SignalsView::from(snapshot.signals(&asks.filter)?);
    if query.last("buckets").is_some() || query.last("interval").is_some() {
        view.timeline = Some(signals_over_time(&snapshot, &asks)?);
    }
    Answer::json(&view)
}

/// One question a bucket: together they walk the runs that one question about all of the time walks.
fn signals_over_time(snapshot: &Snapshot, asks: &Timeline) -> Result<TimelineView<SignalsBucket>, Refusal> {
    let (interval, edges) = edges(snapshot, asks)?.map_or((None, Vec::new()), |(name, edges)| (Some(name), edges));
    let mut buckets = Vec::with_capacity(edges.len());
    for edges in edges.windows(2) {
        let before = Timestamp::from_micros(edges[1].as_micros() - 1);
        let filter = Filter {
            start_time: Some(asks.filter.start_time.map_or(edges[0], |start| start.max(edges[0]))),
            end_time: Some(asks.filter.end_time.map_or(before, |end| end.min(before))),
            ..asks.filter.clone()
        };
        buckets.push(SignalsBucket::new(edges[0], edges[1], &snapshot.signals(&filter)?));
    }
    let total_runs = buckets.iter().map(|bucket| bucket.runs).sum();
    Ok(TimelineView { interval, time_zone: asks.zone.name.clone(), total_runs, total: None, buckets })
}

/// `GET /v1/failures`
pub(crate) fn failures(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let (filter, limit) = params::limited(&asked.query(), 20)?;
    let snapshot = asked.snapshot(shared);
    let clusters = snapshot.clusters(&filter, limit)?;
    let mut views = Vec::with_capacity(clusters.largest.len());
    for cluster in clusters.largest {
        asked.stop.go_on()?;
        // A run that cannot be read costs its cluster the words, not the numbers.
        let example = match cluster.examples.first() {
            Some(run_id) => snapshot.find(*run_id)?.and_then(|run| shared.runs().view(&run).ok()),
            None => None,
        };
        views.push(ClusterView::new(cluster, clusters.runs, example.as_ref()));
    }
    Answer::json(&FailuresView {
        total_runs: clusters.runs,
        runs_with_failure: clusters.with_failure,
        total_clusters: clusters.count,
        clusters: views,
    })
}

/// `GET /v1/compare`
pub(crate) fn compare(shared: &Shared, asked: &Asked) -> Result<Answer, Refusal> {
    let wanted = params::compare(&asked.query())?;
    let snapshot = asked.snapshot(shared);
    let base = snapshot.side(&wanted.base.filter)?;
    let candidate = snapshot.side(&wanted.candidate.filter)?;
    let comparison = Comparison::of(&base, &candidate, asked.stop())?;
    Answer::json(&CompareView::new(wanted, [base.runs, candidate.runs], comparison))
}
