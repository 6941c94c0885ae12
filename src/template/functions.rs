//! The functions there are: Go's own, and Docker's.

use super::function::{Function, Type};
use super::value::Value;
use super::{docker, funcs, printf};

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

/// `and` and `or` never get here: `State::call` decides them argument by argument.
fn decided(arguments: &[Value]) -> Result<Value, String> {
    Ok(arguments.last().cloned().unwrap_or(Value::Missing))
}
