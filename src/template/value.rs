//! The values that a template sees: what Go's `reflect` would show of the same data.
//!
//! JSON has six types, Go's templates tell more apart, and their rules depend on it: a key that is
//! missing is not a null, a `[]string` may be joined and a `[]interface {}` may not, a struct
//! prints as `{a b}` in the order of its fields where a map prints as `map[k:v]` sorted. So a
//! [`Value`] carries as much of the Go type as templates can observe, and nothing else.
//! Values are cheap to clone; they never change.

use std::collections::BTreeMap;
use std::rc::Rc;

/// A value with as much of its Go type as a template can observe.
#[derive(Debug, Clone)]
pub enum Value {
    /// No value at all: what a missing key of a map yields. Prints `<no value>`.
    Missing,
    /// A nil in an `interface {}`, as JSON's null is decoded.
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `float64`
    Float(f64),
    /// `string`
    String(Rc<str>),
    /// A slice.
    List(Rc<List>),
    /// A map with string keys.
    Map(Rc<Map>),
    /// A struct with fields, or a pointer to one with methods.
    Struct(Rc<Struct>),
}

/// What the elements of a list or map are declared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// `interface {}`, as decoded from JSON without a type.
    Any,
    /// `string`
    String,
    /// A struct or other named type.
    Named(&'static str),
}

/// A slice of Go.
#[derive(Debug)]
pub struct List {
    /// The declared type of the items.
    pub of: Element,
    /// The items.
    pub items: Vec<Value>,
    /// A nil slice: prints as an empty one, but is `null` in JSON.
    pub nil: bool,
}

/// A map of Go with string keys, in the order in which Go prints and ranges over it.
#[derive(Debug)]
pub struct Map {
    /// The declared type of the values.
    pub of: Element,
    /// Sorted by key.
    pub entries: BTreeMap<String, Value>,
    /// A nil map: prints as an empty one, but is `null` in JSON.
    pub nil: bool,
}

/// A field of a struct, or a method without arguments.
#[derive(Debug)]
pub struct Field {
    /// What a template calls it.
    pub name: &'static str,
    /// Its key in JSON; `None` keeps it out.
    pub json: Option<&'static str>,
    /// Left out of JSON when empty.
    pub omit_empty: bool,
    /// What it holds.
    pub value: Value,
}

impl Field {
    /// A field whose JSON key is its name.
    pub fn new(name: &'static str, value: impl Into<Value>) -> Self {
        Self { name, json: Some(name), omit_empty: false, value: value.into() }
    }

    /// The same, left out of JSON when it is empty.
    pub fn optional(name: &'static str, value: impl Into<Value>) -> Self {
        Self { omit_empty: true, ..Self::new(name, value) }
    }
}

/// A struct of Go.
#[derive(Debug)]
pub struct Struct {
    /// Its name in error messages.
    pub name: &'static str,
    /// In the order of declaration.
    pub fields: Vec<Field>,
    /// The fields are methods: they count arguments as functions do.
    pub methods: bool,
    /// What it prints as, when that is not its fields (a time has a `String` method).
    pub text: Option<String>,
    /// What it is in JSON, a string, when that is not its fields.
    pub json: Option<String>,
}

impl Struct {
    /// A struct with plain fields.
    pub fn new(name: &'static str, fields: Vec<Field>) -> Self {
        Self { name, fields, methods: false, text: None, json: None }
    }

    /// A row of a listing: its columns are methods.
    pub fn row(name: &'static str, fields: Vec<Field>) -> Self {
        Self { name, fields, methods: true, text: None, json: None }
    }

    /// The field or method of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Value {
    /// A list of strings, `[]string`.
    pub fn strings<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Self {
        let items = items.into_iter().map(|item| Self::from(item.as_ref())).collect();
        Self::List(Rc::new(List { of: Element::String, items, nil: false }))
    }

    /// A map of strings, `map[string]string`.
    pub fn string_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let entries = entries.into_iter().map(|(k, v)| (k.to_owned(), Self::from(v))).collect();
        Self::Map(Rc::new(Map { of: Element::String, entries, nil: false }))
    }

    /// Go's truth: not the zero value of its type.
    pub fn truth(&self) -> bool {
        match self {
            Self::Missing | Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Struct(_) => true,
        }
    }

    /// The name of its type, as Go's `%T` prints it.
    pub fn type_name(&self) -> String {
        match self {
            Self::Missing => "<nil>".to_owned(),
            Self::Nil => "interface {}".to_owned(),
            Self::Bool(_) => "bool".to_owned(),
            Self::Int(_) => "int".to_owned(),
            Self::Float(_) => "float64".to_owned(),
            Self::String(_) => "string".to_owned(),
            Self::List(list) => format!("[]{}", list.of.name()),
            Self::Map(map) => format!("map[string]{}", map.of.name()),
            Self::Struct(row) if row.methods => format!("*{}", row.name),
            Self::Struct(value) => value.name.to_owned(),
        }
    }

    /// As `%v` prints it.
    pub fn to_text(&self) -> String {
        super::print::plain(self)
    }

    /// Forgets that a nil came out of an interface, as the end of each pipeline stage does.
    pub(super) fn settle(self) -> Self {
        match self {
            Self::Nil => Self::Missing,
            other => other,
        }
    }

    /// The value as JSON decoded without a type would be: numbers are `float64`.
    pub fn from_json(json: &serde_json::Value) -> Self {
        Self::decode(json, &|number| Self::Float(number.as_f64().unwrap_or_default()))
    }

    /// The same with whole numbers kept whole, as Docker decodes what it inspects.
    pub fn from_json_exact(json: &serde_json::Value) -> Self {
        Self::decode(json, &|number| match number.as_i64() {
            Some(whole) => Self::Int(whole),
            None => Self::Float(number.as_f64().unwrap_or_default()),
        })
    }

    fn decode(json: &serde_json::Value, number: &impl Fn(&serde_json::Number) -> Self) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(value) => number(value),
            Json::String(text) => Self::from(text.as_str()),
            Json::Array(items) => {
                let items = items.iter().map(|item| Self::decode(item, number)).collect();
                Self::List(Rc::new(List { of: Element::Any, items, nil: false }))
            }
            Json::Object(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::decode(value, number)))
                    .collect();
                Self::Map(Rc::new(Map { of: Element::Any, entries, nil: false }))
            }
        }
    }
}

impl Element {
    fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::String => "string",
            Self::Named(name) => name,
        }
    }

    /// What `index` yields for a key that a map does not have.
    pub(super) fn zero(self) -> Value {
        match self {
            Self::Any | Self::Named(_) => Value::Nil,
            Self::String => Value::from(""),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(Rc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(Rc::from(text))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Struct> for Value {
    fn from(value: Struct) -> Self {
        Self::Struct(Rc::new(value))
    }
}

impl From<List> for Value {
    fn from(value: List) -> Self {
        Self::List(Rc::new(value))
    }
}

impl From<Map> for Value {
    fn from(value: Map) -> Self {
        Self::Map(Rc::new(value))
    }
}
