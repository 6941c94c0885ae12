//! `layers`: what an image is stacked from, bottom first, and what is odd in it.

use super::args::Layers as Args;
use super::context::Context;
use super::error::{Error, chain};
use super::escape::escape;
use super::history::ellipsis;
use super::listing::{Columns, Format};
use super::template::{Field, Struct, Value};
use super::units;
use crate::layer::{Toc, Warning};
use crate::oci::Digest;
use crate::store::{Derived, Store, StoredImage, StoredLayer};

/// `shale layers`
pub fn layers(context: &mut Context, args: &Args) -> Result<(), Error> {
    let image = context.image(&args.image)?;
    let store = context.store()?;
    if args.warnings {
        return warnings(context, args, &store, &image);
    }
    let columns = Columns {
        row: "layer",
        titles: &[
            ("No", "NO"),
            ("Digest", "DIGEST"),
            ("DiffID", "DIFF ID"),
            ("Size", "SIZE"),
            ("Unpacked", "UNPACKED"),
            ("Entries", "ENTRIES"),
            ("Warnings", "WARNINGS"),
            ("CreatedBy", "CREATED BY"),
        ],
        table: "{{.No}}\t{{.Digest}}\t{{.Size}}\t{{.Unpacked}}\t{{.Entries}}\t{{.Warnings}}\t\
            {{.CreatedBy}}"
            .to_owned(),
    };
    let quiet = context.quiet.then_some("{{.Digest}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let steps = image.config.history.iter().filter(|step| !step.empty_layer);
    let mut commands = steps.map(|step| step.created_by.replace('\t', " "));
    let mut rows = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        rows.push(row(&store, number, layer, &commands.next().unwrap_or_default(), args));
    }
    format.print(&mut context.out, &columns, rows)
}

fn row(store: &Store, number: usize, layer: &StoredLayer, command: &str, args: &Args) -> Value {
    let header = toc(store, &layer.digest).ok().map(|toc| toc.header().clone());
    let of_header = |count: Option<u64>| count.map_or_else(|| "N/A".to_owned(), |n| n.to_string());
    let unpacked = header.as_ref().map(|header| units::size(header.stored));
    let (digest, diff_id, command) = if args.no_trunc {
        (layer.digest.to_string(), layer.diff_id.0.to_string(), command.to_owned())
    } else {
        (short(&layer.digest), short(&layer.diff_id.0), ellipsis(command, 45))
    };
    Value::from(Struct::row(
        "layer",
        vec![
            Field::new("No", number.to_string()),
            Field::new("Digest", digest),
            Field::new("DiffID", diff_id),
            Field::new("Size", units::size(layer.size)),
            Field::new("Unpacked", unpacked.unwrap_or_else(|| "N/A".to_owned())),
            Field::new("Entries", of_header(header.as_ref().map(|header| header.entries))),
            Field::new("Warnings", of_header(header.as_ref().map(|header| header.warnings))),
            Field::new("CreatedBy", command),
        ],
    ))
}

/// The first twelve digits of a digest.
pub fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}

fn toc(store: &Store, layer: &Digest) -> Result<Toc, Error> {
    let file = store.open_derived(Derived::Toc, layer)?.ok_or_else(|| {
        Error::failed(format!("layer {layer}: its table of contents is missing"))
            .hint("mounting the image makes it again")
    })?;
    Toc::open(file).map_err(|error| Error::failed(format!("layer {layer}: {}", chain(&error))))
}

fn warnings(
    context: &mut Context,
    args: &Args,
    store: &Store,
    image: &StoredImage,
) -> Result<(), Error> {
    let columns = Columns {
        row: "warning",
        titles: &[("No", "NO"), ("Kind", "KIND"), ("Path", "PATH"), ("Text", "WARNING")],
        table: "{{.No}}\t{{.Path}}\t{{.Text}}".to_owned(),
    };
    let format = Format::choose(args.format.as_deref(), &columns, None)?;
    let mut rows = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        for warning in toc(store, &layer.digest)?.warnings() {
            let fail = |error| Error::failed(format!("layer {}: {}", layer.digest, chain(&error)));
            rows.push(warning_row(number, &warning.map_err(fail)?));
        }
    }
    format.print(&mut context.out, &columns, rows)
}

/// Paths are bytes; a template sees text, so what is not printable is escaped in any case.
fn warning_row(number: usize, warning: &Warning) -> Value {
    Value::from(Struct::row(
        "warning",
        vec![
            Field::new("No", number.to_string()),
            Field::new("Kind", format!("{:?}", warning.kind)),
            Field::new("Path", format!("/{}", escape(&warning.path))),
            Field::new("Text", warning.kind.describe()),
        ],
    ))
}
