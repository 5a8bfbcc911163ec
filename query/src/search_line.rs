//! The search line `q=`: what a person types into one field. `docs/search.md` is its grammar.
//!
//! ```text
//! line      = { white space | condition }
//! condition = ["-"] ( field ":" value { "," value } | word )
//! value     = [">" | ">=" | "<" | "<="] text [".." text]      comparisons and ranges: numbers and times only
//! word      = text
//! text      = (plain | quoted) ["*"]
//! quoted    = '"' { character | '\"' | '\\' } '"'
//! ```
//!
//! All conditions have to hold; a minus in front of one turns it; values behind a comma are alternatives. Errors name
//! the column, in characters from 1, and never repeat what was typed.

use std::ops::RangeInclusive;

use agenttracer_index::Filter;
use agenttracer_index::filter::{Condition, Name, NameTest, NumberField, Test};
use agenttracer_model::taxonomy::{
    DecisionType, FailureType, REASON_CODES, ReasonCode, RunStatus, SIGNAL_CODES, SignalCode, SignalType, StepType,
};
use agenttracer_model::{Timestamp, fact_of_text, lenient};
use uuid::Uuid;

/// The longest line, in bytes.
const MAX_BYTES: usize = 2000;
/// The most conditions of a line.
const MAX_CONDITIONS: usize = 32;
/// The most alternatives of a condition.
const MAX_VALUES: usize = 32;

/// What is wrong with a line, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineError {
    /// The character it is about, from 1; one behind the end when something is missing there.
    pub(crate) column: usize,
    /// What is wrong; holds nothing of the line.
    pub(crate) what: String,
}

/// Adds the conditions of `line` to `filter`.
///
/// # Errors
/// Everything that is wrong with the line, in its order; then `filter` holds some of the conditions.
pub(crate) fn parse(line: &str, filter: &mut Filter) -> Result<(), Vec<LineError>> {
    if line.len() > MAX_BYTES {
        return Err(vec![LineError { column: 1, what: format!("a search line has at most {MAX_BYTES} bytes") }]);
    }
    let mut reader = Reader { rest: line.chars().collect(), at: 0 };
    let (mut errors, mut conditions) = (Vec::new(), 0);
    loop {
        reader.skip_white_space();
        if reader.is_at_end() {
            break;
        }
        conditions += 1;
        if conditions > MAX_CONDITIONS {
            errors.push(reader.error(format!("a search line has at most {MAX_CONDITIONS} conditions")));
            break;
        }
        if let Err(error) = reader.condition(filter) {
            errors.push(error);
            reader.skip_condition();
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The fields of a line and what their values are.
#[derive(Clone, Copy)]
enum Field {
    /// Any text.
    Open(Name),
    /// One of a closed list of a run's own names.
    Closed(Name, fn() -> Vec<&'static str>),
    DecisionType,
    Reason,
    Signal,
    Parent,
    Cluster,
    Number(NumberField),
    Duration,
    Started,
}

/// The short name, the name of the parameter, and the field.
const FIELDS: &[(&str, &str, Field)] = &[
    ("agent", "agent_id", Field::Open(Name::AgentId)),
    ("version", "agent_version", Field::Open(Name::AgentVersion)),
    ("env", "environment", Field::Open(Name::Environment)),
    ("status", "status", Field::Closed(Name::Status, || RunStatus::ALL.iter().map(|value| value.as_str()).collect())),
    ("code", "failure_code", Field::Open(Name::FailureCode)),
    (
        "failure",
        "failure_type",
        Field::Closed(Name::FailureType, || FailureType::ALL.iter().map(|value| value.as_str()).collect()),
    ),
    ("cluster", "failure_cluster", Field::Cluster),
    ("step", "step_name", Field::Open(Name::StepName)),
    ("type", "step_type", Field::Closed(Name::StepType, || StepType::ALL.iter().map(|value| value.as_str()).collect())),
    ("decision", "decision_type", Field::DecisionType),
    ("reason", "reason_code", Field::Reason),
    ("signal", "signal_code", Field::Signal),
    ("session", "session_id", Field::Open(Name::SessionId)),
    ("parent", "parent_run_id", Field::Parent),
    ("duration", "duration_ms", Field::Duration),
    ("steps", "step_count", Field::Number(NumberField::StepCount)),
    ("retries", "retry_count", Field::Number(NumberField::RetryCount)),
    ("started", "started_at", Field::Started),
];

/// A value as it was written.
struct Text {
    column: usize,
    text: String,
    /// A `*` stands behind it.
    begins: bool,
    quoted: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    Above,
    AtLeast,
    Below,
    AtMost,
}

struct Reader {
    rest: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn is_at_end(&self) -> bool {
        self.at == self.rest.len()
    }

    fn skip_white_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Goes on behind a condition that is wrong.
    fn skip_condition(&mut self) {
        while self.peek().is_some_and(|next| !next.is_whitespace()) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn error(&self, what: impl Into<String>) -> LineError {
        at(self.at + 1, what)
    }

    fn condition(&mut self, filter: &mut Filter) -> Result<(), LineError> {
        let negated = self.take('-');
        if self.peek().is_none_or(char::is_whitespace) {
            return Err(self.error("a condition must stand right behind the minus"));
        }
        let Some((field, name)) = self.field()? else {
            let word = self.text(&[])?;
            if word.text.is_empty() {
                return Err(at(word.column, "a word is missing"));
            }
            filter.conditions.push(Condition { negated, test: Test::Any(word_tests(word)) });
            return Ok(());
        };
        let mut tests = Vec::new();
        for count in 1.. {
            if count > MAX_VALUES {
                return Err(self.error(format!("a condition has at most {MAX_VALUES} values")));
            }
            let comparison = self.comparison();
            let value = self.text(&[','])?;
            if value.text.is_empty() && !value.quoted {
                return Err(at(value.column, "a value is missing"));
            }
            if let Some(condition) = self.measured(field, comparison, &value, negated, filter)? {
                filter.conditions.extend(condition.0);
                if self.peek() == Some(',') {
                    return Err(self.error("a number or a time has no alternatives: use a range, as in 2..5"));
                }
                return Ok(());
            }
            if comparison != Comparison::Equal {
                return Err(at(
                    value.column,
                    "only numbers and times can be compared: duration, steps, retries, started",
                ));
            }
            named(field, &name, &value, &mut tests)?;
            if !self.take(',') {
                break;
            }
        }
        filter.conditions.push(Condition { negated, test: Test::Any(tests) });
        Ok(())
    }

    /// The field in front of a colon, with the metadata key; `None` when a word stands here.
    fn field(&mut self) -> Result<Option<(Option<Field>, String)>, LineError> {
        let name: String =
            self.rest[self.at..].iter().take_while(|c| !c.is_whitespace() && !matches!(**c, ':' | '"')).collect();
        let len = name.chars().count();
        if self.rest.get(self.at + len) != Some(&':') {
            return Ok(None);
        }
        let column = self.at + 1;
        if let Some(key) = name.strip_prefix("meta.") {
            if key.is_empty() {
                return Err(at(column, "a metadata key is missing, as in meta.model:"));
            }
            self.at += len + 1;
            return Ok(Some((None, key.to_owned())));
        }
        let known = FIELDS.iter().find(|(short, long, _)| *short == name || *long == name);
        let Some((_, _, field)) = known else {
            let names: Vec<_> = FIELDS.iter().map(|(short, _, _)| *short).collect();
            let what = format!(
                "unknown field; there are {}, meta.KEY. Put the text in quotation marks if it is meant as a word",
                names.join(", ")
            );
            return Err(at(column, what));
        };
        self.at += len + 1;
        Ok(Some((Some(*field), name)))
    }

    fn comparison(&mut self) -> Comparison {
        let equal_behind = self.rest.get(self.at + 1) == Some(&'=');
        let (comparison, len) = match (self.peek(), equal_behind) {
            (Some('>'), true) => (Comparison::AtLeast, 2),
            (Some('>'), false) => (Comparison::Above, 1),
            (Some('<'), true) => (Comparison::AtMost, 2),
            (Some('<'), false) => (Comparison::Below, 1),
            _ => (Comparison::Equal, 0),
        };
        self.at += len;
        comparison
    }

    /// A plain or quoted text up to white space or one of `ends`.
    fn text(&mut self, ends: &[char]) -> Result<Text, LineError> {
        let column = self.at + 1;
        let mut text = String::new();
        let quoted = self.take('"');
        if quoted {
            loop {
                match self.peek() {
                    None => return Err(at(column, "the quotation mark is not closed")),
                    Some('"') => break,
                    Some('\\') => {
                        self.at += 1;
                        match self.peek() {
                            Some(escaped @ ('"' | '\\')) => text.push(escaped),
                            _ => return Err(self.error("only \\\" and \\\\ can stand behind a backslash")),
                        }
                    }
                    Some(other) => text.push(other),
                }
                self.at += 1;
            }
            self.at += 1;
        } else {
            while let Some(next) = self.peek().filter(|next| !next.is_whitespace() && !ends.contains(next)) {
                if next == '"' {
                    return Err(self.error("a quotation mark must stand at the beginning of a value"));
                }
                text.push(next);
                self.at += 1;
            }
        }
        let begins = if quoted { self.take('*') } else { text.ends_with('*') };
        if begins && !quoted {
            text.pop();
        }
        if !quoted && text.contains('*') {
            let place = text.chars().position(|c| c == '*').unwrap_or(0);
            return Err(at(column + place, "a * can only stand at the end"));
        }
        if begins && text.is_empty() {
            return Err(at(column, "a * needs a beginning in front of it"));
        }
        if self.peek().is_some_and(|next| !next.is_whitespace() && !ends.contains(&next)) {
            return Err(self.error("white space or a comma is missing behind the value"));
        }
        Ok(Text { column, text, begins, quoted })
    }

    /// The condition of a number or a time; `None` when the field is none. A time narrows the filter itself.
    fn measured(
        &self,
        field: Option<Field>,
        comparison: Comparison,
        value: &Text,
        negated: bool,
        filter: &mut Filter,
    ) -> Result<Option<Measured>, LineError> {
        let (number, read): (NumberField, fn(&str) -> Option<u64>) = match field {
            Some(Field::Duration) => (NumberField::DurationMs, milliseconds),
            Some(Field::Number(number)) => (number, |text| text.parse().ok()),
            Some(Field::Started) => {
                let days = range(comparison, value, time, |day| (*day.start(), *day.end()))?;
                narrow(filter, days, negated);
                return Ok(Some(Measured(None)));
            }
            _ => return Ok(None),
        };
        let expected = if number == NumberField::DurationMs {
            "a duration is expected, as 250, 250ms, 2s, 1.5m or 1h"
        } else {
            "a whole number is expected"
        };
        let read = |text: &str| read(text).map(|number| number..=number).ok_or(expected);
        let numbers = range(comparison, value, read, |number| (*number.start(), *number.end()))?;
        let numbers = numbers.unwrap_or(RangeInclusive::new(1, 0));
        Ok(Some(Measured(Some(Condition { negated, test: Test::Number(number, numbers) }))))
    }
}

/// What became of a number or a time: a condition, unless the filter was narrowed.
struct Measured(Option<Condition>);

/// Steps of one, for bounds that do not include their number.
trait Bounded: Copy + PartialOrd {
    const MIN: Self;
    const MAX: Self;
    fn above(self) -> Option<Self>;
    fn below(self) -> Option<Self>;
}

impl Bounded for u64 {
    const MIN: Self = 0;
    const MAX: Self = Self::MAX;
    fn above(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn below(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

impl Bounded for Timestamp {
    const MIN: Self = Self::from_micros(i64::MIN);
    const MAX: Self = Self::from_micros(i64::MAX);
    fn above(self) -> Option<Self> {
        self.as_micros().checked_add(1).map(Self::from_micros)
    }
    fn below(self) -> Option<Self> {
        self.as_micros().checked_sub(1).map(Self::from_micros)
    }
}

/// The range that a comparison or `a..b` means, where one text stands for a range itself (a date for its day); `None`
/// when nothing lies in it.
fn range<T: Bounded>(
    comparison: Comparison,
    value: &Text,
    read: impl Fn(&str) -> Result<RangeInclusive<T>, &'static str>,
    ends: impl Fn(&RangeInclusive<T>) -> (T, T),
) -> Result<Option<RangeInclusive<T>>, LineError> {
    if value.begins {
        return Err(at(value.column, "a number or a time takes no *"));
    }
    let read = |text: &str, column: usize| read(text).map(|range| ends(&range)).map_err(|what| at(column, what));
    if let Some((low, high)) = value.text.split_once("..") {
        if comparison != Comparison::Equal {
            return Err(at(value.column, "a range takes no comparison in front of it"));
        }
        let behind = value.column + low.chars().count() + 2;
        let low = if low.is_empty() { T::MIN } else { read(low, value.column)?.0 };
        let high = if high.is_empty() { T::MAX } else { read(high, behind)?.1 };
        return Ok((low <= high).then_some(low..=high));
    }
    let (first, last) = read(&value.text, value.column)?;
    Ok(match comparison {
        Comparison::Equal => Some(first..=last),
        Comparison::Above => last.above().map(|low| low..=T::MAX),
        Comparison::AtLeast => Some(first..=T::MAX),
        Comparison::Below => first.below().map(|high| T::MIN..=high),
        Comparison::AtMost => Some(T::MIN..=last),
    })
}

/// Lets only runs of these times through, or only the others.
fn narrow(filter: &mut Filter, times: Option<RangeInclusive<Timestamp>>, negated: bool) {
    let Some(times) = times else {
        filter.nothing |= !negated;
        return;
    };
    let (first, last) = (*times.start(), *times.end());
    let (first, last) = match (negated, first == Timestamp::MIN, last == Timestamp::MAX) {
        (false, _, _) => (first, last),
        (true, true, true) => {
            filter.nothing = true;
            return;
        }
        (true, true, false) => (last.above().unwrap_or(Timestamp::MAX), Timestamp::MAX),
        (true, false, true) => (Timestamp::MIN, first.below().unwrap_or(Timestamp::MIN)),
        // What lies on both sides of a range is no range.
        (true, false, false) => {
            filter.not_started.push(times);
            return;
        }
    };
    if first != Timestamp::MIN {
        filter.start_time = Some(filter.start_time.map_or(first, |start| start.max(first)));
    }
    if last != Timestamp::MAX {
        filter.end_time = Some(filter.end_time.map_or(last, |end| end.min(last)));
    }
}

/// The tests of a bare word.
fn word_tests(word: Text) -> Vec<NameTest> {
    if !word.begins {
        return vec![NameTest::Word(word.text)];
    }
    [Name::AgentId, Name::AgentVersion, Name::Environment, Name::StepName, Name::FailureCode]
        .map(|name| NameTest::Begins(name, word.text.clone()))
        .into()
}

/// The tests of one value of a name.
fn named(field: Option<Field>, key: &str, value: &Text, tests: &mut Vec<NameTest>) -> Result<(), LineError> {
    let text = value.text.as_str();
    let chosen = |known: &[&'static str]| choose(value, known);
    match field {
        None if value.begins => tests.push(NameTest::FactBegins(key.to_owned(), text.to_owned())),
        None => {
            tests.push(NameTest::Fact(key.to_owned(), text.to_owned()));
            let number = fact_of_text(text);
            if number != text {
                tests.push(NameTest::Fact(key.to_owned(), number.into_owned()));
            }
        }
        Some(Field::Open(name)) if value.begins => tests.push(NameTest::Begins(name, text.to_owned())),
        Some(Field::Open(name)) => tests.push(NameTest::Is(name, text.to_owned())),
        Some(Field::Closed(name, known)) => {
            tests.extend(chosen(&known())?.into_iter().map(|known| NameTest::Is(name, known.to_owned())));
        }
        Some(Field::DecisionType) => {
            let types: Vec<_> = DecisionType::ALL.iter().map(|value| value.as_str()).collect();
            let types = chosen(&types)?;
            let rows = REASON_CODES.iter().filter(|row| types.contains(&row.decision_type.as_str()));
            tests.extend(rows.filter_map(|row| ReasonCode::from_tag(row.tag)).map(NameTest::Reason));
        }
        Some(Field::Reason) => {
            let codes: Vec<_> = REASON_CODES.iter().map(|row| row.code).collect();
            let codes = chosen(&codes)?;
            let rows = REASON_CODES.iter().filter(|row| codes.contains(&row.code));
            tests.extend(rows.filter_map(|row| ReasonCode::from_tag(row.tag)).map(NameTest::Reason));
        }
        Some(Field::Signal) => signal(value, tests)?,
        Some(Field::Parent) => match Uuid::try_parse(text) {
            Ok(id) if !value.begins => tests.push(NameTest::Parent(id)),
            _ => return Err(at(value.column, "a run id is expected, which is a UUID")),
        },
        Some(Field::Cluster) => match parse_cluster(text) {
            Some(cluster) if !value.begins => tests.push(NameTest::Cluster(cluster)),
            _ => {
                return Err(at(
                    value.column,
                    "a cluster is expected: 16 hexadecimal digits, as /v1/failures gives them",
                ));
            }
        },
        Some(Field::Number(_) | Field::Duration | Field::Started) => {}
    }
    Ok(())
}

/// Reads the signature of a cluster of failures.
pub(crate) fn parse_cluster(text: &str) -> Option<u64> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// A type or a code of signals, with `=true` or `=false` behind it when the value matters.
fn signal(value: &Text, tests: &mut Vec<NameTest>) -> Result<(), LineError> {
    let (name, wanted) = match value.text.rsplit_once('=') {
        Some((name, "true")) => (name, Some(true)),
        Some((name, "false")) => (name, Some(false)),
        Some((name, _)) => {
            let column = value.column + name.chars().count() + 1;
            return Err(at(column, "true or false is expected behind the ="));
        }
        None => (value.text.as_str(), None),
    };
    let mut known: Vec<_> = SignalType::ALL.iter().map(|value| value.as_str()).collect();
    known.extend(SIGNAL_CODES.iter().map(|row| row.code));
    let name = Text { column: value.column, text: name.to_owned(), begins: value.begins, quoted: value.quoted };
    let names = choose(&name, &known)?;
    for row in SIGNAL_CODES.iter().filter(|row| names.contains(&row.code) || names.contains(&row.signal_type.as_str()))
    {
        let Some(code) = SignalCode::from_tag(row.tag) else { continue };
        let values = [true, false].into_iter().filter(|value| wanted.is_none_or(|wanted| wanted == *value));
        tests.extend(values.map(|value| NameTest::Signal(code, value)));
    }
    Ok(())
}

/// Which values of a closed list are meant.
fn choose(value: &Text, known: &[&'static str]) -> Result<Vec<&'static str>, LineError> {
    let meant = |name: &&&'static str| match value.begins {
        true => name.starts_with(&value.text),
        false => **name == value.text,
    };
    let chosen: Vec<_> = known.iter().filter(meant).copied().collect();
    if chosen.is_empty() {
        return Err(at(value.column, format!("no such value; there are {}", known.join(", "))));
    }
    Ok(chosen)
}

/// A duration in ms: a number with `ms` (or nothing), `s`, `m` or `h` behind it.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "ms" => 1.0,
        "s" => 1e3,
        "m" | "min" => 60e3,
        "h" => 3_600e3,
        _ => return None,
    };
    let ms = number.parse::<f64>().ok()? * unit;
    // Beyond this, numbers of ms are no longer exact; it is 285,000 years.
    (0.0..9e15).contains(&ms).then_some(ms.round() as u64)
}

/// A time, or all of a day.
fn time(text: &str) -> Result<RangeInclusive<Timestamp>, &'static str> {
    const EXPECTED: &str = "a time is expected, as 2026-11-22, 2026-11-22T10:00 or 2026-11-22T10:00:00Z";
    let is_date = text.len() == 10 && text.bytes().filter(|byte| *byte == b'-').count() == 2;
    // Without seconds, as people write it.
    let with_seconds = match text.split_once('T') {
        Some((_, time)) if time.len() == 5 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    let begin = lenient::datetime(&with_seconds).map_err(|_| EXPECTED)?;
    let end = if is_date { Timestamp::from_micros(begin.as_micros() + 86_400_000_000 - 1) } else { begin };
    Ok(begin..=end)
}

fn at(column: usize, what: impl Into<String>) -> LineError {
    LineError { column, what: what.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conditions(line: &str) -> Vec<Condition> {
        let mut filter = Filter::default();
        parse(line, &mut filter).unwrap_or_else(|errors| panic!("{line}: {errors:?}"));
        filter.conditions
    }

    fn any(tests: Vec<NameTest>) -> Condition {
        Condition { negated: false, test: Test::Any(tests) }
    }

    fn is(name: Name, text: &str) -> NameTest {
        NameTest::Is(name, text.to_owned())
    }

    #[track_caller]
    fn wrong(line: &str, column: usize, part: &str) {
        let errors = parse(line, &mut Filter::default()).unwrap_err();
        assert_eq!(errors[0].column, column, "{line}: {errors:?}");
        assert!(errors[0].what.contains(part), "{line}: {errors:?}");
    }

    #[test]
    fn the_line_of_the_contract_is_read() {
        let line = "agent:support version:1.4* code:timeout -env:dev duration:>2s step:billing_api";
        let expected = vec![
            any(vec![is(Name::AgentId, "support")]),
            any(vec![NameTest::Begins(Name::AgentVersion, "1.4".to_owned())]),
            any(vec![is(Name::FailureCode, "timeout")]),
            Condition { negated: true, test: Test::Any(vec![is(Name::Environment, "dev")]) },
            Condition { negated: false, test: Test::Number(NumberField::DurationMs, 2001..=u64::MAX) },
            any(vec![is(Name::StepName, "billing_api")]),
        ];
        assert_eq!(conditions(line), expected);
        assert_eq!(conditions("  "), []);
    }

    #[test]
    fn names_quotes_and_alternatives() {
        assert_eq!(conditions("billing"), [any(vec![NameTest::Word("billing".to_owned())])]);
        assert_eq!(conditions(r#""a:b \"c\" \\ *""#), [any(vec![NameTest::Word(r#"a:b "c" \ *"#.to_owned())])]);
        assert_eq!(
            conditions(r#"step:"fetch page","a,b"*,c"#),
            [any(vec![
                is(Name::StepName, "fetch page"),
                NameTest::Begins(Name::StepName, "a,b".to_owned()),
                is(Name::StepName, "c"),
            ])]
        );
        assert_eq!(conditions("failure:t*"), [any(vec![is(Name::FailureType, "tool")])]);
        assert_eq!(conditions("agent_id:x"), conditions("agent:x"));
        assert_eq!(conditions("agent:http://x:80"), [any(vec![is(Name::AgentId, "http://x:80")])]);
        let Test::Any(tests) = &conditions("signal:timeout=false")[0].test else { panic!() };
        assert_eq!(tests.len(), 1);
        let Test::Any(tests) = &conditions("signal:schema_valid")[0].test else { panic!() };
        assert_eq!(tests.len(), 8);
        let fact = |value: &str| NameTest::Fact("rank".to_owned(), value.to_owned());
        assert_eq!(conditions("meta.rank:5.0"), [any(vec![fact("5.0"), fact("5")])]);
        assert_eq!(conditions("meta.rank:5"), [any(vec![fact("5")])]);
        let Test::Any(tests) = &conditions("bill*")[0].test else { panic!() };
        assert_eq!(tests.len(), 5);
    }

    #[test]
    fn numbers_and_their_units() {
        let number = |line: &str| match conditions(line).remove(0) {
            Condition { test: Test::Number(_, range), .. } => range,
            other => panic!("{other:?}"),
        };
        for (line, range) in [
            ("duration:250", 250..=250),
            ("duration:>=1.5s", 1500..=u64::MAX),
            ("duration:<2m", 0..=119_999),
            ("duration:<=1h", 0..=3_600_000),
            ("duration:1s..2s", 1000..=2000),
            ("duration:..2s", 0..=2000),
            ("steps:3..", 3..=u64::MAX),
            ("retries:>0", 1..=u64::MAX),
        ] {
            assert_eq!(number(line), range, "{line}");
        }
        assert!(number("steps:<0").is_empty());
        assert!(number("steps:9..3").is_empty());
    }

    #[test]
    fn times_narrow_the_filter() {
        let times = |line: &str| {
            let mut filter = Filter::default();
            parse(line, &mut filter).unwrap();
            assert!(filter.conditions.is_empty());
            (filter.start_time.map(|time| time.to_string()), filter.end_time.map(|time| time.to_string()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(times("started:2026-11-22"), (some("2026-11-22T00:00:00Z"), some("2026-11-22T23:59:59.999999Z")));
        assert_eq!(times("started:>2026-11-22"), (some("2026-11-23T00:00:00Z"), None));
        assert_eq!(times("started:>=2026-11-22T10:00"), (some("2026-11-22T10:00:00Z"), None));
        assert_eq!(times("-started:>=2026-11-22"), (None, some("2026-11-21T23:59:59.999999Z")));
        let both = times("started:2026-11-01..2026-11-09 started:<2026-11-05 started:>=2026-10-01");
        assert_eq!(both, (some("2026-11-01T00:00:00Z"), some("2026-11-04T23:59:59.999999Z")));
        let mut filter = Filter::default();
        parse("-started:2026-11-22", &mut filter).unwrap();
        assert_eq!((filter.not_started.len(), filter.start_time, filter.end_time), (1, None, None));
    }

    #[test]
    fn errors_name_their_column() {
        wrong("agent:a nonsense:b", 9, "unknown field; there are agent, version");
        wrong("agent:", 7, "a value is missing");
        wrong("agent:a,", 9, "a value is missing");
        wrong("ab -", 5, "right behind the minus");
        wrong("ab -  cd", 5, "right behind the minus");
        wrong(r#"step:"open"#, 6, "not closed");
        wrong(r#"step:"a\n""#, 9, "backslash");
        wrong(r#"step:"a"b"#, 9, "white space or a comma");
        wrong(r#"step:a"b""#, 7, "at the beginning");
        wrong("status:sideways", 8, "success, failure, partial, running");
        wrong("agent:a*b", 8, "only stand at the end");
        wrong("agent:*", 7, "needs a beginning");
        wrong("duration:>2x", 11, "250ms");
        wrong("steps:1.5", 7, "whole number");
        wrong("steps:1..x", 10, "whole number");
        wrong("steps:>1..2", 8, "no comparison");
        wrong("steps:1,2", 8, "no alternatives");
        wrong("agent:>b", 8, "only numbers and times");
        wrong("started:yesterday", 9, "2026-11-22");
        wrong("parent:x", 8, "UUID");
        wrong("cluster:12", 9, "16 hexadecimal");
        wrong("signal:timeout=maybe", 16, "true or false");
        wrong("meta.:x", 1, "metadata key");
        wrong("ü:1 x", 1, "unknown field");
        wrong("süß status:x", 12, "success");
        wrong(&"x ".repeat(40), 65, "at most 32 conditions");
        wrong(&"x".repeat(2001), 1, "at most 2000 bytes");
        // All of them are told.
        let errors = parse("status:x agent:a steps:y", &mut Filter::default()).unwrap_err();
        assert_eq!(errors.iter().map(|error| error.column).collect::<Vec<_>>(), [8, 24]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_line_makes_it_panic_and_columns_lie_in_it(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-z]{1,6}", ".{0,5}", Just(" ".to_owned()), "[-:,*\"\\\\<>=.]{1,3}", "[0-9]{1,20}",
                    prop::sample::select(vec!["agent:", "duration:", "started:", "signal:", "meta.a:", "steps:", "-", "..", "2026-11-22", "\u{1f600}"])
                        .prop_map(str::to_owned),
                ],
                0..12,
            ),
        ) {
            let line = parts.concat();
            let mut filter = Filter::default();
            match parse(&line, &mut filter) {
                Ok(()) => prop_assert!(filter.conditions.len() <= MAX_CONDITIONS),
                Err(errors) => {
                    prop_assert!(!errors.is_empty());
                    for error in &errors {
                        prop_assert!((1..=line.chars().count() + 1).contains(&error.column), "{line:?}: {error:?}");
                    }
                }
            }
        }

        #[test]
        fn what_is_quoted_comes_back(text in "[^\\p{Cc}]{1,20}") {
            let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(conditions(&format!("agent:{quoted}")), [any(vec![is(Name::AgentId, &text)])]);
            prop_assert_eq!(conditions(&quoted), [any(vec![NameTest::Word(text)])]);
        }
    }
}
