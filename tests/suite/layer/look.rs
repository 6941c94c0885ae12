//! `which`, `diff`, `mount --layer`, `--upto` and `-o provenance`, as a user sees them; and `diff`
//! against two mounted trees of a real image compared node by node.

#![allow(clippy::unwrap_used)]

use crate::support::tree_compare;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;

use crate::support::images::Thing::{self, Directory, File, Link, Symlink};
use crate::support::images::{TestImage, TestLayer, layer_of, write_layout};
use crate::support::real_parts::{Corpus, Mounted, TestDir, run, shale};
use crate::support::require::can_mount;
use crate::support::tree_compare::{differences, read_tree};

/// A store with one image of four layers.
struct Bench {
    store: TestDir,
    image: String,
    layers: Vec<TestLayer>,
    _layout: TestDir,
}

fn layers() -> Vec<TestLayer> {
    let all: [&[(&str, Thing)]; 4] = [
        &[
            ("bin", Symlink("usr/bin")),
            ("etc/passwd", File(b"one:0\ntwo:1\nthree:2\n")),
            ("etc/binary", File(b"\0\x01")),
            ("usr/bin/tool", File(b"the first tool")),
            ("var/cache/a", File(b"aaaa")),
        ],
        &[
            ("etc/passwd", File(b"one:0\ntwo:22\nthree:2\n")),
            ("usr/bin/tool", File(b"the second tool")),
            ("usr/bin/other", Link("usr/bin/tool")),
        ],
        &[("var/cache/.wh..wh..opq", File(b"")), ("usr/bin/.wh.tool", File(b""))],
        &[("etc/binary", File(b"\0\x02")), ("srv/", Directory), ("var", File(b"no directory"))],
    ];
    all.map(layer_of).to_vec()
}

impl Bench {
    fn new() -> Self {
        let (store, layout) = (TestDir::new("store"), TestDir::new("layout"));
        let layers = layers();
        write_layout(&layout.path, &[(&TestImage::new(layers.clone(), "look"), "look")]);
        let image = format!("oci:{}:look", layout.path.display());
        run(shale(&store).args(["pull", "-q", &image]));
        Self { store, image, layers, _layout: layout }
    }

    fn say(&self, arguments: &[&str]) -> Output {
        shale(&self.store).args(arguments).output().unwrap()
    }

    /// What a command that succeeds prints of the image.
    fn of_image(&self, arguments: &[&str]) -> String {
        run(shale(&self.store).args(arguments).arg(&self.image))
    }

    fn which(&self, path: &str, format: &str) -> String {
        run(shale(&self.store).args(["which", "--format", format, &self.image, path]))
    }
}

#[test]
fn which_tells_the_story_of_a_path() {
    let bench = Bench::new();
    let format = "{{.No}} {{.Change}} [{{.Type}} {{.Size}}] {{.How}} [{{.Hides}}]";
    assert_eq!(
        bench.which("/bin/tool", format),
        "2 removed [ ] whiteout of /usr/bin/tool [file 0644 15B]\n\
         1 replaced [file 15B] entry [file 0644 14B]\n\
         0 made [file 14B] entry []\n"
    );
    assert_eq!(
        bench.which("usr/bin/other", "{{.No}} {{.How}} {{.ContentNo}}"),
        "1 hard link to /usr/bin/tool 1\n"
    );
    assert_eq!(
        bench.which("/var/cache/a", "{{.No}} {{.Change}} {{.How}}"),
        "2 removed /var/cache made opaque\n0 made entry\n"
    );
    assert_eq!(
        bench.which("/var", "{{.No}} {{.Change}} {{.Type}} {{.How}}"),
        "3 replaced file entry\n0 made directory missing parent\n"
    );
    let digest = bench.layers[0].digest.to_string();
    let full = ["which", "--no-trunc", "--format", "{{.Digest}}", &bench.image, "/bin"];
    assert_eq!(run(shale(&bench.store).args(full)).trim(), digest);
}

#[test]
fn which_says_where_a_path_led_and_when_nobody_has_it() {
    let bench = Bench::new();
    let found = bench.say(&["which", &bench.image, "/bin/tool"]);
    let text = String::from_utf8(found.stderr).unwrap();
    assert!(text.contains("/bin/tool is /usr/bin/tool"), "{text}");
    assert!(text.contains("does not have it any more"), "{text}");
    let nothing = bench.say(&["which", &bench.image, "/no/thing"]);
    assert_eq!(nothing.status.code(), Some(1));
    let text = String::from_utf8(nothing.stderr).unwrap();
    assert!(text.contains("shale: /no/thing: no layer of the image has it"), "{text}");
}

#[test]
fn diff_with_lower_layers() {
    let bench = Bench::new();
    assert_eq!(
        bench.of_image(&["diff"]),
        "C /etc/binary (content)\nA /srv\n\
        C /var (type directory -> file, mode 0755 -> 0644)\nD /var/cache\n"
    );
    assert_eq!(
        bench.of_image(&["diff", "-q", "--base", "2"]),
        "/etc/binary\n/srv\n/var\n/var/cache\n"
    );
    let digest = bench.layers[1].digest.to_string();
    let since = bench.of_image(&["diff", "--base", &digest[..20]]);
    assert!(
        since.starts_with("C /etc/binary (content)\nA /srv\nD /usr/bin/tool\nC /var "),
        "{since}"
    );
    let stat = bench.of_image(&[
        "diff",
        "--stat=1",
        "--base",
        "0",
        "--format",
        "{{.Path}} {{.Added}} {{.Changed}} {{.Removed}}",
    ]);
    assert_eq!(stat, "/ 1 1 0\n/etc 0 2 0\n/usr 1 0 1\n/var 0 0 2\n");
}

#[test]
fn diff_exit_status_is_0_unless_it_is_asked_for() {
    let bench = Bench::new();
    let code = |arguments: &[&str]| bench.say(arguments).status.code();
    let image = bench.image.as_str();
    assert_eq!(code(&["diff", image]), Some(0));
    assert_eq!(code(&["diff", "--exit-code", image]), Some(1));
    assert_eq!(code(&["diff", "--exit-code", image, image]), Some(0));
    assert_eq!(code(&["diff", "--exit-code", "--base", "3", image]), Some(0));
    assert_eq!(code(&["diff", "--base", "7", image]), Some(1));
    assert_eq!(code(&["diff", "--base", "1", image, image]), Some(2));
}

#[test]
fn diff_of_the_text_of_a_file() {
    let bench = Bench::new();
    let text = bench.of_image(&["diff", "--base", "0", "--content", "/etc/passwd"]);
    let (header, hunk) = text.split_once("@@").unwrap();
    let lines: Vec<&str> = header.lines().collect();
    assert!(lines[0].starts_with("--- ") && lines[0].ends_with(" (base):/etc/passwd"), "{text}");
    assert!(lines[1].starts_with("+++ ") && lines[1].ends_with(":/etc/passwd"), "{text}");
    assert_eq!(hunk, " -1,3 +1,3 @@\n one:0\n-two:1\n+two:22\n three:2\n");
    let same = bench.of_image(&["diff", "--content", "/etc/passwd", "--exit-code"]);
    assert_eq!(same, "");
    let binary = bench.of_image(&["diff", "--content", "etc/binary"]);
    assert_eq!(binary, "Binary files /etc/binary differ\n");
    let removed = bench.of_image(&["diff", "--base", "0", "--content", "/bin/tool"]);
    assert!(
        removed.contains("+++ /dev/null\n") && removed.contains("-the first tool"),
        "{removed}"
    );
    assert_eq!(bench.say(&["diff", "--content", "/srv", &bench.image]).status.code(), Some(1));
}

fn attribute(path: &Path, name: &str) -> Option<String> {
    let mut value = [0; 200];
    let length = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    Some(String::from_utf8(value[..length].to_vec()).unwrap())
}

#[test]
fn provenance_as_extended_attributes() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let digest = |layer: usize| Some(bench.layers[layer].digest.to_string());
    let layer =
        |mounted: &Mounted, name: &str| attribute(&mounted.dir.join(name), "user.shale.layer");
    {
        let mounted = Mounted::with(&bench.store, &bench.image, &["-o", "provenance"]);
        for (name, number) in
            [("etc/passwd", 1), ("etc/binary", 3), ("usr/bin/other", 1), ("srv", 3), ("usr", 0)]
        {
            let path = mounted.dir.join(name);
            assert_eq!(layer(&mounted, name), Some(number.to_string()), "{name}");
            assert_eq!(attribute(&path, "user.shale.digest"), digest(number), "{name}");
            let mut names = [0; 100];
            let length = rustix::fs::llistxattr(&path, &mut names).unwrap();
            assert_eq!(&names[..length], b"user.shale.digest\0user.shale.layer\0", "{name}");
        }
        assert_eq!(layer(&mounted, "bin"), None, "the kernel has none on symlinks");
        assert_eq!(attribute(&mounted.dir.join("etc/passwd"), "user.other"), None);
    }
    {
        let options = ["-o", "provenance", "--layer", "1"];
        let mounted = Mounted::with(&bench.store, &bench.image, &options);
        assert_eq!(layer(&mounted, "etc/passwd"), Some("1".to_owned()));
        let path = mounted.dir.join("etc/passwd");
        assert_eq!(attribute(&path, "user.shale.digest"), digest(1));
    }
    let mounted = Mounted::new(&bench.store, &bench.image);
    assert_eq!(layer(&mounted, "etc/passwd"), None);
    assert_eq!(rustix::fs::llistxattr(mounted.dir.join("srv"), &mut [0; 100]).unwrap_or(0), 0);
}

#[test]
fn one_layer_or_some_by_number_and_digest() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let names = |options: &[&str]| {
        let mounted = Mounted::with(&bench.store, &bench.image, options);
        let tree = read_tree(&mounted.dir).unwrap();
        let names = tree.into_keys().map(|path| String::from_utf8(path).unwrap());
        names.filter(|path| !path.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let third = bench.layers[2].diff_id.0.to_string();
    let first = "bin etc etc/binary etc/passwd usr usr/bin usr/bin/tool var var/cache var/cache/a";
    assert_eq!(names(&["--upto", "0"]), first);
    assert_eq!(names(&["--upto", bench.layers[0].digest.hex().get(..12).unwrap()]), first);
    assert_eq!(
        names(&["--upto", &third]),
        "bin etc etc/binary etc/passwd usr usr/bin usr/bin/other var var/cache"
    );
    assert_eq!(names(&["--layer", "3"]), "etc etc/binary srv var");
    let second = "etc etc/passwd usr usr/bin usr/bin/other usr/bin/tool";
    assert_eq!(names(&["--layer", &bench.layers[1].digest.to_string()]), second);
    assert_eq!(names(&["--layer", "2"]), "", "whiteouts alone hide nothing and show nothing");
    let place = TestDir::new("m");
    for wrong in ["4", "sha256:", "abc", "ffffffffffff", "sha512:0000"] {
        let refused =
            bench.say(&["mount", "--layer", wrong, &bench.image, place.path.to_str().unwrap()]);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(text.contains("the image has 4 layers, none of it"), "{wrong}: {text}");
    }
}

#[test]
fn a_layer_that_cannot_stand_alone_is_named_by_its_place_in_the_image() {
    let Some(_alone) = can_mount() else { return };
    let (store, layout, place) = (TestDir::new("s"), TestDir::new("l"), TestDir::new("m"));
    let layers = [&[("a", File(b"a"))][..], &[("b", Link("a"))]].map(layer_of).to_vec();
    write_layout(&layout.path, &[(&TestImage::new(layers, "links"), "links")]);
    let image = format!("oci:{}:links", layout.path.display());
    let place = place.path.to_str().unwrap();
    let refused = shale(&store).args(["mount", "--layer", "1", &image, place]).output().unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("layer 1: entry \"b\": hard link to \"a\""), "{text}");
}

type Found = BTreeMap<String, (char, BTreeSet<String>)>;

/// What `tree_compare` finds between two mounts, in the words of `diff`.
fn compared(before: &tree_compare::Tree, after: &tree_compare::Tree) -> Found {
    let mut found = Found::new();
    for difference in differences(before, after) {
        let word = match difference.field {
            "presence" | "type" | "mode" | "owner" | "xattrs" => difference.field,
            "size" | "content" | "target" | "device" => "content",
            _ => continue,
        };
        let letter = match (word, difference.left.as_str()) {
            ("presence", "-") => 'A',
            ("presence", _) => 'D',
            _ => 'C',
        };
        let path = format!("/{}", difference.path);
        let words = &mut found.entry(path).or_insert((letter, BTreeSet::new())).1;
        words.extend((word != "presence").then(|| word.to_owned()));
    }
    for (_, words) in found.values_mut().filter(|(_, words)| words.contains("type")) {
        words.remove("content");
    }
    found
}

#[test]
fn diff_equals_two_mounted_trees_compared() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    let tree = |image: &str, options: &[&str]| {
        read_tree(&Mounted::with(&store, image, options).dir).unwrap()
    };
    for (tag, base) in [("debian", "0"), ("hand", "2")] {
        let image = corpus.oci(tag);
        let (before, after) = (tree(&image, &["--upto", base]), tree(&image, &[]));
        let text = run(shale(&store).args(["diff", "--format", "json", "--base", base, &image]));
        let mut found = Found::new();
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let words = row["What"].as_array().unwrap().iter();
            let words = words.map(|word| word.as_str().unwrap().to_owned()).collect();
            let letter = row["Change"].as_str().unwrap().chars().next().unwrap();
            found.insert(row["Path"].as_str().unwrap().to_owned(), (letter, words));
        }
        assert!(found.len() > 20, "{tag}: {}", found.len());
        assert_eq!(found, compared(&before, &after), "{tag}");
    }
}
