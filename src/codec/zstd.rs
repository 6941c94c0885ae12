//! zstd (RFC 8878): frames one after the other, skippable frames between them.
//!
//! A frame can be entered only at its start: what a block needs from the blocks before it is the
//! whole window (often 2-8 MiB) and entropy tables that libzstd does not give away. Layers of one
//! large frame therefore get a seekable form of their own (`seekable.rs`).

use std::io::BufRead;

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::DParameter;

use super::input::{After, Input};
use super::{Checkpoint, Decode, DecodeError, State, Stop, Until};
use crate::limits::{Exceeded, Limit, Limits};

const FORMAT: &str = "zstd";

/// A zstd stream of any number of frames.
pub(super) struct Zstd<R> {
    input: Input<R>,
    decoder: Decoder<'static>,
    place: Place,
    /// The beginning of a frame, read to judge it and still to be decoded.
    header: Vec<u8>,
    /// The largest window that a frame may ask for.
    limit: u64,
}

/// What comes next in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A frame; the first one has to be there.
    Frame { first: bool },
    /// A frame whose header was just read, at this offset: not reported as a checkpoint yet.
    Start(u64),
    /// A frame's blocks.
    Blocks,
    /// Nothing.
    End,
}

impl<R: BufRead> Zstd<R> {
    /// At the beginning of a frame; windows of more than `limit` are refused.
    pub(super) fn new(input: Input<R>, limit: u64) -> Result<Self, DecodeError> {
        let limit = limit.min(Limits::HIGHEST.window);
        let mut decoder = Decoder::new()?;
        // Powers of two alone, from 1 KiB on: what lies between, `check_window` refuses.
        let power = limit.max(1 << 10).next_power_of_two().ilog2();
        decoder.set_parameter(DParameter::WindowLogMax(power))?;
        let place = Place::Frame { first: true };
        Ok(Self { input, decoder, place, header: Vec::new(), limit })
    }

    /// Goes to the next data frame and reads its header.
    fn frame(&mut self, first: bool) -> Result<Place, DecodeError> {
        let mut expected = first;
        loop {
            if !expected {
                match self.input.after_member()? {
                    After::End => return Ok(Place::End),
                    After::Padded => return Err(self.garbage(self.input.offset())),
                    After::More => {}
                }
            }
            expected = false;
            let start = self.input.offset();
            self.header.clear();
            match self.take(4)? {
                [0x28, 0xb5, 0x2f, 0xfd] => {
                    self.check_window()?;
                    return Ok(Place::Start(start));
                }
                [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                    let length = self.take(4)?;
                    let length =
                        length.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                    if self.input.skip(length)? < length {
                        return Err(self.truncated());
                    }
                }
                _ => return Err(self.garbage(start)),
            }
        }
    }

    /// Takes `count` bytes, at most 18, into `header`.
    fn take(&mut self, count: usize) -> Result<&[u8], DecodeError> {
        let mut bytes = [0; 18];
        let (bytes, _) = bytes.split_at_mut(count.min(18));
        if self.input.read_up_to(bytes)? < bytes.len() {
            return Err(self.truncated());
        }
        let start = self.header.len();
        self.header.extend_from_slice(bytes);
        Ok(self.header.get(start..).unwrap_or_default())
    }

    /// Reads on to the end of the frame's header and refuses windows over the limit, which libzstd
    /// would refuse too, but without a word of how much is allowed. (Section 3.1.1.1 of the RFC.)
    fn check_window(&mut self) -> Result<(), DecodeError> {
        let descriptor = self.take(1)?.first().copied().unwrap_or(0);
        let window = if descriptor & 0x20 == 0 {
            let byte = self.take(1)?.first().copied().unwrap_or(0);
            let base = 1_u64 << (10 + (byte >> 3));
            base + base / 8 * u64::from(byte & 7)
        } else {
            let (size, bias) = match descriptor >> 6 {
                0 => (1, 0),
                1 => (2, 256),
                2 => (4, 0),
                _ => (8, 0),
            };
            let dictionary = match descriptor & 3 {
                3 => 4,
                other => usize::from(other),
            };
            self.take(dictionary)?;
            let bytes = self.take(size)?;
            bytes.iter().rev().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte)) + bias
        };
        if window > self.limit {
            let source = Exceeded { limit: Limit::Window, most: self.limit };
            return Err(DecodeError::Limit { format: FORMAT, source });
        }
        Ok(())
    }

    /// Decodes blocks into `out`. `Ok((bytes, None))` when something else is due.
    fn blocks(&mut self, out: &mut [u8]) -> Result<(usize, Option<Stop>), DecodeError> {
        let from_header = !self.header.is_empty();
        let bytes = if from_header { self.header.as_slice() } else { self.input.fill()? };
        let given = bytes.len();
        let room = out.len();
        let mut input = InBuffer::around(bytes);
        let mut output = OutBuffer::around(out);
        let run = self.decoder.run(&mut input, &mut output);
        let (consumed, produced) = (input.pos(), output.pos());
        let hint = run.map_err(|error| DecodeError::Damaged {
            format: FORMAT,
            offset: self.input.offset(),
            what: error.to_string(),
        })?;
        if from_header {
            self.header.drain(..consumed);
        } else {
            self.input.consume(consumed);
        }
        if hint == 0 {
            self.place = Place::Frame { first: false };
            return Ok((produced, None));
        }
        if produced == room {
            return Ok((produced, Some(Stop::Full)));
        }
        if given == 0 {
            return Err(self.truncated());
        }
        if consumed == 0 && produced == 0 {
            return Err(DecodeError::Damaged {
                format: FORMAT,
                offset: self.input.offset(),
                what: "the decoder makes no progress".to_owned(),
            });
        }
        Ok((produced, None))
    }

    fn truncated(&self) -> DecodeError {
        DecodeError::Truncated { format: FORMAT, offset: self.input.offset() }
    }

    fn garbage(&self, offset: u64) -> DecodeError {
        DecodeError::Garbage { format: FORMAT, offset }
    }
}

impl<R: BufRead + Send> Decode for Zstd<R> {
    fn decode(&mut self, out: &mut [u8], until: Until) -> Result<(usize, Stop), DecodeError> {
        let mut done = 0;
        loop {
            match self.place {
                Place::Frame { first } => self.place = self.frame(first)?,
                Place::Start(offset) => {
                    self.place = Place::Blocks;
                    if until != Until::Full {
                        let checkpoint = Checkpoint { offset, state: State::Start };
                        return Ok((done, Stop::At(checkpoint)));
                    }
                }
                Place::Blocks => {
                    let rest = out.get_mut(done..).unwrap_or_default();
                    let (new, stop) = self.blocks(rest)?;
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
