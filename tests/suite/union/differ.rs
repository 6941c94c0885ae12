//! Two trees compared from their tables, against the models of both compared path by path.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shalefs::limits::Limits;
use shalefs::oci::{ChainId, Digest};
use shalefs::tree::diff::{Aspects, diff};
use shalefs::tree::{ImageTree, Merger, TableError, Whiteouts, table};

use super::compare::entry;
use crate::support::model::item::{item, prune};
use crate::support::model::{self, Item, Tree};

fn tree(layers: &[Vec<Item>], key: &str) -> ImageTree {
    let mut merger = Merger::new(Limits::DEFAULT);
    for (number, layer) in layers.iter().enumerate() {
        let entries: Vec<_> =
            layer.iter().enumerate().map(|(at, item)| entry(item, (number, at))).collect();
        let entries = || Ok::<_, std::convert::Infallible>(entries.iter().map(Ok));
        merger.layer(Whiteouts::Possible, entries).unwrap();
    }
    let chain = ChainId(Digest::sha256(key.as_bytes()));
    let mut file = tempfile::tempfile().unwrap();
    table::write(&merger.finish(), chain, &mut file).unwrap();
    ImageTree::open(file, chain).unwrap()
}

type Found = BTreeMap<Vec<u8>, (bool, bool, Aspects)>;

fn found(a: &ImageTree, b: &ImageTree) -> Found {
    let mut found = Found::new();
    let mut order: Vec<Vec<Vec<u8>>> = Vec::new();
    diff(a, b, |difference| {
        let parts = difference.path.split(|&byte| byte == b'/').map(<[u8]>::to_vec);
        order.push(parts.collect());
        let sides = (difference.before.is_some(), difference.after.is_some());
        found.insert(difference.path.to_vec(), (sides.0, sides.1, difference.aspects));
        Ok::<_, TableError>(())
    })
    .unwrap();
    assert!(order.is_sorted(), "names in order, parents first");
    assert_eq!(order.len(), found.len());
    found
}

fn aspects(a: &Item, b: &Item) -> Aspects {
    let kind = std::mem::discriminant(&a.what) != std::mem::discriminant(&b.what);
    Aspects {
        kind,
        content: !kind && a.what != b.what,
        mode: a.mode != b.mode,
        owner: (a.uid, a.gid) != (b.uid, b.gid),
        xattrs: a.xattrs != b.xattrs,
        mtime: a.mtime != b.mtime,
    }
}

fn expected(a: &Tree, b: &Tree) -> Found {
    let paths: BTreeSet<&Vec<u8>> = a.names.keys().chain(b.names.keys()).collect();
    let node = |tree: &Tree, path: &Vec<u8>| {
        tree.names.get(path).map(|name| tree.inodes[name.inode].item.clone())
    };
    let mut expected = Found::new();
    for path in paths {
        let (one, other) = (node(a, path), node(b, path));
        let sides = (one.is_some(), other.is_some());
        let differs = one.zip(other).map(|(one, other)| aspects(&one, &other));
        if differs.is_none_or(|aspects| aspects.any(true)) {
            expected.insert(path.clone(), (sides.0, sides.1, differs.unwrap_or_default()));
        }
    }
    expected
}

fn layers() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let entry = proptest::array::uniform8(any::<u8>()).prop_map(item);
    proptest::collection::vec(proptest::collection::vec(entry, 0..=20), 1..=3)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn diff_equals_the_models_compared(mut one in layers(), mut other in layers()) {
        prune(&mut one);
        prune(&mut other);
        let models = (model::apply(&one).unwrap(), model::apply(&other).unwrap());
        let trees = (tree(&one, "one"), tree(&other, "other"));
        prop_assert_eq!(found(&trees.0, &trees.1), expected(&models.0, &models.1));
        prop_assert_eq!(found(&trees.0, &tree(&one, "the same again")), Found::new());
    }

    /// An image and its base: most of both is the same.
    #[test]
    fn diff_of_an_image_and_its_base(mut layers in layers()) {
        prune(&mut layers);
        let base = &layers[..layers.len() - 1];
        let models = (model::apply(base).unwrap(), model::apply(&layers).unwrap());
        let found = found(&tree(base, "base"), &tree(&layers, "image"));
        prop_assert_eq!(found, expected(&models.0, &models.1));
    }
}
