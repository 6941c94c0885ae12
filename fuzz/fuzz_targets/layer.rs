//! Any bytes as a layer's blob: an error, or a tree and spans that are the stream.
#![no_main]

#[path = "../../tests/hostile/check.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check::layer(bytes));
