//! Limits of a layer: at each limit it is taken, one past it is refused.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(missing_docs)]

use crate::support::streams;
use crate::support::streams::{expected, scan_as};
use shalefs::layer::{Limits, ScanError, tar};

#[test]
fn limits_are_as_documented() {
    let limits = Limits::default();
    let tar = tar::Limits { entries: 10_000_000, extension: 1 << 20, xattrs: 64 << 10 };
    assert_eq!(limits.tar, tar);
    assert_eq!((limits.unpacked, limits.ratio, limits.ratio_from), (64 << 30, 1000, 64 << 20));
    assert_eq!((limits.window, Limits::HIGHEST.window), (128 << 20, 2 << 30));
}

/// What a scan of `bytes`, which unpack to `tar`, says within `limits`.
fn scanned(bytes: &[u8], tar: &[u8], limits: &Limits) -> Result<(), ScanError> {
    scan_as(bytes, &expected(bytes, tar), limits).map(drop)
}

#[test]
fn unpacked_bytes_at_the_limit_and_one_past() {
    let tar = streams::tar(1, 100_000);
    for bytes in [tar.clone(), streams::gzip(6, &tar), streams::zstd_frame(1, &tar)] {
        let limits = |unpacked| Limits { unpacked, ..Limits::default() };
        scanned(&bytes, &tar, &limits(tar.len() as u64)).expect("at the limit");
        let error = scanned(&bytes, &tar, &limits(tar.len() as u64 - 1)).expect_err("one past");
        assert!(matches!(error, ScanError::Unpacked { .. }), "{error}");
    }
}

/// The ratio is looked at while bytes come out, so an even stream is needed to stay just below it.
#[test]
fn ratio_at_the_limit_and_one_past() {
    let tar = vec![0; 3 << 20];
    let bytes = streams::gzip(9, &tar);
    let (long, short) = (tar.len() as u64, bytes.len() as u64);
    let limits = |ratio, ratio_from| Limits { ratio, ratio_from, ..Limits::default() };
    scanned(&bytes, &tar, &limits(long.div_ceil(short) + 10, 4096)).expect("below the limit");
    let past = scanned(&bytes, &tar, &limits(long / (short + 1), 4096)).expect_err("past it");
    assert!(matches!(past, ScanError::Ratio { .. }), "{past}");
    scanned(&bytes, &tar, &limits(1, long)).expect("all of it is free of the ratio");
    scanned(&bytes, &tar, &limits(1, long - 1)).expect_err("one byte is not");
}

/// A zstd frame with this window descriptor that holds `bytes` as they are.
fn frame_of_window(descriptor: u8, bytes: &[u8]) -> Vec<u8> {
    let block = (bytes.len() as u32) << 3 | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, descriptor][..], &block.to_le_bytes()[..3], bytes].concat()
}

#[test]
fn zstd_window_at_the_limit_and_one_past() {
    let tar = streams::tar(2, 20_000);
    // 2^(10 + exponent), and eighths of that in the mantissa.
    let (at, past) = (17 << 3, 17 << 3 | 1);
    scanned(&frame_of_window(at, &tar), &tar, &Limits::default()).expect("128 MiB");
    let error = scanned(&frame_of_window(past, &tar), &tar, &Limits::default());
    let error = error.expect_err("144 MiB").to_string();
    assert!(error.contains("134217728"), "{error}");
    let limits = |window| Limits { window, ..Limits::default() };
    scanned(&frame_of_window(past, &tar), &tar, &limits(144 << 20)).expect("raised as far");
    scanned(&frame_of_window(past, &tar), &tar, &limits((144 << 20) - 1)).expect_err("not as far");
    let (highest, more) = (21 << 3, 21 << 3 | 1);
    scanned(&frame_of_window(highest, &tar), &tar, &Limits::HIGHEST).expect("2 GiB");
    let error = scanned(&frame_of_window(more, &tar), &tar, &limits(u64::MAX));
    assert!(error.expect_err("no further").to_string().contains("2147483648"));
    scanned(&frame_of_window(0, &tar), &tar, &limits(0)).expect_err("any is too much");
}
