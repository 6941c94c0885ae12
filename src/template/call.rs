//! Calls functions: how arguments reach their parameters.
//!
//! `and` and `or` stop at the first argument that decides, as Go's do.

use super::exec::{Run, State};
use super::function::{Function, Type, Wanted};
use super::node::Operand;
use super::value::Value;

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
