//! `search`, `manifest inspect`, `platforms`: what registries have, without fetching images.

use std::io::IsTerminal;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value as Json, json};

use super::args::{Manifest, ManifestCommand, ManifestInspect, Platforms as PlatformsArgs, Search};
use super::context::Context;
use super::error::Error;
use super::filter::Filters;
use super::history::ellipsis;
use super::inspect::indented;
use super::listing::{Columns, Format};
use super::pull::{parse_name, source_options};
use super::template::{Field, Struct, Value};
use super::units;
use crate::oci::{Config, Descriptor, Document, Platform};
use crate::source::registry::{self, Found, Registry};
use crate::source::{self, Source};

/// How much of a description is shown.
const DESCRIPTION_WIDTH: usize = 45;

/// `shale search`
pub fn search(context: &mut Context, args: &Search) -> Result<(), Error> {
    let filters = Filters::parse(&args.filter, &["stars", "is-official", "is-automated"])?;
    let stars = filters.number("stars")?.unwrap_or(0);
    let official = filters.boolean("is-official")?;
    let automated = filters.boolean("is-automated")?;
    let (host, term) = split_host(&args.term);
    let table = match host {
        Some(_) => "{{.Name}}",
        None => "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    };
    let columns = Columns {
        row: "result",
        titles: &[
            ("Name", "NAME"),
            ("Description", "DESCRIPTION"),
            ("StarCount", "STARS"),
            ("IsOfficial", "OFFICIAL"),
            ("IsAutomated", "AUTOMATED"),
        ],
        table: table.to_owned(),
    };
    let quiet = context.quiet.then_some("{{.Name}}");
    let format = Format::choose(args.format.as_deref(), &columns, quiet)?;
    let mut found = match host {
        Some(host) => search_registry(host, term, args)?,
        None => registry::search(&source_options(&args.connection), term, args.limit)?,
    };
    found.sort_by_key(|found| std::cmp::Reverse(found.stars));
    found.retain(|found| {
        u64::try_from(found.stars).unwrap_or(0) >= stars
            && official.is_none_or(|official| found.official == official)
            && automated.is_none_or(|automated| found.automated == automated)
    });
    let rows = found.iter().map(|found| result_row(found, args.no_trunc));
    format.print(&mut context.out, &columns, rows)
}

/// The registry in front of a term, when the first part looks like a host.
fn split_host(term: &str) -> (Option<&str>, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host == "localhost" || host.contains(['.', ':']) => {
            // What Docker Hub has, its own search knows.
            let hub = ["docker.io", "index.docker.io"].contains(&host);
            (Some(host).filter(|_| !hub), rest)
        }
        _ => (None, term),
    }
}

/// A repository's tags, or the repositories that contain the term.
fn search_registry(host: &str, term: &str, args: &Search) -> Result<Vec<Found>, Error> {
    let registry = Registry::new(host, &source_options(&args.connection))?;
    let catalog = registry.catalog();
    let is_repository =
        |names: &Vec<String>| !term.is_empty() && names.iter().any(|name| name == term);
    let names: Vec<String> = match catalog {
        Ok(names) if !is_repository(&names) => {
            names.into_iter().filter(|name| name.contains(term)).collect()
        }
        // Many registries show no catalog; they still list the tags of what one can name.
        Err(error) if term.is_empty() => return Err(error.into()),
        _ => registry.tags(term)?.iter().map(|tag| format!("{term}:{tag}")).collect(),
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let found = |name: String| Found {
        name: format!("{host}/{name}"),
        description: String::new(),
        stars: 0,
        official: false,
        automated: false,
    };
    Ok(names.into_iter().take(limit).map(found).collect())
}

fn result_row(found: &Found, full: bool) -> Value {
    let description = found.description.replace(['\n', '\r'], " ");
    let description = if full { description } else { ellipsis(&description, DESCRIPTION_WIDTH) };
    let mut fields = vec![
        Field::new("Name", found.name.as_str()),
        Field::new("Description", description),
        Field::new("StarCount", found.stars.to_string()),
    ];
    fields.extend(mark("IsOfficial", found.official));
    fields.extend(mark("IsAutomated", found.automated));
    Value::from(Struct::row("result", fields))
}

/// Docker's two forms of yes and no: a mark for people, words in JSON.
fn mark(name: &'static str, yes: bool) -> [Field; 2] {
    [
        Field { json: None, ..Field::new(name, if yes { "[OK]" } else { "" }) },
        Field { json: Some(name), ..Field::new("", yes.to_string()) },
    ]
}

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

fn config(source: &dyn Source, manifest: &crate::oci::Manifest) -> Result<Config, Error> {
    let bytes = source.document(&manifest.config)?;
    Config::parse(&bytes)
        .map_err(|error| Error::failed(format!("{}: {error}", manifest.config.digest)))
}

fn parse(descriptor: &Descriptor, bytes: &[u8]) -> Result<Document, Error> {
    Document::parse(bytes, &descriptor.media_type)
        .map_err(|error| Error::failed(format!("{}: {error}", descriptor.digest)))
}

/// `shale platforms`
pub fn platforms(context: &mut Context, args: &PlatformsArgs) -> Result<(), Error> {
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
fn size(manifest: &crate::oci::Manifest) -> u64 {
    let layers = manifest.layers.iter().map(|layer| layer.size);
    layers.fold(manifest.config.size, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_in_search_terms() {
        for (term, host, rest) in [
            ("debian", None, "debian"),
            ("user/app", None, "user/app"),
            ("localhost/app", Some("localhost"), "app"),
            ("127.0.0.1:5000/", Some("127.0.0.1:5000"), ""),
            ("ghcr.io/a/b", Some("ghcr.io"), "a/b"),
            ("docker.io/library/debian", None, "library/debian"),
        ] {
            assert_eq!(split_host(term), (host, rest), "{term}");
        }
    }
}
