//! Whiteouts and opaque markers: the first phase.

use super::compare::{build, list, refused, stat, tree};
use crate::support::model::item::{Item, What, dir, empty, file, hard_link, symlink};

#[test]
fn union_whiteout_hides_lower_only() {
    let lower = vec![file("d/a"), file("d/b")];
    for upper in [[empty("d/.wh.a"), file("d/a")], [file("d/a"), empty("d/.wh.a")]] {
        let layers = [lower.clone(), upper.to_vec()];
        assert_eq!(list(&layers), ["d/", "d/a", "d/b"]);
        let tree = tree(&layers);
        assert_eq!(tree.layer(stat(&tree, "d/a").0), Ok(Some(1)), "the upper one stays");
    }
    assert_eq!(list(&[lower, vec![empty("d/.wh.a")]]), ["d/", "d/b"]);
}

#[test]
fn union_whiteout_takes_all_below() {
    let lower = vec![file("d/e/f"), file("d2/x")];
    assert_eq!(list(&[lower, vec![empty(".wh.d")]]), ["d2/", "d2/x"]);
}

#[test]
fn union_whiteout_of_any_kind_counts_with_a_warning() {
    let marks = [
        hard_link("d/.wh.a", "d/b"),
        symlink("d/.wh.a", "b"),
        dir("d/.wh.a"),
        file("d/.wh.a"),
        Item::new("d/.wh.a", What::Char(0, 0)),
    ];
    for mark in marks {
        let layers = [vec![file("d/a"), file("d/b")], vec![mark]];
        assert_eq!(list(&layers), ["d/", "d/b", "1 d/.wh.a OddWhiteout"]);
    }
    let layers = [vec![file("d/a")], vec![dir("d/.wh..wh..opq")]];
    assert_eq!(list(&layers), ["d/", "1 d/.wh..wh..opq OddWhiteout"]);
}

#[test]
fn union_opaque_hides_lower_children_at_every_depth() {
    let lower = vec![file("a/b/c/d"), file("a/b/x"), file("a/y")];
    let opaque = |path: &str| list(&[lower.clone(), vec![empty(path)]]);
    assert_eq!(opaque("a/b/c/.wh..wh..opq"), ["a/", "a/b/", "a/b/c/", "a/b/x", "a/y"]);
    assert_eq!(opaque("a/b/.wh..wh..opq"), ["a/", "a/b/", "a/y"]);
    assert_eq!(opaque("a/.wh..wh..opq"), ["a/"]);
}

#[test]
fn union_opaque_in_any_order_keeps_its_own_layer() {
    let lower = vec![file("d/old"), file("d/e/old")];
    let mut upper = vec![empty("d/.wh..wh..opq"), file("d/new"), file("d/e/new")];
    for _ in 0..3 {
        upper.rotate_left(1);
        assert_eq!(list(&[lower.clone(), upper.clone()]), ["d/", "d/e/", "d/e/new", "d/new"]);
    }
}

#[test]
fn union_opaque_at_the_root() {
    let root = Item { mode: 0o711, ..dir("") };
    let layers = [vec![root, file("a"), file("d/b")], vec![file("c"), empty(".wh..wh..opq")]];
    assert_eq!(list(&layers), ["c"]);
    assert_eq!(stat(&tree(&layers), "").1.mode, 0o711);
    // `..` in symlinks still stops at the root, and later layers still find it.
    let above = vec![symlink("l", "../../c2"), file("l/x")];
    let warned = [&layers[..], &[vec![dir("c2")], above]].concat();
    assert_eq!(list(&warned), ["c", "c2/", "c2/x", "l -> ../../c2"]);
}

#[test]
fn union_opaque_directory_keeps_its_attributes() {
    let lower = Item { mode: 0o700, uid: 7, gid: 8, mtime: (9, 10), ..dir("d") };
    let layers = [vec![lower, file("d/a")], vec![empty("d/.wh..wh..opq")]];
    assert_eq!(list(&layers), ["d/"]);
    let found = stat(&tree(&layers), "d").1;
    assert_eq!((found.mode, found.uid, found.gid, found.mtime.seconds), (0o700, 7, 8, 9));
}

#[test]
fn union_whiteout_of_a_directory_then_entries_below_it() {
    let lower = vec![Item { mode: 0o700, ..dir("d") }, file("d/old")];
    let layers = [lower, vec![file("d/new"), empty(".wh.d")]];
    assert_eq!(list(&layers), ["d/", "d/new"]);
    assert_eq!(stat(&tree(&layers), "d").1.mode, 0o755, "a new directory, not the old one");
}

#[test]
fn union_whiteout_inside_a_whiteout() {
    let lower = vec![file("d/e/a"), file("x")];
    let upper = vec![empty(".wh.d"), empty("d/.wh.e"), empty("d/e/.wh.a"), empty("d/.wh..wh..opq")];
    assert_eq!(list(&[lower, upper]), ["x"]);
}

#[test]
fn union_whiteout_of_nothing_makes_nothing() {
    let upper = vec![empty(".wh.a"), empty("d/e/.wh.a"), empty("d/.wh..wh..opq")];
    assert_eq!(list(&[vec![file("x")], upper.clone()]), ["x"]);
    assert_eq!(list(&[vec![file("d")], upper]), ["d"], "nor below a file");
}

#[test]
fn union_whiteout_in_the_lowest_layer() {
    let lowest = vec![file("a"), empty(".wh.a"), empty("d/.wh..wh..opq"), file("d/b")];
    assert_eq!(list(&[lowest]), ["a", "d/", "d/b"]);
}

#[test]
fn union_whiteout_names_that_are_refused() {
    for name in [".wh.", "d/.wh..", "d/.wh...", ".wh.a\0b"] {
        let message = refused(&[vec![file("a")], vec![empty(name)]]);
        assert!(message.ends_with(": a whiteout that names nothing"), "{message}");
        assert!(message.starts_with("layer 1: entry \""), "{message}");
        refused(&[vec![empty(name)]]);
    }
    // A name that cannot exist, but is one.
    assert_eq!(list(&[vec![file("a")], vec![empty(".wh..wh.a")]]), ["a"]);
}

#[test]
fn union_aufs_leftovers_are_hidden() {
    let layers = [
        vec![file("a")],
        vec![
            empty(".wh..wh.aufs"),
            dir(".wh..wh.plnk"),
            dir(".wh..wh.orph"),
            file(".wh..wh.orph/x"),
            file("b"),
        ],
    ];
    assert_eq!(list(&layers), ["a", "b"]);
}

#[test]
fn union_aufs_links_are_targets_for_hard_links_of_their_layer() {
    let plnk = file(".wh..wh.plnk/1.2");
    let linked = vec![plnk, hard_link("a", ".wh..wh.plnk/1.2"), hard_link("b", ".wh..wh.plnk/1.2")];
    assert_eq!(list(std::slice::from_ref(&linked)), ["a", "b"]);
    assert_eq!(
        stat(&tree(std::slice::from_ref(&linked)), "a").1.links,
        2,
        "the hidden name is none"
    );
    let later = [linked, vec![hard_link("c", ".wh..wh.plnk/1.2")]];
    assert!(refused(&later).contains("does not exist"));
}

#[test]
fn union_entry_below_a_whiteout_is_refused() {
    for path in [".wh.a/b", "d/.wh.a/b/c", ".wh..wh..opq/x", ".wh.a/.wh.b"] {
        let message = refused(&[vec![file("a")], vec![file(path)]]);
        assert_eq!(message, format!("layer 1: entry \"{path}\": it stands below a `.wh.` name"));
    }
    let message = refused(&[vec![symlink("l", ".wh.a/b"), file("l/x")]]);
    assert!(message.ends_with("it stands below a `.wh.` name"), "by way of a symlink");
}

#[test]
fn union_whiteouts_do_not_depend_on_one_another() {
    let lower = vec![symlink("l", "d"), file("d/a"), file("d/b")];
    let mut upper = vec![empty(".wh.l"), empty("l/.wh.a")];
    for _ in 0..2 {
        upper.rotate_left(1);
        let found = list(&[lower.clone(), upper.clone()]);
        assert_eq!(found, ["d/", "d/b", "1 l/.wh.a SymlinkParent"]);
    }
}

/// Docker writes the marker when a symlink was replaced by a directory (overlayfs marks it opaque).
#[test]
fn union_opaque_in_a_directory_that_replaces_a_symlink() {
    let lower = vec![symlink("lib", "usr/lib"), file("usr/lib/libc.so")];
    let [made, opaque, hidden] = [dir("lib"), empty("lib/.wh..wh..opq"), empty("lib/.wh.libc.so")];
    for upper in [[&made, &opaque, &hidden], [&hidden, &opaque, &made]] {
        let found = list(&[lower.clone(), upper.map(Item::clone).to_vec()]);
        assert_eq!(found, ["lib/", "usr/", "usr/lib/", "usr/lib/libc.so"]);
    }
    // A link that goes round is no error when it is not followed.
    let layers = [vec![symlink("d", "d")], vec![dir("d"), empty("d/.wh..wh..opq")]];
    assert_eq!(list(&layers), ["d/"]);
    // Without the directory, the link is followed.
    let found = list(&[lower, vec![empty("lib/.wh..wh..opq")]]);
    assert_eq!(found, ["lib -> usr/lib", "usr/", "usr/lib/", "1 lib/.wh..wh..opq SymlinkParent"]);
}

#[test]
fn union_without_counted_whiteouts_is_read_once() {
    use super::compare::{chain, entry};
    use shalefs::limits::Limits;
    use shalefs::tree::{Merger, Whiteouts, table};
    use std::convert::Infallible;

    let layers = [vec![file("a"), file("d/b")], vec![file("d/b"), file("c")]];
    let mut merger = Merger::new(Limits::DEFAULT);
    for (number, layer) in layers.iter().enumerate() {
        let mut reads = 0;
        let entries = || {
            reads += 1;
            let made = (0..).zip(layer).map(|(at, item)| Ok(entry(item, (number, at))));
            Ok::<_, Infallible>(made)
        };
        merger.layer(Whiteouts::None, entries).unwrap();
        assert_eq!(reads, 1);
    }
    let mut bytes = Vec::new();
    table::write(&merger.finish(), chain(), &mut bytes).unwrap();
    assert!(bytes == build(&layers).unwrap());
}
