//! Evaluates operands: literals, field chains, and arguments against the types of parameters.
//!
//! The other half of [`State`]. A parameter's type decides how a literal is read and what is an
//! error, as in Go; values that come from data are checked, never converted.

use super::exec::{Run, State};
use super::function::{Type, Wanted};
use super::literal::quote;
use super::node::{Operand, Term};
use super::value::{Element, Value};

impl<'t> State<'t> {
    /// The value of an operand that takes no arguments.
    pub(super) fn operand(&mut self, dot: &Value, operand: &'t Operand) -> Run<Value> {
        match &operand.term {
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Value::Nil),
            Term::Number(_, number) => {
                self.at_operand(operand);
                match number.integer {
                    Some(integer) if !number.prefers_float => Ok(Value::Int(integer)),
                    _ => Ok(Value::Float(number.float)),
                }
            }
            Term::String(_, text) => Ok(Value::from(text.as_str())),
            Term::Pipe(pipe) => self.pipeline(dot, pipe),
            Term::Function(name) => {
                self.at_operand(operand);
                let function = self.functions.find(name);
                self.call(dot, function, &[], None)?.or_else(|message| {
                    self.at_operand(operand);
                    self.fail(format_args!("error calling {name}: {message}"))
                })
            }
            Term::Variable(names) if names.len() == 1 => {
                self.at_operand(operand);
                self.variable(&operand.to_string())
            }
            Term::Field(_) | Term::Variable(_) | Term::Chain(..) => {
                self.fields(dot, operand, 0, &None)
            }
        }
    }

    /// `.a.b`, `$x.a.b` and `(pipeline).a.b`; only the last field may have arguments.
    pub(super) fn fields(
        &mut self,
        dot: &Value,
        operand: &'t Operand,
        arguments: usize,
        last: &Option<Value>,
    ) -> Run<Value> {
        self.at_operand(operand);
        let (start, names) = match &operand.term {
            Term::Field(names) => (dot.clone(), names.as_slice()),
            Term::Variable(names) => match names.split_first() {
                Some((variable, fields)) => (self.variable(variable)?, fields),
                None => return Ok(Value::Missing),
            },
            Term::Chain(start, names) => {
                let value = self.argument(dot, Wanted::Value, start)?;
                (value, names.as_slice())
            }
            _ => return Ok(Value::Missing),
        };
        let given = arguments + usize::from(last.is_some());
        let mut value = start;
        // What comes out of a `map[string]interface {}` has that type in messages.
        let mut boxed = false;
        for (number, name) in names.iter().enumerate() {
            let given = if number + 1 == names.len() { given } else { 0 };
            let from_any = matches!(&value, Value::Map(map) if map.of == Element::Any);
            value = self.field(name, &value, boxed, given)?;
            boxed = from_any;
        }
        Ok(value)
    }

    fn field(&self, name: &str, receiver: &Value, boxed: bool, arguments: usize) -> Run<Value> {
        let refused = |message: String| self.fail(message);
        match receiver {
            Value::Missing if self.strict => {
                refused(format!("nil data; no entry for key {}", quote(name)))
            }
            Value::Missing => Ok(Value::Missing),
            Value::Nil => refused(format!("nil pointer evaluating interface {{}}.{name}")),
            Value::Struct(value) => match value.field(name) {
                Some(_) if arguments > 0 && value.methods => {
                    refused(format!("wrong number of args for {name}: want 0 got {arguments}"))
                }
                Some(_) if arguments > 0 => {
                    refused(format!("{name} has arguments but cannot be invoked as function"))
                }
                Some(field) => Ok(field.value.clone()),
                None => {
                    refused(format!("can't evaluate field {name} in type {}", receiver.type_name()))
                }
            },
            Value::Map(_) if arguments > 0 => {
                refused(format!("{name} is not a method but has arguments"))
            }
            Value::Map(map) => match map.entries.get(name) {
                Some(value) => Ok(value.clone()),
                None if self.strict => refused(format!("map has no entry for key {}", quote(name))),
                None => Ok(Value::Missing),
            },
            other => {
                let kind = if boxed { Value::Nil.type_name() } else { other.type_name() };
                refused(format!("can't evaluate field {name} in type {kind}"))
            }
        }
    }

    /// An operand as the argument of a function that wants a `wanted`.
    pub(super) fn argument(
        &mut self,
        dot: &Value,
        wanted: Wanted,
        operand: &'t Operand,
    ) -> Run<Value> {
        self.at_operand(operand);
        match (&operand.term, wanted) {
            (Term::Nil, Wanted::Type(Type::String | Type::Int)) => {
                self.fail(format_args!("cannot assign nil to {wanted}"))
            }
            (Term::Nil, Wanted::Type(Type::Reflect)) => Ok(Value::Missing),
            (Term::Bool(_) | Term::Number(..), Wanted::Type(Type::String)) => {
                self.fail(format_args!("expected string; found {operand}"))
            }
            (Term::Number(_, number), Wanted::Type(Type::Int)) if number.integer.is_some() => {
                Ok(Value::Int(number.integer.unwrap_or_default()))
            }
            (Term::Bool(_) | Term::Number(..) | Term::String(..), Wanted::Type(Type::Int)) => {
                self.fail(format_args!("expected integer; found {operand}"))
            }
            (Term::Bool(_) | Term::Number(..) | Term::String(..), Wanted::Type(Type::Strings)) => {
                self.fail(format_args!("can't handle {operand} for arg of type []string"))
            }
            _ => {
                let value = self.operand(dot, operand)?;
                self.validate(value, wanted)
            }
        }
    }

    /// The value, when a parameter of type `wanted` takes it.
    pub(super) fn validate(&self, value: Value, wanted: Wanted) -> Run<Value> {
        let Wanted::Type(wanted_type) = wanted else { return Ok(value) };
        match (value, wanted_type) {
            (Value::Missing, Type::Any | Type::Strings) => Ok(Value::Nil),
            (Value::Missing, Type::String | Type::Int) => {
                self.fail(format_args!("invalid value; expected {wanted}"))
            }
            (value, wanted_type) if wanted_type.takes(&value) => Ok(value),
            (value, _) => self.fail(format_args!(
                "wrong type for value; expected {wanted}; got {}",
                value.type_name()
            )),
        }
    }
}
