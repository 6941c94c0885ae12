//! Odd images, one oddity each, with a name for the table of accepted differences.
//!
//! Each is an image that is right (no tool has to refuse it by the specification); what is wrong with an
//! image is for tests/union to say.

use crate::support::model::item::{dir, empty, file, hard_link, symlink};
use crate::support::model::{Item, What};

/// An image's name and its layers, bottom first.
pub type Case = (&'static str, Vec<Vec<Item>>);

/// What is below most of the others.
fn base() -> Vec<Item> {
    vec![
        dir(""),
        Item { mode: 0o750, uid: 5, ..dir("d") },
        file("d/a"),
        file("d/b"),
        dir("d/e"),
        file("d/e/f"),
        symlink("l", "d"),
    ]
}

/// An upper layer as real tools write it, with an entry for the root.
fn above_the_base(items: Vec<Item>) -> Vec<Vec<Item>> {
    vec![base(), [vec![dir("")], items].concat()]
}

fn text(path: &str, text: &str) -> Item {
    Item::new(path, What::File(text.into()))
}

/// Layers that hide.
fn whiteouts() -> Vec<Case> {
    let upper = above_the_base;
    vec![
        ("whiteout-of-a-file", upper(vec![dir("d"), empty("d/.wh.a")])),
        ("whiteout-of-a-directory", upper(vec![empty(".wh.d")])),
        ("whiteout-of-a-link", upper(vec![empty(".wh.l")])),
        ("whiteout-before-its-name", upper(vec![dir("d"), empty("d/.wh.a"), text("d/a", "new")])),
        ("whiteout-after-its-name", upper(vec![dir("d"), text("d/a", "new"), empty("d/.wh.a")])),
        ("whiteout-then-another-kind", upper(vec![empty(".wh.d"), text("d", "a file")])),
        ("whiteout-then-children", upper(vec![empty(".wh.d"), dir("d"), file("d/new")])),
        ("children-then-whiteout", upper(vec![dir("d"), file("d/new"), empty(".wh.d")])),
        ("whiteout-of-nothing", upper(vec![empty(".wh.x"), empty("d/.wh.y")])),
        ("whiteout-below-nothing", upper(vec![empty("x/y/.wh.z")])),
        ("whiteout-in-the-lowest-layer", vec![[base(), vec![empty("d/.wh.a")]].concat()]),
        ("whiteout-with-content", upper(vec![dir("d"), file("d/.wh.a")])),
        ("whiteout-that-is-a-link", upper(vec![dir("d"), hard_link("d/.wh.a", "d/b")])),
        ("whiteout-through-a-link", upper(vec![empty("l/.wh.a")])),
        ("opaque-first", upper(vec![dir("d"), empty("d/.wh..wh..opq"), file("d/new")])),
        ("opaque-last", upper(vec![dir("d"), file("d/new"), empty("d/.wh..wh..opq")])),
        ("opaque-alone", upper(vec![empty("d/.wh..wh..opq")])),
        ("opaque-at-the-root", vec![base(), vec![file("new"), empty(".wh..wh..opq")]]),
        ("opaque-above-new-children", upper(vec![file("d/e/new"), empty("d/.wh..wh..opq")])),
        ("aufs-leftovers", upper(vec![empty(".wh..wh.aufs"), dir(".wh..wh.plnk"), file("x")])),
    ]
}

/// Layers that put one thing over another.
fn places() -> Vec<Case> {
    let upper = above_the_base;
    vec![
        ("directory-over-directory", upper(vec![Item { mode: 0o1777, uid: 9, ..dir("d") }])),
        ("file-over-directory", upper(vec![file("d")])),
        ("directory-over-file", upper(vec![dir("d"), dir("d/a"), file("d/a/x")])),
        ("link-over-directory", upper(vec![symlink("d", "elsewhere")])),
        ("directory-over-link", upper(vec![dir("l"), file("l/x")])),
        ("device-over-file", upper(vec![dir("d"), Item::new("d/a", What::Char(1, 3))])),
        ("device-zero", upper(vec![dir("d"), Item::new("d/a", What::Char(0, 0))])),
        ("missing-parents", vec![vec![dir(""), file("a/b/c")], vec![dir(""), file("x/y/z")]]),
        ("unmentioned-directory", upper(vec![file("d/new")])),
        ("file-as-parent", vec![vec![dir(""), file("a")], vec![dir(""), file("a/b")]]),
        ("link-as-parent", upper(vec![file("l/new")])),
        (
            "absolute-link-as-parent",
            vec![vec![dir(""), dir("d"), symlink("m", "/d")], vec![dir(""), file("m/x")]],
        ),
        (
            "link-above-the-root",
            vec![vec![dir(""), dir("d"), symlink("m", "../../d")], vec![dir(""), file("m/x")]],
        ),
        (
            "dangling-link-as-parent",
            vec![vec![dir(""), symlink("m", "not/there")], vec![dir(""), file("m/x")]],
        ),
        (
            "root-twice",
            vec![
                vec![Item { mode: 0o700, ..dir("") }],
                vec![Item { mode: 0o1755, uid: 3, ..dir("") }],
            ],
        ),
        ("root-without-an-entry", vec![vec![file("a")]]),
        ("negative-times", vec![vec![dir(""), Item { mtime: (-2, 500_000_000), ..file("a") }]]),
        ("nanoseconds", vec![vec![dir(""), Item { mtime: (9, 123_456_789), ..file("a") }]]),
        (
            "special-bits",
            vec![vec![
                dir(""),
                Item { mode: 0o6755, ..file("a") },
                Item { mode: 0o3777, ..dir("t") },
            ]],
        ),
        (
            "nodes",
            vec![vec![
                dir(""),
                Item::new("null", What::Char(1, 3)),
                Item::new("disk", What::Block(259, 4095)),
                Item::new("pipe", What::Fifo),
            ]],
        ),
        (
            "names-that-are-no-text",
            vec![vec![dir(""), Item { path: b"\xff \x1b[31m\n".to_vec(), ..file("x") }]],
        ),
        ("xattrs", vec![vec![dir(""), with_xattrs(file("a")), with_xattrs(dir("b"))]]),
    ]
}

fn with_xattrs(mut item: Item) -> Item {
    item.xattrs.insert(b"user.a".to_vec(), b"line\nline\0".to_vec());
    let capability = [&[1, 0, 0, 2, 0, 32][..], &[0; 14]].concat();
    if item.what != What::Directory {
        item.xattrs.insert(b"security.capability".to_vec(), capability);
    }
    item
}

/// Names that stand twice, and hard links.
fn names() -> Vec<Case> {
    let upper = above_the_base;
    vec![
        ("file-twice", vec![vec![dir(""), text("a", "first"), text("a", "second")]]),
        (
            "directory-twice",
            vec![vec![dir(""), Item { mode: 0o700, ..dir("a") }, file("a/b"), dir("a")]],
        ),
        ("link-then-file", vec![vec![dir(""), file("b"), symlink("a", "b"), text("a", "new")]]),
        ("file-then-directory", vec![vec![dir(""), file("a"), dir("a"), file("a/b")]]),
        ("hard-links", vec![vec![dir(""), file("a"), hard_link("b", "a"), hard_link("c", "b")]]),
        ("hard-link-to-a-lower-file", upper(vec![hard_link("h", "d/a")])),
        (
            "hard-link-before-its-target-is-replaced",
            upper(vec![hard_link("h", "d/a"), dir("d"), text("d/a", "new")]),
        ),
        (
            "hard-link-to-a-link",
            vec![vec![dir(""), file("a"), symlink("l", "a"), hard_link("m", "l")]],
        ),
        (
            "hard-link-with-other-attributes",
            vec![vec![
                dir(""),
                file("a"),
                Item { mode: 0o600, mtime: (77, 0), ..hard_link("b", "a") },
            ]],
        ),
        (
            "hard-link-whose-target-is-hidden",
            upper(vec![dir("d"), hard_link("h", "d/a")])
                .into_iter()
                .chain([vec![dir(""), dir("d"), empty("d/.wh.a")]])
                .collect(),
        ),
    ]
}

/// All of them.
pub fn all() -> Vec<Case> {
    [whiteouts(), places(), names()].concat()
}
