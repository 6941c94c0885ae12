//! Layers of the reference model's items as real tars, and images of them in an OCI layout.
//!
//! Headers by the `tar` crate, the records of a PAX header by hand: what cannot stand in an ustar
//! header (times before the epoch or between seconds, extended attributes) stands there.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use shalefs::oci::Digest;

use crate::support::model::{Item, What};

/// One PAX record with its length.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|length| rest + length.to_string().len() == *length).unwrap();
    [format!("{length} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

/// Seconds and nanoseconds forward from them as a PAX time.
fn time((seconds, nanos): (i64, u32)) -> String {
    match (seconds, nanos) {
        (seconds, 0) => seconds.to_string(),
        (0.., nanos) => format!("{seconds}.{nanos:09}"),
        // -2 and half a second forward is -1.5.
        (_, nanos) => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos),
    }
}

fn records(item: &Item) -> Vec<u8> {
    let mut records = Vec::new();
    if item.mtime.0 < 0 || item.mtime.1 != 0 {
        records.extend(record(b"mtime", time(item.mtime).as_bytes()));
    }
    for (name, value) in &item.xattrs {
        records.extend(record(&[b"SCHILY.xattr.", &name[..]].concat(), value));
    }
    records
}

fn header(kind: tar::EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header
}

/// A field of a header, cut to nothing when it does not fit.
fn put(header: &mut tar::Header, offset: usize, bytes: &[u8]) {
    assert!(bytes.len() <= 100, "names of tests are short");
    header.as_mut_bytes()[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn push(tar: &mut Vec<u8>, header: &mut tar::Header, data: &[u8]) {
    header.set_cksum();
    tar.extend(header.as_bytes());
    tar.extend(data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// The layer's tar.
pub fn tar_of(items: &[Item]) -> Vec<u8> {
    let mut tar = Vec::new();
    for item in items {
        let records = records(item);
        if !records.is_empty() {
            let mut pax = header(tar::EntryType::XHeader, records.len());
            put(&mut pax, 0, b"pax");
            push(&mut tar, &mut pax, &records);
        }
        let (kind, data): (_, &[u8]) = match &item.what {
            What::Directory => (tar::EntryType::Directory, b""),
            What::File(bytes) => (tar::EntryType::Regular, bytes),
            What::Symlink(_) => (tar::EntryType::Symlink, b""),
            What::HardLink(_) => (tar::EntryType::Link, b""),
            What::Char(..) => (tar::EntryType::Char, b""),
            What::Block(..) => (tar::EntryType::Block, b""),
            What::Fifo => (tar::EntryType::Fifo, b""),
        };
        let mut head = header(kind, data.len());
        let end: &[u8] = if item.what == What::Directory { b"/" } else { b"" };
        put(&mut head, 0, &[b"./", &item.path[..], end].concat());
        if let What::Symlink(text) | What::HardLink(text) = &item.what {
            put(&mut head, 157, text);
        }
        if let What::Char(major, minor) | What::Block(major, minor) = item.what {
            head.set_device_major(major).unwrap();
            head.set_device_minor(minor).unwrap();
        }
        head.set_mode(item.mode.into());
        head.set_uid(item.uid.into());
        head.set_gid(item.gid.into());
        head.set_mtime(item.mtime.0.try_into().unwrap_or(0));
        push(&mut tar, &mut head, data);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// How the layers of an image are compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// In turn gzip, plain and zstd.
    Mixed,
    /// All of them gzip, which every tool takes.
    Gzip,
}

/// A layer's blob, with what a manifest and a config say of it.
#[derive(Clone)]
pub struct Layer {
    pub media_type: &'static str,
    pub blob: Vec<u8>,
    /// What its DiffID is made of.
    pub tar: Vec<u8>,
}

/// The layer at `position` of an image.
pub fn packed(packing: Packing, position: usize, tar: &[u8]) -> Layer {
    let (media_type, blob) = match (packing, position % 3) {
        (Packing::Gzip, _) | (_, 0) => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar).unwrap();
            ("application/vnd.oci.image.layer.v1.tar+gzip", encoder.finish().unwrap())
        }
        (_, 1) => ("application/vnd.oci.image.layer.v1.tar", tar.to_vec()),
        _ => {
            let frame = zstd::stream::encode_all(tar, 1).unwrap();
            ("application/vnd.oci.image.layer.v1.tar+zstd", frame)
        }
    };
    Layer { media_type, blob, tar: tar.to_vec() }
}

/// Writes an image into the layout in `folder`, which is made when missing; gives its row for the
/// index, named `tag`.
pub fn write_image(folder: &Path, tag: &str, tars: &[Vec<u8>], packing: Packing) -> Value {
    let layers: Vec<Layer> = (0..).zip(tars).map(|(at, tar)| packed(packing, at, tar)).collect();
    write_layers(folder, tag, &layers)
}

/// As [`write_image`], of layers that may say what they are not.
pub fn write_layers(folder: &Path, tag: &str, layers: &[Layer]) -> Value {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        let digest = Digest::sha256(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    };
    let descriptors: Vec<Value> =
        layers.iter().map(|layer| put(layer.media_type, &layer.blob)).collect();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::sha256(&layer.tar)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": layers.iter().map(|_| json!({ "created_by": "a test" })).collect::<Vec<_>>(),
    });
    let config = put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": descriptors,
    });
    let mut row =
        put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    row["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    row
}

/// The two files that make a folder with blobs a layout.
pub fn write_index(folder: &Path, rows: &[Value]) {
    let index = json!({ "schemaVersion": 2, "manifests": rows });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
