//! Bounds of a layer: at each one it is taken, one past it is refused; and the table of all bounds is
//! the one that SEMANTICS.md shows.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(missing_docs)]

use std::cell::Cell;
use std::io::{self, Read};

use crate::support::streams;
use crate::support::streams::{expected, scan_as};
use shalefs::layer::{Expected, ScanError};
use shalefs::limits::{Exceeded, Limit, Limits, RATIO_FREE, Unit};
use shalefs::oci::Digest;

/// A number of the table as the page writes it.
fn shown(number: u64, unit: Unit) -> String {
    let binary = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = binary.into_iter().find(|(shift, _)| number >> shift << shift == number);
    match (number, unit, whole) {
        (u64::MAX, ..) => "none".to_owned(),
        (0xffff_ffff, Unit::Bytes, _) => "4 GiB".to_owned(),
        (_, Unit::Bytes, Some((shift, name))) => format!("{} {name}", number >> shift),
        _ => {
            let digits = number.to_string();
            let groups = digits.as_bytes().rchunks(3).rev();
            let groups: Vec<_> = groups.map(|group| String::from_utf8_lossy(group)).collect();
            groups.join(",")
        }
    }
}

#[test]
fn limits_are_as_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/SEMANTICS.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = |row: &str| row.split('|').take(5).map(|cell| cell.trim().to_owned()).collect();
    let documented: Vec<Vec<String>> = rows.map(cells).collect();
    let row = |&limit: &Limit| {
        let values = [Limits::DEFAULT, Limits::HIGHEST].map(|limits| limits.get(limit));
        let [default, highest] = values.map(|value| shown(value, limit.unit()));
        let meaning = limit.meaning().trim_end_matches('.').to_owned();
        vec![String::new(), format!("`{}`", limit.name()), default, highest, meaning]
    };
    let table: Vec<Vec<String>> = Limit::ALL.iter().map(row).collect();
    assert_eq!(documented, table, "SEMANTICS.md shows src/limits.rs");
}

#[test]
fn limits_are_named_and_set_by_name() {
    for &limit in Limit::ALL {
        assert_eq!(Limit::of(limit.name()), Some(limit));
        let said = Exceeded { limit, most: 12_345 }.to_string();
        assert!(said.contains("12345") && said.ends_with(&format!(" (limit `{}`)", limit.name())));
        let mut limits = Limits::DEFAULT;
        limits.set(limit, 17);
        assert_eq!((limits.get(limit), limits.hold(limit, 17)), (17, Ok(())));
        assert_eq!(limits.hold(limit, 18), Err(Exceeded { limit, most: 17 }));
        let others = Limit::ALL.iter().filter(|other| **other != limit);
        assert!(others.into_iter().all(|other| limits.get(*other) == Limits::DEFAULT.get(*other)));
        limits.set(limit, u64::MAX);
        assert_eq!(limits.get(limit), Limits::HIGHEST.get(limit));
    }
    assert_eq!(Limit::of("size"), None);
}

/// What a scan of `bytes`, which unpack to `tar`, says within `limits`.
fn scanned(bytes: &[u8], tar: &[u8], limits: &Limits) -> Result<(), ScanError> {
    scan_as(bytes, &expected(bytes, tar), limits).map(drop)
}

/// The bound that refuses a layer.
#[track_caller]
fn refused(result: Result<(), ScanError>) -> Exceeded {
    let error = result.expect_err("past the bound");
    Exceeded::behind(&error).unwrap_or_else(|| panic!("another error: {error}"))
}

#[test]
fn compressed_bytes_at_the_limit_and_one_past() {
    let tar = streams::tar(1, 1000);
    let size = tar.len() as u64;
    scanned(&tar, &tar, &Limits { blob: size, ..Limits::DEFAULT }).expect("at the limit");
    let past = scanned(&tar, &tar, &Limits { blob: size - 1, ..Limits::DEFAULT });
    assert_eq!(refused(past), Exceeded { limit: Limit::Blob, most: size - 1 });
}

#[test]
fn unpacked_bytes_at_the_limit_and_one_past() {
    let tar = streams::tar(1, 100_000);
    for bytes in [tar.clone(), streams::gzip(6, &tar), streams::zstd_frame(1, &tar)] {
        let limits = |unpacked| Limits { unpacked, ..Limits::DEFAULT };
        scanned(&bytes, &tar, &limits(tar.len() as u64)).expect("at the limit");
        let past = scanned(&bytes, &tar, &limits(tar.len() as u64 - 1));
        assert_eq!(refused(past).limit, Limit::Unpacked);
    }
}

/// A tar of one file of `length` bytes, all the same.
fn tar_of_one_byte(byte: u8, length: usize) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("f").expect("a short name");
    header.set_size(length as u64);
    header.set_cksum();
    let mut tar = [header.as_bytes().as_slice(), &vec![byte; length]].concat();
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

/// The ratio is looked at while bytes come out, so an even stream is needed to stay just below it.
#[test]
fn ratio_at_the_limit_and_one_past() {
    let free = RATIO_FREE as usize;
    let tar = tar_of_one_byte(b'a', free + (4 << 20));
    let bytes = streams::gzip(9, &tar);
    let ratio = tar.len() as u64 / bytes.len() as u64;
    let limits = |ratio| Limits { ratio, ..Limits::DEFAULT };
    scanned(&bytes, &tar, &limits(ratio + 10)).expect("below the limit");
    assert_eq!(refused(scanned(&bytes, &tar, &limits(ratio - 10))).limit, Limit::Ratio);
    // The header and the end are no run of zeros: all but the last block of the file is free.
    for (length, taken) in [(free - 1024, true), (free + 1024, false)] {
        let tar = tar_of_one_byte(b'a', length);
        let result = scanned(&streams::gzip(9, &tar), &tar, &limits(1));
        assert_eq!(result.is_ok(), taken, "{length}: {result:?}");
    }
}

/// lastlog, swap files and databases made ahead: honest images are full of zeros.
#[test]
fn runs_of_zeros_are_no_bomb() {
    let zeros = tar_of_one_byte(0, 80 << 20);
    let ones = tar_of_one_byte(1, 80 << 20);
    for pack in [|tar: &[u8]| streams::gzip(9, tar), |tar: &[u8]| streams::zstd_frame(3, tar)] {
        let (bytes, bomb) = (pack(&zeros), pack(&ones));
        assert!(zeros.len() / bytes.len() > 1000, "{}", bytes.len());
        scanned(&bytes, &zeros, &Limits::DEFAULT).expect("zeros");
        assert_eq!(refused(scanned(&bomb, &ones, &Limits::DEFAULT)).limit, Limit::Ratio);
        let limits = Limits { unpacked: 79 << 20, ..Limits::DEFAULT };
        assert_eq!(refused(scanned(&bytes, &zeros, &limits)).limit, Limit::Unpacked);
    }
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
    scanned(&frame_of_window(at, &tar), &tar, &Limits::DEFAULT).expect("128 MiB");
    let past_default = scanned(&frame_of_window(past, &tar), &tar, &Limits::DEFAULT);
    assert_eq!(refused(past_default), Exceeded { limit: Limit::Window, most: 128 << 20 });
    let limits = |window| Limits { window, ..Limits::DEFAULT };
    scanned(&frame_of_window(past, &tar), &tar, &limits(144 << 20)).expect("raised as far");
    scanned(&frame_of_window(past, &tar), &tar, &limits((144 << 20) - 1)).expect_err("not as far");
    let (highest, more) = (21 << 3, 21 << 3 | 1);
    scanned(&frame_of_window(highest, &tar), &tar, &Limits::HIGHEST).expect("2 GiB");
    let most = refused(scanned(&frame_of_window(more, &tar), &tar, &limits(u64::MAX))).most;
    assert_eq!(most, 2 << 30, "no further");
    scanned(&frame_of_window(0, &tar), &tar, &limits(0)).expect_err("any is too much");
}

/// A stream that goes on as long as somebody reads, and counts how long that is.
struct Endless<'a> {
    start: &'a [u8],
    again: &'a [u8],
    at: usize,
    given: &'a Cell<u64>,
}

impl Read for Endless<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        for byte in out.iter_mut() {
            let repeated = self.at.checked_sub(self.start.len());
            *byte = match repeated {
                None => self.start[self.at],
                Some(at) => self.again[at % self.again.len()],
            };
            self.at += 1;
        }
        self.given.set(self.given.get() + out.len() as u64);
        Ok(out.len())
    }
}

/// What a stream without an end is called, begins with and repeats, and the limit that ends it.
type Case<'a> = (&'a str, &'a [u8], &'a [u8], Option<Limit>);

#[test]
fn streams_without_an_end_end_early() {
    let tar = streams::tar(3, 10_000);
    let (packed, empty) = (streams::gzip(6, &tar), streams::gzip(6, b""));
    let frames = [streams::zstd_frame(3, &tar), streams::skippable(b"what nobody reads")];
    let named = [0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
    let bare = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let nothing = tar_of_one_byte(b'x', 10);
    let (bzip2, xz) = (streams::bzip2(b""), streams::xz(b""));
    let cases: [Case<'_>; 13] = [
        ("a name in a gzip header", &named, b"n", Some(Limit::Overhead)),
        ("empty gzip members", &empty, &empty, Some(Limit::Overhead)),
        ("empty gzip members after a tar", &packed, &empty, Some(Limit::Overhead)),
        ("empty stored blocks", &bare, &[0, 0, 0, 0xff, 0xff], Some(Limit::Overhead)),
        ("skippable frames", &frames[1], &frames[1], Some(Limit::Overhead)),
        ("skippable frames after a tar", &frames[0], &frames[1], Some(Limit::Overhead)),
        ("one skippable frame", b"\x50\x2a\x4d\x18\xff\xff\xff\xff", b"s", Some(Limit::Overhead)),
        ("padding after the last member", &packed, &[0], Some(Limit::Overhead)),
        ("empty bzip2 streams", &bzip2, &bzip2, Some(Limit::Overhead)),
        ("empty xz streams", &xz, &xz, Some(Limit::Overhead)),
        ("bytes after the end of a plain tar", &nothing, b"t", Some(Limit::Trailing)),
        ("zeros after the end of a plain tar", &nothing, &[0], Some(Limit::Trailing)),
        ("garbage after the last member", &packed, b"g", None),
    ];
    let limits = Limits { overhead: 1 << 20, trailing: 1 << 20, ..Limits::DEFAULT };
    for (what, start, again, limit) in cases {
        let given = Cell::new(0);
        let reader = Endless { start, again, at: 0, given: &given };
        let expected = Expected { digest: Digest::sha256(b""), size: 60 << 30, diff_id: None };
        let error = scan_as(reader, &expected, &limits).err().expect(what);
        assert_eq!(Exceeded::behind(&error).map(|found| found.limit), limit, "{what}: {error}");
        assert!(error.is_refusal(), "{what}: {error}");
        // The bound, and what is on its way through the threads.
        assert!(given.get() < 10 << 20, "{what}: {} bytes were read", given.get());
    }
}

/// A header's name that fills what is allowed to the byte.
#[test]
fn overhead_at_the_limit_and_one_past() {
    let tar = streams::tar(4, 3000);
    let packed = streams::gzip(6, &tar);
    let with_name = |length: usize| {
        let name = [&[0x1f, 0x8b, 8, 8][..], &packed[4..10], &vec![b'n'; length], &[0]].concat();
        [&name[..], &packed[10..]].concat()
    };
    // Nothing has come out yet when the header ends, and a byte of the first block is needed.
    let limits = Limits { overhead: 4096 + packed.len() as u64, ..Limits::DEFAULT };
    scanned(&with_name(4095), &tar, &limits).expect("at the limit");
    let limits = Limits { overhead: 4096, ..Limits::DEFAULT };
    assert_eq!(refused(scanned(&with_name(4096), &tar, &limits)).limit, Limit::Overhead);
    // What unpacks to more than half of itself is never beyond it.
    let noise = tar_of_one_byte(9, 100_000);
    let limits = Limits { overhead: 64, ..Limits::DEFAULT };
    scanned(&noise, &noise, &limits).expect_err("a stream begins with nothing unpacked");
    scanned(&noise, &noise, &Limits { overhead: 512 << 10, ..limits }).expect("a buffer");
}

/// Millions of streams of 14 bytes are walked through, not begun one by one.
#[test]
fn empty_streams_of_bzip2_are_passed_over() {
    let tar = streams::tar(5, 3000);
    let empty = streams::bzip2(b"");
    assert_eq!(empty.len(), 14);
    let bytes = [empty.repeat(1000), streams::bzip2(&tar), empty.repeat(1000)].concat();
    scanned(&bytes, &tar, &Limits::DEFAULT).expect("empty streams are fine");
    for wrong in [9, 13] {
        let mut bytes = bytes.clone();
        bytes[14 + wrong] ^= 1;
        scanned(&bytes, &tar, &Limits::DEFAULT).expect_err("a stream that is not right");
    }
    scanned(&bytes[..bytes.len() - 1], &tar, &Limits::DEFAULT).expect_err("cut off");
}
