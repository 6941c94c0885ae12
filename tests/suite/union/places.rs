//! Entries that take their place: directories, parents, symlinked parents, the root.

use super::compare::{build_entries, entry, list, refused, stat, tree};
use crate::support::model::item::{Item, What, dir, empty, file, symlink};

#[test]
fn union_directory_over_directory() {
    let lower = vec![Item { mode: 0o700, uid: 5, ..dir("d") }, file("d/a"), file("d/e/b")];
    let upper = Item { mode: 0o1777, uid: 6, mtime: (-2, 5), ..dir("d") };
    let layers = [lower, vec![upper]];
    assert_eq!(list(&layers), ["d/", "d/a", "d/e/", "d/e/b"]);
    let found = stat(&tree(&layers), "d").1;
    assert_eq!((found.mode, found.uid, found.mtime.seconds), (0o1777, 6, -2));
}

#[test]
fn union_every_other_pair_replaces() {
    let kinds = |path: &str| {
        let mut xattrs = dir(path);
        xattrs.xattrs.insert(b"user.old".to_vec(), b"1".to_vec());
        [
            xattrs,
            file(path),
            symlink(path, "y"),
            Item::new(path, What::Fifo),
            Item::new(path, What::Char(1, 3)),
            Item::new(path, What::Block(8, 1)),
        ]
    };
    for old in kinds("x") {
        for new in kinds("x") {
            let mut lower = vec![old.clone(), file("y")];
            if old.what == What::Directory {
                lower.push(file("x/below"));
            }
            let layers = [lower, vec![new.clone()]];
            let both = old.what == What::Directory && new.what == What::Directory;
            assert_eq!(list(&layers).contains(&"x/below".to_owned()), both, "{old:?} {new:?}");
            let tree = tree(&layers);
            let (row, found) = stat(&tree, "x");
            assert_eq!(found.kind, entry(&new, (0, 0)).kind);
            assert_eq!(tree.xattrs(row).unwrap().len(), new.xattrs.len(), "nothing stays behind");
        }
    }
}

#[test]
fn union_unmentioned_directory_keeps_its_attributes() {
    let lower = vec![Item { mode: 0o710, uid: 9, mtime: (77, 0), ..dir("d") }];
    let layers = [lower, vec![file("d/a")]];
    let found = stat(&tree(&layers), "d").1;
    assert_eq!((found.mode, found.uid, found.mtime.seconds), (0o710, 9, 77));
    assert_eq!(list(&layers), ["d/", "d/a"]);
}

#[test]
fn union_missing_parents() {
    let first = Item { mtime: (1234, 5), uid: 4, ..file("a/b/c") };
    let layers = [vec![first, Item { mtime: (9, 9), ..file("a/d") }]];
    assert_eq!(list(&layers), ["a/", "a/b/", "a/b/c", "a/d"]);
    let tree = tree(&layers);
    for path in ["a", "a/b"] {
        let (row, found) = stat(&tree, path);
        assert_eq!((found.mode, found.uid, found.gid), (0o755, 0, 0));
        assert_eq!((found.mtime.seconds, found.mtime.nanos), (1234, 5), "the first child's");
        assert_eq!(tree.is_implied(row), Ok(true));
    }
    // Described afterwards, it is no second entry of that name.
    let described = vec![file("a/b"), Item { mode: 0o700, ..dir("a") }];
    assert_eq!(list(&[described]), ["a/", "a/b"]);
}

#[test]
fn union_symlinked_parent_is_followed_inside_the_root() {
    let real = || vec![file("usr/lib/old"), file("etc/x")];
    for text in
        ["usr/lib", "/usr/lib", "../../usr/lib", "./usr//lib/", "etc/../usr/lib", "no/../usr/lib"]
    {
        let lower = [real(), vec![symlink("l", text)]].concat();
        let link = format!("l -> {text}");
        let warned = "1 l/new SymlinkParent";
        let found = list(&[lower, vec![file("l/new"), file("l/more")]]);
        let tree = ["usr/", "usr/lib/", "usr/lib/more", "usr/lib/new", "usr/lib/old", warned];
        assert_eq!(found, [&["etc/", "etc/x", &link][..], &tree].concat(), "{text}");
    }
}

#[test]
fn union_symlinked_parent_of_a_whiteout_is_followed() {
    let lower = vec![symlink("l", "d"), file("d/a"), file("d/b")];
    let found = list(&[lower, vec![empty("l/.wh.a")]]);
    assert_eq!(found, ["d/", "d/b", "l -> d", "1 l/.wh.a SymlinkParent"]);
}

#[test]
fn union_last_component_is_literal() {
    let lower = vec![symlink("l", "d"), file("d/a")];
    assert_eq!(list(&[lower.clone(), vec![empty(".wh.l")]]), ["d/", "d/a"]);
    assert_eq!(list(&[lower.clone(), vec![file("l")]]), ["d/", "d/a", "l"]);
    assert_eq!(list(&[lower, vec![symlink("l", "x")]]), ["d/", "d/a", "l -> x"]);
}

#[test]
fn union_missing_target_of_a_symlinked_parent_is_made() {
    let found = list(&[vec![symlink("l", "/a/b")], vec![file("l/x")]]);
    assert_eq!(found, ["a/", "a/b/", "a/b/x", "l -> /a/b", "1 l/x SymlinkParent"]);
}

#[test]
fn union_directory_over_a_symlink_replaces_the_link() {
    let lower = vec![symlink("l", "d"), file("d/a")];
    assert_eq!(list(&[lower, vec![dir("l"), file("l/b")]]), ["d/", "d/a", "l/", "l/b"]);
}

#[test]
fn union_symlink_loop_is_refused() {
    let lower = vec![symlink("a", "b"), symlink("b", "a/x")];
    for upper in [file("a/y"), empty("b/.wh.y"), crate::support::model::item::hard_link("z", "a/y")]
    {
        let message = refused(&[lower.clone(), vec![upper]]);
        assert!(message.ends_with("more than 40 symlinks on the way (a loop?)"), "{message}");
    }
    let chain = |links: u32| {
        let mut layer = vec![dir("l0")];
        layer.extend((0..links).map(|at| symlink(&format!("l{}", at + 1), &format!("l{at}"))));
        layer.push(file(&format!("l{links}/x")));
        [layer]
    };
    assert!(list(&chain(40)).contains(&"l0/x".to_owned()));
    refused(&chain(41));
}

#[test]
fn union_symlinked_parent_warns_once_a_layer_and_only_of_lower_links() {
    let lower = vec![symlink("l", "d"), symlink("m", "d"), dir("d")];
    let upper = vec![file("l/a"), file("x"), file("l/b"), empty("l/.wh.c"), file("m/e")];
    let warned: Vec<_> =
        list(&[lower, upper]).into_iter().filter(|line| line.ends_with("Parent")).collect();
    assert_eq!(warned, ["1 l/.wh.c SymlinkParent", "1 m/e SymlinkParent"]);
    let same = vec![symlink("l", "d"), file("l/a")];
    assert_eq!(list(&[same]), ["d/", "d/a", "l -> d"], "tar itself follows this one");
}

#[test]
fn union_lower_file_as_parent_becomes_a_directory() {
    for lower in [file("a"), Item::new("a", What::Fifo), Item::new("a", What::Char(1, 3))] {
        let found = list(&[vec![lower], vec![file("a/b/c")]]);
        assert_eq!(found, ["a/", "a/b/", "a/b/c", "1 a/b/c FileBecameDirectory"]);
    }
    let found = list(&[vec![symlink("l", "a/b"), file("a")], vec![file("l/c")]]);
    let warned = ["1 l/c SymlinkParent", "1 l/c FileBecameDirectory"];
    assert_eq!(found, [&["a/", "a/b/", "a/b/c", "l -> a/b"][..], &warned].concat());
}

#[test]
fn union_file_of_the_same_layer_as_parent_is_refused() {
    let message = refused(&[vec![file("a"), file("a/b")]]);
    assert_eq!(message, "layer 0: entry \"a/b\": its parent is a file of the same layer");
    refused(&[vec![dir("a")], vec![file("a"), file("a/b")]]);
    // Hidden by the layer, it is a parent like any other.
    assert_eq!(list(&[vec![file("a")], vec![file("a/b"), empty(".wh.a")]]), ["a/", "a/b"]);
}

#[test]
fn union_same_name_twice_the_last_wins() {
    let twice = vec![file("d/a"), symlink("d/a", "x")];
    assert_eq!(list(&[twice]), ["d/", "d/a -> x", "0 d/a DuplicateName"]);
    let directories =
        vec![Item { mode: 0o700, ..dir("d") }, file("d/a"), Item { mode: 0o711, ..dir("d") }];
    assert_eq!(list(std::slice::from_ref(&directories)), ["d/", "d/a", "0 d DuplicateName"]);
    assert_eq!(stat(&tree(&[directories]), "d").1.mode, 0o711);
    let replaced = vec![dir("d"), file("d/a"), file("d")];
    assert_eq!(list(&[replaced]), ["d", "0 d DuplicateName"]);
    let by_link = vec![symlink("l", "d"), file("d/a"), file("l/a")];
    assert_eq!(list(&[by_link]), ["d/", "d/a", "l -> d", "0 l/a DuplicateName"]);
    assert_eq!(list(&[vec![file("a")], vec![file("a")]]), ["a"], "once a layer is not twice");
}

#[test]
fn union_root_is_the_topmost_entry_for_it() {
    let root = |mode, uid| {
        let mut root = Item { mode, uid, mtime: (7, 8), ..dir("") };
        root.xattrs.insert(b"user.x".to_vec(), vec![1, 0, 10]);
        root
    };
    let layers =
        [vec![root(0o700, 1), file("a")], vec![file("b"), root(0o1777, 2)], vec![file("c")]];
    assert_eq!(list(&layers), ["a", "b", "c"]);
    let tree = tree(&layers);
    let (row, found) = stat(&tree, "");
    assert_eq!((found.mode, found.uid, found.mtime.nanos, found.links), (0o1777, 2, 8, 2));
    assert_eq!(tree.xattrs(row).unwrap(), [(&b"user.x"[..], &[1, 0, 10][..])]);
    assert_eq!(tree.layer(row), Ok(Some(1)));
    assert_eq!(list(&[vec![root(0o700, 1), root(0o701, 1)]]), ["0  DuplicateName"]);
}

#[test]
fn union_root_without_an_entry() {
    let found = stat(&tree(&[vec![file("a/b")]]), "").1;
    assert_eq!((found.mode, found.uid, found.gid, found.mtime.seconds), (0o755, 0, 0, 0));
    assert_eq!(list(&[]), [""; 0]);
}

#[test]
fn union_root_that_is_no_directory_is_refused() {
    let message = refused(&[vec![file("")]]);
    assert_eq!(message, "layer 0: entry \"\": the root is not a directory");
    refused(&[vec![symlink("", "a")]]);
    refused(&[vec![crate::support::model::item::hard_link("", "a")]]);
}

#[test]
fn union_character_device_zero_is_a_device() {
    let layers = [vec![file("a")], vec![Item::new("a", What::Char(0, 0))]];
    assert_eq!(list(&layers), ["a?", "1 a WhiteoutDevice"]);
}

#[test]
fn union_names_are_bytes() {
    let mut odd = file("x");
    odd.path = b"d\xff/\x1b[31m \xe2\x80".to_vec();
    assert_eq!(list(&[vec![odd]]), ["d\\xff/", "d\\xff/\\x1b[31m \\xe2\\x80"]);
}

#[test]
fn union_names_that_no_file_system_takes_are_refused() {
    for name in ["a".repeat(256), "d/".into(), "d/.".into(), "a\0".into(), "..".into()] {
        let error = build_entries([vec![entry(&file(&name), (0, 0))]]);
        assert!(error.unwrap_err().to_string().contains(": a name that is empty"), "{name:?}");
    }
    let long = "a".repeat(255);
    assert_eq!(list(&[vec![file(&long)]]), [long]);
    for text in [String::new(), "a".repeat(4096)] {
        let error = build_entries([vec![entry(&symlink("l", &text), (0, 0))]]);
        assert!(error.unwrap_err().to_string().contains("symlink text"), "{}", text.len());
    }
}
