//! Raw inflate (RFC 1951) through the zlib interface of zlib-rs: what flate2 does not show and
//! checkpoints need, namely stopping at block boundaries, the bit position there, and reading and
//! setting the window.
//!
//! Safe on top: a [`RawInflate`] owns its state, every call hands over slices with their own
//! lengths, and no pointer outlives a call. It knows no container (gzip, zlib) and no checksum.

use std::ffi::CStr;

use libz_rs_sys as z;

/// The most history that deflate refers to, in bytes.
pub const WINDOW: usize = 32 << 10;

/// Why a raw deflate stream cannot be decoded: zlib's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InflateError(pub &'static str);

/// Why [`RawInflate::inflate`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The input is used up or the output is full.
    Buffers,
    /// Asked to, at the end of a block: everything before is decoded and output.
    Block {
        /// Bits taken from the input and not yet used; the next block begins this many bits
        /// before the end of the bytes consumed. Less than 64.
        bits: u8,
        /// This was the last block, so no block begins here.
        last: bool,
    },
    /// The stream has ended; the bytes not consumed are not part of it.
    End,
}

/// What one call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input used up.
    pub consumed: usize,
    /// Bytes of the output filled.
    pub produced: usize,
    /// Why it came back.
    pub stop: Stop,
}

/// A raw inflate stream.
pub struct RawInflate {
    stream: Box<z::z_stream>,
}

// SAFETY: the stream and the state it points to belong to this value alone, and zlib-rs keeps
// nothing by thread.
unsafe impl Send for RawInflate {}

impl std::fmt::Debug for RawInflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawInflate").field("total_out", &self.stream.total_out).finish()
    }
}

impl RawInflate {
    /// A stream at its beginning, without history.
    ///
    /// # Errors
    /// When there is no memory for its state (about 40 KiB).
    pub fn new() -> Result<Self, InflateError> {
        let mut stream = Box::new(z::z_stream::default());
        // SAFETY: `stream` is a valid z_stream with zlib-rs's own allocator functions, the version
        // is a static C string, and the size is the size of what it points to.
        let code = unsafe {
            z::inflateInit2_(
                &mut *stream,
                -15,
                z::zlibVersion(),
                i32::try_from(size_of::<z::z_stream>()).unwrap_or(0),
            )
        };
        if code == z::Z_OK { Ok(Self { stream }) } else { Err(InflateError("no memory")) }
    }

    /// Forgets everything: the next byte is the first of another stream.
    pub fn reset(&mut self) {
        // SAFETY: the stream was initialised by `new`. It can only fail for one that was not.
        unsafe { z::inflateReset(&mut *self.stream) };
    }

    /// Puts a new stream at a checkpoint: `window` is the output before it (its last 32 KiB, or
    /// less near the beginning), and the lowest `bits` bits (at most 7) of `value` come before the
    /// next input byte.
    ///
    /// # Errors
    /// When `bits` is not below 8.
    pub fn enter(&mut self, window: &[u8], bits: u8, value: u8) -> Result<(), InflateError> {
        if bits > 7 {
            return Err(InflateError("a checkpoint has at most 7 bits"));
        }
        self.reset();
        let tail = window.get(window.len().saturating_sub(WINDOW)..).unwrap_or_default();
        // SAFETY: the stream was initialised by `new`; pointer and length are those of `tail`,
        // which zlib copies; its length fits, being at most WINDOW.
        let set = unsafe {
            z::inflateSetDictionary(
                &mut *self.stream,
                tail.as_ptr(),
                u32::try_from(tail.len()).unwrap_or(0),
            )
        };
        // SAFETY: the stream was initialised by `new`.
        let prime =
            unsafe { z::inflatePrime(&mut *self.stream, i32::from(bits), i32::from(value)) };
        if set == z::Z_OK && prime == z::Z_OK {
            Ok(())
        } else {
            Err(InflateError("the checkpoint does not fit"))
        }
    }

    /// Decodes until the input is used up, the output is full, the stream ends or, with
    /// `stop_at_blocks`, a block ends.
    ///
    /// # Errors
    /// When the bytes are not a deflate stream; the stream is of no use afterwards.
    pub fn inflate(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        stop_at_blocks: bool,
    ) -> Result<Step, InflateError> {
        let given = u32::try_from(input.len()).unwrap_or(u32::MAX);
        let room = u32::try_from(output.len()).unwrap_or(u32::MAX);
        self.stream.next_in = input.as_ptr().cast_mut();
        self.stream.avail_in = given;
        self.stream.next_out = output.as_mut_ptr();
        self.stream.avail_out = room;
        let flush = if stop_at_blocks { z::Z_BLOCK } else { z::Z_NO_FLUSH };
        // SAFETY: the stream was initialised by `new`; `next_in` and `next_out` point to as many
        // readable and writable bytes as `avail_in` and `avail_out` say, for this whole call.
        let code = unsafe { z::inflate(&mut *self.stream, flush) };
        let step = Step {
            consumed: (given - self.stream.avail_in) as usize,
            produced: (room - self.stream.avail_out) as usize,
            stop: self.stop(code, stop_at_blocks),
        };
        self.stream.next_in = std::ptr::null_mut();
        self.stream.next_out = std::ptr::null_mut();
        match code {
            z::Z_OK | z::Z_BUF_ERROR | z::Z_STREAM_END => Ok(step),
            _ => Err(self.error()),
        }
    }

    fn stop(&self, code: i32, stop_at_blocks: bool) -> Stop {
        // Z_BUF_ERROR only says that neither buffer moved: at a boundary inside a byte, none has to.
        let data_type = self.stream.data_type;
        if code == z::Z_STREAM_END {
            Stop::End
        } else if stop_at_blocks && data_type & 128 != 0 {
            let bits = u8::try_from(data_type & 63).unwrap_or(0);
            Stop::Block { bits, last: data_type & 64 != 0 }
        } else {
            Stop::Buffers
        }
    }

    fn error(&self) -> InflateError {
        if self.stream.msg.is_null() {
            return InflateError("not a deflate stream");
        }
        // SAFETY: zlib-rs sets `msg` to null or to a static C string.
        let message: &'static CStr = unsafe { CStr::from_ptr(self.stream.msg) };
        InflateError(message.to_str().unwrap_or("not a deflate stream"))
    }

    /// The history: the last 32 KiB of output, or all of it when there is less.
    pub fn window(&self) -> Vec<u8> {
        let mut window = vec![0; WINDOW];
        let mut length = 0;
        // SAFETY: the stream was initialised by `new`; the destination has 32 KiB, which is
        // always enough, and `length` is a valid place for the length.
        let code =
            unsafe { z::inflateGetDictionary(&*self.stream, window.as_mut_ptr(), &raw mut length) };
        window.truncate(if code == z::Z_OK { length as usize } else { 0 });
        window
    }
}

impl Drop for RawInflate {
    fn drop(&mut self) {
        // SAFETY: the stream was initialised by `new` and is not used again.
        unsafe { z::inflateEnd(&mut *self.stream) };
    }
}
