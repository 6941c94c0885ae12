//! Layers made on the spot for the tests of spans and content: tars of every kind of bytes,
//! compressed in every layout that occurs, and what a scan makes of them.
#![allow(dead_code, missing_docs)]
#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]

pub mod image;

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shalefs::layer::resume::CompressedBytes;
use shalefs::layer::{Expected, Outputs, ScanError, ScannedLayer, Toc, scan};
use shalefs::limits::Limits;
use shalefs::oci::{DiffId, Digest};

/// Bytes that look random and are the same every time.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    /// Text that compresses to about a third.
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(length + 16);
        while text.len() < length {
            let word = self.below(900);
            write!(text, "{}{:x} ", ["sub", "pre", "re", "con"][(word % 4) as usize], word * word)
                .expect("a Vec takes everything");
        }
        text.truncate(length);
        text
    }
}

/// A tar with files of `size` bytes in total: text, noise and zeros in turn, names `f0`, `f1`, ...
pub fn tar(seed: u64, size: usize) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    let mut builder = tar::Builder::new(Vec::new());
    let mut left = size;
    for number in 0.. {
        if left == 0 {
            break;
        }
        let length = left.min(1 + noise.below(700_000) as usize);
        left -= length;
        let bytes = match noise.below(4) {
            0 => noise.bytes(length),
            1 => vec![0; length],
            _ => noise.text(length),
        };
        let mut header = tar::Header::new_gnu();
        header.set_size(length as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, format!("f{number}"), &bytes[..]).expect("in memory");
    }
    builder.into_inner().expect("in memory")
}

pub fn gzip(level: u32, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// One gzip member with all optional header fields.
pub fn gzip_with_fields(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new()
        .filename("layer.tar")
        .comment("a comment")
        .extra(vec![7; 300])
        .write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

pub fn zstd_frame(level: i32, bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, level).expect("in memory")
}

pub fn skippable(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("small").to_le_bytes();
    [&[0x53, 0x2a, 0x4d, 0x18], &length[..], bytes].concat()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut out).expect("in memory");
    out
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast())
        .read_to_end(&mut out)
        .expect("in memory");
    out
}

/// Cuts `bytes` into pieces of 1 to `most` bytes and compresses each by itself.
pub fn in_pieces(bytes: &[u8], seed: u64, most: u64, each: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    let mut rest = bytes;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let length = (1 + noise.below(most) as usize).min(rest.len());
        let (now, later) = rest.split_at(length);
        out.extend(each(now));
        rest = later;
    }
    out
}

/// A tar, compressed in some layout.
#[derive(Clone)]
pub struct Blob {
    pub layout: &'static str,
    pub tar: Arc<Vec<u8>>,
    pub bytes: Arc<Vec<u8>>,
}

/// How many layouts [`blob`] knows.
pub const LAYOUTS: u64 = 17;

/// The tar in layout number `number`.
pub fn blob(number: u64, tar: &Arc<Vec<u8>>) -> Blob {
    let mid = tar.len() / 2;
    let (a, b) = tar.split_at(mid);
    let (layout, bytes) = match number {
        0 => ("plain", tar.to_vec()),
        1 => ("gzip -6", gzip(6, tar)),
        2 => ("gzip -1", gzip(1, tar)),
        3 => ("gzip stored", gzip(0, tar)),
        4 => ("gzip with header fields", gzip_with_fields(tar)),
        5 => ("gzip of two members", [gzip(6, a), gzip(1, b)].concat()),
        6 => ("gzip of many members", in_pieces(tar, 5, 300_000, |piece| gzip(6, piece))),
        7 => ("gzip of tiny members", in_pieces(tar, 5, 20_000, |piece| gzip(1, piece))),
        8 => {
            let parts = [gzip(6, b""), gzip(6, a), gzip(6, b""), gzip(6, b), gzip(6, b"")];
            ("gzip with empty members", parts.concat())
        }
        9 => ("gzip with padding", [gzip(6, tar), vec![0; 1000]].concat()),
        10 => ("zstd of one frame", zstd_frame(1, tar)),
        11 => ("zstd of two frames", [zstd_frame(3, a), zstd_frame(1, b)].concat()),
        12 => ("zstd of many frames", in_pieces(tar, 7, 900_000, |piece| zstd_frame(1, piece))),
        13 => {
            let frames = [skippable(b"hello"), zstd_frame(1, a), skippable(b""), zstd_frame(1, b)];
            ("zstd with skippable frames", [frames.concat(), skippable(&[9; 99])].concat())
        }
        14 => ("xz", xz(tar)),
        15 => ("xz of two streams", [xz(a), vec![0; 8], xz(b)].concat()),
        _ => ("bzip2 of two streams", [bzip2(a), bzip2(b), vec![0; 100]].concat()),
    };
    Blob { layout, tar: Arc::clone(tar), bytes: Arc::new(bytes) }
}

/// Compressed bytes in memory that count what is read of them.
#[derive(Default)]
pub struct Memory {
    pub bytes: Vec<u8>,
    pub read: AtomicU64,
}

impl Memory {
    pub fn new(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Self { bytes: bytes.to_vec(), read: AtomicU64::new(0) })
    }
}

impl CompressedBytes for Memory {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).expect("in memory").min(self.bytes.len());
        let count = (&self.bytes[start..]).read(out)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A file without a name that holds `bytes`.
pub fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("a temporary file");
    file
}

/// What a scan gave.
pub struct Scanned {
    pub layer: ScannedLayer,
    pub blob: Vec<u8>,
    pub toc: Vec<u8>,
    pub seekable: Vec<u8>,
}

impl Scanned {
    pub fn toc(&self) -> Toc {
        Toc::open(file(&self.toc)).expect("a table that was just written")
    }
}

/// What a manifest and a config would say of these bytes.
pub fn expected(bytes: &[u8], tar: &[u8]) -> Expected {
    Expected {
        digest: Digest::sha256(bytes),
        size: bytes.len() as u64,
        diff_id: Some(DiffId(Digest::sha256(tar))),
    }
}

/// Scans `bytes`, expected to be what `expected` says.
pub fn scan_as(
    reader: impl Read,
    expected: &Expected,
    limits: &Limits,
) -> Result<Scanned, ScanError> {
    let (mut blob, mut toc, mut seekable) = (Vec::new(), Vec::new(), Vec::new());
    let outputs = Outputs { blob: &mut blob, toc: &mut toc, seekable: Some(&mut seekable) };
    let layer = scan(reader, outputs, expected, limits, &|_| ())?;
    Ok(Scanned { layer, blob, toc, seekable })
}

/// Scans a blob that is fine.
pub fn scanned(blob: &Blob) -> Scanned {
    let expected = expected(&blob.bytes, &blob.tar);
    scan_as(&blob.bytes[..], &expected, &Limits::default())
        .unwrap_or_else(|error| panic!("{}: {error}", blob.layout))
}
