//! Any gzip layout of a layer that is right: a random range is the sequential stream.
#![no_main]

#[path = "../../tests/hostile/check.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check::gzip(bytes));
