//! The one pass: what it refuses, in which words, and that it always ends.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(missing_docs)]

use crate::support::streams;
use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::streams::{LAYOUTS, blob, expected, scan_as};
use shalefs::layer::{DecodeError, Expected, Outputs, ScanError, scan};
use shalefs::limits::Limits;
use shalefs::oci::{Algorithm, DiffId, Digest};

const MIB: usize = 1 << 20;

/// The error of scanning `bytes`, which are the blob that was asked for.
fn refused(bytes: &[u8]) -> ScanError {
    match scan_as(bytes, &expected_blob(bytes), &Limits::default()) {
        Ok(_) => panic!("taken"),
        Err(error) => error,
    }
}

fn expected_blob(bytes: &[u8]) -> Expected {
    Expected { digest: Digest::sha256(bytes), size: bytes.len() as u64, diff_id: None }
}

#[test]
fn what_the_manifest_and_config_say_is_checked() {
    let tar = Arc::new(streams::tar(1, 3 * MIB));
    for layout in [0, 1, 10, 14] {
        let bytes = &blob(layout, &tar).bytes;
        let right = expected(bytes, &tar);
        let limits = Limits::default();
        scan_as(&bytes[..], &right, &limits).expect("right");

        let shorter = Expected { size: right.size - 1, ..right.clone() };
        let error = scan_as(&bytes[..], &shorter, &limits).err().expect("too long");
        assert!(matches!(error, ScanError::Size { .. }), "{error}");

        let longer = Expected { size: right.size + 1, ..right.clone() };
        let error = scan_as(&bytes[..], &longer, &limits).err().expect("too short");
        assert!(matches!(error, ScanError::Size { got, .. } if got == right.size), "{error}");

        let other = Expected { digest: Digest::sha256(b"other"), ..right.clone() };
        let error = scan_as(&bytes[..], &other, &limits).err().expect("another blob");
        let ScanError::Digest { blob, got } = error else { panic!("{error}") };
        assert_eq!((blob, *got), (other.digest, right.digest));

        let claim = DiffId(Digest::sha256(b"other"));
        let other = Expected { diff_id: Some(claim), ..right.clone() };
        let error = scan_as(&bytes[..], &other, &limits).err().expect("another tar");
        let ScanError::DiffId { expected, got, .. } = error else { panic!("{error}") };
        assert_eq!((*expected, Some(*got)), (claim, right.diff_id));
    }
}

#[test]
fn sha512_of_blob_or_tar() {
    let tar = Arc::new(streams::tar(2, MIB));
    for layout in [0, 1] {
        let bytes = &blob(layout, &tar).bytes;
        for (of_blob, of_tar) in [
            (Algorithm::Sha512, Algorithm::Sha256),
            (Algorithm::Sha256, Algorithm::Sha512),
            (Algorithm::Sha512, Algorithm::Sha512),
        ] {
            let expected = Expected {
                digest: Digest::of(of_blob, bytes),
                size: bytes.len() as u64,
                diff_id: Some(DiffId(Digest::of(of_tar, &tar))),
            };
            let scanned = scan_as(&bytes[..], &expected, &Limits::default()).expect("right");
            assert_eq!(Some(scanned.layer.diff_id), expected.diff_id);
        }
    }
}

#[test]
fn a_stream_cut_off_anywhere_is_an_error() {
    let tar = Arc::new(streams::tar(3, 400_000));
    for layout in 1..LAYOUTS {
        let blob = blob(layout, &tar);
        let bytes = &blob.bytes;
        let whole = bytes.iter().rposition(|byte| *byte != 0).expect("not all zeros") + 1;
        let mut noise = streams::Noise::new(layout);
        let places = (0..20).chain((0..40).map(|_| noise.below(whole as u64) as usize));
        let places = places.chain(whole.saturating_sub(12)..whole);
        for length in places {
            let error = match scan_as(
                &bytes[..length],
                &expected_blob(&bytes[..length]),
                &Limits::default(),
            ) {
                Err(error) => error,
                // A prefix that ends with a member is a whole stream, of no tar or of all of it.
                Ok(scanned) => {
                    let there = &tar[..scanned.layer.unpacked as usize];
                    assert_eq!(scanned.layer.diff_id, DiffId(Digest::sha256(there)));
                    continue;
                }
            };
            let cut = matches!(
                &error,
                ScanError::Decode { source: DecodeError::Truncated { .. }, .. }
                    | ScanError::Tar { .. }
            );
            assert!(cut, "{} at {length}: {error}", blob.layout);
        }
    }
}

#[test]
fn garbage_after_the_end_is_an_error_and_zeros_are_not() {
    let tar = Arc::new(streams::tar(4, 300_000));
    for layout in 1..LAYOUTS {
        let blob = blob(layout, &tar);
        let padded = [&blob.bytes[..], &[0; 700]].concat();
        scan_as(&padded[..], &expected(&padded, &tar), &Limits::default())
            .unwrap_or_else(|error| panic!("{}: {error}", blob.layout));
        for tail in [&b"x"[..], b"garbage garbage", b"\0\0\0\0x", &[0x1f], &[0; 5000]] {
            let last = if tail.len() == 5000 { &b"!"[..] } else { b"" };
            let bytes = [&blob.bytes[..], tail, last].concat();
            let error = refused(&bytes);
            let ScanError::Decode { source, .. } = &error else {
                panic!("{} with {tail:?}: {error}", blob.layout)
            };
            let typed =
                matches!(source, DecodeError::Garbage { .. } | DecodeError::Truncated { .. });
            assert!(typed, "{} with {tail:?}: {error}", blob.layout);
        }
    }
}

#[test]
fn checksums_of_members_are_checked() {
    let tar = streams::tar(5, 200_000);
    let good = streams::gzip(6, &tar);
    for from_end in [1, 4, 5, 8] {
        let mut bytes = good.clone();
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        let error = refused(&bytes);
        assert!(
            matches!(&error, ScanError::Decode { source: DecodeError::Checksum { .. }, .. }),
            "{from_end} from the end: {error}"
        );
        // The same in a member that is not the last.
        bytes.extend(streams::gzip(6, b""));
        assert!(matches!(refused(&bytes), ScanError::Decode { .. }));
    }
    let mut header = streams::gzip_with_fields(&tar);
    header[3] |= 2;
    assert!(matches!(refused(&header), ScanError::Decode { .. }), "a wrong header checksum");
    header[3] |= 0x40;
    assert!(matches!(refused(&header), ScanError::Decode { .. }), "a reserved flag");
}

/// A reader that fails after some bytes.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::new(io::ErrorKind::ConnectionReset, "the line went dead")),
            count => Ok(count),
        }
    }
}

#[test]
fn an_error_of_the_reader_comes_back_as_it_was() {
    let tar = Arc::new(streams::tar(6, 3 * MIB));
    for layout in [0, 1, 10, 14] {
        let bytes = &blob(layout, &tar).bytes;
        let expected = expected(bytes, &tar);
        for share in 0..4 {
            let reader = Failing(&bytes[..bytes.len() * share / 4]);
            let error = scan_as(reader, &expected, &Limits::default()).err().expect("it fails");
            let ScanError::Read { source, .. } = error else { panic!("{error}") };
            assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
        }
    }
}

/// A reader of pieces of odd lengths that is interrupted now and then.
struct Trickle<'a>(&'a [u8], u64);

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = out.len().min(1 + (self.1 * 7919 % 5000) as usize);
        self.0.read(&mut out[..most])
    }
}

#[test]
fn a_slow_reader_gives_the_same_tables() {
    let tar = Arc::new(streams::tar(7, 3 * MIB));
    for layout in 0..LAYOUTS {
        let bytes = &blob(layout, &tar).bytes;
        let expected = expected(bytes, &tar);
        let fast = scan_as(&bytes[..], &expected, &Limits::default()).expect("right");
        let slow = scan_as(Trickle(bytes, 0), &expected, &Limits::default()).expect("right");
        assert!(fast.toc == slow.toc && fast.seekable == slow.seekable, "layout {layout}");
    }
}

/// A writer with room for some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_of_that_output() {
    let tar = Arc::new(streams::tar(8, 12 * MIB));
    // One zstd frame: it needs all three outputs.
    let bytes = &blob(10, &tar).bytes;
    let expected = expected(bytes, &tar);
    let lengths = streams::scanned(&blob(10, &tar));
    let lengths = [lengths.blob.len(), lengths.toc.len(), lengths.seekable.len()];
    for (which, name) in ["blob", "table of contents", "seekable form"].iter().enumerate() {
        for room in [0, 1, lengths[which] / 2, lengths[which] - 1] {
            let mut outputs = [Full(usize::MAX), Full(usize::MAX), Full(usize::MAX)];
            outputs[which].0 = room;
            let [blob, toc, seekable] = outputs;
            let outputs = Outputs { blob, toc, seekable: Some(seekable) };
            let error = scan(&bytes[..], outputs, &expected, &Limits::default(), &|_| ());
            let Err(ScanError::Write { what, source, .. }) = &error else {
                panic!("{name} with {room}: {error:?}")
            };
            assert_eq!((what, source.kind()), (name, io::ErrorKind::StorageFull));
        }
    }
}

#[test]
fn a_full_disk_ends_the_download() {
    let tar = Arc::new(streams::tar(9, 40 * MIB));
    let bytes = &blob(1, &tar).bytes;
    let mut reader = Cursor::new(&bytes[..]);
    let outputs = Outputs { blob: io::sink(), toc: Full(0), seekable: None::<io::Sink> };
    scan(&mut reader, outputs, &expected(bytes, &tar), &Limits::default(), &|_| ())
        .expect_err("no room");
    assert!(reader.position() < bytes.len() as u64, "it read on to the end");
}

#[test]
fn progress_adds_up_to_the_blob() {
    let tar = Arc::new(streams::tar(10, 2 * MIB));
    let bytes = &blob(1, &tar).bytes;
    let read = std::cell::Cell::new(0);
    let outputs = Outputs { blob: io::sink(), toc: io::sink(), seekable: None::<io::Sink> };
    let progress = |bytes| read.set(read.get() + bytes);
    scan(&bytes[..], outputs, &expected(bytes, &tar), &Limits::default(), &progress)
        .expect("right");
    assert_eq!(read.get(), bytes.len() as u64);
}

#[test]
fn a_wrong_digest_is_told_before_what_the_bytes_do() {
    let tar = Arc::new(streams::tar(11, MIB));
    for layout in [0, 1, 10] {
        let good = &blob(layout, &tar).bytes;
        let expected = expected(good, &tar);
        for place in 1..20 {
            let mut bytes = good.to_vec();
            let at = bytes.len() * place / 20;
            bytes[at] ^= 0x20;
            let error = scan_as(&bytes[..], &expected, &Limits::default()).err().expect("bad");
            assert!(matches!(error, ScanError::Digest { .. }), "{error}");
        }
    }
}

#[test]
fn a_thousand_mutations_end_well_within_a_second_each() {
    let tar = Arc::new(streams::tar(12, 60_000));
    for layout in [1, 6, 8, 10, 12, 13] {
        let good = blob(layout, &tar).bytes;
        let mut noise = streams::Noise::new(layout);
        for round in 0..350 {
            let bytes = mutated(&good, &mut noise);
            let start = Instant::now();
            let result = scan_as(&bytes[..], &expected_blob(&bytes), &Limits::default());
            let took = start.elapsed();
            assert!(took < Duration::from_secs(1), "layout {layout}, round {round}: {took:?}");
            match result {
                Ok(_)
                | Err(ScanError::Decode { .. } | ScanError::Tar { .. } | ScanError::Limit { .. }) =>
                    {}
                Err(other) => panic!("layout {layout}, round {round}: {other}"),
            }
        }
    }
}

/// `bytes` with one of: a few bits flipped, a piece cut out, doubled, or overwritten.
fn mutated(bytes: &[u8], noise: &mut streams::Noise) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    // Half of them near the beginning, where the headers are.
    let near = noise.below(2) == 0;
    let bound = if near { bytes.len().min(64) } else { bytes.len() } as u64;
    let at = noise.below(bound) as usize;
    let length = (noise.below(40) as usize).min(bytes.len() - at);
    match noise.below(5) {
        0 => (0..1 + noise.below(4)).for_each(|_| {
            let at = noise.below(bound) as usize;
            bytes[at] ^= 1 << noise.below(8);
        }),
        1 => drop(bytes.drain(at..at + length)),
        2 => {
            let piece = bytes[at..at + length].to_vec();
            bytes.splice(at..at, piece);
        }
        3 => bytes.truncate(at),
        _ => {
            let noise = noise.bytes(length);
            bytes[at..at + length].copy_from_slice(&noise);
        }
    }
    bytes
}
