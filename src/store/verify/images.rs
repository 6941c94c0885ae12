//! Names and documents: every row leads to an image whose documents are right and whose layers are
//! there at their size.

use std::collections::HashSet;
use std::path::Path;

use super::super::index::{Index, Named, Row};
use super::super::reach::Needed;
use super::{Code, Findings, Remedy, Scope, Survey};
use crate::oci::{DocumentError, Reference};
use crate::store::{NameRow, Store, StoreError, StoredImage};

/// How deep a list of lists is followed.
const DEPTH: u32 = 8;

impl Store {
    /// Checks all rows, and finds out what they need.
    pub(super) fn check_images(
        &self,
        index: &Index,
        scope: &Scope,
        findings: &mut Findings<'_>,
    ) -> Result<Survey, StoreError> {
        let mut survey =
            Survey { needed: Needed::default(), views: HashSet::new(), complete: true };
        let (mut names, mut manifests) = (HashSet::new(), HashSet::new());
        for (position, row) in index.rows.iter().enumerate() {
            let remedy = Remedy::DropRow(Box::new(row.to_json()));
            let named = match row {
                Row::Image(named) => named,
                Row::Broken(_, why) => {
                    survey.complete = false;
                    let path = self.index_path();
                    findings.add(Code::NameBroken, format!("row {position}"), &path, why, remedy);
                    continue;
                }
            };
            let row = &named.row;
            if scope.image.as_ref().is_some_and(|only| only.digest != row.manifest.digest) {
                continue;
            }
            if manifests.insert(row.manifest.digest) {
                self.check_image(index, row, &remedy, &mut survey, findings);
            }
            self.check_view(named, &mut survey, findings);
            self.check_name(row, remedy, &mut names, findings);
            survey.needed.blobs.extend(row.origin.iter().map(|(_, digest)| *digest));
        }
        let mounts = self.live_mounts()?.into_iter().flat_map(|record| record.pinned);
        for digest in mounts.chain(self.leased()?) {
            survey.needed.blobs.insert(digest);
            survey.needed.trees.insert(digest);
        }
        Ok(survey)
    }

    fn check_name(
        &self,
        row: &NameRow,
        remedy: Remedy,
        names: &mut HashSet<String>,
        findings: &mut Findings<'_>,
    ) {
        let Some(name) = &row.name else { return };
        let path = self.index_path();
        let reference = name.parse::<Reference>();
        if !reference.is_ok_and(|reference| reference.canonical() == *name) {
            let detail = "not a full reference, so no command finds it by name";
            findings.add(Code::NameBroken, name, &path, detail, remedy);
        } else if !names.insert(name.clone()) {
            findings.add(Code::NameTwice, name, &path, "two rows have this name", remedy);
        }
    }

    fn check_image(
        &self,
        index: &Index,
        row: &NameRow,
        drop_row: &Remedy,
        survey: &mut Survey,
        findings: &mut Findings<'_>,
    ) {
        let manifest = &row.manifest;
        if !matches!(self.add_image(&manifest.digest, &mut survey.needed, DEPTH), Ok(true)) {
            survey.complete = false;
        }
        match self.load(index, manifest) {
            Ok(image) => self.check_layers(&image, findings),
            Err(error) => {
                survey.complete = false;
                self.document_finding(&error, row, drop_row, findings);
            }
        }
    }

    /// Checks that a row points at the view of its manifest, and that it is there. Without the
    /// manifest nobody knows what the view should be; that is found by itself.
    fn check_view(&self, named: &Named, survey: &mut Survey, findings: &mut Findings<'_>) {
        let Named { row, view: Some(view) } = named else { return };
        survey.needed.blobs.insert(view.digest);
        survey.views.insert(view.digest);
        let Some(right) = self.view_of(&row.manifest.digest) else { return };
        let mut add = |code, path: &Path, detail: String, remedy| {
            if code == Code::WrongView || !findings.has(path) {
                findings.add(code, view.digest, path, detail, remedy);
            }
        };
        if *view != right.descriptor {
            let detail = format!("not the OCI view of {}", row.manifest.digest);
            return add(Code::WrongView, &self.index_path(), detail, Remedy::Derive);
        }
        let path = self.blob_path(&view.digest);
        let detail = format!("the OCI view of {}", row.manifest.digest);
        match self.document(&view.digest) {
            Ok(Some(_)) => {}
            // What stands there instead is found with the files.
            Ok(None) if path.symlink_metadata().is_ok() => {}
            Ok(None) => add(Code::BlobMissing, &path, detail, Remedy::Derive),
            Err(StoreError::DigestMismatch { .. } | StoreError::TooLarge { .. }) => {
                add(Code::BlobDigest, &path, detail, Remedy::Derive);
            }
            Err(error) => add(Code::Unreadable, &path, error.to_string(), Remedy::None),
        }
    }

    fn check_layers(&self, image: &StoredImage, findings: &mut Findings<'_>) {
        for layer in &image.layers {
            let path = self.blob_path(&layer.digest);
            if findings.has(&path) {
                continue;
            }
            let remedy = Remedy::Refetch(layer.digest);
            match self.blob_size(&layer.digest) {
                Ok(Some(size)) if size == layer.size => {}
                Ok(Some(size)) => {
                    let detail = format!("{size} bytes instead of {}", layer.size);
                    findings.add(size_code(size, layer.size), layer.digest, &path, detail, remedy);
                }
                // What stands there instead is found with the files.
                Ok(None) if path.symlink_metadata().is_ok() => {}
                Ok(None) => {
                    let detail = format!("a layer of {}", label(image));
                    findings.add(Code::BlobMissing, layer.digest, &path, detail, remedy);
                }
                Err(error) => {
                    let detail = error.to_string();
                    findings.add(Code::Unreadable, layer.digest, &path, detail, Remedy::None);
                }
            }
        }
    }

    /// Reports why an image's documents cannot be used.
    fn document_finding(
        &self,
        error: &StoreError,
        row: &NameRow,
        drop_row: &Remedy,
        findings: &mut Findings<'_>,
    ) {
        let name = row.name.clone().unwrap_or_else(|| row.manifest.digest.to_string());
        let (code, digest) = match error {
            StoreError::MissingBlob { digest, .. } => (Code::BlobMissing, *digest),
            StoreError::DigestMismatch { expected, .. } => (Code::BlobDigest, *expected),
            StoreError::Document { digest, source: DocumentError::LayerCount { .. } } => {
                (Code::LayerCount, *digest)
            }
            StoreError::Document { digest, .. } => (Code::BadDocument, *digest),
            StoreError::TooLarge { digest, .. } => (Code::BadDocument, *digest),
            _ => (Code::Unreadable, row.manifest.digest),
        };
        let path = self.blob_path(&digest);
        let in_place = path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file());
        if findings.has(&path) || (code == Code::BlobMissing && in_place) {
            return;
        }
        let remedy = match code {
            Code::BlobMissing | Code::BlobDigest => Remedy::Refetch(digest),
            Code::Unreadable => Remedy::None,
            // The bytes are what their digest says: fetching them again would not help.
            _ => drop_row.clone(),
        };
        findings.add(code, digest, &path, format!("{name}: {error}"), remedy);
    }
}

fn size_code(found: u64, expected: u64) -> Code {
    if found < expected { Code::BlobTruncated } else { Code::BlobAppended }
}

fn label(image: &StoredImage) -> String {
    image.names.first().cloned().unwrap_or_else(|| image.short_id())
}
