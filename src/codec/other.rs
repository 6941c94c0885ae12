//! The rest: plain tars, and xz and bzip2, which `docker load` accepts.
//!
//! A plain tar can be entered anywhere. xz and bzip2 can be entered at stream starts only, decode
//! at 40-150 MB/s, and are rare: all but the first span of such a stream is looked up in the
//! layer's seekable form, so one loop over streams serves both.

use std::io::BufRead;

use liblzma::stream::{Action, Error as LzmaError, Status as LzmaStatus, Stream};

use super::input::{After, Input};
use super::{Checkpoint, Decode, DecodeError, State, Stop, Until};
use crate::limits::{Exceeded, Limit};

/// Bytes as they are.
pub(super) struct Plain<R> {
    input: Input<R>,
    /// The last checkpoint reported, not to be reported again.
    reported: Option<u64>,
}

impl<R: BufRead> Plain<R> {
    /// At any offset.
    pub(super) fn new(input: Input<R>) -> Self {
        Self { input, reported: None }
    }
}

impl<R: BufRead + Send> Decode for Plain<R> {
    fn decode(&mut self, out: &mut [u8], until: Until) -> Result<(usize, Stop), DecodeError> {
        let offset = self.input.offset();
        if self.input.fill()?.is_empty() {
            return Ok((0, Stop::End));
        }
        if until != Until::Full && self.reported != Some(offset) {
            self.reported = Some(offset);
            return Ok((0, Stop::At(Checkpoint { offset, state: State::Start })));
        }
        let done = self.input.read_up_to(out)?;
        Ok((done, if done == out.len() { Stop::Full } else { Stop::End }))
    }

    fn offset(&self) -> u64 {
        self.input.offset()
    }

    fn allow(&mut self, until: u64, otherwise: Exceeded) {
        self.input.allow(until, otherwise);
    }
}

/// What one call of an engine did.
struct Step {
    consumed: usize,
    produced: usize,
    ended: bool,
}

/// The decoder of one stream of a format.
trait Engine: Sized + Send {
    const FORMAT: &'static str;
    /// The first bytes of a stream.
    const MAGIC: &'static [u8];
    /// How many bytes at the beginning never make output.
    const HEAD: usize;
    /// Whether zeros may stand between streams.
    const PADDING_INSIDE: bool;

    /// May ask for this many bytes of memory: its window and a little more.
    fn new(memory: u64) -> Result<Self, Fault>;
    /// Whether a stream that begins so ends there too, which needs no engine.
    fn is_empty(_head: &[u8]) -> bool {
        false
    }
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Fault>;
}

/// The longest beginning of a stream.
const HEAD_MAX: usize = 14;

/// Why an engine gave up.
enum Fault {
    Damaged(String),
    Window,
}

/// A stream of any number of streams.
struct Streams<R, E> {
    input: Input<R>,
    /// `None` between streams.
    engine: Option<E>,
    first: bool,
    /// What an engine may ask for.
    memory: u64,
}

/// At the beginning of an xz stream.
pub(super) fn xz<R: BufRead + Send>(input: Input<R>, memory: u64) -> impl Decode + use<R> {
    Streams::<R, Xz> { input, engine: None, first: true, memory }
}

/// At the beginning of a bzip2 stream.
pub(super) fn bzip2<R: BufRead + Send>(input: Input<R>, memory: u64) -> impl Decode + use<R> {
    Streams::<R, Bzip2> { input, engine: None, first: true, memory }
}

impl<R: BufRead, E: Engine> Streams<R, E> {
    /// Begins the next stream that is not empty; its offset, or `None` at the end.
    fn next(&mut self) -> Result<Option<u64>, DecodeError> {
        loop {
            if !self.first {
                match self.input.after_member()? {
                    After::End => return Ok(None),
                    After::Padded if !E::PADDING_INSIDE => {
                        return Err(self.garbage(self.input.offset()));
                    }
                    After::Padded | After::More => {}
                }
            }
            self.first = false;
            let offset = self.input.offset();
            let mut head = [0; HEAD_MAX];
            let (head, _) = head.split_at_mut(E::HEAD.min(HEAD_MAX));
            let got = self.input.read_up_to(head)?;
            let head = head.get(..got).unwrap_or_default();
            if !head.starts_with(E::MAGIC) {
                let cut_off = E::MAGIC.starts_with(head);
                return Err(if cut_off { self.truncated() } else { self.garbage(offset) });
            }
            if E::is_empty(head) {
                continue;
            }
            let mut engine = E::new(self.memory).map_err(|fault| self.fault(fault))?;
            engine.step(head, &mut []).map_err(|fault| self.fault(fault))?;
            self.engine = Some(engine);
            return Ok(Some(offset));
        }
    }

    fn fault(&self, fault: Fault) -> DecodeError {
        match fault {
            Fault::Window => {
                let source = Exceeded { limit: Limit::Window, most: self.memory };
                DecodeError::Limit { format: E::FORMAT, source }
            }
            Fault::Damaged(what) => {
                DecodeError::Damaged { format: E::FORMAT, offset: self.input.offset(), what }
            }
        }
    }

    fn truncated(&self) -> DecodeError {
        DecodeError::Truncated { format: E::FORMAT, offset: self.input.offset() }
    }

    fn garbage(&self, offset: u64) -> DecodeError {
        DecodeError::Garbage { format: E::FORMAT, offset }
    }
}

impl<R: BufRead + Send, E: Engine> Decode for Streams<R, E> {
    fn decode(&mut self, out: &mut [u8], until: Until) -> Result<(usize, Stop), DecodeError> {
        let mut done = 0;
        loop {
            let Some(engine) = &mut self.engine else {
                match self.next()? {
                    None => return Ok((done, Stop::End)),
                    Some(_) if until == Until::Full => continue,
                    Some(offset) => {
                        let checkpoint = Checkpoint { offset, state: State::Start };
                        return Ok((done, Stop::At(checkpoint)));
                    }
                }
            };
            let rest = out.get_mut(done..).unwrap_or_default();
            let input = self.input.fill()?;
            let given = input.len();
            let step = match engine.step(input, rest) {
                Ok(step) => step,
                Err(fault) => return Err(self.fault(fault)),
            };
            self.input.consume(step.consumed);
            done += step.produced;
            if step.ended {
                self.engine = None;
            } else if done == out.len() {
                return Ok((done, Stop::Full));
            } else if given == 0 {
                return Err(self.truncated());
            } else if step.consumed == 0 && step.produced == 0 {
                return Err(self.fault(Fault::Damaged("the decoder makes no progress".to_owned())));
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

struct Xz(Stream);

impl Engine for Xz {
    const FORMAT: &'static str = "xz";
    const MAGIC: &'static [u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
    const HEAD: usize = Self::MAGIC.len();
    const PADDING_INSIDE: bool = true;

    fn new(memory: u64) -> Result<Self, Fault> {
        Stream::new_stream_decoder(memory, 0).map(Self).map_err(Self::fault)
    }

    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Fault> {
        let before = (self.0.total_in(), self.0.total_out());
        let status = self.0.process(input, out, Action::Run).map_err(Self::fault)?;
        Ok(Step {
            consumed: difference(self.0.total_in(), before.0),
            produced: difference(self.0.total_out(), before.1),
            ended: status == LzmaStatus::StreamEnd,
        })
    }
}

impl Xz {
    fn fault(error: LzmaError) -> Fault {
        match error {
            LzmaError::MemLimit => Fault::Window,
            other => Fault::Damaged(other.to_string()),
        }
    }
}

struct Bzip2(::bzip2::Decompress);

impl Engine for Bzip2 {
    const FORMAT: &'static str = "bzip2";
    const MAGIC: &'static [u8] = b"BZh";
    /// What a stream has before its first block or, with nothing else, before its end.
    const HEAD: usize = 14;
    const PADDING_INSIDE: bool = false;

    /// Its window is never more than 900 kB.
    fn new(_: u64) -> Result<Self, Fault> {
        Ok(Self(::bzip2::Decompress::new(false)))
    }

    /// An engine begins with megabytes of memory: millions of streams of 14 bytes would cost minutes.
    fn is_empty(head: &[u8]) -> bool {
        let (level, end) = (head.get(3), head.get(4..));
        level.is_some_and(|level| matches!(level, b'1'..=b'9'))
            && end == Some(b"\x17\x72\x45\x38\x50\x90\0\0\0\0".as_slice())
    }

    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Fault> {
        let before = (self.0.total_in(), self.0.total_out());
        let status = self.0.decompress(input, out);
        let status = status.map_err(|error| Fault::Damaged(error.to_string()))?;
        Ok(Step {
            consumed: difference(self.0.total_in(), before.0),
            produced: difference(self.0.total_out(), before.1),
            ended: status == ::bzip2::Status::StreamEnd,
        })
    }
}

/// How far a counter went in one call: never more than a buffer's length.
fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}
