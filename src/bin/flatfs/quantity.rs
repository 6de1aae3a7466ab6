//! Arguments that are a number with a unit: a size in bytes, and an age.

use std::num::NonZeroU64;
use std::time::Duration;

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

const AGE_UNITS: &[(&str, u64)] = &[
    ("S", 1),
    ("M", 60),
    ("H", 60 * 60),
    ("D", 24 * 60 * 60),
    ("W", 7 * 24 * 60 * 60),
];

/// Parses a size, such as `1500`, `50MiB` or `1.5GB`, and returns it in bytes.
///
/// # Errors
///
/// Fails if the text is not a size.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let help = "a size is a number and B, KiB, MiB, GiB, TiB, kB, MB, GB or TB, such as 50MiB";
    parse(text, SIZE_UNITS, Some(1)).ok_or_else(|| help.to_owned())
}

/// Parses a number of bytes per second, which is a size that is not 0.
///
/// # Errors
///
/// Fails if the text is not a size.
pub(crate) fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(parse_size(text)?).ok_or_else(|| "a rate must be more than 0".to_owned())
}

/// Parses an age, such as `90m` or `7d`.
///
/// # Errors
///
/// Fails if the text is not an age.
pub(crate) fn parse_age(text: &str) -> Result<Duration, String> {
    let help = "an age is a number and s, m, h, d or w, such as 7d";
    let seconds = parse(text, AGE_UNITS, None).ok_or_else(|| help.to_owned())?;
    Ok(Duration::from_secs(seconds))
}

fn parse(text: &str, units: &[(&str, u64)], without_unit: Option<u64>) -> Option<u64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.trim().to_uppercase();
    let factor = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => without_unit?,
        None => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let value = number.parse::<f64>().ok()? * factor as f64;
    // Not for fractions of more bytes than a number can count.
    (value < 2_f64.powi(63)).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_may_have_units_and_fractions() {
        for (text, size) in [
            ("0", Some(0)),
            ("1500", Some(1500)),
            ("50MiB", Some(50 << 20)),
            ("50 mib", Some(50 << 20)),
            ("1.5GB", Some(1_500_000_000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551615kB", None),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("1.2.3MB", None),
            ("5 apples", None),
        ] {
            assert_eq!(parse_size(text).ok(), size, "{text}");
        }
    }

    #[test]
    fn an_age_needs_a_unit() {
        let days = Duration::from_secs(7 * 24 * 60 * 60);
        assert_eq!(parse_age("7d"), Ok(days));
        assert_eq!(parse_age("1w"), Ok(days));
        assert!(parse_age("7").is_err());
        assert!(parse_age("7MiB").is_err());
    }
}
