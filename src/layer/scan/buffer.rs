//! Recycled buffers, and a channel of them as a reader.
//!
//! A pool has a fixed number of buffers. A buffer goes home when its last owner drops it, from
//! whatever thread, also when a channel is dropped with buffers in it; so a thread that waits for
//! a buffer waits only for work that is being done, never for a thread that has ended.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Where one thread takes its buffers from.
#[derive(Debug)]
pub(super) struct Pool {
    free: Receiver<Vec<u8>>,
    home: SyncSender<Vec<u8>>,
    /// Buffers that may still be made.
    unmade: usize,
    size: usize,
}

impl Pool {
    /// A pool of `count` buffers of `size` bytes, made when first needed.
    pub(super) fn new(count: usize, size: usize) -> Self {
        let (home, free) = sync_channel(count);
        Self { free, home, unmade: count, size }
    }

    /// An empty buffer; waits until there is one.
    pub(super) fn take(&mut self) -> Buffer {
        let bytes = match self.free.try_recv() {
            Ok(bytes) => bytes,
            Err(_) if self.unmade > 0 => {
                self.unmade -= 1;
                vec![0; self.size]
            }
            // It cannot fail: this pool has a sender itself.
            Err(_) => self.free.recv().unwrap_or_else(|_| vec![0; self.size]),
        };
        Buffer { bytes, filled: 0, home: self.home.clone() }
    }
}

/// A buffer that is filled from its beginning.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
    home: SyncSender<Vec<u8>>,
}

impl Buffer {
    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// What is free.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// The next `count` free bytes have been filled.
    pub(super) fn grow(&mut self, count: usize) {
        self.filled = self.bytes.len().min(self.filled + count);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Fails only when the pool is gone; the channel has room for all its buffers.
        let _ = self.home.try_send(std::mem::take(&mut self.bytes));
    }
}

/// The buffers of a channel as one stream; the end of the channel is the end of the stream.
#[derive(Debug)]
pub(super) struct Stream {
    buffers: Receiver<Buffer>,
    current: Option<Buffer>,
    at: usize,
}

impl Stream {
    /// The stream of what comes over `buffers`.
    pub(super) fn new(buffers: Receiver<Buffer>) -> Self {
        Self { buffers, current: None, at: 0 }
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|buffer| self.at >= buffer.bytes().len()) {
            // Give the old one back before waiting for a new one.
            self.current = None;
            self.at = 0;
            match self.buffers.recv() {
                Ok(buffer) => self.current = Some(buffer),
                Err(_) => return Ok(&[]),
            }
        }
        let buffer = self.current.as_ref().map_or(&[][..], Buffer::bytes);
        Ok(buffer.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}
