//! `--format` of everything that lists: the default table, `table TEMPLATE`, `json`, or a template
//! for each row, as Docker's formatter does it.
//!
//! Rows are formatted before anything is written, so a template that fails prints nothing; a
//! listing that may be long prints row by row what is no table ([`Format::print_row`]).

use crate::cli::error::Error;
use crate::cli::format::table::{LEAST_WIDTH, align};
use crate::cli::terminal::escape;
use crate::cli::terminal::{Output, Style};
use crate::template::{Field, Struct, Template, Value};

/// What a listing can show.
pub struct Columns {
    /// What a row is called in messages.
    pub row: &'static str,
    /// Each field of a row, and its title in the header of a table.
    pub titles: &'static [(&'static str, &'static str)],
    /// The fields of the default table, as the template after `table`.
    pub table: String,
}

/// A format, ready to be applied.
#[derive(Debug)]
pub struct Format {
    template: Template,
    is_table: bool,
}

impl Format {
    /// Of a `--format`, or the default when there is none; `quiet` replaces the default.
    pub fn choose(
        format: Option<&str>,
        columns: &Columns,
        quiet: Option<&str>,
    ) -> Result<Self, Error> {
        let text = match (format, quiet) {
            (None | Some("" | "table"), Some(quiet)) => quiet.to_owned(),
            (None | Some("" | "table"), None) => format!("table {}", columns.table),
            (Some(format), _) => format.to_owned(),
        };
        Self::parse(&text)
    }

    /// Of the text of a `--format`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (is_table, body) = match text.strip_prefix("table") {
            Some(body) => (true, body),
            None if text == "json" => (false, "{{json .}}"),
            None => (false, text),
        };
        let body = body.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        let template = Template::parse(&body).map_err(template_error)?;
        Ok(Self { template, is_table })
    }

    /// Whether the format names a field, so that a costly one need not be worked out in vain.
    pub fn wants(&self, field: &str) -> bool {
        self.template.mentions(field)
    }

    /// Whether all rows are needed to lay it out; of any other, parts can be printed one by one.
    pub fn is_table(&self) -> bool {
        self.is_table
    }

    /// Prints one row of a format that is no table.
    pub fn print_row(&self, out: &mut Output, row: &Value) -> Result<(), Error> {
        let text = self.template.execute(row).map_err(template_error)?;
        out.line(&text)
    }

    /// Prints rows.
    pub fn print(
        &self,
        out: &mut Output,
        columns: &Columns,
        rows: impl IntoIterator<Item = Value>,
    ) -> Result<(), Error> {
        let mut text = String::new();
        for row in rows {
            // In a table nothing foreign may end a line or a cell.
            let row = if self.is_table && out.is_terminal() { escaped(&row) } else { row };
            text.push_str(&self.template.execute(&row).map_err(template_error)?);
            text.push('\n');
        }
        if !self.is_table {
            return out.data(&text);
        }
        let titles = columns.titles.iter().map(|(name, title)| Field::new(name, *title));
        let titles = Value::from(Struct::row(columns.row, titles.collect()));
        // A header that cannot be made is empty, as Docker's is.
        let header = self.template.header(&titles).unwrap_or_default();
        let table = align(&format!("{header}\n{text}"), LEAST_WIDTH);
        let (header, rows) = table.split_once('\n').unwrap_or((&table, ""));
        out.styled(Style::Bold, header)?;
        out.data("\n")?;
        out.data(rows)
    }
}

/// A row with everything in its texts escaped that is not printable.
fn escaped(row: &Value) -> Value {
    let Value::Struct(row) = row else { return row.clone() };
    let fields = row.fields.iter().map(|field| {
        let value = match &field.value {
            Value::String(text) => Value::from(escape(text.as_bytes())),
            other => other.clone(),
        };
        Field { value, ..*field }
    });
    Value::from(Struct::row(row.name, fields.collect()))
}

/// A template that is wrong, or does not fit what it is applied to.
pub fn template_error(error: crate::template::TemplateError) -> Error {
    Error::failed(format!("--format: {error}"))
}
