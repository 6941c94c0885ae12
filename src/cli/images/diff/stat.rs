//! `diff --stat`: differences counted by directory.

use std::collections::BTreeMap;

use super::{Args, each};
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::format::units;
use crate::cli::format::{Columns, Format};
use crate::cli::images::layers::shown_path;
use crate::mount::View;
use crate::template::{Field, Struct, Value};
use crate::tree::Attributes;
use crate::tree::diff::Difference;

/// What differs in a directory and below it.
#[derive(Debug, Default)]
pub(super) struct Stat {
    added: u64,
    changed: u64,
    removed: u64,
    before: u64,
    after: u64,
}

impl Stat {
    fn count(&mut self, difference: &Difference<'_>) {
        let size = |side: Option<Attributes>| side.map_or(0, |attributes| attributes.stored);
        self.before += size(difference.before);
        self.after += size(difference.after);
        match (difference.before, difference.after) {
            (None, _) => self.added += 1,
            (Some(_), None) => self.removed += 1,
            (Some(_), Some(_)) => self.changed += 1,
        }
    }
}

pub(super) fn print(
    context: &mut Context,
    args: &Args,
    depth: usize,
    before: &View,
    after: &View,
) -> Result<bool, Error> {
    let columns = Columns {
        row: "directory",
        titles: &[
            ("Path", "DIRECTORY"),
            ("Added", "ADDED"),
            ("Changed", "CHANGED"),
            ("Removed", "REMOVED"),
            ("Size", "SIZE"),
            ("Bytes", "BYTES"),
        ],
        table: "{{.Added}}\t{{.Changed}}\t{{.Removed}}\t{{.Size}}\t{{.Path}}".to_owned(),
    };
    let quiet = context.quiet.then_some("{{.Path}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let mut directories: BTreeMap<Vec<u8>, Stat> = BTreeMap::new();
    let differs = each(args, before, after, |difference| {
        let directory = directory(difference.path, depth);
        match directories.get_mut(directory) {
            Some(stat) => stat.count(difference),
            None => directories.entry(directory.to_vec()).or_default().count(difference),
        }
        Ok(())
    })?;
    let rows = directories.iter().map(|(path, stat)| row(path, stat));
    format.print(&mut context.out, &columns, rows)?;
    Ok(differs)
}

fn row(path: &[u8], stat: &Stat) -> Value {
    let (sign, change) = match stat.after.checked_sub(stat.before) {
        Some(more) => ("+", more),
        None => ("-", stat.before - stat.after),
    };
    let bytes = i64::try_from(change).unwrap_or(i64::MAX);
    Value::from(Struct::row(
        "directory",
        vec![
            Field::new("Path", shown_path(path)),
            Field::new("Added", stat.added.to_string()),
            Field::new("Changed", stat.changed.to_string()),
            Field::new("Removed", stat.removed.to_string()),
            Field::new("Size", format!("{sign}{}", units::size(change))),
            Field::new("Bytes", Value::from(if sign == "-" { -bytes } else { bytes })),
        ],
    ))
}

/// The directory that a path is in, cut to `depth` components.
fn directory(path: &[u8], depth: usize) -> &[u8] {
    let slashes = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at);
    match (depth.checked_sub(1), slashes.clone().next_back()) {
        (None, _) | (_, None) => &[],
        (Some(level), Some(last)) => &path[..slashes.clone().nth(level).unwrap_or(last)],
    }
}

#[cfg(test)]
mod tests {
    use super::directory;

    #[test]
    fn directories_are_cut() {
        for (path, depth, wanted) in [
            ("etc/passwd", 2, "etc"),
            ("usr/lib/x/y", 2, "usr/lib"),
            ("usr/lib/x/y", 9, "usr/lib/x"),
            ("usr/lib", 2, "usr"),
            ("top", 2, ""),
            ("", 1, ""),
            ("a/b/c", 0, ""),
        ] {
            assert_eq!(directory(path.as_bytes(), depth), wanted.as_bytes(), "{path} {depth}");
        }
    }
}
