//! `printf`: Go's format strings, with verbs, flags, widths and argument indexes.
//!
//! A fault in the format is no error: it shows in the output, as `%!d(string=x)` does in Go's.
//! Hexadecimal and binary floats (`%x`, `%b`) count as wrong verbs.

use super::print;
use super::value::Value;
use super::verb::{Spec, format};

/// Largest width or precision that is obeyed.
const MAX_WIDTH: i64 = 1_000_000;

/// `printf FORMAT ARGUMENT...`
pub(super) fn call(arguments: &[Value]) -> Result<Value, String> {
    let Some((Value::String(text), arguments)) = arguments.split_first() else {
        return Ok(Value::from(""));
    };
    let mut printer = Printer {
        rest: text,
        arguments,
        next: 0,
        reordered: false,
        good_index: true,
        after_index: false,
        out: String::new(),
    };
    while printer.step() {}
    printer.extra();
    Ok(Value::from(printer.out))
}

struct Printer<'a> {
    rest: &'a str,
    arguments: &'a [Value],
    next: usize,
    /// An explicit index was used somewhere: unused arguments are no fault then.
    reordered: bool,
    good_index: bool,
    after_index: bool,
    out: String,
}

impl<'a> Printer<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    /// Text up to a verb, and the verb; `false` at the end.
    fn step(&mut self) -> bool {
        let Some(text) = self.rest.find('%') else {
            self.out.push_str(self.rest);
            return false;
        };
        self.out.push_str(self.rest.get(..text).unwrap_or_default());
        self.rest = self.rest.get(text + 1..).unwrap_or_default();
        self.good_index = true;
        self.after_index = false;
        let mut spec = Spec::default();
        self.flags(&mut spec);
        self.index();
        self.width(&mut spec);
        self.precision(&mut spec);
        if !self.after_index {
            self.index();
        }
        let Some(verb) = self.skip() else {
            self.out.push_str("%!(NOVERB)");
            return false;
        };
        self.verb(verb, spec);
        true
    }

    fn flags(&mut self, spec: &mut Spec) {
        loop {
            match self.peek() {
                Some('#') => spec.sharp = true,
                Some('0') => spec.zero = true,
                Some('+') => spec.plus = true,
                Some('-') => spec.minus = true,
                Some(' ') => spec.space = true,
                _ => return,
            }
            self.skip();
        }
    }

    /// `[3]`: the argument to use next.
    fn index(&mut self) {
        if self.peek() != Some('[') {
            return;
        }
        self.reordered = true;
        let Some(end) = self.rest.find(']') else {
            self.good_index = false;
            self.skip();
            return;
        };
        let number = self.rest.get(1..end).and_then(|text| text.parse::<usize>().ok());
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        match number {
            Some(number) if (1..=self.arguments.len()).contains(&number) => {
                self.next = number - 1;
                self.after_index = true;
            }
            _ => self.good_index = false,
        }
    }

    /// The next argument as a width; `None` when it is none.
    fn star(&mut self) -> Option<i64> {
        self.skip();
        self.after_index = false;
        let argument = self.arguments.get(self.next)?;
        self.next += 1;
        match argument {
            Value::Int(width) if width.abs() <= MAX_WIDTH => Some(*width),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<usize> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let digits = self.rest.get(..end).unwrap_or_default();
        if digits.is_empty() {
            return None;
        }
        self.rest = self.rest.get(end..).unwrap_or_default();
        digits.parse().ok().filter(|width| i64::try_from(*width).is_ok_and(|w| w <= MAX_WIDTH))
    }

    fn width(&mut self, spec: &mut Spec) {
        if self.peek() == Some('*') {
            match self.star() {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            return;
        }
        spec.width = self.number();
        if spec.width.is_some() && self.after_index {
            self.good_index = false;
        }
    }

    fn precision(&mut self, spec: &mut Spec) {
        if self.peek() != Some('.') {
            return;
        }
        self.skip();
        if self.after_index {
            self.good_index = false;
        }
        self.index();
        if self.peek() == Some('*') {
            match self.star().map(usize::try_from) {
                Some(Ok(precision)) => spec.precision = Some(precision),
                Some(Err(_)) => {}
                None => self.out.push_str("%!(BADPREC)"),
            }
            return;
        }
        spec.precision = Some(self.number().unwrap_or(0));
    }

    fn verb(&mut self, verb: char, spec: Spec) {
        let fault = match self.arguments.get(self.next) {
            _ if verb == '%' => {
                self.out.push('%');
                return;
            }
            _ if !self.good_index => "BADINDEX",
            None => "MISSING",
            Some(argument) => {
                self.next += 1;
                self.out.push_str(&format(argument, verb, &spec));
                return;
            }
        };
        self.out.push_str(&format!("%!{verb}({fault})"));
    }

    /// Arguments that no verb used.
    fn extra(&mut self) {
        if self.reordered || self.next >= self.arguments.len() {
            return;
        }
        let unused: Vec<String> = self
            .arguments
            .iter()
            .skip(self.next)
            .map(|argument| match argument {
                Value::Missing | Value::Nil => "<nil>".to_owned(),
                other => format!("{}={}", other.type_name(), print::plain(other)),
            })
            .collect();
        self.out.push_str(&format!("%!(EXTRA {})", unused.join(", ")));
    }
}
