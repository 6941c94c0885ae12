//! Removing what nothing needs: after `rm` an image's own objects, with `prune` everything.
//!
//! All of it happens under the exclusive lock and after `index.json` without the image is on the
//! disk: first tables, then blobs. What a crash leaves of that is unreachable and goes next time.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rustix::fs::FlockOperation;

use super::blobs::open_regular;
use super::draft::{self, is_locked};
use super::ingest::partial_digest;
use super::layout::subdirectories;
use super::reach::{Needed, names_in};
use super::{Derived, Key, Life, NameRow, Store, StoreError, StoredImage, lease};
use crate::oci::Digest;

/// Says which of some content objects the files of some trees (by key) use. The store cannot read
/// trees; it asks only when there are objects: once before it locks itself, for all trees, and then for
/// those that stay.
pub type ContentOf<'a> = &'a dyn Fn(&HashSet<Digest>, &HashSet<Key>) -> HashSet<Key>;

/// What to prune.
pub struct Prune<'a> {
    /// All images that are not mounted, not only those without a tag.
    pub all: bool,
    /// Images to take, of those that come into question.
    pub filter: &'a dyn Fn(&StoredImage) -> bool,
    /// See [`ContentOf`].
    pub content: ContentOf<'a>,
    /// Find out what would go, and remove nothing.
    pub dry_run: bool,
}

/// What `rm` did, or `prune` with one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Full references that are gone.
    pub untagged: Vec<String>,
    /// Image IDs, each followed by the ChainIDs of its layers that no other image has, top first.
    pub deleted: Vec<Digest>,
    /// Bytes of the files that are gone.
    pub reclaimed: u64,
}

/// What `prune` did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// The images that are gone; what each freed is not known.
    pub images: Vec<Removed>,
    /// Bytes of all files that are gone.
    pub reclaimed: u64,
}

/// Which unneeded objects to take.
pub(super) enum Scope<'a> {
    /// Those of a removed image.
    Of(&'a Needed),
    /// All, and leftovers of dead processes too.
    Everything,
}

/// One sweep.
struct Sweep<'a> {
    store: &'a Store,
    needed: &'a Needed,
    scope: Scope<'a>,
    content: ContentOf<'a>,
    dry_run: bool,
    reclaimed: u64,
}

impl Store {
    /// Removes images without tags (or all that are not mounted), and whatever nothing needs.
    pub fn prune(&self, prune: &Prune<'_>) -> Result<Pruned, StoreError> {
        self.ask_ahead(prune.content)?;
        let _lock = self.lock_exclusive()?;
        let mut index = self.index()?;
        let mut images = Vec::new();
        for image in self.images_of(&index).whole {
            let comes = (prune.all || !image.has_tag()) && (prune.filter)(&image);
            if comes && self.user_of(&image.id)?.is_none() {
                images.push(image);
            }
        }
        let ids = self.ids(&index);
        let gone: HashSet<Digest> = images.iter().map(|image| image.id).collect();
        let goes = |row: &NameRow| ids.of(row).is_some_and(|id| gone.contains(&id));
        let mut changed = self.drop_nameless(&mut index, &ids);
        let needed = self.needed(&index, goes)?;
        let mut pruned = Pruned::default();
        for image in &images {
            let origins =
                image.origins.iter().map(|(repository, digest)| format!("{repository}@{digest}"));
            let mut names: Vec<String> = image.names.iter().cloned().chain(origins).collect();
            names.sort();
            names.dedup();
            let deleted = deleted(image, &needed);
            pruned.images.push(Removed { untagged: names, deleted, reclaimed: 0 });
        }
        while index.take(goes).is_some() {
            changed = true;
        }
        if !prune.dry_run && changed {
            self.write_index(&mut index)?;
        }
        pruned.reclaimed = self.sweep(needed, Scope::Everything, prune.content, prune.dry_run)?;
        Ok(pruned)
    }

    /// Has found out what all trees use, which takes long, before the store is locked.
    pub(super) fn ask_ahead(&self, content: ContentOf<'_>) -> Result<(), StoreError> {
        let objects = self.content_objects()?;
        if objects.is_empty() {
            return Ok(());
        }
        let mut trees = HashSet::new();
        for algorithm in subdirectories(&self.root().join(Derived::Tree.directory())) {
            let prefix = algorithm.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let names = names_in(&algorithm)?;
            let digest = |name: &String| format!("{prefix}:{name}").parse::<Digest>().ok();
            trees.extend(names.iter().filter_map(digest));
        }
        content(&trees, &objects);
        Ok(())
    }

    /// The keys of all content objects.
    pub(crate) fn content_objects(&self) -> Result<HashSet<Key>, StoreError> {
        let names = names_in(&self.derived_dir(Derived::Content, "blake3"))?;
        Ok(names.iter().filter_map(|name| Key::of_content(name)).collect())
    }

    /// Removes files that are neither in `needed` nor held by a reader, returns their bytes. The
    /// caller holds the exclusive lock under which `needed` was found, and has written `index.json`.
    pub(super) fn sweep(
        &self,
        mut needed: Needed,
        scope: Scope<'_>,
        content: ContentOf<'_>,
        dry_run: bool,
    ) -> Result<u64, StoreError> {
        let among = if let Scope::Of(image) = scope { Some(image) } else { None };
        self.add_held(&mut needed, among)?;
        let needed = &needed;
        let mut sweep = Sweep { store: self, needed, scope, content, dry_run, reclaimed: 0 };
        sweep.content()?;
        sweep.keyed(Derived::Tree.directory(), |sweep, digest| {
            sweep.takes(digest, |needed| &needed.trees)
        })?;
        for directory in [Derived::Seekable.directory(), Derived::Toc.directory(), "blobs"] {
            sweep.keyed(directory, |sweep, digest| sweep.takes(digest, |needed| &needed.blobs))?;
        }
        if matches!(sweep.scope, Scope::Everything) {
            sweep.leftovers()?;
        }
        Ok(sweep.reclaimed)
    }
}

/// What `rm` says of a removed image: its ID, and the chains that nobody else has, top first.
pub(super) fn deleted(image: &StoredImage, needed: &Needed) -> Vec<Digest> {
    let diff_ids = image.diff_ids();
    let mut chains: Vec<Digest> =
        crate::oci::ChainId::all(&diff_ids).map(|chain| chain.0).collect();
    chains.retain(|chain| !needed.chains.contains(chain));
    std::iter::once(image.id).chain(chains.into_iter().rev()).collect()
}

impl Sweep<'_> {
    fn takes(&self, digest: &Digest, set: fn(&Needed) -> &HashSet<Digest>) -> bool {
        let candidate = match self.scope {
            Scope::Of(image) => set(image).contains(digest),
            Scope::Everything => true,
        };
        candidate && !set(self.needed).contains(digest)
    }

    /// Goes through `directory/ALG/HEX`. Names of another form are not ours to judge.
    fn keyed(
        &mut self,
        directory: &str,
        takes: impl Fn(&Self, &Digest) -> bool,
    ) -> Result<(), StoreError> {
        for algorithm in subdirectories(&self.store.root().join(directory)) {
            let prefix = algorithm.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            for name in names_in(&algorithm)? {
                let digest = format!("{prefix}:{name}").parse::<Digest>();
                if digest.is_ok_and(|digest| takes(self, &digest)) {
                    self.unlink(&algorithm.join(name))?;
                }
            }
        }
        Ok(())
    }

    /// Removes content objects that no remaining tree uses.
    fn content(&mut self) -> Result<(), StoreError> {
        let objects = self.store.content_objects()?;
        if objects.is_empty() {
            return Ok(());
        }
        let used = (self.content)(&self.needed.trees, &objects);
        for key in objects.difference(&used) {
            self.unlink(&self.store.derived_path(Derived::Content, key))?;
        }
        Ok(())
    }

    /// Removes what dead processes left, interrupted downloads that nobody waits for, dead mounts'
    /// records, logs of mounts that are over, and the quarantine.
    fn leftovers(&mut self) -> Result<(), StoreError> {
        let derived = Derived::ALL.map(|kind| self.store.root().join(kind.directory()));
        for directory in derived.iter().flat_map(|top| subdirectories(top)) {
            self.orphans(&directory, |name| name.starts_with(draft::PREFIX))?;
        }
        let needed = self.needed;
        self.orphans(&self.store.ingest_dir(), |name| {
            let ours = name.starts_with(draft::PREFIX) || name.starts_with(lease::PREFIX);
            ours || partial_digest(name).is_some_and(|digest| !needed.blobs.contains(&digest))
        })?;
        let quarantine = self.store.quarantine_dir();
        for name in names_in(&quarantine)? {
            self.unlink(&quarantine.join(name))?;
        }
        for record in self.store.mounts()? {
            if !self.dry_run && self.store.mount_life(&record)? == Life::Dead {
                self.store.remove_mount(&record.id)?;
            }
        }
        for log in self.store.old_logs()? {
            self.unlink(&log)?;
        }
        Ok(())
    }

    /// Removes files that `is` says yes to and nobody has locked.
    fn orphans(&mut self, directory: &Path, is: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        for name in names_in(directory)?.iter().filter(|name| is(name)) {
            let path = directory.join(name);
            // Open until it is unlinked, so that nobody takes it in between.
            let Ok(Some(file)) = open_regular(&path) else { continue };
            let locked = is_locked(&file, FlockOperation::NonBlockingLockExclusive);
            if !locked.map_err(StoreError::at(&path))? {
                self.unlink(&path)?;
            }
        }
        Ok(())
    }

    fn unlink(&mut self, path: &Path) -> Result<(), StoreError> {
        let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
        // A directory in the place of an object, or one in quarantine: verify's business.
        if metadata.is_dir() {
            return Ok(());
        }
        if !self.dry_run {
            self.store.disk().unlink(path).map_err(StoreError::at(path))?;
        }
        self.reclaimed += metadata.len();
        Ok(())
    }
}
