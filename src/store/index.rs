//! `index.json`: what each name stands for.
//!
//! A row points at a platform's manifest, never at an index, so that umoci and skopeo can read the
//! store by name; for the same reason it points at the OCI view of a manifest of Docker's
//! ([`super::view`]), and names the manifest itself in an annotation. In another one is the digest
//! that the registry served (of the list, when there was one). An image without a name ("dangling")
//! is a row without `ref.name`.
//!
//! Reading takes no lock, because the file is replaced as a whole. A change reads it again under
//! the exclusive lock. A row that cannot be understood is kept as it is, reported by `verify`, and
//! stops garbage collection: nobody knows what it needs.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::{Store, StoreError};
use crate::oci::{Descriptor, Digest, is_docker_manifest};

/// The annotation with a row's name (annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Our annotation with the repository and digest that the registry served: `REPOSITORY@DIGEST`.
const ORIGIN: &str = "org.shalefs.origin";

/// Our annotation with the manifest that a row's view was made of: `MEDIATYPE DIGEST SIZE`.
const MANIFEST: &str = "org.shalefs.manifest";

/// The media type of `index.json` itself.
const MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The key that lists the rows.
const MANIFESTS: &str = "manifests";

/// One row of index.json: what a name stands for. `name` is the canonical full reference
/// (`docker.io/library/debian:12`, `host/repo@sha256:..`), `None` for a dangling image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// Full reference.
    pub name: Option<String>,
    /// The platform's manifest, as the registry has it; never an index.
    pub manifest: Descriptor,
    /// What the registry served under the name: `(repository, digest of the list or manifest)`,
    /// for RepoDigests.
    pub origin: Option<(String, Digest)>,
}

/// A row as it stands in the file.
#[derive(Debug, Clone)]
pub(super) enum Row {
    /// One that is understood.
    Image(Box<Named>),
    /// One that is not, and why.
    Broken(Value, String),
}

/// A row that is understood.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// What it says.
    pub row: NameRow,
    /// What it points at instead of the manifest; of a manifest of Docker's.
    pub view: Option<Descriptor>,
}

/// The whole file.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// Everything but the rows, kept as it was.
    rest: Map<String, Value>,
    /// In the order of the file, which is the order in which they were set.
    pub rows: Vec<Row>,
}

impl Row {
    /// As it stands in the file.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Image(named) => row_to_json(named),
            Self::Broken(raw, _) => raw.clone(),
        }
    }
}

impl From<NameRow> for Row {
    /// Its view is made when the file is written.
    fn from(row: NameRow) -> Self {
        Self::Image(Box::new(Named { row, view: None }))
    }
}

impl Default for Index {
    fn default() -> Self {
        let mut rest = Map::new();
        rest.insert("schemaVersion".into(), json!(2));
        rest.insert("mediaType".into(), json!(MEDIA_TYPE));
        Self { rest, rows: Vec::new() }
    }
}

impl Index {
    /// Reads the text of an index.json.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut rest: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let rows = match rest.remove(MANIFESTS) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(rows)) => rows,
            Some(_) => return Err("`manifests` is not a list".into()),
        };
        let rows = rows.into_iter().map(|row| match parse_row(&row) {
            Ok(named) => Row::Image(Box::new(named)),
            Err(why) => Row::Broken(row, why),
        });
        Ok(Self { rest, rows: rows.collect() })
    }

    /// The text to write.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = self.rest.clone();
        all.insert(MANIFESTS.into(), self.rows.iter().map(Row::to_json).collect());
        format!("{:#}\n", Value::Object(all)).into_bytes()
    }

    /// What the rows say that are understood.
    pub fn images(&self) -> impl Iterator<Item = &NameRow> {
        self.named().map(|named| &named.row)
    }

    /// The same, to change. Not the manifest: a view is that of its row's.
    pub fn images_mut(&mut self) -> impl Iterator<Item = &mut NameRow> {
        self.named_mut().map(|named| &mut named.row)
    }

    /// The rows that are understood.
    pub fn named(&self) -> impl Iterator<Item = &Named> {
        self.rows.iter().filter_map(|row| match row {
            Row::Image(named) => Some(&**named),
            Row::Broken(..) => None,
        })
    }

    /// The same, to change.
    pub fn named_mut(&mut self) -> impl Iterator<Item = &mut Named> {
        self.rows.iter_mut().filter_map(|row| match row {
            Row::Image(named) => Some(&mut **named),
            Row::Broken(..) => None,
        })
    }

    /// Why the rows that are not understood are not.
    pub fn broken(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(|row| match row {
            Row::Image(_) => None,
            Row::Broken(_, why) => Some(why.as_str()),
        })
    }

    /// Sets a row's name to what it says. The image that had the name keeps a row without one when
    /// no other row stands for it.
    pub fn set(&mut self, mut new: NameRow) {
        let old = new.name.as_ref().and_then(|_| self.take(|row| row.name == new.name));
        // A dangling row of the same image is what the new one replaces.
        let same = new.manifest.digest;
        let dangling = self.take(|row| row.name.is_none() && row.manifest.digest == same);
        let kept = |row: Option<&NameRow>| {
            row.filter(|row| row.manifest.digest == same).and_then(|row| row.origin.clone())
        };
        new.origin = new.origin.or_else(|| kept(old.as_ref())).or_else(|| kept(dangling.as_ref()));
        self.move_origin(&new);
        if new.name.is_some() || !self.images().any(|row| row.manifest.digest == same) {
            self.rows.push(new.into());
        } else {
            self.keep_origin(new);
        }
        if let Some(old) = old {
            self.set(NameRow { name: None, ..old });
        }
    }

    /// Takes what a registry served from the image that had it: a list stands for the platform
    /// that was pulled last, as a tag does.
    fn move_origin(&mut self, new: &NameRow) {
        let same = |row: &NameRow| row.manifest.digest == new.manifest.digest;
        let moved = |row: &NameRow| new.origin.is_some() && row.origin == new.origin && !same(row);
        while let Some(mut row) = self.take(moved) {
            row.origin = None;
            let known = self.images().any(|other| other.manifest.digest == row.manifest.digest);
            if row.name.is_some() || !known {
                self.rows.push(row.into());
            }
        }
    }

    /// Keeps what a registry served an image under, on a row of that image that has room for it: it
    /// is a reference of its own.
    pub fn keep_origin(&mut self, row: NameRow) {
        let same = |other: &NameRow| other.manifest.digest == row.manifest.digest;
        if row.origin.is_none() || self.images().any(|o| same(o) && o.origin == row.origin) {
            return;
        }
        let place = self.images_mut().find(|other| same(other) && other.origin.is_none());
        if let Some(other) = place {
            other.origin = row.origin;
            return;
        }
        self.rows.push(NameRow { name: None, ..row }.into());
    }

    /// Removes and returns the first row that `is` says yes to.
    pub fn take(&mut self, is: impl Fn(&NameRow) -> bool) -> Option<NameRow> {
        let position =
            self.rows.iter().position(|row| matches!(row, Row::Image(i) if is(&i.row)))?;
        match self.rows.remove(position) {
            Row::Image(named) => Some(named.row),
            Row::Broken(..) => None,
        }
    }
}

fn parse_row(row: &Value) -> Result<Named, String> {
    let text = |key: &str| {
        row.get(key).and_then(Value::as_str).ok_or_else(|| format!("row without `{key}`"))
    };
    let digest = text("digest")?.parse().map_err(|error| format!("row: {error}"))?;
    let size = row.get("size").and_then(Value::as_u64);
    let annotation =
        |key: &str| row.get("annotations").and_then(|all| all.get(key)).and_then(Value::as_str);
    let name = annotation(REF_NAME).map(str::to_owned);
    if name.as_ref().is_some_and(|name| name.is_empty() || name.chars().any(char::is_control)) {
        return Err(format!("{digest}: broken name {name:?}"));
    }
    let origin = match annotation(ORIGIN) {
        None => None,
        Some(origin) => Some(
            origin
                .rsplit_once('@')
                .and_then(|(repository, digest)| {
                    Some((repository.to_owned(), digest.parse().ok()?))
                })
                .ok_or_else(|| format!("{digest}: broken origin {origin:?}"))?,
        ),
    };
    let size = size.ok_or_else(|| format!("{digest}: row without `size`"))?;
    let target = Descriptor::new(text("mediaType")?, digest, size);
    let (manifest, view) = match annotation(MANIFEST) {
        None => (target, None),
        Some(of) => {
            let manifest = parse_manifest(of);
            let manifest = manifest.ok_or_else(|| format!("{digest}: broken manifest {of:?}"))?;
            (manifest, Some(target))
        }
    };
    Ok(Named { row: NameRow { name, manifest, origin }, view })
}

/// What a row's view was made of.
fn parse_manifest(text: &str) -> Option<Descriptor> {
    let mut words = text.rsplitn(3, ' ');
    let (size, digest) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let media_type = words.next().filter(|media_type| is_docker_manifest(media_type))?;
    Some(Descriptor::new(media_type, digest, size))
}

fn row_to_json(named: &Named) -> Value {
    let row = &named.row;
    let mut annotations = Map::new();
    if let Some(name) = &row.name {
        annotations.insert(REF_NAME.into(), json!(name));
    }
    if let Some((repository, digest)) = &row.origin {
        annotations.insert(ORIGIN.into(), json!(format!("{repository}@{digest}")));
    }
    if named.view.is_some() {
        let Descriptor { media_type, digest, size, .. } = &row.manifest;
        annotations.insert(MANIFEST.into(), json!(format!("{media_type} {digest} {size}")));
    }
    let target = named.view.as_ref().unwrap_or(&row.manifest);
    let mut object = Map::new();
    object.insert("mediaType".into(), json!(target.media_type));
    object.insert("digest".into(), json!(target.digest));
    object.insert("size".into(), json!(target.size));
    if !annotations.is_empty() {
        object.insert("annotations".into(), Value::Object(annotations));
    }
    Value::Object(object)
}

impl Store {
    /// All rows of index.json that can be understood, in the order in which they were set.
    pub fn names(&self) -> Result<Vec<NameRow>, StoreError> {
        Ok(self.index()?.images().cloned().collect())
    }

    /// Sets a name; the image that had it becomes dangling when no other name keeps it. Everything
    /// put before is on the disk when this returns.
    pub fn set_name(&self, row: NameRow) -> Result<(), StoreError> {
        self.change_index(|index| {
            let digest = row.manifest.digest;
            if self.blob(&digest, Some(row.manifest.size))?.is_none() {
                let needed_by = row.name.clone().unwrap_or_else(|| "an image".into());
                return Err(StoreError::MissingBlob { digest, needed_by });
            }
            index.set(row);
            Ok(())
        })
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.root().join("index.json")
    }

    /// Reads index.json.
    pub(super) fn index(&self) -> Result<Index, StoreError> {
        let path = self.index_path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Damaged { path, what: "it is missing".into() });
            }
            Err(error) => return Err(StoreError::at(&path)(error)),
        };
        Index::parse(&bytes).map_err(|what| StoreError::Damaged { path, what })
    }

    /// Changes index.json under the exclusive lock. Nothing is written when `change` fails or
    /// changes nothing.
    pub(super) fn change_index<T>(
        &self,
        change: impl FnOnce(&mut Index) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Before the lock: it can take long, and others wait for the lock.
        self.barrier()?;
        let _lock = self.lock_exclusive()?;
        let mut index = self.index()?;
        let before = index.to_bytes();
        let result = change(&mut index)?;
        self.add_views(&mut index)?;
        if index.to_bytes() != before {
            self.replace_index(&index)?;
        }
        Ok(result)
    }

    /// Replaces index.json. The caller holds the exclusive lock and has read it under that lock.
    pub(super) fn write_index(&self, index: &mut Index) -> Result<(), StoreError> {
        self.add_views(index)?;
        self.replace_index(index)
    }

    fn replace_index(&self, index: &Index) -> Result<(), StoreError> {
        self.write_small(&self.index_path(), &index.to_bytes())?;
        self.disk().sync_dir(self.root()).map_err(StoreError::at(self.root()))
    }
}
