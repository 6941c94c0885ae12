//! `manifest inspect`, `platforms` and `df` on the recorded images, whose sizes are worked out here
//! from their manifests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::cli::Home;
use crate::support::layout_registry::LayoutRegistry;
use base64::Engine as _;
use serde_json::Value;
use shalefs::oci::Digest;

fn layout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/docker/layout")
}

fn blob(digest: &Value) -> Vec<u8> {
    let digest = digest.as_str().unwrap().replace(':', "/");
    fs::read(layout().join("blobs").join(digest)).unwrap()
}

/// The bytes that the layout has under a name.
fn document(name: &str) -> Vec<u8> {
    let index: Value =
        serde_json::from_slice(&fs::read(layout().join("index.json")).unwrap()).unwrap();
    let rows = index["manifests"].as_array().unwrap();
    let key = "org.opencontainers.image.ref.name";
    blob(&rows.iter().find(|row| row["annotations"][key] == name).unwrap()["digest"])
}

#[test]
fn a_list_of_platforms() {
    let (home, registry) = (Home::new(), LayoutRegistry::serve(&layout()).name);
    let name = format!("{registry}/multi");
    let raw = home.ok(&["manifest", "inspect", &name]);
    assert_eq!(raw.as_bytes(), document("multi:latest"), "byte for byte");

    let list: Value = serde_json::from_str(&raw).unwrap();
    let all: Value = serde_json::from_str(&home.ok(&["manifest", "inspect", "-v", &name])).unwrap();
    for (shown, row) in all.as_array().unwrap().iter().zip(list["manifests"].as_array().unwrap()) {
        let digest = row["digest"].as_str().unwrap();
        assert_eq!(shown["Ref"], format!("{name}:latest@{digest}"));
        assert_eq!(shown["Descriptor"], *row);
        let bytes = base64::prelude::BASE64_STANDARD.decode(shown["Raw"].as_str().unwrap());
        assert_eq!(Digest::sha256(&bytes.unwrap()).to_string(), digest);
        assert_eq!(shown["SchemaV2Manifest"]["schemaVersion"], 2);
    }
    let rows = home.ok(&["platforms", "--format", "{{.Platform}} {{.Digest}}", &name]);
    let wanted = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]
        .iter()
        .zip(0..)
        .map(|(p, n)| format!("{p} {}\n", list["manifests"][n]["digest"].as_str().unwrap()));
    assert_eq!(rows, wanted.collect::<String>());
    assert!(home.path("store").read_dir().is_err(), "looking needs no store");
}

#[test]
fn one_manifest() {
    let (home, registry) = (Home::new(), LayoutRegistry::serve(&layout()).name);
    let name = format!("{registry}/plain");
    let shown: Value =
        serde_json::from_str(&home.ok(&["manifest", "inspect", "-v", &name])).unwrap();
    assert_eq!(shown["Ref"], format!("{name}:latest"));
    assert_eq!(shown["Descriptor"]["platform"]["architecture"], "amd64", "from the config");
    assert_eq!(shown["OCIManifest"]["layers"].as_array().unwrap().len(), 1);
    let missing = home.fails(1, &["manifest", "inspect", &format!("{registry}/nope")]);
    assert!(missing.contains("not found"), "{missing}");
}

#[test]
fn what_images_hold_alone_and_shared() {
    let (home, registry) = (Home::new(), LayoutRegistry::serve(&layout()).name);
    let names = ["base:latest", "app:1", "app:1.0", "app:2", "plain:latest"];
    // By layer: its size, and the images that have it. Two of the names are one image.
    let mut layers: BTreeMap<String, (u64, Vec<Digest>)> = BTreeMap::new();
    for name in names {
        home.ok(&["pull", "-q", &format!("{registry}/{name}")]);
        let bytes = document(name);
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        for layer in manifest["layers"].as_array().unwrap() {
            let entry = layers.entry(layer["digest"].to_string()).or_default();
            entry.0 = layer["size"].as_u64().unwrap();
            if !entry.1.contains(&Digest::sha256(&bytes)) {
                entry.1.push(Digest::sha256(&bytes));
            }
        }
    }
    let format = "{{.Repository}}:{{.Tag}} {{.Size}} {{.SharedSize}} {{.UniqueSize}}";
    let rows = home.ok(&["df", "-v", "--format", format]);
    for name in names {
        let id = Digest::sha256(&document(name));
        let own = || layers.values().filter(|(_, images)| images.contains(&id));
        let size: u64 = own().map(|(size, _)| size).sum();
        let shared: u64 = own().filter(|(_, i)| i.len() > 1).map(|(size, _)| size).sum();
        let [size, shared, unique] = [size, shared, size - shared].map(in_words);
        let row = format!("{registry}/{name} {size} {shared} {unique}\n");
        assert!(rows.contains(&row), "{row} in\n{rows}");
    }
    // All blobs of the store, and of them the layers could be had back: nothing is mounted.
    let row = home.ok(&["df", "--format", "{{.Type}} {{.TotalCount}} {{.Size}} {{.Reclaimable}}"]);
    let blobs = fs::read_dir(home.path("store/blobs/sha256")).unwrap();
    let all: u64 = blobs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    let free: u64 = layers.values().map(|(size, _)| size).sum();
    let wanted = format!("Images 4 {} {} ({}%)", in_words(all), in_words(free), free * 100 / all);
    assert_eq!(row.lines().next().unwrap(), wanted);
}

/// Bytes as they are shown, below a thousand and in thousands.
fn in_words(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes}B"),
        _ => {
            let digits = if bytes < 10_000 { 2 } else { 1 };
            #[allow(clippy::cast_precision_loss)]
            let text = format!("{:.digits$}", bytes as f64 / 1000.0);
            let text = text.trim_end_matches('0').trim_end_matches('.');
            format!("{text}kB")
        }
    }
}
