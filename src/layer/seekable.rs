//! The seekable form: spans that cannot be decoded from the blob without decoding much more, kept
//! beside it as independent zstd frames, `seekable/ALG/HEX` of the blob's digest.
//!
//! It is for layers of one large zstd frame (what most builders write), of xz and of bzip2, and
//! for the rare gzip block without end. It is written during the pass: on the largest layer of
//! `node` as zstd -3 (574 MB, 120 MB compressed) that costs 1.5 s of processor time beside the 1.3 s
//! of the pass, on another thread; making it at the first read costs 2.1 s, and somebody waits.
//! Level 1 gives 1.17 times the blob's size; -3 saves 0.3 s and gives 1.49 times, 3 costs 1.7 s
//! more and gives 1.06 times.
//!
//! ```text
//! frames   a zstd frame for every kept span, in order
//! table    32-bit lengths of the frames
//! footer   the blob's digest, number of frames, checksum of table and footer, version, magic
//! ```
//!
//! The frames need no checksum: the span's digest is in the TOC. A form that is missing or damaged
//! is made again from blob and TOC ([`rebuild`]).

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};
use zstd::bulk::{Compressor, Decompressor};

use super::DecodeError;
use super::resume::{self, CompressedBytes};
use super::span::{Access, SpanTable};
use super::toc::Header;
use crate::codec::{Stop, Until};
use crate::oci::Digest;

/// The version of the format.
pub const VERSION: u32 = 1;

const LEVEL: i32 = 1;
const MAGIC: [u8; 8] = *b"SHALESEK";

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Footer {
    /// BLAKE3 of the text of the blob's digest.
    source: [u8; 32],
    table_offset: U64,
    frames: U32,
    /// BLAKE3 of the table and of the fields before.
    check: [u8; 32],
    version: U32,
    magic: [u8; 8],
}

impl Footer {
    fn new(source: &Digest, table_offset: u64, table: &[U32]) -> io::Result<Self> {
        let frames = u32::try_from(table.len()).map_err(io::Error::other)?;
        let mut footer = Self {
            source: blake3::hash(source.to_string().as_bytes()).into(),
            table_offset: table_offset.into(),
            frames: frames.into(),
            check: [0; 32],
            version: VERSION.into(),
            magic: MAGIC,
        };
        footer.check = footer.checksum(table);
        Ok(footer)
    }

    fn checksum(&self, table: &[U32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(table.as_bytes());
        hasher.update(&self.source);
        hasher.update(self.table_offset.as_bytes());
        hasher.update(self.frames.as_bytes());
        hasher.finalize().into()
    }
}

/// A seekable form in the making.
pub(super) struct SeekableWriter<S> {
    out: S,
    packer: Compressor<'static>,
    packed: Vec<u8>,
    offset: u64,
    table: Vec<U32>,
}

impl<S: Write> SeekableWriter<S> {
    pub(super) fn new(out: S) -> io::Result<Self> {
        let packer = Compressor::new(LEVEL)?;
        Ok(Self { out, packer, packed: Vec::new(), offset: 0, table: Vec::new() })
    }

    /// Appends a kept span.
    pub(super) fn span(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        self.packer.compress_to_buffer(bytes, &mut self.packed)?;
        self.out.write_all(&self.packed)?;
        self.offset += self.packed.len() as u64;
        self.table.push(u32::try_from(self.packed.len()).map_err(io::Error::other)?.into());
        Ok(())
    }

    /// Writes the rest; the file is whole when this returns, but not flushed to disk.
    pub(super) fn finish(mut self, source: &Digest) -> io::Result<()> {
        let footer = Footer::new(source, self.offset, &self.table)?;
        self.out.write_all(self.table.as_bytes())?;
        self.out.write_all(footer.as_bytes())?;
        self.out.flush()
    }
}

/// Makes the seekable form of a layer again: decodes the blob from its beginning, at the speed of
/// its format, and checks every span against the TOC on the way.
///
/// # Errors
/// When the blob cannot be decoded, is not what the TOC says, or `out` fails.
pub fn rebuild(
    bytes: Arc<dyn CompressedBytes>,
    toc: &Header,
    spans: &SpanTable,
    out: impl Write,
) -> Result<(), RebuildError> {
    let mut decoder = resume::whole(bytes, toc.compression)?;
    let mut writer = SeekableWriter::new(out)?;
    let mut buffer = Vec::new();
    for span in spans.iter() {
        buffer.resize(span.length as usize, 0);
        let mut done = 0;
        while done < buffer.len() {
            let rest = buffer.get_mut(done..).unwrap_or_default();
            let (new, stop) = decoder.decode(rest, Until::Full)?;
            done += new;
            if stop == Stop::End && done < buffer.len() {
                return Err(RebuildError::Differs);
            }
        }
        if blake3::hash(&buffer) != blake3::Hash::from(span.digest) {
            return Err(RebuildError::Differs);
        }
        if let Access::Kept { .. } = span.access {
            writer.span(&buffer)?;
        }
    }
    Ok(writer.finish(&toc.source)?)
}

/// Why a seekable form cannot be made from a blob.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The blob cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It decodes to other bytes than the TOC says.
    #[error("the blob does not match its table of contents")]
    Differs,
    /// The form cannot be written.
    #[error("cannot write the seekable form: {0}")]
    Write(#[from] io::Error),
}

/// An open seekable form.
#[derive(Debug)]
pub struct Seekable {
    file: File,
    /// Where each frame begins, and the end of the last.
    offsets: Vec<u64>,
}

impl Seekable {
    /// Opens the form of the blob `source`, which keeps `frames` spans.
    ///
    /// # Errors
    /// `InvalidData` when it is another blob's, of another version or damaged, and whatever
    /// reading says.
    pub fn open(file: File, source: &Digest, frames: u32) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let start = length.checked_sub(size_of::<Footer>() as u64).ok_or_else(bad)?;
        let mut footer = Footer::new_zeroed();
        file.read_exact_at(footer.as_mut_bytes(), start)?;
        let table_offset = start.checked_sub(u64::from(frames) * 4).ok_or_else(bad)?;
        let mut table = vec![U32::from(0); frames as usize];
        file.read_exact_at(table.as_mut_bytes(), table_offset)?;
        let expected = Footer::new(source, table_offset, &table)?;
        if footer.as_bytes() != expected.as_bytes() {
            return Err(bad());
        }
        let mut offsets = vec![0];
        let mut end = 0;
        for frame in table {
            end += u64::from(frame.get());
            offsets.push(end);
        }
        if end == table_offset { Ok(Self { file, offsets }) } else { Err(bad()) }
    }

    /// Decodes a frame into `out`, in place of what was there; it has to give `length` bytes.
    ///
    /// # Errors
    /// `InvalidData` when the frame is damaged, and whatever reading says.
    pub fn read(&self, frame: u32, length: u32, out: &mut Vec<u8>) -> io::Result<()> {
        let at = frame as usize;
        let (Some(start), Some(end)) = (self.offsets.get(at), self.offsets.get(at + 1)) else {
            return Err(bad());
        };
        let mut packed = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut packed, *start)?;
        out.resize(length as usize, 0);
        match Decompressor::new()?.decompress_to_buffer(&packed, out.as_mut_slice()) {
            Ok(done) if done == length as usize => Ok(()),
            _ => Err(bad()),
        }
    }
}

fn bad() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the seekable form is damaged")
}
