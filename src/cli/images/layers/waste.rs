//! The figures of an image as a whole, and its views: hidden files, paths, summary.

use std::rc::Rc;

use super::{Args, WORST, kind_name, shown_path, whole};
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::format::units;
use crate::cli::format::{Columns, Format};
use crate::store::StoredImage;
use crate::template::{Element, Field, List, Struct, Value};
use crate::tree::{Hidden, History, LayerAccount};

/// How many rows are printed at once where no table has to be laid out.
const BATCH: usize = 1_000;

/// What is wasted in an image.
pub(super) struct Waste {
    /// Of each layer.
    pub accounts: Vec<LayerAccount>,
    /// The largest first.
    pub hidden: Vec<Hidden>,
    efficiency: f64,
}

impl Waste {
    pub fn of(history: &History) -> Self {
        Self {
            accounts: history.accounts(),
            hidden: history.hidden(),
            efficiency: history.efficiency(),
        }
    }

    fn stored(&self) -> u64 {
        self.accounts.iter().map(|account| account.stored).sum()
    }

    fn wasted(&self) -> u64 {
        self.accounts.iter().map(|account| account.wasted).sum()
    }

    /// The part of the unpacked bytes that is wasted, in percent.
    #[allow(clippy::cast_precision_loss, reason = "a few digits are shown")]
    fn percent(&self) -> f64 {
        match self.stored() {
            0 => 0.0,
            stored => self.wasted() as f64 * 100.0 / stored as f64,
        }
    }

    pub fn sentence(&self) -> String {
        format!(
            "{} of {} unpacked are wasted ({:.2}%), efficiency {:.2}%",
            units::size(self.wasted()),
            units::size(self.stored()),
            self.percent(),
            self.efficiency * 100.0
        )
    }

    /// An error when more than `most` percent are wasted.
    pub fn check(&self, most: f64, image: &str) -> Result<(), Error> {
        if self.percent() <= most {
            return Ok(());
        }
        let (wasted, percent) = (units::size(self.wasted()), self.percent());
        Err(Error::failed(format!(
            "{image}: {wasted} are wasted, {percent:.2}%, and {most}% may be"
        ))
        .hint("`shale layers --wasted IMAGE` lists the files, the largest first"))
    }

    /// The largest hidden files of a layer.
    pub fn worst(&self, layer: usize) -> Value {
        let of_layer = self.hidden.iter().filter(|hidden| hidden.layer as usize == layer);
        let items = of_layer.take(WORST).map(file_row).collect();
        Value::List(Rc::new(List { of: Element::Named("wasted"), items, nil: false }))
    }
}

/// `--wasted`, and the end of `-v`.
pub(super) fn files<'a>(
    context: &mut Context,
    format: Option<&str>,
    hidden: impl Iterator<Item = &'a Hidden>,
) -> Result<(), Error> {
    let columns = Columns {
        row: "wasted",
        titles: &[
            ("No", "NO"),
            ("Bytes", "BYTES"),
            ("Size", "WASTED"),
            ("By", "BY"),
            ("How", "HOW"),
            ("Path", "PATH"),
        ],
        table: "{{.Size}}\t{{.No}}\t{{.How}}\t{{.By}}\t{{.Path}}".to_owned(),
    };
    let format = Format::choose(format, &columns, context.quiet.then_some("{{.Path}}"))?;
    format.print(&mut context.out, &columns, hidden.map(file_row))
}

fn file_row(hidden: &Hidden) -> Value {
    Value::from(Struct::row(
        "wasted",
        vec![
            Field::new("No", hidden.layer.to_string()),
            Field::new("Bytes", whole(hidden.bytes)),
            Field::new("Size", units::size(hidden.bytes)),
            Field::new("By", hidden.by.to_string()),
            Field::new("How", if hidden.replaced { "replaced" } else { "removed" }),
            Field::new("Path", shown_path(&hidden.path)),
        ],
    ))
}

/// `--summary`: one row.
pub(super) fn summary(
    context: &mut Context,
    args: &Args,
    image: &StoredImage,
    waste: &Waste,
) -> Result<(), Error> {
    let columns = Columns {
        row: "summary",
        titles: &[
            ("Layers", "LAYERS"),
            ("Size", "SIZE"),
            ("Unpacked", "UNPACKED"),
            ("Wasted", "WASTED"),
            ("Percent", "PERCENT"),
            ("Efficiency", "EFFICIENCY"),
            ("UnpackedBytes", "UNPACKED BYTES"),
            ("WastedBytes", "WASTED BYTES"),
        ],
        table: "{{.Layers}}\t{{.Size}}\t{{.Unpacked}}\t{{.Wasted}}\t{{.Percent}}\t\
            {{.Efficiency}}"
            .to_owned(),
    };
    let format = Format::choose(args.format.as_deref(), &columns, None)?;
    let row = Value::from(Struct::row(
        "summary",
        vec![
            Field::new("Layers", image.layers.len().to_string()),
            Field::new("Size", units::size(image.compressed_size())),
            Field::new("Unpacked", units::size(waste.stored())),
            Field::new("Wasted", units::size(waste.wasted())),
            Field::new("Percent", format!("{:.2}%", waste.percent())),
            Field::new("Efficiency", format!("{:.4}", waste.efficiency)),
            Field::new("UnpackedBytes", whole(waste.stored())),
            Field::new("WastedBytes", whole(waste.wasted())),
        ],
    ));
    format.print(&mut context.out, &columns, [row])
}

/// `--paths`: the layers from the bottom, the paths of each sorted.
pub(super) fn paths(context: &mut Context, args: &Args, history: &History) -> Result<(), Error> {
    let columns = Columns {
        row: "path",
        titles: &[
            ("No", "NO"),
            ("Change", "CHANGE"),
            ("Path", "PATH"),
            ("Type", "TYPE"),
            ("Bytes", "BYTES"),
        ],
        table: "{{.No}}\t{{.Change}}\t{{.Bytes}}\t{{.Path}}".to_owned(),
    };
    let quiet = context.quiet.then_some("{{.Path}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let mut rows = Vec::new();
    for layer in 0..history.layers() {
        let changes = history.changes(layer);
        let mut named: Vec<_> =
            changes.iter().map(|change| (history.path(change), change)).collect();
        named.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (path, change) in named {
            let kind = change.after.or(change.before).map_or("", kind_name);
            rows.push(Value::from(Struct::row(
                "path",
                vec![
                    Field::new("No", layer.to_string()),
                    Field::new("Change", change.letter().to_string()),
                    Field::new("Path", shown_path(&path)),
                    Field::new("Type", kind),
                    Field::new("Bytes", whole(change.bytes)),
                ],
            )));
            if rows.len() >= BATCH && !format.is_table() {
                format.print(&mut context.out, &columns, rows.drain(..))?;
            }
        }
    }
    format.print(&mut context.out, &columns, rows)
}
