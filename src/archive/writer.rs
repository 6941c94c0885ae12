//! Writes files and blobs into a tar, checking each blob on its way.

use std::io::{self, Read, Write};

use super::{ArchiveError, blob_path};
use crate::layer::{Toc, Unpacked};
use crate::oci::{Descriptor, Hasher};
use crate::store::{Derived, Store, StoredLayer};

/// The size of a tar's block, in bytes.
const BLOCK: usize = 512;

/// The longest name that a header holds.
const NAME: usize = 100;

/// A tar being written.
pub(super) struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }

    /// A small file.
    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.header(path, bytes.len() as u64)?;
        self.out.write_all(bytes).map_err(ArchiveError::Write)?;
        self.pad(bytes.len() as u64)
    }

    /// A blob as it is.
    pub(super) fn blob(&mut self, store: &Store, blob: &Descriptor) -> Result<(), ArchiveError> {
        let id = store.blob(&blob.digest, Some(blob.size))?.ok_or_else(|| missing(blob))?;
        let file = store.open_blob(&id)?;
        self.checked(blob, file)
    }

    /// A layer, uncompressed: `unpacked` has its DiffID and that size.
    pub(super) fn unpacked(
        &mut self,
        store: &Store,
        layer: &StoredLayer,
        unpacked: &Descriptor,
    ) -> Result<(), ArchiveError> {
        self.checked(unpacked, open_unpacked(store, layer)?)
    }

    /// A stream that must have the digest and size of `blob`.
    fn checked(&mut self, blob: &Descriptor, mut from: impl Read) -> Result<(), ArchiveError> {
        self.header(&blob_path(&blob.digest), blob.size)?;
        let mut hasher = Hasher::new(blob.digest.algorithm());
        let mut buffer = vec![0; 1 << 16];
        let mut found = 0;
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(ArchiveError::Blob { digest: blob.digest, source }),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            found += count as u64;
            if found > blob.size {
                break;
            }
            hasher.update(bytes);
            self.out.write_all(bytes).map_err(ArchiveError::Write)?;
        }
        if found != blob.size {
            let (digest, expected) = (blob.digest, blob.size);
            return Err(ArchiveError::Size { digest, expected, found: found.min(expected + 1) });
        }
        let found = hasher.finish();
        if found != blob.digest {
            return Err(ArchiveError::Mismatch { digest: blob.digest, found });
        }
        self.pad(blob.size)
    }

    fn header(&mut self, path: &str, size: u64) -> Result<(), ArchiveError> {
        if path.len() > NAME {
            // A digest of 128 digits: GNU's long name, NUL-terminated, before the entry itself.
            self.entry(tar::EntryType::GNULongName, "././@LongLink", path.len() as u64 + 1)?;
            self.out.write_all(path.as_bytes()).map_err(ArchiveError::Write)?;
            self.out.write_all(&[0]).map_err(ArchiveError::Write)?;
            self.pad(path.len() as u64 + 1)?;
        }
        let name = path.get(..path.len().min(NAME)).unwrap_or(path);
        self.entry(tar::EntryType::Regular, name, size)
    }

    fn entry(&mut self, kind: tar::EntryType, name: &str, size: u64) -> Result<(), ArchiveError> {
        let mut header = tar::Header::new_gnu();
        if let Some(gnu) = header.as_gnu_mut() {
            for (place, byte) in gnu.name.iter_mut().zip(name.bytes()) {
                *place = byte;
            }
        }
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(kind);
        header.set_cksum();
        self.out.write_all(header.as_bytes()).map_err(ArchiveError::Write)
    }

    fn pad(&mut self, size: u64) -> Result<(), ArchiveError> {
        let used = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        let padding = [0; BLOCK];
        let rest = if used == 0 { 0 } else { BLOCK - used };
        self.out.write_all(padding.get(..rest).unwrap_or_default()).map_err(ArchiveError::Write)
    }

    /// The end of the tar.
    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        self.out.write_all(&[0; 2 * BLOCK]).map_err(ArchiveError::Write)?;
        self.out.flush().map_err(ArchiveError::Write)
    }
}

fn missing(blob: &Descriptor) -> ArchiveError {
    let source = io::Error::from(io::ErrorKind::NotFound);
    ArchiveError::Blob { digest: blob.digest, source }
}

fn open_unpacked(store: &Store, layer: &StoredLayer) -> Result<Unpacked, ArchiveError> {
    let blob = Descriptor::new(&layer.media_type, layer.digest, layer.size);
    let id = store.blob(&layer.digest, Some(layer.size))?.ok_or_else(|| missing(&blob))?;
    let digest = layer.digest;
    Unpacked::open(store.open_blob(&id)?).map_err(|source| ArchiveError::Blob { digest, source })
}

/// The size of a layer's uncompressed tar: its table knows it, else the layer is read once more.
pub(super) fn unpacked_size(store: &Store, layer: &StoredLayer) -> Result<u64, ArchiveError> {
    let toc = store.open_derived(Derived::Toc, layer.digest)?.map(Toc::open);
    if let Some(Ok(toc)) = toc
        && toc.header().source == layer.digest
    {
        return Ok(toc.header().unpacked);
    }
    let mut stream = open_unpacked(store, layer)?;
    io::copy(&mut stream, &mut io::sink())
        .map_err(|source| ArchiveError::Blob { digest: layer.digest, source })
}
