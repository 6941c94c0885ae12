//! Any bytes as WWW-Authenticate, Content-Range and Link.
#![no_main]

#[path = "../../tests/hostile/check.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check::header(bytes));
