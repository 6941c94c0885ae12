//! `layers`: what an image is stacked from, bottom first, what each layer did, and what is odd.
//!
//! The plain columns come from the headers of the layers' tables and cost nothing. What a layer
//! added, changed, removed and wasted needs the whole merge once more
//! ([`History`]), so it is worked out only where a format asks for it. An
//! image with a layer that is missing is listed all the same, with `N/A` in these columns.

mod waste;

use crate::cli::args::Layers as Args;
use crate::cli::context::Context;
use crate::cli::error::{Error, chain};
use crate::cli::format::ellipsis;
use crate::cli::format::units;
use crate::cli::format::{Columns, Format, short};
use crate::cli::terminal::escape;
use crate::layer::{Kind, Toc, Warning};
use crate::oci::Digest;
use crate::pull;
use crate::store::{Derived, Store, StoredImage, StoredLayer};
use crate::template::{Field, Struct, Value};
use crate::tree::History;
use waste::Waste;

/// The fields that need the merge.
const COSTLY: [&str; 5] = ["Added", "Changed", "Removed", "Wasted", "Worst"];

/// How many of the largest hidden files `-v` and `.Worst` show.
const WORST: usize = 10;

/// `shale layers`
pub fn layers(context: &mut Context, args: &Args) -> Result<(), Error> {
    let image = context.image(&args.image)?;
    let store = context.store()?;
    if args.warnings {
        warnings(context, args, &store, &image)?;
    } else if args.paths {
        waste::paths(context, args, &history(&store, &image)?)?;
    } else if args.wasted || args.summary {
        let waste = Waste::of(&history(&store, &image)?);
        match args.wasted {
            true => waste::files(context, args.format.as_deref(), waste.hidden.iter())?,
            false => waste::summary(context, args, &image, &waste)?,
        }
    } else {
        return table(context, args, &store, &image);
    }
    match args.max_wasted {
        Some(most) => Waste::of(&history(&store, &image)?).check(most, &args.image),
        None => Ok(()),
    }
}

/// A row a layer, and below a table what it comes to.
fn table(
    context: &mut Context,
    args: &Args,
    store: &Store,
    image: &StoredImage,
) -> Result<(), Error> {
    let columns = columns();
    let quiet = context.quiet.then_some("{{.Digest}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let verbose = context.verbose > 0 && format.is_table();
    let is_costly = verbose || COSTLY.iter().any(|field| format.wants(field));
    let waste = match history(store, image) {
        _ if !is_costly && args.max_wasted.is_none() => None,
        Err(error) if args.max_wasted.is_some() => return Err(error),
        Err(error) => {
            context.out.error(&error);
            None
        }
        Ok(history) => Some(Waste::of(&history)),
    };
    let commands = commands(image);
    let mut rows = Vec::new();
    for ((number, layer), command) in image.layers.iter().enumerate().zip(&commands) {
        rows.push(row(store, number, layer, command, args, waste.as_ref()));
    }
    format.print(&mut context.out, &columns, rows)?;
    let Some(waste) = waste else { return Ok(()) };
    if verbose && !waste.hidden.is_empty() {
        context.out.data("\n")?;
        waste::files(context, None, waste.hidden.iter().take(WORST))?;
    }
    if format.is_table() {
        context.out.message(&waste.sentence());
    }
    args.max_wasted.map_or(Ok(()), |most| waste.check(most, &args.image))
}

fn columns() -> Columns {
    Columns {
        row: "layer",
        titles: &[
            ("No", "NO"),
            ("Digest", "DIGEST"),
            ("DiffID", "DIFF ID"),
            ("Size", "SIZE"),
            ("Unpacked", "UNPACKED"),
            ("Entries", "ENTRIES"),
            ("Added", "ADDED"),
            ("Changed", "CHANGED"),
            ("Removed", "REMOVED"),
            ("Wasted", "WASTED"),
            ("Warnings", "WARNINGS"),
            ("CreatedBy", "CREATED BY"),
            ("Bytes", "BYTES"),
            ("UnpackedBytes", "UNPACKED BYTES"),
            ("WastedBytes", "WASTED BYTES"),
            ("Worst", "WORST"),
        ],
        table: "{{.No}}\t{{.Digest}}\t{{.Size}}\t{{.Unpacked}}\t{{.Entries}}\t{{.Added}}\t\
            {{.Changed}}\t{{.Removed}}\t{{.Wasted}}\t{{.Warnings}}\t{{.CreatedBy}}"
            .to_owned(),
    }
}

fn row(
    store: &Store,
    number: usize,
    layer: &StoredLayer,
    command: &str,
    args: &Args,
    waste: Option<&Waste>,
) -> Value {
    let header = toc(store, &layer.digest).ok().map(|toc| toc.header().clone());
    let account = waste.and_then(|waste| waste.accounts.get(number));
    let count = |count: Option<u64>| count.map_or_else(|| "N/A".to_owned(), |n| n.to_string());
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "N/A".to_owned(), units::size);
    let unpacked = header.as_ref().map(|header| header.stored);
    let wasted = account.map(|account| account.wasted);
    let shown = Shown::of(layer, command, args.no_trunc);
    Value::from(Struct::row(
        "layer",
        vec![
            Field::new("No", number.to_string()),
            Field::new("Digest", shown.digest),
            Field::new("DiffID", shown.diff_id),
            Field::new("Size", units::size(layer.size)),
            Field::new("Unpacked", size(unpacked)),
            Field::new("Entries", count(header.as_ref().map(|header| header.entries))),
            Field::new("Added", count(account.map(|account| account.added))),
            Field::new("Changed", count(account.map(|account| account.changed))),
            Field::new("Removed", count(account.map(|account| account.removed))),
            Field::new("Wasted", size(wasted)),
            Field::new("Warnings", count(header.as_ref().map(|header| header.warnings))),
            Field::new("CreatedBy", shown.command),
            Field::new("Bytes", whole(layer.size)),
            Field::new("UnpackedBytes", unpacked.map_or(Value::Nil, whole)),
            Field::new("WastedBytes", wasted.map_or(Value::Nil, whole)),
            Field::new("Worst", waste.map_or(Value::Nil, |waste| waste.worst(number))),
        ],
    ))
}

/// What identifies a layer, cut to a width unless it is wanted in full.
pub struct Shown {
    pub digest: String,
    pub diff_id: String,
    pub command: String,
}

impl Shown {
    pub fn of(layer: &StoredLayer, command: &str, in_full: bool) -> Self {
        match in_full {
            true => Self {
                digest: layer.digest.to_string(),
                diff_id: layer.diff_id.0.to_string(),
                command: command.to_owned(),
            },
            false => Self {
                digest: short(&layer.digest),
                diff_id: short(&layer.diff_id.0),
                command: ellipsis(command, 45),
            },
        }
    }
}

/// The command that made each layer, as the history says; empty where it says nothing.
pub fn commands(image: &StoredImage) -> Vec<String> {
    let steps = image.config.history.iter().filter(|step| !step.empty_layer);
    let commands = steps.map(|step| step.created_by.replace('\t', " "));
    commands.chain(std::iter::repeat_with(String::new)).take(image.layers.len()).collect()
}

/// What the image's layers did. Its tables are made when they are missing.
pub fn history(store: &Store, image: &StoredImage) -> Result<History, Error> {
    let _hold = store.hold(image)?;
    Ok(pull::history(store, image)?)
}

/// The position of the layer that a user means: by number from 0 at the bottom, or by the
/// beginning of its digest or DiffID.
pub fn position(image: &StoredImage, text: &str) -> Result<usize, Error> {
    let by_number = text.parse::<usize>().ok().filter(|number| *number < image.layers.len());
    if let Some(number) = by_number {
        return Ok(number);
    }
    let digits = text.split_once(':').map_or(text, |(_, digits)| digits);
    let has = |digest: &Digest| {
        digits.len() >= 4
            && digest.hex().starts_with(digits)
            && (digits == text || digest.to_string().starts_with(text))
    };
    let is = |layer: &&StoredLayer| has(&layer.digest) || has(&layer.diff_id.0);
    let mut found = image.layers.iter().enumerate().filter(|(_, layer)| is(layer));
    let Some((number, layer)) = found.next() else {
        let count = image.layers.len();
        return Err(Error::failed(format!(
            "layer {text}: the image has {count} layers, none of it"
        ))
        .hint("`shale layers IMAGE` lists them"));
    };
    match found.find(|(_, other)| other.digest != layer.digest) {
        Some(_) => Err(Error::failed(format!("layer {text}: several layers begin like that"))
            .hint("give more digits of the digest, or the layer's number")),
        None => Ok(number),
    }
}

/// A number of a row that programs read.
pub fn whole(number: u64) -> Value {
    Value::from(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The word for a kind.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Directory => "directory",
        Kind::File => "file",
        Kind::Symlink => "symlink",
        Kind::HardLink => "hard link",
        Kind::CharDevice => "character device",
        Kind::BlockDevice => "block device",
        Kind::Fifo => "fifo",
    }
}

/// A path as it is shown: from the root, with what is not printable escaped.
pub fn shown_path(path: &[u8]) -> String {
    format!("/{}", escape(path))
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
    let pull::Warnings { found, dropped } = pull::warnings(store, image)?;
    let rows = found.iter().map(|at| warning_row(at.layer, &at.warning));
    format.print(&mut context.out, &columns, rows)?;
    if dropped > 0 {
        context.out.message(&format!("{dropped} more are not listed"));
    }
    Ok(())
}

/// Paths are bytes; a template sees text, so what is not printable is escaped in any case.
fn warning_row(number: u32, warning: &Warning) -> Value {
    Value::from(Struct::row(
        "warning",
        vec![
            Field::new("No", number.to_string()),
            Field::new("Kind", format!("{:?}", warning.kind)),
            Field::new("Path", shown_path(&warning.path)),
            Field::new("Text", warning.kind.describe()),
        ],
    ))
}
