//! Go's literals: quoted strings, characters and numbers, both ways.
//!
//! Follows `strconv.Quote`, `Unquote`, `ParseInt(_, 0, 64)` and `ParseFloat`. Imaginary numbers
//! are not known here: a template that lists images has no use for them.

/// A number as a template writes it: which Go types it fits, and its value in each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    /// As an integer; `1.0` is one too.
    pub integer: Option<i64>,
    /// As a float.
    pub float: f64,
    /// Written like a float, so that it is a `float64` where nothing asks for an integer.
    pub prefers_float: bool,
}

/// Quotes as `strconv.Quote` does.
pub(super) fn quote(text: &str) -> String {
    quote_with(text, '"', false)
}

/// Quotes with `mark`; `ascii` escapes everything else too.
pub(super) fn quote_with(text: &str, mark: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for c in text.chars() {
        match c {
            c if c == mark || c == '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            ' '..='~' => out.push(c),
            c if !ascii && is_print(c) => out.push(c),
            c if u32::from(c) < 0x80 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(mark);
    out
}

/// Whether Go would print the character as it is: no control, format or private characters and no
/// space but the ASCII one. Unassigned code points are not told apart.
pub(super) fn is_print(c: char) -> bool {
    match c {
        ' ' => true,
        c if c.is_control() || c.is_whitespace() => false,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{180e}' => false,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => false,
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' => false,
        c => u32::from(c) < 0xe0000,
    }
}

/// The text of a quoted literal: `"..."` with escapes, or raw in backquotes.
pub(super) fn unquote(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        return Some(raw.replace('\r', ""));
    }
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(unit) = unit(&mut rest, '"') {
        match unit? {
            Unit::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Unit::Byte(byte) => bytes.push(byte),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

enum Unit {
    Char(char),
    Byte(u8),
}

/// The next character or escape of a literal; `Some(None)` when it is malformed.
fn unit(rest: &mut std::str::Chars<'_>, mark: char) -> Option<Option<Unit>> {
    let c = rest.next()?;
    if c != '\\' {
        return Some((c != mark && c != '\n').then_some(Unit::Char(c)));
    }
    Some(escape(rest, mark))
}

fn escape(rest: &mut std::str::Chars<'_>, mark: char) -> Option<Unit> {
    let c = rest.next()?;
    let mut digits = |count: usize, radix: u32, first: u32| -> Option<u32> {
        (0..count).try_fold(first, |value, _| Some(value * radix + rest.next()?.to_digit(radix)?))
    };
    Some(match c {
        'a' => Unit::Char('\x07'),
        'b' => Unit::Char('\x08'),
        'f' => Unit::Char('\x0c'),
        'n' => Unit::Char('\n'),
        'r' => Unit::Char('\r'),
        't' => Unit::Char('\t'),
        'v' => Unit::Char('\x0b'),
        '\\' => Unit::Char('\\'),
        'x' => Unit::Byte(u8::try_from(digits(2, 16, 0)?).ok()?),
        'u' => Unit::Char(char::from_u32(digits(4, 16, 0)?)?),
        'U' => {
            // Eight digits could overflow the sum; two leading zeros are the only valid start.
            (digits(2, 16, 0)? == 0).then_some(())?;
            Unit::Char(char::from_u32(digits(6, 16, 0)?)?)
        }
        '0'..='7' => Unit::Byte(u8::try_from(digits(2, 8, c.to_digit(8)?)?).ok()?),
        c if c == mark => Unit::Char(c),
        _ => return None,
    })
}

/// The code point of a character literal, quotes included.
pub(super) fn character(literal: &str) -> Option<Number> {
    let mut rest = literal.strip_prefix('\'')?.strip_suffix('\'')?.chars();
    let code = match unit(&mut rest, '\'')?? {
        Unit::Char(c) => u32::from(c),
        Unit::Byte(byte) => u32::from(byte),
    };
    rest.as_str().is_empty().then_some(Number {
        integer: Some(i64::from(code)),
        float: f64::from(code),
        prefers_float: false,
    })
}

/// A number by Go's syntax: `1_000`, `0x1F`, `0b1`, `0o7`, `017`, `1.5e3`, `0x1p4`.
/// The error is what Go's parser says of it.
pub(super) fn number(text: &str) -> Result<Number, String> {
    let hex = text.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("0x");
    let floaty = if hex { text.contains(['p', 'P']) } else { text.contains(['.', 'e', 'E']) };
    if let Some(integer) = integer(text) {
        #[allow(clippy::cast_precision_loss)] // what Go's float64(i) does
        let float = integer as f64;
        return Ok(Number { integer: Some(integer), float, prefers_float: floaty });
    }
    let Some(float) = float(text, hex) else {
        return Err(format!("illegal number syntax: {}", quote(text)));
    };
    if !text.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err(format!("integer overflow: {}", quote(text)));
    }
    // 2^63: beyond it a float has no integer.
    let whole = float.fract() == 0.0 && float.abs() < 9_223_372_036_854_775_808.0;
    #[allow(clippy::cast_possible_truncation)] // checked on the line above
    let integer = whole.then_some(float as i64);
    Ok(Number { integer, float, prefers_float: true })
}

/// Underscores stand only between digits, or between a prefix and a digit.
fn without_underscores(digits: &str, prefixed: bool) -> Option<String> {
    let bytes = digits.as_bytes();
    let misplaced = bytes.windows(2).any(|pair| pair == b"__")
        || bytes.last() == Some(&b'_')
        || (bytes.first() == Some(&b'_') && !prefixed);
    (!misplaced).then(|| digits.replace('_', ""))
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body, prefixed) = if let Some(body) = lower.strip_prefix("0x") {
        (16, body, true)
    } else if let Some(body) = lower.strip_prefix("0b") {
        (2, body, true)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body, true)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.strip_prefix('0')?, true)
    } else {
        (10, lower.as_str(), false)
    };
    let body = without_underscores(body, prefixed)?;
    let signed = if negative { format!("-{body}") } else { body };
    i64::from_str_radix(&signed, radix).ok()
}

fn float(text: &str, hex: bool) -> Option<f64> {
    if !hex {
        // Go takes underscores in floats only after a base prefix, which a decimal has not.
        return text.parse().ok().filter(|value: &f64| value.is_finite());
    }
    let (negative, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = body.to_ascii_lowercase();
    let (mantissa, exponent) = lower.strip_prefix("0x")?.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = without_underscores(&format!("{whole}{fraction}"), true)?;
    let value = digits
        .chars()
        .try_fold(0.0_f64, |value, c| Some(value * 16.0 + f64::from(c.to_digit(16)?)))?;
    let places = i32::try_from(fraction.len()).ok()?;
    let exponent = exponent.parse::<i32>().ok()?.checked_sub(places.checked_mul(4)?)?;
    let value = value * 2.0_f64.powi(exponent);
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_both_ways() {
        for (literal, text) in [
            (r#""a\tb\n""#, "a\tb\n"),
            (r#""\x41\u00e9\U0001F600\101""#, "Aé😀A"),
            ("`raw\\n`", "raw\\n"),
            (r#""q\"q""#, "q\"q"),
        ] {
            assert_eq!(unquote(literal).as_deref(), Some(text), "{literal}");
        }
        for literal in ["\"\\q\"", "\"\\'\"", "\"\\uD800\"", "\"\\400\"", "\"a", "\"\\U11000000\""]
        {
            assert_eq!(unquote(literal), None, "{literal}");
        }
        assert_eq!(quote("a\"\\\x1b\u{202e}é\n"), r#""a\"\\\x1b\u202eé\n""#);
    }

    #[test]
    fn numbers_of_every_form() {
        for (text, value) in [
            ("1_000", 1000),
            ("0x1F", 31),
            ("017", 15),
            ("0b101", 5),
            ("-0o17", -15),
            ("1e3", 1000),
        ] {
            assert_eq!(number(text).map(|n| n.integer), Ok(Some(value)), "{text}");
        }
        assert_eq!(number("0x1p4").map(|n| n.float), Ok(16.0));
        assert_eq!(number("1.5").map(|n| n.integer), Ok(None));
        assert!(number("99999999999999999999").is_err_and(|e| e.starts_with("integer overflow")));
        assert!(number("1__0").is_err());
        assert_eq!(character("'a'").and_then(|n| n.integer), Some(97));
        assert_eq!(character("'\\n'").and_then(|n| n.integer), Some(10));
        assert_eq!(character("'ab'"), None);
    }
}
