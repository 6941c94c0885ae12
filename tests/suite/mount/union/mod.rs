//! Images of any layers, pulled and mounted by the program, against the reference model.
//!
//! The same items as in tests/union, this time as real tars in a real layout, seen through the
//! kernel. Needs root and /dev/fuse.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod compare;

use crate::support::figures;
use crate::support::model;
use crate::support::require;
use std::path::Path;

use crate::support::item_image::{Packing, tar_of, write_image, write_index};
use crate::support::model::item::{dir, empty, file, hard_link, item, prune, symlink};
use crate::support::model::{Item, What};
use crate::support::real_parts::{Mounted, TestDir};
use compare::differences;
use proptest::prelude::*;

/// Mounts an image of `layers` and gives the mounted directory to `look`.
fn mounted<T>(layers: &[Vec<Item>], look: impl FnOnce(&Path) -> T) -> T {
    let (store, layout) = (TestDir::quick("store"), TestDir::quick("layout"));
    let tars: Vec<Vec<u8>> = layers.iter().map(|layer| tar_of(layer)).collect();
    write_index(&layout.path, &[write_image(&layout.path, "it", &tars, Packing::Mixed)]);
    let mounted = Mounted::new(&store, &format!("oci:{}:it", layout.path.display()));
    look(&mounted.dir)
}

/// Mounts an image of `layers`, which the model takes, and compares.
fn check(layers: &[Vec<Item>]) {
    let expected = model::apply(layers).unwrap();
    let found = mounted(layers, |root| differences(&expected, root));
    assert!(found.is_empty(), "{layers:#?}\n{}", found.join("\n"));
}

/// What a tar can say: an empty PAX value means that there is none. Some files get a size that
/// takes more than one request to read.
fn writable(mut item: Item) -> Item {
    item.xattrs.retain(|_, value| !value.is_empty());
    // An entry that is hidden may be a link to anything, but a tar's link has a target.
    if let What::HardLink(target) | What::Symlink(target) = &mut item.what
        && target.is_empty()
    {
        target.push(b'.');
    }
    if let What::File(bytes) = &mut item.what
        && bytes.len() == 3
    {
        let length = 1000 + 2000 * usize::from(bytes[0]);
        *bytes = (0..length).map(|at| ((at * at) >> 5) as u8).collect();
    }
    item
}

fn layers() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let entry = proptest::array::uniform8(any::<u8>()).prop_map(item).prop_map(writable);
    proptest::collection::vec(proptest::collection::vec(entry, 0..=20), 1..=5)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, max_shrink_iters: 200, ..Default::default()
    })]

    #[test]
    fn mounted_union_equals_the_model(mut layers in layers()) {
        let Some(_alone) = require::can_mount() else { return Ok(()) };
        prune(&mut layers);
        check(&layers);
        figures::count("property cases mounted", 1);
    }
}

/// One of every kind of node over two layers.
fn everything() -> Vec<Vec<Item>> {
    let mut capable = Item { mode: 0o4755, mtime: (-2, 500_000_000), ..file("d/a") };
    let capability = [&[1, 0, 0, 2, 0, 32][..], &[0; 14]].concat();
    capable.xattrs.insert(b"security.capability".to_vec(), capability);
    let lower = vec![
        Item { mode: 0o1777, uid: 7, ..dir("") },
        dir("d"),
        capable,
        hard_link("e/b", "d/a"),
        hard_link("gone", "d/a"),
        symlink("l", "d/../e"),
        file("d/old"),
        Item::new("null", What::Char(1, 3)),
        Item::new("disk", What::Block(259, 4095)),
        Item::new("pipe", What::Fifo),
    ];
    let upper = vec![writable(Item::new("l/new", What::File(vec![40; 3]))), empty(".wh.gone")];
    vec![lower, upper, vec![file("d/c"), empty("d/.wh..wh..opq")], vec![hard_link("x", "e/b")]]
}

#[test]
fn mounted_union_of_everything() {
    let Some(_alone) = require::can_mount() else { return };
    check(&everything());
}

/// What the property tests found, here or in tests/union.
#[test]
fn mounted_union_of_what_was_found() {
    let Some(_alone) = require::can_mount() else { return };
    check(&[vec![symlink("c", "a")], vec![empty("c/a")]]);
    // A whiteout that is a link to nothing at all.
    check(&[vec![file("a"), file("b")], vec![hard_link(".wh.a", ""), symlink(".wh.b", "")]]);
}

/// The comparison is worth as much as what it can see: a model that is wrong in one thing each.
#[test]
fn mounted_union_comparison_sees_each_kind_of_difference() {
    let Some(_alone) = require::can_mount() else { return };
    type Change = fn(&mut Vec<Vec<Item>>);
    let changes: [(&str, Change); 12] = [
        ("mode", |layers| layers[0][1].mode ^= 1),
        ("owner", |layers| layers[3][0].uid += 1),
        ("mtime", |layers| layers[0][5].mtime.1 += 1),
        ("xattrs", |layers| layers[0][5].xattrs.extend([(vec![b'u'], vec![1])])),
        ("link text", |layers| layers[0][5].what = What::Symlink(b"d/../d".to_vec())),
        ("device", |layers| layers[0][8].what = What::Block(259, 4096)),
        ("type", |layers| layers[0][9].what = What::File(Vec::new())),
        ("bytes", |layers| layers[2][0].what = What::File(b"bytez".to_vec())),
        ("inodes with its number", |layers| layers[3][0] = file("x")),
        ("inode number", |layers| layers[2][0] = hard_link("d/c", "e/b")),
        ("absent name", |layers| layers[2][0] = file("d/b")),
        ("list in 32 bytes", |layers| drop(layers[1].pop())),
    ];
    let layers = everything();
    let models = changes.map(|(what, change)| {
        let mut layers = layers.clone();
        change(&mut layers);
        (what, model::apply(&layers).unwrap())
    });
    mounted(&layers, |root| {
        for (what, model) in &models {
            let found = differences(model, root);
            let seen = found.iter().any(|line| line.contains(&format!(": {what}: ")));
            assert!(seen, "{what} is not among {found:#?}");
        }
    });
}
