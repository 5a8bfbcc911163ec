//! What a request asks, read leniently from its query string. All errors of a request are collected, none of them
//! repeats the input, and unknown parameters are ignored. An empty value is no value. Of a parameter that takes one
//! value the last counts; of a filter that is repeated any value may match.

use agenttracer_index::Filter;
use agenttracer_model::lenient::{self, DatetimeError};
use agenttracer_model::taxonomy::{FailureType, RunStatus};
use agenttracer_model::{FieldError, Loc, Timestamp};
use uuid::Uuid;

use crate::cursor::{Cursor, filter_hash};
use crate::query_string::QueryString;

/// The largest `page_size`, and the largest `limit` of a page of runs.
pub(crate) const MAX_PAGE_SIZE: u64 = 100;
const DEFAULT_PAGE_SIZE: u64 = 20;
/// The largest `limit` of a page of steps: a run has no more.
const MAX_STEPS: u64 = 10_000;

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
        _ => {}
    }
    let cursor = cursor.flatten();
    filter.before_position = cursor.map(|cursor| cursor.opened_at);
    let offset = if cursor.is_some() { 0 } else { (page - 1).saturating_mul(limit) };
    reader.finish(RunsQuery { filter, filter_hash, offset, limit: limit as usize, cursor, view })
}

/// Reads the parameters of `GET /v1/stats`: the filters of the list.
pub(crate) fn stats(query: &QueryString<'_>) -> Result<Filter, Vec<FieldError>> {
    let mut reader = Reader { query, errors: Vec::new() };
    let filter = reader.filter();
    reader.finish(filter)
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
        filter.live = self.boolean("live").unwrap_or(false);
        filter
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
        let text = self.query.last(name)?;
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
            Err(DatetimeError::Malformed) => {
                self.refuse(name, "datetime_parsing", "Input should be a valid datetime".to_owned())
            }
        }
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
            started_at: Timestamp::from_micros(5),
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
