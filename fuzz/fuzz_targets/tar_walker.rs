//! Any bytes as an archive: the same check that the tests replay on damaged archives.
//!
//! A fuzzer can hardly guess a checksum, so its bytes are tried a second time with those mended.
#![no_main]
#![allow(dead_code)]

#[path = "../../tests/tar_walker/check.rs"]
mod check;
#[path = "../../tests/tar_walker/walk.rs"]
mod walk;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check::check(bytes);
    let mut mended = bytes.to_vec();
    check::mend_checksums(&mut mended);
    check::check(&mended);
});
