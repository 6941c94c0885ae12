//! Numbers as tars write them: octal text, base-256, and the decimal texts of PAX.
//!
//! What is read and what is refused is what Go's `archive/tar` reads and refuses, since docker,
//! containerd and podman all read layers with it. `None` means "not a number"; whether a number
//! makes sense where it stands is the caller's question.

use crate::layer::Time;

/// A header field: base-256 if its first bit is set, octal text otherwise.
pub fn numeric(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base256(field),
        _ => octal(field),
    }
}

/// Octal text between spaces and NULs; nothing at all is 0. A NUL inside ends the number.
pub fn octal(field: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    let digits = field.get(start..end).unwrap_or_default();
    let mut value = 0_u64;
    let mut foreign = 0_u8;
    for (place, byte) in digits.iter().enumerate() {
        if *byte == 0 {
            break;
        }
        let digit = byte.wrapping_sub(b'0');
        foreign |= digit & !7;
        // 21 digits are 63 bits; the longest field of any header has 12.
        if place == 21 {
            return None;
        }
        value = value << 3 | u64::from(digit & 7);
    }
    if foreign == 0 { i64::try_from(value).ok() } else { None }
}

/// Two's complement, big-endian, with the first bit taken as the mark and the second as the sign.
fn base256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let invert = if first & 0x40 == 0 { 0 } else { 0xff };
    let mut value = u64::from((first ^ invert) & 0x7f);
    for byte in rest {
        if value >> 56 != 0 {
            return None;
        }
        value = value << 8 | u64::from(byte ^ invert);
    }
    let value = i64::try_from(value).ok()?;
    Some(if invert == 0 { value } else { !value })
}

/// A decimal number with an optional sign and nothing around it.
pub fn decimal(text: &[u8]) -> Option<i64> {
    // `str::parse` takes exactly what Go's ParseInt(text, 10, 64) takes.
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A PAX time: seconds, and perhaps a point and a fraction. The sign counts for both, so `-1.5`
/// is two seconds before the epoch and half a second forward. Digits after the ninth are dropped.
pub fn time(text: &[u8]) -> Option<Time> {
    let mut halves = text.splitn(2, |byte| *byte == b'.');
    let whole = halves.next().unwrap_or_default();
    let fraction = halves.next().unwrap_or_default();
    let seconds = decimal(whole)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    if nanos > 0 && whole.first() == Some(&b'-') {
        return Some(Time { seconds: seconds.checked_sub(1)?, nanos: 1_000_000_000 - nanos });
    }
    Some(Time { seconds, nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_takes_spaces_and_nuls() {
        for text in [&b"0000644\0"[..], b" 644 \0\0 ", b"\0\0 644", b"644", b"644\x00 8xx"] {
            assert_eq!(octal(text), Some(0o644), "{text:?}");
        }
        assert_eq!(octal(b"\0\0\0\0"), Some(0));
        assert_eq!(octal(b"    "), Some(0));
        assert_eq!(octal(b"777777777777"), Some(0o777_777_777_777));
    }

    #[test]
    fn octal_refuses_everything_else() {
        for text in [&b"8"[..], b"-1", b"+7", b"6 4", b"0x1", b"7777777777777777777777"] {
            assert_eq!(octal(text), None, "{text:?}");
        }
    }

    #[test]
    fn base256_has_a_sign() {
        assert_eq!(numeric(b"\x80\0\0\0\0\0\0\x01"), Some(1));
        assert_eq!(numeric(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Some(-1));
        assert_eq!(numeric(b"\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        assert_eq!(numeric(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), Some(i64::MAX));
        assert_eq!(numeric(b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0"), Some(i64::MIN));
    }

    #[test]
    fn base256_refuses_what_does_not_fit() {
        assert_eq!(numeric(b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), None);
        assert_eq!(numeric(b"\x80\0\0\x01\0\0\0\0\0\0\0\0"), None);
        assert_eq!(numeric(b"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn decimal_is_strict() {
        assert_eq!(decimal(b"+12"), Some(12));
        assert_eq!(decimal(b"-9223372036854775808"), Some(i64::MIN));
        for text in [&b""[..], b" 1", b"1 ", b"1_0", b"0x1", b"9223372036854775808", b"\xff", b"-"]
        {
            assert_eq!(decimal(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_negative_time_goes_back_a_second_and_forward_a_fraction() {
        assert_eq!(time(b"-1.5"), Some(Time { seconds: -2, nanos: 500_000_000 }));
        assert_eq!(time(b"-0.25"), Some(Time { seconds: -1, nanos: 750_000_000 }));
        assert_eq!(time(b"-3"), Some(Time { seconds: -3, nanos: 0 }));
        assert_eq!(time(b"-3.0"), Some(Time { seconds: -3, nanos: 0 }));
    }

    #[test]
    fn a_time_has_nine_digits_of_fraction() {
        assert_eq!(time(b"1.03"), Some(Time { seconds: 1, nanos: 30_000_000 }));
        assert_eq!(time(b"1.1234567899"), Some(Time { seconds: 1, nanos: 123_456_789 }));
        assert_eq!(time(b"1."), Some(Time { seconds: 1, nanos: 0 }));
        for text in [&b""[..], b".5", b"1.-5", b"1.2.3", b"-", b"1e9", b"-9223372036854775808.5"] {
            assert_eq!(time(text), None, "{text:?}");
        }
    }
}
