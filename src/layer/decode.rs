//! What all decoders have in common: bytes out, and the places where decoding can begin.
//!
//! A decoder takes the compressed bytes of one blob in order and gives the uncompressed ones. It
//! can be told to stop at the next checkpoint: a member or frame start, or inside a gzip member a
//! block boundary with the 32 KiB of history that the next block may refer to. Several gzip
//! members, zstd frames, or xz or bzip2 streams are one stream, as in every container engine.
//! Zero padding after the last is fine; anything else there is an error.
//!
//! Compression is told by the first bytes, never by a media type: engines do the same, and wrong
//! media types exist.

use std::io::{self, BufRead};

use super::gzip::Gzip;
use super::input::Input;
use super::other::{Plain, bzip2, xz};
use super::zstd::Zstd;

/// The window that a stream may ask for when nobody says otherwise: 128 MiB, which is what libzstd,
/// and every engine that uses it, allows by default, and twice what `xz -9` asks for.
pub(super) const WINDOW: u64 = 128 << 20;

/// The largest that can be allowed, which is as far as libzstd goes.
pub(super) const WINDOW_HIGHEST: u64 =
    if cfg!(target_pointer_width = "64") { 2 << 30 } else { 1 << 30 };

/// How a blob is compressed. The number is part of the on-disk formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// A plain tar.
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// RFC 8878.
    Zstd = 2,
    /// The .xz format.
    Xz = 3,
    /// The .bz2 format.
    Bzip2 = 4,
}

impl Compression {
    /// Bytes that [`Compression::of`] needs to see, unless the blob is shorter.
    pub const MAGIC: usize = 6;

    /// What a blob that begins with `magic` is. What has no magic known here is taken for a plain
    /// tar; the walker says what is wrong when it is none.
    pub fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame in front, as zstd:chunked and seekable zstd files may have.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A tar may begin with a name like "BZh9": after it comes a block, or the end.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Self::Bzip2,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => Self::Bzip2,
            _ => Self::None,
        }
    }

    /// The name people use: `none`, `gzip`, `zstd`, `xz`, `bzip2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }

    /// The compression with this on-disk number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Zstd, Self::Xz, Self::Bzip2]
            .into_iter()
            .find(|compression| *compression as u8 == number)
    }
}

/// Why compressed bytes cannot be decoded. Offsets are in the compressed bytes, about where the
/// decoder stood.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The compressed bytes could not be read.
    #[error("cannot read the compressed bytes: {0}")]
    Read(#[from] io::Error),
    /// They end in the middle of a member, frame or stream.
    #[error("the {format} stream is cut off at byte {offset}")]
    Truncated {
        /// Which format.
        format: &'static str,
        /// Where.
        offset: u64,
    },
    /// They are not what the format says.
    #[error("the {format} stream is damaged near byte {offset}: {what}")]
    Damaged {
        /// Which format.
        format: &'static str,
        /// Where.
        offset: u64,
        /// In the decoder's words.
        what: String,
    },
    /// The decoded bytes do not match the stream's own checksum or length.
    #[error("the {format} stream fails its own checksum before byte {offset}")]
    Checksum {
        /// Which format.
        format: &'static str,
        /// Where.
        offset: u64,
    },
    /// Something that is neither another member nor zeros follows the last one.
    #[error("garbage after the end of the {format} stream at byte {offset}")]
    Garbage {
        /// Which format.
        format: &'static str,
        /// Where.
        offset: u64,
    },
    /// Decoding would need more memory for history than allowed.
    #[error("the {format} stream needs a window of more than {limit} bytes (limit `window`)")]
    Window {
        /// Which format.
        format: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// Which checkpoints a decoder shall stop at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// At none.
    Full,
    /// At starts of members and frames, which cost nothing to keep.
    Start,
    /// At block boundaries too.
    Block,
}

/// A place where decoding can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Offset in the compressed bytes of the first byte needed.
    pub(super) offset: u64,
    /// What it takes.
    pub(super) state: State,
}

/// What decoding takes to begin somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing: a member, frame or stream starts here, or the bytes are not compressed.
    Start,
    /// The middle of a gzip member, between two blocks.
    Block {
        /// How many of the highest bits of the first byte belong to what follows; 0 means all.
        bits: u8,
        /// The output before it, at most 32 KiB.
        window: Vec<u8>,
    },
}

/// Why [`Decode::decode`] came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The output is full.
    Full,
    /// At a checkpoint of the kind asked for. The same one is not reported twice in a row.
    At(Checkpoint),
    /// Everything is decoded and checked.
    End,
}

/// A decoder in the middle of a blob.
pub(super) trait Decode: Send {
    /// Fills `out` from its beginning; how many bytes, and why not more. `out` is not empty.
    fn decode(&mut self, out: &mut [u8], until: Until) -> Result<(usize, Stop), DecodeError>;

    /// Offset in the compressed bytes of what is not used yet.
    fn offset(&self) -> u64;
}

/// A decoder at the beginning of a blob, which may ask for this much memory for history.
pub(super) fn begin<R: BufRead + Send + 'static>(
    compression: Compression,
    reader: R,
    window: u64,
) -> Result<Box<dyn Decode>, DecodeError> {
    enter(compression, reader, &Checkpoint { offset: 0, state: State::Start }, window)
}

/// A decoder at a checkpoint of a blob; `reader` yields the bytes from its offset on.
pub(super) fn enter<R: BufRead + Send + 'static>(
    compression: Compression,
    reader: R,
    checkpoint: &Checkpoint,
    memory: u64,
) -> Result<Box<dyn Decode>, DecodeError> {
    let input = Input::new(reader, checkpoint.offset);
    Ok(match (compression, &checkpoint.state) {
        (Compression::Gzip, State::Block { bits, window }) => {
            Box::new(Gzip::enter(input, *bits, window)?)
        }
        (other, State::Block { .. }) => {
            return Err(DecodeError::Damaged {
                format: other.name(),
                offset: checkpoint.offset,
                what: "only gzip has checkpoints inside members".to_owned(),
            });
        }
        (Compression::None, State::Start) => Box::new(Plain::new(input)),
        (Compression::Gzip, State::Start) => Box::new(Gzip::new(input)?),
        (Compression::Zstd, State::Start) => Box::new(Zstd::new(input, memory)?),
        (Compression::Xz, State::Start) => Box::new(xz(input, memory)),
        (Compression::Bzip2, State::Start) => Box::new(bzip2(input, memory)),
    })
}
