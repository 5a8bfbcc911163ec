//! Buckets of time, in a clock with a fixed offset from UTC.

use agenttracer_model::Timestamp;

/// The most buckets of an answer.
pub(crate) const MAX_BUCKETS: usize = 1000;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How wide a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interval {
    /// So many µs, of which a day holds a whole number.
    Micros(i64),
    /// From Monday on.
    Week,
    Month,
    Year,
}

/// All widths, ascending, with their names.
pub(crate) const INTERVALS: [(&str, Interval); 23] = [
    ("1s", Interval::Micros(SECOND)),
    ("2s", Interval::Micros(2 * SECOND)),
    ("5s", Interval::Micros(5 * SECOND)),
    ("10s", Interval::Micros(10 * SECOND)),
    ("15s", Interval::Micros(15 * SECOND)),
    ("30s", Interval::Micros(30 * SECOND)),
    ("1m", Interval::Micros(MINUTE)),
    ("2m", Interval::Micros(2 * MINUTE)),
    ("5m", Interval::Micros(5 * MINUTE)),
    ("10m", Interval::Micros(10 * MINUTE)),
    ("15m", Interval::Micros(15 * MINUTE)),
    ("30m", Interval::Micros(30 * MINUTE)),
    ("1h", Interval::Micros(HOUR)),
    ("2h", Interval::Micros(2 * HOUR)),
    ("3h", Interval::Micros(3 * HOUR)),
    ("4h", Interval::Micros(4 * HOUR)),
    ("6h", Interval::Micros(6 * HOUR)),
    ("8h", Interval::Micros(8 * HOUR)),
    ("12h", Interval::Micros(12 * HOUR)),
    ("1d", Interval::Micros(DAY)),
    ("1w", Interval::Week),
    ("1M", Interval::Month),
    ("1y", Interval::Year),
];

/// An offset from UTC and the name under which it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(crate) name: String,
    offset_micros: i64,
}

impl Zone {
    pub(crate) fn utc() -> Self {
        Self { name: "UTC".to_owned(), offset_micros: 0 }
    }

    /// `UTC`, `Z`, `+02:00`, `-0330` or `+02`. A plus that was not escaped in a query string arrives as a space.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if matches!(text, "UTC" | "Z") {
            return Some(Self::utc());
        }
        let (sign, digits) = match text.split_at_checked(1)? {
            ("+" | " ", digits) => (1, digits),
            ("-", digits) => (-1, digits),
            _ => return None,
        };
        let plain = digits.replacen(':', "", 1);
        if !plain.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(plain.len(), 2 | 4) {
            return None;
        }
        let hours: i64 = plain[..2].parse().ok()?;
        let minutes: i64 = if plain.len() == 4 { plain[2..].parse().ok()? } else { 0 };
        let name = format!("{}{digits}", if sign == 1 { '+' } else { '-' });
        (hours < 24 && minutes < 60).then_some(Self { name, offset_micros: sign * (hours * HOUR + minutes * MINUTE) })
    }

    /// What the clock shows, as if it were UTC.
    fn local(&self, time: Timestamp) -> i64 {
        time.as_micros() + self.offset_micros
    }

    fn instant(&self, local: i64) -> Timestamp {
        Timestamp::from_micros(local - self.offset_micros)
    }
}

impl Interval {
    /// The width with this name.
    pub(crate) fn parse(text: &str) -> Option<(&'static str, Self)> {
        INTERVALS.into_iter().find(|(name, _)| *name == text)
    }

    /// The narrowest width that cuts what lies between the two times into at most `most` buckets.
    pub(crate) fn fitting(first: Timestamp, last: Timestamp, most: usize) -> (&'static str, Self) {
        let span = last.as_micros().abs_diff(first.as_micros());
        // One more, since the first and the last bucket are seldom full.
        let fits = |interval: &Self| span / interval.about_micros().unsigned_abs() + 2 <= most as u64;
        INTERVALS.into_iter().find(|(_, interval)| fits(interval)).unwrap_or(INTERVALS[INTERVALS.len() - 1])
    }

    /// At most as wide as it is.
    fn about_micros(self) -> i64 {
        match self {
            Self::Micros(micros) => micros,
            Self::Week => 7 * DAY,
            Self::Month => 28 * DAY,
            Self::Year => 365 * DAY,
        }
    }

    /// Where buckets begin, from the one that holds `first` to the one behind `last`; strictly ascending. `None` when
    /// there are more than [`MAX_BUCKETS`].
    pub(crate) fn edges(self, zone: &Zone, first: Timestamp, last: Timestamp) -> Option<Vec<Timestamp>> {
        let mut edges = Vec::new();
        let mut at = self.floor(zone.local(first));
        loop {
            edges.push(zone.instant(at));
            if zone.instant(at) > last {
                return Some(edges);
            }
            if edges.len() > MAX_BUCKETS {
                return None;
            }
            at = self.next(at);
        }
    }

    /// The beginning of the bucket that holds `local`.
    fn floor(self, local: i64) -> i64 {
        // Midnight before Monday, 1970-01-05.
        const A_MONDAY: i64 = 4 * DAY;
        let (year, month, _) = Timestamp::from_micros(local).civil();
        match self {
            Self::Micros(micros) => local - local.rem_euclid(micros),
            Self::Week => local - (local - A_MONDAY).rem_euclid(7 * DAY),
            Self::Month => first_of(year, month),
            Self::Year => first_of(year, 1),
        }
    }

    fn next(self, at: i64) -> i64 {
        let (year, month, _) = Timestamp::from_micros(at).civil();
        match self {
            Self::Micros(micros) => at + micros,
            Self::Week => at + 7 * DAY,
            Self::Month if month == 12 => first_of(year + 1, 1),
            Self::Month => first_of(year, month + 1),
            Self::Year => first_of(year + 1, 1),
        }
    }
}

/// Midnight before the first day of a month.
fn first_of(year: i64, month: u32) -> i64 {
    Timestamp::from_civil(year, month, 1, 0).map_or(0, Timestamp::as_micros)
}

#[cfg(test)]
mod tests {
    use agenttracer_model::lenient;
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> Timestamp {
        lenient::datetime(text).unwrap()
    }

    fn edges(interval: &str, zone: &str, first: &str, last: &str) -> Vec<String> {
        let (_, interval) = Interval::parse(interval).unwrap();
        let edges = interval.edges(&Zone::parse(zone).unwrap(), time(first), time(last)).unwrap();
        edges.iter().map(Timestamp::to_string).collect()
    }

    #[test]
    fn buckets_begin_where_the_clock_of_the_zone_says() {
        assert_eq!(
            edges("1d", "+05:30", "2026-11-01T00:00:00Z", "2026-11-01T18:29:59Z"),
            ["2026-10-31T18:30:00Z", "2026-11-01T18:30:00Z"]
        );
        assert_eq!(
            edges("1w", "UTC", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
            ["2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"]
        );
        assert_eq!(
            edges("1M", "UTC", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"),
            ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"]
        );
        assert_eq!(
            edges("1y", "-03:30", "2026-01-01T03:00:00Z", "2026-01-01T04:00:00Z"),
            ["2025-01-01T03:30:00Z", "2026-01-01T03:30:00Z", "2027-01-01T03:30:00Z"]
        );
        assert_eq!(
            edges("1h", "+05:30", "2026-11-22T10:45:00Z", "2026-11-22T11:00:00Z"),
            ["2026-11-22T10:30:00Z", "2026-11-22T11:30:00Z"]
        );
        assert_eq!(
            edges("15m", "UTC", "2026-11-22T10:14:59.999999Z", "2026-11-22T10:15:00Z"),
            ["2026-11-22T10:00:00Z", "2026-11-22T10:15:00Z", "2026-11-22T10:30:00Z"]
        );
    }

    #[test]
    fn zones_are_offsets() {
        for zone in ["UTC", "+02:00", "-0330", "+14"] {
            assert_eq!(Zone::parse(zone).unwrap().name, zone);
        }
        assert_eq!(Zone::parse(" 02:00").unwrap().name, "+02:00");
        for zone in ["", "+", "Europe/Berlin", "+25:00", "+02:60", "+2", "02:00", "+0é", "+:::"] {
            assert!(Zone::parse(zone).is_none(), "{zone}");
        }
    }

    proptest! {
        #[test]
        fn buckets_cover_what_was_asked_and_are_not_too_many(
            first in 946_684_800_000_000_i64..4_102_444_800_000_000,
            span in prop_oneof![0..100_000_000_i64, 0..3_000_000_000_000_000_i64],
            zone in prop::sample::select(vec!["UTC", "+05:45", "-11:00"]),
            most in 2..200_usize,
        ) {
            let (first, last) = (Timestamp::from_micros(first), Timestamp::from_micros(first + span));
            let (_, interval) = Interval::fitting(first, last, most);
            let edges = interval.edges(&Zone::parse(zone).unwrap(), first, last).unwrap();
            prop_assert!(edges[0] <= first && edges[edges.len() - 1] > last && edges[edges.len() - 2] <= last);
            prop_assert!(edges.is_sorted_by(|a, b| a < b));
            prop_assert!(interval == Interval::Year || edges.len() <= most + 1, "{} buckets, not {most}", edges.len() - 1);
        }
    }
}
