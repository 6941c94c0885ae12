//! How values print where no verb says otherwise: Go's `fmt.Print` and `%v`.

use super::value::Value;

/// Prints the value of an action: no value at all shows as such.
pub(super) fn action(out: &mut String, value: &Value) {
    match value {
        Value::Missing | Value::Nil => out.push_str("<no value>"),
        Value::String(text) => out.push_str(text),
        other => out.push_str(&plain(other)),
    }
}

/// The value as `%v` prints it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Missing | Value::Nil => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => shortest(*number, 'g'),
        Value::String(text) => text.to_string(),
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(plain).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let entries: Vec<String> =
                map.entries.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
        Value::Struct(value) => match &value.text {
            Some(text) => text.clone(),
            None => {
                let fields: Vec<String> =
                    value.fields.iter().map(|field| plain(&field.value)).collect();
                format!("{{{}}}", fields.join(" "))
            }
        },
    }
}

/// The values one after the other, with a space between two of which neither is a string.
pub(super) fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    let mut after_string = true;
    for (number, value) in values.iter().enumerate() {
        let is_string = matches!(value, Value::String(_));
        if number > 0 && !is_string && !after_string {
            out.push(' ');
        }
        out.push_str(&plain(value));
        after_string = is_string;
    }
    out
}

/// A float with the fewest digits that mean it, as `strconv.FormatFloat(x, verb, -1, 64)`.
pub(super) fn shortest(number: f64, verb: char) -> String {
    if !number.is_finite() {
        return special(number).to_owned();
    }
    let (digits, exponent) = scientific(&format!("{number:e}"));
    match verb {
        'e' => exponential(&digits, exponent),
        'f' => format!("{number}"),
        _ if !(-4..6).contains(&exponent) => exponential(&digits, exponent),
        _ => format!("{number}"),
    }
}

/// `%g` with at most `precision` significant digits.
pub fn significant(number: f64, precision: usize) -> String {
    if !number.is_finite() {
        return special(number).to_owned();
    }
    let precision = precision.max(1);
    let (digits, exponent) = scientific(&format!("{number:.*e}", precision - 1));
    let digits = trim_zeros(&digits);
    let count = digit_count(digits);
    let precision = i64::try_from(precision).unwrap_or(i64::MAX);
    let limit = if precision > count && count > exponent { count } else { precision };
    if exponent < -4 || exponent >= limit {
        return exponential(digits, exponent);
    }
    let decimals = precision - 1 - exponent;
    let fixed = format!("{number:.*}", usize::try_from(decimals).unwrap_or(0));
    trim_zeros(&fixed).to_owned()
}

/// `%e` with `precision` digits after the point.
pub(super) fn scientific_with(number: f64, precision: usize) -> String {
    if !number.is_finite() {
        return special(number).to_owned();
    }
    let (digits, exponent) = scientific(&format!("{number:.precision$e}"));
    exponential(&digits, exponent)
}

/// What a float that is no number prints as.
pub(super) fn special(number: f64) -> &'static str {
    match number {
        number if number.is_nan() => "NaN",
        number if number > 0.0 => "+Inf",
        _ => "-Inf",
    }
}

/// `1.5e7` cut into digits with their point and sign, and the exponent.
fn scientific(text: &str) -> (String, i64) {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    (digits.to_owned(), exponent.parse().unwrap_or(0))
}

fn exponential(digits: &str, exponent: i64) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

fn digit_count(digits: &str) -> i64 {
    i64::try_from(digits.bytes().filter(u8::is_ascii_digit).count()).unwrap_or(i64::MAX)
}

fn trim_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}
