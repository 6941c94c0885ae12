//! What must stay: everything that a name, a live mount or a lease needs; [`super::hold`] adds what
//! readers hold.
//!
//! Called under the exclusive lock, so that nobody adds to it meanwhile. It reads documents more
//! leniently than anything else does: whatever looks like a reference to a blob keeps that blob.
//! When it cannot tell what an image needs it says so and nothing is removed, because the missing
//! knowledge could cost the layers of an image that a repair would save.

use std::collections::HashSet;
use std::fs;
use std::io;

use rustix::fs::FlockOperation;
use serde_json::Value;

use super::blobs::open_regular;
use super::draft::is_locked;
use super::index::{Index, Named};
use super::{NameRow, Store, StoreError, lease};
use crate::oci::{ChainId, Config, Digest, OciManifest};

/// How many lists may lie in one another before the innermost are not looked at.
pub(super) const DEPTH: u32 = 8;

/// What something needs, as far as the store can tell.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// Documents and layers; also the keys of tables of layers.
    pub blobs: HashSet<Digest>,
    /// Chains of layers, from the bottom to every height.
    pub chains: HashSet<Digest>,
    /// Keys of trees: the chains, and single layers shown alone.
    pub trees: HashSet<Digest>,
}

impl Store {
    /// What the names but those that `except` says yes to, live mounts and leases need.
    pub(super) fn needed(
        &self,
        index: &Index,
        except: impl Fn(&NameRow) -> bool,
    ) -> Result<Needed, StoreError> {
        if let Some(why) = index.broken().next() {
            return Err(StoreError::Damaged { path: self.index_path(), what: why.to_owned() });
        }
        let mut needed = Needed::default();
        for Named { row, view } in index.named().filter(|named| !except(&named.row)) {
            needed.blobs.extend(view.iter().map(|view| view.digest));
            let missing = || StoreError::MissingBlob {
                digest: row.manifest.digest,
                needed_by: row.name.clone().unwrap_or_else(|| "an image without a name".into()),
            };
            if !self.add_image(&row.manifest.digest, &mut needed, DEPTH)? {
                return Err(missing());
            }
            needed.blobs.extend(row.origin.iter().map(|(_, digest)| *digest));
        }
        let mounts = self.live_mounts()?.into_iter().flat_map(|record| record.pinned);
        for digest in mounts.chain(self.leased()?) {
            needed.blobs.insert(digest);
            needed.trees.insert(digest);
        }
        Ok(needed)
    }

    /// Adds a manifest or list with its view and all below it; false when the document itself is
    /// missing.
    pub(super) fn add_image(
        &self,
        document: &Digest,
        needed: &mut Needed,
        depth: u32,
    ) -> Result<bool, StoreError> {
        needed.blobs.insert(*document);
        let Some(bytes) = self.document(document)? else { return Ok(false) };
        needed.blobs.extend(OciManifest::of_docker(&bytes).map(|view| view.descriptor.digest));
        let parsed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        for list in ["layers", "manifests"] {
            let entries = parsed.get(list).and_then(Value::as_array);
            for digest in entries.into_iter().flatten().filter_map(digest_of) {
                if list == "manifests" && depth > 0 {
                    // A list may name images that were never fetched.
                    self.add_image(&digest, needed, depth - 1)?;
                }
                needed.blobs.insert(digest);
            }
        }
        if let Some(config) = parsed.get("config").and_then(digest_of) {
            needed.blobs.insert(config);
            self.add_trees(&config, needed);
        }
        Ok(true)
    }

    /// Adds the keys of all trees that can be made of a config's layers. Trees can be built again,
    /// so a config that cannot be read is no reason to stop.
    fn add_trees(&self, config: &Digest, needed: &mut Needed) {
        let Ok(Some(bytes)) = self.document(config) else { return };
        let Ok(config) = Config::parse(&bytes) else { return };
        let diff_ids = config.all_diff_ids();
        let chains: Vec<Digest> = ChainId::all(diff_ids).map(|chain| chain.0).collect();
        needed.trees.insert(ChainId::or_empty(diff_ids).0);
        needed.trees.extend(chains.iter().chain(diff_ids.iter().map(|diff_id| &diff_id.0)));
        needed.chains.extend(chains);
    }

    /// What running pulls hold.
    pub(super) fn leased(&self) -> Result<HashSet<Digest>, StoreError> {
        let directory = self.ingest_dir();
        let mut leased = HashSet::new();
        for name in names_in(&directory)?.iter().filter(|name| name.starts_with(lease::PREFIX)) {
            let path = directory.join(name);
            let file = open_regular(&path).map_err(StoreError::at(&path))?;
            let Some(file) = file else { continue };
            let alive = is_locked(&file, FlockOperation::NonBlockingLockShared);
            if alive.map_err(StoreError::at(&path))? {
                let text = io::read_to_string(file).map_err(StoreError::at(&path))?;
                leased.extend(text.lines().filter_map(|line| line.parse::<Digest>().ok()));
            }
        }
        Ok(leased)
    }
}

fn digest_of(descriptor: &Value) -> Option<Digest> {
    descriptor.get("digest")?.as_str()?.parse().ok()
}

/// The names in a directory that are text, sorted; none when it is missing.
pub(super) fn names_in(directory: &std::path::Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::at(directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(StoreError::at(directory))?.file_name();
        names.extend(name.into_string());
    }
    names.sort();
    Ok(names)
}
