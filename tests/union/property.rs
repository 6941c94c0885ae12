//! The union against the reference model: any layers give the same tree, or the same refusal.

use proptest::prelude::*;

use crate::compare::compare;
use crate::figures;
use crate::model::Item;
use crate::model::item::{item, prune};

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
