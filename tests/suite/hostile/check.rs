//! What must hold for any bytes whatever that come from outside, one function for each kind. The
//! fuzz targets and the replayed bad inputs share them.
#![allow(dead_code, reason = "each fuzz target uses its own part")]

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use shalefs::layer::resume::SpanDecoder;
use shalefs::layer::seekable::Seekable;
use shalefs::layer::span::{Access, SpanNo};
use shalefs::layer::{Expected, Outputs, Toc, TocError, scan};
use shalefs::limits::Limits;
use shalefs::oci::{ChainId, Config, Digest, Document, ImageName, Platform, Reference, escaped};
use shalefs::source::registry::{ContentRange, next_link, parse_challenges};
use shalefs::tree::{ImageTree, Merger, Whiteouts, table};

/// Unpacked bytes that one input may make; a fuzzer finds bombs of any size by itself.
const UNPACKED: u64 = 256 << 20;

/// An error is one line that cannot drive a terminal.
fn said(error: &dyn std::error::Error) {
    let text = escaped(&error.to_string()).to_string();
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
}

/// Any bytes as a manifest, a list and a config.
pub fn document(bytes: &[u8]) {
    for declared in [
        "",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ] {
        match Document::parse(bytes, declared) {
            Ok(Document::Manifest(manifest)) => {
                if let Err(error) = manifest.image_layers() {
                    said(&error);
                }
            }
            Ok(Document::Index(index)) => {
                let fetch = |_: &_| Document::parse(bytes, "");
                let wanted = Platform::new("linux", "amd64");
                let _ = shalefs::oci::choose::<AnyError>(&index, &wanted, &mut |descriptor| {
                    fetch(descriptor).map_err(|_| AnyError)
                });
            }
            Err(error) => said(&error),
        }
    }
    match Config::parse(bytes) {
        Ok(config) => {
            let _ = config.platform();
            for count in [0, 1, 7] {
                if let Err(error) = config.diff_ids(count) {
                    said(&error);
                }
            }
        }
        Err(error) => said(&error),
    }
}

/// Whatever went wrong on the way through lists.
struct AnyError;

impl From<shalefs::oci::ChoiceError> for AnyError {
    fn from(error: shalefs::oci::ChoiceError) -> Self {
        said(&error);
        Self
    }
}

/// Any bytes as the name of an image, a digest or a platform.
pub fn reference(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<Reference>() {
        Ok(reference) => {
            let again: Reference = reference.to_string().parse().expect("its own text");
            assert_eq!(again.canonical(), reference.canonical());
            let path = reference.repository();
            assert!(
                path.len() <= 255 && path.split('/').all(|part| !["", ".", ".."].contains(&part))
            );
            assert!(!reference.registry().contains(['/', ' ', '@']));
        }
        Err(error) => said(&error),
    }
    match text.parse::<ImageName>() {
        Ok(name) => drop(name.to_string()),
        Err(error) => said(&error),
    }
    match text.parse::<Digest>() {
        Ok(digest) => assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit())),
        Err(error) => said(&error),
    }
    match text.parse::<Platform>() {
        Ok(platform) => assert_eq!(platform.normal(), platform),
        Err(error) => said(&error),
    }
}

/// Any bytes as the headers that registries answer with.
pub fn header(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for challenge in parse_challenges(&text) {
        assert!(!challenge.scheme.is_empty());
        assert!(challenge.parameters.iter().all(|(name, _)| !name.is_empty()));
    }
    if let Some(ContentRange::Part { first, last, total }) = ContentRange::parse(&text) {
        assert!(first <= last && total.is_none_or(|total| last < total));
    }
    if let Some(target) = next_link(&text) {
        assert!(target.len() <= text.len());
    }
}

/// Any bytes as the blob of a layer: an error, or a tree, and spans that are the stream.
pub fn layer(bytes: &[u8]) {
    let expected =
        Expected { digest: Digest::sha256(bytes), size: bytes.len() as u64, diff_id: None };
    let limits = Limits { unpacked: UNPACKED, ..Limits::default() };
    let (mut toc, mut seekable) = (file(), file());
    let outputs = Outputs { blob: std::io::sink(), toc: &mut toc, seekable: Some(&mut seekable) };
    match scan(bytes, outputs, &expected, &limits, &|_| ()) {
        Ok(scanned) => {
            toc.rewind().expect("a file");
            let toc = Toc::open(toc).expect("a table that was just written");
            assert_eq!(toc.header().diff_id, scanned.diff_id);
            spans(bytes, &toc, seekable);
            tree(&toc);
        }
        Err(error) => said(&error),
    }
}

fn file() -> File {
    tempfile::tempfile().expect("a temporary file")
}

/// Every span entered by itself, the last one first, is what the DiffID covers there.
fn spans(blob: &[u8], toc: &Toc, seekable: File) {
    let spans = toc.spans().expect("a table that was just written");
    let header = toc.header();
    let mut whole = file();
    whole.write_all(blob).expect("room");
    let whole = Arc::new(whole);
    let form = (header.kept > 0)
        .then(|| Seekable::open(seekable, &header.source, header.kept).expect("just written"));
    let mut pieces = Vec::new();
    for (number, span) in (0..).zip(spans.iter()).collect::<Vec<_>>().into_iter().rev() {
        let mut bytes = Vec::new();
        match (span.access, &form) {
            (Access::Kept { frame }, Some(form)) => {
                form.read(frame, span.length, &mut bytes).expect("just written");
            }
            _ => {
                let mut decoder = SpanDecoder::enter(whole.clone(), toc, &spans, SpanNo(number))
                    .expect("a way to every span");
                while decoder.next() <= SpanNo(number) {
                    decoder.decode(&spans, &mut bytes).expect("as it was scanned");
                }
            }
        }
        assert_eq!(bytes.len() as u64, u64::from(span.length));
        pieces.push(bytes);
    }
    pieces.reverse();
    let stream = pieces.concat();
    assert_eq!(stream.len() as u64, header.unpacked);
    let algorithm = header.diff_id.0.algorithm();
    assert_eq!(Digest::of(algorithm, &stream), header.diff_id.0);
}

/// The layer on top of itself makes a tree, or is refused.
fn tree(toc: &Toc) {
    let mut merger = Merger::new(Limits::DEFAULT);
    for _ in 0..2 {
        let merged = merger.layer(Whiteouts::Possible, || Ok::<_, TocError>(toc.entries()));
        if let Err(error) = merged {
            return said(&error);
        }
    }
    let chain = ChainId(Digest::sha256(b"hostile"));
    let mut written = file();
    table::write(&merger.finish(), chain, &mut written).expect("room");
    written.rewind().expect("a file");
    let tree = ImageTree::open(written, chain).expect("a table that was just written");
    tree.check().expect("a table that was just written");
}

/// A layer that is right, whose content and layout any bytes choose: it is taken, and random
/// ranges are the sequential stream.
pub fn gzip(bytes: &[u8]) {
    let [level, cut, rest @ ..] = bytes else { return };
    let tar = tar_of(&content(rest));
    let step = (usize::from(*cut) + 1) * 4096;
    let blob: Vec<u8> = tar
        .chunks(if cut % 4 == 0 { tar.len() } else { step })
        .flat_map(|piece| {
            let level = flate2::Compression::new(u32::from(level % 10));
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(piece).expect("in memory");
            encoder.finish().expect("in memory")
        })
        .collect();
    taken(&blob, &tar);
}

/// As [`gzip`], of zstd frames, some of them skippable.
pub fn zstd(bytes: &[u8]) {
    let [level, cut, rest @ ..] = bytes else { return };
    let tar = tar_of(&content(rest));
    let step = (usize::from(*cut) + 1) * 16_384;
    let mut blob = Vec::new();
    for piece in tar.chunks(if cut % 4 == 0 { tar.len() } else { step }) {
        if cut % 3 == 0 {
            blob.extend([0x50 | (level % 16), 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        }
        blob.extend(zstd::stream::encode_all(piece, i32::from(level % 4)).expect("in memory"));
    }
    taken(&blob, &tar);
}

fn taken(blob: &[u8], tar: &[u8]) {
    let expected = Expected {
        digest: Digest::sha256(blob),
        size: blob.len() as u64,
        diff_id: Some(shalefs::oci::DiffId(Digest::sha256(tar))),
    };
    let outputs =
        Outputs { blob: std::io::sink(), toc: std::io::sink(), seekable: None::<std::io::Sink> };
    let limits = Limits { ratio: u64::MAX, ..Limits::default() };
    scan(blob, outputs, &expected, &limits, &|_| ()).expect("a layer that is right");
    layer(blob);
}

/// Up to 12 MiB of runs, text and noise, three bytes each.
fn content(recipe: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut state = 1_u32;
    for [kind, high, low] in recipe.as_chunks::<3>().0 {
        let length = usize::from(u16::from_be_bytes([*high, *low])) * 8;
        if content.len() + length > 12 << 20 {
            break;
        }
        content.extend((0..length).map(|at| match kind % 3 {
            0 => *kind,
            1 => b"the same words again "[at % 21],
            _ => {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            }
        }));
    }
    content
}

fn tar_of(content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, "file", content).expect("in memory");
    builder.into_inner().expect("in memory")
}
