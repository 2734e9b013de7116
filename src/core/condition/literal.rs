//! Timestamps and durations as text.
//!
//! RFC 3339 read strictly (the parser of `jiff` alone also takes names of time zones and moves leap
//! seconds), and CEL's durations; both exact to the millisecond, as everything here is. What is
//! finer is refused rather than cut, since a cut bound is another bound.

use jiff::Timestamp;

use crate::core::model::Millis;

const NO_TIMESTAMP: &str = "is no timestamp such as `2026-01-31T12:00:00Z`";
const NO_DURATION: &str = "is no duration such as `36h`, `1h30m` or `500ms`";
const TOO_FINE: &str = "is finer than a millisecond";

/// RFC 3339 with `T` and `Z` or an offset, to the millisecond.
///
/// # Errors
/// What is wrong with the text, to be put after it.
pub fn parse_timestamp(text: &str) -> Result<Millis, &'static str> {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let matches = |text: &[u8], shape: &[u8]| {
        let fits = |(b, s): (&u8, &u8)| if *s == b'd' { b.is_ascii_digit() } else { b == s };
        text.len() == shape.len() && text.iter().zip(shape).all(fits)
    };
    let (head, rest) = text.as_bytes().split_at_checked(SHAPE.len()).ok_or(NO_TIMESTAMP)?;
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(rest) => rest.split_at(rest.iter().take_while(|b| b.is_ascii_digit()).count()),
        None => (b"0".as_slice(), rest),
    };
    let zone_ok = zone == b"Z" || matches(zone, b"+dd:dd") || matches(zone, b"-dd:dd");
    if !matches(head, SHAPE) || !zone_ok || fraction.is_empty() || head.ends_with(b"60") {
        return Err(NO_TIMESTAMP);
    }
    if fraction.iter().skip(3).any(|b| *b != b'0') {
        return Err(TOO_FINE);
    }
    let instant: Timestamp = text.parse().map_err(|_| NO_TIMESTAMP)?;
    Ok(instant.as_millisecond())
}

/// The text that [`parse_timestamp`] reads, or the number where no year of four digits holds it.
#[must_use]
pub fn timestamp_text(ms: Millis) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |instant| instant.to_string())
}

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// CEL's durations: numbers with `h`, `m`, `s` or `ms` (`us` and `ns` where they come out even),
/// in any order, with fractions, and a sign before all.
///
/// # Errors
/// What is wrong with the text, to be put after it.
pub fn parse_duration(text: &str) -> Result<Millis, &'static str> {
    const NANOS_PER_MS: i128 = 1_000_000;
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return Err(NO_DURATION);
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count());
        let (unit, after) = after.split_at(after.bytes().take_while(u8::is_ascii_lowercase).count());
        rest = after;
        let per_unit: i128 = match (unit, UNITS.iter().find(|(name, _)| *name == unit)) {
            (_, Some((_, ms))) => i128::from(*ms) * NANOS_PER_MS,
            ("us", None) => 1_000,
            ("ns", None) => 1,
            _ => return Err(NO_DURATION),
        };
        nanos = scaled(number, per_unit)?.checked_add(nanos).ok_or(NO_DURATION)?;
    }
    if nanos % NANOS_PER_MS != 0 {
        return Err(TOO_FINE);
    }
    let ms = nanos / NANOS_PER_MS;
    Millis::try_from(if negative { -ms } else { ms }).map_err(|_| "is too long a duration")
}

/// `number`, with or without a fraction, of units of so many nanoseconds.
fn scaled(number: &str, per_unit: i128) -> Result<i128, &'static str> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    // 12 digits of a fraction cannot overflow below, and finer ones are below a nanosecond.
    if !digits(fraction) || whole.len() + fraction.len() == 0 || whole.len() > 20 {
        return Err(NO_DURATION);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 12 {
        return Err(TOO_FINE);
    }
    let parse = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<i128>().map_err(|_| NO_DURATION) };
    let power = fraction.bytes().fold(1_i128, |power, _| power * 10);
    let part = parse(fraction)? * per_unit;
    if part % power != 0 {
        return Err(TOO_FINE);
    }
    Ok(parse(whole)? * per_unit + part / power)
}

/// The text that [`parse_duration`] reads, such as `1h30m`.
#[must_use]
pub fn duration_text(ms: Millis) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = if ms < 0 { "-".to_owned() } else { String::new() };
    let mut rest = ms.unsigned_abs();
    for (unit, unit_ms) in UNITS {
        if rest >= unit_ms {
            text.push_str(&(rest / unit_ms).to_string());
            text.push_str(unit);
            rest %= unit_ms;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{duration_text, parse_duration, parse_timestamp, timestamp_text};

    #[test]
    fn durations_read_as_cel_writes_them() {
        for (text, ms) in [
            ("1h30m", 5_400_000),
            ("-90m", -5_400_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("0s", 0),
            ("500ms", 500),
            ("1000us", 1),
            ("1s1000000ns", 1_001),
            ("2562047788015h", 9_223_372_036_854_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(ms), "{text}");
            assert_eq!(parse_duration(&duration_text(ms)), Ok(ms), "{text}");
        }
        for ms in [i64::MIN, i64::MAX, -1, 86_399_999] {
            assert_eq!(parse_duration(&duration_text(ms)), Ok(ms));
        }
        for text in
            ["", "-", "5", "h", "1d", "1 h", "1.2.3s", "+1h", "1us", "1.0000000000001s", ".s", "9999999999999999h"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_duration(&"9h".repeat(2_000)).is_ok());
        assert!(parse_duration(&"9".repeat(4_000)).is_err());
    }

    #[test]
    fn timestamps_are_rfc_3339_to_the_millisecond() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.001Z", 1),
            ("1970-01-01T01:00:00.0010+01:00", 1),
            ("9999-12-30T21:59:59.999Z", 253_402_207_199_999),
        ] {
            assert_eq!(parse_timestamp(text), Ok(ms), "{text}");
            assert_eq!(parse_timestamp(&timestamp_text(ms)), Ok(ms), "{text}");
        }
        for text in [
            "",
            "1970-01-01",
            "1970-01-01 00:00:00Z",
            "1970-01-01T00:00:60Z",
            "1970-02-30T00:00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.0001Z",
            "1970-01-01T00:00:00Z[UTC]",
            "é970-01-01T00:00:00Z",
        ] {
            assert!(parse_timestamp(text).is_err(), "{text}");
        }
    }
}
