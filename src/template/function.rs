//! What a function that templates can call is: its name, its parameters, and what it does.

use std::fmt;

use super::value::{Element, Value};

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// `interface {}`
    Any,
    /// `reflect.Value`: like `interface {}`, but sees whether there is a value at all.
    Reflect,
    /// `string`
    String,
    /// `int`
    Int,
    /// `[]string`
    Strings,
}

impl Type {
    /// Whether the value can be passed as it is.
    pub fn takes(self, value: &Value) -> bool {
        match self {
            Self::Any | Self::Reflect => true,
            Self::String => matches!(value, Value::String(_)),
            Self::Int => matches!(value, Value::Int(_)),
            Self::Strings => matches!(value, Value::List(list) if list.of == Element::String),
        }
    }
}

/// What the place of an operand wants of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// Anything, unchecked.
    Value,
    /// The type of a parameter.
    Type(Type),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value | Self::Type(Type::Any) => "interface {}",
            Self::Type(Type::Reflect) => "reflect.Value",
            Self::Type(Type::String) => "string",
            Self::Type(Type::Int) => "int",
            Self::Type(Type::Strings) => "[]string",
        })
    }
}

/// A function that templates can call.
pub(super) struct Function {
    pub name: &'static str,
    pub fixed: &'static [Type],
    /// The type of any number of further arguments.
    pub rest: Option<Type>,
    pub run: fn(&[Value]) -> Result<Value, String>,
}
