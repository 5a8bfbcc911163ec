use std::fmt;

use serde::{Serialize, Serializer};

/// A UTC instant in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 2000-01-01T00:00:00Z, the earliest time a client may send.
    pub const MIN_SENT: Self = Self(946_684_800_000_000);
    /// 2100-01-01T00:00:00Z: a time that a client sends lies before it.
    pub const END_SENT: Self = Self(4_102_444_800_000_000);

    /// The instant this many microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds from `earlier` to `self`, 0 when `self` is not later.
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0) / 1000
    }

    /// The instant at a proleptic Gregorian UTC date and time of day; `None` when there is no such date.
    ///
    /// Source of the day count: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    pub fn from_civil(year: i64, month: u32, day: u32, micros_of_day: i64) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u32::from(leap),
            _ => return None,
        };
        if day == 0 || day > last {
            return None;
        }
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let year_of_era = y.rem_euclid(400);
        let shifted = i64::from((month + 9) % 12);
        let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        Some(Self(days * 86_400_000_000 + micros_of_day))
    }

    /// Year, month and day of this instant in UTC.
    pub fn civil(self) -> (i64, u32, u32) {
        let days = self.0.div_euclid(86_400_000_000) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month, day)
    }
}

/// The longest text of an instant between the years 0 and 9999: `2026-11-22T12:00:00.000001Z`.
const TEXT_BYTES: usize = 27;

/// Writes `number` with as many digits as `out` is long.
fn digits(mut number: i64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl Timestamp {
    /// The ISO-8601 text in `buffer`. An answer holds dozens of times, so this does without `fmt`.
    fn text(self, buffer: &mut [u8; TEXT_BYTES]) -> &str {
        buffer.copy_from_slice(b"0000-00-00T00:00:00.000000Z");
        let (year, month, day) = self.civil();
        let micros = self.0.rem_euclid(86_400_000_000);
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        digits(year.clamp(0, 9999), &mut buffer[0..4]);
        digits(i64::from(month), &mut buffer[5..7]);
        digits(i64::from(day), &mut buffer[8..10]);
        digits(seconds / 3600, &mut buffer[11..13]);
        digits(seconds / 60 % 60, &mut buffer[14..16]);
        digits(seconds % 60, &mut buffer[17..19]);
        let len = match fraction {
            0 => {
                buffer[19] = b'Z';
                20
            }
            _ => {
                digits(fraction, &mut buffer[20..26]);
                TEXT_BYTES
            }
        };
        std::str::from_utf8(&buffer[..len]).unwrap_or_default()
    }
}

/// ISO-8601 in UTC with `Z`; the fraction is left out when zero and has 6 digits otherwise.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text(&mut [0; TEXT_BYTES]))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; TEXT_BYTES]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_was_made_from() {
        let noon = 12 * 3_600_000_000;
        for (date, text) in [
            ((1970, 1, 1), "1970-01-01T12:00:00Z"),
            ((2000, 2, 29), "2000-02-29T12:00:00Z"),
            ((2026, 11, 22), "2026-11-22T12:00:00Z"),
            ((2099, 12, 31), "2099-12-31T12:00:00Z"),
        ] {
            let time = Timestamp::from_civil(date.0, date.1, date.2, noon).unwrap();
            assert_eq!(time.to_string(), text);
        }
        assert_eq!(Timestamp::from_micros(1).to_string(), "1970-01-01T00:00:00.000001Z");
        assert_eq!(Timestamp::from_civil(2023, 2, 29, 0), None);
        assert_eq!(Timestamp::from_civil(2000, 1, 1, 0), Some(Timestamp::MIN_SENT));
        assert_eq!(Timestamp::from_civil(2100, 1, 1, 0), Some(Timestamp::END_SENT));
    }
}
