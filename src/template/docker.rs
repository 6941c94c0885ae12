//! The functions that Docker adds to Go's: `json split join title lower upper pad truncate`.
//!
//! In the header of a table they give back the column's title, so that
//! `table {{upper .Repository}}` still has one.

use super::function::{Function, Type};
use super::json;
use super::value::Value;

type Outcome = Result<Value, String>;

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "json", fixed: &[Type::Any], rest: None, run: json_text },
    Function { name: "split", fixed: &[Type::String, Type::String], rest: None, run: split },
    Function { name: "join", fixed: &[Type::Strings, Type::String], rest: None, run: join },
    Function { name: "title", fixed: &[Type::String], rest: None, run: title },
    Function { name: "lower", fixed: &[Type::String], rest: None, run: lower },
    Function { name: "upper", fixed: &[Type::String], rest: None, run: upper },
    Function { name: "pad", fixed: &[Type::String, Type::Int, Type::Int], rest: None, run: pad },
    Function { name: "truncate", fixed: &[Type::String, Type::Int], rest: None, run: truncate },
];

pub(super) static HEADER_FUNCTIONS: &[Function] = &[
    Function { name: "json", fixed: &[Type::String], rest: None, run: same },
    Function { name: "split", fixed: &[Type::String, Type::String], rest: None, run: same },
    Function { name: "join", fixed: &[Type::String, Type::String], rest: None, run: same },
    Function { name: "title", fixed: &[Type::String], rest: None, run: same },
    Function { name: "lower", fixed: &[Type::String], rest: None, run: same },
    Function { name: "upper", fixed: &[Type::String], rest: None, run: same },
    Function { name: "pad", fixed: &[Type::String, Type::Int, Type::Int], rest: None, run: same },
    Function { name: "truncate", fixed: &[Type::String, Type::Int], rest: None, run: same },
];

fn same(arguments: &[Value]) -> Outcome {
    Ok(arguments.first().cloned().unwrap_or(Value::Missing))
}

fn string(arguments: &[Value], number: usize) -> &str {
    match arguments.get(number) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

/// A count of characters or bytes; Go would panic below zero, where `None` is returned.
fn size(arguments: &[Value], number: usize) -> Option<usize> {
    match arguments.get(number) {
        Some(Value::Int(size)) => usize::try_from(*size).ok(),
        _ => Some(0),
    }
}

fn json_text(arguments: &[Value]) -> Outcome {
    let value = arguments.first().unwrap_or(&Value::Missing);
    Ok(Value::from(json::text(value)))
}

fn split(arguments: &[Value]) -> Outcome {
    let (text, separator) = (string(arguments, 0), string(arguments, 1));
    Ok(if separator.is_empty() {
        Value::strings(text.chars().map(String::from))
    } else {
        Value::strings(text.split(separator))
    })
}

fn join(arguments: &[Value]) -> Outcome {
    let Some(Value::List(list)) = arguments.first() else { return Ok(Value::from("")) };
    let items: Vec<&str> = list
        .items
        .iter()
        .map(|item| if let Value::String(text) = item { text } else { "" })
        .collect();
    Ok(Value::from(items.join(string(arguments, 1))))
}

/// Upper case for each letter that begins a word, as `strings.Title` sees words.
fn title(arguments: &[Value]) -> Outcome {
    let mut before = ' ';
    let mut out = String::new();
    for c in string(arguments, 0).chars() {
        let inside = before == '_'
            || before.is_alphanumeric()
            || !(before.is_ascii() || before.is_whitespace());
        if inside {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        before = c;
    }
    Ok(Value::from(out))
}

fn lower(arguments: &[Value]) -> Outcome {
    Ok(Value::from(string(arguments, 0).to_lowercase()))
}

fn upper(arguments: &[Value]) -> Outcome {
    Ok(Value::from(string(arguments, 0).to_uppercase()))
}

/// Most spaces that `pad` adds on a side, so that a template cannot ask for all memory.
const MAX_PAD: usize = 1 << 20;

fn pad(arguments: &[Value]) -> Outcome {
    let text = string(arguments, 0);
    if text.is_empty() {
        return Ok(Value::from(""));
    }
    let (Some(before), Some(after)) = (size(arguments, 1), size(arguments, 2)) else {
        return Err("strings: negative Repeat count".to_owned());
    };
    if before > MAX_PAD || after > MAX_PAD {
        return Err("strings: Repeat output length overflow".to_owned());
    }
    Ok(Value::from(format!("{:before$}{text}{:after$}", "", "")))
}

fn truncate(arguments: &[Value]) -> Outcome {
    let text = string(arguments, 0);
    let Some(length) = size(arguments, 1) else {
        return Err("runtime error: slice bounds out of range".to_owned());
    };
    match text.as_bytes().get(..length) {
        Some(bytes) => Ok(Value::from(String::from_utf8_lossy(bytes).into_owned())),
        None => Ok(Value::from(text)),
    }
}
