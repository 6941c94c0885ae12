//! `history`: the steps that made an image, newest first.

use crate::cli::args::History as Args;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::format::units::{self, Time};
use crate::cli::format::{Columns, Format, ellipsis};
use crate::cli::images::rows::Sizes;
use crate::oci::History;
use crate::template::{Field, Struct, Value};

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
