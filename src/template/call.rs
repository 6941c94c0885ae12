//! Calls functions: which there are, what their parameters take, and how arguments reach them.
//!
//! `and` and `or` stop at the first argument that decides, as Go's do.

use std::fmt;

use super::exec::{Run, State};
use super::node::Operand;
use super::value::{Element, Value};
use super::{docker, funcs, printf};

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

/// Which functions a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Functions {
    /// Go's and Docker's.
    Data,
    /// For the header of a table: Docker's give their first argument back.
    Header,
}

/// Go's own.
static BUILTIN: &[Function] = &[
    Function { name: "and", fixed: &[Type::Reflect], rest: Some(Type::Reflect), run: decided },
    Function { name: "or", fixed: &[Type::Reflect], rest: Some(Type::Reflect), run: decided },
    Function { name: "not", fixed: &[Type::Reflect], rest: None, run: funcs::not },
    Function { name: "len", fixed: &[Type::Reflect], rest: None, run: funcs::len },
    Function {
        name: "index",
        fixed: &[Type::Reflect],
        rest: Some(Type::Reflect),
        run: funcs::index,
    },
    Function {
        name: "slice",
        fixed: &[Type::Reflect],
        rest: Some(Type::Reflect),
        run: funcs::slice,
    },
    Function { name: "eq", fixed: &[Type::Reflect], rest: Some(Type::Reflect), run: funcs::eq },
    Function { name: "ne", fixed: &[Type::Reflect, Type::Reflect], rest: None, run: funcs::ne },
    Function { name: "lt", fixed: &[Type::Reflect, Type::Reflect], rest: None, run: funcs::lt },
    Function { name: "le", fixed: &[Type::Reflect, Type::Reflect], rest: None, run: funcs::le },
    Function { name: "gt", fixed: &[Type::Reflect, Type::Reflect], rest: None, run: funcs::gt },
    Function { name: "ge", fixed: &[Type::Reflect, Type::Reflect], rest: None, run: funcs::ge },
    Function { name: "print", fixed: &[], rest: Some(Type::Any), run: funcs::print },
    Function { name: "println", fixed: &[], rest: Some(Type::Any), run: funcs::println },
    Function { name: "printf", fixed: &[Type::String], rest: Some(Type::Any), run: printf::call },
    Function { name: "html", fixed: &[], rest: Some(Type::Any), run: funcs::html },
    Function { name: "js", fixed: &[], rest: Some(Type::Any), run: funcs::js },
    Function { name: "urlquery", fixed: &[], rest: Some(Type::Any), run: funcs::urlquery },
];

impl Functions {
    /// The function of that name.
    pub fn find(self, name: &str) -> Option<&'static Function> {
        let docker = match self {
            Self::Data => docker::FUNCTIONS,
            Self::Header => docker::HEADER_FUNCTIONS,
        };
        docker.iter().chain(BUILTIN).find(|function| function.name == name)
    }
}

/// `and` and `or` never get here: [`State::call`] decides them argument by argument.
fn decided(arguments: &[Value]) -> Result<Value, String> {
    Ok(arguments.last().cloned().unwrap_or(Value::Missing))
}

impl<'t> State<'t> {
    /// Calls a function. The outer error is one of the template, the inner one the function's own.
    pub(super) fn call(
        &mut self,
        dot: &Value,
        function: Option<&'static Function>,
        operands: &'t [Operand],
        last: Option<Value>,
    ) -> Run<Result<Value, String>> {
        // The parser let no other name pass.
        let Some(function) = function else { return self.fail("not a defined function") };
        let given = operands.len() + usize::from(last.is_some());
        let wanted = function.fixed.len();
        if function.rest.is_some() && given < wanted {
            return self.fail(format_args!(
                "wrong number of args for {}: want at least {wanted} got {}",
                function.name,
                operands.len()
            ));
        }
        if function.rest.is_none() && given != wanted {
            return self.fail(format_args!(
                "wrong number of args for {}: want {wanted} got {given}",
                function.name
            ));
        }
        let parameter = |number: usize| {
            Wanted::Type(function.fixed.get(number).copied().or(function.rest).unwrap_or(Type::Any))
        };
        let decider = match function.name {
            "and" => Some(false),
            "or" => Some(true),
            _ => None,
        };
        let mut arguments = Vec::with_capacity(given);
        for (number, operand) in operands.iter().enumerate() {
            let value = self.argument(dot, parameter(number), operand)?;
            if decider == Some(value.truth()) {
                return Ok(Ok(value));
            }
            arguments.push(value);
        }
        if let Some(value) = last {
            arguments.push(self.validate(value, parameter(operands.len()))?);
        }
        Ok((function.run)(&arguments))
    }
}
