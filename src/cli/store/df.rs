//! `df`: what the store takes on the disk.
//!
//! Sizes here are those of files: layers as they were pulled. `ls` shows unpacked sizes, as Docker
//! does.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use crate::cli::args::DiskUsage;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::format::units;
use crate::cli::format::{Columns, Format};
use crate::cli::images::rows::{Facts, Names, TITLES, images, value};
use crate::oci::Digest;
use crate::store::{Store, StoredImage};
use crate::template::{Field, Struct, Value};

/// What a kind of thing takes.
#[derive(Debug, Default)]
struct Usage {
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
}

impl Usage {
    fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.size += other.size;
    }
}

/// `shale df`
pub fn df(context: &mut Context, args: &DiskUsage) -> Result<(), Error> {
    if context.verbose > 0 {
        return images_in_detail(context, args);
    }
    let columns = Columns {
        row: "usage",
        titles: &[
            ("Type", "TYPE"),
            ("TotalCount", "TOTAL"),
            ("Active", "ACTIVE"),
            ("Size", "SIZE"),
            ("Reclaimable", "RECLAIMABLE"),
        ],
        table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}".to_owned(),
    };
    let format = Format::choose(args.format.as_deref(), &columns, None)?;
    let store = context.store()?;
    let images = images(&store, |warning| context.out.always(&warning))?;
    let root = store.root().to_owned();
    let sum_of = |directories: &[&str], of: &dyn Fn(&Path) -> bool| {
        let mut usage = Usage::default();
        for directory in directories {
            add_files(&root.join(directory), of, &mut usage);
        }
        usage
    };
    let sum = |directories: &[&str]| sum_of(directories, &|path| !is_temporary(path));
    let mut leftovers = sum_of(&["ingest", "quarantine"], &|_| true);
    leftovers.add(&sum_of(&["blobs", "toc", "tree", "seekable", "content"], &is_temporary));
    leftovers.reclaimable = leftovers.size;
    let rows = [
        ("Images", images_usage(&store, &images, sum(&["blobs"]).size)?),
        ("Tables", sum(&["toc", "tree", "seekable"])),
        ("Content", sum(&["content"])),
        ("Leftovers", leftovers),
    ];
    format.print(&mut context.out, &columns, rows.iter().map(|(name, usage)| row(name, usage)))
}

/// Images; what unmounted ones have to themselves could be had back.
fn images_usage(store: &Store, images: &[StoredImage], blobs: u64) -> Result<Usage, Error> {
    let mounted: HashSet<Digest> =
        store.live_mounts()?.into_iter().map(|record| record.image_id).collect();
    let used: HashSet<Digest> = images
        .iter()
        .filter(|image| mounted.contains(&image.id))
        .flat_map(|image| image.layers.iter().map(|layer| layer.digest))
        .collect();
    let mut free: HashMap<Digest, u64> = HashMap::new();
    for layer in images.iter().flat_map(|image| &image.layers) {
        if !used.contains(&layer.digest) {
            free.insert(layer.digest, layer.size);
        }
    }
    Ok(Usage {
        total: images.len(),
        active: images.iter().filter(|image| mounted.contains(&image.id)).count(),
        size: blobs,
        reclaimable: free.values().sum::<u64>().min(blobs),
    })
}

/// Whether a file is a temporary that a process left, or is about to give its name.
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".new-"))
}

/// Adds all files of some kind below a directory. What vanishes meanwhile counts nothing.
fn add_files(directory: &Path, of: &dyn Fn(&Path) -> bool, usage: &mut Usage) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => add_files(&entry.path(), of, usage),
            Ok(metadata) if of(&entry.path()) => {
                usage.total += 1;
                usage.size += metadata.len();
            }
            Ok(_) | Err(_) => {}
        }
    }
}

fn row(name: &'static str, usage: &Usage) -> Value {
    let percent = usage.reclaimable.saturating_mul(100).checked_div(usage.size);
    let percent = percent.map(|percent| format!(" ({percent}%)")).unwrap_or_default();
    Value::from(Struct::row(
        "usage",
        vec![
            Field::new("Type", name),
            Field::new("TotalCount", usage.total.to_string()),
            Field::new("Active", usage.active.to_string()),
            Field::new("Size", units::size(usage.size)),
            Field::new("Reclaimable", format!("{}{percent}", units::size(usage.reclaimable))),
        ],
    ))
}

/// `shale df -v`: a row an image, with sizes of layers as they were pulled.
fn images_in_detail(context: &mut Context, args: &DiskUsage) -> Result<(), Error> {
    let columns = Columns {
        row: "image",
        titles: &TITLES,
        table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t\
            {{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}"
            .to_owned(),
    };
    let format = Format::choose(args.format.as_deref(), &columns, None)?;
    let store = context.store()?;
    let images = images(&store, |warning| context.out.always(&warning))?;
    let mounts = store.live_mounts()?;
    let mut users: HashMap<Digest, HashSet<Digest>> = HashMap::new();
    for image in &images {
        for layer in &image.layers {
            users.entry(layer.digest).or_default().insert(image.id);
        }
    }
    let mut values = Vec::new();
    for (position, image) in images.iter().enumerate() {
        let several = |digest: &Digest| users.get(digest).is_some_and(|images| images.len() > 1);
        let shared = image.layers.iter().filter(|layer| several(&layer.digest));
        let facts = Facts {
            size: Some(image.compressed_size()),
            shared: Some(shared.map(|layer| layer.size).sum()),
            mounts: Some(mounts.iter().filter(|record| record.image_id == image.id).count()),
        };
        let rows = Names::of(image).rows(position, false);
        values.extend(rows.iter().map(|row| value(row, image, &facts, false)));
    }
    format.print(&mut context.out, &columns, values)
}
