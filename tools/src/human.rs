//! Numbers, times and names as people read them.

use std::time::Duration;

use chrono::{DateTime, Datelike, Local, TimeZone, Utc};
use console::{measure_text_width, truncate_str};

/// A time in milliseconds: `12 ms`, `1.32 s`, `15.0 min`, `2.0 h`.
pub(crate) fn ms(value: f64) -> String {
    let size = value.abs();
    match size {
        size if size >= 3_600_000.0 => format!("{:.1} h", value / 3_600_000.0),
        size if size >= 600_000.0 => format!("{:.1} min", value / 60_000.0),
        size if size >= 1000.0 => format!("{:.2} s", value / 1000.0),
        _ => format!("{value:.0} ms"),
    }
}

/// As [`ms`], of a whole number.
pub(crate) fn whole_ms(value: u64) -> String {
    ms(value as f64)
}

/// A share in percent: `6.4 %`. What is not quite all, or not quite nothing, is not said to be so.
pub(crate) fn percent(value: f64) -> String {
    match value {
        value if value > 0.0 && value < 0.05 => "<0.1 %".to_owned(),
        value if (99.95..100.0).contains(&value) => ">99.9 %".to_owned(),
        _ => format!("{value:.1} %"),
    }
}

/// `part` of `whole` in percent.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { percent(100.0 * part as f64 / whole as f64) }
}

/// `1204` as `1,204`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many of something: `1 run`, `2,400 runs`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// The text, or as much of it as fits into so many columns of a terminal.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width { text.to_owned() } else { truncate_str(text, width, "…").into_owned() }
}

/// The text without what a terminal takes as an order, and without marks that turn the direction of writing.
pub(crate) fn clean(text: &str) -> String {
    let is_plain = |char: &char| {
        !char.is_control()
            && !matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(is_plain).collect()
}

/// A line of words, broken so that none is wider than `width`.
pub(crate) fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + 1 + measure_text_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// In which zone times are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    Local,
    Utc,
}

impl Zone {
    pub(crate) const fn of(utc: bool) -> Self {
        if utc { Self::Utc } else { Self::Local }
    }

    /// The whole time: `2026-11-25 08:14:03`, with a `Z` behind it in UTC.
    pub(crate) fn time(self, time: DateTime<Utc>) -> String {
        match self {
            Self::Local => time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string(),
            Self::Utc => time.format("%Y-%m-%d %H:%M:%SZ").to_string(),
        }
    }

    /// The time of day: `08:14:03`.
    pub(crate) fn clock(self, time: DateTime<Utc>) -> String {
        Short { zone: self, format: "%H:%M:%S" }.time(time)
    }

    /// How to write times of which these are the first and the last: no more of them than tells them apart.
    pub(crate) fn short(self, times: impl IntoIterator<Item = DateTime<Utc>>) -> Short {
        let now = Utc::now();
        let (mut same_day, mut same_year) = (true, true);
        let day = |time: DateTime<Utc>| match self {
            Self::Local => time.with_timezone(&Local).date_naive(),
            Self::Utc => time.date_naive(),
        };
        for time in times {
            same_day &= day(time) == day(now);
            same_year &= day(time).year() == day(now).year();
        }
        Short {
            zone: self,
            format: if same_day {
                "%H:%M:%S"
            } else if same_year {
                "%m-%d %H:%M"
            } else {
                "%Y-%m-%d %H:%M"
            },
        }
    }
}

/// A way to write times in short.
#[derive(Clone, Copy)]
pub(crate) struct Short {
    zone: Zone,
    format: &'static str,
}

impl Short {
    pub(crate) fn time(self, time: DateTime<Utc>) -> String {
        match self.zone {
            Zone::Local => Local.from_utc_datetime(&time.naive_utc()).format(self.format).to_string(),
            Zone::Utc => format!("{}Z", time.format(self.format)),
        }
    }
}

/// How long ago something was: `3 min ago`.
pub(crate) fn ago(time: DateTime<Utc>) -> String {
    let seconds = (Utc::now() - time).num_seconds();
    match seconds {
        ..=0 => "now".to_owned(),
        1..=119 => format!("{seconds} s ago"),
        120..=7199 => format!("{} min ago", seconds / 60),
        7200..=172_799 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Reads a length of time: `250ms`, `2s`, `1.5s`, `10m`, `2h`; a bare number is milliseconds, as in the API.
pub(crate) fn parse_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no length of time: write it as 250ms, 2s, 10m or 2h");
    let units = [("ms", 1.0), ("s", 1000.0), ("m", 60_000.0), ("h", 3_600_000.0), ("", 1.0)];
    let (number, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit))).ok_or_else(wrong)?;
    let value = number.parse::<f64>().map_err(|_| wrong())? * unit;
    // As far as a float counts milliseconds one by one.
    if (0.0..=9e15).contains(&value) { Ok(value.round() as u64) } else { Err(wrong()) }
}

/// Reads a point in time: as the API does, or counted back from now as `90m`, `24h` or `7d`. Gives what the API is asked.
pub(crate) fn parse_time(text: &str) -> Result<String, String> {
    if let Ok(agenttracer_server::config::Age(age)) = text.parse() {
        let micros = i64::try_from(Duration::as_micros(&age)).unwrap_or(i64::MAX);
        let time = Utc::now().checked_sub_signed(chrono::Duration::microseconds(micros));
        let time = time.filter(|time| time.year() >= 2000).ok_or_else(|| format!("`{text}` ago was before 2000"))?;
        return Ok(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
    }
    let condition = ("start_time".to_owned(), text.to_owned());
    match agenttracer_query::filter_of(std::slice::from_ref(&condition)) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            Err(format!("`{text}` is no time: write it as 2026-11-25, 2026-11-25T08:00:00Z, or back from now as 24h"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 12, 999, 1204, 1_000_000].map(grouped), ["0", "12", "999", "1,204", "1,000,000"]);
        assert_eq!([0.0, 0.01, 6.44, 99.99, 100.0].map(percent), ["0.0 %", "<0.1 %", "6.4 %", ">99.9 %", "100.0 %"]);
        assert_eq!([count(1, "run", "runs"), count(2400, "run", "runs")], ["1 run", "2,400 runs"]);
        assert_eq!(share(0, 0), "-");
    }

    #[test]
    fn text_fits_and_cannot_draw() {
        assert_eq!(shortened("tool_selection", 9), "tool_sel…");
        assert_eq!(shortened("計画計画", 5), "計画…");
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c\n"), "a[31mbc");
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
    }

    #[test]
    fn lengths_of_time_are_read() {
        for (text, ms) in [("250", 250), ("250ms", 250), ("1.5s", 1500), ("10m", 600_000), ("2h", 7_200_000), ("0", 0)]
        {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "s", "-1s", "2 weeks", "NaN", "1e99"] {
            assert!(parse_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn points_in_time_are_read() {
        assert_eq!(parse_time("2026-11-25"), Ok("2026-11-25".to_owned()));
        let hour_ago: DateTime<Utc> = parse_time("1h").unwrap().parse().unwrap();
        let ms = (Utc::now() - hour_ago).num_milliseconds();
        assert!((3_600_000..3_660_000).contains(&ms), "{ms}");
        assert!(parse_time("yesterday").unwrap_err().contains("is no time"));
        assert!(parse_time("99999999d").is_err());
    }

    #[test]
    fn times_are_as_short_as_tells_them_apart() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let now = Utc::now();
        assert_eq!(Zone::Utc.short([now]).time(now).len(), "08:14:03Z".len());
        let old = at("2001-02-03T04:05:06Z");
        assert_eq!(Zone::Utc.short([now, old]).time(old), "2001-02-03 04:05Z");
        assert_eq!(Zone::Utc.time(old), "2001-02-03 04:05:06Z");
    }
}
