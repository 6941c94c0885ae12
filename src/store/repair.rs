//! `verify --repair`, the part that needs no network and no tables.
//!
//! What is taken out goes to `quarantine/`; nothing that was found is destroyed but leftovers and
//! tables, which can be made again. Whatever was found is looked at again before it is touched:
//! a repair may come long after its finding.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::blobs::open_regular;
use super::draft::is_locked;
use super::index::Index;
use super::reach::names_in;
use super::verify::{Finding, Remedy};
use super::{Life, NameRow, Store, StoreError};
use crate::oci::{Algorithm, Descriptor, Digest, Document, JSON_LIMIT, is_docker_manifest};

/// A blob that was moved away to be fetched again.
#[derive(Debug)]
pub struct Aside {
    from: PathBuf,
    to: PathBuf,
}

impl Store {
    /// Does what the finding's remedy says. False when that is not the store's to do
    /// ([`Remedy::Refetch`], [`Remedy::None`]) or no longer necessary.
    pub fn repair(&self, finding: &Finding) -> Result<bool, StoreError> {
        let path = self.root().join(&finding.path);
        match &finding.remedy {
            Remedy::None | Remedy::Refetch(_) => Ok(false),
            Remedy::Quarantine => self.quarantine(&path).map(|_| true),
            Remedy::Remove => self.remove_orphan(&path),
            Remedy::SetMode(mode) => {
                self.disk().set_mode(&path, *mode).map(|()| true).map_err(StoreError::at(&path))
            }
            Remedy::SetOwner(owner) => {
                self.disk().set_owner(&path, *owner).map(|()| true).map_err(StoreError::at(&path))
            }
            Remedy::ForgetMount(id) => self.forget_dead(id),
            Remedy::DropRow(row) => self.drop_row(row),
            Remedy::RebuildIndex => self.rebuild_index().map(|()| true),
            Remedy::RenewLayout => self.renew_layout().map(|()| true),
            Remedy::Derive => self.renew_views().map(|()| true),
        }
    }

    /// Moves a bad blob to `quarantine/`; `None` when there is nothing in its place.
    pub fn set_aside(&self, digest: &Digest) -> Result<Option<Aside>, StoreError> {
        let from = self.blob_path(digest);
        if fs::symlink_metadata(&from).is_err() {
            return Ok(None);
        }
        let to = self.quarantine(&from)?;
        Ok(Some(Aside { from, to }))
    }

    /// Puts it back, because a good one could not be had: most of its bytes may be right.
    pub fn put_back(&self, aside: Aside) -> Result<(), StoreError> {
        if fs::symlink_metadata(&aside.from).is_ok() {
            return Ok(());
        }
        self.disk().rename(&aside.to, &aside.from).map_err(StoreError::at(&aside.from))
    }

    fn remove_orphan(&self, path: &Path) -> Result<bool, StoreError> {
        let file = open_regular(path).map_err(StoreError::at(path))?;
        let Some(file) = file else { return Ok(false) };
        let locked = is_locked(&file, FlockOperation::NonBlockingLockExclusive);
        if locked.map_err(StoreError::at(path))? {
            return Ok(false);
        }
        self.disk().unlink(path).map(|()| true).map_err(StoreError::at(path))
    }

    fn forget_dead(&self, id: &str) -> Result<bool, StoreError> {
        let Ok(id) = id.parse() else { return Ok(false) };
        match self.mount_record(&id)? {
            Some(record) if self.mount_life(&record)? == Life::Dead => {
                self.remove_mount(&id).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    fn drop_row(&self, row: &serde_json::Value) -> Result<bool, StoreError> {
        let _lock = self.lock_exclusive()?;
        let mut index = self.index()?;
        let Some(position) = index.rows.iter().position(|known| known.to_json() == *row) else {
            return Ok(false);
        };
        index.rows.remove(position);
        let text = format!("{row:#}\n");
        let kept = self.root().join("index-row.json");
        self.write_small(&kept, text.as_bytes())?;
        self.quarantine(&kept)?;
        self.write_index(&mut index)?;
        Ok(true)
    }

    /// Makes a new index of all manifests of images in the store. Their names are lost with the
    /// old one; IDs still find them, and pulling names them again without fetching.
    fn rebuild_index(&self) -> Result<(), StoreError> {
        let _lock = self.lock_exclusive()?;
        if self.index().is_ok() {
            return Ok(());
        }
        let mut manifests = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for name in names_in(&self.blobs_dir(algorithm))? {
                let digest = format!("{}:{name}", algorithm.name()).parse::<Digest>();
                manifests.extend(digest.ok().and_then(|digest| self.as_manifest(digest)));
            }
        }
        // A view is no image of its own.
        let of_docker = manifests.iter().filter(|m| is_docker_manifest(&m.media_type));
        let views = of_docker.filter_map(|manifest| self.view_of(&manifest.digest));
        let views: HashSet<Digest> = views.map(|view| view.descriptor.digest).collect();
        manifests.retain(|manifest| !views.contains(&manifest.digest));
        let mut index = Index::default();
        let row = |manifest| NameRow { name: None, manifest, origin: None }.into();
        index.rows.extend(manifests.into_iter().map(row));
        let path = self.index_path();
        if fs::symlink_metadata(&path).is_ok() {
            self.quarantine(&path)?;
        }
        self.write_index(&mut index)
    }

    /// The descriptor of a blob that is the manifest of an image.
    fn as_manifest(&self, digest: Digest) -> Option<Descriptor> {
        let metadata = fs::symlink_metadata(self.blob_path(&digest)).ok()?;
        if metadata.size() > JSON_LIMIT {
            return None;
        }
        let bytes = self.document(&digest).ok()??;
        match Document::parse(&bytes, "").ok()? {
            Document::Manifest(manifest) if manifest.image_layers().is_ok() => {
                Some(Descriptor::new(&manifest.media_type, digest, metadata.size()))
            }
            _ => None,
        }
    }
}
