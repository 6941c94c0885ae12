//! Files and places: everything below the root is what its name says, and is nobody else's.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::FlockOperation;

use super::super::blobs::open_regular;
use super::super::draft::{self, is_locked};
use super::super::ingest::partial_digest;
use super::super::lease;
use super::{Code, Findings, Remedy, Scope, Survey};
use crate::oci::Digest;
use crate::store::{BlobId, Derived, Life, Store, StoreError};

/// Files of the root directory.
const ROOT_FILES: [&str; 4] = ["format", "lock", "oci-layout", "index.json"];

/// What a walk of the store's files carries along.
struct Walk<'a, 'f> {
    store: &'a Store,
    survey: &'a Survey,
    findings: &'a mut Findings<'f>,
    /// Who owns the root.
    owner: u32,
    blobs: Vec<Digest>,
}

impl Store {
    /// Checks type, owner, mode and name of every file. Returns the blobs whose bytes are worth
    /// hashing.
    pub(super) fn check_files(
        &self,
        survey: &Survey,
        scope: &Scope,
        findings: &mut Findings<'_>,
    ) -> Result<Vec<Digest>, StoreError> {
        if scope.image.is_some() {
            let needed = survey.needed.blobs.iter().copied();
            let mut blobs: Vec<_> =
                needed.filter(|d| matches!(self.blob(d, None), Ok(Some(_)))).collect();
            blobs.sort();
            return Ok(blobs);
        }
        let metadata = fs::metadata(self.root()).map_err(StoreError::at(self.root()))?;
        let owner = metadata.uid();
        let mut walk = Walk { store: self, survey, findings, owner, blobs: Vec::new() };
        walk.access(self.root(), &metadata);
        walk.directory(self.root(), &Walk::root_entry);
        Ok(walk.blobs)
    }

    /// Hashes one blob.
    pub(super) fn check_bytes(&self, digest: &Digest, findings: &mut Findings<'_>) {
        let path = self.blob_path(digest);
        match self.hash_blob(&BlobId(*digest)) {
            Ok(found) if found == *digest => {}
            // Found with the documents already, or its size was wrong.
            _ if findings.has(&path) => {}
            Ok(found) => {
                let detail = format!("its bytes hash to {found}");
                findings.add(Code::BlobDigest, digest, &path, detail, Remedy::Refetch(*digest));
            }
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let detail = error.to_string();
                findings.add(Code::Unreadable, digest, &path, detail, Remedy::None);
            }
        }
    }
}

impl Walk<'_, '_> {
    /// Calls `each` for every entry of a directory, in order.
    fn directory(&mut self, path: &Path, each: &dyn Fn(&mut Self, &str, &Path, &Metadata)) {
        let entries = fs::read_dir(path).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>()
        });
        let mut names = match entries {
            Ok(names) => names,
            Err(error) => return self.unreadable(path, &error),
        };
        names.sort();
        for name in names {
            let path = path.join(&name);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.unreadable(&path, &error);
                    continue;
                }
            };
            match name.to_str() {
                Some(name) => each(self, name, &path, &metadata),
                None => self.unknown(&path),
            }
        }
    }

    fn root_entry(&mut self, name: &str, path: &Path, metadata: &Metadata) {
        if ROOT_FILES.contains(&name) {
            let remedy = match name {
                "format" | "oci-layout" => Remedy::RenewLayout,
                // Whoever needs it makes it.
                "lock" => Remedy::Quarantine,
                _ => Remedy::None,
            };
            self.file(name, path, metadata, remedy);
            return;
        }
        let derived = Derived::ALL.into_iter().find(|kind| kind.directory() == name);
        let known = derived.is_some()
            || matches!(name, "blobs" | "mounts" | "ingest" | "quarantine" | "chroot");
        if !known {
            return self.unknown(path);
        }
        if !self.is_directory(name, path, metadata) {
            return;
        }
        match (name, derived) {
            ("blobs", _) => self.directory(path, &|walk, name, path, metadata| {
                walk.by_algorithm(name, path, metadata, &["sha256", "sha512"], &Self::blob);
            }),
            ("mounts", _) => self.directory(path, &Self::mount),
            ("ingest", _) => self.directory(path, &Self::ingest),
            // What repair put aside is nobody's business but a person's.
            ("quarantine", _) => {}
            // A place to mount on, in namespaces that nobody else sees.
            ("chroot", _) => self.directory(path, &|walk, _, path, _| walk.unknown(path)),
            (_, None) => {}
            (_, Some(kind)) => self.directory(path, &|walk, name, path, metadata| {
                let algorithms: &[&str] =
                    if kind == Derived::Content { &["blake3"] } else { &["sha256", "sha512"] };
                let each = move |walk: &mut Self, name: &str, path: &Path, metadata: &Metadata| {
                    walk.derived(kind, name, path, metadata);
                };
                walk.by_algorithm(name, path, metadata, algorithms, &each);
            }),
        }
    }

    fn by_algorithm(
        &mut self,
        name: &str,
        path: &Path,
        metadata: &Metadata,
        known: &[&str],
        each: &dyn Fn(&mut Self, &str, &Path, &Metadata),
    ) {
        if !known.contains(&name) {
            return self.unknown(path);
        }
        if self.is_directory(name, path, metadata) {
            self.directory(path, each);
        }
    }

    fn blob(&mut self, _: &str, path: &Path, metadata: &Metadata) {
        let Some(digest) = digest_at(path) else { return self.unknown(path) };
        let needed = self.survey.needed.blobs.contains(&digest);
        let remedy = match needed {
            true if self.survey.views.contains(&digest) => Remedy::Derive,
            true => Remedy::Refetch(digest),
            false => Remedy::Quarantine,
        };
        if !self.file(&digest.to_string(), path, metadata, remedy) {
            return;
        }
        self.blobs.push(digest);
        if self.survey.complete && !needed {
            let detail = format!("{} bytes that nothing needs", metadata.len());
            self.findings.add(Code::Unreachable, digest, path, detail, Remedy::None);
        }
    }

    fn derived(&mut self, kind: Derived, name: &str, path: &Path, metadata: &Metadata) {
        if name.starts_with(draft::PREFIX) {
            return self.temporary(name, path);
        }
        let digest = digest_at(path);
        let known = if kind == Derived::Content {
            crate::store::Key::of_content(name).is_some()
        } else {
            digest.is_some()
        };
        if !known {
            return self.unknown(path);
        }
        if !self.file(name, path, metadata, Remedy::Quarantine) {
            return;
        }
        let needed = &self.survey.needed;
        let set = if kind == Derived::Tree { &needed.trees } else { &needed.blobs };
        if self.survey.complete && digest.is_some_and(|digest| !set.contains(&digest)) {
            let detail = format!("{} bytes that nothing needs", metadata.len());
            self.findings.add(Code::Unreachable, name, path, detail, Remedy::None);
        }
    }

    fn mount(&mut self, name: &str, path: &Path, metadata: &Metadata) {
        let Some(id) = name.strip_suffix(".json") else {
            // A server's log stands beside its record.
            if !name.ends_with(".log") {
                self.unknown(path);
            }
            return;
        };
        if !self.file(name, path, metadata, Remedy::Quarantine) {
            return;
        }
        let record = match id.parse() {
            Ok(id) => self.store.mount_record(&id),
            Err(_) => Ok(None),
        };
        match record {
            Ok(Some(record)) => {
                if matches!(self.store.mount_life(&record), Ok(Life::Dead)) {
                    let detail = format!("{} was mounted there", record.mountpoint.display());
                    let remedy = Remedy::ForgetMount(id.to_owned());
                    self.findings.add(Code::DeadMount, id, path, detail, remedy);
                }
            }
            Ok(None) if path.exists() => {
                let detail = "not the record of a mount";
                self.findings.add(Code::BadRecord, id, path, detail, Remedy::Quarantine);
            }
            Ok(None) => {}
            Err(error) => {
                let detail = error.to_string();
                self.findings.add(Code::Unreadable, id, path, detail, Remedy::None);
            }
        }
    }

    fn ingest(&mut self, name: &str, path: &Path, metadata: &Metadata) {
        if name.starts_with(draft::PREFIX) || name.starts_with(lease::PREFIX) {
            return self.temporary(name, path);
        }
        match partial_digest(name) {
            None => self.unknown(path),
            Some(digest) if self.survey.needed.blobs.contains(&digest) => {}
            Some(digest) => {
                if self.is_orphan(path) {
                    let detail = format!("{} bytes of a download", metadata.len());
                    self.findings.add(Code::PartialBlob, digest, path, detail, Remedy::None);
                }
            }
        }
    }

    fn temporary(&mut self, name: &str, path: &Path) {
        if self.is_orphan(path) {
            let detail = "no process holds it";
            self.findings.add(Code::OrphanTemporary, name, path, detail, Remedy::Remove);
        }
    }

    fn is_orphan(&self, path: &Path) -> bool {
        let Ok(Some(file)) = open_regular(path) else { return false };
        matches!(is_locked(&file, FlockOperation::NonBlockingLockShared), Ok(false))
    }

    fn is_directory(&mut self, name: &str, path: &Path, metadata: &Metadata) -> bool {
        if metadata.is_dir() {
            self.access(path, metadata);
            return true;
        }
        let what = match metadata.is_symlink() {
            true => "a symlink, not a directory",
            false => "not a directory",
        };
        self.findings.add(Code::NotAFile, name, path, what, Remedy::None);
        false
    }

    /// Whether this is a plain file; its mode and owner are checked.
    fn file(&mut self, object: &str, path: &Path, metadata: &Metadata, remedy: Remedy) -> bool {
        let kind = metadata.file_type();
        if !kind.is_file() {
            let what = if kind.is_symlink() {
                "a symlink"
            } else if kind.is_dir() {
                "a directory"
            } else {
                "neither file nor directory"
            };
            self.findings.add(Code::NotAFile, object, path, what, remedy);
            return false;
        }
        self.access(path, metadata);
        true
    }

    fn access(&mut self, path: &Path, metadata: &Metadata) {
        let readers = self.store.readers_bits(path);
        let wanted = if metadata.is_dir() { 0o700 | readers } else { 0o600 | readers & 0o044 };
        // A shared store's directories pass on their group by the set-group-ID bit.
        let mode = metadata.mode() & if readers == 0 { 0o7777 } else { 0o5777 };
        let object = path.file_name().unwrap_or_default().to_string_lossy();
        if metadata.uid() != self.owner {
            let detail = format!("belongs to user {}, the store to {}", metadata.uid(), self.owner);
            // The owner alone may set it right, and nobody but root may give files away. What root
            // owns no other user can have put a link into.
            let may = self.owner == 0 && rustix::process::geteuid().is_root();
            let remedy = if may { Remedy::SetOwner(self.owner) } else { Remedy::None };
            self.findings.add(Code::WrongOwner, &object, path, detail, remedy);
        }
        // A reader's bit for the owner is enough of a file that is never changed.
        if mode & 0o077 & !wanted != 0
            || mode & 0o400 == 0
            || (metadata.is_dir() && mode & 0o700 != 0o700)
        {
            let detail = format!("mode {mode:04o} instead of {wanted:04o}");
            self.findings.add(Code::WrongMode, &object, path, detail, Remedy::SetMode(wanted));
        }
    }

    fn unknown(&mut self, path: &Path) {
        if is_of_file_server(path) {
            return;
        }
        let object = path.file_name().unwrap_or_default().to_string_lossy();
        let detail = "no file of a store";
        self.findings.add(Code::UnknownFile, object, path, detail, Remedy::Quarantine);
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let object = path.file_name().unwrap_or_default().to_string_lossy();
        self.findings.add(Code::Unreadable, object, path, error.to_string(), Remedy::None);
    }
}

/// Whether a name is one that a file system over a network or FUSE gives to a file that was removed
/// while somebody had it open; the file system removes it (`.nfs` and 24 digits in fs/nfs/unlink.c,
/// `.fuse_hidden` and 24 digits in libfuse's lib/fuse.c).
fn is_of_file_server(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    [".nfs", ".fuse_hidden"].iter().any(|prefix| {
        let digits = name.strip_prefix(prefix).unwrap_or_default();
        digits.len() >= 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The digest that `.../ALG/HEX` stands for.
fn digest_at(path: &Path) -> Option<Digest> {
    let hex = path.file_name()?.to_str()?;
    let algorithm = path.parent()?.file_name()?.to_str()?;
    format!("{algorithm}:{hex}").parse().ok()
}
