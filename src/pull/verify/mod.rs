//! `verify`: the store's own findings, and whether every table is what its layer says.
//!
//! Quick, it opens each table and looks at its header. Deep, it walks every layer again, as a pull
//! does, and compares: compressed digest, DiffID, entries, spans; then it merges the tables again
//! and compares the tree, and checks every extracted file. The fresh tables go to a file without a
//! name in the directory for temporary files, so that a store on read-only media can be checked.

mod layer;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::documents::ImageLayer;
use super::layers::run;
use super::tree::{layers_of, merge};
use super::warnings;
use super::{Options, PullError};
use crate::content::object;
use crate::layer::{ContentId, Toc, Warning};
use crate::limits::Limits;
use crate::oci::{Digest, escaped};
use crate::store::verify::{Code, Finding, Findings, Remedy, Scope};
use crate::store::{Derived, Store, StoredImage};
use crate::tree::{ImageTree, LayerWarning, OpenError, table};

/// Looks at everything, or with `text` at one image. Fails only when it cannot look at all.
pub fn verify(store: &Store, text: Option<&str>, deep: bool) -> Result<Vec<Finding>, PullError> {
    let image = text.map(|text| store.manifest_of(text)).transpose()?;
    let mut scope = Scope { image, deep, hashed_elsewhere: HashSet::new() };
    let images = store.images_in(&scope)?;
    let layers: BTreeMap<Digest, ImageLayer> = images
        .iter()
        .flat_map(layers_of)
        .filter(|layer| {
            let descriptor = &layer.descriptor;
            matches!(store.blob(&descriptor.digest, Some(descriptor.size)), Ok(Some(_)))
        })
        .map(|layer| (layer.descriptor.digest, layer))
        .collect();
    scope.hashed_elsewhere.extend(layers.keys());
    let mut found = store.verify(&scope)?;
    let (of_layers, bad) = check_layers(store, layers.into_values().collect(), deep)?;
    found.extend(of_layers);
    let mut findings = Findings::new(store);
    for image in &images {
        let sound = !image.layers.iter().any(|layer| bad.contains(&layer.digest));
        check_tree(store, image, deep && sound, &mut findings);
    }
    if deep && scope.image.is_none() {
        check_content(store, &mut findings)?;
    }
    let mut told = HashSet::new();
    for image in &images {
        warn(store, image, &mut told, &mut findings);
    }
    found.extend(findings.found);
    Ok(found)
}

/// Checks layers on several threads. Returns the findings in the order of the layers, and which
/// layers have any.
fn check_layers(
    store: &Store,
    layers: Vec<ImageLayer>,
    deep: bool,
) -> Result<(Vec<Finding>, HashSet<Digest>), PullError> {
    let options = Options::again();
    let found = Mutex::new(BTreeMap::new());
    run(&layers, options.jobs, &AtomicBool::new(false), |layer| {
        let mut findings = Findings::new(store);
        layer::check(store, layer, deep, &options.limits, &mut findings);
        let mut found = found.lock().unwrap_or_else(|held| held.into_inner());
        found.insert(layer.descriptor.digest, findings.found);
        Ok(())
    })?;
    let found = found.into_inner().unwrap_or_else(|held| held.into_inner());
    let with_any = found.iter().filter(|(_, findings)| !findings.is_empty());
    let bad = with_any.map(|(digest, _)| *digest).collect();
    Ok((found.into_values().flatten().collect(), bad))
}

fn check_tree(store: &Store, image: &StoredImage, deep: bool, findings: &mut Findings<'_>) {
    let chain = image.chain();
    let path = store.derived_path(Derived::Tree, &(&chain).into());
    let mut add = |code, detail: String| {
        findings.add(code, chain.0, &path, detail, Remedy::Remove);
    };
    // A missing tree is made by the next mount.
    let Ok(Some(file)) = store.open_derived(Derived::Tree, &chain) else { return };
    let Ok(again) = file.try_clone() else { return };
    if let Err(error) = ImageTree::open(file, chain) {
        let code = match error {
            OpenError::Version { .. } => Code::TableStale,
            _ => Code::TableDamaged,
        };
        return add(code, error.to_string());
    }
    if !deep {
        return;
    }
    let Some(fresh) = hash_of_fresh_tree(store, image) else { return };
    let mut hasher = blake3::Hasher::new();
    let read = hasher.update_reader(again).map(drop);
    match read {
        Ok(()) if hasher.finalize() == fresh => {}
        Ok(()) => add(Code::TableDamaged, "not what the layers give when merged again".into()),
        Err(error) => add(Code::TableDamaged, error.to_string()),
    }
}

/// What is odd in an image whose tables are there; once for images that share a layer. What is
/// wrong with the tables was said above.
fn warn(
    store: &Store,
    image: &StoredImage,
    told: &mut HashSet<(Digest, Warning)>,
    findings: &mut Findings<'_>,
) {
    let chain = image.chain();
    let Ok(Some(file)) = store.open_derived(Derived::Tree, &chain) else { return };
    let Ok(tree) = ImageTree::open(file, chain) else { return };
    let Ok(warnings) = warnings::of_tables(store, image, &tree) else { return };
    for LayerWarning { layer: number, warning } in warnings.found {
        let layer = usize::try_from(number).ok().and_then(|number| image.layers.get(number));
        let Some(layer) = layer.filter(|layer| told.insert((layer.digest, warning.clone()))) else {
            continue;
        };
        let entry = String::from_utf8_lossy(&warning.path);
        let entry = escaped(&entry);
        let detail = format!("layer {number}: /{entry}: {}", warning.kind.describe());
        let path = store.blob_path(&layer.digest);
        findings.add(Code::LayerWarning, layer.digest, &path, detail, Remedy::None);
    }
}

/// The hash of the table that the layers' tables give; `None` when one of those is missing.
fn hash_of_fresh_tree(store: &Store, image: &StoredImage) -> Option<blake3::Hash> {
    let layers: Vec<ImageLayer> = layers_of(image).collect();
    let merged = merge(store, &layers, Limits::HIGHEST).ok()?;
    let mut hasher = blake3::Hasher::new();
    table::write(&merged, image.chain(), &mut hasher).ok()?;
    Some(hasher.finalize())
}

/// Reads every extracted file.
fn check_content(store: &Store, findings: &mut Findings<'_>) -> Result<(), PullError> {
    for key in store.content_objects()? {
        let Ok(Some(file)) = store.open_derived(Derived::Content, key.clone()) else { continue };
        let Ok(hash) = blake3::Hash::from_hex(key.hex()) else { continue };
        if let Err(error) = object::check(file, ContentId(*hash.as_bytes())) {
            let path = store.derived_path(Derived::Content, &key);
            let detail = error.to_string();
            findings.add(Code::ContentDamaged, key.hex(), &path, detail, Remedy::Remove);
        }
    }
    Ok(())
}

/// A file without a name, for a table that is only compared.
fn unnamed_file() -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let directory = std::env::temp_dir();
    let file = openat(rustix::fs::CWD, &directory, flags, Mode::from_raw_mode(0o600))?;
    Ok(File::from(file))
}

/// Opens a table that was just written to `file`.
fn reopen(mut file: File) -> io::Result<Toc> {
    file.flush()?;
    Toc::open(file).map_err(io::Error::other)
}
