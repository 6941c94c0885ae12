//! Pull from real places: an OCI layout on disk, the store itself as a layout, and Debian's
//! docker-registry on a loopback port.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::image::Image;
use crate::support::images::{TestImage, TestLayer, write_layout};
use crate::support::real_registry::{RealRegistry, Setup};
use shalefs::oci::{ImageName, Reference};
use shalefs::pull::{self, Options, Outcome, Silent, Status};
use shalefs::source::{self, Source, SourceError};
use shalefs::store::Store;
use shalefs::store::verify::Code;

const NAME: &str = "docker.io/library/a:1";

fn open(text: &str) -> Result<Box<dyn Source>, SourceError> {
    let name = ImageName::parse(OsStr::new(text)).expect("a name");
    source::open(&name, &source::Options::default())
}

#[test]
fn an_oci_layout() {
    let directory = tempfile::tempdir().unwrap();
    let layers = ["a", "b"].map(|word| TestLayer::of(&[(word, word.as_bytes())]));
    let (one, two) = (TestImage::new(layers.to_vec(), "one"), TestImage::small("two"));
    let layout = directory.path().join("layout");
    write_layout(&layout, &[(&one, "one"), (&two, "two")]);
    let store = Store::open(&directory.path().join("s")).unwrap();
    let source = open(&format!("oci:{}:one", layout.display())).unwrap();
    let pulled = pull::pull(&store, &*source, Some(NAME), &Options::default(), &Silent).unwrap();
    assert_eq!((pulled.status, pulled.image.id), (Status::New, one.id()));
    assert_eq!(pulled.image.origins, [], "no registry served it");
    assert_eq!(pull::ensure_tree(&store, &pulled.image).unwrap().totals().files, 2);
    // The layout may go away, or be damaged: the store has copies of its own.
    fs::remove_dir_all(&layout).unwrap();
    assert_eq!(pull::verify(&store, None, true).unwrap(), []);
}

#[test]
fn the_store_is_an_oci_layout_for_others() {
    let directory = tempfile::tempdir().unwrap();
    let image = TestImage::small("one");
    let first = Store::open(&directory.path().join("first")).unwrap();
    image.put(&first, Some(NAME));
    let source = open(&format!("oci:{}:{NAME}", first.root().display())).expect("by its name");
    let second = Store::open(&directory.path().join("second")).unwrap();
    let pulled = pull::pull(&second, &*source, Some(NAME), &Options::default(), &Silent).unwrap();
    assert_eq!(pulled.image.id, image.id());
}

#[test]
fn a_layout_with_a_damaged_layer() {
    let directory = tempfile::tempdir().unwrap();
    let image = TestImage::small("one");
    let layout = directory.path().join("layout");
    write_layout(&layout, &[(&image, "one")]);
    let path = layout.join("blobs/sha256").join(image.layers[0].digest.hex());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let store = Store::open(&directory.path().join("s")).unwrap();
    let source = open(&format!("oci:{}:one", layout.display())).unwrap();
    let error = pull::pull(&store, &*source, Some(NAME), &Options::default(), &Silent);
    let error = error.expect_err("one flipped bit");
    assert!(error.is_mismatch(), "{error}");
    assert_eq!(store.names().unwrap(), []);
}

#[test]
fn a_real_registry() {
    let image = Image::large();
    let Some(registry) = RealRegistry::start(&Setup::default(), &[("team/app", "1", &image)])
    else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("s")).unwrap();
    let name = format!("{}/team/app:1", registry.host());
    let reference: Reference = name.parse().unwrap();
    let pull = || {
        let source = open(&name)?;
        let options = Options::of(&reference);
        pull::pull(&store, &*source, Some(&name), &options, &Silent)
    };
    let pulled = pull().expect("by tag");
    assert_eq!(pulled.digest, image.manifest.digest());
    assert_eq!(pulled.image.origins, [(reference.name(), image.manifest.digest())]);
    assert_eq!(pull().expect("again").status, Status::UpToDate);
    let by_digest = format!("{}@{}", reference.name(), image.manifest.digest());
    assert_eq!(store.open_image(&by_digest).unwrap().id, pulled.image.id);

    // Damage is healed from the registry, by digest.
    let layer = image.layers[1].digest();
    let path = store.root().join("blobs/sha256").join(layer.hex());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let found = pull::verify(&store, None, true).unwrap();
    assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::BlobDigest]);
    let by_name = |reference: &Reference| open(&reference.to_string());
    assert_eq!(pull::repair(&store, &found, &by_name, &Silent), [Outcome::Repaired]);
    assert_eq!(pull::verify(&store, None, true).unwrap(), []);
    assert_eq!(store.open_image(&name).unwrap().origins, pulled.image.origins, "still known");

    // An interrupted download goes on with a Range request.
    fs::remove_file(&path).unwrap();
    let half = image.layers[1].bytes.len() / 2;
    let partial = store.root().join("ingest").join(format!("sha256-{}", layer.hex()));
    fs::write(&partial, &image.layers[1].bytes[..half]).unwrap();
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(pull().expect("goes on").status, Status::New);

    // Without the registry, what was pulled is there.
    drop(registry);
    pull().expect_err("nobody answers");
    let stored = store.open_image(&name).unwrap();
    assert_eq!(pull::ensure_tree(&store, &stored).unwrap().totals().files, 2);
    assert_eq!(pull::verify(&store, None, true).unwrap(), []);
}
