//! `diff`: what is not the same in two images, or in an image and its lower layers.
//!
//! Differences are printed as the walk over both trees finds them, so that memory does not depend
//! on their number, but for a table, which has to be laid out.

mod content;
mod stat;

use std::collections::BTreeMap;

use crate::cli::args::Diff as Args;
use crate::cli::context::Context;
use crate::cli::error::{Error, chain, status};
use crate::cli::format::units;
use crate::cli::format::{Columns, Format};
use crate::cli::images::layers::{kind_name, position, shown_path, whole};
use crate::mount::View;
use crate::store::StoredImage;
use crate::template::{Field, Struct, Value};
use crate::tree::diff::{Difference, diff as walk};
use crate::tree::{Attributes, TableError};

/// How many rows are printed at once where no table has to be laid out.
const BATCH: usize = 1_000;

/// A line a path, as `docker diff` has it, with what changed.
const LINE: &str = "{{.Change}} {{.Path}}{{with .Detail}} ({{.}}){{end}}";

/// `shale diff`
pub fn diff(context: &mut Context, args: &Args) -> Result<(), Error> {
    let (before, after) = images(context, args)?;
    let store = context.store()?;
    let view = |image: &StoredImage| View::of(&store, image, &image.short_id());
    let (before, after) = (view(&before)?, view(&after)?);
    let differs = match (&args.content, args.stat) {
        (Some(path), _) => content::print(context, args, path, &store, before, after)?,
        (None, Some(depth)) => stat::print(context, args, depth, &before, &after)?,
        (None, None) => print(context, args, &before, &after)?,
    };
    match differs && args.exit_code {
        true => Err(Error::Said { status: status::FAILED }),
        false => Ok(()),
    }
}

/// Both sides: two images, or the lower layers of one and all of it.
fn images(context: &mut Context, args: &Args) -> Result<(StoredImage, StoredImage), Error> {
    let first = context.image(&args.first)?;
    if let Some(second) = &args.second {
        return Ok((first, context.image(second)?));
    }
    let keep = match &args.base {
        Some(layer) => position(&first, layer)? + 1,
        None => first.layers.len().saturating_sub(1),
    };
    let mut base = first.clone();
    base.layers.truncate(keep);
    Ok((base, first))
}

/// Calls `visit` for every difference that counts, and says whether there was one.
fn each(
    args: &Args,
    before: &View,
    after: &View,
    mut visit: impl FnMut(&Difference<'_>) -> Result<(), Error>,
) -> Result<bool, Error> {
    let mut differs = false;
    walk(&before.tree, &after.tree, |difference| {
        let is_in_both = difference.before.is_some() && difference.after.is_some();
        if is_in_both && !difference.aspects.any(args.mtime) {
            return Ok(());
        }
        differs = true;
        visit(difference)
    })?;
    Ok(differs)
}

impl From<TableError> for Error {
    fn from(error: TableError) -> Self {
        Self::failed(chain(&error)).hint("`shale verify --repair` makes it again")
    }
}

fn print(context: &mut Context, args: &Args, before: &View, after: &View) -> Result<bool, Error> {
    let columns = Columns {
        row: "difference",
        titles: &[
            ("Change", "CHANGE"),
            ("Path", "PATH"),
            ("Type", "TYPE"),
            ("What", "WHAT"),
            ("Detail", "DETAIL"),
            ("Before", "BEFORE"),
            ("After", "AFTER"),
        ],
        table: "{{.Change}}\t{{.Type}}\t{{.Path}}\t{{.Detail}}".to_owned(),
    };
    let line = if context.quiet { "{{.Path}}" } else { LINE };
    let format = Format::choose(Some(args.format.as_deref().unwrap_or(line)), &columns, None)?;
    let mut rows = Vec::new();
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    let differs = each(args, before, after, |difference| {
        *counts.entry(letter(difference)).or_default() += 1;
        rows.push(row(difference, args.mtime));
        if rows.len() >= BATCH && !format.is_table() {
            format.print(&mut context.out, &columns, rows.drain(..))?;
        }
        Ok(())
    })?;
    format.print(&mut context.out, &columns, rows)?;
    let count = |letter| counts.get(&letter).copied().unwrap_or_default();
    let (added, changed, removed) = (count('A'), count('C'), count('D'));
    context.out.message(&format!("{added} added, {changed} changed, {removed} removed"));
    Ok(differs)
}

fn letter(difference: &Difference<'_>) -> char {
    match (difference.before, difference.after) {
        (None, _) => 'A',
        (Some(_), None) => 'D',
        (Some(_), Some(_)) => 'C',
    }
}

fn row(difference: &Difference<'_>, with_mtime: bool) -> Value {
    let (before, after) = (difference.before, difference.after);
    let kind = after.or(before).map_or("", |attributes| kind_name(attributes.kind));
    Value::from(Struct::row(
        "difference",
        vec![
            Field::new("Change", letter(difference).to_string()),
            Field::new("Path", shown_path(difference.path)),
            Field::new("Type", kind),
            Field::new("What", Value::strings(what(difference, with_mtime))),
            Field::new("Detail", detail(difference, with_mtime)),
            Field::new("Before", before.map_or(Value::Nil, side)),
            Field::new("After", after.map_or(Value::Nil, side)),
        ],
    ))
}

fn side(attributes: Attributes) -> Value {
    Value::from(Struct::new(
        "side",
        vec![
            Field::new("Type", kind_name(attributes.kind)),
            Field::new("Mode", format!("{:04o}", attributes.mode)),
            Field::new("Owner", format!("{}:{}", attributes.uid, attributes.gid)),
            Field::new("Size", whole(attributes.size)),
            Field::new("ModTime", units::Time::of_seconds(attributes.mtime.seconds).rfc3339()),
        ],
    ))
}

/// The words for what differs in a node that both have.
fn what(difference: &Difference<'_>, with_mtime: bool) -> Vec<&'static str> {
    let aspects = difference.aspects;
    let words = [
        (aspects.kind, "type"),
        (aspects.content, "content"),
        (aspects.mode, "mode"),
        (aspects.owner, "owner"),
        (aspects.xattrs, "xattrs"),
        (aspects.mtime && with_mtime, "mtime"),
    ];
    words.iter().filter(|(differs, _)| *differs).map(|&(_, word)| word).collect()
}

/// The same with what it was and is, where that is short.
fn detail(difference: &Difference<'_>, with_mtime: bool) -> String {
    let Some((before, after)) = difference.before.zip(difference.after) else {
        return String::new();
    };
    let owner = |side: &Attributes| format!("{}:{}", side.uid, side.gid);
    let words = what(difference, with_mtime).into_iter().map(|word| match word {
        "type" => format!("type {} -> {}", kind_name(before.kind), kind_name(after.kind)),
        "mode" => format!("mode {:04o} -> {:04o}", before.mode, after.mode),
        "owner" => format!("owner {} -> {}", owner(&before), owner(&after)),
        other => other.to_owned(),
    });
    words.collect::<Vec<_>>().join(", ")
}
