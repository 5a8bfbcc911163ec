//! What a request asks, read leniently from its query string. All errors of a request are collected, none of them
//! repeats the input, and unknown parameters are ignored. An empty value is no value. Of a parameter that takes one
//! value the last counts; of a filter that is repeated any value may match.

use agenttracer_index::{Facet, Filter, Sort, SortBy};
use agenttracer_model::lenient::{self, DatetimeError};
use agenttracer_model::taxonomy::{
    FailureType, REASON_CODES, ReasonCode, RunStatus, SIGNAL_CODES, SignalCode, StepType,
};
use agenttracer_model::{FieldError, Loc, Timestamp, fact_of_text};
use uuid::Uuid;

use crate::cursor::{Cursor, NEWEST_FIRST, filter_hash};
use crate::error::Refusal;
use crate::interval::{INTERVALS, Interval, MAX_BUCKETS, Zone};
use crate::query_string::QueryString;
use crate::search_line;

/// The largest `page_size`, and the largest `limit` of a page of runs.
pub(crate) const MAX_PAGE_SIZE: u64 = 100;
const DEFAULT_PAGE_SIZE: u64 = 20;
/// The largest `limit` of a page of steps: a run has no more.
pub(crate) const MAX_STEPS: u64 = 10_000;

/// What `GET /v1/runs` asks.
#[derive(Debug, PartialEq)]
pub(crate) struct RunsQuery {
    /// Which runs.
    pub(crate) filter: Filter,
    /// Of the filter, for cursors.
    pub(crate) filter_hash: u64,
    /// How many runs come before the page; 0 with a cursor.
    pub(crate) offset: u64,
    /// How many runs the page holds at most.
    pub(crate) limit: usize,
    /// In which order.
    pub(crate) sort: Sort,
    /// Where the page begins; it then counts instead of `page`.
    pub(crate) cursor: Option<Cursor>,
    /// How much of each run is shown.
    pub(crate) view: View,
}

/// How much of a run a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// All of it.
    Full,
    /// Without its children.
    Summary,
}

/// What `GET /v1/runs/{run_id}/steps` asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StepsQuery {
    /// Only steps behind this `seq`.
    pub(crate) after_seq: Option<u64>,
    /// How many steps at most.
    pub(crate) limit: usize,
}

/// Reads the parameters of `GET /v1/runs`.
pub(crate) fn runs(query: &QueryString<'_>) -> Result<RunsQuery, Vec<FieldError>> {
    let mut reader = Reader { query, errors: Vec::new() };
    let mut filter = reader.filter();
    let page = reader.int("page", 1, u64::MAX).unwrap_or(1);
    let limit = reader.int("page_size", 1, MAX_PAGE_SIZE).unwrap_or(DEFAULT_PAGE_SIZE);
    let view = match query.last("view") {
        None | Some("full") => View::Full,
        Some("summary") => View::Summary,
        Some(_) => {
            reader.error("view", "literal_error", "Input should be 'full' or 'summary'".to_owned());
            View::Full
        }
    };
    let sort = reader.sort();
    let filter_hash = filter_hash(&filter);
    let cursor = query.last("cursor").map(Cursor::decode);
    match cursor {
        Some(None) => {
            reader.error("cursor", "value_error", "Input should be a cursor from the Link header of a page".to_owned());
        }
        Some(Some(cursor)) if cursor.filter_hash != filter_hash => reader.error(
            "cursor",
            "value_error",
            "The cursor was opened with other filters; leave it out to start anew with these".to_owned(),
        ),
        Some(Some(cursor)) if cursor.sort != sort => reader.error(
            "cursor",
            "value_error",
            "The cursor was opened in another order; leave it out to start anew in this one".to_owned(),
        ),
        _ => {}
    }
    let cursor = cursor.flatten();
    filter.before_position = cursor.map(|cursor| cursor.opened_at);
    let offset = if cursor.is_some() { 0 } else { (page - 1).saturating_mul(limit) };
    reader.finish(RunsQuery { filter, filter_hash, offset, limit: limit as usize, sort, cursor, view })
}

/// Reads the parameters of `GET /v1/stats`: the filters of the list.
pub(crate) fn stats(query: &QueryString<'_>) -> Result<Filter, Vec<FieldError>> {
    let mut reader = Reader { query, errors: Vec::new() };
    let filter = reader.filter();
    reader.finish(filter)
}

/// What `GET /v1/facets` asks.
#[derive(Debug)]
pub(crate) struct Facets {
    pub(crate) filter: Filter,
    /// The name under which each was asked for.
    pub(crate) fields: Vec<(String, Facet)>,
    /// How many values of each are shown.
    pub(crate) limit: usize,
}

/// The facets that are counted when none is asked for, and those that can be, beside `meta.<key>`.
const FACETS: [(&str, Facet); 14] = [
    ("agent_id", Facet::AgentId),
    ("agent_version", Facet::AgentVersion),
    ("environment", Facet::Environment),
    ("status", Facet::Status),
    ("failure_type", Facet::FailureType),
    ("failure_code", Facet::FailureCode),
    ("step_type", Facet::StepType),
    ("step_name", Facet::StepName),
    ("decision_type", Facet::DecisionType),
    ("reason_code", Facet::ReasonCode),
    ("signal_type", Facet::SignalType),
    ("signal_code", Facet::SignalCode),
    ("has_retries", Facet::HasRetries),
    ("meta", Facet::MetadataKey),
];
/// The most facets of a request.
const MAX_FACETS: usize = 32;
/// The most values of a facet, agents and so on.
pub(crate) const MAX_LIMIT: u64 = 1000;

/// The names of the facets that are counted when none is asked for.
pub(crate) fn facet_names() -> impl Iterator<Item = &'static str> {
    FACETS.iter().map(|(name, _)| *name)
}

/// Reads the parameters of `GET /v1/facets`.
pub(crate) fn facets(query: &QueryString<'_>) -> Result<Facets, Vec<FieldError>> {
    let mut reader = Reader { query, errors: Vec::new() };
    let filter = reader.filter();
    let limit = reader.int("limit", 1, MAX_LIMIT).unwrap_or(20) as usize;
    let mut fields: Vec<(String, Facet)> = Vec::new();
    for name in query.all("field") {
        let facet = match (FACETS.iter().find(|(known, _)| *known == name), name.strip_prefix("meta.")) {
            (Some((_, facet)), _) => facet.clone(),
            (None, Some(key)) if !key.is_empty() => Facet::Metadata(key.to_owned()),
            _ => {
                let names: Vec<_> = FACETS.iter().map(|(name, _)| format!("'{name}'")).collect();
                let msg = format!("Input should be {} or 'meta.' and a key", names.join(", "));
                reader.error("field", "literal_error", msg);
                continue;
            }
        };
        if fields.iter().all(|(have, _)| have != name) {
            fields.push((name.to_owned(), facet));
        }
    }
    if fields.len() > MAX_FACETS {
        reader.error("field", "too_long", format!("At most {MAX_FACETS} fields can be asked for at a time"));
    }
    if fields.is_empty() {
        fields = FACETS.iter().map(|(name, facet)| ((*name).to_owned(), facet.clone())).collect();
    }
    reader.finish(Facets { filter, fields, limit })
}

/// What `GET /v1/runs/histogram` and `/v1/timeseries` ask.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) filter: Filter,
    /// How wide a bucket is; chosen when nothing is said.
    pub(crate) interval: Option<(&'static str, Interval)>,
    /// At most so many buckets, where the width is chosen.
    pub(crate) buckets: Option<usize>,
    pub(crate) zone: Zone,
}

/// Reads the parameters of `GET /v1/runs/histogram` and `/v1/timeseries`.
pub(crate) fn timeline(query: &QueryString<'_>) -> Result<Timeline, Vec<FieldError>> {
    let mut reader = Reader { query, errors: Vec::new() };
    let filter = reader.filter();
    let buckets = reader.int("buckets", 2, MAX_BUCKETS as u64).map(|buckets| buckets as usize);
    let interval = query.last("interval").and_then(|text| {
        let interval = Interval::parse(text);
        if interval.is_none() {
            let names: Vec<_> = INTERVALS.iter().map(|(name, _)| *name).collect();
            reader.error("interval", "literal_error", format!("Input should be one of {}", names.join(", ")));
        }
        interval
    });
    let zone = match query.last("time_zone").map(Zone::parse) {
        None => Zone::utc(),
        Some(Some(zone)) => zone,
        Some(None) => {
            let msg = "Input should be UTC or an offset from it, as +02:00";
            reader.error("time_zone", "value_error", msg.to_owned());
            Zone::utc()
        }
    };
    reader.finish(Timeline { filter, interval, buckets, zone })
}

/// What a timeline with too narrow buckets is answered.
pub(crate) fn too_many_buckets() -> Refusal {
    Refusal::Unprocessable(vec![FieldError {
        kind: "too_many_buckets",
        loc: vec![Loc::Name("query".to_owned()), Loc::Name("interval".to_owned())],
        msg: format!("There would be over {MAX_BUCKETS} buckets: ask for wider ones or a shorter time"),
    }])
}

/// Reads the filter and the `limit` of aggregates that list things.
pub(crate) fn limited(query: &QueryString<'_>, default: usize) -> Result<(Filter, usize), Vec<FieldError>> {
    let mut reader = Reader { query, errors: Vec::new() };
    let filter = reader.filter();
    let limit = reader.int("limit", 1, MAX_LIMIT).map_or(default, |limit| limit as usize);
    reader.finish((filter, limit))
}

/// Reads the parameters of `GET /v1/tail`: live runs are shown unless a status is asked for.
pub(crate) fn tail(query: &QueryString<'_>) -> Result<(Filter, Option<u64>), Vec<FieldError>> {
    let mut reader = Reader { query, errors: Vec::new() };
    let filter = Filter { live: true, ..reader.filter() };
    let after = reader.int("after", 0, u64::MAX);
    reader.finish((filter, after))
}

/// Reads the parameters of `GET /v1/runs/{run_id}/steps`.
pub(crate) fn steps(query: &QueryString<'_>) -> Result<StepsQuery, Vec<FieldError>> {
    let mut reader = Reader { query, errors: Vec::new() };
    let after_seq = reader.int("after_seq", 0, u64::MAX);
    let limit = reader.int("limit", 1, MAX_STEPS).unwrap_or(MAX_STEPS) as usize;
    reader.finish(StepsQuery { after_seq, limit })
}

/// Reads the run id of a path, in any form of a UUID.
pub(crate) fn run_id(text: &str) -> Result<Uuid, Vec<FieldError>> {
    Uuid::try_parse(text).map_err(|_| {
        vec![FieldError {
            kind: "uuid_parsing",
            loc: vec![Loc::Name("path".to_owned()), Loc::Name("run_id".to_owned())],
            msg: "Input should be a valid UUID".to_owned(),
        }]
    })
}

/// Reads parameters one by one and collects what is wrong with them.
struct Reader<'a> {
    query: &'a QueryString<'a>,
    errors: Vec<FieldError>,
}

impl Reader<'_> {
    /// The filters that the list and the aggregates share.
    fn filter(&mut self) -> Filter {
        let mut filter = Filter {
            session_id: self.texts("session_id"),
            live: self.boolean("live").unwrap_or_default(),
            agent_id: self.texts("agent_id"),
            agent_version: self.texts("agent_version"),
            environment: self.texts("environment"),
            start_time: self.time("start_time"),
            end_time: self.time("end_time"),
            failure_code: self.texts("failure_code"),
            step_name: self.texts("step_name"),
            has_retries: self.boolean("has_retries"),
            min_duration_ms: self.int("min_duration_ms", 0, i64::MAX.cast_unsigned()),
            max_duration_ms: self.int("max_duration_ms", 0, i64::MAX.cast_unsigned()),
            ..Filter::default()
        };
        (filter.status, filter.nothing) = self.closed("status", RunStatus::parse);
        let none_known;
        (filter.failure_type, none_known) = self.closed("failure_type", FailureType::parse);
        filter.nothing |= none_known;
        let none_known;
        (filter.step_type, none_known) = self.closed("step_type", StepType::parse);
        filter.nothing |= none_known;
        let none_known;
        (filter.parent_run_id, none_known) = self.closed("parent_run_id", |text| Uuid::try_parse(text).ok());
        filter.nothing |= none_known;
        let none_known;
        (filter.failure_cluster, none_known) = self.closed("failure_cluster", search_line::parse_cluster);
        filter.nothing |= none_known;
        if self.asks(&["decision_type", "reason_code"]) {
            let rows = REASON_CODES.iter().filter(|row| {
                self.is_asked("decision_type", row.decision_type.as_str()) && self.is_asked("reason_code", row.code)
            });
            filter.reason = rows.filter_map(|row| ReasonCode::from_tag(row.tag)).collect();
            filter.nothing |= filter.reason.is_empty();
        }
        self.signals(&mut filter);
        for key in self.query.names_under("meta.") {
            let mut values = self.texts(&format!("meta.{key}"));
            // A number in any form is the number.
            let numbers: Vec<_> = values.iter().map(|value| fact_of_text(value).into_owned()).collect();
            values.extend(numbers);
            values.sort_unstable();
            values.dedup();
            filter.metadata.push((key.to_owned(), values));
        }
        for line in self.query.all("q") {
            if let Err(errors) = search_line::parse(line, &mut filter) {
                for error in errors {
                    self.error("q", "search_line", format!("column {}: {}", error.column, error.what));
                }
            }
        }
        filter
    }

    /// One signal has to have a type, a code and a value of those asked for.
    fn signals(&mut self, filter: &mut Filter) {
        if !self.asks(&["signal_type", "signal_code", "signal_value"]) {
            return;
        }
        let mut values = Vec::new();
        for value in self.query.all("signal_value") {
            match lenient::boolean(value) {
                Some(value) => values.push(value),
                None => {
                    let msg = "Input should be a valid boolean, unable to interpret input".to_owned();
                    return self.error("signal_value", "bool_parsing", msg);
                }
            }
        }
        for row in SIGNAL_CODES {
            if !self.is_asked("signal_type", row.signal_type.as_str()) || !self.is_asked("signal_code", row.code) {
                continue;
            }
            let Some(code) = SignalCode::from_tag(row.tag) else { continue };
            let wanted = [true, false].into_iter().filter(|value| values.is_empty() || values.contains(value));
            filter.signal.extend(wanted.map(|value| (code, value)));
        }
        filter.nothing |= filter.signal.is_empty();
    }

    /// Whether any of these parameters has a value.
    fn asks(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.query.last(name).is_some())
    }

    /// Whether `value` is one of those asked for; any is when none was.
    fn is_asked(&self, name: &str, value: &str) -> bool {
        let mut asked = self.query.all(name).peekable();
        asked.peek().is_none() || asked.any(|asked| asked == value)
    }

    /// `sort` and `order`: newest first when nothing is asked.
    fn sort(&mut self) -> Sort {
        let mut sort = NEWEST_FIRST;
        if let Some(text) = self.query.last("sort") {
            // A minus in front says what is so anyway.
            sort.by = match text.strip_prefix('-').unwrap_or(text) {
                "started_at" => SortBy::StartedAt,
                "duration_ms" => SortBy::DurationMs,
                "step_count" => SortBy::StepCount,
                "retry_count" => SortBy::RetryCount,
                _ => {
                    let msg = "Input should be 'started_at', 'duration_ms', 'step_count' or 'retry_count'";
                    self.error("sort", "literal_error", msg.to_owned());
                    SortBy::StartedAt
                }
            };
        }
        match self.query.last("order") {
            None | Some("desc") => {}
            Some("asc") => sort.ascending = true,
            Some(_) => self.error("order", "literal_error", "Input should be 'asc' or 'desc'".to_owned()),
        }
        sort
    }

    /// All values of an open filter.
    fn texts(&self, name: &str) -> Vec<String> {
        let mut values: Vec<_> = self.query.all(name).map(str::to_owned).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The known values of a filter over a closed list, and whether values were asked for of which none is known.
    fn closed<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> (Vec<T>, bool) {
        let values: Vec<_> = self.query.all(name).filter_map(parse).collect();
        let none_known = values.is_empty() && self.query.last(name).is_some();
        (values, none_known)
    }

    /// A truth value; asking for both is no condition.
    fn boolean(&mut self, name: &str) -> Option<bool> {
        let mut asked = [false; 2];
        for value in self.query.all(name) {
            match lenient::boolean(value) {
                Some(value) => asked[usize::from(value)] = true,
                None => {
                    let msg = "Input should be a valid boolean, unable to interpret input".to_owned();
                    return self.refuse(name, "bool_parsing", msg);
                }
            }
        }
        (asked[0] != asked[1]).then_some(asked[1])
    }

    /// A whole number of `min..=max`.
    fn int(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        match lenient::int(self.query.last(name)?) {
            Err(_) => self.refuse(name, "int_parsing", "Input should be a valid integer".to_owned()),
            Ok(number) => match u64::try_from(number) {
                Ok(number) if number > max => {
                    self.refuse(name, "less_than_equal", format!("Input should be less than or equal to {max}"))
                }
                Ok(number) if number >= min => Some(number),
                _ => self.refuse(name, "greater_than_equal", format!("Input should be greater than or equal to {min}")),
            },
        }
    }

    /// A time. One outside the years that runs can have stands just before or behind all of them.
    fn time(&mut self, name: &str) -> Option<Timestamp> {
        let time = time(self.query.last(name)?);
        if time.is_none() {
            self.error(name, "datetime_parsing", "Input should be a valid datetime".to_owned());
        }
        time
    }

    fn refuse<T>(&mut self, name: &str, kind: &'static str, msg: String) -> Option<T> {
        self.error(name, kind, msg);
        None
    }

    fn error(&mut self, name: &str, kind: &'static str, msg: String) {
        let loc = vec![Loc::Name("query".to_owned()), Loc::Name(name.to_owned())];
        self.errors.push(FieldError { kind, loc, msg });
    }

    fn finish<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        if self.errors.is_empty() { Ok(value) } else { Err(self.errors) }
    }
}

/// Reads a time, as [`Reader::time`] tells.
fn time(text: &str) -> Option<Timestamp> {
    let read = lenient::datetime(text).or_else(|error| match (error, text.trim_ascii().rsplit_once(' ')) {
        // An offset's `+` that was not escaped arrives as a space.
        (DatetimeError::Malformed, Some((time, offset))) => lenient::datetime(&format!("{time}+{offset}")),
        _ => Err(error),
    });
    match read {
        Ok(time) => Some(time),
        Err(DatetimeError::OutOfRange) if is_early(text.trim_ascii()) => {
            Some(Timestamp::from_micros(Timestamp::MIN_SENT.as_micros() - 1))
        }
        Err(DatetimeError::OutOfRange) => Some(Timestamp::END_SENT),
        Err(DatetimeError::Malformed) => None,
    }
}

/// Whether a datetime outside the accepted years lies before them; it was parsed already.
fn is_early(text: &str) -> bool {
    match text.split_at_checked(4) {
        Some((year, rest)) if rest.starts_with('-') => year < "2050",
        _ => {
            // Epoch seconds, or milliseconds; both ranges have an early side, and between them lies what is too late
            // in seconds.
            let number: f64 = text.parse().unwrap_or(f64::INFINITY);
            number < 946_684_800.0 || (2e10..946_684_800_000.0).contains(&number)
        }
    }
}

/// What `GET /v1/compare` asks.
#[derive(Debug)]
pub(crate) struct Compare {
    pub(crate) by: CompareBy,
    pub(crate) base: CompareSide,
    pub(crate) candidate: CompareSide,
}

/// In what the two sides of a comparison differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompareBy {
    AgentVersion,
    Environment,
    Time,
}

/// One side of a comparison.
#[derive(Debug)]
pub(crate) struct CompareSide {
    /// As it was asked for.
    pub(crate) name: String,
    pub(crate) filter: Filter,
}

/// Reads the parameters of `GET /v1/compare`: `by`, `base` and `candidate`, and the filters of the list for both sides.
pub(crate) fn compare(query: &QueryString<'_>) -> Result<Compare, Vec<FieldError>> {
    let mut reader = Reader { query, errors: Vec::new() };
    let filter = reader.filter();
    let by = match query.last("by") {
        None | Some("agent_version") => CompareBy::AgentVersion,
        Some("environment") => CompareBy::Environment,
        Some("time") => CompareBy::Time,
        Some(_) => {
            let msg = "Input should be 'agent_version', 'environment' or 'time'";
            return Err(reader.fail("by", "literal_error", msg));
        }
    };
    if by == CompareBy::AgentVersion && filter.agent_id.len() != 1 {
        let (kind, msg) = match filter.agent_id.len() {
            0 => ("missing", "Field required: whose versions are compared"),
            _ => ("value_error", "Input should be one agent: versions of several have nothing in common"),
        };
        reader.error("agent_id", kind, msg.to_owned());
    }
    let mut sides = ["base", "candidate"].map(|side| match query.last(side) {
        Some(name) => reader.side(side, name, by, &filter),
        None => reader.refuse(side, "missing", "Field required".to_owned()),
    });
    if let [Some((base, base_times)), Some((candidate, candidate_times))] = &sides {
        let overlap = match by {
            CompareBy::Time => base_times.0 < candidate_times.1 && candidate_times.0 < base_times.1,
            _ => base.name == candidate.name,
        };
        if overlap {
            let msg = "Input should have no run in common with base: what is the same on both sides tells nothing";
            reader.error("candidate", "value_error", msg.to_owned());
        }
    }
    match sides.each_mut().map(Option::take) {
        [Some((base, _)), Some((candidate, _))] => reader.finish(Compare { by, base, candidate }),
        _ => Err(reader.errors),
    }
}

/// From the first time on, and before the second.
type Times = (Timestamp, Timestamp);

impl Reader<'_> {
    /// One side of a comparison, and its times when these are compared.
    fn side(&mut self, side: &str, name: &str, by: CompareBy, filter: &Filter) -> Option<(CompareSide, Times)> {
        let mut filter = filter.clone();
        let mut times = (Timestamp::default(), Timestamp::default());
        let narrow = |values: &mut Vec<String>| {
            let asks = values.is_empty() || values.iter().any(|value| value == name);
            *values = vec![name.to_owned()];
            asks
        };
        match by {
            CompareBy::AgentVersion => filter.nothing |= !narrow(&mut filter.agent_version),
            CompareBy::Environment => filter.nothing |= !narrow(&mut filter.environment),
            CompareBy::Time => {
                times = match read_times(name) {
                    Ok(times) => times,
                    Err(msg) => return self.refuse(side, "value_error", msg.to_owned()),
                };
                let last = Timestamp::from_micros(times.1.as_micros() - 1);
                filter.start_time = Some(filter.start_time.map_or(times.0, |start| start.max(times.0)));
                filter.end_time = Some(filter.end_time.map_or(last, |end| end.min(last)));
            }
        }
        Some((CompareSide { name: name.to_owned(), filter }, times))
    }

    fn fail(mut self, name: &str, kind: &'static str, msg: &str) -> Vec<FieldError> {
        self.error(name, kind, msg.to_owned());
        self.errors
    }
}

/// Reads `START/END`, of which one may be left out.
fn read_times(text: &str) -> Result<Times, &'static str> {
    const FORM: &str = "Input should be two times, as 2026-11-01/2026-11-08, of which one may be left out";
    let (start, end) = text.split_once('/').ok_or(FORM)?;
    if start.is_empty() && end.is_empty() {
        return Err(FORM);
    }
    let read = |text: &str, open: Timestamp| if text.is_empty() { Ok(open) } else { time(text).ok_or(FORM) };
    let before_all = Timestamp::from_micros(Timestamp::MIN_SENT.as_micros() - 1);
    let times = (read(start, before_all)?, read(end, Timestamp::END_SENT)?);
    if times.0 < times.1 { Ok(times) } else { Err("Input should end after it starts") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agenttracer_model::Position;

    fn ask(text: &str) -> Result<RunsQuery, Vec<(String, &'static str)>> {
        runs(&QueryString::new(text)).map_err(|errors| {
            errors
                .into_iter()
                .map(|error| {
                    assert_eq!(error.loc[0], Loc::Name("query".to_owned()));
                    let Loc::Name(name) = &error.loc[1] else { panic!("{error:?}") };
                    (name.clone(), error.kind)
                })
                .collect()
        })
    }

    #[test]
    fn nothing_asked_is_the_first_page_of_all() {
        let asked = ask("").unwrap();
        assert_eq!((asked.offset, asked.limit, asked.view, asked.cursor), (0, 20, View::Full, None));
        assert_eq!(asked.filter, Filter::default());
        let empty = ask("agent_id=&status=&page=&page_size=&start_time=&has_retries=&cursor=&view=&other=1").unwrap();
        assert_eq!(empty, asked);
    }

    #[test]
    fn filters_are_read_and_repeated_values_are_alternatives() {
        let asked =
            ask("agent_id=b&agent_id=a&agent_id=b&agent_version=v&environment=dev&status=success&status=failure\
             &failure_type=tool&failure_code=timeout&step_name=s&has_retries=yes&min_duration_ms=5.0&max_duration_ms=9\
             &page=3&page_size=7&view=summary")
            .unwrap();
        assert_eq!((asked.offset, asked.limit, asked.view), (14, 7, View::Summary));
        assert_eq!(
            asked.filter,
            Filter {
                agent_id: vec!["a".into(), "b".into()],
                agent_version: vec!["v".into()],
                environment: vec!["dev".into()],
                status: vec![RunStatus::Success, RunStatus::Failure],
                failure_type: vec![FailureType::Tool],
                failure_code: vec!["timeout".into()],
                step_name: vec!["s".into()],
                has_retries: Some(true),
                min_duration_ms: Some(5),
                max_duration_ms: Some(9),
                ..Filter::default()
            }
        );
        assert_eq!(ask("has_retries=1&has_retries=0").unwrap().filter.has_retries, None);
    }

    #[test]
    fn unknown_values_of_closed_lists_match_nothing() {
        assert!(ask("status=bogus").unwrap().filter.nothing);
        assert!(ask("failure_type=bogus&status=success").unwrap().filter.nothing);
        let one_known = ask("status=bogus&status=partial").unwrap().filter;
        assert_eq!((one_known.nothing, one_known.status), (false, vec![RunStatus::Partial]));
    }

    #[test]
    fn all_errors_are_named() {
        let errors =
            ask("page=0&page_size=101&start_time=yesterday&end_time=2024-13-01&has_retries=perhaps&min_duration_ms=-1\
             &max_duration_ms=x&view=half&cursor=zzz")
            .unwrap_err();
        let expected = [
            ("start_time", "datetime_parsing"),
            ("end_time", "datetime_parsing"),
            ("has_retries", "bool_parsing"),
            ("min_duration_ms", "greater_than_equal"),
            ("max_duration_ms", "int_parsing"),
            ("page", "greater_than_equal"),
            ("page_size", "less_than_equal"),
            ("view", "literal_error"),
            ("cursor", "value_error"),
        ];
        let mut found: Vec<_> = errors.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        found.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected);
        for (text, kind) in
            [("page=1.5", "int_parsing"), ("page=one", "int_parsing"), ("page_size=0", "greater_than_equal")]
        {
            assert_eq!(ask(text).unwrap_err()[0].1, kind, "{text}");
        }
    }

    #[test]
    fn times_are_read_in_every_form() {
        let time = |text: &str| ask(&format!("start_time={text}")).unwrap().filter.start_time.unwrap().to_string();
        assert_eq!(time("2024-05-01T10:00:00Z"), "2024-05-01T10:00:00Z");
        assert_eq!(time("2024-05-01T10:00:00%2B02:00"), "2024-05-01T08:00:00Z");
        assert_eq!(time("2024-05-01T10:00:00+02:00"), "2024-05-01T08:00:00Z");
        assert_eq!(time("2024-05-01+10:00:00+02:00"), "2024-05-01T08:00:00Z");
        assert_eq!(time("2024-05-01+10:00"), "2024-05-01T10:00:00Z");
        assert_eq!(time("2024-05-01T10:00:00.25"), "2024-05-01T10:00:00.250000Z");
        assert_eq!(time("2024-05-01"), "2024-05-01T00:00:00Z");
        assert_eq!(time("1714557600"), "2024-05-01T10:00:00Z");
    }

    #[test]
    fn times_outside_all_runs_stand_before_or_behind_them() {
        let time = |text: &str| ask(&format!("end_time={text}")).unwrap().filter.end_time.unwrap();
        for early in ["1970-01-01", "0001-01-01", "0", "-5", "946684799", "30000000000"] {
            assert!(time(early) < Timestamp::MIN_SENT, "{early}");
        }
        for late in ["2100-01-01", "9999-12-31T23:59:59Z", "4102444800", "4102444800000", "99999999999999999999"] {
            assert_eq!(time(late), Timestamp::END_SENT, "{late}");
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_filter() {
        let opened = ask("agent_id=a").unwrap();
        let cursor = Cursor {
            sort: NEWEST_FIRST,
            rank: agenttracer_index::Rank { is_last: false, number: 5 },
            run_id: Uuid::from_u128(6),
            opened_at: Position::new(7),
            filter_hash: opened.filter_hash,
        };
        let text = cursor.encode();
        let asked = ask(&format!("agent_id=a&page=4&page_size=3&cursor={text}")).unwrap();
        assert_eq!((asked.cursor, asked.offset, asked.limit), (Some(cursor), 0, 3));
        assert_eq!(asked.filter.before_position, Some(Position::new(7)));
        assert_eq!(asked.filter_hash, opened.filter_hash);
        assert_eq!(ask(&format!("agent_id=b&cursor={text}")).unwrap_err(), [("cursor".to_owned(), "value_error")]);
    }

    #[test]
    fn a_far_page_does_not_overflow() {
        assert_eq!(ask(&format!("page={}&page_size=100", i64::MAX)).unwrap().offset, u64::MAX);
        assert_eq!(ask("page=9223372036854775808").unwrap_err(), [("page".to_owned(), "int_parsing")]);
    }

    #[test]
    fn steps_are_asked_by_seq() {
        assert_eq!(steps(&QueryString::new("")), Ok(StepsQuery { after_seq: None, limit: 10_000 }));
        let asked = steps(&QueryString::new("after_seq=3&limit=2"));
        assert_eq!(asked, Ok(StepsQuery { after_seq: Some(3), limit: 2 }));
        assert_eq!(steps(&QueryString::new("after_seq=-1&limit=0")).unwrap_err().len(), 2);
    }

    #[test]
    fn a_run_id_is_any_form_of_a_uuid() {
        let id = Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788);
        for text in [id.to_string(), id.simple().to_string(), id.to_string().to_uppercase()] {
            assert_eq!(run_id(&text), Ok(id));
        }
        let errors = run_id("42").unwrap_err();
        assert_eq!(errors[0].loc, [Loc::Name("path".to_owned()), Loc::Name("run_id".to_owned())]);
    }
}
