//! Runs a parsed template over a value, by the rules of Go's `text/template`.
//!
//! Errors name the line, the column and the expression as Go's do: the expression is the one that
//! was looked at last, which is not always the one a reader would blame, so [`State::at`] is set
//! exactly where Go sets it. Nothing is written anywhere but to the string that is returned.

use super::functions::Functions;
use super::literal::quote;
use super::node::{Branch, Command, Invocation, Node, Operand, Pipe, Term};
use super::parse::Templates;
use super::print;
use super::value::Value;

/// How many lists and pipelines may be open at once, each inside the one before, so that no
/// template can exhaust the stack. What a template nests and what it calls counts together: a deep
/// one that calls itself would multiply two bounds.
const MAX_DEPTH: usize = 400;

/// Runs the template named "" over `data`.
pub(super) fn execute(
    templates: &Templates,
    text: &str,
    functions: Functions,
    strict: bool,
    data: &Value,
) -> Result<String, String> {
    let mut state = State {
        templates,
        text,
        functions,
        strict,
        out: String::new(),
        variables: vec![("$".to_owned(), data.clone())],
        at: At::Start,
        depth: 0,
    };
    if let Some(nodes) = templates.get("") {
        state.list(data, nodes)?;
    }
    Ok(state.out)
}

/// The expression that Go would name in an error.
#[derive(Clone, Copy)]
enum At<'t> {
    Start,
    Pipe(&'t Pipe),
    Command(&'t Command),
    Operand(&'t Operand),
    Template(&'t Invocation),
}

/// How a list of nodes ended.
enum Flow {
    Next,
    Break,
    Continue,
}

pub(super) struct State<'t> {
    templates: &'t Templates,
    text: &'t str,
    pub(super) functions: Functions,
    /// A missing key of a map is an error.
    pub(super) strict: bool,
    out: String,
    variables: Vec<(String, Value)>,
    at: At<'t>,
    depth: usize,
}

pub(super) type Run<T> = Result<T, String>;

impl<'t> State<'t> {
    /// The error `message` where the template is now.
    pub(super) fn fail<T>(&self, message: impl std::fmt::Display) -> Run<T> {
        let (position, context) = match self.at {
            At::Start => return Err(format!("template: : {message}")),
            At::Pipe(pipe) => (pipe.position, pipe.to_string()),
            At::Command(command) => (command.position, command.to_string()),
            At::Operand(operand) => (operand.position, operand.to_string()),
            At::Template(call) => (call.position, call.to_string()),
        };
        let before = self.text.get(..position).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let column = position - before.rfind('\n').map_or(0, |newline| newline + 1);
        Err(format!("template: :{line}:{column}: executing \"\" at <{context}>: {message}"))
    }

    pub(super) fn at_operand(&mut self, operand: &'t Operand) {
        self.at = At::Operand(operand);
    }

    /// One level deeper for as long as `work` takes, within the bound.
    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Run<T>) -> Run<T> {
        if self.depth == MAX_DEPTH {
            return self.fail(format_args!("exceeded maximum template depth ({MAX_DEPTH})"));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn list(&mut self, dot: &Value, nodes: &'t [Node]) -> Run<Flow> {
        self.deeper(|state| {
            for node in nodes {
                match state.node(dot, node)? {
                    Flow::Next => {}
                    flow => return Ok(flow),
                }
            }
            Ok(Flow::Next)
        })
    }

    fn node(&mut self, dot: &Value, node: &'t Node) -> Run<Flow> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    print::action(&mut self.out, &value);
                }
            }
            Node::If(branch) => return self.choose(dot, branch, false),
            Node::With(branch) => return self.choose(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template(call) => self.invoke(dot, call)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn choose(&mut self, dot: &Value, branch: &'t Branch, sets_dot: bool) -> Run<Flow> {
        let scope = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if value.truth() {
            self.list(if sets_dot { &value } else { dot }, &branch.list)
        } else if let Some(otherwise) = &branch.otherwise {
            self.list(dot, otherwise)
        } else {
            Ok(Flow::Next)
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch) -> Run<Flow> {
        let scope = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = self.iterate(dot, branch, &value);
        self.variables.truncate(scope);
        flow
    }

    fn iterate(&mut self, dot: &Value, branch: &'t Branch, value: &Value) -> Run<Flow> {
        let mut any = false;
        match value {
            Value::List(list) => {
                for (number, item) in list.items.iter().enumerate() {
                    any = true;
                    let number = i64::try_from(number).unwrap_or(i64::MAX);
                    if let Flow::Break = self.iteration(branch, Value::Int(number), item)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in &map.entries {
                    any = true;
                    if let Flow::Break = self.iteration(branch, Value::from(key.as_str()), item)? {
                        break;
                    }
                }
            }
            Value::Int(count) if branch.pipe.variables.len() > 1 => {
                return self.fail(format_args!(
                    "can't use {count} to iterate over more than one variable"
                ));
            }
            Value::Int(count) => {
                for number in 0..*count {
                    any = true;
                    let number = Value::Int(number);
                    if let Flow::Break = self.iteration(branch, Value::Missing, &number)? {
                        break;
                    }
                }
            }
            Value::Missing | Value::Nil => {}
            other => {
                let text = print::plain(other);
                return self.fail(format_args!("range can't iterate over {text}"));
            }
        }
        match &branch.otherwise {
            Some(otherwise) if !any => self.list(dot, otherwise),
            _ => Ok(Flow::Next),
        }
    }

    fn iteration(&mut self, branch: &'t Branch, index: Value, item: &Value) -> Run<Flow> {
        let scope = self.variables.len();
        let pairs = match branch.pipe.variables.as_slice() {
            [] => vec![],
            [element] => vec![(element, item.clone())],
            [key, element, ..] => vec![(key, index), (element, item.clone())],
        };
        for (name, value) in pairs {
            self.assign(name, value)?;
        }
        let flow = self.list(item, &branch.list);
        self.variables.truncate(scope);
        flow
    }

    fn invoke(&mut self, dot: &Value, call: &'t Invocation) -> Run<()> {
        self.at = At::Template(call);
        let Some(nodes) = self.templates.get(&call.name) else {
            return self.fail(format_args!("template {} not defined", quote(&call.name)));
        };
        let dot = match &call.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Missing,
        };
        // The called template sees no variable of the caller.
        let variables = std::mem::replace(&mut self.variables, vec![("$".to_owned(), dot.clone())]);
        let flow = self.list(&dot, nodes);
        self.variables = variables;
        flow.map(|_| ())
    }

    /// The value of a pipeline. Variables that it declares stay until the enclosing block ends.
    pub(super) fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Run<Value> {
        self.at = At::Pipe(pipe);
        let value = self.deeper(|state| {
            let mut value: Option<Value> = None;
            for command in &pipe.commands {
                value = Some(state.command(dot, command, value)?.settle());
            }
            Ok(value.unwrap_or(Value::Missing))
        })?;
        for name in &pipe.variables {
            if pipe.assign {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn assign(&mut self, name: &str, value: Value) -> Run<()> {
        match self.variables.iter_mut().rev().find(|variable| variable.0 == name) {
            Some(variable) => variable.1 = value,
            None => return self.fail(format_args!("undefined variable: {name}")),
        }
        Ok(())
    }

    pub(super) fn variable(&self, name: &str) -> Run<Value> {
        match self.variables.iter().rev().find(|variable| variable.0 == name) {
            Some(variable) => Ok(variable.1.clone()),
            None => self.fail(format_args!("undefined variable: {name}")),
        }
    }

    /// One stage of a pipeline; `last` is what the stage before yielded.
    fn command(&mut self, dot: &Value, command: &'t Command, last: Option<Value>) -> Run<Value> {
        let Some((first, rest)) = command.arguments.split_first() else {
            return Ok(Value::Missing);
        };
        let extra = !rest.is_empty() || last.is_some();
        match &first.term {
            Term::Function(name) => {
                self.at_operand(first);
                let function = self.functions.find(name);
                let value = self.call(dot, function, rest, last)?;
                return value.or_else(|message| {
                    self.at = At::Command(command);
                    self.fail(format_args!("error calling {name}: {message}"))
                });
            }
            Term::Field(_) | Term::Chain(..) => return self.fields(dot, first, rest.len(), &last),
            Term::Variable(names) if names.len() > 1 => {
                return self.fields(dot, first, rest.len(), &last);
            }
            Term::Variable(_) => self.at_operand(first),
            Term::Pipe(_) => {}
            _ => self.at_operand(first),
        }
        if extra {
            return self.fail(format_args!("can't give argument to non-function {first}"));
        }
        match &first.term {
            Term::Nil => self.fail("nil is not a command"),
            _ => self.operand(dot, first),
        }
    }
}
