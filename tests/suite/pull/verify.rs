//! `verify` finds every kind of damage, by a stable code, and `--repair`
//! makes the second run clean.
#![allow(clippy::unwrap_used)]

use crate::support::images;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::fake_source::FakeSource;
use crate::support::images::{TestImage, TestLayer, put_blob};
use shalefs::oci::Reference;
use shalefs::pull::{self, Options, Outcome, Silent};
use shalefs::source::{Source, SourceError};
use shalefs::store::verify::{Code, Finding, Severity};
use shalefs::store::{MountRecord, Store};

const A: &str = "docker.io/library/a:1";

/// A store with one image of two layers, and where its parts are.
struct Fixture {
    _directory: tempfile::TempDir,
    store: Store,
    image: TestImage,
    layer: PathBuf,
    other: PathBuf,
    manifest: PathBuf,
    config: PathBuf,
    toc: PathBuf,
    other_toc: PathBuf,
    tree: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let directory = images::quick_directory();
        let store = Store::open(&directory.path().join("s")).expect("a new store");
        let text = b"some text that compresses\n".repeat(5000);
        let layers = [("a", 5000), ("b", 3000)]
            .map(|(name, lines)| TestLayer::of(&[(name, &text[..lines]), ("etc/both", b"x")]));
        let image = TestImage::new(layers.to_vec(), "verify");
        let source = FakeSource::of(&image);
        let pulled = pull::pull(&store, &source, Some(A), &Options::default(), &Silent).unwrap();
        let blob =
            |digest: shalefs::oci::Digest| store.root().join("blobs/sha256").join(digest.hex());
        let toc = |n: usize| store.root().join("toc/sha256").join(image.layers[n].digest.hex());
        Self {
            layer: blob(image.layers[0].digest),
            other: blob(image.layers[1].digest),
            manifest: blob(image.descriptor().digest),
            config: blob(image.id()),
            toc: toc(0),
            other_toc: toc(1),
            tree: store.root().join("tree/sha256").join(pulled.image.chain().0.hex()),
            store,
            image,
            _directory: directory,
        }
    }

    fn verify(&self, deep: bool) -> Vec<Finding> {
        pull::verify(&self.store, None, deep).expect("can be looked at")
    }

    fn repair(&self, findings: &[Finding]) -> Vec<Outcome> {
        let open = |reference: &Reference| -> Result<Box<dyn Source>, SourceError> {
            assert_eq!(reference.name(), "docker.io/library/a");
            assert_eq!(reference.digest(), Some(&self.image.descriptor().digest));
            Ok(Box::new(FakeSource::of(&self.image)))
        };
        pull::repair(&self.store, findings, &open, &Silent)
    }

    fn root(&self) -> &Path {
        self.store.root()
    }
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn edit_index(root: &Path, edit: impl FnOnce(String) -> String) {
    let path = root.join("index.json");
    fs::write(&path, edit(fs::read_to_string(&path).unwrap())).unwrap();
}

/// Damages a fresh store, and expects to find exactly `codes`, deep or already quickly; then
/// repairs, and expects to find nothing at all.
fn finds(what: &str, quickly: bool, codes: &[Code], damage: impl FnOnce(&Fixture)) {
    let fixture = Fixture::new();
    assert_eq!(fixture.verify(true), [], "{what}: clean before");
    damage(&fixture);
    let found = fixture.verify(!quickly);
    let mut found_codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
    found_codes.dedup();
    assert_eq!(found_codes, codes, "{what}: {found:#?}");
    let outcomes = fixture.repair(&found);
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Repaired), "{what}: {outcomes:?}");
    assert_eq!(fixture.verify(true), [], "{what}: the second run is clean");
    let kept = !images::files(&fixture.root().join("quarantine")).is_empty();
    assert!(kept || !codes.contains(&Code::BlobDigest), "{what}: the bad blob is kept");
    let image = fixture.store.open_image(A).expect("the image is whole");
    assert_eq!(image.id, fixture.image.id());
    assert!(fixture.toc.is_file() && fixture.tree.is_file(), "{what}: tables are rebuilt");
}

#[test]
fn a_missing_blob() {
    let parts: [fn(&Fixture) -> &Path; 3] = [|f| &f.layer, |f| &f.manifest, |f| &f.config];
    for part in parts {
        finds("missing", true, &[Code::BlobMissing], |f| fs::remove_file(part(f)).unwrap());
    }
}

#[test]
fn a_truncated_blob() {
    finds("truncated", true, &[Code::BlobTruncated], |f| {
        let bytes = fs::read(&f.layer).unwrap();
        fs::write(&f.layer, &bytes[..bytes.len() - 1]).unwrap();
    });
    finds("empty", true, &[Code::BlobTruncated], |f| fs::write(&f.layer, b"").unwrap());
}

#[test]
fn appended_bytes() {
    finds("appended", true, &[Code::BlobAppended], |f| {
        let bytes = fs::read(&f.layer).unwrap();
        fs::write(&f.layer, [bytes, vec![0]].concat()).unwrap();
    });
}

#[test]
fn one_flipped_bit() {
    finds("in a layer", false, &[Code::BlobDigest], |f| flip(&f.layer));
    finds("in a manifest", true, &[Code::BlobDigest], |f| flip(&f.manifest));
    finds("in a config", true, &[Code::BlobDigest], |f| flip(&f.config));
    finds("in a tree", false, &[Code::TableDamaged], |f| flip(&f.tree));
    finds("in a table of contents", false, &[Code::TableDamaged], |f| flip(&f.toc));
}

#[test]
fn swapped_blobs() {
    finds("of two sizes", true, &[Code::BlobTruncated, Code::BlobAppended], |f| {
        let (one, two) = (fs::read(&f.layer).unwrap(), fs::read(&f.other).unwrap());
        assert!(one.len() > two.len());
        fs::write(&f.layer, two).unwrap();
        fs::write(&f.other, one).unwrap();
    });
    finds("a manifest for a config", true, &[Code::BlobDigest], |f| {
        fs::copy(&f.manifest, &f.config).unwrap();
    });
}

#[test]
fn something_else_in_a_blobs_place() {
    finds("a symlink", true, &[Code::NotAFile], |f| {
        let elsewhere = f.root().parent().unwrap().join("elsewhere");
        fs::rename(&f.layer, &elsewhere).unwrap();
        symlink(&elsewhere, &f.layer).unwrap();
    });
    finds("a directory", true, &[Code::NotAFile], |f| {
        fs::remove_file(&f.layer).unwrap();
        fs::create_dir(&f.layer).unwrap();
    });
    finds("a directory for the config", true, &[Code::NotAFile], |f| {
        fs::remove_file(&f.config).unwrap();
        fs::create_dir(&f.config).unwrap();
    });
    finds("a directory for a table", true, &[Code::NotAFile], |f| {
        fs::remove_file(&f.toc).unwrap();
        fs::create_dir(&f.toc).unwrap();
    });
}

#[test]
fn wrong_modes() {
    finds("a file that all may read", true, &[Code::WrongMode], |f| set_mode(&f.layer, 0o644));
    finds("a file that nobody may read", true, &[Code::WrongMode], |f| set_mode(&f.layer, 0));
    finds("an open directory", true, &[Code::WrongMode], |f| {
        set_mode(&f.root().join("blobs/sha256"), 0o755);
    });
    finds("an open root", true, &[Code::WrongMode], |f| set_mode(f.root(), 0o755));
}

#[test]
fn broken_names() {
    let image = |f: &Fixture| f.image.descriptor();
    finds("a row without a digest", true, &[Code::NameBroken], |f| {
        edit_index(f.root(), |text| text.replacen("[", r#"[{"mediaType": "x", "size": 1},"#, 1));
    });
    finds("a name that is no reference", true, &[Code::NameBroken], |f| {
        let row = format!(
            r#"[{{"mediaType": "{}", "digest": "{}", "size": {},
            "annotations": {{"org.opencontainers.image.ref.name": "Not:A:Name"}}}},"#,
            image(f).media_type,
            image(f).digest,
            image(f).size
        );
        edit_index(f.root(), |text| text.replacen('[', &row, 1));
    });
    finds("one name twice", true, &[Code::NameTwice], |f| {
        edit_index(f.root(), |text| {
            let mut index: serde_json::Value = serde_json::from_str(&text).unwrap();
            let row = index["manifests"][0].clone();
            index["manifests"].as_array_mut().unwrap().push(row);
            index.to_string()
        });
    });
}

#[test]
fn a_stale_or_foreign_table() {
    finds("another layer's table", true, &[Code::TableForeign], |f| {
        fs::copy(&f.other_toc, &f.toc).unwrap();
    });
    finds("another image's tree", true, &[Code::TableDamaged], |f| {
        let other = TestImage::small("other");
        let source = FakeSource::of(&other);
        let name = Some("docker.io/library/b:1");
        let pulled = pull::pull(&f.store, &source, name, &Options::default(), &Silent).unwrap();
        let tree = f.root().join("tree/sha256").join(pulled.image.chain().0.hex());
        fs::copy(tree, &f.tree).unwrap();
    });
    finds("not a table", true, &[Code::TableDamaged], |f| fs::write(&f.toc, "text").unwrap());
    for table in [|f: &Fixture| f.tree.clone(), |f: &Fixture| f.toc.clone()] {
        finds("another version's table", true, &[Code::TableStale], |f| {
            let mut bytes = fs::read(table(f)).unwrap();
            // Of a tree the version is in front, of a layer's table near the end.
            let at = if bytes.starts_with(b"shaltree") { 8 } else { bytes.len() - 12 };
            bytes[at] += 1;
            fs::write(table(f), bytes).unwrap();
            let found = f.verify(false);
            assert!(found.iter().all(|finding| finding.severity == Severity::Outdated));
        });
    }
}

#[test]
fn leftovers_and_strangers() {
    finds("an orphan temporary", true, &[Code::OrphanTemporary], |f| {
        fs::write(f.root().join("ingest/.new-1-1"), "x").unwrap();
        fs::write(f.root().join("toc/sha256/.new-1-2"), "x").unwrap();
        fs::write(f.root().join("ingest/lease-1-3"), "x").unwrap();
    });
    finds("an unknown file", true, &[Code::UnknownFile], |f| {
        fs::write(f.root().join("notes.txt"), "x").unwrap();
        fs::write(f.root().join("blobs/sha256/README"), "x").unwrap();
        fs::create_dir(f.root().join("blobs/md5")).unwrap();
    });
    finds("a dead mount", true, &[Code::DeadMount], |f| {
        let opened = f.store.open_image(A).unwrap();
        let record = MountRecord {
            id: "dead1".parse().unwrap(),
            image: A.into(),
            image_id: opened.id,
            mountpoint: "/mnt".into(),
            pid: u32::MAX,
            start_time: 1,
            since: 0,
            pinned: opened.pins(),
            device: None,
            namespace: None,
            supervisor: None,
        };
        drop(f.store.record_mount(&record).unwrap());
    });
    finds("no record of a mount", true, &[Code::BadRecord], |f| {
        let path = f.root().join("mounts/m.json");
        fs::write(&path, "{").unwrap();
        set_mode(&path, 0o600);
    });
}

#[test]
fn leftovers_are_no_damage() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    put_blob(store, &shalefs::oci::Digest::sha256(b"nobody's"), b"nobody's");
    drop(store.ingest(&shalefs::oci::Digest::sha256(b"begun"), 5).unwrap());
    let found = fixture.verify(true);
    let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::Unreachable, Code::PartialBlob]);
    assert!(found.iter().all(|finding| finding.severity == Severity::Leftover));
    // Repair leaves them to prune, and says so.
    let outcomes = fixture.repair(&found);
    assert_eq!(outcomes[0], Outcome::Left("`shale prune` removes it".into()));
}

#[test]
fn a_damaged_index() {
    for damage in [Some("{ not json"), None] {
        let fixture = Fixture::new();
        let path = fixture.root().join("index.json");
        match damage {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let found = fixture.verify(false);
        assert_eq!(found[0].code, Code::IndexDamaged, "{found:#?}");
        fixture.repair(&found);
        assert_eq!(fixture.verify(true), []);
        // The name is lost, the image is not.
        let image = fixture.store.open_image(&fixture.image.id().hex()[..12]).expect("by its ID");
        assert!(image.names.is_empty());
    }
}

#[test]
fn an_image_that_is_bad_in_itself_is_reported() {
    let fixture = Fixture::new();
    let mut wrong = fixture.image.clone();
    wrong.layers.pop();
    let extra = TestImage { manifest: wrong.manifest.clone(), ..wrong.clone() };
    // A manifest with two layers and a config with one, put there by another tool.
    let config = TestImage::new(extra.layers.clone(), "short").config;
    let text = String::from_utf8(fixture.image.manifest.clone()).unwrap();
    let digest = shalefs::oci::Digest::sha256(&config);
    let text = text.replace(&fixture.image.id().to_string(), &digest.to_string());
    let bad =
        TestImage { config, manifest: text.into_bytes(), layers: fixture.image.layers.clone() };
    bad.put(&fixture.store, Some("docker.io/library/bad:1"));
    let found = fixture.verify(true);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].code, Code::LayerCount);
    assert!(found[0].detail.contains("2 layers but the config lists 1"), "{}", found[0].detail);
    assert_eq!(fixture.repair(&found), [Outcome::Repaired]);
    assert_eq!(images::names(&fixture.store), [A], "the row is gone");
    // A layer that is not what the config says.
    let mut layer = TestLayer::of(&[("a", b"a")]);
    layer.diff_id = fixture.image.layers[0].diff_id;
    TestImage::new(vec![layer], "liar").put(&fixture.store, Some("docker.io/library/bad:2"));
    let found = fixture.verify(true);
    let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
    assert!(codes.contains(&Code::DiffId), "{found:#?}");
}

#[test]
fn damage_without_a_source_stays_where_it_is() {
    let fixture = Fixture::new();
    flip(&fixture.layer);
    let damaged = fs::read(&fixture.layer).unwrap();
    let found = fixture.verify(true);
    let missing = |_: &Reference| -> Result<Box<dyn Source>, SourceError> {
        Err(SourceError::Missing { place: "nowhere".into(), digest: fixture.image.id() })
    };
    let outcomes = pull::repair(&fixture.store, &found, &missing, &Silent);
    assert!(
        matches!(&outcomes[..], [Outcome::Left(why)] if why.contains("nowhere")),
        "{outcomes:?}"
    );
    assert_eq!(fs::read(&fixture.layer).unwrap(), damaged, "most of its bytes are right");
}

#[test]
fn one_image_alone() {
    let fixture = Fixture::new();
    TestImage::small("other").put(&fixture.store, Some("docker.io/library/b:1"));
    flip(&fixture.layer);
    let verify = |text| pull::verify(&fixture.store, Some(text), true).unwrap();
    assert_eq!(verify("a:1").len(), 1);
    assert_eq!(verify("b:1"), []);
    assert!(pull::verify(&fixture.store, Some("c:1"), true).is_err(), "no such image");
}

#[test]
fn findings_as_json_have_stable_keys() {
    let fixture = Fixture::new();
    fs::remove_file(&fixture.layer).unwrap();
    let found = fixture.verify(false);
    let json = serde_json::to_value(&found[0]).unwrap();
    assert_eq!(json["code"], "blob-missing");
    assert_eq!(json["severity"], "damage");
    assert_eq!(json["object"], fixture.image.layers[0].digest.to_string());
    let path = format!("blobs/sha256/{}", fixture.image.layers[0].digest.hex());
    assert_eq!(json["path"], path);
    assert_eq!(json["detail"], format!("a layer of {A}"));
}
