//! Go's own template functions: comparison, indexing, printing, escaping.
//!
//! Errors are the texts of Go's; the caller adds where and `error calling NAME`.

use std::cmp::Ordering;
use std::rc::Rc;

use super::literal::is_print;
use super::value::{List, Value};
use super::{print, verb};

type Outcome = Result<Value, String>;

fn first(arguments: &[Value]) -> &Value {
    arguments.first().unwrap_or(&Value::Missing)
}

fn pair(arguments: &[Value]) -> (&Value, &Value) {
    (first(arguments), arguments.get(1).unwrap_or(&Value::Missing))
}

fn count(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

pub(super) fn not(arguments: &[Value]) -> Outcome {
    Ok(Value::Bool(!first(arguments).truth()))
}

pub(super) fn len(arguments: &[Value]) -> Outcome {
    match first(arguments) {
        Value::String(text) => Ok(count(text.len())),
        Value::List(list) => Ok(count(list.items.len())),
        Value::Map(map) => Ok(count(map.entries.len())),
        Value::Nil => Err("len of nil pointer".to_owned()),
        Value::Missing => Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        other => Err(format!("len of type {}", other.type_name())),
    }
}

/// An index within `0..=limit`.
fn position(index: &Value, limit: usize) -> Result<usize, String> {
    match index {
        Value::Int(number) => match usize::try_from(*number) {
            Ok(number) if number <= limit => Ok(number),
            _ => Err(format!("index out of range: {number}")),
        },
        Value::Missing | Value::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

pub(super) fn index(arguments: &[Value]) -> Outcome {
    let mut item = match first(arguments) {
        Value::Missing | Value::Nil => return Err("index of untyped nil".to_owned()),
        item => item.clone(),
    };
    for key in arguments.iter().skip(1) {
        item = match &item {
            Value::Missing | Value::Nil => return Err("index of nil pointer".to_owned()),
            Value::List(list) => {
                let position = position(key, list.items.len())?;
                match list.items.get(position) {
                    Some(value) => value.clone(),
                    None => return Err("reflect: slice index out of range".to_owned()),
                }
            }
            Value::String(text) => {
                let position = position(key, text.len())?;
                match text.as_bytes().get(position) {
                    Some(byte) => Value::Int(i64::from(*byte)),
                    None => return Err("reflect: string index out of range".to_owned()),
                }
            }
            Value::Map(map) => match key {
                Value::String(name) => {
                    map.entries.get(&**name).cloned().unwrap_or_else(|| map.of.zero())
                }
                Value::Missing | Value::Nil => {
                    return Err("value is nil; should be of type string".to_owned());
                }
                other => {
                    let name = other.type_name();
                    return Err(format!("value has type {name}; should be string"));
                }
            },
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

pub(super) fn slice(arguments: &[Value]) -> Outcome {
    let item = first(arguments);
    let bounds = arguments.get(1..).unwrap_or_default();
    if matches!(item, Value::Missing | Value::Nil) {
        return Err("slice of untyped nil".to_owned());
    }
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let length = match item {
        Value::String(_) if bounds.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Value::String(text) => text.len(),
        Value::List(list) => list.items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut ends = [0, length, length];
    for (end, bound) in ends.iter_mut().zip(bounds) {
        *end = position(bound, length)?;
    }
    let [start, end, capacity] = ends;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    if end > capacity {
        return Err(format!("invalid slice index: {end} > {capacity}"));
    }
    Ok(match item {
        Value::String(text) => {
            let bytes = text.as_bytes().get(start..end).unwrap_or_default();
            Value::from(String::from_utf8_lossy(bytes).into_owned())
        }
        Value::List(list) => {
            let items = list.items.get(start..end).unwrap_or_default().to_vec();
            Value::List(Rc::new(List { of: list.of, items, nil: false }))
        }
        _ => Value::Missing,
    })
}

/// Whether two values are equal; values of different basic types cannot be compared.
fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    let nothing = |value: &Value| matches!(value, Value::Missing | Value::Nil);
    let nil = |value: &Value| match value {
        Value::List(list) => list.nil,
        Value::Map(map) => map.nil,
        other => nothing(other),
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::String(a), Value::String(b)) => Ok(a == b),
        (a, b) if nothing(a) || nothing(b) => Ok(nil(a) && nil(b)),
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) if nil(a) || nil(b) => {
            Ok(nil(a) && nil(b))
        }
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) => {
            let shown = verb::format(b, 's', &verb::Spec::default());
            Err(format!("non-comparable type {shown}: {}", b.type_name()))
        }
        (
            Value::List(_) | Value::Map(_) | Value::Struct(_),
            Value::List(_) | Value::Map(_) | Value::Struct(_),
        ) => Err(format!(
            "non-comparable types {}: {}, {}: {}",
            print::plain(a),
            a.type_name(),
            b.type_name(),
            print::plain(b)
        )),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn ordered(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        // What is not a number is not less than anything.
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b).unwrap_or(Ordering::Greater)),
        (a, b) => {
            let basic = |value: &Value| {
                matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_))
            };
            let same = std::mem::discriminant(a) == std::mem::discriminant(b);
            Err(if basic(a) && basic(b) && !same {
                "incompatible types for comparison".to_owned()
            } else {
                "invalid type for comparison".to_owned()
            })
        }
    }
}

pub(super) fn eq(arguments: &[Value]) -> Outcome {
    let Some((a, others)) = arguments.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Err("missing argument for comparison".to_owned());
    };
    for b in others {
        if equal(a, b)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn ne(arguments: &[Value]) -> Outcome {
    let (a, b) = pair(arguments);
    Ok(Value::Bool(!equal(a, b)?))
}

pub(super) fn lt(arguments: &[Value]) -> Outcome {
    let (a, b) = pair(arguments);
    Ok(Value::Bool(ordered(a, b)?.is_lt()))
}

pub(super) fn le(arguments: &[Value]) -> Outcome {
    let (a, b) = pair(arguments);
    Ok(Value::Bool(ordered(a, b)?.is_le()))
}

pub(super) fn gt(arguments: &[Value]) -> Outcome {
    let (a, b) = pair(arguments);
    Ok(Value::Bool(ordered(a, b)?.is_gt()))
}

pub(super) fn ge(arguments: &[Value]) -> Outcome {
    let (a, b) = pair(arguments);
    Ok(Value::Bool(ordered(a, b)?.is_ge()))
}

pub(super) fn print(arguments: &[Value]) -> Outcome {
    Ok(Value::from(print::sprint(arguments)))
}

pub(super) fn println(arguments: &[Value]) -> Outcome {
    let words: Vec<String> = arguments.iter().map(print::plain).collect();
    Ok(Value::from(format!("{}\n", words.join(" "))))
}

/// The arguments as the escaping functions see them: like `print`, but nothing is `<no value>`.
fn text(arguments: &[Value]) -> String {
    let shown: Vec<Value> = arguments
        .iter()
        .map(|argument| match argument {
            Value::Missing | Value::Nil => Value::from("<no value>"),
            other => other.clone(),
        })
        .collect();
    print::sprint(&shown)
}

pub(super) fn html(arguments: &[Value]) -> Outcome {
    let mut out = String::new();
    for c in text(arguments).chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    Ok(Value::from(out))
}

pub(super) fn js(arguments: &[Value]) -> Outcome {
    let mut out = String::new();
    for c in text(arguments).chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c if c.is_ascii() || is_print(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    Ok(Value::from(out))
}

pub(super) fn urlquery(arguments: &[Value]) -> Outcome {
    let mut out = String::new();
    for byte in text(arguments).bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(Value::from(out))
}
