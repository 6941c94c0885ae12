//! The inside of an action: pipelines, commands, operands, by the rules of Go's parser.
//!
//! The other half of [`Parser`]: what stands between the delimiters once the keyword is known.

use super::lex::Kind;
use super::literal;
use super::node::{Command, Operand, Pipe, Term};
use super::parse::{Parsed, Parser};

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let position = self.peek_non_space().position;
        let (variables, assign) = self.declarations(context)?;
        let mut commands = Vec::new();
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        check_pipeline(&commands, context)?;
        Ok(Pipe { position, variables, assign, commands })
    }

    /// `$x :=`, `$x =`, and in a range `$x, $y :=`. Leaves anything else unread.
    fn declarations(&mut self, context: &str) -> Parsed<(Vec<String>, bool)> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok((names, false));
            }
            let start = self.next;
            self.next_non_space();
            let after = self.next_non_space();
            match after.kind {
                Kind::Assign | Kind::Declare => {
                    names.push(variable.text.clone());
                    self.variables.push(variable.text);
                    return Ok((names, after.kind == Kind::Assign));
                }
                Kind::Char if after.text == "," => {
                    names.push(variable.text.clone());
                    self.variables.push(variable.text);
                    if context != "range" || names.len() >= 2 {
                        return Err(format!("too many declarations in {context}"));
                    }
                    let next = self.peek_non_space().kind;
                    if !matches!(next, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return Err("range can only initialize variables".to_owned());
                    }
                }
                _ => {
                    self.next = start;
                    return Ok((names, false));
                }
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let position = self.peek_non_space().position;
        let mut arguments = Vec::new();
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                arguments.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if arguments.is_empty() {
            return Err("empty command".to_owned());
        }
        Ok(Command { position, arguments })
    }

    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(start) = self.term()? else { return Ok(None) };
        let next = self.peek();
        if next.kind != Kind::Field {
            return Ok(Some(start));
        }
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(self.next().text.trim_start_matches('.').to_owned());
        }
        let term = match start.term {
            Term::Field(mut first) => {
                first.extend(names);
                Term::Field(first)
            }
            Term::Variable(mut first) => {
                first.extend(names);
                Term::Variable(first)
            }
            Term::Pipe(_) | Term::Function(_) | Term::Chain(..) => {
                Term::Chain(Box::new(start), names)
            }
            Term::Bool(_) | Term::String(..) | Term::Number(..) | Term::Nil | Term::Dot => {
                let text = literal::quote(&start.to_string());
                return Err(format!("unexpected . after term {text}"));
            }
        };
        // Go gives a longer field the place of its second part.
        Ok(Some(Operand { position: next.position, term }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_non_space();
        let position = token.position;
        let text = token.text;
        let term = match token.kind {
            Kind::Identifier if !(self.is_function)(&text) => {
                return Err(format!("function {} not defined", literal::quote(&text)));
            }
            Kind::Identifier => Term::Function(text),
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable if !self.variables.contains(&text) => {
                return Err(format!("undefined variable {}", literal::quote(&text)));
            }
            Kind::Variable => Term::Variable(vec![text]),
            Kind::Field => Term::Field(vec![text.trim_start_matches('.').to_owned()]),
            Kind::Bool => Term::Bool(text == "true"),
            Kind::CharConstant => match literal::character(&text) {
                Some(number) => Term::Number(text, number),
                None => return Err(format!("malformed character constant: {text}")),
            },
            Kind::Number => {
                let number = literal::number(&text)?;
                Term::Number(text, number)
            }
            Kind::LeftParen => {
                self.enter()?;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.leave();
                return Ok(Some(Operand {
                    position: pipe.position,
                    term: Term::Pipe(Box::new(pipe)),
                }));
            }
            Kind::String | Kind::RawString => match literal::unquote(&text) {
                Some(meaning) => Term::String(text, meaning),
                None => return Err("invalid syntax".to_owned()),
            },
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        Ok(Some(Operand { position, term }))
    }
}

fn check_pipeline(commands: &[Command], context: &str) -> Parsed<()> {
    if commands.is_empty() {
        return Err(format!("missing value for {context}"));
    }
    for (number, command) in commands.iter().enumerate().skip(1) {
        let first = command.arguments.first().map(|operand| &operand.term);
        let inert = matches!(
            first,
            Some(Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(..) | Term::String(..))
        );
        if inert {
            return Err(format!("non executable command in pipeline stage {}", number + 1));
        }
    }
    Ok(())
}
