//! Sizes, ages and times, read and written as Docker does.
//!
//! Sizes are decimal with three significant digits (`72.9MB`, `1.09GB`, `0B`). Ages have Docker's
//! thresholds, rounding hours at the half. Times come as RFC 3339 from images, and from users in
//! any form that Docker's `until=` takes.

use std::time::Duration;

use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::template::significant;

/// Decimal units, each a thousand of the one before.
const UNITS: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];

/// A size in bytes for people.
pub fn size(bytes: u64) -> String {
    size_with(bytes, 3)
}

/// The same with another number of significant digits: Docker's totals have four.
pub fn size_with(bytes: u64, digits: usize) -> String {
    #[allow(clippy::cast_precision_loss)] // a few digits are shown
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), UNITS.get(unit).unwrap_or(&""))
}

/// How long something took or how old it is, for people.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // Half an hour and more counts as a whole one.
    let hours = (seconds + 1800) / 3600;
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..=59 => format!("{seconds} seconds"),
        60..=119 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// A point in time; what an image without one has is Go's zero time, as in Docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl Time {
    /// This moment.
    pub fn now() -> Self {
        Self(Timestamp::now())
    }

    /// The first moment of the year 1, which Go takes for no time at all.
    pub fn zero() -> Self {
        let seconds = -62_135_596_800;
        Self(Timestamp::new(seconds, 0).unwrap_or(Timestamp::MIN))
    }

    /// Of an image's config: RFC 3339, or the zero time when missing or malformed.
    pub fn of_config(text: Option<&str>) -> Self {
        text.and_then(|text| text.parse().ok()).map_or_else(Self::zero, Self)
    }

    /// So many seconds after the epoch; the zero time when that is no date.
    pub fn of_seconds(seconds: i64) -> Self {
        Timestamp::new(seconds, 0).map_or_else(|_| Self::zero(), Self)
    }

    /// Whether it is no time.
    pub fn is_zero(self) -> bool {
        self == Self::zero()
    }

    /// `3 weeks ago`; `N/A` when there is no time.
    pub fn ago(self, now: Self) -> String {
        if self.is_zero() {
            return "N/A".to_owned();
        }
        let age = Duration::try_from(now.0.duration_since(self.0)).unwrap_or_default();
        format!("{} ago", duration(age))
    }

    /// As Go prints a time, in the local zone: `2026-05-03 20:51:25 +0200 CEST`. Whole seconds.
    pub fn local(self) -> String {
        self.zoned().strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
    }

    /// As `ls -l` prints a time, in the local zone: `2026-05-03 20:51`.
    pub fn minutes(self) -> String {
        self.zoned().strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// RFC 3339 in the local zone, whole seconds: `2026-05-03T20:51:25+02:00`.
    pub fn rfc3339(self) -> String {
        let zoned = self.zoned();
        if zoned.offset().is_zero() {
            return zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        }
        zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// RFC 3339 in UTC with as many decimals as the time has, as Go writes it to JSON.
    pub fn rfc3339_utc(self) -> String {
        self.0.to_string()
    }

    fn zoned(self) -> Zoned {
        self.0.to_zoned(TimeZone::system())
    }
}

/// A duration in Go's form: `1h30m`, `1.5h`, `300ms`. `None` when it is not one.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(number_end)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_end)?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = next;
    }
    Duration::try_from_secs_f64(total).ok()
}

/// A moment as `--filter until=` takes it: a Go duration before now, seconds since 1970 (with
/// decimals), a date, or a date and time with or without a zone (without: the local one).
pub fn parse_moment(text: &str, now: Time) -> Option<Time> {
    if let Some(duration) = parse_duration(text) {
        return now.0.checked_sub(duration).ok().map(Time);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(Time(time));
    }
    let local = |time: civil::DateTime| {
        TimeZone::system().to_ambiguous_zoned(time).compatible().ok().map(|z| Time(z.timestamp()))
    };
    if let Ok(time) = text.parse::<civil::DateTime>() {
        return local(time);
    }
    if let Ok(date) = text.strip_suffix('Z').unwrap_or(text).parse::<civil::Date>() {
        if !text.ends_with('Z') {
            return local(date.at(0, 0, 0, 0));
        }
        return TimeZone::UTC
            .to_ambiguous_zoned(date.at(0, 0, 0, 0))
            .compatible()
            .ok()
            .map(|zoned| Time(zoned.timestamp()));
    }
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let nanoseconds = format!("{decimals:0<9}").get(..9)?.parse::<i32>().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time(Timestamp::from_second(seconds).expect("in range"))
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1004, "1kB"),
            (1005, "1kB"),
            (1015, "1.01kB"),
            (72_900_000, "72.9MB"),
            (1_090_000_000, "1.09GB"),
            (999_400, "999kB"),
            // A quirk of Docker's that scripts may have met.
            (999_900, "1e+03kB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn ages_have_dockers_thresholds() {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (59 * 60 + 59, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 1799, "About an hour"),
            (HOUR + 1800, "2 hours"),
            (47 * HOUR + 1799, "47 hours"),
            (47 * HOUR + 1800, "2 days"),
            (48 * HOUR, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text, "{seconds} s");
        }
        assert_eq!(Time::zero().ago(Time::now()), "N/A");
        assert_eq!(Time::now().ago(at(0)), "Less than a second ago");
    }

    #[test]
    fn durations_of_go() {
        for (text, milliseconds) in
            [("1h30m", 5_400_000), ("1.5h", 5_400_000), ("300ms", 300), ("0", 0), ("+2s", 2000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "1", "h", "1d", "-1h", "1h ", "1.2.3s", "24x"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn moments_of_users() {
        let now = at(1_700_000_000);
        let seconds = |text: &str| parse_moment(text, now).map(|time| time.0.as_second());
        assert_eq!(seconds("24h"), Some(1_700_000_000 - 86_400));
        assert_eq!(seconds("1600000000"), Some(1_600_000_000));
        assert_eq!(seconds("1600000000.5"), Some(1_600_000_000));
        assert_eq!(seconds("2020-09-13T12:26:40Z"), Some(1_600_000_000));
        assert_eq!(seconds("2020-09-13T14:26:40+02:00"), Some(1_600_000_000));
        assert_eq!(seconds("2020-09-13Z"), Some(1_599_955_200));
        assert!(seconds("2020-09-13").is_some() && seconds("2020-09-13T12:26").is_some());
        for text in ["", "yesterday", "2020-13-01", "1.x", "é"] {
            assert_eq!(seconds(text), None, "{text:?}");
        }
    }

    #[test]
    fn times_of_configs() {
        let time = Time::of_config(Some("2023-05-03T20:51:25.123456789Z"));
        assert_eq!(time.rfc3339_utc(), "2023-05-03T20:51:25.123456789Z");
        assert!(Time::of_config(None).is_zero() && Time::of_config(Some("x")).is_zero());
        assert_eq!(Time::zero().rfc3339_utc(), "0001-01-01T00:00:00Z");
    }
}
