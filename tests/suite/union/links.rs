//! Hard links: what they bind to, what they share, what they may not name.

use super::compare::{list, refused, stat, tree};
use crate::support::model::item::{Item, What, dir, empty, file, hard_link, symlink};

#[test]
fn union_hard_link_binds_at_its_point_of_the_stream() {
    let lower = || vec![Item::new("a", What::File(b"lower".to_vec()))];
    let upper = || Item::new("a", What::File(b"the upper one".to_vec()));
    let size = |layers: &[Vec<Item>], path| stat(&tree(layers), path).1.size;
    let before = [lower(), vec![hard_link("b", "a"), upper()]];
    assert_eq!((size(&before, "b"), size(&before, "a")), (5, 13), "the lower one is there");
    let after = [lower(), vec![upper(), hard_link("b", "a")]];
    assert_eq!((size(&after, "b"), size(&after, "a")), (13, 13), "the same layer's first");
    for layers in [before, after] {
        assert_eq!(list(&layers), ["a", "b"]);
    }
}

#[test]
fn union_hard_link_stays_when_its_target_goes() {
    let lower = vec![file("d/a"), hard_link("b", "d/a")];
    let replaced = [lower.clone(), vec![symlink("d/a", "x")]];
    assert_eq!(list(&replaced), ["b", "d/", "d/a -> x"]);
    let hidden = [lower.clone(), vec![empty(".wh.d")]];
    assert_eq!(list(&hidden), ["b"]);
    let emptied = [lower, vec![empty("d/.wh..wh..opq")]];
    assert_eq!(list(&emptied), ["b", "d/"]);
    for layers in [replaced, hidden, emptied] {
        let tree = tree(&layers);
        let (row, found) = stat(&tree, "b");
        assert_eq!((found.size, found.links), (5, 1));
        assert_eq!(tree.file(row).unwrap().unwrap().layer, 0);
    }
}

#[test]
fn union_hard_links_share_one_inode_and_count_visible_names() {
    let layers = [
        vec![file("a"), hard_link("b", "a"), hard_link("d/c", "b"), hard_link("e", "a")],
        vec![empty(".wh.e"), hard_link("f", "d/c")],
    ];
    assert_eq!(list(&layers), ["a", "b", "d/", "d/c", "f"]);
    let tree = tree(&layers);
    let (row, found) = stat(&tree, "a");
    assert_eq!(found.links, 4);
    for path in ["b", "d/c", "f"] {
        assert_eq!(stat(&tree, path), (row, found), "{path}");
    }
    assert_eq!(tree.totals().files, 1);
    assert_eq!(tree.totals().bytes, 5);
}

#[test]
fn union_hard_link_has_the_attributes_of_the_last_header() {
    let mut first = Item { mode: 0o600, uid: 1, mtime: (1, 1), ..file("a") };
    first.xattrs.insert(b"security.capability".to_vec(), vec![1]);
    first.xattrs.insert(b"user.b".to_vec(), vec![2]);
    let mut link = Item { mode: 0o4755, uid: 7, mtime: (-3, 9), ..hard_link("b", "a") };
    let plain = [vec![first.clone()], vec![link.clone()]];
    assert_eq!(list(&plain), ["a", "b"]);
    let plain = tree(&plain);
    let (row, found) = stat(&plain, "a");
    assert_eq!((found.mode, found.uid, found.mtime.seconds), (0o4755, 7, -3));
    assert_eq!(plain.xattrs(row).unwrap().len(), 2, "a header without attributes takes none away");
    link.xattrs.insert(b"user.b".to_vec(), vec![3]);
    link.xattrs.insert(b"user.a".to_vec(), vec![]);
    let set = [vec![first], vec![link]];
    assert_eq!(list(&set), ["a", "b"]);
    let set = tree(&set);
    let found = set.xattrs(stat(&set, "a").0).unwrap();
    let expected: [(&[u8], &[u8]); 3] =
        [(b"security.capability", &[1]), (b"user.a", &[]), (b"user.b", &[3])];
    assert_eq!(found, expected);
}

#[test]
fn union_hard_link_to_a_symlink_links_the_symlink() {
    let link = Item { mode: 0o644, uid: 8, ..hard_link("d/m", "l") };
    let layers = [vec![symlink("l", "a"), file("a"), link]];
    assert_eq!(list(&layers), ["a", "d/", "d/m -> a", "l -> a"]);
    let tree = tree(&layers);
    let (row, found) = stat(&tree, "l");
    assert_eq!(stat(&tree, "d/m").0, row);
    assert_eq!((found.mode, found.uid, found.links), (0o777, 8, 2), "a symlink's mode is 0777");
}

#[test]
fn union_hard_link_to_other_kinds() {
    for what in [What::Fifo, What::Char(1, 3), What::Block(8, 70_000)] {
        let layers = [vec![Item::new("a", what)], vec![hard_link("b", "a")]];
        assert_eq!(list(&layers), ["a?", "b?"]);
        assert_eq!(stat(&tree(&layers), "b").1.links, 2);
    }
}

#[test]
fn union_hard_link_target_behind_a_symlink() {
    let lower = vec![symlink("l", "/d"), file("d/a")];
    let found = list(&[lower, vec![hard_link("b", "l/a")]]);
    assert_eq!(found, ["b", "d/", "d/a", "l -> /d", "1 b SymlinkParent"]);
}

#[test]
fn union_hard_link_to_a_directory_is_refused() {
    let message = refused(&[vec![dir("d"), hard_link("a", "d")]]);
    assert_eq!(message, "layer 0: entry \"a\": hard link to \"d\", which is a directory");
    refused(&[vec![hard_link("a", "")]]);
}

#[test]
fn union_hard_link_to_what_its_own_layer_removes_is_refused() {
    let lower = || vec![dir("d"), file("d/a")];
    for upper in [
        vec![hard_link("b", "d/a"), empty("d/.wh.a")],
        vec![empty("d/.wh.a"), hard_link("b", "d/a")],
        vec![hard_link("b", "d/a"), empty(".wh.d")],
        vec![hard_link("b", "d/a"), empty("d/.wh..wh..opq")],
    ] {
        let message = refused(&[lower(), upper]);
        assert!(message.contains("does not exist"), "{message}");
    }
}

#[test]
fn union_hard_link_to_itself_is_refused() {
    let message = refused(&[vec![file("a")], vec![hard_link("a", "a")]]);
    assert_eq!(message, "layer 1: entry \"a\": hard link to itself");
    refused(&[vec![symlink("l", "d"), file("d/a"), hard_link("d/a", "l/a")]]);
    // Another name of the same node is none of that.
    let again = vec![file("a"), hard_link("b", "a"), hard_link("b", "a")];
    assert_eq!(list(&[again]), ["a", "b", "0 b DuplicateName"]);
}

#[test]
fn union_hard_link_to_nothing_is_refused() {
    let nothing = "layer 0: entry \"b\": hard link to \"a\", which does not exist";
    assert_eq!(refused(&[vec![hard_link("b", "a")]]), nothing);
    assert_eq!(refused(&[vec![hard_link("b", "a"), file("a")]]), nothing, "not yet");
    refused(&[vec![file("a")], vec![empty(".wh.a"), hard_link("b", "a")]]);
    refused(&[vec![file("a"), hard_link("b", "a/c")]]);
    refused(&[vec![file("d/a"), hard_link("d", "d/a")]]);
}
