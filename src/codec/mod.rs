//! Compressed streams, decoded: what all decoders have in common: bytes out, and the places where decoding can begin.
//!
//! A decoder takes the compressed bytes of one blob in order and gives the uncompressed ones. It
//! can be told to stop at the next checkpoint: a member or frame start, or inside a gzip member a
//! block boundary with the 32 KiB of history that the next block may refer to. Several gzip
//! members, zstd frames, or xz or bzip2 streams are one stream, as in every container engine.
//! Zero padding after the last is fine; anything else there is an error.
//!
//! Decoders take no more compressed bytes than they are allowed (`Decode::allow`): there are
//! streams without an end that decode to nothing, and without an end there is no call that returns.
//! How much is allowed, [`Guard`] knows, which whoever decodes what was never seen before asks.

mod guard;
mod gzip;
mod input;
mod other;
mod reader;
mod zstd;

use std::io::{self, BufRead};

pub use guard::Guard;
pub use reader::Decoded;

use self::gzip::Gzip;
use self::input::Input;
use self::other::{Plain, bzip2, xz};
use self::zstd::Zstd;
use crate::limits::Exceeded;
use crate::oci::Compression;

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
    /// It costs more than allowed.
    #[error("the {format} stream: {source}")]
    Limit {
        /// Which format.
        format: &'static str,
        /// Which bound.
        source: Exceeded,
    },
}

/// Which checkpoints a decoder shall stop at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// At none.
    Full,
    /// At starts of members and frames, which cost nothing to keep.
    Start,
    /// At block boundaries too.
    Block,
}

/// A place where decoding can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Offset in the compressed bytes of the first byte needed.
    pub(crate) offset: u64,
    /// What it takes.
    pub(crate) state: State,
}

/// What decoding takes to begin somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
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
pub(crate) enum Stop {
    /// The output is full.
    Full,
    /// At a checkpoint of the kind asked for. The same one is not reported twice in a row.
    At(Checkpoint),
    /// Everything is decoded and checked.
    End,
}

/// A decoder in the middle of a blob.
pub(crate) trait Decode: Send {
    /// Fills `out` from its beginning; how many bytes, and why not more. `out` is not empty.
    fn decode(&mut self, out: &mut [u8], until: Until) -> Result<(usize, Stop), DecodeError>;

    /// Offset in the compressed bytes of what is not used yet.
    fn offset(&self) -> u64;

    /// Compressed bytes from this offset on are not to be taken: there they end in the error that
    /// [`Exceeded`] is. None are when nobody says so.
    fn allow(&mut self, until: u64, otherwise: Exceeded);
}

/// A decoder at the beginning of a blob, which may ask for this much memory for history.
pub(crate) fn begin<R: BufRead + Send + 'static>(
    compression: Compression,
    reader: R,
    window: u64,
) -> Result<Box<dyn Decode>, DecodeError> {
    enter(compression, reader, &Checkpoint { offset: 0, state: State::Start }, window)
}

/// A decoder at a checkpoint of a blob; `reader` yields the bytes from its offset on.
pub(crate) fn enter<R: BufRead + Send + 'static>(
    compression: Compression,
    reader: R,
    checkpoint: &Checkpoint,
    memory: u64,
) -> Result<Box<dyn Decode>, DecodeError> {
    let input = Input::new(reader, checkpoint.offset, compression.name());
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
