//! Writes values as Go's `encoding/json` does, on one line, with HTML escapes only in rows.

use std::fmt::Write as _;

use super::print::shortest;
use super::value::Value;

/// The value as JSON.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Missing | Value::Nil => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::String(text) => string(out, text),
        Value::List(list) if list.nil => out.push_str("null"),
        Value::List(list) => {
            out.push('[');
            for (number, item) in list.items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Map(map) if map.nil => out.push_str("null"),
        Value::Map(map) => {
            let entries = map.entries.iter().map(|(key, value)| (key.as_str(), value));
            object(out, entries);
        }
        Value::Struct(value) => {
            let shown = value
                .fields
                .iter()
                .filter(|field| !field.omit_empty || !is_empty(&field.value))
                .filter_map(|field| Some((field.json?, &field.value)));
            match &value.json {
                Some(text) => string(out, text),
                _ if value.methods => {
                    // A row is marshalled through a map, which sorts the names.
                    let mut sorted: Vec<_> = shown.collect();
                    sorted.sort_by_key(|(name, _)| *name);
                    let mut text = String::new();
                    object(&mut text, sorted.into_iter());
                    out.push_str(&for_html(&text));
                }
                _ => object(out, shown),
            }
        }
    }
}

fn object<'a>(out: &mut String, entries: impl Iterator<Item = (&'a str, &'a Value)>) {
    out.push('{');
    for (number, (key, value)) in entries.enumerate() {
        if number > 0 {
            out.push(',');
        }
        string(out, key);
        out.push(':');
        write(out, value);
    }
    out.push('}');
}

/// The escapes of a `MarshalJSON` method, which a row has; they can only stand in strings.
fn for_html(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// What `omitempty` leaves out.
fn is_empty(value: &Value) -> bool {
    !matches!(value, Value::Struct(_)) && !value.truth()
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Exponents only far from 1, without a zero in front.
fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        return shortest(number, 'e').replace("e-0", "e-").replace("e+0", "e+");
    }
    shortest(number, 'f')
}
