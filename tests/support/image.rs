//! A small image made on the spot, and the forms in which it can lie around.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use shalefs::oci::{Descriptor, Digest};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A blob with what a manifest says of it.
#[derive(Debug, Clone)]
pub struct Blob {
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Blob {
    pub fn new(media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { media_type: media_type.to_owned(), bytes: bytes.into() }
    }

    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.bytes)
    }

    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest(), self.bytes.len() as u64)
    }

    pub fn json(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": self.digest(),
            "size": self.bytes.len(),
        })
    }
}

/// An image of one platform.
#[derive(Debug, Clone)]
pub struct Image {
    pub manifest: Blob,
    pub config: Blob,
    pub layers: Vec<Blob>,
    /// The layers' tars.
    pub tars: Vec<Vec<u8>>,
}

impl Image {
    /// An image whose layers hold one file each.
    pub fn new(architecture: &str, files: &[(&str, &[u8])], gzip: bool) -> Self {
        let tars: Vec<Vec<u8>> = files.iter().map(|(name, body)| tar_of(&[(name, body)])).collect();
        let layers = tars.iter().map(|tar| match gzip {
            true => Blob::new(LAYER_GZIP, gzipped(tar)),
            false => Blob::new(LAYER, tar.clone()),
        });
        let layers: Vec<Blob> = layers.collect();
        let diff_ids: Vec<Digest> = tars.iter().map(|tar| Digest::sha256(tar)).collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = Blob::new(CONFIG, config.to_string());
        let manifest = manifest_of(&config, &layers);
        Self { manifest, config, layers, tars }
    }

    /// Two layers, the second of three mebibytes that do not compress.
    pub fn large() -> Self {
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        })
        .take(3 << 20)
        .collect();
        Self::new("amd64", &[("etc/hello", b"hello"), ("big", &noise)], true)
    }

    pub fn small() -> Self {
        Self::new("amd64", &[("etc/hello", b"hello"), ("etc/world", b"world")], true)
    }

    pub fn blobs(&self) -> Vec<&Blob> {
        [&self.manifest, &self.config].into_iter().chain(&self.layers).collect()
    }
}

pub fn manifest_of(config: &Blob, layers: &[Blob]) -> Blob {
    let layers: Vec<Value> = layers.iter().map(Blob::json).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config.json(), "layers": layers,
    });
    Blob::new(MANIFEST, manifest.to_string())
}

/// A list of manifests, each with its platform.
pub fn index_of(entries: &[(&Blob, &str, &str)]) -> Blob {
    let rows: Vec<Value> = entries
        .iter()
        .map(|(blob, os, architecture)| {
            let mut row = blob.json();
            row["platform"] = json!({"os": os, "architecture": architecture});
            row
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows});
    Blob::new(INDEX, index.to_string())
}

pub fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, body) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *body).expect("a short name");
    }
    builder.into_inner().expect("in memory")
}

pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Writes an OCI image layout; a row is a blob and its name.
pub fn write_layout(folder: &Path, rows: &[(&Blob, Option<&str>)], blobs: &[&Blob]) {
    let entries = rows.iter().map(|(blob, name)| {
        let mut row = blob.json();
        if let Some(name) = name {
            row["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        row
    });
    let entries: Vec<Value> = entries.collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    fs::create_dir_all(folder.join("blobs/sha256")).expect("made");
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
    fs::write(folder.join("index.json"), index.to_string()).expect("written");
    for blob in blobs {
        let path = folder.join("blobs/sha256").join(blob.digest().hex());
        fs::write(path, &blob.bytes).expect("written");
    }
}

/// A tar of what is in `folder`.
pub fn tar_of_folder(folder: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", folder).expect("readable");
    builder.into_inner().expect("in memory")
}
