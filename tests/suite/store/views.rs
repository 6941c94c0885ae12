//! What others see of images whose manifests have Docker's media types: index.json points at an OCI
//! view, Shale itself goes on with the manifest, and the view lives and dies with its image.
#![allow(clippy::unwrap_used)]

use crate::support::images;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::images::{DOCKER_MANIFEST, OCI_MANIFEST, TestImage, no_content};
use crate::support::real_registry::installed;
use serde_json::Value;
use shalefs::oci::{Digest, Document};
use shalefs::store::verify::{Code, Finding, Remedy, Scope};
use shalefs::store::{Prune, Store};

const A: &str = "docker.io/library/a:1";
const B: &str = "docker.io/library/b:1";

/// A store with one image of Docker's types, called A.
struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
    image: TestImage,
}

impl Fixture {
    fn new() -> Self {
        let directory = images::quick_directory();
        let store = Store::open(&directory.path().join("s")).unwrap();
        let image = docker("one");
        image.put(&store, Some(A));
        Self { directory, store, image }
    }

    fn rows(&self) -> Vec<Value> {
        let index = fs::read(self.store.root().join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        index["manifests"].as_array().unwrap().clone()
    }

    /// Changes the text of index.json.
    fn edit_index(&self, edit: impl FnOnce(String) -> String) {
        let path = self.store.root().join("index.json");
        fs::write(&path, edit(fs::read_to_string(&path).unwrap())).unwrap();
    }

    /// Makes index.json what it was before there were views.
    fn write_as_before(&self, images: &[(&TestImage, &str)]) {
        for row in self.rows() {
            if row["annotations"]["org.shalefs.manifest"].is_string() {
                let _ = fs::remove_file(self.blob(row["digest"].as_str().unwrap()));
            }
        }
        let rows = images.iter().map(|(image, name)| {
            let manifest = image.descriptor();
            serde_json::json!({
                "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size,
                "annotations": { "org.opencontainers.image.ref.name": name },
            })
        });
        let rows: Vec<Value> = rows.collect();
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": rows });
        self.edit_index(|_| index.to_string());
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.store.root().join("blobs").join(digest.replace(':', "/"))
    }

    /// Where the view of the first row is.
    fn view(&self) -> PathBuf {
        self.blob(self.rows()[0]["digest"].as_str().unwrap())
    }

    fn verify(&self) -> Vec<Finding> {
        self.store.verify(&Scope { deep: true, ..Scope::default() }).unwrap()
    }
}

fn docker(word: &str) -> TestImage {
    TestImage::small(word).into_docker("diff.tar.gzip")
}

fn prune(store: &Store) -> u64 {
    let prune = Prune { all: false, filter: &|_| true, content: &no_content, dry_run: false };
    store.prune(&prune).unwrap().reclaimed
}

#[test]
fn a_row_points_at_the_view_and_names_the_manifest() {
    let fixture = Fixture::new();
    let (rows, manifest) = (fixture.rows(), fixture.image.descriptor());
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["mediaType"], OCI_MANIFEST);
    let named = format!("{DOCKER_MANIFEST} {} {}", manifest.digest, manifest.size);
    assert_eq!(rows[0]["annotations"]["org.shalefs.manifest"], named);
    let view = fs::read(fixture.view()).unwrap();
    assert_eq!(rows[0]["size"], view.len());
    // It is what the same image would have had from a registry with OCI's types.
    let Document::Manifest(view) = Document::parse(&view, OCI_MANIFEST).unwrap() else {
        panic!("a manifest");
    };
    let oci = Document::parse(&TestImage::small("one").manifest, OCI_MANIFEST).unwrap();
    assert_eq!(Document::Manifest(view), oci);
    // Shale goes on with the manifest.
    let image = fixture.store.open_image(A).unwrap();
    assert_eq!((image.id, image.manifest), (fixture.image.id(), manifest));
    assert_eq!(image.manifest_bytes, fixture.image.manifest);
    assert_eq!(fixture.verify(), []);
    // One of OCI's type needs no view.
    let plain = TestImage::small("plain");
    plain.put(&fixture.store, Some(B));
    let row = fixture.rows().pop().unwrap();
    assert_eq!(row["digest"], plain.descriptor().digest.to_string());
    assert_eq!(row["annotations"].as_object().unwrap().len(), 1, "the name: {row}");
}

#[test]
fn the_view_goes_with_its_image() {
    let fixture = Fixture::new();
    let (store, view) = (&fixture.store, fixture.view());
    // The same manifest in other bytes: two images' rows, one view.
    let mut spaced = fixture.image.clone();
    spaced.manifest.push(b'\n');
    spaced.put(store, Some(B));
    assert_eq!(fixture.rows()[1]["digest"], fixture.rows()[0]["digest"]);
    assert_eq!(prune(store), 0, "everything is needed");
    assert!(view.is_file());
    store.tag(A, "docker.io/library/c:1").unwrap();
    store.remove(A, false, &no_content).unwrap();
    assert!(view.is_file());
    docker("two").put(store, Some(B));
    prune(store);
    assert!(view.is_file(), "the third name is left");
    let size = fs::metadata(&view).unwrap().len();
    let removed = store.remove("c:1", false, &no_content).unwrap();
    assert!(!view.exists() && removed.reclaimed > size);
    store.remove(B, false, &no_content).unwrap();
    assert_eq!(images::files(store.root()), ["format", "index.json", "oci-layout"]);
}

#[test]
fn an_image_without_a_name_keeps_its_view() {
    let fixture = Fixture::new();
    let view = fixture.view();
    TestImage::small("other").put(&fixture.store, Some(A));
    assert!(view.is_file());
    assert_eq!(fixture.verify(), []);
    assert!(prune(&fixture.store) > 0);
    assert!(!view.exists());
    assert_eq!(fixture.verify(), []);
}

#[test]
fn rows_of_older_versions() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (other, plain) = (docker("two"), TestImage::small("plain"));
    other.put(store, Some(B));
    let view = fixture.view();
    let before = [(&fixture.image, A), (&other, B)];
    fixture.write_as_before(&before);
    assert!(!view.exists());
    // They can be read, and nothing is wrong with them.
    assert_eq!(store.open_image(A).unwrap().manifest, fixture.image.descriptor());
    prune(store);
    assert_eq!(fixture.verify(), []);
    assert_eq!(fixture.rows()[0]["mediaType"], DOCKER_MANIFEST, "reading changes nothing");
    // Whatever is written next gives them views: a name, a removal, a pull of what is there.
    let writes: [&dyn Fn(); 3] = [
        &|| plain.put(store, Some("docker.io/library/plain:1")),
        &|| store.tag(A, "docker.io/library/c:1").unwrap(),
        &|| store.set_name(fixture.image.row(Some(A))).unwrap(),
    ];
    for write in writes {
        fixture.write_as_before(&before);
        write();
        for row in fixture.rows() {
            assert_eq!(row["mediaType"], OCI_MANIFEST);
            assert!(fixture.blob(row["digest"].as_str().unwrap()).is_file());
        }
        prune(store);
        assert!(view.is_file(), "it is needed");
    }
    fixture.write_as_before(&before);
    store.remove(B, false, &no_content).unwrap();
    assert!(view.is_file() && fixture.rows().len() == 1);
    // The prune that writes the index does not take the views that it made for that.
    other.put(store, Some(B));
    fixture.write_as_before(&before);
    fixture.edit_index(|text| text.replace(&format!(r#""{B}""#), "1"));
    assert!(prune(store) > 0, "the second has no name");
    assert!(view.is_file() && fixture.rows().len() == 1);
    assert_eq!(fixture.verify(), []);
    assert_eq!(fixture.store.open_image(A).unwrap().id, fixture.image.id());
}

#[test]
fn a_row_whose_manifest_is_damaged_stays_as_it_was() {
    let fixture = Fixture::new();
    fixture.write_as_before(&[(&fixture.image, A)]);
    let manifest = fixture.blob(&fixture.image.descriptor().digest.to_string());
    fs::write(&manifest, "{}").unwrap();
    TestImage::small("other").put(&fixture.store, Some(B));
    assert_eq!(fixture.rows()[0]["mediaType"], DOCKER_MANIFEST);
    fs::write(&manifest, &fixture.image.manifest).unwrap();
    fixture.store.tag(B, "docker.io/library/c:1").unwrap();
    assert_eq!(fixture.rows()[0]["mediaType"], OCI_MANIFEST);
}

#[test]
fn a_bad_view_is_found_and_made_again() {
    type Damage = fn(&Fixture);
    let damages: [(&str, Code, Damage); 6] = [
        ("missing", Code::BlobMissing, |f| fs::remove_file(f.view()).unwrap()),
        ("a flipped bit", Code::BlobDigest, |f| {
            let mut bytes = fs::read(f.view()).unwrap();
            bytes[20] ^= 1;
            fs::write(f.view(), bytes).unwrap();
        }),
        ("cut off", Code::BlobDigest, |f| fs::write(f.view(), "{").unwrap()),
        ("a directory", Code::NotAFile, |f| {
            let view = f.view();
            fs::remove_file(&view).unwrap();
            fs::create_dir(&view).unwrap();
        }),
        ("a symlink", Code::NotAFile, |f| {
            let elsewhere = f.directory.path().join("elsewhere");
            fs::rename(f.view(), &elsewhere).unwrap();
            symlink(&elsewhere, f.view()).unwrap();
        }),
        ("another image's", Code::WrongView, |f| {
            let (view, id) = (f.rows()[0]["digest"].as_str().unwrap().to_owned(), f.image.id());
            f.edit_index(|text| text.replacen(&view, &id.to_string(), 1));
        }),
    ];
    for (what, code, damage) in damages {
        let fixture = Fixture::new();
        let (whole, row) = (fs::read(fixture.view()).unwrap(), fixture.rows());
        damage(&fixture);
        let found = fixture.verify();
        assert!(!found.is_empty(), "{what}");
        for finding in &found {
            // Of a row that points elsewhere, the right view is missing, but not unreachable.
            assert_eq!((finding.code, &finding.remedy), (code, &Remedy::Derive), "{what}");
            assert!(fixture.store.repair(finding).unwrap(), "{what}");
        }
        assert_eq!(fixture.verify(), [], "{what}: the second run is clean");
        assert_eq!(fixture.rows(), row, "{what}");
        assert_eq!(fs::read(fixture.view()).unwrap(), whole, "{what}");
        assert_eq!(fixture.store.open_image(A).unwrap().id, fixture.image.id(), "{what}");
    }
}

#[test]
fn naming_an_image_again_heals_its_view() {
    let fixture = Fixture::new();
    fs::write(fixture.view(), "").unwrap();
    fixture.store.set_name(fixture.image.row(Some(A))).unwrap();
    assert_eq!(fixture.verify(), []);
}

#[test]
fn a_manifest_annotation_that_cannot_be() {
    let digest = Digest::sha256(b"x");
    for text in [
        String::new(),
        digest.to_string(),
        format!("{OCI_MANIFEST} {digest} 1"),
        format!("{DOCKER_MANIFEST} {digest} -1"),
        format!("{DOCKER_MANIFEST} sha256:00 1"),
    ] {
        let fixture = Fixture::new();
        let mut index: Value = serde_json::json!({ "manifests": fixture.rows() });
        index["manifests"][0]["annotations"]["org.shalefs.manifest"] = text.clone().into();
        fixture.edit_index(|_| index.to_string());
        let found = fixture.verify();
        assert_eq!(found[0].code, Code::NameBroken, "{text}: {found:#?}");
        assert!(found[0].detail.contains("broken manifest"), "{}", found[0].detail);
        let prune = Prune { all: false, filter: &|_| true, content: &no_content, dry_run: false };
        fixture.store.prune(&prune).expect_err("nobody knows what it needs");
    }
}

#[test]
fn a_lost_index_is_made_again_without_rows_for_views() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.store.root().join("index.json")).unwrap();
    let found = fixture.verify();
    assert_eq!(found[0].code, Code::IndexDamaged);
    assert!(fixture.store.repair(&found[0]).unwrap());
    let images = fixture.store.images().unwrap().whole;
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].manifest, fixture.image.descriptor());
    assert_eq!(fixture.rows()[0]["mediaType"], OCI_MANIFEST);
    assert_eq!(fixture.verify(), []);
}

#[test]
fn skopeo_and_umoci_read_foreign_layers_that_are_here() {
    let fixture = Fixture::new();
    let image = TestImage::small("foreign").into_docker("foreign.diff.tar.gzip");
    image.put(&fixture.store, Some(B));
    let run = |line: &[&str]| {
        let output = Command::new(line[0]).args(&line[1..]).output().unwrap();
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let store = fixture.store.root().to_str().unwrap();
    let path = |name: &str| fixture.directory.path().join(name).to_str().unwrap().to_owned();
    for (name, image) in [(A, &fixture.image), (B, &image)] {
        if installed("skopeo") {
            let place = format!("oci:{store}:{name}");
            let config = run(&["skopeo", "inspect", "--raw", "--config", &place]);
            assert_eq!(config, image.config, "{name}");
            let to = format!("dir:{}", path("copy"));
            run(&["skopeo", "copy", "-q", "--insecure-policy", &place, &to]);
            let copied = fs::read(path("copy/") + &image.layers[0].digest.hex()).unwrap();
            assert_eq!(copied, image.layers[0].blob, "{name}");
        }
        if installed("umoci") {
            let (place, bundle) = (format!("{store}:{name}"), path(&image.id().hex()));
            run(&["umoci", "unpack", "--rootless", "--image", &place, &bundle]);
            assert!(Path::new(&bundle).join("rootfs/etc/word").is_file(), "{name}");
        }
    }
}
