//! `history`: the steps that made an image, newest first.

use super::args::History as Args;
use super::context::Context;
use super::error::Error;
use super::image_list::Sizes;
use super::listing::{Columns, Format};
use super::template::{Field, Struct, Value};
use super::units::{self, Time};
use crate::oci::History;

/// Docker's word for the steps of an image that have no ID of their own.
const MISSING: &str = "<missing>";

/// How much of a command is shown.
const COMMAND_WIDTH: usize = 45;

/// `shale history`
pub fn history(context: &mut Context, args: &Args) -> Result<(), Error> {
    let date = if args.human { "{{.CreatedSince}}" } else { "{{.CreatedAt}}" };
    let columns = Columns {
        row: "history",
        titles: &[
            ("ID", "IMAGE"),
            ("CreatedSince", "CREATED"),
            ("CreatedAt", "CREATED AT"),
            ("CreatedBy", "CREATED BY"),
            ("Size", "SIZE"),
            ("Comment", "COMMENT"),
        ],
        table: format!("{{{{.ID}}}}\t{date}\t{{{{.CreatedBy}}}}\t{{{{.Size}}}}\t{{{{.Comment}}}}"),
    };
    let quiet = context.quiet.then_some("{{.ID}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let image = context.image(&args.image)?;
    let store = context.store()?;
    let mut sizes = Sizes::default();
    let mut layers = image.layers.iter();
    let mut rows = Vec::new();
    for step in &image.config.history {
        let layer = if step.empty_layer { None } else { layers.next() };
        let size = match layer {
            Some(layer) => sizes.layer(&store, &layer.digest),
            None => Some(0),
        };
        rows.push((step, size));
    }
    let id = if args.no_trunc { image.id.to_string() } else { image.short_id() };
    let values = rows.iter().rev().enumerate().map(|(number, (step, size))| {
        row(step, *size, if number == 0 { &id } else { MISSING }, args)
    });
    format.print(&mut context.out, &columns, values)
}

fn row(step: &History, size: Option<u64>, id: &str, args: &Args) -> Value {
    let time = Time::of_config(step.created.as_deref());
    let size = match size {
        None => "N/A".to_owned(),
        Some(bytes) if args.human => units::size(bytes),
        Some(bytes) => bytes.to_string(),
    };
    let since = if args.human { time.ago(Time::now()) } else { time.rfc3339() };
    let command = step.created_by.replace('\t', " ");
    let command = if args.no_trunc { command } else { ellipsis(&command, COMMAND_WIDTH) };
    Value::from(Struct::row(
        "history",
        vec![
            Field::new("ID", id),
            Field::new("CreatedSince", since),
            Field::new("CreatedAt", time.rfc3339()),
            Field::new("CreatedBy", command),
            Field::new("Size", size),
            Field::new("Comment", step.comment.as_str()),
        ],
    ))
}

/// At most `width` characters, the last one `…` when more are left out.
pub fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_end_with_an_ellipsis() {
        assert_eq!(ellipsis("abc", 3), "abc");
        assert_eq!(ellipsis("abcd", 3), "ab…");
        assert_eq!(ellipsis("ääää", 3), "ää…");
    }
}
