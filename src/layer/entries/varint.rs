//! Numbers of variable length, and lengths that are checked before anything is allocated.
//!
//! LEB128: seven bits a byte, the low ones first. Signed numbers are zigzagged, so that small
//! negative ones are short too.

use std::io::{self, Read};

use super::EntriesError;

/// Appends an unsigned number.
pub fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a signed number.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, (value << 1 ^ value >> 63).cast_unsigned());
}

/// Appends a length or a count.
pub fn put_length(out: &mut Vec<u8>, length: usize) {
    put_unsigned(out, u64::try_from(length).unwrap_or(u64::MAX));
}

/// Appends a byte string with its length in front.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Bytes read at a time.
const BUFFER: usize = 16 << 10;

/// Reads what the functions above wrote. It reads ahead, so its reader must end where the section
/// does.
#[derive(Debug)]
pub struct Input<R> {
    reader: R,
    buffer: Box<[u8]>,
    /// The bytes in the buffer that have not been taken.
    start: usize,
    end: usize,
    /// Entries or warnings read so far, for the errors.
    pub position: u64,
}

impl<R: Read> Input<R> {
    /// At the first byte of a section.
    pub fn new(reader: R) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { reader, buffer, start: 0, end: 0, position: 0 }
    }

    /// The error for bytes that no writer wrote.
    pub fn damaged(&self, what: &'static str) -> EntriesError {
        EntriesError::Damaged { position: self.position, what }
    }

    /// The rest of an end mark: how many there were.
    pub fn end(&mut self) -> Result<(), EntriesError> {
        let count = self.unsigned()?;
        if count == self.position { Ok(()) } else { Err(self.damaged("some are missing")) }
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, EntriesError> {
        loop {
            let ahead = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(byte) = ahead.first() {
                self.start += 1;
                return Ok(*byte);
            }
            self.refill()?;
        }
    }

    /// As many bytes as there are places.
    pub fn fill(&mut self, mut places: &mut [u8]) -> Result<(), EntriesError> {
        while !places.is_empty() {
            let ahead = self.buffer.get(self.start..self.end).unwrap_or_default();
            let count = ahead.len().min(places.len());
            if count == 0 {
                self.refill()?;
                continue;
            }
            let (now, later) = places.split_at_mut(count);
            now.copy_from_slice(ahead.get(..count).unwrap_or_default());
            self.start += count;
            places = later;
        }
        Ok(())
    }

    fn refill(&mut self) -> Result<(), EntriesError> {
        self.start = 0;
        self.end = loop {
            match self.reader.read(&mut self.buffer) {
                Ok(0) => return Err(self.damaged("it ends too early")),
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(EntriesError::Read(error)),
            }
        };
        Ok(())
    }

    /// An unsigned number.
    pub fn unsigned(&mut self) -> Result<u64, EntriesError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                return Err(self.damaged("a number of more than 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number of more than 64 bits"))
    }

    /// A signed number.
    pub fn signed(&mut self) -> Result<i64, EntriesError> {
        let value = self.unsigned()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// An unsigned number of at most 32 bits.
    pub fn unsigned32(&mut self) -> Result<u32, EntriesError> {
        let value = self.unsigned()?;
        u32::try_from(value).map_err(|_| self.damaged("a number of more than 32 bits"))
    }

    /// A length or count of at most `limit`.
    pub fn length(&mut self, limit: usize) -> Result<usize, EntriesError> {
        let length = usize::try_from(self.unsigned()?).unwrap_or(usize::MAX);
        if length > limit { Err(self.damaged("a length beyond its limit")) } else { Ok(length) }
    }

    /// A byte string of at most `limit` bytes.
    pub fn bytes(&mut self, limit: usize) -> Result<Vec<u8>, EntriesError> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, limit)?;
        Ok(bytes)
    }

    /// A byte string of at most `limit` bytes, appended to `bytes`.
    pub fn append(&mut self, bytes: &mut Vec<u8>, limit: usize) -> Result<(), EntriesError> {
        let length = self.length(limit)?;
        let start = bytes.len();
        bytes.resize(start + length, 0);
        self.fill(bytes.get_mut(start..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes);
        bytes
    }

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let bytes = written(|out| put_unsigned(out, value));
            assert_eq!(Input::new(&bytes[..]).unsigned().expect("a number"), value);
        }
        for value in [0, -1, 1, -64, 64, i64::MIN, i64::MAX] {
            let bytes = written(|out| put_signed(out, value));
            assert_eq!(Input::new(&bytes[..]).signed().expect("a number"), value);
        }
    }

    #[test]
    fn small_numbers_are_short() {
        for (value, length) in [(-64, 1), (63, 1), (64, 2), (-8192, 2)] {
            assert_eq!(written(|out| put_signed(out, value)).len(), length, "{value}");
        }
    }

    #[test]
    fn numbers_beyond_their_bits_are_damage() {
        for bytes in [&[0xff; 10][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]] {
            let result = Input::new(bytes).unsigned();
            assert!(matches!(result, Err(EntriesError::Damaged { .. })), "{bytes:?}");
        }
        assert!(Input::new(&[0xff, 0xff, 0xff, 0xff, 0x1f][..]).unsigned32().is_err());
    }

    #[test]
    fn a_length_is_checked_before_it_is_allocated() {
        let bytes = written(|out| put_unsigned(out, 1 << 60));
        assert!(matches!(Input::new(&bytes[..]).bytes(4095), Err(EntriesError::Damaged { .. })));
    }

    #[test]
    fn strings_may_be_longer_than_the_buffer() {
        let long = vec![7; 3 * BUFFER + 1];
        let bytes = written(|out| put_bytes(out, &long));
        assert_eq!(Input::new(&bytes[..]).bytes(long.len()).expect("a string"), long);
        let cut_off = Input::new(&bytes[..BUFFER]).bytes(long.len());
        assert!(matches!(cut_off, Err(EntriesError::Damaged { .. })));
    }
}
