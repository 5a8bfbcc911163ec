//! Which runs a question is about: the filters of `/v1/runs`, as flags and as a search line.

use agenttracer_model::taxonomy::{
    DecisionType, FailureType, REASON_CODES, RunStatus, SIGNAL_CODES, SignalType, StepType,
};
use agenttracer_query::filter_of;
use clap::Args;
use clap::builder::PossibleValuesParser;
use uuid::Uuid;

use crate::human::{parse_ms, parse_time};

/// A name and a value of the query string.
pub(crate) type Condition = (String, String);

fn statuses() -> PossibleValuesParser {
    PossibleValuesParser::new(RunStatus::ALL.iter().map(|value| value.as_str()))
}

fn failure_types() -> PossibleValuesParser {
    PossibleValuesParser::new(FailureType::ALL.iter().map(|value| value.as_str()))
}

fn step_types() -> PossibleValuesParser {
    PossibleValuesParser::new(StepType::ALL.iter().map(|value| value.as_str()))
}

fn decision_types() -> PossibleValuesParser {
    PossibleValuesParser::new(DecisionType::ALL.iter().map(|value| value.as_str()))
}

fn reason_codes() -> PossibleValuesParser {
    PossibleValuesParser::new(REASON_CODES.iter().map(|row| row.code))
}

fn signal_types() -> PossibleValuesParser {
    PossibleValuesParser::new(SignalType::ALL.iter().map(|value| value.as_str()))
}

fn signal_codes() -> PossibleValuesParser {
    PossibleValuesParser::new(SIGNAL_CODES.iter().map(|row| row.code))
}

/// Which runs. One flag repeated means any of its values, different flags mean all of them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which runs")]
pub(crate) struct Filters {
    /// Runs that a search line finds, as agent:support version:1.4* code:timeout duration:>2s; docs/search.md is its
    /// grammar. One that begins with a minus is written -q='-env:dev'
    #[arg(value_name = "SEARCH")]
    search: Vec<String>,
    /// The same, as a flag
    #[arg(short = 'q', long = "query", value_name = "SEARCH", allow_hyphen_values = true)]
    q: Vec<String>,
    /// Of this agent
    #[arg(long, value_name = "ID")]
    agent_id: Vec<String>,
    /// Of this version
    #[arg(long, value_name = "VERSION")]
    agent_version: Vec<String>,
    /// In this environment
    #[arg(long, value_name = "NAME")]
    environment: Vec<String>,
    /// With this outcome
    #[arg(long, value_name = "STATUS", value_parser = statuses())]
    status: Vec<String>,
    /// Begun then or later: 2026-11-25, 2026-11-25T08:00:00Z, or back from now as 24h or 7d
    #[arg(long, alias = "start-time", value_name = "TIME", value_parser = parse_time)]
    since: Option<String>,
    /// Begun then or before
    #[arg(long, alias = "end-time", value_name = "TIME", value_parser = parse_time)]
    until: Option<String>,
    /// With a failure of this type
    #[arg(long, value_name = "TYPE", value_parser = failure_types())]
    failure_type: Vec<String>,
    /// With a failure of this code, as timeout
    #[arg(long, value_name = "CODE")]
    failure_code: Vec<String>,
    /// Of this cluster of failures, as `agenttracer failures` names it
    #[arg(long, value_name = "CLUSTER")]
    failure_cluster: Vec<String>,
    /// With a step of this type
    #[arg(long, value_name = "TYPE", value_parser = step_types())]
    step_type: Vec<String>,
    /// With a step of this name
    #[arg(long, value_name = "NAME")]
    step_name: Vec<String>,
    /// With a decision of this type
    #[arg(long, value_name = "TYPE", value_parser = decision_types(), hide_possible_values = true)]
    decision_type: Vec<String>,
    /// With a decision for this reason
    #[arg(long, value_name = "CODE", value_parser = reason_codes(), hide_possible_values = true)]
    reason_code: Vec<String>,
    /// With a quality signal of this type
    #[arg(long, value_name = "TYPE", value_parser = signal_types(), hide_possible_values = true)]
    signal_type: Vec<String>,
    /// With a quality signal of this code
    #[arg(long, value_name = "CODE", value_parser = signal_codes(), hide_possible_values = true)]
    signal_code: Vec<String>,
    /// With a quality signal of this value
    #[arg(long, value_name = "BOOL")]
    signal_value: Option<bool>,
    /// That took so long at least, as 2s
    #[arg(long, alias = "min-duration-ms", value_name = "TIME", value_parser = parse_ms)]
    min_duration: Option<u64>,
    /// That took so long at most
    #[arg(long, alias = "max-duration-ms", value_name = "TIME", value_parser = parse_ms)]
    max_duration: Option<u64>,
    /// That tried something again, or (false) did not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    has_retries: Option<bool>,
    /// Of this conversation
    #[arg(long, value_name = "ID")]
    session_id: Vec<String>,
    /// Of sub-agents of this run
    #[arg(long, value_name = "RUN")]
    parent_run_id: Vec<Uuid>,
    /// With this fact in their metadata
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_meta)]
    meta: Vec<Condition>,
    /// Any filter of `/v1/runs` by its name there, as agent_id=support
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_filter)]
    filter: Vec<Condition>,
}

fn parse_meta(text: &str) -> Result<Condition, String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write it as KEY=VALUE")?;
    Ok((format!("meta.{key}"), value.to_owned()))
}

/// Reads a filter that is named as in the API.
pub(crate) fn parse_filter(text: &str) -> Result<Condition, String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    let condition = (name.to_owned(), value.to_owned());
    filter_of(std::slice::from_ref(&condition))?;
    Ok(condition)
}

impl Filters {
    /// The same as a query string.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let mut add = |name: &str, values: &[String]| {
            conditions.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
        };
        let search = self.search.join(" ");
        add("q", if search.trim().is_empty() { &[] } else { std::slice::from_ref(&search) });
        add("q", &self.q);
        add("agent_id", &self.agent_id);
        add("agent_version", &self.agent_version);
        add("environment", &self.environment);
        add("status", &self.status);
        add("start_time", self.since.as_slice());
        add("end_time", self.until.as_slice());
        add("failure_type", &self.failure_type);
        add("failure_code", &self.failure_code);
        add("failure_cluster", &self.failure_cluster);
        add("step_type", &self.step_type);
        add("step_name", &self.step_name);
        add("decision_type", &self.decision_type);
        add("reason_code", &self.reason_code);
        add("signal_type", &self.signal_type);
        add("signal_code", &self.signal_code);
        add("session_id", &self.session_id);
        let mut add = |name: &str, value: Option<String>| {
            conditions.extend(value.map(|value| (name.to_owned(), value)));
        };
        add("signal_value", self.signal_value.map(|value| value.to_string()));
        add("min_duration_ms", self.min_duration.map(|value| value.to_string()));
        add("max_duration_ms", self.max_duration.map(|value| value.to_string()));
        add("has_retries", self.has_retries.map(|value| value.to_string()));
        for parent in &self.parent_run_id {
            add("parent_run_id", Some(parent.to_string()));
        }
        conditions.extend(self.meta.iter().chain(&self.filter).cloned());
        conditions
    }

    /// Whether a status is asked for.
    pub(crate) fn has_status(&self) -> bool {
        !self.status.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        filters: Filters,
    }

    fn conditions(arguments: &[&str]) -> Vec<Condition> {
        Line::try_parse_from([&["x"], arguments].concat())
            .unwrap_or_else(|error| panic!("{error}"))
            .filters
            .conditions()
    }

    #[test]
    fn every_filter_of_the_api_has_a_flag_that_means_it() {
        let id = Uuid::nil().to_string();
        for (argument, name, value) in [
            ("agent:support", "q", "agent:support"),
            ("-q=-env:dev", "q", "-env:dev"),
            ("--agent-id=a", "agent_id", "a"),
            ("--agent-version=1", "agent_version", "1"),
            ("--environment=dev", "environment", "dev"),
            ("--status=running", "status", "running"),
            ("--since=2026-11-25", "start_time", "2026-11-25"),
            ("--end-time=2026-11-25", "end_time", "2026-11-25"),
            ("--failure-type=tool", "failure_type", "tool"),
            ("--failure-code=timeout", "failure_code", "timeout"),
            ("--failure-cluster=00000000000000aa", "failure_cluster", "00000000000000aa"),
            ("--step-type=plan", "step_type", "plan"),
            ("--step-name=n", "step_name", "n"),
            ("--decision-type=tool_selection", "decision_type", "tool_selection"),
            ("--reason-code=early_exit", "reason_code", "early_exit"),
            ("--signal-type=schema_valid", "signal_type", "schema_valid"),
            ("--signal-code=full_match", "signal_code", "full_match"),
            ("--signal-value=false", "signal_value", "false"),
            ("--min-duration=2s", "min_duration_ms", "2000"),
            ("--max-duration-ms=250", "max_duration_ms", "250"),
            ("--has-retries", "has_retries", "true"),
            ("--has-retries=false", "has_retries", "false"),
            ("--session-id=s", "session_id", "s"),
            (&format!("--parent-run-id={id}"), "parent_run_id", &id),
            ("--meta=region=eu", "meta.region", "eu"),
            ("--filter=agent_id=a=b", "agent_id", "a=b"),
        ] {
            let conditions = conditions(&[argument]);
            assert_eq!(conditions, [(name.to_owned(), value.to_owned())], "{argument}");
            assert!(filter_of(&conditions).is_ok(), "{argument} is no filter of the API");
        }
        assert_eq!(conditions(&["agent:a", "code:b"]), [("q".to_owned(), "agent:a code:b".to_owned())]);
        assert_eq!(conditions(&["--status", "failure", "--status", "partial"]).len(), 2);
    }

    #[test]
    fn what_no_run_can_have_is_an_error() {
        for argument in ["--status=fine", "--filter=mood=good", "--meta=x", "--since=yesterday", "--parent-run-id=7"] {
            assert!(Line::try_parse_from(["x", argument]).is_err(), "{argument}");
        }
    }
}
