//! Views: what others see of an image whose manifest has Docker's media type.
//!
//! ```text
//! index.json row --> view: the same manifest in OCI's media types      skopeo, umoci, podman
//!      \-- org.shalefs.manifest --> manifest as the registry has it     everything here
//!                                   both lead to the same config and layers
//! ```
//!
//! A view is derived: its bytes follow from the manifest's, so that one which is missing or damaged
//! is made again without a network. It is made by whoever writes `index.json`, under the lock that
//! garbage collection takes too, and is on the disk before the row that points at it. What the
//! manifest needs to stay includes the view, whether a row says so already or not.
//!
//! A row without a view, as older versions wrote it, is read all the same; it gets one when
//! `index.json` is next written. So does one whose manifest could not be read then.

use super::index::Index;
use super::{Store, StoreError};
use crate::oci::{Algorithm, Digest, OciManifest, is_docker_manifest};

impl Store {
    /// Makes the views that rows lack. The caller holds the exclusive lock and writes the index.
    pub(super) fn add_views(&self, index: &mut Index) -> Result<(), StoreError> {
        let mut added = false;
        for named in index.named_mut().filter(|named| named.view.is_none()) {
            if !is_docker_manifest(&named.row.manifest.media_type) {
                continue;
            }
            let Some(view) = self.view_of(&named.row.manifest.digest) else { continue };
            self.put_document(&view.descriptor.digest, &view.bytes)?;
            named.view = Some(view.descriptor);
            added = true;
        }
        if added {
            let directory = self.blobs_dir(Algorithm::Sha256);
            self.disk().sync_dir(&directory).map_err(StoreError::at(&directory))?;
        }
        Ok(())
    }

    /// Makes all views again whose manifests can be read; right ones are left alone.
    pub(super) fn renew_views(&self) -> Result<(), StoreError> {
        self.change_index(|index| {
            for named in index.named_mut() {
                if self.view_of(&named.row.manifest.digest).is_some() {
                    named.view = None;
                }
            }
            Ok(())
        })
    }

    /// The view of a manifest; `None` when that cannot be read or is no image's.
    pub(super) fn view_of(&self, manifest: &Digest) -> Option<OciManifest> {
        OciManifest::of_docker(&self.document(manifest).ok()??)
    }
}
