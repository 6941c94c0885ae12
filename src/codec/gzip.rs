//! gzip (RFC 1952): members one after the other, with checkpoints between blocks.
//!
//! CRC-32 and length of every member are checked, except of one that was entered in the middle,
//! whose beginning was not seen; the span's digest covers those bytes. A header checksum is
//! checked where there is one. Empty members are fine, at the end too.
//!
//! A block boundary lies anywhere in a byte. zlib counts the bits that it took from the input and
//! has not used; from them and the bytes consumed follows where the next block begins.

use std::io::BufRead;

use super::input::{After, Input};
use super::{Checkpoint, Decode, DecodeError, State, Stop, Until};
use crate::limits::Exceeded;
use crate::sys::zlib::{self, RawInflate};

const FORMAT: &str = "gzip";

/// Header flags of RFC 1952, section 2.3.1.
const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// A gzip stream of any number of members.
pub(super) struct Gzip<R> {
    input: Input<R>,
    inflate: RawInflate,
    place: Place,
    /// Checksum and length of the member so far; `None` when its beginning was not seen.
    check: Option<(crc32fast::Hasher, u32)>,
}

/// What comes next in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A member's header; the first member has to be there.
    Header { first: bool },
    /// A member's first block, its header at this offset: not reported as a checkpoint yet.
    Start(u64),
    /// A member's blocks.
    Blocks,
    /// Nothing.
    End,
}

impl<R: BufRead> Gzip<R> {
    /// At the beginning of a member.
    pub(super) fn new(input: Input<R>) -> Result<Self, DecodeError> {
        Ok(Self {
            inflate: RawInflate::new().map_err(|error| damaged(&input, error.0))?,
            input,
            place: Place::Header { first: true },
            check: None,
        })
    }

    /// Between two blocks: `bits` of the first byte and all bytes after it are to be decoded, and
    /// `window` is the output before.
    pub(super) fn enter(input: Input<R>, bits: u8, window: &[u8]) -> Result<Self, DecodeError> {
        let mut this = Self::new(input)?;
        let mut rest = 0;
        if bits > 0 {
            let byte = this.byte()?;
            rest = byte >> 8_u8.saturating_sub(bits).min(7);
        }
        let entered = this.inflate.enter(window, bits, rest);
        entered.map_err(|error| damaged(&this.input, error.0))?;
        this.place = Place::Blocks;
        Ok(this)
    }

    /// The next byte, which has to be there.
    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.input
            .byte()?
            .ok_or(DecodeError::Truncated { format: FORMAT, offset: self.input.offset() })
    }

    /// A byte of the header, counted into the header's checksum.
    fn header_byte(&mut self, crc: &mut crc32fast::Hasher) -> Result<u8, DecodeError> {
        let byte = self.byte()?;
        crc.update(&[byte]);
        Ok(byte)
    }

    /// Reads a header, or finds that there is none. Gives the next place.
    fn header(&mut self, first: bool) -> Result<Place, DecodeError> {
        if !first {
            match self.input.after_member()? {
                After::End => return Ok(Place::End),
                After::Padded => return Err(self.garbage(self.input.offset())),
                After::More => {}
            }
        }
        let start = self.input.offset();
        let mut crc = crc32fast::Hasher::new();
        let magic = [self.header_byte(&mut crc)?, self.header_byte(&mut crc)?];
        if magic != [0x1f, 0x8b] {
            return Err(self.garbage(start));
        }
        if self.header_byte(&mut crc)? != 8 {
            return Err(damaged(&self.input, "unknown compression method"));
        }
        let flags = self.header_byte(&mut crc)?;
        if flags & RESERVED != 0 {
            return Err(damaged(&self.input, "reserved header flags"));
        }
        // Time, extra flags, operating system.
        for _ in 0..6 {
            self.header_byte(&mut crc)?;
        }
        self.optional_fields(flags, &mut crc)?;
        if flags & HEADER_CRC != 0 {
            let low = [self.byte()?, self.byte()?];
            let [a, b, _, _] = crc.finalize().to_le_bytes();
            if low != [a, b] {
                return Err(self.checksum());
            }
        }
        self.inflate.reset();
        self.check = Some((crc32fast::Hasher::new(), 0));
        Ok(Place::Start(start))
    }

    fn optional_fields(
        &mut self,
        flags: u8,
        crc: &mut crc32fast::Hasher,
    ) -> Result<(), DecodeError> {
        if flags & EXTRA != 0 {
            let length = [self.header_byte(crc)?, self.header_byte(crc)?];
            for _ in 0..u16::from_le_bytes(length) {
                self.header_byte(crc)?;
            }
        }
        for flag in [NAME, COMMENT] {
            if flags & flag != 0 {
                while self.header_byte(crc)? != 0 {}
            }
        }
        Ok(())
    }

    /// Decodes blocks into `out`. `Ok((bytes, None))` when something else is due.
    fn blocks(
        &mut self,
        out: &mut [u8],
        until: Until,
    ) -> Result<(usize, Option<Stop>), DecodeError> {
        let input = self.input.fill()?;
        let given = input.len();
        let step = self
            .inflate
            .inflate(input, out, until == Until::Block)
            .map_err(|error| damaged(&self.input, error.0))?;
        self.input.consume(step.consumed);
        if let Some((crc, length)) = &mut self.check {
            let new = out.get(..step.produced).unwrap_or_default();
            crc.update(new);
            *length = length.wrapping_add(u32::try_from(new.len()).unwrap_or(u32::MAX));
        }
        let stop = match step.stop {
            zlib::Stop::End => {
                self.trailer()?;
                self.place = Place::Header { first: false };
                None
            }
            zlib::Stop::Block { bits, last: false } => Some(Stop::At(self.checkpoint(bits))),
            zlib::Stop::Block { last: true, .. } => None,
            zlib::Stop::Buffers if step.produced == out.len() => Some(Stop::Full),
            zlib::Stop::Buffers if given == 0 => {
                let offset = self.input.offset();
                return Err(DecodeError::Truncated { format: FORMAT, offset });
            }
            zlib::Stop::Buffers if step.consumed == 0 && step.produced == 0 => {
                return Err(damaged(&self.input, "the decoder makes no progress"));
            }
            zlib::Stop::Buffers => None,
        };
        Ok((step.produced, stop))
    }

    fn checkpoint(&self, unused_bits: u8) -> Checkpoint {
        let whole = u64::from(unused_bits / 8);
        let bits = unused_bits % 8;
        let offset = self.input.offset().saturating_sub(whole + u64::from(bits > 0));
        Checkpoint { offset, state: State::Block { bits, window: self.inflate.window() } }
    }

    fn trailer(&mut self) -> Result<(), DecodeError> {
        let mut trailer = [0; 8];
        if self.input.read_up_to(&mut trailer)? < trailer.len() {
            let offset = self.input.offset();
            return Err(DecodeError::Truncated { format: FORMAT, offset });
        }
        let Some((crc, length)) = self.check.take() else {
            return Ok(());
        };
        let [a, b, c, d, e, f, g, h] = trailer;
        let matches = u32::from_le_bytes([a, b, c, d]) == crc.finalize()
            && u32::from_le_bytes([e, f, g, h]) == length;
        if matches { Ok(()) } else { Err(self.checksum()) }
    }

    fn checksum(&self) -> DecodeError {
        DecodeError::Checksum { format: FORMAT, offset: self.input.offset() }
    }

    fn garbage(&self, offset: u64) -> DecodeError {
        DecodeError::Garbage { format: FORMAT, offset }
    }
}

fn damaged<R: BufRead>(input: &Input<R>, what: &str) -> DecodeError {
    DecodeError::Damaged { format: FORMAT, offset: input.offset(), what: what.to_owned() }
}

impl<R: BufRead + Send> Decode for Gzip<R> {
    fn decode(&mut self, out: &mut [u8], until: Until) -> Result<(usize, Stop), DecodeError> {
        let mut done = 0;
        loop {
            match self.place {
                Place::Header { first } => self.place = self.header(first)?,
                Place::Start(offset) => {
                    self.place = Place::Blocks;
                    if until != Until::Full {
                        let checkpoint = Checkpoint { offset, state: State::Start };
                        return Ok((done, Stop::At(checkpoint)));
                    }
                }
                Place::Blocks => {
                    let rest = out.get_mut(done..).unwrap_or_default();
                    let (new, stop) = self.blocks(rest, until)?;
                    done += new;
                    if let Some(stop) = stop {
                        return Ok((done, stop));
                    }
                }
                Place::End => return Ok((done, Stop::End)),
            }
        }
    }

    fn offset(&self) -> u64 {
        self.input.offset()
    }

    fn allow(&mut self, until: u64, otherwise: Exceeded) {
        self.input.allow(until, otherwise);
    }
}
