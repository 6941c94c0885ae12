//! What is odd in an image. Each oddity has a defined outcome (SEMANTICS.md) and is no damage, but
//! another tool may show something else there.
//!
//! Three look: the tar walker at one entry (kept in the layer's TOC), the merge at what meets in the
//! tree (kept in the tree's table), and this page at what the manifest says of a layer and its
//! bytes do not, which belongs to neither table because two manifests may say different things.

use super::PullError;
use super::documents::{ImageLayer, chain_of};
use super::layers::toc_of;
use super::tree::{ensure_tree, layers_of, open, open_toc};
use crate::layer::{Toc, TocError, Warning, WarningKind};
use crate::oci::LayerType;
use crate::store::{Store, StoreError, StoredImage};
use crate::tree::{ImageTree, LayerWarning};

/// The oddities of one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings {
    /// Layer by layer, in the order of its tar.
    pub found: Vec<LayerWarning>,
    /// How many more the merge met than it kept.
    pub dropped: u64,
}

/// What is odd in `image`. Tables that are missing are made again.
pub fn warnings(store: &Store, image: &StoredImage) -> Result<Warnings, PullError> {
    let layers: Vec<ImageLayer> = layers_of(image).collect();
    let complete = layers.iter().all(|layer| toc_of(store, layer).is_some());
    let tree = match open(store, chain_of(&layers))?.filter(|_| complete) {
        Some(tree) => tree,
        None => {
            let _hold = store.hold(image)?;
            ensure_tree(store, image)?
        }
    };
    of_tables(store, image, &tree)
}

/// What the tables say, which are all there.
pub(super) fn of_tables(
    store: &Store,
    image: &StoredImage,
    tree: &ImageTree,
) -> Result<Warnings, PullError> {
    let damaged = |what: String| StoreError::Damaged { path: store.root().join("tree"), what };
    let mut of_merge = tree.warnings().map_err(|error| damaged(error.to_string()))?;
    let mut found = Vec::new();
    for (number, layer) in (0..).zip(layers_of(image)) {
        let toc = open_toc(store, &layer.descriptor.digest)?;
        let of_layer = of_layer(&toc, &layer.descriptor.media_type);
        let of_layer = of_layer.map_err(|error| damaged(error.to_string()))?;
        found.extend(of_layer.into_iter().map(|warning| LayerWarning { layer: number, warning }));
        found.extend(of_merge.extract_if(.., |warning| warning.layer == number));
    }
    Ok(Warnings { found, dropped: tree.dropped_warnings() })
}

fn of_layer(toc: &Toc, media_type: &str) -> Result<Vec<Warning>, TocError> {
    let found = toc.header().compression.name();
    let wrong = LayerType::of(media_type).is_some_and(|claim| claim.compression.name() != found);
    let of_type = Warning { kind: WarningKind::WrongMediaType, path: Vec::new() };
    wrong.then_some(of_type).map(Ok).into_iter().chain(toc.warnings()).collect()
}
