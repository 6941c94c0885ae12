//! `platforms`: for which platforms there is an image, and how large each is.

use super::{config, parse};
use crate::cli::args::Platforms;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::format::{Columns, Format, units};
use crate::cli::images::pull::{parse_name, source_options};
use crate::oci::{Document, Manifest};
use crate::source;
use crate::template::{Field, Struct, Value};

/// `shale platforms`
pub fn platforms(context: &mut Context, args: &Platforms) -> Result<(), Error> {
    let columns = Columns {
        row: "platform",
        titles: &[("Platform", "PLATFORM"), ("Digest", "DIGEST"), ("Size", "SIZE")],
        table: "{{.Platform}}\t{{.Digest}}\t{{.Size}}".to_owned(),
    };
    let quiet = context.quiet.then_some("{{.Platform}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let name = parse_name(&args.image)?;
    let source = source::open(&name, &source_options(&args.connection))?;
    let root = source.root()?;
    let mut rows = Vec::new();
    match parse(&root.descriptor, &root.bytes)? {
        Document::Manifest(manifest) => {
            let platform =
                config(&*source, &manifest)?.platform().map(|platform| platform.to_string());
            rows.push((platform, root.descriptor.digest, size(&manifest)));
        }
        Document::Index(index) => {
            for descriptor in index.manifests.iter().filter(|row| !row.is_attestation()) {
                let bytes = source.document(descriptor)?;
                let size = match parse(descriptor, &bytes)? {
                    Document::Manifest(manifest) => size(&manifest),
                    Document::Index(_) => descriptor.size,
                };
                let platform = descriptor.platform.as_ref().map(ToString::to_string);
                rows.push((platform, descriptor.digest, size));
            }
        }
    }
    let rows = rows.into_iter().map(|(platform, digest, size)| {
        Value::from(Struct::row(
            "platform",
            vec![
                Field::new("Platform", platform.unwrap_or_else(|| "unknown".to_owned())),
                Field::new("Digest", digest.to_string()),
                Field::new("Size", units::size(size)),
            ],
        ))
    });
    format.print(&mut context.out, &columns, rows)
}

/// Bytes that a pull of the image would fetch at most.
fn size(manifest: &Manifest) -> u64 {
    let layers = manifest.layers.iter().map(|layer| layer.size);
    layers.fold(manifest.config.size, u64::saturating_add)
}
