//! Cuts a template into tokens, by the rules of Go's `text/template/parse`.
//!
//! The whole text is cut at once; a fault ends the list with one [`Kind::Error`] token, so that
//! the parser meets it where Go's would. Trim markers (`{{-`, `-}}`) and comments are resolved
//! here and leave no token.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    /// Printable ASCII that has no other meaning, such as a comma.
    Char,
    CharConstant,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Dot,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A token and where it starts.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub kind: Kind,
    /// Byte offset in the template.
    pub position: usize,
    /// Line, from 1.
    pub line: usize,
    /// The text, or the message of an error.
    pub text: String,
}

impl Token {
    /// As Go's parser names it in messages.
    pub fn describe(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::Dot
            | Kind::Block
            | Kind::Break
            | Kind::Continue
            | Kind::Define
            | Kind::Else
            | Kind::End
            | Kind::If
            | Kind::Nil
            | Kind::Range
            | Kind::Template
            | Kind::With => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                let start: String = self.text.chars().take(10).collect();
                format!("{}...", super::literal::quote(&start))
            }
            _ => super::literal::quote(&self.text),
        }
    }
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";

/// Cuts `input` into tokens; the last one is `Eof` or `Error`.
pub(super) fn tokens(input: &str) -> Vec<Token> {
    let mut lexer =
        Lexer { input, position: 0, start: 0, depth: 0, line: 1, counted: 0, tokens: Vec::new() };
    if let Err(message) = lexer.run() {
        lexer.push(Kind::Error, message);
    }
    lexer.tokens
}

struct Lexer<'a> {
    input: &'a str,
    position: usize,
    start: usize,
    depth: usize,
    /// The line at byte `counted`.
    line: usize,
    counted: usize,
    tokens: Vec<Token>,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

/// Whether `rest` is `-` and a space.
fn left_trim(rest: &str) -> bool {
    let mut chars = rest.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

/// Whether `rest` is a space, `-`, and the right delimiter.
fn right_trim(rest: &str) -> bool {
    let mut chars = rest.chars();
    chars.next().is_some_and(is_space)
        && chars.next() == Some('-')
        && chars.as_str().starts_with(RIGHT)
}

/// `U+0041 'A'`, as Go's `%#U` prints a rune.
fn rune(c: Option<char>) -> String {
    match c {
        None => "U+FFFFFFFFFFFFFFFF".to_owned(),
        Some(c) if c.is_control() => format!("U+{:04X}", u32::from(c)),
        Some(c) => format!("U+{:04X} '{c}'", u32::from(c)),
    }
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.input.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, valid: impl Fn(char) -> bool) -> bool {
        let found = self.peek().is_some_and(valid);
        if found {
            self.next();
        }
        found
    }

    fn accept_run(&mut self, valid: impl Fn(char) -> bool) {
        while self.accept(&valid) {}
    }

    fn push(&mut self, kind: Kind, text: String) {
        let since = self.input.get(self.counted..self.start).unwrap_or_default();
        self.line += since.matches('\n').count();
        self.counted = self.start;
        self.tokens.push(Token { kind, position: self.start, line: self.line, text });
        self.start = self.position;
    }

    fn current(&self) -> &'a str {
        self.input.get(self.start..self.position).unwrap_or_default()
    }

    fn emit(&mut self, kind: Kind) {
        self.push(kind, self.current().to_owned());
    }

    /// Text and actions in turn, to the end.
    fn run(&mut self) -> Result<(), String> {
        loop {
            let Some(length) = self.rest().find(LEFT) else {
                self.position = self.input.len();
                if self.position > self.start {
                    self.emit(Kind::Text);
                }
                self.emit(Kind::Eof);
                return Ok(());
            };
            let text = self.rest().get(..length).unwrap_or_default();
            let delimiter = self.position + length;
            let after = self.input.get(delimiter + LEFT.len()..).unwrap_or_default();
            let kept = if left_trim(after) { text.trim_end_matches(is_space) } else { text };
            self.position = delimiter;
            if !kept.is_empty() {
                self.push(Kind::Text, kept.to_owned());
            }
            self.start = self.position;
            self.delimiter()?;
        }
    }

    /// The left delimiter, and what is inside up to the right one.
    fn delimiter(&mut self) -> Result<(), String> {
        self.position += LEFT.len();
        let marker = if left_trim(self.rest()) { 2 } else { 0 };
        if self.rest().get(marker..).is_some_and(|rest| rest.starts_with("/*")) {
            self.position += marker;
            self.start = self.position;
            return self.comment();
        }
        self.emit(Kind::LeftDelim);
        self.position += marker;
        self.start = self.position;
        self.depth = 0;
        while self.inside()? {}
        Ok(())
    }

    fn comment(&mut self) -> Result<(), String> {
        let Some(end) = self.rest().find("*/") else {
            return Err("unclosed comment".to_owned());
        };
        self.position += end + 2;
        if !self.right_delimiter() {
            return Err("comment ends before closing delimiter".to_owned());
        }
        Ok(())
    }

    /// Passes the right delimiter, with its trim marker, when it is next; makes no token.
    fn right_delimiter(&mut self) -> bool {
        let trim = right_trim(self.rest());
        if !trim && !self.rest().starts_with(RIGHT) {
            return false;
        }
        self.position += RIGHT.len() + if trim { 2 } else { 0 };
        if trim {
            self.accept_run(is_space);
        }
        self.start = self.position;
        true
    }

    /// One token inside an action; `false` after the right delimiter.
    fn inside(&mut self) -> Result<bool, String> {
        if right_trim(self.rest()) || self.rest().starts_with(RIGHT) {
            if self.depth > 0 {
                return Err("unclosed left paren".to_owned());
            }
            self.push(Kind::RightDelim, RIGHT.to_owned());
            self.right_delimiter();
            return Ok(false);
        }
        let Some(c) = self.next() else { return Err("unclosed action".to_owned()) };
        match c {
            c if is_space(c) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' if self.accept(|c| c == '=') => self.emit(Kind::Declare),
            ':' => return Err("expected :=".to_owned()),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string")?,
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant")?,
            '`' => self.raw()?,
            '$' => self.field_or_variable(Kind::Variable)?,
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) && self.peek().is_some() => {
                self.field_or_variable(Kind::Field)?;
            }
            '.' | '+' | '-' | '0'..='9' => self.number()?,
            c if is_word(c) => self.identifier()?,
            '(' => {
                self.depth += 1;
                self.emit(Kind::LeftParen);
            }
            ')' if self.depth == 0 => return Err("unexpected right paren".to_owned()),
            ')' => {
                self.depth -= 1;
                self.emit(Kind::RightParen);
            }
            c if c.is_ascii_graphic() => self.emit(Kind::Char),
            c => return Err(format!("unrecognized character in action: {}", rune(Some(c)))),
        }
        Ok(true)
    }

    /// A run of spaces; the last one is left for a trim marker that follows it.
    fn space(&mut self) {
        while !right_trim(self.input.get(self.position - 1..).unwrap_or_default())
            && self.accept(is_space)
        {}
        if right_trim(self.input.get(self.position - 1..).unwrap_or_default()) {
            self.position -= 1;
            if self.position == self.start {
                return;
            }
        }
        self.emit(Kind::Space);
    }

    fn quoted(&mut self, end: char, kind: Kind, fault: &str) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|c| c != '\n') => {
                    self.next();
                }
                None | Some('\\' | '\n') => return Err(fault.to_owned()),
                Some(c) if c == end => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn raw(&mut self) -> Result<(), String> {
        match self.rest().find('`') {
            Some(end) => self.position += end + 1,
            None => return Err("unterminated raw quoted string".to_owned()),
        }
        self.emit(Kind::RawString);
        Ok(())
    }

    fn field_or_variable(&mut self, kind: Kind) -> Result<(), String> {
        if self.at_terminator() {
            self.emit(if kind == Kind::Field { Kind::Dot } else { kind });
            return Ok(());
        }
        self.accept_run(is_word);
        if !self.at_terminator() {
            return Err(format!("bad character {}", rune(self.peek())));
        }
        self.emit(kind);
        Ok(())
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None => true,
            Some(c) => is_space(c) || ".,|:)(".contains(c) || self.rest().starts_with(RIGHT),
        }
    }

    fn identifier(&mut self) -> Result<(), String> {
        self.accept_run(is_word);
        if !self.at_terminator() {
            return Err(format!("bad character {}", rune(self.peek())));
        }
        self.emit(match self.current() {
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "nil" => Kind::Nil,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        });
        Ok(())
    }

    /// Anything that begins like a number; whether it is one, the parser finds out.
    fn number(&mut self) -> Result<(), String> {
        self.position = self.start;
        self.accept(|c| "+-".contains(c));
        let mut digits: fn(char) -> bool = |c| c.is_ascii_digit() || c == '_';
        let mut exponent = "eE";
        if self.accept(|c| c == '0') {
            if self.accept(|c| "xX".contains(c)) {
                digits = |c| c.is_ascii_hexdigit() || c == '_';
                exponent = "pP";
            } else {
                self.accept(|c| "oObB".contains(c));
            }
        }
        self.accept_run(digits);
        if self.accept(|c| c == '.') {
            self.accept_run(digits);
        }
        if self.accept(|c| exponent.contains(c)) {
            self.accept(|c| "+-".contains(c));
            self.accept_run(|c| c.is_ascii_digit() || c == '_');
        }
        if self.accept(is_word) {
            return Err(format!("bad number syntax: {}", super::literal::quote(self.current())));
        }
        self.emit(Kind::Number);
        Ok(())
    }
}
