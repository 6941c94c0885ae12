//! `manifest inspect`: a manifest or an index as the registry has it, byte for byte or in detail.

use std::io::IsTerminal;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value as Json, json};

use super::{config, parse};
use crate::cli::args::{Manifest, ManifestCommand, ManifestInspect};
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::format::indented;
use crate::cli::images::pull::{parse_name, source_options};
use crate::oci::{Descriptor, Document, Platform};
use crate::source::{self, Source};

/// `shale manifest`
pub fn manifest(context: &mut Context, args: &Manifest) -> Result<(), Error> {
    match &args.command {
        ManifestCommand::Inspect(args) => inspect(context, args),
    }
}

fn inspect(context: &mut Context, args: &ManifestInspect) -> Result<(), Error> {
    let name = parse_name(&args.image)?;
    let source = source::open(&name, &source_options(&args.connection))?;
    let root = source.root()?;
    if context.verbose > 0 {
        let base = name.reference().map_or_else(|| name.to_string(), ToString::to_string);
        let detail = in_detail(&*source, &base, &root.descriptor, &root.bytes)?;
        let text = indented(&detail, b"\t");
        return context.out.line(&text);
    }
    if std::io::stdout().is_terminal() {
        return context.out.line(&String::from_utf8_lossy(&root.bytes));
    }
    // Byte for byte, so that its digest can be checked.
    context.out.raw(&root.bytes)
}

/// The manifest, or all manifests of a list, each with its descriptor, as Docker shows them.
fn in_detail(
    source: &dyn Source,
    name: &str,
    root: &Descriptor,
    bytes: &[u8],
) -> Result<Json, Error> {
    match parse(root, bytes)? {
        Document::Manifest(manifest) => {
            // Here only the config knows what it is for.
            let platform = config(source, &manifest)?.platform();
            Ok(manifest_json(name.to_owned(), root, platform.as_ref(), bytes))
        }
        Document::Index(index) => {
            let mut all = Vec::new();
            for descriptor in &index.manifests {
                let bytes = source.document(descriptor)?;
                let name = format!("{name}@{}", descriptor.digest);
                all.push(manifest_json(name, descriptor, descriptor.platform.as_ref(), &bytes));
            }
            Ok(Json::Array(all))
        }
    }
}

fn manifest_json(
    name: String,
    descriptor: &Descriptor,
    platform: Option<&Platform>,
    bytes: &[u8],
) -> Json {
    let mut shown = json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    });
    if let (Some(shown), Some(platform)) = (shown.as_object_mut(), platform) {
        let mut fields = json!({"architecture": platform.architecture, "os": platform.os});
        let more = [("os.version", &platform.os_version), ("variant", &platform.variant)];
        for (key, value) in more.into_iter().filter(|(_, value)| value.is_some()) {
            fields[key] = json!(value);
        }
        shown.insert("platform".to_owned(), fields);
    }
    let kind = if descriptor.media_type.starts_with("application/vnd.oci.") {
        "OCIManifest"
    } else {
        "SchemaV2Manifest"
    };
    let manifest: Json = serde_json::from_slice(bytes).unwrap_or(Json::Null);
    let raw = BASE64_STANDARD.encode(bytes);
    json!({"Ref": name, "Descriptor": shown, "Raw": raw, kind: manifest})
}
