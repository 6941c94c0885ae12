//! `ls`: the images of the store, a row a name, newest first.

use crate::cli::args::List;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::filter::{Filters, ImageFilter, LIST_KEYS};
use crate::cli::format::{Columns, Format};
use crate::cli::images::rows::{Facts, ImageRow, Names, Sizes, TITLES, images, value};
use crate::store::{Store, StoredImage};

/// `shale ls`
pub fn list(context: &mut Context, args: &List) -> Result<(), Error> {
    let mut filters = Filters::parse(&args.filter, &LIST_KEYS)?;
    // An empty name asks for nothing, as in Docker.
    if let Some(name) = args.name.as_ref().filter(|name| !name.is_empty()) {
        filters.add("reference", name);
    }
    let filter = ImageFilter::new(filters, context)?;
    let columns = Columns { row: "image", titles: &TITLES, table: table(args.digests) };
    let quiet = context.quiet.then_some("{{.ID}}");
    let mut text = args.format.as_deref().map(|text| match text {
        "raw" => raw(context.quiet, args.digests),
        other => other.to_owned(),
    });
    // Docker adds the column to a table that does not have it.
    let lacks_digest = |format: &&mut String| {
        args.digests && format.starts_with("table ") && !format.contains("{{.Digest}}")
    };
    if let Some(format) = text.as_mut().filter(lacks_digest) {
        format.push_str("\t{{.Digest}}");
    }
    let format = Format::choose(text.as_deref(), &columns, quiet)?;
    let store = context.store()?;
    let images = images(&store, |warning| context.out.always(&warning))?;
    let asked = |text: &str| text == "json" || text.contains(".Digest") || text.contains("json .}");
    let with_digests = args.digests || text.as_deref().is_some_and(asked);
    let rows = rows(&images, &filter, with_digests);
    let values = values(&store, &images, &rows, &format, args.no_trunc)?;
    format.print(&mut context.out, &columns, values)
}

fn table(digests: bool) -> String {
    let digest = if digests { "{{.Digest}}\t" } else { "" };
    format!(
        "{{{{.Repository}}}}\t{{{{.Tag}}}}\t{digest}{{{{.ID}}}}\t{{{{.CreatedSince}}}}\t{{{{.Size}}}}"
    )
}

/// Docker's old form of a block of lines an image, which it still knows.
fn raw(quiet: bool, digests: bool) -> String {
    if quiet {
        return "image_id: {{.ID}}".to_owned();
    }
    let digest = if digests { "digest: {{.Digest}}\n" } else { "" };
    format!(
        "repository: {{{{.Repository}}}}\ntag: {{{{.Tag}}}}\n{digest}image_id: {{{{.ID}}}}\n\
         created_at: {{{{.CreatedAt}}}}\nvirtual_size: {{{{.Size}}}}\n"
    )
}

fn rows(images: &[StoredImage], filter: &ImageFilter, with_digests: bool) -> Vec<ImageRow> {
    let mut rows = Vec::new();
    for (position, image) in images.iter().enumerate().filter(|(_, image)| filter.takes(image)) {
        let names = Names::of(image).filtered(|name| filter.takes_name(name));
        let dangling = names.tags.is_empty();
        let nameless = dangling && names.digests.is_empty();
        let wrong_side = match filter.dangling {
            Some(true) => !dangling,
            Some(false) => nameless,
            None => false,
        };
        if wrong_side || (nameless && filter.asks_for_names()) {
            continue;
        }
        rows.extend(names.rows(position, with_digests));
    }
    rows
}

fn values(
    store: &Store,
    images: &[StoredImage],
    rows: &[ImageRow],
    format: &Format,
    full_id: bool,
) -> Result<Vec<crate::template::Value>, Error> {
    let mut sizes = Sizes::default();
    let shares = format.wants("SharedSize") || format.wants("UniqueSize");
    let mounts = if format.wants("Containers") { Some(store.live_mounts()?) } else { None };
    let mut values = Vec::new();
    for row in rows {
        let Some(image) = images.get(row.image) else { continue };
        let facts = Facts {
            size: if format.wants("Size") { sizes.image(store, image) } else { None },
            shared: if shares { sizes.shared(store, image, images) } else { None },
            mounts: mounts
                .as_ref()
                .map(|mounts| mounts.iter().filter(|m| m.image_id == image.id).count()),
        };
        values.push(value(row, image, &facts, full_id));
    }
    Ok(values)
}
