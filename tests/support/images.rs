//! Small images made in the test: layers by the `tar` crate, compressed by `flate2`, documents by
//! hand, so that nothing here shares code with what is tested.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use shalefs::oci::{Descriptor, DiffId, Digest};
use shalefs::store::{Ingest, Key, NameRow, Store};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A layer as a registry would hold it.
#[derive(Debug, Clone)]
pub struct TestLayer {
    pub blob: Vec<u8>,
    pub digest: Digest,
    pub diff_id: DiffId,
}

/// An image as a registry would hold it.
#[derive(Debug, Clone)]
pub struct TestImage {
    pub layers: Vec<TestLayer>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

/// The tar of some files.
pub fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What an entry of [`layer_of`] is.
#[derive(Debug, Clone, Copy)]
pub enum Thing<'a> {
    File(&'a [u8]),
    Directory,
    Symlink(&'a str),
    Link(&'a str),
}

/// A layer of all kinds of things, in this order.
pub fn layer_of(things: &[(&str, Thing<'_>)]) -> TestLayer {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, thing) in things {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if matches!(thing, Thing::Directory) { 0o755 } else { 0o644 });
        header.set_mtime(1_700_000_000);
        header.set_size(0);
        match thing {
            Thing::File(bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, name, *bytes).unwrap();
            }
            Thing::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, name, &b""[..]).unwrap();
            }
            Thing::Symlink(text) | Thing::Link(text) => {
                let is_link = matches!(thing, Thing::Link(_));
                let kind = if is_link { tar::EntryType::Link } else { tar::EntryType::Symlink };
                header.set_entry_type(kind);
                builder.append_link(&mut header, name, text).unwrap();
            }
        }
    }
    TestLayer::of_tar(&builder.into_inner().unwrap())
}

impl TestLayer {
    pub fn of(files: &[(&str, &[u8])]) -> Self {
        Self::of_tar(&tar_of(files))
    }

    pub fn of_tar(tar: &[u8]) -> Self {
        let blob = gzip(tar);
        let digest = Digest::sha256(&blob);
        Self { blob, digest, diff_id: DiffId(Digest::sha256(tar)) }
    }
}

impl TestImage {
    /// An image of these layers; `comment` makes its ID another.
    pub fn new(layers: Vec<TestLayer>, comment: &str) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "comment": comment,
            "created": "2024-01-02T03:04:05Z",
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        Self::with_document(layers, &config)
    }

    /// An image whose config says `wishes` of the command to run.
    pub fn with_wishes(layers: Vec<TestLayer>, wishes: &serde_json::Value) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": wishes,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        Self::with_document(layers, &config)
    }

    fn with_document(layers: Vec<TestLayer>, config: &serde_json::Value) -> Self {
        let config = serde_json::to_vec(config).unwrap();
        let descriptors: Vec<_> = layers
            .iter()
            .map(|layer| {
                serde_json::json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": layer.digest, "size": layer.blob.len(),
                })
            })
            .collect();
        let manifest = serde_json::to_vec(&serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::sha256(&config), "size": config.len(),
            },
            "layers": descriptors,
        }))
        .unwrap();
        Self { layers, config, manifest }
    }

    /// The same image with a manifest in Docker's media types, its layers of the type `layer`
    /// (`diff.tar.gzip`, `foreign.diff.tar.gzip`).
    pub fn into_docker(mut self, layer: &str) -> Self {
        let docker = "application/vnd.docker";
        let text = String::from_utf8(self.manifest).unwrap();
        let text = text
            .replace(OCI_MANIFEST, DOCKER_MANIFEST)
            .replace(
                "application/vnd.oci.image.config.v1+json",
                &format!("{docker}.container.image.v1+json"),
            )
            .replace(
                "application/vnd.oci.image.layer.v1.tar+gzip",
                &format!("{docker}.image.rootfs.{layer}"),
            );
        self.manifest = text.into_bytes();
        self
    }

    /// One small file.
    pub fn small(word: &str) -> Self {
        let text = format!("this is {word}\n").repeat(20);
        Self::new(vec![TestLayer::of(&[("etc/word", text.as_bytes())])], word)
    }

    pub fn id(&self) -> Digest {
        Digest::sha256(&self.config)
    }

    pub fn descriptor(&self) -> Descriptor {
        let mut texts = self.manifest.windows(DOCKER_MANIFEST.len());
        let is_docker = texts.any(|text| text == DOCKER_MANIFEST.as_bytes());
        let media_type = if is_docker { DOCKER_MANIFEST } else { OCI_MANIFEST };
        Descriptor::new(media_type, Digest::sha256(&self.manifest), self.manifest.len() as u64)
    }

    /// Every blob of the image.
    pub fn blobs(&self) -> Vec<(Digest, &[u8])> {
        let layers = self.layers.iter().map(|layer| (layer.digest, layer.blob.as_slice()));
        let documents = [&self.config, &self.manifest].map(|b| (Digest::sha256(b), b.as_slice()));
        layers.chain(documents).collect()
    }

    pub fn row(&self, name: Option<&str>) -> NameRow {
        NameRow { name: name.map(str::to_owned), manifest: self.descriptor(), origin: None }
    }

    /// Puts the blobs and the name, as a pull would.
    pub fn put(&self, store: &Store, name: Option<&str>) {
        for layer in &self.layers {
            put_blob(store, &layer.digest, &layer.blob);
        }
        store.put_document(&self.id(), &self.config).expect("config");
        store.put_document(&self.descriptor().digest, &self.manifest).expect("manifest");
        store.set_name(self.row(name)).expect("name");
    }
}

/// Puts a blob through the ingest directory.
pub fn put_blob(store: &Store, digest: &Digest, bytes: &[u8]) {
    if let Ingest::Partial(mut partial) = store.ingest(digest, bytes.len() as u64).expect("ingest")
    {
        let have = usize::try_from(partial.have()).expect("small");
        partial.write_all(&bytes[have..]).expect("write");
        partial.commit(digest, bytes.len() as u64).expect("commit");
    }
}

/// An OCI layout with these images, as another tool would write it.
pub fn write_layout(directory: &Path, images: &[(&TestImage, &str)]) {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    let mut rows = Vec::new();
    for (image, tag) in images {
        for (digest, bytes) in image.blobs() {
            fs::write(blobs.join(digest.hex()), bytes).unwrap();
        }
        let manifest = image.descriptor();
        rows.push(serde_json::json!({
            "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size,
            "annotations": { "org.opencontainers.image.ref.name": tag },
        }));
    }
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": rows });
    fs::write(directory.join("index.json"), index.to_string()).unwrap();
}

/// A directory in memory where there is one: for tests that make thousands of stores.
pub fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// A store of its own, which goes with the directory.
pub fn new_store() -> (tempfile::TempDir, Store) {
    let directory = quick_directory();
    let store = Store::open(&directory.path().join("s")).expect("a new store");
    (directory, store)
}

/// No content object is in use: for stores without trees.
pub fn no_content(_: &HashSet<Digest>, _: &HashSet<Key>) -> HashSet<Key> {
    HashSet::new()
}

/// The names in a store, sorted.
pub fn names(store: &Store) -> Vec<String> {
    let mut names: Vec<_> =
        store.names().expect("names").into_iter().filter_map(|row| row.name).collect();
    names.sort();
    names
}

/// All files below `root` but the lock, relative, sorted.
pub fn files(root: &Path) -> Vec<String> {
    fn collect(root: &Path, directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                collect(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.retain(|name| name != "lock");
    found.sort();
    found
}
