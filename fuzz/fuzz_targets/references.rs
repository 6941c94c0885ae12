//! Any bytes as the name of an image, a digest or a platform.
#![no_main]

#[path = "../../tests/hostile/check.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check::reference(bytes));
