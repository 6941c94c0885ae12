//! `verify`: what is wrong with a store, as typed findings.
//!
//! It only reads, so it may run beside mounts, pulls and prunes; what it looks at in the short part
//! it looks at under the shared lock, and a file that vanishes while a long hash is on its way was
//! not needed any more. Codes and their texts are stable: scripts read them.
//!
//! Here are names, documents, files and their places. Whether a table is what a fresh walk of its
//! layer gives is [`crate::pull::verify`]'s part, because the store cannot read layers.

mod files;
mod images;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::index::Index;
use super::reach::Needed;
use super::{Store, StoreError, StoredImage};
use crate::oci::{Descriptor, Digest};

/// What kind of trouble. The text of each is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A name needs a blob that is not there.
    BlobMissing,
    /// A blob is shorter than its descriptor says.
    BlobTruncated,
    /// A blob is longer than its descriptor says.
    BlobAppended,
    /// A blob's bytes are not those of its digest.
    BlobDigest,
    /// A symlink, directory or device stands where a file should be.
    NotAFile,
    /// A file cannot be read.
    Unreadable,
    /// Others may read or change a file or directory, or the owner may not.
    WrongMode,
    /// A file belongs to another user than the store.
    WrongOwner,
    /// `index.json` is missing or cannot be understood.
    IndexDamaged,
    /// `oci-layout` or `format` is missing or does not say what it must.
    LayoutDamaged,
    /// A row of `index.json` that cannot be understood, or whose name is no reference.
    NameBroken,
    /// Two rows have the same name.
    NameTwice,
    /// A manifest or config that is no such document.
    BadDocument,
    /// A row of `index.json` points at something else than the OCI view of its manifest.
    WrongView,
    /// The manifest has another number of layers than the config.
    LayerCount,
    /// A layer's uncompressed bytes are not those of its DiffID.
    DiffId,
    /// A layer that cannot be decoded, or whose tar is refused.
    BadLayer,
    /// A table with a wrong checksum, or one that is not what a fresh walk gives.
    TableDamaged,
    /// A table made by another version of the program.
    TableStale,
    /// A table of something else than its name says.
    TableForeign,
    /// An extracted file with other bytes than its name says.
    ContentDamaged,
    /// A record of a mount that cannot be understood.
    BadRecord,
    /// A record of a mount whose server has gone.
    DeadMount,
    /// A temporary file that no process holds.
    OrphanTemporary,
    /// A part of a download that no process holds; the next pull goes on with it.
    PartialBlob,
    /// A blob or table that nothing needs.
    Unreachable,
    /// A file that no store has.
    UnknownFile,
    /// Something odd in a layer that has a defined outcome.
    LayerWarning,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing is wrong with the store; other tools may show the image otherwise.
    Warning,
    /// Made by another version of the program: made again when it is needed.
    Outdated,
    /// Left over from a killed process or a removed image; `prune` takes it.
    Leftover,
    /// Something could not be looked at.
    Unchecked,
    /// Something is wrong.
    Damage,
}

/// What `--repair` does about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Move it to `quarantine/`.
    Quarantine,
    /// Remove it: it is rebuilt, or nobody needs it.
    Remove,
    /// Fetch the blob again, and put what is there in `quarantine/` when that worked.
    Refetch(Digest),
    /// Make the OCI views of manifests of Docker's again.
    Derive,
    /// Set these permission bits.
    SetMode(u32),
    /// Give it back to this user, who owns the store and is asking.
    SetOwner(u32),
    /// Remove the record of a dead mount.
    ForgetMount(String),
    /// Take this row out of `index.json`, and keep it in `quarantine/`.
    DropRow(Box<serde_json::Value>),
    /// Make a new `index.json` of the manifests there are; names cannot be known.
    RebuildIndex,
    /// Write `oci-layout` and `format` again.
    RenewLayout,
    /// Nothing: it needs a person, or another command.
    None,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What kind of trouble.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// What has it: a digest, a name, an id, a file name. Not escaped.
    pub object: String,
    /// Where, relative to the store's root.
    pub path: PathBuf,
    /// What was seen. Not escaped.
    pub detail: String,
    /// What `--repair` does about it.
    #[serde(skip)]
    pub remedy: Remedy,
}

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only what the image of this manifest needs.
    pub image: Option<Descriptor>,
    /// Hash every blob, but not those in `hashed_elsewhere`.
    pub deep: bool,
    /// Blobs whose bytes somebody else looks at.
    pub hashed_elsewhere: HashSet<Digest>,
}

impl Code {
    /// The stable text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlobMissing => "blob-missing",
            Self::BlobTruncated => "blob-truncated",
            Self::BlobAppended => "blob-appended",
            Self::BlobDigest => "blob-digest",
            Self::NotAFile => "not-a-file",
            Self::Unreadable => "unreadable",
            Self::WrongMode => "wrong-mode",
            Self::WrongOwner => "wrong-owner",
            Self::IndexDamaged => "index-damaged",
            Self::LayoutDamaged => "layout-damaged",
            Self::NameBroken => "name-broken",
            Self::NameTwice => "name-twice",
            Self::BadDocument => "bad-document",
            Self::WrongView => "wrong-view",
            Self::LayerCount => "layer-count",
            Self::DiffId => "diff-id",
            Self::BadLayer => "bad-layer",
            Self::TableDamaged => "table-damaged",
            Self::TableStale => "table-stale",
            Self::TableForeign => "table-foreign",
            Self::ContentDamaged => "content-damaged",
            Self::BadRecord => "bad-record",
            Self::DeadMount => "dead-mount",
            Self::OrphanTemporary => "orphan-temporary",
            Self::PartialBlob => "partial-blob",
            Self::Unreachable => "unreachable",
            Self::UnknownFile => "unknown-file",
            Self::LayerWarning => "layer-warning",
        }
    }

    /// How much it matters.
    pub fn severity(self) -> Severity {
        match self {
            Self::DeadMount | Self::OrphanTemporary | Self::PartialBlob | Self::Unreachable => {
                Severity::Leftover
            }
            Self::Unreadable => Severity::Unchecked,
            Self::LayerWarning => Severity::Warning,
            Self::TableStale => Severity::Outdated,
            Self::BlobMissing
            | Self::BlobTruncated
            | Self::BlobAppended
            | Self::BlobDigest
            | Self::NotAFile
            | Self::WrongMode
            | Self::WrongOwner
            | Self::IndexDamaged
            | Self::LayoutDamaged
            | Self::NameBroken
            | Self::NameTwice
            | Self::BadDocument
            | Self::WrongView
            | Self::LayerCount
            | Self::DiffId
            | Self::BadLayer
            | Self::TableDamaged
            | Self::TableForeign
            | Self::ContentDamaged
            | Self::BadRecord
            | Self::UnknownFile => Severity::Damage,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Findings in the making.
pub(crate) struct Findings<'a> {
    root: &'a Path,
    /// What was found, in the order of looking.
    pub found: Vec<Finding>,
}

impl<'a> Findings<'a> {
    /// None so far.
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { root: store.root(), found: Vec::new() }
    }

    /// Adds one; `path` is absolute.
    pub(crate) fn add(
        &mut self,
        code: Code,
        object: impl fmt::Display,
        path: &Path,
        detail: impl Into<String>,
        remedy: Remedy,
    ) {
        self.found.push(Finding {
            code,
            severity: code.severity(),
            object: object.to_string(),
            path: path.strip_prefix(self.root).unwrap_or(path).to_owned(),
            detail: detail.into(),
            remedy,
        });
    }

    /// Whether something was found at this absolute path.
    fn has(&self, path: &Path) -> bool {
        let path = path.strip_prefix(self.root).unwrap_or(path);
        self.found.iter().any(|finding| finding.path == path)
    }
}

/// What the images of a store need, found out as far as possible.
struct Survey {
    /// Every blob that an image or somebody at work needs, with its size when a descriptor says.
    needed: Needed,
    /// OCI views among them.
    views: HashSet<Digest>,
    /// False when some image's needs are unknown, so that nothing counts as unreachable.
    complete: bool,
}

impl Store {
    /// Looks at names, documents, files and places. Fails only when it cannot look at all.
    pub fn verify(&self, scope: &Scope) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Findings::new(self);
        let to_hash = {
            // Under the lock, so that no index is older than the files seen with it.
            let _lock = self.lock_shared()?;
            let index = self.checked_index(&mut findings);
            if scope.image.is_none() {
                self.check_layout(&mut findings);
            }
            let survey = self.check_images(&index, scope, &mut findings)?;
            self.check_files(&survey, scope, &mut findings)?
        };
        if scope.deep {
            for digest in to_hash.iter().filter(|digest| !scope.hashed_elsewhere.contains(*digest))
            {
                self.check_bytes(digest, &mut findings);
            }
        }
        Ok(findings.found)
    }

    /// The images whose manifests and configs are right, of those that `scope` names; one that has
    /// several manifests with each of them.
    pub fn images_in(&self, scope: &Scope) -> Result<Vec<StoredImage>, StoreError> {
        let Ok(index) = self.index() else { return Ok(Vec::new()) };
        let mut images = self.by_manifest(&index).whole;
        if let Some(only) = &scope.image {
            images.retain(|image| image.manifest.digest == only.digest);
        }
        Ok(images)
    }

    /// The index, or an empty one and a finding.
    fn checked_index(&self, findings: &mut Findings<'_>) -> Index {
        self.index().unwrap_or_else(|error| {
            let remedy = Remedy::RebuildIndex;
            let path = self.index_path();
            findings.add(Code::IndexDamaged, "index.json", &path, error.to_string(), remedy);
            Index::default()
        })
    }
}
