//! Pull as a composition: what is fetched and what is not, what an interruption leaves, what heals.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(clippy::unwrap_used)]

use crate::support::images;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::support::fake_source::{FakeSource, Trouble};
use crate::support::images::{TestImage, TestLayer, names, new_store};
use shalefs::oci::{Digest, Platform};
use shalefs::pull::{self, LayerEvent, Observer, Options, PullError, Pulled, Silent, Status};
use shalefs::store::{Derived, Store};

const A: &str = "docker.io/library/a:1";

fn run(store: &Store, source: &FakeSource, options: &Options) -> Result<Pulled, PullError> {
    pull::pull(store, source, Some(A), options, &Silent)
}

fn pull(store: &Store, source: &FakeSource) -> Pulled {
    run(store, source, &Options::default()).expect("pull")
}

fn three_layers() -> TestImage {
    // Bytes that do not compress, so that a stream can be cut in the middle.
    let noise = |seed: u8| -> Vec<u8> {
        let mut bytes = vec![0; 1_000_000];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
        bytes
    };
    let layers = [1, 2, 3].map(|seed| {
        let name = format!("file{seed}");
        TestLayer::of(&[(&name, noise(seed).as_slice()), ("etc/both", &[seed])])
    });
    TestImage::new(layers.to_vec(), "three")
}

fn blob_path(store: &Store, digest: &Digest) -> PathBuf {
    store.root().join("blobs/sha256").join(digest.hex())
}

#[derive(Default)]
struct Log(Mutex<Vec<(usize, LayerEvent)>>);

impl Observer for Log {
    fn layer(&self, position: usize, event: LayerEvent) {
        if !matches!(event, LayerEvent::Progress { .. }) {
            self.0.lock().unwrap().push((position, event));
        }
    }
}

impl Log {
    fn of(&self, position: usize) -> Vec<LayerEvent> {
        let log = self.0.lock().unwrap();
        log.iter().filter(|(at, _)| *at == position).map(|(_, event)| *event).collect()
    }
}

#[test]
fn a_pull_brings_everything_and_a_second_one_nothing() {
    let (_directory, store) = new_store();
    let image = three_layers();
    let source = FakeSource::of(&image);
    let pulled = pull(&store, &source);
    assert_eq!((pulled.status, pulled.image.id), (Status::New, image.id()));
    assert_eq!(pulled.image.names, [A]);
    assert_eq!(source.take_fetches().len(), 3);
    let tree = pull::ensure_tree(&store, &pulled.image).expect("tree");
    assert_eq!(tree.totals().files, 4);
    let log = Log::default();
    let again = pull::pull(&store, &source, Some(A), &Options::default(), &log).unwrap();
    assert_eq!(again.status, Status::UpToDate);
    assert_eq!(source.take_fetches(), []);
    assert_eq!(log.of(1), [LayerEvent::Checking, LayerEvent::Exists]);
    // The same image under another name, and another image that shares a layer.
    let tagged =
        pull::pull(&store, &source, Some("docker.io/library/b:1"), &Options::default(), &Silent);
    assert_eq!(tagged.unwrap().status, Status::New);
    let sharing =
        TestImage::new(vec![image.layers[0].clone(), TestLayer::of(&[("new", b"new")])], "s");
    let source = FakeSource::of(&sharing);
    pull(&store, &source);
    assert_eq!(source.take_fetches(), [(sharing.layers[1].digest, 0)]);
}

#[test]
fn an_interrupted_pull_changes_nothing_and_goes_on_later() {
    let (_directory, store) = new_store();
    let (old, new) = (TestImage::small("old"), three_layers());
    pull(&store, &FakeSource::of(&old));
    let source = FakeSource::of(&new);
    let cut = new.layers[1].digest;
    source.set_trouble(cut, Trouble::CutAfter(600_000));
    let error = run(&store, &source, &Options::default()).expect_err("cut");
    assert!(error.to_string().contains("the line is cut"), "{error}");
    assert_eq!(store.open_image(A).unwrap().id, old.id(), "the old image keeps the name");
    assert_eq!(names(&store), [A]);
    source.take_fetches();
    source.trouble.lock().unwrap().clear();
    let log = Log::default();
    pull::pull(&store, &source, Some(A), &Options::default(), &log).expect("goes on");
    let events = log.of(1);
    let [LayerEvent::Started { have }, LayerEvent::Done] = events[..] else {
        panic!("fetched in one go: {events:?}")
    };
    assert!(have > 300_000, "what came in whole pieces was kept: {have}");
    assert!(source.take_fetches().contains(&(cut, have)), "only the rest was fetched");
    assert_eq!(store.open_image(A).unwrap().id, new.id());
}

#[test]
fn a_wrong_beginning_is_not_trusted() {
    let (_directory, store) = new_store();
    let image = three_layers();
    let layer = &image.layers[0];
    // What a crash may leave of a partial file: the length, and not the bytes.
    let partial = store.root().join("ingest").join(format!("sha256-{}", layer.digest.hex()));
    fs::write(&partial, vec![0; 20_000]).unwrap();
    let log = Log::default();
    let source = FakeSource::of(&image);
    pull::pull(&store, &source, Some(A), &Options::default(), &log).expect("begins again");
    let events = log.of(0);
    assert_eq!(events[..2], [LayerEvent::Started { have: 20_000 }, LayerEvent::Restarted]);
    assert_eq!(events[2..], [LayerEvent::Started { have: 0 }, LayerEvent::Done]);
}

#[test]
fn wrong_bytes_are_asked_for_once_more_and_never_kept() {
    let (_directory, store) = new_store();
    let image = three_layers();
    let source = FakeSource::of(&image);
    source.set_trouble(image.layers[2].digest, Trouble::WrongOnce);
    pull(&store, &source);
    let (_directory, store) = new_store();
    source.set_trouble(image.layers[2].digest, Trouble::WrongBytes);
    let error = run(&store, &source, &Options::default()).expect_err("always wrong");
    assert!(error.is_mismatch(), "exit status 3: {error}");
    assert!(error.to_string().contains(&image.layers[2].digest.to_string()), "{error}");
    assert!(store.blob(&image.layers[2].digest, None).unwrap().is_none());
    assert_eq!(store.names().unwrap(), []);
    for name in images::files(&store.root().join("ingest")) {
        assert!(
            !name.contains(&image.layers[2].digest.hex())
                || fs::metadata(store.root().join("ingest").join(&name)).unwrap().len() == 0
        );
    }
}

#[test]
fn pulling_again_heals_every_kind_of_damage() {
    let (_directory, store) = new_store();
    let image = three_layers();
    let source = FakeSource::of(&image);
    let pulled = pull(&store, &source);
    let layer = image.layers[1].digest;
    let toc = store.root().join("toc/sha256").join(layer.hex());
    let tree = store.root().join("tree/sha256").join(pulled.image.chain().0.hex());
    let mut targets: Vec<PathBuf> =
        image.blobs().iter().map(|(d, _)| blob_path(&store, d)).collect();
    targets.extend([toc, tree]);
    type Damage = fn(&PathBuf);
    let damages: [(&str, Damage); 5] = [
        ("one flipped bit", |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("truncated", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("appended", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, [bytes, b"more".to_vec()].concat()).unwrap();
        }),
        ("missing", |path| fs::remove_file(path).unwrap()),
        ("a directory instead", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for target in &targets {
        let right = fs::read(target).unwrap();
        for (what, damage) in &damages {
            damage(target);
            let name = target.strip_prefix(store.root()).unwrap().display();
            run(&store, &source, &Options::default())
                .unwrap_or_else(|e| panic!("{what}, {name}: {e}"));
            assert_eq!(fs::read(target).unwrap(), right, "{what}, {name}");
        }
    }
}

#[test]
fn a_lost_table_is_made_again_for_a_mount() {
    let (_directory, store) = new_store();
    let image = three_layers();
    let pulled = pull(&store, &FakeSource::of(&image));
    for derived in ["toc", "tree", "content"] {
        fs::remove_dir_all(store.root().join(derived)).unwrap();
    }
    let tree = pull::ensure_tree(&store, &pulled.image).expect("from the blobs alone");
    assert_eq!(tree.totals().files, 4);
    for layer in &image.layers {
        assert!(store.open_derived(Derived::Toc, layer.digest).unwrap().is_some());
    }
    // A table of another layer under this one's name is not believed.
    let path = |n: usize| store.root().join("toc/sha256").join(image.layers[n].digest.hex());
    fs::copy(path(0), path(1)).unwrap();
    fs::remove_dir_all(store.root().join("tree")).unwrap();
    let tree = pull::ensure_tree(&store, &pulled.image).expect("again");
    assert_eq!(tree.totals().files, 4);
}

#[test]
fn the_platform_is_chosen_and_the_list_is_remembered() {
    let (_directory, store) = new_store();
    let (amd, arm) = (TestImage::small("amd"), TestImage::small("arm"));
    let source = FakeSource::list(&[(&amd, "amd64"), (&arm, "arm64")]);
    let options = Options {
        platform: Some(Platform::new("linux", "arm64")),
        repository: Some("docker.io/library/a".into()),
        ..Options::default()
    };
    let pulled = run(&store, &source, &options).unwrap();
    assert_eq!(pulled.image.id, arm.id());
    let list = source.root.descriptor.digest;
    assert_eq!(pulled.digest, list);
    assert_eq!(pulled.image.origins, [("docker.io/library/a".to_owned(), list)]);
    assert!(store.document(&list).unwrap().is_some(), "the list itself is kept");
    assert!(store.blob(&amd.id(), None).unwrap().is_none(), "and nothing of the others");
    let options = Options { platform: Some(Platform::new("linux", "s390x")), ..Options::default() };
    let error = run(&store, &source, &options).expect_err("no such").to_string();
    assert!(error.contains("linux/s390x") && error.contains("linux/amd64"), "{error}");
}

#[test]
fn a_pinned_digest_is_checked() {
    let (_directory, store) = new_store();
    let source = FakeSource::of(&TestImage::small("one"));
    let pinned = Digest::sha256(b"another");
    let options = Options { pinned: Some(pinned), ..Options::default() };
    let error = run(&store, &source, &options).expect_err("not what was asked for");
    assert!(matches!(error, PullError::Pinned { .. }) && error.is_mismatch(), "{error}");
    assert_eq!(images::files(store.root()), ["format", "index.json", "oci-layout"]);
}

#[test]
fn a_config_that_lies_about_a_layer_is_refused() {
    let (_directory, store) = new_store();
    let mut layer = TestLayer::of(&[("a", b"a")]);
    layer.diff_id = TestLayer::of(&[("b", b"b")]).diff_id;
    let source = FakeSource::of(&TestImage::new(vec![layer], "liar"));
    let error = run(&store, &source, &Options::default()).expect_err("DiffID");
    assert!(error.is_mismatch(), "{error}");
    assert_eq!(store.names().unwrap(), []);
}

#[test]
fn the_same_layer_twice_is_fetched_once() {
    let (_directory, store) = new_store();
    let layer = TestLayer::of(&[("a", b"a")]);
    let source = FakeSource::of(&TestImage::new(vec![layer.clone(), layer], "twice"));
    assert_eq!(pull(&store, &source).image.layers.len(), 2);
    assert_eq!(source.take_fetches().len(), 1);
}

#[test]
fn an_image_without_layers_has_an_empty_tree() {
    let (_directory, store) = new_store();
    let pulled = pull(&store, &FakeSource::of(&TestImage::new(Vec::new(), "empty")));
    let tree = pull::ensure_tree(&store, &pulled.image).expect("an empty tree");
    assert_eq!((tree.rows(), tree.totals().directories), (1, 1));
}

#[test]
fn pulls_of_overlapping_images_at_once_fetch_each_blob_once() {
    let (_directory, store) = new_store();
    let image = three_layers();
    let other = TestImage::new(vec![image.layers[0].clone(), image.layers[2].clone()], "other");
    let sources: Vec<_> =
        (0..6).map(|n| FakeSource::of(if n % 2 == 0 { &image } else { &other })).collect();
    let pruner_store = Store::open(store.root()).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let content = pull::content_of(&pruner_store);
                let prune = shalefs::store::Prune {
                    all: false,
                    filter: &|_| true,
                    content: &content,
                    dry_run: false,
                };
                pruner_store.prune(&prune).expect("prune beside pulls");
            }
        });
        let pulls: Vec<_> = sources
            .iter()
            .enumerate()
            .map(|(n, source)| {
                let root = store.root();
                scope.spawn(move || {
                    let store = Store::open(root).unwrap();
                    let name = format!("docker.io/library/a:{n}");
                    pull::pull(&store, source, Some(&name), &Options::default(), &Silent)
                })
            })
            .collect();
        for pull in pulls {
            pull.join().unwrap().expect("pull");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let fetches: usize = sources.iter().map(|source| source.take_fetches().len()).sum();
    assert_eq!(fetches, 3, "three blobs, once each");
    assert_eq!(names(&store).len(), 6);
    let findings = pull::verify(&store, None, true).unwrap();
    assert_eq!(findings, []);
}
