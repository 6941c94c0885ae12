//! A store with layers in it, and what a tree would say of their files.

use std::sync::Arc;

use shalefs::content::{Content, Options};
use shalefs::layer::ContentId;
use shalefs::store::{BlobId, Derived, Store};
use shalefs::tree::FileData;

use super::{Blob, scanned};

/// Layers in a store of their own.
pub struct Image {
    pub directory: tempfile::TempDir,
    pub store: Store,
    pub layers: Vec<BlobId>,
    pub blobs: Vec<Blob>,
    /// All files, layer by layer in the order of the tar.
    pub files: Vec<FileData>,
}

impl Image {
    pub fn new(blobs: &[Blob]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(&directory.path().join("store")).expect("a store");
        let mut image =
            Self { directory, store, layers: Vec::new(), blobs: blobs.to_vec(), files: Vec::new() };
        for blob in blobs {
            image.add(blob);
        }
        image
    }

    fn add(&mut self, blob: &Blob) {
        let scanned = scanned(blob);
        let toc = scanned.toc();
        let digest = toc.header().source;
        let id = self.store.put_document(&digest, &blob.bytes).expect("room");
        self.put(Derived::Toc, &scanned.toc, &id);
        if scanned.layer.kept > 0 {
            self.put(Derived::Seekable, &scanned.seekable, &id);
        }
        let layer = u32::try_from(self.layers.len()).expect("few layers");
        self.layers.push(id);
        self.files.extend(files(layer, &blob.tar));
    }

    pub fn put(&self, kind: Derived, bytes: &[u8], id: &BlobId) {
        self.store
            .put_derived(kind, id, &mut |draft| std::io::Write::write_all(draft, bytes))
            .expect("room");
    }

    pub fn open(&self, options: Options) -> Content {
        Content::open(self.store.clone(), self.layers.clone(), options)
    }

    /// What a file holds.
    pub fn bytes(&self, file: &FileData) -> &[u8] {
        let start = usize::try_from(file.data_offset).expect("in memory");
        let size = usize::try_from(file.size).expect("in memory");
        &self.blobs[file.layer as usize].tar[start..start + size]
    }

    /// The path of a file of the store.
    pub fn path(&self, kind: &str, layer: usize) -> std::path::PathBuf {
        self.store.root().join(kind).join("sha256").join(self.layers[layer].digest().hex())
    }

    /// The path of a file's object.
    pub fn object(&self, file: &FileData) -> std::path::PathBuf {
        let hash = blake3::Hash::from(file.content.0).to_hex();
        self.store.root().join("content").join("blake3").join(hash.as_str())
    }
}

/// The files of a tar.
fn files(layer: u32, tar: &Arc<Vec<u8>>) -> Vec<FileData> {
    let mut archive = tar::Archive::new(&tar[..]);
    let entries = archive.entries().expect("a tar");
    entries
        .map(|entry| {
            let entry = entry.expect("a tar");
            let (data_offset, size) = (entry.raw_file_position(), entry.size());
            let bytes = &tar[data_offset as usize..(data_offset + size) as usize];
            let content = ContentId(blake3::hash(bytes).into());
            FileData { layer, data_offset, size, sparse: None, content }
        })
        .collect()
}

/// Options without anything that happens beside the readers.
pub fn alone() -> Options {
    Options { extract_from: None, read_ahead: false, ..Options::default() }
}

/// Reads a range of a file.
pub fn read(content: &Content, file: &FileData, offset: u64, length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    content.read(file, offset, length, &mut out).expect("an undamaged image");
    out
}

/// Reads a file from its beginning to its end in requests of `step` bytes.
pub fn read_whole(content: &Content, file: &FileData, step: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut offset = 0;
    while offset < file.size {
        content.read(file, offset, step, &mut out).expect("an undamaged image");
        offset += step as u64;
    }
    out
}
