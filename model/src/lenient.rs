//! The lenient forms in which clients write scalars: datetimes, integers, booleans and floats.
//!
//! Pure functions of the text or the number; the caller knows the place and answers the error. Nothing here keeps or
//! returns the input in an error.

use crate::Timestamp;

/// Why a datetime was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatetimeError {
    /// It is no datetime.
    Malformed,
    /// It is one, but its year is before 2000 or after 2099.
    OutOfRange,
}

/// Why an integer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntError {
    /// It is no number.
    Malformed,
    /// It has a fraction that is not zero.
    Fraction,
    /// It does not fit into an `i64`.
    TooLarge,
}

/// Epoch numbers above this are milliseconds, the others seconds. No date of the accepted years falls between: in
/// seconds they end at 4.1e9, in milliseconds they begin at 9.4e11.
const MILLIS_FROM: f64 = 2e10;

/// The instant that `text` names: ISO-8601 with `Z`, with an offset or naive (= UTC), a date alone (= midnight UTC),
/// or epoch seconds or milliseconds in digits. A fraction is cut after six digits.
///
/// # Errors
/// [`DatetimeError`]
pub fn datetime(text: &str) -> Result<Timestamp, DatetimeError> {
    let text = text.trim_ascii();
    match iso(text.as_bytes()) {
        Some(time) => in_range(time),
        None => epoch_text(text),
    }
}

/// The instant this many epoch seconds, or milliseconds when it is too large for seconds.
///
/// # Errors
/// [`DatetimeError`]
pub fn datetime_of_number(number: f64) -> Result<Timestamp, DatetimeError> {
    if !number.is_finite() {
        return Err(DatetimeError::Malformed);
    }
    let micros = if number.abs() > MILLIS_FROM { number * 1e3 } else { number * 1e6 };
    // A float of today's date in seconds is exact to a quarter of a microsecond, so rounding gives back what was meant.
    // The cast saturates, and what saturates is out of range.
    in_range(Timestamp::from_micros(micros.round() as i64))
}

fn in_range(time: Timestamp) -> Result<Timestamp, DatetimeError> {
    if (Timestamp::MIN_SENT..Timestamp::END_SENT).contains(&time) { Ok(time) } else { Err(DatetimeError::OutOfRange) }
}

/// Epoch seconds or milliseconds in decimal digits, with an optional fraction.
fn epoch_text(text: &str) -> Result<Timestamp, DatetimeError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !plain || !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(DatetimeError::Malformed);
    }
    text.parse().map_err(|_| DatetimeError::Malformed).and_then(datetime_of_number)
}

/// A reader of fixed-width digits.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn eat(&mut self, allowed: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| allowed.contains(byte))?;
        self.0 = &self.0[1..];
        Some(byte)
    }

    /// Exactly `width` digits.
    fn digits(&mut self, width: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(width)?;
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + u32::from(digit - b'0');
        }
        self.0 = rest;
        Some(number)
    }
}

/// `YYYY-MM-DD`, alone or followed by `T`, a space or `_` and `HH:MM[:SS[.fraction]][Z|±HH[[:]MM]]`.
fn iso(text: &[u8]) -> Option<Timestamp> {
    let mut at = Cursor(text);
    let year = at.digits(4)?;
    at.eat(b"-")?;
    let month = at.digits(2)?;
    at.eat(b"-")?;
    let day = at.digits(2)?;
    if at.0.is_empty() {
        return Timestamp::from_civil(i64::from(year), month, day, 0);
    }
    at.eat(b"Tt _")?;
    let hour = at.digits(2)?;
    at.eat(b":")?;
    let minute = at.digits(2)?;
    let (mut second, mut fraction) = (0, 0);
    if at.eat(b":").is_some() {
        second = at.digits(2)?;
        if at.eat(b".,").is_some() {
            fraction = micros_of_fraction(&mut at)?;
        }
    }
    let offset_minutes = offset(&mut at)?;
    if hour > 23 || minute > 59 || second > 59 || !at.0.is_empty() {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second) - offset_minutes * 60;
    Timestamp::from_civil(i64::from(year), month, day, seconds * 1_000_000 + i64::from(fraction))
}

/// At least one digit; those after the sixth are cut.
fn micros_of_fraction(at: &mut Cursor<'_>) -> Option<u32> {
    let (mut micros, mut count) = (0, 0);
    while let Some(digit) = at.peek().filter(u8::is_ascii_digit) {
        if count < 6 {
            micros = micros * 10 + u32::from(digit - b'0');
        }
        count += 1;
        at.0 = &at.0[1..];
    }
    if count == 0 { None } else { Some(micros * 10_u32.pow(6 - count.min(6))) }
}

/// Minutes east of UTC; nothing at all is UTC.
fn offset(at: &mut Cursor<'_>) -> Option<i64> {
    if at.0.is_empty() || at.eat(b"Zz").is_some() {
        return Some(0);
    }
    let sign = if at.eat(b"+-")? == b'-' { -1 } else { 1 };
    let hours = at.digits(2)?;
    let minutes = if at.0.is_empty() {
        0
    } else {
        at.eat(b":");
        at.digits(2)?
    };
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 60 + minutes))
}

/// The integer that `text` names: decimal digits with an optional sign, and an optional fraction of zeros.
///
/// # Errors
/// [`IntError`]
pub fn int(text: &str) -> Result<i64, IntError> {
    let text = text.trim_ascii();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(digits) || !all_digits(fraction) {
        return Err(IntError::Malformed);
    }
    if fraction.bytes().any(|byte| byte != b'0') {
        return Err(IntError::Fraction);
    }
    whole.parse().map_err(|_| IntError::TooLarge)
}

/// The integer that a float without a fraction is.
///
/// # Errors
/// [`IntError`]
pub fn int_of_number(number: f64) -> Result<i64, IntError> {
    if !number.is_finite() {
        return Err(IntError::Malformed);
    }
    if number.fract() != 0.0 {
        return Err(IntError::Fraction);
    }
    // 2^63 is the first float that is too large; -2^63 fits.
    let limit = 9_223_372_036_854_775_808.0;
    if (-limit..limit).contains(&number) { Ok(number as i64) } else { Err(IntError::TooLarge) }
}

/// The truth value that `text` names: true/false, yes/no, on/off, t/f, y/n, 1/0 in any case.
pub fn boolean(text: &str) -> Option<bool> {
    const TRUE: [&str; 6] = ["true", "yes", "on", "t", "y", "1"];
    const FALSE: [&str; 6] = ["false", "no", "off", "f", "n", "0"];
    let among = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if among(&TRUE) {
        Some(true)
    } else if among(&FALSE) {
        Some(false)
    } else {
        None
    }
}

/// The truth value of 1 and 0.
pub fn boolean_of_number(number: f64) -> Option<bool> {
    if number == 1.0 {
        Some(true)
    } else if number == 0.0 {
        Some(false)
    } else {
        None
    }
}

/// The float that `text` names in decimal digits; it can be infinite (`1e400`), and `nan` and `inf` are taken as such.
pub fn float(text: &str) -> Option<f64> {
    text.trim_ascii().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetimes_are_read_in_every_form() {
        for (text, expected) in [
            ("2026-11-22T10:20:30Z", "2026-11-22T10:20:30Z"),
            ("2026-11-22t10:20:30z", "2026-11-22T10:20:30Z"),
            ("2026-11-22 10:20:30", "2026-11-22T10:20:30Z"),
            ("2026-11-22T10:20", "2026-11-22T10:20:00Z"),
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("2026-11-22T10:20:30.5", "2026-11-22T10:20:30.500000Z"),
            ("2026-11-22T10:20:30,123456", "2026-11-22T10:20:30.123456Z"),
            ("2026-11-22T10:20:30.123456789Z", "2026-11-22T10:20:30.123456Z"),
            ("2026-11-22T10:20:30.999999999+00:00", "2026-11-22T10:20:30.999999Z"),
            ("2026-11-22T10:20:30+02:00", "2026-11-22T08:20:30Z"),
            ("2026-11-22T10:20:30-0530", "2026-11-22T15:50:30Z"),
            ("2026-11-22T10:20:30+02", "2026-11-22T08:20:30Z"),
            ("2026-11-22T00:30:00+01:00", "2026-11-21T23:30:00Z"),
            (" 2026-11-22T10:20:30Z ", "2026-11-22T10:20:30Z"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000.25", "2023-11-14T22:13:20.250000Z"),
            ("1700000000123", "2023-11-14T22:13:20.123000Z"),
            ("2000-01-01", "2000-01-01T00:00:00Z"),
            ("2099-12-31T23:59:59.999999Z", "2099-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(datetime(text).map(|time| time.to_string()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_datetime_is_refused() {
        for text in [
            "",
            "x",
            "now",
            "2026",
            "2026-11",
            "2026-13-01",
            "2026-02-29",
            "2026-11-22T",
            "2026-11-22T10",
            "2026-11-22T24:00:00",
            "2026-11-22T10:60:00",
            "2026-11-22T10:20:60",
            "2026-11-22T10:20:30.",
            "2026-11-22T10:20:30X",
            "2026-11-22T10:20:30+",
            "2026-11-22T10:20:30+24:00",
            "2026-11-22T10:20:30+02:60",
            "2026-11-22T10:20:30Z trailing",
            "20261122T102030Z",
            "2026-11-22T10:20:30+02:00Z",
            "é026-11-22",
            "1.2.3",
            "nan",
            "inf",
            "1e9",
            "0x10",
            "-",
            "+",
            ".",
            "１700000000",
        ] {
            assert!(
                matches!(datetime(text), Err(DatetimeError::Malformed | DatetimeError::OutOfRange))
                    && datetime(text).is_err(),
                "{text}"
            );
        }
        assert_eq!(datetime("yesterday"), Err(DatetimeError::Malformed));
        assert_eq!(datetime_of_number(f64::NAN), Err(DatetimeError::Malformed));
        assert_eq!(datetime_of_number(f64::INFINITY), Err(DatetimeError::Malformed));
    }

    #[test]
    fn years_before_2000_and_after_2099_are_out_of_range() {
        for text in
            ["1999-12-31T23:59:59Z", "2100-01-01", "0001-01-01", "9999-12-31", "0", "-1", "99999999999999999999"]
        {
            assert_eq!(datetime(text), Err(DatetimeError::OutOfRange), "{text}");
        }
        // The instant counts, not the year that was written.
        assert_eq!(
            datetime("2100-01-01T00:30:00+01:00").map(|time| time.to_string()).as_deref(),
            Ok("2099-12-31T23:30:00Z")
        );
        assert_eq!(datetime("2000-01-01T00:30:00+01:00"), Err(DatetimeError::OutOfRange));
        for number in [0.0, -5.0, 946_684_799.0, 4_102_444_800.0, 1e300, -1e300, 4_102_444_800_000.0] {
            assert_eq!(datetime_of_number(number), Err(DatetimeError::OutOfRange), "{number}");
        }
    }

    #[test]
    fn epoch_numbers_are_seconds_or_milliseconds() {
        let seconds = datetime_of_number(1_700_000_000.123_456).unwrap();
        assert_eq!(seconds.to_string(), "2023-11-14T22:13:20.123456Z");
        assert_eq!(datetime_of_number(1_700_000_000_123.0).unwrap().to_string(), "2023-11-14T22:13:20.123000Z");
        assert_eq!(datetime_of_number(946_684_800.0), Ok(Timestamp::MIN_SENT));
        assert_eq!(datetime_of_number(946_684_800_000.0), Ok(Timestamp::MIN_SENT));
    }

    #[test]
    fn integers_are_read_from_text_and_floats() {
        for (text, expected) in
            [("5", 5), ("5.0", 5), ("-7", -7), ("+3", 3), (" 12 ", 12), ("007", 7), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(int(text), Ok(expected), "{text}");
        }
        for text in ["", "x", "5.", ".5", "5e3", "1_000", "0x5", "--5", "5 5", "٥", "nan"] {
            assert_eq!(int(text), Err(IntError::Malformed), "{text}");
        }
        assert_eq!(int("5.5"), Err(IntError::Fraction));
        assert_eq!(int("9223372036854775808"), Err(IntError::TooLarge));
        assert_eq!(int_of_number(5.0), Ok(5));
        assert_eq!(int_of_number(-9_223_372_036_854_775_808.0), Ok(i64::MIN));
        assert_eq!(int_of_number(9_223_372_036_854_775_808.0), Err(IntError::TooLarge));
        assert_eq!(int_of_number(0.5), Err(IntError::Fraction));
        assert_eq!(int_of_number(f64::NAN), Err(IntError::Malformed));
    }

    #[test]
    fn booleans_are_read_from_words_and_digits() {
        for word in ["true", "True", "YES", "on", "t", "Y", "1"] {
            assert_eq!(boolean(word), Some(true), "{word}");
        }
        for word in ["false", "FALSE", "no", "Off", "f", "n", "0"] {
            assert_eq!(boolean(word), Some(false), "{word}");
        }
        for word in ["", "2", "yeah", "truе", "null", "-1"] {
            assert_eq!(boolean(word), None, "{word}");
        }
        assert_eq!([1.0, 0.0, 2.0, f64::NAN].map(boolean_of_number), [Some(true), Some(false), None, None]);
    }

    #[test]
    fn floats_are_read_from_text() {
        assert_eq!(float(" 0.5 "), Some(0.5));
        assert_eq!(float("1e-3"), Some(0.001));
        assert_eq!(float("half"), None);
        assert!(float("nan").is_some_and(f64::is_nan));
    }
}
