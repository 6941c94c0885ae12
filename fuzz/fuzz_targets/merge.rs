//! Any bytes as layers: the merge, its table and the reference model must agree on the tree, or on
//! the entry that is refused and why.
#![no_main]
#![allow(dead_code)]

#[path = "../../tests/union/compare.rs"]
mod compare;
#[path = "../../tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut layers = model::item::from_bytes(bytes);
    compare::compare(&layers);
    model::item::prune(&mut layers);
    compare::compare(&layers);
});
