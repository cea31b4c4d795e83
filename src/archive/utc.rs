//! UTC: seconds since 1970 as people write dates.

use std::fmt;

const DAY: u64 = 24 * 3600;

/// A second of UTC, displayed as RFC 3339 has it: `2026-11-27T15:58:14Z`.
///
/// The calendar is the Gregorian one, without leap seconds, as POSIX counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utc {
    year: u64,
    month: u64,
    day: u64,
    second: u64,
}

impl Utc {
    /// Of so many seconds since 1970.
    pub fn of(seconds: u64) -> Self {
        let (days, second) = (seconds / DAY, seconds % DAY);
        // Years that begin in March have the day that leap years add at their end; they repeat every 400 years, which are
        // 146,097 days. 1970 began 719,468 days after the 1st of March of the year 0.
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        // From March on, every five months have 153 days.
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self { year: 400 * era + year + u64::from(month <= 2), month, day, second }
    }

    fn clock(self) -> (u64, u64, u64) {
        (self.second / 3600, self.second / 60 % 60, self.second % 60)
    }

    /// As daemons name files by strftime(3), `%Y%m%dT%H%M%S`: `20261127T155814`.
    pub fn compact(self) -> String {
        let (hour, minute, second) = self.clock();
        format!("{:04}{:02}{:02}T{hour:02}{minute:02}{second:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = self.clock();
        write!(f, "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_what_the_calendar_says() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_795_094, "2026-11-27T15:58:14Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            // The last that MRT can say (RFC 6396 section 2).
            (u64::from(u32::MAX), "2106-02-07T06:28:15Z"),
        ] {
            assert_eq!(Utc::of(seconds).to_string(), text);
        }
        assert_eq!(Utc::of(1_795_795_094).compact(), "20261127T155814");
    }

    /// Counted day by day.
    #[test]
    fn no_day_is_left_out() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..60_000 {
            let utc = Utc::of(days * DAY + 1);
            assert_eq!((utc.year, utc.month, utc.day, utc.second), (year, month, day, 1));
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
