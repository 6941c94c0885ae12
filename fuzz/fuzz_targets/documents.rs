//! Any bytes as a manifest, a list and a config.
#![no_main]

#[path = "../../tests/hostile/check.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check::document(bytes));
