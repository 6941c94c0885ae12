//! `tag` and `rm`, by Docker's rules.
//!
//! A name and the digest that a registry served under it are two references to an image, as they
//! are in Docker: removing the last tag of a repository removes that repository's digest too.
//! Removing the last reference deletes the image with all that no other image needs; an ID stands
//! for all references, and must be forced when they are more than one tag. An image that is
//! mounted, or that a command runs in, is not deleted, forced or not.

use super::gc::{ContentOf, Removed, Scope, deleted};
use super::hold::User;
use super::image::{Found, short};
use super::index::{Index, Named};
use super::reach::Needed;
use super::{MountRecord, NameRow, Store, StoreError};
use crate::oci::Digest;

/// A reference to an image, as `rm` counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Handle {
    /// `REPOSITORY:TAG`, the name of a row.
    Tag(String),
    /// `REPOSITORY@DIGEST`, the name of a row or its origin.
    Digest(String),
}

impl Handle {
    fn of_name(name: &str) -> Self {
        if name.contains('@') { Self::Digest(name.into()) } else { Self::Tag(name.into()) }
    }

    fn text(&self) -> &str {
        match self {
            Self::Tag(text) | Self::Digest(text) => text,
        }
    }

    fn repository(&self) -> &str {
        repository(self.text())
    }
}

/// A reference without its tag or digest.
fn repository(name: &str) -> &str {
    match name.split_once('@') {
        Some((repository, _)) => repository,
        // A colon before the last slash belongs to a port.
        None => match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        },
    }
}

impl Store {
    /// Gives the image that `text` stands for another name (a full reference). The image that had
    /// that name becomes dangling when it has no other.
    pub fn tag(&self, text: &str, name: &str) -> Result<(), StoreError> {
        let image = self.open_image(text)?;
        self.set_name(NameRow {
            name: Some(name.to_owned()),
            manifest: image.manifest,
            origin: None,
        })
    }

    /// Removes a name, or an image by ID. With `force`, an ID may stand for several names.
    pub fn remove(
        &self,
        text: &str,
        force: bool,
        content: ContentOf<'_>,
    ) -> Result<Removed, StoreError> {
        self.ask_ahead(content)?;
        let _lock = self.lock_exclusive()?;
        let mut index = self.index()?;
        let found = self.find(&index, text)?;
        let image = self.rows_of(&index, &found);
        let mut removed = Removed::default();
        let handles = handles(&index, &image);
        let last = match &found {
            Found::Id(id) if !force && !is_single(&handles) => {
                let is_tag = |handle: &&Handle| matches!(handle, Handle::Tag(_));
                let tags = handles.iter().filter(is_tag).map(|tag| tag.text().to_owned());
                let names = tags.collect();
                return Err(StoreError::SeveralNames { id: short(id), names });
            }
            Found::Id(_) => true,
            Found::Name(_) | Found::Origin(_) => is_single(&handles),
        };
        if last {
            self.refuse_used(&image, text)?;
        }
        let gone: Vec<Handle> = match &found {
            Found::Id(_) => handles,
            Found::Origin(row) => origin_handle(row).into_iter().collect(),
            Found::Name(row) => goes_with(row.name.as_deref().unwrap_or_default(), &handles),
        };
        removed.untagged = gone.iter().map(|handle| handle.text().to_owned()).collect();
        let before = index.clone();
        untag(&mut index, &image, &gone);
        let bare = |row: &NameRow| row.name.is_none() && row.origin.is_none();
        while index.take(|row| image.has(row) && bare(row)).is_some() {}
        if index.images().any(|row| image.has(row)) {
            self.write_index(&mut index)?;
            return Ok(removed);
        }
        self.delete(&before, &mut index, &image, content, &mut removed)?;
        Ok(removed)
    }

    /// Takes an image without rows out of the store: `after` is the index without them.
    fn delete(
        &self,
        before: &Index,
        after: &mut Index,
        image: &ImageRows,
        content: ContentOf<'_>,
        removed: &mut Removed,
    ) -> Result<(), StoreError> {
        // Before anything is written: this fails when another image cannot be read.
        let needed = self.needed(after, |_| false)?;
        let mut own = Needed::default();
        for Named { row, view } in before.named().filter(|named| image.has(&named.row)) {
            own.blobs.extend(view.iter().map(|view| view.digest));
            own.blobs.extend(row.origin.iter().map(|(_, digest)| *digest));
            // A damaged document hides what it needed; `prune` finds that.
            let _ = self.add_image(&row.manifest.digest, &mut own, 1);
        }
        match image.manifests.iter().find_map(|digest| self.load_any(before, digest)) {
            Some(whole) => removed.deleted = deleted(&whole, &needed),
            None => removed.deleted = image.id.into_iter().collect(),
        }
        self.write_index(after)?;
        removed.reclaimed = self.sweep(needed, Scope::Of(&own), content, false)?;
        Ok(())
    }

    fn load_any(&self, index: &Index, manifest: &Digest) -> Option<super::StoredImage> {
        let row = index.images().find(|row| row.manifest.digest == *manifest)?;
        self.load(index, &row.manifest).ok()
    }

    fn refuse_used(&self, image: &ImageRows, text: &str) -> Result<(), StoreError> {
        let Some(id) = image.id else { return Ok(()) };
        let image = text.to_owned();
        match self.user_of(&id)? {
            Some(User::Mount(MountRecord { mountpoint, .. })) => {
                Err(StoreError::InUse { image, mountpoint })
            }
            Some(User::Command) => Err(StoreError::Running { image }),
            None => Ok(()),
        }
    }

    /// All rows of the image that was found: several manifests can have one config.
    fn rows_of(&self, index: &Index, found: &Found) -> ImageRows {
        let id = match found {
            Found::Id(id) => Some(*id),
            Found::Name(row) | Found::Origin(row) => self.image_id(&row.manifest).ok(),
        };
        let mut manifests: Vec<Digest> = match found {
            Found::Name(row) | Found::Origin(row) => vec![row.manifest.digest],
            Found::Id(_) => Vec::new(),
        };
        for row in index.images().filter(|_| id.is_some()) {
            if self.image_id(&row.manifest).ok() == id {
                manifests.push(row.manifest.digest);
            }
        }
        ImageRows { id, manifests }
    }
}

/// Which rows of the index are one image's.
struct ImageRows {
    /// `None` when the manifest is damaged.
    id: Option<Digest>,
    manifests: Vec<Digest>,
}

impl ImageRows {
    fn has(&self, row: &NameRow) -> bool {
        self.manifests.contains(&row.manifest.digest)
    }
}

fn origin_handle(row: &NameRow) -> Option<Handle> {
    row.origin.as_ref().map(|(repository, digest)| Handle::Digest(format!("{repository}@{digest}")))
}

/// All references to an image, in the order of their text.
fn handles(index: &Index, image: &ImageRows) -> Vec<Handle> {
    let rows = || index.images().filter(|row| image.has(row));
    let names = rows().flat_map(|row| &row.name).map(|name| Handle::of_name(name));
    let mut all: Vec<Handle> = names.chain(rows().filter_map(origin_handle)).collect();
    all.sort_by(|a, b| a.text().cmp(b.text()));
    all.dedup();
    all
}

/// Whether an ID stands for one image name without doubt: at most one tag, and digests only of the
/// same repository.
fn is_single(handles: &[Handle]) -> bool {
    let tags = handles.iter().filter(|handle| matches!(handle, Handle::Tag(_))).count();
    let first = handles.first().map(Handle::repository);
    tags <= 1 && handles.iter().all(|handle| Some(handle.repository()) == first)
}

/// What goes when `name` goes: itself, and with the last tag of a repository its digests.
fn goes_with(name: &str, handles: &[Handle]) -> Vec<Handle> {
    let gone = Handle::of_name(name);
    let same = |handle: &&Handle| handle.repository() == gone.repository() && **handle != gone;
    let tag_left = handles.iter().filter(same).any(|handle| matches!(handle, Handle::Tag(_)));
    let mut all = vec![gone.clone()];
    if matches!(gone, Handle::Tag(_)) && !tag_left {
        all.extend(handles.iter().filter(same).cloned());
    }
    all
}

/// Removes references from the rows of an image. An origin whose row goes stays with another row,
/// or as a row without a name.
fn untag(index: &mut Index, image: &ImageRows, gone: &[Handle]) {
    let goes = |row: &NameRow| {
        image.has(row) && row.name.as_ref().is_some_and(|n| gone.contains(&Handle::of_name(n)))
    };
    let gone_origin =
        |row: &NameRow| origin_handle(row).is_some_and(|origin| gone.contains(&origin));
    let mut homeless = Vec::new();
    while let Some(row) = index.take(goes) {
        homeless.push(row);
    }
    for row in index.images_mut().filter(|row| image.has(row) && gone_origin(row)) {
        row.origin = None;
    }
    for row in homeless.into_iter().filter(|row| row.origin.is_some() && !gone_origin(row)) {
        index.set(NameRow { name: None, ..row });
    }
}
