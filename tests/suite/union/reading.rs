//! What readers of a tree ask for beyond the comparison with the model, and the merge's bounds.

use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;

use shalefs::layer::{Entry, Extent, Time};
use shalefs::limits::Limits;
use shalefs::tree::{ImageTree, Merger, Resolved, RowNo, Whiteouts};

use super::compare::{build, build_entries, entry, open, stat, tree};
use crate::support::model::item::{Item, What, dir, file, hard_link, symlink};

fn sample() -> ImageTree {
    tree(&[vec![
        file("etc/passwd"),
        symlink("etc/link", "../usr/bin"),
        file("usr/bin/sh"),
        symlink("bin", "/usr/bin"),
        symlink("loop", "loop/x"),
        symlink("up", "../../../etc/./passwd"),
        hard_link("usr/bin/bash", "usr/bin/sh"),
    ]])
}

#[test]
fn tree_resolves_paths_inside_the_root() {
    let tree = sample();
    let row = |path: &str, follow| match tree.resolve(path.as_bytes(), follow) {
        Ok(Resolved::At { row, .. }) => Some(row),
        _ => None,
    };
    let real = row("usr/bin/sh", false);
    assert!(real.is_some());
    for path in ["/usr//bin/./sh", "bin/sh", "etc/link/sh", "../bin/sh", "usr/bin/bash"] {
        assert_eq!(row(path, false), real, "{path}");
    }
    assert_eq!(row("up", true), row("etc/passwd", false));
    assert_ne!(row("up", false), row("etc/passwd", false));
    for path in ["", "/", "..", "etc/..", "etc/link/../.."] {
        assert_eq!(row(path, true), Some(ImageTree::ROOT), "{path}");
    }
    assert_eq!(tree.resolve(b"no/such", true), Ok(Resolved::Absent));
    assert_eq!(tree.resolve(b"etc/no", true), Ok(Resolved::Absent));
    assert_eq!(tree.resolve(b"etc/passwd/x", true), Ok(Resolved::NotDirectory));
    assert_eq!(tree.resolve(b"etc/passwd/..", true), Ok(Resolved::NotDirectory));
    assert_eq!(tree.resolve(b"loop", true), Ok(Resolved::Loop));
    assert_eq!(tree.resolve(b"loop/y", false), Ok(Resolved::Loop));
}

#[test]
fn tree_resolve_tells_the_directory_and_the_name() {
    let tree = sample();
    let found = tree.resolve(b"bin/sh", true).unwrap();
    let Resolved::At { directory, entry, row } = found else { panic!("{found:?}") };
    assert_eq!(tree.path(directory).unwrap(), b"usr/bin");
    // `bash` comes first, so it is the node's own row.
    assert_ne!(entry, row);
    assert_eq!(tree.attributes(row).unwrap().unwrap().links, 2);
    assert_eq!(tree.attributes(entry).unwrap(), None);
}

#[test]
fn tree_walk_of_a_part_and_its_end() {
    let tree = sample();
    let usr = tree.lookup(ImageTree::ROOT, b"usr").unwrap().unwrap();
    let mut seen = Vec::new();
    let mut walk = |stop: &[u8]| {
        seen.clear();
        let end = tree.walk(usr, |path, child| {
            seen.push(String::from_utf8_lossy(path).into_owned());
            if path == stop { ControlFlow::Break(child.row) } else { ControlFlow::Continue(()) }
        });
        (seen.clone(), end.unwrap())
    };
    let all = ["usr/bin", "usr/bin/bash", "usr/bin/sh"].map(str::to_owned).to_vec();
    assert_eq!(walk(b""), (all.clone(), ControlFlow::Continue(())));
    let bash = stat(&tree, "usr/bin/bash").0;
    assert_eq!(walk(b"usr/bin/bash"), (all[..2].to_vec(), ControlFlow::Break(bash)));
}

#[test]
fn tree_names_follow_one_another_as_in_a_walk() {
    // Directories of all sizes, empty ones among them, and deep ones.
    let mut items = vec![dir("a"), dir("a/empty"), dir("b"), dir("z/y/x"), file("z/y/w")];
    for number in 0..5000 {
        items.push(file(&format!("m/{number}")));
        items.push(file(&format!("n/{}/{number}", number % 71)));
    }
    items.push(hard_link("n/link", "m/7"));
    for items in [items, vec![file("only")], vec![]] {
        let tree = tree(&[items]);
        let mut rows = vec![ImageTree::ROOT];
        let walked = tree.walk(ImageTree::ROOT, |_, child| {
            rows.push(child.entry);
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(walked, Ok(ControlFlow::Continue(())));
        let mut whole = tree.following(ImageTree::ROOT);
        for pair in rows.windows(2) {
            assert_eq!(whole.step(), Ok(Some(pair[1])));
            assert_eq!(tree.following(pair[0]).step(), Ok(Some(pair[1])), "from anywhere");
        }
        assert_eq!(whole.step(), Ok(None));
        assert_eq!(whole.step(), Ok(None));
        assert_eq!(tree.following(RowNo(u32::MAX)).step(), Ok(None));
    }
}

#[test]
fn tree_rows_that_are_not_there() {
    let tree = sample();
    for row in [RowNo(tree.rows()), RowNo(u32::MAX)] {
        assert_eq!(tree.attributes(row), Ok(None));
        assert_eq!(tree.lookup(row, b"a"), Ok(None));
        assert_eq!(tree.child(row, 0), Ok(None));
        assert_eq!(tree.file(row), Ok(None));
        assert_eq!(tree.xattrs(row), Ok(Vec::new()));
        assert_eq!(tree.link_text(row), Ok(&b""[..]));
        assert_eq!(tree.layer(row), Ok(None));
    }
    assert_eq!(tree.child(ImageTree::ROOT, u32::MAX), Ok(None));
    assert_eq!(tree.children(ImageTree::ROOT), Ok(5));
}

#[test]
fn tree_keeps_sparse_maps() {
    let map = vec![Extent { offset: 0, length: 512 }, Extent { offset: 1 << 40, length: 7 }];
    let sparse = |path: &str, map: Vec<Extent>| Entry {
        size: 1 << 41,
        sparse: Some(map),
        ..entry(&file(path), (0, 3))
    };
    let layer = vec![sparse("a", map.clone()), entry(&file("b"), (0, 1)), sparse("c", Vec::new())];
    let tree = open(&build_entries([layer]).unwrap()).unwrap();
    let (row, found) = stat(&tree, "a");
    assert_eq!((found.size, found.stored), (1 << 41, 519));
    assert_eq!(tree.file(row).unwrap().unwrap().sparse, Some(map));
    assert_eq!(tree.file(stat(&tree, "b").0).unwrap().unwrap().sparse, None);
    let (row, found) = stat(&tree, "c");
    assert_eq!((found.size, found.stored), (1 << 41, 0));
    assert_eq!(tree.file(row).unwrap().unwrap().sparse, Some(Vec::new()));
    assert_eq!(tree.totals().bytes, 519 + 5);
}

#[test]
fn tree_keeps_extreme_attributes() {
    let far = Entry {
        uid: u32::MAX,
        gid: u32::MAX - 1,
        mode: 0o7777,
        mtime: Time { seconds: i64::MIN, nanos: 999_999_999 },
        size: u64::MAX,
        data_offset: (1 << 48) - 1,
        ..entry(&file("a"), (0, 0))
    };
    let device = entry(&Item::new("b", What::Block(u32::MAX, u32::MAX - 1)), (0, 0));
    let tree = open(&build_entries([vec![far.clone(), device]]).unwrap()).unwrap();
    let (row, found) = stat(&tree, "a");
    assert_eq!((found.uid, found.gid, found.mode), (far.uid, far.gid, far.mode));
    assert_eq!((found.mtime, found.size), (far.mtime, far.size));
    assert_eq!(tree.file(row).unwrap().unwrap().data_offset, far.data_offset);
    assert_eq!(stat(&tree, "b").1.device, (u32::MAX, u32::MAX - 1));
    let beyond = Entry { data_offset: 1 << 48, ..far };
    assert!(build_entries([vec![beyond]]).unwrap_err().to_string().contains("past 2^48"));
}

#[test]
fn tree_keeps_equal_attribute_sets_once() {
    let with = |path: String, value: u8| {
        let mut item = file(&path);
        item.xattrs.insert(b"security.capability".to_vec(), vec![value; 1000]);
        item
    };
    let layer: Vec<Item> = (0..100).map(|at| with(format!("f{at:02}"), at % 2)).collect();
    let bytes = build(&[layer]).unwrap();
    assert!(bytes.len() < 100 * 120 + 3 * 1020, "{}", bytes.len());
    let tree = open(&bytes).unwrap();
    for (path, value) in [("f00", 0), ("f57", 1), ("f98", 0)] {
        let found = tree.xattrs(stat(&tree, path).0).unwrap();
        assert_eq!(found, [(&b"security.capability"[..], &[value; 1000][..])]);
    }
}

#[test]
fn tree_of_a_thousand_layers() {
    let layers: Vec<Vec<Item>> = (0..1000)
        .map(|layer| {
            vec![file(&format!("d/own{layer:03}")), file("d/all"), dir(&format!("e{}", layer % 7))]
        })
        .collect();
    let tree = tree(&layers);
    assert_eq!(tree.layers(), 1000);
    assert_eq!(tree.rows(), 1 + 1 + 1001 + 7);
    assert_eq!(tree.layer(stat(&tree, "d/all").0), Ok(Some(999)));
    assert_eq!(tree.layer(stat(&tree, "d/own123").0), Ok(Some(123)));
    assert_eq!(tree.file(stat(&tree, "d/own123").0).unwrap().unwrap().layer, 123);
}

fn merge_with(limits: Limits, layer: &[Item]) -> String {
    let mut merger = Merger::new(limits);
    let entries = || Ok::<_, Infallible>(layer.iter().map(|item| Ok(entry(item, (0, 0)))));
    merger.layer(Whiteouts::Possible, entries).expect_err("over the limit").to_string()
}

#[test]
fn merge_limits_are_named() {
    let limits = Limits { entries: 3, ..Limits::DEFAULT };
    let message = merge_with(limits, &[file("a"), file("b/c/d")]);
    let named = "more than 3 entries (limit `entries`)";
    assert_eq!(message, format!("layer 0: entry \"b/c/d\": {named}"));
    let limits = Limits { bytes: 100, ..Limits::DEFAULT };
    let message = merge_with(limits, &[symlink("a", &"x".repeat(60)), file(&"y".repeat(60))]);
    assert!(message.ends_with("more than 100 bytes (limit `bytes`)"), "{message}");
    let limits = Limits { steps: 10, ..Limits::DEFAULT };
    let message = merge_with(limits, &[symlink("l", &"./".repeat(20)), file("l/a")]);
    assert!(message.ends_with("more than 10 steps through symlinks (limit `steps`)"));
}

/// A short entry can lead through two thousand directories that nothing describes, and a small layer
/// through millions.
#[test]
fn merge_limit_of_implied_directories() {
    let limits = Limits { parents: 3, ..Limits::DEFAULT };
    let merger = |limits, layers: &[&[Item]]| {
        let mut merger = Merger::new(limits);
        layers.iter().try_for_each(|layer| {
            let entries = || Ok::<_, Infallible>(layer.iter().map(|item| Ok(entry(item, (0, 0)))));
            merger.layer(Whiteouts::Possible, entries).map_err(|error| error.to_string())
        })
    };
    let layers: [&[Item]; 3] =
        [&[file("a/b/f"), dir("x")], &[file("c/f"), file("x/f")], &[dir("c")]];
    assert_eq!(merger(limits, &layers), Ok(()));
    let more = &[file("a/b/g"), file("x/y/f")];
    let named = "more than 3 directories that no entry describes (limit `parents`)";
    let message = format!("layer 1: entry \"x/y/f\": {named}");
    assert_eq!(merger(limits, &layers[..2]), Ok(()));
    assert_eq!(merger(limits, &[&[file("a/b/c/f"), dir("x")], more]), Err(message));
}

#[test]
fn merge_names_the_layer_that_cannot_be_read() {
    let mut merger = Merger::new(Limits::DEFAULT);
    merger.layer(Whiteouts::None, || Ok::<_, Infallible>([Ok(entry(&file("a"), (0, 0)))])).unwrap();
    let broken = || Ok([Ok(entry(&file("b"), (1, 0))), Err(io::Error::other("a bad span"))]);
    let error = merger.layer(Whiteouts::None, broken).unwrap_err();
    assert_eq!(error.to_string(), "layer 1: its entries cannot be read: a bad span");
}

#[test]
fn merge_messages_cannot_drive_a_terminal() {
    let mut item = hard_link("x", "y\x1b]0;t\x07");
    item.path = b"a\x1b[31m\n\xff".to_vec();
    let message = build(&[vec![item]]).unwrap_err().to_string();
    let path = "a\\u{1b}[31m\\n\u{fffd}";
    let target = "y\\u{1b}]0;t\\u{7}";
    assert_eq!(
        message,
        format!("layer 0: entry \"{path}\": hard link to \"{target}\", which does not exist")
    );
}
