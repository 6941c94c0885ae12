//! Any changes to a table whose checks are then made right again: whatever is asked, no panic and
//! an end.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../tests/union/compare.rs"]
mod compare;
#[path = "../../tests/union/damage.rs"]
mod damage;
#[path = "../../tests/union/format.rs"]
mod format;
#[path = "../../tests/model/mod.rs"]
mod model;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TABLE: LazyLock<Vec<u8>> =
    LazyLock::new(|| compare::build(&damage::layers()).expect("layers that make a tree"));

fuzz_target!(|bytes: &[u8]| {
    let mut table = TABLE.clone();
    for [low, high, value] in bytes.as_chunks::<3>().0 {
        let at = usize::from(u16::from_le_bytes([*low, *high]));
        let end = table.len();
        table[at % end] = *value;
    }
    damage::ask_forged(&mut table, &TABLE);
});
