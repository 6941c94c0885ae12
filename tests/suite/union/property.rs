//! The union against the reference model: any layers give the same tree, or the same refusal.

use proptest::prelude::*;

use super::compare::{compare, compare_with};
use crate::support::figures;
use crate::support::model::Item;
use crate::support::model::item::{dir, empty, file, hard_link, item, prune, symlink};

/// One to five layers of up to twenty entries.
fn layers() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let entry = proptest::array::uniform8(any::<u8>()).prop_map(item);
    proptest::collection::vec(proptest::collection::vec(entry, 0..=20), 1..=5)
}

proptest! {
    // 256 cases, more with PROPTEST_CASES.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Most of these are refused at some entry: the same one for the same reason.
    #[test]
    fn union_equals_the_model(layers in layers()) {
        figures::count("property cases", 1);
        compare(&layers);
    }

    /// Without the entries that are refused, so that all layers are merged.
    #[test]
    fn union_equals_the_model_when_nothing_is_refused(mut layers in layers()) {
        prune(&mut layers);
        figures::count("property cases", 1);
        compare(&layers);
    }
}

/// The comparison is worth as much as what it can see: layers that differ in one thing each.
#[test]
fn union_comparison_sees_each_kind_of_difference() {
    let lower = || vec![dir("d"), file("d/a"), hard_link("h", "d/a"), symlink("l", "d")];
    let layers = || vec![lower(), vec![file("l/b"), empty("d/.wh.a"), dir("e"), file("e/x")]];
    compare(&layers());
    let changes: [fn(&mut Vec<Vec<Item>>); 12] = [
        |layers| layers[0][0].mode ^= 1,
        |layers| layers[0][2].gid += 1,
        |layers| layers[0][3].mtime.1 += 1,
        |layers| drop(layers[0][0].xattrs.insert(b"user.a".to_vec(), b"1".to_vec())),
        |layers| layers[0][3] = symlink("l", "./d"),
        |layers| layers[0][2] = file("h"),
        |layers| layers[1][0] = file("d/b"),
        |layers| layers[1][1] = file("d/.wh.a"),
        |layers| drop(layers[1].remove(1)),
        |layers| drop(layers[1].remove(2)),
        |layers| layers[1][3] = file("e/y"),
        |layers| layers[1].push(empty(".wh.")),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut other = layers();
        change(&mut other);
        let seen = std::panic::catch_unwind(|| compare_with(&layers(), &other)).is_err();
        assert!(seen, "change {number} was not seen");
    }
}
