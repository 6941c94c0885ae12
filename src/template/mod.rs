//! `--format`: Go's `text/template` with Docker's functions, over values known at run time.
//!
//! Scripts written for Docker hold templates, and what they rely on is in the details: how a list
//! prints, that a missing key is `<no value>`, which comparison is an error. So this follows Go's
//! package rule by rule; a table of cases with answers of a real Docker client is in the tests.
//!
//! Guarantees: no template and no data can panic, recurse without bound or write anywhere but to
//! the text that is returned. Not there: channels, functions as values (`call`), complex numbers,
//! hexadecimal floats; strings are valid UTF-8, so a slice through a character shows U+FFFD.
//!
//! ```text
//! text --lex--> tokens --parse, pipeline--> node --exec, operand, call--> text
//! ```

mod call;
mod docker;
mod exec;
mod funcs;
mod function;
mod functions;
mod json;
mod lex;
mod literal;
mod node;
mod operand;
mod parse;
mod pipeline;
mod print;
mod printf;
mod value;
mod verb;

pub use print::significant;
pub use value::{Element, Field, List, Map, Struct, Value};

use functions::Functions;

/// What is wrong with a template, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    text: String,
    templates: parse::Templates,
}

impl Template {
    /// Parses `text`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let is_function = |name: &str| Functions::Data.find(name).is_some();
        let templates = parse::parse(text, &is_function).map_err(TemplateError)?;
        Ok(Self { text: text.to_owned(), templates })
    }

    /// The text for `data`; a missing key of a map is `<no value>`.
    pub fn execute(&self, data: &Value) -> Result<String, TemplateError> {
        self.run(Functions::Data, false, data)
    }

    /// The text for `data`; a missing key of a map is an error.
    pub fn execute_strictly(&self, data: &Value) -> Result<String, TemplateError> {
        self.run(Functions::Data, true, data)
    }

    /// The header of a table: `titles` has the title of each column, and Docker's functions leave
    /// them as they are.
    pub fn header(&self, titles: &Value) -> Result<String, TemplateError> {
        self.run(Functions::Header, false, titles)
    }

    /// Whether the text names the field, so that a costly one need not be worked out in vain.
    pub fn mentions(&self, field: &str) -> bool {
        let names = |c: char| c.is_alphanumeric() || c == '_';
        // A dot that no name follows is the whole row.
        let whole = self.text.split('.').skip(1).any(|after| !after.starts_with(names));
        whole || self.text.contains(field)
    }

    fn run(
        &self,
        functions: Functions,
        strict: bool,
        data: &Value,
    ) -> Result<String, TemplateError> {
        exec::execute(&self.templates, &self.text, functions, strict, data).map_err(TemplateError)
    }
}

/// The value as JSON on one line, as the `json` function of templates writes it.
pub fn to_json(value: &Value) -> String {
    json::text(value)
}
