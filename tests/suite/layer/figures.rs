//! `shale layers` against a calculation from the tars: images made by real tools, and some made
//! here with whiteouts, opaque directories, hard links and directories that are replaced.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::support::images::{TestImage, TestLayer, Thing, layer_of, write_layout};
use crate::support::real_parts::{Corpus, TestDir, run, shale};
use crate::support::tar_account::{Account, Figures, account};
use serde_json::Value;

/// The uncompressed layers of an image in an OCI layout, bottom first.
fn tars(layout: &Path, tag: &str) -> Vec<Vec<u8>> {
    let blob = |row: &Value| {
        let digest = row["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
        fs::read(layout.join("blobs/sha256").join(digest)).unwrap()
    };
    let json = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
    let index = json(fs::read(layout.join("index.json")).unwrap());
    let name = |row: &&Value| row["annotations"]["org.opencontainers.image.ref.name"] == tag;
    let row = index["manifests"].as_array().unwrap().iter().find(name).expect("the tag");
    let manifest = json(blob(row));
    manifest["layers"].as_array().unwrap().iter().map(|layer| unpacked(blob(layer))).collect()
}

fn unpacked(blob: Vec<u8>) -> Vec<u8> {
    let mut tar = Vec::new();
    match blob.get(..4) {
        Some([0x1f, 0x8b, ..]) => {
            flate2::read::MultiGzDecoder::new(&blob[..]).read_to_end(&mut tar).unwrap();
        }
        Some([0x28, 0xb5, 0x2f, 0xfd]) => {
            zstd::Decoder::new(&blob[..]).unwrap().read_to_end(&mut tar).unwrap();
        }
        _ => tar = blob,
    }
    tar
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// What the program says of an image of the store.
fn said(store: &TestDir, image: &str) -> Account {
    let number = |row: &Value, field: &str| match &row[field] {
        Value::String(text) => text.parse::<u64>().unwrap(),
        other => other.as_u64().unwrap(),
    };
    let text = run(shale(store).args(["layers", "--format", "json", image]));
    let figures = |row: &Value| Figures {
        added: number(row, "Added"),
        changed: number(row, "Changed"),
        removed: number(row, "Removed"),
        stored: number(row, "UnpackedBytes"),
        wasted: number(row, "WastedBytes"),
    };
    let layers = rows(&text).iter().map(figures).collect();
    let summary = run(shale(store).args(["layers", "--summary", "--format", "json", image]));
    let efficiency = rows(&summary)[0]["Efficiency"].as_str().unwrap().parse().unwrap();
    Account { layers, efficiency }
}

fn check(store: &TestDir, image: &str, tars: &[Vec<u8>]) -> Account {
    run(shale(store).args(["pull", "-q", image]));
    let (found, expected) = (said(store, image), account(tars));
    assert_eq!(found.layers, expected.layers, "{image}");
    let difference = (found.efficiency - expected.efficiency).abs();
    assert!(difference <= 0.000_05, "{} {}", found.efficiency, expected.efficiency);
    expected
}

#[test]
fn figures_of_real_images_agree_with_their_tars() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    for tag in ["debian", "hand", "mixed", "sparse"] {
        let account = check(&store, &corpus.oci(tag), &tars(&corpus.path("oci"), tag));
        let sum = |of: fn(&Figures) -> u64| account.layers.iter().map(of).sum::<u64>();
        assert!(sum(|figures| figures.added) > 0, "{tag}");
        if tag == "hand" {
            assert!(sum(|figures| figures.removed) > 0 && sum(|figures| figures.wasted) > 0);
        }
    }
}

/// Layers with everything that hides something.
fn layers() -> Vec<TestLayer> {
    use Thing::{Directory, File, Link, Symlink};
    let lower: &[(&str, Thing)] = &[
        ("etc/", Directory),
        ("etc/a", File(&[b'a'; 700])),
        ("etc/b", File(&[b'b'; 5000])),
        ("usr/lib/one", File(&[b'1'; 900])),
        ("usr/lib/two", Link("usr/lib/one")),
        ("usr/lib/deep/three", File(&[b'3'; 33])),
        ("lib", Symlink("usr/lib")),
        ("opt/x/y", File(&[b'y'; 77])),
        ("opt/z", File(b"")),
        ("srv/data/1", File(&[b'd'; 1234])),
    ];
    let middle: &[(&str, Thing)] = &[
        ("etc/a", File(&[b'A'; 650])),
        ("etc/.wh.b", File(b"")),
        ("lib/one", File(&[b'i'; 10])),
        ("opt/.wh..wh..opq", File(b"")),
        ("opt/x/new", File(b"new")),
        (".wh.srv", File(b"")),
        ("srv/", Directory),
        ("tmp/twice", File(b"once")),
        ("tmp/twice", File(b"and again")),
    ];
    let upper: &[(&str, Thing)] = &[
        ("usr/lib/deep", File(b"a file where a directory was")),
        ("etc/.wh.a", File(b"")),
        ("etc/b", Directory),
        ("etc/b/inside", File(b"and the other way round")),
    ];
    let links: &[(&str, Thing)] = &[("etc/other", Link("etc/a"))];
    [lower, middle, links, upper].map(layer_of).to_vec()
}

#[test]
fn figures_of_made_images_agree_with_their_tars() {
    let (store, layout) = (TestDir::new("store"), TestDir::new("layout"));
    let image = TestImage::new(layers(), "figures");
    write_layout(&layout.path, &[(&image, "made")]);
    let name = format!("oci:{}:made", layout.path.display());
    let account = check(&store, &name, &tars(&layout.path, "made"));
    let counts: Vec<_> =
        account.layers.iter().map(|layer| (layer.added, layer.changed, layer.removed)).collect();
    assert_eq!(counts, [(9, 0, 0), (2, 2, 4), (1, 0, 0), (1, 1, 2)]);
    let wasted: Vec<_> = account.layers.iter().map(|layer| layer.wasted).collect();
    assert_eq!(wasted, [700 + 5000 + 33 + 77 + 1234, 4, 0, 0]);

    let text = run(shale(&store).args(["layers", "--wasted", "--format", "json", &name]));
    let first = &rows(&text)[0];
    assert_eq!((&first["Path"], &first["Bytes"]), (&"/etc/b".into(), &5000.into()));
    assert_eq!((&first["By"], &first["How"]), (&"1".into(), &"removed".into()));
    let format = "{{.No}} {{.Change}} {{.Path}}";
    let paths = run(shale(&store).args(["layers", "--paths", "--format", format, &name]));
    assert!(paths.contains("1 A /opt/x/new\n1 D /opt/x/y\n1 D /opt/z\n"), "{paths}");
    assert!(paths.contains("1 C /usr/lib/one\n"), "{paths}");
}

#[test]
fn too_much_waste_is_a_failure() {
    let (store, layout) = (TestDir::new("store"), TestDir::new("layout"));
    let image = TestImage::new(layers(), "waste");
    write_layout(&layout.path, &[(&image, "made")]);
    let name = format!("oci:{}:made", layout.path.display());
    run(shale(&store).args(["pull", "-q", &name]));
    let with = |limit: &str| shale(&store).args(["layers", "--max-wasted", limit, &name]).output();
    assert!(with("99%").unwrap().status.success());
    let output = with("5%").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("7.05kB are wasted") && text.contains("5% may be"), "{text}");
    assert!(!output.stdout.is_empty(), "the table is printed all the same");
    assert_eq!(with("x%").unwrap().status.code(), Some(2));
}
