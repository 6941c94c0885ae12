//! Tokens to tree, by the rules of Go's `text/template/parse`, with its messages.
//!
//! Guarantees: a template that parses names only functions that exist and variables that were
//! declared before, and `break` and `continue` stand inside a range.

use std::collections::BTreeMap;

use super::lex::{Kind, Token, tokens};
use super::literal;
use super::node::{Branch, Invocation, Node, is_blank};

/// A parsed text: its templates by name; the text itself is the one named "".
pub(super) type Templates = BTreeMap<String, Vec<Node>>;

/// Deepest nesting of actions and parentheses, so that no template can exhaust the stack.
const MAX_DEPTH: usize = 200;

/// Parses `text`; `is_function` knows the functions' names. The error is Go's message.
pub(super) fn parse(text: &str, is_function: &dyn Fn(&str) -> bool) -> Result<Templates, String> {
    let mut parser = Parser {
        tokens: tokens(text),
        next: 0,
        furthest: 0,
        variables: vec!["$".to_owned()],
        ranges: 0,
        depth: 0,
        action_line: None,
        templates: Templates::new(),
        is_function,
    };
    match parser.top() {
        Ok(()) => Ok(parser.templates),
        Err(message) => {
            let line = parser.tokens.get(parser.furthest).map_or(1, |token| token.line);
            Err(format!("template: :{line}: {message}"))
        }
    }
}

pub(super) struct Parser<'a> {
    tokens: Vec<Token>,
    /// The token to be read next.
    pub(super) next: usize,
    /// The last one looked at: Go reports its line.
    furthest: usize,
    /// Those in scope, `$` first.
    pub(super) variables: Vec<String>,
    /// How many ranges are open.
    ranges: usize,
    depth: usize,
    /// Where the current action began.
    action_line: Option<usize>,
    templates: Templates,
    pub(super) is_function: &'a dyn Fn(&str) -> bool,
}

/// What ended a list of nodes.
enum ListEnd {
    End,
    Else,
}

/// A part, or what Go would say is wrong.
pub(super) type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    pub(super) fn next(&mut self) -> Token {
        let last = self.tokens.len() - 1;
        let position = self.next.min(last);
        self.furthest = self.furthest.max(position);
        self.next = position + 1;
        self.tokens.get(position).cloned().unwrap_or_else(|| Token {
            kind: Kind::Eof,
            position: 0,
            line: 1,
            text: String::new(),
        })
    }

    pub(super) fn backup(&mut self) {
        self.next -= 1;
    }

    pub(super) fn peek(&mut self) -> Token {
        let token = self.next();
        self.backup();
        token
    }

    pub(super) fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    pub(super) fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.backup();
        token
    }

    pub(super) fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return Err(format!("unexpected {} in {context}", token.describe()));
        }
        let started = match self.action_line {
            Some(line) if line != token.line && token.text.ends_with(" action") => {
                format!(" started at :{line}")
            }
            Some(line) if line != token.line => format!(" in action started at :{line}"),
            _ => String::new(),
        };
        Err(format!("{}{started}", token.text))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// One level deeper, within bounds.
    pub(super) fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("too deeply nested".to_owned());
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// The whole text: like a list, but definitions are allowed and nothing ends it.
    fn top(&mut self) -> Parsed<()> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let start = self.next;
                self.next();
                if self.next_non_space().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.next = start;
            }
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::Ends(ListEnd::End) => return Err("unexpected {{end}}".to_owned()),
                Item::Ends(ListEnd::Else) => return Err("unexpected {{else}}".to_owned()),
            }
        }
        self.add(String::new(), nodes)
    }

    fn add(&mut self, name: String, nodes: Vec<Node>) -> Parsed<()> {
        let taken = self.templates.get(&name).is_some_and(|old| !is_blank(old));
        if !taken {
            self.templates.insert(name, nodes);
        } else if !is_blank(&nodes) {
            let name = literal::quote(&name);
            return Err(format!("template: multiple definition of template {name}"));
        }
        Ok(())
    }

    fn name(&mut self, context: &str) -> Parsed<(usize, String)> {
        let token = self.next_non_space();
        match token.kind {
            Kind::String | Kind::RawString => match literal::unquote(&token.text) {
                Some(name) => Ok((token.position, name)),
                None => Err("invalid syntax".to_owned()),
            },
            _ => self.unexpected(&token, context),
        }
    }

    fn definition(&mut self) -> Parsed<()> {
        let (_, name) = self.name("define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        let nodes = self.separate_body("define clause")?;
        self.add(name, nodes)
    }

    /// The body of a definition, which sees none of the variables around it.
    fn separate_body(&mut self, context: &str) -> Parsed<Vec<Node>> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (nodes, end) = self.item_list()?;
        self.variables = variables;
        self.ranges = ranges;
        match end {
            ListEnd::End => Ok(nodes),
            ListEnd::Else => Err(format!("unexpected {{{{else}}}} in {context}")),
        }
    }

    fn item_list(&mut self) -> Parsed<(Vec<Node>, ListEnd)> {
        self.enter()?;
        let mut nodes = Vec::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::Ends(end) => {
                    self.leave();
                    return Ok((nodes, end));
                }
            }
        }
        Err("unexpected EOF".to_owned())
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelim => {
                self.action_line = Some(token.line);
                let item = self.action();
                if item.is_ok() {
                    self.action_line = None;
                }
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => self.leave_range("{{break}}", Node::Break)?,
            Kind::Continue => self.leave_range("{{continue}}", Node::Continue)?,
            Kind::Else => {
                let next = self.peek_non_space();
                if !matches!(next.kind, Kind::If | Kind::With) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Ends(ListEnd::Else));
            }
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Ends(ListEnd::End));
            }
            Kind::If => Node::If(self.control("if")?),
            Kind::Range => Node::Range(self.control("range")?),
            Kind::With => Node::With(self.control("with")?),
            Kind::Template => {
                let (position, name) = self.name("template clause")?;
                let bare = self.next_non_space().kind == Kind::RightDelim;
                let pipe = if bare {
                    None
                } else {
                    self.backup();
                    Some(self.pipeline("template clause", Kind::RightDelim)?)
                };
                Node::Template(Invocation { position, name, pipe })
            }
            _ => {
                self.backup();
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn leave_range(&mut self, action: &str, node: Node) -> Parsed<Node> {
        self.expect(Kind::RightDelim, action)?;
        if self.ranges == 0 {
            return Err(format!("{action} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn block(&mut self) -> Parsed<Node> {
        let (position, name) = self.name("block clause")?;
        let pipe = Some(self.pipeline("block clause", Kind::RightDelim)?);
        let nodes = self.separate_body("block clause")?;
        self.add(name.clone(), nodes)?;
        Ok(Node::Template(Invocation { position, name, pipe }))
    }

    fn control(&mut self, context: &'static str) -> Parsed<Branch> {
        let scope = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let is_range = usize::from(context == "range");
        self.ranges += is_range;
        let (list, end) = self.item_list()?;
        self.ranges -= is_range;
        let otherwise = match end {
            ListEnd::End => None,
            ListEnd::Else => Some(self.otherwise(context)?),
        };
        self.variables.truncate(scope);
        Ok(Branch { pipe, list, otherwise })
    }

    /// After `else`: `if` in an if and `with` in a with share the one `end`.
    fn otherwise(&mut self, context: &'static str) -> Parsed<Vec<Node>> {
        let next = self.peek().kind;
        if (context == "if" && next == Kind::If) || (context == "with" && next == Kind::With) {
            return self.chained(context);
        }
        let (nodes, end) = self.item_list()?;
        match end {
            ListEnd::End => Ok(nodes),
            ListEnd::Else => Err("expected end; found {{else}}".to_owned()),
        }
    }

    fn chained(&mut self, context: &'static str) -> Parsed<Vec<Node>> {
        self.enter()?;
        self.next_non_space();
        let branch = self.control(context)?;
        self.leave();
        Ok(vec![if context == "if" { Node::If(branch) } else { Node::With(branch) }])
    }
}

enum Item {
    Node(Node),
    Ends(ListEnd),
}
