//! One value by one verb of `printf`, as Go's `fmt` formats it.

use super::literal::{quote, quote_with};
use super::print;
use super::value::Value;

/// The flags, width and precision before a verb.
#[derive(Debug, Default, Clone)]
pub(super) struct Spec {
    pub plus: bool,
    pub minus: bool,
    pub sharp: bool,
    pub space: bool,
    pub zero: bool,
    pub width: Option<usize>,
    pub precision: Option<usize>,
}

impl Spec {
    /// `text` in the width asked for.
    fn pad(&self, text: &str) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        let fill = if self.zero && !self.minus { "0" } else { " " };
        let padding = fill.repeat(missing);
        if self.minus { format!("{text}{padding}") } else { format!("{padding}{text}") }
    }

    /// The sign of a number that is not negative.
    fn sign(&self) -> &'static str {
        match self {
            Self { plus: true, .. } => "+",
            Self { space: true, .. } => " ",
            _ => "",
        }
    }
}

/// An argument by a verb.
pub(super) fn format(value: &Value, verb: char, spec: &Spec) -> String {
    match (value, verb) {
        (Value::Missing | Value::Nil, 'T' | 'v') => {
            Spec { zero: false, ..spec.clone() }.pad("<nil>")
        }
        (Value::Missing | Value::Nil, _) => format!("%!{verb}(<nil>)"),
        (value, 'T') => string(&value.type_name(), 's', spec).unwrap_or_default(),
        (value, 'v') if spec.sharp => syntax(value, spec),
        (value, 'v') => {
            // `%+v` asks for the names of fields, not for a sign.
            any(value, 'v', &Spec { plus: false, ..spec.clone() }, spec.plus)
        }
        (value, verb) => any(value, verb, spec, false),
    }
}

fn any(value: &Value, verb: char, spec: &Spec, names: bool) -> String {
    let formatted = match value {
        Value::Missing | Value::Nil => return "<nil>".to_owned(),
        Value::Bool(value) => "tv".contains(verb).then(|| spec.pad(&value.to_string())),
        Value::Int(number) => integer(*number, verb, spec),
        Value::Float(number) => float(*number, verb, spec),
        Value::String(text) => string(text, verb, spec),
        Value::List(list) => {
            let items: Vec<String> =
                list.items.iter().map(|item| any(item, verb, spec, names)).collect();
            Some(format!("[{}]", items.join(" ")))
        }
        Value::Map(map) => {
            let entries: Vec<String> = map
                .entries
                .iter()
                .map(|(key, value)| {
                    let key = any(&Value::from(key.as_str()), verb, spec, names);
                    format!("{key}:{}", any(value, verb, spec, names))
                })
                .collect();
            Some(format!("map[{}]", entries.join(" ")))
        }
        Value::Struct(value) => match &value.text {
            Some(text) => string(text, verb, spec),
            None => {
                let fields: Vec<String> = value
                    .fields
                    .iter()
                    .map(|field| {
                        let text = any(&field.value, verb, spec, names);
                        if names { format!("{}:{text}", field.name) } else { text }
                    })
                    .collect();
                Some(format!("{{{}}}", fields.join(" ")))
            }
        },
    };
    formatted.unwrap_or_else(|| format!("%!{verb}({}={})", value.type_name(), print::plain(value)))
}

fn integer(number: i64, verb: char, spec: &Spec) -> Option<String> {
    let size = number.unsigned_abs();
    let character = || u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    let (digits, prefix) = match verb {
        'd' | 'v' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), "0b"),
        'o' => (format!("{size:o}"), "0"),
        'O' => (format!("{size:o}"), ""),
        'x' => (format!("{size:x}"), "0x"),
        'X' => (format!("{size:X}"), "0X"),
        'c' => return Some(spec.pad(&character().to_string())),
        'q' => return Some(spec.pad(&quote_with(&character().to_string(), '\'', spec.plus))),
        'U' => {
            let name = format!("U+{:04X}", number);
            let text = if spec.sharp { format!("{name} '{}'", character()) } else { name };
            return Some(Spec { zero: false, ..spec.clone() }.pad(&text));
        }
        _ => return None,
    };
    if spec.precision == Some(0) && number == 0 {
        return Some(" ".repeat(spec.width.unwrap_or(0)));
    }
    let sign = if number < 0 { "-" } else { spec.sign() };
    let least = match (spec.precision, spec.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero && !spec.minus => width - sign.len().min(width),
        _ => 0,
    };
    let digits = format!("{digits:0>least$}");
    let prefix = match verb {
        'O' => "0o",
        'o' if digits.starts_with('0') => "",
        _ if spec.sharp => prefix,
        _ => "",
    };
    Some(Spec { zero: false, ..spec.clone() }.pad(&format!("{sign}{prefix}{digits}")))
}

fn float(number: f64, verb: char, spec: &Spec) -> Option<String> {
    let precision = spec.precision;
    let text = match verb {
        'g' | 'G' | 'v' => match precision {
            Some(precision) => print::significant(number, precision),
            None => print::shortest(number, 'g'),
        },
        'e' | 'E' => print::scientific_with(number, precision.unwrap_or(6)),
        'f' | 'F' if number.is_finite() => format!("{number:.*}", precision.unwrap_or(6)),
        'f' | 'F' => print::special(number).to_owned(),
        _ => return None,
    };
    let text = if verb == 'E' || verb == 'G' { text.to_uppercase() } else { text };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => (spec.sign(), text.strip_prefix('+').unwrap_or(&text)),
    };
    if !number.is_finite() {
        let sign = if number.is_nan() || (number > 0.0 && sign.is_empty()) { "+" } else { sign };
        let shown = if number.is_nan() { digits.to_owned() } else { format!("{sign}{digits}") };
        return Some(Spec { zero: false, ..spec.clone() }.pad(&shown));
    }
    let zeros = match spec.width {
        Some(width) if spec.zero && !spec.minus => width.saturating_sub(sign.len() + digits.len()),
        _ => 0,
    };
    Some(spec.pad(&format!("{sign}{}{digits}", "0".repeat(zeros))))
}

fn string(text: &str, verb: char, spec: &Spec) -> Option<String> {
    let cut: String = match spec.precision {
        Some(precision) if !matches!(verb, 'x' | 'X') => text.chars().take(precision).collect(),
        _ => text.to_owned(),
    };
    match verb {
        's' | 'v' => Some(spec.pad(&cut)),
        'q' if spec.sharp && !cut.contains(|c: char| c == '`' || (c.is_control() && c != '\t')) => {
            Some(spec.pad(&format!("`{cut}`")))
        }
        'q' => Some(spec.pad(&quote_with(&cut, '"', spec.plus))),
        'x' | 'X' => {
            let bytes = text.as_bytes();
            let bytes = bytes.get(..spec.precision.unwrap_or(bytes.len())).unwrap_or(bytes);
            let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let prefix = if spec.sharp && !pairs.is_empty() { "0x" } else { "" };
            let separator = match (spec.space, spec.sharp) {
                (true, true) => " 0x",
                (true, false) => " ",
                _ => "",
            };
            let digits = format!("{prefix}{}", pairs.join(separator));
            Some(spec.pad(&if verb == 'X' { digits.to_uppercase() } else { digits }))
        }
        _ => None,
    }
}

/// `%#v`: the value as Go source would write it.
fn syntax(value: &Value, spec: &Spec) -> String {
    match value {
        Value::Missing | Value::Nil => "interface {}(nil)".to_owned(),
        Value::String(text) => spec.pad(&quote(text)),
        Value::List(list) if list.nil => format!("{}(nil)", value.type_name()),
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(|item| syntax(item, spec)).collect();
            format!("{}{{{}}}", value.type_name(), items.join(", "))
        }
        Value::Map(map) if map.nil => format!("{}(nil)", value.type_name()),
        Value::Map(map) => {
            let entries: Vec<String> = map
                .entries
                .iter()
                .map(|(key, value)| format!("{}:{}", quote(key), syntax(value, spec)))
                .collect();
            format!("{}{{{}}}", value.type_name(), entries.join(", "))
        }
        Value::Struct(fields) => {
            let entries: Vec<String> = fields
                .fields
                .iter()
                .map(|field| format!("{}:{}", field.name, syntax(&field.value, spec)))
                .collect();
            format!("{}{{{}}}", fields.name, entries.join(", "))
        }
        scalar => any(scalar, 'v', &Spec { sharp: false, ..spec.clone() }, false),
    }
}
