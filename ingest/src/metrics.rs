use std::collections::BTreeMap;

use agenttracer_model::privacy::{RefusalRule, Removed, Rule};
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Refused;

/// What the write side counts. Handles are made once; none of them has a label that comes from a client.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// Runs that were stored.
    pub(crate) ingested: IntCounter,
    /// Runs that were there already, with the same content.
    pub(crate) duplicate: IntCounter,
    /// Runs with status `failure` whose failure was left out.
    pub(crate) failure_left_out: IntCounter,
    /// From the request's head to its answer.
    pub(crate) seconds: Histogram,
    /// Bytes of bodies that are held now, decompressed.
    pub(crate) body_bytes: IntGauge,
    /// Events of live runs that were stored.
    pub(crate) events_ingested: IntCounter,
    /// Events that the run held already.
    pub(crate) events_duplicate: IntCounter,
    /// Live runs that were given up.
    pub(crate) abandoned: IntCounter,
    failed: [(&'static str, IntCounter); 8],
    events_failed: [(&'static str, IntCounter); 8],
    removed: [IntCounter; Rule::ALL.len()],
    refused: [IntCounter; RefusalRule::ALL.len()],
}

/// The kinds of [`Refused`].
const KINDS: [&str; 8] =
    ["invalid", "conflict", "erased", "too_large", "unknown_encoding", "too_slow", "busy", "unavailable"];

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When the registry has a metric of the same name already.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let failed = IntCounterVec::new(
            Opts::new("agenttracer_runs_failed_total", "Runs that were not stored, by reason"),
            &["reason"],
        )?;
        let events_failed = IntCounterVec::new(
            Opts::new("agenttracer_events_failed_total", "Events that were not stored, by reason"),
            &["reason"],
        )?;
        let removed = IntCounterVec::new(
            Opts::new("agenttracer_values_removed_total", "Values that the privacy rules removed, by rule"),
            &["rule"],
        )?;
        let refused = IntCounterVec::new(
            Opts::new(
                "agenttracer_values_refused_total",
                "Values for which the privacy rules refused a run or an event, by rule",
            ),
            &["rule"],
        )?;
        let seconds = Histogram::with_opts(
            HistogramOpts::new("agenttracer_ingest_seconds", "Time from an ingest request's head to its answer")
                .buckets(vec![0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0]),
        )?;
        let metrics = Self {
            ingested: IntCounter::new("agenttracer_runs_ingested_total", "Runs that were stored")?,
            duplicate: IntCounter::new("agenttracer_runs_duplicate_total", "Runs that were stored already")?,
            failure_left_out: IntCounter::new(
                "agenttracer_runs_failure_left_out_total",
                "Runs with status failure that came without a failure",
            )?,
            body_bytes: IntGauge::new("agenttracer_body_bytes", "Bytes of request bodies held now")?,
            events_ingested: IntCounter::new(
                "agenttracer_events_ingested_total",
                "Events of live runs that were stored",
            )?,
            events_duplicate: IntCounter::new(
                "agenttracer_events_duplicate_total",
                "Events that their run held already",
            )?,
            abandoned: IntCounter::new(
                "agenttracer_runs_abandoned_total",
                "Live runs that were given up: no event came within their lease",
            )?,
            failed: KINDS.map(|kind| (kind, failed.with_label_values(&[kind]))),
            events_failed: KINDS.map(|kind| (kind, events_failed.with_label_values(&[kind]))),
            removed: Rule::ALL.map(|rule| removed.with_label_values(&[rule.as_str()])),
            refused: RefusalRule::ALL.map(|rule| refused.with_label_values(&[rule.as_str()])),
            seconds: seconds.clone(),
        };
        let collectors: [Box<dyn Collector>; 12] = [
            Box::new(metrics.ingested.clone()),
            Box::new(metrics.duplicate.clone()),
            Box::new(metrics.failure_left_out.clone()),
            Box::new(metrics.body_bytes.clone()),
            Box::new(metrics.events_ingested.clone()),
            Box::new(metrics.events_duplicate.clone()),
            Box::new(metrics.abandoned.clone()),
            Box::new(failed),
            Box::new(events_failed),
            Box::new(removed),
            Box::new(refused),
            Box::new(seconds),
        ];
        collectors.into_iter().try_for_each(|collector| registry.register(collector))?;
        Ok(metrics)
    }

    /// Counts a run that was not stored.
    pub(crate) fn count_refused(&self, refused: &Refused) {
        self.count_rules(refused);
        if let Some((_, counter)) = self.failed.iter().find(|(kind, _)| *kind == refused.kind()) {
            counter.inc();
        }
    }

    /// Counts an event that was not stored.
    pub(crate) fn count_refused_event(&self, refused: &Refused) {
        self.count_rules(refused);
        if let Some((_, counter)) = self.events_failed.iter().find(|(kind, _)| *kind == refused.kind()) {
            counter.inc();
        }
    }

    fn count_rules(&self, refused: &Refused) {
        if let Refused::Invalid(_, rules) = refused {
            self.refused.iter().zip(rules.counts()).for_each(|(counter, count)| counter.inc_by(count));
        }
    }

    /// Counts what was removed from a run or an event that was stored.
    pub(crate) fn count_removed(&self, removed: &Removed) {
        for (rule, count) in removed.iter() {
            self.removed[rule as usize].inc_by(u64::from(count));
        }
    }

    /// The JSON form of `/metrics`.
    pub(crate) fn as_json(&self) -> impl Serialize + use<> {
        let reasons: BTreeMap<_, _> = self.failed.iter().map(|(kind, counter)| (*kind, counter.get())).collect();
        let rules: BTreeMap<_, _> =
            Rule::ALL.into_iter().zip(&self.removed).map(|(rule, counter)| (rule.as_str(), counter.get())).collect();
        Answer {
            metrics: Values {
                runs_ingested_total: self.ingested.get(),
                runs_failed_total: reasons.values().sum(),
                runs_duplicate_total: self.duplicate.get(),
                runs_failure_left_out_total: self.failure_left_out.get(),
                values_removed_total: rules.values().sum(),
                runs_abandoned_total: self.abandoned.get(),
                events_ingested_total: self.events_ingested.get(),
                events_failed_total: self.events_failed.iter().map(|(_, counter)| counter.get()).sum(),
                events_duplicate_total: self.events_duplicate.get(),
                runs_failed_by_reason: reasons,
                values_removed_by_rule: rules,
                body_bytes: self.body_bytes.get(),
            },
        }
    }
}

/// An example of what is answered as JSON.
pub(crate) fn example() -> serde_json::Value {
    let removed = BTreeMap::from([("email", 1)]);
    let metrics = Values {
        runs_ingested_total: 10,
        values_removed_total: 1,
        values_removed_by_rule: removed,
        ..Values::default()
    };
    serde_json::to_value(Answer { metrics }).unwrap_or_default()
}

/// The numbers of the write side, as `/metrics` gives them to those who ask for JSON.
#[derive(Serialize, ToSchema)]
#[schema(as = Metrics)]
pub(crate) struct Answer {
    metrics: Values,
}

#[derive(Default, Serialize, ToSchema)]
#[schema(as = MetricValues)]
struct Values {
    runs_ingested_total: u64,
    runs_failed_total: u64,
    runs_duplicate_total: u64,
    runs_failure_left_out_total: u64,
    values_removed_total: u64,
    runs_abandoned_total: u64,
    events_ingested_total: u64,
    events_failed_total: u64,
    events_duplicate_total: u64,
    #[schema(value_type = BTreeMap<String, u64>)]
    runs_failed_by_reason: BTreeMap<&'static str, u64>,
    #[schema(value_type = BTreeMap<String, u64>)]
    values_removed_by_rule: BTreeMap<&'static str, u64>,
    body_bytes: i64,
}
